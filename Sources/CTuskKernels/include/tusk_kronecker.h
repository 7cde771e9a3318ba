#ifndef TUSK_KRONECKER_H
#define TUSK_KRONECKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/// y = scaling * (x H + bias), or y += ... with `accumulates`; H = sum_i A_i (x) B_i [in, out], applied from its factors;
/// H itself is never formed. P = inBlocks divides in, Q = outBlocks divides out;
/// H[a*p + k, c*q + j] = sum_i A_i[a, c] * B_i[k, j] with p = in/P, q = out/Q.
///
/// A PHM layer has P = Q = n, LoKr n = 1, a low-rank layer n = P = Q = 1 with factors, a dense matrix the same with `full`.
typedef struct {
  size_t n;
  size_t in;
  size_t out;
  size_t inBlocks;
  size_t outBlocks;
  /// r; unused with `full`.
  size_t rank;
  /// A: [n, P, Q] `rule`, or `ruleLeft` [n, P, 1] and `ruleRight` [n, 1, Q] with A_i = left_i right_i. All three NULL means
  /// A = [1] and is allowed for n = P = Q = 1 only.
  const float *_Nullable rule;
  const float *_Nullable ruleLeft;
  const float *_Nullable ruleRight;
  /// B: `left` [n, p, r] and `right` [n, r, q] with B_i = left_i right_i, or `full` [n, p, q].
  const float *_Nullable left;
  const float *_Nullable right;
  const float *_Nullable full;
  /// [out] or NULL.
  const float *_Nullable bias;
  float scaling;
  bool accumulates;
} TuskKronecker;

/// Where the rule mixes the blocks. The order with the fewest multiply-adds is taken; per term they are
///
///     order    rule, factors          rule, full     factorized rule, factors   factorized rule, full   no rule
///     none                                                                                              p r + r q or p q
///     first    PQp + Qpr + Qrq        PQp + Qpq
///     between  Ppr + PQr + Qrq                       Ppr + Pr + Qr + Qrq
///     last     Ppr + Prq + PQq        Ppq + PQq
///     around                                         Pp + pr + rq + Qq          Pp + pq + Qq
typedef enum {
  TuskMixNone,
  TuskMixFirst,
  TuskMixBetween,
  TuskMixLast,
  /// ruleLeft in front of the products, ruleRight behind them.
  TuskMixAround,
} TuskMix;

TuskMix tusk_kronecker_mix(const TuskKronecker *layer);

/// Floats of scratch that `kronecker_f32` needs: that of one term, whatever n; less than twice the numbers of x, of y and of
/// one B_i's factors, but for 8 r without rule.
size_t tusk_kronecker_scratch_floats(const TuskKronecker *layer);

/// Multiply-adds that `kronecker_f32` performs per token.
uint64_t tusk_kronecker_multiply_adds(const TuskKronecker *layer);

#pragma clang assume_nonnull end

#endif
