#include "tables.h"

#include <stdatomic.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

enum { LEAF_1_ECX_OSXSAVE = 1 << 27, LEAF_7_EBX_AVX2 = 1 << 5 };

/// Register state the operating system saves: bits 1 and 2 are the SSE and AVX registers.
static uint64_t saved_state(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & LEAF_1_ECX_OSXSAVE)) return 0;
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

static bool has_avx2(void) {
  unsigned a, b, c, d;
  return (saved_state() & 0x6) == 0x6 && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & LEAF_7_EBX_AVX2);
}
#endif

static bool always(void) { return true; }

typedef struct {
  const TuskKernels *kernels;
  bool (*isPresent)(void);
} Candidate;

/// From least to best: a cap is a position in this list.
static const Candidate candidates[] = {
    {&tusk_kernels_portable, always},
#if defined(__x86_64__)
    {&tusk_kernels_avx2, has_avx2},
#endif
};

enum { CANDIDATE_COUNT = sizeof candidates / sizeof candidates[0] };

/// Names of ISAs this program knows on some processor; as a cap they all mean something.
static const char *const knownNames[] = {"portable", "avx2"};

/// What the self-check of each candidate found: 0 not run, 1 agrees with portable, 2 differs. Threads that race write the
/// same value.
static atomic_int verdicts[CANDIDATE_COUNT];

static bool is_proven(int index) {
  if (index == 0) return true;
  int verdict = atomic_load(&verdicts[index]);
  if (verdict == 0) {
    verdict = tusk_kernels_agree(candidates[index].kernels, &tusk_kernels_portable) ? 1 : 2;
    atomic_store(&verdicts[index], verdict);
  }
  return verdict == 1;
}

static bool is_known(const char *name) {
  for (size_t i = 0; i < sizeof knownNames / sizeof knownNames[0]; i++) {
    if (strcmp(name, knownNames[i]) == 0) return true;
  }
  return false;
}

const TuskKernels *tusk_kernels_select(const char *cap, TuskSelection *selection) {
  TuskSelection found = {.unknownName = false, .failedName = NULL};
  int highest = CANDIDATE_COUNT - 1;
  if (cap != NULL && cap[0] != 0) {
    found.unknownName = !is_known(cap);
    for (int i = 0; i < CANDIDATE_COUNT; i++) {
      if (strcmp(cap, candidates[i].kernels->name) == 0) highest = i;
    }
  }
  int choice = highest;
  for (; choice > 0; choice--) {
    if (!candidates[choice].isPresent()) continue;
    if (is_proven(choice)) break;
    if (found.failedName == NULL) found.failedName = candidates[choice].kernels->name;
  }
  if (selection != NULL) *selection = found;
  return candidates[choice].kernels;
}
