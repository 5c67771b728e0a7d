/* attn_abi.h: the boundary between a compiled attention model and the program that runs it.
 *
 * A model file (`model.so`, or an archive linked into the host) exports one symbol, attn_query, that returns
 * a constant table. Everything else is reached through that table. The model file needs no library, allocates
 * nothing by itself, reads no environment, and starts no thread: memory and threads are the host's (attn_host).
 *
 * Rules of the ABI
 *  - Every struct that may grow starts with `size`, its size in bytes as its creator knows it. New fields are
 *    added at the end; a reader looks only at fields that lie within `size`.
 *  - Functions return 0 (ATTN_OK) or a positive attn_status; where an attn_error is given it receives the same
 *    code and a message that names what was expected and what was given. NULL is allowed.
 *  - attn_model is immutable after open: run may be called from several threads at once, each with its own
 *    workspace. A state belongs to one run at a time.
 *  - Tensors are DLTensor (DLPack >= 1.0). Nothing relies on DLPack's 256-byte alignment, only on the element's.
 *  - Shapes below are written [batch, seq, ...]; sizes are bytes unless said otherwise.
 */
#ifndef ATTN_ABI_H
#define ATTN_ABI_H

#include <dlpack/dlpack.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ATTN_ABI_VERSION 1u

typedef enum attn_status {
  ATTN_OK = 0,
  ATTN_INVALID_ARGUMENT = 1, /* a null pointer, an unknown name or index, a wrong count */
  ATTN_SHAPE = 2,            /* rank, a dimension or strides differ from what the entry declares */
  ATTN_DTYPE = 3,            /* element type differs */
  ATTN_WORKSPACE = 4,        /* workspace or state memory too small or misaligned */
  ATTN_CACHE_FULL = 5,       /* the sequence would not fit the state's capacity; nothing was written */
  ATTN_CPU_UNSUPPORTED = 6,  /* no variant in the file runs on this CPU, or not the one asked for */
  ATTN_OUT_OF_MEMORY = 7,    /* the host's alloc returned NULL */
  ATTN_CALLBACK = 8,         /* parallel_for or an external function returned non-zero */
  ATTN_CANCELLED = 9,        /* poll returned non-zero; the state is as it was before the run */
  ATTN_CORRUPT_FILE = 10,    /* weights missing, truncated, or of another build; wrong magic in a state */
  ATTN_ABI_MISMATCH = 11,    /* file and host speak different ABI versions */
  ATTN_RANGE = 12,           /* a value is outside its range: a token id, a position, an index */
  ATTN_UNSUPPORTED = 13,     /* a legal request that this file or version does not implement */
  ATTN_IO = 14,              /* (runtime library only) a file could not be opened, read or mapped */
  ATTN_DEVICE = 15           /* a device, its driver, or what was compiled for it failed, or there is none */
} attn_status;

#define ATTN_ERROR_TEXT 512
/* Caller-owned. Set `size` to sizeof(attn_error) before the first use. */
typedef struct attn_error {
  uint32_t size;
  int32_t code;               /* attn_status */
  char text[ATTN_ERROR_TEXT]; /* NUL-terminated, one line, lowercase, no full stop */
} attn_error;

/* ---- What the host provides ------------------------------------------------------------------------- */

/* One unit of parallel work. worker < attn_host.workers names who runs it (it selects scratch memory);
 * two tasks that run at the same time have different workers. Returns 0, or non-zero to stop the run. */
typedef int32_t (*attn_task_fn)(void *arg, int64_t task, uint32_t worker);

/* An external function named by a model (attn.external), with the host's ctx. It fills the outputs, which hold anything, from
 * the inputs; every tensor has strides and an alignment of its elements. Returns 0, or non-zero to stop the run. Runs on the
 * thread of run or, with ATTN_HOST_GANG, on that of one of its tasks; it may not call parallel_for. */
typedef int32_t (*attn_external_fn)(void *ctx, const DLTensor *const *in, uint32_t n_in, DLTensor *const *out,
                                    uint32_t n_out);

typedef enum attn_span_phase { ATTN_SPAN_BEGIN = 0, ATTN_SPAN_END = 1 } attn_span_phase;

/* One op of a run, as attn_host.op is told of it. */
typedef struct attn_op_info {
  uint32_t size;
  const char *name; /* the model file's; ops of the same kind, in all layers, share it */
  int64_t tasks;
  uint64_t flop;  /* of its matrix products, 2 per multiply-add; 0: none, or unknown */
  uint64_t bytes; /* of operands and results: what must be read or written at least once; 0: unknown */
} attn_op_info;

