/* Pages.c: which page of a state holds what: appending, sharing, truncating, and tables that the host sets. */
#include "Support.h"

static char *page_at(const attn_state *s, int32_t page) {
  return state_pages(s) + (uint64_t)page * state_page_bytes(s);
}
static uint64_t pages_for(const attn_state *s, int64_t tokens) { return ((uint64_t)tokens + s->page - 1) / s->page; }

/* Place in the sequence's part of the table of its i-th page. A cross part is never a ring. */
static uint64_t place_of(const attn_state *s, uint32_t sequence, uint64_t i) {
  if (i < state_places(s, sequence))
    return i;
  uint64_t pinned = sink_pages(s);
  return pinned + (i - pinned) % (s->places - pinned);
}

/* Whether pages of the sequence were written over by later ones. */
static int is_wrapped(const attn_state *s, uint32_t sequence) {
  return pages_for(s, state_reach(s)[sequence]) > state_places(s, sequence);
}

uint64_t held_places(const attn_state *s, uint32_t sequence) {
  return is_wrapped(s, sequence) ? s->places : pages_for(s, state_lengths(s)[sequence]);
}

/* ---- Taking and releasing --------------------------------------------------------------------------- */

/* A free page, now counted once. There is one, because table entries that need one are not more than pages: every other
 * entry holds at most one. */
static int32_t take_page(attn_state *s) {
  int32_t *counts = state_counts(s);
  uint32_t p = s->first_free;
  while (counts[p])
    ++p;
  counts[p] = 1;
  s->first_free = p + 1;
  return (int32_t)p;
}

static void release_page(attn_state *s, int32_t page) {
  if (--state_counts(s)[page] == 0 && (uint32_t)page < s->first_free)
    s->first_free = (uint32_t)page;
}

/* The sequence's entries from place `from` on. */
static void release_from(attn_state *s, uint32_t sequence, uint64_t from) {
  int32_t *row = state_row(s, sequence);
  for (uint64_t i = from, places = state_places(s, sequence); i < places && row[i] >= 0; ++i) {
    release_page(s, row[i]);
    row[i] = -1;
  }
}

/* ---- A run ------------------------------------------------------------------------------------------ */

static text about_slot(const attn_entry *entry, uint32_t slot, attn_error *error) {
  text t = begin(error, ATTN_RANGE);
  put(&t, entry->name);
  put(&t, ": slot ");
  put_uint(&t, slot);
  return t;
}

int32_t check_pages(const attn_entry *entry, const attn_state *s, uint32_t slot, int64_t tokens, attn_error *error) {
  if (!s->pooled)
    return ATTN_OK;
  const int32_t *row = state_row(s, slot), *counts = state_counts(s);
  uint64_t past = (uint64_t)state_lengths(s)[slot], all = pages_for(s, (int64_t)past + tokens);
  for (uint64_t i = 0; i < all; ++i)
    if (row[i] < 0) {
      text t = about_slot(entry, slot, error);
      put(&t, ": expected ");
      put_uint(&t, all);
      put(&t, " pages for ");
      put_uint(&t, past + (uint64_t)tokens);
      put(&t, " tokens, got ");
      put_uint(&t, i);
      return end(&t);
    }
  for (uint64_t i = past / s->page; i < all; ++i)
    if (counts[row[i]] > 1) {
      text t = about_slot(entry, slot, error);
      put(&t, ": expected to write into pages of its own, got page ");
      put_int(&t, row[i]);
      put(&t, ", which is mapped ");
      put_int(&t, counts[row[i]]);
      put(&t, " times");
      return end(&t);
    }
  return ATTN_OK;
}

/* Copy on write, and new pages: afterwards each page that gets a token belongs to the sequence alone. */
static void own_pages(attn_state *s, uint32_t sequence, int64_t past, int64_t tokens) {
  int32_t *row = state_row(s, sequence);
  uint64_t first = (uint64_t)past / s->page, all = pages_for(s, past + tokens);
  for (uint64_t i = first; i < all; ++i) {
    int32_t *entry = &row[place_of(s, sequence, i)], old = *entry;
    if (old >= 0 && state_counts(s)[old] == 1)
      continue;
    *entry = take_page(s);
    s->stamp = device_stamp();
    if (old >= 0 && i == first && past % s->page)
      memcpy(page_at(s, *entry), page_at(s, old), state_page_bytes(s));
    else if ((i + 1) * s->page > (uint64_t)(past + tokens)) /* not written to its end: no accidental numbers there */
      memset(page_at(s, *entry), 0, state_page_bytes(s));
    if (old >= 0)
      release_page(s, old);
  }
}

