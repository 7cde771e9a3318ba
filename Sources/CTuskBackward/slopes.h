#ifndef TUSK_SLOPES_H
#define TUSK_SLOPES_H

#include "math.h"
#include "tusk_backward.h"

/// e^(-x^2 / 2) / sqrt(2 pi)
INLINE f32x8 normal_density_lanes(f32x8 x) { return exp_lanes(-0.5f * x * x) * 0.398942280f; }

INLINE f32x8 gelu_slope_lanes(f32x8 x) {
  return 0.5f * one_plus_erf_lanes(x * 0.707106781f) + x * normal_density_lanes(x);
}

/// x s(u) with u' = du/dx: s + x s (1 - s) u'.
INLINE f32x8 gated_slope_lanes(f32x8 x, f32x8 u, f32x8 slope) {
  f32x8 s = sigmoid_lanes(u);
  return s + x * s * (1.0f - s) * slope;
}

INLINE f32x8 mish_slope_lanes(f32x8 x) {
  f32x8 w = exp_lanes(choose(x < 0.0f, x, -x));
  f32x8 sum = choose(x < 0.0f, w * (w + 2.0f), 1.0f + 2.0f * w);
  f32x8 t = sum / (sum + choose(x < 0.0f, splat(2), 2.0f * w * w));
  return t + x * (1.0f - t * t) * sigmoid_lanes(x);
}

INLINE f32x8 slope_lanes(TuskActivation kind, f32x8 x) {
  switch (kind) {
  case TuskActivationIdentity: return splat(1);
  case TuskActivationRelu: return choose(x > 0.0f, splat(1), splat(0));
  case TuskActivationGelu: return gelu_slope_lanes(x);
  case TuskActivationGeluNew:
    return gated_slope_lanes(x, 1.59576912f * (x + 0.044715f * x * x * x), 1.59576912f * (1.0f + 0.134145f * x * x));
  case TuskActivationSilu: return gated_slope_lanes(x, x, splat(1));
  case TuskActivationTanh: {
    f32x8 t = tanh_lanes(x);
    return 1.0f - t * t;
  }
  case TuskActivationSigmoid: {
    f32x8 s = sigmoid_lanes(x);
    return s * (1.0f - s);
  }
  case TuskActivationLeakyRelu: return choose(x < 0.0f, splat(0.01f), splat(1));
  case TuskActivationQuickGelu: return gated_slope_lanes(x, 1.702f * x, splat(1.702f));
  case TuskActivationMish: return mish_slope_lanes(x);
  case TuskActivationRelu6: return choose((x > 0.0f) & (x < 6.0f), splat(1), splat(0));
  case TuskActivationRelu2: return choose(x > 0.0f, 2.0f * x, splat(0));
  case TuskActivationGelu10: {
    f32x8 y = 0.5f * x * one_plus_erf_lanes(x * 0.707106781f);
    return choose(y < 10.0f, gelu_slope_lanes(x), splat(0));
  }
  case TuskActivationLaplace: {
    f32x8 z = (x - 0.707107f) * 2.50662622f;
    return exp_lanes(-(z * z)) * 1.41421354f;
  }
  }
  return splat(0);
}

/// max(x), then x = e^(x - max); returns their sum, formed in blocks of 512, between which it is double.
INLINE float exponentials(float *x, size_t n) {
  float most = x[0];
  for (size_t i = 1; i < n; i++) most = x[i] > most ? x[i] : most;
  double total = 0;
  size_t i = 0;
  while (i + LANES <= n) {
    size_t end = n - i < 512 ? n : i + 512;
    f32x8 sums = splat(0);
    for (; i + LANES <= end; i += LANES) {
      f32x8 e = exp_lanes(load(x + i) - most);
      store(x + i, e);
      sums += e;
    }
    total += (double)sum_lanes(sums);
  }
  if (i < n) {
    float tail[LANES];
    store(tail, exp_lanes(load_part(x + i, n - i) - most));
    for (size_t j = 0; i < n; i++, j++) {
      x[i] = tail[j];
      total += (double)tail[j];
    }
  }
  return (float)total;
}

INLINE uint64_t mixed(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

#endif
