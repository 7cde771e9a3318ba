#include "../attention_plan.h"
#include "lanes.h"
#include "math.h"

INLINE size_t ISA(row_of)(const TuskAttention *a, size_t key) {
  return a->rowIndex ? (size_t)a->rowIndex[key] : key;
}

/// The row of position t: of the prefix, then of the keys.
INLINE const float *ISA(key_at)(const TuskAttention *a, size_t t) {
  if (t < a->prefixCount) return a->prefixKeys + t * a->prefixStride;
  return a->keys + ISA(row_of)(a, t - a->prefixCount) * a->keyStride;
}

/// Values of positions first ..< first + count that belong to the prefix.
INLINE size_t ISA(prefix_part)(const TuskAttention *a, size_t first, size_t count) {
  if (first >= a->prefixCount) return 0;
  return a->prefixCount - first < count ? a->prefixCount - first : count;
}

/// Eight rows of eight floats to eight columns, in registers.
INLINE void ISA(transpose_8x8)(const float *const rows[8], size_t d, float *out, size_t outStride) {
  f32x8 r[8], s[8], t[8];
  for (int i = 0; i < 8; i++) r[i] = load(rows[i] + d);
  for (int i = 0; i < 4; i++) {
    s[2 * i] = __builtin_shufflevector(r[2 * i], r[2 * i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    s[2 * i + 1] = __builtin_shufflevector(r[2 * i], r[2 * i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 2; i++) {
    for (int j = 0; j < 2; j++) {
      f32x8 a = s[4 * i + j], b = s[4 * i + j + 2];
      t[4 * i + 2 * j] = __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13);
      t[4 * i + 2 * j + 1] = __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
    }
  }
  for (int i = 0; i < 4; i++) {
    store(out + (size_t)i * outStride, __builtin_shufflevector(t[i], t[i + 4], 0, 1, 2, 3, 8, 9, 10, 11));
    store(out + (size_t)(i + 4) * outStride, __builtin_shufflevector(t[i], t[i + 4], 4, 5, 6, 7, 12, 13, 14, 15));
  }
}

/// Keys at positions first ..< first + count as columns: out [dKV, KEY_TILE]. Columns behind count up to a multiple of 8 repeat the
/// last key; their scores are masked.
static void ISA(transpose_keys)(const TuskAttention *a, size_t first, size_t count, float *out) {
  for (size_t group = 0; group < count; group += 8) {
    const float *rows[8];
    for (size_t i = 0; i < 8; i++) {
      size_t key = group + i < count ? group + i : count - 1;
      rows[i] = ISA(key_at)(a, first + key);
    }
    size_t d = 0;
    for (; d + 8 <= a->dKV; d += 8) ISA(transpose_8x8)(rows, d, out + d * KEY_TILE + group, KEY_TILE);
    for (; d < a->dKV; d++) {
      for (size_t i = 0; i < 8; i++) out[d * KEY_TILE + group + i] = rows[i][d];
    }
  }
}

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
/// Updates the running maximum and sum; returns the factor for what was accumulated before.
static float ISA(soften)(const TuskAttention *a, size_t queryIndex, size_t firstKey, size_t visible, float *scores,
                         float *maximum, float *sum) {
  const float *bias = a->relativeBias ? a->relativeBias + (ptrdiff_t)firstKey - (ptrdiff_t)queryIndex : NULL;
  f32x8 largest = splat(-__builtin_inff());
  for (size_t j = 0; j < visible; j += 8) {
    f32x8 s = load(scores + j) * a->scale;
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

/// sums += weight_j v for one row of values, CT * 8 columns, QT queries.
INLINE void ISA(add_value)(f32x8 sums[QUERY_GROUP][8], const float *v, const float *weights, size_t j, const int QT,
                           const int CT) {
  for (int c = 0; c < CT; c++) {
    f32x8 lanes = load(v + c * 8);
    for (int i = 0; i < QT; i++) sums[i][c] += splat(weights[i * KEY_TILE + j]) * lanes;
  }
}

/// out = out * factor + sum_j weight_j v_j for QT queries and CT * 8 columns from column d on: keys in order, whatever
/// the tile.
INLINE void ISA(value_tile)(const TuskAttention *a, size_t query, size_t firstKey, size_t count, const float *weights,
                            const float *factors, size_t d, const int QT, const int CT) {
  f32x8 sums[QUERY_GROUP][8];
  for (int i = 0; i < QT; i++) {
    const float *out = a->out + (query + (size_t)i) * a->outStride + d;
    for (int c = 0; c < CT; c++) sums[i][c] = load(out + c * 8) * factors[i];
  }
  size_t j = 0, prefix = ISA(prefix_part)(a, firstKey, count);
  for (; j < prefix; j++) {
    ISA(add_value)(sums, a->prefixValues + (firstKey + j) * a->prefixStride + d, weights, j, QT, CT);
  }
  for (; j < count; j++) {
    size_t row = ISA(row_of)(a, firstKey + j - a->prefixCount);
    ISA(add_value)(sums, a->values + row * a->valueStride + d, weights, j, QT, CT);
  }
  for (int i = 0; i < QT; i++) {
    float *out = a->out + (query + (size_t)i) * a->outStride + d;
    for (int c = 0; c < CT; c++) store(out + c * 8, sums[i][c]);
  }
}

/// The columns behind the last multiple of 8.
static void ISA(value_tail)(const TuskAttention *a, size_t query, size_t firstKey, size_t count, const float *weights,
                            const float *factors, size_t d, size_t queries) {
  for (size_t i = 0; i < queries; i++) {
    float *out = a->out + (query + i) * a->outStride;
    for (size_t column = d; column < a->dKV; column++) {
      float sum = out[column] * factors[i];
      size_t j = 0, prefix = ISA(prefix_part)(a, firstKey, count);
      for (; j < prefix; j++) {
        sum += weights[i * KEY_TILE + j] * a->prefixValues[(firstKey + j) * a->prefixStride + column];
      }
      for (; j < count; j++) {
        size_t row = ISA(row_of)(a, firstKey + j - a->prefixCount);
        sum += weights[i * KEY_TILE + j] * a->values[row * a->valueStride + column];
      }
      out[column] = sum;
    }
  }
}

/// One tile of keys for QT queries.
INLINE void ISA(attend_group)(const TuskAttention *a, size_t query, size_t firstKey, size_t count, const float *keys,
                              float *weights, float *maxima, float *sums, const int QT) {
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
    if (visible > 0) factors[i] = ISA(soften)(a, index, firstKey, visible, w, &maxima[i], &sums[i]);
    for (size_t j = visible; j < count; j++) w[j] = 0;
    longest = visible > longest ? visible : longest;
  }
  size_t d = 0;
  if (QT == 1) {
    for (; d + 64 <= a->dKV; d += 64) ISA(value_tile)(a, query, firstKey, longest, weights, factors, d, QT, 8);
  }
  for (; d + 16 <= a->dKV; d += 16) ISA(value_tile)(a, query, firstKey, longest, weights, factors, d, QT, 2);
  for (; d + 8 <= a->dKV; d += 8) ISA(value_tile)(a, query, firstKey, longest, weights, factors, d, QT, 1);
  if (d < a->dKV) ISA(value_tail)(a, query, firstKey, longest, weights, factors, d, (size_t)QT);
}

static void ISA(attend_f32)(const TuskAttention *a, float *scratch) {
  float *keys = scratch;
  float *weights = keys + a->dKV * KEY_TILE;
  float *maxima = weights + QUERY_GROUP * KEY_TILE;
  float *sums = maxima + QUERY_BLOCK;
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
      ISA(transpose_keys)(a, firstKey, count, keys);
      size_t i = 0;
      for (; i + QUERY_GROUP <= queries; i += QUERY_GROUP) {
        ISA(attend_group)(a, block + i, firstKey, count, keys, weights, maxima + i, sums + i, QUERY_GROUP);
      }
      for (; i < queries; i++) {
        ISA(attend_group)(a, block + i, firstKey, count, keys, weights, maxima + i, sums + i, 1);
      }
    }
    for (size_t i = 0; i < queries; i++) {
      if (sums[i] != 0) ISA(scale_f32)(a->out + (block + i) * a->outStride, 1.0f / sums[i], a->dKV);
    }
  }
}
