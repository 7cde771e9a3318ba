#include "tusk_memory.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

void *tusk_reserve_memory(size_t bytes) {
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

void tusk_release_memory(void *memory, size_t bytes) { munmap(memory, bytes); }

/// Reads a file of /proc whole, as text.
static void read_text(const char *path, char *text, size_t size) {
  ssize_t count = -1;
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor >= 0) {
    count = read(descriptor, text, size - 1);
    close(descriptor);
  }
  text[count > 0 ? count : 0] = 0;
}

/// The number behind `name` in a text of /proc, or 0.
static uint64_t number_after(const char *text, const char *name) {
  const char *line = strstr(text, name);
  if (line == NULL) return 0;
  uint64_t value = 0;
  for (line += strlen(name); *line == ' ' || *line == '\t'; line++) {}
  for (; *line >= '0' && *line <= '9'; line++) value = value * 10 + (uint64_t)(*line - '0');
  return value;
}

tusk_memory_use tusk_measure_memory(void) {
  tusk_memory_use use = {0};
  char text[4096];
  read_text("/proc/self/status", text, sizeof text);
  use.anonymous = 1024 * number_after(text, "RssAnon:");
  use.file = 1024 * number_after(text, "RssFile:");
  use.peak = 1024 * number_after(text, "VmHWM:");
  read_text("/proc/self/io", text, sizeof text);
  use.deviceBytes = number_after(text, "\nread_bytes:");
  struct rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) == 0) use.majorFaults = (uint64_t)usage.ru_majflt;
  return use;
}

uint64_t tusk_bytes_read(void) {
  struct rusage usage;
  // In blocks of 512 bytes, whatever the device's are.
  return getrusage(RUSAGE_SELF, &usage) == 0 ? 512 * (uint64_t)usage.ru_inblock : 0;
}

/// Whole pages only: neighbours share the others.
static void advise(const void *bytes, size_t count, int advice) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  uintptr_t start = ((uintptr_t)bytes + page - 1) & ~(page - 1), end = ((uintptr_t)bytes + count) & ~(page - 1);
  if (start < end) madvise((void *)start, end - start, advice);
}

void tusk_expect_pages(const void *bytes, size_t count) { advise(bytes, count, MADV_WILLNEED); }

void tusk_prefer_large_pages(const void *bytes, size_t count) {
#ifdef MADV_HUGEPAGE
  advise(bytes, count, MADV_HUGEPAGE);
#else
  (void)bytes;
  (void)count;
#endif
}

void tusk_expect_scattered_reads(const void *bytes, size_t count) { advise(bytes, count, MADV_RANDOM); }

void tusk_release_pages(const void *bytes, size_t count) {
#ifdef MADV_PAGEOUT
  advise(bytes, count, MADV_PAGEOUT);
#else
  (void)bytes;
  (void)count;
#endif
}
