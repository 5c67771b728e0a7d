// Launches on the CPU: operands, loops on the host's threads, memory of the host's, and every way to fail.
#include "fake_model.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

extern "C" {
int affine_argv(void **);
int nested_argv(void **);
int halves_argv(void **);
}

namespace {
struct Tensor : DLTensor {
  std::vector<int64_t> sizes, steps;
  Tensor(DLDataType type, void *data, std::vector<int64_t> shape, std::vector<int64_t> strides = {})
      : DLTensor{data, {kDLCPU, 0}, int32_t(shape.size()), type, nullptr, nullptr, 0}, sizes(shape), steps(strides) {
    if (strides.empty()) {
      int64_t step = 1;
      steps.resize(sizes.size());
      for (size_t i = sizes.size(); i-- > 0; step *= sizes[i])
        steps[i] = step;
    }
  }
};
constexpr DLDataType kF32 = {kDLFloat, 32, 1}, kI64 = {kDLInt, 64, 1}, kBF16 = {kDLBfloat, 16, 1},
                     kBool = {kDLInt, 1, 1};

/// A host whose allocations are counted and may fail, with several kinds of parallel_for.
struct Launch : testing::Test {
  attn_host host = {};
  attn_error error = {};
  std::atomic<int> live{0}, allocations{0}, loops{0};
  int failAt = -1; ///< this allocation fails
  std::string spans;

  Launch() {
    host.size = sizeof host;
    host.workers = 3;
    host.ctx = this;
    host.alloc = [](void *ctx, DLDevice, uint64_t bytes, uint64_t align) -> void * {
      auto *self = static_cast<Launch *>(ctx);
      if (self->allocations++ == self->failAt)
        return nullptr;
      ++self->live;
      return std::aligned_alloc(align, (bytes + align - 1) / align * align);
    };
    host.free = [](void *ctx, DLDevice, void *memory) {
      --static_cast<Launch *>(ctx)->live;
      std::free(memory);
    };
    error.size = sizeof error;
  }
  void useThreads(bool gang) {
    host.flags = gang ? ATTN_HOST_GANG : 0;
    host.parallel_for = [](void *ctx, int64_t tasks, attn_task_fn fn, void *arg) -> int32_t {
      ++static_cast<Launch *>(ctx)->loops;
      std::atomic<int64_t> next{0};
      std::atomic<int32_t> result{0};
      std::vector<std::thread> threads;
      for (uint32_t w = 0; w < 3; ++w)
        threads.emplace_back([&, w] {
          for (int64_t t; (t = next++) < tasks;)
            if (int32_t status = fn(arg, t, w))
              result = status;
        });
      for (std::thread &thread : threads)
        thread.join();
      return result;
    };
  }
  int32_t run(std::vector<fake_op> ops) {
    error.text[0] = '\0';
    fake_model *m = fake_open(&host, {kDLCPU, 0}, nullptr, 0, &error);
    int32_t status = fake_run(m, ops.data(), int(ops.size()), nullptr, 0, nullptr, -1, &error);
    fake_close(m);
    EXPECT_EQ(live, 0);
    EXPECT_EQ(status, status ? error.code : 0);
    return status;
  }
  /// One launch; the last tensor is what it writes.
  int32_t launch(fake_pipeline pipeline, std::vector<Tensor> tensors) {
    std::vector<DLTensor> plain;
    for (Tensor &tensor : tensors) {
      tensor.shape = tensor.sizes.data();
      tensor.strides = tensor.steps.data();
      plain.push_back(tensor);
    }
    return run({{FAKE_LAUNCH, pipeline, plain.data(), int32_t(plain.size()) - 1, 1}});
  }
  std::string text() const { return error.text; }
};

struct Rows {
  std::vector<float> in, out;
  int64_t rows, columns;
  Rows(int64_t rows, int64_t columns) : in(rows * columns), out(rows * columns, -1), rows(rows), columns(columns) {
    for (size_t i = 0; i < in.size(); ++i)
      in[i] = float(i % 7);
  }
  std::vector<Tensor> tensors() { return {{kF32, in.data(), {rows, columns}}, {kF32, out.data(), {rows, columns}}}; }
  /// What the pipeline `nested` computes.
  void expectNested() const {
    for (int64_t y = 0; y < rows; ++y) {
      float sum = 0;
      for (int64_t x = 0; x < columns; ++x) {
        sum += in[y * columns + x];
        ASSERT_EQ(out[y * columns + x], sum * sum) << y << " " << x;
      }
    }
  }
};
} // namespace