enum attn_host_flags {
  /* Up to `workers` tasks of one parallel_for run at the same time for certain, each on a CPU of its own. A file may then
   * make a whole run one parallel_for of `workers` tasks, which spin between ops; span, op and poll are called inside one
   * of them, and parallel_for not again until it has returned. */
  ATTN_HOST_GANG = 1u
};

/* Every pointer may be NULL except alloc and free. The struct is copied by open; what ctx points to must
 * outlive the model. */
typedef struct attn_host {
  uint32_t size;
  uint32_t flags;   /* attn_host_flags */
  uint32_t workers; /* number of distinct worker indices parallel_for uses, >= 1; 1 when parallel_for is NULL */
  uint32_t reserved;
  void *ctx; /* passed to every callback */
  /* Called by open and close; by run only in files of the Halide backend, and there from any thread of parallel_for. */
  void *(*alloc)(void *ctx, DLDevice device, uint64_t bytes, uint64_t align); /* NULL result: out of memory */
  void (*free)(void *ctx, DLDevice device, void *memory);
  /* Runs fn(arg, 0..tasks-1, worker), any order, any thread, returns when all are done. A non-zero result of
   * any task is returned (remaining tasks may be skipped). NULL: the caller's thread runs all tasks. */
  int32_t (*parallel_for)(void *ctx, int64_t tasks, attn_task_fn fn, void *arg);
  void (*log)(void *ctx, int32_t level, const char *text);                 /* level 0 error .. 3 debug */
  void (*span)(void *ctx, const char *op, attn_span_phase phase, int64_t tasks); /* around every op; profiling */
  int32_t (*poll)(void *ctx, uint64_t done, uint64_t total); /* between ops; non-zero cancels the run */
  attn_external_fn (*resolve)(void *ctx, const char *name);  /* external functions, at open */
  /* Like span, and called after it, with what the file knows of the op's cost. */
  void (*op)(void *ctx, const attn_op_info *op, attn_span_phase phase);
  /* Called over and over by a task of a gang (ATTN_HOST_GANG) that has spun for some ten microseconds, from any thread:
   * gives the CPU to somebody else who wants it. NULL: it goes on spinning. */
  void (*idle)(void *ctx);
} attn_host;

/* ---- What the file describes ------------------------------------------------------------------------ */

/* A named dimension of an entry. Equal names within an entry are one value, checked at every run. */
typedef struct attn_dim {
  const char *name; /* "batch", "seq", ... */
  int64_t min, max; /* inclusive bounds */
} attn_dim;

enum attn_tensor_flags {
  ATTN_TENSOR_OPTIONAL = 1u, /* may be left out (NULL) */
  ATTN_TENSOR_STRIDED = 2u,  /* strides may be any that are not negative, with 1 as the last; else they are compact.
                                A dimension of size 1 may always have any stride */
  ATTN_TENSOR_CROSS_MASK = 4u, /* the tokens where it is not zero, all if it is left out, go to the cross part of the slot */
  ATTN_TENSOR_INT32 = 8u     /* may be given as int32, too; needs more workspace (call_workspace_bytes) */
};

#define ATTN_MAX_RANK 8
typedef struct attn_tensor_info {
  const char *name;           /* Hugging Face's name where there is one: "input_ids", "logits" */
  DLDataType dtype;
  uint32_t flags;             /* attn_tensor_flags */
  int32_t rank;               /* <= ATTN_MAX_RANK */
  int64_t dims[ATTN_MAX_RANK]; /* >= 0: static size; < 0: dimension number -1 - dims[i] of the entry */
} attn_tensor_info;

typedef struct attn_entry {
  uint32_t size;
  const char *name; /* "forward", "prefill", "decode", "verify", "encode", or the function's own name */
  uint32_t n_dims, n_in, n_out;
  const attn_dim *dims;
  const attn_tensor_info *in;
  const attn_tensor_info *out;
  uint32_t uses_state; /* attn_state_use; non-zero: run needs attn_call.state */
} attn_entry;

/* Besides the tokens of its own, a slot of a model with an encoder holds a cross part: keys and values of the encoder's
 * output, computed once per sequence by one entry ("encode") and read by others. */
enum attn_state_use {
  ATTN_STATE_APPENDS = 1u,     /* appends `seq` tokens to each slot */
  ATTN_STATE_READS_CROSS = 2u,
  ATTN_STATE_FILLS_CROSS = 4u  /* appends to the cross part, which must be empty: ATTN_CACHE_FULL if it is not */
};

typedef struct attn_variant {
  const char *name; /* "x86-64-v4", "x86-64-v3", ... best first */
} attn_variant;

