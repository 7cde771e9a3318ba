#include "../kronecker_plan.h"
#include "lanes.h"

/// Rows of [rows, K] whose number (m, k) lies at base[m * row + k * step].
typedef struct {
  const float *base;
  size_t row;
  size_t step;
} ISA(Rows);

/// Row k of f [K, N] from column n on; lanes behind N belong to the next row, or are zero.
INLINE f32x8 ISA(factor_lanes)(const float *f, size_t K, size_t N, size_t k, size_t n) {
  size_t start = k * N + n, rest = K * N - start;
  return rest >= LANES ? load(f + start) : load_part(f + start, rest);
}

/// sum_k x[k] f[k, n ..< n + 8] in four partial sums by k mod 4, so that one row keeps the adders busy.
INLINE f32x8 ISA(factor_sums)(const float *x, size_t step, size_t K, const float *f, size_t N, size_t n) {
  f32x8 s0 = splat(0), s1 = splat(0), s2 = splat(0), s3 = splat(0);
  size_t k = 0;
  // Row k + 3 can be read whole if it is not the end of f.
  for (; k + 4 <= K && (k + 3) * N + n + LANES <= K * N; k += 4) {
    const float *row = f + k * N + n;
    s0 += splat(x[k * step]) * load(row);
    s1 += splat(x[(k + 1) * step]) * load(row + N);
    s2 += splat(x[(k + 2) * step]) * load(row + 2 * N);
    s3 += splat(x[(k + 3) * step]) * load(row + 3 * N);
  }
  for (; k < K; k += 4) {
    s0 += splat(x[k * step]) * ISA(factor_lanes)(f, K, N, k, n);
    if (k + 1 < K) s1 += splat(x[(k + 1) * step]) * ISA(factor_lanes)(f, K, N, k + 1, n);
    if (k + 2 < K) s2 += splat(x[(k + 2) * step]) * ISA(factor_lanes)(f, K, N, k + 2, n);
    if (k + 3 < K) s3 += splat(x[(k + 3) * step]) * ISA(factor_lanes)(f, K, N, k + 3, n);
  }
  return (s0 + s1) + (s2 + s3);
}

/// One lane of factor_sums: the same sums in the same order, without vectors for what is smaller than one.
INLINE float ISA(factor_sum)(const float *x, size_t step, size_t K, const float *f, size_t N, size_t n) {
  float s[4] = {0, 0, 0, 0};
  for (size_t k = 0; k < K; k++) s[k % 4] += x[k * step] * f[k * N + n];
  return (s[0] + s[1]) + (s[2] + s[3]);
}

/// y[m, n] += scale * sum_k x[m, k] f[k, n]; x [M, K], f [K, N], rows of y `yRow` floats apart. The order of the sum
/// depends on K, N and the step of x only. Everything a Kronecker-sum layer does is this.
static void ISA(add_product)(ISA(Rows) x, size_t M, size_t K, const float *f, size_t N, float scale, float *y,
                             size_t yRow, uint64_t *count) {
  if (count) *count += (uint64_t)M * K * N;
  if (N == 1 && x.step == 1) {
    for (size_t m = 0; m < M; m++) y[m * yRow] += scale * dot(x.base + m * x.row, f, K);
    return;
  }
  if (K == 1) {
    for (size_t m = 0; m < M; m++) ISA(axpy_f32)(y + m * yRow, scale * x.base[m * x.row], f, N);
    return;
  }
  size_t n = 0;
  // Blocks of columns outside, so that a block of f is met in the first-level cache by all rows but the first.
  for (; n + LANES <= N; n += LANES) {
    for (size_t m = 0; m < M; m++) {
      float *out = y + m * yRow + n;
      store(out, load(out) + splat(scale) * ISA(factor_sums)(x.base + m * x.row, x.step, K, f, N, n));
    }
  }
  if (n == N) return;
  for (size_t m = 0; m < M; m++) {
    const float *row = x.base + m * x.row;
    float *out = y + m * yRow;
    if (K < 16) {
      for (size_t i = n; i < N; i++) out[i] += scale * ISA(factor_sum)(row, x.step, K, f, N, i);
    } else {
      f32x8 sum = load_part(out + n, N - n) + splat(scale) * ISA(factor_sums)(row, x.step, K, f, N, n);
      store_part(out + n, sum, N - n);
    }
  }
}

/// y[m] += scaling * x[m] B_i for M rows of p; scratch [M, r].
static void ISA(kronecker_through)(const TuskKronecker *h, size_t i, const float *x, size_t xRow, size_t M, float scale,
                                   float *y, size_t yRow, float *scratch, uint64_t *count) {
  size_t p = h->in / h->inBlocks, q = h->out / h->outBlocks, r = h->rank;
  if (h->full) {
    ISA(add_product)((ISA(Rows)){x, xRow, 1}, M, p, h->full + i * p * q, q, scale, y, yRow, count);
    return;
  }
  __builtin_memset(scratch, 0, M * r * sizeof(float));
  ISA(add_product)((ISA(Rows)){x, xRow, 1}, M, p, h->left + i * p * r, r, 1, scratch, r, count);
  ISA(add_product)((ISA(Rows)){scratch, r, 1}, M, r, h->right + i * r * q, q, scale, y, yRow, count);
}

