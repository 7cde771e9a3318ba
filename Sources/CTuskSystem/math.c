#include "tusk_math.h"

#pragma STDC FP_CONTRACT OFF

/// 2^n for -1022 <= n <= 1023.
static double power_of_two(int n) {
  uint64_t word = (uint64_t)(n + 1023) << 52;
  double power;
  __builtin_memcpy(&power, &word, sizeof power);
  return power;
}

float tusk_log_f32(float x) {
  if (!(x > 0)) return x == 0 ? -__builtin_inff() : __builtin_nanf("");
  if (x > 3.40282347e38f) return x;
  double m = x;  // of a subnormal float, too, a normal number
  uint64_t word;
  __builtin_memcpy(&word, &m, sizeof word);
  int exponent = (int)(word >> 52) - 1023;
  word = (word & 0xFFFFFFFFFFFFF) | (uint64_t)1023 << 52;
  __builtin_memcpy(&m, &word, sizeof m);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    exponent += 1;
  }
  // log m = 2 atanh(s); |s| <= 0.1716, so what is left out is below 2e-17 of it.
  double s = (m - 1) / (m + 1), u = s * s, series = 0;
  for (int k = 21; k >= 1; k -= 2) series = series * u + 1.0 / k;
  return (float)(exponent * 0.69314718055994531 + 2 * s * series);
}

float tusk_exp_f32(float x) {
  if (x != x) return x;
  if (x > 88.8f) return __builtin_inff();
  if (x < -104.0f) return 0;
  double scaled = x * 1.4426950408889634;
  int n = (int)(scaled + (scaled < 0 ? -0.5 : 0.5));
  double r = x - n * 0.69314718055994531, series = 1;
  // |r| <= 0.347, so what is left out is below 1e-16.
  for (int k = 13; k >= 1; k--) series = series * r / k + 1;
  return (float)(series * power_of_two(n));
}
