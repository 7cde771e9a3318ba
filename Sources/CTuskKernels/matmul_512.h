/// The int16 x int8 product in 512-bit registers, for avx512vnni.

#include "epilogue_x86.h"

INLINE __m512i widen_avx512vnni(const int8_t *w) {
  return _mm512_cvtepi8_epi16(_mm256_load_si256((const __m256i *)w));
}

/// The sums of MT activation rows with one weight row over `count` (a multiple of 64) columns, at most a block: a pair
/// of products is at most 2 * 16383 * 127 < 2^22, the instruction does not saturate, and the sum of all lanes is bounded
/// by TUSK_MATMUL_BLOCK_K.
INLINE void row_block_avx512vnni(const int16_t *a, size_t aStride, const int8_t *w, size_t count, int64_t *totals,
                                 const int MT) {
  __m512i sums[8][2];
  for (int m = 0; m < MT; m++) sums[m][0] = sums[m][1] = _mm512_setzero_si512();
  for (size_t k = 0; k < count; k += 64) {
    __m512i low = widen_avx512vnni(w + k), high = widen_avx512vnni(w + k + 32);
    for (int m = 0; m < MT; m++) {
      const int16_t *am = a + (size_t)m * aStride + k;
      sums[m][0] = _mm512_dpwssd_epi32(sums[m][0], low, _mm512_load_si512(am));
      sums[m][1] = _mm512_dpwssd_epi32(sums[m][1], high, _mm512_load_si512(am + 32));
    }
  }
  for (int m = 0; m < MT; m++) totals[m] += _mm512_reduce_add_epi32(_mm512_add_epi32(sums[m][0], sums[m][1]));
}

/// Few activations: one weight row against MT rows of codes, so that the weights are one linear stream; software
/// prefetch and further streams measured slower.
INLINE void row_avx512vnni(const TuskMatmulI16 *p, size_t m0, size_t n, const int MT) {
  int64_t totals[8] = {0};
  for (size_t k = 0; k < p->K; k += TUSK_MATMUL_BLOCK_K) {
    size_t count = p->K - k < TUSK_MATMUL_BLOCK_K ? p->K - k : TUSK_MATMUL_BLOCK_K;
    const int8_t *w = p->weights + n * p->weightsStride + k;
    row_block_avx512vnni(p->codes + m0 * p->codesStride + k, p->codesStride, w, count, totals, MT);
  }
  for (int m = 0; m < MT; m++) finish(p, m0 + (size_t)m, n, totals[m]);
}

/// The sums of the lanes of four registers.
INLINE __m128i sum_four_avx512vnni(const __m512i v[4]) {
  __m256i half[4];
  for (int i = 0; i < 4; i++) {
    half[i] = _mm256_add_epi32(_mm512_castsi512_si256(v[i]), _mm512_extracti64x4_epi64(v[i], 1));
  }
  __m256i x = _mm256_hadd_epi32(_mm256_hadd_epi32(half[0], half[1]), _mm256_hadd_epi32(half[2], half[3]));
  return _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
}

/// One activation row and four weight rows, K at most a block: the rows one after another, still one linear stream, and
/// their lanes summed together.
INLINE void four_rows_avx512vnni(const TuskMatmulI16 *p, size_t m, size_t n) {
  const int16_t *a = p->codes + m * p->codesStride;
  __m512i sums[4];
  for (size_t row = 0; row < 4; row++) {
    const int8_t *w = p->weights + (n + row) * p->weightsStride;
    __m512i first = _mm512_setzero_si512(), second = _mm512_setzero_si512();
    for (size_t k = 0; k < p->K; k += 64) {
      first = _mm512_dpwssd_epi32(first, widen_avx512vnni(w + k), _mm512_load_si512(a + k));
      second = _mm512_dpwssd_epi32(second, widen_avx512vnni(w + k + 32), _mm512_load_si512(a + k + 32));
    }
    sums[row] = _mm512_add_epi32(first, second);
  }
  finish_four(p, m, n, sum_four_avx512vnni(sums));
}

/// Adds the products of MT activation rows and WIDE_ROWS widened weight rows over `count` (a multiple of 32) columns.
/// sums [MT, WIDE_ROWS].
INLINE void wide_tile_avx512vnni(const int16_t *a, size_t aStride, const int16_t *w, size_t count, int32_t *sums,
                                 const int MT) {
  __m512i lanes[4][WIDE_ROWS];
  for (int m = 0; m < MT; m++) {
    for (int n = 0; n < WIDE_ROWS; n++) lanes[m][n] = _mm512_setzero_si512();
  }
  for (size_t k = 0; k < count; k += 32) {
    __m512i wk[WIDE_ROWS];
    for (int n = 0; n < WIDE_ROWS; n++) wk[n] = _mm512_load_si512(w + k * WIDE_ROWS + (size_t)n * 32);
    for (int m = 0; m < MT; m++) {
      __m512i am = _mm512_load_si512(a + (size_t)m * aStride + k);
      for (int n = 0; n < WIDE_ROWS; n++) lanes[m][n] = _mm512_dpwssd_epi32(lanes[m][n], am, wk[n]);
    }
  }
  for (int m = 0; m < MT; m++) {
    __m128i *sum = (__m128i *)(sums + m * WIDE_ROWS);
    _mm_store_si128(sum, _mm_add_epi32(_mm_load_si128(sum), sum_four_avx512vnni(lanes[m])));
  }
}

