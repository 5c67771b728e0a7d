/* error.c: error messages and the names of status codes. */
#include "attn_runtime.h"

#include <stdarg.h>
#include <stddef.h>

int32_t attn_fail(attn_error *error, int32_t code, const char *format, ...) {
  if (!error)
    return code;
  /* A caller of another version may know a longer or shorter text. */
  size_t header = offsetof(attn_error, text);
  if (error->size < header)
    return code;
  error->code = code;
  size_t room = error->size - header;
  if (room > ATTN_ERROR_TEXT)
    room = ATTN_ERROR_TEXT;
  if (room == 0)
    return code;
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(error->text, room, format, arguments);
  va_end(arguments);
  if (length < 0)
    error->text[0] = '\0';
  for (char *c = error->text; *c; ++c)
    if ((unsigned char)*c < 0x20 || *c == 0x7f)
      *c = '?';
  return code;
}

const char *attn_status_name(int32_t code) {
  switch (code) {
  case ATTN_OK: return "ok";
  case ATTN_INVALID_ARGUMENT: return "invalid-argument";
  case ATTN_SHAPE: return "shape";
  case ATTN_DTYPE: return "dtype";
  case ATTN_WORKSPACE: return "workspace";
  case ATTN_CACHE_FULL: return "cache-full";
  case ATTN_CPU_UNSUPPORTED: return "cpu-unsupported";
  case ATTN_OUT_OF_MEMORY: return "out-of-memory";
  case ATTN_CALLBACK: return "callback";
  case ATTN_CANCELLED: return "cancelled";
  case ATTN_CORRUPT_FILE: return "corrupt-file";
  case ATTN_ABI_MISMATCH: return "abi-mismatch";
  case ATTN_RANGE: return "range";
  case ATTN_UNSUPPORTED: return "unsupported";
  case ATTN_IO: return "io";
  case ATTN_DEVICE: return "device";
  default: return "unknown";
  }
}
