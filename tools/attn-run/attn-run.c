/* attn-run.c: runs one entry of a compiled model on arrays in .npy files, or describes or checks the model. */
#include "args.h"
#include "attn_runtime.h"
#include "describe.h"
#include "expect.h"
#include "profile.h"

#include <signal.h>
#include <unistd.h>

static const char help[] =
    "usage: attn-run MODEL.so --describe[=json]\n"
    "       attn-run MODEL.so --verify\n"
    "       attn-run MODEL.so [--entry NAME] --input NAME=FILE.npy … --output NAME=FILE.npy …\n"
    "\n"
    "Runs one entry of a model compiled by attnc. Arrays are NumPy's .npy files.\n"
    "\n"
    "What to do\n"
    "  --describe[=json]       print entries, inputs, outputs, bounds, variants and weights\n"
    "  --verify                read all weights and compare their hash\n"
    "  --entry NAME            which entry to run (default: forward, or the only one)\n"
    "  --input NAME=FILE.npy   an input; optional inputs may be left out\n"
    "  --output NAME=FILE.npy  where to write an output; those not named are not written. With no --output,\n"
    "                          the shapes of all outputs are printed\n"
    "  --expect NAME=FILE.npy  compare an output with a file: fails if they differ\n"
    "  --tolerance X           how far floats may be from what is expected, as a fraction of the largest (default:\n"
    "                          1e-4)\n"
    "  --state FILE            for entries that use a state: continue from FILE if it exists, and write the\n"
    "                          state after the run there. Without it each run begins with an empty state\n"
    "\n"
    "How to run\n"
    "  --threads N             number of threads (default: the CPUs this process may use)\n"
    "  --variant NAME          instruction set to use (default: the best that this CPU has)\n"
    "  --profile[=FILE.json]   print (or write) time, arithmetic and memory traffic per op after the run, and their\n"
    "                          shares of this machine's peaks, which are measured first (docs/profile.md)\n"
    "  --guard                 find memory errors of a model: inputs, outputs, workspace and state are filled with\n"
    "                          NaN and end at an inaccessible page. Slow\n"
    "  --help                  print this text\n"
    "\n"
    "Examples\n"
    "  attn-run summarizer.so --describe\n"
    "\n"
    "  python3 -c 'import numpy; numpy.save(\"ids.npy\", numpy.array([[464, 2068, 7586]]))'\n"
    "  attn-run summarizer.so --input input_ids=ids.npy --output logits=logits.npy\n"
    "  python3 -c 'import numpy; print(numpy.load(\"logits.npy\")[0, -1].argmax())'\n"
    "\n"
    "  attn-run summarizer.so --entry prefill --input input_ids=ids.npy --state text.state\n"
    "  attn-run summarizer.so --entry decode --input input_ids=next.npy --state text.state --output logits=l.npy\n"
    "\n"
    "Types are those that --describe shows. bfloat16 arrays are stored as '<V2' (what NumPy with ml_dtypes\n"
    "writes) and may be given as uint16; read them with numpy.load(FILE).view(numpy.uint16).\n"
    "Exit status: 0; 1 when something failed, with one message; 2 when the command line makes no sense.\n";

#define MAX_BINDINGS 64
typedef struct binding {
  const char *name, *file; /* `name` is a copy without the file */
} binding;

typedef struct options {
  const char *file, *entry, *variant, *state, *profile_file;
  int describe, json, verify, profile, guard;
  uint32_t threads;
  double tolerance;
  binding in[MAX_BINDINGS], out[MAX_BINDINGS], expected[MAX_BINDINGS];
  uint32_t n_in, n_out, n_expected;
} options;

static void add_binding(args *a, const char *option, const char *text, binding *list, uint32_t *n) {
  const char *equals = strchr(text, '=');
  if (!equals || equals == text || !equals[1])
    usage_error(a, "expected %s NAME=FILE.npy, got '%s'", option, text);
  if (*n == MAX_BINDINGS)
    usage_error(a, "expected at most %d times %s", MAX_BINDINGS, option);
  char *name = strndup(text, (size_t)(equals - text));
  for (uint32_t i = 0; i < *n; ++i)
    if (name && strcmp(list[i].name, name) == 0)
      usage_error(a, "%s %s is given twice", option, name);
  list[(*n)++] = (binding){name, equals + 1};
}

