//===- TokenizerParts.h - The steps a tokenizer is made of ---------------------------------------------===//
//
// A tokenizer.json names one part for each step:
//
//   text → added tokens → normalizer → pre_tokenizer → model → post_processor → ids → decoder → text
//
// Each kind of part is a class below. To add a part: write a class and a function `create…`, declare the
// function at the end of this header, and add its row to the table in TokenizerParts.cpp. The tables also make
// the error texts and `attn-tokenize --help`.
//
//===--------------------------------------------------------------------------------------------------===//
#ifndef ATTN_TEXT_TOKENIZERPARTS_H
#define ATTN_TEXT_TOKENIZERPARTS_H

#include "Expected.h"
#include "Json.h"
#include "Vocabulary.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace attn::text {

// Parts are immutable once created and may be used by several threads. Texts are valid UTF-8.

/// Rewrites text before it is split (case, Unicode normal forms).
class Normalizer {
public:
  virtual ~Normalizer() = default;
  /// `atStart` (see PreTokenizer::split) becomes false if the start of `text` is removed.
  virtual Expected<std::string> normalize(std::string_view text, bool &atStart) const = 0;
  /// Whether a Lowercase is among its parts.
  virtual bool hasLowercase() const { return false; }
};

/// The words of a text, one after the other in one buffer. None is empty.
class Words {
public:
  /// The text of the word that is being written; endWord() ends it, if anything was written.
  std::string &writing() { return buffer; }
  void endWord() {
    if (buffer.size() != end())
      ends.push_back(buffer.size());
  }
  void add(std::string_view word) {
    buffer.append(word);
    endWord();
  }
  void clear() {
    buffer.clear();
    ends.clear();
    atStart = false;
  }
  size_t size() const { return ends.size(); }
  std::string_view operator[](size_t i) const {
    size_t begin = i == 0 ? 0 : ends[i - 1];
    return std::string_view(buffer).substr(begin, ends[i] - begin);
  }

  /// The first word starts at the start of the whole text, see PreTokenizer::split.
  bool atStart = false;

private:
  size_t end() const { return ends.empty() ? 0 : ends.back(); }
  std::string buffer;
  std::vector<size_t> ends;
};

/// Splits text into the words that the model sees, in the model's own alphabet.
class PreTokenizer {
public:
  virtual ~PreTokenizer() = default;
  /// Appends the words of `text` (not empty) to `words`. `atStart`: nothing comes before `text`, neither other
  /// text nor an added token.
  virtual Status split(std::string_view text, bool atStart, Words &words) const = 0;
};

/// Turns words into ids; owns the vocabulary.
class TokenModel {
public:
  virtual ~TokenModel() = default;
  /// Appends the ids of one word (not empty).
  virtual Status tokenize(std::string_view word, std::vector<TokenId> &ids) const = 0;
  /// Bytes of a start of `word` (not empty) whose ids do not depend on what follows, nor the other way round.
  virtual size_t independentStart(std::string_view word) const { return word.size(); }
  /// Whether a token stands for no text, beyond the special tokens among the added ones.
  virtual bool isControl(TokenId) const { return false; }
  const Vocabulary &vocabulary() const { return tokens; }

protected:
  Vocabulary tokens;
};

/// Adds the special tokens around a whole text.
class PostProcessor {
public:
  virtual ~PostProcessor() = default;
  virtual std::vector<TokenId> process(std::vector<TokenId> ids) const = 0;
};

/// Turns the tokens of one text back into text: takes them one by one and gives out text as soon as it is
/// certain. Not immutable: the one in a Tokenizer is only cloned.
class TokenDecoder {
public:
  /// Takes what a decoder gives out: tokens of the next step, or bytes of the text, maybe part of a character.
  using Sink = std::function<Status(std::string_view)>;

  virtual ~TokenDecoder() = default;
  /// A decoder for another text.
  virtual std::unique_ptr<TokenDecoder> clone() const = 0;
  /// Errors: the sink's, and PCRE2's limits.
  virtual Status push(std::string_view token, const Sink &sink) = 0;
  /// After the last token.
  virtual Status finish(const Sink &) { return {}; }
  /// Everything given out is one token (Fuse).
  virtual bool joinsTokens() const { return false; }
};

/// For help: a line for each step with the parts supported, "model: BPE", each after `indent`.
std::string describeSupportedParts(const std::string &indent);

// Each reads its member of the tokenizer.json in `root`. An unsupported kind is an error that names it and
// lists the supported ones. Null where null is supported and means "no such step".
Expected<std::shared_ptr<const Normalizer>> createNormalizer(const JsonRef &root);
/// `normalizer` (may be null) with a Lowercase before it, unless it has one.
std::shared_ptr<const Normalizer> lowercaseFirst(std::shared_ptr<const Normalizer> normalizer);
Expected<std::shared_ptr<const PreTokenizer>> createPreTokenizer(const JsonRef &root);
Expected<std::shared_ptr<const TokenModel>> createTokenModel(const JsonRef &root);
Expected<std::shared_ptr<const PostProcessor>> createPostProcessor(const JsonRef &root);
Expected<std::shared_ptr<const TokenDecoder>> createDecoder(const JsonRef &root);

