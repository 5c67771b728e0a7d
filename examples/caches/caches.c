/* caches.c: what docs/caches.md says, done: a prompt that is read once for several answers, steps back, a conversation on
 * disk, and the pages of a server.
 *
 *   caches-example ./summarizer.so 464 2068 7586     each line ends with the same tokens: the most likely ones
 */
#include <attn_runtime.h>
#include <stdlib.h>

enum { TOKENS = 5, SLOTS = 3 };

typedef struct program {
  const attn_library *library;
  attn_model *model;
  attn_session *session;
  attn_error error;
  float *logits; /* [1, vocabulary] */
  int64_t vocabulary, *prompt, length;
} program;

static void check(program *p, int32_t status) {
  if (status == ATTN_OK)
    return;
  fprintf(stderr, "caches: %s: %s\n", attn_status_name(status), p->error.text);
  exit(1);
}

/* Appends tokens to a slot and returns the most likely next one. */
static int64_t append(program *p, attn_state *state, int32_t slot, int64_t *ids, int64_t n) {
  int64_t entry = attn_library_find(p->library, "prefill"), best = 0, id_shape[] = {1, n}, logit_shape[] = {1, p->vocabulary};
  DLTensor input = {ids, {kDLCPU, 0}, 2, {kDLInt, 64, 1}, id_shape, NULL, 0};
  DLTensor output = {p->logits, {kDLCPU, 0}, 2, {kDLFloat, 32, 1}, logit_shape, NULL, 0}, *out[] = {&output};
  const DLTensor *in[8] = {&input}; /* the others are optional */
  attn_call call = {.size = sizeof call, .n_in = attn_library_entry(p->library, (uint32_t)entry)->n_in, .n_out = 1,
                    .in = in, .out = out, .state = state, .slots = &slot};
  check(p, attn_session_run(p->session, (uint32_t)entry, &call, &p->error));
  for (int64_t v = 1; v < p->vocabulary; ++v)
    if (p->logits[v] > p->logits[best])
      best = v;
  return best;
}

static int64_t ask(program *p, attn_state *state, attn_state_verb verb, uint32_t slot, int64_t value) {
  int64_t result = 0;
  check(p, p->library->state_op(p->model, state, verb, slot, value, &result, &p->error));
  return result;
}

/* TOKENS tokens after `next`, which is appended first. */
static void answer(program *p, const char *name, attn_state *state, int32_t slot, int64_t next) {
  printf("%s:", name);
  for (int i = 0; i < TOKENS; ++i) {
    printf(" %lld", (long long)next);
    next = append(p, state, slot, &next, 1);
  }
  printf("\n");
}

int main(int argc, char **argv) {
  program p = {.error = {.size = sizeof p.error}, .length = argc - 2};
  if (p.length < 1)
    return fprintf(stderr, "usage: caches-example MODEL ID...\n"), 2;
  attn_runtime *runtime;
  attn_file *file;
  check(&p, attn_runtime_create(NULL, &runtime, &p.error));
  const attn_host *host = attn_runtime_host(runtime);
  check(&p, attn_file_load(argv[1], &file, &p.error));
  p.library = attn_file_library(file);
  check(&p, attn_file_open(file, host, NULL, &p.model, &p.error));
  check(&p, attn_session_create(p.library, p.model, host, &p.session, &p.error));
  p.vocabulary = attn_library_entry(p.library, (uint32_t)attn_library_find(p.library, "prefill"))->out[0].dims[1];
  p.logits = malloc((size_t)p.vocabulary * sizeof *p.logits);
  p.prompt = malloc((size_t)p.length * sizeof *p.prompt);
  for (int64_t i = 0; i < p.length; ++i)
    p.prompt[i] = atoll(argv[2 + i]);

  attn_state_memory state, loaded, pool;
  check(&p, attn_state_create(p.library, p.model, host, SLOTS, 200, 64, &state, &p.error));
  int64_t next = append(&p, state.state, 0, p.prompt, p.length);

  /* A prompt is read once: forks share its pages until they write. */
  ask(&p, state.state, ATTN_STATE_FORK, 1, 0);
  ask(&p, state.state, ATTN_STATE_FORK, 2, 0);
  printf("uses of page 0: %lld\n", (long long)ask(&p, state.state, ATTN_STATE_PAGE_USES, 0, 0));
  answer(&p, "forked", state.state, 1, next);
  answer(&p, "forked again", state.state, 2, next);

  /* Steps back: what was appended is forgotten. */
  answer(&p, "first try", state.state, 0, next);
  ask(&p, state.state, ATTN_STATE_TRUNCATE, 0, p.length);
  answer(&p, "second try", state.state, 0, next);

  /* A conversation on disk. */
  ask(&p, state.state, ATTN_STATE_TRUNCATE, 0, p.length);
  check(&p, attn_state_save(p.library, p.model, &state, "conversation.state", &p.error));
  check(&p, attn_state_load(p.library, p.model, host, "conversation.state", &loaded, &p.error));
  answer(&p, "loaded", loaded.state, 0, next);

  /* A server's pool of 8 pages: slots 0 and 1 share the full pages of the prompt; what follows them is recomputed. */
  check(&p, attn_state_create_pool(p.library, p.model, host, SLOTS, 200, 64, 8, &pool, &p.error));
  const int32_t mine[] = {6, 1, 4}, theirs[] = {6, 2, 0};
  check(&p, p.library->pool_map(p.model, pool.state, 0, mine, 3, 0, &p.error));
  next = append(&p, pool.state, 0, p.prompt, p.length);
  answer(&p, "server", pool.state, 0, next);
  int64_t shared = (p.length - 1) / 64 < 1 ? 0 : 64; /* at least one token is left to be run */
  check(&p, p.library->pool_map(p.model, pool.state, 1, shared ? theirs : theirs + 1, shared ? 3 : 2, shared, &p.error));
  next = append(&p, pool.state, 1, p.prompt + shared, p.length - shared);
  answer(&p, "server, prefix shared", pool.state, 1, next);

  attn_state_free(host, &pool);
  attn_state_free(host, &loaded);
  attn_state_free(host, &state);
  attn_session_free(p.session);
  p.library->close(p.model);
  attn_file_free(file);
  attn_runtime_free(runtime);
  free(p.logits);
  free(p.prompt);
  return 0;
}
