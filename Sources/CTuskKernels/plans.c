#include "attention_plan.h"
#include "tusk_kernels.h"

size_t tusk_attention_scratch_floats(size_t dKV) { return attention_scratch_floats(dKV); }

size_t tusk_kronecker_scratch_floats(const TuskKronecker *h) {
  return h->full ? h->in / h->n + h->out / h->n : 2 * h->n * h->n * h->rank;
}

uint64_t tusk_kronecker_multiply_adds(const TuskKronecker *h) {
  uint64_t n = h->n, in = h->in, out = h->out, r = h->rank;
  if (h->full) {
    if (h->rule) return n * n * in + in * out;
    return h->ruleLeft ? n * in + in * out / n + n * out : in * out;
  }
  uint64_t rule = h->rule ? n * n * n * r : (h->ruleLeft ? 2 * n * n * r : 0);
  return n * in * r + rule + n * out * r;
}
