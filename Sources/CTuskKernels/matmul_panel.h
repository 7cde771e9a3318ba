/// The int16 x int8 product of many activation rows in 256-bit registers, with half the multiplications (S. Winograd, A
/// New Algorithm for Inner Product, 1968): over groups of four columns
///
///     a0 w0 + a2 w2 + a1 w1 + a3 w3 = (a0 + w2)(a2 + w0) + (a1 + w3)(a3 + w1) - (a0 a2 + a1 a3) - (w0 w2 + w1 w3)
///
/// and the last two sums are formed once per activation row and once per weight row. A processor that adds in more ports
/// than it multiplies in gains: measured, 103 instead of 83 GMAC/s in registers. |a + w| <= 16383 + 127 fits 16 bits, a
/// pair of products is below 2^30, and sums wrap around modulo 2^32, which is exact since the result over a block fits:
/// it is bounded by TUSK_MATMUL_BLOCK_K.
///
/// PANEL_ROWS weight rows are widened and transposed together: wide [K / 4, 2, PANEL_ROWS, 2] holds columns 0, 1 and then
/// 2, 3 of each group of four.

/// wide = count (a multiple of 16) columns of PANEL_ROWS weight rows; ownSums [PANEL_ROWS] = w0 w2 + w1 w3 of all groups.
static void ISA(widen_panel)(const int8_t *w, size_t stride, size_t count, int16_t *wide, __m256i ownSums[2]) {
  const __m256i middle = _mm256_broadcastsi128_si256(_mm_set_epi64x(0x0F0D0E0C0B090A08, 0x0705060403010200));
  const __m256i even = _mm256_set1_epi16(1), odd = _mm256_set1_epi16(256);
  ownSums[0] = ownSums[1] = _mm256_setzero_si256();
  for (size_t k = 0; k < count; k += 16) {
    for (size_t half = 0; half < 2; half++) {
      const int8_t *rows = w + half * 8 * stride + k;
      __m256i r[4], s[4], t[4];
      for (size_t i = 0; i < 4; i++) {
        __m256i both = _mm256_castsi128_si256(_mm_load_si128((const __m128i *)(rows + i * stride)));
        both = _mm256_inserti128_si256(both, _mm_load_si128((const __m128i *)(rows + (i + 4) * stride)), 1);
        // Columns 0, 2, 1, 3: the even bytes of a group are then its columns 0 and 1.
        r[i] = _mm256_shuffle_epi8(both, middle);
      }
      for (int i = 0; i < 2; i++) {
        s[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        s[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
      }
      for (int i = 0; i < 2; i++) {
        t[2 * i] = _mm256_unpacklo_epi64(s[i], s[i + 2]);
        t[2 * i + 1] = _mm256_unpackhi_epi64(s[i], s[i + 2]);
      }
      for (size_t i = 0; i < 4; i++) {
        // Times 1 and 0, or 0 and 1: one byte of each pair, widened.
        __m256i first = _mm256_maddubs_epi16(even, t[i]), second = _mm256_maddubs_epi16(odd, t[i]);
        __m256i *out = (__m256i *)(wide + (k + 4 * i) * PANEL_ROWS) + half;
        _mm256_store_si256(out, first);
        _mm256_store_si256(out + 2, second);
        ownSums[half] = _mm256_add_epi32(ownSums[half], _mm256_madd_epi16(first, second));
      }
    }
  }
}

/// a0 a2 + a1 a3 of all groups of a row, modulo 2^32. `count` a multiple of 16.
static int32_t ISA(own_sum)(const int16_t *a, size_t count) {
  __m256i sum = _mm256_setzero_si256();
  for (size_t k = 0; k < count; k += 16) {
    __m256i v = _mm256_load_si256((const __m256i *)(a + k));
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(v, _mm256_srli_epi64(v, 32)));
  }
  return ISA(sum_i32)(sum);
}

/// Adds the products of MT activation rows and a panel over `count` (a multiple of 4) columns.
INLINE void ISA(panel_tile)(const int16_t *a, size_t aStride, const int16_t *wide, size_t count, __m256i sums[4][2],
                            const int MT) {
  const char *ends[4];
  for (int m = 0; m < MT; m++) {
    ends[m] = (const char *)(a + (size_t)m * aStride + count);
    // A register for each row, rather than one and additions in the loop.
    __asm__("" : "+r"(ends[m]));
  }
  const __m256i *w = (const __m256i *)wide;
#pragma clang loop unroll(disable)
  for (ptrdiff_t i = -(ptrdiff_t)(count * sizeof *a); i != 0; i += 8, w += 4) {
    __m256i first[2], second[2];
    for (int n = 0; n < 2; n++) {
      first[n] = _mm256_load_si256(w + n);
      second[n] = _mm256_load_si256(w + 2 + n);
    }
    for (int m = 0; m < MT; m++) {
      int32_t pairs[2];
      __builtin_memcpy(pairs, ends[m] + i, sizeof pairs);
      __m256i a01 = _mm256_set1_epi32(pairs[0]), a23 = _mm256_set1_epi32(pairs[1]);
      for (int n = 0; n < 2; n++) {
        sums[m][n] =
            ISA(accumulate)(sums[m][n], _mm256_add_epi16(a01, second[n]), _mm256_add_epi16(a23, first[n]));
      }
    }
  }
}

/// `finish` for one activation row and 8 neighbours of a panel.
INLINE void ISA(finish_eight)(const TuskMatmulI16 *p, size_t m, size_t n, __m256 sums) {
  __m256 scales = _mm256_mul_ps(_mm256_set1_ps(p->activationScales[m]), _mm256_loadu_ps(p->weightScales + n));
  __m256 y = _mm256_mul_ps(sums, scales);
  if (p->bias) y = _mm256_add_ps(y, _mm256_loadu_ps(p->bias + n));
  _mm256_storeu_ps(p->y + m * p->yStride + n, y);
}

/// A panel of weight rows n ..< n + PANEL_ROWS, a block of its columns, and activation rows from m0 on.
typedef struct {
  size_t m0, n;
  size_t k, count;
  const int16_t *wide;
  /// The block that comes next, its lines, and how many of them have been fetched.
  const int8_t *next;
  size_t lines, linesPerTile, fetched;
  /// The own sums of both sides; of activation row m at m - m0.
  __m256i weightSums[2];
  const int32_t *activationSums;
  /// Sums of the blocks before, integers below 2^53 and so exact: [PANEL_BLOCK_M, PANEL_ROWS].
  double *totals;
} ISA(Panel);

/// Fetches some lines of the next block, which is read in more streams than the hardware prefetcher follows; all at once
/// they would wait for each other.
INLINE void ISA(fetch_next)(ISA(Panel) *panel, size_t stride, size_t count) {
  for (; count > 0 && panel->fetched < panel->lines; count--, panel->fetched++) {
    const int8_t *line = panel->next + panel->fetched % PANEL_ROWS * stride + panel->fetched / PANEL_ROWS * 64;
    _mm_prefetch((const char *)line, _MM_HINT_T1);
  }
}

INLINE void ISA(panel_rows)(const TuskMatmulI16 *p, ISA(Panel) *panel, size_t m, const int MT) {
  ISA(fetch_next)(panel, p->weightsStride, panel->linesPerTile);
  __m256i sums[4][2];
  for (int i = 0; i < MT; i++) {
    __m256i own = _mm256_set1_epi32(panel->activationSums[m - panel->m0 + (size_t)i]);
    for (int j = 0; j < 2; j++) {
      sums[i][j] = _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_add_epi32(own, panel->weightSums[j]));
    }
  }
  ISA(panel_tile)(p->codes + m * p->codesStride + panel->k, p->codesStride, panel->wide, panel->count, sums, MT);
  const bool isFirst = panel->k == 0, isLast = panel->k + TUSK_MATMUL_BLOCK_K >= p->K;
  for (int i = 0; i < MT; i++) {
    for (int j = 0; j < 2; j++) {
      if (isFirst && isLast) {
        ISA(finish_eight)(p, m + (size_t)i, panel->n + (size_t)j * 8, _mm256_cvtepi32_ps(sums[i][j]));
        continue;
      }
      double *totals = panel->totals + (m - panel->m0 + (size_t)i) * PANEL_ROWS + j * 8;
      __m256d low = _mm256_cvtepi32_pd(_mm256_castsi256_si128(sums[i][j]));
      __m256d high = _mm256_cvtepi32_pd(_mm256_extracti128_si256(sums[i][j], 1));
      if (!isFirst) {
        low = _mm256_add_pd(low, _mm256_load_pd(totals));
        high = _mm256_add_pd(high, _mm256_load_pd(totals + 4));
      }
      if (isLast) {
        ISA(finish_eight)(p, m + (size_t)i, panel->n + (size_t)j * 8,
                          _mm256_set_m128(_mm256_cvtpd_ps(high), _mm256_cvtpd_ps(low)));
      } else {
        _mm256_store_pd(totals, low);
        _mm256_store_pd(totals + 4, high);
      }
    }
  }
}

