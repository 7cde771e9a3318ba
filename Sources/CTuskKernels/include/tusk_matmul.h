#ifndef TUSK_MATMUL_H
#define TUSK_MATMUL_H

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/// Codes by which every row is padded, and bytes by which it is aligned: the widest vector register in use.
#define TUSK_CODE_ALIGNMENT 64

/// Largest code of an activation: 14 bits and a sign. Finer than a weight's 7, so that rounding activations costs
/// nothing beside rounding weights, and still exact in 32 bits over long rows.
#define TUSK_ACTIVATION_LIMIT 16383

/// Columns whose products an int32 accumulator holds: 16383 * 127 * 1024 < 2^31. Longer rows are summed in blocks of
/// this length, and the blocks in 64 bits.
#define TUSK_MATMUL_BLOCK_K 1024

/// y = x W^T + bias with 14-bit activations and int8 weights.
///
/// Activations are rows of int16 codes in [-16383, 16383], weights rows of int8 codes in [-127, 127]; a row starts on a
/// multiple of 64 bytes, its stride is a multiple of 64 codes and at least K rounded up to 64, and the codes between K
/// and that are zero (kernels read them). The integer sum of a row pair is exact for any K (no saturation), then
///
///     y[m, n] = (float)sum * (activationScales[m] * weightScales[n])   (+ bias[n])
///
/// in float32 in exactly this order. So every output is the same bit for bit on every ISA, for every M, every split of
/// N and every thread count.
typedef struct {
  /// [M, K] int16.
  const int16_t *codes;
  size_t codesStride;
  /// [M]
  const float *activationScales;
  size_t M;
  /// [N, K] int8, read in place from the file.
  const int8_t *weights;
  size_t weightsStride;
  /// [N]
  const float *weightScales;
  size_t K;
  /// [N] or NULL.
  const float *_Nullable bias;
  /// [M, N], stride in floats; must not overlap any input.
  float *y;
  size_t yStride;
} TuskMatmulI16;

/// y = x W^T + bias in float32. Rows need no alignment and no padding. The order of summation over K depends on K only:
/// 8 partial sums, then a fixed tree; the same bits on every ISA, for every M and every split of N.
typedef struct {
  /// [M, K], stride in floats.
  const float *x;
  size_t xStride;
  size_t M;
  /// [N, K], stride in floats.
  const float *weights;
  size_t weightsStride;
  size_t K;
  /// [N] or NULL.
  const float *_Nullable bias;
  /// [M, N], stride in floats; must not overlap any input.
  float *y;
  size_t yStride;
} TuskMatmulF32;

/// K rounded up to the stride of a row of codes.
static inline size_t tusk_code_stride(size_t K) {
  return (K + TUSK_CODE_ALIGNMENT - 1) & ~(size_t)(TUSK_CODE_ALIGNMENT - 1);
}

#pragma clang assume_nonnull end

#endif
