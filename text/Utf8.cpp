//===- Utf8.cpp - Reading and repairing UTF-8 ---------------------------------------------------------===//

#include "Utf8.h"

namespace attn::text {

Utf8Step readUtf8(std::string_view text, size_t position) {
  auto byteAt = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  uint8_t first = byteAt(position);
  if (first < 0x80)
    return {Utf8Step::Valid, 1, first};

  // Length and the range of the second byte (Unicode 15, table 3-7); later bytes are 80..BF.
  size_t length;
  uint8_t low = 0x80, high = 0xBF;
  uint32_t codePoint;
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
    codePoint = first & 0x1Fu;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    codePoint = first & 0x0Fu;
    if (first == 0xE0)
      low = 0xA0; // below: overlong
    if (first == 0xED)
      high = 0x9F; // above: surrogates
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    codePoint = first & 0x07u;
    if (first == 0xF0)
      low = 0x90; // below: overlong
    if (first == 0xF4)
      high = 0x8F; // above: beyond U+10FFFF
  } else {
    return {Utf8Step::Invalid, 1, 0};
  }

  for (size_t i = 1; i < length; ++i) {
    if (position + i >= text.size())
      return {Utf8Step::Truncated, i, 0};
    uint8_t byte = byteAt(position + i);
    if (byte < low || byte > high)
      return {Utf8Step::Invalid, i, 0};
    low = 0x80;
    high = 0xBF;
    codePoint = codePoint << 6 | (byte & 0x3Fu);
  }
  return {Utf8Step::Valid, length, codePoint};
}

size_t findInvalidUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    Utf8Step step = readUtf8(text, i);
    if (step.kind != Utf8Step::Valid)
      return i;
    i += step.bytes;
  }
  return std::string_view::npos;
}

std::string repairUtf8(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    Utf8Step step = readUtf8(text, i);
    if (step.kind == Utf8Step::Valid)
      result.append(text.substr(i, step.bytes));
    else
      result += "\xEF\xBF\xBD"; // U+FFFD
    i += step.bytes;
  }
  return result;
}

void appendUtf8(uint32_t codePoint, std::string &out) {
  auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (codePoint < 0x80) {
    put(codePoint);
  } else if (codePoint < 0x800) {
    put(0xC0 | codePoint >> 6);
    put(0x80 | (codePoint & 0x3F));
  } else if (codePoint < 0x10000) {
    put(0xE0 | codePoint >> 12);
    put(0x80 | (codePoint >> 6 & 0x3F));
    put(0x80 | (codePoint & 0x3F));
  } else {
    put(0xF0 | codePoint >> 18);
    put(0x80 | (codePoint >> 12 & 0x3F));
    put(0x80 | (codePoint >> 6 & 0x3F));
    put(0x80 | (codePoint & 0x3F));
  }
}

size_t characterBefore(std::string_view text, size_t end) {
  size_t start = end - 1;
  while (start > 0 && (static_cast<uint8_t>(text[start]) & 0xC0) == 0x80)
    --start;
  return start;
}

} // namespace attn::text
