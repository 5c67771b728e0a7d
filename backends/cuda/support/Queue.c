/* Queue.c: launches that begin together, as a graph where they have come before. */
#include "Queue.h"

enum { KEPT_GRAPHS = 16 };

extern void *malloc(size_t) __attribute__((weak));
extern void free(void *) __attribute__((weak));

/* ---- Sequences --------------------------------------------------------------------------------------- */

static int make_sequence(sequence *s, uint32_t items, uint32_t words) {
  *s = (sequence){malloc(items * sizeof *s->items), malloc(words * sizeof *s->words), 0, 0};
  return s->items && s->words;
}

static void free_sequence(sequence *s) {
  free(s->items);
  free(s->words);
}

static int is_alike(const sequence *a, const sequence *b) {
  if (a->n != b->n || a->n_words != b->n_words || memcmp(a->words, b->words, a->n_words * sizeof *a->words))
    return 0;
  for (uint32_t i = 0; i < a->n; ++i) {
    const queued *x = &a->items[i], *y = &b->items[i];
    if (x->function != y->function || x->blocks != y->blocks || x->threads != y->threads ||
        x->shared_bytes != y->shared_bytes || x->n != y->n)
      return 0;
  }
  return 1;
}

/* FNV-1a, by words. */
static uint64_t hash_of(const sequence *s) {
  uint64_t hash = 0xcbf29ce484222325, parts[3];
  for (uint32_t i = 0; i < s->n; ++i) {
    const queued *item = &s->items[i];
    parts[0] = (uintptr_t)item->function;
    parts[1] = (uint64_t)item->blocks << 32 | item->threads;
    parts[2] = (uint64_t)item->shared_bytes << 32 | item->n;
    for (int p = 0; p < 3; ++p)
      hash = (hash ^ parts[p]) * 0x100000001b3;
  }
  for (uint32_t i = 0; i < s->n_words; ++i)
    hash = (hash ^ s->words[i]) * 0x100000001b3;
  return hash ? hash : 1;
}

/* But of runs that have failed. */
static void launch_all(queue *q, const sequence *s) {
  void *pointers[MAX_ARGUMENTS];
  for (uint32_t i = 0; i < s->n; ++i) {
    const queued *item = &s->items[i];
    for (uint32_t a = 0; a < item->n; ++a)
      pointers[a] = &s->words[item->first + a];
    if (status_of(item->of.ctx) == ATTN_OK)
      check(&item->of, q->driver,
            q->driver->launch(item->function, item->blocks, 1, 1, item->threads, 1, 1, item->shared_bytes, q->stream,
                              pointers, NULL),
            "launch");
  }
}

/* Whether a call for all that waits succeeded; else the runs fail. */
static int check_all(queue *q, cuda_result result, const char *what) {
  for (uint32_t i = 0; i < q->waiting.n; ++i)
    check(&q->waiting.items[i].of, q->driver, result, what);
  return !result;
}

/* ---- Graphs ------------------------------------------------------------------------------------------ */

static void free_graph(queue *q, graph *g) {
  if (g->exec)
    q->driver->graph_exec_destroy(g->exec);
  free_sequence(&g->of);
  free(g);
}

static graph *find_graph(queue *q, uint64_t hash) {
  for (graph **at = &q->graphs; *at; at = &(*at)->next) {
    graph *g = *at;
    if (g->hash == hash && is_alike(&g->of, &q->waiting)) {
      *at = g->next;
      g->next = q->graphs;
      return q->graphs = g;
    }
  }
  return NULL;
}

static int record(queue *q, graph *g) {
  const cuda_driver *driver = q->driver;
  cuda_graph recorded = NULL;
  if (!check_all(q, driver->capture_begin(q->stream, CUDA_CAPTURE_THREAD_LOCAL), "no graph"))
    return 0;
  launch_all(q, &q->waiting);
  int ok = check_all(q, driver->capture_end(q->stream, &recorded), "no graph") &&
           check_all(q, driver->graph_instantiate(&g->exec, recorded, 0), "no graph");
  if (recorded)
    driver->graph_destroy(recorded);
  for (uint32_t i = 0; i < q->waiting.n; ++i)
    ok = ok && status_of(q->waiting.items[i].of.ctx) == ATTN_OK;
  return ok;
}

/* Of what waits. NULL: its runs have failed, or there is no memory for a graph. */
static graph *make_graph(queue *q, uint64_t hash) {
  const sequence *s = &q->waiting;
  graph *g = malloc(sizeof *g);
  if (!g)
    return NULL;
  *g = (graph){q->graphs, hash, {0}, NULL};
  if (!make_sequence(&g->of, s->n, s->n_words) || !record(q, g)) {
    free_graph(q, g);
    return NULL;
  }
  memcpy(g->of.items, s->items, s->n * sizeof *s->items);
  memcpy(g->of.words, s->words, s->n_words * sizeof *s->words);
  g->of.n = s->n;
  g->of.n_words = s->n_words;
  q->graphs = g;
  uint32_t kept = 0;
  for (graph **at = &q->graphs; *at;)
    if (++kept > KEPT_GRAPHS) {
      graph *last = *at;
      *at = last->next;
      free_graph(q, last);
    } else {
      at = &(*at)->next;
    }
  return g;
}

/* ---- The queue --------------------------------------------------------------------------------------- */

int make_queue(queue *q, const cuda_driver *driver, cuda_stream stream) {
  q->driver = driver;
  q->stream = stream;
  return make_sequence(&q->waiting, MAX_WAITING, MAX_WORDS);
}

void free_queue(queue *q) {
  for (graph *next, *g = q->graphs; g; g = next) {
    next = g->next;
    free_graph(q, g);
  }
  free_sequence(&q->waiting);
}

void enqueue_launch(queue *q, queued item, const uint64_t *arguments) {
  sequence *s = &q->waiting;
  if (s->n == MAX_WAITING || s->n_words + item.n > MAX_WORDS)
    flush_queue(q);
  item.first = s->n_words;
  memcpy(&s->words[s->n_words], arguments, item.n * sizeof *arguments);
  s->n_words += item.n;
  s->items[s->n++] = item;
}

void flush_queue(queue *q) {
  sequence *s = &q->waiting;
  uint32_t kept = 0; /* operands of a run that has failed may be gone */
  for (uint32_t i = 0; i < s->n; ++i)
    if (status_of(s->items[i].of.ctx) == ATTN_OK)
      s->items[kept++] = s->items[i];
  s->n = kept;
  if (s->n < 2) {
    launch_all(q, s);
  } else {
    uint64_t hash = hash_of(s), *seen = &q->seen[hash % SEEN];
    graph *g = find_graph(q, hash);
    if (!g && *seen == hash)
      g = make_graph(q, hash);
    *seen = hash;
    if (g)
      check_all(q, q->driver->graph_launch(g->exec, q->stream), "launch");
    else
      launch_all(q, s);
  }
  s->n = s->n_words = 0;
}
