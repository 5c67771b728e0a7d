/* State.c: cached sequences in memory that the caller owns: sizes, making, taking up. Pages.c says how pages are used. */
#include "Support.h"

#define STATE_MAGIC 0x32455441544e5441ull /* "ATNTATE2" */
#define DEFAULT_PAGE 64u
#define MAX_PAGE (1u << 20)

/* ---- Layout ----------------------------------------------------------------------------------------- */

uint32_t state_sequences(const attn_state *s) { return s->cross_places ? 2 * s->slots : s->slots; }
uint32_t cross_of(const attn_state *s, uint32_t slot) { return s->slots + slot; }
uint32_t state_places(const attn_state *s, uint32_t sequence) {
  return sequence < s->slots ? s->places : s->cross_places;
}
uint64_t state_capacity(const attn_state *s, uint32_t sequence) {
  return sequence < s->slots ? s->capacity : (uint64_t)s->cross_places * s->page;
}
static uint64_t table_ints(const attn_state *s) { return (uint64_t)s->slots * ((uint64_t)s->places + s->cross_places); }

int32_t *state_row(const attn_state *s, uint32_t sequence) {
  if (sequence < s->slots)
    return state_table(s) + (uint64_t)sequence * s->places;
  return state_table(s) + (uint64_t)s->slots * s->places + (uint64_t)(sequence - s->slots) * s->cross_places;
}

int32_t *state_lengths(const attn_state *s) { return (int32_t *)(s + 1); }
int32_t *state_reach(const attn_state *s) { return state_lengths(s) + state_sequences(s); }
int32_t *state_table(const attn_state *s) { return state_reach(s) + state_sequences(s); }
int32_t *state_counts(const attn_state *s) { return state_table(s) + table_ints(s); }
int32_t *state_past(const attn_state *s) { return state_counts(s) + s->pages; }
int32_t *state_rows(const attn_state *s) { return state_past(s) + state_sequences(s); }

static uint64_t scratch_ints(const attn_state *s) {
  return state_sequences(s) + (uint64_t)s->slots * s->pages_per_slot + (uint64_t)s->slots * s->cross_places;
}

/* Bytes in front of the pages. */
static uint64_t head_bytes(const attn_state *s) {
  uint64_t ints = 2ull * state_sequences(s) + table_ints(s) + s->pages + scratch_ints(s);
  return (sizeof *s + ints * sizeof(int32_t) + 63) / 64 * 64;
}

char *state_pages(const attn_state *s) { return (char *)s + head_bytes(s); }
uint64_t state_page_bytes(const attn_state *s) { return s->page * attn_descriptor.token_bytes; }

uint64_t sink_pages(const attn_state *s) { return ((uint64_t)attn_descriptor.sinks + s->page - 1) / s->page; }

/* Places of a slot. A ring holds `ring` consecutive tokens wherever they begin within a page. */
static uint64_t places_of(const attn_state *s) {
  uint64_t ring = attn_descriptor.ring, all = s->pages_per_slot;
  if (!ring || s->pooled)
    return all;
  uint64_t places = sink_pages(s) + (ring - 1 + s->page - 1) / s->page + 1;
  return places < all ? places : all;
}

/* The header of a state with these sizes, but for magic and build. `pages` are a pool's, or NULL. */
static int32_t plan(attn_state *s, uint32_t slots, uint64_t capacity, uint32_t page, const uint32_t *pages,
                    attn_error *error) {
  memset(s, 0, sizeof *s);
  uint64_t token = attn_descriptor.token_bytes, bytes;
  if (!token)
    return fail_with(error, ATTN_UNSUPPORTED, "state: the model has none");
  if (!page)
    page = DEFAULT_PAGE;
  if (page % 64 != 0 || page > MAX_PAGE) {
    text t = begin(error, ATTN_RANGE);
    put(&t, "state: expected a page of 64, 128, … 1048576 tokens, got ");
    put_uint(&t, page);
    return end(&t);
  }
  if (!slots || !capacity || capacity > INT32_MAX) {
    text t = begin(error, ATTN_RANGE);
    put(&t, "state: expected at least one slot of 1 to 2147483647 tokens, got ");
    put_uint(&t, slots);
    put(&t, slots == 1 ? " slot of " : " slots of ");
    put_uint(&t, capacity);
    return end(&t);
  }
  if (pages && (!*pages || *pages > INT32_MAX)) {
    text t = begin(error, ATTN_RANGE);
    put(&t, "pool: expected 1 to 2147483647 pages, got ");
    put_uint(&t, *pages);
    return end(&t);
  }
  uint64_t cross = attn_descriptor.cross_tokens;
  if (pages && cross)
    return fail_with(error, ATTN_UNSUPPORTED, "pool: expected a model without a cross cache");
  if (cross == ATTN_NO_BOUND)
    cross = capacity;
  s->slots = slots;
  s->capacity = capacity;
  s->page = page;
  s->pages_per_slot = (uint32_t)((capacity + page - 1) / page);
  s->pooled = pages != NULL;
  s->places = (uint32_t)places_of(s);
  s->cross_places = (uint32_t)((cross + page - 1) / page);
  uint64_t entries = (uint64_t)slots * ((uint64_t)s->pages_per_slot + s->cross_places);
  uint64_t count = pages ? *pages : table_ints(s);
  s->pages = (uint32_t)count;
  if (entries > INT32_MAX || __builtin_mul_overflow(count * page, token, &bytes) ||
      __builtin_add_overflow(bytes, head_bytes(s), &bytes) || bytes > INT64_MAX) {
    text t = begin(error, ATTN_RANGE);
    put(&t, "state: expected a size that fits into memory, got ");
    put_uint(&t, slots);
    put(&t, " slots of ");
    put_uint(&t, capacity);
    put(&t, " tokens");
    return end(&t);
  }
  s->bytes = bytes;
  return ATTN_OK;
}

