/* json_string.h: a text as JSON. */
#ifndef ATTN_TOOLS_JSON_STRING_H
#define ATTN_TOOLS_JSON_STRING_H

#include <stdio.h>

/* `text` NULL: null. */
static inline void json_string(const char *text, FILE *stream) {
  if (!text) {
    fputs("null", stream);
    return;
  }
  fputc('"', stream);
  for (; *text; ++text)
    if (*text == '"' || *text == '\\')
      fprintf(stream, "\\%c", *text);
    else if ((unsigned char)*text < 0x20)
      fprintf(stream, "\\u%04x", (unsigned)*text);
    else
      fputc(*text, stream);
  fputc('"', stream);
}

#endif /* ATTN_TOOLS_JSON_STRING_H */
