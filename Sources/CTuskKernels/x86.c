#if defined(__x86_64__)

#include "tables.h"

#include <immintrin.h>

#pragma STDC FP_CONTRACT OFF

/// The float operations are those of avx2 in all three: wider registers would give the same bits, and what they gain in
/// time is not worth the size of a copy.
#define FLOATS(name) name##_avx2

#pragma clang attribute push(__attribute__((target("avx2,f16c"))), apply_to = function)

#define TUSK_NATIVE_F16
#define ISA(name) name##_avx2
#include "lanes/all.h"

INLINE __m256i accumulate_avx2(__m256i sum, __m256i a, __m256i w) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(a, w));
}

#include "matmul_256.h"

/// maddubs, madd, add on registers, 12 chains: what an int8 engine without signs to mind could reach at most.
static uint64_t multiply_add_probe_avx2(size_t rounds) {
  __m256i sums[12], a = _mm256_set1_epi8(3), w = _mm256_set1_epi8(5);
  for (int i = 0; i < 12; i++) sums[i] = _mm256_setzero_si256();
  for (size_t r = 0; r < rounds; r++) {
    for (int i = 0; i < 12; i++) {
      // Opaque, so that equal products are not computed once.
      __asm__("" : "+x"(w));
      __m256i pairs = _mm256_maddubs_epi16(w, a);
      sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
  }
  for (int i = 0; i < 12; i++) __asm__ volatile("" : : "x"(sums[i]));
  return (uint64_t)rounds * 12 * 32;
}

const TuskKernels tusk_kernels_avx2 = TUSK_KERNEL_TABLE("avx2");

#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,f16c,avxvnni"))), apply_to = function)

#undef ISA
#define ISA(name) name##_avxvnni

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
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,f16c"))), apply_to = function)

#undef ISA
#define ISA(name) name##_avx512vnni
#include "matmul_512.h"

const TuskKernels tusk_kernels_avx512vnni = TUSK_KERNEL_TABLE("avx512vnni");

#pragma clang attribute pop

#endif
