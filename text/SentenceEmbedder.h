//===- SentenceEmbedder.h - Vectors of sentences ---------------------------------------------------------===//
#ifndef ATTN_TEXT_SENTENCEEMBEDDER_H
#define ATTN_TEXT_SENTENCEEMBEDDER_H

#include "ModelEntry.h"
#include "TokenizerParts.h"

#include <functional>
#include <vector>

namespace attn::text {

/// Sentences that share a run: numbers of sentences, the longest first.
struct SentenceBatch {
  std::vector<size_t> sentences;
  int64_t seq;    ///< tokens of the longest, at least 1
  int64_t tokens; ///< of all, without padding
};

/// Groups sentences of similar lengths, the longest first: at most `batchTokens` tokens, padding included, at most an
/// eighth of that padding, and at most `maxRows` sentences. A sentence that is longer than that is alone.
std::vector<SentenceBatch> groupByLength(const std::vector<size_t> &lengths, int64_t batchTokens, int64_t maxRows);

/// Runs the entry of a compiled sentence encoder (attn_abi.h):
///
///   forward  input_ids [batch, seq] i64, attention_mask [batch, seq] i64 -> sentence_embedding [batch, width] f32
///
/// Other inputs must be optional and are left out. A sentence's vector does not depend on what shares its batch.
class SentenceEmbedder {
public:
  /// `library`, `model` and `host` must outlive the result. Errors: a missing entry, and inputs or outputs that do not
  /// fit the contract.
  static Expected<SentenceEmbedder> create(const attn_library *library, const attn_model *model, const attn_host *host);

  int64_t width() const { return features; }
  int64_t maxTokens() const { return longest; }
  int64_t maxBatch() const { return mostRows; }

  /// Vectors [sentences, width] in the order of the sentences, of which none is longer than maxTokens(). One without
  /// tokens is a row of padding. `onBatch` is called after each run. Errors: the runtime's.
  Expected<std::vector<float>> run(const std::vector<std::vector<TokenId>> &sentences,
                                   const std::vector<SentenceBatch> &batches,
                                   const std::function<void(const SentenceBatch &)> &onBatch = nullptr);

private:
  Status runBatch(const std::vector<std::vector<TokenId>> &sentences, const SentenceBatch &batch, float *vectors);

  OwnedSession session;
  uint32_t number = 0; ///< of the entry
  const attn_entry *entry = nullptr;
  uint32_t ids = 0, mask = 0, output = 0; ///< indices into the entry's inputs and outputs
  int64_t features = 0, longest = 0, mostRows = 0;
};

} // namespace attn::text

#endif // ATTN_TEXT_SENTENCEEMBEDDER_H
