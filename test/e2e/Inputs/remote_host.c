/* remote_host.c: loads model files in a process of another architecture for the end-to-end tests (test/e2e/remote.py).
 *
 * Reads requests from stdin: one byte, then the uint64 arguments below, then bytes. Answers on stdout with uint64s and bytes.
 *   L n bytes          dlopen of that path                        address of its attn_query, 0: failed
 *   H name             address of a callback of attn_host: 0 alloc, 1 free, 2 parallel_for, 3 poll
 *   A size align fill  memory that ends at an inaccessible page, filled with a byte, 0xC5 beside it      its address
 *   P address          makes it read-only
 *   K address          1 before, 2 behind: bytes beside it were changed; 0: as they were
 *   F address          frees it
 *   R address n        n bytes
 *   T address          n, and the n bytes of a C string
 *   W address n bytes  writes them
 *   C f a0 … a7        calls f: 0 and its result. Before that, any number of times: 1, done, total; reads what poll returns
 *   S schedule workers seed   how parallel_for runs tasks: 0 shuffled, by random workers, 1 by threads, 2 not at all: fails
 */
#define _GNU_SOURCE
#include "attn_abi.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, CANARY = 0xC5, MAX_WORKERS = 64 };

static uint64_t get(void) {
  uint64_t value;
  if (fread(&value, sizeof value, 1, stdin) != 1)
    exit(1);
  return value;
}
static void get_bytes(void *to, size_t n) {
  if (n && fread(to, 1, n, stdin) != n)
    exit(1);
}
static void put(uint64_t value) { fwrite(&value, sizeof value, 1, stdout); }

/* ---- Guarded memory --------------------------------------------------------------------------------- */

typedef struct block {
  struct block *next;
  unsigned char *first, *at; /* usable bytes; those that were asked for */
  size_t usable, size;
} block;
static block *blocks;

static void *new_block(size_t size, size_t align, int fill) {
  block *b = malloc(sizeof *b);
  align = align ? align : 1;
  b->size = size;
  b->usable = (size + align + PAGE - 1) / PAGE * PAGE;
  unsigned char *base =
      mmap(NULL, b->usable + 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED)
    exit(1);
  b->first = base + PAGE;
  mprotect(base, PAGE, PROT_NONE);
  mprotect(b->first + b->usable, PAGE, PROT_NONE);
  b->at = (unsigned char *)((uintptr_t)(b->first + b->usable - size) / align * align);
  memset(b->first, CANARY, b->usable);
  memset(b->at, fill, size);
  b->next = blocks;
  blocks = b;
  return b->at;
}
static block **find_block(uint64_t address) {
  block **b = &blocks;
  while (*b && (uintptr_t)(*b)->at != address)
    b = &(*b)->next;
  if (!*b)
    exit(1);
  return b;
}
static uint64_t check_block(const block *b) {
  for (const unsigned char *p = b->first; p < b->first + b->usable; ++p)
    if ((p < b->at || p >= b->at + b->size) && *p != CANARY)
      return p < b->at ? 1 : 2;
  return 0;
}
static void free_block(block **place) {
  block *b = *place;
  *place = b->next;
  munmap(b->first - PAGE, b->usable + 2 * PAGE);
  free(b);
}

/* ---- Callbacks of attn_host ------------------------------------------------------------------------- */

static uint32_t schedule, workers = 1;
static unsigned seed;

static void *host_alloc(void *ctx, DLDevice device, uint64_t size, uint64_t align) {
  return new_block(size, align, 0xFF);
}
static void host_free(void *ctx, DLDevice device, void *p) {
  block **b = find_block((uintptr_t)p);
  if (check_block(*b))
    exit(1);
  free_block(b);
}

