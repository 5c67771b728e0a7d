/* Tensors.c: the caller's tensors as generated code expects them. What it expects and the caller did not give, int64 in place of
 * int32 and the memory of outputs that are not wanted, lies behind the entry's own workspace. */
#include "Support.h"

/* strides NULL: compact. The stride of a dimension of size 1 is never the caller's. */
void describe(memref *m, void *data, int32_t rank, const int64_t *sizes, const int64_t *strides) {
  m->allocated = m->aligned = data;
  m->offset = 0;
  int64_t stride = 1;
  for (int32_t i = rank - 1; i >= 0; --i) {
    int64_t size = sizes ? sizes[i] : 0;
    if (strides && size > 1)
      stride = strides[i];
    m->sizes_and_strides[i] = size;
    m->sizes_and_strides[rank + i] = stride;
    if (__builtin_mul_overflow(stride, size, &stride))
      stride = 0; /* only in an empty tensor, which has no elements to address, or of a dimension of size 1 */
  }
}

static int is_narrow(const attn_tensor_info *info, const DLTensor *tensor) {
  return tensor->dtype.bits != info->dtype.bits; /* it was checked: int32 */
}

/* Bytes of a compact tensor with these dimensions, rounded up to 64; UINT64_MAX if that is more than 2^62. */
static uint64_t compact_bytes(const attn_tensor_info *info, const int64_t *dims) {
  uint64_t bytes = (info->dtype.bits + 7) / 8;
  int overflow = 0;
  for (int32_t i = 0; i < info->rank; ++i) {
    int64_t size = info->dims[i] < 0 ? dims[-1 - info->dims[i]] : info->dims[i];
    if (!size)
      return 0;
    overflow |= __builtin_mul_overflow(bytes, (uint64_t)size, &bytes);
  }
  return overflow || bytes > 1ull << 62 ? UINT64_MAX : (bytes + 63) / 64 * 64;
}

uint64_t extra_bytes(const attn_entry *entry, const attn_call *call, const int64_t *dims) {
  uint64_t sum = 0;
  int overflow = 0;
  for (uint32_t i = 0; i < entry->n_in; ++i)
    if (call->in[i] && is_narrow(&entry->in[i], call->in[i]))
      overflow |= __builtin_add_overflow(sum, compact_bytes(&entry->in[i], dims), &sum);
  for (uint32_t i = 0; i < entry->n_out; ++i)
    if (!call->out[i])
      overflow |= __builtin_add_overflow(sum, compact_bytes(&entry->out[i], dims), &sum);
  return overflow ? UINT64_MAX : sum;
}

/* An int32 tensor, of any strides, as compact int64 at `to`. */
static void widen(const DLTensor *tensor, int64_t *to) {
  const int32_t *from = (const int32_t *)((const char *)tensor->data + tensor->byte_offset);
  int64_t at[ATTN_MAX_RANK] = {0}, last = tensor->ndim ? tensor->shape[tensor->ndim - 1] : 1;
  for (int32_t d = 0; d < tensor->ndim; ++d)
    if (!tensor->shape[d])
      return;
  for (;;) { /* a row, along which elements follow each other */
    const int32_t *row = from;
    for (int32_t d = 0; d < tensor->ndim - 1 && tensor->strides; ++d)
      row += at[d] * tensor->strides[d];
    for (int64_t i = 0; i < last; ++i)
      *to++ = row[i];
    if (!tensor->strides)
      from += last;
    int32_t d = tensor->ndim - 2;
    while (d >= 0 && ++at[d] == tensor->shape[d])
      at[d--] = 0;
    if (d < 0)
      return;
  }
}

void describe_tensors(const attn_entry *entry, const attn_call *call, const DLTensor *shadows, const int64_t *dims,
                      char *extra, memref *m) {
  for (uint32_t i = 0; i < entry->n_in + entry->n_out; ++i, ++m) {
    int is_input = i < entry->n_in;
    const attn_tensor_info *info = is_input ? &entry->in[i] : &entry->out[i - entry->n_in];
    const DLTensor *tensor = is_input ? call->in[i] : call->out[i - entry->n_in];
    if (tensor && tensor->device.device_type != kDLCPU)
      tensor = &shadows[i];
    if (is_input && !tensor) {
      describe(m, NULL, info->rank, NULL, NULL);
    } else if (tensor && !(is_input && is_narrow(info, tensor))) { /* strides that may not be the caller's were checked */
      describe(m, (char *)tensor->data + tensor->byte_offset, info->rank, tensor->shape,
               info->flags & ATTN_TENSOR_STRIDED ? tensor->strides : NULL);
    } else {
      int64_t sizes[ATTN_MAX_RANK];
      for (int32_t d = 0; d < info->rank; ++d)
        sizes[d] = info->dims[d] < 0 ? dims[-1 - info->dims[d]] : info->dims[d];
      if (is_input)
        widen(tensor, (int64_t *)extra);
      describe(m, extra, info->rank, sizes, NULL);
      extra += compact_bytes(info, dims);
    }
  }
}
