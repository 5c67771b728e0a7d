/* Run.c: one call of an entry: check, describe (Tensors.c), run (Dispatch.c), commit. */
#include "Support.h"

/* ---- Dimensions and workspace ----------------------------------------------------------------------- */

int32_t attn_library_infer_dims(const attn_model *model, uint32_t index, const attn_call *call, int64_t *dims,
                                attn_error *error) {
  const attn_entry *entry = find_entry(model, index, error);
  if (!entry)
    return ATTN_INVALID_ARGUMENT;
  if (!dims && entry->n_dims)
    return fail_with(error, ATTN_INVALID_ARGUMENT, "dims: expected a pointer, got null");
  return check_inputs(entry, call, dims, error);
}

/* Dimensions of the required inputs must be known; those of optional ones only may be -1. */
static int32_t check_dims(const attn_entry *entry, const int64_t *dims, attn_error *error) {
  for (uint32_t i = 0; i < entry->n_in; ++i)
    for (int32_t k = 0; k < entry->in[i].rank; ++k) {
      int64_t dim = entry->in[i].dims[k];
      if (dim >= 0)
        continue;
      const attn_dim *d = &entry->dims[-1 - dim];
      int64_t value = dims[-1 - dim];
      if ((value >= d->min && value <= d->max) || (value == -1 && entry->in[i].flags & ATTN_TENSOR_OPTIONAL))
        continue;
      text t = begin(error, ATTN_SHAPE);
      put(&t, entry->name);
      put(&t, ": expected ");
      put(&t, d->name);
      put(&t, " from ");
      put_int(&t, d->min);
      put(&t, " to ");
      put_int(&t, d->max);
      put(&t, ", got ");
      put_int(&t, value);
      return end(&t);
    }
  return ATTN_OK;
}

static int32_t too_large(const attn_entry *entry, attn_error *error) {
  text t = begin(error, ATTN_SHAPE);
  put(&t, entry->name);
  put(&t, ": expected dimensions whose workspace fits into memory, got one of more than 2^63 bytes");
  return end(&t);
}

uint64_t attn_library_workspace_bytes(const attn_model *model, uint32_t index, const int64_t *dims,
                                      attn_error *error) {
  const attn_entry *entry = find_entry(model, index, error);
  if (!entry)
    return 0;
  if (!dims && entry->n_dims) {
    fail_with(error, ATTN_INVALID_ARGUMENT, "dims: expected a pointer, got null");
    return 0;
  }
  if (check_dims(entry, dims, error) != ATTN_OK)
    return 0;
  int64_t args[ATTN_MAX_TENSORS * ATTN_MAX_RANK + 1];
  uint32_t n = 0;
  for (uint32_t i = 0; i < entry->n_in; ++i)
    for (int32_t k = 0; k < entry->in[i].rank; ++k) {
      int64_t dim = entry->in[i].dims[k];
      if (dim < 0)
        args[n++] = dims[-1 - dim] < 0 ? 0 : dims[-1 - dim];
    }
  args[n] = model->host.workers;
  int64_t bytes = model->code[index].workspace(args);
  if (bytes < 0 || bytes > INT64_MAX - 63) {
    too_large(entry, error);
    return 0;
  }
  bytes = (bytes + 63) / 64 * 64;
  return bytes < 64 ? 64 : (uint64_t)bytes;
}

/* ---- The state of a run ----------------------------------------------------------------------------- */

static int32_t slot_of(const attn_call *call, int64_t row) { return call->slots ? call->slots[row] : (int32_t)row; }

/* Tokens that go to the cross part of batch row `row`: those which the mask selects, if there is one. */
static int64_t cross_tokens(const attn_entry *entry, const attn_call *call, int64_t row) {
  const DLTensor *mask = NULL;
  for (uint32_t i = 0; i < entry->n_in; ++i)
    if (entry->in[i].flags & ATTN_TENSOR_CROSS_MASK)
      mask = call->in[i];
  int64_t seq = call->in[0]->shape[1], count = 0;
  if (!mask)
    return seq;
  int64_t first = row * (mask->strides && row ? mask->strides[0] : seq), element = mask->dtype.bits / 8;
  const char *data = (const char *)mask->data + mask->byte_offset + first * element;
  for (int64_t i = 0; i < seq; ++i) { /* of integers: not zero if a byte is not */
    char any = 0;
    for (int64_t k = 0; k < element; ++k)
      any |= data[i * element + k];
    count += any != 0;
  }
  return count;
}

