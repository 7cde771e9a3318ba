#ifndef TUSK_COMBINE_H
#define TUSK_COMBINE_H

#include "tusk_attention.h"

#include <stddef.h>

#pragma clang assume_nonnull begin

/// A product with a transposed matrix, whose rows are read once and in order:
///
///     y[m] = sum_n (x[m, n] * scales[n]) rows[n]
///
/// in float32, over n in order, so that the result is the same on every ISA and for every M.
typedef struct {
  /// [M, N], stride in floats.
  const float *x;
  size_t xStride;
  size_t M;
  /// [N, K] of `element`, stride in elements; read in place.
  const void *rows;
  TuskElement element;
  size_t rowStride;
  /// [N], or NULL for 1.
  const float *_Nullable scales;
  size_t N;
  size_t K;
  /// [M, K], stride in floats; must not overlap any input.
  float *y;
  size_t yStride;
} TuskCombine;

#pragma clang assume_nonnull end

#endif
