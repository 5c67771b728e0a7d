//===- CompiledModelTest.cpp - Steps of a model file -------------------------------------------------------===//
//
// The model is test/runtime/fake_model.c: after a sequence, forward's largest logit is (last id + 1) % 16 and
// prefill's and decode's is (sum of the ids) % 16; 32 tokens of context.
//
//===--------------------------------------------------------------------------------------------------===//

#include "text/CompiledModel.h"
#include "text/Generator.h"

#include <gtest/gtest.h>

#include <cstring>

using namespace attn::text;

using Ids = std::vector<TokenId>;

namespace {

class CompiledModelTest : public testing::Test {
protected:
  void SetUp() override {
    attn_error error = {};
    error.size = sizeof error;
    attn_runtime_options options = {};
    options.size = sizeof options;
    options.threads = 2;
    options.flags = ATTN_RUNTIME_GUARD;
    ASSERT_EQ(attn_runtime_create(&options, &runtime, &error), ATTN_OK) << error.text;
    ASSERT_EQ(attn_file_load(ATTN_TEST_FAKE_MODEL, &file, &error), ATTN_OK) << error.text;
    library = *attn_file_library(file);
    ASSERT_EQ(attn_file_open(file, attn_runtime_host(runtime), nullptr, &model, &error), ATTN_OK) << error.text;
    entries.assign(library.entries, library.entries + library.n_entries);
    library.entries = entries.data();
  }
  void TearDown() override {
    if (model)
      library.close(model);
    attn_file_free(file);
    attn_runtime_free(runtime);
  }

  Expected<std::unique_ptr<StepModel>> cached() {
    return createCachedModel(&library, model, attn_runtime_host(runtime));
  }
  Expected<std::unique_ptr<StepModel>> uncached() {
    return createUncachedModel(&library, model, attn_runtime_host(runtime));
  }
  std::string errorOf(Expected<std::unique_ptr<StepModel>> made) { return made ? "no error" : made.error().text; }
  attn_entry &entry(const char *name) { return entries[static_cast<size_t>(attn_library_find(&library, name))]; }

  attn_runtime *runtime = nullptr;
  attn_file *file = nullptr;
  attn_model *model = nullptr;
  attn_library library = {}; ///< a copy whose entries a test may change
  std::vector<attn_entry> entries;
};

} // namespace

static Ids generate(StepModel &model, const Ids &prompt, int64_t maxNewTokens) {
  GenerateOptions options;
  options.maxNewTokens = maxNewTokens;
  Expected<Generation> result = Generator(model).run(prompt, options);
  if (!result) {
    ADD_FAILURE() << result.error().text;
    return {};
  }
  return result->ids;
}

TEST_F(CompiledModelTest, CachedStepsSeeTheWholeSequence) {
  auto steps = cached();
  ASSERT_TRUE(bool(steps)) << steps.error().text;
  EXPECT_EQ((*steps)->contextLength(), 32);
  EXPECT_EQ((*steps)->vocabularySize(), 16);
  EXPECT_EQ(generate(**steps, {1, 2}, 4), (Ids{3, 6, 12, 8}));
  // Again, shorter, longer than the first state, and up to the last place of the context.
  EXPECT_EQ(generate(**steps, {1, 2}, 4), (Ids{3, 6, 12, 8}));
  EXPECT_EQ(generate(**steps, {5}, 2), (Ids{5, 10}));
  EXPECT_EQ(generate(**steps, {1, 1, 1, 1, 1, 1, 1, 1, 1}, 3), (Ids{9, 2, 4}));
  EXPECT_EQ(generate(**steps, Ids(32, 1), 10), (Ids{0}));
  EXPECT_EQ(generate(**steps, Ids(30, 0), 10), (Ids{0, 0, 0}));
}

