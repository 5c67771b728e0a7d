/* host.c: the default host: thread pool, memory, log, profile, cancellation. */
#define _GNU_SOURCE
#include "attn_runtime.h"
#include "memory.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct profile_slot {
  attn_profile_row row; /* op NULL: free */
  int cost;             /* class */
} profile_slot;

/* Open addressing, at most half full. */
typedef struct profile {
  pthread_mutex_t mutex;
  profile_slot *slots; /* [capacity], a power of two */
  uint32_t capacity, count;
} profile;

struct attn_runtime {
  attn_host host;
  attn_pool *pool;
  uint32_t flags;
  int32_t log_level;
  attn_progress_fn progress;
  void *progress_ctx;
  atomic_int cancelled;
  atomic_ullong overruns;
  profile profile;
};

/* Ops begun and not ended on this thread, of any runtime. Deeper ones are not timed. */
#define SPAN_DEPTH 16
static _Thread_local uint64_t span_begin[SPAN_DEPTH];
static _Thread_local uint32_t span_depth;

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- Callbacks -------------------------------------------------------------------------------------- */

static void *host_alloc(void *ctx, DLDevice device, uint64_t bytes, uint64_t align) {
  attn_runtime *runtime = ctx;
  if (device.device_type != kDLCPU)
    return NULL;
  if (runtime->flags & ATTN_RUNTIME_GUARD)
    return attn_guard_alloc(bytes, align);
  return attn_plain_alloc(NULL, device, bytes, align);
}

static void host_free(void *ctx, DLDevice device, void *memory) {
  attn_runtime *runtime = ctx;
  if (runtime->flags & ATTN_RUNTIME_GUARD)
    attn_guard_free(memory, &runtime->overruns);
  else
    attn_plain_free(NULL, device, memory);
}

int attn_host_guards(const attn_host *host) {
  return host->alloc == host_alloc && (((attn_runtime *)host->ctx)->flags & ATTN_RUNTIME_GUARD) != 0;
}

static int32_t host_parallel_for(void *ctx, int64_t tasks, attn_task_fn fn, void *arg) {
  return attn_pool_run(((attn_runtime *)ctx)->pool, tasks, fn, arg);
}

static void host_idle(void *ctx) {
  (void)ctx;
  sched_yield();
}

static void host_log(void *ctx, int32_t level, const char *text) {
  static const char *const names[] = {"error", "warning", "info", "debug"};
  attn_runtime *runtime = ctx;
  if (level <= runtime->log_level)
    fprintf(stderr, "attn: %s: %s\n", names[level < 0 ? 0 : level > 3 ? 3 : level], text);
}

static int32_t host_poll(void *ctx, uint64_t done, uint64_t total) {
  attn_runtime *runtime = ctx;
  if (atomic_load_explicit(&runtime->cancelled, memory_order_relaxed))
    return 1;
  return runtime->progress ? runtime->progress(runtime->progress_ctx, done, total) : 0;
}

/* ---- Profile ---------------------------------------------------------------------------------------- */

static uint32_t hash_name(const char *name) {
  uint32_t hash = 2166136261u; /* FNV-1a */
  for (; *name; ++name)
    hash = (hash ^ (unsigned char)*name) * 16777619u;
  return hash;
}

/* Ops of one name and of very different sizes are told apart, but a growing cache does not make a row per token. */
static int cost_class(const attn_op_info *op) {
  int flop = op->flop ? 64 - __builtin_clzll(op->flop) : 0, bytes = op->bytes ? 64 - __builtin_clzll(op->bytes) : 0;
  return flop * 65 + bytes;
}

static profile_slot *find_slot(profile_slot *slots, uint32_t capacity, const char *op, int cost) {
  uint32_t i = hash_name(op) & (capacity - 1);
  while (slots[i].row.op && (slots[i].cost != cost || strcmp(slots[i].row.op, op) != 0))
    i = (i + 1) & (capacity - 1);
  return &slots[i];
}

/* The row for `op`, made if needed; NULL when out of memory. */
static attn_profile_row *profile_row(profile *p, const char *op, int cost) {
  if (2 * (p->count + 1) > p->capacity) {
    uint32_t capacity = p->capacity ? 2 * p->capacity : 64;
    profile_slot *slots = calloc(capacity, sizeof *slots);
    if (!slots)
      return NULL;
    for (uint32_t i = 0; i < p->capacity; ++i)
      if (p->slots[i].row.op)
        *find_slot(slots, capacity, p->slots[i].row.op, p->slots[i].cost) = p->slots[i];
    free(p->slots);
    p->slots = slots;
    p->capacity = capacity;
  }
  profile_slot *slot = find_slot(p->slots, p->capacity, op, cost);
  if (!slot->row.op) {
    slot->row.op = strdup(op); /* the model may be closed before the profile is read */
    slot->cost = cost;
    p->count += slot->row.op != NULL;
  }
  return slot->row.op ? &slot->row : NULL;
}

