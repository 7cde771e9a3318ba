#ifndef ALLOCATION_COUNTER_H
#define ALLOCATION_COUNTER_H

#include <stdint.h>

/// Allocations of the calling thread so far. The functions of the C library's allocator are replaced by ones that count,
/// so linking this target is enough.
uint64_t allocation_count(void);

#endif
