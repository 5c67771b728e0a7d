//===- TokenizerParts.h - The steps a tokenizer is made of ---------------------------------------------===//
//
// A tokenizer.json names one part for each step:
//
//   text → added tokens → normalizer → pre_tokenizer → model → post_processor → ids → decoder → text
//
// Each kind of part is a class below. To add a part (WordPiece, Unigram, NFC, Metaspace, …): write one file
// with a class and a function `create…`, declare the function at the end of this header, and add its row to
// the table in TokenizerParts.cpp. The tables also make the error texts and `attn-tokenize --help`.
//
//===--------------------------------------------------------------------------------------------------===//
#ifndef ATTN_TEXT_TOKENIZERPARTS_H
#define ATTN_TEXT_TOKENIZERPARTS_H

#include "Expected.h"
#include "Json.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace attn::text {

/// A token's number; 0 <= id < 2^31 wherever it comes from a file.
using TokenId = int64_t;

// Parts are immutable once created and may be used by several threads. Texts are valid UTF-8.

/// Rewrites text before it is split (case, Unicode normal forms).
class Normalizer {
public:
  virtual ~Normalizer() = default;
  virtual Expected<std::string> normalize(std::string_view text) const = 0;
};

/// Splits text into the words that the model sees, in the model's own alphabet.
class PreTokenizer {
public:
  virtual ~PreTokenizer() = default;
  /// Appends the words of `text` (not empty) to `words`.
  virtual Status split(std::string_view text, std::vector<std::string> &words) const = 0;
};

/// Turns words into ids; owns the vocabulary.
class TokenModel {
public:
  virtual ~TokenModel() = default;
  /// Appends the ids of one word (not empty).
  virtual Status tokenize(std::string_view word, std::vector<TokenId> &ids) const = 0;
  virtual std::optional<TokenId> idOf(std::string_view token) const = 0;
  /// The token with this id, or null.
  virtual const std::string *tokenOf(TokenId id) const = 0;
  virtual size_t vocabularySize() const = 0;
  virtual TokenId largestId() const = 0; ///< -1 when empty
};

/// Adds the special tokens around a whole text.
class PostProcessor {
public:
  virtual ~PostProcessor() = default;
  virtual std::vector<TokenId> process(std::vector<TokenId> ids) const = 0;
};

/// Turns tokens back into the bytes they stand for.
class TokenDecoder {
public:
  virtual ~TokenDecoder() = default;
  /// Appends the bytes of one token, which may be part of a character. `first`: nothing came before it.
  virtual void append(std::string_view token, bool first, std::string &bytes) const = 0;
};

/// For help: a line for each step with the parts supported, "model: BPE", each after `indent`.
std::string describeSupportedParts(const std::string &indent);

// Each reads its member of the tokenizer.json in `root`. An unsupported kind is an error that names it and
// lists the supported ones. Null where null is supported and means "no such step".
Expected<std::shared_ptr<const Normalizer>> createNormalizer(const JsonRef &root);
Expected<std::shared_ptr<const PreTokenizer>> createPreTokenizer(const JsonRef &root);
Expected<std::shared_ptr<const TokenModel>> createTokenModel(const JsonRef &root);
Expected<std::shared_ptr<const PostProcessor>> createPostProcessor(const JsonRef &root);
Expected<std::shared_ptr<const TokenDecoder>> createDecoder(const JsonRef &root);

// The rows, one file each; `part` is the object with "type".
Expected<std::shared_ptr<const PreTokenizer>> createByteLevelPreTokenizer(const JsonRef &part); // ByteLevel.cpp
Expected<std::shared_ptr<const TokenDecoder>> createByteLevelDecoder(const JsonRef &part);      // ByteLevel.cpp
Expected<std::shared_ptr<const PostProcessor>> createByteLevelProcessor(const JsonRef &part);   // ByteLevel.cpp
Expected<std::shared_ptr<const TokenModel>> createBpe(const JsonRef &part);                     // Bpe.cpp
Expected<std::shared_ptr<const PostProcessor>> createTemplateProcessor(const JsonRef &part); // TemplateProcessing.cpp

} // namespace attn::text

#endif // ATTN_TEXT_TOKENIZERPARTS_H
