/* fake_model.c: a model file written by hand, for tests of the runtime and the tools. It behaves as a compiled
 * one does (checks first, work through the host's callbacks, a state that can be copied), with results that can
 * be computed in one's head:
 *
 *   forward  logits[b, s, v] = 1 where v == (input_ids[b, s] + 1) % 16, else 0; masked positions are all 0
 *   prefill  logits[b, v]    = 1 where v == (sum of all ids held by the sequence) % 16, else 0
 *   decode   prefill with seq = 1
 *   scale    y[n] = 2 * x[n], float32; half: the same bits, bfloat16; flip: !x, bool
 *   fail     returns the status code given as its input `code`, from a task
 *   forever  runs ops until poll says stop
 *   overrun  writes one byte behind its workspace (found by ATTN_RUNTIME_GUARD)
 *   static   x float32 [2, 3] -> y float32 [2, 3]: 2 * x
 *
 * Compile-time switches: FAKE_ABI=n (claim another ABI), FAKE_NEWER (needs a newer ABI), FAKE_SHORT_TABLE,
 * FAKE_BAD_TABLE, FAKE_ENTRIES=few|odd|stateless, FAKE_BESIDE (weights in the file fake.weights), FAKE_BAD_HASH. */
#include "attn_abi.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define VOCAB 16
#define BUILD_ID "0123456789abcdef0123456789abcdef"
#define STATE_MAGIC 0x65746174656b6166ull

#ifndef FAKE_ABI
#define FAKE_ABI ATTN_ABI_VERSION
#endif
#ifdef FAKE_BAD_HASH
#define HASH 1
#else
#define HASH 0x101fc40ce7f1f785ull /* xxh3-64 of the 64 letters below: `printf … | xxhsum -H3` */
#endif

static const struct {
  attn_weights_header header;
  char payload[64];
} weights = {{ATTN_WEIGHTS_MAGIC, 128, BUILD_ID, HASH, 0},
             "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl"};

/* ---- Description ------------------------------------------------------------------------------------ */

#define DIM(n) (-1 - (n))
#define I64 {kDLInt, 64, 1}
#define F32 {kDLFloat, 32, 1}
enum { FORWARD, PREFILL, DECODE, SCALE, HALF, FLIP, FAIL, FOREVER, OVERRUN, STATIC, N_ENTRIES };

static const attn_dim sequence_dims[] = {{"batch", 1, 4}, {"seq", 1, 32}, {"keys", 1, 32}};
static const attn_dim vector_dims[] = {{"n", 1, 1000}};
static const attn_tensor_info forward_in[] = {{"input_ids", I64, 0, 2, {DIM(0), DIM(1)}},
                                              {"attention_mask", I64, ATTN_TENSOR_OPTIONAL, 2, {DIM(0), DIM(1)}}};
static const attn_tensor_info forward_out[] = {{"logits", F32, 0, 3, {DIM(0), DIM(1), VOCAB}}};
static const attn_tensor_info prefill_in[] = {{"input_ids", I64, 0, 2, {DIM(0), DIM(1)}},
                                              {"attention_mask", I64, ATTN_TENSOR_OPTIONAL, 2, {DIM(0), DIM(2)}},
                                              {"logits_index", I64, ATTN_TENSOR_OPTIONAL, 1, {DIM(0)}}};
static const attn_tensor_info decode_in[] = {{"input_ids", I64, 0, 2, {DIM(0), 1}}};
static const attn_tensor_info prefill_out[] = {{"logits", F32, 0, 2, {DIM(0), VOCAB}}};
static const attn_tensor_info f32_in[] = {{"x", F32, 0, 1, {DIM(0)}}}, f32_out[] = {{"y", F32, 0, 1, {DIM(0)}}};
static const attn_tensor_info bf16_in[] = {{"x", {kDLBfloat, 16, 1}, 0, 1, {DIM(0)}}};
static const attn_tensor_info bf16_out[] = {{"y", {kDLBfloat, 16, 1}, 0, 1, {DIM(0)}}};
static const attn_tensor_info bool_in[] = {{"x", {kDLBool, 8, 1}, 0, 1, {DIM(0)}}};
static const attn_tensor_info bool_out[] = {{"y", {kDLBool, 8, 1}, 0, 1, {DIM(0)}}};
static const attn_tensor_info fail_in[] = {{"code", I64, 0, 0, {0}}};
static const attn_tensor_info static_in[] = {{"x", F32, 0, 2, {2, 3}}}, static_out[] = {{"y", F32, 0, 2, {2, 3}}};

