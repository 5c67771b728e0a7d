/* peak.c: what this machine can do at most, to divide our numbers by. Prints one JSON object: GFLOP/s of
 * one and of all threads (f32 fused multiply-adds; bf16 dot products where the CPU has them), and GB/s of reading memory.
 *
 *   clang -O3 -march=native peak.c -o peak -lpthread && ./peak THREADS [MILLIONS [MEGABYTES]]
 *
 * MILLIONS of rounds of the arithmetic loops, 20 if not given. MEGABYTES that are read, again and again: 1074, more than
 * caches hold, if not given. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

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

typedef struct job {
  int index, threads, streams;
  double result;
} job;

static char *buffer;
static uint64_t buffer_bytes = UINT64_C(1) << 30; /* larger than the caches */
static int64_t repeats = 20000000;
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

#ifdef __AVX512BF16__
/* GFLOP/s: the same of dot products of pairs, each 32 multiply-adds. */
static void *multiply_bf16(void *argument) {
  job *j = argument;
  __m512 sum[SUMS];
  __m512bh x = (__m512bh)_mm512_set1_epi16(0x3f80), y = (__m512bh)_mm512_set1_epi16(0x3080); /* 1 and 2^-30 */
  for (int i = 0; i < SUMS; ++i)
    sum[i] = _mm512_set1_ps((float)i * 1e-9f);
  pthread_barrier_wait(&start);
  double begin = seconds();
  for (int64_t n = 0; n < repeats; ++n) {
    __asm__ volatile("" : "+v"(x), "+v"(y)); /* else part of the sums may be computed once */
#pragma clang loop unroll(full)
    for (int i = 0; i < SUMS; ++i)
      sum[i] = _mm512_dpbf16_ps(sum[i], x, y);
  }
  double time = seconds() - begin;
  for (int i = 1; i < SUMS; ++i)
    sum[0] += sum[i];
  volatile float sink = sum[0][0];
  (void)sink;
  j->result = (double)repeats * SUMS * 64 / time * 1e-9;
  return NULL;
}
#endif

/* GB/s: each thread scans its part of the buffer, at several places at once. */
static void *scan(void *argument) {
  job *j = argument;
  uint64_t stream = buffer_bytes / (uint64_t)(j->threads * j->streams) / (4 * BYTES) * (4 * BYTES);
  const char *from = buffer + stream * (uint64_t)(j->index * j->streams);
  words a = {0}, b = a, c = a, d = a;
  const uint64_t times = (UINT64_C(2) << 30) / buffer_bytes;
  pthread_barrier_wait(&start);
  double begin = seconds();
  for (uint64_t r = 0; r < times; ++r)
    for (uint64_t i = 0; i < stream; i += 4 * BYTES)
      for (int s = 0; s < j->streams; ++s) {
        const words *p = (const words *)(from + (uint64_t)s * stream + i);
        a += p[0];
        b += p[1];
        c += p[2];
        d += p[3];
      }
  double time = seconds() - begin;
  a += b + c + d;
  volatile int64_t sink = a[0];
  (void)sink;
  j->result = (double)times * (double)stream * j->streams / time * 1e-9;
  return NULL;
}

static double together(void *(*work)(void *), int threads, int streams) {
  pthread_t thread[MAX_THREADS];
  job jobs[MAX_THREADS];
  pthread_barrier_init(&start, NULL, (unsigned)threads);
  for (int i = 0; i < threads; ++i) {
    jobs[i] = (job){i, threads, streams, 0};
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

/* How many places are read at once decides how well the prefetcher and the memory's banks are used: the best counts. */
static double read_together(int threads) {
  double best = 0;
  for (int streams = 1; streams <= 8; streams *= 2) {
    double rate = together(scan, threads, streams);
    best = rate > best ? rate : best;
  }
  return best;
}

int main(int argc, char **argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 2, millions = argc > 2 ? atoi(argv[2]) : 20;
  repeats = (int64_t)millions * 1000000;
  int megabytes = argc > 3 ? atoi(argv[3]) : 0;
  if (threads < 1 || threads > MAX_THREADS || millions < 1 || megabytes < 0 || megabytes > 1024) {
    fprintf(stderr, "peak: expected 1 to %d threads, 1 or more millions, and at most 1024 megabytes\n", MAX_THREADS);
    return 2;
  }
  if (megabytes)
    buffer_bytes = (uint64_t)megabytes * 1000000 / 4096 * 4096;
  buffer = aligned_alloc(4096, buffer_bytes);
  if (!buffer) {
    fprintf(stderr, "peak: out of memory\n");
    return 1;
  }
  memset(buffer, 1, buffer_bytes);
  printf("{\"threads\": %d, \"gflops_1\": %.1f, \"gflops\": %.1f", threads, together(multiply, 1, 1),
         together(multiply, threads, 1));
#ifdef __AVX512BF16__
  printf(", \"bf16_gflops_1\": %.1f, \"bf16_gflops\": %.1f", together(multiply_bf16, 1, 1),
         together(multiply_bf16, threads, 1));
#endif
  printf(", \"read_gbs_1\": %.1f, \"read_gbs\": %.1f}\n", read_together(1), read_together(threads));
  return 0;
}
