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

INLINE size_t ISA(row_of)(const TuskAttention *a, size_t key) {
  return a->rowIndex ? (size_t)a->rowIndex[key] : key;
}

/// How many of the positions first ..< first + count belong to the prefix.
INLINE size_t ISA(prefix_part)(const TuskAttention *a, size_t first, size_t count) {
  if (first >= a->prefixCount) return 0;
  return a->prefixCount - first < count ? a->prefixCount - first : count;
}

/// Eight rows of eight numbers to eight columns of floats, in registers.
INLINE void ISA(transpose_8x8)(const void *const rows[8], size_t d, float *out, const TuskElement element) {
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
    store(out + i * KEY_TILE, __builtin_shufflevector(t[i], t[i + 4], 0, 1, 2, 3, 8, 9, 10, 11));
    store(out + (i + 4) * KEY_TILE, __builtin_shufflevector(t[i], t[i + 4], 4, 5, 6, 7, 12, 13, 14, 15));
  }
}

/// Eight rows as eight columns of out [dKV, KEY_TILE].
INLINE void ISA(transpose_rows)(const void *const rows[8], size_t dKV, float *out, const TuskElement element) {
  size_t d = 0;
  for (; d + 8 <= dKV; d += 8) ISA(transpose_8x8)(rows, d, out + d * KEY_TILE, element);
  for (; d < dKV; d++) {
    for (size_t i = 0; i < 8; i++) out[d * KEY_TILE + i] = ISA(load_one)(rows[i], d, element);
  }
}

/// Rows row ..< row + count of one element as columns `column` on of out [dKV, KEY_TILE]. Up to 7 columns behind them
/// repeat the last row.
INLINE void ISA(transpose_part)(const TuskAttention *a, const void *base, size_t stride, const int32_t *rowIndex,
                                size_t row, size_t count, float *out, size_t column, const TuskElement element) {
  for (size_t group = 0; group < count; group += 8) {
    const void *rows[8];
    for (size_t i = 0; i < 8; i++) {
      size_t key = row + (group + i < count ? group + i : count - 1);
      size_t place = rowIndex ? (size_t)rowIndex[key] : key;
      rows[i] = (const char *)base + place * stride * ISA(element_bytes)(element);
    }
    float *columns = out + column + group;
    if (column + group + 8 <= KEY_TILE) {
      ISA(transpose_rows)(rows, a->dKV, columns, element);
      continue;
    }
    // Behind a prefix that is no multiple of 8, at the end of a tile.
    for (size_t i = 0; group + i < count; i++) {
      for (size_t d = 0; d < a->dKV; d++) columns[d * KEY_TILE + i] = ISA(load_one)(rows[i], d, element);
    }
  }
}

/// Keys at positions first ..< first + count, the first `prefix` of them of the prefix, as columns of out
/// [dKV, KEY_TILE]. What is in columns behind count up to a multiple of 8 does not matter: their scores are masked.
static void ISA(transpose_keys)(const TuskAttention *a, size_t first, size_t count, size_t prefix, float *out) {
  if (prefix > 0) {
    ISA(transpose_part)(a, a->prefixKeys, a->prefixStride, NULL, first, prefix, out, 0, TuskElementF32);
  }
  size_t key = first + prefix - a->prefixCount, keys = count - prefix;
#define TRANSPOSE(element) \
  ISA(transpose_part)(a, a->keys, a->keyStride, a->rowIndex, key, keys, out, prefix, element)
  WITH_ELEMENT(a->element, TRANSPOSE);
#undef TRANSPOSE
}

/// Scales of the keys and values of a tile, 1 for rows of the prefix; behind count up to a multiple of 8, 0.
static void ISA(gather_scales)(const TuskAttention *a, size_t first, size_t count, size_t prefix, float *keyScales,
                               float *valueScales) {
  for (size_t j = 0; j < count; j++) {
    size_t place = j < prefix ? 0 : ISA(row_of)(a, first + j - a->prefixCount) * a->scaleStride;
    keyScales[j] = j < prefix ? 1 : a->keyScales[place];
    valueScales[j] = j < prefix ? 1 : a->valueScales[place];
  }
  for (size_t j = count; j % LANES != 0; j++) keyScales[j] = valueScales[j] = 0;
}

#endif
