#include "tusk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int map_descriptor(int descriptor, int protection, int flags, tusk_mapping *mapping) {
  *mapping = (tusk_mapping){.base = NULL, .bytes = 0};
  struct stat status;
  if (fstat(descriptor, &status) != 0) return errno;
  if (S_ISDIR(status.st_mode)) return EISDIR;
  if (!S_ISREG(status.st_mode)) return EINVAL;
  if (status.st_size == 0) return 0;
  if ((uint64_t)status.st_size > PTRDIFF_MAX) return EFBIG;
  void *base = mmap(NULL, (size_t)status.st_size, protection, flags, descriptor, 0);
  if (base == MAP_FAILED) return errno;
  *mapping = (tusk_mapping){.base = base, .bytes = (uint64_t)status.st_size};
  return 0;
}

int tusk_map_descriptor(int descriptor, tusk_mapping *mapping) {
  return map_descriptor(descriptor, PROT_READ, MAP_SHARED, mapping);
}

static int map_file(const char *path, int protection, int flags, tusk_mapping *mapping) {
  *mapping = (tusk_mapping){.base = NULL, .bytes = 0};
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return errno;
  int failure = map_descriptor(descriptor, protection, flags, mapping);
  close(descriptor);
  return failure;
}

int tusk_map_file(const char *path, tusk_mapping *mapping) { return map_file(path, PROT_READ, MAP_SHARED, mapping); }

int tusk_map_file_privately(const char *path, tusk_mapping *mapping) {
  return map_file(path, PROT_READ | PROT_WRITE, MAP_PRIVATE, mapping);
}

void tusk_unmap_file(tusk_mapping mapping) {
  if (mapping.base != NULL) munmap((void *)mapping.base, (size_t)mapping.bytes);
}

const char *tusk_error_text(int error_number) { return strerror(error_number); }

int tusk_create_file(const char *path) {
  int descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  return descriptor < 0 ? -errno : descriptor;
}

int tusk_write_at(int descriptor, const void *bytes, size_t count, uint64_t offset) {
  const char *next = bytes;
  while (count > 0) {
    ssize_t written = pwrite(descriptor, next, count, (off_t)offset);
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    next += written;
    offset += (uint64_t)written;
    count -= (size_t)written;
  }
  return 0;
}

int tusk_sync_and_close(int descriptor) {
  int failure = fsync(descriptor) != 0 ? errno : 0;
  if (close(descriptor) != 0 && failure == 0) failure = errno;
  return failure;
}

void tusk_close_file(int descriptor) { close(descriptor); }

int tusk_sync_directory(const char *path) {
  int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return errno;
  int failure = fsync(descriptor) != 0 ? errno : 0;
  close(descriptor);
  return failure;
}

int tusk_sync_parent(const char *path) {
  char directory[PATH_MAX];
  const char *slash = strrchr(path, '/');
  size_t length = slash == NULL ? 0 : (size_t)(slash - path);
  if (length >= sizeof directory) return ENAMETOOLONG;
  memcpy(directory, path, length);
  directory[length] = 0;
  return tusk_sync_directory(slash == NULL ? "." : (length == 0 ? "/" : directory));
}

int tusk_rename_file(const char *from, const char *to) {
  if (rename(from, to) != 0) return errno;
  return tusk_sync_parent(to);
}

bool tusk_is_same_file(const char *first, const char *second) {
  struct stat a, b;
  if (stat(first, &a) != 0 || stat(second, &b) != 0) return false;
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

void tusk_remove_file(const char *path) { unlink(path); }

int tusk_write_stream(int stream, const void *bytes, size_t count) {
  const char *next = bytes;
  while (count > 0) {
    ssize_t written = write(stream, next, count);
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    next += written;
    count -= (size_t)written;
  }
  return 0;
}
