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

/// The number of kilobytes behind `name` in the text of /proc/self/status, as bytes.
static uint64_t status_bytes(const char *text, const char *name) {
  const char *line = strstr(text, name);
  if (line == NULL) return 0;
  uint64_t value = 0;
  for (line += strlen(name); *line == ' ' || *line == '\t'; line++) {}
  for (; *line >= '0' && *line <= '9'; line++) value = value * 10 + (uint64_t)(*line - '0');
  return value * 1024;
}

tusk_memory_use tusk_measure_memory(void) {
  tusk_memory_use use = {0};
  char text[4096];
  int descriptor = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (descriptor >= 0) {
    ssize_t count = read(descriptor, text, sizeof text - 1);
    close(descriptor);
    text[count > 0 ? count : 0] = 0;
    use.anonymous = status_bytes(text, "RssAnon:");
    use.file = status_bytes(text, "RssFile:");
    use.peak = status_bytes(text, "VmHWM:");
  }
  struct rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) == 0) use.majorFaults = (uint64_t)usage.ru_majflt;
  return use;
}
