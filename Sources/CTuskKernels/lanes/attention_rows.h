#ifndef TUSK_LANES_ATTENTION_ROWS_H
#define TUSK_LANES_ATTENTION_ROWS_H

#include "../attention_plan.h"
#include "lanes.h"

/// Rows of keys and values of any element as vectors of floats. `element` is a constant wherever these are inlined, unless
/// TUSK_COMPACT is defined, where size counts and time does not.

/// CALL(element), in a body of its own for each.
#if defined(TUSK_COMPACT)
#define WITH_ELEMENT(element, CALL) CALL(element)
#else
#define WITH_ELEMENT(element, CALL)                    \
  switch (element) {                                   \
  case TuskElementF16: CALL(TuskElementF16); break;    \
  case TuskElementI8: CALL(TuskElementI8); break;      \
  default: CALL(TuskElementF32);                       \
  }
#endif

/// 8 numbers of a row from column d on, without a scale.
INLINE f32x8 ISA(load_row)(const void *row, size_t d, const TuskElement element) {
  switch (element) {
  case TuskElementF16: return load_f16((const uint16_t *)row + d);
  case TuskElementI8: return load_i8((const int8_t *)row + d);
  default: return load((const float *)row + d);
  }
}

/// One number of a row; a half in a vector of its own, so that it is converted as in `load_row`.
INLINE float ISA(load_one)(const void *row, size_t d, const TuskElement element) {
  if (element == TuskElementF16) {
    uint16_t lanes[LANES] = {((const uint16_t *)row)[d]};
    return load_f16(lanes)[0];
  }
  return element == TuskElementI8 ? (float)((const int8_t *)row)[d] : ((const float *)row)[d];
}

INLINE size_t ISA(element_bytes)(const TuskElement element) {
  return element == TuskElementF32 ? 4 : (element == TuskElementF16 ? 2 : 1);
}

INLINE size_t ISA(row_of)(const int32_t *rowIndex, size_t key) { return rowIndex ? (size_t)rowIndex[key] : key; }

/// How many of the positions first ..< first + count belong to the prefix.
INLINE size_t ISA(prefix_part)(const TuskAttention *a, size_t first, size_t count) {
  if (first >= a->prefixCount) return 0;
  return a->prefixCount - first < count ? a->prefixCount - first : count;
}

