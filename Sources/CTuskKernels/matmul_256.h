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
  __m256i sums[2];
  for (int m = 0; m < MT; m++) sums[m] = _mm256_setzero_si256();
  for (size_t k = 0; k < count; k += 32) {
    if (k % 64 == 0) _mm_prefetch((const char *)(w + k + FETCH_AHEAD), _MM_HINT_T0);
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

/// The sums of the lanes of four registers.
INLINE __m128i ISA(sum_four)(const __m256i v[4]) {
  __m256i x = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
  return _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
}

/// `finish` for four activation rows and one weight row. A total is an integer below 2^53: exact, and rounded once.
INLINE void ISA(finish_column)(const TuskMatmulI16 *p, size_t m, size_t n, __m256d totals) {
  __m128 scales = _mm_mul_ps(_mm_loadu_ps(p->activationScales + m), _mm_set1_ps(p->weightScales[n]));
  __m128 y = _mm_mul_ps(_mm256_cvtpd_ps(totals), scales);
  if (p->bias) y = _mm_add_ps(y, _mm_set1_ps(p->bias[n]));
  float *out = p->y + m * p->yStride + n;
  for (int i = 0; i < 4; i++) out[(size_t)i * p->yStride] = y[i];
}

/// sums [NT, MT] of MT activation rows and NT weight rows over `count` columns, at most a block: bounded as in
/// `row_block`. The weight rows after the next are fetched ahead: measured, 10 to 25 % of the time.
INLINE void ISA(tile)(const TuskMatmulI16 *p, const int16_t *a, const int8_t *w, size_t count, __m256i sums[8],
                      const int MT, const int NT) {
  for (int i = 0; i < MT * NT; i++) sums[i] = _mm256_setzero_si256();
  for (size_t k = 0; k < count; k += 32) {
    __m256i low[2], high[2];
    for (int j = 0; j < NT; j++) {
      const size_t row = (size_t)j * p->weightsStride;
      if (k % 64 == 0) _mm_prefetch((const char *)(w + row + 2 * p->weightsStride + k), _MM_HINT_T0);
      low[j] = _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)(w + row + k)));
      high[j] = _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)(w + row + k + 16)));
    }
    for (int m = 0; m < MT; m++) {
      const __m256i *am = (const __m256i *)(a + (size_t)m * p->codesStride + k);
      for (int j = 0; j < NT; j++) {
        __m256i sum = ISA(accumulate)(sums[j * MT + m], _mm256_load_si256(am), low[j]);
        sums[j * MT + m] = ISA(accumulate)(sum, _mm256_load_si256(am + 1), high[j]);
      }
    }
  }
}

/// MT activation rows and `count` weight rows, at most TILE_ROWS and a multiple of NT, block by block: whole rows of codes
/// would not stay in the first-level cache.
INLINE void ISA(rows)(const TuskMatmulI16 *p, size_t m0, size_t n, size_t count, const int MT, const int NT) {
  __m256d totals[TILE_ROWS * 8 / 4];
  const size_t tiles = (size_t)(MT * NT / 4), all = count * (size_t)MT / 4;
  for (size_t i = 0; i < all; i++) totals[i] = _mm256_setzero_pd();
  for (size_t k = 0; k < p->K; k += TUSK_MATMUL_BLOCK_K) {
    const size_t length = p->K - k < TUSK_MATMUL_BLOCK_K ? p->K - k : TUSK_MATMUL_BLOCK_K;
    for (size_t row = 0; row < count; row += (size_t)NT) {
      const int8_t *w = p->weights + (n + row) * p->weightsStride + k;
      __m256i sums[8];
      ISA(tile)(p, p->codes + m0 * p->codesStride + k, w, length, sums, MT, NT);
      __m256d *total = totals + row * (size_t)MT / 4;
      for (size_t i = 0; i < tiles; i++) {
        total[i] = _mm256_add_pd(total[i], _mm256_cvtepi32_pd(ISA(sum_four)(sums + 4 * i)));
      }
    }
  }
  for (size_t i = 0; i < all; i++) {
    ISA(finish_column)(p, m0 + 4 * i % (size_t)MT, n + 4 * i / (size_t)MT, totals[i]);
  }
}

/// MT activation rows below 4 and one weight row.
INLINE void ISA(row)(const TuskMatmulI16 *p, size_t m0, size_t n, const int MT) {
  int64_t totals[2] = {0};
  for (size_t k = 0; k < p->K; k += TUSK_MATMUL_BLOCK_K) {
    size_t count = p->K - k < TUSK_MATMUL_BLOCK_K ? (p->K - k + 31) / 32 * 32 : TUSK_MATMUL_BLOCK_K;
    ISA(row_block)(p->codes + m0 * p->codesStride + k, p->codesStride, p->weights + n * p->weightsStride + k, count,
                   totals, MT);
  }
  for (int m = 0; m < MT; m++) finish(p, m0 + (size_t)m, n, totals[m]);
}

/// The activation rows from m on and one weight row.
static void ISA(last_rows)(const TuskMatmulI16 *p, size_t m, size_t n) {
  for (; m + 2 <= p->M; m += 2) ISA(row)(p, m, n, 2);
  for (; m < p->M; m++) ISA(row)(p, m, n, 1);
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
      if (k % 64 == 0) _mm_prefetch((const char *)(w + k + FETCH_AHEAD), _MM_HINT_T0);
      __m256i low = _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)(w + k)));
      __m256i high = _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)(w + k + 16)));
      first = ISA(accumulate)(first, _mm256_load_si256((const __m256i *)(a + k)), low);
      second = ISA(accumulate)(second, _mm256_load_si256((const __m256i *)(a + k + 16)), high);
    }
    sums[row] = _mm256_add_epi32(first, second);
  }
  finish_four(p, m, n, ISA(sum_four)(sums));
}

#include "matmul_panel.h"

static void ISA(matmul_f32_i16_i8)(const TuskMatmulI16 *p, size_t n0, size_t n1) {
  size_t n = n0;
  if (p->M == 1 && p->K <= TUSK_MATMUL_BLOCK_K) {
    for (; n + 4 <= n1; n += 4) ISA(four_rows)(p, 0, n);
  }
  if (p->M >= PANEL_LEAST_M && p->K > 0) {
    const size_t most = p->K <= TUSK_MATMUL_BLOCK_K ? PANEL_M : PANEL_BLOCK_M;
    for (size_t m = 0; m < p->M; m += most) n = ISA(panels)(p, m, p->M - m < most ? p->M : m + most, n0, n1);
  }
  for (size_t count; n + 2 <= n1; n += count) {
    count = n1 - n < TILE_ROWS ? (n1 - n) / 2 * 2 : TILE_ROWS;
    size_t m = 0;
    for (; m + 8 <= p->M; m += 8) ISA(rows)(p, m, n, count, 8, 1);
    if (m + 4 <= p->M) {
      if (p->K <= TUSK_MATMUL_BLOCK_K) {
        ISA(rows)(p, m, n, count, 4, 1);
      } else {
        // Two weight rows halve the reading of codes that do not stay in the first-level cache.
        for (size_t row = n; row < n + count; row += 2) ISA(rows)(p, m, row, 2, 4, 2);
      }
      m += 4;
    }
    for (size_t row = n; row < n + count; row++) ISA(last_rows)(p, m, row);
  }
  if (n < n1) ISA(last_rows)(p, 0, n);
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
