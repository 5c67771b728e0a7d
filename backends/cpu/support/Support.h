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
  void *device;        /* what device_open left */
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
  uint64_t stamp;          /* another one when others than runs have written into the pages: a device's copy of them is old */
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
/* Inputs, then outputs; `extra` is that part of the workspace, and `shadows` what device_begin made. */
void describe_tensors(const attn_entry *entry, const attn_call *call, const DLTensor *shadows, const int64_t *dims,
                      char *extra, memref *m);

/* ---- Runs ------------------------------------------------------------------------------------------- */

/* Memory that a run may touch besides the tensors of its call, for devices that keep a copy of it. */
typedef struct memory_range {
  char *start;
  uint64_t bytes;
} memory_range;

typedef struct gang gang;
/* A run, as generated code passes it on: its first argument everywhere. */
typedef struct context {
  const attn_model *model;
  const attn_host *host;
  attn_error *error;    /* written by whoever sets status first; may be NULL */
  uint64_t done, total; /* ops */
  int32_t status;       /* sticky; atomic */
  gang *gang;           /* NULL: every op is a parallel_for */
  memory_range workspace; /* the entry's own */
  const attn_state *state; /* NULL: none */
  void *stream;           /* the caller's device queue; NULL: the run is finished on return */
} context;

typedef void (*kernel_fn)(void *arg, int64_t task, int64_t worker);

/* A run that begins. */
context begin_run(const attn_model *model, uint32_t index, attn_error *error);
/* Runs the generated code of an entry; args[0] is set here. */
void run_entry(context *ctx, uint32_t index, attn_argument *args);

/* The first failure, so far. */
int32_t status_of(const context *ctx);
/* Whether the caller is the first to fail, and may write the message. */
int claim(context *ctx, int32_t status);
/* Around an op: a no-op once the run has failed or is cancelled, when begin_op is 0. */
int begin_op(context *ctx, const attn_op_info *op);
void end_op(context *ctx, const attn_op_info *op);
/* Tells the host of something that is timed like an op. */
void tell_op(const context *ctx, const attn_op_info *op, attn_span_phase phase);
/* kernel(arg, 0 … count-1, worker) on the host's threads, or the gang's; from the thread that executes the entry. */
void run_tasks(context *ctx, kernel_fn kernel, void *arg, int64_t count, const char *op);

/* ---- Devices ---------------------------------------------------------------------------------------- */

/* What a device's support code defines (backends/device, halide, cuda); NoDevice.c does nothing. */

/* Ops that a device computes. tensors: the inputs of `pipeline`, then what it writes; in a scalar, of rank 0, data points at
 * the value. A pipeline is a function of Halide's with 8-byte arguments: 0, or it failed. */
typedef int (*pipeline_fn)(void **args);
void attn_launch(context *ctx, pipeline_fn pipeline, const DLTensor *tensors, int32_t inputs, int32_t inits,
                 const char *op, int64_t flop, int64_t bytes);
/* A view, between the host's memory and the device's. */
void attn_copy_to_host(context *ctx, const DLTensor *tensor);
void attn_copy_to_device(context *ctx, const DLTensor *tensor);

/* open, with everything in the model but the device; close. */
int32_t device_open(attn_model *model, DLDevice device, attn_error *error);
void device_close(attn_model *model);
/* Whether a tensor of a call may be in this memory. */
int device_holds(DLDevice device);
/* Before a run. A tensor of the call in the device's memory, the i-th of inputs and outputs, gets a place in the host's:
 * shadows[i]. Status of the run. */
int32_t device_begin(context *ctx, const attn_entry *entry, const attn_call *call, DLTensor *shadows);
/* After a run, for each page of the state that it wrote to, then for all of it: what it wrote is in the host's memory. */
void device_fetch_page(context *ctx, char *page);
void device_finish(context *ctx);
/* A number that no state has had: for attn_state.stamp. */
uint64_t device_stamp(void);
/* Whether it has threads of its own, which a gang would take the CPUs from. */
int device_has_threads(void);

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