static options parse(args *a) {
  options o = {.tolerance = 1e-4};
  const char *value;
  while (args_next(a)) {
    if (args_flag(a, "--help") || args_flag(a, "-h")) {
      fputs(help, stdout);
      exit(0);
    } else if (args_flag(a, "--describe")) {
      o.describe = 1;
    } else if (args_flag(a, "--describe=json")) {
      o.describe = o.json = 1;
    } else if (args_flag(a, "--verify")) {
      o.verify = 1;
    } else if (args_flag(a, "--profile")) {
      o.profile = 1;
    } else if (strncmp(a->argv[a->at], "--profile=", 10) == 0) {
      o.profile = 1;
      o.profile_file = a->argv[a->at] + 10;
    } else if (args_flag(a, "--guard")) {
      o.guard = 1;
    } else if (args_value(a, "--threads", &value)) {
      o.threads = (uint32_t)args_number(a, "--threads", value, 1, ATTN_MAX_WORKERS);
    } else if (args_value(a, "--input", &value)) {
      add_binding(a, "--input", value, o.in, &o.n_in);
    } else if (args_value(a, "--output", &value)) {
      add_binding(a, "--output", value, o.out, &o.n_out);
    } else if (args_value(a, "--expect", &value)) {
      add_binding(a, "--expect", value, o.expected, &o.n_expected);
    } else if (args_value(a, "--tolerance", &value)) {
      char *end;
      o.tolerance = strtod(value, &end);
      if (end == value || *end || !(o.tolerance >= 0))
        usage_error(a, "expected a number of at least 0 for --tolerance, got '%s'", value);
    } else if (!args_value(a, "--entry", &o.entry) && !args_value(a, "--variant", &o.variant) &&
               !args_value(a, "--state", &o.state)) {
      args_file(a, &o.file);
    }
  }
  if (!o.file)
    usage_error(a, "expected a model file");
  if (!o.describe && !o.verify && !o.entry && !o.n_in && !o.n_out && !o.n_expected)
    usage_error(a, "nothing to do: expected --describe, --verify, or --input and --output");
  return o;
}

/* ---- One run ---------------------------------------------------------------------------------------- */

typedef struct job {
  const options *o;
  attn_error *error;
  attn_file *file;
  const attn_library *library;
  const attn_host *host;
  attn_model *model;
  attn_session *session;
  uint32_t index;
  const attn_entry *entry;
  attn_array *in[MAX_BINDINGS], *out[MAX_BINDINGS], *expected[MAX_BINDINGS]; /* in the entry's order; NULL: left out */
  attn_output *files[MAX_BINDINGS]; /* in the entry's order */
  attn_state_memory state;
} job;

/* "a, b, c" */
static const char *list_names(char *text, size_t room, const char *(*name)(const job *, uint32_t), const job *j,
                              uint32_t n) {
  size_t used = 0;
  text[0] = '\0';
  for (uint32_t i = 0; i < n && used < room; ++i)
    used += (size_t)snprintf(text + used, room - used, "%s%s", i ? ", " : "", name(j, i));
  return n ? text : "none";
}
static const char *entry_name(const job *j, uint32_t i) { return attn_library_entry(j->library, i)->name; }
static const char *in_name(const job *j, uint32_t i) { return j->entry->in[i].name; }
static const char *out_name(const job *j, uint32_t i) { return j->entry->out[i].name; }

static int32_t choose_entry(job *j) {
  char names[256];
  const attn_library *l = j->library;
  int64_t index = attn_library_find(l, j->o->entry ? j->o->entry : "forward");
  if (index < 0 && !j->o->entry && l->n_entries == 1)
    index = 0;
  if (index < 0 && !j->o->entry)
    return attn_fail(j->error, ATTN_INVALID_ARGUMENT, "which entry? expected --entry with one of %s",
                     list_names(names, sizeof names, entry_name, j, l->n_entries));
  if (index < 0)
    return attn_fail(j->error, ATTN_INVALID_ARGUMENT, "no entry '%s': expected one of %s", j->o->entry,
                     list_names(names, sizeof names, entry_name, j, l->n_entries));
  j->index = (uint32_t)index;
  j->entry = attn_library_entry(l, j->index);
  if (j->entry->n_in > MAX_BINDINGS || j->entry->n_out > MAX_BINDINGS)
    return attn_fail(j->error, ATTN_UNSUPPORTED, "expected at most %d inputs and outputs, got %u and %u", MAX_BINDINGS,
                     j->entry->n_in, j->entry->n_out);
  return ATTN_OK;
}

