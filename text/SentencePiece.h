//===- SentencePiece.h - spiece.model and tokenizer.model ----------------------------------------------------===//
#ifndef ATTN_TEXT_SENTENCEPIECE_H
#define ATTN_TEXT_SENTENCEPIECE_H

#include "Files.h"
#include "TokenizerParts.h"

namespace attn::text {

/// A tokenizer of the sentencepiece library in the parts that Tokenizer is made of: the library normalises,
/// splits and finds the ids.
struct SentencePieceParts {
  std::shared_ptr<const TokenModel> model;
  std::shared_ptr<const PostProcessor> postProcessor; // may be null
  std::shared_ptr<const TokenDecoder> decoder;
};

/// Reads a ModelProto, the file `name` of `files`, whose tokenizer_config.json says whether tokens for the start and the
/// end are added (add_bos_token, add_eos_token; T5Tokenizer adds the end). Errors start with the path of the file.
Expected<SentencePieceParts> createSentencePiece(std::string_view modelProto, const Files &files, const std::string &name);

} // namespace attn::text

#endif // ATTN_TEXT_SENTENCEPIECE_H
