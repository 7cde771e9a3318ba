/// Every operation for the instruction set ISA_NAME that the including file has chosen, by the name ISA(operation).

#include "slopes.h"

#include "kronecker.h"

static void ISA(activate)(TuskActivation kind, const float *x, float *dy, size_t n) {
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) store(dy + i, load(dy + i) * slope_lanes(kind, load(x + i)));
  if (i < n) store_part(dy + i, load_part(dy + i, n - i) * slope_lanes(kind, load_part(x + i, n - i)), n - i);
}

static void ISA(rmsnorm)(const float *x, size_t xStride, size_t M, size_t D, const float *weight,
                                      float epsilon, const float *dy, size_t dyStride, float *dx, size_t dxStride,
                                      float *dWeight, float *dBias) {
#pragma clang fp reassociate(on)
  for (size_t m = 0; m < M; m++, x += xStride, dy += dyStride, dx += dxStride) {
    float squares = 0, along = 0;
    for (size_t k = 0; k < D; k++) {
      squares += x[k] * x[k];
      along += x[k] * weight[k] * dy[k];
    }
    float factor = 1.0f / square_root(squares / (float)D + epsilon);
    float back = along * factor * factor * factor / (float)D;
    for (size_t k = 0; k < D; k++) dx[k] += weight[k] * dy[k] * factor - x[k] * back;
    if (dWeight) {
      for (size_t k = 0; k < D; k++) dWeight[k] += dy[k] * x[k] * factor;
    }
    if (dBias) {
      for (size_t k = 0; k < D; k++) dBias[k] += dy[k];
    }
  }
}

static void ISA(layernorm)(const float *x, size_t xStride, size_t M, size_t D, const float *weight,
                                        float epsilon, const float *dy, size_t dyStride, float *dx, size_t dxStride,
                                        float *dWeight, float *dBias) {
#pragma clang fp reassociate(on)
  for (size_t m = 0; m < M; m++, x += xStride, dy += dyStride, dx += dxStride) {
    float sum = 0, slopes = 0;
    for (size_t k = 0; k < D; k++) {
      sum += x[k];
      slopes += weight[k] * dy[k];
    }
    float mean = sum / (float)D, squares = 0, along = 0;
    for (size_t k = 0; k < D; k++) {
      float centred = x[k] - mean;
      squares += centred * centred;
      along += centred * weight[k] * dy[k];
    }
    float factor = 1.0f / square_root(squares / (float)D + epsilon);
    float meanSlope = slopes / (float)D, back = along * factor * factor / (float)D;
    for (size_t k = 0; k < D; k++) dx[k] += factor * (weight[k] * dy[k] - meanSlope - (x[k] - mean) * back);
    if (dWeight) {
      for (size_t k = 0; k < D; k++) dWeight[k] += dy[k] * (x[k] - mean) * factor;
    }
    if (dBias) {
      for (size_t k = 0; k < D; k++) dBias[k] += dy[k];
    }
  }
}

static void ISA(softmax_forward)(float *x, const float *bias, size_t n) {
  if (bias) {
    for (size_t i = 0; i < n; i++) x[i] += bias[i];
  }
  float factor = 1.0f / exponentials(x, n);
  for (size_t i = 0; i < n; i++) x[i] *= factor;
}

static void ISA(softmax)(const float *p, float *dp, size_t n, float factor) {
#pragma clang fp reassociate(on)
  float sum = 0;
  for (size_t i = 0; i < n; i++) sum += p[i] * dp[i];
  for (size_t i = 0; i < n; i++) dp[i] = factor * p[i] * (dp[i] - sum);
}

static void ISA(dropout)(float *x, size_t n, uint64_t key, uint64_t first, float rate) {
  uint32_t least = (uint32_t)(rate * 65536.0f);
  float factor = 1.0f / (1.0f - rate);
  for (size_t i = 0; i < n; i += 4) {
    uint64_t word = mixed(key + (first + i) / 4);
    size_t count = n - i < 4 ? n - i : 4;
    for (size_t j = 0; j < count; j++) {
      float kept = (uint32_t)(word >> (16 * j) & 0xFFFF) >= least ? factor : 0.0f;
      x[i + j] *= kept;
    }
  }
}

static double ISA(cross_entropy)(float *logits, size_t n, size_t target, float factor) {
  float most = logits[0];
  for (size_t i = 1; i < n; i++) most = logits[i] > most ? logits[i] : most;
  double chosen = (double)logits[target] - (double)most;
  float sum = exponentials(logits, n);
  float scale = factor / sum;
  for (size_t i = 0; i < n; i++) logits[i] *= scale;
  logits[target] -= factor;
  // The logarithm is that of numbers only.
  return sum == sum ? log_of(sum) - chosen : (double)sum;
}

static double ISA(sum_of_squares)(const float *x, size_t n) {
#pragma clang fp reassociate(on)
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
  return sum;
}

static void ISA(add_rows)(const float *x, size_t xStride, size_t M, size_t D, float *y) {
  for (size_t m = 0; m < M; m++, x += xStride) {
    for (size_t k = 0; k < D; k++) y[k] += x[k];
  }
}

static void ISA(adamw)(const TuskAdamW *step, float *values, const float *gradients, float *m, float *v, size_t n) {
  TuskAdamW s = *step;
  float keep1 = (float)s.beta1, take1 = (float)(1 - s.beta1), keep2 = (float)s.beta2, take2 = (float)(1 - s.beta2);
  for (size_t i = 0; i < n; i++) {
    float g = gradients[i] * s.gradientScale;
    m[i] = keep1 * m[i] + take1 * g;
    v[i] = keep2 * v[i] + take2 * g * g;
    float change = m[i] * s.correction1 / (square_root(v[i] * s.correction2) + s.epsilon) + s.weightDecay * values[i];
    values[i] -= s.rate * change;
  }
}

const TuskBackward ISA(tusk_backward) = {
    .name = ISA_NAME,
    .activate = ISA(activate),
    .rmsnorm = ISA(rmsnorm),
    .layernorm = ISA(layernorm),
    .kronecker = ISA(kronecker),
    .softmax_forward = ISA(softmax_forward),
    .softmax = ISA(softmax),
    .dropout = ISA(dropout),
    .cross_entropy = ISA(cross_entropy),
    .sum_of_squares = ISA(sum_of_squares),
    .add_rows = ISA(add_rows),
    .adamw = ISA(adamw),
};
