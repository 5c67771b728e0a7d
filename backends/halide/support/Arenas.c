/* Arenas.c: which bytes of the host's memory the device has, and copies between the two. */
#include "Device.h"

/* ---- Bytes ------------------------------------------------------------------------------------------ */

/* Halide's sizes have 32 bits: bytes are rows of 1 MiB. */
#define ROW ((uint64_t)1 << 20)
#define PIECE ((uint64_t)1 << 30)
/* Where parts of a buffer may begin, at least: CL_DEVICE_MEM_BASE_ADDR_ALIGN is 512 bytes on some, Vulkan allows no more than
 * 256. PlanWorkspace.cpp has it, too. */
#define CROP_ALIGN 512
/* Workspaces and pages that are left on the device between runs; those made first go first. */
#define KEPT 8

static const struct halide_type_t byte_type = {halide_type_uint, 8, 1};

static void end_copy(const launch *l, attn_op_info *info) { tell_op(l->ctx, info, ATTN_SPAN_END); }
static attn_op_info begin_copy(const launch *l, uint64_t bytes, int to_device) {
  attn_op_info info = {sizeof info, to_device ? "copy_to_device" : "copy_to_host", 1, 0, bytes};
  tell_op(l->ctx, &info, ATTN_SPAN_BEGIN);
  return info;
}

/* Whether Halide's call succeeded; it has said why unless it ran out of memory of the host's. */
static int check(launch *l, int result) {
  if (!result)
    return 1;
  fail_launch(l, ATTN_DEVICE, "halide: out of memory");
  return 0;
}

/* dims of `bytes` at `offset`: one row, which may be longer than those of the arena. */
static void describe_bytes(halide_dimension_t *dims, uint64_t offset, uint64_t bytes) {
  dims[0] = (halide_dimension_t){(int32_t)(offset % ROW), (int32_t)bytes, 1, 0};
  dims[1] = (halide_dimension_t){(int32_t)(offset / ROW), 1, (int32_t)ROW, 0};
}

/* dims of an allocation. */
static void describe_rows(halide_dimension_t *dims, uint64_t bytes) {
  uint64_t rows = (bytes + ROW - 1) / ROW;
  dims[0] = (halide_dimension_t){0, (int32_t)(rows > 1 ? ROW : bytes), 1, 0};
  dims[1] = (halide_dimension_t){0, (int32_t)rows, (int32_t)ROW, 0};
}

int allocate(launch *l, halide_buffer_t *buffer) {
  int result = halide_device_malloc(l, buffer, runtime_device_interface());
  if (result && buffer->device) { /* it was there when something else failed */
    halide_device_free(l, buffer);
    buffer->device = 0;
    buffer->device_interface = NULL;
  }
  return result;
}

static halide_buffer_t crop_of(const halide_dimension_t *place) {
  return (halide_buffer_t){0, NULL, NULL, 0, byte_type, 2, (halide_dimension_t *)place, NULL};
}

/* Copies a view between an arena and other memory, the host's or the device's; `view` describes that from its first element on,
 * `offset` is its place in the arena. The arena's side is a crop with the same strides: what both OpenCL and Vulkan copy correctly (in Halide 21 Vulkan's staging
 * buffers ignore minimums). */
static int copy_crop(launch *l, arena *a, uint64_t offset, halide_buffer_t *view, int to_arena) {
  halide_dimension_t place[2];
  describe_bytes(place, offset, 1);
  halide_buffer_t crop = crop_of(place);
  if (!check(l, halide_device_crop(l, &a->buffer, &crop)))
    return 0;
  halide_buffer_t device = {crop.device, crop.device_interface, NULL, 0, view->type, view->dimensions, view->dim, NULL};
  int result = to_arena ? halide_buffer_copy(l, view, crop.device_interface, &device)
                        : halide_buffer_copy(l, &device, view->device_interface, view);
  int released = halide_device_release_crop(l, &crop);
  return check(l, result) && check(l, released);
}

