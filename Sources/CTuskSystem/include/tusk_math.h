#ifndef TUSK_MATH_H
#define TUSK_MATH_H

/// Natural logarithm in float32: Embedded Swift has no C math module.
float tusk_log_f32(float x);

/// e^x in float32.
float tusk_exp_f32(float x);

#endif
