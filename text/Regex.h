//===- Regex.h - Unicode regular expressions -----------------------------------------------------------===//
//
// A thin owner of PCRE2 patterns, and the character classes whose meaning must be that of the `tokenizers`
// package whatever Unicode version PCRE2 was built with.
//
//===--------------------------------------------------------------------------------------------------===//
#ifndef ATTN_TEXT_REGEX_H
#define ATTN_TEXT_REGEX_H

#include "Expected.h"
#include "UnicodeDelta.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

// Members of a bracketed class, as string literals. Whitespace is Unicode's White_Space, spelt out because
// PCRE2's \s also takes U+180E.
#define ATTN_LETTERS "\\p{L}" ATTN_NEW_LETTERS
#define ATTN_NUMBERS "\\p{N}" ATTN_NEW_NUMBERS
#define ATTN_SPACES                                                                                                    \
  "\\x{9}-\\x{D}\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
#define ATTN_WORD_CHARACTERS "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}" ATTN_NEW_WORD_CHARACTERS

namespace attn::text {

/// A compiled pattern; immutable, so one may be used from several threads.
class Regex {
public:
  enum Place {
    AtPosition, ///< for matchAt
    Anywhere,   ///< for find
  };
  /// Compiles a UTF-8 pattern. Errors: "regular expression …: WHY at byte N".
  static Expected<Regex> compile(std::string_view pattern, Place place = AtPosition);

  /// Bytes matched at exactly `position` of `text`, or nothing. The text must be valid UTF-8 and `position`
  /// the start of a character (neither is checked again: that would make a scan quadratic). Errors: PCRE2's
  /// limits were reached.
  Expected<std::optional<size_t>> matchAt(std::string_view text, size_t position) const;

  /// The first match at or after `position`, [begin, end). Otherwise as matchAt.
  Expected<std::optional<std::pair<size_t, size_t>>> find(std::string_view text, size_t position) const;

private:
  explicit Regex(std::shared_ptr<void> code) : code(std::move(code)) {}
  std::shared_ptr<void> code; // pcre2_code
};

/// A pattern of a tokenizer.json, which is Oniguruma's, for PCRE2: \p{L}, \p{N}, \s and \w become the classes
/// above.
std::string fromOniguruma(std::string_view pattern);

} // namespace attn::text

#endif // ATTN_TEXT_REGEX_H
