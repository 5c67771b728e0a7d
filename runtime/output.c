/* output.c: input files that are known to be files, output files that appear complete or not at all. */
#define _GNU_SOURCE
#include "attn_runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int32_t attn_input_open(const char *path, FILE **stream, uint64_t *bytes, attn_error *error) {
  *stream = NULL;
  *bytes = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not block before it is refused */
  struct stat info;
  int32_t status;
  if (fd < 0 || fstat(fd, &info) != 0)
    status = attn_fail(error, ATTN_IO, "could not open '%s': %s", path, strerror(errno));
  else if (!S_ISREG(info.st_mode))
    status = attn_fail(error, ATTN_IO, "could not open '%s': not a file", path);
  else if (!(*stream = fdopen(fd, "rb")))
    status = attn_fail(error, ATTN_OUT_OF_MEMORY, "out of memory");
  else {
    *bytes = (uint64_t)info.st_size;
    return ATTN_OK;
  }
  if (fd >= 0)
    close(fd);
  return status;
}

struct attn_output {
  FILE *stream;
  char *path;
  char *temporary; /* NULL: written directly */
};

static void free_output(attn_output *output) {
  free(output->path);
  free(output->temporary);
  free(output);
}

/* Makes a new file beside the place and returns its descriptor. Not mkstemp: the file gets the mode that any
 * new file of this user gets. */
static int open_temporary(attn_output *output) {
  static atomic_uint counter;
  size_t room = strlen(output->path) + 32;
  if (!(output->temporary = malloc(room)))
    return -1;
  for (int attempt = 0; attempt < 100; ++attempt) {
    snprintf(output->temporary, room, "%s.tmp%ld-%u", output->path, (long)getpid(), atomic_fetch_add(&counter, 1));
    int fd = open(output->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0 || errno != EEXIST)
      return fd;
  }
  return -1;
}

int32_t attn_output_open(const char *path, attn_output **result, attn_error *error) {
  *result = NULL;
  attn_output *output = calloc(1, sizeof *output);
  if (!output || !(output->path = strdup(path))) {
    free(output);
    return attn_fail(error, ATTN_OUT_OF_MEMORY, "out of memory");
  }
  struct stat info;
  int fd;
  if (strcmp(path, "-") == 0)
    fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  else if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
    fd = open(path, O_WRONLY | O_CLOEXEC);
  else
    fd = open_temporary(output);
  if (fd >= 0 && !(output->stream = fdopen(fd, "wb"))) {
    close(fd);
    fd = -1;
    if (output->temporary)
      unlink(output->temporary);
  }
  if (fd < 0) {
    int32_t status = attn_fail(error, ATTN_IO, "could not write '%s': %s", path, strerror(errno));
    free_output(output);
    return status;
  }
  *result = output;
  return ATTN_OK;
}

FILE *attn_output_stream(attn_output *output) { return output->stream; }

int32_t attn_output_commit(attn_output *output, attn_error *error) {
  int32_t status = ATTN_OK;
  int failed = ferror(output->stream);
  failed |= fclose(output->stream) != 0;
  if (!failed && output->temporary)
    failed = rename(output->temporary, output->path) != 0;
  if (failed) {
    status = attn_fail(error, ATTN_IO, "could not write '%s': %s", output->path, strerror(errno));
    if (output->temporary)
      unlink(output->temporary);
  }
  free_output(output);
  return status;
}

void attn_output_discard(attn_output *output) {
  if (!output)
    return;
  fclose(output->stream);
  if (output->temporary)
    unlink(output->temporary);
  free_output(output);
}