static int copy_bytes(launch *l, arena *a, uint64_t offset, uint64_t bytes, int to_device) {
  attn_op_info info = begin_copy(l, bytes, to_device);
  int ok = 1;
  for (uint64_t done = 0; ok && done < bytes;) {
    uint64_t piece = bytes - done < PIECE ? bytes - done : PIECE;
    halide_dimension_t dims[1] = {{0, (int32_t)piece, 1, 0}};
    halide_buffer_t view = {0, NULL, (uint8_t *)a->start + offset + done, 0, byte_type, 1, dims, NULL};
    ok = copy_crop(l, a, offset + done, &view, to_device);
    done += piece;
  }
  end_copy(l, &info);
  return ok;
}

/* Without dimensions of size 1, of which Halide 21 makes loops around single elements. */
static void simplify(operand *o) {
  int32_t rank = 0;
  for (int32_t d = 0; d < o->buffer.dimensions; ++d)
    if (o->dims[d].extent != 1)
      o->dims[rank++] = o->dims[d];
  if (!rank)
    o->dims[rank++] = (halide_dimension_t){0, 1, 1, 0};
  o->buffer.dimensions = rank;
}

static int copy_tensor(launch *l, arena *a, const DLTensor *tensor, int to_device) {
  operand o;
  if (!describe_operand(l, tensor, &o))
    return 0;
  uint64_t bytes = o.buffer.type.bits / 8;
  for (int32_t d = 0; d < o.buffer.dimensions; ++d)
    bytes *= (uint64_t)o.dims[d].extent;
  simplify(&o);
  attn_op_info info = begin_copy(l, bytes, to_device);
  int ok = copy_crop(l, a, (uint64_t)((char *)o.buffer.host - a->start), &o.buffer, to_device);
  end_copy(l, &info);
  return ok;
}

/* Between an arena and the operand's own allocation. */
static int copy_on_device(launch *l, arena *a, uint64_t offset, const operand *o, int to_arena) {
  operand view = *o;
  view.buffer.dim = view.dims;
  simplify(&view);
  return copy_crop(l, a, offset, &view.buffer, to_arena);
}

/* ---- Arenas ----------------------------------------------------------------------------------------- */

static device *device_of(const launch *l) { return l->ctx->model->device; }

static int overlaps(memory_range a, memory_range b) {
  return a.start < b.start + b.bytes && b.start < a.start + a.bytes;
}

static void join(memory_range *a, memory_range b) {
  char *end = a->start + a->bytes > b.start + b.bytes ? a->start + a->bytes : b.start + b.bytes;
  a->start = a->start < b.start ? a->start : b.start;
  a->bytes = (uint64_t)(end - a->start);
}

static memory_range region_of(const arena *a) { return (memory_range){a->start, a->bytes}; }

static void free_arena(launch *l, arena *a) {
  if (!is_broken()) {
    halide_device_release_crop(l, &a->all);
    halide_device_free(l, &a->buffer);
  }
  free(a);
}

/* Takes out of the list those that no run uses and, given a region, that overlap it. */
static int free_unused(launch *l, device *d, const memory_range *region) {
  int n = 0;
  for (arena **at = &d->arenas; *at;) {
    arena *a = *at;
    if (a->owner || (region && !overlaps(region_of(a), *region))) {
      at = &a->next;
      continue;
    }
    *at = a->next;
    free_arena(l, a);
    ++n;
  }
  return n;
}

