/* json.c: just enough JSON to check a model's metadata and read a number from it. One recursive-descent
 * scanner (RFC 8259) that builds nothing; nesting is bounded so that hostile text cannot exhaust the stack. */
#include "attn_runtime.h"

#include <string.h>

#define MAX_DEPTH 64

/* What to look for while scanning. */
typedef struct search {
  const char *key; /* NULL: only check */
  int found, depth; /* depth of the member found; the outermost object's members have depth 1 */
  int64_t value;
} search;

static const char *skip_space(const char *p) {
  while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')
    ++p;
  return p;
}

static int is_digit(char c) { return c >= '0' && c <= '9'; }
static int is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

/* Each scan_* returns the character after what it scanned, or NULL. */
static const char *scan_string(const char *p) {
  if (*p++ != '"')
    return NULL;
  for (; *p != '"'; ++p) {
    if ((unsigned char)*p < 0x20) /* also the end of the text */
      return NULL;
    if (*p != '\\')
      continue;
    ++p;
    if (*p == 'u') {
      for (int i = 0; i < 4; ++i)
        if (!is_hex(*++p))
          return NULL;
    } else if (!*p || !strchr("\"\\/bfnrt", *p)) {
      return NULL;
    }
  }
  return p + 1;
}

/* *is_integer: no fraction, no exponent, and *value holds it. */
static const char *scan_number(const char *p, int *is_integer, int64_t *value) {
  int negative = *p == '-';
  if (negative)
    ++p;
  if (!is_digit(*p) || (*p == '0' && is_digit(p[1])))
    return NULL;
  *is_integer = 1;
  *value = 0;
  for (; is_digit(*p); ++p)
    if (__builtin_mul_overflow(*value, 10, value) || __builtin_sub_overflow(*value, *p - '0', value))
      *is_integer = 0; /* counted downwards: the most negative value has no positive counterpart */
  if (!negative && __builtin_sub_overflow(0, *value, value))
    *is_integer = 0;
  if (*p == '.') {
    *is_integer = 0;
    if (!is_digit(*++p))
      return NULL;
    while (is_digit(*p))
      ++p;
  }
  if (*p == 'e' || *p == 'E') {
    *is_integer = 0;
    ++p;
    if (*p == '+' || *p == '-')
      ++p;
    if (!is_digit(*p))
      return NULL;
    while (is_digit(*p))
      ++p;
  }
  return p;
}

static const char *scan_word(const char *p, const char *word) {
  size_t length = strlen(word);
  return strncmp(p, word, length) == 0 ? p + length : NULL;
}

static const char *scan_value(const char *p, int depth, search *s);

static const char *scan_member(const char *p, int depth, search *s) {
  const char *key = p + 1;
  if (!(p = scan_string(p)))
    return NULL;
  size_t length = (size_t)(p - 1 - key);
  p = skip_space(p);
  if (*p++ != ':')
    return NULL;
  p = skip_space(p);
  int matches = s->key && strlen(s->key) == length && memcmp(s->key, key, length) == 0;
  if (matches && (*p == '-' || is_digit(*p)) && (!s->found || (s->depth > 1 && depth == 1))) {
    int is_integer;
    int64_t value;
    if (!scan_number(p, &is_integer, &value))
      return NULL;
    if (is_integer) {
      s->found = 1;
      s->depth = depth;
      s->value = value;
    }
  }
  return scan_value(p, depth, s);
}

/* `depth` counts the objects and arrays around the value. */
static const char *scan_value(const char *p, int depth, search *s) {
  p = skip_space(p);
  int is_integer;
  int64_t value;
  switch (*p) {
  case '"': return scan_string(p);
  case 't': return scan_word(p, "true");
  case 'f': return scan_word(p, "false");
  case 'n': return scan_word(p, "null");
  default: return scan_number(p, &is_integer, &value);
  case '{':
  case '[': break;
  }
  if (depth == MAX_DEPTH)
    return NULL;
  int object = *p == '{';
  char close = object ? '}' : ']';
  p = skip_space(p + 1);
  if (*p == close)
    return p + 1;
  for (;;) {
    p = object ? scan_member(p, depth + 1, s) : scan_value(p, depth + 1, s);
    if (!p)
      return NULL;
    p = skip_space(p);
    if (*p == close)
      return p + 1;
    if (*p++ != ',')
      return NULL;
    p = skip_space(p);
  }
}

static int scan_text(const char *text, search *s) {
  const char *end = text ? scan_value(text, 0, s) : NULL;
  return end && *skip_space(end) == '\0';
}

int attn_json_valid(const char *text) {
  search s = {0};
  return scan_text(text, &s);
}

int attn_json_int(const char *text, const char *key, int64_t *value) {
  search s = {.key = key};
  if (!scan_text(text, &s) || !s.found)
    return 0;
  *value = s.value;
  return 1;
}
