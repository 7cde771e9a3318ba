/// Prints a hash of what every operation of one kernel table gives on fixed inputs of many lengths. Two machines, or two
/// tables of one machine, agree on every bit if they print the same.
///
///     kernels [ISA]     the table of that name; without one, the best

#include "tusk_kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/// Lengths on both sides of every tile; the last is longer than a block of an int32 sum.
static const size_t lengths[] = {1, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 130, 1023, 1100, 2049};
enum { LENGTHS = sizeof lengths / sizeof lengths[0], LONGEST = 2112, ROWS = 37 };

static uint64_t random_state;

static uint32_t next_word(void) {
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(random_state >> 33);
}

static float next_float(void) { return (float)((int)(next_word() & 0xFFFF) - 32768) / 8192.0f; }

static float *floats(size_t count) {
  float *x = malloc(count * sizeof *x);
  for (size_t i = 0; i < count; i++) x[i] = next_float();
  return x;
}

static uint64_t hash;

static void start(void) {
  hash = 14695981039346656037u;
  random_state = 1;
}

static void take(const void *bytes, size_t count) {
  for (size_t i = 0; i < count; i++) hash = (hash ^ ((const uint8_t *)bytes)[i]) * 1099511628211u;
}

static void finish(const char *name) { printf("%-20s %016llx\n", name, (unsigned long long)hash); }

/// `extreme` pairs the largest codes, whose sums come closest to the limit.
static void check_matmul_i8(const TuskKernels *k, bool extreme) {
  static _Alignas(64) int16_t codes[ROWS * LONGEST];
  static _Alignas(64) int8_t weights[ROWS * LONGEST];
  static float scales[ROWS], weightScales[ROWS], y[ROWS * ROWS];
  start();
  for (size_t l = 0; l < LENGTHS; l++) {
    size_t K = lengths[l], stride = tusk_code_stride(K);
    memset(codes, 0, sizeof codes);
    memset(weights, 0, sizeof weights);
    for (size_t r = 0; r < ROWS; r++) {
      for (size_t i = 0; i < K; i++) {
        int sign = r % 2 ? 1 : -1;
        codes[r * stride + i] = (int16_t)(extreme ? sign * TUSK_ACTIVATION_LIMIT : (int)(next_word() % 32767) - 16383);
        weights[r * stride + i] = (int8_t)(extreme ? 127 : (int)(next_word() % 255) - 127);
      }
      scales[r] = next_float();
      weightScales[r] = next_float();
    }
    const size_t counts[] = {1, 2, 3, 5, 16, ROWS};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
      TuskMatmulI16 product = {codes, stride, scales, counts[c], weights, stride, weightScales, K,
                              c % 2 ? weightScales : NULL, y, ROWS};
      memset(y, 0, sizeof y);
      k->matmul_f32_i16_i8(&product, l % 3, ROWS);
      take(y, sizeof y);
    }
  }
  finish(extreme ? "matmul_i8 extreme" : "matmul_i8");
}

static void check_matmul_f32(const TuskKernels *k) {
  start();
  float *x = floats(ROWS * LONGEST), *w = floats(ROWS * LONGEST), y[ROWS * ROWS];
  for (size_t l = 0; l < LENGTHS; l++) {
    memset(y, 0, sizeof y);
    TuskMatmulF32 product = {x, LONGEST, 7, w, LONGEST, lengths[l], l % 2 ? w : NULL, y, ROWS};
    k->matmul_f32_f32_f32(&product, 0, ROWS);
    take(y, sizeof y);
  }
  finish("matmul_f32");
  free(x);
  free(w);
}

static void check_vectors(const TuskKernels *k) {
  static _Alignas(64) int16_t codes[LONGEST];
  float scale, *x = NULL, *y = NULL;
  int8_t bytes[LONGEST];
  start();
  for (size_t l = 0; l < LENGTHS; l++) {
    size_t n = lengths[l];
    x = floats(n), y = floats(n);
    k->quantize_i16_f32(x, n, 1, n, codes, tusk_code_stride(n), &scale);
    take(codes, tusk_code_stride(n) * sizeof *codes);
    take(&scale, sizeof scale);
    for (size_t i = 0; i < n; i++) bytes[i] = (int8_t)next_word();
    k->gather_f32_i8(bytes, scale, n, y);
    take(y, n * sizeof *y);
    k->add_f32(y, x, n);
    k->multiply_f32(y, x, n);
    k->scale_f32(y, 0.7f, n);
    k->axpy_f32(y, 0.3f, x, n);
    take(y, n * sizeof *y);
    k->rmsnorm_f32(x, n, 1, n, x, 1e-6f, y, n);
    take(y, n * sizeof *y);
    k->layernorm_f32(x, n, 1, n, x, x, 1e-6f, y, n);
    take(y, n * sizeof *y);
    for (int kind = TuskActivationIdentity; kind <= TuskActivationLast; kind++) {
      memcpy(y, x, n * sizeof *y);
      k->activate_f32((TuskActivation)kind, y, n);
      take(y, n * sizeof *y);
    }
    float reduced[3] = {k->max_f32(x, n), k->logsumexp_f32(x, n), (float)k->argmax_f32(x, n)};
    take(reduced, sizeof reduced);
    free(x);
    free(y);
  }
  finish("vectors");
}

