#include "tusk_math.h"

#include <math.h>

float tusk_log_f32(float x) { return logf(x); }

float tusk_exp_f32(float x) { return expf(x); }
