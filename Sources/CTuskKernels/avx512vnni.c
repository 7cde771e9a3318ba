#if defined(__x86_64__)

#include "epilogue.h"
#include "tables.h"

#include <immintrin.h>

#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))), apply_to = function)

#define ISA(name) name##_avx512vnni
#include "lanes/all.h"

/// Activations as the instruction wants them: a + 128, in 1...255. With w in [-127, 127] the sum over k of (a + 128) w is the
/// wanted sum plus 128 * weightSums[n]; both wrap modulo 2^32 and their difference does not, since it obeys the bound on K.
INLINE __m512i load_offset_avx512vnni(const int8_t *a) {
  return _mm512_xor_si512(_mm512_load_si512(a), _mm512_set1_epi8((char)0x80));
}

INLINE int32_t remove_offset_avx512vnni(const TuskMatmulI8 *p, size_t n, int32_t sum) {
  return (int32_t)((uint32_t)sum - 128u * (uint32_t)p->weightSums[n]);
}

/// Few activations: one weight row against MT rows of codes, so that the weights are one linear stream; software prefetch
/// and further streams measured slower.
INLINE void row_avx512vnni(const TuskMatmulI8 *p, size_t m0, size_t n, const int MT) {
  const int8_t *w = p->weights + n * p->weightsStride;
  const int8_t *a = p->codes + m0 * p->codesStride;
  __m512i sums[8];
  for (int m = 0; m < MT; m++) sums[m] = _mm512_setzero_si512();
  for (size_t k = 0; k < p->K; k += 64) {
    __m512i wk = _mm512_load_si512(w + k);
    for (int m = 0; m < MT; m++) {
      sums[m] = _mm512_dpbusd_epi32(sums[m], load_offset_avx512vnni(a + (size_t)m * p->codesStride + k), wk);
    }
  }
  for (int m = 0; m < MT; m++) {
    finish(p, m0 + (size_t)m, n, remove_offset_avx512vnni(p, n, _mm512_reduce_add_epi32(sums[m])));
  }
}

enum { TILE = 4 };

/// The sums of the lanes of four registers.
INLINE __m128i sum_four_avx512vnni(const __m512i v[TILE]) {
  __m256i half[TILE];
  for (int i = 0; i < TILE; i++) {
    half[i] = _mm256_add_epi32(_mm512_castsi512_si256(v[i]), _mm512_extracti64x4_epi64(v[i], 1));
  }
  __m256i x = _mm256_hadd_epi32(_mm256_hadd_epi32(half[0], half[1]), _mm256_hadd_epi32(half[2], half[3]));
  return _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
}

/// `finish` for four neighbours of a row: the same operations in the same order.
INLINE void finish_four_avx512vnni(const TuskMatmulI8 *p, size_t m, size_t n, __m128i sums) {
  __m128i offset = _mm_slli_epi32(_mm_loadu_si128((const __m128i *)(p->weightSums + n)), 7);
  __m128 scales = _mm_mul_ps(_mm_set1_ps(p->activationScales[m]), _mm_loadu_ps(p->weightScales + n));
  __m128 y = _mm_mul_ps(_mm_cvtepi32_ps(_mm_sub_epi32(sums, offset)), scales);
  if (p->bias) y = _mm_add_ps(y, _mm_loadu_ps(p->bias + n));
  _mm_storeu_ps(p->y + m * p->yStride + n, y);
}

/// MT x TILE dot products in registers.
INLINE void tile_avx512vnni(const TuskMatmulI8 *p, size_t m0, size_t n0, const int MT) {
  const int8_t *a = p->codes + m0 * p->codesStride, *w = p->weights + n0 * p->weightsStride;
  __m512i sums[TILE][TILE];
  for (int m = 0; m < MT; m++) {
    for (int n = 0; n < TILE; n++) sums[m][n] = _mm512_setzero_si512();
  }
  for (size_t k = 0; k < p->K; k += 64) {
    __m512i wk[TILE];
    for (int n = 0; n < TILE; n++) wk[n] = _mm512_load_si512(w + (size_t)n * p->weightsStride + k);
    for (int m = 0; m < MT; m++) {
      __m512i am = load_offset_avx512vnni(a + (size_t)m * p->codesStride + k);
      for (int n = 0; n < TILE; n++) sums[m][n] = _mm512_dpbusd_epi32(sums[m][n], am, wk[n]);
    }
  }
  for (int m = 0; m < MT; m++) finish_four_avx512vnni(p, m0 + (size_t)m, n0, sum_four_avx512vnni(sums[m]));
}

static void matmul_f32_i8_i8_avx512vnni(const TuskMatmulI8 *p, size_t n0, size_t n1) {
  size_t n = n0;
  if (p->M > 8) {
    for (; n + TILE <= n1; n += TILE) {
      size_t m = 0;
      for (; m + TILE <= p->M; m += TILE) tile_avx512vnni(p, m, n, TILE);
      for (; m < p->M; m++) tile_avx512vnni(p, m, n, 1);
    }
  }
  for (; n < n1; n++) {
    size_t m = 0;
    for (; m + 8 <= p->M; m += 8) row_avx512vnni(p, m, n, 8);
    for (; m + 4 <= p->M; m += 4) row_avx512vnni(p, m, n, 4);
    for (; m + 2 <= p->M; m += 2) row_avx512vnni(p, m, n, 2);
    for (; m < p->M; m++) row_avx512vnni(p, m, n, 1);
  }
}

static uint64_t read_probe_avx512vnni(const void *buffer, size_t bytes) {
  const char *next = buffer;
  __m512i sums[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
  for (size_t i = 0; i + 256 <= bytes; i += 256) {
    for (size_t line = 0; line < 4; line++) {
      sums[line] = _mm512_add_epi64(sums[line], _mm512_load_si512(next + i + line * 64));
    }
  }
  __m512i sum = _mm512_add_epi64(_mm512_add_epi64(sums[0], sums[1]), _mm512_add_epi64(sums[2], sums[3]));
  return (uint64_t)_mm512_reduce_add_epi64(sum);
}

static uint64_t multiply_add_probe_avx512vnni(size_t rounds) {
  __m512i sums[12], a = _mm512_set1_epi8(3), w = _mm512_set1_epi8(5);
  for (int i = 0; i < 12; i++) sums[i] = _mm512_setzero_si512();
  for (size_t r = 0; r < rounds; r++) {
    for (int i = 0; i < 12; i++) {
      // Opaque, so that equal products are not computed once.
      __asm__("" : "+v"(w));
      sums[i] = _mm512_dpbusd_epi32(sums[i], a, w);
    }
  }
  for (int i = 0; i < 12; i++) __asm__ volatile("" : : "v"(sums[i]));
  return (uint64_t)rounds * 12 * 64;
}

const TuskKernels tusk_kernels_avx512vnni = TUSK_KERNEL_TABLE("avx512vnni");

#pragma clang attribute pop

#endif