typedef struct job {
  int32_t (*fn)(void *, int64_t, uint32_t);
  void *arg;
  int64_t tasks, next;
  int32_t status;
} job;
typedef struct worker {
  job *j;
  uint32_t number;
} worker;
static void *work(void *p) {
  worker *w = p;
  while (!__atomic_load_n(&w->j->status, __ATOMIC_RELAXED)) {
    int64_t task = __atomic_fetch_add(&w->j->next, 1, __ATOMIC_RELAXED);
    if (task >= w->j->tasks)
      break;
    int32_t status = w->j->fn(w->j->arg, task, w->number);
    if (status)
      __atomic_store_n(&w->j->status, status, __ATOMIC_RELAXED);
  }
  return NULL;
}
static int32_t host_parallel_for(void *ctx, int64_t tasks, int32_t (*fn)(void *, int64_t, uint32_t), void *arg) {
  if (schedule == 2)
    return 77;
  if (schedule == 1) {
    job j = {fn, arg, tasks, 0, 0};
    worker all[MAX_WORKERS];
    pthread_t threads[MAX_WORKERS];
    for (uint32_t i = 0; i < workers; ++i)
      all[i] = (worker){&j, i};
    for (uint32_t i = 1; i < workers; ++i)
      if (pthread_create(&threads[i], NULL, work, &all[i]))
        exit(1);
    work(&all[0]);
    for (uint32_t i = 1; i < workers; ++i)
      pthread_join(threads[i], NULL);
    return j.status;
  }
  int64_t *order = malloc((size_t)tasks * sizeof *order);
  int32_t status = 0;
  for (int64_t i = 0; i < tasks; ++i) { /* a random permutation */
    int64_t at = rand_r(&seed) % (i + 1);
    order[i] = order[at];
    order[at] = i;
  }
  for (int64_t i = 0; i < tasks && !status; ++i)
    status = fn(arg, order[i], (uint32_t)rand_r(&seed) % workers);
  free(order);
  return status;
}
static int32_t host_poll(void *ctx, uint64_t done, uint64_t total) {
  put(1);
  put(done);
  put(total);
  fflush(stdout);
  return (int32_t)get();
}

/* ---- Requests --------------------------------------------------------------------------------------- */

typedef uint64_t (*function)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

static void answer(int request) {
  uint64_t a, n, args[8];
  switch (request) {
  case 'L': {
    char *path = calloc(1, (n = get()) + 1);
    get_bytes(path, n);
    void *file = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!file)
      fprintf(stderr, "%s\n", dlerror());
    free(path);
    return put(file ? (uintptr_t)dlsym(file, "attn_query") : 0);
  }
  case 'H': {
    const uintptr_t callbacks[] = {(uintptr_t)host_alloc, (uintptr_t)host_free, (uintptr_t)host_parallel_for,
                                   (uintptr_t)host_poll};
    return put(callbacks[get() % 4]);
  }
  case 'A':
    for (int i = 0; i < 3; ++i)
      args[i] = get();
    return put((uintptr_t)new_block(args[0], args[1], (int)args[2]));
  case 'P': {
    block *b = *find_block(get());
    return put((uint64_t)mprotect(b->first, b->usable, PROT_READ));
  }
  case 'K':
    return put(check_block(*find_block(get())));
  case 'F':
    free_block(find_block(get()));
    return put(0);
  case 'R':
    a = get();
    n = get();
    fwrite((const void *)(uintptr_t)a, 1, n, stdout);
    return;
  case 'T':
    a = get();
    n = strlen((const char *)(uintptr_t)a);
    put(n);
    fwrite((const void *)(uintptr_t)a, 1, n, stdout);
    return;
  case 'W':
    a = get();
    n = get();
    get_bytes((void *)(uintptr_t)a, n);
    return put(0);
  case 'C': {
    function f = (function)(uintptr_t)get();
    for (int i = 0; i < 8; ++i)
      args[i] = get();
    uint64_t result = f(args[0], args[1], args[2], args[3], args[4], args[5], args[6], args[7]);
    put(0);
    return put(result);
  }
  case 'S':
    schedule = (uint32_t)get();
    workers = (uint32_t)get();
    seed = (unsigned)get();
    if (workers == 0 || workers > MAX_WORKERS)
      exit(1);
    return put(0);
  default:
    exit(1);
  }
}

int main(void) {
  for (int request; (request = getchar()) != EOF; fflush(stdout))
    answer(request);
  return 0;
}