static arena *make_arena(launch *l, arena_kind kind, memory_range region) {
  device *d = device_of(l);
  arena *a = malloc(sizeof *a);
  if (!a) {
    fail_launch(l, ATTN_OUT_OF_MEMORY, "out of memory");
    return NULL;
  }
  *a = (arena){.kind = kind, .start = region.start, .bytes = region.bytes, .owner = kind == WEIGHTS ? NULL : l->ctx};
  describe_rows(a->dims, region.bytes);
  a->buffer = (halide_buffer_t){0, NULL, NULL, 0, byte_type, 2, a->dims, NULL};
  set_current(NULL); /* the first failure says nothing: what nobody uses may make room */
  int result = allocate(l, &a->buffer);
  set_current(l);
  if (result) {
    free_unused(l, d, NULL);
    result = allocate(l, &a->buffer);
  }
  a->all = crop_of(a->dims);
  if (!result && (result = halide_device_crop(l, &a->buffer, &a->all)) != 0)
    halide_device_free(l, &a->buffer);
  if (result) {
    free(a);
    fail_launch(l, ATTN_DEVICE, "halide: out of device memory");
    return NULL;
  }
  arena **list = kind == WEIGHTS ? &d->weights[((uintptr_t)region.start >> 6) % WEIGHT_BUCKETS] : &d->arenas;
  a->next = *list;
  *list = a;
  return a;
}

static int contains(const arena *a, const char *start, uint64_t bytes) {
  return start >= a->start && bytes <= a->bytes && (uint64_t)(start - a->start) <= a->bytes - bytes;
}

static int is_inside(memory_range region, const char *start) {
  return region.start && start >= region.start && (uint64_t)(start - region.start) < region.bytes;
}

/* ---- The caller's tensors ---------------------------------------------------------------------------- */

static int is_call(const launch *l, const arena *a) { return a->kind == CALL && a->owner == l->ctx; }

static arena *find_call(const launch *l, memory_range region) {
  for (arena *a = device_of(l)->arenas; a; a = a->next)
    if (is_call(l, a) && contains(a, region.start, region.bytes))
      return a;
  return NULL;
}

/* Gives up those that have a part of the region: the host has all that they have. */
static void free_call(launch *l, memory_range region) {
  for (arena **at = &device_of(l)->arenas; *at;) {
    arena *a = *at;
    if (is_call(l, a) && overlaps(region_of(a), region)) {
      *at = a->next;
      free_arena(l, a);
    } else {
      at = &a->next;
    }
  }
}

/* ---- The state's pages -------------------------------------------------------------------------------- */

static memory_range pages_of(const attn_state *s) {
  return s ? (memory_range){state_pages(s), s->pages * state_page_bytes(s)} : (memory_range){NULL, 0};
}

/* Pages that sequences hold, neighbours at once. */
static int copy_used_pages(launch *l, arena *a, int to_device) {
  const attn_state *s = l->ctx->state;
  const int32_t *counts = state_counts(s);
  uint64_t bytes = state_page_bytes(s);
  for (uint32_t p = 0, first = 0; p <= s->pages; ++p)
    if (p == s->pages || !counts[p]) {
      if (first < p && !copy_bytes(l, a, first * bytes, (p - first) * bytes, to_device))
        return 0;
      first = p + 1;
    }
  return 1;
}

static int is_current(const launch *l, const arena *a) { return a->stamp && a->stamp == l->ctx->state->stamp; }

/* ---- Where an operand belongs ------------------------------------------------------------------------ */

/* The arena of a region of kind WORKSPACE or PAGES: this run's, or one that was left by another. */
static arena *find_kept(launch *l, arena_kind kind, memory_range region, int make) {
  device *d = device_of(l);
  for (arena *a = d->arenas; a; a = a->next)
    if (a->kind == kind && a->start == region.start && a->bytes >= region.bytes && (!a->owner || a->owner == l->ctx)) {
      a->owner = l->ctx;
      return a;
    }
  if (!make)
    return NULL;
  free_unused(l, d, &region);
  return make_arena(l, kind, region);
}

static arena *find_weights(launch *l, memory_range region) {
  device *d = device_of(l);
  for (arena *a = d->weights[((uintptr_t)region.start >> 6) % WEIGHT_BUCKETS]; a; a = a->next)
    if (a->start == region.start && a->bytes >= region.bytes)
      return a;
  arena *a = make_arena(l, WEIGHTS, region);
  return a && copy_bytes(l, a, 0, a->bytes, 1) ? a : NULL;
}

