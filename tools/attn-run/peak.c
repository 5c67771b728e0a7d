/* peak.c: chains of multiply-adds, and a scan of memory, on the host's own threads. */
#include "peak.h"
#include "attn_runtime.h"

#include <sys/mman.h>
#include <time.h>

#define REPEATS 4 /* the best counts */
/* Per thread: some 10 ms. */
#define STEPS INT64_C(2000000)
/* Larger than caches. */
#define BUFFER (INT64_C(256) << 20)

typedef struct part {
  int64_t steps;    /* multiply: of every chain */
  char *data;       /* touch, scan */
  int64_t bytes;    /* a multiple of 256 */
  double sink;
} part;

/* Both return what they did, FLOP or bytes.
 * multiply: SUMS independent chains, as many as there are registers for. scan: four streams of vectors side by side. */
#define DEFINE_LOOPS(ISA, TARGET, BYTES, SUMS)                                                                         \
  typedef float ISA##_lanes __attribute__((vector_size(BYTES)));                                                       \
  typedef int64_t ISA##_words __attribute__((vector_size(BYTES)));                                                     \
  TARGET static double ISA##_multiply(part *p) {                                                                       \
    ISA##_lanes sum[SUMS], scale, step;                                                                                \
    for (int i = 0; i < SUMS; ++i)                                                                                     \
      for (int l = 0; l < BYTES / 4; ++l) {                                                                            \
        sum[i][l] = (float)i * 1e-9f;                                                                                  \
        scale[l] = 1.0000001f;                                                                                         \
        step[l] = 1e-9f;                                                                                               \
      }                                                                                                                \
    for (int64_t n = 0; n < p->steps; ++n)                                                                             \
      UNROLL(SUMS) for (int i = 0; i < SUMS; ++i) sum[i] = sum[i] * scale + step;                                      \
    for (int i = 1; i < SUMS; ++i)                                                                                     \
      sum[0] += sum[i];                                                                                                \
    p->sink = (double)sum[0][0];                                                                                       \
    return (double)p->steps * SUMS * (BYTES / 4) * 2;                                                                  \
  }                                                                                                                    \
  TARGET static double ISA##_scan(part *p) {                                                                           \
    ISA##_words sum[4] = {{0}};                                                                                        \
    for (int64_t i = 0; i < p->bytes; i += 4 * BYTES)                                                                  \
      UNROLL(4) for (int k = 0; k < 4; ++k) sum[k] += ((const ISA##_words *)(const void *)(p->data + i))[k];           \
    sum[0] += sum[1] + sum[2] + sum[3];                                                                                \
    p->sink = (double)sum[0][0];                                                                                       \
    return (double)p->bytes;                                                                                           \
  }
#ifdef __clang__
#define UNROLL(N) _Pragma("clang loop unroll(full)")
#else
#define UNROLL(N) _Pragma("GCC unroll 32")
#endif

#ifndef __x86_64__
DEFINE_LOOPS(plain, , 16, 24)
#else
DEFINE_LOOPS(plain, , 16, 12)
DEFINE_LOOPS(avx2, __attribute__((target("avx2,fma"))), 32, 12)
DEFINE_LOOPS(avx512, __attribute__((target("avx512f"))), 64, 24)
#endif

/* Memory that was never written has no pages of its own to read. */
static double touch(part *p) {
  for (int64_t i = 0; i < p->bytes; i += 4096)
    p->data[i] = 1;
  return 0;
}

typedef double (*loop)(part *p);

static void choose(loop *multiply, loop *scan) {
  *multiply = plain_multiply;
  *scan = plain_scan;
#ifdef __x86_64__
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f")) {
    *multiply = avx512_multiply;
    *scan = avx512_scan;
  } else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    *multiply = avx2_multiply;
    *scan = avx2_scan;
  }
#endif
}

typedef struct work {
  loop run;
  part all; /* each task does 1/tasks of it */
  int64_t tasks;
} work;

/* A multiple of the bytes of scan's step. */
static int64_t part_bytes(const work *w) { return w->all.bytes / w->tasks / 256 * 256; }

static int32_t run_part(void *arg, int64_t task, uint32_t worker) {
  (void)worker;
  const work *w = arg;
  part p = {w->all.steps / w->tasks, w->all.data + task * part_bytes(w), part_bytes(w), 0};
  w->run(&p);
  volatile double sink = p.sink; /* it must be computed */
  (void)sink;
  return 0;
}

static void run_all(const attn_host *host, work *w) {
  if (host->parallel_for)
    host->parallel_for(host->ctx, w->tasks, run_part, w);
  else
    run_part(w, 0, 0);
}

/* Seconds of the fastest repetition. */
static double fastest(const attn_host *host, work *w) {
  double best = 0;
  for (int i = 0; i < REPEATS; ++i) {
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    run_all(host, w);
    clock_gettime(CLOCK_MONOTONIC, &b);
    double seconds = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) * 1e-9;
    if (best == 0 || seconds < best)
      best = seconds;
  }
  return best > 0 ? best : 1e-9;
}

peaks measure_peaks(const attn_host *host) {
  peaks result = {0, 0};
  loop multiply, scan;
  choose(&multiply, &scan);
  int64_t cpus = attn_default_threads();
  work w = {multiply, {STEPS * (host->workers < cpus ? host->workers : cpus), NULL, 0, 0}, host->workers};
  part one = {1, NULL, 0, 0};
  double flop = multiply(&one) * (double)(w.all.steps / w.tasks * w.tasks);
  result.gflops = flop / fastest(host, &w) * 1e-9;

  char *data = mmap(NULL, BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED)
    return result;
  madvise(data, BUFFER, MADV_HUGEPAGE); /* small pages of a virtual machine can halve the result */
  w.run = touch;
  w.all = (part){0, data, BUFFER, 0};
  run_all(host, &w);
  w.run = scan;
  result.read_gbs = (double)(part_bytes(&w) * w.tasks) / fastest(host, &w) * 1e-9;
  munmap(data, BUFFER);
  return result;
}
