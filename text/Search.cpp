//===- Search.cpp - How the next token is chosen -----------------------------------------------------------===//

#include "Search.h"

#include <algorithm>
#include <cmath>

namespace attn::text {

std::unique_ptr<Search> createBeamSearch(const SearchOptions &options, int64_t vocabulary, std::vector<TokenId> prompt,
                                         int64_t maxNewTokens);

Status SearchOptions::check(int64_t vocabulary) const {
  if (Status status = logits.check(); !status)
    return status;
  if (beams < 1 || beams > maxBeams)
    return Error{"num_beams: expected a number of 1 to " + std::to_string(maxBeams) + ", got " +
                 std::to_string(beams)};
  if (!std::isfinite(lengthPenalty))
    return Error{"length_penalty: expected a finite number"};
  if (beams > 1 && sample)
    return Error{"beams and sampling do not go together"};
  int64_t needed = std::max<int64_t>(2, 1 + static_cast<int64_t>(eosIds.size()));
  if (beams > 1 && vocabulary < needed)
    return Error{"beam search needs a vocabulary of at least " + std::to_string(needed) + ", the model's is " +
                 std::to_string(vocabulary)};
  return {};
}

namespace {

/// One sequence: the largest logit each time, or a draw.
class ChainSearch : public Search {
public:
  ChainSearch(const SearchOptions &options, int64_t vocabulary, std::vector<TokenId> prompt, int64_t maxNewTokens,
              uint64_t seed)
      : options(options), vocabulary(vocabulary), promptTokens(prompt.size()), maxNewTokens(maxNewTokens),
        sequence(std::move(prompt)), generator(seed) {}

  Status advance(float *logits) override {
    next.clear();
    // A broken model is an error even where the broken logit would be banned.
    if (Expected<TokenId> valid = argmax(logits, vocabulary); !valid)
      return valid.error();
    processLogits(logits, vocabulary, options.logits, {sequence, newTokens(), maxNewTokens, options.eosIds});
    if (options.sample)
      warpLogits(logits, vocabulary, options.logits);
    Expected<TokenId> token =
        options.sample ? sampleToken(logits, vocabulary, generator) : argmax(logits, vocabulary);
    if (!token)
      return token.error();
    why = StopReason::EndOfText;
    if (std::find(options.eosIds.begin(), options.eosIds.end(), *token) != options.eosIds.end())
      return {};
    sequence.push_back(*token);
    why = StopReason::StopString;
    if (options.stops && options.stops(ids()))
      return {};
    why = StopReason::MaxNewTokens;
    if (newTokens() < maxNewTokens)
      next.push_back({0, *token});
    return {};
  }

  std::vector<TokenId> ids() const override {
    return {sequence.begin() + static_cast<ptrdiff_t>(promptTokens), sequence.end()};
  }
  StopReason reason() const override { return why; }

private:
  int64_t newTokens() const { return static_cast<int64_t>(sequence.size() - promptTokens); }

  const SearchOptions &options;
  int64_t vocabulary;
  size_t promptTokens;
  int64_t maxNewTokens;
  std::vector<TokenId> sequence;
  SampleGenerator generator;
  StopReason why = StopReason::MaxNewTokens;
};

} // namespace

std::unique_ptr<Search> createSearch(const SearchOptions &options, int64_t vocabulary, std::vector<TokenId> prompt,
                                     int64_t maxNewTokens, uint64_t seed) {
  if (options.beams > 1)
    return createBeamSearch(options, vocabulary, std::move(prompt), maxNewTokens);
  return std::make_unique<ChainSearch>(options, vocabulary, std::move(prompt), maxNewTokens, seed);
}

} // namespace attn::text
