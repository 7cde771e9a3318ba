#ifndef TUSK_ATTENTION_H
#define TUSK_ATTENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/// What rows of keys and values consist of. Values are stable only within a process.
typedef enum {
  TuskElementF32 = 0,
  /// IEEE half precision.
  TuskElementF16 = 1,
  /// Codes in [-127, 127]; a row times its scale is the row of floats.
  TuskElementI8 = 2,
} TuskElement;

/// One head of attention over a tile of queries:
///
///     out[i] = sum_t softmax_t(scale * q[i].k[t] + relativeBias[t - (firstQueryIndex + i)]) v[t]
///
/// Position t runs over a prefix of P rows (0 ..< P, of a task) and the keys behind it (key j at t = P + j), with
/// `causal` only over the prefix and j <= firstQueryIndex + i. The softmax is online over tiles of keys (running maximum
/// and sum), so memory does not depend on their number. The result of a query depends on that query and its keys only:
/// not on the tile it came in, not on the ISA. Rows of every element are read in place. Keys and values must be finite;
/// a query without keys gives zeros.
typedef struct {
  /// [queryCount, dKV], strides in floats.
  const float *queries;
  size_t queryStride;
  size_t queryCount;
  /// Of keys and values; the prefix is float32 always.
  TuskElement element;
  /// [keyCount, dKV]; key j lies at keys + row(j) * keyStride elements with row(j) = rowIndex ? rowIndex[j] : j.
  const void *keys;
  size_t keyStride;
  /// [keyCount, dKV]; the same rows.
  const void *values;
  size_t valueStride;
  /// Of int8 rows: scale of key j at keyScales[row(j) * scaleStride], likewise of value j. Otherwise unused.
  const float *_Nullable keyScales;
  const float *_Nullable valueScales;
  size_t scaleStride;
  size_t keyCount;
  const int32_t *_Nullable rowIndex;
  /// [P, dKV] each, read in place; without a prefix NULL and 0.
  const float *_Nullable prefixKeys;
  const float *_Nullable prefixValues;
  size_t prefixStride;
  size_t prefixCount;
  size_t dKV;
  float scale;
  /// Centre of a table by distance: valid from index -(firstQueryIndex + queryCount - 1) to P + keyCount - 1 -
  /// firstQueryIndex (to P with `causal`). NULL: no bias.
  const float *_Nullable relativeBias;
  size_t firstQueryIndex;
  bool causal;
  /// [queryCount, dKV], stride in floats; must not overlap any input.
  float *out;
  size_t outStride;
} TuskAttention;

/// Floats of scratch that `attend_f32` needs; does not depend on the counts of queries and keys.
size_t tusk_attention_scratch_floats(size_t dKV);

#pragma clang assume_nonnull end

#endif
