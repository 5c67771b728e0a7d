//===- ModelDirectory.h - How a model wants to be asked --------------------------------------------------===//
#ifndef ATTN_TEXT_MODELDIRECTORY_H
#define ATTN_TEXT_MODELDIRECTORY_H

#include "Tokenizer.h"

namespace attn::text {

/// One place of a prompt template.
struct TemplatePiece {
  bool isArticle; ///< the user's text goes here
  TokenId id;     ///< otherwise this special token
};

/// A directory with tokenizer.json and, optionally, config.json and generation_config.json.
struct ModelDirectory {
  Tokenizer tokenizer;
  std::vector<TokenId> eosIds;               ///< eos_token_id of generation_config.json, else of config.json
  std::optional<int64_t> maxNewTokens;       ///< of the summarization task, else of generation_config.json
  std::vector<TemplatePiece> promptTemplate; ///< task_specific_params.summarization.template; empty: none

  /// Errors start with the file: those of Tokenizer::load, of JSON, and unknown tokens in the template.
  static Expected<ModelDirectory> load(const std::string &directory);

  /// Ids of a prompt around `text`. With a template the text's own ids are without the post_processor's tokens.
  Expected<std::vector<TokenId>> encodePrompt(std::string_view text, bool useTemplate, bool strict) const;
};

} // namespace attn::text

#endif // ATTN_TEXT_MODELDIRECTORY_H
