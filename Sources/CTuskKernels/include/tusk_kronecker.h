#ifndef TUSK_KRONECKER_H
#define TUSK_KRONECKER_H

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/// y = x H + bias, H = sum_i A_i (x) B_i [in, out], applied from its factors; H itself is never formed. n divides in
/// and out; H[a*p + k, c*q + j] = sum_i A_i[a, c] * B_i[k, j] with p = in/n, q = out/n.
///
/// Low-rank adapters and LoRA are n = 1 with factors, a dense matrix is n = 1 with `full`.
typedef struct {
  size_t n;
  size_t in;
  size_t out;
  /// r; unused with `full`.
  size_t rank;
  /// A: [n, n, n] `rule`, or `ruleLeft` [n, n, 1] and `ruleRight` [n, 1, n] with A_i = left_i right_i. All three NULL
  /// means A_i = 1 and is allowed for n = 1 only.
  const float *_Nullable rule;
  const float *_Nullable ruleLeft;
  const float *_Nullable ruleRight;
  /// B: `left` [n, p, r] and `right` [n, r, q] with B_i = left_i right_i, or `full` [n, p, q].
  const float *_Nullable left;
  const float *_Nullable right;
  const float *_Nullable full;
  /// [out] or NULL.
  const float *_Nullable bias;
} TuskKronecker;

/// Floats of scratch that `kronecker_f32` needs: 2 n^2 r with factors, p + q with `full`.
size_t tusk_kronecker_scratch_floats(const TuskKronecker *layer);

/// Multiply-adds that `kronecker_f32` performs per token:
/// factors: n in r + (n^3 r, or 2 n^2 r with a factorized rule, or 0 without rule) + n out r;
/// full: n^2 in + in out with `rule`, n in + in out / n + n out factorized, in out without rule.
uint64_t tusk_kronecker_multiply_adds(const TuskKronecker *layer);

#pragma clang assume_nonnull end

#endif
