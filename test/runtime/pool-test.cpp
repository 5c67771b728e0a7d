// pool-test.cpp: every task exactly once, distinct workers, gangs, errors, nesting, sleep and wake.
#include "attn_runtime.h"
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <signal.h>
#include <thread>
#include <vector>

namespace {

using Task = std::function<int32_t(int64_t, uint32_t)>;

int32_t call(void *arg, int64_t task, uint32_t worker) { return (*static_cast<Task *>(arg))(task, worker); }
int32_t runTasks(attn_pool *pool, int64_t tasks, Task task) { return attn_pool_run(pool, tasks, call, &task); }

class Pool : public testing::TestWithParam<uint32_t> {
protected:
  void SetUp() override { ASSERT_EQ(attn_pool_create(GetParam(), &pool, nullptr), 0); }
  void TearDown() override { attn_pool_free(pool); }
  attn_pool *pool = nullptr;
};

TEST_P(Pool, RunsEveryTaskOnce) {
  for (int64_t tasks : {0, 1, 2, 3, 7, 64, 1000}) {
    std::vector<std::atomic<int>> count(static_cast<size_t>(tasks));
    EXPECT_EQ(runTasks(pool, tasks, [&](int64_t t, uint32_t) { return ++count[t], 0; }), 0);
    for (auto &c : count)
      EXPECT_EQ(c, 1);
  }
}

TEST_P(Pool, WorkersAreDistinct) {
  std::vector<std::atomic<int>> inside(GetParam());
  std::atomic<int> clashes{0};
  runTasks(pool, 500, [&](int64_t, uint32_t worker) {
    EXPECT_LT(worker, GetParam());
    if (++inside[worker] != 1)
      ++clashes;
    std::this_thread::yield();
    --inside[worker];
    return 0;
  });
  EXPECT_EQ(clashes, 0);
}

// A barrier over all workers inside one call: passes only if all tasks run at the same time.
TEST_P(Pool, GangRunsTogether) {
  for (int round = 0; round < 50; ++round)
    for (int64_t tasks = 1; tasks <= GetParam(); ++tasks) {
      std::atomic<int64_t> arrived{0};
      runTasks(pool, tasks, [&](int64_t, uint32_t) {
        ++arrived;
        while (arrived < tasks)
          std::this_thread::yield();
        return 0;
      });
      EXPECT_EQ(arrived, tasks);
    }
}

TEST_P(Pool, FirstErrorStops) {
  std::atomic<int64_t> ran{0};
  int32_t status = runTasks(pool, 1000000, [&](int64_t t, uint32_t) { return ++ran, t == 10 ? 42 : 0; });
  EXPECT_EQ(status, 42);
  EXPECT_LT(ran, 1000000);
  EXPECT_EQ(runTasks(pool, 100, [](int64_t, uint32_t) { return 0; }), 0); // the pool is usable again
  EXPECT_EQ(runTasks(pool, 1, [](int64_t, uint32_t) { return -7; }), -7);
}

TEST_P(Pool, ManyTinyCalls) {
  std::atomic<int64_t> sum{0};
  for (int i = 0; i < 20000; ++i)
    runTasks(pool, 1 + i % 9, [&](int64_t t, uint32_t) { return sum += t, 0; });
  int64_t expected = 0;
  for (int64_t i = 0; i < 20000; ++i)
    expected += (i % 9) * (1 + i % 9) / 2;
  EXPECT_EQ(sum, expected);
}

// Long enough apart that the workers fall asleep.
TEST_P(Pool, WakesSleepers) {
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int> ran{0};
    runTasks(pool, 2 * GetParam(), [&](int64_t, uint32_t) {
      std::this_thread::sleep_for(std::chrono::microseconds(200)); // so that the caller sleeps too
      return ++ran, 0;
    });
    EXPECT_EQ(ran, 2 * GetParam());
  }
}

