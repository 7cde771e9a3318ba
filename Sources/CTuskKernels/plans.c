#include "attention_plan.h"
#include "kronecker_plan.h"
#include "tusk_kernels.h"

size_t tusk_attention_scratch_floats(size_t dKV) { return attention_scratch_floats(dKV); }

/// Multiply-adds of one term and one token; UINT64_MAX for an order that the layer's factors do not allow.
static uint64_t term_cost(const TuskKronecker *h, TuskMix mix) {
  const uint64_t P = h->inBlocks, Q = h->outBlocks, p = h->in / P, q = h->out / Q, r = h->rank;
  // Through B_i, of one row of p.
  const uint64_t through = h->full ? p * q : p * r + r * q;
  switch (mix) {
  case TuskMixNone: return h->rule || h->ruleLeft ? UINT64_MAX : through;
  case TuskMixFirst: return h->rule ? P * Q * p + Q * through : UINT64_MAX;
  case TuskMixBetween:
    if (h->full || (!h->rule && !h->ruleLeft)) return UINT64_MAX;
    return P * p * r + (h->rule ? P * Q * r : P * r + Q * r) + Q * r * q;
  case TuskMixLast: return h->rule ? P * through + P * Q * q : UINT64_MAX;
  case TuskMixAround: return h->ruleLeft ? P * p + through + Q * q : UINT64_MAX;
  }
  return UINT64_MAX;
}

TuskMix tusk_kronecker_mix(const TuskKronecker *h) {
  // Where orders cost the same, the one that comes first here; `between` works on the shortest vectors.
  static const TuskMix orders[] = {TuskMixNone, TuskMixBetween, TuskMixFirst, TuskMixLast, TuskMixAround};
  TuskMix best = orders[0];
  for (size_t i = 1; i < sizeof orders / sizeof orders[0]; i++) {
    if (term_cost(h, orders[i]) < term_cost(h, best)) best = orders[i];
  }
  return best;
}

size_t tusk_kronecker_scratch_floats(const TuskKronecker *h) {
  const size_t P = h->inBlocks, Q = h->outBlocks, p = h->in / P, q = h->out / Q, r = h->full ? 0 : h->rank;
  switch (tusk_kronecker_mix(h)) {
  case TuskMixNone: return KRONECKER_ROWS * r;
  case TuskMixFirst: return p + r;
  // Cheaper than `first` and `last`, it needs less than in + p r and out + r q, which are in the file.
  case TuskMixBetween: return (P + Q) * r;
  case TuskMixLast: return q + r;
  case TuskMixAround: return p + q + r;
  }
  return 0;
}

uint64_t tusk_kronecker_multiply_adds(const TuskKronecker *h) { return h->n * term_cost(h, tusk_kronecker_mix(h)); }
