#include "tusk_pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/// Workers look this often for new work before they sleep: some tens of microseconds, longer than the gap between two
/// matrix products of a decoder and shorter than a time slice.
enum { SPIN_ROUNDS = 2000 };

/// Bodies are leaf kernels; pages of a stack exist only once touched.
enum { STACK_BYTES = 256 * 1024 };

/// Set in `gate` while a run accepts workers; the bits below count the workers inside.
#define GATE_OPEN 0x80000000u

typedef struct {
  struct tusk_pool *pool;
  pthread_t thread;
  int index;
} Worker;

struct tusk_pool {
  /// Bumped by every run; what sleeping workers wait for.
  _Alignas(64) atomic_uint generation;
  atomic_uint sleepers;
  /// Work may be read by a worker that has entered the gate, and written only while the gate is closed and empty.
  _Alignas(64) atomic_uint gate;
  _Alignas(64) atomic_size_t next;
  _Alignas(64) size_t count;
  tusk_pool_body body;
  void *context;
  atomic_bool running;
  atomic_bool callerSleeps;
  bool ending;
  pthread_mutex_t lock;
  pthread_cond_t work;
  pthread_cond_t done;
  int threads;
  Worker workers[];
};

static void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

static void take_pieces(tusk_pool *pool, int worker) {
  size_t index;
  while ((index = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed)) < pool->count) {
    pool->body(pool->context, index, worker);
  }
}

/// Enters the gate unless the run is over.
static bool enter(tusk_pool *pool) {
  unsigned gate = atomic_load(&pool->gate);
  while (gate & GATE_OPEN) {
    if (atomic_compare_exchange_weak(&pool->gate, &gate, gate + 1)) return true;
  }
  return false;
}

static void leave(tusk_pool *pool) {
  if (atomic_fetch_sub(&pool->gate, 1) == 1 && atomic_load(&pool->callerSleeps)) {
    pthread_mutex_lock(&pool->lock);
    pthread_cond_signal(&pool->done);
    pthread_mutex_unlock(&pool->lock);
  }
}

/// Returns the generation after `seen`: spins, then sleeps. A run bumps the generation before it looks for sleepers,
/// and a worker counts itself as a sleeper before it looks at the generation, so one of the two sees the other.
static unsigned await_work(tusk_pool *pool, unsigned seen) {
  for (int i = 0; i < SPIN_ROUNDS; i++) {
    unsigned now = atomic_load_explicit(&pool->generation, memory_order_acquire);
    if (now != seen) return now;
    relax();
  }
  pthread_mutex_lock(&pool->lock);
  atomic_fetch_add(&pool->sleepers, 1);
  while (atomic_load(&pool->generation) == seen) pthread_cond_wait(&pool->work, &pool->lock);
  atomic_fetch_sub(&pool->sleepers, 1);
  pthread_mutex_unlock(&pool->lock);
  return atomic_load(&pool->generation);
}

static void announce(tusk_pool *pool) {
  atomic_fetch_add(&pool->generation, 1);
  if (atomic_load(&pool->sleepers) > 0) {
    pthread_mutex_lock(&pool->lock);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
  }
}

static void *work_until_end(void *argument) {
  Worker *self = argument;
  tusk_pool *pool = self->pool;
  unsigned seen = 0;
  for (;;) {
    seen = await_work(pool, seen);
    if (!enter(pool)) continue;
    if (pool->ending) {
      leave(pool);
      return NULL;
    }
    take_pieces(pool, self->index);
    leave(pool);
  }
}

static void await_workers(tusk_pool *pool) {
  for (int i = 0; i < SPIN_ROUNDS; i++) {
    if (atomic_load(&pool->gate) == 0) return;
    relax();
  }
  pthread_mutex_lock(&pool->lock);
  atomic_store(&pool->callerSleeps, true);
  while (atomic_load(&pool->gate) != 0) pthread_cond_wait(&pool->done, &pool->lock);
  atomic_store(&pool->callerSleeps, false);
  pthread_mutex_unlock(&pool->lock);
}

bool tusk_pool_run(tusk_pool *pool, size_t count, tusk_pool_body body, void *context) {
  if (atomic_exchange(&pool->running, true)) return false;
  if (pool->threads == 1 || count < 2) {
    for (size_t i = 0; i < count; i++) body(context, i, 0);
  } else {
    pool->count = count;
    pool->body = body;
    pool->context = context;
    atomic_store(&pool->next, 0);
    atomic_store(&pool->gate, GATE_OPEN);
    announce(pool);
    take_pieces(pool, 0);
    atomic_fetch_and(&pool->gate, ~GATE_OPEN);
    await_workers(pool);
  }
  atomic_store(&pool->running, false);
  return true;
}

static void end(tusk_pool *pool, int started) {
  pool->ending = true;
  // Left open: unlike a run's, this gate has to let every worker in.
  atomic_store(&pool->gate, GATE_OPEN);
  announce(pool);
  for (int i = 0; i < started; i++) pthread_join(pool->workers[i].thread, NULL);
  pthread_cond_destroy(&pool->done);
  pthread_cond_destroy(&pool->work);
  pthread_mutex_destroy(&pool->lock);
  free(pool);
}

tusk_pool *tusk_pool_create(int threads) {
  if (threads < 1 || threads > 4096) return NULL;
  size_t bytes = sizeof(tusk_pool) + (size_t)(threads - 1) * sizeof(Worker);
  tusk_pool *pool = NULL;
  if (posix_memalign((void **)&pool, 64, bytes) != 0) return NULL;
  memset(pool, 0, bytes);
  pool->threads = threads;
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->work, NULL);
  pthread_cond_init(&pool->done, NULL);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  // Signals belong to the program's own threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int started = 0;
  while (started < threads - 1) {
    Worker *worker = &pool->workers[started];
    worker->pool = pool;
    worker->index = started + 1;
    if (pthread_create(&worker->thread, &attributes, work_until_end, worker) != 0) break;
    started += 1;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  if (started < threads - 1) {
    end(pool, started);
    return NULL;
  }
  return pool;
}

void tusk_pool_destroy(tusk_pool *pool) {
  if (pool) end(pool, pool->threads - 1);
}

int tusk_pool_thread_count(const tusk_pool *pool) { return pool->threads; }