/// Term i of one token in the order `between`: u = x L [P, r], v = A^T u [Q, r], y += v R.
static void ISA(kronecker_between)(const TuskKronecker *h, size_t i, const float *x, float *y, float *scratch,
                                   uint64_t *count) {
  size_t P = h->inBlocks, Q = h->outBlocks, p = h->in / P, q = h->out / Q, r = h->rank;
  float *u = scratch, *v = scratch + P * r;
  __builtin_memset(scratch, 0, (P + Q) * r * sizeof(float));
  ISA(add_product)((ISA(Rows)){x, p, 1}, P, p, h->left + i * p * r, r, 1, u, r, count);
  if (h->rule) {
    ISA(add_product)((ISA(Rows)){h->rule + i * P * Q, 1, Q}, Q, P, u, r, 1, v, r, count);
  } else {
    // The mixed row lies where v's last row will: the rows before it are formed first.
    float *mixed = v + (Q - 1) * r;
    ISA(add_product)((ISA(Rows)){h->ruleLeft + i * P, 0, 1}, 1, P, u, r, 1, mixed, r, count);
    for (size_t c = 0; c < Q; c++) {
      for (size_t s = 0; s < r; s++) v[c * r + s] = mixed[s] * h->ruleRight[i * Q + c];
    }
    if (count) *count += Q * r;
  }
  ISA(add_product)((ISA(Rows)){v, r, 1}, Q, r, h->right + i * r * q, q, h->scaling, y, q, count);
}

/// Term i of one token in any other order with a rule.
static void ISA(kronecker_outside)(const TuskKronecker *h, TuskMix mix, size_t i, const float *x, float *y,
                                   float *scratch, uint64_t *count) {
  size_t P = h->inBlocks, Q = h->outBlocks, p = h->in / P, q = h->out / Q;
  if (mix == TuskMixLast) {
    float *w = scratch;
    for (size_t a = 0; a < P; a++) {
      __builtin_memset(w, 0, q * sizeof(float));
      ISA(kronecker_through)(h, i, x + a * p, p, 1, 1, w, q, w + q, count);
      ISA(add_product)((ISA(Rows)){h->rule + (i * P + a) * Q, 1, Q}, Q, 1, w, q, h->scaling, y, q, count);
    }
    return;
  }
  float *mixed = scratch;
  if (mix == TuskMixFirst) {
    for (size_t c = 0; c < Q; c++) {
      __builtin_memset(mixed, 0, p * sizeof(float));
      ISA(add_product)((ISA(Rows)){h->rule + i * P * Q + c, 0, Q}, 1, P, x, p, 1, mixed, p, count);
      ISA(kronecker_through)(h, i, mixed, p, 1, h->scaling, y + c * q, q, mixed + p, count);
    }
    return;
  }
  float *w = scratch + p;
  __builtin_memset(scratch, 0, (p + q) * sizeof(float));
  ISA(add_product)((ISA(Rows)){h->ruleLeft + i * P, 0, 1}, 1, P, x, p, 1, mixed, p, count);
  ISA(kronecker_through)(h, i, mixed, p, 1, 1, w, q, w + q, count);
  ISA(add_product)((ISA(Rows)){h->ruleRight + i * Q, 1, Q}, Q, 1, w, q, h->scaling, y, q, count);
}

static void ISA(kronecker_f32)(const TuskKronecker *h, const float *x, size_t xStride, size_t M, float *y,
                               size_t yStride, float *scratch, uint64_t *count) {
  const TuskMix mix = tusk_kronecker_mix(h);
  for (size_t m = 0; m < M; m++) {
    if (!h->accumulates) __builtin_memset(y + m * yStride, 0, h->out * sizeof(float));
    if (h->bias) ISA(axpy_f32)(y + m * yStride, h->scaling, h->bias, h->out);
  }
  if (mix == TuskMixNone) {
    for (size_t m = 0; m < M; m += KRONECKER_ROWS) {
      size_t rows = M - m < KRONECKER_ROWS ? M - m : KRONECKER_ROWS;
      ISA(kronecker_through)(h, 0, x + m * xStride, xStride, rows, h->scaling, y + m * yStride, yStride, scratch, count);
    }
    return;
  }
  for (size_t m = 0; m < M; m++, x += xStride, y += yStride) {
    for (size_t i = 0; i < h->n; i++) {
      if (mix == TuskMixBetween) {
        ISA(kronecker_between)(h, i, x, y, scratch, count);
      } else {
        ISA(kronecker_outside)(h, mix, i, x, y, scratch, count);
      }
    }
  }
}
