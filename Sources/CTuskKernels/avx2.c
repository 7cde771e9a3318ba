#if defined(__x86_64__)

#include "epilogue.h"
#include "tables.h"

#include <immintrin.h>

#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)

#define ISA(name) name##_avx2
#include "lanes/all.h"

/// 32 products of codes added in fours to 8 int32 lanes. |w| is unsigned and a takes the sign of w, so the unsigned x signed
/// instruction computes a * w; a pair sums to at most 2 * 127^2 = 32258 < 2^15, so its saturation never happens. The sum
/// of all lanes is the result, so no lane exceeds the int32 bound on K.
INLINE __m256i accumulate_i8_avx2(__m256i sum, __m256i a, __m256i w, __m256i absW) {
  __m256i pairs = _mm256_maddubs_epi16(absW, _mm256_sign_epi8(a, w));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

INLINE int32_t sum_i32_avx2(__m256i v) {
  __m128i x = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(x, _mm_shuffle_epi32(x, 0xB1)));
}

/// Few activations: one weight row at a time against MT rows of codes, in 8-bit arithmetic, so that the weights are one
/// linear stream. Measured: any second stream, and any software prefetch, only slows the hardware prefetcher.
INLINE void i8_row_avx2(const TuskMatmulI8 *p, size_t m0, size_t n, const int MT) {
  const int8_t *w = p->weights + n * p->weightsStride;
  const int8_t *a = p->codes + m0 * p->codesStride;
  __m256i sums[8];
  for (int m = 0; m < MT; m++) sums[m] = _mm256_setzero_si256();
  for (size_t k = 0; k < p->K; k += 32) {
    __m256i wk = _mm256_load_si256((const __m256i *)(w + k));
    __m256i absW = _mm256_abs_epi8(wk);
    for (int m = 0; m < MT; m++) {
      __m256i am = _mm256_load_si256((const __m256i *)(a + (size_t)m * p->codesStride + k));
      sums[m] = accumulate_i8_avx2(sums[m], am, wk, absW);
    }
  }
  for (int m = 0; m < MT; m++) finish(p, m0 + (size_t)m, n, sum_i32_avx2(sums[m]));
}

enum { WIDE_ROWS = 4, WIDE_K = 1024, WIDE_M = 64 };

/// Adds the products of MT activation rows and WIDE_ROWS widened weight rows over `count` (a multiple of 32) columns.
/// 16-bit pairs of products, at most 2 * 127^2 each, go straight to int32. sums [MT, WIDE_ROWS].
INLINE void wide_tile_avx2(const int8_t *a, size_t aStride, const int16_t *w, size_t count, int32_t *sums, const int MT) {
  __m256i lanes[2][WIDE_ROWS];
  for (int m = 0; m < MT; m++) {
    for (int n = 0; n < WIDE_ROWS; n++) lanes[m][n] = _mm256_setzero_si256();
  }
  for (size_t k = 0; k < count; k += 16) {
    __m256i ak[2];
    for (int m = 0; m < MT; m++) {
      ak[m] = _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)(a + (size_t)m * aStride + k)));
    }
    for (int n = 0; n < WIDE_ROWS; n++) {
      __m256i wn = _mm256_load_si256((const __m256i *)(w + k * WIDE_ROWS + (size_t)n * 16));
      for (int m = 0; m < MT; m++) lanes[m][n] = _mm256_add_epi32(lanes[m][n], _mm256_madd_epi16(ak[m], wn));
    }
  }
  for (int m = 0; m < MT; m++) {
    __m256i x = _mm256_hadd_epi32(_mm256_hadd_epi32(lanes[m][0], lanes[m][1]), _mm256_hadd_epi32(lanes[m][2], lanes[m][3]));
    __m128i total = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    __m128i *sum = (__m128i *)(sums + m * WIDE_ROWS);
    _mm_store_si128(sum, _mm_add_epi32(_mm_load_si128(sum), total));
  }
}

