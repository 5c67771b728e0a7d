//===- GenerationConfig.h - How a model wants its text to be generated -------------------------------------===//
#ifndef ATTN_TEXT_GENERATIONCONFIG_H
#define ATTN_TEXT_GENERATIONCONFIG_H

#include "Generator.h"
#include "Json.h"

#include <algorithm>

namespace attn::text {

/// A model's own settings, as transformers' `generate` would use them.
struct GenerationConfig {
  GenerateOptions options; ///< but for maxNewTokens
  std::optional<int64_t> maxNewTokens;
  std::optional<int64_t> maxLength; ///< of the whole sequence; of the decoder's with an encoder

  /// New tokens after a sequence that starts with `startTokens` tokens; 128 if the model says nothing.
  int64_t newTokens(int64_t startTokens) const {
    return maxNewTokens ? *maxNewTokens : maxLength ? std::max<int64_t>(*maxLength - startTokens, 1) : 128;
  }

  /// Reads each setting from the first of these objects (any may be null) that has it. Errors name the file and the
  /// setting: values of a wrong type or out of range, and settings that would change the text and are not supported.
  static Expected<GenerationConfig> read(const std::vector<JsonRef> &objects);
};

} // namespace attn::text

#endif // ATTN_TEXT_GENERATIONCONFIG_H