TEST_F(Launch, Operands) { // views with an offset and strides, scalars
  unsigned seed =
      std::getenv("ATTN_TEST_SEED") ? unsigned(std::atoi(std::getenv("ATTN_TEST_SEED"))) : std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int i = 0; i < 50; ++i) {
    int64_t rows = random() % 5, columns = random() % 40 + 1, step = columns + random() % 9, offset = random() % 9;
    std::vector<float> in(offset + rows * step + columns), out(rows * step + columns, -1);
    for (float &x : in)
      x = float(random() % 1000);
    float scale = float(random() % 9);
    int64_t shift = int64_t(random() % 9) - 4;
    Tensor view(kF32, in.data(), {rows, columns}, {step, 1});
    view.byte_offset = offset * sizeof(float);
    ASSERT_EQ(launch(affine_argv,
                     {view, {kF32, &scale, {}}, {kI64, &shift, {}}, {kF32, out.data(), {rows, columns}, {step, 1}}}),
              ATTN_OK)
        << text();
    for (int64_t y = 0; y < rows; ++y)
      for (int64_t x = 0; x < step; ++x)
        ASSERT_EQ(out[y * step + x], x < columns ? in[offset + y * step + x] * scale + float(shift) : -1);
  }
}

TEST_F(Launch, Types) { // bf16 as bits, truth values, and inputs left out
  std::vector<uint16_t> in(3 * 20), out(3 * 20, 7);
  for (size_t i = 0; i < in.size(); ++i)
    in[i] = uint16_t(i * 1000);
  uint8_t mask[20];
  for (int i = 0; i < 20; ++i)
    mask[i] = i % 3 == 1;
  ASSERT_EQ(launch(halves_argv, {{kBF16, in.data(), {3, 20}}, {kBool, mask, {20}}, {kBF16, out.data(), {3, 20}}}),
            ATTN_OK)
      << text();
  for (size_t i = 0; i < in.size(); ++i)
    EXPECT_EQ(out[i], mask[i % 20] ? in[i] : 0);
  ASSERT_EQ(
      launch(halves_argv, {{kBF16, in.data(), {3, 20}}, {kBool, nullptr, {0}, {0}}, {kBF16, out.data(), {3, 20}}}),
      ATTN_OK)
      << text();
  EXPECT_EQ(out, std::vector<uint16_t>(3 * 20, 0));
}

TEST_F(Launch, Loops) { // inside each other, on no threads, on threads, in a gang
  for (int mode = 0; mode < 3; ++mode) {
    host.parallel_for = nullptr;
    if (mode)
      useThreads(mode == 2);
    for (int64_t rows : {1, 2, 17}) {
      Rows r(rows, 33);
      loops = 0;
      ASSERT_EQ(launch(nested_argv, r.tensors()), ATTN_OK) << text();
      r.expectNested();
      // One row: its inner loop. A gang is one loop in all.
      EXPECT_EQ(loops, mode ? 1 : 0);
    }
  }
}

TEST_F(Launch, Order) { // ops follow each other, in a gang too
  useThreads(true);
  Rows r(9, 9);
  std::vector<float> twice(81);
  std::vector<Tensor> all = r.tensors();
  float two = 2;
  int64_t none = 0;
  all.push_back({kF32, r.out.data(), {9, 9}});
  all.push_back({kF32, &two, {}});
  all.push_back({kI64, &none, {}});
  all.push_back({kF32, twice.data(), {9, 9}});
  std::vector<DLTensor> plain;
  for (Tensor &tensor : all) {
    tensor.shape = tensor.sizes.data();
    tensor.strides = tensor.steps.data();
    plain.push_back(tensor);
  }
  ASSERT_EQ(run({{FAKE_LAUNCH, nested_argv, &plain[0], 1, 1}, {FAKE_LAUNCH, affine_argv, &plain[2], 3, 1}}), ATTN_OK)
      << text();
  r.expectNested();
  for (int i = 0; i < 81; ++i)
    EXPECT_EQ(twice[i], 2 * r.out[i]);
}

TEST_F(Launch, Empty) { // nothing to write: no pipeline runs
  host.op = [](void *ctx, const attn_op_info *, attn_span_phase) { static_cast<Launch *>(ctx)->spans += "x"; };
  EXPECT_EQ(launch([](void **) { return 9; }, {{kF32, nullptr, {0, 3}}, {kF32, nullptr, {0, 3}}}), ATTN_OK) << text();
  EXPECT_EQ(spans, "");
}