/// Many activations: four weight rows are widened to 16 bits once and meet all rows of activations, which are widened as
/// they are loaded. Measured against the 8-bit form: one shuffle per load instead of a sign per product.
static void wide_rows_avx2(const TuskMatmulI8 *p, size_t m0, size_t m1, size_t n) {
  _Alignas(64) int16_t wide[WIDE_ROWS * WIDE_K];
  _Alignas(64) int32_t sums[WIDE_M * WIDE_ROWS];
  memset(sums, 0, sizeof sums);
  for (size_t k = 0; k < p->K; k += WIDE_K) {
    size_t count = p->K - k < WIDE_K ? (p->K - k + 31) / 32 * 32 : WIDE_K;
    for (size_t row = 0; row < WIDE_ROWS; row++) {
      const int8_t *w = p->weights + (n + row) * p->weightsStride + k;
      for (size_t i = 0; i < count; i += 16) {
        __m256i v = _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)(w + i)));
        _mm256_store_si256((__m256i *)(wide + i * WIDE_ROWS + row * 16), v);
      }
    }
    size_t m = m0;
    for (; m + 2 <= m1; m += 2) {
      const int8_t *a = p->codes + m * p->codesStride + k;
      wide_tile_avx2(a, p->codesStride, wide, count, sums + (m - m0) * WIDE_ROWS, 2);
    }
    if (m < m1) {
      const int8_t *a = p->codes + m * p->codesStride + k;
      wide_tile_avx2(a, p->codesStride, wide, count, sums + (m - m0) * WIDE_ROWS, 1);
    }
  }
  for (size_t m = m0; m < m1; m++) {
    for (size_t row = 0; row < WIDE_ROWS; row++) finish(p, m, n + row, sums[(m - m0) * WIDE_ROWS + row]);
  }
}

static void matmul_f32_i8_i8_avx2(const TuskMatmulI8 *p, size_t n0, size_t n1) {
  size_t n = n0;
  if (p->M > 8) {
    for (; n + WIDE_ROWS <= n1; n += WIDE_ROWS) {
      for (size_t m = 0; m < p->M; m += WIDE_M) wide_rows_avx2(p, m, p->M - m < WIDE_M ? p->M : m + WIDE_M, n);
    }
  }
  for (; n < n1; n++) {
    size_t m = 0;
    for (; m + 8 <= p->M; m += 8) i8_row_avx2(p, m, n, 8);
    for (; m + 4 <= p->M; m += 4) i8_row_avx2(p, m, n, 4);
    for (; m + 2 <= p->M; m += 2) i8_row_avx2(p, m, n, 2);
    for (; m < p->M; m++) i8_row_avx2(p, m, n, 1);
  }
}

static uint64_t read_probe_avx2(const void *buffer, size_t bytes) {
  const char *next = buffer;
  __m256i sums[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
  for (size_t i = 0; i + 256 <= bytes; i += 256) {
    for (size_t line = 0; line < 256; line += 64) {
      for (size_t half = 0; half < 64; half += 32) {
        __m256i v = _mm256_load_si256((const __m256i *)(next + i + line + half));
        sums[line / 64] = _mm256_add_epi64(sums[line / 64], v);
      }
    }
  }
  __m256i sum = _mm256_add_epi64(_mm256_add_epi64(sums[0], sums[1]), _mm256_add_epi64(sums[2], sums[3]));
  uint64_t lanes[4];
  memcpy(lanes, &sum, sizeof lanes);
  return lanes[0] + lanes[1] + lanes[2] + lanes[3];
}

/// The multiply-adds without the signs: maddubs, madd, add on registers, 12 chains as in the 4 x 3 tile.
static uint64_t multiply_add_probe_avx2(size_t rounds) {
  __m256i sums[12], a = _mm256_set1_epi8(3), w = _mm256_set1_epi8(5);
  for (int i = 0; i < 12; i++) sums[i] = _mm256_setzero_si256();
  for (size_t r = 0; r < rounds; r++) {
    for (int i = 0; i < 12; i++) {
      // Opaque, so that equal products are not computed once.
      __asm__("" : "+x"(w));
      __m256i pairs = _mm256_maddubs_epi16(w, a);
      sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
  }
  for (int i = 0; i < 12; i++) __asm__ volatile("" : : "x"(sums[i]));
  return (uint64_t)rounds * 12 * 32;
}

const TuskKernels tusk_kernels_avx2 = TUSK_KERNEL_TABLE("avx2");

#pragma clang attribute pop

#endif
