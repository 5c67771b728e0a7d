#include "fake_model.h"

#include "backends/cpu/support/Support.h"

#include <stdlib.h>

void attn_fail(context *ctx, int32_t status, const char *message);

struct fake_model {
  attn_code code;
  attn_library library;
  attn_entry entry;
  attn_model model;
};

/* One at a time has its weights there; tests with several have none. */
static attn_entry entry = {.size = sizeof entry, .name = "entry"};
static attn_library library = {.size = sizeof library,
                               .name = "fake",
                               .build_id = "0123456789abcdef0123456789abcdef",
                               .n_entries = 1,
                               .entries = &entry};
const attn_model_descriptor attn_descriptor = {.library = &library, .token_bytes = 16, .element_bytes = 4};

typedef struct script {
  const fake_op *ops;
  int n;
} script;

/* The generated code: args are the context and the script. */
static void run(const attn_argument *args) {
  context *ctx = (context *)args[0].pointer;
  const script *s = args[1].pointer;
  for (const fake_op *op = s->ops; op < s->ops + s->n; ++op)
    switch (op->kind) {
    case FAKE_LAUNCH:
      attn_launch(ctx, op->pipeline, op->tensors, op->inputs, op->inits, "op", 2, 3);
      break;
    case FAKE_TO_HOST:
      attn_copy_to_host(ctx, op->tensors);
      break;
    case FAKE_TO_DEVICE:
      attn_copy_to_device(ctx, op->tensors);
      break;
    case FAKE_FAIL:
      attn_fail(ctx, ATTN_RANGE, "failed before");
      break;
    }
}

fake_model *fake_open(const attn_host *host, DLDevice device, const void *weights, uint64_t weights_bytes,
                      attn_error *error) {
  fake_model *m = calloc(1, sizeof *m);
  m->model.host = *host;
  if (!m->model.host.parallel_for)
    m->model.host.workers = 1;
  m->code.run = run;
  m->model.code = &m->code;
  m->model.weights = weights;
  library.weights_bytes = weights_bytes;
  if (device_open(&m->model, device, error) == ATTN_OK)
    return m;
  free(m);
  return NULL;
}

void fake_close(fake_model *m) {
  device_close(&m->model);
  free(m);
}

int32_t fake_run(fake_model *m, const fake_op *ops, int n, void *workspace, uint64_t workspace_bytes, attn_state *state,
                 int page, attn_error *error) {
  script s = {ops, n};
  attn_argument args[] = {{NULL}, {&s}};
  context ctx = begin_run(&m->model, 0, error);
  ctx.workspace = (memory_range){workspace, workspace_bytes};
  ctx.state = state;
  run_entry(&ctx, 0, args);
  if (page >= 0 && status_of(&ctx) == ATTN_OK)
    device_fetch_page(&ctx, state_pages(state) + (uint64_t)page * state_page_bytes(state));
  device_finish(&ctx);
  return status_of(&ctx);
}

attn_state *fake_state(void *memory, uint64_t bytes, uint32_t slots, uint64_t capacity) {
  attn_state *state;
  return attn_library_state_init(NULL, memory, bytes, slots, capacity, 64, &state, NULL) == ATTN_OK ? state : NULL;
}

char *fake_pages(const attn_state *state) { return state_pages(state); }

int fake_append(attn_state *state, int64_t tokens) {
  int32_t past = state_lengths(state)[0];
  begin_append(state, 0, tokens, 0);
  end_append(state, 0, tokens, 1);
  return state_row(state, 0)[past / 64];
}
