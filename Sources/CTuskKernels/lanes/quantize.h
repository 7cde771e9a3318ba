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