void begin_append(attn_state *s, uint32_t sequence, int64_t tokens, int64_t row) {
  int32_t past = state_lengths(s)[sequence], *reach = &state_reach(s)[sequence];
  if (!s->pooled && tokens)
    own_pages(s, sequence, past, tokens);
  if (*reach < past + tokens)
    *reach = (int32_t)(past + tokens);
  int is_cross = sequence >= s->slots;
  state_past(s)[(is_cross ? s->slots : 0) + row] = past;
  int32_t *to = is_cross ? state_rows(s) + (uint64_t)s->slots * s->pages_per_slot + (uint64_t)row * s->cross_places
                         : state_rows(s) + (uint64_t)row * s->pages_per_slot;
  const int32_t *from = state_row(s, sequence);
  uint64_t all = pages_for(s, past + tokens), places = state_places(s, sequence), plain = all < places ? all : places;
  memcpy(to, from, plain * sizeof *to);
  for (uint64_t i = plain; i < all; ++i)
    to[i] = from[place_of(s, sequence, i)];
}

void end_append(attn_state *s, uint32_t sequence, int64_t tokens, int succeeded) {
  int32_t *length = &state_lengths(s)[sequence];
  if (succeeded) {
    *length += (int32_t)tokens;
  } else if (!s->pooled && !is_wrapped(s, sequence)) {
    release_from(s, sequence, pages_for(s, *length));
    state_reach(s)[sequence] = *length;
  }
}

/* ---- Operations ------------------------------------------------------------------------------------- */

static int32_t bad_slot(const attn_state *s, int64_t slot, attn_error *error) {
  text t = begin(error, ATTN_RANGE);
  put(&t, "state: expected a slot below ");
  put_uint(&t, s->slots);
  put(&t, ", got ");
  put_int(&t, slot);
  return end(&t);
}

static int32_t truncate_slot(attn_state *s, uint32_t slot, int64_t value, attn_error *error) {
  int32_t *length = &state_lengths(s)[slot], *reach = &state_reach(s)[slot];
  int64_t pinned = (int64_t)sink_pages(s), low = 0, high = -1; /* tokens from high + 1 to low - 1 cannot be kept */
  if (is_wrapped(s, slot)) {
    int64_t oldest = (int64_t)pages_for(s, *reach) - ((int64_t)s->places - pinned); /* page still held by the ring */
    low = oldest * s->page + attn_descriptor.window;
    high = pinned * s->page;
  }
  if (value < 0 || value > *length || (value > high && value < low)) {
    text t = begin(error, ATTN_RANGE);
    put(&t, "state: expected to keep 0 to ");
    put_int(&t, high >= 0 && high < *length ? high : *length);
    if (high >= 0 && high < *length && low <= *length) {
      put(&t, " or ");
      put_int(&t, low);
      put(&t, " to ");
      put_int(&t, *length);
    }
    put(&t, " tokens, got ");
    put_int(&t, value);
    return end(&t);
  }
  *length = (int32_t)value;
  if (!s->pooled && (value <= high || high < 0)) {
    release_from(s, slot, pages_for(s, value));
    *reach = *length;
  }
  return ATTN_OK;
}

/* Sequence `to` gets the pages of `from`, shared or its own. */
static void fork_sequence(attn_state *s, uint32_t to, uint32_t from, int copy) {
  release_from(s, to, 0);
  if (copy)
    s->stamp = device_stamp();
  int32_t *target = state_row(s, to), *counts = state_counts(s);
  const int32_t *source = state_row(s, from);
  uint64_t held = held_places(s, from);
  for (uint64_t i = 0; i < held; ++i) {
    if (copy)
      memcpy(page_at(s, target[i] = take_page(s)), page_at(s, source[i]), state_page_bytes(s));
    else
      ++counts[target[i] = source[i]];
  }
  state_lengths(s)[to] = state_lengths(s)[from];
  state_reach(s)[to] = state_reach(s)[from];
}

static int32_t clear_slot(attn_state *s, uint32_t slot) {
  if (s->cross_places) {
    release_from(s, cross_of(s, slot), 0);
    state_lengths(s)[cross_of(s, slot)] = state_reach(s)[cross_of(s, slot)] = 0;
  }
  return truncate_slot(s, slot, 0, NULL);
}

static int32_t check_page(int64_t page, int64_t last, attn_error *error) {
  if (page >= 0 && page <= last)
    return ATTN_OK;
  text t = begin(error, ATTN_RANGE);
  put(&t, "state: expected a page from 0 to ");
  put_int(&t, last);
  put(&t, ", got ");
  put_int(&t, page);
  return end(&t);
}

