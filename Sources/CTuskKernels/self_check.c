#include "tables.h"

/// Sizes that leave a tail in every tile: M, N and K are multiples of nothing. CHECK_MOST_M and CHECK_MOST_N reach
/// the tiles of many activations.
enum { CHECK_M = 13, CHECK_N = 11, CHECK_K = 199, CHECK_STRIDE = 256, CHECK_D = 20 };
enum { CHECK_MOST_M = 31, CHECK_MOST_N = 19 };

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
  _Alignas(64) int16_t codes[2][CHECK_MOST_M * CHECK_STRIDE];
  _Alignas(64) int8_t weights[CHECK_MOST_N * CHECK_STRIDE];
  float x[CHECK_MOST_M * CHECK_K], scales[2][CHECK_MOST_M], weightScales[CHECK_MOST_N];
  float y[2][CHECK_MOST_M * CHECK_MOST_N];
  uint32_t state = 1;
  fill_floats(x, CHECK_MOST_M * CHECK_K, &state);
  fill_floats(weightScales, CHECK_MOST_N, &state);
  const TuskKernels *both[2] = {candidate, reference};
  for (int i = 0; i < 2; i++) {
    both[i]->quantize_i16_f32(x, CHECK_K, CHECK_MOST_M, CHECK_K, codes[i], CHECK_STRIDE, scales[i]);
  }
  if (!same(codes[0], codes[1], sizeof codes[0]) || !same(scales[0], scales[1], sizeof scales[0])) return false;
  fill_weights(weights, CHECK_MOST_N, &state);
  // The largest activations meet the largest weights, where saturating instructions would show.
  for (size_t k = 0; k < CHECK_K; k++) codes[0][k] = k % 2 == 0 ? TUSK_ACTIVATION_LIMIT : -TUSK_ACTIVATION_LIMIT;
  const struct {
    size_t M, N, K;
  } sizes[] = {
      {1, CHECK_N, CHECK_K}, {3, CHECK_N, CHECK_K}, {CHECK_M, CHECK_N, CHECK_K}, {CHECK_MOST_M, CHECK_MOST_N, 64}};
  for (size_t c = 0; c < sizeof sizes / sizeof sizes[0]; c++) {
    __builtin_memset(y, 0, sizeof y);
    for (int i = 0; i < 2; i++) {
      TuskMatmulI16 product = {.codes = codes[0],
                              .codesStride = CHECK_STRIDE,
                              .activationScales = scales[0],
                              .M = sizes[c].M,
                              .weights = weights,
                              .weightsStride = CHECK_STRIDE,
                              .weightScales = weightScales,
                              .K = sizes[c].K,
                              .bias = c == 0 ? NULL : weightScales,
                              .y = y[i],
                              .yStride = CHECK_MOST_N};
      both[i]->matmul_f32_i16_i8(&product, 0, sizes[c].N);
    }
    if (!same(y[0], y[1], sizeof y[0])) return false;
  }
  return true;
}

/// What every float operation gave.
typedef struct {
  float product[CHECK_M * CHECK_M];
  /// Of rows of each element.
  float attended[TuskElementI8 + 1][CHECK_M * CHECK_D];
  float combined[TuskElementI8 + 1][CHECK_M * CHECK_D];
  float rmsNormed[CHECK_M * CHECK_D];
  float layerNormed[CHECK_M * CHECK_D];
  float activated[TuskActivationLast + 1][CHECK_D];
  float elementwise[CHECK_D];
  float gathered[CHECK_D];
  float factored[CHECK_D];
  float dense[CHECK_D];
  float largest;
  float logSum;
  size_t largestIndex;
} FloatOutputs;

enum { CHECK_TERMS = 2, CHECK_RANK = 3 };

/// keys [CHECK_K, CHECK_D] as rows of each element, made by the kernels themselves.
static void check_rows(const TuskKernels *k, const float *x, const float *keys, float *scratch, FloatOutputs *out) {
  uint16_t halves[CHECK_K * CHECK_D];
  int8_t codes[CHECK_K * CHECK_D];
  float scales[CHECK_K];
  k->convert_f16_f32(keys, CHECK_K * CHECK_D, halves);
  k->quantize_i8_f32(keys, CHECK_K, CHECK_D, codes, scales);
  const void *rows[] = {[TuskElementF32] = keys, [TuskElementF16] = halves, [TuskElementI8] = codes};
  for (int element = TuskElementF32; element <= TuskElementI8; element++) {
    TuskAttention head = {.queries = x,
                          .queryStride = CHECK_D,
                          .queryCount = CHECK_M,
                          .element = (TuskElement)element,
                          .keys = rows[element],
                          .keyStride = CHECK_D,
                          .values = rows[element],
                          .valueStride = CHECK_D,
                          .keyScales = scales,
                          .valueScales = scales,
                          .scaleStride = 1,
                          .keyCount = CHECK_K,
                          .prefixKeys = x,
                          .prefixValues = x,
                          .prefixStride = CHECK_D,
                          .prefixCount = CHECK_M,
                          .dKV = CHECK_D,
                          .scale = 0.25f,
                          .firstQueryIndex = 60,
                          .causal = true,
                          .out = out->attended[element],
                          .outStride = CHECK_D};
    k->attend_f32(&head, scratch);
    TuskCombine product = {.x = x,
                           .xStride = CHECK_D,
                           .M = CHECK_M,
                           .rows = rows[element],
                           .element = (TuskElement)element,
                           .rowStride = CHECK_D,
                           .scales = element == TuskElementI8 ? scales : NULL,
                           .N = CHECK_D,
                           .K = CHECK_D,
                           .y = out->combined[element],
                           .yStride = CHECK_D};
    k->combine_f32(&product);
  }
}

