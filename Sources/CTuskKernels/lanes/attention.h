#include "attention_rows.h"
#include "lanes.h"
#include "math.h"

/// q.k of a group of queries and CT * 8 keys: one lane per key, summed over d in order, as in `score_part`.
INLINE void ISA(score_tile)(const TuskAttention *a, size_t query, const float *keys, float *scores, const int CT) {
  f32x8 sums[QUERY_GROUP][2];
  const float *q[QUERY_GROUP];
  for (int i = 0; i < QUERY_GROUP; i++) q[i] = a->queries + (query + (size_t)i) * a->queryStride;
  for (int i = 0; i < QUERY_GROUP; i++) {
    for (int c = 0; c < CT; c++) sums[i][c] = splat(0);
  }
  for (size_t d = 0; d < a->dKV; d++) {
    for (int c = 0; c < CT; c++) {
      f32x8 k = load(keys + d * KEY_TILE + c * 8);
      for (int i = 0; i < QUERY_GROUP; i++) sums[i][c] += splat(q[i][d]) * k;
    }
  }
  for (int i = 0; i < QUERY_GROUP; i++) {
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

/// sums += weight_j v for one row of values, CT * 8 columns from column d on.
INLINE void ISA(add_value)(f32x8 sums[8], const void *row, size_t d, float weight, const int CT,
                           const TuskElement element) {
  for (int c = 0; c < CT; c++) sums[c] += splat(weight) * ISA(load_row)(row, d + (size_t)c * 8, element);
}

INLINE const void *ISA(value_row)(const TuskAttention *a, size_t key, const TuskElement element) {
  return (const char *)a->values + ISA(row_of)(a->rowIndex, key) * a->valueStride * ISA(element_bytes)(element);
}

/// out = out * factor + sum_j weight_j v_j for one query and CT * 8 columns from column d on: keys in order, whatever the
/// tile.
INLINE void ISA(value_tile)(const TuskAttention *a, float *out, size_t firstKey, size_t count, const float *weights,
                            float factor, size_t d, const int CT, const TuskElement element) {
  f32x8 sums[8];
  for (int c = 0; c < CT; c++) sums[c] = load(out + d + c * 8) * factor;
  size_t j = 0, prefix = ISA(prefix_part)(a, firstKey, count);
  for (; j < prefix; j++) {
    const float *row = a->prefixValues + (firstKey + j) * a->prefixStride;
    ISA(add_value)(sums, row, d, weights[j], CT, TuskElementF32);
  }
  for (; j < count; j++) {
    const void *row = ISA(value_row)(a, firstKey + j - a->prefixCount, element);
    ISA(add_value)(sums, row, d, weights[j], CT, element);
  }
  for (int c = 0; c < CT; c++) store(out + d + c * 8, sums[c]);
}

/// The columns behind the last multiple of 8.
INLINE void ISA(value_tail)(const TuskAttention *a, float *out, size_t firstKey, size_t count, const float *weights,
                            float factor, const TuskElement element) {
  for (size_t column = a->dKV / 8 * 8; column < a->dKV; column++) {
    float sum = out[column] * factor;
    size_t j = 0, prefix = ISA(prefix_part)(a, firstKey, count);
    for (; j < prefix; j++) sum += weights[j] * a->prefixValues[(firstKey + j) * a->prefixStride + column];
    for (; j < count; j++) {
      const void *row = ISA(value_row)(a, firstKey + j - a->prefixCount, element);
      sum += weights[j] * ISA(load_one)(row, column, element);
    }
    out[column] = sum;
  }
}

/// strip [count, STRIP] = columns d ..< d + CT * 8 of values, as floats without their scales.
INLINE void ISA(pack_values)(const TuskAttention *a, size_t firstKey, size_t count, size_t d, float *strip,
                             const int CT, const TuskElement element) {
  size_t j = 0, prefix = ISA(prefix_part)(a, firstKey, count);
  for (; j < prefix; j++) {
    const float *row = a->prefixValues + (firstKey + j) * a->prefixStride + d;
    for (int c = 0; c < CT; c++) store(strip + j * STRIP + c * 8, load(row + c * 8));
  }
  for (; j < count; j++) {
    const void *row = ISA(value_row)(a, firstKey + j - a->prefixCount, element);
    for (int c = 0; c < CT; c++) store(strip + j * STRIP + c * 8, ISA(load_row)(row, d + (size_t)c * 8, element));
  }
}

/// out = out * factor + sum_j weight_j v_j for a group of queries over the CT * 8 columns of a strip: keys in order, as in
/// `value_tile`.
INLINE void ISA(strip_tile)(const float *strip, size_t count, const float *weights, const float *factors, float *out,
                            size_t outStride, const int CT) {
  f32x8 sums[QUERY_GROUP][2];
  for (int i = 0; i < QUERY_GROUP; i++) {
    for (int c = 0; c < CT; c++) sums[i][c] = load(out + (size_t)i * outStride + c * 8) * factors[i];
  }
  for (size_t j = 0; j < count; j++) {
    for (int c = 0; c < CT; c++) {
      f32x8 v = load(strip + j * STRIP + c * 8);
      for (int i = 0; i < QUERY_GROUP; i++) sums[i][c] += splat(weights[(size_t)i * KEY_TILE + j]) * v;
    }
  }
  for (int i = 0; i < QUERY_GROUP; i++) {
    for (int c = 0; c < CT; c++) store(out + (size_t)i * outStride + c * 8, sums[i][c]);
  }
}

/// What a tile of keys is to the queries of a block; of query i at i, i * KEY_TILE or of its group.
typedef struct {
  size_t firstKey, count, prefix;
  /// Transposed [dKV, KEY_TILE] for groups of queries; scales [KEY_TILE] of int8 rows, or NULL.
  float *keys, *keyScales, *valueScales;
  float *weights, *maxima, *sums, *factors;
  /// Keys from which on the weights of a whole group are zero.
  size_t longest[QUERY_BLOCK];
  float *strip;
} ISA(KeyTile);

/// Weights of QT queries (1 or a group), `first` in the block, which starts with query `block`.
INLINE void ISA(weigh_group)(const TuskAttention *a, ISA(KeyTile) *tile, size_t block, size_t first, const int QT) {
  const size_t query = block + first, count = tile->count;
  float *weights = tile->weights + first * KEY_TILE;
  if (QT == 1) {
    ISA(score_keys)(a, a->queries + query * a->queryStride, tile->firstKey, count, tile->prefix, weights);
  } else {
    size_t c = 0;
    for (; c + 16 <= count; c += 16) ISA(score_tile)(a, query, tile->keys + c, weights + c, 2);
    for (; c < count; c += 8) ISA(score_tile)(a, query, tile->keys + c, weights + c, 1);
  }
  size_t longest = 0;
  for (size_t i = first; i < first + (size_t)QT; i++) {
    size_t index = a->firstQueryIndex + block + i;
    size_t visible = count;
    if (a->causal) {
      size_t end = a->prefixCount + index + 1;
      visible = end < tile->firstKey ? 0 : (end - tile->firstKey < count ? end - tile->firstKey : count);
    }
    float *w = tile->weights + i * KEY_TILE;
    tile->factors[i] = 1;
    if (visible > 0) {
      tile->factors[i] =
          ISA(soften)(a, index, tile->firstKey, visible, tile->keyScales, w, &tile->maxima[i], &tile->sums[i]);
    }
    if (tile->valueScales) ISA(multiply_f32)(w, tile->valueScales, visible);
    for (size_t j = visible; j < count; j++) w[j] = 0;
    longest = visible > longest ? visible : longest;
  }
  tile->longest[first] = longest;
}

/// One strip for the first `grouped` queries of a block.
INLINE void ISA(add_strip)(const TuskAttention *a, const ISA(KeyTile) *tile, size_t block, size_t grouped, size_t d,
                           const int CT) {
#define PACK_VALUES(element) ISA(pack_values)(a, tile->firstKey, tile->count, d, tile->strip, CT, element)
  WITH_ELEMENT(a->element, PACK_VALUES);
#undef PACK_VALUES
  for (size_t i = 0; i < grouped; i += QUERY_GROUP) {
    ISA(strip_tile)(tile->strip, tile->longest[i], tile->weights + i * KEY_TILE, tile->factors + i,
                    a->out + (block + i) * a->outStride + d, a->outStride, CT);
  }
}

/// The columns from `column` on of one query.
INLINE void ISA(add_single)(const TuskAttention *a, const ISA(KeyTile) *tile, size_t block, size_t i, size_t longest,
                            size_t column, const TuskElement element) {
  float *out = a->out + (block + i) * a->outStride;
  const float *weights = tile->weights + i * KEY_TILE;
  size_t d = column;
  for (; d + 64 <= a->dKV; d += 64) {
    ISA(value_tile)(a, out, tile->firstKey, longest, weights, tile->factors[i], d, 8, element);
  }
  for (; d + 8 <= a->dKV; d += 8) {
    ISA(value_tile)(a, out, tile->firstKey, longest, weights, tile->factors[i], d, 1, element);
  }
  if (d < a->dKV) ISA(value_tail)(a, out, tile->firstKey, longest, weights, tile->factors[i], element);
}

/// The values of a tile for `queries` queries of a block, whole groups first: for them values are packed in strips, which
/// stay in the first-level cache.
static void ISA(add_values)(const TuskAttention *a, const ISA(KeyTile) *tile, size_t block, size_t queries) {
  const size_t grouped = queries / QUERY_GROUP * QUERY_GROUP;
  size_t d = 0;
  if (grouped > 0) {
    for (; d + STRIP <= a->dKV; d += STRIP) ISA(add_strip)(a, tile, block, grouped, d, 2);
    for (; d + 8 <= a->dKV; d += 8) ISA(add_strip)(a, tile, block, grouped, d, 1);
  }
  for (size_t i = d < a->dKV ? 0 : grouped; i < queries; i++) {
    const size_t column = i < grouped ? d : 0;
    const size_t longest = tile->longest[i < grouped ? i / QUERY_GROUP * QUERY_GROUP : i];
#define ADD_SINGLE(element) ISA(add_single)(a, tile, block, i, longest, column, element)
    WITH_ELEMENT(a->element, ADD_SINGLE);
#undef ADD_SINGLE
  }
}

static void ISA(attend_f32)(const TuskAttention *a, float *scratch) {
  ISA(KeyTile) tile = {.keys = scratch};
  tile.weights = tile.keys + a->dKV * KEY_TILE;
  tile.maxima = tile.weights + QUERY_BLOCK * KEY_TILE;
  tile.sums = tile.maxima + QUERY_BLOCK;
  tile.factors = tile.sums + QUERY_BLOCK;
  tile.strip = tile.factors + QUERY_BLOCK;
  if (a->element == TuskElementI8) {
    tile.keyScales = tile.strip + KEY_TILE * STRIP;
    tile.valueScales = tile.keyScales + KEY_TILE;
  }
  for (size_t block = 0; block < a->queryCount; block += QUERY_BLOCK) {
    size_t queries = a->queryCount - block < QUERY_BLOCK ? a->queryCount - block : QUERY_BLOCK;
    for (size_t i = 0; i < queries; i++) {
      tile.maxima[i] = -__builtin_inff();
      tile.sums[i] = 0;
      __builtin_memset(a->out + (block + i) * a->outStride, 0, a->dKV * sizeof(float));
    }
    size_t keyEnd = a->keyCount;
    if (a->causal && a->firstQueryIndex + block + queries < keyEnd) keyEnd = a->firstQueryIndex + block + queries;
    keyEnd += a->prefixCount;
    for (size_t firstKey = 0; firstKey < keyEnd; firstKey += KEY_TILE) {
      tile.firstKey = firstKey;
      tile.count = keyEnd - firstKey < KEY_TILE ? keyEnd - firstKey : KEY_TILE;
      tile.prefix = ISA(prefix_part)(a, firstKey, tile.count);
      if (queries >= QUERY_GROUP) ISA(transpose_keys)(a, firstKey, tile.count, tile.prefix, tile.keys);
      if (tile.keyScales) ISA(gather_scales)(a, firstKey, tile.count, tile.prefix, tile.keyScales, tile.valueScales);
      size_t i = 0;
      for (; i + QUERY_GROUP <= queries; i += QUERY_GROUP) ISA(weigh_group)(a, &tile, block, i, QUERY_GROUP);
      for (; i < queries; i++) ISA(weigh_group)(a, &tile, block, i, 1);
      ISA(add_values)(a, &tile, block, queries);
    }
    for (size_t i = 0; i < queries; i++) {
      if (tile.sums[i] != 0) ISA(scale_f32)(a->out + (block + i) * a->outStride, 1.0f / tile.sums[i], a->dKV);
    }
  }
}
