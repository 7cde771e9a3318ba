#include "tables.h"

/// Sizes that leave a tail in every tile: M, N and K are multiples of nothing. CHECK_MOST_M and CHECK_MOST_N reach
/// the tiles of many activations. Small, since every start of a program pays for them.
enum { CHECK_M = 13, CHECK_N = 11, CHECK_K = 199, CHECK_STRIDE = 256, CHECK_D = 20 };
enum { CHECK_MOST_M = 31, CHECK_MOST_N = 19 };

/// Queries are a group and one alone, rows of keys more than a tile.
enum { CHECK_QUERIES = 5, CHECK_ROWS = 70, CHECK_PREFIX = 13 };

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
  uint16_t halves[CHECK_ROWS * CHECK_D];
  int8_t codes[CHECK_ROWS * CHECK_D];
  float scales[CHECK_ROWS];
  /// Of rows of each element.
  float attended[TuskElementI8 + 1][CHECK_QUERIES * CHECK_D];
  float combined[TuskElementI8 + 1][CHECK_QUERIES * CHECK_D];
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

/// keys [CHECK_ROWS, CHECK_D] as rows of each element, made by the kernels themselves.
static void check_rows(const TuskKernels *k, const float *x, const float *keys, float *scratch, FloatOutputs *out) {
  k->convert_f16_f32(keys, CHECK_ROWS * CHECK_D, out->halves);
  k->quantize_i8_f32(keys, CHECK_ROWS, CHECK_D, out->codes, out->scales);
  const void *rows[] = {[TuskElementF32] = keys, [TuskElementF16] = out->halves, [TuskElementI8] = out->codes};
  for (int element = TuskElementF32; element <= TuskElementI8; element++) {
    TuskAttention head = {.queries = x,
                          .queryStride = CHECK_D,
                          .queryCount = CHECK_QUERIES,
                          .element = (TuskElement)element,
                          .keys = rows[element],
                          .keyStride = CHECK_D,
                          .values = rows[element],
                          .valueStride = CHECK_D,
                          .keyScales = out->scales,
                          .valueScales = out->scales,
                          .scaleStride = 1,
                          .keyCount = CHECK_ROWS,
                          .prefixKeys = x,
                          .prefixValues = x,
                          .prefixStride = CHECK_D,
                          .prefixCount = CHECK_PREFIX,
                          .dKV = CHECK_D,
                          .scale = 0.25f,
                          .firstQueryIndex = CHECK_ROWS - CHECK_QUERIES,
                          .causal = true,
                          .out = out->attended[element],
                          .outStride = CHECK_D};
    k->attend_f32(&head, scratch);
    TuskCombine product = {.x = x,
                           .xStride = CHECK_D,
                           .M = CHECK_QUERIES,
                           .rows = rows[element],
                           .element = (TuskElement)element,
                           .rowStride = CHECK_D,
                           .scales = element == TuskElementI8 ? out->scales : NULL,
                           .N = CHECK_D - 1,
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

/// x [CHECK_M, CHECK_D], keys [CHECK_ROWS, CHECK_D].
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
  out->largest = k->max_f32(keys, CHECK_ROWS * CHECK_D);
  out->largestIndex = k->argmax_f32(keys, CHECK_ROWS * CHECK_D);
  out->logSum = k->logsumexp_f32(keys, CHECK_ROWS * CHECK_D);
}

static bool floats_agree(const TuskKernels *candidate, const TuskKernels *reference) {
  float x[CHECK_M * CHECK_D], keys[CHECK_ROWS * CHECK_D];
  // Room for the attention's scratch of width CHECK_D, the largest.
  float scratch[8192];
  FloatOutputs outputs[2];
  uint32_t state = 2;
  fill_floats(x, CHECK_M * CHECK_D, &state);
  fill_floats(keys, CHECK_ROWS * CHECK_D, &state);
  // Subnormal as a half.
  keys[1] = 1e-7f;
  if (tusk_attention_scratch_floats(CHECK_D) > sizeof scratch / sizeof scratch[0]) return false;
  check_floats(candidate, x, keys, scratch, &outputs[0]);
  check_floats(reference, x, keys, scratch, &outputs[1]);
  return same(&outputs[0], &outputs[1], sizeof outputs[0]);
}

bool tusk_kernels_agree(const TuskKernels *candidate, const TuskKernels *reference) {
  return integers_agree(candidate, reference) && floats_agree(candidate, reference);
}