/* Whether the slot's cross part, where the run fills it, is empty and can hold what is appended. */
static int32_t check_cross(const attn_entry *entry, const attn_call *call, int32_t slot, int64_t row,
                           attn_error *error) {
  const attn_state *s = call->state;
  uint32_t cross = cross_of(s, (uint32_t)slot);
  int64_t held = state_lengths(s)[cross];
  if (held < 0 || (uint64_t)held > state_capacity(s, cross))
    return fail_with(error, ATTN_CORRUPT_FILE, "state: expected a cross length within its capacity, got another");
  if (!(entry->uses_state & ATTN_STATE_FILLS_CROSS))
    return ATTN_OK;
  int64_t tokens = cross_tokens(entry, call, row);
  if (!held && (uint64_t)tokens <= state_capacity(s, cross))
    return ATTN_OK;
  text t = begin(error, ATTN_CACHE_FULL);
  put(&t, entry->name);
  put(&t, held ? ": expected an empty cross part of slot " : ": expected at most ");
  if (!held) {
    put_uint(&t, state_capacity(s, cross));
    put(&t, " tokens for the cross part of slot ");
  }
  put_int(&t, slot);
  put(&t, ", got ");
  put_int(&t, held ? held : tokens);
  put(&t, held ? " tokens: clear the slot first" : "");
  return end(&t);
}

/* Slots in range and different, and room and pages in each for what the run appends. */
static int32_t check_slots(const attn_entry *entry, const attn_call *call, int64_t batch, int64_t seq,
                           attn_error *error) {
  int32_t status = check_state(call->state, error);
  if (status != ATTN_OK)
    return status;
  const attn_state *s = call->state;
  if (batch > s->slots) {
    text t = begin(error, ATTN_RANGE);
    put(&t, entry->name);
    put(&t, ": expected at most ");
    put_uint(&t, s->slots);
    put(&t, " rows, one per slot of the state, got ");
    put_int(&t, batch);
    return end(&t);
  }
  for (int64_t r = 0; r < batch; ++r) {
    int32_t slot = slot_of(call, r);
    if (slot < 0 || (uint32_t)slot >= s->slots) {
      text t = begin(error, ATTN_RANGE);
      put(&t, "slots: expected slots below ");
      put_uint(&t, s->slots);
      put(&t, ", got ");
      put_int(&t, slot);
      return end(&t);
    }
    for (int64_t q = 0; call->slots && q < r; ++q)
      if (slot_of(call, q) == slot) {
        text t = begin(error, ATTN_INVALID_ARGUMENT);
        put(&t, "slots: expected a different slot for every row, got ");
        put_int(&t, slot);
        put(&t, " twice");
        return end(&t);
      }
    if (entry->uses_state & (ATTN_STATE_READS_CROSS | ATTN_STATE_FILLS_CROSS) &&
        (status = check_cross(entry, call, slot, r, error)) != ATTN_OK)
      return status;
    if (!(entry->uses_state & ATTN_STATE_APPENDS))
      continue;
    int64_t length = state_lengths(s)[slot];
    if (length < 0 || (uint64_t)length > s->capacity)
      return fail_with(error, ATTN_CORRUPT_FILE, "state: expected a length within its capacity, got another");
    if ((uint64_t)(length + seq) > s->capacity) {
      text t = begin(error, ATTN_CACHE_FULL);
      put(&t, entry->name);
      put(&t, ": expected at most ");
      put_uint(&t, s->capacity);
      put(&t, " tokens in slot ");
      put_int(&t, slot);
      put(&t, ", got ");
      put_int(&t, length);
      put(&t, " and ");
      put_int(&t, seq);
      put(&t, " more");
      return end(&t);
    }
    if ((status = check_pages(entry, s, (uint32_t)slot, seq, error)) != ATTN_OK)
      return status;
  }
  return ATTN_OK;
}

/* Whether a run uses the slots' own tokens, or their cross part. */
static int uses_part(const attn_entry *entry, int cross) {
  return (entry->uses_state & (cross ? ATTN_STATE_READS_CROSS | ATTN_STATE_FILLS_CROSS : ATTN_STATE_APPENDS)) != 0;
}

static uint32_t sequence_of(const attn_call *call, int cross, int64_t row) {
  uint32_t slot = (uint32_t)slot_of(call, row);
  return cross ? cross_of(call->state, slot) : slot;
}

