//===- LogitsProcessing.cpp - What happens to logits before a token is chosen ------------------------------===//

#include "LogitsProcessing.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace attn::text {

static constexpr float kNever = -std::numeric_limits<float>::infinity();

static std::string printed(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

Status LogitsOptions::check() const {
  auto expected = [](const char *name, const char *what, double got) {
    return Error{std::string(name) + ": expected " + what + ", got " + printed(got)};
  };
  const char *positive = "a number above 0", *fraction = "a number from 0 to 1", *count = "a number from 0";
  if (!(repetitionPenalty > 0) || std::isinf(repetitionPenalty))
    return expected("repetition_penalty", positive, repetitionPenalty);
  if (!(temperature > 0) || std::isinf(temperature))
    return expected("temperature", positive, temperature);
  if (!(topP >= 0 && topP <= 1))
    return expected("top_p", fraction, topP);
  if (!(minP >= 0 && minP <= 1))
    return expected("min_p", fraction, minP);
  const std::pair<const char *, int64_t> counts[] = {{"no_repeat_ngram_size", noRepeatNgramSize},
                                                     {"min_length", minLength},
                                                     {"min_new_tokens", minNewTokens},
                                                     {"top_k", topK}};
  for (auto [name, value] : counts)
    if (value < 0)
      return expected(name, count, static_cast<double>(value));
  return {};
}

static void ban(float *scores, int64_t size, const std::vector<TokenId> &ids) {
  for (TokenId id : ids)
    if (id >= 0 && id < size)
      scores[id] = kNever;
}

static void force(float *scores, int64_t size, const std::vector<TokenId> &ids) {
  std::fill(scores, scores + size, kNever);
  for (TokenId id : ids)
    if (id >= 0 && id < size)
      scores[id] = 0;
}

static void penalizeRepetition(float *scores, int64_t size, float penalty, std::vector<TokenId> ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  for (TokenId id : ids)
    if (id >= 0 && id < size)
      scores[id] = scores[id] < 0 ? scores[id] * penalty : scores[id] / penalty;
}

/// Bans every token that followed an earlier occurrence of the last n - 1 tokens.
static void banRepeatedNgrams(float *scores, int64_t size, int64_t n, const std::vector<TokenId> &sequence) {
  if (static_cast<int64_t>(sequence.size()) < n)
    return;
  auto prefix = sequence.end() - (n - 1);
  for (auto window = sequence.begin(); window + (n - 1) != sequence.end(); ++window)
    if (std::equal(prefix, sequence.end(), window)) {
      TokenId id = window[n - 1];
      if (id >= 0 && id < size)
        scores[id] = kNever;
    }
}

void processLogits(float *scores, int64_t size, const LogitsOptions &options, const LogitsContext &context) {
  int64_t length = static_cast<int64_t>(context.sequence.size());
  if (options.repetitionPenalty != 1)
    penalizeRepetition(scores, size, static_cast<float>(options.repetitionPenalty), context.sequence);
  if (options.noRepeatNgramSize > 0)
    banRepeatedNgrams(scores, size, options.noRepeatNgramSize, context.sequence);
  if (length < options.minLength || context.newTokens < options.minNewTokens)
    ban(scores, size, context.eosIds);
  if (options.forcedBosId && length == 1)
    force(scores, size, {*options.forcedBosId});
  if (!options.forcedEosIds.empty() && context.newTokens == context.maxNewTokens - 1)
    force(scores, size, options.forcedEosIds);
  ban(scores, size, options.bannedIds);
}

static void keepTopK(float *scores, int64_t size, int64_t k) {
  if (k >= size)
    return;
  std::vector<float> sorted(scores, scores + size);
  std::nth_element(sorted.begin(), sorted.begin() + (k - 1), sorted.end(), std::greater<float>());
  float last = sorted[static_cast<size_t>(k - 1)];
  for (int64_t i = 0; i < size; ++i)
    if (scores[i] < last)
      scores[i] = kNever;
}

static void keepTopP(float *scores, int64_t size, double p) {
  std::vector<int64_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return scores[a] != scores[b] ? scores[a] < scores[b] : a < b; // of equals the first goes first, as in torch
  });
  double largest = scores[order.back()], sum = 0, cumulative = 0;
  for (int64_t id : order)
    sum += std::exp(scores[id] - largest);
  for (size_t i = 0; i + 1 < order.size(); ++i) { // the likeliest stays
    cumulative += std::exp(scores[order[i]] - largest) / sum;
    if (static_cast<float>(cumulative) > static_cast<float>(1 - p))
      break;
    scores[order[i]] = kNever;
  }
}

static void keepMinP(float *scores, int64_t size, double p) {
  // softmax(s) < p · softmax(largest), where the sums cancel.
  float largest = *std::max_element(scores, scores + size);
  for (int64_t i = 0; i < size; ++i)
    if (std::exp(static_cast<double>(scores[i]) - largest) < p)
      scores[i] = kNever;
}

void warpLogits(float *scores, int64_t size, const LogitsOptions &options) {
  if (options.temperature != 1)
    for (int64_t i = 0; i < size; ++i)
      scores[i] /= static_cast<float>(options.temperature);
  if (options.topK > 0)
    keepTopK(scores, size, options.topK);
  if (options.topP < 1)
    keepTopP(scores, size, options.topP);
  if (options.minP > 0)
    keepMinP(scores, size, options.minP);
}

Expected<TokenId> argmax(const float *logits, int64_t size) {
  int64_t best = 0;
  for (int64_t i = 0; i < size; ++i) {
    if (std::isnan(logits[i]))
      return Error{"logits of token " + std::to_string(i) + " are not a number"};
    if (logits[i] > logits[best])
      best = i;
  }
  if (logits[best] == kNever)
    return Error{"no token is left to choose from"};
  return best;
}

Expected<TokenId> sampleToken(const float *scores, int64_t size, SampleGenerator &generator) {
  Expected<TokenId> largest = argmax(scores, size);
  if (!largest)
    return largest;
  double sum = 0, cumulative = 0;
  for (int64_t i = 0; i < size; ++i)
    sum += std::exp(static_cast<double>(scores[i]) - scores[*largest]);
  double u = static_cast<double>(generator() >> 11) * 0x1p-53 * sum;
  for (int64_t i = 0; i < size; ++i) {
    cumulative += std::exp(static_cast<double>(scores[i]) - scores[*largest]);
    if (cumulative > u)
      return i;
  }
  return largest; // rounding: the sum of all is u at most
}

Status logSoftmax(float *logits, int64_t size) {
  Expected<TokenId> largest = argmax(logits, size);
  if (!largest)
    return largest.error();
  float top = logits[*largest];
  if (std::isinf(top))
    return Error{"logits of token " + std::to_string(*largest) + " are infinite"};
  double sum = 0;
  for (int64_t i = 0; i < size; ++i)
    sum += std::exp(logits[i] - top);
  float shift = static_cast<float>(std::log(sum));
  for (int64_t i = 0; i < size; ++i)
    logits[i] = logits[i] - top - shift;
  return {};
}

} // namespace attn::text
