//===- Normalizers.cpp - Prepend, replace and strip -----------------------------------------------------===//

#include "Matches.h"
#include "TokenizerParts.h"
#include "Unicode.h"
#include "Utf8.h"

namespace attn::text {

namespace {

struct Prepend : Normalizer {
  std::string prefix;
  Expected<std::string> normalize(std::string_view text, bool &) const override {
    return text.empty() ? std::string() : prefix + std::string(text);
  }
};

struct ReplaceNormalizer : Normalizer {
  explicit ReplaceNormalizer(Replacement replacement) : replacement(std::move(replacement)) {}
  Replacement replacement;
  Expected<std::string> normalize(std::string_view text, bool &atStart) const override {
    return replacement.apply(text, &atStart);
  }
};

struct Strip : Normalizer {
  bool left, right;
  Expected<std::string> normalize(std::string_view text, bool &atStart) const override {
    size_t begin = 0, end = text.size();
    while (left && begin < end) {
      Utf8Step step = readUtf8(text, begin);
      if (!isWhitespace(step.codePoint))
        break;
      begin += step.bytes;
    }
    while (right && begin < end) {
      size_t last = characterBefore(text, end);
      if (!isWhitespace(readUtf8(text, last).codePoint))
        break;
      end = last;
    }
    atStart = atStart && begin == 0;
    return std::string(text.substr(begin, end - begin));
  }
};

} // namespace

CreatedNormalizer createPrepend(const JsonRef &part) {
  Expected<std::string> prefix = part.get("prepend").string();
  if (!prefix)
    return prefix.error();
  auto result = std::make_shared<Prepend>();
  result->prefix = *prefix;
  return std::shared_ptr<const Normalizer>(std::move(result));
}

CreatedNormalizer createReplace(const JsonRef &part) {
  Expected<Replacement> replacement = Replacement::read(part);
  if (!replacement)
    return replacement.error();
  return std::shared_ptr<const Normalizer>(std::make_shared<ReplaceNormalizer>(*replacement));
}

CreatedNormalizer createStrip(const JsonRef &part) {
  Expected<bool> left = part.getBool("strip_left", true), right = part.getBool("strip_right", true);
  if (!left)
    return left.error();
  if (!right)
    return right.error();
  auto result = std::make_shared<Strip>();
  result->left = *left;
  result->right = *right;
  return std::shared_ptr<const Normalizer>(std::move(result));
}

} // namespace attn::text
