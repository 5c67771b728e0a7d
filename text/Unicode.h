//===- Unicode.h - Properties of characters, as the `tokenizers` package sees them ----------------------===//
//
// utf8proc's tables, corrected by UnicodeDelta.h: the package uses several versions of Unicode, older and newer
// than utf8proc's. Lower case and normal forms are utf8proc's; the characters where the package differs are
// listed in test/fixtures/tokenizer/unicode-differences.json.
//
//===--------------------------------------------------------------------------------------------------===//
#ifndef ATTN_TEXT_UNICODE_H
#define ATTN_TEXT_UNICODE_H

#include "Expected.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace attn::text {

bool isWhitespace(uint32_t codePoint);     ///< White_Space
bool isPunctuation(uint32_t codePoint);    ///< categories P*, and every ASCII character that is a symbol
bool isOther(uint32_t codePoint);          ///< categories C*: controls, formats, private use
bool isNonspacingMark(uint32_t codePoint); ///< category Mn
bool isMark(uint32_t codePoint);           ///< categories M*
bool isNumeric(uint32_t codePoint);        ///< categories N*

/// Appends the lower case of one character.
void appendLowercase(uint32_t codePoint, std::string &out);

enum class NormalForm { C, D, KC, KD };
/// The text in a Unicode normal form. Errors: out of memory.
Expected<std::string> toNormalForm(std::string_view text, NormalForm form);

/// Bytes of the grapheme cluster at `position` (< text.size()) of valid UTF-8.
size_t graphemeBytes(std::string_view text, size_t position);

inline bool isAscii(std::string_view text) {
  unsigned char all = 0;
  for (char c : text)
    all |= static_cast<unsigned char>(c);
  return all < 0x80;
}

} // namespace attn::text

#endif // ATTN_TEXT_UNICODE_H
