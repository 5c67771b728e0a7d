/* attn_runtime.h: a small library for programs that run compiled attention models (C11, no dependencies).
 *
 * attn_abi.h is the boundary with a model file; everything here is a convenience on the host's side of it: a
 * thread pool and allocator (attn_runtime), loading (attn_file), workspaces (attn_session), caches
 * (attn_state_memory), arrays and .npy files. A program may use any part, or none (examples/embed).
 *
 *   attn_error error = {.size = sizeof error};
 *   attn_runtime_create(NULL, &runtime, &error);
 *   attn_file_load("model.so", &file, &error);
 *   attn_file_open(file, attn_runtime_host(runtime), NULL, &model, &error);
 *   attn_session_create(attn_file_library(file), model, attn_runtime_host(runtime), &session, &error);
 *   attn_session_run(session, attn_library_find(library, "forward"), &call, &error);
 *
 * Conventions: functions that can fail return ATTN_OK or an attn_status and fill in `error` (NULL allowed).
 * On failure the object asked for is set to NULL and nothing needs freeing. Every *_free accepts NULL. Free in
 * the reverse order of creation: session, states and arrays, model (library->close), file, runtime.
 */
#ifndef ATTN_RUNTIME_H
#define ATTN_RUNTIME_H

#include "attn_abi.h"
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ATTN_API __attribute__((visibility("default")))
#define ATTN_FORMAT(string, first) __attribute__((format(printf, string, first)))
#else
#define ATTN_API
#define ATTN_FORMAT(string, first)
#endif

/* ---- Errors ----------------------------------------------------------------------------------------- */

/* Writes `code` and the formatted text to `error` (which may be NULL) and returns `code`. Control characters
 * in the text, which may come from a hostile file, become '?'. */
ATTN_API int32_t attn_fail(attn_error *error, int32_t code, const char *format, ...) ATTN_FORMAT(3, 4);

/* "ok", "invalid-argument", "shape", … ; "unknown" for a code this version does not know. */
ATTN_API const char *attn_status_name(int32_t code);

/* ---- Thread pool ------------------------------------------------------------------------------------ */

/* Persistent threads behind attn_host.parallel_for. The caller of attn_pool_run is worker 0; `workers - 1`
 * threads wait for work, first spinning for some ten microseconds, then asleep. */
typedef struct attn_pool attn_pool;

/* CPUs this process may use: those in its affinity mask. At least 1. */
ATTN_API uint32_t attn_default_threads(void);

/* workers 0: attn_default_threads(). At most ATTN_MAX_WORKERS. Signals are blocked in the pool's threads. */
#define ATTN_MAX_WORKERS 4096u
ATTN_API int32_t attn_pool_create(uint32_t workers, attn_pool **pool, attn_error *error);
ATTN_API uint32_t attn_pool_workers(const attn_pool *pool);

/* Runs fn(arg, t, worker) once for every t in 0..tasks-1 and returns when all are done: 0, or the first
 * non-zero result, after which tasks not yet begun are skipped. Tasks are claimed in increasing order; up to
 * `workers` of them run at the same time for certain (ATTN_HOST_GANG), so tasks <= workers may use barriers.
 *  - Several threads may call it at the same time: calls are carried out one after the other.
 *  - A task must not call it for its own pool: refused with ATTN_INVALID_ARGUMENT (waiting would never end,
 *    and running the tasks one by one would break the promise above). Another pool is fine, as long as no
 *    chain of pools comes back to the first one.
 *  - After fork the child must not use the parent's pool. */
ATTN_API int32_t attn_pool_run(attn_pool *pool, int64_t tasks, attn_task_fn fn, void *arg);

/* Waits for the threads to end. No run may be in progress. */
ATTN_API void attn_pool_free(attn_pool *pool);

/* ---- The default host ------------------------------------------------------------------------------- */

/* Thread pool, aligned memory, log to stderr, profile, cancellation. */
typedef struct attn_runtime attn_runtime;

