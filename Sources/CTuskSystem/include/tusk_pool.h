#ifndef TUSK_POOL_H
#define TUSK_POOL_H

#include <stdbool.h>
#include <stddef.h>

#pragma clang assume_nonnull begin

/// A fixed set of threads that share out numbered pieces of work.
typedef struct tusk_pool tusk_pool;

/// `worker` is 0 for the caller of `tusk_pool_run`, else 1 ..< threads: the index of a thread's own scratch.
typedef void (*tusk_pool_body)(void *_Nullable context, size_t index, int worker);

/// A pool of `threads` threads, of which the caller of `tusk_pool_run` is one: threads = 1 starts none. NULL when
/// memory or threads are short, or threads < 1. Nothing is allocated later.
tusk_pool *_Nullable tusk_pool_create(int threads);

/// Waits for the threads to end and frees the pool. No run may be under way.
void tusk_pool_destroy(tusk_pool *_Nullable pool);

int tusk_pool_thread_count(const tusk_pool *pool);

/// Calls body(context, index, worker) once for each index in 0 ..< count and returns when all calls have returned.
/// Threads take the next index when they finish one, so a slow thread holds up no more than one piece; a thread that is
/// still asleep when the work is gone is not waited for. Indices must be independent. What a body wrote is visible to
/// the caller afterwards.
///
/// False, and nothing is called, when the pool is already running: from a body, or from another thread.
bool tusk_pool_run(tusk_pool *pool, size_t count, tusk_pool_body body, void *_Nullable context);

#pragma clang assume_nonnull end

#endif