/// Keys and values as rows of each element, and products with them.
static void check_rows(const TuskKernels *k) {
  start();
  const size_t widths[] = {3, 8, 16, 20, 64, 72};
  enum { KEYS = 150, WIDEST = 72 };
  static uint16_t halves[KEYS * WIDEST];
  static int8_t codes[KEYS * WIDEST];
  static float scales[KEYS];
  for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
    size_t d = widths[w];
    float *q = floats(ROWS * KEYS), *keys = floats(KEYS * d), *out = floats(ROWS * d);
    float *bias = floats(400), *scratch = malloc(tusk_attention_scratch_floats(d) * sizeof *scratch);
    k->convert_f16_f32(keys, KEYS * d, halves);
    k->quantize_i8_f32(keys, KEYS, d, codes, scales);
    const void *rows[] = {keys, halves, codes};
    for (size_t count = 1; count < 140; count += 23) {
      for (int element = TuskElementF32; element <= TuskElementI8; element++) {
        TuskAttention head = {.queries = q, .queryStride = d, .queryCount = count % 2 ? ROWS : 1,
                              .element = (TuskElement)element, .keys = rows[element], .keyStride = d,
                              .values = rows[element], .valueStride = d, .keyScales = scales, .valueScales = scales,
                              .scaleStride = 1, .keyCount = count, .prefixKeys = q, .prefixValues = keys,
                              .prefixStride = d, .prefixCount = count % 3 * 5, .dKV = d, .scale = 0.125f,
                              .relativeBias = bias + 200, .firstQueryIndex = 9, .causal = count % 4 == 0, .out = out,
                              .outStride = d};
        k->attend_f32(&head, scratch);
        take(out, ROWS * d * sizeof *out);
        TuskCombine product = {q, KEYS, ROWS, rows[element], (TuskElement)element, d,
                               element == TuskElementI8 ? scales : NULL, count, d, out, d};
        k->combine_f32(&product);
        take(out, ROWS * d * sizeof *out);
      }
    }
    free(q), free(keys), free(out), free(bias), free(scratch);
  }
  finish("attention, combine");
}

static void check_kronecker(const TuskKernels *k) {
  start();
  for (size_t n = 1; n <= 4; n *= 2) {
    for (size_t rank = 1; rank <= 9; rank += 4) {
      size_t in = 72, out = 40;
      float *x = floats(3 * in), *f = floats(n * in * out + 8), *y = floats(3 * out), scratch[4096];
      TuskKronecker layer = {.n = n, .in = in, .out = out, .inBlocks = n, .outBlocks = 4, .rank = rank, .rule = f,
                             .left = f + 1, .right = f + 2, .bias = f, .scaling = 1};
      k->kronecker_f32(&layer, x, in, 3, y, out, scratch, NULL);
      take(y, 3 * out * sizeof *y);
      layer = (TuskKronecker){.n = n, .in = in, .out = out, .inBlocks = n, .outBlocks = n, .ruleLeft = f,
                              .ruleRight = f + 1, .full = f + 2, .scaling = 0.7f, .accumulates = true};
      k->kronecker_f32(&layer, x, in, 3, y, out, scratch, NULL);
      take(y, 3 * out * sizeof *y);
      free(x), free(f), free(y);
    }
  }
  finish("kronecker");
}

int main(int argc, char **argv) {
  const char *cap = argc > 1 ? argv[1] : NULL;
  TuskSelection selection;
  const TuskKernels *kernels = tusk_kernels_select(cap, &selection);
  if (cap && strcmp(kernels->name, cap) != 0) {
    fprintf(stderr, "kernels: this machine has no %s, or it failed its self-check\n", cap);
    return 69;
  }
  check_matmul_i8(kernels, false);
  check_matmul_i8(kernels, true);
  check_matmul_f32(kernels);
  check_vectors(kernels);
  check_rows(kernels);
  check_kronecker(kernels);
  return 0;
}
