//===- LogitsProcessingTest.cpp - Against transformers' processors ------------------------------------------===//

#include "text/LogitsProcessing.h"
#include "Fixtures.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

using namespace attn::text;

static constexpr float kNever = -std::numeric_limits<float>::infinity();

static LogitsOptions optionsOf(const nlohmann::json &given) {
  LogitsOptions options;
  options.topK = given.value("top_k", int64_t(0));
  options.temperature = given.value("temperature", 1.0);
  options.topP = given.value("top_p", 1.0);
  options.minP = given.value("min_p", 0.0);
  options.repetitionPenalty = given.value("repetition_penalty", 1.0);
  options.noRepeatNgramSize = given.value("no_repeat_ngram_size", int64_t(0));
  return options;
}

TEST(LogitsProcessing, AsTransformers) {
  nlohmann::json cases = jsonOf(ATTN_TEST_SOURCE_DIR "/test/fixtures/generation/processors.json");
  ASSERT_GT(cases.size(), 30u);
  for (const nlohmann::json &item : cases) {
    auto scores = item["logits"].get<std::vector<float>>();
    std::vector<TokenId> sequence = idsOf(item["sequence"]);
    LogitsOptions options = optionsOf(item["options"]);
    int64_t size = static_cast<int64_t>(scores.size());
    processLogits(scores.data(), size, options, {sequence, 4, 10, {}});
    warpLogits(scores.data(), size, options);
    for (size_t i = 0; i < scores.size(); ++i) {
      const nlohmann::json &expected = item["scores"][i];
      if (expected.is_null())
        EXPECT_EQ(scores[i], kNever) << item["options"] << " token " << i;
      else
        EXPECT_NEAR(scores[i], expected.get<float>(), 1e-6 * (1 + std::abs(scores[i]))) << item["options"] << " " << i;
    }
  }
}

static std::vector<float> processed(const LogitsOptions &options, std::vector<TokenId> sequence, int64_t newTokens) {
  std::vector<float> scores = {1, 2, 3, 4};
  processLogits(scores.data(), 4, options, {sequence, newTokens, 5, {2, 9}});
  return scores;
}

TEST(LogitsProcessing, BannedAndForcedTokens) {
  std::vector<float> free = {1, 2, 3, 4}, noEnd = {1, 2, kNever, 4};
  LogitsOptions options;
  options.minNewTokens = 2;
  EXPECT_EQ(processed(options, {0, 0}, 1), noEnd);
  EXPECT_EQ(processed(options, {0, 0}, 2), free);
  options = {};
  options.minLength = 3;
  EXPECT_EQ(processed(options, {0, 0}, 2), noEnd);
  EXPECT_EQ(processed(options, {0, 0, 0}, 0), free);
  options = {};
  options.bannedIds = {2, 17, -1};
  EXPECT_EQ(processed(options, {0}, 0), noEnd);
  options = {};
  options.forcedBosId = 1;
  EXPECT_EQ(processed(options, {0}, 0), (std::vector<float>{kNever, 0, kNever, kNever}));
  EXPECT_EQ(processed(options, {0, 0}, 1), free);
  options = {};
  options.forcedEosIds = {3};
  EXPECT_EQ(processed(options, {0, 0}, 4), (std::vector<float>{kNever, kNever, kNever, 0}));
  EXPECT_EQ(processed(options, {0, 0}, 3), free);
}

TEST(LogitsProcessing, TokensOutsideTheVocabulary) {
  LogitsOptions options;
  options.repetitionPenalty = 2;
  options.noRepeatNgramSize = 1;
  EXPECT_EQ(processed(options, {17, 0, -3}, 1), (std::vector<float>{kNever, 2, 3, 4}));
}

