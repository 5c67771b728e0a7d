/* npy.c: NumPy's .npy files (numpy.lib.format, versions 1.0 to 3.0).
 *
 *   "\x93NUMPY" major minor | header length: u16 (v1) or u32 | header | data
 *   header: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } and spaces up to a newline */
#include "attn_runtime.h"
#include "memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "\x93NUMPY"
/* NumPy's own limit for safe reading is 10000; ours leaves room for padding. */
#define MAX_HEADER 65536

typedef struct type_row {
  const char *descr;
  DLDataType dtype;
} type_row;
/* To add a type, add a row. The first row of a type is what is written. */
static const type_row types[] = {
    {"<f4", {kDLFloat, 32, 1}}, {"<f8", {kDLFloat, 64, 1}}, {"<f2", {kDLFloat, 16, 1}}, {"|i1", {kDLInt, 8, 1}},
    {"<i2", {kDLInt, 16, 1}},   {"<i4", {kDLInt, 32, 1}},   {"<i8", {kDLInt, 64, 1}},   {"|u1", {kDLUInt, 8, 1}},
    {"<u2", {kDLUInt, 16, 1}},  {"<u4", {kDLUInt, 32, 1}},  {"<u8", {kDLUInt, 64, 1}},  {"|b1", {kDLBool, 8, 1}},
    {"<V2", {kDLBfloat, 16, 1}}, {"|V2", {kDLBfloat, 16, 1}}, {"<i1", {kDLInt, 8, 1}},  {"<u1", {kDLUInt, 8, 1}},
};
#define N_TYPES (sizeof types / sizeof types[0])

/* ---- Reading ---------------------------------------------------------------------------------------- */

typedef struct header {
  char descr[16];
  int fortran, rank; /* -1: not seen yet; descr empty: not seen yet */
  int64_t shape[ATTN_MAX_RANK];
} header;

static const char *skip(const char *p) {
  while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')
    ++p;
  return p;
}

/* A quoted string without escapes, of at most 15 characters. Each parse_* returns what follows, or NULL. */
static const char *parse_string(const char *p, char text[16]) {
  char quote = *p;
  if (quote != '\'' && quote != '"')
    return NULL;
  size_t n = 0;
  for (++p; *p != quote; ++p) {
    if (!*p || *p == '\\' || n == 15)
      return NULL;
    text[n++] = *p;
  }
  text[n] = '\0';
  return p + 1;
}

/* rank becomes ATTN_MAX_RANK + 1 when there are more dimensions. */
static const char *parse_shape(const char *p, header *h) {
  if (*p != '(')
    return NULL;
  h->rank = 0;
  p = skip(p + 1);
  while (*p != ')') {
    int64_t value = 0;
    if (*p < '0' || *p > '9')
      return NULL;
    for (; *p >= '0' && *p <= '9'; ++p)
      if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *p - '0', &value))
        return NULL;
    if (*p == 'L') /* written by Python 2 */
      ++p;
    if (h->rank < ATTN_MAX_RANK)
      h->shape[h->rank] = value;
    if (h->rank <= ATTN_MAX_RANK)
      ++h->rank;
    p = skip(p);
    if (*p == ',')
      p = skip(p + 1);
    else if (*p != ')' || h->rank == 1) /* (3) is a number in Python, (3,) a tuple */
      return NULL;
  }
  return p + 1;
}

static const char *parse_bool(const char *p, int *value) {
  *value = strncmp(p, "True", 4) == 0;
  if (*value)
    return p + 4;
  return strncmp(p, "False", 5) == 0 ? p + 5 : NULL;
}

/* NULL when all is well, otherwise what is wrong. `text` ends with NUL. */
static const char *parse_header(const char *text, header *h) {
  *h = (header){.fortran = -1, .rank = -1};
  const char *p = skip(text);
  if (*p != '{')
    return "expected a dictionary";
  p = skip(p + 1);
  while (*p != '}') {
    char key[16];
    if (!(p = parse_string(p, key)))
      return "expected a key";
    p = skip(p);
    if (*p != ':')
      return "expected ':' after a key";
    p = skip(p + 1);
    if (strcmp(key, "descr") == 0 && !h->descr[0]) {
      if (*p == '[')
        return "a structured type";
      if (!(p = parse_string(p, h->descr)) || !h->descr[0])
        return "expected a type string for 'descr'";
    } else if (strcmp(key, "fortran_order") == 0 && h->fortran < 0) {
      if (!(p = parse_bool(p, &h->fortran)))
        return "expected True or False for 'fortran_order'";
    } else if (strcmp(key, "shape") == 0 && h->rank < 0) {
      if (!(p = parse_shape(p, h)))
        return "expected a tuple of dimensions for 'shape'";
    } else {
      return "an unknown or repeated key";
    }
    p = skip(p);
    if (*p == ',')
      p = skip(p + 1);
    else if (*p != '}')
      return "expected ',' or '}'";
  }
  if (*skip(p + 1) != '\0')
    return "text after the dictionary";
  if (!h->descr[0] || h->fortran < 0 || h->rank < 0)
    return "expected the keys 'descr', 'fortran_order' and 'shape'";
  return NULL;
}

