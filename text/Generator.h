//===- Generator.h - Writing text with a model -----------------------------------------------------------===//
#ifndef ATTN_TEXT_GENERATOR_H
#define ATTN_TEXT_GENERATOR_H

#include "Expected.h"
#include "TokenizerParts.h"

#include <functional>
#include <vector>

namespace attn::text {

/// A model that reads one sequence, token by token. CompiledModel.h makes one from a compiled file.
class StepModel {
public:
  virtual ~StepModel() = default;
  /// Most tokens a sequence can hold.
  virtual int64_t contextLength() const = 0;
  /// Length of a row of logits.
  virtual int64_t vocabularySize() const = 0;
  /// Forgets the sequence; the next one holds at most `capacity` tokens (<= contextLength()).
  virtual Status start(int64_t capacity) = 0;
  /// Appends tokens (at least one) and returns the logits [vocabularySize] after the last; they stay valid
  /// until the next call.
  virtual Expected<const float *> prefill(const std::vector<TokenId> &ids) = 0;
  /// Appends one token; otherwise as prefill.
  virtual Expected<const float *> decode(TokenId id) = 0;
};

struct GenerateOptions {
  int64_t maxNewTokens = 128;
  std::vector<TokenId> eosIds; ///< any of them ends the text; it is not part of the result
  /// Called with each new token; returning false ends the text after it.
  std::function<bool(TokenId)> onToken;
  /// Asked when a step fails: true means that the failure is a cancellation, not an error.
  std::function<bool()> cancelled;
};

enum class StopReason { EndOfText, MaxNewTokens, ContextFull, Stopped };

struct Generation {
  std::vector<TokenId> ids;
  StopReason reason = StopReason::MaxNewTokens;
  double firstTokenSeconds = 0; ///< from the start to the first new token's logits
  double decodeSeconds = 0;     ///< in all decode steps
  int64_t decodeSteps = 0;
};

/// Greedy search: always the token with the largest logit, the lowest id among equals.
class Generator {
public:
  explicit Generator(StepModel &model) : model(model) {}

  /// Continues `prompt`. Errors, before anything runs: "the prompt has no tokens", "the prompt has N tokens, the
  /// model's context holds M", "token id N of the prompt is outside the model's vocabulary of M"; afterwards
  /// those of the model, and "logits of token N are not a number".
  Expected<Generation> run(const std::vector<TokenId> &prompt, const GenerateOptions &options);

  /// The checks that run makes before anything runs.
  Status check(const std::vector<TokenId> &prompt) const;

private:
  StepModel &model;
};

/// Index of the largest of `size` (>= 1) logits, the lowest among equals. Error: a logit is NaN.
Expected<TokenId> argmax(const float *logits, int64_t size);

} // namespace attn::text

#endif // ATTN_TEXT_GENERATOR_H
