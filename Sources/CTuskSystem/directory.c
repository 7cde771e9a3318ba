#include "tusk_directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tusk_file.h"

int tusk_create_directory(const char *path) { return mkdir(path, 0755) == 0 ? 0 : errno; }

int tusk_remove_directory(const char *path) { return rmdir(path) == 0 ? 0 : errno; }

int tusk_list_directory(const char *path, tusk_directory_visitor visit, void *context) {
  DIR *directory = opendir(path);
  if (directory == NULL) return errno;
  struct dirent *entry;
  // Only errno tells the end from a failure.
  while (errno = 0, (entry = readdir(directory)) != NULL) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) visit(context, entry->d_name);
  }
  int failure = errno;
  closedir(directory);
  return failure;
}

int tusk_replace_directory(const char *from, const char *to, bool exchanging) {
  int failure = tusk_sync_directory(from);
  if (failure != 0) return failure;
  if (rename(from, to) != 0) {
    if (!exchanging || (errno != ENOTEMPTY && errno != EEXIST)) return errno;
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE) != 0) return errno;
  }
  return tusk_sync_parent(to);
}