typedef struct attn_model attn_model; /* an open model: made by open, immutable */
typedef struct attn_state attn_state; /* cached sequences, in memory the caller owns (state_bytes) */

typedef struct attn_open_options {
  uint32_t size;
  const char *variant;    /* NULL: the best one this CPU runs */
  const void *weights;    /* weights that lie beside the file, mapped or read by the caller; 64-byte aligned.
                             NULL: the weights inside the file */
  uint64_t weights_bytes;
  DLDevice device;        /* {kDLCPU, 0} for CPU files */
} attn_open_options;

typedef struct attn_call {
  uint32_t size;
  uint32_t n_in, n_out;
  const DLTensor *const *in; /* in the entry's order; NULL element: optional input left out */
  DLTensor *const *out;      /* caller-allocated, in the entry's order; NULL element: not wanted, which needs more
                                workspace (call_workspace_bytes) */
  attn_state *state;         /* entries with uses_state; otherwise NULL */
  const int32_t *slots;      /* [batch]: batch row r works on slot slots[r] (all different); NULL: slot r */
  void *workspace;           /* 64-byte aligned; contents are scratch */
  uint64_t workspace_bytes;  /* at least call_workspace_bytes(model, entry, this) */
  void *stream;              /* device queue, for CUDA a CUstream: the run comes after what it has, and what it gets then
                                after the run. NULL: the run is finished on return. CPU files ignore it */
} attn_call;

/* A slot's tokens lie in pages, which slots may share. docs/caches.md shows what can be built from this. */
typedef enum attn_state_verb {
  ATTN_STATE_LENGTH = 0,   /* *result = tokens held by `slot`, without the cross part */
  ATTN_STATE_TRUNCATE = 1, /* keep the first `value` tokens of `slot` and its cross part. Pages beyond become free, but for a
                              pool's. ATTN_RANGE when a model with windows has written over the older ones that the
                              next run would read */
  ATTN_STATE_COPY = 2,     /* `slot` becomes an independent copy of slot `value`; not in a pool */
  ATTN_STATE_FORK = 3,     /* `slot` becomes a copy of slot `value` that shares its pages. A run copies a page before it
                              writes into one that is shared, so neither slot sees the other's tokens; not in a pool */
  ATTN_STATE_CAPACITY = 4, /* *result = tokens a slot can hold */
  /* Physical pages, for hosts that look after them. `slot` is any. */
  ATTN_STATE_PAGES = 5,       /* *result = pages in the state */
  ATTN_STATE_PAGE_OFFSET = 6, /* *result = bytes from the start of the state's memory to page `value`; pages follow each
                                 other, and `value` = their number gives the end */
  ATTN_STATE_PAGE_USES = 7,   /* *result = how often slots hold page `value`; 0: it is free */
  ATTN_STATE_CLEAR = 8,       /* `slot` becomes empty, its cross part too; otherwise as truncating to 0 */
  ATTN_STATE_CROSS_LENGTH = 9 /* *result = tokens in the cross part of `slot` */
} attn_state_verb;

/* A file that travels inside the model file, as it was (attnc --tokenizer): what a program needs besides the entries to turn
 * text into their inputs. */
typedef struct attn_embedded_file {
  const char *name; /* "tokenizer.json": its path in the directory */
  const void *data;
  uint64_t bytes;
} attn_embedded_file;