static void host_op(void *ctx, const attn_op_info *op, attn_span_phase phase) {
  if (phase == ATTN_SPAN_BEGIN) {
    if (span_depth < SPAN_DEPTH)
      span_begin[span_depth] = now_ns();
    ++span_depth;
    return;
  }
  if (span_depth == 0 || --span_depth >= SPAN_DEPTH)
    return;
  uint64_t ns = now_ns() - span_begin[span_depth];
  profile *p = &((attn_runtime *)ctx)->profile;
  pthread_mutex_lock(&p->mutex);
  attn_profile_row *row = profile_row(p, op->name, cost_class(op));
  if (row) {
    row->calls += 1;
    row->tasks += op->tasks > 0 ? (uint64_t)op->tasks : 0;
    row->ns += ns;
    row->flop += op->flop;
    row->bytes += op->bytes;
  }
  pthread_mutex_unlock(&p->mutex);
}

static int by_time(const void *left, const void *right) {
  const attn_profile_row *a = left, *b = right;
  if (a->ns != b->ns)
    return a->ns < b->ns ? 1 : -1;
  return strcmp(a->op, b->op);
}

uint32_t attn_runtime_profile(attn_runtime *runtime, attn_profile_row *rows, uint32_t capacity) {
  profile *p = &runtime->profile;
  pthread_mutex_lock(&p->mutex);
  uint32_t count = 0;
  attn_profile_row *sorted = p->count ? malloc(p->count * sizeof *sorted) : NULL;
  if (sorted) {
    for (uint32_t i = 0; i < p->capacity; ++i)
      if (p->slots[i].row.op)
        sorted[count++] = p->slots[i].row;
    qsort(sorted, count, sizeof *sorted, by_time);
    if (capacity > 0)
      memcpy(rows, sorted, (capacity < count ? capacity : count) * sizeof *rows);
    free(sorted);
  }
  pthread_mutex_unlock(&p->mutex);
  return count;
}

void attn_runtime_profile_reset(attn_runtime *runtime) {
  profile *p = &runtime->profile;
  pthread_mutex_lock(&p->mutex);
  for (uint32_t i = 0; i < p->capacity; ++i)
    free((char *)p->slots[i].row.op);
  free(p->slots);
  p->slots = NULL;
  p->capacity = p->count = 0;
  pthread_mutex_unlock(&p->mutex);
}

/* ---- Creation --------------------------------------------------------------------------------------- */

int32_t attn_runtime_create(const attn_runtime_options *options, attn_runtime **result, attn_error *error) {
  *result = NULL;
  attn_runtime_options o = {0};
  if (options) /* a caller built with another version may know fewer or more options */
    memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
  attn_runtime *runtime = calloc(1, sizeof *runtime);
  if (!runtime)
    return attn_fail(error, ATTN_OUT_OF_MEMORY, "out of memory");
  int32_t status = attn_pool_create(o.threads, &runtime->pool, error);
  if (status != ATTN_OK) {
    free(runtime);
    return status;
  }
  runtime->flags = o.flags;
  runtime->log_level = o.log_level;
  runtime->progress = o.progress;
  runtime->progress_ctx = o.progress_ctx;
  pthread_mutex_init(&runtime->profile.mutex, NULL);
  uint32_t workers = attn_pool_workers(runtime->pool);
  runtime->host = (attn_host){.size = sizeof(attn_host),
                              .flags = workers <= attn_default_threads() ? ATTN_HOST_GANG : 0u,
                              .workers = workers,
                              .ctx = runtime,
                              .alloc = host_alloc,
                              .free = host_free,
                              .parallel_for = host_parallel_for,
                              .log = host_log,
                              .poll = host_poll,
                              .op = o.flags & ATTN_RUNTIME_PROFILE ? host_op : NULL,
                              .idle = host_idle};
  *result = runtime;
  return ATTN_OK;
}

void attn_runtime_free(attn_runtime *runtime) {
  if (!runtime)
    return;
  attn_pool_free(runtime->pool);
  attn_runtime_profile_reset(runtime);
  pthread_mutex_destroy(&runtime->profile.mutex);
  free(runtime);
}

const attn_host *attn_runtime_host(const attn_runtime *runtime) { return &runtime->host; }
void attn_runtime_cancel(attn_runtime *runtime) { atomic_store(&runtime->cancelled, 1); }
void attn_runtime_resume(attn_runtime *runtime) { atomic_store(&runtime->cancelled, 0); }
uint64_t attn_runtime_overruns(const attn_runtime *runtime) {
  return atomic_load(&((attn_runtime *)runtime)->overruns);
}