#define SIZE sizeof(attn_entry)
static const attn_entry entries[N_ENTRIES] = {
    {SIZE, "forward", 2, 2, 1, sequence_dims, forward_in, forward_out, 0},
    {SIZE, "prefill", 3, 3, 1, sequence_dims, prefill_in, prefill_out, 1},
    {SIZE, "decode", 1, 1, 1, sequence_dims, decode_in, prefill_out, 1},
    {SIZE, "scale", 1, 1, 1, vector_dims, f32_in, f32_out, 0},
    {SIZE, "half", 1, 1, 1, vector_dims, bf16_in, bf16_out, 0},
    {SIZE, "flip", 1, 1, 1, vector_dims, bool_in, bool_out, 0},
    {SIZE, "fail", 0, 1, 0, NULL, fail_in, NULL, 0},
    {SIZE, "forever", 0, 0, 0, NULL, NULL, NULL, 0},
    {SIZE, "overrun", 0, 0, 0, NULL, NULL, NULL, 0},
    {SIZE, "static", 0, 1, 1, NULL, static_in, static_out, 0},
};
/* Tables for tools that look for entries by name; their models are never run. */
static const attn_tensor_info optional_in[] = {{"x", F32, ATTN_TENSOR_OPTIONAL, 1, {DIM(0)}}};
static const attn_entry few[] = {{SIZE, "scale", 1, 1, 1, vector_dims, f32_in, f32_out, 0},
                                 {SIZE, "half", 1, 1, 1, vector_dims, bf16_in, bf16_out, 0}};
static const attn_entry odd[] = {{SIZE, "prefill", 1, 1, 1, vector_dims, optional_in, f32_out, 1},
                                 {SIZE, "decode", 1, 1, 1, vector_dims, f32_in, f32_out, 1}};
static const attn_entry stateless[] = {{SIZE, "prefill", 1, 1, 1, sequence_dims, decode_in, prefill_out, 0}};
#ifndef FAKE_ENTRIES
#define FAKE_ENTRIES entries
#endif
static const attn_variant variants[] = {{"never"}, {"fast"}, {"plain"}};

/* ---- Open ------------------------------------------------------------------------------------------- */

static int32_t failure(attn_error *error, int32_t code, const char *format, ...) {
  if (error) {
    va_list arguments;
    va_start(arguments, format);
    error->code = code;
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
  }
  return code;
}

struct attn_model {
  attn_host host;
  const char *variant;
};

static const DLDevice cpu = {kDLCPU, 0};

static int32_t fake_open(const attn_host *host, const attn_open_options *options, attn_model **model,
                         attn_error *error) {
  const attn_weights_header *header = &weights.header;
#ifdef FAKE_BESIDE
  header = options ? options->weights : NULL;
  if (!header)
    return failure(error, ATTN_CORRUPT_FILE, "expected weights beside the file");
#endif
  if (header->magic != ATTN_WEIGHTS_MAGIC || memcmp(header->build_id, BUILD_ID, 32) != 0)
    return failure(error, ATTN_CORRUPT_FILE, "weights do not belong to this model");
  const char *variant = options && options->variant ? options->variant : "fast";
  if (strcmp(variant, "never") == 0)
    return failure(error, ATTN_CPU_UNSUPPORTED, "this CPU does not run variant 'never'");
  if (strcmp(variant, "fast") != 0 && strcmp(variant, "plain") != 0)
    return failure(error, ATTN_INVALID_ARGUMENT, "expected variant never, fast or plain, got '%s'", variant);
  attn_model *m = host->alloc(host->ctx, cpu, sizeof *m, _Alignof(attn_model));
  if (!m)
    return failure(error, ATTN_OUT_OF_MEMORY, "out of memory");
  m->host = (attn_host){0};
  memcpy(&m->host, host, host->size < sizeof m->host ? host->size : sizeof m->host);
  m->variant = variant[0] == 'f' ? "fast" : "plain";
  *model = m;
  return ATTN_OK;
}

