#include "lanes.h"
#include "math.h"

/// Applies `expression` of v to n floats of x in place, 8 at a time and the tail apart.
#define FOR_EACH_LANES(x, n, v, expression)                \
  do {                                                     \
    size_t i_ = 0;                                         \
    for (; i_ + LANES <= (n); i_ += LANES) {               \
      f32x8 v = load((x) + i_);                            \
      store((x) + i_, (expression));                       \
    }                                                      \
    if (i_ < (n)) {                                        \
      f32x8 v = load_part((x) + i_, (n) - i_);             \
      store_part((x) + i_, (expression), (n) - i_);        \
    }                                                      \
  } while (0)

/// tanh(ln(1 + e^x)) = s / (s + 2) with s = e^x (e^x + 2), by w = e^-|x| so that nothing overflows.
INLINE f32x8 tanh_softplus_lanes(f32x8 x) {
  f32x8 w = exp_lanes(choose(x < 0.0f, x, -x));
  f32x8 sum = choose(x < 0.0f, w * (w + 2.0f), 1.0f + 2.0f * w);
  return sum / (sum + choose(x < 0.0f, splat(2), 2.0f * w * w));
}

static void ISA(activate_f32)(TuskActivation kind, float *x, size_t n) {
  switch (kind) {
  case TuskActivationIdentity: break;
  case TuskActivationRelu: FOR_EACH_LANES(x, n, v, choose(v < 0.0f, splat(0), v)); break;
  case TuskActivationGelu: FOR_EACH_LANES(x, n, v, 0.5f * v * one_plus_erf_lanes(v * 0.707106781f)); break;
  case TuskActivationGeluNew:
    // (1 + tanh u) / 2 = sigmoid(2u), without the cancellation of 1 + tanh u for negative u.
    FOR_EACH_LANES(x, n, v, v * sigmoid_lanes(1.59576912f * (v + 0.044715f * (v * v * v))));
    break;
  case TuskActivationSilu: FOR_EACH_LANES(x, n, v, v * sigmoid_lanes(v)); break;
  case TuskActivationTanh: FOR_EACH_LANES(x, n, v, tanh_lanes(v)); break;
  case TuskActivationSigmoid: FOR_EACH_LANES(x, n, v, sigmoid_lanes(v)); break;
  case TuskActivationLeakyRelu: FOR_EACH_LANES(x, n, v, choose(v < 0.0f, v * 0.01f, v)); break;
  case TuskActivationQuickGelu: FOR_EACH_LANES(x, n, v, v * sigmoid_lanes(1.702f * v)); break;
  case TuskActivationMish: FOR_EACH_LANES(x, n, v, v * tanh_softplus_lanes(v)); break;
  case TuskActivationRelu6:
    FOR_EACH_LANES(x, n, v, choose(v < 0.0f, splat(0), choose(v > 6.0f, splat(6), v)));
    break;
  case TuskActivationRelu2: FOR_EACH_LANES(x, n, v, choose(v < 0.0f, splat(0), v * v)); break;
  case TuskActivationGelu10:
    FOR_EACH_LANES(x, n, v, 0.5f * v * one_plus_erf_lanes(v * 0.707106781f));
    FOR_EACH_LANES(x, n, v, choose(v > 10.0f, splat(10), v));
    break;
  case TuskActivationLaplace:
    FOR_EACH_LANES(x, n, v, 0.5f * one_plus_erf_lanes((v - 0.707107f) * 2.50662622f));
    break;
  }
}

static void ISA(add_f32)(float *y, const float *x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] += x[i];
}

static void ISA(multiply_f32)(float *y, const float *x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] *= x[i];
}

static void ISA(scale_f32)(float *y, float factor, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] *= factor;
}

static void ISA(axpy_f32)(float *y, float factor, const float *x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] += factor * x[i];
}

static void ISA(gather_f32_i8)(const int8_t *codes, float scale, size_t K, float *y) {
  for (size_t k = 0; k < K; k++) y[k] = (float)codes[k] * scale;
}
