// Launches on a device with a memory of its own: what is where, and what is copied.
#include "device_test.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>

namespace {
using Device = DeviceTest;

std::vector<float> numbers(size_t n, float first = 0) {
  std::vector<float> list(n);
  for (size_t i = 0; i < n; ++i)
    list[i] = first + float(i);
  return list;
}
std::vector<float> affineOf(std::vector<float> list, float scale, float shift) {
  for (float &x : list)
    x = x * scale + shift;
  return list;
}
} // namespace

TEST_F(Device, Tensors) { // of the caller: up at their first launch, down at once
  ASSERT_NO_FATAL_FAILURE(open());
  std::vector<float> in = numbers(40), out(40);
  ASSERT_EQ(run({affine(matrix(in.data(), 2, 20), 2, 1, matrix(out.data(), 2, 20))}), ATTN_OK) << text();
  EXPECT_EQ(out, affineOf(in, 2, 1));
  EXPECT_EQ(copies, "<160 >160 ");
  // The next run copies the input again: the caller may have changed it.
  in[3] = 1000;
  ASSERT_EQ(run({affine(matrix(in.data(), 2, 20), 2, 1, matrix(out.data(), 2, 20))}), ATTN_OK) << text();
  EXPECT_EQ(out, affineOf(in, 2, 1));
  // Rows with gaps, which stay as they were.
  std::fill(out.begin(), out.end(), -1.0f);
  ASSERT_EQ(run({affine(matrix(in.data() + 1, 3, 4, 7), 3, 0, matrix(out.data() + 2, 3, 4, 9))}), ATTN_OK) << text();
  std::vector<float> expected(40, -1.0f);
  for (int r = 0; r < 3; ++r)
    for (int c = 0; c < 4; ++c)
      expected[2 + r * 9 + c] = in[1 + r * 7 + c] * 3;
  EXPECT_EQ(out, expected);
}

TEST_F(Device, Types) { // 16-bit numbers and truth values; an input left out
  ASSERT_NO_FATAL_FAILURE(open());
  uint16_t in[60], out[60];
  for (int i = 0; i < 60; ++i)
    in[i] = uint16_t(i * 999);
  uint8_t mask[20];
  for (int i = 0; i < 20; ++i)
    mask[i] = i % 3 == 1;
  for (bool given : {true, false}) {
    std::vector<DLTensor> all = {*tensor(kBF16, in, {3, 20}),
                                 given ? *tensor(kBool, mask, {20}) : *tensor(kBool, nullptr, {0}),
                                 *tensor(kBF16, out, {3, 20})};
    ASSERT_EQ(run({{FAKE_LAUNCH, halves_argv, all.data(), 2, 1}}), ATTN_OK) << text();
    for (int i = 0; i < 60; ++i)
      EXPECT_EQ(out[i], given && mask[i % 20] ? in[i] : 0);
  }
}

TEST_F(Device, Workspace) { // stays on the device between launches, and its allocation between runs
  ASSERT_NO_FATAL_FAILURE(open());
  workspace = std::vector<float>(1000, -7);
  std::vector<float> in = numbers(40), out(40);
  float *a = workspace.data() + 48, *b = workspace.data() + 512;
  std::vector<fake_op> ops = {affine(matrix(in.data(), 2, 20), 2, 1, matrix(a, 2, 20)),
                              affine(matrix(a, 2, 20), 1, 1, matrix(b, 2, 20, 33)),
                              affine(matrix(b, 2, 20, 33), 3, 0, matrix(out.data(), 2, 20))};
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(run(ops), ATTN_OK) << text();
    EXPECT_EQ(out, affineOf(in, 6, 6));
    EXPECT_EQ(copies, "<160 >160 ");
    EXPECT_EQ(workspace, std::vector<float>(1000, -7)); // the host's was not touched
  }
}

