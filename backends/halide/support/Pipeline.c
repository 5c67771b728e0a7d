/* Pipeline.c: calls of pipelines of Halide, on every device. */
#include "Pipeline.h"

/* ---- Errors ----------------------------------------------------------------------------------------- */

/* Whoever calls it then returns an error, up to the pipeline itself. */
void halide_error(void *user_context, const char *message) {
  const launch *l = launch_of(user_context);
  if (!l || status_of(l->ctx) != ATTN_OK)
    return;
  char line[ATTN_ERROR_TEXT] = "halide: ";
  size_t n = 8;
  while (*message && n < sizeof line - 1)
    line[n++] = *message++;
  line[n] = '\0';
  fail_launch(l, ATTN_DEVICE, line);
}

/* A condition on the values of an input: as attn_fail in generated code. */
int halide_error_requirement_failed(void *user_context, const char *condition, const char *message) {
  (void)condition;
  const launch *l = launch_of(user_context);
  if (l && claim(l->ctx, ATTN_RANGE)) {
    text t = begin(l->ctx->error, ATTN_RANGE);
    put_line(&t, message);
    end(&t);
  }
  return halide_error_code_requirement_failed;
}

/* ---- Parallel loops --------------------------------------------------------------------------------- */

typedef struct loop {
  launch inside; /* what its tasks are given */
  halide_task_t task;
  uint8_t *closure;
  int min;
  int result; /* of a task that failed; atomic */
} loop;

static void run_iteration(void *arg, int64_t i, int64_t worker) {
  (void)worker;
  loop *l = arg;
  if (__atomic_load_n(&l->result, __ATOMIC_RELAXED))
    return;
  int result = l->task(&l->inside, l->min + (int)i, l->closure);
  if (result)
    __atomic_store_n(&l->result, result, __ATOMIC_RELAXED);
}

int halide_do_par_for(void *user_context, halide_task_t task, int min, int size, uint8_t *closure) {
  launch *l = user_context;
  if (l->nested || size <= 1) {
    int result = 0;
    for (int i = 0; i < size && !result; ++i)
      result = task(l, min + i, closure);
    return result;
  }
  loop all = {{l->ctx, l->op, 1}, task, closure, min, 0};
  run_tasks(l->ctx, run_iteration, &all, size, l->op);
  if (all.result)
    return all.result;
  return status_of(l->ctx) == ATTN_OK ? 0 : halide_error_code_generic_error;
}

/* ---- Operands --------------------------------------------------------------------------------------- */

static struct halide_type_t type_of(DLDataType type) {
  struct halide_type_t result = {halide_type_int, type.bits, 1};
  if (type.code == kDLBool || type.bits < 8) {
    result.code = halide_type_uint;
    result.bits = 8;
  } else if (type.code == kDLUInt || ((type.code == kDLFloat || type.code == kDLBfloat) && type.bits == 16)) {
    result.code = halide_type_uint;
  } else if (type.code == kDLFloat) {
    result.code = halide_type_float;
  }
  return result;
}

static int too_large(launch *l, int64_t value) {
  if (claim(l->ctx, ATTN_RANGE)) {
    text t = begin(l->ctx->error, ATTN_RANGE);
    put(&t, l->op);
    put(&t, ": expected sizes and strides below 2^31, got ");
    put_int(&t, value);
    end(&t);
  }
  return 0;
}

int describe_operand(launch *l, const DLTensor *tensor, operand *o) {
  /* the product of all extents is below 2^31, too */
  static const int32_t largest[ATTN_MAX_RANK] = {INT32_MAX, 46340, 1290, 215, 73, 35, 21, 14};
  int32_t rank = tensor->ndim;
  char *data = (char *)tensor->data + (tensor->data ? tensor->byte_offset : 0);
  for (int32_t d = 0; d < rank; ++d) {
    int64_t size = tensor->data ? tensor->shape[d] : largest[rank - 1], stride = tensor->data ? tensor->strides[d] : 0;
    if (size != (int32_t)size || stride != (int32_t)stride)
      return too_large(l, size != (int32_t)size ? size : stride);
    o->dims[rank - 1 - d] = (halide_dimension_t){0, (int32_t)size, (int32_t)stride, 0};
  }
  o->buffer = (halide_buffer_t){0, NULL, (uint8_t *)(data ? data : (char *)no_data), 0, type_of(tensor->dtype), rank, o->dims, NULL};
  o->own.device = 0;
  o->copied = 0;
  return 1;
}

void call_pipeline(launch *l, pipeline_fn pipeline, const DLTensor *tensors, operand *operands, int32_t inputs,
                   int32_t inits) {
  uint64_t given = 0;
  void *user_context = l, *args[MAX_OPERANDS + 2] = {&user_context}, **next = args + 1;
  for (int32_t i = 0; i < inputs + inits; ++i) {
    given |= (uint64_t)(tensors[i].data != NULL) << i;
    if (i == inputs)
      *next++ = &given;
    *next++ = tensors[i].ndim ? (void *)&operands[i].buffer : (char *)tensors[i].data + tensors[i].byte_offset;
  }
  int result = pipeline(args);
  if (!result || !claim(l->ctx, ATTN_DEVICE))
    return;
  text t = begin(l->ctx->error, ATTN_DEVICE);
  put(&t, l->op);
  put(&t, ": halide: the pipeline returned ");
  put_int(&t, result);
  end(&t);
}