enum attn_runtime_flags {
  ATTN_RUNTIME_PROFILE = 1u, /* collect the time of every op (attn_runtime_profile) */
  ATTN_RUNTIME_GUARD = 2u    /* find memory errors of models: every allocation is filled with 0xff bytes (NaN
                                in each float type) and ends at an inaccessible page. Slow */
};

/* Called between ops with the ops done and in total; non-zero cancels the run. */
typedef int32_t (*attn_progress_fn)(void *ctx, uint64_t done, uint64_t total);

typedef struct attn_runtime_options {
  uint32_t size;
  uint32_t threads;   /* 0: attn_default_threads() */
  uint32_t flags;     /* attn_runtime_flags */
  int32_t log_level;  /* messages above it are dropped: 0 errors only .. 3 debug */
  attn_progress_fn progress; /* or NULL */
  void *progress_ctx;
} attn_runtime_options;

/* options NULL: all zero. */
ATTN_API int32_t attn_runtime_create(const attn_runtime_options *options, attn_runtime **runtime,
                                     attn_error *error);
ATTN_API void attn_runtime_free(attn_runtime *runtime);

/* The host to give to open; valid until attn_runtime_free. To add a callback (resolve, say), change a copy.
 * alloc and free serve kDLCPU only. */
ATTN_API const attn_host *attn_runtime_host(const attn_runtime *runtime);

/* Makes runs in progress and all later ones end with ATTN_CANCELLED, until attn_runtime_resume. Any thread or
 * signal handler may call it. */
ATTN_API void attn_runtime_cancel(attn_runtime *runtime);
ATTN_API void attn_runtime_resume(attn_runtime *runtime);

/* Sums over calls of one op: those of one name, in all layers, whose FLOP and bytes have the same powers of two.
 * Time is wall time; an op within an op counts in both. */
typedef struct attn_profile_row {
  const char *op; /* owned by the runtime; valid until attn_runtime_profile_reset or _free */
  uint64_t calls, tasks, ns;
  uint64_t flop, bytes; /* attn_op_info */
} attn_profile_row;

/* Writes the first `capacity` rows, most time first, and returns how many rows there are. */
ATTN_API uint32_t attn_runtime_profile(attn_runtime *runtime, attn_profile_row *rows, uint32_t capacity);
ATTN_API void attn_runtime_profile_reset(attn_runtime *runtime);

/* With ATTN_RUNTIME_GUARD: allocations freed so far whose last, padding bytes had been overwritten (an
 * allocation whose size is not a multiple of its alignment ends that many bytes before the page). Writes into
 * the page itself end the process. */
ATTN_API uint64_t attn_runtime_overruns(const attn_runtime *runtime);

/* ---- Model files ------------------------------------------------------------------------------------ */

/* A loaded model file and, where its weights lie beside it, their mapping. */
typedef struct attn_file attn_file;

/* Loads `path` and checks that it is a model file of this ABI. A model file is code: load only files that you
 * would run. A file that is truncated, of another processor, not a model or of another ABI is an error:
 * ATTN_IO, ATTN_CORRUPT_FILE, ATTN_INVALID_ARGUMENT, ATTN_ABI_MISMATCH. Weights are not touched. */
ATTN_API int32_t attn_file_load(const char *path, attn_file **file, attn_error *error);
/* The same for a model linked into the program (attnc --emit=archive). `path` names the directory of weights
 * that lie beside ("./model"); it may be NULL when they are inside. */
ATTN_API int32_t attn_file_link(attn_query_fn query, const char *path, attn_file **file, attn_error *error);
ATTN_API void attn_file_free(attn_file *file);
ATTN_API const attn_library *attn_file_library(const attn_file *file);
ATTN_API const char *attn_file_path(const attn_file *file);

/* Opens the model: maps weights that lie beside the file (read-only, shared between processes) and calls the
 * library's open. variant NULL: the best this CPU runs. Close with attn_file_library(file)->close(model). May
 * be called repeatedly; not by several threads at once for the same file. */
ATTN_API int32_t attn_file_open(attn_file *file, const attn_host *host, const char *variant, attn_model **model,
                                attn_error *error);

