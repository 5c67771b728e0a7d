//===- AddedTokens.cpp - Tokens found in the text before anything else ---------------------------------===//

#include "AddedTokens.h"

#include "Utf8.h"

namespace attn::text {

void AddedTokenSet::add(std::string_view text, const AddedToken &token) {
  uint32_t node = 0;
  for (char c : text) {
    auto [child, isNew] = nodes[node].children.try_emplace(static_cast<uint8_t>(c), nodes.size());
    node = child->second;
    if (isNew)
      nodes.emplace_back();
  }
  nodes[node].token = &token;
  starts[static_cast<uint8_t>(text.front())] = true;
}

std::pair<const AddedToken *, size_t> AddedTokenSet::longestAt(std::string_view text, size_t position) const {
  std::pair<const AddedToken *, size_t> longest{nullptr, 0};
  uint32_t node = 0;
  for (size_t i = position; i < text.size(); ++i) {
    auto child = nodes[node].children.find(static_cast<uint8_t>(text[i]));
    if (child == nodes[node].children.end())
      break;
    node = child->second;
    if (nodes[node].token)
      longest = {nodes[node].token, i + 1 - position};
  }
  return longest;
}

namespace {
/// The two classes that stripping and single words need, as `tokenizers` understands them.
struct TokenEdges {
  Regex space, word;

