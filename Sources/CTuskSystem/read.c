#include "tusk_read.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int tusk_open_to_read(const char *path, uint64_t *bytes) {
  *bytes = 0;
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return -errno;
  struct stat status;
  int failure = 0;
  if (fstat(descriptor, &status) != 0) {
    failure = errno;
  } else if (S_ISDIR(status.st_mode)) {
    failure = EISDIR;
  } else if (!S_ISREG(status.st_mode)) {
    failure = EINVAL;
  }
  if (failure != 0) {
    close(descriptor);
    return -failure;
  }
  *bytes = (uint64_t)status.st_size;
  return descriptor;
}

int tusk_read_at(int descriptor, void *bytes, size_t count, uint64_t offset, size_t *received) {
  char *next = bytes;
  *received = 0;
  while (*received < count) {
    ssize_t got = pread(descriptor, next + *received, count - *received, (off_t)(offset + *received));
    if (got < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    if (got == 0) break;
    *received += (size_t)got;
  }
  return 0;
}

long tusk_read_stream(void *bytes, size_t count) {
  ssize_t received;
  do received = read(STDIN_FILENO, bytes, count);
  while (received < 0 && errno == EINTR);
  return received < 0 ? -errno : (long)received;
}
