#if defined(__x86_64__)

#include "epilogue.h"
#include "tables.h"

#include <immintrin.h>

#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx2,avxvnni"))), apply_to = function)

#define ISA(name) name##_avxvnni
#include "lanes/all.h"

/// Activations as the instruction wants them: a + 128, in 1...255. With w in [-127, 127] the sum over k of (a + 128) w is the
/// wanted sum plus 128 * weightSums[n]; both wrap modulo 2^32 and their difference does not, since it obeys the bound on K.
INLINE __m256i load_offset_avxvnni(const int8_t *a) {
  return _mm256_xor_si256(_mm256_load_si256((const __m256i *)a), _mm256_set1_epi8((char)0x80));
}

INLINE int32_t remove_offset_avxvnni(const TuskMatmulI8 *p, size_t n, int32_t sum) {
  return (int32_t)((uint32_t)sum - 128u * (uint32_t)p->weightSums[n]);
}

INLINE int32_t sum_i32_avxvnni(__m256i v) {
  __m128i x = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(x, _mm_shuffle_epi32(x, 0xB1)));
}

/// MT x NT dot products in registers: 12 accumulators and 3 activations leave one of the 16 registers for the offset.
INLINE void tile_avxvnni(const TuskMatmulI8 *p, size_t m0, size_t n0, const int MT, const int NT) {
  const int8_t *a = p->codes + m0 * p->codesStride, *w = p->weights + n0 * p->weightsStride;
  __m256i sums[8][4];
  for (int m = 0; m < MT; m++) {
    for (int n = 0; n < NT; n++) sums[m][n] = _mm256_setzero_si256();
  }
  for (size_t k = 0; k < p->K; k += 32) {
    __m256i wk[4];
    for (int n = 0; n < NT; n++) wk[n] = _mm256_load_si256((const __m256i *)(w + (size_t)n * p->weightsStride + k));
    for (int m = 0; m < MT; m++) {
      __m256i am = load_offset_avxvnni(a + (size_t)m * p->codesStride + k);
      for (int n = 0; n < NT; n++) sums[m][n] = _mm256_dpbusd_avx_epi32(sums[m][n], am, wk[n]);
    }
  }
  for (int m = 0; m < MT; m++) {
    for (int n = 0; n < NT; n++) {
      size_t column = n0 + (size_t)n;
      finish(p, m0 + (size_t)m, column, remove_offset_avxvnni(p, column, sum_i32_avxvnni(sums[m][n])));
    }
  }
}

/// Few activations meet one weight row at a time, so that the weights are one linear stream.
static void matmul_f32_i8_i8_avxvnni(const TuskMatmulI8 *p, size_t n0, size_t n1) {
  size_t n = n0;
  if (p->M > 8) {
    for (; n + 4 <= n1; n += 4) {
      size_t m = 0;
      for (; m + 3 <= p->M; m += 3) tile_avxvnni(p, m, n, 3, 4);
      for (; m < p->M; m++) tile_avxvnni(p, m, n, 1, 4);
    }
  }
  for (; n < n1; n++) {
    size_t m = 0;
    for (; m + 8 <= p->M; m += 8) tile_avxvnni(p, m, n, 8, 1);
    for (; m + 4 <= p->M; m += 4) tile_avxvnni(p, m, n, 4, 1);
    for (; m + 2 <= p->M; m += 2) tile_avxvnni(p, m, n, 2, 1);
    for (; m < p->M; m++) tile_avxvnni(p, m, n, 1, 1);
  }
}

static uint64_t read_probe_avxvnni(const void *buffer, size_t bytes) {
  const char *next = buffer;
  __m256i sums[8];
  for (int i = 0; i < 8; i++) sums[i] = _mm256_setzero_si256();
  for (size_t i = 0; i + 256 <= bytes; i += 256) {
    for (size_t j = 0; j < 8; j++) {
      sums[j] = _mm256_add_epi64(sums[j], _mm256_load_si256((const __m256i *)(next + i + j * 32)));
    }
  }
  for (int i = 1; i < 8; i++) sums[0] = _mm256_add_epi64(sums[0], sums[i]);
  uint64_t lanes[4];
  memcpy(lanes, &sums[0], sizeof lanes);
  return lanes[0] + lanes[1] + lanes[2] + lanes[3];
}

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
