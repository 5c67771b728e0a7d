/* attn-bench.c: speed, load time and memory of a compiled language model. */
#include "args.h"
#include "attn_runtime.h"
#include "measure.h"
#include "profile.h"

#include <sys/resource.h>
#include <sys/stat.h>

static const char help[] =
    "usage: attn-bench MODEL.so [--prefill N,…] [--decode N] [--threads N] [--variant NAME] [--min-time S]\n"
    "                  [--profile] [--json]\n"
    "\n"
    "Measures a model compiled by attnc, one sequence at a time, on random tokens.\n"
    "\n"
    "  --prefill N,…    tokens/s for prompts of N tokens: entry prefill, or forward in a file without\n"
    "  --decode N       tokens/s for one more token with N tokens in the cache: entry decode\n"
    "                   (default, when neither is given: --prefill 128,512 --decode 128, as far as they fit)\n"
    "  --threads N      number of threads (default: the CPUs this process may use)\n"
    "  --variant NAME   instruction set to use (default: the best that this CPU has)\n"
    "  --min-time S     repeat each measurement for at least S seconds, and 3 times (default: 2)\n"
    "  --profile        print time, arithmetic and memory traffic per op, the mean of all runs, and their shares of\n"
    "                   this machine's peaks, which are measured first (docs/profile.md). Costs some time per op\n"
    "  --json           print one JSON object\n"
    "  --help           print this text\n"
    "\n"
    "Times are wall time of one run, after one run to warm up; tokens/s is computed from the median. Load is from\n"
    "dlopen to the open model, threads started. Peak memory is that of the whole program at its end\n"
    "(with --profile including the 256 MiB that it reads to measure the bandwidth).\n"
    "\n"
    "Examples\n"
    "  attn-bench gpt2.so\n"
    "  attn-bench gpt2.so --prefill 512 --decode 512 --threads 2 --json\n"
    "\n"
    "Exit status: 0; 1 when something failed, with one message; 2 when the command line makes no sense.\n";

#define MAX_SIZES 32
typedef struct options {
  const char *file, *variant;
  int64_t prefill[MAX_SIZES], decode; /* decode -1: not asked for */
  int n_prefill, json, profile;
  uint32_t threads;
  double min_seconds;
} options;

static options parse(args *a) {
  options o = {.decode = -1, .min_seconds = 2};
  const char *value;
  while (args_next(a)) {
    if (args_flag(a, "--help") || args_flag(a, "-h")) {
      fputs(help, stdout);
      exit(0);
    } else if (args_flag(a, "--json")) {
      o.json = 1;
    } else if (args_flag(a, "--profile")) {
      o.profile = 1;
    } else if (args_value(a, "--threads", &value)) {
      o.threads = (uint32_t)args_number(a, "--threads", value, 1, ATTN_MAX_WORKERS);
    } else if (args_value(a, "--decode", &value)) {
      o.decode = args_number(a, "--decode", value, 0, 1 << 30);
    } else if (args_value(a, "--prefill", &value)) {
      char *list = strdup(value);
      for (char *rest = list, *item; list && (item = strsep(&rest, ","));) {
        if (o.n_prefill == MAX_SIZES)
          usage_error(a, "expected at most %d sizes for --prefill", MAX_SIZES);
        o.prefill[o.n_prefill++] = args_number(a, "--prefill", item, 1, 1 << 30);
      }
      free(list);
    } else if (args_value(a, "--min-time", &value)) {
      char *end;
      o.min_seconds = strtod(value, &end);
      if (*value < '0' || *value > '9' || *end || !(o.min_seconds <= 3600))
        usage_error(a, "expected seconds from 0 to 3600 for --min-time, got '%s'", value);
    } else if (!args_value(a, "--variant", &o.variant)) {
      args_file(a, &o.file);
    }
  }
  if (!o.file)
    usage_error(a, "expected a model file");
  return o;
}

/* What the file can do of the default measurements. */
static void choose_defaults(const bench *b, options *o) {
  if (o->n_prefill > 0 || o->decode >= 0)
    return;
  int64_t longest = longest_prefill(b);
  for (int64_t n = 128; n <= 512; n *= 4)
    if (n <= longest)
      o->prefill[o->n_prefill++] = n;
  if (o->n_prefill == 0 && longest > 0)
    o->prefill[o->n_prefill++] = longest;
  if (has_decode(b))
    o->decode = longest == 0 ? 0 : longest > 128 ? 128 : longest - 1;
}

typedef struct report {
  uint64_t file_bytes, peak_bytes;
  double load_ms;
  uint32_t threads;
  const char *variant;
  peaks peak; /* with --profile */
  measurement prefill[MAX_SIZES], decode;
} report;

/* What will be printed of the profile since the measurement began. */
static int32_t keep_profile(const bench *b, const options *o, const report *r, measurement *m, attn_error *error) {
  if (!o->profile)
    return ATTN_OK;
  size_t size;
  FILE *stream = open_memstream(&m->profile, &size);
  if (!stream)
    return attn_fail(error, ATTN_OUT_OF_MEMORY, "out of memory");
  int32_t status = (o->json ? profile_json : profile_text)(b->profiled, &r->peak, m->runs, stream, error);
  if (fclose(stream) != 0 && status == ATTN_OK)
    status = attn_fail(error, ATTN_OUT_OF_MEMORY, "out of memory");
  return status;
}