static void fake_close(attn_model *model) {
  attn_host host = model->host;
  host.free(host.ctx, cpu, model);
}

static const char *fake_variant(const attn_model *model) { return model->variant; }

/* ---- Checks ----------------------------------------------------------------------------------------- */

static int32_t bind(const attn_entry *e, const attn_tensor_info *infos, uint32_t n, const DLTensor *const *tensors,
                    int64_t *dims, attn_error *error) {
  for (uint32_t i = 0; i < n; ++i) {
    const DLTensor *t = tensors[i];
    if (!t)
      continue;
    if (memcmp(&t->dtype, &infos[i].dtype, sizeof t->dtype) != 0)
      return failure(error, ATTN_DTYPE, "'%s' has the wrong type", infos[i].name);
    if (t->ndim != infos[i].rank)
      return failure(error, ATTN_SHAPE, "'%s': expected rank %d, got %d", infos[i].name, infos[i].rank, t->ndim);
    for (int32_t d = 0; d < t->ndim; ++d) {
      int64_t want = infos[i].dims[d], got = t->shape[d];
      if (want < 0) {
        uint32_t k = (uint32_t)(-1 - want);
        if (got < e->dims[k].min || got > e->dims[k].max)
          return failure(error, ATTN_SHAPE, "'%s': expected %s from %lld to %lld, got %lld", infos[i].name,
                         e->dims[k].name, (long long)e->dims[k].min, (long long)e->dims[k].max, (long long)got);
        if (dims[k] < 0)
          dims[k] = got;
        want = dims[k];
      }
      if (want != got)
        return failure(error, ATTN_SHAPE, "'%s': expected size %lld of dimension %d, got %lld", infos[i].name,
                       (long long)want, d, (long long)got);
    }
  }
  return ATTN_OK;
}

static int32_t fake_infer_dims(const attn_model *model, uint32_t entry, const attn_call *call, int64_t *dims,
                               attn_error *error) {
  (void)model;
  const attn_entry *e = &entries[entry];
  for (uint32_t d = 0; d < e->n_dims; ++d)
    dims[d] = -1;
  if (call->n_in != e->n_in)
    return failure(error, ATTN_INVALID_ARGUMENT, "expected %u inputs, got %u", e->n_in, call->n_in);
  for (uint32_t i = 0; i < e->n_in; ++i)
    if (!call->in[i] && !(e->in[i].flags & ATTN_TENSOR_OPTIONAL))
      return failure(error, ATTN_INVALID_ARGUMENT, "input '%s' is missing", e->in[i].name);
  return bind(e, e->in, e->n_in, call->in, dims, error);
}

static uint64_t fake_workspace_bytes(const attn_model *model, uint32_t entry, const int64_t *dims,
                                     attn_error *error) {
  (void)model;
  (void)error;
  if (entry == OVERRUN)
    return 65; /* leaves padding up to the workspace's alignment */
  return entry <= DECODE ? 64 * (uint64_t)dims[0] : 64;
}

/* ---- State: header, lengths, and the ids themselves, [slots, capacity] -------------------------------- */

struct attn_state {
  uint64_t magic;
  char build_id[32];
  uint64_t slots, capacity;
  int64_t length[4];
  int64_t ids[];
};

static uint64_t fake_state_bytes(const attn_model *model, uint32_t slots, uint64_t capacity, uint32_t page,
                                 attn_error *error) {
  (void)model;
  (void)page;
  if (slots < 1 || slots > 4 || capacity < 1 || capacity > 1 << 20) {
    failure(error, ATTN_RANGE, "expected 1 to 4 slots of 1 to 1048576 tokens, got %u of %llu", slots,
            (unsigned long long)capacity);
    return 0;
  }
  return sizeof(struct attn_state) + slots * capacity * sizeof(int64_t);
}

