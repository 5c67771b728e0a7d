/* Host.c: pipelines that compute on the host's CPU, in its memory. */
#include "Pipeline.h"

static const DLDevice cpu = {kDLCPU, 0};

launch *launch_of(void *user_context) { return user_context; }

void halide_print(void *user_context, const char *message) { log_message(user_context, message); }

/* Vectors of a pipeline's own buffers, 64 bytes, and no line shared by two. */
#define ALIGN 128

void *halide_malloc(void *user_context, size_t bytes) {
  launch *l = user_context;
  void *memory = l->ctx->host->alloc(l->ctx->host->ctx, cpu, bytes ? bytes : 1, ALIGN);
  if (!memory)
    fail_launch(l, ATTN_OUT_OF_MEMORY, "out of memory");
  return memory;
}

void halide_free(void *user_context, void *memory) {
  launch *l = user_context;
  if (memory)
    l->ctx->host->free(l->ctx->host->ctx, cpu, memory);
}

/* For the text of an error, which Halide's runtime hands to halide_error: whoever gets no memory fails without a text. */
#define TEXTS 4
static _Alignas(16) char texts[TEXTS][1024];
static int32_t used[TEXTS]; /* atomic */

void *runtime_malloc(size_t bytes) {
  for (int i = 0; i < TEXTS && bytes <= sizeof texts[i]; ++i)
    if (!__atomic_exchange_n(&used[i], 1, __ATOMIC_ACQUIRE))
      return texts[i];
  return NULL;
}

void runtime_free(void *memory) {
  for (int i = 0; i < TEXTS; ++i)
    if (memory == texts[i])
      __atomic_store_n(&used[i], 0, __ATOMIC_RELEASE);
}

void attn_launch(context *ctx, pipeline_fn pipeline, const DLTensor *tensors, int32_t inputs, int32_t inits,
                 const char *op, int64_t flop, int64_t bytes) {
  launch l = {ctx, op, 0};
  operand operands[MAX_OPERANDS];
  int32_t n = inputs + inits;
  int run = check_launch(&l, tensors, inputs, inits);
  for (int32_t i = 0; i < n && run; ++i)
    run = !tensors[i].ndim || describe_operand(&l, &tensors[i], &operands[i]);
  attn_op_info info = {sizeof info, op, 1, (uint64_t)flop, (uint64_t)bytes};
  if (!run || !begin_op(ctx, &info))
    return;
  call_pipeline(&l, pipeline, tensors, operands, inputs, inits);
  end_op(ctx, &info);
}

void attn_copy_to_host(context *ctx, const DLTensor *tensor) {
  (void)ctx;
  (void)tensor;
}
void attn_copy_to_device(context *ctx, const DLTensor *tensor) {
  (void)ctx;
  (void)tensor;
}