/// Columns d ..< d + 8 of eight rows, in registers.
INLINE void ISA(load_columns)(const void *const rows[8], size_t d, f32x8 columns[8], const TuskElement element) {
  f32x8 r[8], s[8], t[8];
  for (int i = 0; i < 8; i++) r[i] = ISA(load_row)(rows[i], d, element);
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
    columns[i] = __builtin_shufflevector(t[i], t[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    columns[i + 4] = __builtin_shufflevector(t[i], t[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

/// One column of eight rows.
INLINE f32x8 ISA(load_column)(const void *const rows[8], size_t d, const TuskElement element) {
  f32x8 column;
  for (int i = 0; i < 8; i++) column[i] = ISA(load_one)(rows[i], d, element);
  return column;
}

/// Eight rows as eight columns of out [dKV, KEY_TILE].
INLINE void ISA(transpose_rows)(const void *const rows[8], size_t dKV, float *out, const TuskElement element) {
  size_t d = 0;
  for (; d + 8 <= dKV; d += 8) {
    f32x8 columns[8];
    ISA(load_columns)(rows, d, columns, element);
    for (size_t i = 0; i < 8; i++) store(out + (d + i) * KEY_TILE, columns[i]);
  }
  for (; d < dKV; d++) store(out + d * KEY_TILE, ISA(load_column)(rows, d, element));
}

/// Consecutive positions of a tile whose rows are of one kind: of the prefix, or keys.
typedef struct {
  const void *keys;
  size_t stride;
  const int32_t *rowIndex;
  /// The first row, how many, and where they begin in the tile.
  size_t row, count, column;
} ISA(KeyRows);

/// Keys i ..< i + 8; behind the last, that again.
INLINE void ISA(key_rows)(const ISA(KeyRows) *rows, size_t i, const void *keys[8], const TuskElement element) {
  for (size_t j = 0; j < 8; j++) {
    size_t row = ISA(row_of)(rows->rowIndex, rows->row + (i + j < rows->count ? i + j : rows->count - 1));
    keys[j] = (const char *)rows->keys + row * rows->stride * ISA(element_bytes)(element);
  }
}

/// Those rows as columns of out [dKV, KEY_TILE], and up to 7 more behind them.
INLINE void ISA(transpose_part)(const ISA(KeyRows) *rows, size_t dKV, float *out, const TuskElement element) {
  for (size_t group = 0; group < rows->count; group += 8) {
    const void *keys[8];
    ISA(key_rows)(rows, group, keys, element);
    float *columns = out + rows->column + group;
    if (rows->column + group + 8 <= KEY_TILE) {
      ISA(transpose_rows)(keys, dKV, columns, element);
      continue;
    }
    // Behind a prefix that is no multiple of 8, at the end of a tile.
    for (size_t i = 0; group + i < rows->count; i++) {
      for (size_t d = 0; d < dKV; d++) columns[d * KEY_TILE + i] = ISA(load_one)(keys[i], d, element);
    }
  }
}

/// Products of one query with those keys into scores [KEY_TILE], and up to 7 more behind them: one lane per key, summed
/// over d in order.
INLINE void ISA(score_part)(const ISA(KeyRows) *rows, const float *query, size_t dKV, float *scores,
                            const TuskElement element) {
  for (size_t group = 0; group < rows->count; group += 8) {
    const void *keys[8];
    ISA(key_rows)(rows, group, keys, element);
    f32x8 sums = splat(0);
    size_t d = 0;
    for (; d + 8 <= dKV; d += 8) {
      f32x8 columns[8];
      ISA(load_columns)(keys, d, columns, element);
      for (size_t i = 0; i < 8; i++) sums += splat(query[d + i]) * columns[i];
    }
    for (; d < dKV; d++) sums += splat(query[d]) * ISA(load_column)(keys, d, element);
    float *out = scores + rows->column + group;
    if (rows->column + group + 8 <= KEY_TILE) {
      store(out, sums);
    } else {
      store_part(out, sums, rows->count - group);
    }
  }
}

INLINE ISA(KeyRows) ISA(prefix_rows)(const TuskAttention *a, size_t first, size_t prefix) {
  return (ISA(KeyRows)){.keys = a->prefixKeys, .stride = a->prefixStride, .row = first, .count = prefix};
}

/// Behind the prefix, of a tile of `count` positions from `first` on.
INLINE ISA(KeyRows) ISA(own_rows)(const TuskAttention *a, size_t first, size_t count, size_t prefix) {
  return (ISA(KeyRows)){.keys = a->keys, .stride = a->keyStride, .rowIndex = a->rowIndex,
                        .row = first + prefix - a->prefixCount, .count = count - prefix, .column = prefix};
}

/// Keys at positions first ..< first + count, the first `prefix` of them of the prefix, as columns of out
/// [dKV, KEY_TILE]. What is in columns behind count up to a multiple of 8 does not matter: their scores are masked.
static void ISA(transpose_keys)(const TuskAttention *a, size_t first, size_t count, size_t prefix, float *out) {
  ISA(KeyRows) rows[2] = {ISA(prefix_rows)(a, first, prefix), ISA(own_rows)(a, first, count, prefix)};
  for (int part = prefix > 0 ? 0 : 1; part < 2; part++) {
#define TRANSPOSE(element) ISA(transpose_part)(&rows[part], a->dKV, out, element)
    WITH_ELEMENT(part == 0 ? TuskElementF32 : a->element, TRANSPOSE);
#undef TRANSPOSE
  }
}

/// Products of one query with the same keys, read in place.
static void ISA(score_keys)(const TuskAttention *a, const float *query, size_t first, size_t count, size_t prefix,
                            float *scores) {
  ISA(KeyRows) rows[2] = {ISA(prefix_rows)(a, first, prefix), ISA(own_rows)(a, first, count, prefix)};
  for (int part = prefix > 0 ? 0 : 1; part < 2; part++) {
#define SCORE(element) ISA(score_part)(&rows[part], query, a->dKV, scores, element)
    WITH_ELEMENT(part == 0 ? TuskElementF32 : a->element, SCORE);
#undef SCORE
  }
}

/// Scales of the keys and values of a tile, 1 for rows of the prefix; behind count up to a multiple of 8, 0.
static void ISA(gather_scales)(const TuskAttention *a, size_t first, size_t count, size_t prefix, float *keyScales,
                               float *valueScales) {
  for (size_t j = 0; j < count; j++) {
    size_t place = j < prefix ? 0 : ISA(row_of)(a->rowIndex, first + j - a->prefixCount) * a->scaleStride;
    keyScales[j] = j < prefix ? 1 : a->keyScales[place];
    valueScales[j] = j < prefix ? 1 : a->valueScales[place];
  }
  for (size_t j = count; j % LANES != 0; j++) keyScales[j] = valueScales[j] = 0;
}

#endif
