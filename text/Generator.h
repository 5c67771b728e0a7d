//===- Generator.h - Writing text with a model -----------------------------------------------------------===//
#ifndef ATTN_TEXT_GENERATOR_H
#define ATTN_TEXT_GENERATOR_H

#include "Search.h"

namespace attn::text {

struct Generation {
  std::vector<TokenId> ids; ///< without the token that ended the text
  StopReason reason = StopReason::Stopped;
  double score = 0;             ///< beam search: sum of log-probabilities over (new tokens)^lengthPenalty
  int64_t reusedTokens = 0;     ///< of the prompt, found in another sequence
  double firstTokenSeconds = 0; ///< from its turn to the first new token's logits
  double decodeSeconds = 0;     ///< in the decode steps that it took part in
  int64_t decodeSteps = 0;
  int64_t lookedUpTokens = 0; ///< new tokens that took no step of their own, as lookup had guessed them
};

struct GenerateOptions {
  int64_t maxNewTokens = 128;
  SearchOptions search;
  /// What the decoder of an encoder–decoder starts with: decoder_start_token_id.
  std::vector<TokenId> decoderStart;
  /// Most sequences (prompts times beams) in one step. A beam search takes its beams in any case.
  int64_t maxSequences = 16;
  /// Prompt lookup: while one sequence alone is written, its next tokens are guessed to be those that followed its last
  /// ones before, and a guess is checked in one step (StepModel::verify). The text stays the same.
  bool lookup = false;
  /// Called with each new token of prompt number `prompt`; returning false ends everything after it. Beam search: called
  /// with all tokens when the prompt's text has been found.
  std::function<bool(size_t prompt, TokenId)> onToken;
  /// Called when the text of a prompt has ended, but not after a stop.
  std::function<void(size_t prompt, const Generation &)> onEnd;
  /// Asked when a step fails: true means that the failure is a cancellation, not an error.
  std::function<bool()> cancelled;
};

/// Continues prompts. Those that share a step keep their lengths (no padding), so each gets the tokens that it gets
/// alone; what a prompt shares with a sequence that is still there is not computed again.
class Generator {
public:
  explicit Generator(StepModel &model) : model(model) {}

  /// One result per prompt. Errors, before anything runs: those of `check` and of SearchOptions::check, "lookup does not go
  /// together with beams", "the model has no entry 'verify', which lookup needs"; afterwards those of the model and of the
  /// search. After a stop or a cancellation: what there is so far.
  Expected<std::vector<Generation>> run(const std::vector<std::vector<TokenId>> &prompts, const GenerateOptions &options);
  Expected<Generation> run(const std::vector<TokenId> &prompt, const GenerateOptions &options);

  /// "the prompt has no tokens", "the prompt has N tokens, the model's context holds M", "token id N of the prompt is
  /// outside the model's vocabulary of M".
  Status check(const std::vector<TokenId> &prompt) const;

private:
  StepModel &model;
};

} // namespace attn::text

#endif // ATTN_TEXT_GENERATOR_H
