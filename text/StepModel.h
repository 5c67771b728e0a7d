//===- StepModel.h - A model that reads sequences token by token -------------------------------------------===//
#ifndef ATTN_TEXT_STEPMODEL_H
#define ATTN_TEXT_STEPMODEL_H

#include "Expected.h"
#include "TokenizerParts.h"

#include <vector>

namespace attn::text {

/// Sequences in numbered slots, and the logits after each. CompiledModel.h makes one from a compiled file.
class StepModel {
public:
  virtual ~StepModel() = default;
  /// Most tokens a sequence can hold.
  virtual int64_t contextLength() const = 0;
  /// Length of a row of logits.
  virtual int64_t vocabularySize() const = 0;
  /// Most tokens that encode takes; 0: the model has no encoder.
  virtual int64_t encoderLength() const { return 0; }

  /// Makes `slots` empty sequences of at most `capacity` tokens (<= contextLength()) each.
  virtual Status start(int32_t slots, int64_t capacity) = 0;
  /// Gives an empty slot the article that its sequence is about.
  virtual Status encode(int32_t slot, const std::vector<TokenId> &ids) = 0;
  /// Appends `ids` [slots, n >= 1] to different slots and returns the logits [slots, vocabularySize] after the last
  /// token of each; they stay valid until the next call. When it fails no sequence has changed, or n > 1.
  virtual Expected<const float *> append(const std::vector<int32_t> &slots, const std::vector<TokenId> &ids) = 0;
  /// Most tokens that verify takes; 0: the model cannot.
  virtual int64_t verifyLength() const { return 0; }
  /// Appends `ids` to one slot and returns the logits [ids, vocabularySize] after each; otherwise as append.
  virtual Expected<const float *> verify(int32_t, const std::vector<TokenId> &) { return Error{"not supported"}; }
  /// `slot` becomes a copy of slot `of`.
  virtual Status fork(int32_t slot, int32_t of) = 0;
  /// Keeps the first `tokens` tokens of `slot`; its article stays. A model with a window may refuse.
  virtual Status truncate(int32_t slot, int64_t tokens) = 0;
  /// Empties `slot`, without an article.
  virtual Status clear(int32_t slot) = 0;
};

} // namespace attn::text

#endif // ATTN_TEXT_STEPMODEL_H
