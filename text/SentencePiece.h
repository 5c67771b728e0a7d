//===- SentencePiece.h - spiece.model and tokenizer.model ----------------------------------------------------===//
#ifndef ATTN_TEXT_SENTENCEPIECE_H
#define ATTN_TEXT_SENTENCEPIECE_H

#include "TokenizerParts.h"

namespace attn::text {

/// A tokenizer of the sentencepiece library in the parts that Tokenizer is made of: the library normalises,
/// splits and finds the ids.
struct SentencePieceParts {
  std::shared_ptr<const TokenModel> model;
  std::shared_ptr<const PostProcessor> postProcessor; // may be null
  std::shared_ptr<const TokenDecoder> decoder;
};

/// Reads a ModelProto. `path` starts the error texts; a tokenizer_config.json beside it says whether tokens for
/// the start and the end are added (add_bos_token, add_eos_token; T5Tokenizer adds the end).
Expected<SentencePieceParts> createSentencePiece(std::string_view modelProto, const std::string &path);

} // namespace attn::text

#endif // ATTN_TEXT_SENTENCEPIECE_H
