#include "lanes.h"

/// Adds to the counter of multiply-adds where they happen, so that the count is what ran and not what was meant.
#define COUNT(counter, n)         \
  do {                            \
    if (counter) *(counter) += (n); \
  } while (0)

/// u[i, a, s] = sum_k x[a p + k] left[i, k, s]
static void ISA(kronecker_left)(const TuskKronecker *h, const float *x, float *u, uint64_t *count) {
  size_t p = h->in / h->n, r = h->rank;
  for (size_t i = 0; i < h->n; i++) {
    const float *left = h->left + i * p * r;
    for (size_t a = 0; a < h->n; a++, u += r) {
      if (r == 1) {
        u[0] = dot(x + a * p, left, p);
      } else {
        __builtin_memset(u, 0, r * sizeof(float));
        for (size_t k = 0; k < p; k++) ISA(axpy_f32)(u, x[a * p + k], left + k * r, r);
      }
      COUNT(count, p * r);
    }
  }
}

/// v[i, c, s] = sum_a A_i[a, c] u[i, a, s]
static void ISA(kronecker_rule)(const TuskKronecker *h, const float *u, float *v, uint64_t *count) {
  size_t n = h->n, r = h->rank;
  __builtin_memset(v, 0, n * n * r * sizeof(float));
  for (size_t i = 0; i < n; i++, u += n * r, v += n * r) {
    if (h->rule) {
      for (size_t a = 0; a < n; a++) {
        for (size_t c = 0; c < n; c++) {
          for (size_t s = 0; s < r; s++) v[c * r + s] += h->rule[(i * n + a) * n + c] * u[a * r + s];
          COUNT(count, r);
        }
      }
      continue;
    }
    for (size_t s = 0; s < r; s++) {
      float mixed = 0;
      for (size_t a = 0; a < n; a++) mixed += h->ruleLeft[i * n + a] * u[a * r + s];
      for (size_t c = 0; c < n; c++) v[c * r + s] = mixed * h->ruleRight[i * n + c];
      COUNT(count, 2 * n);
    }
  }
}

/// y[c q + j] += sum_i sum_s v[i, c, s] right[i, s, j]
static void ISA(kronecker_right)(const TuskKronecker *h, const float *v, float *y, uint64_t *count) {
  size_t q = h->out / h->n, r = h->rank;
  for (size_t i = 0; i < h->n; i++) {
    for (size_t c = 0; c < h->n; c++) {
      for (size_t s = 0; s < r; s++) {
        ISA(axpy_f32)(y + c * q, v[(i * h->n + c) * r + s], h->right + (i * r + s) * q, q);
        COUNT(count, q);
      }
    }
  }
}

/// y[c q + j] += sum_i sum_k mixed_i[c, k] full[i, k, j] with mixed_i[c, k] = sum_a A_i[a, c] x[a p + k]
static void ISA(kronecker_full)(const TuskKronecker *h, const float *x, float *y, float *scratch, uint64_t *count) {
  size_t n = h->n, p = h->in / n, q = h->out / n;
  float *mixed = scratch, *product = scratch + p;
  for (size_t i = 0; i < n; i++) {
    const float *full = h->full + i * p * q;
    if (h->rule) {
      for (size_t c = 0; c < n; c++) {
        __builtin_memset(mixed, 0, p * sizeof(float));
        for (size_t a = 0; a < n; a++) ISA(axpy_f32)(mixed, h->rule[(i * n + a) * n + c], x + a * p, p);
        for (size_t k = 0; k < p; k++) ISA(axpy_f32)(y + c * q, mixed[k], full + k * q, q);
        COUNT(count, n * p + p * q);
      }
    } else if (h->ruleLeft) {
      __builtin_memset(mixed, 0, p * sizeof(float));
      for (size_t a = 0; a < n; a++) ISA(axpy_f32)(mixed, h->ruleLeft[i * n + a], x + a * p, p);
      __builtin_memset(product, 0, q * sizeof(float));
      for (size_t k = 0; k < p; k++) ISA(axpy_f32)(product, mixed[k], full + k * q, q);
      for (size_t c = 0; c < n; c++) ISA(axpy_f32)(y + c * q, h->ruleRight[i * n + c], product, q);
      COUNT(count, n * p + p * q + n * q);
    } else {
      for (size_t k = 0; k < p; k++) ISA(axpy_f32)(y, x[k], full + k * q, q);
      COUNT(count, p * q);
    }
  }
}

static void ISA(kronecker_f32)(const TuskKronecker *h, const float *x, size_t xStride, size_t M, float *y,
                               size_t yStride, float *scratch, uint64_t *count) {
  for (size_t m = 0; m < M; m++, x += xStride, y += yStride) {
    if (h->bias) {
      __builtin_memcpy(y, h->bias, h->out * sizeof(float));
    } else {
      __builtin_memset(y, 0, h->out * sizeof(float));
    }
    if (h->full) {
      ISA(kronecker_full)(h, x, y, scratch, count);
      continue;
    }
    float *u = scratch, *v = scratch;
    ISA(kronecker_left)(h, x, u, count);
    if (h->rule || h->ruleLeft) {
      v = u + h->n * h->n * h->rank;
      ISA(kronecker_rule)(h, u, v, count);
    }
    ISA(kronecker_right)(h, v, y, count);
  }
}
