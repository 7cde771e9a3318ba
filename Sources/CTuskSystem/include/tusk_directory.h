#ifndef TUSK_DIRECTORY_H
#define TUSK_DIRECTORY_H

#include <stdbool.h>

/// `name` is that of an entry, valid during the call.
typedef void (*tusk_directory_visitor)(void *context, const char *name);

/// Creates a directory. Returns 0 or an errno value: EEXIST when anything has that name.
int tusk_create_directory(const char *path);

/// Removes an empty directory. Returns 0 or an errno value.
int tusk_remove_directory(const char *path);

/// Calls `visit` once for each entry but "." and "..". Returns 0 or an errno value: ENOENT when there is no such directory.
int tusk_list_directory(const char *path, tusk_directory_visitor visit, void *context);

/// Flushes the names in the directory `from`, puts it in the place of `to` in one step and flushes the directory that
/// holds both. An empty directory that was at `to` is gone; one that is not empty is at `from` now, or, without
/// `exchanging`, the reason for ENOTEMPTY. Returns 0 or an errno value.
int tusk_replace_directory(const char *from, const char *to, bool exchanging);

#endif
