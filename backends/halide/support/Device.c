/* Device.c: a model on a device with a memory of its own: open, close and run. */
#include "Device.h"

/* ---- open and close ---------------------------------------------------------------------------------- */

static int models;       /* open ones */
static int device_index = -1; /* -1: the runtime chooses */

int halide_get_gpu_device(void *user_context) {
  (void)user_context;
  return device_index;
}

/* Memory can be had from the device: there is a driver, and it works. */
static void try_device(launch *l, void *works) {
  halide_dimension_t dims[1] = {{0, 64, 1, 0}};
  halide_buffer_t buffer = {0, NULL, NULL, 0, {halide_type_uint, 8, 1}, 1, dims, NULL};
  *(int *)works = !allocate(l, &buffer) && !halide_device_free(l, &buffer);
}

/* One more open model. */
static void start_device(launch *l, void *arg) {
  DLDevice wanted = *(const DLDevice *)arg;
  int index = wanted.device_type == kDLCPU || runtime_device_type == kDLVulkan ? -1 : wanted.device_id;
  if (models && index != device_index) {
    fail_launch(l, ATTN_UNSUPPORTED, "expected the device on which this file is open already");
    return;
  }
  if (models) {
    ++models;
    return;
  }
  device_index = index;
  missing_driver = NULL;
  for (int loud = 0; loud < 2; ++loud) { /* what is missing is said better than by the first function that was not found */
    int works = 0;
    set_current(loud ? l : NULL);
    l->op = "open: no device";
    runtime_construct();
    int whole = attempt(l, try_device, &works);
    if (works) {
      models = 1;
      return;
    }
    set_current(NULL);
    if (whole)
      release_device(l);
    if (missing_driver) {
      text t = begin(l->ctx->error, l->ctx->status = ATTN_DEVICE);
      put(&t, "open: could not load the driver '");
      put(&t, missing_driver);
      put(&t, "'");
      end(&t);
      return;
    }
  }
  fail_launch(l, ATTN_DEVICE, "halide gives no reason");
}

int32_t device_open(attn_model *model, DLDevice wanted, attn_error *error) {
  const attn_host *host = &model->host;
  context ctx = {.model = model, .host = host, .error = error};
  launch l = {&ctx, "open", 0};
  if (wanted.device_type != kDLCPU && (int32_t)wanted.device_type != runtime_device_type) {
    text t = begin(error, ATTN_UNSUPPORTED);
    put(&t, "open: expected the CPU or device type ");
    put_int(&t, runtime_device_type);
    put(&t, ", got ");
    put_int(&t, (int64_t)wanted.device_type);
    return end(&t);
  }
  if (wanted.device_type == kDLVulkan && wanted.device_id)
    return fail_with(error, ATTN_UNSUPPORTED, "open: expected device 0 of Vulkan, which chooses one itself");
  if (!process_suffices())
    return fail_with(error, ATTN_DEVICE, "open: expected a process with malloc, free, _setjmp and longjmp");
  arenas *d = malloc(sizeof *d);
  if (!d)
    return fail_with(error, ATTN_OUT_OF_MEMORY, "open: out of memory");
  memset(d, 0, sizeof *d);
  with_device(&l, start_device, &wanted);
  if (ctx.status != ATTN_OK) {
    if (!models)
      mend();
    free(d);
  } else {
    model->device = d;
  }
  return ctx.status;
}

static void stop_device(launch *l, void *arg) {
  free_arenas(l, arg);
  if (models == 1)
    release_device(l);
}

void device_close(attn_model *model) {
  context ctx = {.model = model, .host = &model->host};
  launch l = {&ctx, "close", 0};
  with_device(&l, stop_device, model->device);
  if (is_broken())
    free_arenas(&l, model->device);
  if (!--models)
    mend();
  free(model->device);
}

arenas *arenas_of(const launch *l) { return l->ctx->model->device; }

int device_has_threads(void) { return 1; }

/* ---- Runs -------------------------------------------------------------------------------------------- */

typedef struct call {
  pipeline_fn pipeline;
  const DLTensor *tensors;
  int32_t inputs, inits;
  attn_op_info info;
  operand operands[MAX_OPERANDS];
} call;

static void launch_section(launch *l, void *arg) {
  call *c = arg;
  int32_t n = c->inputs + c->inits, placed = 0, run = 1;
  context *ctx = l->ctx;
  for (; placed < n && run; ++placed) {
    c->operands[placed].own.device = 0;
    run = !c->tensors[placed].ndim || describe_on_device(l, c->tensors, placed, c->inputs, n, &c->operands[placed]);
  }
  if (run && begin_op(ctx, &c->info)) {
    call_pipeline(l, c->pipeline, c->tensors, c->operands, c->inputs, c->inits);
    /* Launches only begin: who measures them waits for their end. */
    if (ctx->host->op && status_of(ctx) == ATTN_OK && halide_device_sync_global(l, runtime_device_interface()) != 0)
      fail_launch(l, ATTN_DEVICE, "halide: the device failed");
    end_op(ctx, &c->info);
  }
  for (int32_t i = 0; i < placed; ++i)
    leave_operand(l, &c->tensors[i], &c->operands[i]);
  for (int32_t i = c->inputs; i < n && status_of(ctx) == ATTN_OK; ++i)
    fetch_written(l, &c->tensors[i]);
}

void attn_launch(context *ctx, pipeline_fn pipeline, const DLTensor *tensors, int32_t inputs, int32_t inits,
                 const char *op, int64_t flop, int64_t bytes) {
  launch l = {ctx, op, 0};
  if (!check_launch(&l, tensors, inputs, inits))
    return;
  call c;
  c.pipeline = pipeline;
  c.tensors = tensors;
  c.inputs = inputs;
  c.inits = inits;
  c.info = (attn_op_info){sizeof c.info, op, 1, (uint64_t)flop, (uint64_t)bytes};
  with_device(&l, launch_section, &c);
}
