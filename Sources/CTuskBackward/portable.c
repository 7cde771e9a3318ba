#include "tables.h"

#pragma clang diagnostic ignored "-Wpsabi"  // vectors never cross a call: everything that takes one is inlined

#define ISA(name) name##_portable
#define ISA_NAME "portable"
#include "operations.h"

const TuskBackward *tusk_backward_select(const char *cap) {
#if defined(__x86_64__)
  bool isCapped = cap && __builtin_strcmp(cap, tusk_backward_portable.name) == 0;
  if (!isCapped && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &tusk_backward_avx2;
#endif
  return &tusk_backward_portable;
}

size_t tusk_kronecker_backward_scratch_floats(const TuskKronecker *layer) {
  size_t P = layer->inBlocks, Q = layer->outBlocks, w = layer->full ? layer->out / Q : layer->rank;
  return 2 * P * Q + 2 * P * w + Q * w;
}
