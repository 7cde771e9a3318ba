/// The int16 x int8 product in 256-bit registers. The including file has defined ISA(accumulate):
/// adds the products of 16 pairs of 16-bit codes, in twos, to 8 int32 lanes without saturation.

#include "epilogue_x86.h"

INLINE int32_t ISA(sum_i32)(__m256i v) {
  __m128i x = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(x, _mm_shuffle_epi32(x, 0xB1)));
}

/// The sums of MT activation rows with one weight row over `count` (a multiple of 32) columns, at most a block: a pair
/// of products is at most 2 * 16383 * 127 < 2^22, and the sum of all lanes is bounded by TUSK_MATMUL_BLOCK_K.
INLINE void ISA(row_block)(const int16_t *a, size_t aStride, const int8_t *w, size_t count, int64_t *totals,
                           const int MT) {
  __m256i sums[8];
  for (int m = 0; m < MT; m++) sums[m] = _mm256_setzero_si256();
  for (size_t k = 0; k < count; k += 32) {
    __m256i low = _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)(w + k)));
    __m256i high = _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)(w + k + 16)));
    for (int m = 0; m < MT; m++) {
      const __m256i *am = (const __m256i *)(a + (size_t)m * aStride + k);
      sums[m] = ISA(accumulate)(sums[m], _mm256_load_si256(am), low);
      sums[m] = ISA(accumulate)(sums[m], _mm256_load_si256(am + 1), high);
    }
  }
  for (int m = 0; m < MT; m++) totals[m] += ISA(sum_i32)(sums[m]);
}

/// Few activations: one weight row at a time against MT rows of codes, so that the weights are one linear stream.
/// Measured: any second stream, and any software prefetch, only slows the hardware prefetcher.
INLINE void ISA(row)(const TuskMatmulI16 *p, size_t m0, size_t n, const int MT) {
  int64_t totals[8] = {0};
  for (size_t k = 0; k < p->K; k += TUSK_MATMUL_BLOCK_K) {
    size_t count = p->K - k < TUSK_MATMUL_BLOCK_K ? (p->K - k + 31) / 32 * 32 : TUSK_MATMUL_BLOCK_K;
    ISA(row_block)(p->codes + m0 * p->codesStride + k, p->codesStride, p->weights + n * p->weightsStride + k, count,
                   totals, MT);
  }
  for (int m = 0; m < MT; m++) finish(p, m0 + (size_t)m, n, totals[m]);
}

/// The sums of the lanes of four registers.
INLINE __m128i ISA(sum_four)(const __m256i v[4]) {
  __m256i x = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
  return _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
}

/// One activation row and four weight rows, K at most a block: the rows one after another, still one linear stream, and
/// their lanes summed together.
INLINE void ISA(four_rows)(const TuskMatmulI16 *p, size_t m, size_t n) {
  const int16_t *a = p->codes + m * p->codesStride;
  __m256i sums[4];
  for (size_t row = 0; row < 4; row++) {
    const int8_t *w = p->weights + (n + row) * p->weightsStride;
    __m256i first = _mm256_setzero_si256(), second = _mm256_setzero_si256();
    for (size_t k = 0; k < p->K; k += 32) {
      __m256i low = _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)(w + k)));
      __m256i high = _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)(w + k + 16)));
      first = ISA(accumulate)(first, _mm256_load_si256((const __m256i *)(a + k)), low);
      second = ISA(accumulate)(second, _mm256_load_si256((const __m256i *)(a + k + 16)), high);
    }
    sums[row] = _mm256_add_epi32(first, second);
  }
  finish_four(p, m, n, ISA(sum_four)(sums));
}

/// Adds the products of MT activation rows and WIDE_ROWS widened weight rows over `count` (a multiple of 32) columns.
/// sums [MT, WIDE_ROWS].
INLINE void ISA(wide_tile)(const int16_t *a, size_t aStride, const int16_t *w, size_t count, int32_t *sums,
                           const int MT) {
  __m256i lanes[2][WIDE_ROWS];
  for (int m = 0; m < MT; m++) {
    for (int n = 0; n < WIDE_ROWS; n++) lanes[m][n] = _mm256_setzero_si256();
  }
  for (size_t k = 0; k < count; k += 16) {
    __m256i ak[2];
    for (int m = 0; m < MT; m++) ak[m] = _mm256_load_si256((const __m256i *)(a + (size_t)m * aStride + k));
    for (int n = 0; n < WIDE_ROWS; n++) {
      __m256i wn = _mm256_load_si256((const __m256i *)(w + k * WIDE_ROWS + (size_t)n * 16));
      for (int m = 0; m < MT; m++) lanes[m][n] = ISA(accumulate)(lanes[m][n], ak[m], wn);
    }
  }
  for (int m = 0; m < MT; m++) {
    __m128i *sum = (__m128i *)(sums + m * WIDE_ROWS);
    _mm_store_si128(sum, _mm_add_epi32(_mm_load_si128(sum), ISA(sum_four)(lanes[m])));
  }
}

