#ifndef TUSK_EPILOGUE_NEON_H
#define TUSK_EPILOGUE_NEON_H

#include "epilogue.h"

#include <arm_neon.h>

/// Weight rows and activation rows of a tile in registers.
enum { TILE_N = 4, TILE_M = 4 };

/// The sums of the lanes of four registers.
static inline __attribute__((always_inline)) int32x4_t sum_four_neon(int32x4_t a, int32x4_t b, int32x4_t c,
                                                                     int32x4_t d) {
  return vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d));
}

/// `finish` for four neighbours of a row: the same operations in the same order, so the same bits.
static inline __attribute__((always_inline)) void finish_four(const TuskMatmulI16 *p, size_t m, size_t n,
                                                               int32x4_t sums) {
  float32x4_t scales = vmulq_f32(vdupq_n_f32(p->activationScales[m]), vld1q_f32(p->weightScales + n));
  float32x4_t y = vmulq_f32(vcvtq_f32_s32(sums), scales);
  if (p->bias) y = vaddq_f32(y, vld1q_f32(p->bias + n));
  vst1q_f32(p->y + m * p->yStride + n, y);
}

/// Files sums of a block, of TILE_N neighbours: ends them if they are whole, else adds them to `totals`.
static inline __attribute__((always_inline)) void take_sums(const TuskMatmulI16 *p, size_t m, size_t n, int32x4_t sums,
                                                             int64_t *totals) {
  if (p->K <= TUSK_MATMUL_BLOCK_K) {
    finish_four(p, m, n, sums);
    return;
  }
  for (int i = 0; i < TILE_N; i++) totals[i] += sums[i];
}

#endif
