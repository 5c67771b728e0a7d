//===- Matches.h - Where a pattern of a tokenizer.json matches ------------------------------------------===//
#ifndef ATTN_TEXT_MATCHES_H
#define ATTN_TEXT_MATCHES_H

#include "Json.h"
#include "Regex.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace attn::text {

/// The pattern of a Split or a Replace: {"String": …} or {"Regex": …}.
class Pattern {
public:
  /// Errors: neither of the two, an empty string, a regular expression that PCRE2 refuses.
  static Expected<Pattern> read(const JsonRef &member);

  /// The first match at or after `position` of valid UTF-8, [begin, end); it may be empty.
  Expected<std::optional<std::pair<size_t, size_t>>> find(std::string_view text, size_t position) const;

private:
  std::string literal;
  std::optional<Regex> regex; ///< empty: `literal`
};

/// The part Replace: as a normalizer and as a decoder.
class Replacement {
public:
  static Expected<Replacement> read(const JsonRef &part);
  /// `atStart` becomes false if what replaces the start of the text stands for later characters of it.
  Expected<std::string> apply(std::string_view text, bool *atStart = nullptr) const;

private:
  Replacement(Pattern pattern, std::string content) : pattern(std::move(pattern)), content(std::move(content)) {}
  Pattern pattern;
  std::string content;
};

} // namespace attn::text

#endif // ATTN_TEXT_MATCHES_H
