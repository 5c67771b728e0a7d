// The hand-written model of the support code's tests: its generated code and its tables.
#include "support_test.h"

#include <gtest/gtest.h>

#include <cstring>

Observed observed;

//===----------------------------------------------------------------------===//
// The model
//===----------------------------------------------------------------------===//

namespace {
struct Memref {
  char *allocated, *aligned;
  int64_t offset, sizes[];
};
const Memref *memref(const void *arg) { return static_cast<const Memref *>(arg); }

void nothing(void *, int64_t, int64_t) {}

void copyTask(void *arg, int64_t task, int64_t) {
  auto *args = static_cast<const void *const *>(arg);
  const Memref *in = memref(args[1]), *out = memref(args[3]);
  reinterpret_cast<float *>(out->aligned)[task] = reinterpret_cast<float *>(in->aligned)[task];
}

void observe(const void *const *last) { // weights, workspace, workers
  observed.weightsSize = memref(last[0])->sizes[0];
  observed.workspaceSize = memref(last[1])->sizes[0];
  observed.workers = (int64_t)last[2];
}

void runCopy(const void *const *args) {
  const Memref *mask = memref(args[2]);
  observed.mask = mask->aligned;
  observed.maskSize = mask->sizes[0];
  observe(args + 4);
  const Memref *in = memref(args[1]);
  attn_dispatch(const_cast<void *>(args[0]), copyTask, const_cast<void **>(args), in->sizes[0] * in->sizes[1], "copy",
                24, 8);
  for (int i = 1; i < observed.dispatches; ++i)
    attn_dispatch(const_cast<void *>(args[0]), nothing, nullptr, 1, "more", 0, 0);
}

/// The cache of a run: pages, table, past, page. kTokenBytes = 2 floats per token.
struct Cache {
  const Memref *pages, *table, *past;
  int64_t page;
  explicit Cache(const void *const *args)
      : pages(memref(args[0])), table(memref(args[1])), past(memref(args[2])), page((int64_t)args[3]) {}
  const int32_t *lengths() const { return reinterpret_cast<const int32_t *>(past->aligned); }
  char *place(int64_t row, int64_t at) const {
    int64_t number = reinterpret_cast<const int32_t *>(table->aligned)[row * table->sizes[1] + at / page];
    return pages->aligned + (number * page + at % page) * kTokenBytes;
  }
  std::vector<int64_t> read(int64_t row, int64_t tokens) const {
    std::vector<int64_t> result(tokens);
    for (int64_t at = 0; at < tokens; ++at)
      std::memcpy(&result[at], place(row, at), 8);
    return result;
  }
};

/// Each token's id goes to its place in the pages. Then all that the slot holds is read.
void appendIds(const void *const *args, const Memref *mask) {
  const Memref *ids = memref(args[1]), *next = memref(args[3]);
  Cache cache(args + 4);
  int64_t batch = ids->sizes[0], seq = ids->sizes[1];
  observed.past.assign(cache.lengths(), cache.lengths() + batch);
  auto *rows = reinterpret_cast<const int32_t *>(cache.table->aligned);
  observed.table.assign(rows, rows + cache.table->sizes[0] * cache.table->sizes[1]);
  observed.page = cache.page;
  observed.elements = cache.pages->sizes[0];
  observed.tokens.assign(batch, {});
  for (int64_t b = 0; b < batch; ++b) {
    reinterpret_cast<int64_t *>(next->aligned)[b] = cache.lengths()[b];
    int64_t at = cache.lengths()[b];
    for (int64_t i = b * seq; i < (b + 1) * seq; ++i)
      if (!mask || !mask->aligned || reinterpret_cast<int64_t *>(mask->aligned)[i])
        std::memcpy(cache.place(b, at++), ids->aligned + i * 8, 8);
    observed.tokens[b] = cache.read(b, at);
  }
  attn_dispatch(const_cast<void *>(args[0]), nothing, nullptr, 1, "append", 0, 0);
}

void runPrefill(const void *const *args) {
  observe(args + 8);
  appendIds(args, nullptr);
}
void runEncode(const void *const *args) {
  observe(args + 8);
  appendIds(args, memref(args[2]));
}
void runStep(const void *const *args) {
  Cache cross(args + 8);
  observe(args + 12);
  observed.cross.clear();
  for (int64_t b = 0; b < cross.past->sizes[0]; ++b)
    observed.cross.push_back(cross.read(b, cross.lengths()[b]));
  appendIds(args, nullptr);
}

void failTask(void *arg, int64_t task, int64_t) {
  auto *args = static_cast<const void *const *>(arg);
  attn_fail(const_cast<void *>(args[0]), (int32_t)*reinterpret_cast<int64_t *>(memref(args[1])->aligned),
            task == 0 ? "first" : "other");
}
void runFail(const void *const *args) {
  attn_dispatch(const_cast<void *>(args[0]), failTask, const_cast<void **>(args), 4, "fail", 0, 0);
  attn_dispatch(const_cast<void *>(args[0]), failTask, const_cast<void **>(args), 4, "never", 0, 0);
}
void countTask(void *arg, int64_t task, int64_t) {
  ++reinterpret_cast<int64_t *>(memref(static_cast<const void *const *>(arg)[2])->aligned)[task];
}
void runCount(const void *const *args) {
  for (int op = 0; op < 10; ++op) { // each op's captures live on the stack while it runs
    const void *captures[] = {args[0], args[1], args[2]};
    attn_dispatch(const_cast<void *>(args[0]), countTask, captures, 1000, "count", 0, 0);
    std::memset(captures, 0, sizeof captures);
  }
}
void runNothing(const void *const *) {}
void runStrided(const void *const *args) { // y[i] = x[i, 0] where there is one
  const Memref *in = memref(args[1]), *mask = memref(args[2]), *out = memref(args[3]);
  observed.strides.assign(in->sizes + 2, in->sizes + 4);
  observed.maskSize = mask->sizes[0];
  for (int64_t i = 0; i < in->sizes[0] && in->sizes[1]; ++i)
    reinterpret_cast<float *>(out->aligned)[i] = reinterpret_cast<float *>(in->aligned)[i * in->sizes[2]];
}

void runIds(const void *const *args) {
  const Memref *x = memref(args[1]), *z = memref(args[2]), *y = memref(args[3]), *w = memref(args[4]);
  observe(args + 5);
  int64_t n = x->sizes[0], m = x->sizes[1];
  auto numbers = [](const Memref *of) { return reinterpret_cast<int64_t *>(of->aligned); };
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < m; ++j)
      numbers(y)[i * m + j] = numbers(x)[i * x->sizes[2] + j * x->sizes[3]];
    numbers(w)[i] = z->aligned ? numbers(z)[i] : -1;
  }
}

