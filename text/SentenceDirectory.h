//===- SentenceDirectory.h - How sentences become tokens for an embedding --------------------------------===//
#ifndef ATTN_TEXT_SENTENCEDIRECTORY_H
#define ATTN_TEXT_SENTENCEDIRECTORY_H

#include "Tokenizer.h"

#include <map>

namespace attn::text {

/// What a directory of sentence-transformers says of its input. Without its files: a tokenizer's directory.
struct SentenceDirectory {
  std::optional<Tokenizer> tokenizer;         ///< always there; with do_lower_case
  int64_t maxTokens = INT64_MAX;              ///< max_seq_length, special tokens included
  std::map<std::string, std::string> prompts; ///< texts that are put before each sentence, by name
  std::string prompt;                         ///< that of default_prompt_name; empty: none

  /// Reads modules.json, sentence_bert_config.json (or its older names), config_sentence_transformers.json,
  /// tokenizer_config.json and the tokenizer, of which only the last must be there. Errors start with the file.
  static Expected<SentenceDirectory> load(const Files &files);

  /// Uses the prompt `name`. Errors: "expected a prompt of DIRECTORY: query, passage; got 'x'".
  Status choosePrompt(const std::string &name);

  struct Sentence {
    std::vector<TokenId> ids;
    bool cut; ///< the end of the text did not fit
  };
  /// Token ids of the prompt and `text`, cut to `most` tokens. Errors: those of Tokenizer::encode.
  Expected<Sentence> encode(std::string_view text, bool strict, int64_t most) const;
};

} // namespace attn::text

#endif // ATTN_TEXT_SENTENCEDIRECTORY_H