static char *start_of(const DLTensor *tensor) { return (char *)tensor->data + tensor->byte_offset; }

static memory_range region_of_tensor(const DLTensor *tensor) {
  uint64_t elements = tensor->data ? (uint64_t)span_of(tensor) : 0;
  return (memory_range){elements ? start_of(tensor) : (char *)no_data, elements * ((tensor->dtype.bits + 7) / 8)};
}

static arena_kind kind_of(const launch *l, memory_range region) {
  const context *ctx = l->ctx;
  /* What is left out, or empty, is not read. */
  if (!region.bytes ||
      is_inside((memory_range){(char *)ctx->model->weights, attn_descriptor.library->weights_bytes}, region.start))
    return WEIGHTS;
  if (is_inside(ctx->workspace, region.start))
    return WORKSPACE;
  return is_inside(pages_of(ctx->state), region.start) ? PAGES : CALL;
}

/* The arena of an operand of a launch, with what it holds; NULL: the run has failed. */
static arena *place(launch *l, memory_range region, memory_range joined, int is_new) {
  const context *ctx = l->ctx;
  arena *a;
  switch (kind_of(l, region)) {
  case WEIGHTS: return find_weights(l, region.bytes ? region : (memory_range){region.start, sizeof no_data});
  case WORKSPACE: return find_kept(l, WORKSPACE, ctx->workspace, 1);
  case PAGES:
    a = find_kept(l, PAGES, pages_of(ctx->state), 1);
    if (!a || is_current(l, a))
      return a;
    a->stamp = ctx->state->stamp;
    return copy_used_pages(l, a, 1) ? a : NULL;
  case CALL: break;
  }
  if ((a = find_call(l, joined)) != NULL)
    return a;
  free_call(l, joined);
  a = make_arena(l, CALL, joined);
  return a && (is_new || copy_bytes(l, a, 0, a->bytes, 1)) ? a : NULL;
}

static int is_compact(const DLTensor *tensor) {
  int64_t elements = 1;
  for (int32_t d = 0; d < tensor->ndim; ++d)
    elements *= tensor->shape[d];
  return elements == span_of(tensor);
}

/* The region of a tensor of the caller with all that share memory with it, other operands and arenas. */
static memory_range joined_region(launch *l, memory_range region, const DLTensor *tensors, int32_t n) {
  for (uint64_t before = 0; before != region.bytes;) {
    before = region.bytes;
    for (arena *a = device_of(l)->arenas; a; a = a->next)
      if (is_call(l, a) && overlaps(region_of(a), region))
        join(&region, region_of(a));
    for (int32_t i = 0; i < n; ++i) {
      memory_range other = region_of_tensor(&tensors[i]);
      if (tensors[i].ndim && overlaps(other, region) && kind_of(l, other) == CALL)
        join(&region, other);
    }
  }
  return region;
}

