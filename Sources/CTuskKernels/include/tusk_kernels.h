#ifndef TUSK_KERNELS_H
#define TUSK_KERNELS_H

#include "tusk_attention.h"
#include "tusk_combine.h"
#include "tusk_kronecker.h"
#include "tusk_matmul.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/// The arithmetic of the engine. Nothing here allocates, locks, or keeps state; every function may run on any number of
/// threads at once. Vectors of floats need no alignment; rows of codes are described in tusk_matmul.h.
///
/// All ISAs give the same bits for every operation: floats are summed in 8 lanes whatever the register width, and
/// multiplications are never fused with additions. `portable` is the reference and exists everywhere.

/// Values are stable: they are written in files.
typedef enum {
  TuskActivationIdentity = 0,
  TuskActivationRelu = 1,
  /// 0.5 x (1 + erf(x / sqrt 2)); erf within 1e-7.
  TuskActivationGelu = 2,
  /// 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
  TuskActivationGeluNew = 3,
  /// x / (1 + e^-x)
  TuskActivationSilu = 4,
  TuskActivationTanh = 5,
  TuskActivationSigmoid = 6,
  /// x for x >= 0, 0.01 x below.
  TuskActivationLeakyRelu = 7,
  /// x / (1 + e^-1.702x)
  TuskActivationQuickGelu = 8,
  /// x tanh(ln(1 + e^x))
  TuskActivationMish = 9,
  /// min(max(x, 0), 6)
  TuskActivationRelu6 = 10,
  /// max(x, 0)^2
  TuskActivationRelu2 = 11,
  /// min(gelu(x), 10)
  TuskActivationGelu10 = 12,
  /// (1 + erf((x - 0.707107) / (0.282095 sqrt 2))) / 2
  TuskActivationLaplace = 13,
  TuskActivationLast = TuskActivationLaplace,
} TuskActivation;

/// One ISA's implementation of every operation. M, N, K, D are counts of rows and columns, strides are in elements.
typedef struct {
  /// "portable"; on x86-64 "avx2", "avxvnni", "avx512vnni"; on aarch64 "neon", "neondot".
  const char *name;

  /// Quantizes rows of activations. x [M, K] -> codes [M, K] (rows as in tusk_matmul.h, padding written), scales [M].
  ///
  ///     scale = absmax / 16383,  codes = clamp(roundHalfToEven(x * (16383 / absmax)), -16383, 16383)
  ///
  /// A row whose absmax is 0, or so small that 16383 / absmax overflows (below 5e-35): scale 0, codes 0. A row with a
  /// NaN or an infinity: scale NaN, codes 0, so that every product of it is NaN.
  void (*quantize_i16_f32)(const float *x, size_t xStride, size_t M, size_t K, int16_t *codes, size_t codesStride,
                           float *scales);

  /// Quantizes keys and values. x [groups, width] -> codes [groups, width], scales [groups]:
  ///
  ///     scale = absmax / 127,  codes = roundHalfToEven(x * (127 / absmax))
  ///
  /// Groups of zeros and of what is not finite as in `quantize_i16_f32`.
  void (*quantize_i8_f32)(const float *x, size_t groups, size_t width, int8_t *codes, float *scales);

  /// y[i] = the half nearest to x[i], ties to even; magnitudes above 65504 become that, NaN stays. [n]
  void (*convert_f16_f32)(const float *x, size_t n, uint16_t *y);

  /// Columns n0 ..< n1 of the product; see TuskMatmulI16. M = 1 streams the weights once at memory speed; larger M
  /// reads them once per call, too, as long as the activations stay in the second-level cache.
  void (*matmul_f32_i16_i8)(const TuskMatmulI16 *product, size_t n0, size_t n1);

  /// Columns n0 ..< n1 of the product; see TuskMatmulF32.
  void (*matmul_f32_f32_f32)(const TuskMatmulF32 *product, size_t n0, size_t n1);

  /// See TuskCombine.
  void (*combine_f32)(const TuskCombine *product);

  /// y[k] = codes[k] * scale: one row of an int8 matrix, for example an embedding. Reads K bytes.
  void (*gather_f32_i8)(const int8_t *codes, float scale, size_t K, float *y);

  /// y = x / sqrt(mean(x^2) + epsilon) * weight, row by row. x [M, D], weight [D], y [M, D]; y may be x.
  void (*rmsnorm_f32)(const float *x, size_t xStride, size_t M, size_t D, const float *weight, float epsilon, float *y,
                      size_t yStride);

  /// y = (x - mean) / sqrt(variance + epsilon) * weight + bias, row by row. x [M, D], weight and bias [D], y [M, D]; y
  /// may be x.
  void (*layernorm_f32)(const float *x, size_t xStride, size_t M, size_t D, const float *weight, const float *bias,
                        float epsilon, float *y, size_t yStride);

  /// In place over n floats. Relative error of the exponential in them <= 2e-7.
  void (*activate_f32)(TuskActivation kind, float *x, size_t n);

  /// y += x
  void (*add_f32)(float *y, const float *x, size_t n);
  /// y *= x
  void (*multiply_f32)(float *y, const float *x, size_t n);
  /// y *= factor
  void (*scale_f32)(float *y, float factor, size_t n);
  /// y += factor * x
  void (*axpy_f32)(float *y, float factor, const float *x, size_t n);

  /// See TuskAttention. `scratch`: tusk_attention_scratch_floats(dKV) floats.
  void (*attend_f32)(const TuskAttention *head, float *scratch);

  /// x [M, in] -> y [M, out], which must not overlap. `scratch`: tusk_kronecker_scratch_floats(layer) floats.
  /// `multiplyAdds`, when given, grows by the multiply-adds really performed.
  void (*kronecker_f32)(const TuskKronecker *layer, const float *x, size_t xStride, size_t M, float *y, size_t yStride,
                        float *scratch, uint64_t *_Nullable multiplyAdds);

  /// Index of the first largest number; NaN is passed over. 0 when there is none.
  size_t (*argmax_f32)(const float *x, size_t n);
  /// Largest number, NaN passed over; -infinity when there is none.
  float (*max_f32)(const float *x, size_t n);
  /// log(sum(e^x)); -infinity for n = 0.
  float (*logsumexp_f32)(const float *x, size_t n);

  /// Measures: reads every byte of the buffer (64-byte aligned, a multiple of 256 bytes) with the loads of the matmul
  /// and returns their sum, as fast as this ISA can read.
  uint64_t (*read_probe)(const void *buffer, size_t bytes);
  /// Measures: 8-bit multiply-adds on registers only, the rate that int8 engines are measured against. Returns how many
  /// multiply-adds it did (proportional to `rounds`).
  uint64_t (*multiply_add_probe)(size_t rounds);
} TuskKernels;

/// What `tusk_kernels_select` has to tell besides its result.
typedef struct {
  /// The cap named no ISA; it was ignored.
  bool unknownName;
  /// Name of the best ISA that gave a wrong answer in its self-check and was passed over, or NULL.
  const char *_Nullable failedName;
} TuskSelection;

/// The best kernels of min(this machine, cap). A NULL or empty cap means no cap; asking for more than the machine has
/// is harmless. Kernels other than `portable` are proven against it on small vectors before they are first handed out.
const TuskKernels *tusk_kernels_select(const char *_Nullable cap, TuskSelection *_Nullable selection);

/// Whether `candidate` gives the bits of `reference` on small vectors of every operation.
bool tusk_kernels_agree(const TuskKernels *candidate, const TuskKernels *reference);

#pragma clang assume_nonnull end

#endif
