#include "epilogue.h"
#include "tables.h"

#pragma STDC FP_CONTRACT OFF
#pragma clang diagnostic ignored "-Wpsabi"  // vectors never cross a call: everything that takes one is inlined

#define ISA(name) name##_portable
#define FLOATS(name) name##_portable
#if defined(__x86_64__)
// There these prove the others, and serve processors before 2013: a tenth of tusk-nano is too much for that.
#define TUSK_COMPACT
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)
#include "lanes/all.h"
#pragma clang attribute pop
#else
#include "lanes/all.h"
#endif

/// sum of a[k] * w[k]: |product| <= 16383 * 127, so int32 holds a block of them and int64 all blocks.
INLINE int64_t dot_i16_i8_portable(const int16_t *a, const int8_t *w, size_t K) {
  int64_t total = 0;
  for (size_t block = 0; block < K; block += TUSK_MATMUL_BLOCK_K) {
    size_t end = K - block < TUSK_MATMUL_BLOCK_K ? K : block + TUSK_MATMUL_BLOCK_K;
    int32_t sum = 0;
    for (size_t k = block; k < end; k++) sum += (int32_t)a[k] * (int32_t)w[k];
    total += sum;
  }
  return total;
}

static void matmul_f32_i16_i8_portable(const TuskMatmulI16 *p, size_t n0, size_t n1) {
  for (size_t n = n0; n < n1; n++) {
    const int8_t *w = p->weights + n * p->weightsStride;
    for (size_t m = 0; m < p->M; m++) finish(p, m, n, dot_i16_i8_portable(p->codes + m * p->codesStride, w, p->K));
  }
}

static uint64_t read_probe_portable(const void *buffer, size_t bytes) {
  const uint64_t *words = buffer;
  uint64_t sum = 0;
  for (size_t i = 0; i < bytes / 8; i++) sum += words[i];
  return sum;
}

static uint64_t multiply_add_probe_portable(size_t rounds) {
  int16_t a[256];
  int8_t w[256];
  __builtin_memset(a, 3, sizeof a);
  __builtin_memset(w, 5, sizeof w);
  int64_t sink = 0;
  for (size_t i = 0; i < rounds; i++) {
    __asm__ volatile("" : : "r"(a), "r"(w) : "memory");
    sink += dot_i16_i8_portable(a, w, sizeof w);
  }
  __asm__ volatile("" : : "r"(sink));
  return (uint64_t)rounds * sizeof w;
}

const TuskKernels tusk_kernels_portable = TUSK_KERNEL_TABLE("portable");

#if defined(__aarch64__)

// NEON is part of the base there, so the portable float operations are those of these two as well.
#include "matmul_neon.h"

#undef ISA
#define ISA(name) name##_neon
const TuskKernels tusk_kernels_neon = TUSK_KERNEL_TABLE("neon");

#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)

#include "matmul_neondot.h"

#pragma clang attribute pop

#undef ISA
#define ISA(name) name##_neondot
const TuskKernels tusk_kernels_neondot = TUSK_KERNEL_TABLE("neondot");

#endif
