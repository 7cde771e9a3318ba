#include "tables.h"

/// Sizes that leave a tail in every tile: M, N and K are multiples of nothing.
enum { CHECK_M = 13, CHECK_N = 11, CHECK_K = 199, CHECK_STRIDE = 256, CHECK_D = 20 };

/// A fixed sequence without period in reach; full range of codes in its top byte.
static uint32_t next_word(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 8;
}

static void fill_floats(float *x, size_t n, uint32_t *state) {
  for (size_t i = 0; i < n; i++) x[i] = ((float)(next_word(state) & 0xFFFF) - 32768.0f) / 8192.0f;
}

static void fill_weights(int8_t *codes, size_t rows, uint32_t *state) {
  __builtin_memset(codes, 0, rows * CHECK_STRIDE);
  for (size_t r = 0; r < rows; r++) {
    for (size_t k = 0; k < CHECK_K; k++) {
      // The last row is all -127: the largest sums.
      int code = r + 1 == rows ? -127 : (int)(next_word(state) % 255) - 127;
      codes[r * CHECK_STRIDE + k] = (int8_t)code;
    }
  }
}

static bool same(const void *a, const void *b, size_t bytes) { return __builtin_memcmp(a, b, bytes) == 0; }

static bool integers_agree(const TuskKernels *candidate, const TuskKernels *reference) {
  _Alignas(64) int16_t codes[2][CHECK_M * CHECK_STRIDE];
  _Alignas(64) int8_t weights[CHECK_N * CHECK_STRIDE];
  float x[CHECK_M * CHECK_K], scales[2][CHECK_M], weightScales[CHECK_N], y[2][CHECK_M * CHECK_N];
  uint32_t state = 1;
  fill_floats(x, CHECK_M * CHECK_K, &state);
  fill_floats(weightScales, CHECK_N, &state);
  const TuskKernels *both[2] = {candidate, reference};
  for (int i = 0; i < 2; i++) {
    both[i]->quantize_i16_f32(x, CHECK_K, CHECK_M, CHECK_K, codes[i], CHECK_STRIDE, scales[i]);
  }
  if (!same(codes[0], codes[1], sizeof codes[0]) || !same(scales[0], scales[1], sizeof scales[0])) return false;
  fill_weights(weights, CHECK_N, &state);
  // The largest activations meet the largest weights, where saturating instructions would show.
  for (size_t k = 0; k < CHECK_K; k++) codes[0][k] = k % 2 == 0 ? TUSK_ACTIVATION_LIMIT : -TUSK_ACTIVATION_LIMIT;
  const size_t counts[] = {1, 3, CHECK_M};
  for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
    __builtin_memset(y, 0, sizeof y);
    for (int i = 0; i < 2; i++) {
      TuskMatmulI16 product = {.codes = codes[0],
                              .codesStride = CHECK_STRIDE,
                              .activationScales = scales[0],
                              .M = counts[c],
                              .weights = weights,
                              .weightsStride = CHECK_STRIDE,
                              .weightScales = weightScales,
                              .K = CHECK_K,
                              .bias = c == 0 ? NULL : weightScales,
                              .y = y[i],
                              .yStride = CHECK_N};
      both[i]->matmul_f32_i16_i8(&product, 0, CHECK_N);
    }
    if (!same(y[0], y[1], sizeof y[0])) return false;
  }
  return true;
}