static int32_t find_type(const char *path, const header *h, DLDataType *dtype, attn_error *error) {
  for (size_t i = 0; i < N_TYPES; ++i)
    if (strcmp(types[i].descr, h->descr) == 0) {
      *dtype = types[i].dtype;
      return ATTN_OK;
    }
  if (h->descr[0] == '>')
    return attn_fail(error, ATTN_UNSUPPORTED, "'%s' is big-endian ('%s'): expected little-endian data", path, h->descr);
  return attn_fail(error, ATTN_UNSUPPORTED,
                   "'%s' has type '%s': expected f2, f4, f8, i1, i2, i4, i8, u1, u2, u4, u8, b1 or V2 (bfloat16)", path,
                   h->descr);
}

/* Reads everything before the data; *left is the number of bytes after it. */
static int32_t read_header(const char *path, FILE *stream, uint64_t file_bytes, header *h, uint64_t *left,
                           attn_error *error) {
  unsigned char start[12];
  if (fread(start, 1, 8, stream) != 8 || memcmp(start, MAGIC, 6) != 0)
    return attn_fail(error, ATTN_CORRUPT_FILE, "'%s' is not a .npy file: expected it to begin with \\x93NUMPY", path);
  if (start[6] < 1 || start[6] > 3)
    return attn_fail(error, ATTN_UNSUPPORTED, "'%s' has .npy version %u.%u: expected 1.0 to 3.0", path, start[6],
                     start[7]);
  size_t width = start[6] == 1 ? 2 : 4;
  if (fread(start + 8, 1, width, stream) != width)
    return attn_fail(error, ATTN_CORRUPT_FILE, "'%s' is truncated: the header's length is missing", path);
  uint32_t length = start[8] | (uint32_t)start[9] << 8;
  if (width == 4)
    length |= (uint32_t)start[10] << 16 | (uint32_t)start[11] << 24;
  if (length > MAX_HEADER)
    return attn_fail(error, ATTN_CORRUPT_FILE, "'%s' has a damaged header: expected at most %u bytes, got %u", path,
                     MAX_HEADER, length);
  if (length > file_bytes - 8 - width)
    return attn_fail(error, ATTN_CORRUPT_FILE, "'%s' is truncated: expected a header of %u bytes, got %llu", path,
                     length, (unsigned long long)(file_bytes - 8 - width));
  char *text = malloc((size_t)length + 1);
  if (!text)
    return attn_fail(error, ATTN_OUT_OF_MEMORY, "out of memory");
  int32_t status = ATTN_OK;
  if (fread(text, 1, length, stream) != length) {
    status = attn_fail(error, ATTN_IO, "could not read '%s': it became shorter", path);
  } else if (memchr(text, '\0', length)) {
    status = attn_fail(error, ATTN_CORRUPT_FILE, "'%s' has a damaged header: a zero byte", path);
  } else {
    text[length] = '\0';
    const char *wrong = parse_header(text, h);
    if (wrong)
      status = attn_fail(error, ATTN_CORRUPT_FILE, "'%s' has a damaged header: %s", path, wrong);
  }
  free(text);
  *left = file_bytes - 8 - width - length;
  return status;
}

