//===- SentenceEmbedderTest.cpp - Vectors of sentences ----------------------------------------------------===//
//
// Batches, and the checks of a model's entry; test/e2e/sentences.py embeds.
//
//===--------------------------------------------------------------------------------------------------===//

#include "text/ModelFile.h"
#include "text/SentenceEmbedder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

using namespace attn::text;

namespace {
using Rows = std::vector<size_t>;
} // namespace

TEST(GroupByLength, LongestFirstAndInOrder) {
  std::vector<SentenceBatch> batches = groupByLength({3, 8, 8, 4, 8}, /*batchTokens=*/16, /*maxRows=*/9);
  ASSERT_EQ(batches.size(), 3u);
  EXPECT_EQ(batches[0].sentences, (Rows{1, 2}));
  EXPECT_EQ(batches[0].seq, 8);
  EXPECT_EQ(batches[0].tokens, 16);
  EXPECT_EQ(batches[1].sentences, Rows{4}) << "4 tokens of padding are more than an eighth of 16";
  EXPECT_EQ(batches[2].sentences, (Rows{3, 0}));
  EXPECT_EQ(batches[2].seq, 4);
  EXPECT_EQ(batches[2].tokens, 7);
}

TEST(GroupByLength, Limits) {
  EXPECT_TRUE(groupByLength({}, 16, 9).empty());
  EXPECT_EQ(groupByLength({2, 2, 2, 2, 2}, 16, 2).size(), 3u) << "rows";
  EXPECT_EQ(groupByLength({20, 30}, 16, 9).size(), 2u) << "longer than a batch";
  EXPECT_EQ(groupByLength({1, 1}, 1, 9).size(), 2u);
  std::vector<SentenceBatch> batches = groupByLength({0, 0, 0}, 16, 9);
  ASSERT_EQ(batches.size(), 2u) << "rows of padding";
  EXPECT_EQ(batches[0].seq, 1);
  EXPECT_EQ(batches[0].tokens, 0);
}

TEST(GroupByLength, EverySentenceOnceWithLittlePadding) {
  unsigned seed = 1;
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    std::vector<size_t> lengths(random() % 300);
    for (size_t &length : lengths)
      length = random() % 200;
    int64_t batchTokens = 1 + random() % 2000, maxRows = 1 + random() % 40;
    std::vector<int> seen(lengths.size());
    for (const SentenceBatch &batch : groupByLength(lengths, batchTokens, maxRows)) {
      int64_t rows = static_cast<int64_t>(batch.sentences.size()), tokens = 0, longest = 1;
      for (size_t sentence : batch.sentences) {
        ++seen[sentence];
        tokens += static_cast<int64_t>(lengths[sentence]);
        longest = std::max(longest, static_cast<int64_t>(lengths[sentence]));
      }
      ASSERT_EQ(batch.seq, longest) << "seed " << seed;
      ASSERT_EQ(batch.tokens, tokens);
      ASSERT_LE(rows, maxRows);
      if (rows > 1) {
        ASSERT_LE(rows * longest, batchTokens);
        ASSERT_LE(rows * longest - tokens, batchTokens / 8);
      }
    }
    ASSERT_EQ(std::count(seen.begin(), seen.end(), 1), static_cast<ptrdiff_t>(seen.size())) << "seed " << seed;
  }
}

/// The fake model's forward, made into what the embedder wants.
TEST(SentenceEmbedder, EntriesAreChecked) {
  Expected<ModelFile> file = ModelFile::open(ATTN_TEST_FAKE_MODEL, "plain", 1);
  ASSERT_TRUE(bool(file)) << file.error().text;
  attn_library library = *file->library();
  std::vector<attn_entry> entries(library.entries, library.entries + library.n_entries);
  library.entries = entries.data();
  attn_entry &forward = entries[0];
  std::vector<attn_tensor_info> in(forward.in, forward.in + forward.n_in);
  in.push_back(in[1]);
  in[2].name = "token_type_ids";
  attn_tensor_info out = forward.out[0];
  auto errorOf = [&] {
    Expected<SentenceEmbedder> made = SentenceEmbedder::create(&library, file->model(), file->host());
    return made ? "no error" : made.error().text;
  };

  const std::string advice = "; models have it that are compiled from a directory of sentence-transformers (modules.json)";
  EXPECT_EQ(errorOf(), "entry 'forward' has no output 'sentence_embedding'; it has: logits" + advice);
  forward.n_out = 0;
  EXPECT_EQ(errorOf(), "entry 'forward' has no output 'sentence_embedding'; it has: none" + advice);
  forward.n_out = 1;
  forward.in = in.data();
  forward.n_in = 3;
  forward.out = &out;
  out.name = "sentence_embedding";
  EXPECT_EQ(errorOf(),
            "entry 'forward': expected sentence_embedding of type float32, rank 2 and a fixed width, got float32 and rank 3");
  out.rank = 2;
  out.dims[1] = 16;
  EXPECT_EQ(errorOf(), "no error");
  out.dtype.bits = 16;
  EXPECT_EQ(errorOf(),
            "entry 'forward': expected sentence_embedding of type float32, rank 2 and a fixed width, got float16 and rank 2");
  out.dtype.bits = 32;
  in[2].flags = 0;
  EXPECT_EQ(errorOf(), "entry 'forward': input 'token_type_ids' is required, only input_ids and attention_mask are given");
  in[2].flags = ATTN_TENSOR_OPTIONAL;
  in[1].name = "mask";
  EXPECT_EQ(errorOf(), "entry 'forward' has no 'attention_mask'");
  in[1].name = "attention_mask";
  in[1].dtype.bits = 32;
  EXPECT_EQ(errorOf(), "entry 'forward': expected attention_mask of type int64 and rank 2, got int32 and rank 2");
  in[1].dtype.bits = 64;
  in[0].name = "ids";
  EXPECT_EQ(errorOf(), "entry 'forward' has no 'input_ids'");
  in[0].name = "input_ids";
  forward.uses_state = 1;
  EXPECT_EQ(errorOf(), "entry 'forward' needs a state");
  forward.uses_state = 0;
  forward.name = "backward";
  EXPECT_EQ(errorOf(), "the model has no entry 'forward'; it has: backward, prefill, decode, scale, half, flip, fail, "
                       "forever, overrun, static");
}
