#ifndef TUSK_READ_H
#define TUSK_READ_H

#include <stddef.h>
#include <stdint.h>

/// Opens the regular file at `path` for reading at offsets and sets `bytes` to its length. Returns the descriptor, or the
/// negated errno value: EISDIR for a directory, EINVAL for anything else that is not a regular file. Never blocks on a FIFO.
int tusk_open_to_read(const char *path, uint64_t *bytes);

/// Reads up to `count` bytes at `offset` and sets `received`, which is less than `count` only where the file ends.
/// Returns 0 or an errno value.
int tusk_read_at(int descriptor, void *bytes, size_t count, uint64_t offset, size_t *received);

/// Reads up to `count` bytes from standard input. Returns how many came, 0 at its end, or the negated errno value.
long tusk_read_stream(void *bytes, size_t count);

#endif
