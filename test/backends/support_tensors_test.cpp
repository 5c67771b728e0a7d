// Tensors of a call that generated code does not expect so: int32 in place of int64, outputs that are left out.
#include "support_test.h"

#include <gtest/gtest.h>

namespace {
struct Calls : testing::Test {
  TestModel m;
  /// Bytes for a call of `ids`; 0: refused.
  uint64_t bytes(std::vector<const DLTensor *> in, std::vector<DLTensor *> out) {
    attn_call call = {};
    call.size = sizeof call;
    call.n_in = in.size();
    call.in = in.data();
    call.n_out = out.size();
    call.out = out.data();
    return m.library->call_workspace_bytes(m.model, IDS, &call, &m.error);
  }
};
using Numbers = std::vector<int64_t>;
Numbers numbers(TestTensor &t, int64_t count) { return Numbers(t.ints(), t.ints() + count); }
} // namespace

TEST_F(Calls, Int32) {
  TestTensor x(kI32, {3, 2}), z(kI32, {3}), y(kI64, {3, 2}), w(kI64, {3});
  for (int i = 0; i < 6; ++i)
    x.narrow()[i] = i % 2 ? -i : INT32_MAX - i;
  for (int i = 0; i < 3; ++i)
    z.narrow()[i] = i - 1;
  ASSERT_EQ(m.run(IDS, {&x, &z}, {&y, &w}), ATTN_OK) << m.text();
  EXPECT_EQ(numbers(y, 6), (Numbers{INT32_MAX, -1, INT32_MAX - 2, -3, INT32_MAX - 4, -5}));
  EXPECT_EQ(numbers(w, 3), (Numbers{-1, 0, 1}));
  EXPECT_EQ(observed.workspaceSize, 320); // someBytes: 100 for each n, rounded up
  EXPECT_EQ(bytes({&x, &z}, {&y, &w}), 320u + 64 + 64);
  EXPECT_EQ(bytes({&x, nullptr}, {&y, &w}), 320u + 64);
  TestTensor wide(kI64, {3, 2});
  EXPECT_EQ(bytes({&wide, nullptr}, {&y, &w}), 320u);
  ASSERT_EQ(m.run(IDS, {&x, nullptr}, {&y, &w}), ATTN_OK) << m.text();
  EXPECT_EQ(numbers(w, 3), (Numbers{-1, -1, -1}));
}

TEST_F(Calls, Int32Strided) {
  TestTensor memory(kI32, {40}), y(kI64, {3, 2}), w(kI64, {3});
  for (int i = 0; i < 40; ++i)
    memory.narrow()[i] = i;
  TestTensor x(kI32, {3, 2});
  int64_t strides[] = {7, 1};
  x.data = memory.narrow() + 1;
  x.byte_offset = 8;
  x.strides = strides;
  ASSERT_EQ(m.run(IDS, {&x, nullptr}, {&y, &w}), ATTN_OK) << m.text();
  EXPECT_EQ(numbers(y, 6), (Numbers{3, 4, 10, 11, 17, 18}));
  strides[0] = 0; // one row for all
  ASSERT_EQ(m.run(IDS, {&x, nullptr}, {&y, &w}), ATTN_OK) << m.text();
  EXPECT_EQ(numbers(y, 6), (Numbers{3, 4, 3, 4, 3, 4}));
  // z takes no strides, but those of a dimension of size 1 may be any.
  TestTensor one(kI32, {1, 2}), z(kI32, {1}), y1(kI64, {1, 2}), w1(kI64, {1});
  one.narrow()[0] = 5;
  one.narrow()[1] = 6;
  z.narrow()[0] = 9;
  int64_t odd[] = {-1000, 1}, any[] = {1 << 30};
  one.strides = odd;
  z.strides = any;
  ASSERT_EQ(m.run(IDS, {&one, &z}, {&y1, &w1}), ATTN_OK) << m.text();
  EXPECT_EQ(numbers(y1, 2), (Numbers{5, 6}));
  EXPECT_EQ(numbers(w1, 1), (Numbers{9}));
  // An address that suits int32 only.
  TestTensor shifted(kI32, {3, 2});
  shifted.byte_offset = 2;
  EXPECT_EQ(m.run(IDS, {&shifted, nullptr}, {&y, &w}), ATTN_INVALID_ARGUMENT);
  EXPECT_EQ(m.text(), "x: expected data aligned to 4 bytes, got an address that ends in 2");
  TestTensor none(kI32, {3, 0}), empty(kI64, {3, 0});
  ASSERT_EQ(m.run(IDS, {&none, nullptr}, {&empty, &w}), ATTN_OK) << m.text();
}

