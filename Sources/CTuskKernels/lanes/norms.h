#include "lanes.h"

/// sum of (x - centre)^2; 4 accumulators of 8 lanes hide the latency of the addition.
static float ISA(sum_of_squares)(const float *x, size_t n, float centre) {
  f32x8 sums[4] = {splat(0), splat(0), splat(0), splat(0)};
  size_t k = 0;
  for (; k + 4 * LANES <= n; k += 4 * LANES) {
    for (size_t j = 0; j < 4; j++) {
      f32x8 v = load(x + k + j * LANES) - centre;
      sums[j] += v * v;
    }
  }
  for (; k + LANES <= n; k += LANES) {
    f32x8 v = load(x + k) - centre;
    sums[0] += v * v;
  }
  float tail = 0;
  for (; k < n; k++) tail += (x[k] - centre) * (x[k] - centre);
  return sum_lanes((sums[0] + sums[1]) + (sums[2] + sums[3])) + tail;
}

static float ISA(sum)(const float *x, size_t n) {
  f32x8 sums[4] = {splat(0), splat(0), splat(0), splat(0)};
  size_t k = 0;
  for (; k + 4 * LANES <= n; k += 4 * LANES) {
    for (size_t j = 0; j < 4; j++) sums[j] += load(x + k + j * LANES);
  }
  for (; k + LANES <= n; k += LANES) sums[0] += load(x + k);
  float tail = 0;
  for (; k < n; k++) tail += x[k];
  return sum_lanes((sums[0] + sums[1]) + (sums[2] + sums[3])) + tail;
}

static void ISA(rmsnorm_f32)(const float *x, size_t xStride, size_t M, size_t D, const float *weight, float epsilon,
                             float *y, size_t yStride) {
  for (size_t m = 0; m < M; m++, x += xStride, y += yStride) {
    float factor = 1.0f / square_root(ISA(sum_of_squares)(x, D, 0.0f) / (float)D + epsilon);
    for (size_t k = 0; k < D; k++) y[k] = x[k] * factor * weight[k];
  }
}

static void ISA(layernorm_f32)(const float *x, size_t xStride, size_t M, size_t D, const float *weight,
                               const float *bias, float epsilon, float *y, size_t yStride) {
  for (size_t m = 0; m < M; m++, x += xStride, y += yStride) {
    float mean = ISA(sum)(x, D) / (float)D;
    float factor = 1.0f / square_root(ISA(sum_of_squares)(x, D, mean) / (float)D + epsilon);
    for (size_t k = 0; k < D; k++) y[k] = (x[k] - mean) * factor * weight[k] + bias[k];
  }
}
