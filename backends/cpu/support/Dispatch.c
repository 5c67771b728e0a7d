/* Dispatch.c: what generated code calls, and how its ops get onto the host's threads.
 *
 * Each op is one parallel_for of the host or, with ATTN_HOST_GANG, the whole run is one parallel_for of `workers` tasks, a
 * gang: threads are woken once. The task that begins first leads. It executes the entry and publishes the ops:
 *
 *   leader, for each op                           the others
 *   write kernel, arg, count; done = 0            spin until left != 0; end when it is OVER
 *   left = count                                  if left > 0: take a task by left -= 1 (atomically)
 *   take tasks until left == 0                    run it; take more
 *   spin until done + its own tasks == count      left == 0: done += tasks that were run
 *
 * Who has taken a task counts it out before the leader goes on, so the op's fields hold still under him, and its captures,
 * on the leader's stack, live. Nobody else is waited for: a thread that comes late finds the tasks of a later op, or OVER.
 * Who has waited for some time lets the host give the CPU away (idle): it may be the one that the other thread needs.
 * Since the leader is the first and needs nobody, a host that sets the flag and runs tasks one by one loses only speed. */
#include "Support.h"

/* Two lines: neighbouring lines are fetched in pairs. */
#define LINE 128
#define OVER (-1)
/* Pauses of 10 to 50 ns each: longer than between two ops of a token. */
#define PATIENCE 1000

typedef struct job {
  context *ctx;
  kernel_fn kernel;
  void *arg;
  int64_t count;
} job;

struct gang {
  context *ctx;
  job job; /* the op's; only for who has taken a task */
  void (*run)(const attn_argument *args); /* the entry */
  const attn_argument *args;
  int64_t worker; /* of the leader */
  int32_t led;    /* atomic: there is a leader */
  _Alignas(LINE) int64_t left; /* atomic: tasks of the job not yet taken, or OVER */
  _Alignas(LINE) int64_t done; /* atomic: tasks that others than the leader ran */
};

int32_t status_of(const context *ctx) { return __atomic_load_n(&ctx->status, __ATOMIC_RELAXED); }