/* Reads all weights and compares their hash with the one recorded at compile time. `hash` (or NULL) receives
 * it. ATTN_CORRUPT_FILE when they differ. A model without weights passes, with hash 0. */
ATTN_API int32_t attn_file_verify(attn_file *file, uint64_t *hash, attn_error *error);

/* Entry number i (< n_entries). Use this rather than entries[i]: a later version's entries are longer. */
ATTN_API const attn_entry *attn_library_entry(const attn_library *library, uint32_t i);
/* Number of the entry called `name`, or -1. */
ATTN_API int64_t attn_library_find(const attn_library *library, const char *name);
/* The files inside the model file, and how many there are; none in one of before they could be. */
ATTN_API uint32_t attn_library_files(const attn_library *library, const attn_embedded_file **files);

/* ---- Sessions --------------------------------------------------------------------------------------- */

/* A model with a workspace that is allocated at the first run and grows when a run needs more. One run at a
 * time; make one session per thread that runs. */
typedef struct attn_session attn_session;

/* `library`, `model` and what `host` points to must outlive the session. */
ATTN_API int32_t attn_session_create(const attn_library *library, const attn_model *model, const attn_host *host,
                                     attn_session **session, attn_error *error);
ATTN_API void attn_session_free(attn_session *session);

/* Values of the entry's named dimensions for the call's inputs: int64[n_dims], -1 where no input says. */
ATTN_API int32_t attn_session_dims(attn_session *session, uint32_t entry, const attn_call *call, int64_t *dims,
                                   attn_error *error);
/* Runs one entry; call->workspace is ignored and the session's is used. */
ATTN_API int32_t attn_session_run(attn_session *session, uint32_t entry, const attn_call *call, attn_error *error);
ATTN_API uint64_t attn_session_workspace_bytes(const attn_session *session);

/* Shape of an input or output for given dimension values: int64[info->rank]. ATTN_SHAPE when it uses a
 * dimension whose value is -1. */
ATTN_API int32_t attn_entry_shape(const attn_entry *entry, const attn_tensor_info *info, const int64_t *dims,
                                  int64_t *shape, attn_error *error);
/* Number of the dimension called `name` in the entry, or -1. */
ATTN_API int64_t attn_entry_find_dim(const attn_entry *entry, const char *name);

/* ---- States (caches) -------------------------------------------------------------------------------- */

typedef struct attn_state_memory {
  attn_state *state;
  void *memory; /* from the host */
  uint64_t bytes;
} attn_state_memory;

/* Allocates and initialises a state for `slots` sequences of up to `capacity` tokens, page 0: as the file
 * chooses. On failure *state is all zero. */
ATTN_API int32_t attn_state_create(const attn_library *library, const attn_model *model, const attn_host *host,
                                   uint32_t slots, uint64_t capacity, uint32_t page, attn_state_memory *state,
                                   attn_error *error);
ATTN_API void attn_state_free(const attn_host *host, attn_state_memory *state);
/* Allocates and initialises a pool of `pages` pages (attn_library.pool_init), which the caller hands out with pool_map.
 * ATTN_UNSUPPORTED when the model file is older than pools. */
ATTN_API int32_t attn_state_create_pool(const attn_library *library, const attn_model *model, const attn_host *host,
                                        uint32_t slots, uint64_t capacity, uint32_t page, uint32_t pages,
                                        attn_state_memory *state, attn_error *error);
/* A saved state is the memory as it is, but that pages which no slot uses are holes that take no space on disk. The
 * file appears complete or not at all. Only the same build can load it: ATTN_CORRUPT_FILE for another's, or when the
 * contents do not agree with each other. */
ATTN_API int32_t attn_state_save(const attn_library *library, const attn_model *model, const attn_state_memory *state,
                                 const char *path, attn_error *error);
ATTN_API int32_t attn_state_load(const attn_library *library, const attn_model *model, const attn_host *host,
                                 const char *path, attn_state_memory *state, attn_error *error);

/* ---- Arrays ----------------------------------------------------------------------------------------- */

