/* Device.c: a model on an NVIDIA GPU: open, close, memory, copies and launches. */
#include "Device.h"
#include "Code.h"

extern const attn_cuda_code attn_cuda[ATTN_CUDA_TARGETS];

arenas *arenas_of(const launch *l) { return &device_of(l)->memory; }

int check(const launch *l, const cuda_driver *driver, cuda_result result, const char *what) {
  if (!result)
    return 1;
  int32_t status = result == CUDA_OUT_OF_MEMORY ? ATTN_OUT_OF_MEMORY : ATTN_DEVICE;
  if (!claim(l->ctx, status))
    return 0;
  const char *reason = NULL;
  text t = begin(l->ctx->error, status);
  put(&t, l->op);
  put(&t, ": cuda: ");
  put(&t, what);
  put(&t, ": ");
  if (driver->error_string(result, &reason) == 0 && reason) {
    put_line(&t, reason);
  } else {
    put(&t, "error ");
    put_int(&t, result);
  }
  end(&t);
  return 0;
}

/* ---- The lock ---------------------------------------------------------------------------------------- */

static int32_t locked; /* atomic */

static void lock(const attn_host *host) {
  for (uint32_t looks = 0; __atomic_exchange_n(&locked, 1, __ATOMIC_ACQUIRE); ++looks)
    if (looks > 1000 && host->idle)
      host->idle(host->ctx);
}
static void unlock(void) { __atomic_store_n(&locked, 0, __ATOMIC_RELEASE); }

void with_device(launch *l, void (*section)(launch *, void *), void *arg) {
  cuda_device *d = device_of(l);
  lock(l->ctx->host);
  d->is_current = check(l, d->driver, d->driver->context_push(d->context), "no context");
  section(l, arg);
  cuda_context other;
  if (d->is_current)
    d->driver->context_pop(&other);
  unlock();
}

/* ---- Memory ------------------------------------------------------------------------------------------ */

/* Spare memory that is kept. */
#define MAX_SPARE (64u << 20)

static void free_spare(cuda_device *d) {
  for (device_memory *next, *m = d->spare; m; m = next) {
    next = m->next;
    d->driver->free(m->address);
    free(m);
  }
  d->spare = NULL;
  d->spare_bytes = 0;
}

static device_memory *take_spare(cuda_device *d, uint64_t bytes) {
  for (device_memory **at = &d->spare; *at; at = &(*at)->next) {
    device_memory *m = *at;
    if (m->bytes == bytes) {
      *at = m->next;
      d->spare_bytes -= bytes;
      m->is_used = 0;
      return m;
    }
  }
  return NULL;
}

device_memory *allocate_memory(launch *l, uint64_t bytes, int quietly) {
  cuda_device *d = device_of(l);
  bytes = (bytes + 255) / 256 * 256;
  device_memory *m = take_spare(d, bytes);
  if (m)
    return m;
  m = malloc(sizeof *m);
  if (!m) {
    fail_launch(l, ATTN_OUT_OF_MEMORY, "out of memory");
    return NULL;
  }
  *m = (device_memory){.bytes = bytes};
  cuda_result result = d->driver->allocate(&m->address, bytes);
  if (result == CUDA_OUT_OF_MEMORY && d->spare) {
    free_spare(d);
    result = d->driver->allocate(&m->address, bytes);
  }
  if (!result)
    return m;
  free(m);
  if (!quietly)
    check(l, d->driver, result, "no memory");
  return NULL;
}

/* Launches may still use it: what is spare is used after them, and cuMemFree waits. */
void free_memory(launch *l, device_memory *m) {
  cuda_device *d = device_of(l);
  if (m->is_borrowed) {
    free(m);
    return;
  }
  flush_queue(&d->queue);
  if (m->bytes <= MAX_SPARE - d->spare_bytes) {
    m->next = d->spare;
    d->spare = m;
    d->spare_bytes += m->bytes;
    return;
  }
  d->driver->free(m->address);
  free(m);
}

/* Begins a copy. */
static int copy(launch *l, char *host, cuda_address device, uint64_t bytes, int to_device) {
  cuda_device *d = device_of(l);
  return check(l, d->driver,
               to_device ? d->driver->copy_to_device(device, host, bytes, d->stream)
                         : d->driver->copy_to_host(host, device, bytes, d->stream),
               "copy");
}

