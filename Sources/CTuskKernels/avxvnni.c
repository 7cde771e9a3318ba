#if defined(__x86_64__)

#include "tables.h"

#include <immintrin.h>

#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx2,avxvnni"))), apply_to = function)

#define ISA(name) name##_avxvnni
#include "lanes/all.h"

INLINE __m256i accumulate_avxvnni(__m256i sum, __m256i a, __m256i w) {
  return _mm256_dpwssd_avx_epi32(sum, a, w);
}

#include "matmul_256.h"

/// The 8-bit form of the instruction on registers, 12 chains: twice the multiply-adds of the 16-bit form.
static uint64_t multiply_add_probe_avxvnni(size_t rounds) {
  __m256i sums[12], a = _mm256_set1_epi8(3), w = _mm256_set1_epi8(5);
  for (int i = 0; i < 12; i++) sums[i] = _mm256_setzero_si256();
  for (size_t r = 0; r < rounds; r++) {
    for (int i = 0; i < 12; i++) {
      // Opaque, so that equal products are not computed once.
      __asm__("" : "+x"(w));
      sums[i] = _mm256_dpbusd_avx_epi32(sums[i], a, w);
    }
  }
  for (int i = 0; i < 12; i++) __asm__ volatile("" : : "x"(sums[i]));
  return (uint64_t)rounds * 12 * 32;
}

const TuskKernels tusk_kernels_avxvnni = TUSK_KERNEL_TABLE("avxvnni");

#pragma clang attribute pop

#endif
