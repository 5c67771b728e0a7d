//===- GeneratorTest.cpp - Greedy search over a model computed in one's head ------------------------------===//

#include "text/Generator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

using namespace attn::text;

namespace {

/// After any token t the largest logit is that of t + 1.
class CountingModel : public StepModel {
public:
  explicit CountingModel(int64_t context, int64_t vocabulary = 10) : context(context), logits(vocabulary) {}

  int64_t contextLength() const override { return context; }
  int64_t vocabularySize() const override { return static_cast<int64_t>(logits.size()); }
  Status start(int64_t tokens) override {
    capacity = tokens;
    fed.clear();
    return {};
  }
  Expected<const float *> prefill(const std::vector<TokenId> &ids) override {
    for (TokenId id : ids)
      fed.push_back(id);
    if (static_cast<int64_t>(fed.size()) > capacity)
      return Error{"more tokens than start was told"};
    if (static_cast<int64_t>(fed.size()) == failAt)
      return Error{"step failed"};
    std::fill(logits.begin(), logits.end(), 0.f);
    logits[static_cast<size_t>(fed.back() + 1) % logits.size()] = 1;
    if (static_cast<int64_t>(fed.size()) == nanAt)
      logits[3] = std::numeric_limits<float>::quiet_NaN();
    return logits.data();
  }
  Expected<const float *> decode(TokenId id) override { return prefill({id}); }

  int64_t context, capacity = 0, failAt = -1, nanAt = -1;
  std::vector<TokenId> fed;
  std::vector<float> logits;
};

using Ids = std::vector<TokenId>;

} // namespace

static Expected<Generation> generate(CountingModel &model, const Ids &prompt, int64_t maxNewTokens, Ids eosIds = {}) {
  GenerateOptions options;
  options.maxNewTokens = maxNewTokens;
  options.eosIds = eosIds;
  return Generator(model).run(prompt, options);
}

static std::string errorOf(const Expected<Generation> &result) { return result ? "no error" : result.error().text; }

TEST(Argmax, LowestIdAmongEquals) {
  float infinity = std::numeric_limits<float>::infinity();
  const float ties[] = {1, 3, 2, 3}, negative[] = {-infinity, -5, -5}, nothing[] = {-infinity, -infinity};
  EXPECT_EQ(*argmax(ties, 4), 1);
  EXPECT_EQ(*argmax(negative, 3), 1);
  EXPECT_EQ(*argmax(nothing, 2), 0);
  const float broken[] = {1, std::nanf(""), 2};
  EXPECT_EQ(argmax(broken, 3).error().text, "logits of token 1 are not a number");
}

TEST(Generator, StopsAtTheLimit) {
  CountingModel model(20);
  Expected<Generation> result = generate(model, {7, 1, 2}, 4);
  ASSERT_TRUE(bool(result));
  EXPECT_EQ(result->ids, (Ids{3, 4, 5, 6}));
  EXPECT_EQ(result->reason, StopReason::MaxNewTokens);
  EXPECT_EQ(result->decodeSteps, 3);
  EXPECT_EQ(model.fed, (Ids{7, 1, 2, 3, 4, 5})) << "the last token need not be read";
  EXPECT_EQ(model.capacity, 6);
}

TEST(Generator, StopsAtAnyEndOfText) {
  CountingModel model(20);
  Expected<Generation> result = generate(model, {2}, 100, {9, 5});
  ASSERT_TRUE(bool(result));
  EXPECT_EQ(result->ids, (Ids{3, 4}));
  EXPECT_EQ(result->reason, StopReason::EndOfText);
  EXPECT_TRUE(generate(model, {4}, 100, {9, 5})->ids.empty());
}

TEST(Generator, StopsWhenTheContextIsFull) {
  CountingModel model(5);
  Expected<Generation> result = generate(model, {0, 1, 2}, 100);
  ASSERT_TRUE(bool(result));
  EXPECT_EQ(result->ids, (Ids{3, 4, 5})) << "two more are read, and the last one is not";
  EXPECT_EQ(result->reason, StopReason::ContextFull);
  EXPECT_EQ(model.capacity, 5);
  EXPECT_EQ(generate(model, {0, 1, 2, 3, 4}, 100)->ids, (Ids{5}));
}

TEST(Generator, StopsOnRequest) {
  CountingModel model(20);
  GenerateOptions options;
  Ids seen;
  options.onToken = [&](TokenId id) {
    seen.push_back(id);
    return id != 5;
  };
  Expected<Generation> result = Generator(model).run({2}, options);
  EXPECT_EQ(result->ids, (Ids{3, 4, 5}));
  EXPECT_EQ(seen, result->ids);
  EXPECT_EQ(result->reason, StopReason::Stopped);
}

TEST(Generator, NothingAskedFor) {
  CountingModel model(5);
  EXPECT_TRUE(generate(model, {1}, 0)->ids.empty());
  EXPECT_TRUE(model.fed.empty());
}

TEST(Generator, ChecksThePromptBeforeRunning) {
  CountingModel model(3);
  EXPECT_EQ(errorOf(generate(model, {}, 5)), "the prompt has no tokens");
  EXPECT_EQ(errorOf(generate(model, {1, 2, 3, 4}, 5)), "the prompt has 4 tokens, the model's context holds 3");
  EXPECT_EQ(errorOf(generate(model, {1, 10}, 5)), "token id 10 of the prompt is outside the model's vocabulary of 10");
  EXPECT_EQ(errorOf(generate(model, {-1}, 5)), "token id -1 of the prompt is outside the model's vocabulary of 10");
  EXPECT_TRUE(model.fed.empty());
}

TEST(Generator, ErrorsOfTheModel) {
  CountingModel model(20);
  model.failAt = 1;
  EXPECT_EQ(errorOf(generate(model, {1}, 5)), "step failed");
  model.failAt = 3;
  EXPECT_EQ(errorOf(generate(model, {1}, 5)), "step failed");
  model.failAt = -1;
  model.nanAt = 2;
  EXPECT_EQ(errorOf(generate(model, {1}, 5)), "logits of token 3 are not a number");
}

TEST(Generator, CancellationIsNotAnError) {
  CountingModel model(20);
  model.failAt = 3;
  GenerateOptions options;
  options.cancelled = [] { return true; };
  Expected<Generation> result = Generator(model).run({1}, options);
  ASSERT_TRUE(bool(result));
  EXPECT_EQ(result->ids, (Ids{2, 3}));
  EXPECT_EQ(result->reason, StopReason::Stopped);
}
