//===- FeaturesTest.cpp - Training pairs of a summariser --------------------------------------------------===//

#include "text/Features.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <random>

using namespace attn::text;

using Ids = std::vector<TokenId>;
using Mask = std::vector<float>;

/// An article of `length` - 3 tokens, the first of which is `mark`, and no summary: `length` tokens in all.
static Ids articleFor(int64_t length, TokenId mark = 9) {
  Ids article(static_cast<size_t>(length - 3), 7);
  if (!article.empty())
    article[0] = mark;
  return article;
}

static BatchBuilder builder(FeatureOptions options = {}) {
  Expected<BatchBuilder> made = BatchBuilder::create(std::move(options));
  EXPECT_TRUE(bool(made)) << made.error().text;
  return *made;
}

// Row "feature building" of the course: article, EOS, SEP, summary, EOS.
TEST(Features, Layout) {
  Features features = buildFeatures({5, 6, 7}, {8, 9});
  EXPECT_EQ(features.ids, (Ids{5, 6, 7, 1, 0, 8, 9, 1}));
  EXPECT_EQ(features.lossMask, (Mask{0, 0, 0, 0, 0, 1, 1, 1}));
  EXPECT_EQ(buildPrompt({5, 6, 7}), (Ids{5, 6, 7, 1, 0}));
  features = buildFeatures({}, {});
  EXPECT_EQ(features.ids, (Ids{1, 0, 1}));
  EXPECT_EQ(features.lossMask, (Mask{0, 0, 1}));
  FeatureOptions options;
  options.eos = 2;
  options.separator = 3;
  EXPECT_EQ(buildFeatures({5}, {6}, options).ids, (Ids{5, 2, 3, 6, 2}));
}

// Row "next symbol": 2^ceil(log2(n + 1)).
TEST(Features, PaddedLength) {
  const std::pair<int64_t, int64_t> rows[] = {{0, 1},    {1, 2},      {2, 4},      {3, 4},  {4, 8},
                                              {7, 8},    {8, 16},     {127, 128},  {128, 256},
                                              {511, 512}, {1000, 1024}, {1024, 2048}, {int64_t(1) << 30, int64_t(1) << 31}};
  for (auto [tokens, padded] : rows)
    EXPECT_EQ(*paddedLength(tokens), padded) << tokens;
  EXPECT_EQ(paddedLength(-1).error().text, "expected 0 to 2^30 tokens, got -1");
  EXPECT_EQ(paddedLength((int64_t(1) << 30) + 1).error().text, "expected 0 to 2^30 tokens, got 1073741825");
}

TEST(BatchBuilder, ExactBatch) {
  FeatureOptions options;
  options.padding = 4;
  options.boundaries = {8};
  options.batchSizes = {2, 1};
  BatchBuilder batches = builder(options);
  EXPECT_FALSE(batches.add({5, 6}, {8}));
  std::optional<FeatureBatch> batch = batches.add({5}, {});
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->rows, 2);
  EXPECT_EQ(batch->length, 8) << "the boundary";
  EXPECT_EQ(batch->ids, (Ids{5, 6, 1, 0, 8, 1, 4, 4, /**/ 5, 1, 0, 1, 4, 4, 4, 4}));
  EXPECT_EQ(batch->lossMask, (Mask{0, 0, 0, 0, 1, 1, 0, 0, /**/ 0, 0, 0, 1, 0, 0, 0, 0}));
  EXPECT_FALSE(batches.finish());
  batch = batches.add({5, 6, 7, 8, 9}, {10, 11});
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->ids, (Ids{5, 6, 7, 8, 9, 1, 0, 10, 11, 1})) << "longer than the last boundary: no padding";
}

TEST(BatchBuilder, TheCoursesBuckets) {
  struct Row {
    int64_t length, batch, padded;
  };
  const Row rows[] = {{3, 16, 4},    {63, 16, 64},  {64, 16, 128}, {128, 16, 128}, {129, 8, 256},    {256, 8, 256},
                      {257, 4, 512}, {512, 4, 512}, {513, 2, 1024}, {1024, 2, 1024}, {1025, 1, 1025}, {2048, 1, 2048}};
  for (auto [length, size, padded] : rows) {
    BatchBuilder batches = builder();
    for (int64_t row = 1; row < size; ++row)
      EXPECT_FALSE(batches.add(articleFor(length), {})) << length;
    std::optional<FeatureBatch> batch = batches.add(articleFor(length), {});
    ASSERT_TRUE(batch) << length;
    EXPECT_EQ(batch->rows, size) << length;
    EXPECT_EQ(batch->length, padded) << length;
    EXPECT_FALSE(batches.finish());
  }
}

TEST(BatchBuilder, LongPairsAreDropped) {
  BatchBuilder batches = builder();
  EXPECT_TRUE(batches.add(articleFor(2048), {}));
  EXPECT_FALSE(batches.add(articleFor(2049), {}));
  EXPECT_FALSE(batches.add(articleFor(2000), Ids(49, 7)));
  EXPECT_EQ(batches.dropped(), 2);
  EXPECT_FALSE(batches.finish());
}