static int wait(launch *l) {
  cuda_device *d = device_of(l);
  flush_queue(&d->queue);
  return status_of(l->ctx) == ATTN_OK && check(l, d->driver, d->driver->stream_wait(d->stream), "the device failed");
}

/* Launches that use the memory come before copies. */
static int begin_copies(launch *l, const arena *a) {
  if (a->memory->is_used)
    flush_queue(&device_of(l)->queue);
  return status_of(l->ctx) == ATTN_OK;
}

/* The host may have what was copied, or change what is copied: memory that CUDA does not know is read by then. */
static int end_copies(launch *l, const arena *a, int to_device) {
  int type;
  return (to_device && device_of(l)->driver->pointer_attribute(&type, CUDA_POINTER_MEMORY_TYPE,
                                                               (cuda_address)(uintptr_t)a->start)) ||
         wait(l);
}

int copy_range(launch *l, arena *a, uint64_t offset, uint64_t bytes, int to_device) {
  return begin_copies(l, a) && copy(l, a->start + offset, a->memory->address + offset, bytes, to_device) &&
         end_copies(l, a, to_device);
}

int copy_elements(launch *l, arena *a, const DLTensor *tensor, int to_device) {
  /* runs: the elements of the innermost dimensions that lie side by side */
  uint64_t element = (tensor->dtype.bits + 7u) / 8, run = 1, runs = 1;
  int32_t outer = tensor->ndim;
  while (outer && (tensor->shape[outer - 1] == 1 || tensor->strides[outer - 1] == (int64_t)run))
    run *= (uint64_t)tensor->shape[--outer];
  for (int32_t d = 0; d < outer; ++d)
    runs *= (uint64_t)tensor->shape[d];
  if (!begin_copies(l, a))
    return 0;
  for (uint64_t i = 0; i < runs; ++i) {
    uint64_t rest = i;
    int64_t at = 0;
    for (int32_t d = outer; d-- > 0; rest /= (uint64_t)tensor->shape[d])
      at += (int64_t)(rest % (uint64_t)tensor->shape[d]) * tensor->strides[d];
    char *host = start_of(tensor) + at * (int64_t)element;
    if (!copy(l, host, a->memory->address + (uint64_t)(host - a->start), run * element, to_device))
      return 0;
  }
  return end_copies(l, a, to_device);
}

/* Whatever the host sees has been waited for. */
void finish_launches(launch *l) {
  cuda_device *d = device_of(l);
  if (!l->ctx->stream) {
    wait(l);
    return;
  }
  flush_queue(&d->queue);
  order_streams(l, d->stream, l->ctx->stream);
}

/* ---- open and close ---------------------------------------------------------------------------------- */

/* The best code that the device has: of exactly its capability where that is Hopper's, else the latest for all. */
static int choose_target(int capability) {
  int target = -1;
  for (int i = 0; i < ATTN_CUDA_TARGETS; ++i)
    if (attn_cuda[i].capability == capability || (attn_cuda[i].capability == 80 && capability >= 80))
      target = i;
  return target;
}

static int load_code(launch *l, cuda_device *d) {
  const cuda_driver *driver = d->driver;
  int major = 0, minor = 0;
  if (!check(l, driver, driver->device_attribute(&major, CUDA_CAPABILITY_MAJOR, d->number), "no capability") ||
      !check(l, driver, driver->device_attribute(&minor, CUDA_CAPABILITY_MINOR, d->number), "no capability"))
    return 0;
  d->target = choose_target(10 * major + minor);
  if (d->target < 0) {
    text t = begin(l->ctx->error, l->ctx->status = ATTN_UNSUPPORTED);
    put(&t, "open: expected a device of compute capability 8.0 or later, got ");
    put_int(&t, major);
    put(&t, ".");
    put_int(&t, minor);
    end(&t);
    return 0;
  }
  const attn_cuda_code *code = &attn_cuda[d->target];
  if (!check(l, driver, driver->module_load(&d->module, code->ptx), "the driver does not compile this file's kernels"))
    return 0;
  for (uint64_t i = 0; i < code->n_kernels; ++i) {
    const attn_cuda_kernel *kernel = &code->kernels[i];
    if (!check(l, driver, driver->module_function(&d->functions[i], d->module, kernel->name), "no kernel") ||
        (kernel->shared_bytes &&
         !check(l, driver,
                driver->function_set(d->functions[i], CUDA_FUNCTION_DYNAMIC_SHARED, (int)kernel->shared_bytes),
                "no shared memory")))
      return 0;
  }
  if (!check(l, driver, driver->stream_create(&d->stream, CUDA_STREAM_NON_BLOCKING), "no stream") ||
      !check(l, driver, driver->event_create(&d->event, CUDA_EVENT_DISABLE_TIMING), "no event"))
    return 0;
  if (make_queue(&d->queue, driver, d->stream))
    return 1;
  fail_launch(l, ATTN_OUT_OF_MEMORY, "out of memory");
  return 0;
}

