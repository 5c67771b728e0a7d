/* pool.c: persistent threads behind attn_host.parallel_for.
 *
 * One job at a time. A job is open from its publication until all its tasks have been claimed:
 *
 *   caller                                        worker
 *   write fn, arg, tasks, next = 0                wait until `generation` changes
 *   state = OPEN; generation += 1; wake           if state is OPEN: state += 1 (atomically), else wait again
 *   claim and run tasks until none is left        claim and run tasks until none is left
 *   state &= ~OPEN; wait until state == 0         state -= 1; wake the caller when that made it 0
 *
 * The low bits of `state` count the workers inside the job, so the fields of a job never change under a worker,
 * and a worker that wakes late finds the job closed and holds nobody up. A task blocked in a barrier leaves
 * other tasks unclaimed, hence the job open, until enough workers have come: that is ATTN_HOST_GANG. */
#define _GNU_SOURCE
#include "attn_runtime.h"
#include "pool_wait.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define OPEN 0x80000000u
/* Two lines: neighbouring lines are fetched in pairs. */
#define LINE 128
/* Longer than the gap between two ops of a token, shorter than a scheduler's time slice. */
#define SPIN_NS 50000

typedef struct pool_thread {
  struct attn_pool *pool;
  pthread_t thread;
  uint32_t worker;
} pool_thread;

struct attn_pool {
  /* Written by the caller once per job. */
  _Alignas(LINE) waitable generation;
  atomic_uint stop;
  attn_task_fn fn;
  void *arg;
  uint64_t tasks;
  /* Written by everybody. */
  _Alignas(LINE) waitable state;
  _Alignas(LINE) atomic_ullong next;
  atomic_int status; /* first non-zero result */
  _Alignas(LINE) pthread_mutex_t busy; /* held by the thread whose job it is */
  uint32_t workers, started;
  int spin;
  pool_thread *threads; /* [workers - 1] */
};

/* Pools whose tasks this thread is inside of, innermost first. */
typedef struct frame {
  const attn_pool *pool;
  struct frame *outer;
} frame;
static _Thread_local frame *frames;

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Returns when *word is no longer `value`: spins for a while, then sleeps. */
static void wait_while(const attn_pool *pool, waitable *word, uint32_t value) {
  if (pool->spin) {
    int64_t end = now_ns() + SPIN_NS;
    do {
      for (int i = 0; i < 32; ++i) {
        if (waitable_load(word) != value)
          return;
        relax();
      }
    } while (now_ns() < end);
  }
  while (waitable_load(word) == value)
    waitable_sleep(word, value);
}

static void run_tasks(attn_pool *pool, uint32_t worker) {
  frame inside = {pool, frames};
  frames = &inside;
  while (atomic_load_explicit(&pool->status, memory_order_relaxed) == 0) {
    uint64_t task = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
    if (task >= pool->tasks)
      break;
    int32_t status = pool->fn(pool->arg, (int64_t)task, worker);
    if (status != 0) {
      int none = 0;
      atomic_compare_exchange_strong(&pool->status, &none, status);
    }
  }
  frames = inside.outer;
}

static void *worker_main(void *argument) {
  pool_thread *self = argument;
  attn_pool *pool = self->pool;
  uint32_t seen = 0;
  for (;;) {
    wait_while(pool, &pool->generation, seen);
    seen = waitable_load(&pool->generation);
    if (atomic_load(&pool->stop))
      return NULL;
    if (!waitable_enter(&pool->state, OPEN))
      continue;
    run_tasks(pool, self->worker);
    if (waitable_add(&pool->state, (uint32_t)-1) == 0)
      waitable_wake(&pool->state, 1);
  }
}

