#include "lanes.h"
#include "math.h"

/// Applies `expression` of v to n floats of x in place, 8 at a time; n is a multiple of 8.
#define FOR_EACH_LANES(x, n, v, expression)      \
  for (size_t i_ = 0; i_ < (n); i_ += LANES) {   \
    f32x8 v = load((x) + i_);                    \
    store((x) + i_, (expression));               \
  }

/// Numbers that are activated at a time.
enum { ACTIVATION_BLOCK = 64 };

/// Activations by the error function; n is a multiple of 8, up to ACTIVATION_BLOCK.
static void ISA(activate_by_erf)(TuskActivation kind, float *x, size_t n) {
  float y[ACTIVATION_BLOCK];
  const bool isLaplace = kind == TuskActivationLaplace;
  for (size_t i = 0; i < n; i += LANES) {
    f32x8 v = load(x + i);
    store(y + i, isLaplace ? (v - 0.707107f) * 2.50662622f : v * 0.707106781f);
  }
  FOR_EACH_LANES(y, n, v, one_plus_erf_lanes(v));
  for (size_t i = 0; i < n; i += LANES) {
    f32x8 half = isLaplace ? splat(0.5f) : 0.5f * load(x + i);
    store(x + i, half * load(y + i));
  }
  if (kind == TuskActivationGelu10) FOR_EACH_LANES(x, n, v, choose(v > 10.0f, splat(10), v));
}

/// Activations by a sigmoid; n is a multiple of 8, up to ACTIVATION_BLOCK.
static void ISA(activate_by_sigmoid)(TuskActivation kind, float *x, size_t n) {
  float y[ACTIVATION_BLOCK];
  for (size_t i = 0; i < n; i += LANES) {
    f32x8 v = load(x + i);
    // (1 + tanh u) / 2 = sigmoid(2u), without the cancellation of 1 + tanh u for negative u.
    if (kind == TuskActivationGeluNew) v = 1.59576912f * (v + 0.044715f * (v * v * v));
    if (kind == TuskActivationQuickGelu) v = 1.702f * v;
    store(y + i, v);
  }
  FOR_EACH_LANES(y, n, v, sigmoid_lanes(v));
  for (size_t i = 0; i < n; i += LANES) {
    f32x8 v = kind == TuskActivationSigmoid ? splat(1) : load(x + i);
    store(x + i, v * load(y + i));
  }
}

/// tanh(ln(1 + e^x)) = s / (s + 2) with s = e^x (e^x + 2), by w = e^-|x| so that nothing overflows.
INLINE f32x8 tanh_softplus_lanes(f32x8 x) {
  f32x8 w = exp_lanes(choose(x < 0.0f, x, -x));
  f32x8 sum = choose(x < 0.0f, w * (w + 2.0f), 1.0f + 2.0f * w);
  return sum / (sum + choose(x < 0.0f, splat(2), 2.0f * w * w));
}

/// n is a multiple of 8, up to ACTIVATION_BLOCK. Each polynomial exists once, whatever needs it: instruction sets times
/// activations are many.
static void ISA(activate_block)(TuskActivation kind, float *x, size_t n) {
  switch (kind) {
  case TuskActivationIdentity: break;
  case TuskActivationRelu: FOR_EACH_LANES(x, n, v, choose(v < 0.0f, splat(0), v)); break;
  case TuskActivationGelu:
  case TuskActivationGelu10:
  case TuskActivationLaplace: ISA(activate_by_erf)(kind, x, n); break;
  case TuskActivationGeluNew:
  case TuskActivationSilu:
  case TuskActivationSigmoid:
  case TuskActivationQuickGelu: ISA(activate_by_sigmoid)(kind, x, n); break;
  case TuskActivationTanh: FOR_EACH_LANES(x, n, v, tanh_lanes(v)); break;
  case TuskActivationLeakyRelu: FOR_EACH_LANES(x, n, v, choose(v < 0.0f, v * 0.01f, v)); break;
  case TuskActivationMish: FOR_EACH_LANES(x, n, v, v * tanh_softplus_lanes(v)); break;
  case TuskActivationRelu6:
    FOR_EACH_LANES(x, n, v, choose(v < 0.0f, splat(0), choose(v > 6.0f, splat(6), v)));
    break;
  case TuskActivationRelu2: FOR_EACH_LANES(x, n, v, choose(v < 0.0f, splat(0), v * v)); break;
  }
}

static void ISA(activate_f32)(TuskActivation kind, float *x, size_t n) {
  const size_t whole = n / LANES * LANES, rest = n - whole;
  for (size_t i = 0; i < whole; i += ACTIVATION_BLOCK) {
    ISA(activate_block)(kind, x + i, whole - i < ACTIVATION_BLOCK ? whole - i : ACTIVATION_BLOCK);
  }
  if (rest == 0) return;
  float lanes[LANES];
  store(lanes, load_part(x + whole, rest));
  ISA(activate_block)(kind, lanes, LANES);
  store_part(x + whole, load(lanes), rest);
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
