#ifndef TUSK_HEAP_H
#define TUSK_HEAP_H

#include <stddef.h>

/// An allocator in memory of the caller's. Swift asks posix_memalign for every object and array; `tools/library` binds
/// that name, and the rest of the family, to the functions below, so that a call of the library that has entered a heap
/// takes nothing from malloc.
typedef struct tusk_heap tusk_heap;

/// A heap in `memory`, which begins on a multiple of 16 bytes. NULL if it is too small for any block.
tusk_heap *_Nullable tusk_heap_make(void *_Nonnull memory, size_t bytes);

/// From now on the calling thread allocates from `heap`, or with NULL from malloc. Returns what it was before.
tusk_heap *_Nullable tusk_heap_enter(tusk_heap *_Nullable heap);

/// Bytes that came from malloc since the last call because `heap` was full, and starts to count again. 0 for NULL.
size_t tusk_heap_take_overflow(tusk_heap *_Nullable heap);

/// Most bytes of the heap that were in use at a time, its own included.
size_t tusk_heap_peak_bytes(const tusk_heap *_Nonnull heap);

// As their namesakes of the C library. A block may be freed by any thread, whatever heap that has entered.
int tusk_heap_posix_memalign(void *_Nullable *_Nonnull memory, size_t alignment, size_t bytes);
void *_Nullable tusk_heap_aligned_alloc(size_t alignment, size_t bytes);
void *_Nullable tusk_heap_malloc(size_t bytes);
void *_Nullable tusk_heap_calloc(size_t elements, size_t bytes);
void tusk_heap_free(void *_Nullable memory);

#endif