static int32_t fake_state_init(const attn_model *model, void *memory, uint64_t bytes, uint32_t slots,
                               uint64_t capacity, uint32_t page, attn_state **state, attn_error *error) {
  if (bytes < fake_state_bytes(model, slots, capacity, page, error))
    return failure(error, ATTN_WORKSPACE, "state memory too small");
  *state = memory;
  **state = (struct attn_state){.magic = STATE_MAGIC, .slots = slots, .capacity = capacity};
  memcpy((*state)->build_id, BUILD_ID, 32);
  return ATTN_OK;
}

static int32_t fake_state_attach(const attn_model *model, void *memory, uint64_t bytes, attn_state **state,
                                 attn_error *error) {
  (void)model;
  struct attn_state *s = memory;
  if (bytes < sizeof *s || s->magic != STATE_MAGIC || memcmp(s->build_id, BUILD_ID, 32) != 0 || s->slots < 1 ||
      s->slots > 4 || s->capacity > 1 << 20 || bytes != sizeof *s + s->slots * s->capacity * sizeof(int64_t))
    return failure(error, ATTN_CORRUPT_FILE, "not a state of this model");
  for (int i = 0; i < 4; ++i)
    if (s->length[i] < 0 || (uint64_t)s->length[i] > s->capacity)
      return failure(error, ATTN_CORRUPT_FILE, "a length is out of range");
  *state = s;
  return ATTN_OK;
}

static int32_t fake_state_op(const attn_model *model, attn_state *state, attn_state_verb verb, uint32_t slot,
                             int64_t value, int64_t *result, attn_error *error) {
  (void)model;
  if (slot >= state->slots)
    return failure(error, ATTN_RANGE, "expected a slot below %llu, got %u", (unsigned long long)state->slots, slot);
  switch (verb) {
  case ATTN_STATE_LENGTH: *result = state->length[slot]; return ATTN_OK;
  case ATTN_STATE_CAPACITY: *result = (int64_t)state->capacity; return ATTN_OK;
  case ATTN_STATE_PAGES: *result = (int64_t)state->slots; return ATTN_OK; /* one per slot */
  case ATTN_STATE_PAGE_OFFSET:
    *result = (int64_t)(sizeof *state + (uint64_t)value * state->capacity * sizeof(int64_t));
    return ATTN_OK;
  case ATTN_STATE_PAGE_USES: *result = state->length[value] != 0; return ATTN_OK;
  case ATTN_STATE_TRUNCATE:
    if (value < 0 || value > state->length[slot])
      return failure(error, ATTN_RANGE, "cannot keep %lld of %lld tokens", (long long)value,
                     (long long)state->length[slot]);
    state->length[slot] = value;
    return ATTN_OK;
  case ATTN_STATE_COPY:
  case ATTN_STATE_FORK:
    if (value < 0 || (uint64_t)value >= state->slots)
      return failure(error, ATTN_RANGE, "expected a slot below %llu, got %lld", (unsigned long long)state->slots,
                     (long long)value);
    memmove(state->ids + slot * state->capacity, state->ids + (uint64_t)value * state->capacity,
            (size_t)state->length[value] * sizeof(int64_t));
    state->length[slot] = state->length[value];
    return ATTN_OK;
  default: return failure(error, ATTN_UNSUPPORTED, "not in the fake model");
  }
}

/* ---- Run -------------------------------------------------------------------------------------------- */

typedef struct job {
  const attn_call *call;
  uint32_t entry;
  int64_t n; /* positions per batch row, or elements */
} job;

#define IN(type, i) ((const type *)((const char *)j->call->in[i]->data + j->call->in[i]->byte_offset))
#define OUT(type) ((type *)((char *)j->call->out[0]->data + j->call->out[0]->byte_offset))