TEST_F(Device, Copies) { // exactly the bytes of a view
  ASSERT_NO_FATAL_FAILURE(open());
  workspace = std::vector<float>(400, -7);
  std::vector<float> in = numbers(60), out(60);
  float *a = workspace.data() + 100;
  // The host writes a view and the device another one; the host sees both afterwards.
  for (int i = 0; i < 60; ++i)
    a[i] = float(100 + i);
  const DLTensor *left = matrix(a, 6, 4, 10), *right = matrix(a + 4, 6, 6, 10), *all = matrix(a, 6, 10);
  std::vector<float> narrow = numbers(36);
  ASSERT_EQ(run({copy(FAKE_TO_DEVICE, left), affine(matrix(narrow.data(), 6, 6), 1, 0, right),
                 affine(all, 1, 0, matrix(out.data(), 6, 10))}),
            ATTN_OK)
      << text();
  for (int r = 0; r < 6; ++r)
    for (int c = 0; c < 10; ++c)
      EXPECT_EQ(out[r * 10 + c], c < 4 ? float(100 + r * 10 + c) : narrow[r * 6 + c - 4]) << r << " " << c;
  std::vector<float> before = workspace;
  ASSERT_EQ(run({affine(matrix(narrow.data(), 6, 6), 2, 0, right), copy(FAKE_TO_HOST, right)}), ATTN_OK) << text();
  for (int i = 0; i < 400; ++i) {
    int r = (i - 100) / 10, c = (i - 100) % 10;
    bool inside = i >= 100 && r < 6 && c >= 4;
    EXPECT_EQ(workspace[i], inside ? 2 * narrow[r * 6 + c - 4] : before[i]) << i;
  }
  // What the device does not have needs no copy.
  ASSERT_EQ(run({copy(FAKE_TO_HOST, matrix(in.data(), 2, 20)), copy(FAKE_TO_DEVICE, matrix(in.data(), 2, 20))}),
            ATTN_OK);
  EXPECT_EQ(copies, "");
}

TEST_F(Device, Weights) { // go up once per model
  auto *weights = static_cast<float *>(std::aligned_alloc(64, 4096));
  for (int i = 0; i < 1024; ++i)
    weights[i] = float(i);
  open(weights, 4096);
  if (!model) {
    std::free(weights);
    return;
  }
  std::vector<float> out(40);
  std::vector<fake_op> ops = {affine(matrix(weights + 64, 2, 20), 1, 5, matrix(out.data(), 2, 20)),
                              affine(matrix(weights + 64, 1, 20), 1, 6, matrix(out.data(), 1, 20)),
                              affine(matrix(weights + 512, 1, 20), 1, 7, matrix(out.data() + 20, 1, 20))};
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(run(ops), ATTN_OK) << text();
    EXPECT_EQ(out[3], 64 + 3 + 6);
    EXPECT_EQ(out[23], 512 + 3 + 7);
    EXPECT_EQ(copies, i ? ">160 >80 >80 " : "<160 >160 >80 <80 >80 ");
  }
  close();
  std::free(weights);
}

TEST_F(Device, Overlaps) { // tensors of the caller that share memory
  ASSERT_NO_FATAL_FAILURE(open());
  std::vector<float> in = numbers(40), out(60, -1), sum(50);
  ASSERT_EQ(run({affine(matrix(in.data(), 1, 30), 1, 0, matrix(out.data(), 1, 30)),      // [0, 30)
                 affine(matrix(in.data(), 1, 30), 1, 1, matrix(out.data() + 20, 1, 30)), // [20, 50)
                 affine(matrix(out.data(), 1, 50), 2, 0, matrix(sum.data(), 1, 50)),
                 affine(matrix(out.data() + 10, 1, 5), 0, 9, matrix(out.data() + 12, 1, 5))}),
            ATTN_OK)
      << text();
  std::vector<float> expected(60, -1);
  for (int i = 0; i < 50; ++i)
    expected[i] = i < 20 ? float(i) : float(i - 20 + 1);
  EXPECT_EQ(sum, affineOf(std::vector<float>(expected.begin(), expected.begin() + 50), 2, 0));
  std::fill(expected.begin() + 12, expected.begin() + 17, 9.0f);
  EXPECT_EQ(out, expected);
}