/* What load_code has made. */
static void unload_code(cuda_device *d) {
  free_queue(&d->queue);
  if (d->event)
    d->driver->event_destroy(d->event);
  if (d->stream)
    d->driver->stream_destroy(d->stream);
  if (d->module)
    d->driver->module_unload(d->module);
}

/* Leaves nothing if it fails. */
static void open_device(launch *l, cuda_device *d, int number) {
  const char *missing;
  const cuda_driver *driver = d->driver = load_driver(&missing);
  if (!driver) {
    text t = begin(l->ctx->error, l->ctx->status = ATTN_DEVICE);
    put(&t, "open: ");
    put(&t, missing ? "expected a newer driver: libcuda.so.1 has no " : "could not load the driver 'libcuda.so.1'");
    put(&t, missing ? missing : "");
    end(&t);
    return;
  }
  if (!check(l, driver, driver->init(0), "no device") ||
      !check(l, driver, driver->device_get(&d->number, number), "no such device") ||
      !check(l, driver, driver->context_retain(&d->context, d->number), "no context"))
    return;
  cuda_context other;
  if (check(l, driver, driver->context_push(d->context), "no context")) {
    if (!load_code(l, d))
      unload_code(d);
    driver->context_pop(&other);
  }
  if (l->ctx->status != ATTN_OK)
    driver->context_release(d->number);
}

int32_t device_open(attn_model *model, DLDevice wanted, attn_error *error) {
  context ctx = {.model = model, .host = &model->host, .error = error};
  launch l = {&ctx, "open", 0};
  if (wanted.device_type != kDLCPU && wanted.device_type != kDLCUDA) {
    text t = begin(error, ATTN_UNSUPPORTED);
    put(&t, "open: expected the CPU or a CUDA device, got device type ");
    put_int(&t, (int64_t)wanted.device_type);
    return end(&t);
  }
  if (!process_suffices())
    return fail_with(error, ATTN_DEVICE, "open: expected a process with malloc, free, dlopen and dlsym");
  uint64_t kernels = 0; /* of any target */
  for (int i = 0; i < ATTN_CUDA_TARGETS; ++i)
    kernels = attn_cuda[i].n_kernels > kernels ? attn_cuda[i].n_kernels : kernels;
  size_t bytes = sizeof(cuda_device) + kernels * sizeof(cuda_function);
  cuda_device *d = malloc(bytes);
  if (!d)
    return fail_with(error, ATTN_OUT_OF_MEMORY, "open: out of memory");
  memset(d, 0, bytes);
  lock(&model->host);
  open_device(&l, d, wanted.device_type == kDLCUDA ? wanted.device_id : 0);
  unlock();
  if (ctx.status == ATTN_OK)
    model->device = d;
  else
    free(d);
  return ctx.status;
}

static void close_section(launch *l, void *arg) {
  cuda_device *d = arg;
  d->driver->stream_wait(d->stream);
  free_arenas(l, &d->memory);
  free_spare(d);
  unload_code(d);
}

void device_close(attn_model *model) {
  context ctx = {.model = model, .host = &model->host};
  launch l = {&ctx, "close", 0};
  cuda_device *d = model->device;
  with_device(&l, close_section, d);
  d->driver->context_release(d->number);
  free(d);
}

int device_has_threads(void) { return 0; }

/* ---- Launches ---------------------------------------------------------------------------------------- */

/* Of one kernel, each in a word of its own. */
typedef struct arguments {
  uint64_t words[MAX_ARGUMENTS];
  uint32_t n;
} arguments;

static void add_word(arguments *a, uint64_t word) { a->words[a->n++] = word; }

/* As MLIR passes a memref. address 0: an input that is left out, or nothing. */
static void add_memref(arguments *a, const DLTensor *tensor, cuda_address address) {
  add_word(a, address);
  add_word(a, address);
  add_word(a, 0);
  for (int32_t d = 0; d < tensor->ndim; ++d)
    add_word(a, (uint64_t)tensor->shape[d]);
  for (int32_t d = 0; d < tensor->ndim; ++d)
    add_word(a, (uint64_t)tensor->strides[d]);
}