/// Activation rows m0 ..< m1, at most PANEL_M, of several blocks at most PANEL_BLOCK_M, with whole panels of the weight
/// rows n0 ..< n1; the first weight row behind them.
static size_t ISA(panels)(const TuskMatmulI16 *p, size_t m0, size_t m1, size_t n0, size_t n1) {
  _Alignas(64) int16_t wide[PANEL_ROWS * TUSK_MATMUL_BLOCK_K];
  _Alignas(64) double totals[PANEL_BLOCK_M * PANEL_ROWS];
  // Kept from panel to panel, unless there are more blocks than places.
  int32_t activationSums[PANEL_BLOCKS][PANEL_M];
  const bool keepsSums = p->K <= PANEL_BLOCKS * TUSK_MATMUL_BLOCK_K;
  ISA(Panel) panel = {.m0 = m0, .wide = wide, .totals = totals};
  for (panel.n = n0; panel.n + PANEL_ROWS <= n1; panel.n += PANEL_ROWS) {
    for (panel.k = 0; panel.k < p->K; panel.k += TUSK_MATMUL_BLOCK_K) {
      const size_t left = p->K - panel.k;
      panel.count = left < TUSK_MATMUL_BLOCK_K ? (left + 15) / 16 * 16 : TUSK_MATMUL_BLOCK_K;
      ISA(widen_panel)(p->weights + panel.n * p->weightsStride + panel.k, p->weightsStride, panel.count, wide,
                       panel.weightSums);
      int32_t *sums = activationSums[panel.k / TUSK_MATMUL_BLOCK_K % PANEL_BLOCKS];
      if (panel.n == n0 || !keepsSums) {
        for (size_t m = m0; m < m1; m++) {
          sums[m - m0] = ISA(own_sum)(p->codes + m * p->codesStride + panel.k, panel.count);
        }
      }
      panel.activationSums = sums;
      const bool isLast = left <= TUSK_MATMUL_BLOCK_K;
      const size_t ahead = isLast ? p->K : left - TUSK_MATMUL_BLOCK_K;
      panel.next = p->weights + (panel.n + (isLast ? PANEL_ROWS : 0)) * p->weightsStride
                   + (isLast ? 0 : panel.k + TUSK_MATMUL_BLOCK_K);
      panel.lines = ((ahead < TUSK_MATMUL_BLOCK_K ? ahead : TUSK_MATMUL_BLOCK_K) + 63) / 64 * PANEL_ROWS;
      panel.linesPerTile = (panel.lines * 4 + m1 - m0 - 1) / (m1 - m0);
      panel.fetched = 0;
      size_t m = m0;
      for (; m + 4 <= m1; m += 4) ISA(panel_rows)(p, &panel, m, 4);
      for (; m < m1; m++) ISA(panel_rows)(p, &panel, m, 1);
    }
  }
  return panel.n;
}
