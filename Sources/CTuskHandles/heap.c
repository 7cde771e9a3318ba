#include "tusk_heap.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { GRANULE = 16 };

/// A stretch of a heap; free ones are chained by address, so that neighbours are found and joined.
typedef struct Block {
  /// This header included.
  size_t bytes;
  struct Block *next;
} Block;

struct tusk_heap {
  Block *free;
  size_t used;
  size_t peak;
  size_t overflow;
  atomic_flag lock;
};

/// Stands directly before every piece of memory that is handed out, wherever it is from.
typedef struct {
  /// NULL for memory of malloc.
  tusk_heap *heap;
  /// What to give back: a `Block`, or malloc's address.
  void *origin;
} Owner;

static _Thread_local tusk_heap *current;

static size_t rounded(size_t bytes, size_t granule) { return (bytes + granule - 1) / granule * granule; }

static void lock(tusk_heap *heap) {
  while (atomic_flag_test_and_set_explicit(&heap->lock, memory_order_acquire)) {}
}

static void unlock(tusk_heap *heap) { atomic_flag_clear_explicit(&heap->lock, memory_order_release); }

tusk_heap *tusk_heap_make(void *memory, size_t bytes) {
  size_t start = rounded(sizeof(tusk_heap), GRANULE);
  if (bytes < start + sizeof(Block) + sizeof(Owner) + GRANULE) return NULL;
  tusk_heap *heap = memory;
  *heap = (tusk_heap){.used = start, .peak = start, .lock = ATOMIC_FLAG_INIT};
  heap->free = (Block *)((char *)memory + start);
  *heap->free = (Block){.bytes = (bytes - start) / GRANULE * GRANULE, .next = NULL};
  return heap;
}

tusk_heap *tusk_heap_enter(tusk_heap *heap) {
  tusk_heap *previous = current;
  current = heap;
  return previous;
}

size_t tusk_heap_take_overflow(tusk_heap *heap) {
  if (heap == NULL) return 0;
  size_t overflow = heap->overflow;
  heap->overflow = 0;
  return overflow;
}

size_t tusk_heap_peak_bytes(const tusk_heap *heap) { return heap->peak; }

/// The first block of at least `bytes`, cut to that; NULL if there is none.
static Block *take(tusk_heap *heap, size_t bytes) {
  lock(heap);
  Block **place = &heap->free;
  while (*place != NULL && (*place)->bytes < bytes) place = &(*place)->next;
  Block *block = *place;
  if (block == NULL) {
    heap->overflow += bytes;
  } else {
    if (block->bytes - bytes >= sizeof(Block) + sizeof(Owner) + GRANULE) {
      Block *rest = (Block *)((char *)block + bytes);
      *rest = (Block){.bytes = block->bytes - bytes, .next = block->next};
      block->bytes = bytes;
      *place = rest;
    } else {
      *place = block->next;
    }
    heap->used += block->bytes;
    if (heap->used > heap->peak) heap->peak = heap->used;
  }
  unlock(heap);
  return block;
}

static bool touches(const Block *block, const Block *next) {
  return next != NULL && (const char *)block + block->bytes == (const char *)next;
}

static void give_back(tusk_heap *heap, Block *block) {
  lock(heap);
  heap->used -= block->bytes;
  Block *before = NULL;
  Block *after = heap->free;
  while (after != NULL && after < block) {
    before = after;
    after = after->next;
  }
  block->next = after;
  if (touches(block, after)) {
    block->bytes += after->bytes;
    block->next = after->next;
  }
  if (before == NULL) {
    heap->free = block;
  } else if (touches(before, block)) {
    before->bytes += block->bytes;
    before->next = block->next;
  } else {
    before->next = block;
  }
  unlock(heap);
}

int tusk_heap_posix_memalign(void **memory, size_t alignment, size_t bytes) {
  if (alignment < GRANULE) alignment = GRANULE;
  size_t around = sizeof(Block) + sizeof(Owner) + alignment;
  if (bytes > SIZE_MAX / 4 || alignment > SIZE_MAX / 4) return ENOMEM;
  size_t total = rounded(bytes, GRANULE) + around;
  Owner owner = {.heap = current, .origin = NULL};
  if (owner.heap != NULL) owner.origin = take(owner.heap, total);
  if (owner.origin == NULL) {
    owner = (Owner){.heap = NULL, .origin = malloc(total)};
    if (owner.origin == NULL) return ENOMEM;
  }
  uintptr_t start = (uintptr_t)owner.origin + sizeof(Block) + sizeof(Owner);
  start = (start + alignment - 1) & ~(uintptr_t)(alignment - 1);
  ((Owner *)start)[-1] = owner;
  *memory = (void *)start;
  return 0;
}

void *tusk_heap_aligned_alloc(size_t alignment, size_t bytes) {
  void *memory;
  return tusk_heap_posix_memalign(&memory, alignment, bytes) == 0 ? memory : NULL;
}

void *tusk_heap_malloc(size_t bytes) { return tusk_heap_aligned_alloc(GRANULE, bytes); }

void *tusk_heap_calloc(size_t elements, size_t bytes) {
  size_t total;
  if (__builtin_mul_overflow(elements, bytes, &total)) return NULL;
  void *memory = tusk_heap_malloc(total);
  if (memory != NULL) memset(memory, 0, total);
  return memory;
}

void tusk_heap_free(void *memory) {
  if (memory == NULL) return;
  Owner owner = ((Owner *)memory)[-1];
  if (owner.heap == NULL) {
    free(owner.origin);
  } else {
    give_back(owner.heap, owner.origin);
  }
}