TEST(BatchBuilder, TheRestComesAtTheEnd) {
  BatchBuilder batches = builder();
  for (int64_t length : {300, 100, 20, 200, 30})
    EXPECT_FALSE(batches.add(articleFor(length), {}));
  std::vector<std::pair<int64_t, int64_t>> shapes;
  while (std::optional<FeatureBatch> batch = batches.finish())
    shapes.push_back({batch->rows, batch->length});
  EXPECT_EQ(shapes, (std::vector<std::pair<int64_t, int64_t>>{{3, 128}, {1, 256}, {1, 512}}));
}

TEST(BatchBuilder, EveryPairOnceAndInTheOrderOfItsBucket) {
  unsigned seed = 1;
  std::mt19937 random(seed);
  for (int round = 0; round < 50; ++round) {
    FeatureOptions options;
    auto upTo = [&](int64_t most) { return 1 + static_cast<int64_t>(random()) % most; };
    options.maxLength = upTo(200);
    options.boundaries.clear();
    options.batchSizes = {upTo(9)};
    for (int64_t boundary = upTo(40); upTo(4) > 1; boundary += upTo(60)) {
      options.boundaries.push_back(boundary);
      options.batchSizes.push_back(upTo(9));
    }
    BatchBuilder batches = builder(options);
    std::map<TokenId, int64_t> lengths; // of the pairs that are kept, by their mark
    TokenId next = 1000;
    std::map<size_t, TokenId> last; // mark that came out of each bucket
    auto check = [&](const FeatureBatch &batch) {
      ASSERT_EQ(batch.ids.size(), static_cast<size_t>(batch.rows * batch.length));
      ASSERT_EQ(batch.lossMask.size(), batch.ids.size());
      for (int64_t row = 0; row < batch.rows; ++row) {
        TokenId mark = batch.ids[static_cast<size_t>(row * batch.length)];
        auto found = lengths.find(mark);
        ASSERT_NE(found, lengths.end()) << "seed " << seed;
        int64_t length = found->second;
        lengths.erase(found);
        size_t bucket = 0;
        while (bucket < options.boundaries.size() && length > options.boundaries[bucket])
          ++bucket;
        ASSERT_LE(batch.rows, options.batchSizes[bucket]) << "seed " << seed;
        ASSERT_GT(mark, last[bucket]) << "seed " << seed;
        last[bucket] = mark;
        auto mask = batch.lossMask.begin() + row * batch.length;
        ASSERT_EQ(std::accumulate(mask, mask + batch.length, 0.0f), 1.0f) << "the EOS of an empty summary";
        ASSERT_EQ(mask[length - 1], 1.0f);
      }
    };
    for (int pair = 0; pair < 200; ++pair) {
      int64_t length = 3 + upTo(220);
      Ids article = articleFor(length, ++next);
      if (length <= options.maxLength)
        lengths[next] = length;
      if (std::optional<FeatureBatch> batch = batches.add(article, {}))
        check(*batch);
    }
    while (std::optional<FeatureBatch> batch = batches.finish())
      check(*batch);
    ASSERT_TRUE(lengths.empty()) << "seed " << seed;
  }
}

TEST(BatchBuilder, OptionsAreChecked) {
  auto errorOf = [](auto change) {
    FeatureOptions options;
    change(options);
    Expected<BatchBuilder> made = BatchBuilder::create(options);
    return made ? "no error" : made.error().text;
  };
  EXPECT_EQ(errorOf([](FeatureOptions &o) { o.eos = -1; }), "expected a token id of at least 0 for eos, got -1");
  EXPECT_EQ(errorOf([](FeatureOptions &o) { o.separator = -2; }), "expected a token id of at least 0 for separator, got -2");
  EXPECT_EQ(errorOf([](FeatureOptions &o) { o.padding = -3; }), "expected a token id of at least 0 for padding, got -3");
  EXPECT_EQ(errorOf([](FeatureOptions &o) { o.maxLength = 0; }), "expected a longest length of at least 1, got 0");
  EXPECT_EQ(errorOf([](FeatureOptions &o) { o.boundaries = {0, 256, 512, 1024}; }),
            "expected boundaries that grow from 1 on, got 0 after 0");
  EXPECT_EQ(errorOf([](FeatureOptions &o) { o.boundaries = {128, 512, 512, 1024}; }),
            "expected boundaries that grow from 1 on, got 512 after 512");
  EXPECT_EQ(errorOf([](FeatureOptions &o) { o.batchSizes.pop_back(); }),
            "expected 5 batch sizes, one for each boundary and one for longer sequences, got 4");
  EXPECT_EQ(errorOf([](FeatureOptions &o) { o.batchSizes[2] = 0; }), "expected batch sizes of at least 1, got 0");
  EXPECT_EQ(errorOf([](FeatureOptions &o) {
              o.boundaries.clear();
              o.batchSizes = {3};
            }),
            "no error");
}