TEST_F(Calls, OtherTypes) {
  TestTensor y(kI64, {3, 2}), w(kI64, {3});
  auto expect = [&](DLDataType type, const std::string &text) {
    TestTensor x(type, {3, 2});
    EXPECT_EQ(m.run(IDS, {&x, nullptr}, {&y, &w}), ATTN_DTYPE);
    EXPECT_EQ(m.text(), "x: expected int64 or int32 [n, m], got " + text + " [3, 2]");
    EXPECT_EQ(bytes({&x, nullptr}, {&y, &w}), 0u);
  };
  expect(kF32, "float32");
  expect({kDLInt, 16, 1}, "int16");
  expect({kDLUInt, 32, 1}, "uint32");
  expect({kDLInt, 32, 2}, "int32x2");
  TestTensor x(kI64, {3, 2}), narrow(kI32, {3, 2}); // outputs are int64
  EXPECT_EQ(m.run(IDS, {&x, nullptr}, {&narrow, &w}), ATTN_DTYPE);
  EXPECT_EQ(m.text(), "y: expected int64 [n = 3, m = 2], got int32 [3, 2]");
}

TEST_F(Calls, OutputsLeftOut) {
  TestTensor x(kI64, {3, 2}), y(kI64, {3, 2}), w(kI64, {3});
  for (int i = 0; i < 6; ++i)
    x.ints()[i] = i;
  ASSERT_EQ(m.run(IDS, {&x, nullptr}, {nullptr, &w}), ATTN_OK) << m.text();
  EXPECT_EQ(numbers(w, 3), (Numbers{-1, -1, -1}));
  ASSERT_EQ(m.run(IDS, {&x, nullptr}, {&y, nullptr}), ATTN_OK) << m.text();
  EXPECT_EQ(numbers(y, 6), (Numbers{0, 1, 2, 3, 4, 5}));
  ASSERT_EQ(m.run(IDS, {&x, nullptr}, {nullptr, nullptr}), ATTN_OK) << m.text();
  EXPECT_EQ(bytes({&x, nullptr}, {nullptr, nullptr}), 320u + 64 + 64);
  EXPECT_EQ(bytes({&x, nullptr}, {&y}), 0u);
  EXPECT_EQ(m.text(), "ids: expected 2 outputs, got 1");
}

TEST_F(Calls, TooLarge) {
  // Inputs that are empty in memory only: strides 0.
  TestTensor x(kI32, {1, 1}), y(kI64, {1, 1});
  int64_t shape[] = {INT32_MAX, INT32_MAX}, strides[] = {0, 1};
  x.shape = shape;
  x.strides = strides;
  EXPECT_EQ(bytes({&x, nullptr}, {nullptr, nullptr}), 0u);
  EXPECT_EQ(m.error.code, ATTN_SHAPE);
}

TEST_F(Calls, Workspace) {
  TestTensor x(kI32, {3, 2}), y(kI64, {3, 2}), w(kI64, {3});
  alignas(64) char workspace[448];
  const DLTensor *in[] = {&x, nullptr};
  DLTensor *out[] = {&y, nullptr};
  attn_call call = {sizeof call, 2, 2, in, out, nullptr, nullptr, workspace, 447, nullptr};
  EXPECT_EQ(m.library->run(m.model, IDS, &call, &m.error), ATTN_WORKSPACE);
  EXPECT_EQ(m.text(), "ids: expected a workspace of 448 bytes aligned to 64, got 447");
  call.workspace_bytes = 448;
  EXPECT_EQ(m.library->run(m.model, IDS, &call, &m.error), ATTN_OK) << m.text();
}
