//===- WordPiece.cpp - Longest match first, and whole words ------------------------------------------------===//
//
// WordPiece (Schuster and Nakajima 2012; BERT's tokenization.py): the longest token at the start of a word, then
// the longest at what follows, written with a prefix ("##"). A word with a part that is no token is unknown.
// WordLevel: words are tokens.
//
//===--------------------------------------------------------------------------------------------------===//

#include "TokenizerParts.h"
#include "Utf8.h"

#include <algorithm>

namespace attn::text {

namespace {

class WordPiece : public TokenModel {
public:
  Status tokenize(std::string_view word, std::vector<TokenId> &ids) const override {
    // Continuation bytes aside, the bytes of valid UTF-8 are its characters.
    auto isStart = [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; };
    if (word.size() > maxCharacters && std::count_if(word.begin(), word.end(), isStart) > int64_t(maxCharacters)) {
      ids.push_back(unknown);
      return {};
    }
    size_t known = ids.size();
    std::string continuation; // prefix and the rest of the word
    for (size_t start = 0; start < word.size();) {
      std::string_view rest = word;
      if (start > 0) {
        continuation.assign(prefix).append(word.substr(start));
        rest = continuation;
      }
      size_t skipped = start > 0 ? prefix.size() : 0; // bytes of `rest` that are not in the word
      size_t end = std::min(rest.size(), longestToken);
      std::optional<TokenId> id;
      for (; end > skipped; --end)
        if ((end == rest.size() || isStart(rest[end])) && (id = tokens.idOf(rest.substr(0, end))))
          break;
      if (!id) {
        ids.resize(known);
        ids.push_back(unknown);
        return {};
      }
      ids.push_back(*id);
      start += end - skipped;
    }
    return {};
  }

  Status read(const JsonRef &part) {
    if (Status status = tokens.read(part.get("vocab")); !status)
      return status;
    for (const auto &[token, unused] : part.get("vocab")->items())
      longestToken = std::max(longestToken, token.size());
    Expected<TokenId> unk = tokens.idNamedBy(part.get("unk_token"));
    if (!unk)
      return unk.error();
    unknown = *unk;
    if (JsonRef member = part.get("continuing_subword_prefix"); !member.isNull()) {
      Expected<std::string> text = member.string();
      if (!text)
        return text.error();
      prefix = *text;
    }
    if (JsonRef member = part.get("max_input_chars_per_word"); !member.isNull()) {
      Expected<int64_t> limit = member.id();
      if (!limit)
        return limit.error();
      maxCharacters = static_cast<size_t>(*limit);
    }
    return {};
  }

private:
  std::string prefix = "##";
  size_t maxCharacters = 100, longestToken = 0;
  TokenId unknown = 0;
};

class WordLevel : public TokenModel {
public:
  Status tokenize(std::string_view word, std::vector<TokenId> &ids) const override {
    ids.push_back(tokens.idOf(word).value_or(unknown));
    return {};
  }
  Status read(const JsonRef &part) {
    if (Status status = tokens.read(part.get("vocab")); !status)
      return status;
    Expected<TokenId> unk = tokens.idNamedBy(part.get("unk_token"));
    if (!unk)
      return unk.error();
    unknown = *unk;
    return {};
  }

private:
  TokenId unknown = 0;
};

} // namespace

template <typename Model> static CreatedModel createWordModel(const JsonRef &part) {
  auto model = std::make_shared<Model>();
  if (Status status = model->read(part); !status)
    return status.error();
  return std::shared_ptr<const TokenModel>(std::move(model));
}
CreatedModel createWordPiece(const JsonRef &part) { return createWordModel<WordPiece>(part); }
CreatedModel createWordLevel(const JsonRef &part) { return createWordModel<WordLevel>(part); }

} // namespace attn::text
