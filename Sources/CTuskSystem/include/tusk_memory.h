#ifndef TUSK_MEMORY_H
#define TUSK_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/// Zeroed, page-aligned memory that costs nothing until it is touched. NULL if there is none.
void *_Nullable tusk_reserve_memory(size_t bytes);

void tusk_release_memory(void *memory, size_t bytes);

/// This process as the kernel counts it, in bytes; 0 where it does not say.
typedef struct {
  /// RssAnon: private pages, the heap above all.
  uint64_t anonymous;
  /// RssFile: pages of mapped files, shared and droppable.
  uint64_t file;
  /// VmHWM: the largest resident size so far.
  uint64_t peak;
  /// Page faults that had to wait for the disk.
  uint64_t majorFaults;
  /// Bytes read from storage, pages of mapped files included.
  uint64_t deviceBytes;
} tusk_memory_use;

tusk_memory_use tusk_measure_memory(void);

/// Bytes this process has had to read from storage so far, as the kernel counts them; cheap enough for every token.
uint64_t tusk_bytes_read(void);

/// Tells the kernel that pages of a mapped file, those wholly inside, will be read soon, or not for long.
void tusk_expect_pages(const void *bytes, size_t count);
void tusk_release_pages(const void *bytes, size_t count);

/// Tells the kernel that a mapped file will be read whole here: it then reads, keeps and maps it in pages as large as it has,
/// where a start and a pass over the weights meet fewer faults and translations.
void tusk_prefer_large_pages(const void *bytes, size_t count);
/// Or here and there: it then reads the pages that are asked for and not their neighbours.
void tusk_expect_scattered_reads(const void *bytes, size_t count);

#pragma clang assume_nonnull end

#endif
