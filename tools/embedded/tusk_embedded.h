#ifndef TUSK_EMBEDDED_H
#define TUSK_EMBEDDED_H

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/// Memory for the objects of Swift, before anything else is called: some tens of kilobytes (tools/embedded/README.md).
void tusk_embedded_set_heap(void *memory, size_t bytes);

/// What the engine needs or found; all zero until an answer was asked for.
typedef struct {
  /// Bytes of working memory that the plan takes.
  size_t arenaBytes;
  /// Of a refusal: its kind and where in the model, as `FormatError` counts.
  uint32_t kind;
  uint32_t offset;
} tusk_embedded_report;

/// The answer to `text` [textBytes] of the model at `model`, on a multiple of 64 bytes, in `answer` [room]; decoded
/// greedily with the model's first task, if it has one. Works in `arena`, on a multiple of 64 bytes. Returns the bytes of
/// the answer, which may be more than fitted, or a negative number: -1 for bytes that are no model, -2 for a plan or a
/// text the engine refuses, -3 for a text that cannot be tokenized.
ptrdiff_t tusk_embedded_answer(const void *model, size_t modelBytes, void *arena, size_t arenaBytes, const uint8_t *text,
                               size_t textBytes, size_t sourceTokens, size_t newTokens, uint8_t *answer, size_t room,
                               tusk_embedded_report *report);

#pragma clang assume_nonnull end

#endif
