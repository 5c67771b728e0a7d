/* Support.h: shared by the files of the support code, the freestanding C that every model file contains.
 *
 * It is compiled to LLVM bitcode when attnc is built and linked into each model as IR: no library, no allocation, no
 * global state. It stands between attn_abi.h and the generated code, which it calls with memref descriptors. */
#ifndef ATTN_BACKENDS_CPU_SUPPORT_H
#define ATTN_BACKENDS_CPU_SUPPORT_H

#include "Descriptor.h"

#include <stddef.h>
#include <stdint.h>

extern const attn_model_descriptor attn_descriptor; /* attnc writes it */

struct attn_model {
  attn_host host;      /* a copy; fields the host does not know are 0 */
  const char *variant; /* name of the one chosen */
  const attn_code *code; /* [n_entries] of that variant */
  const void *weights; /* attn_weights_header and what follows; NULL: none */
  attn_external_fn externals[]; /* as attn_descriptor's */
};

/* A state holds sequences: one per slot and then, where the model has a cross cache, another one per slot, its cross part
 * (cross_of). The header is followed by int32
 *   lengths[sequences]        tokens
 *   reach[sequences]          positions that were written since the sequence was last empty, from 0; >= length
 *   table[sequences][places]  physical pages, -1: none. First those that hold something. cross_places in a cross part
 *   counts[pages]             of each physical page in the table; 0: free
 *   past[sequences], rows[sequences][pages_per_slot or cross_places]: lengths and pages by position of the batch that
 *                             runs; scratch
 * then, aligned to 64, the pages. Position-independent: it may be copied or saved as bytes.
 *
 * A sequence's i-th page, the positions i*page and up, has its own place in the table (place_of) or, in a ring, takes turns
 * with others. Without a pool there is a physical page for every place of every sequence: none is ever lacking. */
struct attn_state {
  uint64_t magic;
  char build_id[32];
  uint64_t bytes;    /* of the whole state */
  uint64_t capacity; /* tokens per slot */
  uint32_t slots, page;    /* tokens of a page */
  uint32_t pages_per_slot; /* ⌈capacity/page⌉ */
  uint32_t places;         /* <= pages_per_slot; less: a ring behind the pages of the sinks */
  uint32_t pages;          /* physical */
  uint32_t pooled;         /* 1: the host hands the pages out (pool_map) */
  uint32_t first_free;     /* no page before it is free */
  uint32_t cross_places;   /* pages of a cross part; 0: there is none */
};

/* Errors: `begin` clears the message and sets the code, `put…` append to it, `end` terminates it and returns the code. */
typedef struct text {
  char *data;
  size_t size, capacity; /* capacity leaves room for the terminator; 0: nowhere to write */
  int32_t code;
} text;
text begin(attn_error *error, int32_t code);
void put(text *t, const char *string);
void put_int(text *t, int64_t value);
void put_uint(text *t, uint64_t value);
int32_t end(text *t);
/* All three for a message that is one string. */
int32_t fail_with(attn_error *error, int32_t code, const char *message);

int same_text(const char *a, const char *b);

/* Checks a tensor against its description and binds its named dimensions in dims (-1: not yet bound). Shape, type,
 * device, strides, pointer and alignment; ATTN_OK or an error that names the tensor. */
int32_t check_tensor(const attn_entry *entry, const attn_tensor_info *info, const DLTensor *tensor, int64_t *dims,
                     attn_error *error);
/* The call's inputs, all of them; dims[n_dims] are bound from nothing. */
int32_t check_inputs(const attn_entry *entry, const attn_call *call, int64_t *dims, attn_error *error);
/* The entry at `index`, or NULL with the error set. */
const attn_entry *find_entry(const attn_model *model, uint32_t index, attn_error *error);

