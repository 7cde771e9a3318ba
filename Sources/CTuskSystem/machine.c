#include "tusk_machine.h"

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/// Whether a processor of `mask` below `cpu` belongs to the same core. `list` is the kernel's form: "0,4" or "0-1".
static bool shares_core_with_lower(const char *list, int cpu, const cpu_set_t *mask) {
  const char *next = list;
  while (*next >= '0' && *next <= '9') {
    char *end;
    long first = strtol(next, &end, 10), last = first;
    if (*end == '-') last = strtol(end + 1, &end, 10);
    for (long other = first; other <= last && other < cpu; other++) {
      if (CPU_ISSET((size_t)other, mask)) return true;
    }
    next = *end == ',' ? end + 1 : end;
  }
  return false;
}

int tusk_physical_core_count(void) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return 1;
  int cores = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET((size_t)cpu, &mask)) continue;
    char path[96], list[256] = "";
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor >= 0) {
      ssize_t length = read(descriptor, list, sizeof list - 1);
      list[length > 0 ? length : 0] = 0;
      close(descriptor);
    }
    // Without topology every processor counts as a core.
    if (!shares_core_with_lower(list, cpu, &mask)) cores += 1;
  }
  return cores > 0 ? cores : 1;
}

const char *tusk_isa_from_environment(void) { return getenv("TUSK_ISA"); }

uint64_t tusk_monotonic_nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
