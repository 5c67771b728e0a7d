//===- ModelDirectory.h - How a model wants to be asked --------------------------------------------------===//
#ifndef ATTN_TEXT_MODELDIRECTORY_H
#define ATTN_TEXT_MODELDIRECTORY_H

#include "Files.h"
#include "GenerationConfig.h"
#include "Tokenizer.h"

namespace attn::text {

/// One place of a prompt template.
struct TemplatePiece {
  bool isArticle; ///< the user's text goes here
  TokenId id;     ///< otherwise this special token
};

/// A tokenizer and, optionally, config.json and generation_config.json.
struct ModelDirectory {
  std::optional<Tokenizer> tokenizer;        ///< there, unless the directory was loaded without
  GenerationConfig generation;               ///< of the summarization task, generation_config.json, config.json, the
                                             ///< model's metadata: the first that has a setting
  std::string prefix;                        ///< task_specific_params.summarization.prefix: text before the user's
  std::vector<TemplatePiece> promptTemplate; ///< task_specific_params.summarization.template; empty: none

  /// Errors start with the file: those of Tokenizer::load, of JSON, of GenerationConfig::read, and unknown tokens in the
  /// template. Without a tokenizer there is no template either. `metadata`: that of the model file, the last source of
  /// settings.
  static Expected<ModelDirectory> load(const Files &files, bool withTokenizer = true, const JsonRef *metadata = nullptr);

  /// Ids of a prompt around `text`. With a template the text's own ids are without the post_processor's tokens. A prompt
  /// of more than `maxTokens` loses the end of its text, not what is around it. The directory was loaded with its
  /// tokenizer. Errors: those of Tokenizer::encode.
  Expected<std::vector<TokenId>> encodePrompt(std::string_view text, bool useTemplate, bool strict,
                                              int64_t maxTokens = INT64_MAX) const;
};

} // namespace attn::text

#endif // ATTN_TEXT_MODELDIRECTORY_H