int32_t attn_pool_run(attn_pool *pool, int64_t tasks, attn_task_fn fn, void *arg) {
  if (!pool || !fn || tasks < 0)
    return ATTN_INVALID_ARGUMENT;
  for (const frame *f = frames; f; f = f->outer)
    if (f->pool == pool)
      return ATTN_INVALID_ARGUMENT;
  if (tasks == 0)
    return 0;
  pthread_mutex_lock(&pool->busy);
  pool->fn = fn;
  pool->arg = arg;
  pool->tasks = (uint64_t)tasks;
  atomic_store_explicit(&pool->status, 0, memory_order_relaxed);
  atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
  if (tasks == 1 || pool->started == 0) {
    run_tasks(pool, 0);
  } else {
    waitable_store(&pool->state, OPEN);
    waitable_add(&pool->generation, 1);
    waitable_wake(&pool->generation, tasks - 1 < (int64_t)pool->started ? (uint32_t)tasks - 1 : pool->started);
    run_tasks(pool, 0);
    uint32_t inside = waitable_clear(&pool->state, OPEN);
    while (inside != 0) {
      wait_while(pool, &pool->state, inside);
      inside = waitable_load(&pool->state);
    }
  }
  int32_t status = atomic_load(&pool->status);
  pthread_mutex_unlock(&pool->busy);
  return status;
}

uint32_t attn_default_threads(void) {
#ifdef __linux__
  /* The mask of a machine with more CPUs than cpu_set_t holds is refused with EINVAL: try larger ones. */
  for (int cpus = CPU_SETSIZE; cpus <= (1 << 20); cpus *= 4) {
    cpu_set_t *set = CPU_ALLOC(cpus);
    if (!set)
      break;
    int failed = sched_getaffinity(0, CPU_ALLOC_SIZE(cpus), set);
    int count = failed ? 0 : CPU_COUNT_S(CPU_ALLOC_SIZE(cpus), set);
    CPU_FREE(set);
    if (count > 0)
      return count < (int)ATTN_MAX_WORKERS ? (uint32_t)count : ATTN_MAX_WORKERS;
  }
#endif
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  if (online < 1)
    return 1;
  return online < (long)ATTN_MAX_WORKERS ? (uint32_t)online : ATTN_MAX_WORKERS;
}

int32_t attn_pool_create(uint32_t workers, attn_pool **result, attn_error *error) {
  *result = NULL;
  uint32_t cpus = attn_default_threads();
  if (workers == 0)
    workers = cpus;
  if (workers > ATTN_MAX_WORKERS)
    return attn_fail(error, ATTN_INVALID_ARGUMENT, "expected at most %u threads, got %u", ATTN_MAX_WORKERS, workers);
  attn_pool *pool = aligned_alloc(LINE, sizeof *pool);
  pool_thread *threads = calloc(workers, sizeof *threads);
  if (!pool || !threads) {
    free(pool);
    free(threads);
    return attn_fail(error, ATTN_OUT_OF_MEMORY, "out of memory for %u threads", workers);
  }
  *pool = (attn_pool){.workers = workers, .threads = threads, .spin = workers <= cpus};
  waitable_init(&pool->generation);
  waitable_init(&pool->state);
  pthread_mutex_init(&pool->busy, NULL);

  /* Signals belong to the program's own threads. */
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int failed = 0;
  for (uint32_t i = 0; i + 1 < workers && !failed; ++i) {
    threads[i] = (pool_thread){.pool = pool, .worker = i + 1};
    failed = pthread_create(&threads[i].thread, NULL, worker_main, &threads[i]);
    if (!failed)
      ++pool->started;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (failed) {
    uint32_t started = pool->started;
    attn_pool_free(pool);
    return attn_fail(error, ATTN_OUT_OF_MEMORY, "could not start thread %u of %u (error %d)", started + 1, workers,
                     failed);
  }
  *result = pool;
  return ATTN_OK;
}

uint32_t attn_pool_workers(const attn_pool *pool) { return pool->workers; }

void attn_pool_free(attn_pool *pool) {
  if (!pool)
    return;
  atomic_store(&pool->stop, 1);
  waitable_add(&pool->generation, 1);
  waitable_wake(&pool->generation, UINT32_MAX);
  for (uint32_t i = 0; i < pool->started; ++i)
    pthread_join(pool->threads[i].thread, NULL);
  waitable_destroy(&pool->generation);
  waitable_destroy(&pool->state);
  pthread_mutex_destroy(&pool->busy);
  free(pool->threads);
  free(pool);
}
