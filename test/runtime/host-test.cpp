// host-test.cpp: memory, guards, log, profile; errors and metadata texts.
#include "runtime-test.h"

#include <cstring>

namespace {

attn_runtime *makeRuntime(uint32_t flags, int32_t level = 0) {
  attn_runtime_options options = {sizeof options, 1, flags, level, nullptr, nullptr};
  attn_runtime *runtime = nullptr;
  EXPECT_EQ(attn_runtime_create(&options, &runtime, nullptr), 0);
  return runtime;
}

TEST(Host, Defaults) {
  attn_runtime *runtime = nullptr;
  ASSERT_EQ(attn_runtime_create(nullptr, &runtime, nullptr), 0);
  const attn_host *host = attn_runtime_host(runtime);
  EXPECT_EQ(host->workers, attn_default_threads());
  EXPECT_EQ(host->flags, ATTN_HOST_GANG);
  host->idle(host->ctx);
  EXPECT_EQ(host->op, nullptr); // profiling costs nothing when it is off
  attn_runtime_free(runtime);
  attn_runtime_free(nullptr);
}

TEST(Host, PromisesNoGangWithoutCpus) { // tasks of gangs spin
  attn_runtime_options options = {sizeof options, attn_default_threads() + 1, 0, 0, nullptr, nullptr};
  attn_runtime *runtime = nullptr;
  ASSERT_EQ(attn_runtime_create(&options, &runtime, nullptr), 0);
  EXPECT_EQ(attn_runtime_host(runtime)->flags, 0u);
  attn_runtime_free(runtime);
}

TEST(Host, TooManyThreads) {
  Error error;
  attn_runtime *runtime = nullptr;
  attn_runtime_options options = {sizeof options, 5000, 0, 0, nullptr, nullptr};
  expectError(attn_runtime_create(&options, &runtime, &error), error, ATTN_INVALID_ARGUMENT,
              "expected at most 4096 threads, got 5000");
  EXPECT_EQ(runtime, nullptr);
}

TEST(Host, Memory) {
  for (uint32_t flags : {0u, uint32_t(ATTN_RUNTIME_GUARD)}) {
    attn_runtime *runtime = makeRuntime(flags);
    const attn_host *host = attn_runtime_host(runtime);
    for (uint64_t align : {1, 2, 64, 4096})
      for (uint64_t bytes : {0, 1, 63, 64, 4096, 10000, 9 << 20}) {
        void *memory = host->alloc(host->ctx, {kDLCPU, 0}, bytes, align);
        ASSERT_NE(memory, nullptr);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % align, 0u);
        if (flags && bytes) {
          EXPECT_EQ(static_cast<unsigned char *>(memory)[bytes - 1], 0xff);
        }
        memset(memory, 1, bytes);
        host->free(host->ctx, {kDLCPU, 0}, memory);
      }
    EXPECT_EQ(host->alloc(host->ctx, {kDLCUDA, 0}, 64, 64), nullptr);
    EXPECT_EQ(host->alloc(host->ctx, {kDLCPU, 0}, 64, 3), nullptr);
    EXPECT_EQ(host->alloc(host->ctx, {kDLCPU, 0}, UINT64_MAX - 5, 64), nullptr);
    host->free(host->ctx, {kDLCPU, 0}, nullptr);
    EXPECT_EQ(attn_runtime_overruns(runtime), 0u);
    attn_runtime_free(runtime);
  }
}

TEST(Guard, FindsOverrunInPadding) {
  Fake f({sizeof(attn_runtime_options), 1, ATTN_RUNTIME_GUARD, 0, nullptr, nullptr});
  ASSERT_EQ(f.run("overrun", {}, {}), 0);
  EXPECT_EQ(attn_runtime_overruns(f.runtime), 0u);
  attn_session_free(f.session);
  f.session = nullptr;
  EXPECT_EQ(attn_runtime_overruns(f.runtime), 1u);
}