/* A contiguous CPU tensor that owns its memory. A pointer to it is a pointer to its DLTensor. */
typedef struct attn_array {
  DLTensor tensor;
  int64_t shape[ATTN_MAX_RANK];
  attn_host host; /* where the memory came from */
} attn_array;

/* Zeroed memory from `host` (NULL: the C library), aligned to 64 bytes; under ATTN_RUNTIME_GUARD only to the
 * element, and filled with 0xff. ATTN_SHAPE for a rank above ATTN_MAX_RANK, a negative dimension or a size
 * that overflows; ATTN_DTYPE for types that are not whole bytes. */
ATTN_API int32_t attn_array_create(const attn_host *host, DLDataType dtype, int32_t rank, const int64_t *shape,
                                   attn_array **array, attn_error *error);
ATTN_API void attn_array_free(attn_array *array);

/* Bytes of a contiguous tensor with this type and shape; ATTN_DTYPE or ATTN_SHAPE as above. */
ATTN_API int32_t attn_array_bytes(DLDataType dtype, int32_t rank, const int64_t *shape, uint64_t *bytes,
                                  attn_error *error);
/* "int64", "float32", "bfloat16", "bool", …; the name is also what --describe prints. Constant text. */
ATTN_API const char *attn_dtype_name(DLDataType dtype);
/* "[2, 3]" into `text` (always NUL-terminated); returns `text`. */
#define ATTN_SHAPE_TEXT 192
ATTN_API const char *attn_shape_text(int32_t rank, const int64_t *shape, char text[ATTN_SHAPE_TEXT]);

/* Reads a NumPy .npy file, version 1 to 3, little endian, C order, rank <= 8: f2 f4 f8, i1 i2 i4 i8,
 * u1 u2 u4 u8, b1, and V2 as bfloat16 (what NumPy with ml_dtypes writes). Bytes of b1 are checked to be 0 or
 * 1. Every field is checked against the file's size: ATTN_IO, ATTN_CORRUPT_FILE, or ATTN_UNSUPPORTED for a
 * legal file outside this list. */
ATTN_API int32_t attn_npy_read(const char *path, const attn_host *host, attn_array **array, attn_error *error);
/* Writes a contiguous CPU tensor as version 1.0. bfloat16 becomes '<V2': read it in NumPy with
 * `np.load(f).view(np.uint16)` or, with ml_dtypes, `.view(ml_dtypes.bfloat16)`. The file appears complete or
 * not at all. */
ATTN_API int32_t attn_npy_write(const char *path, const DLTensor *tensor, attn_error *error);

/* ---- Input and output files ------------------------------------------------------------------------- */

/* Opens a regular file for reading and gives its size; anything else (a directory, a pipe) is ATTN_IO. */
ATTN_API int32_t attn_input_open(const char *path, FILE **stream, uint64_t *bytes, attn_error *error);

/* A file that takes its name only when it is complete: written beside its place, then renamed. A path that
 * exists and is not a regular file (a pipe, /dev/null) is written directly; "-" is standard output. */
typedef struct attn_output attn_output;
ATTN_API int32_t attn_output_open(const char *path, attn_output **output, attn_error *error);
ATTN_API FILE *attn_output_stream(attn_output *output);
ATTN_API int32_t attn_output_npy(attn_output *output, const DLTensor *tensor, attn_error *error);
/* Both free `output`: commit renames (or fails and removes), discard removes. */
ATTN_API int32_t attn_output_commit(attn_output *output, attn_error *error);
ATTN_API void attn_output_discard(attn_output *output);

/* ---- Metadata --------------------------------------------------------------------------------------- */

/* Whether `text` is one well-formed JSON value (nesting up to 64, RFC 8259). */
ATTN_API int attn_json_valid(const char *text);
/* Integer value of the member `key` of the outermost object or, failing that, of the first object within it
 * that has one. 1 if found, else 0 (also when the text is not valid). */
ATTN_API int attn_json_int(const char *text, const char *key, int64_t *value);

#ifdef __cplusplus
}
#endif
#endif /* ATTN_RUNTIME_H */
