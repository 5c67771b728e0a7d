/* embed.c: a compiled model inside a program that brings its own threads and its own memory.
 *
 *   embed-example ./summarizer.so 464 2068 7586     prints the most likely next token
 *
 * Only attn_abi.h is used. Without dlopen: link the archive that `attnc --emit=archive --name=summarizer` writes
 * and compile this with -DMODEL_QUERY=summarizer_attn_query; then the first argument is its weights file. Without threads,
 * as in WebAssembly: -DWORKERS=1. */
#include <attn_abi.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef MODEL_QUERY
#include <dlfcn.h>
#endif
#ifndef WORKERS
#define WORKERS 4
#endif
#if WORKERS > 1
#include <pthread.h>
#endif

/* ---- Memory: one block, handed out from the front, never returned. ----------------------------------- */

static _Alignas(64) char memory[64 << 20];
static size_t used;

static void *bump_alloc(void *ctx, DLDevice device, uint64_t bytes, uint64_t align) {
  (void)ctx;
  size_t at = (used + align - 1) & ~(size_t)(align - 1);
  if (device.device_type != kDLCPU || at > sizeof memory || bytes > sizeof memory - at)
    return NULL;
  used = at + bytes;
  return memory + at;
}
static void bump_free(void *ctx, DLDevice device, void *block) { (void)ctx, (void)device, (void)block; }

/* ---- Threads: started for each call; a real program would keep them. ---------------------------------- */

#if WORKERS > 1
typedef struct job {
  attn_task_fn fn;
  void *arg;
  int64_t tasks;
  atomic_llong next;
  atomic_int worker, status;
} job;

static void *work(void *argument) {
  job *j = argument;
  uint32_t worker = (uint32_t)atomic_fetch_add(&j->worker, 1);
  for (int64_t task; j->status == 0 && (task = atomic_fetch_add(&j->next, 1)) < j->tasks;) {
    int32_t status = j->fn(j->arg, task, worker);
    if (status != 0)
      j->status = status;
  }
  return NULL;
}

static int32_t parallel_for(void *ctx, int64_t tasks, attn_task_fn fn, void *arg) {
  (void)ctx;
  job j = {.fn = fn, .arg = arg, .tasks = tasks};
  pthread_t threads[WORKERS - 1];
  int started = 0;
  while (started < WORKERS - 1 && started + 1 < tasks && pthread_create(&threads[started], NULL, work, &j) == 0)
    ++started;
  work(&j);
  while (started > 0)
    pthread_join(threads[--started], NULL);
  return j.status;
}
#endif

#ifdef MODEL_QUERY
/* A file's content; NULL: it cannot be read. */
static void *read_file(const char *path, uint64_t *bytes) {
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END) != 0)
    return NULL;
  long size = ftell(file);
  rewind(file);
  void *content = size > 0 ? bump_alloc(NULL, (DLDevice){kDLCPU, 0}, (uint64_t)size, 64) : NULL;
  if (content && fread(content, 1, (size_t)size, file) != (size_t)size)
    content = NULL;
  fclose(file);
  *bytes = (uint64_t)size;
  return content;
}
#endif

/* ---- The model ---------------------------------------------------------------------------------------- */

static int failed(const char *what, const char *why) {
  fprintf(stderr, "embed-example: error: %s: %s\n", what, why);
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 3)
    return fprintf(stderr, "usage: embed-example MODEL.so ID…\n"), 2;
  attn_open_options options = {.size = sizeof options, .device = {kDLCPU, 0}};
#ifdef MODEL_QUERY
  const attn_library *MODEL_QUERY(uint32_t);
  attn_query_fn query = MODEL_QUERY;
#else
  attn_query_fn query = NULL;
  void *handle = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (!handle || !(*(void **)&query = dlsym(handle, "attn_query")))
    return failed("could not load the model", dlerror());
#endif
  const attn_library *library = query(ATTN_ABI_VERSION);
  if (!library || library->abi != ATTN_ABI_VERSION)
    return failed(argv[1], "another ABI version");
#ifdef MODEL_QUERY
  if (library->weights_file && !(options.weights = read_file(argv[1], &options.weights_bytes)))
    return failed("could not read the weights", argv[1]);
#endif

  /* Which entry, and how many logits per position? The table says. */
  uint32_t entry = 0;
  while (entry < library->n_entries && strcmp(library->entries[entry].name, "forward") != 0)
    ++entry;
  if (entry == library->n_entries || library->entries[entry].n_in < 1 || library->entries[entry].n_in > 8 ||
      library->entries[entry].n_out != 1 || library->entries[entry].out[0].dims[2] < 1)
    return failed(argv[1], "no entry forward(input_ids, …) -> logits [batch, seq, vocab]");
  int64_t seq = argc - 2, vocab = library->entries[entry].out[0].dims[2];

  attn_error error = {.size = sizeof error};
  attn_host host = {.size = sizeof host,
                    .workers = WORKERS,
                    .alloc = bump_alloc,
                    .free = bump_free,
#if WORKERS > 1
                    .parallel_for = parallel_for
#endif
  };
  attn_model *model;
  if (library->open(&host, &options, &model, &error) != ATTN_OK)
    return failed("could not open the model", error.text);

  DLDevice cpu = {kDLCPU, 0};
  int64_t *ids = bump_alloc(NULL, cpu, (uint64_t)seq * sizeof *ids, 64);
  float *logits = bump_alloc(NULL, cpu, (uint64_t)(seq * vocab) * sizeof *logits, 64);
  if (!ids || !logits)
    return failed("could not run the model", "out of memory");
  for (int64_t i = 0; i < seq; ++i)
    ids[i] = strtoll(argv[2 + i], NULL, 10);

  DLTensor input = {.data = ids, .device = cpu, .ndim = 2, .dtype = {kDLInt, 64, 1}, .shape = (int64_t[]){1, seq}};
  DLTensor output = {
      .data = logits, .device = cpu, .ndim = 3, .dtype = {kDLFloat, 32, 1}, .shape = (int64_t[]){1, seq, vocab}};
  const DLTensor *in[8] = {&input}; /* optional inputs stay NULL */
  DLTensor *out[1] = {&output};
  attn_call call = {.size = sizeof call, .n_in = library->entries[entry].n_in, .n_out = 1, .in = in, .out = out};

  /* The workspace depends on the dimensions of this call. */
  int64_t dims[16];
  if (library->entries[entry].n_dims > 16 || library->infer_dims(model, entry, &call, dims, &error) != ATTN_OK)
    return failed("could not run the model", error.text);
  call.workspace_bytes = library->workspace_bytes(model, entry, dims, &error);
  if (call.workspace_bytes == 0)
    return failed("could not run the model", error.text);
  if (!(call.workspace = bump_alloc(NULL, cpu, call.workspace_bytes, 64)))
    return failed("could not run the model", "out of memory");
  if (library->run(model, entry, &call, &error) != ATTN_OK)
    return failed("could not run the model", error.text);

  const float *last = logits + (seq - 1) * vocab;
  int64_t best = 0;
  for (int64_t v = 1; v < vocab; ++v)
    if (last[v] > last[best])
      best = v;
  printf("%lld\n", (long long)best);
  library->close(model);
  return 0;
}