TEST_F(Device, Pages) { // of a state: up when the host has changed them, down where a run has appended
  ASSERT_NO_FATAL_FAILURE(open());
  constexpr uint64_t kBytes = 64 << 10;
  void *memory = std::aligned_alloc(64, kBytes);
  std::memset(memory, 0, kBytes);
  ASSERT_TRUE(state = fake_state(memory, kBytes, 2, 1024));
  std::vector<float> in = numbers(40), out(256);
  constexpr int kPage = 64 * 16 / 4; // floats
  auto page = [&](int p) { return reinterpret_cast<float *>(fake_pages(state)) + p * kPage; };
  int first = fake_append(state, 10);
  std::vector<fake_op> write = {affine(matrix(in.data(), 1, 40), 2, 0, matrix(page(first), 1, 40))};
  ASSERT_EQ(run(write, first), ATTN_OK) << text();
  EXPECT_EQ(copies, "<160 <1024 >1024 "); // the input; the pages in use, once; what was written
  EXPECT_EQ(std::vector<float>(page(first), page(first) + 40), affineOf(in, 2, 0));
  // Unchanged since: nothing goes up, and runs see what others wrote.
  std::vector<fake_op> read = {affine(matrix(page(first), 1, kPage), 1, 1, matrix(out.data(), 1, kPage))};
  ASSERT_EQ(run(read), ATTN_OK) << text();
  EXPECT_EQ(copies, ">1024 ");
  EXPECT_EQ(out[39], 79);
  // A new page is the host's doing.
  int second = fake_append(state, 60);
  EXPECT_NE(first, second + 1);
  ASSERT_EQ(run(read), ATTN_OK) << text();
  EXPECT_EQ(copies, "<2048 >1024 ");
  // A run that fails may have written there: the pages go up again.
  std::vector<fake_op> fail = write;
  fail.push_back({FAKE_FAIL, nullptr, nullptr, 0, 0});
  page(first)[0] = 5;
  ASSERT_EQ(run(fail), ATTN_RANGE);
  EXPECT_EQ(page(first)[0], 5); // and nothing came down
  ASSERT_EQ(run(read), ATTN_OK) << text();
  EXPECT_EQ(copies, "<2048 >1024 ");
  EXPECT_EQ(out[0], 6);
  // What the host wrote during a run, and what it wants to read.
  const DLTensor *all = tensor(kF32, page(0), {2048 / 4});
  ASSERT_EQ(run({affine(matrix(in.data(), 1, 2), 0, 11, matrix(page(first), 1, 2)), copy(FAKE_TO_HOST, all)}), ATTN_OK);
  EXPECT_EQ(page(first)[1], 11);
  std::free(memory);
}

TEST_F(Device, Failure) { // nothing runs after it, and the next run works
  ASSERT_NO_FATAL_FAILURE(open());
  workspace = std::vector<float>(100);
  std::vector<float> in = numbers(40), out(40, -1);
  fake_op good = affine(matrix(in.data(), 2, 20), 2, 1, matrix(out.data(), 2, 20));
  ASSERT_EQ(run({{FAKE_FAIL, nullptr, nullptr, 0, 0}, good}), ATTN_RANGE);
  EXPECT_EQ(text(), "failed before");
  EXPECT_EQ(out, std::vector<float>(40, -1));
  EXPECT_EQ(run({affine(matrix(in.data(), 2, 20), 2, 1, matrix(workspace.data(), 3, 30))}), ATTN_DEVICE);
  EXPECT_EQ(text(), "op: halide: Input buffer in is accessed at 29, which is beyond the max (19) in dimension 0");
  ASSERT_EQ(run({good}), ATTN_OK) << text();
  EXPECT_EQ(out, affineOf(in, 2, 1));
}

TEST_F(Device, Large) { // more than one MiB, at odd places
  ASSERT_NO_FATAL_FAILURE(open());
  workspace = std::vector<float>(3 << 19); // 6 MiB
  std::vector<float> in = numbers(700001), out(700001);
  float *a = workspace.data() + 523777;
  ASSERT_EQ(run({affine(matrix(in.data(), 1, 700001), 1, 1, matrix(a, 1, 700001)),
                 affine(matrix(a, 1, 700001), 1, 1, matrix(out.data(), 1, 700001))}),
            ATTN_OK)
      << text();
  EXPECT_EQ(out, affineOf(in, 1, 2));
  for (int i = 0; i < 700001; ++i)
    a[i] = float(i % 1000);
  ASSERT_EQ(run({copy(FAKE_TO_DEVICE, matrix(a + 1, 1, 700000)),
                 affine(matrix(a + 1, 1, 700000), 1, 0, matrix(out.data(), 1, 700000))}),
            ATTN_OK)
      << text();
  EXPECT_TRUE(std::equal(out.begin(), out.begin() + 700000, a + 1));
}

