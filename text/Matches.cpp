//===- Matches.cpp - Where a pattern of a tokenizer.json matches ----------------------------------------===//

#include "Matches.h"

#include "Utf8.h"

namespace attn::text {

Expected<Pattern> Pattern::read(const JsonRef &member) {
  if (Status status = member.expectObject(); !status)
    return status.error();
  Pattern result;
  if (JsonRef text = member.get("String"); !text.isNull()) {
    Expected<std::string> literal = text.string();
    if (!literal)
      return literal.error();
    if (literal->empty())
      return text.fail("expected at least one character");
    result.literal = *literal;
    return result;
  }
  JsonRef expression = member.get("Regex");
  if (expression.isNull())
    return member.fail("expected an object with 'String' or 'Regex'");
  Expected<std::string> source = expression.string();
  if (!source)
    return source.error();
  Expected<Regex> regex = Regex::compile(fromOniguruma(*source), Regex::Anywhere);
  if (!regex)
    return expression.fail(regex.error().text);
  result.regex = *regex;
  return result;
}

Expected<std::optional<std::pair<size_t, size_t>>> Pattern::find(std::string_view text, size_t position) const {
  using Match = std::optional<std::pair<size_t, size_t>>;
  if (regex)
    return regex->find(text, position);
  size_t found = text.find(literal, position);
  return found == std::string_view::npos ? Match() : Match({found, found + literal.size()});
}

Expected<Replacement> Replacement::read(const JsonRef &part) {
  Expected<Pattern> pattern = Pattern::read(part.get("pattern"));
  if (!pattern)
    return pattern.error();
  Expected<std::string> content = part.get("content").string();
  if (!content)
    return content.error();
  return Replacement(*pattern, *content);
}

Expected<std::string> Replacement::apply(std::string_view text, bool *atStart) const {
  std::string result;
  result.reserve(text.size());
  for (size_t done = 0, position = 0;;) {
    auto match = pattern.find(text, position);
    if (!match)
      return match.error();
    if (!*match) {
      result.append(text.substr(done));
      return result;
    }
    auto [begin, end] = **match;
    result.append(text.substr(done, begin - done)).append(content);
    // In `tokenizers` a replacement stands for the last character that it replaces.
    if (atStart && begin == 0 && (content.empty() ? end > 0 : end > readUtf8(text, 0).bytes))
      *atStart = false;
    done = end;
    if (end == text.size())
      return result;
    // After an empty match the search goes on one character later.
    position = begin == end ? end + readUtf8(text, end).bytes : end;
  }
}

} // namespace attn::text
