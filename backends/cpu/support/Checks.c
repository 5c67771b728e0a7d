/* Checks.c: error texts, and everything a tensor must satisfy before generated code sees it. */
#include "Support.h"

/* ---- Error texts ------------------------------------------------------------------------------------ */

text begin(attn_error *error, int32_t code) {
  text t = {NULL, 0, 0, code};
  if (!error || error->size < offsetof(attn_error, text))
    return t;
  error->code = code;
  size_t room = error->size - offsetof(attn_error, text);
  if (room > ATTN_ERROR_TEXT)
    room = ATTN_ERROR_TEXT;
  if (room) {
    t.data = error->text;
    t.capacity = room - 1;
  }
  return t;
}

static void put_char(text *t, char c) {
  if (t->size < t->capacity)
    t->data[t->size++] = (unsigned char)c < 0x20 || c == 0x7f ? '?' : c; /* names come from the caller, too */
}

void put(text *t, const char *string) {
  while (*string)
    put_char(t, *string++);
}

void put_uint(text *t, uint64_t value) {
  char digits[20];
  int n = 0;
  do
    digits[n++] = (char)('0' + value % 10);
  while (value /= 10);
  while (n)
    put_char(t, digits[--n]);
}

void put_int(text *t, int64_t value) {
  if (value < 0)
    put_char(t, '-');
  put_uint(t, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

int32_t end(text *t) {
  if (!t->data)
    return t->code;
  if (t->size == t->capacity) { /* cut: not in the middle of a UTF-8 sequence */
    size_t n = t->size;
    while (n && ((unsigned char)t->data[n - 1] & 0xC0) == 0x80)
      --n;
    if (n && (unsigned char)t->data[n - 1] >= 0xC0) {
      unsigned char lead = (unsigned char)t->data[n - 1];
      size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
      if (n - 1 + length > t->size)
        t->size = n - 1;
    }
  }
  t->data[t->size] = '\0';
  return t->code;
}

int32_t fail_with(attn_error *error, int32_t code, const char *message) {
  text t = begin(error, code);
  put(&t, message);
  return end(&t);
}

int same_text(const char *a, const char *b) {
  while (*a && *a == *b)
    ++a, ++b;
  return *a == *b;
}

/* ---- Types and shapes as text ----------------------------------------------------------------------- */

static void put_dtype(text *t, DLDataType type) {
  static const char *const names[] = {"int", "uint", "float", "handle", "bfloat", "complex", "bool"};
  if (type.code < sizeof names / sizeof *names) {
    put(t, names[type.code]);
  } else {
    put(t, "type ");
    put_uint(t, type.code);
    put(t, " of ");
  }
  if (type.code != kDLBool || type.bits != 8)
    put_uint(t, type.bits);
  if (type.lanes != 1) {
    put(t, "x");
    put_uint(t, type.lanes);
  }
}

/* A named dimension: its value where it is bound ("seq = 7"), otherwise its bounds ("seq ≤ 512"). */
static void put_dim(text *t, const attn_entry *entry, int64_t dim, const int64_t *dims) {
  if (dim >= 0) {
    put_int(t, dim);
    return;
  }
  const attn_dim *d = &entry->dims[-1 - dim];
  int bound = dims[-1 - dim] >= 0;
  if (!bound && d->min > 1) {
    put_int(t, d->min);
    put(t, " ≤ ");
  }
  put(t, d->name);
  if (bound) {
    put(t, " = ");
    put_int(t, dims[-1 - dim]);
  } else if (d->max < ATTN_NO_BOUND) {
    put(t, " ≤ ");
    put_int(t, d->max);
  }
}

static int32_t mismatch(const attn_entry *entry, const attn_tensor_info *info, const DLTensor *tensor,
                        const int64_t *dims, int32_t code, attn_error *error) {
  text t = begin(error, code);
  put(&t, info->name);
  put(&t, ": expected ");
  put_dtype(&t, info->dtype);
  put(&t, info->flags & ATTN_TENSOR_INT32 ? " or int32 [" : " [");
  for (int32_t i = 0; i < info->rank; ++i) {
    if (i)
      put(&t, ", ");
    put_dim(&t, entry, info->dims[i], dims);
  }
  put(&t, "], got ");
  put_dtype(&t, tensor->dtype);
  if (tensor->ndim < 0 || tensor->ndim > 2 * ATTN_MAX_RANK || (tensor->ndim && !tensor->shape)) {
    put(&t, " of rank ");
    put_int(&t, tensor->ndim);
    return end(&t);
  }
  put(&t, " [");
  for (int32_t i = 0; i < tensor->ndim; ++i) {
    if (i)
      put(&t, ", ");
    put_int(&t, tensor->shape[i]);
  }
  put(&t, "]");
  return end(&t);
}

/* ---- Checks ----------------------------------------------------------------------------------------- */

static int32_t about(const attn_tensor_info *info, int32_t code, const char *message, attn_error *error) {
  text t = begin(error, code);
  put(&t, info->name);
  put(&t, message);
  return end(&t);
}

/* Whether strides, which are given, are those of a compact row-major tensor. Dimensions of size 1 may have any. */
static int is_contiguous(const DLTensor *tensor) {
  int64_t stride = 1;
  for (int32_t i = tensor->ndim - 1; i >= 0; --i) {
    if (tensor->shape[i] != 1 && tensor->strides[i] != stride)
      return 0;
    stride *= tensor->shape[i]; /* the product was checked for overflow */
  }
  return 1;
}

/* Bytes from the first to the last element of a tensor that is not empty; 0 for strides that are not supported. */
static int strided_bytes(const DLTensor *tensor, int64_t element, int64_t *bytes) {
  int64_t last = 0, step;
  for (int32_t i = 0; i < tensor->ndim; ++i) {
    int64_t size = tensor->shape[i], stride = tensor->strides[i];
    if (size == 1)
      continue;
    if (stride < 0 || (i == tensor->ndim - 1 && stride != 1) || __builtin_mul_overflow(size - 1, stride, &step) ||
        __builtin_add_overflow(last, step, &last))
      return 0;
  }
  return !__builtin_add_overflow(last, 1, &last) && !__builtin_mul_overflow(last, element, bytes);
}

int32_t check_tensor(const attn_entry *entry, const attn_tensor_info *info, const DLTensor *tensor, int64_t *dims,
                     attn_error *error) {
  if (tensor->device.device_type != kDLCPU &&
      (!device_holds(tensor->device) || info->flags & ATTN_TENSOR_CROSS_MASK)) { /* run itself reads that */
    text t = begin(error, ATTN_UNSUPPORTED);
    put(&t, info->name);
    put(&t, ": expected memory of the CPU, got device type ");
    put_int(&t, (int64_t)tensor->device.device_type);
    return end(&t);
  }
  int is_narrow = info->flags & ATTN_TENSOR_INT32 && tensor->dtype.bits == 32;
  if (tensor->dtype.code != info->dtype.code || (tensor->dtype.bits != info->dtype.bits && !is_narrow) ||
      tensor->dtype.lanes != info->dtype.lanes)
    return mismatch(entry, info, tensor, dims, ATTN_DTYPE, error);
  if (tensor->ndim != info->rank || (info->rank && !tensor->shape))
    return mismatch(entry, info, tensor, dims, ATTN_SHAPE, error);

  int64_t bound[ATTN_MAX_DIMS], bytes = (tensor->dtype.bits + 7) / 8;
  uint32_t element = (uint32_t)bytes;
  for (uint32_t d = 0; d < entry->n_dims; ++d)
    bound[d] = dims[d];
  int empty = 0, overflow = 0;
  for (int32_t i = 0; i < info->rank; ++i) {
    int64_t want = info->dims[i], got = tensor->shape[i];
    if (want < 0) {
      const attn_dim *d = &entry->dims[-1 - want];
      int64_t *value = &bound[-1 - want];
      if (got < d->min || got > d->max)
        return mismatch(entry, info, tensor, dims, ATTN_SHAPE, error);
      if (*value < 0)
        *value = got;
      want = *value;
    }
    if (want != got)
      return mismatch(entry, info, tensor, dims, ATTN_SHAPE, error);
    empty |= got == 0;
    overflow |= __builtin_mul_overflow(bytes, got, &bytes);
  }
  if (overflow && !empty)
    return about(info, ATTN_SHAPE, ": expected a tensor that fits into memory, got one of more than 2^63 bytes", error);
  for (uint32_t d = 0; d < entry->n_dims; ++d)
    dims[d] = bound[d];
  if (empty)
    return ATTN_OK;

  if (tensor->strides && info->flags & ATTN_TENSOR_STRIDED) {
    if (!strided_bytes(tensor, element, &bytes))
      return about(info, ATTN_SHAPE,
                   ": expected strides that are not negative and fit into memory, the last one 1, got others", error);
  } else if (tensor->strides && !is_contiguous(tensor)) {
    return about(info, ATTN_SHAPE, ": expected contiguous rows, got other strides", error);
  }
  uintptr_t address = (uintptr_t)tensor->data, last;
  if (!tensor->data)
    return about(info, ATTN_INVALID_ARGUMENT, ": expected data, got a null pointer", error);
  if (__builtin_add_overflow(address, tensor->byte_offset, &address) ||
      __builtin_add_overflow(address, (uintptr_t)bytes, &last))
    return about(info, ATTN_INVALID_ARGUMENT, ": expected data within the address space, got another byte_offset",
                 error);
  if (address % element != 0) {
    text t = begin(error, ATTN_INVALID_ARGUMENT);
    put(&t, info->name);
    put(&t, ": expected data aligned to ");
    put_uint(&t, element);
    put(&t, " bytes, got an address that ends in ");
    put_uint(&t, address % element);
    return end(&t);
  }
  return ATTN_OK;
}

static int32_t wrong_count(const attn_entry *entry, const char *what, uint32_t want, uint32_t got, attn_error *error) {
  text t = begin(error, ATTN_INVALID_ARGUMENT);
  put(&t, entry->name);
  put(&t, ": expected ");
  put_uint(&t, want);
  put(&t, what);
  put_uint(&t, got);
  return end(&t);
}

int32_t check_inputs(const attn_entry *entry, const attn_call *call, int64_t *dims, attn_error *error) {
  if (!call)
    return fail_with(error, ATTN_INVALID_ARGUMENT, "call: expected a pointer, got null");
  if (call->size < offsetof(attn_call, stream)) {
    text t = begin(error, ATTN_ABI_MISMATCH);
    put(&t, "call: expected a struct of at least ");
    put_uint(&t, offsetof(attn_call, stream));
    put(&t, " bytes, got ");
    put_uint(&t, call->size);
    return end(&t);
  }
  for (uint32_t d = 0; d < entry->n_dims; ++d)
    dims[d] = -1;
  if (call->n_in != entry->n_in)
    return wrong_count(entry, " inputs, got ", entry->n_in, call->n_in, error);
  if (entry->n_in && !call->in)
    return fail_with(error, ATTN_INVALID_ARGUMENT, "call: expected inputs, got a null pointer");
  for (uint32_t i = 0; i < entry->n_in; ++i) {
    const attn_tensor_info *info = &entry->in[i];
    if (!call->in[i]) {
      if (info->flags & ATTN_TENSOR_OPTIONAL)
        continue;
      return about(info, ATTN_INVALID_ARGUMENT, ": expected a tensor, got none", error);
    }
    int32_t status = check_tensor(entry, info, call->in[i], dims, error);
    if (status != ATTN_OK)
      return status;
  }
  return ATTN_OK;
}

const attn_entry *find_entry(const attn_model *model, uint32_t index, attn_error *error) {
  const attn_library *library = attn_descriptor.library;
  if (!model) {
    fail_with(error, ATTN_INVALID_ARGUMENT, "model: expected a pointer, got null");
    return NULL;
  }
  if (index < library->n_entries)
    return &library->entries[index];
  text t = begin(error, ATTN_INVALID_ARGUMENT);
  put(&t, "entry: expected an index below ");
  put_uint(&t, library->n_entries);
  put(&t, ", got ");
  put_uint(&t, index);
  end(&t);
  return NULL;
}
