#ifndef TUSK_BACKWARD_TABLES_H
#define TUSK_BACKWARD_TABLES_H

#include "tusk_backward.h"

extern const TuskBackward tusk_backward_portable;
#if defined(__x86_64__)
extern const TuskBackward tusk_backward_avx2;
#endif

#endif
