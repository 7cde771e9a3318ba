/// The int16 x int8 product by the 8-bit dot product of ARMv8.2.
///
/// An activation is 128 high + low with high = a >> 7 in [-128, 127] and low = a & 127: two int8. Over a block of
/// TUSK_MATMUL_BLOCK_K columns |sum high w| <= 128 * 127 * 1024 < 2^24, and 128 times that, as the whole sum, is below
/// 2^31: 128 * 128 * 127 * 1024 = 2130706432.

/// Bytes of the split rows, on the stack: first-level cache of small cores. Rows longer than SPLIT_K, of which not two
/// have room, are left to the 16-bit form.
enum { SPLIT_BYTES = 32 * 1024, SPLIT_K = SPLIT_BYTES / 4, SPLIT_TILE_M = 2 };

/// Splits `count` (a multiple of 64) codes.
INLINE void split_neondot(const int16_t *codes, size_t count, int8_t *high, int8_t *low) {
  for (size_t k = 0; k < count; k += 16) {
    int16x8_t a = vld1q_s16(codes + k), b = vld1q_s16(codes + k + 8);
    int16x8_t mask = vdupq_n_s16(127);
    vst1q_s8(high + k, vshrn_high_n_s16(vshrn_n_s16(a, 7), b, 7));
    vst1q_s8(low + k, vmovn_high_s16(vmovn_s16(vandq_s16(a, mask)), vandq_s16(b, mask)));
  }
}

/// The sums of MT split activation rows, [MT, 2, stride] high and low, with TILE_N weight rows over `count` (a multiple
/// of 16) columns, at most a block.
INLINE void tile_block_neondot(const TuskMatmulI16 *p, const int8_t *split, size_t stride, size_t m, size_t n,
                               size_t k0, size_t count, int64_t *totals, const int MT) {
  int32x4_t high[SPLIT_TILE_M][TILE_N], low[SPLIT_TILE_M][TILE_N];
  for (int i = 0; i < MT; i++) {
    for (int j = 0; j < TILE_N; j++) high[i][j] = low[i][j] = vdupq_n_s32(0);
  }
  const int8_t *w = p->weights + n * p->weightsStride + k0;
  for (size_t k = 0; k < count; k += 16) {
    int8x16_t weights[TILE_N];
    for (int j = 0; j < TILE_N; j++) weights[j] = vld1q_s8(w + (size_t)j * p->weightsStride + k);
    for (int i = 0; i < MT; i++) {
      const int8_t *row = split + (size_t)i * 2 * stride + k0 + k;
      int8x16_t highs = vld1q_s8(row), lows = vld1q_s8(row + stride);
      for (int j = 0; j < TILE_N; j++) {
        high[i][j] = vdotq_s32(high[i][j], weights[j], highs);
        low[i][j] = vdotq_s32(low[i][j], weights[j], lows);
      }
    }
  }
  for (int i = 0; i < MT; i++) {
    int32x4_t highs = sum_four_neon(high[i][0], high[i][1], high[i][2], high[i][3]);
    int32x4_t lows = sum_four_neon(low[i][0], low[i][1], low[i][2], low[i][3]);
    take_sums(p, m + (size_t)i, n, vaddq_s32(vshlq_n_s32(highs, 7), lows), totals + i * TILE_N);
  }
}

INLINE void tile_neondot(const TuskMatmulI16 *p, const int8_t *split, size_t stride, size_t m, size_t n,
                         const int MT) {
  int64_t totals[SPLIT_TILE_M * TILE_N] = {0};
  for (size_t k = 0; k < p->K; k += TUSK_MATMUL_BLOCK_K) {
    size_t count = p->K - k < TUSK_MATMUL_BLOCK_K ? (p->K - k + 15) / 16 * 16 : TUSK_MATMUL_BLOCK_K;
    tile_block_neondot(p, split, stride, m, n, k, count, totals, MT);
  }
  if (p->K <= TUSK_MATMUL_BLOCK_K) return;
  for (int i = 0; i < MT * TILE_N; i++) finish(p, m + (size_t)(i / TILE_N), n + (size_t)(i % TILE_N), totals[i]);
}

/// As many activation rows as have room are split once and meet all weight rows.
static void matmul_f32_i16_i8_neondot(const TuskMatmulI16 *p, size_t n0, size_t n1) {
  if (p->K > SPLIT_K || n1 - n0 < TILE_N) {
    matmul_f32_i16_i8_neon(p, n0, n1);
    return;
  }
  _Alignas(64) int8_t split[SPLIT_BYTES];
  size_t stride = tusk_code_stride(p->K);
  size_t room = SPLIT_BYTES / (2 * stride) / SPLIT_TILE_M * SPLIT_TILE_M;
  for (size_t first = 0; first < p->M; first += room) {
    size_t rows = p->M - first < room ? p->M - first : room;
    for (size_t i = 0; i < rows; i++) {
      int8_t *high = split + i * 2 * stride;
      split_neondot(p->codes + (first + i) * p->codesStride, stride, high, high + stride);
    }
    size_t n = n0;
    for (; n + TILE_N <= n1; n += TILE_N) {
      size_t i = 0;
      for (; i + SPLIT_TILE_M <= rows; i += SPLIT_TILE_M) {
        tile_neondot(p, split + i * 2 * stride, stride, first + i, n, SPLIT_TILE_M);
      }
      if (i < rows) tile_neondot(p, split + i * 2 * stride, stride, first + i, n, 1);
    }
    for (; n < n1; n++) {
      for (size_t i = 0; i < rows; i++) single_neon(p, first + i, n);
    }
  }
}

static uint64_t read_probe_neondot(const void *buffer, size_t bytes) { return read_probe_neon(buffer, bytes); }

/// The 8-bit dot product on registers, 12 chains.
static uint64_t multiply_add_probe_neondot(size_t rounds) {
  int32x4_t sums[12];
  int8x16_t a = vdupq_n_s8(3), w = vdupq_n_s8(5);
  for (int i = 0; i < 12; i++) sums[i] = vdupq_n_s32(0);
  for (size_t r = 0; r < rounds; r++) {
    for (int i = 0; i < 12; i++) {
      // Opaque, so that equal products are not computed once.
      __asm__("" : "+w"(w));
      sums[i] = vdotq_s32(sums[i], a, w);
    }
  }
  for (int i = 0; i < 12; i++) __asm__ volatile("" : : "w"(sums[i]));
  return (uint64_t)rounds * 12 * 16;
}