static int32_t forward_task(void *arg, int64_t row, uint32_t worker) {
  const job *j = arg;
  (void)worker;
  for (int64_t s = 0; s < j->n; ++s) {
    int64_t at = row * j->n + s;
    int visible = !j->call->in[1] || IN(int64_t, 1)[at] != 0;
    for (int64_t v = 0; v < VOCAB; ++v)
      OUT(float)[at * VOCAB + v] = visible && v == (IN(int64_t, 0)[at] + 1) % VOCAB;
  }
  return 0;
}

static int32_t prefill_task(void *arg, int64_t row, uint32_t worker) {
  const job *j = arg;
  (void)worker;
  attn_state *state = j->call->state;
  int64_t slot = j->call->slots ? j->call->slots[row] : row, sum = 0;
  int64_t *ids = state->ids + slot * (int64_t)state->capacity;
  memcpy(ids + state->length[slot], IN(int64_t, 0) + row * j->n, (size_t)j->n * sizeof *ids);
  for (int64_t s = 0; s < state->length[slot] + j->n; ++s)
    sum += ids[s];
  for (int64_t v = 0; v < VOCAB; ++v)
    OUT(float)[row * VOCAB + v] = v == sum % VOCAB;
  return 0;
}

static int32_t vector_task(void *arg, int64_t i, uint32_t worker) {
  const job *j = arg;
  (void)worker;
  if (j->entry == HALF)
    OUT(uint16_t)[i] = IN(uint16_t, 0)[i];
  else if (j->entry == FLIP)
    OUT(uint8_t)[i] = !IN(uint8_t, 0)[i];
  else
    OUT(float)[i] = 2 * IN(float, 0)[i];
  return 0;
}

static int32_t fail_task(void *arg, int64_t task, uint32_t worker) {
  const job *j = arg;
  (void)task;
  (void)worker;
  return (int32_t)*IN(int64_t, 0);
}

/* One op: span, poll, tasks. A task of head is a million FLOP; any is half a million bytes. */
static int32_t run_op(const attn_model *m, const char *name, uint64_t done, uint64_t total, int64_t tasks,
                      attn_task_fn fn, job *j, attn_error *error) {
  const attn_host *h = &m->host;
  if (h->poll && h->poll(h->ctx, done, total) != 0)
    return failure(error, ATTN_CANCELLED, "cancelled");
  attn_op_info info = {sizeof info, name, tasks, strcmp(name, "head") == 0 ? (uint64_t)tasks * 1000000 : 0,
                       (uint64_t)tasks * 500000};
  if (h->span)
    h->span(h->ctx, name, ATTN_SPAN_BEGIN, tasks);
  if (h->op)
    h->op(h->ctx, &info, ATTN_SPAN_BEGIN);
  int32_t status = 0;
  if (h->parallel_for)
    status = h->parallel_for(h->ctx, tasks, fn, j);
  else
    for (int64_t t = 0; t < tasks && status == 0; ++t)
      status = fn(j, t, 0);
  if (h->span)
    h->span(h->ctx, name, ATTN_SPAN_END, tasks);
  if (h->op)
    h->op(h->ctx, &info, ATTN_SPAN_END);
  return status ? failure(error, ATTN_CALLBACK, "op '%s' failed: a task returned %d", name, status) : ATTN_OK;
}

static int32_t run_cached(const attn_model *m, job *j, int64_t batch, attn_error *error) {
  attn_state *state = j->call->state;
  if (!state)
    return failure(error, ATTN_INVALID_ARGUMENT, "expected a state");
  if ((uint64_t)batch > state->slots)
    return failure(error, ATTN_RANGE, "expected at most %llu rows, got %lld", (unsigned long long)state->slots,
                   (long long)batch);
  for (int64_t r = 0; r < batch; ++r) {
    int64_t slot = j->call->slots ? j->call->slots[r] : r;
    if ((uint64_t)(state->length[slot] + j->n) > state->capacity)
      return failure(error, ATTN_CACHE_FULL, "expected at most %llu tokens, got %lld",
                     (unsigned long long)state->capacity, (long long)(state->length[slot] + j->n));
  }
  int32_t status = run_op(m, "cache", 0, 1, batch, prefill_task, j, error);
  for (int64_t r = 0; r < batch && status == ATTN_OK; ++r)
    state->length[j->call->slots ? j->call->slots[r] : r] += j->n;
  return status;
}