/* Position of `name` among the entry's tensors, or n. */
static uint32_t find_tensor(const attn_tensor_info *infos, uint32_t n, const char *name) {
  uint32_t i = 0;
  while (i < n && strcmp(infos[i].name, name) != 0)
    ++i;
  return i;
}

static int32_t read_inputs(job *j) {
  char names[256];
  const attn_entry *e = j->entry;
  for (uint32_t i = 0; i < j->o->n_in; ++i) {
    const binding *b = &j->o->in[i];
    uint32_t at = find_tensor(e->in, e->n_in, b->name);
    if (at == e->n_in)
      return attn_fail(j->error, ATTN_INVALID_ARGUMENT, "entry '%s' has no input '%s': expected one of %s", e->name,
                       b->name, list_names(names, sizeof names, in_name, j, e->n_in));
    int32_t status = attn_npy_read(b->file, j->host, &j->in[at], j->error);
    if (status != ATTN_OK)
      return status;
    DLDataType *type = &j->in[at]->tensor.dtype;
    if (e->in[at].dtype.code == kDLBfloat && type->code == kDLUInt && type->bits == 16)
      *type = e->in[at].dtype;
  }
  for (uint32_t i = 0; i < e->n_in; ++i)
    if (!j->in[i] && !(e->in[i].flags & ATTN_TENSOR_OPTIONAL))
      return attn_fail(j->error, ATTN_INVALID_ARGUMENT, "entry '%s' needs input '%s': expected --input %s=FILE.npy",
                       e->name, e->in[i].name, e->in[i].name);
  return ATTN_OK;
}

/* Position of an output that the command line names, or n_out with an error. */
static uint32_t find_output(const job *j, const char *name) {
  char names[256];
  const attn_entry *e = j->entry;
  uint32_t at = find_tensor(e->out, e->n_out, name);
  if (at == e->n_out)
    attn_fail(j->error, ATTN_INVALID_ARGUMENT, "entry '%s' has no output '%s': expected one of %s", e->name, name,
              list_names(names, sizeof names, out_name, j, e->n_out));
  return at;
}

static int32_t read_expected(job *j) {
  for (uint32_t i = 0; i < j->o->n_expected; ++i) {
    uint32_t at = find_output(j, j->o->expected[i].name);
    if (at == j->entry->n_out)
      return ATTN_INVALID_ARGUMENT;
    int32_t status = attn_npy_read(j->o->expected[i].file, j->host, &j->expected[at], j->error);
    if (status != ATTN_OK)
      return status;
  }
  return ATTN_OK;
}

/* Allocates the outputs that are wanted and begins their files, so that a bad path is found before the run. */
static int32_t make_outputs(job *j, const int64_t *dims) {
  const attn_entry *e = j->entry;
  const char *paths[MAX_BINDINGS] = {0};
  for (uint32_t i = 0; i < j->o->n_out; ++i) {
    uint32_t at = find_output(j, j->o->out[i].name);
    if (at == e->n_out)
      return ATTN_INVALID_ARGUMENT;
    paths[at] = j->o->out[i].file;
  }
  for (uint32_t i = 0; i < e->n_out; ++i) {
    if (j->o->n_out + j->o->n_expected > 0 && !paths[i] && !j->expected[i])
      continue;
    int64_t shape[ATTN_MAX_RANK];
    int32_t status = attn_entry_shape(e, &e->out[i], dims, shape, j->error);
    if (status == ATTN_OK && paths[i])
      status = attn_output_open(paths[i], &j->files[i], j->error);
    if (status == ATTN_OK)
      status = attn_array_create(j->host, e->out[i].dtype, e->out[i].rank, shape, &j->out[i], j->error);
    if (status != ATTN_OK)
      return status;
  }
  return ATTN_OK;
}

/* The longest sequence that any entry takes: the capacity of a new state. */
static int64_t longest_sequence(const job *j) {
  int64_t longest = 1;
  for (uint32_t i = 0; i < j->library->n_entries; ++i) {
    const attn_entry *e = attn_library_entry(j->library, i);
    int64_t d = attn_entry_find_dim(e, "seq");
    if (d >= 0 && e->dims[d].max > longest)
      longest = e->dims[d].max;
  }
  return longest;
}