TEST_F(Device, Random) { // against a simulation of both memories
  ASSERT_NO_FATAL_FAILURE(open());
  unsigned seed = testSeed();
  SCOPED_TRACE("ATTN_TEST_SEED=" + std::to_string(seed));
  std::mt19937 random(seed);
  auto below = [&](int n) { return int(random() % unsigned(n)); };
  for (int round = 0; round < 20; ++round) {
    // Memory of the caller and the workspace, both of the host and as the device should see it.
    std::vector<float> outer = numbers(300);
    workspace = std::vector<float>(64 + below(300), -1);
    std::vector<float> outerSeen = outer, workspaceSeen(workspace.size(), NAN);
    std::vector<bool> known(workspace.size(), false); // written on the device
    std::vector<fake_op> ops;
    struct View {
      bool inside;
      int at, rows, columns, stride;
    };
    auto pick = [&] {
      View v = {below(2) == 0, 0, 1 + below(3), 1 + below(12), 0};
      v.stride = v.columns + below(5);
      v.at = below(int(v.inside ? workspace.size() : outer.size()) - v.rows * v.stride);
      return v;
    };
    auto each = [](const View &v, auto function) {
      for (int r = 0; r < v.rows; ++r)
        for (int c = 0; c < v.columns; ++c)
          function(v.at + r * v.stride + c, r, c);
    };
    auto asTensor = [&](const View &v) {
      return matrix((v.inside ? workspace : outer).data() + v.at, v.rows, v.columns, v.stride);
    };
    for (int i = 0; i < 12; ++i) {
      View in = pick(), out = pick();
      out.rows = in.rows, out.columns = in.columns, out.stride = in.columns + below(5);
      out.at = below(int(out.inside ? workspace.size() : outer.size()) - out.rows * out.stride);
      // A launch does not read what it writes, nor what nobody wrote.
      bool usable = true;
      std::vector<bool> touched(1000);
      each(in, [&](int at, int, int) { usable &= !in.inside || known[at], touched[at] = in.inside == out.inside; });
      each(out, [&](int at, int, int) { usable &= !touched[at]; });
      if (!usable) { // the host writes there instead, beforehand
        if (!in.inside)
          continue;
        each(in, [&](int at, int, int) { workspaceSeen[at] = workspace[at], known[at] = true; });
        ops.push_back(copy(FAKE_TO_DEVICE, asTensor(in)));
        continue;
      }
      float scale = float(1 + below(2)), shift = float(below(5) - 2);
      ops.push_back(affine(asTensor(in), scale, int64_t(shift), asTensor(out)));
      std::vector<float> values;
      each(in,
           [&](int at, int, int) { values.push_back((in.inside ? workspaceSeen : outerSeen)[at] * scale + shift); });
      size_t next = 0;
      each(out, [&](int at, int, int) {
        (out.inside ? workspaceSeen : outerSeen)[at] = values[next++];
        if (out.inside)
          known[at] = true;
      });
    }
    // At the end the host reads what is known of the workspace.
    for (size_t i = 0; i < workspace.size(); ++i)
      if (known[i])
        ops.push_back(copy(FAKE_TO_HOST, matrix(workspace.data() + i, 1, 1)));
    ASSERT_EQ(run(ops), ATTN_OK) << text();
    ASSERT_EQ(outer, outerSeen) << "round " << round;
    for (size_t i = 0; i < workspace.size(); ++i)
      ASSERT_EQ(workspace[i], known[i] ? workspaceSeen[i] : -1) << "round " << round << " at " << i;
  }
}

TEST_F(Device, Threads) { // runs of one model at the same time, each with its own workspace
  ASSERT_NO_FATAL_FAILURE(open());
  host.op = nullptr;
  close();
  open();
  std::vector<std::thread> threads;
  std::vector<std::vector<float>> spaces(4, std::vector<float>(256)), outs(4, std::vector<float>(64));
  std::vector<float> in = numbers(64);
  std::vector<std::vector<fake_op>> ops;
  for (int t = 0; t < 4; ++t) {
    float *a = spaces[t].data() + 16;
    ops.push_back({affine(matrix(in.data(), 4, 16), float(t), 1, matrix(a, 4, 16)),
                   affine(matrix(a, 4, 16), 2, t, matrix(outs[t].data(), 4, 16))});
  }
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        attn_error e = {};
        e.size = sizeof e;
        EXPECT_EQ(fake_run(model, ops[t].data(), 2, spaces[t].data(), 1024, nullptr, -1, &e), ATTN_OK) << e.text;
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  for (int t = 0; t < 4; ++t)
    EXPECT_EQ(outs[t], affineOf(affineOf(in, float(t), 1), 2, float(t)));
}
