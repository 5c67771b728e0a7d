/* session.c: workspaces that grow with the runs, and states in the host's memory. */
#define _GNU_SOURCE
#include "attn_runtime.h"
#include "memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN 64

struct attn_session {
  const attn_library *library;
  const attn_model *model;
  attn_host host;
  void *workspace;
  uint64_t workspace_bytes;
  int64_t *dims; /* [most named dimensions of any entry] */
};

int32_t attn_session_create(const attn_library *library, const attn_model *model, const attn_host *host,
                            attn_session **session, attn_error *error) {
  uint32_t n_dims = 1;
  for (uint32_t i = 0; i < library->n_entries; ++i)
    if (attn_library_entry(library, i)->n_dims > n_dims)
      n_dims = attn_library_entry(library, i)->n_dims;
  attn_session *s = calloc(1, sizeof *s);
  int64_t *dims = calloc(n_dims, sizeof *dims);
  *session = NULL;
  if (!s || !dims) {
    free(s);
    free(dims);
    return attn_fail(error, ATTN_OUT_OF_MEMORY, "out of memory");
  }
  s->library = library;
  s->model = model;
  s->dims = dims;
  memcpy(&s->host, host, host->size < sizeof s->host ? host->size : sizeof s->host);
  *session = s;
  return ATTN_OK;
}

void attn_session_free(attn_session *session) {
  if (!session)
    return;
  if (session->workspace)
    attn_host_free(&session->host, session->workspace);
  free(session->dims);
  free(session);
}

uint64_t attn_session_workspace_bytes(const attn_session *session) { return session->workspace_bytes; }

int32_t attn_session_dims(attn_session *session, uint32_t entry, const attn_call *call, int64_t *dims,
                          attn_error *error) {
  if (entry >= session->library->n_entries)
    return attn_fail(error, ATTN_INVALID_ARGUMENT, "expected an entry below %u, got %u", session->library->n_entries,
                     entry);
  return session->library->infer_dims(session->model, entry, call, dims, error);
}

/* Makes the workspace at least `bytes`. Its contents need not be kept. */
static int32_t grow(attn_session *s, uint64_t bytes, attn_error *error) {
  if (s->workspace && s->workspace_bytes >= bytes)
    return ATTN_OK;
  if (s->workspace)
    attn_host_free(&s->host, s->workspace);
  s->workspace_bytes = 0;
  s->workspace = attn_host_alloc(&s->host, bytes, ALIGN);
  if (!s->workspace)
    return attn_fail(error, ATTN_OUT_OF_MEMORY, "out of memory for a workspace of %llu bytes",
                     (unsigned long long)bytes);
  s->workspace_bytes = bytes;
  return ATTN_OK;
}

/* Bytes of workspace for a call, or 0 with the error set. */
static uint64_t needed_bytes(attn_session *session, uint32_t entry, const attn_call *call, attn_error *error) {
  const attn_library *library = session->library;
  size_t least = offsetof(attn_library, call_workspace_bytes) + sizeof library->call_workspace_bytes;
  if (entry < library->n_entries && library->size >= least && library->call_workspace_bytes)
    return library->call_workspace_bytes(session->model, entry, call, error);
  /* A file of an older ABI takes no other calls than those that workspace_bytes knows. */
  if (attn_session_dims(session, entry, call, session->dims, error) != ATTN_OK)
    return 0;
  return library->workspace_bytes(session->model, entry, session->dims, error);
}

int32_t attn_session_run(attn_session *session, uint32_t entry, const attn_call *call, attn_error *error) {
  attn_error local = {.size = sizeof local, .code = ATTN_OK};
  uint64_t bytes = needed_bytes(session, entry, call, &local);
  if (bytes == 0)
    return attn_fail(error, local.code ? local.code : ATTN_SHAPE, "%s", local.text);
  int32_t status = grow(session, bytes, error);
  if (status != ATTN_OK)
    return status;
  attn_call full = {0};
  memcpy(&full, call, call->size < sizeof full ? call->size : sizeof full);
  full.size = sizeof full;
  full.workspace = session->workspace;
  full.workspace_bytes = session->workspace_bytes;
  return session->library->run(session->model, entry, &full, error);
}

int32_t attn_entry_shape(const attn_entry *entry, const attn_tensor_info *info, const int64_t *dims, int64_t *shape,
                         attn_error *error) {
  for (int32_t d = 0; d < info->rank; ++d) {
    int64_t dim = info->dims[d];
    shape[d] = dim >= 0 ? dim : dims[-1 - dim];
    if (shape[d] < 0)
      return attn_fail(error, ATTN_SHAPE, "'%s' needs dimension '%s', which none of the given inputs has", info->name,
                       entry->dims[-1 - dim].name);
  }
  return ATTN_OK;
}

int64_t attn_entry_find_dim(const attn_entry *entry, const char *name) {
  for (uint32_t d = 0; d < entry->n_dims; ++d)
    if (strcmp(entry->dims[d].name, name) == 0)
      return d;
  return -1;
}

/* ---- States ----------------------------------------------------------------------------------------- */