TEST_F(CompiledModelTest, UncachedStepsRunTheWholeSequence) {
  auto steps = uncached();
  ASSERT_TRUE(bool(steps)) << steps.error().text;
  EXPECT_EQ(generate(**steps, {3, 1, 7}, 4), (Ids{8, 9, 10, 11}));
  EXPECT_EQ(generate(**steps, {14}, 40).size(), 32u) << "until the context is full";
  EXPECT_EQ(generate(**steps, {15}, 1), (Ids{0}));
}

TEST_F(CompiledModelTest, ShiftRightNeedsTheCache) {
  library.json = R"({"shift_right": 0})";
  EXPECT_EQ(errorOf(uncached()), "no error");
  library.json = R"({"shift_right": 1})";
  EXPECT_EQ(errorOf(uncached()),
            "entry 'forward' shifts its input to the right (metadata shift_right): expected to run with a cache");
  EXPECT_EQ(errorOf(cached()), "no error");
}

TEST_F(CompiledModelTest, Cancelled) {
  auto steps = cached();
  ASSERT_TRUE(bool(steps));
  attn_runtime_cancel(runtime);
  Expected<Generation> result = Generator(**steps).run({1}, {});
  ASSERT_FALSE(bool(result));
  EXPECT_EQ(result.error().text, "cancelled");
  attn_runtime_resume(runtime);
  EXPECT_EQ(generate(**steps, {5}, 2), (Ids{5, 10}));
}

TEST_F(CompiledModelTest, EntriesAreChecked) {
  entry("decode").name = "another";
  EXPECT_EQ(errorOf(cached()), "the model has no entry 'decode'; it has: forward, prefill, another, scale, half, flip, "
                               "fail, forever, overrun, static");
  entry("another").name = "decode";

  entry("prefill").uses_state = 0;
  EXPECT_EQ(errorOf(cached()), "entry 'prefill' does not use a state");
  entry("prefill").uses_state = 1;
  entry("forward").uses_state = 1;
  EXPECT_EQ(errorOf(uncached()), "entry 'forward' needs a state");
  entry("forward").uses_state = 0;

  entry("forward").n_out = 0;
  EXPECT_EQ(errorOf(uncached()), "entry 'forward' has no 'logits'");
  entry("forward").n_out = 1;
  entry("forward").n_in = 0;
  EXPECT_EQ(errorOf(uncached()), "entry 'forward' has no 'input_ids'");
  entry("forward").n_in = 2;

  attn_tensor_info inputs[2] = {entry("forward").in[0], entry("forward").in[1]};
  entry("forward").in = inputs;
  inputs[1].flags = 0;
  EXPECT_EQ(errorOf(uncached()), "entry 'forward': input 'attention_mask' is required, only input_ids is given");
  inputs[0].dtype.bits = 32;
  EXPECT_EQ(errorOf(uncached()), "entry 'forward': expected input_ids of type int64 and rank 2, got int32 and rank 2");
  inputs[0].dtype.bits = 64;
  inputs[1].flags = ATTN_TENSOR_OPTIONAL;

  attn_tensor_info logits = entry("forward").out[0];
  entry("forward").out = &logits;
  logits.rank = 2;
  EXPECT_EQ(errorOf(uncached()), "entry 'forward': expected logits of type float32 and rank 3, got float32 and rank 2");
  logits.rank = 3;
  logits.dims[2] = -1;
  EXPECT_EQ(errorOf(uncached()), "entry 'forward': expected a fixed vocabulary, the last dimension of logits");

  attn_tensor_info narrow = entry("decode").out[0];
  narrow.dims[1] = 8;
  entry("decode").out = &narrow;
  EXPECT_EQ(errorOf(cached()), "entries 'prefill' and 'decode' differ in vocabulary: 16 and 8");
}

TEST_F(CompiledModelTest, StateDoesNotFit) {
  library.state_bytes = [](const attn_model *, uint32_t, uint64_t, uint32_t, attn_error *error) -> uint64_t {
    error->code = ATTN_RANGE;
    std::strcpy(error->text, "no room");
    return 0;
  };
  auto steps = cached();
  ASSERT_TRUE(bool(steps));
  EXPECT_EQ(Generator(**steps).run({1}, {}).error().text, "no room");
}
