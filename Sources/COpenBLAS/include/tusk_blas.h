#ifndef TUSK_BLAS_H
#define TUSK_BLAS_H

#include <stdbool.h>
#include <stddef.h>

#pragma clang assume_nonnull begin

/// OpenBLAS, found when it is first asked for: a program that only runs tasks neither maps the library (36 MB) nor starts
/// its threads. It is set to one thread; a caller splits products over threads of its own.
///
/// NULL when it is ready, else what the dynamic linker says. Any thread may call it, any number of times.
const char *_Nullable tusk_blas_load(void);

/// C [M, N] = alpha op(A) op(B) + beta C, row-major, strides in floats; op(A) is [M, K], op(B) is [K, N]. With beta = 0 what
/// C holds does not count. Any number of threads may call it at once; one product gives the same bits whoever calls.
/// `tusk_blas_load` must have returned NULL.
void tusk_blas_sgemm(bool transposesA, bool transposesB, size_t M, size_t N, size_t K, float alpha, const float *A,
                     size_t aStride, const float *B, size_t bStride, float beta, float *C, size_t cStride);

#pragma clang assume_nonnull end

#endif
