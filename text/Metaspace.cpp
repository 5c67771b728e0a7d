//===- Metaspace.cpp - SentencePiece's way of writing spaces ---------------------------------------------===//

#include "TokenizerParts.h"
#include "Utf8.h"

namespace attn::text {

namespace {

/// Where a replacement is put before a text that does not start with one.
enum class PrependScheme { Never, First, Always };

struct MetaspaceOptions {
  std::string replacement; ///< one character, normally ▁ (U+2581)
  PrependScheme prepend;
  bool split;

  static Expected<MetaspaceOptions> read(const JsonRef &part);
};

/// Writes spaces as the replacement, which starts a word.
class MetaspacePreTokenizer : public PreTokenizer {
public:
  explicit MetaspacePreTokenizer(MetaspaceOptions options) : options(std::move(options)) {}

  Status split(std::string_view text, bool atStart, Words &words) const override {
    const std::string &mark = options.replacement;
    auto startsWithMark = [&](size_t i) { return text.compare(i, mark.size(), mark) == 0; };
    words.atStart |= atStart && words.size() == 0;
    std::string &out = words.writing();
    if ((options.prepend == PrependScheme::Always || (options.prepend == PrependScheme::First && atStart)) &&
        text.front() != ' ' && !startsWithMark(0))
      out.append(mark);
    for (size_t i = 0; i < text.size();) {
      bool space = text[i] == ' ';
      if (space || (text[i] == mark[0] && startsWithMark(i))) {
        if (options.split && i > 0)
          words.endWord();
        out.append(mark);
        i += space ? 1 : mark.size();
      } else {
        out.push_back(text[i++]);
      }
    }
    words.endWord();
    return {};
  }

private:
  MetaspaceOptions options;
};

/// Writes the replacement as a space; in the first token of a text it is left out.
class MetaspaceDecoder : public TokenDecoder {
public:
  explicit MetaspaceDecoder(MetaspaceOptions options) : options(std::move(options)) {}
  std::unique_ptr<TokenDecoder> clone() const override { return std::make_unique<MetaspaceDecoder>(options); }

  Status push(std::string_view token, const Sink &sink) override {
    std::string text;
    for (size_t i = 0; i < token.size();) {
      if (token.compare(i, options.replacement.size(), options.replacement) == 0) {
        if (!first || options.prepend == PrependScheme::Never)
          text.push_back(' ');
        i += options.replacement.size();
      } else {
        text.push_back(token[i++]);
      }
    }
    first = false;
    return sink(text);
  }

private:
  MetaspaceOptions options;
  bool first = true;
};

} // namespace

Expected<MetaspaceOptions> MetaspaceOptions::read(const JsonRef &part) {
  JsonRef member = part.get("replacement");
  Expected<std::string> replacement = member.string();
  if (!replacement)
    return replacement.error();
  if (replacement->empty() || readUtf8(*replacement, 0).bytes != replacement->size())
    return member.fail("expected one character, got " + inQuotes(*replacement));
  MetaspaceOptions result{*replacement, PrependScheme::Always, true};

  if (JsonRef scheme = part.get("prepend_scheme"); !scheme.isNull()) {
    Expected<std::string> name = scheme.string();
    if (!name)
      return name.error();
    if (*name == "never")
      result.prepend = PrependScheme::Never;
    else if (*name == "first")
      result.prepend = PrependScheme::First;
    else if (*name != "always")
      return scheme.fail("expected always, first or never, got " + inQuotes(*name));
  }
  // Files of older versions.
  Expected<bool> addPrefixSpace = part.getBool("add_prefix_space", true), split = part.getBool("split", true);
  if (!addPrefixSpace)
    return addPrefixSpace.error();
  if (!*addPrefixSpace && result.prepend != PrependScheme::Never)
    return part.get("add_prefix_space").fail("expected true, because prepend_scheme is not never");
  if (!split)
    return split.error();
  result.split = *split;
  return result;
}

CreatedPreTokenizer createMetaspacePreTokenizer(const JsonRef &part) {
  Expected<MetaspaceOptions> options = MetaspaceOptions::read(part);
  if (!options)
    return options.error();
  return std::shared_ptr<const PreTokenizer>(std::make_shared<MetaspacePreTokenizer>(*options));
}

CreatedDecoder createMetaspaceDecoder(const JsonRef &part) {
  Expected<MetaspaceOptions> options = MetaspaceOptions::read(part);
  if (!options)
    return options.error();
  return std::shared_ptr<const TokenDecoder>(std::make_shared<MetaspaceDecoder>(*options));
}

} // namespace attn::text
