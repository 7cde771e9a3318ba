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

/// MT activation rows (4 or 8) and NT weight rows: one, or two to halve the reading of activations that outgrow the
/// first-level cache. The weight rows after the next are fetched ahead: measured, 10 to 25 % of the time.
INLINE void ISA(rows)(const TuskMatmulI16 *p, size_t m0, size_t n, const int MT, const int NT) {
  __m256d totals[8 / 4 * 2];
  for (int i = 0; i < MT * NT / 4; i++) totals[i] = _mm256_setzero_pd();
  for (size_t start = 0; start < p->K; start += TUSK_MATMUL_BLOCK_K) {
    size_t end = p->K - start < TUSK_MATMUL_BLOCK_K ? p->K : start + TUSK_MATMUL_BLOCK_K;
    const int16_t *a = p->codes + m0 * p->codesStride;
    const int8_t *w = p->weights + n * p->weightsStride;
    // Bounded as in `row_block`.
    __m256i sums[8];
    for (int i = 0; i < MT * NT; i++) sums[i] = _mm256_setzero_si256();
    for (size_t k = start; k < end; k += 32) {
      __m256i low[2], high[2];
      for (int j = 0; j < NT; j++) {
        const __m128i *wj = (const __m128i *)(w + (size_t)j * p->weightsStride + k);
        if (k % 64 == 0) _mm_prefetch((const char *)wj + 2 * p->weightsStride, _MM_HINT_T0);
        low[j] = _mm256_cvtepi8_epi16(_mm_load_si128(wj));
        high[j] = _mm256_cvtepi8_epi16(_mm_load_si128(wj + 1));
      }
      for (int m = 0; m < MT; m++) {
        const __m256i *am = (const __m256i *)(a + (size_t)m * p->codesStride + k);
        for (int j = 0; j < NT; j++) {
          __m256i sum = ISA(accumulate)(sums[j * MT + m], _mm256_load_si256(am), low[j]);
          sums[j * MT + m] = ISA(accumulate)(sum, _mm256_load_si256(am + 1), high[j]);
        }
      }
    }
    for (int i = 0; i < MT * NT / 4; i++) {
      totals[i] = _mm256_add_pd(totals[i], _mm256_cvtepi32_pd(ISA(sum_four)(sums + 4 * i)));
    }
  }
  for (int i = 0; i < MT * NT / 4; i++) {
    ISA(finish_column)(p, m0 + (size_t)(4 * i % MT), n + (size_t)(4 * i / MT), totals[i]);
  }
}

/// `rows` for MT activation rows below 4 and one weight row.
INLINE void ISA(row)(const TuskMatmulI16 *p, size_t m0, size_t n, const int MT) {
  int64_t totals[2] = {0};
  for (size_t k = 0; k < p->K; k += TUSK_MATMUL_BLOCK_K) {
    size_t count = p->K - k < TUSK_MATMUL_BLOCK_K ? (p->K - k + 31) / 32 * 32 : TUSK_MATMUL_BLOCK_K;
    ISA(row_block)(p->codes + m0 * p->codesStride + k, p->codesStride, p->weights + n * p->weightsStride + k, count,
                   totals, MT);
  }
  for (int m = 0; m < MT; m++) finish(p, m0 + (size_t)m, n, totals[m]);
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
  for (; p->M >= 4 && p->K > TUSK_MATMUL_BLOCK_K && n + 2 <= n1; n += 2) {
    size_t m = 0;
    for (; m + 4 <= p->M; m += 4) ISA(rows)(p, m, n, 4, 2);
    for (; m < p->M; m++) {
      ISA(row)(p, m, n, 1);
      ISA(row)(p, m, n + 1, 1);
    }
  }
  for (; n < n1; n++) {
    size_t m = 0;
    for (; m + 8 <= p->M; m += 8) ISA(rows)(p, m, n, 8, 1);
    for (; m + 4 <= p->M; m += 4) ISA(rows)(p, m, n, 4, 1);
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
