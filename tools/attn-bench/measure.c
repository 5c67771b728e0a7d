/* measure.c: one measurement: make inputs, warm up, repeat, sort. */
#include "measure.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MIN_RUNS 3
#define MAX_RUNS 1000000

double seconds_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One entry with its arrays for batch 1. */
typedef struct prepared {
  uint32_t index;
  const attn_entry *entry;
  attn_array *ids, *logits;
  const DLTensor **in; /* [n_in], [n_out] */
  DLTensor **out;
} prepared;

static void release(prepared *p) {
  attn_array_free(p->ids);
  attn_array_free(p->logits);
  free(p->in);
  free(p->out);
}

/* Token ids below the vocabulary's size, the same in every run of the program. */
static void fill_ids(const attn_library *l, attn_array *ids) {
  int64_t vocab = 1;
  if (!attn_json_int(l->json, "vocab_size", &vocab) || vocab < 1)
    vocab = 1;
  uint64_t random = 0x9e3779b97f4a7c15ull;
  int64_t n = 1;
  for (int32_t d = 0; d < ids->tensor.ndim; ++d)
    n *= ids->tensor.shape[d];
  for (int64_t i = 0; i < n; ++i) {
    random = random * 6364136223846793005ull + 1442695040888963407ull;
    int64_t id = (int64_t)((random >> 33) % (uint64_t)vocab);
    if (ids->tensor.dtype.bits == 64)
      ((int64_t *)ids->tensor.data)[i] = id;
    else
      ((int32_t *)ids->tensor.data)[i] = (int32_t)id;
  }
}

/* Dimensions other than `batch` and `seq` have no value here (-1). */
static int32_t make_array(const bench *b, const attn_entry *e, const attn_tensor_info *info, int64_t tokens,
                          attn_array **array, attn_error *error) {
  int64_t shape[ATTN_MAX_RANK];
  int64_t *dims = calloc(e->n_dims + 1, sizeof *dims);
  if (!dims)
    return attn_fail(error, ATTN_OUT_OF_MEMORY, "out of memory");
  for (uint32_t d = 0; d < e->n_dims; ++d)
    dims[d] = strcmp(e->dims[d].name, "batch") == 0 ? 1 : strcmp(e->dims[d].name, "seq") == 0 ? tokens : -1;
  int32_t status = attn_entry_shape(e, info, dims, shape, error);
  free(dims);
  return status == ATTN_OK ? attn_array_create(b->host, info->dtype, info->rank, shape, array, error) : status;
}

static int32_t prepare(const bench *b, const char *name, int64_t tokens, prepared *p, attn_error *error) {
  *p = (prepared){.index = (uint32_t)attn_library_find(b->library, name)};
  const attn_entry *e = p->entry = attn_library_entry(b->library, p->index);
  p->in = calloc(e->n_in + 1, sizeof *p->in);
  p->out = calloc(e->n_out + 1, sizeof *p->out);
  int32_t status = p->in && p->out ? ATTN_OK : attn_fail(error, ATTN_OUT_OF_MEMORY, "out of memory");
  for (uint32_t i = 0; i < e->n_in && status == ATTN_OK; ++i) {
    int is_ids = strcmp(e->in[i].name, "input_ids") == 0 && e->in[i].dtype.code == kDLInt && e->in[i].dtype.bits >= 32;
    if (!is_ids && !(e->in[i].flags & ATTN_TENSOR_OPTIONAL)) {
      status = attn_fail(error, ATTN_UNSUPPORTED, "entry '%s' needs input '%s': expected input_ids alone", name,
                         e->in[i].name);
    } else if (is_ids && (status = make_array(b, e, &e->in[i], tokens, &p->ids, error)) == ATTN_OK) {
      fill_ids(b->library, p->ids);
      p->in[i] = &p->ids->tensor;
    }
  }
  if (status == ATTN_OK && !p->ids)
    status = attn_fail(error, ATTN_UNSUPPORTED, "entry '%s' has no input 'input_ids'", name);
  for (uint32_t i = 0; i < e->n_out && status == ATTN_OK; ++i)
    if (strcmp(e->out[i].name, "logits") == 0 &&
        (status = make_array(b, e, &e->out[i], tokens, &p->logits, error)) == ATTN_OK)
      p->out[i] = &p->logits->tensor;
  return status;
}

