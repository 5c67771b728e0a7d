// The support code's checks, dispatch and open, with every message.
#include "support_test.h"

#include <gtest/gtest.h>

#include <cstring>

extern "C" {
void *attn_memcpy(void *, const void *, size_t);
void *attn_memmove(void *, const void *, size_t);
void *attn_memset(void *, int, size_t);
int attn_memcmp(const void *, const void *, size_t);
}

//===----------------------------------------------------------------------===//
// open
//===----------------------------------------------------------------------===//

namespace {
struct Opened {
  int32_t status;
  std::string text;
};
Opened open(attn_open_options options, attn_host host = TestModel::plainHost()) {
  attn_error error = {};
  error.size = sizeof error;
  attn_model *model = nullptr;
  const attn_library *library = attn_query(ATTN_ABI_VERSION);
  int32_t status = library->open(&host, &options, &model, &error);
  EXPECT_EQ(status, status ? error.code : 0);
  if (model)
    library->close(model);
  return {status, error.text};
}
attn_open_options goodOptions() { return {sizeof(attn_open_options), nullptr, goodWeights(), kWeightsBytes, {kDLCPU, 0}}; }

void expectOpen(attn_open_options options, int32_t status, const char *text) {
  Opened got = open(options);
  EXPECT_EQ(got.status, status);
  EXPECT_EQ(got.text, text);
}
} // namespace

TEST(Open, Query) {
  EXPECT_EQ(attn_query(0), nullptr);
  EXPECT_NE(attn_query(ATTN_ABI_VERSION), nullptr);
  EXPECT_NE(attn_query(99), nullptr);
}

TEST(Open, Variants) {
  TestModel best;
  EXPECT_STREQ(best.library->variant(best.model), "plain");
  TestModel named(TestModel::plainHost(), "slow");
  EXPECT_STREQ(named.library->variant(named.model), "slow");
  attn_open_options options = goodOptions();
  options.variant = "impossible";
  expectOpen(options, ATTN_CPU_UNSUPPORTED, "this CPU does not run variant 'impossible': expected one of impossible, plain, slow");
  options.variant = "z80\n";
  expectOpen(options, ATTN_CPU_UNSUPPORTED, "the file has no variant 'z80?': expected one of impossible, plain, slow");
}

