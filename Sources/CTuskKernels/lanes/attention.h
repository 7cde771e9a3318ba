#include "attention_rows.h"
#include "lanes.h"
#include "math.h"

/// q.k of QT queries and CT * 8 keys: one lane per key, summed over d in order, whatever the tile.
INLINE void ISA(score_tile)(const TuskAttention *a, size_t query, const float *keys, float *scores, const int QT,
                            const int CT) {
  f32x8 sums[QUERY_GROUP][8];
  const float *q[QUERY_GROUP];
  for (int i = 0; i < QT; i++) q[i] = a->queries + (query + (size_t)i) * a->queryStride;
  for (int i = 0; i < QT; i++) {
    for (int c = 0; c < CT; c++) sums[i][c] = splat(0);
  }
  for (size_t d = 0; d < a->dKV; d++) {
    for (int c = 0; c < CT; c++) {
      f32x8 k = load(keys + d * KEY_TILE + c * 8);
      for (int i = 0; i < QT; i++) sums[i][c] += splat(q[i][d]) * k;
    }
  }
  for (int i = 0; i < QT; i++) {
    for (int c = 0; c < CT; c++) store(scores + i * KEY_TILE + c * 8, sums[i][c]);
  }
}

/// Scores of one query over a tile -> weights e^(score - maximum), zero from `visible` on up to a multiple of 8.
/// Updates the running maximum and sum; returns the factor for what was accumulated before. `keyScales` of the tile or
/// NULL.
static float ISA(soften)(const TuskAttention *a, size_t queryIndex, size_t firstKey, size_t visible,
                         const float *keyScales, float *scores, float *maximum, float *sum) {
  const float *bias = a->relativeBias ? a->relativeBias + (ptrdiff_t)firstKey - (ptrdiff_t)queryIndex : NULL;
  f32x8 largest = splat(-__builtin_inff());
  for (size_t j = 0; j < visible; j += 8) {
    f32x8 s = load(scores + j);
    if (keyScales) s *= load(keyScales + j);
    s *= a->scale;
    if (visible - j >= 8) {
      if (bias) s += load(bias + j);
    } else {
      if (bias) s += load_part(bias + j, visible - j);
      i32x8 lane = {0, 1, 2, 3, 4, 5, 6, 7};
      s = choose(lane < (int32_t)(visible - j), s, splat(-__builtin_inff()));
    }
    store(scores + j, s);
    largest = larger(s, largest);
  }
  float tileMaximum = max_lanes(largest);
  float newMaximum = tileMaximum > *maximum ? tileMaximum : *maximum;
  f32x8 sums = splat(0);
  for (size_t j = 0; j < visible; j += 8) {
    f32x8 p = exp_lanes(load(scores + j) - newMaximum);
    store(scores + j, p);
    sums += p;
  }
  float factor = exp_lanes(splat(*maximum - newMaximum))[0];
  *sum = *sum * factor + sum_lanes(sums);
  *maximum = newMaximum;
  return factor;
}

/// sums += weight_j v for one row of values, CT * 8 columns from column d on, QT queries.
INLINE void ISA(add_value)(f32x8 sums[QUERY_GROUP][8], const void *row, size_t d, const float *weights, size_t j,
                           const int QT, const int CT, const TuskElement element) {
  for (int c = 0; c < CT; c++) {
    f32x8 lanes = ISA(load_row)(row, d + (size_t)c * 8, element);
    for (int i = 0; i < QT; i++) sums[i][c] += splat(weights[i * KEY_TILE + j]) * lanes;
  }
}

INLINE const void *ISA(value_row)(const TuskAttention *a, size_t key, const TuskElement element) {
  return (const char *)a->values + ISA(row_of)(a, key) * a->valueStride * ISA(element_bytes)(element);
}

/// out = out * factor + sum_j weight_j v_j for QT queries and CT * 8 columns from column d on: keys in order, whatever
/// the tile.
INLINE void ISA(value_tile)(const TuskAttention *a, size_t query, size_t firstKey, size_t count, const float *weights,
                            const float *factors, size_t d, const int QT, const int CT, const TuskElement element) {
  f32x8 sums[QUERY_GROUP][8];
  for (int i = 0; i < QT; i++) {
    const float *out = a->out + (query + (size_t)i) * a->outStride + d;
    for (int c = 0; c < CT; c++) sums[i][c] = load(out + c * 8) * factors[i];
  }
  size_t j = 0, prefix = ISA(prefix_part)(a, firstKey, count);
  for (; j < prefix; j++) {
    const float *row = a->prefixValues + (firstKey + j) * a->prefixStride;
    ISA(add_value)(sums, row, d, weights, j, QT, CT, TuskElementF32);
  }
  for (; j < count; j++) {
    const void *row = ISA(value_row)(a, firstKey + j - a->prefixCount, element);
    ISA(add_value)(sums, row, d, weights, j, QT, CT, element);
  }
  for (int i = 0; i < QT; i++) {
    float *out = a->out + (query + (size_t)i) * a->outStride + d;
    for (int c = 0; c < CT; c++) store(out + c * 8, sums[i][c]);
  }
}

/// The columns behind the last multiple of 8.
INLINE void ISA(value_tail)(const TuskAttention *a, size_t query, size_t firstKey, size_t count, const float *weights,
                            const float *factors, size_t d, size_t queries, const TuskElement element) {
  for (size_t i = 0; i < queries; i++) {
    float *out = a->out + (query + i) * a->outStride;
    for (size_t column = d; column < a->dKV; column++) {
      float sum = out[column] * factors[i];
      size_t j = 0, prefix = ISA(prefix_part)(a, firstKey, count);
      for (; j < prefix; j++) {
        sum += weights[i * KEY_TILE + j] * a->prefixValues[(firstKey + j) * a->prefixStride + column];
      }
      for (; j < count; j++) {
        const void *row = ISA(value_row)(a, firstKey + j - a->prefixCount, element);
        sum += weights[i * KEY_TILE + j] * ISA(load_one)(row, column, element);
      }
      out[column] = sum;
    }
  }
}

