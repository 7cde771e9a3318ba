#ifndef TUSK_LANES_MATH_H
#define TUSK_LANES_MATH_H

#include "lanes.h"

/// Adding and subtracting 1.5 * 2^23 rounds |x| < 2^22 to the nearest integer, ties to even.
#define ROUNDING_MAGIC 12582912.0f

/// e^x, relative error <= 2e-7. Below -87.33 (where the result would be subnormal) 0, above 88.72 infinity; NaN stays.
INLINE f32x8 exp_lanes(f32x8 x) {
  f32x8 shifted = smaller(larger(x, splat(-87.5f)), splat(89.0f)) * 1.44269504f + ROUNDING_MAGIC;
  f32x8 n = shifted - ROUNDING_MAGIC;
  // ln 2 in two parts; the first has 9 bits, so n times it is exact.
  f32x8 r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  f32x8 q = splat(0.00138144639f);
  q = q * r + 0.00836878038f;
  q = q * r + 0.0416683943f;
  q = q * r + 0.166665201f;
  q = q * r + 0.499999934f;
  f32x8 p = (q * (r * r) + r) + 1.0f;
  // 2^n in two factors, since 2^128 is not a float.
  i32x8 exponent = bits(shifted) - 0x4B400000;
  i32x8 half = exponent >> 1;
  f32x8 y = p * (f32x8)((half + 127) << 23) * (f32x8)((exponent - half + 127) << 23);
  y = choose(x < -87.3365479f, splat(0), y);
  y = choose(x > 88.7228394f, splat(__builtin_inff()), y);
  return choose(x == x, y, x);
}

/// 1 + erf(z) with z = x / sqrt 2, absolute error <= 1e-7 (relative 3e-7 for z <= -1, where erfc is used).
INLINE f32x8 one_plus_erf_lanes(f32x8 z) {
  f32x8 a = larger(z, -z);
  f32x8 u = z * z;
  f32x8 near = splat(7.889124432e-5f);
  near = near * u - 8.020842733e-4f;
  near = near * u + 5.189535501e-3f;
  near = near * u - 2.685444468e-2f;
  near = near * u + 0.1128360018f;
  near = near * u - 0.3761262714f;
  near = near * u + 1.128379166f;
  near = 1.0f + z * near;
  f32x8 t = 1.0f / (1.0f + 0.5f * a);
  f32x8 q = splat(0.093031343f);
  q = q * t - 0.2248463929f;
  q = q * t + 0.08064569322f;
  q = q * t + 0.06225342081f;
  q = q * t + 0.1782818794f;
  q = q * t + 0.2470786103f;
  q = q * t + 0.2820254816f;
  q = q * t + 0.2820991202f;
  f32x8 complement = exp_lanes(-u) * (q * t);
  f32x8 far = choose(z < 0.0f, complement, 2.0f - complement);
  f32x8 y = choose(a < 1.0f, near, far);
  return choose(z == z, y, z);
}

INLINE f32x8 sigmoid_lanes(f32x8 x) { return 1.0f / (1.0f + exp_lanes(-x)); }

INLINE f32x8 tanh_lanes(f32x8 x) {
  f32x8 u = x * x;
  f32x8 q = splat(-0.005660789144f);
  q = q * u + 0.02060200773f;
  q = q * u - 0.05372922998f;
  q = q * u + 0.1333132896f;
  q = q * u - 0.3333327832f;
  f32x8 near = x + x * (u * q);
  f32x8 far = 1.0f - 2.0f / (exp_lanes(x + x) + 1.0f);
  return choose(u < 0.4f, near, far);
}

/// The natural logarithm of a positive normal number, in double precision, error below 1e-9.
INLINE double log_of(float x) {
  uint32_t word;
  __builtin_memcpy(&word, &x, sizeof word);
  int exponent = (int)(word >> 23) - 127;
  word = (word & 0x7FFFFF) | 0x3F800000;
  float mantissa;
  __builtin_memcpy(&mantissa, &word, sizeof mantissa);
  double m = mantissa;
  if (m > 1.41421356) {
    m *= 0.5;
    exponent += 1;
  }
  // log m = 2 atanh((m - 1) / (m + 1)); |s| <= 0.172, so the next term is below 2e-11.
  double s = (m - 1) / (m + 1), u = s * s;
  double series = 1 + u * (1.0 / 3 + u * (1.0 / 5 + u * (1.0 / 7 + u * (1.0 / 9 + u * (1.0 / 11)))));
  return exponent * 0.6931471805599453 + 2 * s * series;
}

#endif