/* Arrays behind a state's header. */
int32_t *state_lengths(const attn_state *s);
int32_t *state_reach(const attn_state *s);
int32_t *state_table(const attn_state *s);
int32_t *state_counts(const attn_state *s);
int32_t *state_past(const attn_state *s);
int32_t *state_rows(const attn_state *s);
char *state_pages(const attn_state *s);
uint64_t state_page_bytes(const attn_state *s);
/* Sequences, and the one that is the cross part of a slot. */
uint32_t state_sequences(const attn_state *s);
uint32_t cross_of(const attn_state *s, uint32_t slot);
/* Of a sequence: its part of the table, with how many places, and tokens that it can hold. */
int32_t *state_row(const attn_state *s, uint32_t sequence);
uint32_t state_places(const attn_state *s, uint32_t sequence);
uint64_t state_capacity(const attn_state *s, uint32_t sequence);
/* Pages that hold the attention sinks. */
uint64_t sink_pages(const attn_state *s);
/* Places of a sequence that hold something. */
uint64_t held_places(const attn_state *s, uint32_t sequence);
/* Magic and build. */
int32_t check_state(const attn_state *s, attn_error *error);

/* Around a run that appends `tokens` >= 0 to a sequence. check: whether the host mapped the pages it needs (pools).
 * begin: makes the pages that it writes the sequence's own, and gathers row `row`; cannot fail. end: commits or takes back. */
int32_t check_pages(const attn_entry *entry, const attn_state *s, uint32_t slot, int64_t tokens, attn_error *error);
void begin_append(attn_state *s, uint32_t sequence, int64_t tokens, int64_t row);
void end_append(attn_state *s, uint32_t sequence, int64_t tokens, int succeeded);

/* MLIR's descriptor of a memref, of any rank up to ATTN_MAX_RANK: sizes[rank], then strides[rank]. */
typedef struct memref {
  void *allocated, *aligned;
  int64_t offset, sizes_and_strides[2 * ATTN_MAX_RANK];
} memref;
void describe(memref *m, void *data, int32_t rank, const int64_t *sizes, const int64_t *strides);

/* Bytes of workspace besides the entry's own: for inputs given as int32 and outputs left out, all of which were checked.
 * UINT64_MAX: too many. */
uint64_t extra_bytes(const attn_entry *entry, const attn_call *call, const int64_t *dims);
/* Inputs, then outputs; `extra` is that part of the workspace. */
void describe_tensors(const attn_entry *entry, const attn_call *call, const int64_t *dims, char *extra, memref *m);

/* Runs the generated code of an entry; args[0] is set here. The first failure of any of its tasks. */
int32_t run_entry(const attn_model *model, uint32_t index, const void **args, attn_error *error);

/* Entries of attn_library. */
int32_t attn_library_open(const attn_host *, const attn_open_options *, attn_model **, attn_error *);
void attn_library_close(attn_model *);
const char *attn_library_variant(const attn_model *);
int32_t attn_library_infer_dims(const attn_model *, uint32_t, const attn_call *, int64_t *, attn_error *);
uint64_t attn_library_workspace_bytes(const attn_model *, uint32_t, const int64_t *, attn_error *);
uint64_t attn_library_state_bytes(const attn_model *, uint32_t, uint64_t, uint32_t, attn_error *);
int32_t attn_library_state_init(const attn_model *, void *, uint64_t, uint32_t, uint64_t, uint32_t, attn_state **,
                                attn_error *);
int32_t attn_library_state_attach(const attn_model *, void *, uint64_t, attn_state **, attn_error *);
int32_t attn_library_state_op(const attn_model *, attn_state *, attn_state_verb, uint32_t, int64_t, int64_t *,
                              attn_error *);
int32_t attn_library_run(const attn_model *, uint32_t, const attn_call *, attn_error *);
uint64_t attn_library_pool_bytes(const attn_model *, uint32_t, uint64_t, uint32_t, uint32_t, attn_error *);
int32_t attn_library_pool_init(const attn_model *, void *, uint64_t, uint32_t, uint64_t, uint32_t, uint32_t,
                               attn_state **, attn_error *);
int32_t attn_library_pool_map(const attn_model *, attn_state *, uint32_t, const int32_t *, uint32_t, int64_t,
                              attn_error *);
uint64_t attn_library_call_workspace_bytes(const attn_model *, uint32_t, const attn_call *, attn_error *);

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

#endif