  Expected<bool> isWordAt(std::string_view text, size_t position) const { return matches(word, text, position); }
  Expected<bool> isSpaceAt(std::string_view text, size_t position) const { return matches(space, text, position); }

private:
  static Expected<bool> matches(const Regex &regex, std::string_view text, size_t position) {
    Expected<std::optional<size_t>> match = regex.matchAt(text, position);
    if (!match)
      return match.error();
    return match->has_value();
  }
};
} // namespace

static const Expected<TokenEdges> &tokenEdges() {
  static const Expected<TokenEdges> instance = []() -> Expected<TokenEdges> {
    Expected<Regex> space = Regex::compile("[" ATTN_SPACES "]"), word = Regex::compile("[" ATTN_WORD_CHARACTERS "]");
    if (!space)
      return space.error();
    if (!word)
      return word.error();
    return TokenEdges{*space, *word};
  }();
  return instance;
}

/// Whether a token at [begin, end) touches no word character on either side.
static Expected<bool> standsAlone(const TokenEdges &edges, std::string_view text, size_t begin, size_t end) {
  if (begin > 0) {
    Expected<bool> before = edges.isWordAt(text, characterBefore(text, begin));
    if (!before || *before)
      return before ? Expected<bool>(false) : before;
  }
  if (end < text.size()) {
    Expected<bool> after = edges.isWordAt(text, end);
    if (!after || *after)
      return after ? Expected<bool>(false) : after;
  }
  return true;
}

Status AddedTokenSet::split(std::string_view text, std::vector<TextPiece> &pieces) const {
  const Expected<TokenEdges> &edges = tokenEdges();
  if (!edges)
    return edges.error();
  size_t done = 0; // everything before it is in `pieces`
  for (size_t i = 0; i < text.size();) {
    if (!starts[static_cast<uint8_t>(text[i])]) {
      ++i;
      continue;
    }
    auto [token, bytes] = longestAt(text, i);
    if (!token) {
      ++i;
      continue;
    }
    size_t begin = i, end = i + bytes;
    i = end; // the search goes on here, even if the token is refused or takes spaces after it
    if (token->singleWord) {
      Expected<bool> alone = standsAlone(*edges, text, begin, end);
      if (!alone)
        return alone.error();
      if (!*alone)
        continue;
    }
    if (token->leftStrip) {
      while (begin > done) {
        size_t previous = characterBefore(text, begin);
        Expected<bool> space = edges->isSpaceAt(text, previous);
        if (!space)
          return space.error();
        if (!*space)
          break;
        begin = previous;
      }
    }
    if (token->rightStrip) {
      while (end < text.size()) {
        Expected<bool> space = edges->isSpaceAt(text, end);
        if (!space)
          return space.error();
        if (!*space)
          break;
        end += readUtf8(text, end).bytes;
      }
    }
    if (done < begin)
      pieces.push_back({text.substr(done, begin - done), -1});
    pieces.push_back({text.substr(begin, end - begin), token->id});
    done = end;
  }
  if (done < text.size())
    pieces.push_back({text.substr(done), -1});
  return {};
}

std::optional<TokenId> AddedTokens::idOf(std::string_view content) const {
  auto found = ids.find(content);
  return found == ids.end() ? std::nullopt : std::optional<TokenId>(found->second);
}

const AddedToken *AddedTokens::tokenOf(TokenId id) const {
  auto found = tokens.find(id);
  return found == tokens.end() ? nullptr : &found->second;
}

Status AddedTokens::read(const JsonRef &entry, const TokenModel &model, const Normalizer *normalizer) {
  if (Status status = entry.expectObject(); !status)
    return status;
  Expected<int64_t> id = entry.get("id").id();
  if (!id)
    return id.error();
  Expected<std::string> content = entry.get("content").string();
  if (!content)
    return content.error();
  if (content->empty())
    return {}; // as `tokenizers` does
  if (content->size() > AddedTokenSet::maxContentBytes)
    return entry.get("content").fail("has " + std::to_string(content->size()) + " bytes, at most " +
                                     std::to_string(AddedTokenSet::maxContentBytes) + " are supported");

  AddedToken token{*id, *content, false, false, false, false, false, *content};
  const struct {
    const char *key;
    bool *flag;
    bool missing;
  } flags[] = {{"special", &token.special, false},
               {"single_word", &token.singleWord, false},
               {"lstrip", &token.leftStrip, false},
               {"rstrip", &token.rightStrip, false},
               {"normalized", &token.normalized, true}};
  for (const auto &row : flags) {
    Expected<bool> value = entry.getBool(row.key, row.missing);
    if (!value)
      return value.error();
    *row.flag = *value;
  }

  if (std::optional<TokenId> known = model.vocabulary().idOf(token.content); known && *known != token.id)
    return entry.fail(inQuotes(token.content) + " has id " + std::to_string(token.id) + ", but " +
                      std::to_string(*known) + " in the vocabulary");
  if (const std::string *other = model.vocabulary().tokenOf(token.id); other && *other != token.content)
    return entry.fail(inQuotes(token.content) + " has id " + std::to_string(token.id) + ", which is " +
                      inQuotes(*other) + " in the vocabulary");
  if (idOf(token.content))
    return entry.fail(inQuotes(token.content) + " is listed twice");
  if (token.normalized && normalizer) {
    bool atStart = true;
    Expected<std::string> text = normalizer->normalize(token.content, atStart);
    if (!text)
      return text.error();
    token.decoded = *text;
    if (token.decoded.size() > AddedTokenSet::maxContentBytes)
      return entry.get("content").fail("normalised, has " + std::to_string(token.decoded.size()) + " bytes, at most " +
                                       std::to_string(AddedTokenSet::maxContentBytes) + " are supported");
  }
  auto [place, isNew] = tokens.try_emplace(token.id, token);
  if (!isNew)
    return entry.fail(inQuotes(place->second.content) + " and " + inQuotes(token.content) + " both have id " +
                      std::to_string(token.id));
  ids.emplace(place->second.content, token.id);
  if (!token.decoded.empty())
    (token.normalized ? normalized : raw).add(token.decoded, place->second);
  largest = std::max(largest, token.id);
  return {};
}

Expected<std::shared_ptr<const AddedTokens>> AddedTokens::create(const JsonRef &root, const TokenModel &model,
                                                                 const Normalizer *normalizer) {
  auto result = std::make_shared<AddedTokens>();
  JsonRef list = root.get("added_tokens");
  if (list.isNull())
    return std::shared_ptr<const AddedTokens>(std::move(result));
  if (Status status = list.expectArray(); !status)
    return status.error();
  for (size_t i = 0; i < list->size(); ++i)
    if (Status status = result->read(list.at(i), model, normalizer); !status)
      return status.error();
  return std::shared_ptr<const AddedTokens>(std::move(result));
}

} // namespace attn::text