int64_t someBytes(const int64_t *args) { return 100 * args[0]; }
int64_t noBytes(const int64_t *) { return 0; }
int64_t overflow(const int64_t *) { return -1; }

constexpr int64_t dim(int n) { return -1 - n; }
const attn_dim copyDims[] = {{"n", 3, 8}, {"m", 1, ATTN_NO_BOUND}};
const attn_dim prefillDims[] = {{"batch", 1, ATTN_NO_BOUND}, {"seq", 1, 512}, {"keys", 1, 512}};
const attn_tensor_info copyIn[] = {{"x", kF32, 0, 2, {dim(0), dim(0)}}, {"mask", kF32, ATTN_TENSOR_OPTIONAL, 1, {dim(1)}}};
const attn_tensor_info stridedIn[] = {{"x", kF32, ATTN_TENSOR_STRIDED, 2, {dim(0), dim(1)}},
                                      {"mask", kF32, ATTN_TENSOR_OPTIONAL | ATTN_TENSOR_STRIDED, 1, {dim(1)}}};
const attn_tensor_info copyOut[] = {{"y", kF32, 0, 2, {dim(0), dim(0)}}};
const attn_tensor_info wideOut[] = {{"y", kF32, 0, 1, {dim(1)}}};
const attn_tensor_info prefillIn[] = {{"input_ids", kI64, 0, 2, {dim(0), dim(1)}},
                                      {"attention_mask", kI64, ATTN_TENSOR_OPTIONAL, 2, {dim(0), dim(2)}}};
const attn_tensor_info encodeIn[] = {{"input_ids", kI64, 0, 2, {dim(0), dim(1)}},
                                     {"attention_mask", kI64, ATTN_TENSOR_OPTIONAL | ATTN_TENSOR_CROSS_MASK, 2, {dim(0), dim(1)}}};
const attn_tensor_info prefillOut[] = {{"next", kI64, 0, 1, {dim(0)}}};
const attn_tensor_info failIn[] = {{"code", kI64, 0, 0, {}}};
const attn_tensor_info countIn[] = {{"x", kF32, 0, 0, {}}}, countOut[] = {{"y", kI64, 0, 1, {1000}}};
const attn_dim stridedDims[] = {{"n", 0, ATTN_NO_BOUND}, {"m", 0, ATTN_NO_BOUND}};
const attn_tensor_info stridedOut[] = {{"y", kF32, 0, 1, {dim(0)}}};
const attn_tensor_info idsIn[] = {{"x", kI64, ATTN_TENSOR_STRIDED | ATTN_TENSOR_INT32, 2, {dim(0), dim(1)}},
                                  {"z", kI64, ATTN_TENSOR_OPTIONAL | ATTN_TENSOR_INT32, 1, {dim(0)}}};
