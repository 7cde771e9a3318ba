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
  f32x8 s[4] = {splat(0), splat(0), splat(0), splat(0)};
  size_t k = 0;
  // Row k + 3 can be read whole if it is not the end of f.
  for (; k + 4 <= K && (k + 3) * N + n + LANES <= K * N; k += 4) {
    for (size_t i = 0; i < 4; i++) s[i] += splat(x[(k + i) * step]) * load(f + (k + i) * N + n);
  }
  for (; k < K; k += 4) {
    for (size_t i = 0; i < 4; i++) {
      if (k + i < K) s[i] += splat(x[(k + i) * step]) * ISA(factor_lanes)(f, K, N, k + i, n);
    }
  }
  return (s[0] + s[1]) + (s[2] + s[3]);
}

/// One lane of factor_sums: the same sums in the same order, without vectors for what is smaller than one.
INLINE float ISA(factor_sum)(const float *x, size_t step, size_t K, const float *f, size_t N, size_t n) {
  float s[4] = {0, 0, 0, 0};
  size_t k = 0;
  for (; k + 4 <= K; k += 4) {
    for (size_t i = 0; i < 4; i++) s[i] += x[(k + i) * step] * f[(k + i) * N + n];
  }
  for (size_t i = 0; i < 3; i++) {
    if (k + i < K) s[i] += x[(k + i) * step] * f[(k + i) * N + n];
  }
  return (s[0] + s[1]) + (s[2] + s[3]);
}

/// factor_sums of two blocks of columns that are whole in every row: y[0 ..< 16] = base + scale * sums.
INLINE void ISA(pair_sums)(const float *x, size_t step, size_t K, const float *f, size_t N, float scale, float *y,
                           bool adds) {
  f32x8 s[4], t[4];
  for (size_t i = 0; i < 4; i++) s[i] = t[i] = splat(0);
  size_t k = 0;
  for (; k + 4 <= K; k += 4) {
    for (size_t i = 0; i < 4; i++) {
      const float *row = f + (k + i) * N;
      f32x8 xk = splat(x[(k + i) * step]);
      s[i] += xk * load(row);
      t[i] += xk * load(row + LANES);
    }
  }
  for (size_t i = 0; i < 3; i++) {
    if (k + i >= K) break;
    const float *row = f + (k + i) * N;
    f32x8 xk = splat(x[(k + i) * step]);
    s[i] += xk * load(row);
    t[i] += xk * load(row + LANES);
  }
  f32x8 first = adds ? load(y) : splat(0), second = adds ? load(y + LANES) : splat(0);
  store(y, first + splat(scale) * ((s[0] + s[1]) + (s[2] + s[3])));
  store(y + LANES, second + splat(scale) * ((t[0] + t[1]) + (t[2] + t[3])));
}

/// y[0 ..< NV * 8] = base + scale * sum_k x[k] f[k, n ...], k in order: many columns keep the adders busy, and f is read along
/// its rows.
INLINE void ISA(wide_sums)(const float *x, size_t step, size_t K, const float *f, size_t N, float scale, float *y,
                           bool adds, const int NV) {
  f32x8 s[8];
  for (int v = 0; v < NV; v++) s[v] = splat(0);
  for (size_t k = 0; k < K; k++) {
    f32x8 xk = splat(x[k * step]);
    for (int v = 0; v < NV; v++) s[v] += xk * load(f + k * N + v * LANES);
  }
  for (int v = 0; v < NV; v++) {
    f32x8 base = adds ? load(y + v * LANES) : splat(0);
    store(y + v * LANES, base + splat(scale) * s[v]);
  }
}

