#ifndef TUSK_MATMUL_H
#define TUSK_MATMUL_H

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/// Bytes by which every int8 row is aligned and padded: the widest vector register in use.
#define TUSK_CODE_ALIGNMENT 64

/// Largest K for which no int32 accumulator can overflow: 127 * 127 * K < 2^31.
#define TUSK_MATMUL_I8_MAX_K 133143

/// y = x W^T + bias with int8 activations and int8 weights.
///
/// Both operands are rows of codes in [-127, 127]; a row starts on a multiple of 64 bytes, its stride is a multiple of 64
/// bytes and at least K rounded up to 64, and the bytes between K and that are zero (kernels read them). The integer sum
/// of a row pair is exact (K <= TUSK_MATMUL_I8_MAX_K, no saturation), then
///
///     y[m, n] = (float)sum * (activationScales[m] * weightScales[n])   (+ bias[n])
///
/// in float32 in exactly this order. So every output is the same bit for bit on every ISA, for every M, every split of N
/// and every thread count.
typedef struct {
  /// [M, K] int8.
  const int8_t *codes;
  size_t codesStride;
  /// [M]
  const float *activationScales;
  size_t M;
  /// [N, K] int8, read in place from the file.
  const int8_t *weights;
  size_t weightsStride;
  /// [N]
  const float *weightScales;
  /// [N], sum of each weight row: kernels whose instruction wants unsigned activations add 128 to each and take
  /// 128 * weightSums[n] off again.
  const int32_t *weightSums;
  size_t K;
  /// [N] or NULL.
  const float *_Nullable bias;
  /// [M, N], stride in floats; must not overlap any input.
  float *y;
  size_t yStride;
} TuskMatmulI8;

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

/// K rounded up to the stride of an int8 row, in bytes.
static inline size_t tusk_code_stride(size_t K) {
  return (K + TUSK_CODE_ALIGNMENT - 1) & ~(size_t)(TUSK_CODE_ALIGNMENT - 1);
}

#pragma clang assume_nonnull end

#endif
