/* args.h: the command line of attn-run and attn-bench. `--name value` and `--name=value` are the same. */
#ifndef ATTN_TOOLS_ARGS_H
#define ATTN_TOOLS_ARGS_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct args {
  const char *tool;
  int argc;
  char **argv;
  int at; /* argv[at] is the current argument */
} args;

/* Prints one message and ends the program; 2 for a command line that makes no sense. */
static inline void usage_error(const args *a, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
static inline void usage_error(const args *a, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "%s: error: ", a->tool);
  vfprintf(stderr, format, arguments);
  fprintf(stderr, " (see %s --help)\n", a->tool);
  va_end(arguments);
  exit(2);
}

static inline int args_next(args *a) { return ++a->at < a->argc; }
static inline int args_flag(const args *a, const char *name) { return strcmp(a->argv[a->at], name) == 0; }

static inline int args_value(args *a, const char *name, const char **value) {
  const char *current = a->argv[a->at];
  size_t length = strlen(name);
  if (strncmp(current, name, length) != 0 || (current[length] && current[length] != '='))
    return 0;
  if (current[length]) {
    *value = current + length + 1;
  } else {
    if (a->at + 1 >= a->argc)
      usage_error(a, "expected a value after %s", name);
    *value = a->argv[++a->at];
  }
  return 1;
}

/* The one argument without a name: the model file. */
static inline void args_file(args *a, const char **file) {
  const char *current = a->argv[a->at];
  if (current[0] == '-' && current[1])
    usage_error(a, "unknown option '%s'", current);
  if (*file)
    usage_error(a, "expected one model file, got '%s' and '%s'", *file, current);
  *file = current;
}

static inline long args_number(const args *a, const char *name, const char *text, long low, long high) {
  char *end;
  errno = 0;
  long number = strtol(text, &end, 10);
  if (*text < '0' || *text > '9' || *end || errno || number < low || number > high)
    usage_error(a, "expected a number from %ld to %ld for %s, got '%s'", low, high, name, text);
  return number;
}

#endif /* ATTN_TOOLS_ARGS_H */
