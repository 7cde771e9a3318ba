#ifndef TUSK_MACHINE_H
#define TUSK_MACHINE_H

#include <stdint.h>

#pragma clang assume_nonnull begin

/// Physical cores this process may run on: hardware threads of one core count once, and only processors in the affinity
/// mask count. At least 1.
int tusk_physical_core_count(void);

/// The value of TUSK_ISA, a cap on the instruction set (`tusk_kernels_select`), or NULL.
const char *_Nullable tusk_isa_from_environment(void);

/// A clock that never runs backwards.
uint64_t tusk_monotonic_nanoseconds(void);

#pragma clang assume_nonnull end

#endif
