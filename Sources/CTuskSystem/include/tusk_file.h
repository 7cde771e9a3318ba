#ifndef TUSK_FILE_H
#define TUSK_FILE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// A regular file mapped read-only. `base` is NULL when `bytes` is 0.
typedef struct {
  const void *base;
  uint64_t bytes;
} tusk_mapping;

/// Maps the regular file at `path` read-only and shared. Returns 0 or an errno value: EISDIR for a directory, EINVAL for
/// anything else that is not a regular file (a FIFO is never opened for reading, so it cannot block).
int tusk_map_file(const char *path, tusk_mapping *mapping);

/// The same for an open file. The descriptor stays the caller's, who may close it at once.
int tusk_map_descriptor(int descriptor, tusk_mapping *mapping);

/// The same as `tusk_map_file`, but what is written to the bytes stays in pages of this process: the file is not changed.
int tusk_map_file_privately(const char *path, tusk_mapping *mapping);

/// Unmaps what was mapped.
void tusk_unmap_file(tusk_mapping mapping);

/// Why a write or rename failed.
const char *tusk_error_text(int error_number);

/// Creates (or truncates) `path` for writing. Returns the descriptor, or the negated errno value.
int tusk_create_file(const char *path);

/// Writes all `count` bytes at `offset`. Returns 0 or an errno value.
int tusk_write_at(int descriptor, const void *bytes, size_t count, uint64_t offset);

/// Flushes the file to its device and closes it. Returns 0 or an errno value; the descriptor is closed either way.
int tusk_sync_and_close(int descriptor);

void tusk_close_file(int descriptor);

/// Flushes the names in a directory, or in the one that holds `path`. Returns 0 or an errno value.
int tusk_sync_directory(const char *path);
int tusk_sync_parent(const char *path);

/// Renames `from` to `to` and flushes the directory that holds it. Returns 0 or an errno value.
int tusk_rename_file(const char *from, const char *to);

void tusk_remove_file(const char *path);

/// Whether both paths lead to one file, through whatever links. False when either is not there.
bool tusk_is_same_file(const char *first, const char *second);

/// Writes all of `count` bytes to standard output (1) or standard error (2). Returns 0 or an errno value.
int tusk_write_stream(int stream, const void *bytes, size_t count);

#endif
