/* peak.c: what this machine can do at most, to divide our numbers by. Prints one JSON object:
 * f32 GFLOP/s of one and of all threads (fused multiply-add), and GB/s of reading memory.
 *
 *   clang -O3 -march=native peak.c -o peak -lpthread && ./peak THREADS */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef __AVX512F__
#define BYTES 64
#define SUMS 24 /* of 32 registers */
#else
#define BYTES 32
#define SUMS 12 /* of 16 registers */
#endif
typedef float lanes __attribute__((vector_size(BYTES)));
typedef int64_t words __attribute__((vector_size(BYTES)));

#define MAX_THREADS 256
#define BUFFER (UINT64_C(1) << 30) /* bytes, larger than the caches */

typedef struct job {
  int index, threads;
  double result;
} job;

static char *buffer;
static pthread_barrier_t start;

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* GFLOP/s: SUMS independent chains of fused multiply-adds. */
static void *multiply(void *argument) {
  job *j = argument;
  lanes sum[SUMS], scale, step;
  for (int i = 0; i < SUMS; ++i)
    for (unsigned l = 0; l < BYTES / 4; ++l)
      sum[i][l] = (float)i * 1e-9f;
  for (unsigned l = 0; l < BYTES / 4; ++l) {
    scale[l] = 1.0000001f;
    step[l] = 1e-9f;
  }
  const int64_t repeats = 20000000;
  pthread_barrier_wait(&start);
  double begin = seconds();
  for (int64_t n = 0; n < repeats; ++n) {
#pragma clang loop unroll(full)
    for (int i = 0; i < SUMS; ++i)
      sum[i] = sum[i] * scale + step;
  }
  double time = seconds() - begin;
  for (int i = 1; i < SUMS; ++i)
    sum[0] += sum[i];
  volatile float sink = sum[0][0];
  (void)sink;
  j->result = (double)repeats * SUMS * (BYTES / 4) * 2 / time * 1e-9;
  return NULL;
}

/* GB/s: each thread scans its part of the buffer. */
static void *scan(void *argument) {
  job *j = argument;
  uint64_t part = BUFFER / (uint64_t)j->threads / (4 * BYTES) * (4 * BYTES);
  const char *from = buffer + part * (uint64_t)j->index;
  words a = {0}, b = a, c = a, d = a;
  const int repeats = 6;
  pthread_barrier_wait(&start);
  double begin = seconds();
  for (int r = 0; r < repeats; ++r)
    for (uint64_t i = 0; i < part; i += 4 * BYTES) {
      const words *p = (const words *)(from + i);
      a += p[0];
      b += p[1];
      c += p[2];
      d += p[3];
    }
  double time = seconds() - begin;
  a += b + c + d;
  volatile int64_t sink = a[0];
  (void)sink;
  j->result = (double)repeats * (double)part / time * 1e-9;
  return NULL;
}

static double together(void *(*work)(void *), int threads) {
  pthread_t thread[MAX_THREADS];
  job jobs[MAX_THREADS];
  pthread_barrier_init(&start, NULL, (unsigned)threads);
  for (int i = 0; i < threads; ++i) {
    jobs[i] = (job){i, threads, 0};
    if (pthread_create(&thread[i], NULL, work, &jobs[i]) != 0) {
      fprintf(stderr, "peak: could not start thread %d\n", i);
      exit(1);
    }
  }
  double sum = 0;
  for (int i = 0; i < threads; ++i) {
    pthread_join(thread[i], NULL);
    sum += jobs[i].result;
  }
  pthread_barrier_destroy(&start);
  return sum;
}

int main(int argc, char **argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 2;
  if (threads < 1 || threads > MAX_THREADS) {
    fprintf(stderr, "peak: expected 1 to %d threads\n", MAX_THREADS);
    return 2;
  }
  buffer = aligned_alloc(4096, BUFFER);
  if (!buffer) {
    fprintf(stderr, "peak: out of memory\n");
    return 1;
  }
  memset(buffer, 1, BUFFER);
  double flops1 = together(multiply, 1), flops = together(multiply, threads);
  double read1 = together(scan, 1), read = together(scan, threads);
  printf("{\"threads\": %d, \"gflops_1\": %.1f, \"gflops\": %.1f, \"read_gbs_1\": %.1f, \"read_gbs\": %.1f}\n", threads,
         flops1, flops, read1, read);
  return 0;
}
