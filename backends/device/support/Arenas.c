/* Arenas.c: which bytes of the host's memory the device has. */
#include "Arenas.h"

/* Workspaces and pages that are left on the device between runs; those made first go first. */
#define KEPT 8

/* ---- Copies that profiles show ------------------------------------------------------------------------ */

static attn_op_info begin_copy(const launch *l, uint64_t bytes, int to_device) {
  attn_op_info info = {sizeof info, to_device ? "copy_to_device" : "copy_to_host", 1, 0, bytes};
  tell_op(l->ctx, &info, ATTN_SPAN_BEGIN);
  return info;
}

static int show_range(launch *l, arena *a, uint64_t offset, uint64_t bytes, int to_device) {
  attn_op_info info = begin_copy(l, bytes, to_device);
  int ok = copy_range(l, a, offset, bytes, to_device);
  tell_op(l->ctx, &info, ATTN_SPAN_END);
  return ok;
}

static int show_elements(launch *l, arena *a, const DLTensor *tensor, int to_device) {
  uint64_t bytes = (tensor->dtype.bits + 7u) / 8;
  for (int32_t d = 0; d < tensor->ndim; ++d)
    bytes *= (uint64_t)tensor->shape[d];
  attn_op_info info = begin_copy(l, bytes, to_device);
  int ok = copy_elements(l, a, tensor, to_device);
  tell_op(l->ctx, &info, ATTN_SPAN_END);
  return ok;
}

/* ---- Arenas ----------------------------------------------------------------------------------------- */

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
  free_memory(l, a->memory);
  if (a->kind == BORROWED)
    free(a->start);
  free(a);
}

/* Takes out of the list those that no run uses and, given a region, that overlap it. */
static void free_unused(launch *l, const memory_range *region) {
  for (arena **at = &arenas_of(l)->list; *at;) {
    arena *a = *at;
    if (a->owner || (region && !overlaps(region_of(a), *region))) {
      at = &a->next;
      continue;
    }
    *at = a->next;
    free_arena(l, a);
  }
}

static arena *make_arena(launch *l, arena_kind kind, memory_range region) {
  arenas *all = arenas_of(l);
  arena *a = malloc(sizeof *a);
  if (!a) {
    fail_launch(l, ATTN_OUT_OF_MEMORY, "out of memory");
    return NULL;
  }
  *a = (arena){.kind = kind, .start = region.start, .bytes = region.bytes, .owner = kind == WEIGHTS ? NULL : l->ctx};
  a->memory = allocate_memory(l, region.bytes, /*quietly=*/1);
  if (!a->memory) { /* what nobody uses may make room */
    free_unused(l, NULL);
    a->memory = allocate_memory(l, region.bytes, /*quietly=*/0);
  }
  if (!a->memory) {
    free(a);
    return NULL;
  }
  arena **list = kind == WEIGHTS ? &all->weights[((uintptr_t)region.start >> 6) % WEIGHT_BUCKETS] : &all->list;
  a->next = *list;
  *list = a;
  return a;
}

arena *borrow_memory(launch *l, device_memory *memory, uint64_t bytes) {
  arena *a = malloc(sizeof *a);
  char *start = malloc(bytes);
  if (!a || !start) {
    free(a);
    free(start);
    fail_launch(l, ATTN_OUT_OF_MEMORY, "out of memory");
    return NULL;
  }
  *a = (arena){arenas_of(l)->list, BORROWED, start, bytes, l->ctx, 0, memory};
  return arenas_of(l)->list = a;
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
  for (arena *a = arenas_of(l)->list; a; a = a->next)
    if (is_call(l, a) && contains(a, region.start, region.bytes))
      return a;
  return NULL;
}

/* Of a tensor in the device's memory. */
static arena *find_borrowed(const launch *l, memory_range region) {
  for (arena *a = arenas_of(l)->list; a; a = a->next)
    if (a->kind == BORROWED && a->owner == l->ctx && contains(a, region.start, region.bytes))
      return a;
  return NULL;
}

/* Gives up those that have a part of the region: the host has all that they have. */
static void free_call(launch *l, memory_range region) {
  for (arena **at = &arenas_of(l)->list; *at;) {
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
      if (first < p && !show_range(l, a, first * bytes, (p - first) * bytes, to_device))
        return 0;
      first = p + 1;
    }
  return 1;
}

static int is_current(const launch *l, const arena *a) { return a->stamp && a->stamp == l->ctx->state->stamp; }

/* ---- Where an operand belongs ------------------------------------------------------------------------ */

/* The arena of a region of kind WORKSPACE or PAGES: this run's, or one that was left by another. */
static arena *find_kept(launch *l, arena_kind kind, memory_range region, int make) {
  for (arena *a = arenas_of(l)->list; a; a = a->next)
    if (a->kind == kind && a->start == region.start && a->bytes >= region.bytes && (!a->owner || a->owner == l->ctx)) {
      a->owner = l->ctx;
      return a;
    }
  if (!make)
    return NULL;
  free_unused(l, &region);
  return make_arena(l, kind, region);
}

static arena *find_weights(launch *l, memory_range region) {
  for (arena *a = arenas_of(l)->weights[((uintptr_t)region.start >> 6) % WEIGHT_BUCKETS]; a; a = a->next)
    if (a->start == region.start && a->bytes >= region.bytes)
      return a;
  arena *a = make_arena(l, WEIGHTS, region);
  return a && show_range(l, a, 0, a->bytes, 1) ? a : NULL;
}

