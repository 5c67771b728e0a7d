//===- PreTokenizers.cpp - Splitting at spaces, punctuation, digits and patterns ------------------------===//

#include "Matches.h"
#include "TokenizerParts.h"
#include "Unicode.h"
#include "Utf8.h"

namespace attn::text {

namespace {

/// What becomes of the matches of a pattern that splits.
enum class Behavior { Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous };

/// Makes words of the parts of a text, which are given in order and cover it.
class Splitter {
public:
  Splitter(std::string_view text, bool atStart, Behavior behavior, Words &words)
      : text(text), behavior(behavior), atStart(atStart), words(words) {}

  /// The next part ends at `end`. `isMatch`: the pattern matches it.
  void part(size_t end, bool isMatch) {
    bool joins = false; // to the part before it
    if (hasPart) {
      if (behavior == Behavior::MergedWithPrevious)
        joins = isMatch && !lastIsMatch;
      else if (behavior == Behavior::Contiguous)
        joins = isMatch == lastIsMatch;
    }
    if (!joins)
      flush();
    if (behavior == Behavior::Removed && isMatch)
      begin = end;
    hasPart = true;
    lastIsMatch = isMatch;
    partEnd = end;
  }
  void finish() { flush(); }

private:
  void flush() {
    if (begin < partEnd) {
      words.atStart |= atStart && begin == 0 && words.size() == 0;
      words.add(text.substr(begin, partEnd - begin));
    }
    begin = std::max(begin, partEnd);
  }

  std::string_view text;
  Behavior behavior;
  bool atStart;
  Words &words;
  size_t begin = 0, partEnd = 0; ///< of the word that may still grow
  bool hasPart = false, lastIsMatch = false;
};

/// Splits at the characters of a class.
template <bool (*isMatch)(uint32_t)> class CharacterSplit : public PreTokenizer {
public:
  explicit CharacterSplit(Behavior behavior) : behavior(behavior) {}
  Status split(std::string_view text, bool atStart, Words &words) const override {
    Splitter splitter(text, atStart, behavior, words);
    size_t i = 0, plain = 0; // characters from `plain` on are no matches
    while (i < text.size()) {
      Utf8Step step = readUtf8(text, i);
      if (isMatch(step.codePoint)) {
        if (plain < i)
          splitter.part(i, false);
        splitter.part(i + step.bytes, true);
        plain = i + step.bytes;
      }
      i += step.bytes;
    }
    if (plain < i)
      splitter.part(i, false);
    splitter.finish();
    return {};
  }

private:
  Behavior behavior;
};

/// Spaces are removed, punctuation stands alone.
struct BertPreTokenizer : PreTokenizer {
  Status split(std::string_view text, bool atStart, Words &words) const override {
    size_t begin = 0;
    auto wordUntil = [&](size_t end) {
      if (begin == end)
        return;
      words.atStart |= atStart && begin == 0 && words.size() == 0;
      words.add(text.substr(begin, end - begin));
    };
    for (size_t i = 0; i < text.size();) {
      Utf8Step step = readUtf8(text, i);
      size_t next = i + step.bytes;
      bool space = isWhitespace(step.codePoint);
      if (space || isPunctuation(step.codePoint)) {
        wordUntil(i);
        begin = i;
        if (!space)
          wordUntil(next);
        begin = next;
      }
      i = next;
    }
    wordUntil(text.size());
    return {};
  }
};

struct CharDelimiterSplit : PreTokenizer {
  std::string delimiter;
  Status split(std::string_view text, bool atStart, Words &words) const override {
    Splitter splitter(text, atStart, Behavior::Removed, words);
    for (size_t i = 0; i < text.size();) {
      size_t found = std::min(text.find(delimiter, i), text.size());
      if (i < found)
        splitter.part(found, false);
      if (found == text.size())
        break;
      i = found + delimiter.size();
      splitter.part(i, true);
    }
    splitter.finish();
    return {};
  }
};

struct PatternSplit : PreTokenizer {
  PatternSplit(Pattern pattern, Behavior behavior, bool invert)
      : pattern(std::move(pattern)), behavior(behavior), invert(invert) {}
  Pattern pattern;
  Behavior behavior;
  bool invert; ///< the matches are the words, what lies between them is the delimiter

