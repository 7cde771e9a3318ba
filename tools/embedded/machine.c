/// What the engine asks of a machine, on one that has neither operating system nor threads: a heap for the few objects of
/// Swift, made of memory the program gives, and the calls of CTuskSystem that cannot be left out. Working memory and
/// files are the caller's (`Session(memory:)`, `Mapping(borrowing:)`).

#include "tusk_embedded.h"
#include "tusk_file.h"
#include "tusk_memory.h"
#include "tusk_pool.h"

#include <stdint.h>

enum { GRANULE = 16 };

/// Error numbers as C libraries have them.
enum { NO_MEMORY = 12, NOT_IMPLEMENTED = 38 };

/// A stretch of the heap; free ones are chained by address, so that neighbours are found and joined.
typedef struct Block {
  size_t bytes;
  struct Block *next;
} Block;

static Block *freeBlocks;

void tusk_embedded_set_heap(void *memory, size_t bytes) {
  uintptr_t start = ((uintptr_t)memory + GRANULE - 1) / GRANULE * GRANULE;
  freeBlocks = (Block *)start;
  freeBlocks->bytes = ((uintptr_t)memory + bytes - start) / GRANULE * GRANULE;
  freeBlocks->next = NULL;
}

/// First fit. The word before what is handed out says where its block begins.
int posix_memalign(void **result, size_t alignment, size_t bytes) {
  if (alignment < GRANULE) alignment = GRANULE;
  for (Block **link = &freeBlocks; *link != NULL; link = &(*link)->next) {
    Block *block = *link;
    uintptr_t first = (uintptr_t)block + sizeof(Block) + sizeof(Block *);
    uintptr_t start = (first + alignment - 1) / alignment * alignment;
    uintptr_t end = (start + bytes + GRANULE - 1) / GRANULE * GRANULE;
    if (bytes > block->bytes || end - (uintptr_t)block > block->bytes) continue;
    size_t rest = block->bytes - (end - (uintptr_t)block);
    if (rest >= sizeof(Block)) {
      Block *behind = (Block *)end;
      *behind = (Block){.bytes = rest, .next = block->next};
      *link = behind;
      block->bytes -= rest;
    } else {
      *link = block->next;
    }
    ((Block **)start)[-1] = block;
    *result = (void *)start;
    return 0;
  }
  return NO_MEMORY;
}

static void join(Block *block) {
  if (block->next != NULL && (char *)block + block->bytes == (char *)block->next) {
    block->bytes += block->next->bytes;
    block->next = block->next->next;
  }
}

void free(void *memory) {
  if (memory == NULL) return;
  Block *block = ((Block **)memory)[-1], *before = NULL;
  for (Block *next = freeBlocks; next != NULL && next < block; next = next->next) before = next;
  if (before == NULL) {
    block->next = freeBlocks;
    freeBlocks = block;
  } else {
    block->next = before->next;
    before->next = block;
  }
  join(block);
  if (before != NULL) join(before);
}

/// Seeds of hashing, which nothing here does with data from outside.
void arc4random_buf(void *bytes, size_t count) { __builtin_memset(bytes, 0, count); }

struct tusk_pool {
  int threads;
};

tusk_pool *tusk_pool_create(int threads) {
  static tusk_pool onlyPool = {.threads = 1};
  return threads == 1 ? &onlyPool : NULL;
}

void tusk_pool_destroy(tusk_pool *pool) { (void)pool; }

bool tusk_pool_run(tusk_pool *pool, size_t count, tusk_pool_body body, void *context) {
  (void)pool;
  for (size_t i = 0; i < count; i++) body(context, i, 0);
  return true;
}

void *tusk_reserve_memory(size_t bytes) {
  (void)bytes;
  return NULL;
}

void tusk_release_memory(void *memory, size_t bytes) { (void)memory, (void)bytes; }

/// Memory that is the caller's is always there.
uint64_t tusk_bytes_read(void) { return 0; }
void tusk_expect_pages(const void *bytes, size_t count) { (void)bytes, (void)count; }
void tusk_release_pages(const void *bytes, size_t count) { (void)bytes, (void)count; }
void tusk_prefer_large_pages(const void *bytes, size_t count) { (void)bytes, (void)count; }
void tusk_expect_scattered_reads(const void *bytes, size_t count) { (void)bytes, (void)count; }

int tusk_map_file(const char *path, tusk_mapping *mapping) {
  (void)path, (void)mapping;
  return NOT_IMPLEMENTED;
}

int tusk_map_descriptor(int descriptor, tusk_mapping *mapping) {
  (void)descriptor, (void)mapping;
  return NOT_IMPLEMENTED;
}

void tusk_unmap_file(tusk_mapping mapping) { (void)mapping; }

int tusk_create_file(const char *path) {
  (void)path;
  return -NOT_IMPLEMENTED;
}

int tusk_write_at(int descriptor, const void *bytes, size_t count, uint64_t offset) {
  (void)descriptor, (void)bytes, (void)count, (void)offset;
  return NOT_IMPLEMENTED;
}

int tusk_sync_and_close(int descriptor) {
  (void)descriptor;
  return NOT_IMPLEMENTED;
}

void tusk_close_file(int descriptor) { (void)descriptor; }

int tusk_rename_file(const char *from, const char *to) {
  (void)from, (void)to;
  return NOT_IMPLEMENTED;
}

void tusk_remove_file(const char *path) { (void)path; }
