//===- Decoders.cpp - From tokens back to text ------------------------------------------------------------===//
//
// What the decoders of the `tokenizers` package make of a whole list of tokens, token by token. A decoder keeps
// back only what the next token may change.
//
//===--------------------------------------------------------------------------------------------------===//

#include "Matches.h"
#include "TokenizerParts.h"
#include "Utf8.h"

#include <charconv>

namespace attn::text {

static void replaceAll(std::string &text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

namespace {

/// No decoder: a space between two tokens.
class Join : public TokenDecoder {
public:
  std::unique_ptr<TokenDecoder> clone() const override { return std::make_unique<Join>(); }
  Status push(std::string_view token, const Sink &sink) override {
    if (!first)
      if (Status status = sink(" "); !status)
        return status;
    first = false;
    return sink(token);
  }

private:
  bool first = true;
};

/// A suffix ends a word; after the last token no space is written for it.
class BpeDecoder : public TokenDecoder {
public:
  explicit BpeDecoder(std::string suffix) : suffix(std::move(suffix)) {}
  std::unique_ptr<TokenDecoder> clone() const override { return std::make_unique<BpeDecoder>(suffix); }
  Status push(std::string_view token, const Sink &sink) override {
    if (!first)
      if (Status status = write(" ", sink); !status)
        return status;
    first = false;
    last = token;
    return {};
  }
  Status finish(const Sink &sink) override { return first ? Status() : write("", sink); }

private:
  Status write(std::string_view replacement, const Sink &sink) {
    replaceAll(last, suffix, replacement);
    return sink(last);
  }
  std::string suffix, last;
  bool first = true;
};

/// A prefix continues a word, every other token starts one.
class WordPieceDecoder : public TokenDecoder {
public:
  WordPieceDecoder(std::string prefix, bool cleanUp) : prefix(std::move(prefix)), cleanUp(cleanUp) {}
  std::unique_ptr<TokenDecoder> clone() const override { return std::make_unique<WordPieceDecoder>(prefix, cleanUp); }
  Status push(std::string_view token, const Sink &sink) override {
    bool continues = token.substr(0, prefix.size()) == prefix;
    std::string text;
    if (first)
      text = token;
    else if (continues)
      text = token.substr(prefix.size());
    else
      text.append(" ").append(token);
    first = false;
    if (cleanUp)
      for (auto [from, to] : untokenized)
        replaceAll(text, from, to);
    return sink(text);
  }

private:
  /// Spaces that a tokenizer of words made in English text (`clean_up_tokenization` of transformers).
  static constexpr std::pair<std::string_view, std::string_view> untokenized[] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  std::string prefix;
  bool cleanUp, first = true;
};

/// Tokens "<0xE2>" are bytes. A run of them is text if it is valid UTF-8, otherwise one U+FFFD for each byte;
/// hence a run is kept back until it ends.
class ByteFallback : public TokenDecoder {
public:
  std::unique_ptr<TokenDecoder> clone() const override { return std::make_unique<ByteFallback>(); }
  Status push(std::string_view token, const Sink &sink) override {
    uint8_t byte = 0;
    if (token.size() == 6 && token.substr(0, 3) == "<0x" && token[5] == '>') {
      auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
      if (error == std::errc() && end == token.data() + 5) {
        bytes.push_back(static_cast<char>(byte));
        return {};
      }
    }
    if (Status status = finish(sink); !status)
      return status;
    return sink(token);
  }
  Status finish(const Sink &sink) override {
    std::string run;
    std::swap(run, bytes);
    if (findInvalidUtf8(run) == std::string_view::npos)
      return run.empty() ? Status() : sink(run);
    for (size_t i = 0; i < run.size(); ++i)
      if (Status status = sink("\xEF\xBF\xBD"); !status)
        return status;
    return {};
  }

private:
  std::string bytes;
};

class ReplaceDecoder : public TokenDecoder {
public:
  explicit ReplaceDecoder(Replacement replacement) : replacement(std::move(replacement)) {}
  std::unique_ptr<TokenDecoder> clone() const override { return std::make_unique<ReplaceDecoder>(replacement); }
  Status push(std::string_view token, const Sink &sink) override {
    Expected<std::string> text = replacement.apply(token);
    if (!text)
      return text.error();
    return sink(*text);
  }

private:
  Replacement replacement;
};

/// Up to `start` times `content` is removed where a token begins, up to `stop` times where it ends.
struct StripOptions {
  std::string content; ///< one character
  size_t start, stop;
};

class StripDecoder : public TokenDecoder {
public:
  explicit StripDecoder(StripOptions options) : options(std::move(options)) {}
  std::unique_ptr<TokenDecoder> clone() const override { return std::make_unique<StripDecoder>(options); }
  Status push(std::string_view token, const Sink &sink) override {
    size_t size = options.content.size();
    for (size_t i = 0; i < options.start && token.substr(0, size) == options.content; ++i)
      token.remove_prefix(size);
    for (size_t i = 0; i < options.stop && token.size() >= size; ++i) {
      if (token.substr(token.size() - size) != options.content)
        break;
      token.remove_suffix(size);
    }
    return sink(token);
  }
  const StripOptions options;
};

/// Makes one token of all; with a Strip of that token.
class Fuse : public TokenDecoder {
public:
  explicit Fuse(StripOptions strip) : strip(std::move(strip)) {}
  std::unique_ptr<TokenDecoder> clone() const override { return std::make_unique<Fuse>(strip); }
  bool joinsTokens() const override { return true; }

  Status push(std::string_view token, const Sink &sink) override {
    pending += token;
    size_t size = strip.content.size();
    std::string_view text = pending;
    while (removed < strip.start && text.substr(0, size) == strip.content) {
      text.remove_prefix(size);
      ++removed;
    }
    bool cutOff = removed < strip.start && text.size() < size && strip.content.compare(0, text.size(), text) == 0;
    if (!cutOff)
      removed = strip.start;
    size_t certain = cutOff ? 0 : text.size();
    for (size_t i = 0; i < strip.stop && certain >= size; ++i) {
      if (text.substr(certain - size, size) != strip.content)
        break;
      certain -= size;
    }
    std::string result(text.substr(0, certain));
    pending = std::string(text.substr(certain));
    return result.empty() ? Status() : sink(result);
  }
  Status finish(const Sink &sink) override {
    // What was kept back for its end is removed; what might have begun with the content is text.
    return removed < strip.start && !pending.empty() ? sink(pending) : Status();
  }

private:
  StripOptions strip;
  std::string pending;
  size_t removed = 0; ///< contents removed from the start; `start` as soon as other text came
};

class Sequence : public TokenDecoder {
public:
  explicit Sequence(std::vector<std::unique_ptr<TokenDecoder>> parts) : parts(std::move(parts)) {}
  std::unique_ptr<TokenDecoder> clone() const override {
    std::vector<std::unique_ptr<TokenDecoder>> copies;
    for (const auto &part : parts)
      copies.push_back(part->clone());
    return std::make_unique<Sequence>(std::move(copies));
  }
  bool joinsTokens() const override { return !parts.empty() && parts.back()->joinsTokens(); }
  Status push(std::string_view token, const Sink &sink) override { return pushTo(0, token, sink); }
  Status finish(const Sink &sink) override {
    for (size_t i = 0; i < parts.size(); ++i)
      if (Status status = parts[i]->finish([&](std::string_view token) { return pushTo(i + 1, token, sink); }); !status)
        return status;
    return {};
  }

private:
  Status pushTo(size_t i, std::string_view token, const Sink &sink) {
    if (i == parts.size())
      return sink(token);
    return parts[i]->push(token, [&](std::string_view next) { return pushTo(i + 1, next, sink); });
  }
  std::vector<std::unique_ptr<TokenDecoder>> parts;
};

} // namespace

CreatedDecoder createDecoderSequence(const JsonRef &part, std::vector<std::shared_ptr<const TokenDecoder>> created) {
  std::vector<std::unique_ptr<TokenDecoder>> parts;
  bool joined = false;
  for (size_t i = 0; i < created.size(); ++i) {
    const auto *strip = dynamic_cast<const StripDecoder *>(created[i].get());
    if (joined && strip)
      parts.push_back(std::make_unique<Fuse>(strip->options));
    else if (joined && !dynamic_cast<const Fuse *>(created[i].get()))
      return part.get("decoders")
          .at(i)
          .fail("expected Fuse or Strip after a part that joins all tokens, got " +
                inQuotes(part.get("decoders").at(i).get("type")->get<std::string>()));
    else
      parts.push_back(created[i]->clone());
    joined = joined || created[i]->joinsTokens();
  }
  return std::shared_ptr<const TokenDecoder>(std::make_shared<Sequence>(std::move(parts)));
}

CreatedDecoder createJoin(const JsonRef &) { return std::shared_ptr<const TokenDecoder>(std::make_shared<Join>()); }
CreatedDecoder createByteFallback(const JsonRef &) {
  return std::shared_ptr<const TokenDecoder>(std::make_shared<ByteFallback>());
}
CreatedDecoder createFuse(const JsonRef &) {
  return std::shared_ptr<const TokenDecoder>(std::make_shared<Fuse>(StripOptions{" ", 0, 0}));
}

CreatedDecoder createBpeDecoder(const JsonRef &part) {
  JsonRef member = part.get("suffix");
  Expected<std::string> suffix = member.string();
  if (!suffix)
    return suffix.error();
  if (suffix->empty())
    return member.fail("expected at least one character");
  return std::shared_ptr<const TokenDecoder>(std::make_shared<BpeDecoder>(*suffix));
}

CreatedDecoder createWordPieceDecoder(const JsonRef &part) {
  Expected<std::string> prefix = part.get("prefix").string();
  if (!prefix)
    return prefix.error();
  Expected<bool> cleanUp = part.getBool("cleanup", true);
  if (!cleanUp)
    return cleanUp.error();
  return std::shared_ptr<const TokenDecoder>(std::make_shared<WordPieceDecoder>(*prefix, *cleanUp));
}

CreatedDecoder createReplaceDecoder(const JsonRef &part) {
  Expected<Replacement> replacement = Replacement::read(part);
  if (!replacement)
    return replacement.error();
  return std::shared_ptr<const TokenDecoder>(std::make_shared<ReplaceDecoder>(*replacement));
}

CreatedDecoder createStripDecoder(const JsonRef &part) {
  JsonRef member = part.get("content");
  Expected<std::string> content = member.string();
  if (!content)
    return content.error();
  if (content->empty() || readUtf8(*content, 0).bytes != content->size())
    return member.fail("expected one character, got " + inQuotes(*content));
  Expected<int64_t> start = part.get("start").id(), stop = part.get("stop").id();
  if (!start)
    return start.error();
  if (!stop)
    return stop.error();
  return std::shared_ptr<const TokenDecoder>(
      std::make_shared<StripDecoder>(StripOptions{*content, static_cast<size_t>(*start), static_cast<size_t>(*stop)}));
}

} // namespace attn::text
