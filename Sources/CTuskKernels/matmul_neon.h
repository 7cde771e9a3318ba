/// The int16 x int8 product in 128-bit registers, by widening multiply-adds: what every aarch64 has.

#include "epilogue_neon.h"

/// The sums of MT activation rows with TILE_N weight rows over `count` (a multiple of 16) columns, at most a block: the
/// sum of all lanes is bounded by TUSK_MATMUL_BLOCK_K.
INLINE void tile_block_neon(const TuskMatmulI16 *p, size_t m, size_t n, size_t k0, size_t count, int64_t *totals,
                            const int MT) {
  int32x4_t sums[TILE_M][TILE_N];
  for (int i = 0; i < MT; i++) {
    for (int j = 0; j < TILE_N; j++) sums[i][j] = vdupq_n_s32(0);
  }
  const int16_t *a = p->codes + m * p->codesStride + k0;
  const int8_t *w = p->weights + n * p->weightsStride + k0;
  for (size_t k = 0; k < count; k += 8) {
    int16x8_t wide[TILE_N];
    for (int j = 0; j < TILE_N; j++) wide[j] = vmovl_s8(vld1_s8(w + (size_t)j * p->weightsStride + k));
    for (int i = 0; i < MT; i++) {
      int16x8_t codes = vld1q_s16(a + (size_t)i * p->codesStride + k);
      for (int j = 0; j < TILE_N; j++) {
        sums[i][j] = vmlal_s16(sums[i][j], vget_low_s16(codes), vget_low_s16(wide[j]));
        sums[i][j] = vmlal_high_s16(sums[i][j], codes, wide[j]);
      }
    }
  }
  for (int i = 0; i < MT; i++) {
    int32x4_t four = sum_four_neon(sums[i][0], sums[i][1], sums[i][2], sums[i][3]);
    take_sums(p, m + (size_t)i, n, four, totals + i * TILE_N);
  }
}

INLINE void tile_neon(const TuskMatmulI16 *p, size_t m, size_t n, const int MT) {
  int64_t totals[TILE_M * TILE_N] = {0};
  for (size_t k = 0; k < p->K; k += TUSK_MATMUL_BLOCK_K) {
    size_t count = p->K - k < TUSK_MATMUL_BLOCK_K ? (p->K - k + 15) / 16 * 16 : TUSK_MATMUL_BLOCK_K;
    tile_block_neon(p, m, n, k, count, totals, MT);
  }
  if (p->K <= TUSK_MATMUL_BLOCK_K) return;
  for (int i = 0; i < MT * TILE_N; i++) finish(p, m + (size_t)(i / TILE_N), n + (size_t)(i % TILE_N), totals[i]);
}

/// One weight row, for the columns behind the last tile.
static void single_neon(const TuskMatmulI16 *p, size_t m, size_t n) {
  int64_t total = 0;
  for (size_t k0 = 0; k0 < p->K; k0 += TUSK_MATMUL_BLOCK_K) {
    size_t end = p->K - k0 < TUSK_MATMUL_BLOCK_K ? (p->K + 15) / 16 * 16 : k0 + TUSK_MATMUL_BLOCK_K;
    int32x4_t sum = vdupq_n_s32(0);
    for (size_t k = k0; k < end; k += 8) {
      int16x8_t codes = vld1q_s16(p->codes + m * p->codesStride + k);
      int16x8_t wide = vmovl_s8(vld1_s8(p->weights + n * p->weightsStride + k));
      sum = vmlal_s16(sum, vget_low_s16(codes), vget_low_s16(wide));
      sum = vmlal_high_s16(sum, codes, wide);
    }
    total += vaddvq_s32(sum);
  }
  finish(p, m, n, total);
}

static void matmul_f32_i16_i8_neon(const TuskMatmulI16 *p, size_t n0, size_t n1) {
  size_t n = n0;
  for (; n + TILE_N <= n1; n += TILE_N) {
    size_t m = 0;
    for (; m + TILE_M <= p->M; m += TILE_M) tile_neon(p, m, n, TILE_M);
    for (; m < p->M; m++) tile_neon(p, m, n, 1);
  }
  for (; n < n1; n++) {
    for (size_t m = 0; m < p->M; m++) single_neon(p, m, n);
  }
}

static uint64_t read_probe_neon(const void *buffer, size_t bytes) {
  const uint64_t *next = buffer;
  uint64x2_t sums[4] = {vdupq_n_u64(0), vdupq_n_u64(0), vdupq_n_u64(0), vdupq_n_u64(0)};
  for (size_t i = 0; i + 8 <= bytes / 8; i += 8) {
    for (size_t j = 0; j < 4; j++) sums[j] = vaddq_u64(sums[j], vld1q_u64(next + i + 2 * j));
  }
  return vaddvq_u64(vaddq_u64(vaddq_u64(sums[0], sums[1]), vaddq_u64(sums[2], sums[3])));
}

/// smull, sadalp on registers, 12 chains: 8-bit products added in pairs.
static uint64_t multiply_add_probe_neon(size_t rounds) {
  int32x4_t sums[12];
  int8x8_t a = vdup_n_s8(3), w = vdup_n_s8(5);
  for (int i = 0; i < 12; i++) sums[i] = vdupq_n_s32(0);
  for (size_t r = 0; r < rounds; r++) {
    for (int i = 0; i < 12; i++) {
      // Opaque, so that equal products are not computed once.
      __asm__("" : "+w"(w));
      sums[i] = vpadalq_s16(sums[i], vmull_s8(a, w));
    }
  }
  for (int i = 0; i < 12; i++) __asm__ volatile("" : : "w"(sums[i]));
  return (uint64_t)rounds * 12 * 8;
}
