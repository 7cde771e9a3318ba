#ifndef TUSK_EPILOGUE_H
#define TUSK_EPILOGUE_H

#include "tusk_matmul.h"

/// The one way from an exact integer sum to an output; every kernel ends here, so every kernel gives the same bits.
static inline __attribute__((always_inline)) void finish(const TuskMatmulI16 *p, size_t m, size_t n, int64_t sum) {
  float y = (float)sum * (p->activationScales[m] * p->weightScales[n]);
  p->y[m * p->yStride + n] = p->bias ? y + p->bias[n] : y;
}

#endif
