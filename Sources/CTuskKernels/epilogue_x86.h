#ifndef TUSK_EPILOGUE_X86_H
#define TUSK_EPILOGUE_X86_H

#include "epilogue.h"

#include <immintrin.h>

/// Tiles of many activations in 512-bit registers: WIDE_ROWS weight rows are widened together, WIDE_K columns at a time,
/// and meet up to WIDE_M rows of activations.
enum { WIDE_ROWS = 4, WIDE_K = 1024, WIDE_M = 64 };

/// Those in 256-bit registers: PANEL_ROWS weight rows are widened together, a block of columns at a time, and meet up to
/// PANEL_M rows of activations, if K is more than a block PANEL_BLOCK_M. Measured: it does not pay for fewer than
/// PANEL_LEAST_M. PANEL_BLOCKS: see `panels`.
enum { PANEL_ROWS = 16, PANEL_M = 128, PANEL_BLOCK_M = 64, PANEL_LEAST_M = 24, PANEL_BLOCKS = 16 };

/// Weight rows that meet a block of a few activation rows, before its next block.
enum { TILE_ROWS = 16 };

/// What comes so many bytes later in a stream of weights is fetched, across the pages at which the hardware prefetcher
/// stops: measured, 5 to 8 % more bytes a second.
enum { FETCH_AHEAD = 1024 };

/// `finish` for four neighbours of a row: the same operations in the same order, so the same bits.
static inline __attribute__((always_inline)) void finish_four(const TuskMatmulI16 *p, size_t m, size_t n,
                                                               __m128i sums) {
  __m128 scales = _mm_mul_ps(_mm_set1_ps(p->activationScales[m]), _mm_loadu_ps(p->weightScales + n));
  __m128 y = _mm_mul_ps(_mm_cvtepi32_ps(sums), scales);
  if (p->bias) y = _mm_add_ps(y, _mm_loadu_ps(p->bias + n));
  _mm_storeu_ps(p->y + m * p->yStride + n, y);
}

#endif
