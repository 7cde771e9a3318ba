/// The backward pass of one term of a Kronecker sum for one row, whatever the layer's form. Small vectors, read in the order
/// they lie in.

/// What stands in scratch for one term: A and dA [P, Q], u and du [P, w], dv [Q, w], w = r or q.
typedef struct {
  float *rule, *dRule, *u, *du, *dv;
} ISA(TermScratch);

/// y[j] += factor * x[j]
static inline void ISA(accumulate)(float *y, float factor, const float *x, size_t n) {
  for (size_t j = 0; j < n; j++) y[j] += factor * x[j];
}

static inline float ISA(product)(const float *a, const float *b, size_t n) {
#pragma clang fp reassociate(on)
  float sum = 0;
  for (size_t j = 0; j < n; j++) sum += a[j] * b[j];
  return sum;
}

/// u [P, w] = X F, X [P, p], F [p, w].
static inline void ISA(enter)(const float *x, const float *factor, size_t P, size_t p, size_t w, float *u) {
  for (size_t a = 0; a < P; a++, x += p, u += w) {
    if (w == 1) {
      u[0] = ISA(product)(x, factor, p);
      continue;
    }
    for (size_t s = 0; s < w; s++) u[s] = 0;
    for (size_t k = 0; k < p; k++) ISA(accumulate)(u, x[k], factor + k * w, w);
  }
}

/// dF += X^T du, and dX += du F^T unless NULL.
static inline void ISA(leave)(const float *x, const float *factor, size_t P, size_t p, size_t w, const float *du,
                              float *dFactor, float *dx) {
  for (size_t a = 0; a < P; a++, x += p, du += w) {
    if (w == 1) {
      ISA(accumulate)(dFactor, du[0], x, p);
      if (dx) ISA(accumulate)(dx + a * p, du[0], factor, p);
      continue;
    }
    for (size_t k = 0; k < p; k++) {
      ISA(accumulate)(dFactor + k * w, x[k], du, w);
      if (dx) dx[a * p + k] += ISA(product)(du, factor + k * w, w);
    }
  }
}

/// A of term i, formed if it is factorized; dA = 0.
static inline void ISA(begin_rule)(const TuskKronecker *layer, size_t i, ISA(TermScratch) *t) {
  size_t P = layer->inBlocks, Q = layer->outBlocks;
  for (size_t a = 0; a < P; a++) {
    for (size_t c = 0; c < Q; c++) {
      t->rule[a * Q + c] = layer->rule       ? layer->rule[(i * P + a) * Q + c]
                           : layer->ruleLeft ? layer->ruleLeft[i * P + a] * layer->ruleRight[i * Q + c]
                                             : 1.0f;
      t->dRule[a * Q + c] = 0;
    }
  }
}

static inline void ISA(end_rule)(const TuskKroneckerGradient *g, size_t i, const ISA(TermScratch) *t) {
  size_t P = g->layer.inBlocks, Q = g->layer.outBlocks;
  for (size_t a = 0; a < P; a++) {
    for (size_t c = 0; c < Q; c++) {
      float d = t->dRule[a * Q + c];
      if (g->rule) g->rule[(i * P + a) * Q + c] += d;
      if (g->ruleLeft) g->ruleLeft[i * P + a] += d * g->layer.ruleRight[i * Q + c];
      if (g->ruleRight) g->ruleRight[i * Q + c] += d * g->layer.ruleLeft[i * P + a];
    }
  }
}

/// du = A dv [P, w], dA += u dv^T.
static inline void ISA(mix)(size_t P, size_t Q, size_t w, const ISA(TermScratch) *t, const float *dv) {
  for (size_t a = 0; a < P; a++) {
    float *du = t->du + a * w;
    for (size_t s = 0; s < w; s++) du[s] = 0;
    for (size_t c = 0; c < Q; c++) {
      ISA(accumulate)(du, t->rule[a * Q + c], dv + c * w, w);
      t->dRule[a * Q + c] += ISA(product)(t->u + a * w, dv + c * w, w);
    }
  }
}

static void ISA(kronecker_row)(const TuskKroneckerGradient *g, const float *x, const float *dy, float *dx,
                               ISA(TermScratch) t) {
  const TuskKronecker *layer = &g->layer;
  size_t P = layer->inBlocks, Q = layer->outBlocks, p = layer->in / P, q = layer->out / Q, r = layer->rank;
  if (g->bias) ISA(accumulate)(g->bias, layer->scaling, dy, layer->out);
  for (size_t i = 0; i < layer->n; i++) {
    ISA(begin_rule)(layer, i, &t);
    if (layer->full) {
      const float *full = layer->full + i * p * q;
      for (size_t j = 0; j < layer->out; j++) t.dv[j] = layer->scaling * dy[j];
      // Without a rule nobody asks for the gradient of A.
      if (g->rule || g->ruleLeft) ISA(enter)(x, full, P, p, q, t.u);
      ISA(mix)(P, Q, q, &t, t.dv);
      ISA(leave)(x, full, P, p, q, t.du, g->full + i * p * q, dx);
    } else {
      const float *left = layer->left + i * p * r, *right = layer->right + i * r * q;
      ISA(enter)(x, left, P, p, r, t.u);
      for (size_t c = 0; c < Q; c++) {
        for (size_t s = 0; s < r; s++) {
          float v = 0;
          for (size_t a = 0; a < P; a++) v += t.rule[a * Q + c] * t.u[a * r + s];
          t.dv[c * r + s] = layer->scaling * ISA(product)(dy + c * q, right + s * q, q);
          ISA(accumulate)(g->right + (i * r + s) * q, layer->scaling * v, dy + c * q, q);
        }
      }
      ISA(mix)(P, Q, r, &t, t.dv);
      ISA(leave)(x, left, P, p, r, t.du, g->left + i * p * r, dx);
    }
    ISA(end_rule)(g, i, &t);
  }
}

static void ISA(kronecker)(const TuskKroneckerGradient *g, const float *x, size_t xStride, size_t M, const float *dy,
                           size_t dyStride, float *dx, size_t dxStride, float *scratch) {
  const TuskKronecker *layer = &g->layer;
  size_t P = layer->inBlocks, Q = layer->outBlocks, w = layer->full ? layer->out / Q : layer->rank;
  ISA(TermScratch) t = {.rule = scratch, .dRule = scratch + P * Q, .u = scratch + 2 * P * Q};
  t.du = t.u + P * w;
  t.dv = t.du + P * w;
  for (size_t m = 0; m < M; m++, x += xStride, dy += dyStride) {
    ISA(kronecker_row)(g, x, dy, dx, t);
    if (dx) dx += dxStride;
  }
}
