/* array.c: owning tensors, type and shape texts. */
#include "attn_runtime.h"
#include "memory.h"

#include <stdlib.h>
#include <string.h>

const char *attn_dtype_name(DLDataType dtype) {
  if (dtype.lanes != 1)
    return "unknown";
  switch (dtype.code << 8 | dtype.bits) {
  case kDLInt << 8 | 8: return "int8";
  case kDLInt << 8 | 16: return "int16";
  case kDLInt << 8 | 32: return "int32";
  case kDLInt << 8 | 64: return "int64";
  case kDLUInt << 8 | 8: return "uint8";
  case kDLUInt << 8 | 16: return "uint16";
  case kDLUInt << 8 | 32: return "uint32";
  case kDLUInt << 8 | 64: return "uint64";
  case kDLFloat << 8 | 16: return "float16";
  case kDLFloat << 8 | 32: return "float32";
  case kDLFloat << 8 | 64: return "float64";
  case kDLBfloat << 8 | 16: return "bfloat16";
  case kDLBool << 8 | 8: return "bool";
  case kDLFloat8_e4m3fn << 8 | 8: return "float8_e4m3fn";
  case kDLFloat8_e5m2 << 8 | 8: return "float8_e5m2";
  default: return "unknown";
  }
}

const char *attn_shape_text(int32_t rank, const int64_t *shape, char text[ATTN_SHAPE_TEXT]) {
  size_t used = 0;
  text[used++] = '[';
  /* 20 digits, a sign, a comma and a space for each of 8 dimensions always fit. */
  for (int32_t d = 0; d < rank && d < ATTN_MAX_RANK; ++d)
    used += (size_t)snprintf(text + used, ATTN_SHAPE_TEXT - used, "%s%lld", d ? ", " : "", (long long)shape[d]);
  text[used++] = ']';
  text[used] = '\0';
  return text;
}

int32_t attn_array_bytes(DLDataType dtype, int32_t rank, const int64_t *shape, uint64_t *bytes, attn_error *error) {
  if (dtype.bits == 0 || dtype.bits % 8 != 0 || dtype.lanes != 1)
    return attn_fail(error, ATTN_DTYPE, "expected a type of whole bytes and one lane, got %u bits and %u lanes",
                     dtype.bits, dtype.lanes);
  if (rank < 0 || rank > ATTN_MAX_RANK)
    return attn_fail(error, ATTN_SHAPE, "expected a rank of at most %d, got %d", ATTN_MAX_RANK, rank);
  /* Dimensions are multiplied without the zeros, so that an empty array has sound strides as well. */
  int64_t total = dtype.bits / 8;
  int empty = 0;
  for (int32_t d = 0; d < rank; ++d) {
    if (shape[d] < 0)
      return attn_fail(error, ATTN_SHAPE, "expected dimensions of at least 0, got %lld", (long long)shape[d]);
    empty |= shape[d] == 0;
    if (shape[d] != 0 && __builtin_mul_overflow(total, shape[d], &total)) {
      char text[ATTN_SHAPE_TEXT];
      return attn_fail(error, ATTN_SHAPE, "an array of shape %s is too large", attn_shape_text(rank, shape, text));
    }
  }
  *bytes = empty ? 0 : (uint64_t)total;
  return ATTN_OK;
}

int32_t attn_array_create(const attn_host *host, DLDataType dtype, int32_t rank, const int64_t *shape,
                          attn_array **result, attn_error *error) {
  static const attn_host plain = {
      .size = sizeof plain, .workers = 1, .alloc = attn_plain_alloc, .free = attn_plain_free};
  *result = NULL;
  if (!host)
    host = &plain;
  uint64_t bytes;
  int32_t status = attn_array_bytes(dtype, rank, shape, &bytes, error);
  if (status != ATTN_OK)
    return status;
  int guards = attn_host_guards(host);
  attn_array *array = calloc(1, sizeof *array);
  void *data = array ? attn_host_alloc(host, bytes, guards ? dtype.bits / 8 : 64) : NULL;
  if (!data) {
    free(array);
    char text[ATTN_SHAPE_TEXT];
    return attn_fail(error, ATTN_OUT_OF_MEMORY, "out of memory for an array of %llu bytes, shape %s",
                     (unsigned long long)bytes, attn_shape_text(rank, shape, text));
  }
  if (!guards)
    memset(data, 0, (size_t)bytes);
  memcpy(&array->host, host, host->size < sizeof *host ? host->size : sizeof *host);
  for (int32_t d = 0; d < rank; ++d)
    array->shape[d] = shape[d];
  array->tensor = (DLTensor){
      .data = data, .device = {kDLCPU, 0}, .ndim = rank, .dtype = dtype, .shape = array->shape};
  *result = array;
  return ATTN_OK;
}

void attn_array_free(attn_array *array) {
  if (!array)
    return;
  attn_host_free(&array->host, array->tensor.data);
  free(array);
}