TEST(LogitsProcessing, Options) {
  auto errorOf = [](auto set) {
    LogitsOptions options;
    set(options);
    Status status = options.check();
    return status ? "no error" : status.error().text;
  };
  EXPECT_EQ(errorOf([](LogitsOptions &) {}), "no error");
  EXPECT_EQ(errorOf([](LogitsOptions &o) { o.temperature = 0; }), "temperature: expected a number above 0, got 0");
  EXPECT_EQ(errorOf([](LogitsOptions &o) { o.temperature = NAN; }), "temperature: expected a number above 0, got nan");
  EXPECT_EQ(errorOf([](LogitsOptions &o) { o.repetitionPenalty = -1; }),
            "repetition_penalty: expected a number above 0, got -1");
  EXPECT_EQ(errorOf([](LogitsOptions &o) { o.topP = 1.5; }), "top_p: expected a number from 0 to 1, got 1.5");
  EXPECT_EQ(errorOf([](LogitsOptions &o) { o.minP = -0.5; }), "min_p: expected a number from 0 to 1, got -0.5");
  EXPECT_EQ(errorOf([](LogitsOptions &o) { o.topK = -1; }), "top_k: expected a number from 0, got -1");
  EXPECT_EQ(errorOf([](LogitsOptions &o) { o.noRepeatNgramSize = -2; }),
            "no_repeat_ngram_size: expected a number from 0, got -2");
}

/// Draws from random logits and compares frequencies with probabilities (chi-squared).
TEST(Sampling, FollowsTheProbabilities) {
  const char *given = std::getenv("ATTN_TEST_SEED");
  uint64_t seed = given ? std::strtoull(given, nullptr, 10) : 1;
  SCOPED_TRACE("ATTN_TEST_SEED=" + std::to_string(seed));
  SampleGenerator generator(seed);
  std::normal_distribution<float> normal(0, 1.5f);
  for (int round = 0; round < 5; ++round) {
    constexpr size_t size = 20;
    constexpr int draws = 40000;
    std::vector<float> scores(size);
    for (float &score : scores)
      score = normal(generator);
    scores[3] = kNever;
    std::vector<double> counts(size);
    for (int i = 0; i < draws; ++i)
      ++counts[static_cast<size_t>(*sampleToken(scores.data(), size, generator))];
    EXPECT_EQ(counts[3], 0);
    double sum = 0, chi2 = 0;
    for (float score : scores)
      sum += std::exp(static_cast<double>(score));
    for (size_t i = 0; i < size; ++i)
      if (double expected = draws * std::exp(static_cast<double>(scores[i])) / sum; expected > 0)
        chi2 += (counts[i] - expected) * (counts[i] - expected) / expected;
    EXPECT_LT(chi2, 54) << "18 degrees of freedom: above 54 once in 50,000 times";
  }
}

TEST(Sampling, SeedsReproduce) {
  std::vector<float> scores(50, 0.f);
  SampleGenerator generator(5489); // its 10,000th number is in the C++ standard: 9981545732273789042
  generator.discard(9999);
  EXPECT_EQ(*sampleToken(scores.data(), 50, generator), TokenId(9981545732273789042u / 18446744073709551616.0 * 50));
}

TEST(Sampling, Errors) {
  SampleGenerator generator(1);
  const float broken[] = {1, NAN}, none[] = {kNever, kNever};
  EXPECT_EQ(sampleToken(broken, 2, generator).error().text, "logits of token 1 are not a number");
  EXPECT_EQ(sampleToken(none, 2, generator).error().text, "no token is left to choose from");
}

TEST(LogSoftmax, ByHand) {
  float logits[] = {0, std::log(3.f), kNever};
  ASSERT_TRUE(bool(logSoftmax(logits, 3)));
  EXPECT_FLOAT_EQ(logits[0], std::log(0.25f));
  EXPECT_FLOAT_EQ(logits[1], std::log(0.75f));
  EXPECT_EQ(logits[2], kNever);
  float infinite[] = {0, -kNever}, broken[] = {NAN};
  EXPECT_EQ(logSoftmax(infinite, 2).error().text, "logits of token 1 are infinite");
  EXPECT_EQ(logSoftmax(broken, 1).error().text, "logits of token 0 are not a number");
}