/// Products of activation rows m0 ..< m1 and four weight rows over columns k0 ..< k1, at most a block: the weight rows
/// are widened to 16 bits once and meet all rows of activations. sums [m1 - m0, WIDE_ROWS].
static void wide_block_avx512vnni(const TuskMatmulI16 *p, size_t m0, size_t m1, size_t n, size_t k0, size_t k1,
                                  int32_t *sums) {
  _Alignas(64) int16_t wide[WIDE_ROWS * WIDE_K];
  __builtin_memset(sums, 0, (m1 - m0) * WIDE_ROWS * sizeof *sums);
  for (size_t k = k0; k < k1; k += WIDE_K) {
    size_t count = k1 - k < WIDE_K ? (k1 - k + 31) / 32 * 32 : WIDE_K;
    for (size_t row = 0; row < WIDE_ROWS; row++) {
      const int8_t *w = p->weights + (n + row) * p->weightsStride + k;
      for (size_t i = 0; i < count; i += 32) {
        // The next four rows: four streams at once are more than the hardware prefetcher follows (measured: 40 % slower).
        if (i % 64 == 0) _mm_prefetch((const char *)w + i + WIDE_ROWS * p->weightsStride, _MM_HINT_T1);
        _mm512_store_si512(wide + i * WIDE_ROWS + row * 32, widen_avx512vnni(w + i));
      }
    }
    const int16_t *a = p->codes + k;
    size_t m = m0;
    for (; m + 4 <= m1; m += 4) {
      wide_tile_avx512vnni(a + m * p->codesStride, p->codesStride, wide, count, sums + (m - m0) * WIDE_ROWS, 4);
    }
    for (; m < m1; m++) {
      wide_tile_avx512vnni(a + m * p->codesStride, p->codesStride, wide, count, sums + (m - m0) * WIDE_ROWS, 1);
    }
  }
}

static void wide_rows_avx512vnni(const TuskMatmulI16 *p, size_t m0, size_t m1, size_t n) {
  _Alignas(64) int32_t sums[WIDE_M * WIDE_ROWS];
  if (p->K <= TUSK_MATMUL_BLOCK_K) {
    wide_block_avx512vnni(p, m0, m1, n, 0, p->K, sums);
    for (size_t m = m0; m < m1; m++) {
      finish_four(p, m, n, _mm_load_si128((const __m128i *)(sums + (m - m0) * WIDE_ROWS)));
    }
    return;
  }
  int64_t totals[WIDE_M * WIDE_ROWS] = {0};
  for (size_t k = 0; k < p->K; k += TUSK_MATMUL_BLOCK_K) {
    wide_block_avx512vnni(p, m0, m1, n, k, p->K - k < TUSK_MATMUL_BLOCK_K ? p->K : k + TUSK_MATMUL_BLOCK_K, sums);
    for (size_t i = 0; i < (m1 - m0) * WIDE_ROWS; i++) totals[i] += sums[i];
  }
  for (size_t m = m0; m < m1; m++) {
    for (size_t row = 0; row < WIDE_ROWS; row++) finish(p, m, n + row, totals[(m - m0) * WIDE_ROWS + row]);
  }
}

static void matmul_f32_i16_i8_avx512vnni(const TuskMatmulI16 *p, size_t n0, size_t n1) {
  size_t n = n0;
  if (p->M == 1 && p->K <= TUSK_MATMUL_BLOCK_K) {
    for (; n + 4 <= n1; n += 4) four_rows_avx512vnni(p, 0, n);
  }
  // Measured: below 8 rows widening does not pay, unless the activations of the row form outgrow the first-level cache.
  if (p->M >= 8 || (p->M >= 4 && p->K > WIDE_K)) {
    for (; n + WIDE_ROWS <= n1; n += WIDE_ROWS) {
      for (size_t m = 0; m < p->M; m += WIDE_M) {
        wide_rows_avx512vnni(p, m, p->M - m < WIDE_M ? p->M : m + WIDE_M, n);
      }
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

/// The 8-bit form of the instruction on registers, 12 chains: twice the multiply-adds of the 16-bit form.
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
