#ifndef TUSK_EPILOGUE_X86_H
#define TUSK_EPILOGUE_X86_H

#include "epilogue.h"

#include <immintrin.h>

/// Tiles of many activations: WIDE_ROWS weight rows are widened together, WIDE_K columns at a time, and meet up to WIDE_M
/// rows of activations.
enum { WIDE_ROWS = 4, WIDE_K = 1024, WIDE_M = 64 };

/// `finish` for four neighbours of a row: the same operations in the same order, so the same bits.
static inline __attribute__((always_inline)) void finish_four(const TuskMatmulI16 *p, size_t m, size_t n,
                                                               __m128i sums) {
  __m128 scales = _mm_mul_ps(_mm_set1_ps(p->activationScales[m]), _mm_loadu_ps(p->weightScales + n));
  __m128 y = _mm_mul_ps(_mm_cvtepi32_ps(sums), scales);
  if (p->bias) y = _mm_add_ps(y, _mm_loadu_ps(p->bias + n));
  _mm_storeu_ps(p->y + m * p->yStride + n, y);
}

#endif
