// Ops on the host's threads: one parallel_for each, or all inside one gang.
#include "support_test.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace {
std::atomic<int> calls; ///< of parallel_for

/// Three threads at once.
int32_t threads(void *, int64_t tasks, attn_task_fn fn, void *arg) {
  ++calls;
  std::vector<std::thread> all;
  for (uint32_t w = 0; w < 3; ++w)
    all.emplace_back([=] {
      for (int64_t t = w; t < tasks; t += 3)
        fn(arg, t, w);
    });
  for (std::thread &thread : all)
    thread.join();
  return 0;
}

/// Runs copy with a host; returns the status and keeps the message.
struct Dispatch : testing::Test {
  attn_host host = TestModel::plainHost();
  std::string text;
  int32_t run() {
    TestModel m(host);
    TestTensor x(kF32, {4, 4}), y(kF32, {4, 4});
    int32_t status = m.run(COPY, {&x, nullptr}, {&y});
    text = m.text();
    return status;
  }
  void TearDown() override { observed = Observed(); }
};
} // namespace

TEST_F(Dispatch, Fail) {
  TestModel m;
  TestTensor code(kI64, {});
  code.ints()[0] = ATTN_RANGE;
  EXPECT_EQ(m.run(FAIL, {&code}, {}), ATTN_RANGE);
  EXPECT_EQ(m.text(), "first");
  EXPECT_EQ(m.error.code, ATTN_RANGE);
}

TEST_F(Dispatch, Poll) {
  host.ctx = &observed;
  observed.dispatches = 3;
  host.poll = [](void *ctx, uint64_t done, uint64_t total) -> int32_t {
    static_cast<Observed *>(ctx)->spans += std::to_string(done) + "/" + std::to_string(total) + " ";
    return done == 2;
  };
  host.span = [](void *ctx, const char *op, attn_span_phase phase, int64_t tasks) {
    static_cast<Observed *>(ctx)->spans += (phase == ATTN_SPAN_BEGIN ? "<" : ">") + std::string(op) + std::to_string(tasks) + " ";
  };
  EXPECT_EQ(run(), ATTN_CANCELLED);
  EXPECT_EQ(text, "cancelled after 2 of 3 ops");
  EXPECT_EQ(observed.spans, "0/1 <copy16 >copy16 1/2 <more1 >more1 2/3 ");
}

TEST_F(Dispatch, Op) { // with the cost that the compiler gave
  host.ctx = &observed;
  observed.dispatches = 2;
  host.span = [](void *ctx, const char *, attn_span_phase phase, int64_t) {
    static_cast<Observed *>(ctx)->spans += phase == ATTN_SPAN_BEGIN ? "<" : ">";
  };
  host.op = [](void *ctx, const attn_op_info *op, attn_span_phase phase) {
    EXPECT_EQ(op->size, sizeof *op);
    static_cast<Observed *>(ctx)->spans += (phase == ATTN_SPAN_BEGIN ? "(" : ")") + std::string(op->name) + " " +
                                           std::to_string(op->tasks) + " " + std::to_string(op->flop) + " " +
                                           std::to_string(op->bytes);
  };
  EXPECT_EQ(run(), ATTN_OK) << text;
  EXPECT_EQ(observed.spans, "<(copy 16 24 8>)copy 16 24 8<(more 1 0 0>)more 1 0 0");
}

TEST_F(Dispatch, ParallelFor) {
  host.workers = 3;
  host.parallel_for = threads;
  EXPECT_EQ(run(), ATTN_OK) << text;
  EXPECT_EQ(observed.workers, 3);
  host.parallel_for = [](void *, int64_t, attn_task_fn, void *) -> int32_t { return -5; };
  EXPECT_EQ(run(), ATTN_CALLBACK);
  EXPECT_EQ(text, "copy: parallel_for returned -5");
  host.parallel_for = [](void *, int64_t, attn_task_fn fn, void *arg) -> int32_t { return fn(arg, 0, 3); };
  EXPECT_EQ(run(), ATTN_CALLBACK);
  EXPECT_EQ(text, "parallel_for: expected a worker below 3, got 3");
}

//===----------------------------------------------------------------------===//
// Gangs
//===----------------------------------------------------------------------===//