int32_t attn_library_state_op(const attn_model *model, attn_state *s, attn_state_verb verb, uint32_t slot,
                              int64_t value, int64_t *result, attn_error *error) {
  (void)model;
  int32_t status = check_state(s, error);
  if (status != ATTN_OK)
    return status;
  int asks = verb == ATTN_STATE_LENGTH || verb == ATTN_STATE_CAPACITY ||
             (verb >= ATTN_STATE_PAGES && verb <= ATTN_STATE_PAGE_USES) || verb == ATTN_STATE_CROSS_LENGTH;
  if (asks && !result)
    return fail_with(error, ATTN_INVALID_ARGUMENT, "state: expected a place for the result, got null");
  if (slot >= s->slots)
    return bad_slot(s, slot, error);
  switch (verb) {
  case ATTN_STATE_LENGTH: *result = state_lengths(s)[slot]; return ATTN_OK;
  case ATTN_STATE_CROSS_LENGTH: *result = s->cross_places ? state_lengths(s)[cross_of(s, slot)] : 0; return ATTN_OK;
  case ATTN_STATE_CAPACITY: *result = (int64_t)s->capacity; return ATTN_OK;
  case ATTN_STATE_PAGES: *result = s->pages; return ATTN_OK;
  case ATTN_STATE_PAGE_OFFSET:
    if ((status = check_page(value, s->pages, error)) == ATTN_OK)
      *result = page_at(s, (int32_t)value) - (char *)s;
    return status;
  case ATTN_STATE_PAGE_USES:
    if ((status = check_page(value, (int64_t)s->pages - 1, error)) == ATTN_OK)
      *result = state_counts(s)[value];
    return status;
  case ATTN_STATE_TRUNCATE: return truncate_slot(s, slot, value, error);
  case ATTN_STATE_CLEAR: return clear_slot(s, slot);
  case ATTN_STATE_COPY:
  case ATTN_STATE_FORK:
    if (value < 0 || value >= s->slots)
      return bad_slot(s, value, error);
    if (s->pooled)
      return fail_with(error, ATTN_INVALID_ARGUMENT, "state: expected pages of its own to copy or fork, got a pool");
    if ((uint32_t)value == slot)
      return ATTN_OK;
    fork_sequence(s, slot, (uint32_t)value, verb == ATTN_STATE_COPY);
    if (s->cross_places)
      fork_sequence(s, cross_of(s, slot), cross_of(s, (uint32_t)value), verb == ATTN_STATE_COPY);
    return ATTN_OK;
  }
  text t = begin(error, ATTN_INVALID_ARGUMENT);
  put(&t, "state: expected a known verb, got ");
  put_int(&t, (int64_t)verb);
  return end(&t);
}

int32_t attn_library_pool_map(const attn_model *model, attn_state *s, uint32_t slot, const int32_t *pages, uint32_t n,
                              int64_t length, attn_error *error) {
  (void)model;
  int32_t status = check_state(s, error);
  if (status != ATTN_OK)
    return status;
  if (!s->pooled)
    return fail_with(error, ATTN_INVALID_ARGUMENT, "pool: expected a state made by pool_init, got one of its own pages");
  if (slot >= s->slots)
    return bad_slot(s, slot, error);
  if (n && !pages)
    return fail_with(error, ATTN_INVALID_ARGUMENT, "pool: expected page numbers, got a null pointer");
  if (n > s->places || length < 0 || (uint64_t)length > (uint64_t)n * s->page || (uint64_t)length > s->capacity) {
    text t = begin(error, ATTN_RANGE);
    put(&t, "pool: expected at most ");
    put_uint(&t, s->places);
    put(&t, " pages and as many tokens as they and ");
    put_uint(&t, s->capacity);
    put(&t, " allow, got ");
    put_uint(&t, n);
    put(&t, " pages and ");
    put_int(&t, length);
    put(&t, " tokens");
    return end(&t);
  }
  for (uint32_t i = 0; i < n; ++i)
    if (pages[i] < 0 || (uint32_t)pages[i] >= s->pages) {
      text t = begin(error, ATTN_RANGE);
      put(&t, "pool: expected page numbers below ");
      put_uint(&t, s->pages);
      put(&t, ", got ");
      put_int(&t, pages[i]);
      return end(&t);
    }
  release_from(s, slot, 0);
  s->stamp = device_stamp(); /* the host may have filled the pages */
  int32_t *row = state_row(s, slot), *counts = state_counts(s);
  for (uint32_t i = 0; i < n; ++i)
    ++counts[row[i] = pages[i]];
  state_lengths(s)[slot] = state_reach(s)[slot] = (int32_t)length;
  return ATTN_OK;
}
