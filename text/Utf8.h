//===- Utf8.h - Reading and repairing UTF-8 -----------------------------------------------------------===//
#ifndef ATTN_TEXT_UTF8_H
#define ATTN_TEXT_UTF8_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace attn::text {

/// What starts at one position of a byte string.
struct Utf8Step {
  enum Kind {
    Valid,     ///< a whole character of `bytes` bytes, `codePoint` is set
    Invalid,   ///< a maximal invalid sequence of `bytes` bytes: U+FFFD stands for it
    Truncated, ///< the text ends inside a character that is valid so far; `bytes` is what is there
  };
  Kind kind;
  size_t bytes; ///< >= 1
  uint32_t codePoint;
};

/// Reads the character at `position` (< text.size()). Overlong forms, surrogates and values above U+10FFFF
/// are invalid. Invalid sequences are "maximal subparts" (Unicode 15, section 3.9, table 3-8): the same ones
/// that Python's bytes.decode('utf-8', errors='replace') and Rust's from_utf8_lossy replace.
Utf8Step readUtf8(std::string_view text, size_t position);

/// Byte offset of the first invalid sequence (or of a character cut off at the end), or npos.
size_t findInvalidUtf8(std::string_view text);

/// The text with each maximal invalid sequence replaced by U+FFFD.
std::string repairUtf8(std::string_view text);

/// Appends `codePoint` (a Unicode scalar value) as UTF-8.
void appendUtf8(uint32_t codePoint, std::string &out);

/// Start of the character that ends at `end` (> 0) of valid UTF-8.
size_t characterBefore(std::string_view text, size_t end);

} // namespace attn::text

#endif // ATTN_TEXT_UTF8_H