static int32_t make_state(job *j, const int64_t *dims) {
  if (!j->entry->uses_state) {
    if (j->o->state)
      return attn_fail(j->error, ATTN_INVALID_ARGUMENT, "entry '%s' uses no state: expected no --state",
                       j->entry->name);
    return ATTN_OK;
  }
  if (j->o->state && access(j->o->state, F_OK) == 0)
    return attn_state_load(j->library, j->model, j->host, j->o->state, &j->state, j->error);
  int64_t batch = attn_entry_find_dim(j->entry, "batch");
  int64_t slots = batch >= 0 && dims[batch] > 0 ? dims[batch] : 1;
  return attn_state_create(j->library, j->model, j->host, (uint32_t)slots, (uint64_t)longest_sequence(j), 0, &j->state,
                           j->error);
}

static int32_t write_outputs(job *j) {
  int32_t status = ATTN_OK;
  for (uint32_t i = 0; i < j->entry->n_out && status == ATTN_OK; ++i)
    if (j->files[i])
      status = attn_output_npy(j->files[i], &j->out[i]->tensor, j->error);
  if (status == ATTN_OK && j->o->state)
    status = attn_state_save(j->library, j->model, &j->state, j->o->state, j->error);
  for (uint32_t i = 0; i < j->entry->n_out && status == ATTN_OK; ++i)
    if (j->files[i]) {
      status = attn_output_commit(j->files[i], j->error);
      j->files[i] = NULL;
    }
  for (uint32_t i = 0; i < j->entry->n_out && status == ATTN_OK; ++i)
    if (j->expected[i])
      status = compare_expected(j->entry->out[i].name, &j->out[i]->tensor, &j->expected[i]->tensor, j->o->tolerance,
                                j->error);
  if (status != ATTN_OK || j->o->n_out + j->o->n_expected > 0)
    return status;
  for (uint32_t i = 0; i < j->entry->n_out; ++i) {
    char text[ATTN_SHAPE_TEXT];
    const DLTensor *t = &j->out[i]->tensor;
    printf("%s: %s %s\n", j->entry->out[i].name, attn_dtype_name(t->dtype), attn_shape_text(t->ndim, t->shape, text));
  }
  return ATTN_OK;
}

static int32_t run(job *j) {
  int32_t status = choose_entry(j);
  if (status != ATTN_OK || (status = read_inputs(j)) != ATTN_OK || (status = read_expected(j)) != ATTN_OK)
    return status;
  if ((status = attn_session_create(j->library, j->model, j->host, &j->session, j->error)) != ATTN_OK)
    return status;
  /* An attn_array begins with its tensor. */
  attn_call call = {.size = sizeof call,
                    .n_in = j->entry->n_in,
                    .n_out = j->entry->n_out,
                    .in = (const DLTensor *const *)(const void *)j->in,
                    .out = (DLTensor *const *)(void *)j->out};
  int64_t *dims = calloc(j->entry->n_dims + 1, sizeof *dims);
  if (!dims)
    return attn_fail(j->error, ATTN_OUT_OF_MEMORY, "out of memory");
  status = attn_session_dims(j->session, j->index, &call, dims, j->error);
  if (status == ATTN_OK)
    status = make_outputs(j, dims);
  if (status == ATTN_OK)
    status = make_state(j, dims);
  call.state = j->state.state;
  if (status == ATTN_OK)
    status = attn_session_run(j->session, j->index, &call, j->error);
  if (status == ATTN_OK)
    status = write_outputs(j);
  free(dims);
  return status;
}

static void release(job *j) {
  for (uint32_t i = 0; i < MAX_BINDINGS; ++i) {
    attn_array_free(j->in[i]);
    attn_array_free(j->out[i]);
    attn_array_free(j->expected[i]);
    attn_output_discard(j->files[i]);
  }
  attn_state_free(j->host, &j->state);
  attn_session_free(j->session);
}

/* ---- Main ------------------------------------------------------------------------------------------- */

static int32_t verify(attn_file *file, attn_error *error) {
  uint64_t hash;
  int32_t status = attn_file_verify(file, &hash, error);
  if (status == ATTN_OK && attn_file_library(file)->weights_bytes)
    printf("weights: ok, %llu bytes, xxh3-64 %016llx\n", (unsigned long long)attn_file_library(file)->weights_bytes,
           (unsigned long long)hash);
  else if (status == ATTN_OK)
    printf("weights: none\n");
  return status;
}

static int32_t never_called(void *ctx, const DLTensor *const *in, uint32_t n_in, DLTensor *const *out, uint32_t n_out) {
  (void)ctx, (void)in, (void)n_in, (void)out, (void)n_out;
  return 1;
}

