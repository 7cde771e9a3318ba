#if defined(__x86_64__)

#include "tables.h"

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)

#define ISA(name) name##_avx2
#define ISA_NAME "avx2"
#include "operations.h"

#pragma clang attribute pop

#endif