static bool floats_agree(const TuskKernels *candidate, const TuskKernels *reference) {
  float x[CHECK_M * CHECK_D], keys[CHECK_K * CHECK_D], y[2][CHECK_M * CHECK_M];
  // Room for the attention's scratch of width CHECK_D.
  float scratch[2048];
  uint32_t state = 2;
  fill_floats(x, CHECK_M * CHECK_D, &state);
  fill_floats(keys, CHECK_K * CHECK_D, &state);
  if (tusk_attention_scratch_floats(CHECK_D) > sizeof scratch / sizeof scratch[0]) return false;
  const TuskKernels *both[2] = {candidate, reference};
  __builtin_memset(y, 0, sizeof y);
  for (int i = 0; i < 2; i++) {
    TuskMatmulF32 product = {x, CHECK_D, CHECK_M, keys, CHECK_D, CHECK_D, NULL, y[i], CHECK_M};
    both[i]->matmul_f32_f32_f32(&product, 0, CHECK_M);
  }
  if (!same(y[0], y[1], sizeof y[0])) return false;
  float attended[2][CHECK_M * CHECK_D];
  for (int i = 0; i < 2; i++) {
    TuskAttention head = {.queries = x,
                          .queryStride = CHECK_D,
                          .queryCount = CHECK_M,
                          .keys = keys,
                          .keyStride = CHECK_D,
                          .values = keys,
                          .valueStride = CHECK_D,
                          .keyCount = CHECK_K,
                          .prefixKeys = x,
                          .prefixValues = x,
                          .prefixStride = CHECK_D,
                          .prefixCount = CHECK_M,
                          .dKV = CHECK_D,
                          .scale = 0.25f,
                          .firstQueryIndex = 60,
                          .causal = true,
                          .out = attended[i],
                          .outStride = CHECK_D};
    both[i]->attend_f32(&head, scratch);
    both[i]->rmsnorm_f32(attended[i], CHECK_D, CHECK_M, CHECK_D, x, 1e-6f, attended[i], CHECK_D);
    both[i]->activate_f32(TuskActivationGelu, attended[i], CHECK_M * CHECK_D);
  }
  return same(attended[0], attended[1], sizeof attended[0]);
}

/// Keys and values as halves and as codes, and the product with a transposed matrix.
static bool rows_agree(const TuskKernels *candidate, const TuskKernels *reference) {
  enum { ROWS = 70, SCRATCH = 2048 };
  float x[ROWS * CHECK_D], scratch[SCRATCH], scales[2][ROWS], y[2][3 * CHECK_D];
  uint16_t halves[2][ROWS * CHECK_D];
  int8_t codes[2][ROWS * CHECK_D];
  uint32_t state = 3;
  fill_floats(x, ROWS * CHECK_D, &state);
  x[1] = 1e-7f;
  const TuskKernels *both[2] = {candidate, reference};
  for (int i = 0; i < 2; i++) {
    both[i]->convert_f16_f32(x, ROWS * CHECK_D, halves[i]);
    both[i]->quantize_i8_f32(x, ROWS, CHECK_D, codes[i], scales[i]);
  }
  if (!same(halves[0], halves[1], sizeof halves[0]) || !same(codes[0], codes[1], sizeof codes[0])) return false;
  if (!same(scales[0], scales[1], sizeof scales[0])) return false;
  const TuskElement elements[] = {TuskElementF16, TuskElementI8};
  for (int e = 0; e < 2; e++) {
    const void *rows = elements[e] == TuskElementF16 ? (const void *)halves[0] : codes[0];
    for (int i = 0; i < 2; i++) {
      TuskAttention head = {.queries = x,
                            .queryStride = CHECK_D,
                            .queryCount = 1,
                            .element = elements[e],
                            .keys = rows,
                            .keyStride = CHECK_D,
                            .values = rows,
                            .valueStride = CHECK_D,
                            .keyScales = scales[0],
                            .valueScales = scales[0],
                            .scaleStride = 1,
                            .keyCount = ROWS,
                            .dKV = CHECK_D,
                            .scale = 0.25f,
                            .out = y[i],
                            .outStride = CHECK_D};
      both[i]->attend_f32(&head, scratch);
      TuskCombine product = {x, 7, 2, rows, elements[e], CHECK_D, scales[0], 7, CHECK_D, y[i] + CHECK_D, CHECK_D};
      both[i]->combine_f32(&product);
    }
    if (!same(y[0], y[1], sizeof y[0])) return false;
  }
  return true;
}

bool tusk_kernels_agree(const TuskKernels *candidate, const TuskKernels *reference) {
  return integers_agree(candidate, reference) && floats_agree(candidate, reference) && rows_agree(candidate, reference);
}
