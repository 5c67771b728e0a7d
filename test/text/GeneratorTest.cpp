//===- GeneratorTest.cpp - Greedy search over a model computed in one's head ------------------------------===//

#include "text/Generator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

using namespace attn::text;

namespace {

/// After any token t the largest logit is that of t + 1.
class CountingModel : public StepModel {
public:
  explicit CountingModel(int64_t context, int64_t vocabulary = 10) : context(context), vocabulary(vocabulary) {}

  int64_t contextLength() const override { return context; }
  int64_t vocabularySize() const override { return vocabulary; }
  Status start(int32_t slots, int64_t tokens) override {
    capacity = tokens;
    fed.clear();
    sequences.assign(static_cast<size_t>(slots), {});
    return {};
  }
  Status encode(int32_t, const std::vector<TokenId> &) override { return Error{"no encoder"}; }
  Expected<const float *> append(const std::vector<int32_t> &slots, const std::vector<TokenId> &ids) override {
    fed.insert(fed.end(), ids.begin(), ids.end());
    if (static_cast<int64_t>(fed.size()) == failAt)
      return Error{"step failed"};
    size_t n = ids.size() / slots.size();
    logits.assign(slots.size() * static_cast<size_t>(vocabulary), 0);
    for (size_t row = 0; row < slots.size(); ++row) {
      std::vector<TokenId> &sequence = sequences[static_cast<size_t>(slots[row])];
      for (size_t i = 0; i < n; ++i)
        sequence.push_back(ids[row * n + i]);
      if (static_cast<int64_t>(sequence.size()) > capacity)
        return Error{"more tokens than start was told"};
      score(sequence, logits.data() + row * static_cast<size_t>(vocabulary));
    }
    if (static_cast<int64_t>(fed.size()) == nanAt)
      logits[3] = std::numeric_limits<float>::quiet_NaN();
    ++steps;
    return logits.data();
  }
  int64_t verifyLength() const override { return verifies ? 9 : 0; }
  Expected<const float *> verify(int32_t slot, const std::vector<TokenId> &ids) override {
    EXPECT_LE(static_cast<int64_t>(ids.size()), verifyLength());
    std::vector<float> rows;
    for (TokenId id : ids) {
      if (Expected<const float *> row = append({slot}, {id}); !row)
        return row;
      rows.insert(rows.end(), logits.begin(), logits.end());
      --steps;
    }
    ++steps;
    logits = rows;
    return logits.data();
  }
  Status fork(int32_t slot, int32_t of) override {
    sequences[static_cast<size_t>(slot)] = sequences[static_cast<size_t>(of)];
    return {};
  }
  Status truncate(int32_t slot, int64_t tokens) override {
    if (window)
      return Error{"written over"};
    if (tokens > static_cast<int64_t>(sequences[static_cast<size_t>(slot)].size()))
      return Error{"truncated to more"};
    sequences[static_cast<size_t>(slot)].resize(static_cast<size_t>(tokens));
    return {};
  }
  Status clear(int32_t slot) override {
    sequences[static_cast<size_t>(slot)].clear();
    return {};
  }

  virtual void score(const std::vector<TokenId> &sequence, float *row) const { row[(sequence.back() + 1) % vocabulary] = 1; }

  int64_t context, vocabulary, capacity = 0, failAt = -1, nanAt = -1;
  int steps = 0;
  bool window = false, verifies = true;
  std::vector<TokenId> fed; ///< all tokens read, in all sequences
  std::vector<std::vector<TokenId>> sequences;
  std::vector<float> logits;
};

using Ids = std::vector<TokenId>;

} // namespace

static Expected<Generation> generate(CountingModel &model, const Ids &prompt, int64_t maxNewTokens, Ids eosIds = {}) {
  GenerateOptions options;
  options.maxNewTokens = maxNewTokens;
  options.search.eosIds = eosIds;
  return Generator(model).run(prompt, options);
}

