/* profile.c: where the time of runs went, and how near it is to what the machine can do. */
#include "profile.h"
#include "json_string.h"

#include <stdlib.h>

/* All rows, most time first, and behind them their sum with op NULL. */
static int32_t read_rows(attn_runtime *runtime, attn_profile_row **result, uint32_t *n, attn_error *error) {
  *n = attn_runtime_profile(runtime, NULL, 0);
  attn_profile_row *rows = *result = calloc(*n + 1, sizeof *rows);
  if (!rows)
    return attn_fail(error, ATTN_OUT_OF_MEMORY, "out of memory");
  attn_runtime_profile(runtime, rows, *n);
  attn_profile_row *total = rows + *n;
  for (uint32_t i = 0; i < *n; ++i) {
    total->calls += rows[i].calls;
    total->tasks += rows[i].tasks;
    total->ns += rows[i].ns;
    total->flop += rows[i].flop;
    total->bytes += rows[i].bytes;
  }
  return ATTN_OK;
}

static double share(double part, double whole) { return whole > 0 ? 100 * part / whole : 0; }
/* Units per ns: billions per second. */
static double rate(uint64_t amount, uint64_t ns) { return ns ? (double)amount / (double)ns : 0; }

/* An amount in millions, its rate, and the share that it is of `peak`; nothing for what is not known. */
static void print_rate(uint64_t amount, uint64_t ns, double runs, double peak, FILE *stream) {
  if (!amount) {
    fprintf(stream, " %11s %9s %6s", "-", "-", "-");
    return;
  }
  fprintf(stream, " %11.3f %9.2f", (double)amount / runs / 1e6, rate(amount, ns));
  if (peak > 0)
    fprintf(stream, " %5.1f%%", share(rate(amount, ns), peak));
  else
    fprintf(stream, " %6s", "-");
}

int32_t profile_text(attn_runtime *runtime, const peaks *peak, uint64_t runs, FILE *stream, attn_error *error) {
  uint32_t n;
  attn_profile_row *rows;
  int32_t status = read_rows(runtime, &rows, &n, error);
  if (status != ATTN_OK)
    return status;
  uint32_t threads = attn_runtime_host(runtime)->workers;
  double per = runs ? (double)runs : 1;
  fprintf(stream, "peak of %u thread%s: %.1f GFLOP/s (f32), %.1f GB/s read\n", threads, threads == 1 ? "" : "s",
          peak->gflops, peak->read_gbs);
  fprintf(stream, "%10s %6s %8s %10s %11s %9s %6s %11s %9s %6s  op\n", "ms", "share", "calls", "tasks", "MFLOP", "GFLOP/s",
          "peak", "MB", "GB/s", "peak");
  for (uint32_t i = 0; i <= n; ++i) {
    const attn_profile_row *r = &rows[i];
    fprintf(stream, "%10.3f %5.1f%% %8.0f %10.0f", (double)r->ns / per / 1e6, share((double)r->ns, (double)rows[n].ns),
            (double)r->calls / per, (double)r->tasks / per);
    print_rate(r->flop, r->ns, per, peak->gflops, stream);
    print_rate(r->bytes, r->ns, per, peak->read_gbs, stream);
    fprintf(stream, "  %s\n", i < n ? r->op : "total");
  }
  free(rows);
  return ATTN_OK;
}

static void json_row(const attn_profile_row *r, FILE *stream) {
  fprintf(stream, "\"calls\": %llu, \"tasks\": %llu, \"ns\": %llu, \"flop\": %llu, \"bytes\": %llu}",
          (unsigned long long)r->calls, (unsigned long long)r->tasks, (unsigned long long)r->ns,
          (unsigned long long)r->flop, (unsigned long long)r->bytes);
}

int32_t profile_json(attn_runtime *runtime, const peaks *peak, uint64_t runs, FILE *stream, attn_error *error) {
  uint32_t n;
  attn_profile_row *rows;
  int32_t status = read_rows(runtime, &rows, &n, error);
  if (status != ATTN_OK)
    return status;
  fprintf(stream, "{\"threads\": %u, \"runs\": %llu, \"peak_gflops\": %.3f, \"peak_read_gbs\": %.3f, \"ops\": [",
          attn_runtime_host(runtime)->workers, (unsigned long long)runs, peak->gflops, peak->read_gbs);
  for (uint32_t i = 0; i < n; ++i) {
    fputs(i ? ",\n  {\"op\": " : "\n  {\"op\": ", stream);
    json_string(rows[i].op, stream);
    fputs(", ", stream);
    json_row(&rows[i], stream);
  }
  fputs("],\n \"total\": {", stream);
  json_row(&rows[n], stream);
  fputs("}\n", stream);
  free(rows);
  return ATTN_OK;
}
