/* State.c: cached sequences in memory that the caller owns. */
#include "Support.h"

#define STATE_MAGIC 0x31455441544e5441ull /* "ATNTATE1" */
#define DEFAULT_PAGE 64u
#define MAX_PAGE (1u << 20)

/* ---- Layout ----------------------------------------------------------------------------------------- */

int32_t *state_lengths(const attn_state *s) { return (int32_t *)(s + 1); }
int32_t *state_table(const attn_state *s) { return state_lengths(s) + s->slots; }
int32_t *state_past(const attn_state *s) { return state_table(s) + (size_t)s->slots * s->pages_per_slot; }
int32_t *state_rows(const attn_state *s) { return state_past(s) + s->slots; }

/* Bytes in front of the pages, for `pages` pages in all. */
static uint64_t head_bytes(uint64_t slots, uint64_t pages) {
  uint64_t bytes = sizeof(attn_state) + 2 * (slots + pages) * sizeof(int32_t);
  return (bytes + 63) / 64 * 64;
}

char *state_pages(const attn_state *s) {
  return (char *)s + head_bytes(s->slots, (uint64_t)s->slots * s->pages_per_slot);
}
uint64_t state_pages_bytes(const attn_state *s) {
  return (uint64_t)s->slots * s->pages_per_slot * s->page * attn_descriptor.token_bytes;
}