uint64_t attn_library_state_bytes(const attn_model *model, uint32_t slots, uint64_t capacity, uint32_t page,
                                  attn_error *error) {
  (void)model;
  attn_state s;
  return plan(&s, slots, capacity, page, NULL, error) == ATTN_OK ? s.bytes : 0;
}

uint64_t attn_library_pool_bytes(const attn_model *model, uint32_t slots, uint64_t capacity, uint32_t page,
                                 uint32_t pages, attn_error *error) {
  (void)model;
  attn_state s;
  return plan(&s, slots, capacity, page, &pages, error) == ATTN_OK ? s.bytes : 0;
}

/* ---- Making and taking up --------------------------------------------------------------------------- */

static int32_t check_memory(const void *memory, uint64_t bytes, uint64_t needed, attn_error *error) {
  if (memory && (uintptr_t)memory % 64 == 0 && bytes >= needed)
    return ATTN_OK;
  text t = begin(error, ATTN_WORKSPACE);
  put(&t, "state: expected ");
  put_uint(&t, needed);
  put(&t, " bytes of memory aligned to 64, got ");
  if (!memory)
    put(&t, "a null pointer");
  else if (bytes < needed)
    put_uint(&t, bytes);
  else
    put(&t, "another alignment");
  return end(&t);
}

static int32_t make(const attn_state *planned, void *memory, uint64_t bytes, attn_state **state, attn_error *error) {
  int32_t status = check_memory(memory, bytes, planned->bytes, error);
  if (status != ATTN_OK)
    return status;
  /* All of the head, padding too: a saved state has no accidental bytes there. The pages are left alone, so that memory
   * that is never used is never touched; each is cleared when it is first used, as far as needed. */
  attn_state *s = memory;
  memset(s, 0, head_bytes(planned));
  memcpy(s, planned, sizeof *s);
  s->magic = STATE_MAGIC;
  s->stamp = device_stamp();
  memcpy(s->build_id, attn_descriptor.library->build_id, sizeof s->build_id);
  memset(state_table(s), 0xff, table_ints(s) * sizeof(int32_t));
  *state = s;
  return ATTN_OK;
}

static int32_t no_place(attn_error *error) {
  return fail_with(error, ATTN_INVALID_ARGUMENT, "state: expected a place for the state, got null");
}

int32_t attn_library_state_init(const attn_model *model, void *memory, uint64_t bytes, uint32_t slots,
                                uint64_t capacity, uint32_t page, attn_state **state, attn_error *error) {
  (void)model;
  if (!state)
    return no_place(error);
  *state = NULL;
  attn_state s;
  int32_t status = plan(&s, slots, capacity, page, NULL, error);
  return status == ATTN_OK ? make(&s, memory, bytes, state, error) : status;
}

int32_t attn_library_pool_init(const attn_model *model, void *memory, uint64_t bytes, uint32_t slots, uint64_t capacity,
                               uint32_t page, uint32_t pages, attn_state **state, attn_error *error) {
  (void)model;
  if (!state)
    return no_place(error);
  *state = NULL;
  attn_state s;
  int32_t status = plan(&s, slots, capacity, page, &pages, error);
  return status == ATTN_OK ? make(&s, memory, bytes, state, error) : status;
}

int32_t check_state(const attn_state *s, attn_error *error) {
  if (!s || (uintptr_t)s % 64 != 0)
    return fail_with(error, ATTN_INVALID_ARGUMENT,
                     s ? "state: expected memory aligned to 64 bytes" : "state: expected a state, got none");
  if (s->magic != STATE_MAGIC)
    return fail_with(error, ATTN_CORRUPT_FILE, "state: expected a state, got another magic number");
  if (memcmp(s->build_id, attn_descriptor.library->build_id, sizeof s->build_id) != 0)
    return fail_with(error, ATTN_CORRUPT_FILE, "state: expected one of this model's build, got another's");
  return ATTN_OK;
}