int claim(context *ctx, int32_t status) {
  int32_t none = ATTN_OK;
  return __atomic_compare_exchange_n(&ctx->status, &none, status, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

void attn_fail(context *ctx, int32_t status, const char *message) {
  if (claim(ctx, status))
    fail_with(ctx->error, status, message);
}

/* A worker's number selects scratch memory. */
static int32_t check_worker(context *ctx, uint32_t worker) {
  if (worker < ctx->host->workers)
    return ATTN_OK;
  if (claim(ctx, ATTN_CALLBACK)) {
    text t = begin(ctx->error, ATTN_CALLBACK);
    put(&t, "parallel_for: expected a worker below ");
    put_uint(&t, ctx->host->workers);
    put(&t, ", got ");
    put_uint(&t, worker);
    end(&t);
  }
  return ATTN_CALLBACK;
}

static int32_t run_task(void *arg, int64_t task, uint32_t worker) {
  job *j = arg;
  int32_t status = check_worker(j->ctx, worker);
  if (status != ATTN_OK)
    return status;
  if (status_of(j->ctx) == ATTN_OK)
    j->kernel(j->arg, task, worker);
  return status_of(j->ctx);
}

/* A failed parallel_for, unless its tasks have said why. */
static void check_parallel_for(context *ctx, const char *what, int32_t result) {
  if (result == 0 || !claim(ctx, ATTN_CALLBACK))
    return;
  text t = begin(ctx->error, ATTN_CALLBACK);
  put(&t, what);
  put(&t, ": parallel_for returned ");
  put_int(&t, result);
  end(&t);
}

/* ---- Gangs ------------------------------------------------------------------------------------------ */

/* Between two looks at what is waited for; `looks` counts them. Who waits for long waits for a thread that has no CPU. */
static void relax(const gang *g, uint32_t *looks) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
  const attn_host *host = g->ctx->host;
  if (*looks < PATIENCE)
    ++*looks;
  else if (host->idle)
    host->idle(host->ctx);
}

/* Takes tasks of the job until there are none left; returns how many. */
static int64_t take_tasks(gang *g, int64_t worker) {
  int64_t taken = 0;
  int64_t left = __atomic_load_n(&g->left, __ATOMIC_RELAXED);
  while (left > 0)
    if (__atomic_compare_exchange_n(&g->left, &left, left - 1, 1, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
      if (status_of(g->ctx) == ATTN_OK)
        g->job.kernel(g->job.arg, g->job.count - left, worker);
      ++taken;
      left = __atomic_load_n(&g->left, __ATOMIC_RELAXED);
    }
  return taken;
}

/* A job of the leader: returns when all its tasks are done. */
static void lead_job(gang *g, const job *j) {
  g->job = *j;
  if (j->count == 1) { /* nobody else has to know */
    j->kernel(j->arg, 0, g->worker);
    return;
  }
  __atomic_store_n(&g->done, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&g->left, j->count, __ATOMIC_RELEASE);
  int64_t others = j->count - take_tasks(g, g->worker);
  uint32_t looks = 0;
  while (__atomic_load_n(&g->done, __ATOMIC_ACQUIRE) != others)
    relax(g, &looks);
}

/* A task of the gang. */
static int32_t join(void *arg, int64_t task, uint32_t worker) {
  gang *g = arg;
  int32_t status = check_worker(g->ctx, worker);
  if (status != ATTN_OK)
    return status;
  if (!__atomic_exchange_n(&g->led, 1, __ATOMIC_RELAXED)) {
    g->worker = worker;
    g->run(g->args);
    __atomic_store_n(&g->left, OVER, __ATOMIC_RELEASE);
    return status_of(g->ctx);
  }
  uint32_t looks = 0;
  for (int64_t left; (left = __atomic_load_n(&g->left, __ATOMIC_RELAXED)) != OVER;) {
    int64_t taken = left ? take_tasks(g, worker) : 0;
    if (taken) {
      __atomic_fetch_add(&g->done, taken, __ATOMIC_RELEASE);
      looks = 0;
    } else {
      relax(g, &looks);
    }
  }
  return ATTN_OK;
}

static void run_gang(context *ctx, uint32_t index, void (*run)(const attn_argument *), const attn_argument *args) {
  const attn_host *host = ctx->host;
  gang g = {.ctx = ctx, .run = run, .args = args};
  ctx->gang = &g;
  const char *name = attn_descriptor.library->entries[index].name;
  check_parallel_for(ctx, name, host->parallel_for(host->ctx, host->workers, join, &g));
  if (!g.led && claim(ctx, ATTN_CALLBACK)) {
    text t = begin(ctx->error, ATTN_CALLBACK);
    put(&t, name);
    put(&t, ": parallel_for ran none of its tasks");
    end(&t);
  }
  ctx->gang = NULL;
}

context begin_run(const attn_model *model, uint32_t index, attn_error *error) {
  return (context){.model = model, .host = &model->host, .error = error, .total = model->code[index].ops};
}

void run_entry(context *ctx, uint32_t index, attn_argument *args) {
  const attn_host *host = ctx->host;
  void (*run)(const attn_argument *) = ctx->model->code[index].run;
  args[0].pointer = ctx;
  if (host->flags & ATTN_HOST_GANG && host->parallel_for && host->workers > 1 && !device_has_threads())
    run_gang(ctx, index, run, args);
  else
    run(args);
}

/* ---- Ops -------------------------------------------------------------------------------------------- */

void tell_op(const context *ctx, const attn_op_info *info, attn_span_phase phase) {
  const attn_host *host = ctx->host;
  if (host->span)
    host->span(host->ctx, info->name, phase, info->tasks);
  if (host->op)
    host->op(host->ctx, info, phase);
}

int begin_op(context *ctx, const attn_op_info *op) {
  const attn_host *host = ctx->host;
  if (status_of(ctx) != ATTN_OK)
    return 0;
  if (ctx->total <= ctx->done)
    ctx->total = ctx->done + 1;
  if (host->poll && host->poll(host->ctx, ctx->done, ctx->total) != 0) {
    if (claim(ctx, ATTN_CANCELLED)) {
      text t = begin(ctx->error, ATTN_CANCELLED);
      put(&t, "cancelled after ");
      put_uint(&t, ctx->done);
      put(&t, " of ");
      put_uint(&t, ctx->total);
      put(&t, " ops");
      end(&t);
    }
    return 0;
  }
  tell_op(ctx, op, ATTN_SPAN_BEGIN);
  return 1;
}

void end_op(context *ctx, const attn_op_info *op) {
  tell_op(ctx, op, ATTN_SPAN_END);
  ++ctx->done;
}

void run_tasks(context *ctx, kernel_fn kernel, void *arg, int64_t count, const char *op) {
  const attn_host *host = ctx->host;
  job j = {ctx, kernel, arg, count};
  int32_t status = 0;
  if (ctx->gang)
    lead_job(ctx->gang, &j);
  else if (host->parallel_for)
    status = host->parallel_for(host->ctx, count, run_task, &j);
  else
    for (int64_t t = 0; t < count && status == 0; ++t)
      status = run_task(&j, t, 0);
  check_parallel_for(ctx, op, status);
}

/* One op: `count` tasks, between a poll and its span. A no-op once the run has failed. flop and bytes: attn_op_info. */
void attn_dispatch(context *ctx, kernel_fn kernel, void *arg, int64_t count, const char *op, int64_t flop,
                   int64_t bytes) {
  if (count <= 0) { /* an empty op: no reason to wake anyone */
    ++ctx->done;
    return;
  }
  attn_op_info info = {sizeof info, op, count, (uint64_t)flop, (uint64_t)bytes};
  if (!begin_op(ctx, &info))
    return;
  run_tasks(ctx, kernel, arg, count, op);
  end_op(ctx, &info);
}

/* ---- External functions ------------------------------------------------------------------------------ */

/* tensors: the inputs, then the outputs; at most ATTN_MAX_TENSORS. A no-op once the run has failed. */
void attn_external(context *ctx, const char *name, DLTensor *tensors, uint32_t n_in, uint32_t n_out) {
  if (status_of(ctx) != ATTN_OK)
    return;
  uint64_t i = 0;
  while (i < attn_descriptor.n_externals && !same_text(name, attn_descriptor.externals[i]))
    ++i;
  if (i == attn_descriptor.n_externals) { /* a stage's text was edited */
    attn_fail(ctx, ATTN_CORRUPT_FILE, "expected the names of all external functions in attn.externals");
    return;
  }
  const DLTensor *in[ATTN_MAX_TENSORS];
  DLTensor *out[ATTN_MAX_TENSORS];
  for (uint32_t t = 0; t < n_in; ++t)
    in[t] = &tensors[t];
  for (uint32_t t = 0; t < n_out; ++t)
    out[t] = &tensors[n_in + t];
  attn_op_info info = {sizeof info, name, 1, 0, 0};
  tell_op(ctx, &info, ATTN_SPAN_BEGIN);
  int32_t status = ctx->model->externals[i](ctx->host->ctx, in, n_in, out, n_out);
  tell_op(ctx, &info, ATTN_SPAN_END);
  if (status == 0 || !claim(ctx, ATTN_CALLBACK))
    return;
  text t = begin(ctx->error, ATTN_CALLBACK);
  put(&t, "external function '");
  put(&t, name);
  put(&t, "' returned ");
  put_int(&t, status);
  end(&t);
}