static int32_t run_once(bench *b, const prepared *p, attn_state *state, attn_error *error) {
  attn_call call = {.size = sizeof call,
                    .n_in = p->entry->n_in,
                    .n_out = p->entry->n_out,
                    .in = p->in,
                    .out = p->out,
                    .state = p->entry->uses_state ? state : NULL};
  return attn_session_run(b->session, p->index, &call, error);
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Repeats the run; before each one, the state (or NULL) is cut back to `context` tokens. */
static int32_t repeat(bench *b, const prepared *p, attn_state *state, int64_t context, measurement *result,
                      attn_error *error) {
  uint64_t capacity = 0, runs = 0;
  double *times = NULL;
  double begin = seconds_now();
  int64_t unused;
  int32_t status = ATTN_OK;
  for (int warm = 0; status == ATTN_OK; warm = 1) {
    if (runs == capacity) {
      double *grown = realloc(times, (capacity = capacity ? 2 * capacity : 256) * sizeof *times);
      if (!grown) {
        status = attn_fail(error, ATTN_OUT_OF_MEMORY, "out of memory");
        break;
      }
      times = grown;
    }
    if (p->entry->uses_state)
      status = b->library->state_op(b->model, state, ATTN_STATE_TRUNCATE, 0, context, &unused, error);
    double start = seconds_now();
    if (status == ATTN_OK)
      status = run_once(b, p, state, error);
    double end = seconds_now();
    if (!warm) {
      if (b->profiled)
        attn_runtime_profile_reset(b->profiled);
      begin = end;
      continue;
    }
    times[runs++] = (end - start) * 1e3;
    if ((runs >= MIN_RUNS && end - begin >= b->min_seconds) || runs == MAX_RUNS)
      break;
  }
  if (status == ATTN_OK) {
    qsort(times, runs, sizeof *times, compare);
    result->runs = runs;
    result->min_ms = times[0];
    result->median_ms = (times[(runs - 1) / 2] + times[runs / 2]) / 2;
  }
  free(times);
  return status;
}

static const char *prefill_entry(const bench *b) {
  if (attn_library_find(b->library, "prefill") >= 0)
    return "prefill";
  return attn_library_find(b->library, "forward") >= 0 ? "forward" : NULL;
}

int64_t longest_prefill(const bench *b) {
  const char *name = prefill_entry(b);
  if (!name)
    return 0;
  const attn_entry *e = attn_library_entry(b->library, (uint32_t)attn_library_find(b->library, name));
  int64_t d = attn_entry_find_dim(e, "seq");
  return d >= 0 ? e->dims[d].max : 0;
}

int has_decode(const bench *b) {
  return attn_library_find(b->library, "decode") >= 0 || attn_library_find(b->library, "prefill") >= 0;
}

int32_t measure_prefill(bench *b, int64_t tokens, measurement *result, attn_error *error) {
  *result = (measurement){.tokens = tokens};
  const char *name = prefill_entry(b);
  if (!name)
    return attn_fail(error, ATTN_UNSUPPORTED, "the file has no entry 'prefill' or 'forward'");
  prepared p;
  attn_state_memory state = {0};
  int32_t status = prepare(b, name, tokens, &p, error);
  if (status == ATTN_OK && p.entry->uses_state)
    status = attn_state_create(b->library, b->model, b->host, 1, (uint64_t)tokens, 0, &state, error);
  if (status == ATTN_OK)
    status = repeat(b, &p, state.state, 0, result, error);
  attn_state_free(b->host, &state);
  release(&p);
  return status;
}

/* Appends `count` tokens, in pieces that the entry takes. */
static int32_t fill_state(bench *b, const char *name, int64_t count, int64_t most, attn_state *state,
                          attn_error *error) {
  int32_t status = ATTN_OK;
  while (count > 0 && status == ATTN_OK) {
    int64_t piece = count < most ? count : most;
    prepared p;
    status = prepare(b, name, piece, &p, error);
    for (; status == ATTN_OK && count >= piece; count -= piece)
      status = run_once(b, &p, state, error);
    release(&p);
  }
  return status;
}

int32_t measure_decode(bench *b, int64_t context, measurement *result, attn_error *error) {
  *result = (measurement){.tokens = 1, .context = context};
  if (!has_decode(b))
    return attn_fail(error, ATTN_UNSUPPORTED, "the file has no entry 'decode' or 'prefill'");
  int prefill = attn_library_find(b->library, "prefill") >= 0;
  const char *name = attn_library_find(b->library, "decode") >= 0 ? "decode" : "prefill";
  prepared p;
  attn_state_memory state = {0};
  int32_t status = prepare(b, name, 1, &p, error);
  if (status == ATTN_OK && !p.entry->uses_state)
    status = attn_fail(error, ATTN_UNSUPPORTED, "entry '%s' uses no state", name);
  if (status == ATTN_OK)
    status = attn_state_create(b->library, b->model, b->host, 1, (uint64_t)context + 1, 0, &state, error);
  /* In pieces, as text/ takes prompts: memory for activations stays bounded. */
  int64_t longest = prefill ? longest_prefill(b) : 1, piece = longest < 1024 ? longest : 1024;
  if (status == ATTN_OK)
    status = fill_state(b, prefill ? "prefill" : name, context, piece, state.state, error);
  if (status == ATTN_OK)
    status = repeat(b, &p, state.state, context, result, error);
  attn_state_free(b->host, &state);
  release(&p);
  return status;
}