/* Whether every page's count is the number of its entries in the table, which are in range. */
static int counts_agree(const attn_state *s) {
  const int32_t *table = state_table(s);
  uint32_t *counts = (uint32_t *)state_counts(s), wrong = 0; /* any value may be there */
  uint64_t entries = table_ints(s);
  for (uint64_t i = 0; i < entries; ++i)
    if (table[i] >= 0)
      --counts[table[i]];
  for (uint32_t p = 0; p < s->pages; ++p)
    wrong |= counts[p];
  for (uint64_t i = 0; i < entries; ++i)
    if (table[i] >= 0)
      ++counts[table[i]];
  return !wrong;
}

static int32_t check_sequence(const attn_state *s, uint32_t sequence, attn_error *error) {
  uint64_t capacity = state_capacity(s, sequence);
  int32_t length = state_lengths(s)[sequence], reach = state_reach(s)[sequence];
  if (length < 0 || (uint64_t)length > capacity) {
    text t = begin(error, ATTN_CORRUPT_FILE);
    put(&t, "state: expected lengths from 0 to ");
    put_uint(&t, capacity);
    put(&t, ", got ");
    put_int(&t, length);
    return end(&t);
  }
  if (reach < length || (uint64_t)reach > capacity) {
    text t = begin(error, ATTN_CORRUPT_FILE);
    put(&t, "state: expected ");
    put_int(&t, length);
    put(&t, " to ");
    put_uint(&t, capacity);
    put(&t, " positions written, got ");
    put_int(&t, reach);
    return end(&t);
  }
  const int32_t *row = state_row(s, sequence);
  uint32_t places = state_places(s, sequence);
  for (uint32_t i = 0; i < places; ++i)
    if (row[i] < -1 || row[i] >= (int32_t)s->pages) {
      text t = begin(error, ATTN_CORRUPT_FILE);
      put(&t, "state: expected page numbers below ");
      put_uint(&t, s->pages);
      put(&t, ", got ");
      put_int(&t, row[i]);
      return end(&t);
    }
  for (uint32_t i = 1; i < places; ++i)
    if (row[i] >= 0 && row[i - 1] < 0)
      return fail_with(error, ATTN_CORRUPT_FILE, "state: expected the pages of a slot in front, got a gap");
  uint64_t held = s->pooled ? 0 : held_places(s, sequence); /* a pool's are checked before each run */
  for (uint64_t i = 0; i < held; ++i)
    if (row[i] < 0) {
      text t = begin(error, ATTN_CORRUPT_FILE);
      put(&t, "state: expected ");
      put_uint(&t, held);
      put(&t, " pages for ");
      put_int(&t, length);
      put(&t, " tokens, got ");
      put_uint(&t, i);
      return end(&t);
    }
  return ATTN_OK;
}

int32_t attn_library_state_attach(const attn_model *model, void *memory, uint64_t bytes, attn_state **state,
                                  attn_error *error) {
  (void)model;
  if (!state)
    return no_place(error);
  *state = NULL;
  int32_t status = check_memory(memory, bytes, sizeof(attn_state), error);
  if (status != ATTN_OK)
    return status;
  attn_state *s = memory, planned;
  if ((status = check_state(s, error)) != ATTN_OK)
    return status;
  /* page 0 would mean "the default" to plan, but is never written. */
  if (!s->page || plan(&planned, s->slots, s->capacity, s->page, s->pooled ? &s->pages : NULL, NULL) != ATTN_OK ||
      s->bytes != planned.bytes || s->pages_per_slot != planned.pages_per_slot || s->places != planned.places ||
      s->cross_places != planned.cross_places || s->pages != planned.pages || s->pooled != planned.pooled)
    return fail_with(error, ATTN_CORRUPT_FILE, "state: expected sizes that agree with each other, got others");
  if (bytes < planned.bytes) {
    text t = begin(error, ATTN_CORRUPT_FILE);
    put(&t, "state: expected ");
    put_uint(&t, planned.bytes);
    put(&t, " bytes, got ");
    put_uint(&t, bytes);
    return end(&t);
  }
  for (uint32_t sequence = 0; sequence < state_sequences(s); ++sequence)
    if ((status = check_sequence(s, sequence, error)) != ATTN_OK)
      return status;
  if (!counts_agree(s))
    return fail_with(error, ATTN_CORRUPT_FILE, "state: expected page counts that agree with the table, got others");
  s->first_free = 0;
  s->stamp = device_stamp();
  memset(state_past(s), 0, scratch_ints(s) * sizeof(int32_t));
  *state = s;
  return ATTN_OK;
}
