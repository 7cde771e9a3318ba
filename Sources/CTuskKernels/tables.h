#ifndef TUSK_TABLES_H
#define TUSK_TABLES_H

#include "tusk_kernels.h"

extern const TuskKernels tusk_kernels_portable;
#if defined(__x86_64__)
extern const TuskKernels tusk_kernels_avx2;
extern const TuskKernels tusk_kernels_avxvnni;
extern const TuskKernels tusk_kernels_avx512vnni;
#elif defined(__aarch64__)
extern const TuskKernels tusk_kernels_neon;
extern const TuskKernels tusk_kernels_neondot;
#endif

#endif