char *start_of(const DLTensor *tensor) { return (char *)tensor->data + tensor->byte_offset; }

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
  if (is_inside(pages_of(ctx->state), region.start))
    return PAGES;
  return find_borrowed(l, region) ? BORROWED : CALL;
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
  case BORROWED: return find_borrowed(l, region);
  case CALL: break;
  }
  if ((a = find_call(l, joined)) != NULL)
    return a;
  free_call(l, joined);
  a = make_arena(l, CALL, joined);
  return a && (is_new || show_range(l, a, 0, a->bytes, 1)) ? a : NULL;
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
    for (arena *a = arenas_of(l)->list; a; a = a->next)
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

arena *place_operand(launch *l, const DLTensor *tensors, int32_t i, int32_t inputs, int32_t n, uint64_t *offset) {
  const DLTensor *tensor = &tensors[i];
  memory_range region = region_of_tensor(tensor), joined = region;
  if (kind_of(l, region) == CALL)
    joined = joined_region(l, region, tensors, n);
  arena *a = place(l, region, joined, i >= inputs && joined.bytes == region.bytes && is_compact(tensor));
  if (a)
    *offset = (uint64_t)(region.start - a->start);
  return a;
}

arena *arena_of(launch *l, const DLTensor *tensor, uint64_t *offset) {
  memory_range region = region_of_tensor(tensor);
  arena *a = place(l, region, region, 0);
  if (a)
    *offset = (uint64_t)(region.start - a->start);
  return a;
}

/* ---- Copies ------------------------------------------------------------------------------------------ */

int fetch_written(launch *l, const DLTensor *tensor) {
  memory_range region = region_of_tensor(tensor);
  if (kind_of(l, region) != CALL)
    return 1;
  arena *a = find_call(l, region);
  return a && show_elements(l, a, tensor, 0);
}

static int copy_view(launch *l, const DLTensor *tensor, int to_device) {
  memory_range region = region_of_tensor(tensor);
  arena *a;
  switch (kind_of(l, region)) {
  case WEIGHTS: return 1;
  case WORKSPACE:
    a = find_kept(l, WORKSPACE, l->ctx->workspace, to_device);
    return a ? show_elements(l, a, tensor, to_device) : !to_device;
  case PAGES:
    a = find_kept(l, PAGES, pages_of(l->ctx->state), 0);
    return !a || !is_current(l, a) || copy_used_pages(l, a, to_device);
  case BORROWED: return show_elements(l, find_borrowed(l, region), tensor, to_device);
  case CALL: break;
  }
  if (!to_device) /* the host has it */
    return 1;
  if ((a = find_call(l, region)) != NULL)
    return show_elements(l, a, tensor, 1);
  free_call(l, region);
  return 1;
}

static int fetch_page(launch *l, char *page, uint64_t bytes) {
  arena *a = find_kept(l, PAGES, pages_of(l->ctx->state), 0);
  return !a || !is_current(l, a) || show_range(l, a, (uint64_t)(page - a->start), bytes, 0);
}

static void finish_arenas(launch *l) {
  uint32_t kept = 0;
  for (arena **at = &arenas_of(l)->list; *at;) {
    arena *a = *at;
    if (a->owner == l->ctx) {
      a->owner = NULL;
      if (status_of(l->ctx) != ATTN_OK)
        a->stamp = 0; /* the device may have written tokens that the state does not have */
    }
    if (!a->owner && (a->kind == CALL || a->kind == BORROWED || ++kept > KEPT)) {
      *at = a->next;
      free_arena(l, a);
    } else {
      at = &a->next;
    }
  }
}

void free_arenas(launch *l, arenas *all) {
  for (arena *next, *a = all->list; a; a = next) {
    next = a->next;
    free_arena(l, a);
  }
  for (int i = 0; i < WEIGHT_BUCKETS; ++i)
    for (arena *next, *a = all->weights[i]; a; a = next) {
      next = a->next;
      free_arena(l, a);
    }
}

/* ---- Runs -------------------------------------------------------------------------------------------- */

static void to_host(launch *l, void *tensor) { copy_view(l, tensor, 0); }
static void to_device(launch *l, void *tensor) { copy_view(l, tensor, 1); }

void attn_copy_to_host(context *ctx, const DLTensor *tensor) {
  launch l = {ctx, "copy_to_host", 0};
  if (status_of(ctx) == ATTN_OK)
    with_device(&l, to_host, (void *)tensor);
}

void attn_copy_to_device(context *ctx, const DLTensor *tensor) {
  launch l = {ctx, "copy_to_device", 0};
  if (status_of(ctx) == ATTN_OK)
    with_device(&l, to_device, (void *)tensor);
}

static void fetch_section(launch *l, void *page) { fetch_page(l, page, state_page_bytes(l->ctx->state)); }
static void finish_section(launch *l, void *arg) {
  (void)arg;
  finish_launches(l);
  finish_arenas(l);
}

void device_fetch_page(context *ctx, char *page) {
  launch l = {ctx, "copy_to_host", 0};
  with_device(&l, fetch_section, page);
}

void device_finish(context *ctx) {
  launch l = {ctx, "copy_to_host", 0};
  with_device(&l, finish_section, NULL);
}

uint64_t device_stamp(void) {
  static uint64_t last; /* atomic */
  /* another copy of this file has other ones */
  return ((uint64_t)(uintptr_t)&last << 16) + __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}