/// out = out * factor + sum_j weight_j v_j, all columns.
INLINE void ISA(add_values)(const TuskAttention *a, size_t query, size_t firstKey, size_t count, const float *weights,
                            const float *factors, const int QT, const TuskElement element) {
  size_t d = 0;
  if (QT == 1) {
    for (; d + 64 <= a->dKV; d += 64) {
      ISA(value_tile)(a, query, firstKey, count, weights, factors, d, QT, 8, element);
    }
  }
  for (; d + 16 <= a->dKV; d += 16) ISA(value_tile)(a, query, firstKey, count, weights, factors, d, QT, 2, element);
  for (; d + 8 <= a->dKV; d += 8) ISA(value_tile)(a, query, firstKey, count, weights, factors, d, QT, 1, element);
  if (d < a->dKV) ISA(value_tail)(a, query, firstKey, count, weights, factors, d, (size_t)QT, element);
}

/// One tile of keys, transposed, for QT queries. `keyScales` and `valueScales` [KEY_TILE] of int8 rows, or NULL.
INLINE void ISA(attend_group)(const TuskAttention *a, size_t query, size_t firstKey, size_t count, const float *keys,
                              const float *keyScales, const float *valueScales, float *weights, float *maxima,
                              float *sums, const int QT) {
  size_t c = 0;
  if (QT == 1) {
    for (; c + 64 <= count; c += 64) ISA(score_tile)(a, query, keys + c, weights + c, QT, 8);
    for (; c + 32 <= count; c += 32) ISA(score_tile)(a, query, keys + c, weights + c, QT, 4);
  }
  for (; c + 16 <= count; c += 16) ISA(score_tile)(a, query, keys + c, weights + c, QT, 2);
  for (; c < count; c += 8) ISA(score_tile)(a, query, keys + c, weights + c, QT, 1);
  float factors[QUERY_GROUP];
  size_t longest = 0;
  for (int i = 0; i < QT; i++) {
    size_t index = a->firstQueryIndex + query + (size_t)i;
    size_t visible = count;
    if (a->causal) {
      size_t end = a->prefixCount + index + 1;
      visible = end < firstKey ? 0 : (end - firstKey < count ? end - firstKey : count);
    }
    float *w = weights + i * KEY_TILE;
    factors[i] = 1;
    if (visible > 0) factors[i] = ISA(soften)(a, index, firstKey, visible, keyScales, w, &maxima[i], &sums[i]);
    if (valueScales) ISA(multiply_f32)(w, valueScales, visible);
    for (size_t j = visible; j < count; j++) w[j] = 0;
    longest = visible > longest ? visible : longest;
  }
#define ADD_VALUES(element) ISA(add_values)(a, query, firstKey, longest, weights, factors, QT, element)
  WITH_ELEMENT(a->element, ADD_VALUES);
#undef ADD_VALUES
}

static void ISA(attend_f32)(const TuskAttention *a, float *scratch) {
  float *keys = scratch;
  float *weights = keys + a->dKV * KEY_TILE;
  float *maxima = weights + QUERY_GROUP * KEY_TILE;
  float *sums = maxima + QUERY_BLOCK;
  float *keyScales = a->element == TuskElementI8 ? sums + QUERY_BLOCK : NULL;
  float *valueScales = keyScales ? keyScales + KEY_TILE : NULL;
  for (size_t block = 0; block < a->queryCount; block += QUERY_BLOCK) {
    size_t queries = a->queryCount - block < QUERY_BLOCK ? a->queryCount - block : QUERY_BLOCK;
    for (size_t i = 0; i < queries; i++) {
      maxima[i] = -__builtin_inff();
      sums[i] = 0;
      __builtin_memset(a->out + (block + i) * a->outStride, 0, a->dKV * sizeof(float));
    }
    size_t keyEnd = a->keyCount;
    if (a->causal && a->firstQueryIndex + block + queries < keyEnd) keyEnd = a->firstQueryIndex + block + queries;
    keyEnd += a->prefixCount;
    for (size_t firstKey = 0; firstKey < keyEnd; firstKey += KEY_TILE) {
      size_t count = keyEnd - firstKey < KEY_TILE ? keyEnd - firstKey : KEY_TILE;
      size_t prefix = ISA(prefix_part)(a, firstKey, count);
      ISA(transpose_keys)(a, firstKey, count, prefix, keys);
      if (keyScales) ISA(gather_scales)(a, firstKey, count, prefix, keyScales, valueScales);
      size_t i = 0;
      for (; i + QUERY_GROUP <= queries; i += QUERY_GROUP) {
        ISA(attend_group)(a, block + i, firstKey, count, keys, keyScales, valueScales, weights, maxima + i, sums + i,
                          QUERY_GROUP);
      }
      for (; i < queries; i++) {
        ISA(attend_group)(a, block + i, firstKey, count, keys, keyScales, valueScales, weights, maxima + i, sums + i,
                          1);
      }
    }
    for (size_t i = 0; i < queries; i++) {
      if (sums[i] != 0) ISA(scale_f32)(a->out + (block + i) * a->outStride, 1.0f / sums[i], a->dKV);
    }
  }
}