TEST(Open, Weights) {
  attn_open_options options = goodOptions();
  options.weights = nullptr;
  expectOpen(options, ATTN_CORRUPT_FILE, "weights: expected the file 'test.weights' beside the model, got none");
  options = goodOptions();
  options.weights_bytes = 127;
  expectOpen(options, ATTN_CORRUPT_FILE, "weights: expected 128 bytes, got 127");
  options = goodOptions();
  options.weights = static_cast<const char *>(options.weights) + 8;
  expectOpen(options, ATTN_INVALID_ARGUMENT, "weights: expected memory aligned to 64 bytes");
  options = goodOptions();
  auto *header = const_cast<attn_weights_header *>(static_cast<const attn_weights_header *>(options.weights));
  header->magic = 1;
  expectOpen(options, ATTN_CORRUPT_FILE, "weights: expected packed weights, got another magic number");
  header->magic = ATTN_WEIGHTS_MAGIC;
  header->bytes = 64;
  expectOpen(options, ATTN_CORRUPT_FILE, "weights: expected 128 bytes, got 64");
  header->bytes = 128;
  std::memset(header->build_id, 'x', 32);
  expectOpen(options, ATTN_CORRUPT_FILE,
             "weights: expected those of build 0123456789abcdef0123456789abcdef, got xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
}

TEST(Open, Host) {
  attn_host host = TestModel::plainHost();
  host.free = nullptr;
  EXPECT_EQ(open(goodOptions(), host).text, "host: expected alloc and free, got null");
  host = TestModel::plainHost();
  host.alloc = [](void *, DLDevice, uint64_t, uint64_t) -> void * { return nullptr; };
  Opened got = open(goodOptions(), host);
  EXPECT_EQ(got.status, ATTN_OUT_OF_MEMORY);
  EXPECT_EQ(got.text, "open: out of memory");
  attn_open_options options = goodOptions();
  options.device.device_type = kDLCUDA;
  expectOpen(options, ATTN_UNSUPPORTED, "open: expected the CPU as device, got device type 2");
  attn_model *model;
  EXPECT_EQ(attn_query(1)->open(nullptr, nullptr, &model, nullptr), ATTN_INVALID_ARGUMENT);
}

/// A host of an older, shorter version: what it does not know is not read.
TEST(Open, ShortHost) {
  attn_host host = TestModel::plainHost();
  host.size = offsetof(attn_host, parallel_for);
  host.parallel_for = reinterpret_cast<decltype(host.parallel_for)>(1);
  host.poll = reinterpret_cast<decltype(host.poll)>(1);
  host.workers = 7;
  TestModel m(host);
  TestTensor x(kF32, {3, 3}), y(kF32, {3, 3});
  EXPECT_EQ(m.run(COPY, {&x, nullptr}, {&y}), ATTN_OK) << m.text();
  EXPECT_EQ(observed.workers, 1);
}

TEST(Open, ShortError) {
  attn_open_options options = goodOptions();
  options.variant = "impossible";
  attn_host host = TestModel::plainHost();
  attn_model *model;
  char memory[sizeof(attn_error)];
  std::memset(memory, 'z', sizeof memory);
  auto *error = reinterpret_cast<attn_error *>(memory);
  error->size = offsetof(attn_error, text) + 8;
  EXPECT_EQ(attn_query(1)->open(&host, &options, &model, error), ATTN_CPU_UNSUPPORTED);
  EXPECT_STREQ(error->text, "this CP");
  EXPECT_EQ(memory[offsetof(attn_error, text) + 8], 'z');
  error->size = 4;
  error->code = 77;
  EXPECT_EQ(attn_query(1)->open(&host, &options, &model, error), ATTN_CPU_UNSUPPORTED);
  EXPECT_EQ(error->code, 77);
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

namespace {
struct Tensors : testing::Test {
  TestModel m;
  TestTensor x{kF32, {4, 4}}, y{kF32, {4, 4}};
  void expect(int32_t status, const std::string &text, std::vector<const DLTensor *> in, std::vector<DLTensor *> out,
              uint32_t entry = COPY) {
    EXPECT_EQ(m.run(entry, in, out), status);
    EXPECT_EQ(m.error.code, status);
    EXPECT_EQ(m.text(), text);
  }
};
} // namespace

TEST_F(Tensors, Run) {
  for (int i = 0; i < 16; ++i)
    x.floats()[i] = i;
  ASSERT_EQ(m.run(COPY, {&x, nullptr}, {&y}), ATTN_OK) << m.text();
  EXPECT_EQ(std::memcmp(x.data, y.data, 64), 0);
  EXPECT_EQ(observed.mask, nullptr);
  EXPECT_EQ(observed.maskSize, 0);
  EXPECT_EQ(observed.weightsSize, 128);
  EXPECT_EQ(observed.workspaceSize, 448); // 100 * 4 rounded up to 64
  TestTensor mask(kF32, {5});
  ASSERT_EQ(m.run(COPY, {&x, &mask}, {&y}), ATTN_OK) << m.text();
  EXPECT_EQ(observed.mask, mask.data);
  EXPECT_EQ(observed.maskSize, 5);
}

TEST_F(Tensors, ByteOffset) {
  TestTensor big(kF32, {5, 4});
  for (int i = 0; i < 20; ++i)
    big.floats()[i] = i;
  big.byte_offset = 16;
  big.sizes[0] = 4;
  ASSERT_EQ(m.run(COPY, {&big, nullptr}, {&y}), ATTN_OK) << m.text();
  EXPECT_EQ(y.floats()[0], 4);
}

TEST_F(Tensors, Counts) {
  expect(ATTN_INVALID_ARGUMENT, "copy: expected 2 inputs, got 1", {&x}, {&y});
  expect(ATTN_INVALID_ARGUMENT, "copy: expected 1 outputs, got 0", {&x, nullptr}, {});
  expect(ATTN_INVALID_ARGUMENT, "x: expected a tensor, got none", {nullptr, nullptr}, {&y});
  expect(ATTN_INVALID_ARGUMENT, "entry: expected an index below 10, got 10", {&x, nullptr}, {&y}, 10);
}

TEST_F(Tensors, TypesAndShapes) {
  TestTensor ids(kI64, {4, 4});
  expect(ATTN_DTYPE, "x: expected float32 [3 ≤ n ≤ 8, 3 ≤ n ≤ 8], got int64 [4, 4]", {&ids, nullptr}, {&y});
  TestTensor rank1(kF32, {4});
  expect(ATTN_SHAPE, "x: expected float32 [3 ≤ n ≤ 8, 3 ≤ n ≤ 8], got float32 [4]", {&rank1, nullptr}, {&y});
  TestTensor oblong(kF32, {4, 5});
  expect(ATTN_SHAPE, "x: expected float32 [3 ≤ n ≤ 8, 3 ≤ n ≤ 8], got float32 [4, 5]", {&oblong, nullptr}, {&y});
  expect(ATTN_SHAPE, "y: expected float32 [n = 4, n = 4], got float32 [4, 5]", {&x, nullptr}, {&oblong});
  TestTensor large(kF32, {9, 9});
  expect(ATTN_SHAPE, "x: expected float32 [3 ≤ n ≤ 8, 3 ≤ n ≤ 8], got float32 [9, 9]", {&large, nullptr}, {&y});
  TestTensor scalar(kF32, {1});
  scalar.ndim = 1000000;
  expect(ATTN_SHAPE, "x: expected float32 [3 ≤ n ≤ 8, 3 ≤ n ≤ 8], got float32 of rank 1000000", {&scalar, nullptr}, {&y});
  scalar.ndim = -1;
  expect(ATTN_SHAPE, "x: expected float32 [3 ≤ n ≤ 8, 3 ≤ n ≤ 8], got float32 of rank -1", {&scalar, nullptr}, {&y});
  scalar.ndim = 2;
  scalar.shape = nullptr;
  expect(ATTN_SHAPE, "x: expected float32 [3 ≤ n ≤ 8, 3 ≤ n ≤ 8], got float32 of rank 2", {&scalar, nullptr}, {&y});
  TestTensor odd(kF32, {4, 4});
  odd.dtype = {kDLBfloat, 16, 2};
  expect(ATTN_DTYPE, "x: expected float32 [3 ≤ n ≤ 8, 3 ≤ n ≤ 8], got bfloat16x2 [4, 4]", {&odd, nullptr}, {&y});
  odd.dtype = {kDLBool, 8, 1};
  expect(ATTN_DTYPE, "x: expected float32 [3 ≤ n ≤ 8, 3 ≤ n ≤ 8], got bool [4, 4]", {&odd, nullptr}, {&y});
  odd.dtype = {99, 8, 1};
  expect(ATTN_DTYPE, "x: expected float32 [3 ≤ n ≤ 8, 3 ≤ n ≤ 8], got type 99 of 8 [4, 4]", {&odd, nullptr}, {&y});
  TestTensor empty(kF32, {0});
  expect(ATTN_SHAPE, "mask: expected float32 [m], got float32 [0]", {&x, &empty}, {&y});
  expect(ATTN_SHAPE, "y: expected an input that gives dimension m, got none", {&x, nullptr}, {&y}, WIDE);
}

TEST_F(Tensors, Memory) {
  TestTensor bad(kF32, {4, 4});
  bad.device.device_type = kDLCUDA;
  expect(ATTN_UNSUPPORTED, "x: expected memory of the CPU, got device type 2", {&bad, nullptr}, {&y});
  bad.device.device_type = kDLCPU;
  bad.data = nullptr;
  expect(ATTN_INVALID_ARGUMENT, "x: expected data, got a null pointer", {&bad, nullptr}, {&y});
  bad.data = bad.bytes.data();
  bad.byte_offset = 2;
  expect(ATTN_INVALID_ARGUMENT, "x: expected data aligned to 4 bytes, got an address that ends in 2", {&bad, nullptr}, {&y});
  bad.byte_offset = ~uint64_t(0);
  expect(ATTN_INVALID_ARGUMENT, "x: expected data within the address space, got another byte_offset", {&bad, nullptr}, {&y});
  bad.byte_offset = 0;
  int64_t transposed[] = {1, 4}, compact[] = {4, 1};
  bad.strides = transposed;
  expect(ATTN_SHAPE, "x: expected contiguous rows, got other strides", {&bad, nullptr}, {&y});
  bad.strides = compact;
  EXPECT_EQ(m.run(COPY, {&bad, nullptr}, {&y}), ATTN_OK) << m.text();
}

TEST_F(Tensors, Strided) {
  TestTensor big(kF32, {6, 8}), out(kF32, {3});
  for (int i = 0; i < 48; ++i)
    big.floats()[i] = i;
  DLTensor view = big;
  int64_t shape[] = {3, 4}, strides[] = {16, 1};
  view.shape = shape;
  view.strides = strides;
  auto run = [&] { return m.run(STRIDED, {&view, nullptr}, {&out}); };
  ASSERT_EQ(run(), ATTN_OK) << m.text();
  EXPECT_EQ(observed.strides, (std::vector<int64_t>{16, 1}));
  EXPECT_EQ(std::vector<float>(out.floats(), out.floats() + 3), (std::vector<float>{0, 16, 32}));
  view.strides = nullptr;
  ASSERT_EQ(run(), ATTN_OK) << m.text();
  EXPECT_EQ(observed.strides, (std::vector<int64_t>{4, 1}));
  view.strides = strides;
  strides[0] = 0; // the same row three times
  ASSERT_EQ(run(), ATTN_OK) << m.text();
  EXPECT_EQ(out.floats()[2], 0);
  auto refuse = [&](int64_t outer, int64_t inner) {
    strides[0] = outer;
    strides[1] = inner;
    expect(ATTN_SHAPE, "x: expected strides that are not negative and fit into memory, the last one 1, got others",
           {&view, nullptr}, {&out}, STRIDED);
  };
  refuse(-16, 1);
  refuse(16, 2);
  refuse(16, 0);
  refuse(16, -1);
  refuse(INT64_MAX / 2 + 1, 1);
  refuse(INT64_MAX / 4, 1); // elements fit, bytes do not
  // Strides of dimensions of size 1 say nothing; an empty tensor has no element to be found.
  shape[1] = 1;
  strides[0] = 8;
  strides[1] = -7;
  ASSERT_EQ(run(), ATTN_OK) << m.text();
  EXPECT_EQ(observed.strides, (std::vector<int64_t>{8, 1}));
  EXPECT_EQ(out.floats()[2], 16);
  shape[1] = 0;
  strides[0] = INT64_MIN;
  EXPECT_EQ(run(), ATTN_OK) << m.text();
  DLTensor mask = big;
  int64_t count = 3, two = 2;
  mask.ndim = 1;
  mask.shape = &count;
  mask.strides = &two;
  shape[1] = 3;
  strides[0] = 8;
  strides[1] = 1;
  expect(ATTN_SHAPE, "mask: expected strides that are not negative and fit into memory, the last one 1, got others",
         {&view, &mask}, {&out}, STRIDED);
}

TEST_F(Tensors, Call) {
  const DLTensor *in[] = {&x, nullptr};
  DLTensor *out[] = {&y};
  alignas(64) char workspace[512];
  attn_call good = {sizeof good, 2, 1, in, out, nullptr, nullptr, workspace, 448, nullptr};
  auto expectCall = [&](attn_call call, int32_t status, const char *text) {
    EXPECT_EQ(m.library->run(m.model, COPY, &call, &m.error), status);
    EXPECT_EQ(m.text(), text);
  };
  EXPECT_EQ(m.library->run(m.model, COPY, &good, &m.error), ATTN_OK);
  attn_call call = good;
  call.workspace_bytes = 447;
  expectCall(call, ATTN_WORKSPACE, "copy: expected a workspace of 448 bytes aligned to 64, got 447");
  call = good;
  call.workspace = workspace + 16;
  expectCall(call, ATTN_WORKSPACE, "copy: expected a workspace of 448 bytes aligned to 64, got another alignment");
  call.workspace = nullptr;
  expectCall(call, ATTN_WORKSPACE, "copy: expected a workspace of 448 bytes aligned to 64, got none");
  call = good;
  call.size = 16;
  expectCall(call, ATTN_ABI_MISMATCH, "call: expected a struct of at least 64 bytes, got 16");
  call = good;
  call.in = nullptr;
  expectCall(call, ATTN_INVALID_ARGUMENT, "call: expected inputs, got a null pointer");
  call = good;
  call.state = reinterpret_cast<attn_state *>(workspace);
  expectCall(call, ATTN_INVALID_ARGUMENT, "state: expected none, this entry has no use for it");
  EXPECT_EQ(m.library->run(m.model, COPY, nullptr, &m.error), ATTN_INVALID_ARGUMENT);
  EXPECT_EQ(m.text(), "call: expected a pointer, got null");
  EXPECT_EQ(m.library->run(nullptr, COPY, &good, &m.error), ATTN_INVALID_ARGUMENT);
  EXPECT_EQ(m.text(), "model: expected a pointer, got null");
  EXPECT_EQ(m.library->run(m.model, COPY, &call, nullptr), ATTN_INVALID_ARGUMENT); // no error is fine
}

TEST_F(Tensors, Dims) {
  int64_t dims[2] = {4, -1};
  EXPECT_EQ(m.library->workspace_bytes(m.model, COPY, dims, &m.error), 448u);
  EXPECT_EQ(m.library->workspace_bytes(m.model, FAIL, dims, &m.error), 64u); // never less
  dims[0] = -1;
  EXPECT_EQ(m.library->workspace_bytes(m.model, COPY, dims, &m.error), 0u);
  EXPECT_EQ(m.text(), "copy: expected n from 3 to 8, got -1");
  dims[0] = 4, dims[1] = int64_t(1) << 40;
  EXPECT_EQ(m.library->workspace_bytes(m.model, COPY, dims, &m.error), 0u);
  EXPECT_EQ(m.text(), "copy: expected m from 1 to 2147483647, got 1099511627776");
  EXPECT_EQ(m.library->workspace_bytes(m.model, COPY, nullptr, &m.error), 0u);
  EXPECT_EQ(m.text(), "dims: expected a pointer, got null");
  dims[1] = 1;
  EXPECT_EQ(m.library->workspace_bytes(m.model, HUGE_WORKSPACE, dims, &m.error), 0u);
  EXPECT_EQ(m.text(), "huge: expected dimensions whose workspace fits into memory, got one of more than 2^63 bytes");
  expect(ATTN_SHAPE, m.text(), {&x, nullptr}, {&y}, HUGE_WORKSPACE);
  const DLTensor *in[] = {&x, nullptr};
  attn_call call = {};
  call.size = sizeof call;
  call.n_in = 2;
  call.in = in;
  EXPECT_EQ(m.library->infer_dims(m.model, COPY, &call, dims, &m.error), ATTN_OK);
  EXPECT_EQ(dims[0], 4);
  EXPECT_EQ(dims[1], -1);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

TEST(Memory, AgreesWithLibc) {
  for (size_t n : {0, 1, 15, 16, 17, 63, 64, 65, 200, 1000})
    for (size_t shift : {0, 1, 8, 16, 40}) {
      std::string from(1200, 0), want(1200, 'w'), got = want;
      for (size_t i = 0; i < from.size(); ++i)
        from[i] = char(i * 7);
      attn_memcpy(&got[shift], &from[3], n);
      std::memcpy(&want[shift], &from[3], n);
      EXPECT_EQ(got, want);
      EXPECT_EQ(attn_memcmp(got.data(), want.data(), n), 0);
      attn_memmove(&got[shift], &got[20], n); // both directions
      std::memmove(&want[shift], &want[20], n);
      EXPECT_EQ(got, want);
      attn_memset(&got[shift], 0x1ab, n);
      std::memset(&want[shift], 0x1ab, n);
      EXPECT_EQ(got, want);
    }
  EXPECT_LT(attn_memcmp("ab", "b\xff", 2), 0);
  EXPECT_GT(attn_memcmp("a\xff", "ab", 2), 0);
}
