//===- Generator.cpp - Writing text with a model ---------------------------------------------------------===//

#include "Generator.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace attn::text {

Expected<TokenId> argmax(const float *logits, int64_t size) {
  int64_t best = 0;
  for (int64_t i = 0; i < size; ++i) {
    if (std::isnan(logits[i]))
      return Error{"logits of token " + std::to_string(i) + " are not a number"};
    if (logits[i] > logits[best])
      best = i;
  }
  return best;
}

Status Generator::check(const std::vector<TokenId> &prompt) const {
  if (prompt.empty())
    return Error{"the prompt has no tokens"};
  if (static_cast<int64_t>(prompt.size()) > model.contextLength())
    return Error{"the prompt has " + std::to_string(prompt.size()) + " tokens, the model's context holds " +
                 std::to_string(model.contextLength())};
  for (TokenId id : prompt)
    if (id < 0 || id >= model.vocabularySize())
      return Error{"token id " + std::to_string(id) + " of the prompt is outside the model's vocabulary of " +
                   std::to_string(model.vocabularySize())};
  return {};
}

Expected<Generation> Generator::run(const std::vector<TokenId> &prompt, const GenerateOptions &options) {
  if (Status status = check(prompt); !status)
    return status.error();
  Generation result;
  if (options.maxNewTokens <= 0)
    return result;

  // The last new token is never fed back, so the sequence ends one token before prompt + maxNewTokens.
  int64_t held = static_cast<int64_t>(prompt.size());
  int64_t room = model.contextLength() - held;
  using Clock = std::chrono::steady_clock;
  auto secondsSince = [](Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
  };
  auto begin = Clock::now();
  if (Status status = model.start(held + std::min(room, options.maxNewTokens - 1)); !status)
    return status.error();
  Expected<const float *> logits = model.prefill(prompt);
  result.firstTokenSeconds = secondsSince(begin);

  while (true) {
    if (!logits) {
      if (!options.cancelled || !options.cancelled())
        return logits.error();
      result.reason = StopReason::Stopped;
      return result;
    }
    Expected<TokenId> next = argmax(*logits, model.vocabularySize());
    if (!next)
      return next.error();
    result.reason = StopReason::EndOfText;
    if (std::find(options.eosIds.begin(), options.eosIds.end(), *next) != options.eosIds.end())
      return result;
    result.ids.push_back(*next);
    result.reason = StopReason::Stopped;
    if (options.onToken && !options.onToken(*next))
      return result;
    result.reason = StopReason::MaxNewTokens;
    if (static_cast<int64_t>(result.ids.size()) >= options.maxNewTokens)
      return result;
    result.reason = StopReason::ContextFull;
    if (held >= model.contextLength())
      return result;

    begin = Clock::now();
    logits = model.decode(*next);
    result.decodeSeconds += secondsSince(begin);
    ++result.decodeSteps;
    ++held;
  }
}

} // namespace attn::text
