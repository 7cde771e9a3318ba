#include "lanes.h"

/// An MT x NT tile of dot products in registers. Each output has one accumulator of 8 lanes, so its order of summation
/// is the same in every tile shape.
INLINE void ISA(f32_tile)(const TuskMatmulF32 *p, size_t m0, size_t n0, const int MT, const int NT) {
  const float *x[4], *w[4];
  f32x8 sums[4][4];
  for (int m = 0; m < MT; m++) x[m] = p->x + (m0 + (size_t)m) * p->xStride;
  for (int n = 0; n < NT; n++) w[n] = p->weights + (n0 + (size_t)n) * p->weightsStride;
  for (int m = 0; m < MT; m++) {
    for (int n = 0; n < NT; n++) sums[m][n] = splat(0);
  }
  size_t k = 0;
  for (; k + LANES <= p->K; k += LANES) {
    for (int n = 0; n < NT; n++) {
      f32x8 wn = load(w[n] + k);
      for (int m = 0; m < MT; m++) sums[m][n] += load(x[m] + k) * wn;
    }
  }
  if (k < p->K) {
    for (int n = 0; n < NT; n++) {
      f32x8 wn = load_part(w[n] + k, p->K - k);
      for (int m = 0; m < MT; m++) sums[m][n] += load_part(x[m] + k, p->K - k) * wn;
    }
  }
  for (int m = 0; m < MT; m++) {
    for (int n = 0; n < NT; n++) {
      float sum = sum_lanes(sums[m][n]);
      p->y[(m0 + (size_t)m) * p->yStride + n0 + (size_t)n] = p->bias ? sum + p->bias[n0 + (size_t)n] : sum;
    }
  }
}

static void ISA(matmul_f32_f32_f32)(const TuskMatmulF32 *p, size_t n0, size_t n1) {
  size_t n = n0;
  for (; n + 3 <= n1; n += 3) {
    size_t m = 0;
    for (; m + 4 <= p->M; m += 4) ISA(f32_tile)(p, m, n, 4, 3);
    for (; m < p->M; m++) ISA(f32_tile)(p, m, n, 1, 3);
  }
  for (; n < n1; n++) {
    for (size_t m = 0; m < p->M; m++) ISA(f32_tile)(p, m, n, 1, 1);
  }
}