static void add_operand(launch *l, arguments *a, const DLTensor *tensors, int32_t i, int32_t inputs, int32_t n) {
  const DLTensor *tensor = &tensors[i];
  uint64_t offset = 0;
  if (!tensor->ndim) {
    add_word(a, 0);
    memcpy(&a->words[a->n - 1], start_of(tensor), (tensor->dtype.bits + 7u) / 8);
    return;
  }
  if (!tensor->data || !span_of(tensor)) {
    add_memref(a, tensor, 0);
    return;
  }
  if (tensor->strides[tensor->ndim - 1] != 1 && tensor->shape[tensor->ndim - 1] != 1) {
    fail_launch(l, ATTN_UNSUPPORTED, "expected operands whose innermost elements lie side by side");
    return;
  }
  arena *in = place_operand(l, tensors, i, inputs, n, &offset);
  if (!in)
    return;
  in->memory->is_used = 1;
  add_memref(a, tensor, in->memory->address + offset);
}

static uint64_t size_of(attn_cuda_axis axis, const DLTensor *tensors) {
  const DLTensor *tensor = &tensors[axis.operand];
  uint64_t size = 1;
  if (axis.dim >= 0)
    return (uint64_t)tensor->shape[axis.dim];
  for (int32_t d = 0; d < tensor->ndim - (axis.dim == ATTN_CUDA_ROWS); ++d)
    size *= (uint64_t)tensor->shape[d];
  return size;
}

static uint64_t blocks_of(const attn_cuda_kernel *kernel, const DLTensor *tensors) {
  uint64_t blocks = 1;
  for (uint32_t i = 0; i < kernel->n_axes; ++i)
    blocks *= (size_of(kernel->axes[i], tensors) + kernel->axes[i].tile - 1) / kernel->axes[i].tile;
  return blocks;
}

typedef struct call {
  const attn_cuda_kernel *kernel;
  cuda_function function;
  const DLTensor *tensors;
  int32_t inputs, inits;
  attn_op_info info;
  arguments arguments;
} call;

static void launch_section(launch *l, void *arg) {
  call *c = arg;
  cuda_device *d = device_of(l);
  int32_t n = c->inputs + c->inits;
  uint64_t blocks = blocks_of(c->kernel, c->tensors);
  if (blocks > INT32_MAX)
    fail_launch(l, ATTN_RANGE, "expected fewer than 2^31 blocks");
  c->arguments.n = 0;
  for (int32_t i = 0; i < n && status_of(l->ctx) == ATTN_OK; ++i)
    add_operand(l, &c->arguments, c->tensors, i, c->inputs, n);
  if (status_of(l->ctx) == ATTN_OK && begin_op(l->ctx, &c->info)) {
    if (blocks)
      enqueue_launch(&d->queue,
                     (queued){.function = c->function,
                              .blocks = (uint32_t)blocks,
                              .threads = c->kernel->threads,
                              .shared_bytes = c->kernel->shared_bytes,
                              .n = c->arguments.n,
                              .of = *l},
                     c->arguments.words);
    if (l->ctx->host->op)
      wait(l); /* launches only begin: who measures them waits for their end */
    end_op(l->ctx, &c->info);
  }
  for (int32_t i = c->inputs; i < n && status_of(l->ctx) == ATTN_OK; ++i)
    fetch_written(l, &c->tensors[i]);
}

void attn_launch(context *ctx, pipeline_fn pipeline, const DLTensor *tensors, int32_t inputs, int32_t inits,
                 const char *op, int64_t flop, int64_t bytes) {
  launch l = {ctx, op, 0};
  if (!check_launch(&l, tensors, inputs, inits))
    return;
  call c;
  const cuda_device *d = device_of(&l);
  uint32_t index = ((const attn_cuda_pipeline *)(const void *)pipeline)->index[d->target];
  const attn_cuda_kernel *kernels = attn_cuda[d->target].kernels;
  while (kernels[index].few_up_to.tile && size_of(kernels[index].few_up_to, tensors) <= kernels[index].few_up_to.tile)
    ++index;
  c.kernel = &kernels[index];
  c.function = d->functions[index];
  c.tensors = tensors;
  c.inputs = inputs;
  c.inits = inits;
  c.info = (attn_op_info){sizeof c.info, op, 1, (uint64_t)flop, (uint64_t)bytes};
  with_device(&l, launch_section, &c);
}