int place_operand(launch *l, const DLTensor *tensors, int32_t i, int32_t inputs, int32_t n, operand *o) {
  const DLTensor *tensor = &tensors[i];
  if (!describe_operand(l, tensor, o))
    return 0;
  memory_range region = region_of_tensor(tensor), joined = region;
  if (kind_of(l, region) == CALL)
    joined = joined_region(l, region, tensors, n);
  arena *a = place(l, region, joined, i >= inputs && joined.bytes == region.bytes && is_compact(tensor));
  if (!a)
    return 0;
  uint64_t offset = (uint64_t)(region.start - a->start);
  o->buffer.host = NULL;
  o->own = (halide_buffer_t){0, NULL, NULL, 0, byte_type, 2, o->place, NULL};
  if (!offset) {
    o->buffer.device = a->buffer.device;
    o->buffer.device_interface = a->buffer.device_interface;
    return 1;
  }
  if (offset % CROP_ALIGN == 0) {
    describe_bytes(o->place, offset, 1);
    if (!check(l, halide_device_crop(l, &a->buffer, &o->own)))
      return 0;
  } else if (i < inputs) { /* where a view begins is what lies before its first minimum */
    uint64_t elements = offset / (o->buffer.type.bits / 8);
    if (elements + (uint64_t)o->dims[0].extent > INT32_MAX) {
      fail_launch(l, ATTN_UNSUPPORTED, "expected operands within 2^31 elements of their buffer");
      return 0;
    }
    o->dims[0].min = -(int32_t)elements;
    o->dims[0].extent += (int32_t)elements;
    o->buffer.device = a->buffer.device;
    o->buffer.device_interface = a->buffer.device_interface;
    return 1;
  } else { /* Halide writes everything from the first minimum on */
    describe_rows(o->place, region.bytes);
    if (!check(l, allocate(l, &o->own)))
      return 0;
    o->copied = 1;
  }
  o->buffer.device = o->own.device;
  o->buffer.device_interface = o->own.device_interface;
  return !o->copied || copy_on_device(l, a, offset, o, 0);
}

void leave_operand(launch *l, const DLTensor *tensor, operand *o) {
  if (!o->own.device)
    return;
  if (!o->copied) {
    halide_device_release_crop(l, &o->own);
    return;
  }
  memory_range region = region_of_tensor(tensor);
  arena *a = status_of(l->ctx) == ATTN_OK ? place(l, region, region, 0) : NULL; /* where it was */
  if (a)
    copy_on_device(l, a, (uint64_t)(region.start - a->start), o, 1);
  halide_device_free(l, &o->own);
}

/* ---- Copies ------------------------------------------------------------------------------------------ */

int fetch_written(launch *l, const DLTensor *tensor) {
  memory_range region = region_of_tensor(tensor);
  if (kind_of(l, region) != CALL)
    return 1;
  arena *a = find_call(l, region);
  return a && copy_tensor(l, a, tensor, 0);
}

int copy_view(launch *l, const DLTensor *tensor, int to_device) {
  memory_range region = region_of_tensor(tensor);
  arena *a;
  switch (kind_of(l, region)) {
  case WEIGHTS: return 1;
  case WORKSPACE:
    a = find_kept(l, WORKSPACE, l->ctx->workspace, to_device);
    return a ? copy_tensor(l, a, tensor, to_device) : !to_device;
  case PAGES:
    a = find_kept(l, PAGES, pages_of(l->ctx->state), 0);
    return !a || !is_current(l, a) || copy_used_pages(l, a, to_device);
  case CALL: break;
  }
  if (!to_device) /* the host has it */
    return 1;
  if ((a = find_call(l, region)) != NULL)
    return copy_tensor(l, a, tensor, 1);
  free_call(l, region);
  return 1;
}

int fetch_page(launch *l, char *page, uint64_t bytes) {
  arena *a = find_kept(l, PAGES, pages_of(l->ctx->state), 0);
  return !a || !is_current(l, a) || copy_bytes(l, a, (uint64_t)(page - a->start), bytes, 0);
}

void finish_arenas(launch *l) {
  uint32_t kept = 0;
  for (arena **at = &device_of(l)->arenas; *at;) {
    arena *a = *at;
    if (a->owner == l->ctx) {
      a->owner = NULL;
      if (status_of(l->ctx) != ATTN_OK)
        a->stamp = 0; /* the device may have written tokens that the state does not have */
    }
    if (!a->owner && (a->kind == CALL || ++kept > KEPT)) {
      *at = a->next;
      free_arena(l, a);
    } else {
      at = &a->next;
    }
  }
}

void free_arenas(launch *l, device *d) {
  for (arena *next, *a = d->arenas; a; a = next) {
    next = a->next;
    free_arena(l, a);
  }
  for (int i = 0; i < WEIGHT_BUCKETS; ++i)
    for (arena *next, *a = d->weights[i]; a; a = next) {
      next = a->next;
      free_arena(l, a);
    }
}