// The rows; `part` is the object with "type".
using CreatedNormalizer = Expected<std::shared_ptr<const Normalizer>>;
CreatedNormalizer createBertNormalizer(const JsonRef &part); // UnicodeNormalizers.cpp
CreatedNormalizer createLowercase(const JsonRef &part);      // UnicodeNormalizers.cpp
std::shared_ptr<const Normalizer> makeLowercase();           // UnicodeNormalizers.cpp
CreatedNormalizer createNfc(const JsonRef &part);            // UnicodeNormalizers.cpp
CreatedNormalizer createNfd(const JsonRef &part);            // UnicodeNormalizers.cpp
CreatedNormalizer createNfkc(const JsonRef &part);           // UnicodeNormalizers.cpp
CreatedNormalizer createNfkd(const JsonRef &part);           // UnicodeNormalizers.cpp
CreatedNormalizer createNmt(const JsonRef &part);            // UnicodeNormalizers.cpp
CreatedNormalizer createStripAccents(const JsonRef &part);   // UnicodeNormalizers.cpp
CreatedNormalizer createPrecompiled(const JsonRef &part);    // Precompiled.cpp
CreatedNormalizer createPrepend(const JsonRef &part);        // Normalizers.cpp
CreatedNormalizer createReplace(const JsonRef &part);        // Normalizers.cpp
CreatedNormalizer createStrip(const JsonRef &part);          // Normalizers.cpp

using CreatedPreTokenizer = Expected<std::shared_ptr<const PreTokenizer>>;
CreatedPreTokenizer createBertPreTokenizer(const JsonRef &part);      // PreTokenizers.cpp
CreatedPreTokenizer createByteLevelPreTokenizer(const JsonRef &part); // ByteLevel.cpp
CreatedPreTokenizer createCharDelimiterSplit(const JsonRef &part);    // PreTokenizers.cpp
CreatedPreTokenizer createDigits(const JsonRef &part);                // PreTokenizers.cpp
CreatedPreTokenizer createMetaspacePreTokenizer(const JsonRef &part); // Metaspace.cpp
CreatedPreTokenizer createPunctuation(const JsonRef &part);           // PreTokenizers.cpp
CreatedPreTokenizer createSplit(const JsonRef &part);                 // PreTokenizers.cpp
CreatedPreTokenizer createWhitespace(const JsonRef &part);            // PreTokenizers.cpp
CreatedPreTokenizer createWhitespaceSplit(const JsonRef &part);       // PreTokenizers.cpp

using CreatedModel = Expected<std::shared_ptr<const TokenModel>>;
CreatedModel createBpe(const JsonRef &part);       // Bpe.cpp
CreatedModel createUnigram(const JsonRef &part);   // Unigram.cpp
CreatedModel createWordLevel(const JsonRef &part); // WordPiece.cpp
CreatedModel createWordPiece(const JsonRef &part); // WordPiece.cpp

using CreatedPostProcessor = Expected<std::shared_ptr<const PostProcessor>>;
CreatedPostProcessor createByteLevelProcessor(const JsonRef &part); // ByteLevel.cpp
CreatedPostProcessor createClsSepProcessor(const JsonRef &part);    // TemplateProcessing.cpp
CreatedPostProcessor createTemplateProcessor(const JsonRef &part);  // TemplateProcessing.cpp

using CreatedDecoder = Expected<std::shared_ptr<const TokenDecoder>>;
CreatedDecoder createBpeDecoder(const JsonRef &part);       // Decoders.cpp
CreatedDecoder createByteFallback(const JsonRef &part);     // Decoders.cpp
CreatedDecoder createByteLevelDecoder(const JsonRef &part); // ByteLevel.cpp
CreatedDecoder createFuse(const JsonRef &part);             // Decoders.cpp
CreatedDecoder createJoin(const JsonRef &part);             // Decoders.cpp: null, tokens with spaces between
CreatedDecoder createMetaspaceDecoder(const JsonRef &part); // Metaspace.cpp
CreatedDecoder createReplaceDecoder(const JsonRef &part);   // Decoders.cpp
CreatedDecoder createStripDecoder(const JsonRef &part);     // Decoders.cpp
CreatedDecoder createWordPieceDecoder(const JsonRef &part); // Decoders.cpp

/// One decoder after the other. Errors: after a part that joins all tokens into one, only Fuse and Strip are
/// supported. (Decoders.cpp)
CreatedDecoder createDecoderSequence(const JsonRef &part, std::vector<std::shared_ptr<const TokenDecoder>> parts);

} // namespace attn::text

#endif // ATTN_TEXT_TOKENIZERPARTS_H
