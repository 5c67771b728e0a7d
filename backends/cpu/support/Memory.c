/* Memory.c: the four functions that compilers call on their own. Built with -fno-builtin, so that none of the loops
 * below is turned into a call of itself. */
#include "Support.h"

typedef uint64_t block __attribute__((vector_size(16), aligned(1), may_alias));

void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
  char *d = to;
  const char *s = from;
  size_t i = 0;
  for (; i + 64 <= bytes; i += 64) {
    block a = *(const block *)(s + i), b = *(const block *)(s + i + 16);
    block c = *(const block *)(s + i + 32), e = *(const block *)(s + i + 48);
    *(block *)(d + i) = a;
    *(block *)(d + i + 16) = b;
    *(block *)(d + i + 32) = c;
    *(block *)(d + i + 48) = e;
  }
  for (; i + 16 <= bytes; i += 16)
    *(block *)(d + i) = *(const block *)(s + i);
  for (; i < bytes; ++i)
    d[i] = s[i];
  return to;
}

void *memmove(void *to, const void *from, size_t bytes) {
  char *d = to;
  const char *s = from;
  if ((uintptr_t)d - (uintptr_t)s < bytes) { /* the end of `from` would be overwritten before it is read */
    while (bytes >= 16) {
      bytes -= 16;
      *(block *)(d + bytes) = *(const block *)(s + bytes);
    }
    while (bytes) {
      --bytes;
      d[bytes] = s[bytes];
    }
    return to;
  }
  size_t i = 0;
  for (; i + 16 <= bytes; i += 16)
    *(block *)(d + i) = *(const block *)(s + i);
  for (; i < bytes; ++i)
    d[i] = s[i];
  return to;
}

void *memset(void *to, int value, size_t bytes) {
  char *d = to;
  uint64_t word = 0x0101010101010101ull * (unsigned char)value;
  block fill = {word, word};
  size_t i = 0;
  for (; i + 64 <= bytes; i += 64) {
    *(block *)(d + i) = fill;
    *(block *)(d + i + 16) = fill;
    *(block *)(d + i + 32) = fill;
    *(block *)(d + i + 48) = fill;
  }
  for (; i + 16 <= bytes; i += 16)
    *(block *)(d + i) = fill;
  for (; i < bytes; ++i)
    d[i] = (char)value;
  return to;
}

int memcmp(const void *a, const void *b, size_t bytes) {
  const unsigned char *x = a, *y = b;
  for (size_t i = 0; i < bytes; ++i)
    if (x[i] != y[i])
      return x[i] < y[i] ? -1 : 1;
  return 0;
}