TEST_F(Launch, Spans) {
  host.op = [](void *ctx, const attn_op_info *op, attn_span_phase phase) {
    static_cast<Launch *>(ctx)->spans += (phase == ATTN_SPAN_BEGIN ? "<" : ">") + std::string(op->name) + " " +
                                         std::to_string(op->tasks) + " " + std::to_string(op->flop) + " " +
                                         std::to_string(op->bytes);
  };
  Rows r(2, 2);
  EXPECT_EQ(launch(nested_argv, r.tensors()), ATTN_OK);
  EXPECT_EQ(spans, "<op 1 2 3>op 1 2 3");
  host.poll = [](void *, uint64_t, uint64_t) { return 1; };
  EXPECT_EQ(launch(nested_argv, r.tensors()), ATTN_CANCELLED);
  EXPECT_EQ(text(), "cancelled after 0 of 1 ops");
}

TEST_F(Launch, Fails) { // in a task, for each kind of threads; the first failure counts
  for (int mode = 0; mode < 3; ++mode) {
    if (mode)
      useThreads(mode == 2);
    Rows r(40, 3);
    r.in[61] = -2;
    EXPECT_EQ(launch(nested_argv, r.tensors()), ATTN_RANGE);
    EXPECT_EQ(text(), "4.000000 expected no negative element, got -2.000000");
  }
  EXPECT_EQ(run({{FAKE_FAIL, nullptr, nullptr, 0, 0}, {FAKE_LAUNCH, affine_argv, nullptr, 0, 0}}), ATTN_RANGE);
  EXPECT_EQ(text(), "failed before");
}

TEST_F(Launch, Bounds) { // what a pipeline reads is checked by it
  float in[4] = {}, out[9], one = 1;
  int64_t none = 0;
  EXPECT_EQ(launch(affine_argv, {{kF32, in, {2, 2}}, {kF32, &one, {}}, {kI64, &none, {}}, {kF32, out, {3, 3}}}),
            ATTN_DEVICE);
  EXPECT_EQ(text(), "op: halide: Input buffer in is accessed at 2, which is beyond the max (1) in dimension 0");
}

TEST_F(Launch, Memory) { // each of its allocations fails once
  for (int mode = 0; mode < 3; ++mode) {
    if (mode)
      useThreads(mode == 2);
    Rows r(4, 3000); // too large for the stack
    allocations = 0;
    ASSERT_EQ(launch(nested_argv, r.tensors()), ATTN_OK);
    int n = allocations;
    ASSERT_GT(n, 3);
    for (failAt = 0; failAt < n; ++failAt) {
      allocations = 0;
      ASSERT_EQ(launch(nested_argv, r.tensors()), ATTN_OUT_OF_MEMORY);
      ASSERT_EQ(text(), "op: out of memory");
    }
    failAt = -1;
  }
}

TEST_F(Launch, Callback) {
  host.parallel_for = [](void *, int64_t, attn_task_fn, void *) { return 5; };
  Rows r(4, 4);
  EXPECT_EQ(launch(nested_argv, r.tensors()), ATTN_CALLBACK);
  EXPECT_EQ(text(), "op: parallel_for returned 5");
}

TEST_F(Launch, Refused) {
  float x = 0;
  Tensor large(kF32, &x, {1, 3'000'000'000});
  EXPECT_EQ(launch(nested_argv, {large, large}), ATTN_RANGE);
  EXPECT_EQ(text(), "op: expected sizes and strides below 2^31, got 3000000000");
  Tensor far(kF32, &x, {1, 1}, {1ll << 31, 1});
  EXPECT_EQ(launch(nested_argv, {far, far}), ATTN_RANGE);
  EXPECT_EQ(text(), "op: expected sizes and strides below 2^31, got 2147483648");
  EXPECT_EQ(launch(nested_argv, std::vector<Tensor>(65, {kF32, &x, {1}})), ATTN_UNSUPPORTED);
  EXPECT_EQ(text(), "op: expected at most 64 operands of a launch");
  EXPECT_EQ(launch([](void **) { return -7; }, {{kF32, &x, {1}}}), ATTN_DEVICE);
  EXPECT_EQ(text(), "op: halide: the pipeline returned -7");
}

TEST_F(Launch, NoDevice) {
  EXPECT_EQ(fake_open(&host, {kDLOpenCL, 0}, nullptr, 0, &error), nullptr);
  EXPECT_EQ(text(), "open: expected the CPU as device, got device type 4");
}