static void check_kronecker(const TuskKernels *k, const float *x, const float *factors, float *scratch,
                            FloatOutputs *out) {
  TuskKronecker layer = {.n = CHECK_TERMS,
                         .in = CHECK_D,
                         .out = CHECK_D,
                         .inBlocks = CHECK_TERMS,
                         .outBlocks = CHECK_TERMS,
                         .rank = CHECK_RANK,
                         .rule = factors,
                         .left = factors + 1,
                         .right = factors + 2,
                         .bias = factors,
                         .scaling = 0.5f};
  k->kronecker_f32(&layer, x, CHECK_D, 1, out->factored, CHECK_D, scratch, NULL);
  layer = (TuskKronecker){.n = CHECK_TERMS,
                          .in = CHECK_D,
                          .out = CHECK_D,
                          .inBlocks = CHECK_TERMS,
                          .outBlocks = CHECK_TERMS,
                          .ruleLeft = factors + 3,
                          .ruleRight = factors + 4,
                          .full = factors + 5,
                          .scaling = 0.5f,
                          .accumulates = true};
  k->kronecker_f32(&layer, x, CHECK_D, 1, out->dense, CHECK_D, scratch, NULL);
}

/// x [CHECK_M, CHECK_D], keys [CHECK_K, CHECK_D].
static void check_floats(const TuskKernels *k, const float *x, const float *keys, float *scratch, FloatOutputs *out) {
  __builtin_memset(out, 0, sizeof *out);
  TuskMatmulF32 product = {x, CHECK_D, CHECK_M, keys, CHECK_D, CHECK_D, NULL, out->product, CHECK_M};
  k->matmul_f32_f32_f32(&product, 0, CHECK_M);
  check_rows(k, x, keys, scratch, out);
  k->rmsnorm_f32(x, CHECK_D, CHECK_M, CHECK_D, keys, 1e-6f, out->rmsNormed, CHECK_D);
  k->layernorm_f32(x, CHECK_D, CHECK_M, CHECK_D, keys, keys + 1, 1e-6f, out->layerNormed, CHECK_D);
  for (int kind = TuskActivationIdentity; kind <= TuskActivationLast; kind++) {
    __builtin_memcpy(out->activated[kind], x, sizeof out->activated[kind]);
    k->activate_f32((TuskActivation)kind, out->activated[kind], CHECK_D);
  }
  k->add_f32(out->elementwise, x, CHECK_D);
  k->multiply_f32(out->elementwise, x + 1, CHECK_D);
  k->scale_f32(out->elementwise, 0.7f, CHECK_D);
  k->axpy_f32(out->elementwise, 0.3f, x + 2, CHECK_D);
  int8_t codes[CHECK_D];
  for (int i = 0; i < CHECK_D; i++) codes[i] = (int8_t)(i * 11 - 100);
  k->gather_f32_i8(codes, 0.3f, CHECK_D, out->gathered);
  check_kronecker(k, x, keys, scratch, out);
  out->largest = k->max_f32(keys, CHECK_K * CHECK_D);
  out->largestIndex = k->argmax_f32(keys, CHECK_K * CHECK_D);
  out->logSum = k->logsumexp_f32(keys, CHECK_K * CHECK_D);
}

static bool floats_agree(const TuskKernels *candidate, const TuskKernels *reference) {
  float x[CHECK_M * CHECK_D], keys[CHECK_K * CHECK_D];
  // Room for the attention's scratch of width CHECK_D, the largest.
  float scratch[8192];
  FloatOutputs outputs[2];
  uint32_t state = 2;
  fill_floats(x, CHECK_M * CHECK_D, &state);
  fill_floats(keys, CHECK_K * CHECK_D, &state);
  if (tusk_attention_scratch_floats(CHECK_D) > sizeof scratch / sizeof scratch[0]) return false;
  check_floats(candidate, x, keys, scratch, &outputs[0]);
  check_floats(reference, x, keys, scratch, &outputs[1]);
  return same(&outputs[0], &outputs[1], sizeof outputs[0]);
}

/// Keys and values as halves and as codes, and the product with a transposed matrix.
static bool rows_agree(const TuskKernels *candidate, const TuskKernels *reference) {
  enum { ROWS = 70, SCRATCH = 8192 };
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