/* The table that attn_query returns: constant data in the model file. */
typedef struct attn_library {
  uint32_t size;
  uint32_t abi;          /* ATTN_ABI_VERSION the file was built with */
  const char *name;      /* model name */
  const char *build_id;  /* 32 hex digits: depends on the model, the weights' layout and the compiler */
  const char *json;      /* metadata as one JSON object: entries, dims, generation defaults, build flags */
  uint32_t n_variants, n_entries;
  const attn_variant *variants; /* best first */
  const attn_entry *entries;
  uint64_t weights_bytes;       /* packed weights, including their 64-byte header; 0: none */
  const void *weights;          /* inside the file; NULL: beside it (weights_file) */
  const char *weights_file;     /* file name, relative to the model file, of weights beside it; or NULL */

  /* Chooses a variant, checks the weights' header, resolves external functions. options may be NULL. */
  int32_t (*open)(const attn_host *host, const attn_open_options *options, attn_model **model, attn_error *error);
  void (*close)(attn_model *model);
  const char *(*variant)(const attn_model *model); /* the variant chosen */

  /* Binds the entry's named dimensions from the inputs' shapes (all inputs are checked as run does);
   * dims is int64[n_dims]. A dimension that no given input carries is left as -1. */
  int32_t (*infer_dims)(const attn_model *model, uint32_t entry, const attn_call *call, int64_t *dims,
                        attn_error *error);
  /* Bytes of workspace for these dimensions, inputs of the declared types and all outputs, or 0 with `error` set when
   * they are out of bounds. Never less than 64. */
  uint64_t (*workspace_bytes)(const attn_model *model, uint32_t entry, const int64_t *dims, attn_error *error);

  /* Memory for `slots` sequences of up to `capacity` tokens in pages of `page` tokens (a multiple of 64;
   * 0: chosen by the file). 0 with `error` set when out of bounds or when the model has no state. A model whose
   * attention has a window everywhere needs memory for that window only, whatever the capacity. Where there is a cross
   * part it is as long as the longest `seq` of the entry that fills it or, if that has no bound, `capacity`. state_init does
   * not touch the pages; memory that the sequences do not reach stays untouched. */
  uint64_t (*state_bytes)(const attn_model *model, uint32_t slots, uint64_t capacity, uint32_t page,
                          attn_error *error);
  int32_t (*state_init)(const attn_model *model, void *memory, uint64_t bytes, uint32_t slots, uint64_t capacity,
                        uint32_t page, attn_state **state, attn_error *error);
  /* Takes up a state copied or restored byte for byte into `memory` (64-byte aligned): checks that it was
   * made by this build and that every length and page number is in range. */
  int32_t (*state_attach)(const attn_model *model, void *memory, uint64_t bytes, attn_state **state,
                          attn_error *error);
  int32_t (*state_op)(const attn_model *model, attn_state *state, attn_state_verb verb, uint32_t slot,
                      int64_t value, int64_t *result, attn_error *error);

  /* Runs one entry. Everything is checked before anything is written; when the result is not ATTN_OK the
   * outputs' contents are unspecified and the state's lengths are unchanged. */
  int32_t (*run)(const attn_model *model, uint32_t entry, const attn_call *call, attn_error *error);

  /* ---- Fields below are present when `size` says so ---- */

  /* A pool is a state of `pages` physical pages, 0 to pages - 1, that the host hands out itself, to any slot and in any
   * order. Sizes, runs, lengths and attach are those of other states; a page never moves. Not for models with a cross part
   * (ATTN_UNSUPPORTED). */
  uint64_t (*pool_bytes)(const attn_model *model, uint32_t slots, uint64_t capacity, uint32_t page, uint32_t pages,
                         attn_error *error);
  int32_t (*pool_init)(const attn_model *model, void *memory, uint64_t bytes, uint32_t slots, uint64_t capacity,
                       uint32_t page, uint32_t pages, attn_state **state, attn_error *error);
  /* From now on `slot` consists of pages[0 .. n-1] in this order and holds `length` <= n * page tokens; n = 0 gives all
   * pages back. Other slots may hold the same pages (shared prefixes), but a run refuses, before it writes anything, to
   * append into a page that is held twice, or to positions without a page (ATTN_RANGE). ATTN_RANGE when a number is
   * none of the pool's; the slot is then as it was. `pages` is copied. */
  int32_t (*pool_map)(const attn_model *model, attn_state *state, uint32_t slot, const int32_t *pages, uint32_t n,
                      int64_t length, attn_error *error);

  /* Bytes of workspace for exactly this call, or 0 with `error` set when run would refuse its inputs or outputs: those of
   * workspace_bytes for its dimensions, and of each output left out and each input given as int32 in the declared type,
   * rounded up to 64. */
  uint64_t (*call_workspace_bytes)(const attn_model *model, uint32_t entry, const attn_call *call, attn_error *error);

  uint32_t n_files;
  const attn_embedded_file *files;
} attn_library;

/* The only exported symbol (NAME_attn_query in an archive built with --name=NAME). Returns NULL when the file
 * needs a newer ABI than max_abi. */
typedef const attn_library *(*attn_query_fn)(uint32_t max_abi);
const attn_library *attn_query(uint32_t max_abi);

/* First 64 bytes of the packed weights, inside or beside the file. */
#define ATTN_WEIGHTS_MAGIC 0x3157544e4e545441ull /* "ATTNNTW1" */
typedef struct attn_weights_header {
  uint64_t magic;
  uint64_t bytes;      /* whole segment, header included */
  char build_id[32];   /* of the model file, not NUL-terminated */
  uint64_t hash;       /* xxh3-64 of everything after the header; checked by `attn-run --verify` only */
  uint64_t reserved;
} attn_weights_header;

#ifdef __cplusplus
}
#endif
#endif /* ATTN_ABI_H */