static std::string errorOf(const Expected<Generation> &result) { return result ? "no error" : result.error().text; }

TEST(Argmax, LowestIdAmongEquals) {
  float infinity = std::numeric_limits<float>::infinity();
  const float ties[] = {1, 3, 2, 3}, negative[] = {-infinity, -5, -5}, nothing[] = {-infinity, -infinity};
  EXPECT_EQ(*argmax(ties, 4), 1);
  EXPECT_EQ(*argmax(negative, 3), 1);
  EXPECT_EQ(argmax(nothing, 2).error().text, "no token is left to choose from");
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
  options.onToken = [&](size_t, TokenId id) {
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

// ---- Several prompts -----------------------------------------------------------------------------------------

TEST(Generator, SeveralPromptsShareSteps) {
  CountingModel model(20);
  GenerateOptions options;
  options.maxNewTokens = 3;
  std::vector<std::pair<size_t, TokenId>> seen;
  options.onToken = [&](size_t prompt, TokenId id) {
    seen.push_back({prompt, id});
    return true;
  };
  std::vector<size_t> ended;
  options.onEnd = [&](size_t prompt, const Generation &result) {
    ended.push_back(prompt);
    EXPECT_EQ(result.ids.size(), 3u);
  };
  auto results = Generator(model).run({Ids{0}, Ids{5, 2}, Ids{7, 7, 4}}, options);
  ASSERT_TRUE(bool(results)) << results.error().text;
  EXPECT_EQ((*results)[0].ids, (Ids{1, 2, 3}));
  EXPECT_EQ((*results)[1].ids, (Ids{3, 4, 5}));
  EXPECT_EQ((*results)[2].ids, (Ids{5, 6, 7}));
  EXPECT_EQ(model.steps, 3 + 2) << "three prompts, then two steps of all";
  EXPECT_EQ(ended, (std::vector<size_t>{0, 1, 2}));
  EXPECT_EQ(seen[3], (std::pair<size_t, TokenId>{0, 2}));

  options.maxSequences = 1;
  auto single = Generator(model).run({Ids{0}, Ids{5, 2}, Ids{7, 7, 4}}, options);
  for (size_t i = 0; i < 3; ++i)
    EXPECT_EQ((*single)[i].ids, (*results)[i].ids);
  EXPECT_EQ(model.sequences.size(), 1u);
}

TEST(Generator, PromptsOfOtherSequencesAreNotReadAgain) {
  for (int64_t most : {1, 2, 16}) {
    CountingModel model(40);
    GenerateOptions options;
    options.maxNewTokens = 2;
    options.maxSequences = most;
    auto results = Generator(model).run({Ids{1, 2, 3, 4, 5}, Ids{1, 2, 3, 9}, Ids{1, 2, 3, 4, 5}, Ids{8}}, options);
    ASSERT_TRUE(bool(results));
    EXPECT_EQ((*results)[1].ids, (Ids{0, 1}));
    EXPECT_EQ((*results)[2].ids, (Ids{6, 7}));
    EXPECT_EQ((*results)[0].reusedTokens, 0);
    EXPECT_EQ((*results)[1].reusedTokens, 3);
    EXPECT_EQ((*results)[2].reusedTokens, most == 1 ? 3 : 4) << "its last token is read for the logits";
    EXPECT_EQ((*results)[3].reusedTokens, 0);

    model.window = true; // cannot go back: everything is read
    auto again = Generator(model).run({Ids{1, 2, 3, 4, 5}, Ids{1, 2, 3, 9}}, options);
    ASSERT_TRUE(bool(again));
    EXPECT_EQ((*again)[1].ids, (Ids{0, 1}));
    EXPECT_EQ((*again)[1].reusedTokens, 0);
  }
}

TEST(Generator, AStopEndsEverything) {
  CountingModel model(40);
  GenerateOptions options;
  options.maxSequences = 1;
  options.onToken = [](size_t, TokenId id) { return id != 4; };
  auto results = Generator(model).run({Ids{1}, Ids{2}}, options);
  ASSERT_TRUE(bool(results));
  EXPECT_EQ((*results)[0].ids, (Ids{2, 3, 4}));
  EXPECT_EQ((*results)[0].reason, StopReason::Stopped);
  EXPECT_TRUE((*results)[1].ids.empty());
  EXPECT_EQ((*results)[1].reason, StopReason::Stopped);
}

TEST(Generator, StopPredicate) {
  CountingModel model(40);
  GenerateOptions options;
  options.search.stops = [](const Ids &ids) { return ids.size() >= 2 && ids[ids.size() - 2] == 7; };
  for (int64_t beams : {1, 2}) {
    options.search.beams = beams;
    Expected<Generation> result = Generator(model).run(Ids{5}, options);
    ASSERT_TRUE(bool(result));
    EXPECT_EQ(result->ids, (Ids{6, 7, 8}));
    EXPECT_EQ(result->reason, StopReason::StopString);
  }
}

// ---- Beams -------------------------------------------------------------------------------------------------

namespace {

/// Where greed fails: after 0 comes 1 (0.6) or 2 (0.4), after 1 any of five tokens, after 2 only 3.
class TrapModel : public CountingModel {
public:
  TrapModel() : CountingModel(20, 8) {}
  void score(const std::vector<TokenId> &sequence, float *row) const override {
    std::fill(row, row + 8, -20.f);
    switch (sequence.back()) {
    case 0:
      row[1] = std::log(0.6f);
      row[2] = std::log(0.4f);
      return;
    case 1:
      for (int token = 3; token < 8; ++token)
        row[token] = std::log(0.2f);
      return;
    default: row[sequence.back() == 2 ? 3 : 4] = 0; // 4 is the end of text
    }
  }
};

} // namespace

TEST(BeamSearch, FindsWhatGreedMisses) {
  TrapModel model;
  GenerateOptions options;
  options.search.eosIds = {4};
  EXPECT_EQ(Generator(model).run(Ids{0}, options)->ids.front(), 1);
  options.search.beams = 2;
  Expected<Generation> result = Generator(model).run(Ids{0}, options);
  ASSERT_TRUE(bool(result)) << result.error().text;
  EXPECT_EQ(result->ids, (Ids{2, 3}));
  EXPECT_EQ(result->reason, StopReason::EndOfText);
  EXPECT_NEAR(result->score, std::log(0.4) / 3, 1e-5) << "over three tokens, the end of text is one";
  options.search.lengthPenalty = 0;
  EXPECT_NEAR(Generator(model).run(Ids{0}, options)->score, std::log(0.4), 1e-5);
  options.maxNewTokens = 1;
  EXPECT_EQ(Generator(model).run(Ids{0}, options)->ids, (Ids{1}));
}

TEST(BeamSearch, Options) {
  CountingModel model(20, 3);
  auto errorOf = [&](auto set) {
    GenerateOptions options;
    set(options);
    Expected<Generation> result = Generator(model).run(Ids{1}, options);
    return result ? "no error" : result.error().text;
  };
  EXPECT_EQ(errorOf([](GenerateOptions &o) { o.search.beams = 0; }), "num_beams: expected a number of 1 to 256, got 0");
  EXPECT_EQ(errorOf([](GenerateOptions &o) { o.search.beams = 257; }),
            "num_beams: expected a number of 1 to 256, got 257");
  EXPECT_EQ(errorOf([](GenerateOptions &o) { o.search.lengthPenalty = INFINITY; }),
            "length_penalty: expected a finite number");
  EXPECT_EQ(errorOf([](GenerateOptions &o) {
              o.search.beams = 2;
              o.search.sample = true;
            }),
            "beams and sampling do not go together");
  EXPECT_EQ(errorOf([](GenerateOptions &o) {
              o.search.beams = 2;
              o.search.eosIds = {0, 1, 2};
            }),
            "beam search needs a vocabulary of at least 4, the model's is 3");
  EXPECT_EQ(errorOf([](GenerateOptions &o) { o.search.logits.temperature = -1; }),
            "temperature: expected a number above 0, got -1");
}

// ---- Lookup ------------------------------------------------------------------------------------------------

TEST(Lookup, FewerSteps) {
  CountingModel model(40);
  GenerateOptions options;
  options.maxNewTokens = 7;
  options.lookup = true;
  std::vector<TokenId> seen;
  options.onToken = [&](size_t, TokenId id) {
    seen.push_back(id);
    return true;
  };
  Expected<Generation> result = Generator(model).run(Ids{1, 2, 3, 4, 5, 6, 9, 1, 2}, options);
  ASSERT_TRUE(bool(result)) << result.error().text;
  EXPECT_EQ(result->ids, (Ids{3, 4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(seen, result->ids);
  // After 2 3 came 4 5 6, and then 9, which is wrong and is not read: a guess is of 1, 3 or 7 tokens.
  EXPECT_EQ(result->lookedUpTokens, 3);
  EXPECT_EQ(model.steps, 1 + 1 + 2);
  options.search.beams = 2;
  EXPECT_EQ(errorOf(Generator(model).run(Ids{1}, options)), "lookup does not go together with beams");
  options.search.beams = 1;
  model.verifies = false;
  EXPECT_EQ(errorOf(Generator(model).run(Ids{1}, options)), "the model has no entry 'verify', which lookup needs");
}

namespace {

/// Logits that depend on the last two tokens and repeat themselves often.
class RandomModel : public CountingModel {
public:
  explicit RandomModel(uint64_t seed) : CountingModel(60, 5), seed(seed) {}
  void score(const std::vector<TokenId> &sequence, float *row) const override {
    TokenId before = sequence.size() > 1 ? sequence[sequence.size() - 2] : 0;
    SampleGenerator generator(seed + static_cast<uint64_t>(sequence.back() * 5 + before));
    for (int64_t i = 0; i < vocabulary; ++i)
      row[i] = static_cast<float>(generator() >> 40) * 0x1p-21f;
  }
  uint64_t seed;
};

} // namespace

/// Whatever is guessed, the text is that of single steps; drawn texts too.
TEST(Lookup, SameTokens) {
  const char *given = std::getenv("ATTN_TEST_SEED");
  uint64_t seed = given ? std::strtoull(given, nullptr, 10) : 1;
  SCOPED_TRACE("ATTN_TEST_SEED=" + std::to_string(seed));
  SampleGenerator random(seed);
  int64_t lookedUp = 0;
  for (int round = 0; round < 200; ++round) {
    RandomModel model(random());
    model.window = round % 5 == 0;
    Ids prompt;
    for (uint64_t n = random() % 20 + 1; n > 0; --n)
      prompt.push_back(static_cast<TokenId>(random() % 5));
    GenerateOptions options;
    options.maxNewTokens = static_cast<int64_t>(random() % 70 + 1);
    options.search.sample = round % 2;
    options.search.seed = seed;
    if (round % 3 == 0)
      options.search.eosIds = {4};
    Expected<Generation> plain = Generator(model).run(prompt, options);
    options.lookup = true;
    Expected<Generation> looked = Generator(model).run(prompt, options);
    ASSERT_TRUE(plain && looked) << (looked ? plain : looked).error().text;
    EXPECT_EQ(looked->ids, plain->ids);
    EXPECT_EQ(looked->reason, plain->reason);
    EXPECT_EQ(looked->decodeSteps + looked->lookedUpTokens, plain->decodeSteps);
    lookedUp += looked->lookedUpTokens;
  }
  EXPECT_GT(lookedUp, 500);
}
