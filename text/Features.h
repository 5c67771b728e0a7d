//===- Features.h - Training pairs of a summariser as ids, loss masks and batches ------------------------===//
//
// A language model that summarises reads an article and its summary as one sequence,
//
//   ids    article …  EOS  separator  summary …  EOS
//   mask      0 …      0       0         1 …      1
//
// and learns to predict only where the mask is 1: `article + 2` zeros, `summary + 1` ones. The defaults are those of
// the course's pipeline on Trax (FilterByLength, BucketByLength).
//
//===--------------------------------------------------------------------------------------------------===//
#ifndef ATTN_TEXT_FEATURES_H
#define ATTN_TEXT_FEATURES_H

#include "Expected.h"
#include "TokenizerParts.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace attn::text {

struct FeatureOptions {
  TokenId eos = 1, separator = 0, padding = 0;
  int64_t maxLength = 2048; ///< of a sequence; longer ones are dropped
  /// Bucket i takes sequences of at most boundaries[i] tokens, the last one the others; its batches have batchSizes[i]
  /// rows.
  std::vector<int64_t> boundaries = {128, 256, 512, 1024};
  std::vector<int64_t> batchSizes = {16, 8, 4, 2, 1};

  /// Errors: negative ids, lengths and sizes below 1, boundaries that do not grow, another number of sizes than buckets.
  Status check() const;
};

/// One sequence.
struct Features {
  std::vector<TokenId> ids;
  std::vector<float> lossMask; ///< as long as ids
};
Features buildFeatures(const std::vector<TokenId> &article, const std::vector<TokenId> &summary,
                       const FeatureOptions &options = {});

/// What comes before the summary, article, EOS and separator: the start of greedy decoding.
std::vector<TokenId> buildPrompt(const std::vector<TokenId> &article, const FeatureOptions &options = {});

/// The length to which `next_symbol` pads `tokens` tokens: the smallest power of two above it, so that there is an output
/// at position `tokens`, which a model with ShiftRight computes from the tokens before. Errors: "expected 0 to 2^30
/// tokens, got N".
Expected<int64_t> paddedLength(int64_t tokens);

struct FeatureBatch {
  int64_t rows = 0, length = 0;
  std::vector<TokenId> ids;    ///< [rows, length]
  std::vector<float> lossMask; ///< [rows, length]; 0 on padding
};

/// Collects pairs in buckets of similar lengths and gives out each bucket when it has a batch. Rows are padded to the
/// bucket's boundary; to a power of two where that is enough and less than half of it; in the last bucket to the longest.
class BatchBuilder {
public:
  /// Errors: those of FeatureOptions::check.
  static Expected<BatchBuilder> create(FeatureOptions options = {});

  /// Takes a pair and returns the batch that it completes, if any.
  std::optional<FeatureBatch> add(const std::vector<TokenId> &article, const std::vector<TokenId> &summary);
  /// After the last pair, until there is none: the incomplete batches, the shortest first.
  std::optional<FeatureBatch> finish();
  /// Pairs that were longer than maxLength.
  int64_t dropped() const { return tooLong; }

private:
  explicit BatchBuilder(FeatureOptions options) : options(std::move(options)), buckets(this->options.batchSizes.size()) {}
  FeatureBatch take(size_t bucket);

  FeatureOptions options;
  std::vector<std::vector<Features>> buckets;
  int64_t tooLong = 0;
};

} // namespace attn::text

#endif // ATTN_TEXT_FEATURES_H
