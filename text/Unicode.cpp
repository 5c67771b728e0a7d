//===- Unicode.cpp - Properties of characters, as the `tokenizers` package sees them --------------------===//

#include "Unicode.h"

#include "UnicodeDelta.h"
#include "Utf8.h"

#include <algorithm>
#include <iterator>
#include <utf8proc.h>
#include <vector>

namespace attn::text {

template <size_t n> static bool contains(const CodePointRange (&ranges)[n], uint32_t codePoint) {
  const CodePointRange *end = std::end(ranges);
  const CodePointRange *found =
      std::lower_bound(std::begin(ranges), end, codePoint,
                       [](const CodePointRange &range, uint32_t value) { return range.last < value; });
  return found != end && found->first <= codePoint;
}

static utf8proc_category_t categoryOf(uint32_t codePoint) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(codePoint));
}

bool isWhitespace(uint32_t codePoint) {
  if (codePoint < 0x80)
    return codePoint == ' ' || (codePoint >= 9 && codePoint <= 13);
  // Of the separators (Zs, Zl, Zp) all; of the controls U+0085 alone.
  utf8proc_category_t category = categoryOf(codePoint);
  return codePoint == 0x85 || category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

bool isPunctuation(uint32_t codePoint) {
  if (codePoint < 0x80)
    return (codePoint >= '!' && codePoint <= '/') || (codePoint >= ':' && codePoint <= '@') ||
           (codePoint >= '[' && codePoint <= '`') || (codePoint >= '{' && codePoint <= '~');
  utf8proc_category_t category = categoryOf(codePoint);
  bool known = category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
  return known != contains(changedPunctuation, codePoint);
}

bool isOther(uint32_t codePoint) {
  if (codePoint < 0x80)
    return codePoint < 0x20 || codePoint == 0x7F;
  utf8proc_category_t category = categoryOf(codePoint);
  bool known = category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_CO;
  return known != contains(changedOther, codePoint);
}

bool isNonspacingMark(uint32_t codePoint) {
  return codePoint >= 0x80 &&
         (categoryOf(codePoint) == UTF8PROC_CATEGORY_MN) != contains(changedNonspacingMarks, codePoint);
}

bool isMark(uint32_t codePoint) {
  if (codePoint < 0x80)
    return false;
  utf8proc_category_t category = categoryOf(codePoint);
  bool known = category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME;
  return known != contains(changedMarks, codePoint);
}

bool isNumeric(uint32_t codePoint) {
  if (codePoint < 0x80)
    return codePoint >= '0' && codePoint <= '9';
  utf8proc_category_t category = categoryOf(codePoint);
  bool known = category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
  return known != contains(changedNumeric, codePoint);
}

void appendLowercase(uint32_t codePoint, std::string &out) {
  if (codePoint < 0x80) {
    out.push_back(static_cast<char>(codePoint >= 'A' && codePoint <= 'Z' ? codePoint + 32 : codePoint));
  } else if (codePoint == 0x130) {
    out += "i\xCC\x87"; // İ is the one character whose lower case is two (SpecialCasing.txt)
  } else {
    appendUtf8(static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(codePoint))), out);
  }
}

Expected<std::string> toNormalForm(std::string_view text, NormalForm form) {
  if (isAscii(text))
    return std::string(text);
  int options = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
  if (form == NormalForm::KC || form == NormalForm::KD)
    options |= UTF8PROC_COMPAT;

  // Decomposed, a character becomes at most 18; most stay one.
  std::vector<utf8proc_int32_t> points(text.size() + 64);
  auto decompose = [&] {
    return utf8proc_decompose(reinterpret_cast<const utf8proc_uint8_t *>(text.data()),
                              static_cast<utf8proc_ssize_t>(text.size()), points.data(),
                              static_cast<utf8proc_ssize_t>(points.size()), static_cast<utf8proc_option_t>(options));
  };
  utf8proc_ssize_t n = decompose();
  if (n > static_cast<utf8proc_ssize_t>(points.size())) {
    points.resize(static_cast<size_t>(n));
    n = decompose();
  }
  if (n >= 0 && (form == NormalForm::C || form == NormalForm::KC))
    n = utf8proc_normalize_utf32(points.data(), n, static_cast<utf8proc_option_t>(options | UTF8PROC_COMPOSE));
  if (n < 0)
    return Error{std::string("Unicode normal form: ") + utf8proc_errmsg(n)};
  std::string result;
  result.reserve(text.size());
  for (utf8proc_ssize_t i = 0; i < n; ++i)
    appendUtf8(static_cast<uint32_t>(points[static_cast<size_t>(i)]), result);
  return result;
}

size_t graphemeBytes(std::string_view text, size_t position) {
  Utf8Step step = readUtf8(text, position);
  size_t end = position + step.bytes;
  utf8proc_int32_t state = 0;
  while (end < text.size()) {
    Utf8Step next = readUtf8(text, end);
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(step.codePoint),
                                         static_cast<utf8proc_int32_t>(next.codePoint), &state))
      break;
    step = next;
    end += next.bytes;
  }
  return end - position;
}

} // namespace attn::text
