//===- Search.h - How the next token is chosen -------------------------------------------------------------===//
//
// A search sees the logits after its rows (sequences) and says which rows come next: one token after the other
// (ChainSearch: greedy, or drawn) or several sequences at a time (BeamSearch). It runs no model.
//
//===--------------------------------------------------------------------------------------------------===//
#ifndef ATTN_TEXT_SEARCH_H
#define ATTN_TEXT_SEARCH_H

#include "LogitsProcessing.h"

#include <functional>
#include <memory>

namespace attn::text {

constexpr int64_t maxBeams = 256;

enum class EarlyStopping {
  False, ///< when it is unlikely that better texts follow
  True,  ///< when there are as many texts as beams
  Never  ///< when there cannot be better texts
};

struct SearchOptions {
  LogitsOptions logits;
  bool sample = false; ///< draw tokens instead of taking the likeliest
  uint64_t seed = 0;   ///< of the random numbers; prompt number i has seed + i
  int64_t beams = 1;   ///< 1: no beam search
  double lengthPenalty = 1; ///< scores of beams are sums of log-probabilities over (new tokens)^lengthPenalty
  EarlyStopping earlyStopping = EarlyStopping::False;
  std::vector<TokenId> eosIds; ///< any of them ends the text; it is not part of the result
  /// Whether a text ends after these new tokens, the last of which are new (stop strings); may be empty.
  std::function<bool(const std::vector<TokenId> &)> stops;

  /// Errors: those of LogitsOptions::check, "num_beams: …", "length_penalty: …", "beams and sampling do not go
  /// together", and a vocabulary that is too small for the beams.
  Status check(int64_t vocabulary) const;
};

enum class StopReason { EndOfText, MaxNewTokens, ContextFull, StopString, Stopped };

class Search {
public:
  /// A row of the next step: `token` after the sequence of row `parent` of this step.
  struct Row {
    int32_t parent;
    TokenId token;
  };

  virtual ~Search() = default;
  /// Takes the logits [rows, vocabulary] after `next` or, the first time, after the prompt [1, vocabulary], and
  /// overwrites them. Fills `next`, or leaves it empty: the search has ended.
  virtual Status advance(float *logits) = 0;
  /// The new tokens of the best text so far, and why it ended.
  virtual std::vector<TokenId> ids() const = 0;
  virtual StopReason reason() const = 0;
  /// Sum of log-probabilities after the length penalty; beam search only.
  virtual double score() const { return 0; }

  std::vector<Row> next;
};

/// `prompt` is what the (decoder's) sequence starts with, `maxNewTokens` >= 1, `seed` this prompt's own.
std::unique_ptr<Search> createSearch(const SearchOptions &options, int64_t vocabulary, std::vector<TokenId> prompt,
                                     int64_t maxNewTokens, uint64_t seed);

} // namespace attn::text

#endif // ATTN_TEXT_SEARCH_H
