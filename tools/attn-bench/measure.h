/* measure.h: private to attn-bench. */
#ifndef ATTN_BENCH_MEASURE_H
#define ATTN_BENCH_MEASURE_H

#include "attn_runtime.h"

/* An open model and how long to measure it. */
typedef struct bench {
  const attn_library *library;
  const attn_host *host;
  attn_model *model;
  attn_session *session;
  double min_seconds; /* each measurement repeats its run for at least this long */
  attn_runtime *profiled; /* its profile begins anew with each measurement, after the run to warm up; or NULL */
} bench;

typedef struct measurement {
  int64_t tokens;  /* per run */
  int64_t context; /* tokens already in the cache */
  uint64_t runs;
  double min_ms, median_ms;
  char *profile; /* text or JSON; NULL: none */
} measurement;

double seconds_now(void);

/* Longest sequence for measure_prefill; 0 when the file has neither `prefill` nor `forward`. */
int64_t longest_prefill(const bench *b);
/* Whether measure_decode can work: the file has `decode` or `prefill`. */
int has_decode(const bench *b);

/* One sequence of `tokens` random tokens on an empty cache: entry `prefill`, or `forward` in a file without. */
int32_t measure_prefill(bench *b, int64_t tokens, measurement *result, attn_error *error);
/* One token, with `context` tokens in the cache: entry `decode`, or `prefill` with seq = 1. */
int32_t measure_decode(bench *b, int64_t context, measurement *result, attn_error *error);

#endif /* ATTN_BENCH_MEASURE_H */