/// add_product of few terms or many columns.
static void ISA(add_wide)(ISA(Rows) x, size_t M, size_t K, const float *f, size_t N, float scale, float *y, size_t yRow,
                          bool adds) {
  size_t n = 0;
  // Blocks of columns outside, so that a block of f is met in the first-level cache by all rows but the first.
  for (; n + 8 * LANES <= N; n += 8 * LANES) {
    for (size_t m = 0; m < M; m++) {
      ISA(wide_sums)(x.base + m * x.row, x.step, K, f + n, N, scale, y + m * yRow + n, adds, 8);
    }
  }
  for (; n + LANES <= N; n += LANES) {
    for (size_t m = 0; m < M; m++) {
      ISA(wide_sums)(x.base + m * x.row, x.step, K, f + n, N, scale, y + m * yRow + n, adds, 1);
    }
  }
  for (; n < N; n++) {
    for (size_t m = 0; m < M; m++) {
      float sum = 0;
      for (size_t k = 0; k < K; k++) sum += x.base[m * x.row + k * x.step] * f[k * N + n];
      y[m * yRow + n] = (adds ? y[m * yRow + n] : 0) + scale * sum;
    }
  }
}

/// add_product of many terms and few columns.
static void ISA(add_narrow)(ISA(Rows) x, size_t M, size_t K, const float *f, size_t N, float scale, float *y, size_t yRow,
                            bool adds) {
  size_t n = 0;
  for (; n + 2 * LANES <= N; n += 2 * LANES) {
    for (size_t m = 0; m < M; m++) {
      ISA(pair_sums)(x.base + m * x.row, x.step, K, f + n, N, scale, y + m * yRow + n, adds);
    }
  }
  for (; n < N; n += LANES) {
    size_t columns = N - n < LANES ? N - n : LANES;
    for (size_t m = 0; m < M; m++) {
      const float *row = x.base + m * x.row;
      float *out = y + m * yRow + n;
      if (columns < LANES && K < 16) {
        for (size_t i = 0; i < columns; i++) {
          out[i] = (adds ? out[i] : 0) + scale * ISA(factor_sum)(row, x.step, K, f, N, n + i);
        }
        continue;
      }
      f32x8 base = adds ? load_part(out, columns) : splat(0);
      store_part(out, base + splat(scale) * ISA(factor_sums)(row, x.step, K, f, N, n), columns);
    }
  }
}

/// y[m, n] = scale * sum_k x[m, k] f[k, n], or += that; x [M, K], f [K, N], rows of y `yRow` floats apart. The order of the
/// sum depends on K, N and the step of x only. Everything a Kronecker-sum layer does is this.
static void ISA(product)(ISA(Rows) x, size_t M, size_t K, const float *f, size_t N, float scale, float *y, size_t yRow,
                         bool adds, uint64_t *count) {
  if (count) *count += (uint64_t)M * K * N;
  if (N == 1 && x.step == 1) {
    for (size_t m = 0; m < M; m++) {
      y[m * yRow] = (adds ? y[m * yRow] : 0) + scale * dot(x.base + m * x.row, f, K);
    }
  } else if (K == 1) {
    for (size_t m = 0; m < M; m++) {
      if (!adds) __builtin_memset(y + m * yRow, 0, N * sizeof(float));
      ISA(axpy_f32)(y + m * yRow, scale * x.base[m * x.row], f, N);
    }
  } else if (N >= 2 * LANES && (K <= 8 * LANES || N >= 32 * LANES)) {
    ISA(add_wide)(x, M, K, f, N, scale, y, yRow, adds);
  } else {
    ISA(add_narrow)(x, M, K, f, N, scale, y, yRow, adds);
  }
}

/// y[m] = scale * x[m] B_i for M rows of p, or += that; scratch [M, r].
static void ISA(kronecker_through)(const TuskKronecker *h, size_t i, const float *x, size_t xRow, size_t M, float scale,
                                   float *y, size_t yRow, bool adds, float *scratch, uint64_t *count) {
  size_t p = h->in / h->inBlocks, q = h->out / h->outBlocks, r = h->rank;
  if (h->full) {
    ISA(product)((ISA(Rows)){x, xRow, 1}, M, p, h->full + i * p * q, q, scale, y, yRow, adds, count);
    return;
  }
  ISA(product)((ISA(Rows)){x, xRow, 1}, M, p, h->left + i * p * r, r, 1, scratch, r, false, count);
  ISA(product)((ISA(Rows)){scratch, r, 1}, M, r, h->right + i * r * q, q, scale, y, yRow, adds, count);
}