/* For --describe: a file opens whatever functions of the host it calls, and names them. */
#define MOST_EXTERNALS 64
static const char *externals[MOST_EXTERNALS];
static uint32_t n_externals;
static attn_external_fn list_external(void *ctx, const char *name) {
  (void)ctx;
  if (n_externals < MOST_EXTERNALS)
    externals[n_externals++] = name;
  return never_called;
}

/* Describing works for a file that this machine cannot run, too. */
static int32_t describe(const options *o, attn_file *file, const attn_host *host) {
  attn_model *model = NULL;
  const attn_library *library = attn_file_library(file);
  const char *chosen = NULL;
  attn_host listing = *host;
  listing.resolve = list_external;
  if (attn_file_open(file, &listing, o->variant, &model, NULL) == ATTN_OK)
    chosen = library->variant(model);
  (o->json ? describe_json : describe_text)(file, chosen, stdout);
  for (uint32_t i = 0; !o->json && i < n_externals; ++i)
    printf("%s%s%s", i ? ", " : "\ncalls functions of the host: ", externals[i], i + 1 < n_externals ? "" : "\n");
  if (model)
    library->close(model);
  return ATTN_OK;
}

/* To `output`, which is freed, or printed. */
static int32_t write_profile(attn_runtime *runtime, const peaks *peak, attn_output *output, attn_error *error) {
  if (!output)
    return profile_text(runtime, peak, 1, stdout, error);
  int32_t status = profile_json(runtime, peak, 1, attn_output_stream(output), error);
  if (status == ATTN_OK)
    return attn_output_commit(output, error);
  attn_output_discard(output);
  return status;
}

static attn_runtime *running;
static void on_interrupt(int number) {
  (void)number;
  attn_runtime_cancel(running);
}

static int32_t execute(const options *o, attn_runtime *runtime, attn_file *file, attn_error *error) {
  const attn_host *host = attn_runtime_host(runtime);
  int32_t status = ATTN_OK;
  if (o->describe)
    status = describe(o, file, host);
  if (status == ATTN_OK && o->verify)
    status = verify(file, error);
  if (status != ATTN_OK || (!o->entry && !o->n_in && !o->n_out))
    return status;
  job j = {.o = o, .error = error, .file = file, .library = attn_file_library(file), .host = host};
  if ((status = attn_file_open(file, host, o->variant, &j.model, error)) != ATTN_OK)
    return status;
  peaks peak = {0, 0};
  attn_output *profile = NULL;
  if (o->profile_file)
    status = attn_output_open(o->profile_file, &profile, error);
  if (o->profile && status == ATTN_OK)
    peak = measure_peaks(host);
  running = runtime;
  signal(SIGINT, on_interrupt);
  signal(SIGTERM, on_interrupt);
  if (status == ATTN_OK)
    status = run(&j);
  release(&j);
  j.library->close(j.model);
  if (status == ATTN_OK && o->profile)
    status = write_profile(runtime, &peak, profile, error);
  else
    attn_output_discard(profile);
  if (status == ATTN_OK && attn_runtime_overruns(runtime))
    status = attn_fail(error, ATTN_CORRUPT_FILE, "the model wrote behind the end of %llu of its allocations",
                       (unsigned long long)attn_runtime_overruns(runtime));
  return status;
}

int main(int argc, char **argv) {
  args a = {.tool = "attn-run", .argc = argc, .argv = argv};
  options o = parse(&a);
  attn_error error = {.size = sizeof error};
  attn_runtime_options settings = {.size = sizeof settings,
                                   .threads = o.threads,
                                   .flags = (o.profile ? ATTN_RUNTIME_PROFILE : 0u) |
                                            (o.guard ? ATTN_RUNTIME_GUARD : 0u)};
  attn_file *file = NULL;
  attn_runtime *runtime = NULL;
  int32_t status = attn_file_load(o.file, &file, &error);
  if (status == ATTN_OK)
    status = attn_runtime_create(&settings, &runtime, &error);
  if (status == ATTN_OK)
    status = execute(&o, runtime, file, &error);
  attn_file_free(file);
  attn_runtime_free(runtime);
  for (uint32_t i = 0; i < MAX_BINDINGS; ++i) {
    free((char *)o.in[i].name);
    free((char *)o.out[i].name);
    free((char *)o.expected[i].name);
  }
  if (status == ATTN_OK && (fflush(stdout) != 0 || ferror(stdout)))
    status = attn_fail(&error, ATTN_IO, "could not write to standard output");
  if (status != ATTN_OK)
    fprintf(stderr, "attn-run: error: %s\n", error.text);
  return status != ATTN_OK;
}
