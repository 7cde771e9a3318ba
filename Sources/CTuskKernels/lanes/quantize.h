#include "lanes.h"
#include "math.h"

/// The largest |x| of a row as bits: for bits without sign the order of integers is the order of floats, with
/// infinities and NaNs above all numbers.
static int32_t ISA(absmax_bits)(const float *x, size_t K) {
  i32x8 largest = (i32x8)0;
  for (size_t k = 0; k < K; k += LANES) {
    i32x8 v = bits(K - k >= LANES ? load(x + k) : load_part(x + k, K - k)) & 0x7FFFFFFF;
    largest = __builtin_elementwise_max(largest, v);
  }
  int32_t m = 0;
  for (int i = 0; i < LANES; i++) m = largest[i] > m ? largest[i] : m;
  return m;
}

INLINE void ISA(quantize_lanes)(f32x8 x, float inverse, int16_t *codes) {
  f32x8 rounded = (x * inverse + ROUNDING_MAGIC);
  i32x8 code = bits(rounded) - 0x4B400000;
  code = __builtin_elementwise_max(code, (i32x8)-TUSK_ACTIVATION_LIMIT);
  code = __builtin_elementwise_min(code, (i32x8)TUSK_ACTIVATION_LIMIT);
  typedef int16_t i16x8 __attribute__((ext_vector_type(8)));
  i16x8 narrow = __builtin_convertvector(code, i16x8);
  __builtin_memcpy(codes, &narrow, sizeof narrow);
}

static void ISA(quantize_i16_f32)(const float *x, size_t xStride, size_t M, size_t K, int16_t *codes,
                                  size_t codesStride, float *scales) {
  for (size_t m = 0; m < M; m++, x += xStride, codes += codesStride) {
    int32_t word = ISA(absmax_bits)(x, K);
    float absmax;
    __builtin_memcpy(&absmax, &word, sizeof absmax);
    float inverse = (float)TUSK_ACTIVATION_LIMIT / absmax;
    bool finite = word < 0x7F800000;
    if (!finite || inverse > 3.40282347e38f) {
      __builtin_memset(codes, 0, codesStride * sizeof *codes);
      scales[m] = finite ? 0.0f : __builtin_nanf("");
      continue;
    }
    scales[m] = absmax / (float)TUSK_ACTIVATION_LIMIT;
    size_t k = 0;
    for (; k + LANES <= K; k += LANES) ISA(quantize_lanes)(load(x + k), inverse, codes + k);
    if (k < K) {
      ISA(quantize_lanes)(load_part(x + k, K - k), inverse, codes + k);
      k += LANES;
    }
    // codesStride is a multiple of 64, so the 8 codes of the tail stay inside the row.
    __builtin_memset(codes + k, 0, (codesStride - k) * sizeof *codes);
  }
}

/// Halves nearest to 8 floats, ties to even, magnitudes above the largest half as that; NaN stays.
INLINE u16x8 ISA(to_f16)(f32x8 x) {
  i32x8 sign = bits(x) & (int32_t)0x80000000;
  f32x8 magnitude = smaller((f32x8)(bits(x) & 0x7FFFFFFF), splat(65504.0f));
  i32x8 word = bits(magnitude);
  // Rounds the mantissa to 10 bits and moves the exponent; a carry is what rounding up to the next power of 2 is.
  i32x8 normal = (word + 0xFFF + ((word >> 13) & 1) - (112 << 23)) >> 13;
  // Below 2^-14 the halves are 2^-24 apart, as floats from 0.5 on are.
  i32x8 subnormal = bits(magnitude + 0.5f) - 0x3F000000;
  i32x8 half = (i32x8)choose(magnitude < 0x1p-14f, (f32x8)subnormal, (f32x8)normal);
  half = (i32x8)choose(x == x, (f32x8)half, (f32x8)(i32x8)0x7E00);
  return __builtin_convertvector(half | ((sign >> 16) & 0x8000), u16x8);
}

static void ISA(convert_f16_f32)(const float *x, size_t n, uint16_t *y) {
  size_t k = 0;
  for (; k + LANES <= n; k += LANES) {
    u16x8 half = ISA(to_f16)(load(x + k));
    __builtin_memcpy(y + k, &half, sizeof half);
  }
  if (k < n) {
    u16x8 half = ISA(to_f16)(load_part(x + k, n - k));
    for (size_t i = 0; k + i < n; i++) y[k + i] = half[i];
  }
}

static void ISA(quantize_i8_f32)(const float *x, size_t groups, size_t width, int8_t *codes, float *scales) {
  for (size_t group = 0; group < groups; group++, x += width, codes += width) {
    int32_t word = ISA(absmax_bits)(x, width);
    float absmax;
    __builtin_memcpy(&absmax, &word, sizeof absmax);
    float inverse = 127.0f / absmax;
    bool finite = word < 0x7F800000;
    if (!finite || inverse > 3.40282347e38f) {
      __builtin_memset(codes, 0, width);
      scales[group] = finite ? 0.0f : __builtin_nanf("");
      continue;
    }
    scales[group] = absmax / 127.0f;
    for (size_t k = 0; k < width; k += LANES) {
      size_t count = width - k < LANES ? width - k : LANES;
      f32x8 v = count == LANES ? load(x + k) : load_part(x + k, count);
      // At most 127 in magnitude: absmax * (127 / absmax) rounds to less than 127.5.
      i8x8 narrow = __builtin_convertvector(bits(v * inverse + ROUNDING_MAGIC) - 0x4B400000, i8x8);
      __builtin_memcpy(codes + k, &narrow, count);
    }
  }
}
