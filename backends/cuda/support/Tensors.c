/* Tensors.c: tensors of a call that are in the device's memory, and the caller's stream. */
#include "Device.h"

int order_streams(launch *l, cuda_stream first, cuda_stream later) {
  cuda_device *d = device_of(l);
  return check(l, d->driver, d->driver->event_record(d->event, first), "the stream") &&
         check(l, d->driver, d->driver->stream_wait_event(later, d->event, 0), "the stream");
}

int device_holds(DLDevice device) { return device.device_type == kDLCUDA; }

static void refuse(launch *l, const attn_tensor_info *info, const char *expected, int64_t got) {
  if (!claim(l->ctx, ATTN_UNSUPPORTED))
    return;
  text t = begin(l->ctx->error, ATTN_UNSUPPORTED);
  put(&t, info->name);
  put(&t, expected);
  put_int(&t, got);
  end(&t);
}

/* Whether the device that the model is open on has all of the tensor. */
static int check_place(launch *l, const attn_tensor_info *info, const DLTensor *tensor, cuda_address address,
                       uint64_t bytes) {
  const cuda_device *d = device_of(l);
  if (tensor->device.device_id != d->number) {
    refuse(l, info, ": expected memory of the model's device, got that of device ", tensor->device.device_id);
    return 0;
  }
  for (int end = 0; end < 2; ++end) { /* its first byte, and its last */
    int number;
    if (d->driver->pointer_attribute(&number, CUDA_POINTER_DEVICE, address + (end ? bytes - 1 : 0))) {
      refuse(l, info, ": expected memory that CUDA allocated, got another address, of device type ", kDLCUDA);
      return 0;
    }
    if (number != d->number) {
      refuse(l, info, ": expected memory of the model's device, got that of device ", number);
      return 0;
    }
  }
  return 1;
}

/* 0: the run has failed. */
static int borrow(launch *l, const attn_tensor_info *info, const DLTensor *tensor, int is_input, DLTensor *shadow) {
  uint64_t elements = 1, bytes = (tensor->dtype.bits + 7u) / 8;
  for (int32_t i = 0; i < tensor->ndim; ++i)
    elements *= (uint64_t)tensor->shape[i];
  *shadow = *tensor;
  shadow->device = (DLDevice){kDLCPU, 0};
  shadow->byte_offset = 0;
  if (!elements)
    return 1;
  bytes *= tensor->strides ? (uint64_t)span_of(tensor) : elements;
  cuda_address address = (uintptr_t)start_of(tensor);
  if (!check_place(l, info, tensor, address, bytes))
    return 0;
  device_memory *memory = malloc(sizeof *memory);
  if (!memory) {
    fail_launch(l, ATTN_OUT_OF_MEMORY, "out of memory");
    return 0;
  }
  *memory = (device_memory){.address = address, .bytes = bytes, .is_borrowed = 1};
  arena *a = borrow_memory(l, memory, bytes);
  if (!a) {
    free(memory);
    return 0;
  }
  shadow->data = a->start;
  /* int32 in place of int64 is read before the run */
  return !(is_input && tensor->dtype.bits != info->dtype.bits) || copy_range(l, a, 0, bytes, 0);
}

typedef struct begun {
  const attn_entry *entry;
  const attn_call *call;
  DLTensor *shadows;
} begun;

static void begin_section(launch *l, void *arg) {
  const begun *b = arg;
  cuda_device *d = device_of(l);
  if (l->ctx->stream && !order_streams(l, l->ctx->stream, d->stream))
    return;
  for (uint32_t i = 0; i < b->entry->n_in + b->entry->n_out; ++i) {
    int is_input = i < b->entry->n_in;
    uint32_t k = is_input ? i : i - b->entry->n_in;
    const DLTensor *tensor = is_input ? b->call->in[k] : b->call->out[k];
    const attn_tensor_info *info = is_input ? &b->entry->in[k] : &b->entry->out[k];
    if (tensor && tensor->device.device_type != kDLCPU && !borrow(l, info, tensor, is_input, &b->shadows[i]))
      return;
  }
}

int32_t device_begin(context *ctx, const attn_entry *entry, const attn_call *call, DLTensor *shadows) {
  launch l = {ctx, entry->name, 0};
  begun b = {entry, call, shadows};
  int is_needed = ctx->stream != NULL;
  for (uint32_t i = 0; i < entry->n_in; ++i)
    is_needed |= call->in[i] && call->in[i]->device.device_type != kDLCPU;
  for (uint32_t i = 0; i < entry->n_out; ++i)
    is_needed |= call->out[i] && call->out[i]->device.device_type != kDLCPU;
  if (is_needed)
    with_device(&l, begin_section, &b);
  return status_of(ctx);
}