/* Tokens that a run appends to a sequence. */
static int64_t appended(const attn_entry *entry, const attn_call *call, int cross, int64_t row) {
  if (!cross)
    return call->in[0]->shape[1];
  return entry->uses_state & ATTN_STATE_FILLS_CROSS ? cross_tokens(entry, call, row) : 0;
}

typedef struct cache_args {
  memref pages, table, past;
} cache_args;

/* Prepares the sequences of a run and describes them to the generated code; returns the number of its arguments. */
static uint32_t begin_part(const attn_entry *entry, const attn_call *call, int cross, cache_args *cache,
                           attn_argument *args) {
  attn_state *s = call->state;
  int64_t batch = call->in[0]->shape[0], shape[] = {batch, cross ? s->cross_places : s->pages_per_slot};
  for (int64_t row = 0; row < batch; ++row)
    begin_append(s, sequence_of(call, cross, row), appended(entry, call, cross, row), row);
  int64_t elements = (int64_t)(s->pages * state_page_bytes(s) / attn_descriptor.element_bytes);
  describe(&cache->pages, state_pages(s), 1, &elements, NULL);
  describe(&cache->table, state_rows(s) + (cross ? (uint64_t)s->slots * s->pages_per_slot : 0), 2, shape, NULL);
  describe(&cache->past, state_past(s) + (cross ? s->slots : 0), 1, &batch, NULL);
  args[0].pointer = &cache->pages;
  args[1].pointer = &cache->table;
  args[2].pointer = &cache->past;
  args[3].number = s->page;
  return 4;
}

/* The pages that a run has appended to, from a device. */
static void fetch_pages(context *ctx, int cross, int64_t row, int64_t tokens) {
  const attn_state *s = ctx->state;
  const int32_t *table = state_rows(s) + (cross ? (uint64_t)s->slots * s->pages_per_slot + (uint64_t)row * s->cross_places
                                                : (uint64_t)row * s->pages_per_slot);
  int64_t past = state_past(s)[(cross ? s->slots : 0) + row];
  for (int64_t i = past / s->page; tokens && i * s->page < past + tokens; ++i)
    device_fetch_page(ctx, state_pages(s) + (uint64_t)table[i] * state_page_bytes(s));
}

/* ---- run -------------------------------------------------------------------------------------------- */

static int32_t check_outputs(const attn_entry *entry, const attn_call *call, int64_t *dims, attn_error *error) {
  if (call->n_out != entry->n_out || (entry->n_out && !call->out)) {
    text t = begin(error, ATTN_INVALID_ARGUMENT);
    put(&t, entry->name);
    put(&t, ": expected ");
    put_uint(&t, entry->n_out);
    put(&t, " outputs, got ");
    put_uint(&t, call->out ? call->n_out : 0);
    return end(&t);
  }
  for (uint32_t i = 0; i < entry->n_out; ++i) {
    const attn_tensor_info *info = &entry->out[i];
    /* Outputs bind nothing: a dimension that no input carries has no value to agree with. */
    for (int32_t k = 0; k < info->rank; ++k)
      if (info->dims[k] < 0 && dims[-1 - info->dims[k]] < 0) {
        text t = begin(error, ATTN_SHAPE);
        put(&t, info->name);
        put(&t, ": expected an input that gives dimension ");
        put(&t, entry->dims[-1 - info->dims[k]].name);
        put(&t, ", got none");
        return end(&t);
      }
    int32_t status = call->out[i] ? check_tensor(entry, info, call->out[i], dims, error) : ATTN_OK;
    if (status != ATTN_OK)
      return status;
  }
  return ATTN_OK;
}

static int32_t check_workspace(const attn_entry *entry, const attn_call *call, uint64_t needed, attn_error *error) {
  if (call->workspace && (uintptr_t)call->workspace % 64 == 0 && call->workspace_bytes >= needed)
    return ATTN_OK;
  text t = begin(error, ATTN_WORKSPACE);
  put(&t, entry->name);
  put(&t, ": expected a workspace of ");
  put_uint(&t, needed);
  put(&t, " bytes aligned to 64, got ");
  if (!call->workspace)
    put(&t, "none");
  else if (call->workspace_bytes < needed)
    put_uint(&t, call->workspace_bytes);
  else
    put(&t, "another alignment");
  return end(&t);
}

