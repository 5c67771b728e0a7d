/* Launch.c: what launches on all devices share: errors, and what tensors say. */
#include "Launch.h"

const _Alignas(64) char no_data[64];

void put_line(text *t, const char *message) {
  size_t length = 0;
  for (size_t i = 0; message[i]; ++i)
    if (!(message[i] == '\n' || message[i] == ' ' || message[i] == ':' || message[i] == '.'))
      length = i + 1;
  char one[2] = {0, 0};
  for (size_t i = 0; i < length; ++i) {
    *one = message[i] == '\n' || message[i] == '\t' ? ' ' : message[i];
    put(t, one);
  }
}

void fail_launch(const launch *l, int32_t status, const char *message) {
  if (!claim(l->ctx, status))
    return;
  text t = begin(l->ctx->error, status);
  put(&t, l->op);
  put(&t, ": ");
  put_line(&t, message);
  end(&t);
}

void log_message(const launch *l, const char *message) {
  if (l && l->ctx->host->log)
    l->ctx->host->log(l->ctx->host->ctx, 3, message);
}

int64_t span_of(const DLTensor *tensor) {
  int64_t span = 1;
  for (int32_t d = 0; d < tensor->ndim; ++d) {
    if (!tensor->shape[d])
      return 0;
    span += (tensor->shape[d] - 1) * tensor->strides[d];
  }
  return span;
}

int check_launch(launch *l, const DLTensor *tensors, int32_t inputs, int32_t inits) {
  if (status_of(l->ctx) != ATTN_OK)
    return 0;
  if (inputs + inits > MAX_OPERANDS) {
    fail_launch(l, ATTN_UNSUPPORTED, "expected at most 64 operands of a launch");
    return 0;
  }
  for (int32_t i = inputs; i < inputs + inits; ++i)
    if (span_of(&tensors[i]))
      return 1;
  ++l->ctx->done;
  return 0;
}
