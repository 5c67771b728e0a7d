//===- ByteLevel.cpp - GPT-2's splitting and its alphabet of bytes -------------------------------------===//
//
// GPT-2 (Radford et al. 2019, encoder.py) splits text with one regular expression and then writes every byte
// as a printable character, so that a vocabulary of strings can hold any bytes.
//
//===--------------------------------------------------------------------------------------------------===//

#include "Regex.h"
#include "TokenizerParts.h"
#include "Utf8.h"

#include <array>

namespace attn::text {

/// GPT-2's pattern: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
/// Every character matches one of the alternatives.
static const char splitPattern[] = "'s|'t|'re|'ve|'m|'ll|'d"
                                   "| ?[" ATTN_LETTERS "]+"
                                   "| ?[" ATTN_NUMBERS "]+"
                                   "| ?[^" ATTN_SPACES ATTN_LETTERS ATTN_NUMBERS "]+"
                                   "|[" ATTN_SPACES "]+(?![^" ATTN_SPACES "])"
                                   "|[" ATTN_SPACES "]+";

namespace {

/// The character for each byte, as UTF-8, and back. Printable Latin-1 bytes stand for themselves, the other 68
/// are U+0100 and up in order.
struct ByteAlphabet {
  std::array<std::string, 256> characters;
  std::array<int16_t, 0x144> bytes; ///< by code point; -1: not in the alphabet

  ByteAlphabet() {
    bytes.fill(-1);
    uint32_t next = 0x100;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
      uint32_t codePoint = printable ? byte : next++;
      appendUtf8(codePoint, characters[byte]);
      bytes[codePoint] = static_cast<int16_t>(byte);
    }
  }
};

const ByteAlphabet &alphabet() {
  static const ByteAlphabet instance;
  return instance;
}

class ByteLevelPreTokenizer : public PreTokenizer {
public:
  ByteLevelPreTokenizer(bool addPrefixSpace, std::optional<Regex> pattern)
      : addPrefixSpace(addPrefixSpace), pattern(std::move(pattern)) {}

  Status split(std::string_view text, bool atStart, Words &words) const override {
    words.atStart |= atStart && words.size() == 0;
    std::string prefixed;
    if (addPrefixSpace && text.front() != ' ') {
      prefixed.reserve(text.size() + 1);
      prefixed.append(" ").append(text);
      text = prefixed;
    }
    std::string &out = words.writing();
    for (size_t begin = 0; begin < text.size();) {
      size_t length = text.size();
      if (pattern) {
        Expected<std::optional<size_t>> match = pattern->matchAt(text, begin);
        if (!match)
          return match.error();
        // The pattern matches everything; taking one character is a safeguard, not a case.
        length = match->value_or(readUtf8(text, begin).bytes);
      }
      for (char c : text.substr(begin, length))
        out += alphabet().characters[static_cast<uint8_t>(c)];
      words.endWord();
      begin += length;
    }
    return {};
  }

private:
  bool addPrefixSpace;
  std::optional<Regex> pattern; ///< empty: use_regex is false, the text is one word
};

class ByteLevelDecoder : public TokenDecoder {
public:
  std::unique_ptr<TokenDecoder> clone() const override { return std::make_unique<ByteLevelDecoder>(); }
  bool joinsTokens() const override { return true; }

  /// A token with any character outside the alphabet (an added token) stands for itself.
  Status push(std::string_view token, const Sink &sink) override {
    std::string bytes;
    for (size_t i = 0; i < token.size();) {
      Utf8Step step = readUtf8(token, i);
      int byte = step.kind == Utf8Step::Valid && step.codePoint < alphabet().bytes.size()
                     ? alphabet().bytes[step.codePoint]
                     : -1;
      if (byte < 0)
        return sink(token);
      bytes.push_back(static_cast<char>(byte));
      i += step.bytes;
    }
    return sink(bytes);
  }
};

} // namespace

Expected<std::shared_ptr<const PreTokenizer>> createByteLevelPreTokenizer(const JsonRef &part) {
  Expected<bool> addPrefixSpace = part.getBool("add_prefix_space", true);
  if (!addPrefixSpace)
    return addPrefixSpace.error();
  Expected<bool> useRegex = part.getBool("use_regex", true);
  if (!useRegex)
    return useRegex.error();
  std::optional<Regex> pattern;
  if (*useRegex) {
    Expected<Regex> compiled = Regex::compile(splitPattern);
    if (!compiled)
      return part.fail(compiled.error().text);
    pattern = *compiled;
  }
  return std::shared_ptr<const PreTokenizer>(
      std::make_shared<ByteLevelPreTokenizer>(*addPrefixSpace, std::move(pattern)));
}

Expected<std::shared_ptr<const TokenDecoder>> createByteLevelDecoder(const JsonRef &) {
  return std::shared_ptr<const TokenDecoder>(std::make_shared<ByteLevelDecoder>());
}

/// As a post_processor ByteLevel only adjusts character offsets, which we do not report.
Expected<std::shared_ptr<const PostProcessor>> createByteLevelProcessor(const JsonRef &) {
  return std::shared_ptr<const PostProcessor>();
}

} // namespace attn::text