static int32_t measure(bench *b, options *o, report *r, attn_error *error) {
  int32_t status = attn_session_create(b->library, b->model, b->host, &b->session, error);
  if (status != ATTN_OK)
    return status;
  choose_defaults(b, o);
  if (o->n_prefill == 0 && o->decode < 0)
    status = attn_fail(error, ATTN_UNSUPPORTED, "nothing to measure: expected an entry forward, prefill or decode");
  if (o->profile)
    r->peak = measure_peaks(b->host);
  for (int i = 0; i < o->n_prefill && status == ATTN_OK; ++i)
    if ((status = measure_prefill(b, o->prefill[i], &r->prefill[i], error)) == ATTN_OK)
      status = keep_profile(b, o, r, &r->prefill[i], error);
  if (o->decode >= 0 && status == ATTN_OK && (status = measure_decode(b, o->decode, &r->decode, error)) == ATTN_OK)
    status = keep_profile(b, o, r, &r->decode, error);
  attn_session_free(b->session);
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  r->peak_bytes = (uint64_t)usage.ru_maxrss * 1024;
  return status;
}

static double tokens_per_second(const measurement *m) {
  return m->median_ms > 0 ? 1e3 * (double)m->tokens / m->median_ms : 0;
}

static void text_measurement(const char *what, int64_t tokens, const char *unit, const measurement *m) {
  printf("%s %6lld %s   %12.1f tokens/s   median %.3f ms, min %.3f ms of %llu runs\n", what, (long long)tokens, unit,
         tokens_per_second(m), m->median_ms, m->min_ms, (unsigned long long)m->runs);
  if (m->profile)
    fputs(m->profile, stdout);
}

static void print_text(const options *o, const attn_library *l, const report *r) {
  printf("%s: %s, %u thread%s\n", o->file, r->variant, r->threads, r->threads == 1 ? "" : "s");
  for (int i = 0; i < o->n_prefill; ++i)
    text_measurement("prefill", o->prefill[i], "tokens", &r->prefill[i]);
  if (o->decode >= 0)
    text_measurement("decode after", o->decode, " ", &r->decode);
  printf("load %.3f ms, file %.1f MiB, weights %.1f MiB, peak memory %.1f MiB\n", r->load_ms,
         (double)r->file_bytes / 1048576, (double)l->weights_bytes / 1048576, (double)r->peak_bytes / 1048576);
}

static void json_measurement(const measurement *m) {
  printf("{\"tokens\": %lld, \"context\": %lld, \"runs\": %llu, \"min_ms\": %.6f, \"median_ms\": %.6f, "
         "\"tokens_per_s\": %.3f",
         (long long)m->tokens, (long long)m->context, (unsigned long long)m->runs, m->min_ms, m->median_ms,
         tokens_per_second(m));
  if (m->profile)
    printf(",\n \"profile\": %s", m->profile);
  putchar('}');
}

static void print_json(const options *o, const attn_library *l, const report *r) {
  /* Names and ids come from attnc; the file's own path, which could need escapes, is left out. */
  printf("{\"name\": \"%s\", \"build_id\": \"%s\", \"variant\": \"%s\", \"threads\": %u, \"load_ms\": %.6f, "
         "\"file_bytes\": %llu, \"weights_bytes\": %llu, \"peak_rss_bytes\": %llu,\n \"prefill\": [",
         l->name, l->build_id, r->variant, r->threads, r->load_ms, (unsigned long long)r->file_bytes,
         (unsigned long long)l->weights_bytes, (unsigned long long)r->peak_bytes);
  for (int i = 0; i < o->n_prefill; ++i) {
    fputs(i ? ", " : "", stdout);
    json_measurement(&r->prefill[i]);
  }
  fputs("],\n \"decode\": ", stdout);
  if (o->decode >= 0)
    json_measurement(&r->decode);
  else
    fputs("null", stdout);
  fputs("}\n", stdout);
}

int main(int argc, char **argv) {
  args a = {.tool = "attn-bench", .argc = argc, .argv = argv};
  options o = parse(&a);
  attn_error error = {.size = sizeof error};
  attn_runtime_options settings = {.size = sizeof settings, .threads = o.threads,
                                   .flags = o.profile ? ATTN_RUNTIME_PROFILE : 0u};
  attn_runtime *runtime = NULL;
  attn_file *file = NULL;
  bench b = {.min_seconds = o.min_seconds};
  report r = {0};

  double begin = seconds_now();
  int32_t status = attn_runtime_create(&settings, &runtime, &error);
  if (status == ATTN_OK)
    status = attn_file_load(o.file, &file, &error);
  if (status == ATTN_OK) {
    b.library = attn_file_library(file);
    b.host = attn_runtime_host(runtime);
    b.profiled = o.profile ? runtime : NULL;
    status = attn_file_open(file, b.host, o.variant, &b.model, &error);
  }
  r.load_ms = (seconds_now() - begin) * 1e3;
  if (status == ATTN_OK) {
    struct stat info;
    r.file_bytes = stat(o.file, &info) == 0 ? (uint64_t)info.st_size : 0;
    r.threads = b.host->workers;
    r.variant = b.library->variant(b.model);
    status = measure(&b, &o, &r, &error);
    if (status == ATTN_OK)
      (o.json ? print_json : print_text)(&o, b.library, &r);
    b.library->close(b.model);
    for (int i = 0; i < o.n_prefill; ++i)
      free(r.prefill[i].profile);
    free(r.decode.profile);
  }
  attn_file_free(file);
  attn_runtime_free(runtime);
  if (status == ATTN_OK && (fflush(stdout) != 0 || ferror(stdout)))
    status = attn_fail(&error, ATTN_IO, "could not write to standard output");
  if (status != ATTN_OK)
    fprintf(stderr, "attn-bench: error: %s\n", error.text);
  return status != ATTN_OK;
}