/// Term i of one token in the order `between`: u = x L [P, r], v = A^T u [Q, r], y += v R.
static void ISA(kronecker_between)(const TuskKronecker *h, size_t i, const float *x, float *y, float *scratch,
                                   uint64_t *count) {
  size_t P = h->inBlocks, Q = h->outBlocks, p = h->in / P, q = h->out / Q, r = h->rank;
  float *u = scratch, *v = scratch + P * r;
  ISA(product)((ISA(Rows)){x, p, 1}, P, p, h->left + i * p * r, r, 1, u, r, false, count);
  if (h->rule) {
    ISA(product)((ISA(Rows)){h->rule + i * P * Q, 1, Q}, Q, P, u, r, 1, v, r, false, count);
  } else {
    // The mixed row lies where v's last row will: the rows before it are formed first.
    float *mixed = v + (Q - 1) * r;
    ISA(product)((ISA(Rows)){h->ruleLeft + i * P, 0, 1}, 1, P, u, r, 1, mixed, r, false, count);
    for (size_t c = 0; c < Q; c++) {
      for (size_t s = 0; s < r; s++) v[c * r + s] = mixed[s] * h->ruleRight[i * Q + c];
    }
    if (count) *count += Q * r;
  }
  ISA(product)((ISA(Rows)){v, r, 1}, Q, r, h->right + i * r * q, q, h->scaling, y, q, true, count);
}

/// Term i of one token in any other order with a rule.
static void ISA(kronecker_outside)(const TuskKronecker *h, TuskMix mix, size_t i, const float *x, float *y,
                                   float *scratch, uint64_t *count) {
  size_t P = h->inBlocks, Q = h->outBlocks, p = h->in / P, q = h->out / Q;
  if (mix == TuskMixLast) {
    float *w = scratch;
    for (size_t a = 0; a < P; a++) {
      ISA(kronecker_through)(h, i, x + a * p, p, 1, 1, w, q, false, w + q, count);
      ISA(product)((ISA(Rows)){h->rule + (i * P + a) * Q, 1, Q}, Q, 1, w, q, h->scaling, y, q, true, count);
    }
    return;
  }
  float *mixed = scratch;
  if (mix == TuskMixFirst) {
    for (size_t c = 0; c < Q; c++) {
      ISA(product)((ISA(Rows)){h->rule + i * P * Q + c, 0, Q}, 1, P, x, p, 1, mixed, p, false, count);
      ISA(kronecker_through)(h, i, mixed, p, 1, h->scaling, y + c * q, q, true, mixed + p, count);
    }
    return;
  }
  float *w = scratch + p;
  ISA(product)((ISA(Rows)){h->ruleLeft + i * P, 0, 1}, 1, P, x, p, 1, mixed, p, false, count);
  ISA(kronecker_through)(h, i, mixed, p, 1, 1, w, q, false, w + q, count);
  ISA(product)((ISA(Rows)){h->ruleRight + i * Q, 1, Q}, Q, 1, w, q, h->scaling, y, q, true, count);
}

static void ISA(kronecker_f32)(const TuskKronecker *h, const float *x, size_t xStride, size_t M, float *y,
                               size_t yStride, float *scratch, uint64_t *count) {
  const TuskMix mix = tusk_kronecker_mix(h);
  for (size_t m = 0; m < M; m++) {
    float *row = y + m * yStride;
    if (!h->accumulates && h->bias && h->scaling == 1) {
      __builtin_memcpy(row, h->bias, h->out * sizeof(float));
      continue;
    }
    if (!h->accumulates) __builtin_memset(row, 0, h->out * sizeof(float));
    if (h->bias) ISA(axpy_f32)(row, h->scaling, h->bias, h->out);
  }
  if (mix == TuskMixNone) {
    for (size_t m = 0; m < M; m += KRONECKER_ROWS) {
      size_t rows = M - m < KRONECKER_ROWS ? M - m : KRONECKER_ROWS;
      ISA(kronecker_through)(h, 0, x + m * xStride, xStride, rows, h->scaling, y + m * yStride, yStride, true, scratch,
                             count);
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