TEST_P(Pool, NestedUseIsRefused) {
  std::atomic<int> refused{0};
  EXPECT_EQ(runTasks(pool, 8, [&](int64_t, uint32_t) {
    refused += runTasks(pool, 2, [](int64_t, uint32_t) { return 0; }) == ATTN_INVALID_ARGUMENT;
    return 0;
  }), 0);
  EXPECT_EQ(refused, 8);
}

TEST_P(Pool, AnotherPoolInsideIsFine) {
  attn_pool *inner = nullptr;
  ASSERT_EQ(attn_pool_create(2, &inner, nullptr), 0);
  std::atomic<int> ran{0};
  EXPECT_EQ(runTasks(pool, 8, [&](int64_t, uint32_t) {
    return runTasks(inner, 4, [&](int64_t, uint32_t) { return ++ran, 0; });
  }), 0);
  EXPECT_EQ(ran, 32);
  attn_pool_free(inner);
}

TEST_P(Pool, CallsFromSeveralThreads) {
  std::atomic<int64_t> ran{0};
  std::atomic<int> jobs{0}, overlap{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 3; ++c)
    callers.emplace_back([&] {
      for (int i = 0; i < 300; ++i) {
        std::atomic<int> mine{0};
        runTasks(pool, 5, [&](int64_t t, uint32_t) {
          if (t == 0 && ++jobs != 1)
            ++overlap;
          if (t == 0)
            --jobs;
          return ++mine, ++ran, 0;
        });
        EXPECT_EQ(mine, 5);
      }
    });
  for (auto &t : callers)
    t.join();
  EXPECT_EQ(ran, 3 * 300 * 5);
  EXPECT_EQ(overlap, 0);
}

TEST_P(Pool, BadArguments) {
  EXPECT_EQ(attn_pool_run(pool, 1, nullptr, nullptr), ATTN_INVALID_ARGUMENT);
  EXPECT_EQ(attn_pool_run(pool, -1, call, nullptr), ATTN_INVALID_ARGUMENT);
  EXPECT_EQ(attn_pool_run(nullptr, 1, call, nullptr), ATTN_INVALID_ARGUMENT);
}

INSTANTIATE_TEST_SUITE_P(Sizes, Pool, testing::Values(1u, 2u, 3u, 8u));

TEST(PoolCreate, DefaultIsTheAffinityMask) {
  attn_pool *pool = nullptr;
  ASSERT_EQ(attn_pool_create(0, &pool, nullptr), 0);
  EXPECT_EQ(attn_pool_workers(pool), attn_default_threads());
  EXPECT_GE(attn_default_threads(), 1u);
  attn_pool_free(pool);
  attn_pool_free(nullptr);
}

TEST(PoolCreate, TooMany) {
  attn_error error = {sizeof error, 0, {0}};
  attn_pool *pool = nullptr;
  EXPECT_EQ(attn_pool_create(ATTN_MAX_WORKERS + 1, &pool, &error), ATTN_INVALID_ARGUMENT);
  EXPECT_STREQ(error.text, "expected at most 4096 threads, got 4097");
  EXPECT_EQ(pool, nullptr);
}

TEST(PoolCreate, CreateAndFree) {
  for (int i = 0; i < 200; ++i) {
    attn_pool *pool = nullptr;
    ASSERT_EQ(attn_pool_create(4, &pool, nullptr), 0);
    if (i % 2)
      runTasks(pool, 4, [](int64_t, uint32_t) { return 0; });
    attn_pool_free(pool);
  }
}

TEST(PoolCreate, SignalsAreBlockedInWorkers) {
  attn_pool *pool = nullptr;
  ASSERT_EQ(attn_pool_create(2, &pool, nullptr), 0);
  std::atomic<int> arrived{0}, blocked{0};
  runTasks(pool, 2, [&](int64_t, uint32_t worker) {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    if (sigismember(&mask, SIGINT))
      blocked += worker == 1 ? 1 : 100;
    for (++arrived; arrived < 2;)
      std::this_thread::yield();
    return 0;
  });
  EXPECT_EQ(blocked, 1);
  attn_pool_free(pool);
}

} // namespace
