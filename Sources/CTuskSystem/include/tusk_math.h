#ifndef TUSK_MATH_H
#define TUSK_MATH_H

#include <stdint.h>

/// Written out here rather than taken from a C library, so that they give the same bits on every machine and need none.
/// Both are computed in double precision and rounded once.

/// The natural logarithm: -infinity of 0, NaN below.
float tusk_log_f32(float x);

/// e^x
float tusk_exp_f32(float x);

/// One instruction where there is one. Inline, because Swift's own calls the C library for the sake of errno.
static inline float tusk_square_root_f32(float x) { return __builtin_elementwise_sqrt(x); }

#endif