TEST(GuardDeathTest, PageBehindIsInaccessible) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  attn_runtime *runtime = makeRuntime(ATTN_RUNTIME_GUARD);
  const attn_host *host = attn_runtime_host(runtime);
  attn_array *array = nullptr;
  int64_t shape[] = {5};
  ASSERT_EQ(attn_array_create(host, f32, 1, shape, &array, nullptr), 0);
  volatile float *data = static_cast<float *>(array->tensor.data);
  EXPECT_NE(data[4], data[4]); // NaN
  EXPECT_DEATH(data[5] = 1, "");
  attn_array_free(array);
  attn_runtime_free(runtime);
}

TEST(Host, Log) {
  attn_runtime *runtime = makeRuntime(0, 1);
  const attn_host *host = attn_runtime_host(runtime);
  testing::internal::CaptureStderr();
  host->log(host->ctx, 0, "a");
  host->log(host->ctx, 1, "b");
  host->log(host->ctx, 2, "c");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "attn: error: a\nattn: warning: b\n");
  attn_runtime_free(runtime);
}

TEST(Profile, CountsOps) {
  Fake f({sizeof(attn_runtime_options), 2, ATTN_RUNTIME_PROFILE, 0, nullptr, nullptr});
  Tensor<int64_t> ids(i64, {3, 1});
  Tensor<float> logits(f32, {3, 1, 16});
  for (int i = 0; i < 5; ++i)
    ASSERT_EQ(f.run("forward", {&ids, nullptr}, {&logits}), 0) << f.error.text;
  attn_profile_row rows[4];
  ASSERT_EQ(attn_runtime_profile(f.runtime, nullptr, 0), 2u);
  ASSERT_EQ(attn_runtime_profile(f.runtime, rows, 4), 2u);
  EXPECT_EQ(std::string(rows[0].op) + rows[1].op == "embedhead" || std::string(rows[0].op) + rows[1].op == "headembed",
            true);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(rows[i].calls, 5u);
    EXPECT_EQ(rows[i].tasks, 15u);
    EXPECT_GT(rows[i].ns, 0u);
    EXPECT_EQ(rows[i].flop, std::string(rows[i].op) == "head" ? 15000000u : 0u);
    EXPECT_EQ(rows[i].bytes, 7500000u);
  }
  EXPECT_GE(rows[0].ns, rows[1].ns);
  attn_runtime_profile_reset(f.runtime);
  EXPECT_EQ(attn_runtime_profile(f.runtime, rows, 4), 0u);
}

TEST(Profile, ManyNamesAndDeepNesting) {
  attn_runtime *runtime = makeRuntime(ATTN_RUNTIME_PROFILE);
  const attn_host *host = attn_runtime_host(runtime);
  auto tell = [&](const std::string &name, attn_span_phase phase, uint64_t flop = 0, uint64_t bytes = 0) {
    attn_op_info op = {sizeof op, name.c_str(), 1, flop, bytes};
    host->op(host->ctx, &op, phase);
  };
  tell("unbegun", ATTN_SPAN_END); // ignored
  for (int i = 0; i < 1000; ++i)
    for (auto phase : {ATTN_SPAN_BEGIN, ATTN_SPAN_END})
      tell("op" + std::to_string(i % 500), phase);
  EXPECT_EQ(attn_runtime_profile(runtime, nullptr, 0), 500u);
  for (int i = 0; i < 100; ++i)
    tell("deep", ATTN_SPAN_BEGIN);
  for (int i = 0; i < 100; ++i)
    tell("deep", ATTN_SPAN_END);
  EXPECT_EQ(attn_runtime_profile(runtime, nullptr, 0), 501u);
  attn_runtime_profile_reset(runtime);

  // One name: costs of the same powers of two are one row.
  const uint64_t costs[][2] = {{0, 0}, {0, 64}, {0, 127}, {0, 128}, {64, 9}, {127, 15}, {127, 16}, {UINT64_MAX, UINT64_MAX}};
  for (auto [flop, bytes] : costs)
    for (auto phase : {ATTN_SPAN_BEGIN, ATTN_SPAN_END})
      tell("op", phase, flop, bytes);
  EXPECT_EQ(attn_runtime_profile(runtime, nullptr, 0), 6u);
  attn_runtime_free(runtime);
}