static int32_t fake_run(const attn_model *model, uint32_t entry, const attn_call *call, attn_error *error) {
  int64_t dims[3];
  int32_t status = fake_infer_dims(model, entry, call, dims, error);
  if (status == ATTN_OK)
    status = bind(&entries[entry], entries[entry].out, entries[entry].n_out, (const DLTensor *const *)call->out, dims,
                  error);
  if (status != ATTN_OK)
    return status;
  if (!call->workspace || (uintptr_t)call->workspace % 64 || call->workspace_bytes < 64)
    return failure(error, ATTN_WORKSPACE, "expected a workspace of 64 bytes, aligned to 64");
  memset(call->workspace, 0, 64);
  if (entries[entry].n_out && !call->out[0])
    return ATTN_OK;
  job j = {call, entry, 0};
  if (entry <= DECODE)
    for (int64_t i = 0; i < call->in[0]->shape[0] * call->in[0]->shape[1]; ++i) {
      const int64_t *ids = (const int64_t *)((const char *)call->in[0]->data + call->in[0]->byte_offset);
      if (ids[i] < 0 || ids[i] >= VOCAB)
        return failure(error, ATTN_RANGE, "input_ids: expected 0 to %d, got %lld", VOCAB - 1, (long long)ids[i]);
    }
  switch (entry) {
  case FORWARD:
    j.n = dims[1];
    if ((status = run_op(model, "embed", 0, 2, dims[0], forward_task, &j, error)) != ATTN_OK)
      return status;
    return run_op(model, "head", 1, 2, dims[0], forward_task, &j, error);
  case PREFILL:
  case DECODE: j.n = entry == DECODE ? 1 : dims[1]; return run_cached(model, &j, dims[0], error);
  case FAIL: return run_op(model, "fail", 0, 1, 8, fail_task, &j, error);
  case FOREVER:
    for (uint64_t i = 0;; ++i)
      if (!model->host.poll || model->host.poll(model->host.ctx, i, 0) != 0)
        return failure(error, ATTN_CANCELLED, "cancelled after %llu ops", (unsigned long long)i);
  case OVERRUN: ((volatile char *)call->workspace)[65] = 1; return ATTN_OK;
  case STATIC: return run_op(model, "scale", 0, 1, 6, vector_task, &j, error);
  default: return run_op(model, "scale", 0, 1, dims[0], vector_task, &j, error);
  }
}

/* ---- Table ------------------------------------------------------------------------------------------ */

static const attn_library library = {
#ifdef FAKE_SHORT_TABLE
    .size = offsetof(attn_library, open),
#else
    .size = sizeof(attn_library),
#endif
    .abi = FAKE_ABI,
    .name = "fake",
#ifdef FAKE_BAD_TABLE
    .build_id = "short",
#else
    .build_id = BUILD_ID,
#endif
    .json = "{\"config\": {\"vocab_size\": 16}, \"family\": \"fake\"}",
    .n_variants = 3,
    .n_entries = sizeof FAKE_ENTRIES / sizeof FAKE_ENTRIES[0],
    .variants = variants,
    .entries = FAKE_ENTRIES,
    .weights_bytes = sizeof weights,
#ifdef FAKE_BESIDE
    .weights_file = "fake.weights",
#else
    .weights = &weights,
#endif
    .open = fake_open,
    .close = fake_close,
    .variant = fake_variant,
    .infer_dims = fake_infer_dims,
    .workspace_bytes = fake_workspace_bytes,
    .state_bytes = fake_state_bytes,
    .state_init = fake_state_init,
    .state_attach = fake_state_attach,
    .state_op = fake_state_op,
    .run = fake_run,
};

__attribute__((visibility("default"))) const attn_library *attn_query(uint32_t max_abi) {
#ifdef FAKE_NEWER
  if (max_abi <= ATTN_ABI_VERSION)
    return NULL;
#endif
  (void)max_abi;
  return &library;
}