namespace {
int32_t oneByOne(void *, int64_t tasks, attn_task_fn fn, void *arg) {
  ++calls;
  for (int64_t t = tasks; t-- > 0;)
    fn(arg, t, 0);
  return 0;
}

struct Gang : Dispatch {
  Gang() {
    host.flags = ATTN_HOST_GANG;
    host.workers = 3;
    host.parallel_for = threads;
    observed.dispatches = 20;
    calls = 0;
  }
};
} // namespace

TEST_F(Gang, RunsEverythingInOneCall) {
  for (int round = 0; round < 50; ++round) {
    calls = 0;
    EXPECT_EQ(run(), ATTN_OK) << text;
    EXPECT_EQ(calls, 1);
  }
  host.flags = 0;
  calls = 0;
  EXPECT_EQ(run(), ATTN_OK) << text;
  EXPECT_EQ(calls, 20);
}

TEST_F(Gang, OfOneIsNone) {
  host.workers = 1;
  host.parallel_for = nullptr;
  EXPECT_EQ(run(), ATTN_OK) << text;
}

TEST_F(Gang, NeedsNoPromiseKept) { // a host that sets the flag and runs tasks one by one
  host.parallel_for = oneByOne;
  EXPECT_EQ(run(), ATTN_OK) << text;
  EXPECT_EQ(calls, 1);
}

TEST_F(Gang, WritesWhatTheTasksOfEveryOpWrite) { // ops of 1000 tasks, which add 1 each: none is lost, none done twice
  TestModel m(host);
  TestTensor x(kF32, {}), y(kI64, {1000});
  for (int round = 0; round < 20; ++round) {
    EXPECT_EQ(m.run(COUNT, {&x}, {&y}), ATTN_OK) << m.text();
    for (int64_t i = 0; i < 1000; ++i)
      ASSERT_EQ(y.ints()[i], 10 * (round + 1));
  }
}

TEST_F(Gang, GivesTheCpuAwayWhenItWaitsForLong) {
  static std::atomic<int> idled;
  idled = 0;
  host.poll = [](void *, uint64_t done, uint64_t) -> int32_t {
    while (done == 1 && idled == 0) // whoever spins between the first two ops gets here
      std::this_thread::yield();
    return 0;
  };
  host.idle = [](void *) { ++idled; };
  EXPECT_EQ(run(), ATTN_OK) << text;
  EXPECT_GT(idled, 0);
}

TEST_F(Gang, Errors) {
  host.parallel_for = [](void *, int64_t, attn_task_fn, void *) -> int32_t { return -5; };
  EXPECT_EQ(run(), ATTN_CALLBACK);
  EXPECT_EQ(text, "copy: parallel_for returned -5");
  host.parallel_for = [](void *, int64_t, attn_task_fn, void *) -> int32_t { return 0; };
  EXPECT_EQ(run(), ATTN_CALLBACK);
  EXPECT_EQ(text, "copy: parallel_for ran none of its tasks");
  host.parallel_for = [](void *, int64_t, attn_task_fn fn, void *arg) -> int32_t { return fn(arg, 0, 3); };
  EXPECT_EQ(run(), ATTN_CALLBACK);
  EXPECT_EQ(text, "parallel_for: expected a worker below 3, got 3");
  host.parallel_for = [](void *, int64_t, attn_task_fn fn, void *arg) -> int32_t { fn(arg, 0, 0); return 7; };
  EXPECT_EQ(run(), ATTN_CALLBACK); // though the leader has finished
  EXPECT_EQ(text, "copy: parallel_for returned 7");
}

TEST_F(Gang, Fail) {
  TestModel m(host);
  TestTensor code(kI64, {});
  code.ints()[0] = ATTN_RANGE;
  for (int round = 0; round < 50; ++round) {
    EXPECT_EQ(m.run(FAIL, {&code}, {}), ATTN_RANGE);
    EXPECT_TRUE(m.text() == "first" || m.text() == "other") << m.text();
  }
}

TEST_F(Gang, Cancelled) {
  host.poll = [](void *, uint64_t done, uint64_t) -> int32_t { return done == 2; };
  EXPECT_EQ(run(), ATTN_CANCELLED);
  EXPECT_EQ(text, "cancelled after 2 of 3 ops");
}
