#include "tables.h"

#include <stdatomic.h>

#if defined(__x86_64__)
#include <cpuid.h>

enum {
  LEAF_1_ECX_OSXSAVE = 1 << 27,
  LEAF_1_ECX_F16C = 1 << 29,
  LEAF_7_EBX_AVX2 = 1 << 5,
  LEAF_7_EBX_AVX512F = 1 << 16,
  LEAF_7_EBX_AVX512BW = 1 << 30,
  LEAF_7_ECX_AVX512VNNI = 1 << 11,
  LEAF_7_1_EAX_AVXVNNI = 1 << 4,
};

/// Bit 31, which no enumerator of type int can name.
static const unsigned LEAF_7_EBX_AVX512VL = 1u << 31;

/// Register state the operating system saves: bits 1 and 2 are the SSE and AVX registers, 5 to 7 those of AVX-512.
static uint64_t saved_state(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & LEAF_1_ECX_OSXSAVE)) return 0;
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

/// AVX2 with conversions of half precision, which every processor with AVX2 has; a virtual machine may hide them.
static bool has_avx2(void) {
  unsigned a, b, c, d;
  if ((saved_state() & 0x6) != 0x6 || !__get_cpuid(1, &a, &b, &c, &d) || !(c & LEAF_1_ECX_F16C)) return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & LEAF_7_EBX_AVX2);
}

static bool has_avxvnni(void) {
  unsigned a, b, c, d;
  return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & LEAF_7_1_EAX_AVXVNNI);
}

static bool has_avx512vnni(void) {
  unsigned a, b, c, d;
  if (!has_avx2() || (saved_state() & 0xE6) != 0xE6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const unsigned needed = LEAF_7_EBX_AVX512F | LEAF_7_EBX_AVX512BW | LEAF_7_EBX_AVX512VL;
  return (b & needed) == needed && (c & LEAF_7_ECX_AVX512VNNI);
}
#elif defined(__aarch64__) && defined(__ELF__)

/// The C library's, declared here because no header of it may be needed. Weak: a freestanding program has none.
__attribute__((weak)) unsigned long getauxval(unsigned long type);

enum { AUXILIARY_HWCAP = 16, HWCAP_ASIMDDP = 1 << 20 };

static bool has_dotprod(void) { return getauxval != NULL && (getauxval(AUXILIARY_HWCAP) & HWCAP_ASIMDDP); }
#elif defined(__aarch64__)
static bool has_dotprod(void) {
#if defined(__ARM_FEATURE_DOTPROD)
  return true;
#else
  return false;
#endif
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
    {&tusk_kernels_avxvnni, has_avxvnni},
    {&tusk_kernels_avx512vnni, has_avx512vnni},
#elif defined(__aarch64__)
    {&tusk_kernels_neon, always},
    {&tusk_kernels_neondot, has_dotprod},
#endif
};

enum { CANDIDATE_COUNT = sizeof candidates / sizeof candidates[0] };

/// What the self-check of each candidate found: 0 not run, 1 agrees with portable, 2 differs. Threads that race write
/// the same value.
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

const TuskKernels *tusk_kernels_select(const char *cap, TuskSelection *selection) {
  TuskSelection found = {.unknownName = false, .failedName = NULL};
  int highest = CANDIDATE_COUNT - 1;
  if (cap != NULL && cap[0] != 0) {
    found.unknownName = true;
    for (int i = 0; i < CANDIDATE_COUNT; i++) {
      if (__builtin_strcmp(cap, candidates[i].kernels->name) != 0) continue;
      highest = i;
      found.unknownName = false;
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
