#include "tusk_blas.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

/// Of cblas.h, whose enumerations are ints: 101 row-major, 111 as it is, 112 transposed.
typedef void sgemm_function(int order, int transposesA, int transposesB, int M, int N, int K, float alpha,
                            const float *A, int aStride, const float *B, int bStride, float beta, float *C,
                            int cStride);

static sgemm_function *_Nullable sgemm;
static const char *_Nullable failure;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
  // Read when the library is initialized: no threads, and no buffers for them.
  setenv("OPENBLAS_NUM_THREADS", "1", 1);
  void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    failure = dlerror();
    if (!failure) failure = "libopenblas.so.0 cannot be loaded";
    return;
  }
  sgemm = (sgemm_function *)dlsym(library, "cblas_sgemm");
  if (!sgemm) failure = "libopenblas.so.0 has no cblas_sgemm";
}

const char *_Nullable tusk_blas_load(void) {
  pthread_once(&once, load);
  return failure;
}

void tusk_blas_sgemm(bool transposesA, bool transposesB, size_t M, size_t N, size_t K, float alpha, const float *A,
                     size_t aStride, const float *B, size_t bStride, float beta, float *C, size_t cStride) {
  sgemm(101, transposesA ? 112 : 111, transposesB ? 112 : 111, (int)M, (int)N, (int)K, alpha, A, (int)aStride, B,
        (int)bStride, beta, C, (int)cStride);
}