static int32_t read_array(const char *path, FILE *stream, uint64_t file_bytes, const attn_host *host,
                          attn_array **array, attn_error *error) {
  header h;
  uint64_t left = 0, bytes;
  DLDataType dtype;
  int32_t status = read_header(path, stream, file_bytes, &h, &left, error);
  if (status != ATTN_OK || (status = find_type(path, &h, &dtype, error)) != ATTN_OK)
    return status;
  if (h.rank > ATTN_MAX_RANK)
    return attn_fail(error, ATTN_UNSUPPORTED, "'%s' has more than %d dimensions", path, ATTN_MAX_RANK);
  if (h.fortran && h.rank > 1)
    return attn_fail(error, ATTN_UNSUPPORTED, "'%s' is in Fortran order: save it with numpy.ascontiguousarray", path);
  attn_error local = {.size = sizeof local};
  if ((status = attn_array_bytes(dtype, h.rank, h.shape, &bytes, &local)) != ATTN_OK)
    return attn_fail(error, ATTN_CORRUPT_FILE, "'%s' has a damaged header: %s", path, local.text);
  if (bytes != left) {
    char text[ATTN_SHAPE_TEXT];
    return attn_fail(error, ATTN_CORRUPT_FILE, "'%s' has the wrong size: expected %llu bytes of data for shape %s, got %llu",
                     path, (unsigned long long)bytes, attn_shape_text(h.rank, h.shape, text),
                     (unsigned long long)left);
  }
  if ((status = attn_array_create(host, dtype, h.rank, h.shape, array, error)) != ATTN_OK)
    return status;
  unsigned char *data = (*array)->tensor.data;
  if (fread(data, 1, (size_t)bytes, stream) != bytes)
    status = attn_fail(error, ATTN_IO, "could not read '%s': it became shorter", path);
  if (dtype.code == kDLBool)
    for (uint64_t i = 0; status == ATTN_OK && i < bytes; ++i)
      if (data[i] > 1)
        status = attn_fail(error, ATTN_CORRUPT_FILE, "'%s' has a damaged value: expected 0 or 1 for bool, got %u", path,
                           data[i]);
  if (status != ATTN_OK) {
    attn_array_free(*array);
    *array = NULL;
  }
  return status;
}

int32_t attn_npy_read(const char *path, const attn_host *host, attn_array **array, attn_error *error) {
  *array = NULL;
  FILE *stream;
  uint64_t bytes;
  int32_t status = attn_input_open(path, &stream, &bytes, error);
  if (status != ATTN_OK)
    return status;
  status = read_array(path, stream, bytes, host, array, error);
  fclose(stream);
  return status;
}

/* ---- Writing ---------------------------------------------------------------------------------------- */

static int is_contiguous(const DLTensor *tensor) {
  int64_t stride = 1;
  for (int32_t d = tensor->ndim - 1; tensor->strides && d >= 0; --d) {
    if (tensor->shape[d] != 1 && tensor->strides[d] != stride)
      return 0;
    stride *= tensor->shape[d];
  }
  return 1;
}

int32_t attn_output_npy(attn_output *output, const DLTensor *tensor, attn_error *error) {
  const char *descr = NULL;
  for (size_t i = 0; i < N_TYPES && !descr; ++i)
    if (memcmp(&types[i].dtype, &tensor->dtype, sizeof tensor->dtype) == 0)
      descr = types[i].descr;
  if (!descr)
    return attn_fail(error, ATTN_UNSUPPORTED, "type %s cannot be written to a .npy file", attn_dtype_name(tensor->dtype));
  uint64_t bytes;
  int32_t status = attn_array_bytes(tensor->dtype, tensor->ndim, tensor->shape, &bytes, error);
  if (status != ATTN_OK)
    return status;
  if (tensor->device.device_type != kDLCPU || !is_contiguous(tensor))
    return attn_fail(error, ATTN_UNSUPPORTED, "expected a contiguous CPU tensor");

  char shape[ATTN_SHAPE_TEXT], text[ATTN_SHAPE_TEXT + 96];
  attn_shape_text(tensor->ndim, tensor->shape, shape);
  shape[strlen(shape) - 1] = '\0'; /* "[2, 3]" becomes "(2, 3)", "[2]" becomes "(2,)" */
  int length = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (%s%s), }", descr,
                        shape + 1, tensor->ndim == 1 ? "," : "");
  /* Spaces and a newline so that the data begins at a multiple of 64. */
  int padded = (10 + length + 1 + 63) / 64 * 64 - 10;
  unsigned char start[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, padded & 255, padded >> 8 & 255};
  FILE *stream = attn_output_stream(output);
  fwrite(start, 1, sizeof start, stream);
  fprintf(stream, "%-*s\n", padded - 1, text);
  fwrite((const char *)tensor->data + tensor->byte_offset, 1, (size_t)bytes, stream);
  return ferror(stream) ? attn_fail(error, ATTN_IO, "could not write: %s", strerror(errno)) : ATTN_OK;
}

int32_t attn_npy_write(const char *path, const DLTensor *tensor, attn_error *error) {
  attn_output *output;
  int32_t status = attn_output_open(path, &output, error);
  if (status != ATTN_OK)
    return status;
  status = attn_output_npy(output, tensor, error);
  if (status == ATTN_OK)
    return attn_output_commit(output, error);
  attn_output_discard(output);
  return status;
}