/* Bytes of the call's workspace, of which the first `own` are the entry's; 0 with the error set, whose code is in *status. */
static uint64_t call_bytes(const attn_model *model, uint32_t index, const attn_call *call, const int64_t *dims,
                           uint64_t *own, int32_t *status, attn_error *error) {
  attn_error local; /* workspace_bytes returns its code only there */
  local.size = sizeof local;
  local.code = ATTN_OK;
  attn_error *report = error && error->size >= offsetof(attn_error, text) ? error : &local;
  *own = attn_library_workspace_bytes(model, index, dims, report);
  *status = *own ? ATTN_OK : report->code;
  const attn_entry *entry = &attn_descriptor.library->entries[index];
  uint64_t bytes;
  if (!*own)
    return 0;
  if (!__builtin_add_overflow(*own, extra_bytes(entry, call, dims), &bytes) && bytes <= INT64_MAX)
    return bytes;
  *status = too_large(entry, error);
  return 0;
}

uint64_t attn_library_call_workspace_bytes(const attn_model *model, uint32_t index, const attn_call *call,
                                           attn_error *error) {
  const attn_entry *entry = find_entry(model, index, error);
  int64_t dims[ATTN_MAX_DIMS];
  uint64_t own;
  int32_t status;
  if (!entry || check_inputs(entry, call, dims, error) != ATTN_OK || check_outputs(entry, call, dims, error) != ATTN_OK)
    return 0;
  return call_bytes(model, index, call, dims, &own, &status, error);
}

int32_t attn_library_run(const attn_model *model, uint32_t index, const attn_call *call, attn_error *error) {
  const attn_entry *entry = find_entry(model, index, error);
  if (!entry)
    return ATTN_INVALID_ARGUMENT;
  int64_t dims[ATTN_MAX_DIMS];
  int32_t status = check_inputs(entry, call, dims, error);
  if (status == ATTN_OK)
    status = check_outputs(entry, call, dims, error);
  /* The compiler guarantees that the first input of such an entry is [batch, seq, …] and not optional. */
  int64_t batch = 0, seq = 0;
  if (status == ATTN_OK && entry->uses_state) {
    batch = call->in[0]->shape[0];
    seq = call->in[0]->shape[1];
    status = check_slots(entry, call, batch, seq, error);
  }
  if (status != ATTN_OK)
    return status;
  if (!entry->uses_state && call->state)
    return fail_with(error, ATTN_INVALID_ARGUMENT, "state: expected none, this entry has no use for it");
  uint64_t own, needed = call_bytes(model, index, call, dims, &own, &status, error);
  if (!needed)
    return status;
  if ((status = check_workspace(entry, call, needed, error)) != ATTN_OK)
    return status;

  context ctx = begin_run(model, index, error);
  ctx.workspace = (memory_range){call->workspace, own};
  ctx.state = call->state;
  ctx.stream = call->size >= offsetof(attn_call, stream) + sizeof call->stream ? call->stream : NULL;
  DLTensor shadows[ATTN_MAX_TENSORS];
  if ((status = device_begin(&ctx, entry, call, shadows)) != ATTN_OK) {
    device_finish(&ctx);
    return status;
  }
  memref tensors[ATTN_MAX_TENSORS], weights, workspace;
  cache_args caches[2];
  attn_argument args[ATTN_MAX_TENSORS + 12];
  describe_tensors(entry, call, shadows, dims, (char *)call->workspace + own, tensors);
  uint32_t n = 1; /* args[0]: dispatch's */
  for (uint32_t i = 0; i < entry->n_in + entry->n_out; ++i)
    args[n++].pointer = &tensors[i];
  for (int cross = 0; cross < 2; ++cross)
    if (uses_part(entry, cross))
      n += begin_part(entry, call, cross, &caches[cross], &args[n]);
  int64_t weights_bytes = (int64_t)attn_descriptor.library->weights_bytes, workspace_bytes = (int64_t)own;
  describe(&weights, (void *)model->weights, 1, &weights_bytes, NULL);
  describe(&workspace, call->workspace, 1, &workspace_bytes, NULL);
  args[n++].pointer = &weights;
  args[n++].pointer = &workspace;
  args[n++].number = model->host.workers;

  run_entry(&ctx, index, args);
  for (int cross = 0; cross < 2 && status_of(&ctx) == ATTN_OK; ++cross)
    for (int64_t row = 0; row < batch && uses_part(entry, cross); ++row)
      fetch_pages(&ctx, cross, row, appended(entry, call, cross, row));
  device_finish(&ctx);
  status = status_of(&ctx);
  for (int cross = 0; cross < 2; ++cross)
    for (int64_t row = 0; row < batch && uses_part(entry, cross); ++row)
      end_append(call->state, sequence_of(call, cross, row), appended(entry, call, cross, row), status == ATTN_OK);
  return status;
}
