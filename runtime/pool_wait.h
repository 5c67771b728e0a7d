/* pool_wait.h: a 32-bit word on which threads can sleep until it changes. Linux: futex; elsewhere, or with
 * ATTN_POOL_NO_FUTEX (the tests run both), a mutex and a condition variable. Private to pool.c. */
#ifndef ATTN_POOL_WAIT_H
#define ATTN_POOL_WAIT_H

#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>

#if defined(__linux__) && !defined(ATTN_POOL_NO_FUTEX)
#define ATTN_POOL_FUTEX 1
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#define ATTN_POOL_FUTEX 0
#include <pthread.h>
#endif

typedef struct waitable {
  _Atomic uint32_t value;
  atomic_uint sleepers; /* threads that sleep or are about to: without any, a wake costs one load */
#if !ATTN_POOL_FUTEX
  pthread_mutex_t mutex;
  pthread_cond_t changed;
#endif
} waitable;

/* All accesses are sequentially consistent. That is what makes sleeping safe: a sleeper counts itself, then
 * looks at the value; a waker changes the value, then looks at the count; one of them sees the other. */
static inline uint32_t waitable_load(waitable *w) { return atomic_load(&w->value); }
static inline void waitable_store(waitable *w, uint32_t value) { atomic_store(&w->value, value); }
/* Returns the new value. */
static inline uint32_t waitable_add(waitable *w, uint32_t n) { return atomic_fetch_add(&w->value, n) + n; }
/* Returns the new value. */
static inline uint32_t waitable_clear(waitable *w, uint32_t bits) {
  return atomic_fetch_and(&w->value, ~bits) & ~bits;
}
/* Adds 1 if `bit` is set; returns whether it did. */
static inline int waitable_enter(waitable *w, uint32_t bit) {
  uint32_t value = atomic_load(&w->value);
  while (value & bit)
    if (atomic_compare_exchange_weak(&w->value, &value, value + 1))
      return 1;
  return 0;
}

#if ATTN_POOL_FUTEX

static inline void waitable_init(waitable *w) {
  atomic_init(&w->value, 0);
  atomic_init(&w->sleepers, 0);
}
static inline void waitable_destroy(waitable *w) { (void)w; }
/* Sleeps unless the value differs from `value`; may return early. */
static inline void waitable_sleep(waitable *w, uint32_t value) {
  atomic_fetch_add(&w->sleepers, 1);
  syscall(SYS_futex, &w->value, FUTEX_WAIT_PRIVATE, value, (void *)0, (void *)0, 0);
  atomic_fetch_sub(&w->sleepers, 1);
}
/* Wakes at least min(n, sleepers) threads. */
static inline void waitable_wake(waitable *w, uint32_t n) {
  if (atomic_load(&w->sleepers) != 0)
    syscall(SYS_futex, &w->value, FUTEX_WAKE_PRIVATE, n > INT_MAX ? INT_MAX : (int)n, (void *)0, (void *)0, 0);
}

#else

static inline void waitable_init(waitable *w) {
  atomic_init(&w->value, 0);
  atomic_init(&w->sleepers, 0);
  pthread_mutex_init(&w->mutex, 0);
  pthread_cond_init(&w->changed, 0);
}
static inline void waitable_destroy(waitable *w) {
  pthread_mutex_destroy(&w->mutex);
  pthread_cond_destroy(&w->changed);
}
static inline void waitable_sleep(waitable *w, uint32_t value) {
  atomic_fetch_add(&w->sleepers, 1);
  pthread_mutex_lock(&w->mutex);
  if (atomic_load(&w->value) == value)
    pthread_cond_wait(&w->changed, &w->mutex);
  pthread_mutex_unlock(&w->mutex);
  atomic_fetch_sub(&w->sleepers, 1);
}
static inline void waitable_wake(waitable *w, uint32_t n) {
  if (atomic_load(&w->sleepers) == 0)
    return;
  pthread_mutex_lock(&w->mutex);
  (void)n; /* a sleeper that is about to look at the value is counted but not yet waiting: wake all */
  pthread_cond_broadcast(&w->changed);
  pthread_mutex_unlock(&w->mutex);
}

#endif
#endif /* ATTN_POOL_WAIT_H */
