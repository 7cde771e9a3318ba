#ifndef TUSK_BACKWARD_H
#define TUSK_BACKWARD_H

#include "tusk_kernels.h"

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/// One step of AdamW over n numbers, with g = gradient * gradientScale:
///
///     m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2
///     value -= rate * (m * correction1 / (sqrt(v * correction2) + epsilon) + weightDecay * value)
///
/// with correction1 = 1 / (1 - beta1^t), correction2 = 1 / (1 - beta2^t).
/// - Source: Loshchilov and Hutter 2019, as torch.optim.AdamW
typedef struct {
  /// In double, since 1 - beta would lose digits in float32.
  double beta1, beta2;
  float rate, epsilon, weightDecay, correction1, correction2, gradientScale;
} TuskAdamW;

/// The backward pass of a Kronecker-sum linear, from its factors: neither H nor the gradient of H is formed. With the row x
/// cut into blocks X [P, p], dy into dY [Q, q], and of the terms with factors B_i = L_i R_i:
///
///     U = X L_i [P, r]      V = A_i^T U [Q, r]      dV = dY R_i^T [Q, r]     dU = A_i dV [P, r]
///     dR_i += V^T dY        dA_i += U dV^T          dL_i += X^T dU           dX += dU L_i^T
///
/// and of full B_i: U = X B_i [P, q], dU = A_i dY, dA_i += U dY^T, dB_i += X^T dU, dX += dU B_i^T.
/// - Source: Zhang et al. 2021, equation 4; Mahabadi et al. 2021, equations 5 and 6
typedef struct {
  /// `scaling` multiplies y; `accumulates` does not count.
  TuskKronecker layer;
  /// Sums of gradients in the shapes of the layer's; NULL where the layer has NULL.
  float *_Nullable rule;
  float *_Nullable ruleLeft;
  float *_Nullable ruleRight;
  float *_Nullable left;
  float *_Nullable right;
  float *_Nullable full;
  float *_Nullable bias;
} TuskKroneckerGradient;

/// Floats of scratch that the backward pass of `layer` needs: those of one term and one row.
size_t tusk_kronecker_backward_scratch_floats(const TuskKronecker *layer);

/// The arithmetic of training that is neither a forward kernel nor a product: derivatives, softmax, dropout, loss, AdamW.
/// Nothing here allocates, locks or keeps state. Rows, counts and strides as in tusk_kernels.h; sums are formed in float32
/// unless said. Processors may differ in the last bits.
typedef struct {
  /// "portable", or "avx2" on x86-64.
  const char *name;

  /// dy[i] *= f'(x[i]), f the activation, x what entered it. [n]
  void (*activate)(TuskActivation kind, const float *x, float *dy, size_t n);

  /// Of rmsnorm_f32: dx += d(loss)/dx, and unless NULL dWeight += and dBias += those of the weight and of a bias added
  /// behind. x, dy, dx [M, D], weight, dWeight, dBias [D].
  void (*rmsnorm)(const float *x, size_t xStride, size_t M, size_t D, const float *weight, float epsilon,
                  const float *dy, size_t dyStride, float *dx, size_t dxStride, float *_Nullable dWeight,
                  float *_Nullable dBias);

  /// Of layernorm_f32, likewise.
  void (*layernorm)(const float *x, size_t xStride, size_t M, size_t D, const float *weight, float epsilon,
                    const float *dy, size_t dyStride, float *dx, size_t dxStride, float *_Nullable dWeight,
                    float *_Nullable dBias);

  /// See TuskKroneckerGradient. x [M, in], dy [M, out]; dx [M, in] += unless NULL.
  void (*kronecker)(const TuskKroneckerGradient *gradient, const float *x, size_t xStride, size_t M, const float *dy,
                    size_t dyStride, float *_Nullable dx, size_t dxStride, float *scratch);

  /// Forward: x = softmax(x + bias) in place; [n], n >= 1, bias NULL for none.
  void (*softmax_forward)(float *x, const float *_Nullable bias, size_t n);

  /// dp = factor * p * (dp - sum(p dp)): the gradient of what entered softmax through a scale `factor`. [n]
  void (*softmax)(const float *p, float *dp, size_t n, float factor);

  /// x[i] = kept(first + i) ? x[i] / (1 - rate) : 0: its own backward. An element is kept with probability 1 - rate, as key
  /// and position alone decide. [n], `first` a multiple of 4, rate in [0, 1).
  /// - Source: a 64-bit mix (splitmix64) of key + position / 4, 16 bits for each of 4 elements
  void (*dropout)(float *x, size_t n, uint64_t key, uint64_t first, float rate);

  /// Returns -log softmax(logits)[target], and leaves its gradient times `factor` in place of the logits. [n]
  double (*cross_entropy)(float *logits, size_t n, size_t target, float factor);

  /// sum(x[i]^2) in double. [n]
  double (*sum_of_squares)(const float *x, size_t n);

  /// y += the sum of the M rows of x [M, D]; y [D].
  void (*add_rows)(const float *x, size_t xStride, size_t M, size_t D, float *y);

  /// See TuskAdamW. [n] each.
  void (*adamw)(const TuskAdamW *step, float *values, const float *gradients, float *m, float *v, size_t n);
} TuskBackward;

/// The best of min(this machine, cap), which is a cap of `tusk_kernels_select`: those with no counterpart here are rounded
/// down. NULL, or a name that is none, means no cap.
const TuskBackward *tusk_backward_select(const char *_Nullable cap);

#pragma clang assume_nonnull end

#endif