/// Products of activation rows m0 ..< m1 and four weight rows over columns k0 ..< k1, at most a block: the weight rows
/// are widened to 16 bits once and meet all rows of activations. sums [m1 - m0, WIDE_ROWS].
static void ISA(wide_block)(const TuskMatmulI16 *p, size_t m0, size_t m1, size_t n, size_t k0, size_t k1,
                            int32_t *sums) {
  _Alignas(64) int16_t wide[WIDE_ROWS * WIDE_K];
  __builtin_memset(sums, 0, (m1 - m0) * WIDE_ROWS * sizeof *sums);
  for (size_t k = k0; k < k1; k += WIDE_K) {
    size_t count = k1 - k < WIDE_K ? (k1 - k + 31) / 32 * 32 : WIDE_K;
    for (size_t row = 0; row < WIDE_ROWS; row++) {
      const int8_t *w = p->weights + (n + row) * p->weightsStride + k;
      for (size_t i = 0; i < count; i += 16) {
        // The next four rows: four streams at once are more than the hardware prefetcher follows (measured: 40 % slower).
        if (i % 64 == 0) _mm_prefetch((const char *)w + i + WIDE_ROWS * p->weightsStride, _MM_HINT_T1);
        __m256i v = _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)(w + i)));
        _mm256_store_si256((__m256i *)(wide + i * WIDE_ROWS + row * 16), v);
      }
    }
    const int16_t *a = p->codes + k;
    size_t m = m0;
    for (; m + 2 <= m1; m += 2) {
      ISA(wide_tile)(a + m * p->codesStride, p->codesStride, wide, count, sums + (m - m0) * WIDE_ROWS, 2);
    }
    if (m < m1) ISA(wide_tile)(a + m * p->codesStride, p->codesStride, wide, count, sums + (m - m0) * WIDE_ROWS, 1);
  }
}

static void ISA(wide_rows)(const TuskMatmulI16 *p, size_t m0, size_t m1, size_t n) {
  _Alignas(64) int32_t sums[WIDE_M * WIDE_ROWS];
  if (p->K <= TUSK_MATMUL_BLOCK_K) {
    ISA(wide_block)(p, m0, m1, n, 0, p->K, sums);
    for (size_t m = m0; m < m1; m++) {
      finish_four(p, m, n, _mm_load_si128((const __m128i *)(sums + (m - m0) * WIDE_ROWS)));
    }
    return;
  }
  int64_t totals[WIDE_M * WIDE_ROWS] = {0};
  for (size_t k = 0; k < p->K; k += TUSK_MATMUL_BLOCK_K) {
    ISA(wide_block)(p, m0, m1, n, k, p->K - k < TUSK_MATMUL_BLOCK_K ? p->K : k + TUSK_MATMUL_BLOCK_K, sums);
    for (size_t i = 0; i < (m1 - m0) * WIDE_ROWS; i++) totals[i] += sums[i];
  }
  for (size_t m = m0; m < m1; m++) {
    for (size_t row = 0; row < WIDE_ROWS; row++) finish(p, m, n + row, totals[(m - m0) * WIDE_ROWS + row]);
  }
}

static void ISA(matmul_f32_i16_i8)(const TuskMatmulI16 *p, size_t n0, size_t n1) {
  size_t n = n0;
  if (p->M == 1 && p->K <= TUSK_MATMUL_BLOCK_K) {
    for (; n + 4 <= n1; n += 4) ISA(four_rows)(p, 0, n);
  }
  // Measured: below 8 rows widening does not pay, unless the activations of the row form outgrow the first-level cache.
  if (p->M >= 8 || (p->M >= 4 && p->K > WIDE_K)) {
    for (; n + WIDE_ROWS <= n1; n += WIDE_ROWS) {
      for (size_t m = 0; m < p->M; m += WIDE_M) ISA(wide_rows)(p, m, p->M - m < WIDE_M ? p->M : m + WIDE_M, n);
    }
  }
  for (; n < n1; n++) {
    size_t m = 0;
    for (; m + 8 <= p->M; m += 8) ISA(row)(p, m, n, 8);
    for (; m + 4 <= p->M; m += 4) ISA(row)(p, m, n, 4);
    for (; m + 2 <= p->M; m += 2) ISA(row)(p, m, n, 2);
    for (; m < p->M; m++) ISA(row)(p, m, n, 1);
  }
}

static uint64_t ISA(read_probe)(const void *buffer, size_t bytes) {
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
  __builtin_memcpy(lanes, &sum, sizeof lanes);
  return lanes[0] + lanes[1] + lanes[2] + lanes[3];
}