TEST(ErrorText, IsBoundedAndClean) {
  Error error;
  EXPECT_EQ(attn_fail(&error, ATTN_SHAPE, "a\nb\x1b[1m %d", 3), ATTN_SHAPE);
  EXPECT_EQ(error.str(), "a?b?[1m 3");
  attn_fail(&error, ATTN_SHAPE, "%s", std::string(1000, 'x').c_str());
  EXPECT_EQ(error.str().size(), size_t(ATTN_ERROR_TEXT - 1));
  EXPECT_EQ(attn_fail(nullptr, ATTN_IO, "x"), ATTN_IO);
  error = Error();
  error.size = 8 + 4; // a caller whose text is shorter
  attn_fail(&error, ATTN_IO, "abcdefgh");
  EXPECT_EQ(error.str(), "abc");
  error = Error();
  error.size = 0; // forgot to set it: nothing is written
  EXPECT_EQ(attn_fail(&error, ATTN_IO, "abcdefgh"), ATTN_IO);
  EXPECT_EQ(error.str(), "");
}

TEST(ErrorText, StatusNames) {
  EXPECT_STREQ(attn_status_name(ATTN_OK), "ok");
  EXPECT_STREQ(attn_status_name(ATTN_CACHE_FULL), "cache-full");
  for (int32_t code = 0; code <= ATTN_DEVICE; ++code)
    EXPECT_STRNE(attn_status_name(code), "unknown");
  EXPECT_STREQ(attn_status_name(ATTN_DEVICE + 1), "unknown");
}

TEST(Json, Valid) {
  for (const char *text : {"{}", "[]", " { \"a\" : [1, -2.5e+3, true, false, null, \"\\u00e9\\n\"] } ", "0", "\"x\"",
                           "[[[]]]", "{\"a\":{\"b\":[{}]}}"})
    EXPECT_TRUE(attn_json_valid(text)) << text;
  for (const char *text : {"", "{", "}", "[1,]", "{\"a\"}", "{\"a\":}", "{a:1}", "{\"a\":1,}", "01", "1.", "-", "1e", "tru",
                           "\"\n\"", "\"\\x\"", "\"\\u12g4\"", "\"abc", "[1 2]", "{} x", "nul", "+1", "\"\\"})
    EXPECT_FALSE(attn_json_valid(text)) << text;
  EXPECT_FALSE(attn_json_valid(nullptr));
  EXPECT_TRUE(attn_json_valid((std::string(64, '[') + std::string(64, ']')).c_str()));
  EXPECT_FALSE(attn_json_valid((std::string(65, '[') + std::string(65, ']')).c_str()));
  EXPECT_FALSE(attn_json_valid(std::string(1000000, '[').c_str()));
}

TEST(Json, Int) {
  int64_t value = 0;
  EXPECT_TRUE(attn_json_int("{\"a\": {\"n\": 3}, \"n\": 5}", "n", &value));
  EXPECT_EQ(value, 5); // the outermost object wins
  EXPECT_TRUE(attn_json_int("{\"x\": \"n\", \"a\": [{\"n\": -3}, {\"n\": 4}]}", "n", &value));
  EXPECT_EQ(value, -3);
  EXPECT_TRUE(attn_json_int("{\"n\": -9223372036854775808}", "n", &value));
  EXPECT_EQ(value, INT64_MIN);
  for (const char *text : {"{\"n\": 1.5}", "{\"n\": 1e3}", "{\"n\": 9223372036854775808}", "{\"n\": \"1\"}", "{\"m\": 1}",
                           "{\"n\": 1", "{\"n\": 01}", "{\"nn\": 1}"})
    EXPECT_FALSE(attn_json_int(text, "n", &value)) << text;
}

} // namespace