  Status split(std::string_view text, bool atStart, Words &words) const override {
    // Merging with the next part needs all parts; the other behaviours look back only.
    std::vector<std::pair<size_t, bool>> parts;
    Splitter splitter(text, atStart, behavior, words);
    auto part = [&](size_t end, bool isMatch) {
      if (behavior == Behavior::MergedWithNext)
        parts.push_back({end, isMatch != invert});
      else
        splitter.part(end, isMatch != invert);
    };
    size_t done = 0;
    for (size_t position = 0; position <= text.size();) {
      auto match = pattern.find(text, position);
      if (!match)
        return match.error();
      if (!*match)
        break;
      auto [begin, end] = **match;
      if (done < begin)
        part(begin, false);
      part(end, true);
      done = end;
      // After an empty match the search goes on one character later.
      position = begin < end ? end : end < text.size() ? end + readUtf8(text, end).bytes : end + 1;
      if (end == text.size())
        break;
    }
    if (done < text.size())
      part(text.size(), false);
    if (behavior == Behavior::MergedWithNext)
      mergeWithNext(text, parts, atStart, words);
    else
      splitter.finish();
    return {};
  }

private:
  static void mergeWithNext(std::string_view text, const std::vector<std::pair<size_t, bool>> &parts, bool atStart,
                            Words &words) {
    // From the end: a match joins what follows it, unless that is a match too.
    std::vector<bool> ends(parts.size(), true);
    for (size_t i = parts.size(); i-- > 0;)
      ends[i] = i + 1 == parts.size() || !(parts[i].second && !parts[i + 1].second);
    for (size_t i = 0, begin = 0; i < parts.size(); ++i) {
      if (!ends[i])
        continue;
      words.atStart |= atStart && begin == 0 && words.size() == 0;
      words.add(text.substr(begin, parts[i].first - begin));
      begin = parts[i].first;
    }
  }
};

} // namespace

static Expected<Behavior> readBehavior(const JsonRef &member) {
  static const std::pair<const char *, Behavior> names[] = {{"Removed", Behavior::Removed},
                                                            {"Isolated", Behavior::Isolated},
                                                            {"MergedWithPrevious", Behavior::MergedWithPrevious},
                                                            {"MergedWithNext", Behavior::MergedWithNext},
                                                            {"Contiguous", Behavior::Contiguous}};
  Expected<std::string> name = member.string();
  if (!name)
    return name.error();
  for (auto [known, behavior] : names)
    if (*name == known)
      return behavior;
  return member.fail("expected Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous, got " +
                     inQuotes(*name));
}

CreatedPreTokenizer createBertPreTokenizer(const JsonRef &) {
  return std::shared_ptr<const PreTokenizer>(std::make_shared<BertPreTokenizer>());
}

CreatedPreTokenizer createWhitespaceSplit(const JsonRef &) {
  return std::shared_ptr<const PreTokenizer>(std::make_shared<CharacterSplit<isWhitespace>>(Behavior::Removed));
}

CreatedPreTokenizer createWhitespace(const JsonRef &part) {
  nlohmann::json pattern{{"Regex", "[" ATTN_WORD_CHARACTERS "]+|[^" ATTN_WORD_CHARACTERS ATTN_SPACES "]+"}};
  Expected<Pattern> words = Pattern::read(JsonRef(pattern, "Whitespace"));
  if (!words)
    return part.fail(words.error().text);
  return std::shared_ptr<const PreTokenizer>(
      std::make_shared<PatternSplit>(*words, Behavior::Removed, /*invert=*/true));
}

CreatedPreTokenizer createDigits(const JsonRef &part) {
  Expected<bool> individual = part.getBool("individual_digits", false);
  if (!individual)
    return individual.error();
  return std::shared_ptr<const PreTokenizer>(
      std::make_shared<CharacterSplit<isNumeric>>(*individual ? Behavior::Isolated : Behavior::Contiguous));
}

CreatedPreTokenizer createPunctuation(const JsonRef &part) {
  Behavior behavior = Behavior::Isolated;
  if (JsonRef member = part.get("behavior"); !member.isNull()) {
    Expected<Behavior> read = readBehavior(member);
    if (!read)
      return read.error();
    if (*read == Behavior::MergedWithNext)
      return member.fail("MergedWithNext is not supported");
    behavior = *read;
  }
  return std::shared_ptr<const PreTokenizer>(std::make_shared<CharacterSplit<isPunctuation>>(behavior));
}

CreatedPreTokenizer createCharDelimiterSplit(const JsonRef &part) {
  JsonRef member = part.get("delimiter");
  Expected<std::string> delimiter = member.string();
  if (!delimiter)
    return delimiter.error();
  if (delimiter->empty() || readUtf8(*delimiter, 0).bytes != delimiter->size())
    return member.fail("expected one character, got " + inQuotes(*delimiter));
  auto result = std::make_shared<CharDelimiterSplit>();
  result->delimiter = *delimiter;
  return std::shared_ptr<const PreTokenizer>(std::move(result));
}

CreatedPreTokenizer createSplit(const JsonRef &part) {
  Expected<Pattern> pattern = Pattern::read(part.get("pattern"));
  if (!pattern)
    return pattern.error();
  Expected<Behavior> behavior = readBehavior(part.get("behavior"));
  if (!behavior)
    return behavior.error();
  Expected<bool> invert = part.getBool("invert", false);
  if (!invert)
    return invert.error();
  return std::shared_ptr<const PreTokenizer>(std::make_shared<PatternSplit>(*pattern, *behavior, *invert));
}

} // namespace attn::text
