//===- Tokenizer.h - Text to token ids and back --------------------------------------------------------===//
//
// Reads the `tokenizer.json` of the Hugging Face `tokenizers` package and gives its ids. Which parts are
// supported: the tables in TokenizerParts.cpp. Nothing here throws.
//
//===--------------------------------------------------------------------------------------------------===//
#ifndef ATTN_TEXT_TOKENIZER_H
#define ATTN_TEXT_TOKENIZER_H

#include "Expected.h"
#include "TokenizerParts.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace attn::text {

class AddedTokens;
class Files;
class WordCache;
class WordCaches;

struct EncodeOptions {
  /// Refuse invalid UTF-8 instead of reading each maximal invalid sequence as U+FFFD.
  bool strict = false;
  /// Apply the post_processor (special tokens around the text).
  bool addSpecialTokens = true;
  /// At most so many tokens: the end of the text is cut off, not the special tokens around it.
  int64_t maxTokens = INT64_MAX;
};

/// Immutable and cheap to copy; may be used by several threads.
class Tokenizer {
public:
  /// Loads the first that is there of tokenizer.json, spiece.model and tokenizer.model. `truncation` and `padding` in the
  /// file are not applied (transformers does not either unless asked). Errors start with the path and name the member:
  /// "F: model.vocab: expected …". `lowercase`: small letters first, also where tokenizer.json does not say so; added
  /// tokens that are not normalised stay as they are.
  static Expected<Tokenizer> load(const Files &files, bool lowercase = false);
  /// The same from a directory or a compiled model file (*.so); or just a tokenizer.json or a model of SentencePiece
  /// (*.model).
  static Expected<Tokenizer> load(const std::string &path);
  /// Whether there is any of the files.
  static bool isIn(const Files &files);
  /// The same from memory; `name` starts the error texts.
  static Expected<Tokenizer> parse(std::string_view json, const std::string &name, bool lowercase = false);

  /// Token ids of `bytes`, which need not be valid UTF-8: as bytes.decode('utf-8', errors='replace') in Python
  /// followed by tokenizers.Tokenizer.encode. Errors: "invalid UTF-8 at byte N" (strict only), "N tokens
  /// leave no room for the text", text of 4 GiB or more, PCRE2 limits.
  Expected<std::vector<TokenId>> encode(std::string_view bytes, const EncodeOptions &options = {}) const;

  /// The text of `ids`; what is not valid UTF-8 becomes U+FFFD. Errors: "token id N is not in the vocabulary".
  Expected<std::string> decode(const std::vector<TokenId> &ids, bool skipSpecial = true) const;

  /// Id of a token in the vocabulary's own spelling ("Ġthe") or of an added token ("<eos>").
  std::optional<TokenId> idOf(std::string_view token) const;
  bool isSpecial(TokenId id) const;
  /// Every id is below this.
  TokenId idLimit() const;
  /// Error: "the tokenizer has ids up to N, the model's vocabulary M tokens: expected the model's own tokenizer". The other
  /// way round is fine: vocabularies are often padded.
  Status checkVocabulary(int64_t vocabularySize) const;

private:
  friend class StreamDecoder;
  Tokenizer() = default;
  static Expected<Tokenizer> loadFile(const Files &files, const std::string &name, bool lowercase = false);
  Status encodePiece(std::string_view text, bool atStart, WordCache &cache, std::vector<TokenId> &ids) const;
  /// The token with this id; null for a special token that is skipped. Errors as decode.
  Expected<const std::string *> tokenToDecode(TokenId id, bool skipSpecial) const;

  std::shared_ptr<const AddedTokens> added;
  std::shared_ptr<const Normalizer> normalizer;     // may be null
  std::shared_ptr<const PreTokenizer> preTokenizer; // may be null
  std::shared_ptr<const TokenModel> model;
  std::shared_ptr<const PostProcessor> postProcessor; // may be null
  std::shared_ptr<const TokenDecoder> decoder;
  std::shared_ptr<WordCaches> caches;
};

/// Decodes ids one by one and gives out whole characters only. All its results joined are what
/// Tokenizer::decode gives for all ids.
class StreamDecoder {
public:
  explicit StreamDecoder(Tokenizer tokenizer, bool skipSpecial = true);

  /// The characters that `id` completes, maybe none. Errors as Tokenizer::decode; the decoder stays usable.
  Expected<std::string> push(TokenId id);
  /// What was kept back, and U+FFFD if the ids ended inside a character; ready for the next text.
  Expected<std::string> finish();

private:
  Tokenizer tokenizer;
  bool skipSpecial;
  std::unique_ptr<TokenDecoder> decoder;
  std::string pending; ///< the start of a character
};

} // namespace attn::text

#endif // ATTN_TEXT_TOKENIZER_H