static int32_t create_state(const attn_library *library, const attn_model *model, const attn_host *host, uint32_t slots,
                            uint64_t capacity, uint32_t page, const uint32_t *pool, attn_state_memory *state,
                            attn_error *error) {
  attn_error local = {.size = sizeof local, .code = ATTN_OK};
  uint64_t bytes = pool ? library->pool_bytes(model, slots, capacity, page, *pool, &local)
                        : library->state_bytes(model, slots, capacity, page, &local);
  if (bytes == 0)
    return attn_fail(error, local.code ? local.code : ATTN_UNSUPPORTED, "%s", local.text);
  void *memory = attn_host_alloc(host, bytes, ALIGN);
  if (!memory)
    return attn_fail(error, ATTN_OUT_OF_MEMORY, "out of memory for a state of %llu bytes (%u slots of %llu tokens)",
                     (unsigned long long)bytes, slots, (unsigned long long)capacity);
  attn_state *made = NULL;
  int32_t status = pool ? library->pool_init(model, memory, bytes, slots, capacity, page, *pool, &made, error)
                        : library->state_init(model, memory, bytes, slots, capacity, page, &made, error);
  if (status != ATTN_OK)
    attn_host_free(host, memory);
  else
    *state = (attn_state_memory){made, memory, bytes};
  return status;
}

int32_t attn_state_create(const attn_library *library, const attn_model *model, const attn_host *host, uint32_t slots,
                          uint64_t capacity, uint32_t page, attn_state_memory *state, attn_error *error) {
  *state = (attn_state_memory){0};
  return create_state(library, model, host, slots, capacity, page, NULL, state, error);
}

int32_t attn_state_create_pool(const attn_library *library, const attn_model *model, const attn_host *host,
                               uint32_t slots, uint64_t capacity, uint32_t page, uint32_t pages,
                               attn_state_memory *state, attn_error *error) {
  *state = (attn_state_memory){0};
  size_t least = offsetof(attn_library, pool_map) + sizeof library->pool_map;
  if (library->size < least || !library->pool_bytes || !library->pool_init || !library->pool_map)
    return attn_fail(error, ATTN_UNSUPPORTED, "'%s' has no pools: compile it again", library->name);
  return create_state(library, model, host, slots, capacity, page, &pages, state, error);
}

void attn_state_free(const attn_host *host, attn_state_memory *state) {
  if (!state || !state->memory)
    return;
  attn_host_free(host, state->memory);
  *state = (attn_state_memory){0};
}

/* Zeros: a hole where the stream can seek. The last byte is written, so that the file ends where it should. */
static int skip_bytes(FILE *stream, uint64_t bytes) {
  static const char zeros[4096];
  if (fseeko(stream, (off_t)bytes - 1, SEEK_CUR) == 0)
    return putc(0, stream) == 0;
  while (bytes) {
    size_t n = bytes < sizeof zeros ? (size_t)bytes : sizeof zeros;
    if (fwrite(zeros, 1, n, stream) != n)
      return 0;
    bytes -= n;
  }
  return 1;
}

/* The state in order; pages that nobody uses become zeros. A model of an older ABI cannot tell: all is written. */
static int write_state(const attn_library *library, const attn_model *model, const attn_state_memory *state,
                       FILE *stream) {
  int64_t pages = 0, begin = 0, end = 0, uses = 0;
  const char *memory = state->memory;
  if (library->state_op(model, state->state, ATTN_STATE_PAGES, 0, 0, &pages, NULL) != ATTN_OK ||
      library->state_op(model, state->state, ATTN_STATE_PAGE_OFFSET, 0, 0, &begin, NULL) != ATTN_OK)
    return fwrite(memory, 1, (size_t)state->bytes, stream) == state->bytes;
  if (fwrite(memory, 1, (size_t)begin, stream) != (size_t)begin)
    return 0;
  for (int64_t page = 0; page < pages; ++page, begin = end) {
    library->state_op(model, state->state, ATTN_STATE_PAGE_OFFSET, 0, page + 1, &end, NULL);
    library->state_op(model, state->state, ATTN_STATE_PAGE_USES, 0, page, &uses, NULL);
    size_t bytes = (size_t)(end - begin);
    if (uses ? fwrite(memory + begin, 1, bytes, stream) != bytes : !skip_bytes(stream, bytes))
      return 0;
  }
  return 1;
}

int32_t attn_state_save(const attn_library *library, const attn_model *model, const attn_state_memory *state,
                        const char *path, attn_error *error) {
  attn_output *output;
  int32_t status = attn_output_open(path, &output, error);
  if (status != ATTN_OK)
    return status;
  if (!write_state(library, model, state, attn_output_stream(output))) {
    status = attn_fail(error, ATTN_IO, "could not write '%s': %s", path, strerror(errno));
    attn_output_discard(output);
    return status;
  }
  return attn_output_commit(output, error);
}

int32_t attn_state_load(const attn_library *library, const attn_model *model, const attn_host *host, const char *path,
                        attn_state_memory *state, attn_error *error) {
  *state = (attn_state_memory){0};
  uint64_t bytes;
  FILE *stream;
  int32_t status = attn_input_open(path, &stream, &bytes, error);
  if (status != ATTN_OK)
    return status;
  void *memory = NULL;
  attn_state *made = NULL;
  if (bytes == 0)
    status = attn_fail(error, ATTN_CORRUPT_FILE, "'%s' is not a saved state: it is empty", path);
  else if (!(memory = attn_host_alloc(host, bytes, ALIGN)))
    status = attn_fail(error, ATTN_OUT_OF_MEMORY, "out of memory for a state of %llu bytes",
                       (unsigned long long)bytes);
  else if (fread(memory, 1, (size_t)bytes, stream) != bytes)
    status = attn_fail(error, ATTN_IO, "could not read '%s': it became shorter", path);
  else
    status = library->state_attach(model, memory, bytes, &made, error);
  fclose(stream);
  if (status == ATTN_OK)
    *state = (attn_state_memory){made, memory, bytes};
  else if (memory)
    attn_host_free(host, memory);
  return status;
}
