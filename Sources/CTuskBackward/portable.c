#include "tables.h"

#pragma clang diagnostic ignored "-Wpsabi"  // vectors never cross a call: everything that takes one is inlined

#define ISA(name) name##_portable
#include "operations.h"

const TuskBackward *tusk_backward_select(void) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &tusk_backward_avx2;
#endif
  return &tusk_backward_portable;
}

size_t tusk_kronecker_backward_scratch_floats(const TuskKronecker *layer) {
  size_t P = layer->inBlocks, Q = layer->outBlocks, w = layer->full ? layer->out / Q : layer->rank;
  return 2 * P * Q + 2 * P * w + Q * w;
}