const attn_tensor_info idsOut[] = {{"y", kI64, 0, 2, {dim(0), dim(1)}}, {"w", kI64, 0, 1, {dim(0)}}};
const attn_entry entries[] = {
    {sizeof(attn_entry), "copy", 2, 2, 1, copyDims, copyIn, copyOut, 0},
    {sizeof(attn_entry), "prefill", 3, 2, 1, prefillDims, prefillIn, prefillOut, 1},
    {sizeof(attn_entry), "fail", 0, 1, 0, nullptr, failIn, nullptr, 0},
    {sizeof(attn_entry), "wide", 2, 2, 1, copyDims, copyIn, wideOut, 0},
    {sizeof(attn_entry), "huge", 2, 2, 1, copyDims, copyIn, copyOut, 0},
    {sizeof(attn_entry), "strided", 2, 2, 1, stridedDims, stridedIn, stridedOut, 0},
    {sizeof(attn_entry), "count", 0, 1, 1, nullptr, countIn, countOut, 0},
    {sizeof(attn_entry), "encode", 3, 2, 1, prefillDims, encodeIn, prefillOut, ATTN_STATE_FILLS_CROSS},
    {sizeof(attn_entry), "step", 3, 2, 1, prefillDims, prefillIn, prefillOut, ATTN_STATE_APPENDS | ATTN_STATE_READS_CROSS},
    {sizeof(attn_entry), "ids", 2, 2, 2, stridedDims, idsIn, idsOut, 0},
};
/// The fakes read pointers, as long as a number.
template <void (*run)(const void *const *)> void asCode(const attn_argument *args) {
  run(reinterpret_cast<const void *const *>(args));
}
const attn_code codes[] = {{asCode<runCopy>, someBytes, 1},
                           {asCode<runPrefill>, someBytes, 0},
                           {asCode<runFail>, noBytes, 2},
                           {asCode<runNothing>, noBytes, 0},
                           {asCode<runNothing>, overflow, 0},
                           {asCode<runStrided>, noBytes, 0},
                           {asCode<runCount>, noBytes, 10},
                           {asCode<runEncode>, someBytes, 0},
                           {asCode<runStep>, someBytes, 0},
                           {asCode<runIds>, someBytes, 0}};
const attn_variant variants[] = {{"impossible"}, {"plain"}, {"slow"}};
const attn_variant_code variantCodes[] = {{1u << 31, 0, codes}, {0, 0, codes}, {0, 0, codes}};
} // namespace

extern "C" {
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

static const attn_library table = {sizeof(attn_library), ATTN_ABI_VERSION, "test", kBuildId, "{}", 3, 10, variants,
                                   entries, kWeightsBytes, nullptr, "test.weights", attn_library_open,
                                   attn_library_close, attn_library_variant, attn_library_infer_dims,
                                   attn_library_workspace_bytes, attn_library_state_bytes, attn_library_state_init,
                                   attn_library_state_attach, attn_library_state_op, attn_library_run,
                                   attn_library_pool_bytes, attn_library_pool_init, attn_library_pool_map,
                                   attn_library_call_workspace_bytes};
attn_model_descriptor attn_descriptor = {&table, variantCodes, kTokenBytes, 0, 0, 0, sizeof(float), 0};
}

const void *goodWeights() {
  alignas(64) static char bytes[kWeightsBytes];
  attn_weights_header header = {ATTN_WEIGHTS_MAGIC, kWeightsBytes, {}, 0, 0};
  std::memcpy(header.build_id, kBuildId, 32);
  std::memcpy(bytes, &header, sizeof header);
  return bytes;
}

attn_host TestModel::plainHost() {
  attn_host host = {};
  host.size = sizeof host;
  host.alloc = [](void *, DLDevice, uint64_t bytes, uint64_t) { return std::malloc(bytes); };
  host.free = [](void *, DLDevice, void *memory) { std::free(memory); };
  return host;
}

TestModel::TestModel(attn_host host, const char *variant) {
  error.size = sizeof error;
  attn_open_options options = {sizeof options, variant, goodWeights(), kWeightsBytes, {kDLCPU, 0}};
  EXPECT_EQ(library->open(&host, &options, &model, &error), ATTN_OK) << error.text;
}
TestModel::~TestModel() { library->close(model); }

int32_t TestModel::run(uint32_t entry, std::vector<const DLTensor *> in, std::vector<DLTensor *> out, attn_state *state,
                       const int32_t *slots) {
  alignas(64) static char workspace[4096];
  attn_call call = {};
  call.size = sizeof call;
  call.n_in = in.size();
  call.in = in.data();
  call.n_out = out.size();
  call.out = out.data();
  call.state = state;
  call.slots = slots;
  call.workspace = workspace;
  call.workspace_bytes = sizeof workspace;
  return library->run(model, entry, &call, &error);
}

TestTensor::TestTensor(DLDataType type, std::vector<int64_t> shape) : DLTensor(), sizes(std::move(shape)) {
  int64_t count = type.bits / 8;
  for (int64_t size : sizes)
    count *= size;
  bytes.resize(count / 8 + 1);
  data = bytes.data();
  device = {kDLCPU, 0};
  ndim = sizes.size();
  dtype = type;
  DLTensor::shape = sizes.data();
}
