//===- LogitsProcessing.h - What happens to logits before a token is chosen --------------------------------===//
//
// The processors of transformers' `generate` (transformers/generation/logits_process.py), in its order and in f32.
//
//===--------------------------------------------------------------------------------------------------===//
#ifndef ATTN_TEXT_LOGITSPROCESSING_H
#define ATTN_TEXT_LOGITSPROCESSING_H

#include "StepModel.h"

#include <optional>
#include <random>

namespace attn::text {

/// Names, defaults and meaning as in transformers' GenerationConfig.
struct LogitsOptions {
  double repetitionPenalty = 1;   ///< > 0; logits of tokens of the sequence are divided by it (multiplied, if negative)
  int64_t noRepeatNgramSize = 0;  ///< no n tokens in a row occur twice; 0: off
  std::vector<TokenId> bannedIds; ///< never chosen: suppress_tokens, and bad_words_ids of one token
  int64_t minLength = 0;          ///< no end of text before the whole sequence has this many tokens
  int64_t minNewTokens = 0;       ///< … the new tokens
  std::optional<TokenId> forcedBosId; ///< the token after a sequence of one token
  std::vector<TokenId> forcedEosIds;  ///< the token at the limit of new tokens

  // What is left when a token is drawn.
  double temperature = 1; ///< > 0; logits are divided by it
  int64_t topK = 50;      ///< the k largest, and equals of the last; 0: all
  double topP = 1;        ///< 0 to 1: the smallest set of the likeliest tokens with this probability
  double minP = 0;        ///< 0 to 1: tokens at least this fraction as likely as the likeliest

  /// "temperature: expected a number above 0, got -1", and the like.
  Status check() const;
};

/// Where a search stands.
struct LogitsContext {
  const std::vector<TokenId> &sequence; ///< prompt and new tokens
  int64_t newTokens;                    ///< how many of them are new
  int64_t maxNewTokens;
  const std::vector<TokenId> &eosIds;
};

/// Rewrites `scores` [size], logits or their log-softmax: penalties, bans and forced tokens. Ids of `context` that are
/// outside the vocabulary are passed over.
void processLogits(float *scores, int64_t size, const LogitsOptions &options, const LogitsContext &context);

/// Rewrites `scores` [size] for drawing: temperature, then -infinity for what top-k, top-p and min-p leave out. One
/// token, at least, is left.
void warpLogits(float *scores, int64_t size, const LogitsOptions &options);

/// Random numbers that are the same everywhere: the 64-bit Mersenne twister of the C++ standard, `seed` its seed.
using SampleGenerator = std::mt19937_64;

/// Draws a token from softmax(scores) [size]: the first whose sum of probabilities up to it, in the order of ids and in
/// double, is above u = (the generator's next number >> 11) / 2^53. Errors: as argmax.
Expected<TokenId> sampleToken(const float *scores, int64_t size, SampleGenerator &generator);

/// Index of the largest of `size` (>= 1) logits, the lowest among equals. Errors: "logits of token N are not a number",
/// "no token is left to choose from" when all are -infinity.
Expected<TokenId> argmax(const float *logits, int64_t size);

/// Turns logits [size] into log-softmax, in f32 with the sum in double. Errors: a logit is NaN or +infinity, or all are
/// -infinity.
Status logSoftmax(float *logits, int64_t size);

} // namespace attn::text

#endif // ATTN_TEXT_LOGITSPROCESSING_H