uint64_t attn_library_state_bytes(const attn_model *model, uint32_t slots, uint64_t capacity, uint32_t page,
                                  attn_error *error) {
  (void)model;
  uint64_t token = attn_descriptor.token_bytes;
  if (!token) {
    fail_with(error, ATTN_UNSUPPORTED, "state: the model has none");
    return 0;
  }
  if (!page)
    page = DEFAULT_PAGE;
  if (page % 64 != 0 || page > MAX_PAGE) {
    text t = begin(error, ATTN_RANGE);
    put(&t, "state: expected a page of 64, 128, … 1048576 tokens, got ");
    put_uint(&t, page);
    end(&t);
    return 0;
  }
  if (!slots || !capacity || capacity > INT32_MAX) {
    text t = begin(error, ATTN_RANGE);
    put(&t, "state: expected at least one slot of 1 to 2147483647 tokens, got ");
    put_uint(&t, slots);
    put(&t, slots == 1 ? " slot of " : " slots of ");
    put_uint(&t, capacity);
    end(&t);
    return 0;
  }
  uint64_t pages = slots * ((capacity + page - 1) / page), bytes;
  if (pages > INT32_MAX || __builtin_mul_overflow(pages * page, token, &bytes) ||
      __builtin_add_overflow(bytes, head_bytes(slots, pages), &bytes) || bytes > INT64_MAX) {
    text t = begin(error, ATTN_RANGE);
    put(&t, "state: expected a size that fits into memory, got ");
    put_uint(&t, slots);
    put(&t, " slots of ");
    put_uint(&t, capacity);
    put(&t, " tokens");
    end(&t);
    return 0;
  }
  return bytes;
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

int32_t attn_library_state_init(const attn_model *model, void *memory, uint64_t bytes, uint32_t slots,
                                uint64_t capacity, uint32_t page, attn_state **state, attn_error *error) {
  if (!state)
    return fail_with(error, ATTN_INVALID_ARGUMENT, "state: expected a place for the state, got null");
  *state = NULL;
  attn_error local;
  local.size = sizeof local;
  local.code = ATTN_OK;
  uint64_t needed = attn_library_state_bytes(model, slots, capacity, page, error ? error : &local);
  if (!needed)
    return !attn_descriptor.token_bytes ? ATTN_UNSUPPORTED : ATTN_RANGE;
  int32_t status = check_memory(memory, bytes, needed, error);
  if (status != ATTN_OK)
    return status;
  attn_state *s = memory;
  if (!page)
    page = DEFAULT_PAGE;
  uint64_t pages_per_slot = (capacity + page - 1) / page;
  /* All of the head, padding too: a saved state has no accidental bytes there. Pages are written before they are
   * read. */
  memset(s, 0, head_bytes(slots, slots * pages_per_slot));
  s->magic = STATE_MAGIC;
  memcpy(s->build_id, attn_descriptor.library->build_id, sizeof s->build_id);
  s->bytes = needed;
  s->capacity = capacity;
  s->slots = slots;
  s->page = page;
  s->pages_per_slot = (uint32_t)pages_per_slot;
  int32_t *table = state_table(s);
  for (uint64_t i = 0; i < slots * pages_per_slot; ++i)
    table[i] = (int32_t)i;
  *state = s;
  return ATTN_OK;
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

int32_t attn_library_state_attach(const attn_model *model, void *memory, uint64_t bytes, attn_state **state,
                                  attn_error *error) {
  if (!state)
    return fail_with(error, ATTN_INVALID_ARGUMENT, "state: expected a place for the state, got null");
  *state = NULL;
  int32_t status = check_memory(memory, bytes, sizeof(attn_state), error);
  if (status != ATTN_OK)
    return status;
  attn_state *s = memory;
  if ((status = check_state(s, error)) != ATTN_OK)
    return status;
  /* page 0 would mean "the default" below, but is never written. */
  uint64_t needed = s->page ? attn_library_state_bytes(model, s->slots, s->capacity, s->page, NULL) : 0;
  if (!needed || s->bytes != needed || s->pages_per_slot != (s->capacity + s->page - 1) / s->page)
    return fail_with(error, ATTN_CORRUPT_FILE, "state: expected sizes that agree with each other, got others");
  if (bytes < needed) {
    text t = begin(error, ATTN_CORRUPT_FILE);
    put(&t, "state: expected ");
    put_uint(&t, needed);
    put(&t, " bytes, got ");
    put_uint(&t, bytes);
    return end(&t);
  }
  uint64_t pages = (uint64_t)s->slots * s->pages_per_slot;
  const int32_t *lengths = state_lengths(s), *table = state_table(s);
  for (uint32_t i = 0; i < s->slots; ++i)
    if (lengths[i] < 0 || (uint64_t)lengths[i] > s->capacity) {
      text t = begin(error, ATTN_CORRUPT_FILE);
      put(&t, "state: expected lengths from 0 to ");
      put_uint(&t, s->capacity);
      put(&t, ", got ");
      put_int(&t, lengths[i]);
      return end(&t);
    }
  for (uint64_t i = 0; i < pages; ++i)
    if (table[i] < 0 || (uint64_t)table[i] >= pages) {
      text t = begin(error, ATTN_CORRUPT_FILE);
      put(&t, "state: expected page numbers below ");
      put_uint(&t, pages);
      put(&t, ", got ");
      put_int(&t, table[i]);
      return end(&t);
    }
  *state = s;
  return ATTN_OK;
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

/* Pages that hold tokens, one by one: the two slots' pages lie anywhere. */
static void copy_slot(attn_state *s, uint32_t to, uint32_t from) {
  int32_t *lengths = state_lengths(s), *table = state_table(s);
  uint64_t page_bytes = s->page * attn_descriptor.token_bytes;
  uint64_t used = ((uint64_t)lengths[from] + s->page - 1) / s->page;
  for (uint64_t p = 0; p < used; ++p) {
    uint64_t target = (uint64_t)table[(uint64_t)to * s->pages_per_slot + p];
    uint64_t source = (uint64_t)table[(uint64_t)from * s->pages_per_slot + p];
    if (target != source)
      memcpy(state_pages(s) + target * page_bytes, state_pages(s) + source * page_bytes, page_bytes);
  }
  lengths[to] = lengths[from];
}

int32_t attn_library_state_op(const attn_model *model, attn_state *s, attn_state_verb verb, uint32_t slot,
                              int64_t value, int64_t *result, attn_error *error) {
  (void)model;
  int32_t status = check_state(s, error);
  if (status != ATTN_OK)
    return status;
  if ((verb == ATTN_STATE_LENGTH || verb == ATTN_STATE_CAPACITY) && !result)
    return fail_with(error, ATTN_INVALID_ARGUMENT, "state: expected a place for the result, got null");
  if (slot >= s->slots)
    return bad_slot(s, slot, error);
  int32_t *lengths = state_lengths(s);
  switch (verb) {
  case ATTN_STATE_LENGTH: *result = lengths[slot]; return ATTN_OK;
  case ATTN_STATE_CAPACITY: *result = (int64_t)s->capacity; return ATTN_OK;
  case ATTN_STATE_TRUNCATE:
    if (value < 0 || value > lengths[slot]) {
      text t = begin(error, ATTN_RANGE);
      put(&t, "state: expected to keep 0 to ");
      put_int(&t, lengths[slot]);
      put(&t, " tokens, got ");
      put_int(&t, value);
      return end(&t);
    }
    lengths[slot] = (int32_t)value;
    return ATTN_OK;
  case ATTN_STATE_COPY:
    if (value < 0 || value >= s->slots)
      return bad_slot(s, value, error);
    if ((uint32_t)value != slot)
      copy_slot(s, slot, (uint32_t)value);
    return ATTN_OK;
  case ATTN_STATE_FORK:
    return fail_with(error, ATTN_UNSUPPORTED, "state: sharing pages between slots is not implemented; copy the slot");
  }
  text t = begin(error, ATTN_INVALID_ARGUMENT);
  put(&t, "state: expected a known verb, got ");
  put_int(&t, (int64_t)verb);
  return end(&t);
}
