#ifndef TUSK_LANES_H
#define TUSK_LANES_H

#include <stddef.h>
#include <stdint.h>

/// The float kernels are written once, in vectors of 8 lanes that the compiler maps to whatever registers the target
/// has (two SSE or NEON registers, one AVX register). The files in this folder are included by portable.c
/// and, for avx2, by x86.c; each defines ISA(name) and the target attribute before. 8 lanes everywhere and no
/// contraction into fused multiply-adds (FP_CONTRACT OFF in those files) make the results the same bits on every ISA.
/// No C library header is included anywhere, so that freestanding targets compile; its memory functions go by their
/// builtin names.

typedef float f32x8 __attribute__((ext_vector_type(8)));
typedef int32_t i32x8 __attribute__((ext_vector_type(8)));

enum { LANES = 8 };

#define INLINE static inline __attribute__((always_inline))

INLINE f32x8 load(const float *p) {
  f32x8 v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

INLINE void store(float *p, f32x8 v) { __builtin_memcpy(p, &v, sizeof v); }

/// The first n < 8 lanes, the rest zero; touches no byte behind them.
INLINE f32x8 load_part(const float *p, size_t n) {
  float lanes[LANES] = {0};
  for (size_t i = 0; i < n; i++) lanes[i] = p[i];
  return load(lanes);
}

INLINE void store_part(float *p, f32x8 v, size_t n) {
  float lanes[LANES];
  store(lanes, v);
  for (size_t i = 0; i < n; i++) p[i] = lanes[i];
}

typedef uint16_t u16x8 __attribute__((ext_vector_type(8)));
typedef int8_t i8x8 __attribute__((ext_vector_type(8)));

INLINE f32x8 load_i8(const int8_t *p) {
  i8x8 v;
  __builtin_memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, f32x8);
}

/// 8 half-precision numbers. A file whose target converts them by an instruction defines TUSK_NATIVE_F16 before; the
/// result is exact either way.
INLINE f32x8 load_f16(const uint16_t *p) {
#if defined(TUSK_NATIVE_F16) || defined(__aarch64__)
  typedef _Float16 f16x8 __attribute__((ext_vector_type(8)));
  f16x8 v;
  __builtin_memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, f32x8);
#else
  u16x8 v;
  __builtin_memcpy(&v, p, sizeof v);
  i32x8 word = __builtin_convertvector(v, i32x8);
  // Exponents differ by 112; the product also normalizes what is subnormal as a half.
  f32x8 magnitude = (f32x8)((word & 0x7FFF) << 13) * 0x1p112f;
  i32x8 special = ((word & 0x7C00) == 0x7C00) & 0x7F800000;
  return (f32x8)((i32x8)magnitude | special | ((word & 0x8000) << 16));
#endif
}

INLINE f32x8 splat(float x) { return (f32x8)x; }

INLINE i32x8 bits(f32x8 v) { return (i32x8)v; }

/// Lane by lane: mask (all ones or zero) ? a : b.
INLINE f32x8 choose(i32x8 mask, f32x8 a, f32x8 b) { return (f32x8)((mask & (i32x8)a) | (~mask & (i32x8)b)); }

/// Lane by lane a > b ? a : b, so b where a is NaN.
INLINE f32x8 larger(f32x8 a, f32x8 b) { return choose(a > b, a, b); }

INLINE f32x8 smaller(f32x8 a, f32x8 b) { return choose(a < b, a, b); }

/// The sum of the lanes in a fixed order: halves, quarters, pairs.
INLINE float sum_lanes(f32x8 v) {
  float a = v[0] + v[4], b = v[1] + v[5], c = v[2] + v[6], d = v[3] + v[7];
  return (a + c) + (b + d);
}

INLINE float max_lanes(f32x8 v) {
  float m = v[0];
  for (int i = 1; i < LANES; i++) m = v[i] > m ? v[i] : m;
  return m;
}

INLINE float square_root(float x) { return __builtin_elementwise_sqrt(x); }

/// sum of a[k] * b[k]: lane k mod 8, one accumulator, then sum_lanes. The order of every float dot product of the
/// library.
INLINE float dot(const float *a, const float *b, size_t n) {
  f32x8 sum = splat(0);
  size_t k = 0;
  for (; k + LANES <= n; k += LANES) sum += load(a + k) * load(b + k);
  if (k < n) sum += load_part(a + k, n - k) * load_part(b + k, n - k);
  return sum_lanes(sum);
}

#endif
