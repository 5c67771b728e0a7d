//===- Precompiled.cpp - The normalisation rules of SentencePiece ---------------------------------------===//
//
// A "precompiled_charsmap" (sentencepiece, src/normalizer.cc) is base64 of: the size of a trie in bytes (32 bits,
// little-endian), a double-array trie (Darts-clone) from character sequences to offsets, and the replacements,
// each ended by a zero byte, at those offsets.
//
//===--------------------------------------------------------------------------------------------------===//

#include "TokenizerParts.h"
#include "Unicode.h"
#include "Utf8.h"

#include <array>
#include <optional>

namespace attn::text {

static Expected<std::string> decodeBase64(std::string_view text) {
  static const std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  while (!text.empty() && text.back() == '=')
    text.remove_suffix(1);
  std::string result;
  result.reserve(text.size() / 4 * 3 + 3);
  uint32_t bits = 0;
  int count = 0;
  for (char c : text) {
    size_t value = alphabet.find(c);
    if (value == std::string_view::npos)
      return Error{"expected base64"};
    bits = bits << 6 | static_cast<uint32_t>(value);
    if (count += 6; count >= 8) {
      count -= 8;
      result.push_back(static_cast<char>(bits >> count & 0xFF));
    }
  }
  return result;
}

namespace {

class Precompiled : public Normalizer {
public:
  /// Reads the decoded bytes; false if they are none.
  bool read(std::string_view bytes) {
    if (bytes.empty())
      return true; // no rules
    if (bytes.size() < 4)
      return false;
    size_t trieBytes = word(bytes, 0);
    if (trieBytes % 4 != 0 || trieBytes > bytes.size() - 4 || trieBytes == 0)
      return false;
    for (size_t i = 0; i < trieBytes; i += 4)
      units.push_back(word(bytes, 4 + i));
    replacements = bytes.substr(4 + trieBytes);
    if (findInvalidUtf8(replacements) != std::string_view::npos)
      return false;
    for (unsigned char c = 1; c < 0x80; ++c)
      changesAscii[c] = find(std::string_view(reinterpret_cast<const char *>(&c), 1)).has_value();
    return true;
  }

  /// Whole grapheme clusters of up to 5 bytes are looked up, then single characters: so does `tokenizers`
  /// (SentencePiece itself takes the longest match at each place).
  Expected<std::string> normalize(std::string_view text, bool &) const override {
    std::string result;
    result.reserve(text.size() + 16);
    for (size_t i = 0; i < text.size();) {
      // Two ASCII characters are one cluster only as \r\n.
      auto byte = static_cast<unsigned char>(text[i]);
      bool plain = byte < 0x80 && byte != '\r' && !changesAscii[byte];
      if (plain && (i + 1 == text.size() || static_cast<unsigned char>(text[i + 1]) < 0x80)) {
        result.push_back(text[i++]);
        continue;
      }
      size_t length = graphemeBytes(text, i);
      appendGrapheme(text.substr(i, length), result);
      i += length;
    }
    return result;
  }

private:
  static uint32_t word(std::string_view bytes, size_t at) {
    uint32_t result = 0;
    for (size_t i = 4; i-- > 0;)
      result = result << 8 | static_cast<uint8_t>(bytes[at + i]);
    return result;
  }

  void appendGrapheme(std::string_view grapheme, std::string &result) const {
    if (grapheme.size() < 6) {
      if (std::optional<std::string_view> replacement = find(grapheme)) {
        result.append(*replacement);
        return;
      }
    }
    for (size_t i = 0; i < grapheme.size();) {
      std::string_view character = grapheme.substr(i, readUtf8(grapheme, i).bytes);
      result.append(find(character).value_or(character));
      i += character.size();
    }
  }

  /// What replaces the shortest prefix of `key` in the trie. The layout of a unit is Darts-clone's.
  std::optional<std::string_view> find(std::string_view key) const {
    auto offsetOf = [](uint32_t unit) -> size_t { return size_t(unit >> 10) << ((unit & 1u << 9) >> 6); };
    if (units.empty())
      return std::nullopt;
    size_t node = offsetOf(units[0]);
    for (char c : key) {
      auto label = static_cast<uint8_t>(c);
      node ^= label;
      if (label == 0 || node >= units.size() || (units[node] & (1u << 31 | 0xFF)) != label)
        return std::nullopt;
      bool hasLeaf = units[node] >> 8 & 1;
      node ^= offsetOf(units[node]);
      if (!hasLeaf)
        continue;
      if (node >= units.size())
        return std::nullopt;
      size_t begin = units[node] & ~(1u << 31);
      if (begin > replacements.size() || isContinuation(begin))
        return std::nullopt;
      size_t end = replacements.find('\0', begin);
      return std::string_view(replacements).substr(begin, end == std::string::npos ? end : end - begin);
    }
    return std::nullopt;
  }
  bool isContinuation(size_t at) const {
    return at < replacements.size() && (static_cast<uint8_t>(replacements[at]) & 0xC0) == 0x80;
  }

  std::vector<uint32_t> units;
  std::string replacements;
  std::array<bool, 0x80> changesAscii{};
};

} // namespace

CreatedNormalizer createPrecompiled(const JsonRef &part) {
  JsonRef member = part.get("precompiled_charsmap");
  auto result = std::make_shared<Precompiled>();
  if (member.isNull())
    return std::shared_ptr<const Normalizer>(std::move(result));
  Expected<std::string> text = member.string();
  if (!text)
    return text.error();
  Expected<std::string> bytes = decodeBase64(*text);
  if (!bytes)
    return member.fail(bytes.error().text);
  if (!result->read(*bytes))
    return member.fail("expected the rules of SentencePiece, got " + std::to_string(bytes->size()) + " other bytes");
  return std::shared_ptr<const Normalizer>(std::move(result));
}

} // namespace attn::text
