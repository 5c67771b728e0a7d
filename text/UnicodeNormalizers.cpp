//===- UnicodeNormalizers.cpp - Case, accents, controls and normal forms --------------------------------===//

#include "TokenizerParts.h"
#include "Unicode.h"
#include "Utf8.h"

namespace attn::text {

/// Calls `visit` with each character of valid UTF-8.
template <typename Visit> static void forEachCharacter(std::string_view text, Visit visit) {
  for (size_t i = 0; i < text.size();) {
    Utf8Step step = readUtf8(text, i);
    visit(step.codePoint);
    i += step.bytes;
  }
}

static std::string lowercase(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  forEachCharacter(text, [&](uint32_t c) { appendLowercase(c, result); });
  return result;
}

template <typename Predicate> static std::string without(std::string_view text, Predicate removed, bool &atStart) {
  std::string result;
  result.reserve(text.size());
  forEachCharacter(text, [&](uint32_t c) {
    if (!removed(c))
      appendUtf8(c, result);
    else if (result.empty())
      atStart = false;
  });
  return result;
}

namespace {

struct Lowercase : Normalizer {
  Expected<std::string> normalize(std::string_view text, bool &) const override { return lowercase(text); }
  bool hasLowercase() const override { return true; }
};

struct StripAccents : Normalizer {
  Expected<std::string> normalize(std::string_view text, bool &atStart) const override {
    return without(text, isMark, atStart);
  }
};

struct NormalFormNormalizer : Normalizer {
  explicit NormalFormNormalizer(NormalForm form) : form(form) {}
  NormalForm form;
  Expected<std::string> normalize(std::string_view text, bool &) const override { return toNormalForm(text, form); }
};

/// The rules of neural machine translation in SentencePiece ("nmt_nfkc"), without the normal form.
struct Nmt : Normalizer {
  Expected<std::string> normalize(std::string_view text, bool &atStart) const override {
    auto isControl = [](uint32_t c) {
      return (c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
    };
    std::string result;
    result.reserve(text.size());
    forEachCharacter(without(text, isControl, atStart), [&](uint32_t c) {
      bool space = c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 || (c >= 0x200B && c <= 0x200F) ||
                   c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
      appendUtf8(space ? ' ' : c, result);
    });
    return result;
  }
};

/// BERT's BasicTokenizer (Devlin et al. 2018, tokenization.py) up to the split at spaces and punctuation.
struct BertNormalizer : Normalizer {
  bool cleanText, handleChineseCharacters, stripAccents, lower;

  /// The blocks of CJK ideographs, as BERT lists them. Kana and hangul, written with spaces, are not in it.
  static bool isChinese(uint32_t c) {
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
           (c >= 0x2A700 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) || (c >= 0xF900 && c <= 0xFAFF) ||
           (c >= 0x2F800 && c <= 0x2FA1F);
  }

  Expected<std::string> normalize(std::string_view text, bool &atStart) const override {
    std::string result;
    result.reserve(text.size() + text.size() / 4);
    forEachCharacter(text, [&](uint32_t c) {
      bool control = c != '\t' && c != '\n' && c != '\r' && isOther(c);
      if (cleanText && (control || c == 0xFFFD)) {
        atStart = atStart && !result.empty();
        return;
      }
      if (cleanText && isWhitespace(c))
        c = ' ';
      if (handleChineseCharacters && isChinese(c)) {
        result.push_back(' ');
        appendUtf8(c, result);
        result.push_back(' ');
      } else {
        appendUtf8(c, result);
      }
    });
    if (stripAccents && !isAscii(result)) {
      Expected<std::string> decomposed = toNormalForm(result, NormalForm::D);
      if (!decomposed)
        return decomposed;
      result = without(*decomposed, isNonspacingMark, atStart);
    }
    return lower ? lowercase(result) : result;
  }
};

} // namespace

std::shared_ptr<const Normalizer> makeLowercase() { return std::make_shared<Lowercase>(); }
CreatedNormalizer createLowercase(const JsonRef &) { return makeLowercase(); }
CreatedNormalizer createStripAccents(const JsonRef &) {
  return std::shared_ptr<const Normalizer>(std::make_shared<StripAccents>());
}
CreatedNormalizer createNmt(const JsonRef &) { return std::shared_ptr<const Normalizer>(std::make_shared<Nmt>()); }

static CreatedNormalizer createNormalForm(NormalForm form) {
  return std::shared_ptr<const Normalizer>(std::make_shared<NormalFormNormalizer>(form));
}
CreatedNormalizer createNfc(const JsonRef &) { return createNormalForm(NormalForm::C); }
CreatedNormalizer createNfd(const JsonRef &) { return createNormalForm(NormalForm::D); }
CreatedNormalizer createNfkc(const JsonRef &) { return createNormalForm(NormalForm::KC); }
CreatedNormalizer createNfkd(const JsonRef &) { return createNormalForm(NormalForm::KD); }

CreatedNormalizer createBertNormalizer(const JsonRef &part) {
  auto result = std::make_shared<BertNormalizer>();
  Expected<bool> lower = part.getBool("lowercase", true);
  if (!lower)
    return lower.error();
  Expected<bool> clean = part.getBool("clean_text", true), chinese = part.getBool("handle_chinese_chars", true),
                 accents = part.getBool("strip_accents", *lower);
  for (const Expected<bool> *value : {&clean, &chinese, &accents})
    if (!*value)
      return value->error();
  result->cleanText = *clean;
  result->handleChineseCharacters = *chinese;
  result->stripAccents = *accents;
  result->lower = *lower;
  return std::shared_ptr<const Normalizer>(std::move(result));
}

} // namespace attn::text
