#include "tables.h"

#include <stdatomic.h>

/// Features that tables need, as bits.
enum { HAS_AVX2 = 1, HAS_AVXVNNI = 2, HAS_AVX512VNNI = 4, HAS_DOTPROD = 8 };

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
enum { STATE_AVX = 0x06, STATE_AVX512 = 0xE6 };

/// Every question leaves a virtual machine for microseconds, so each is asked once.
static unsigned features(void) {
  unsigned a, b, c, d;
  if (__get_cpuid_max(0, NULL) < 7) return 0;
  __cpuid(1, a, b, c, d);
  // Every processor with AVX2 converts half precision; a virtual machine may hide that.
  if (!(c & LEAF_1_ECX_OSXSAVE) || !(c & LEAF_1_ECX_F16C)) return 0;
  unsigned state, high;
  __asm__ volatile("xgetbv" : "=a"(state), "=d"(high) : "c"(0));
  __cpuid_count(7, 0, a, b, c, d);
  if ((state & STATE_AVX) != STATE_AVX || !(b & LEAF_7_EBX_AVX2)) return 0;
  unsigned found = HAS_AVX2;
  const unsigned needed = LEAF_7_EBX_AVX512F | LEAF_7_EBX_AVX512BW | LEAF_7_EBX_AVX512VL;
  if ((state & STATE_AVX512) == STATE_AVX512 && (b & needed) == needed && (c & LEAF_7_ECX_AVX512VNNI)) {
    found |= HAS_AVX512VNNI;
  }
  // The highest part of leaf 7.
  if (a >= 1) {
    __cpuid_count(7, 1, a, b, c, d);
    if (a & LEAF_7_1_EAX_AVXVNNI) found |= HAS_AVXVNNI;
  }
  return found;
}
#elif defined(__aarch64__) && defined(__ELF__)

/// The C library's, declared here because no header of it may be needed. Weak: a freestanding program has none.
__attribute__((weak)) unsigned long getauxval(unsigned long type);

enum { AUXILIARY_HWCAP = 16, HWCAP_ASIMDDP = 1 << 20 };

static unsigned features(void) {
  return getauxval != NULL && (getauxval(AUXILIARY_HWCAP) & HWCAP_ASIMDDP) ? HAS_DOTPROD : 0;
}
#elif defined(__ARM_FEATURE_DOTPROD)
static unsigned features(void) { return HAS_DOTPROD; }
#else
static unsigned features(void) { return 0; }
#endif

typedef struct {
  const TuskKernels *kernels;
  unsigned needed;
} Candidate;

/// From least to best: a cap is a position in this list.
static const Candidate candidates[] = {
    {&tusk_kernels_portable, 0},
#if defined(__x86_64__)
    {&tusk_kernels_avx2, HAS_AVX2},
    {&tusk_kernels_avxvnni, HAS_AVXVNNI},
    {&tusk_kernels_avx512vnni, HAS_AVX512VNNI},
#elif defined(__aarch64__)
    {&tusk_kernels_neon, 0},
    {&tusk_kernels_neondot, HAS_DOTPROD},
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
  const unsigned present = features();
  int choice = highest;
  for (; choice > 0; choice--) {
    if (candidates[choice].needed & ~present) continue;
    if (is_proven(choice)) break;
    if (found.failedName == NULL) found.failedName = candidates[choice].kernels->name;
  }
  if (selection != NULL) *selection = found;
  return candidates[choice].kernels;
}
