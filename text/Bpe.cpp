//===- Bpe.cpp - Byte pair encoding --------------------------------------------------------------------===//
//
// Sennrich et al. 2016: a word starts as its characters; the neighbours whose merge has the lowest rank are
// joined until no merge applies. Ids are those of the `tokenizers` package: ties go to the leftmost pair.
//
//===--------------------------------------------------------------------------------------------------===//

#include "TokenizerParts.h"
#include "Utf8.h"

#include <algorithm>
#include <queue>
#include <unordered_map>

namespace attn::text {

namespace {

class Bpe : public TokenModel {
public:
  Status tokenize(std::string_view word, std::vector<TokenId> &ids) const override;
  size_t independentStart(std::string_view word) const override;

  Status readOptions(const JsonRef &part);
  Status readVocabulary(const JsonRef &part);
  Status readMerges(const JsonRef &part);

private:
  struct Merge {
    uint32_t rank;
    TokenId id; ///< of the two tokens joined
  };
  /// A token of the word being merged, in a doubly linked list over an array.
  struct Symbol {
    TokenId id;
    uint32_t previous, next; ///< `none` at the ends
    bool removed;
  };
  /// A merge that was possible when it was queued: symbols `position` and the one after it.
  struct Candidate {
    uint32_t rank, position;
    TokenId id;
    bool operator>(const Candidate &other) const {
      return rank != other.rank ? rank > other.rank : position > other.position;
    }
  };
  static constexpr uint32_t none = UINT32_MAX;

  Status readMerge(const JsonRef &entry, std::string_view left, std::string_view right, uint32_t rank);
  std::vector<Symbol> splitCharacters(std::string_view word) const;
  const Merge *findMerge(TokenId left, TokenId right) const {
    auto found = merges.find(pairKey(left, right));
    return found == merges.end() ? nullptr : &found->second;
  }
  static uint64_t pairKey(TokenId left, TokenId right) {
    return static_cast<uint64_t>(left) << 32 | static_cast<uint64_t>(right); // ids are below 2^31
  }

  std::unordered_map<uint64_t, Merge> merges; ///< by pairKey
  std::optional<TokenId> unknown;
  std::string prefix; ///< of every character of a word but the first, in the vocabulary
  std::string suffix; ///< of the last character
  bool byteFallback = false, fuseUnknown = false, ignoreMerges = false;
  /// SentencePiece's ▁ comes only at the start of tokens, so no merge joins one with what comes before.
  bool splitsAtSpaces = false;
};

} // namespace

/// One symbol per character. A character outside the vocabulary becomes its bytes where they are tokens
/// ("<0xE2>"), or the unknown token, or nothing when the file has none, as in the `tokenizers` package.
std::vector<Bpe::Symbol> Bpe::splitCharacters(std::string_view word) const {
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  auto add = [&](TokenId id) { symbols.push_back({id, none, none, false}); };
  bool pendingUnknown = false; // an unknown token is written when the next known character comes
  std::string affixed;
  std::vector<TokenId> bytes;
  for (size_t i = 0; i < word.size();) {
    std::string_view character = word.substr(i, readUtf8(word, i).bytes);
    bool isFirst = i == 0, isLast = i + character.size() == word.size();
    i += character.size();
    if ((!isFirst && !prefix.empty()) || (isLast && !suffix.empty())) {
      affixed.assign(isFirst ? "" : prefix).append(character).append(isLast ? suffix : "");
      character = affixed;
    }
    if (std::optional<TokenId> id = tokens.idOf(character)) {
      if (pendingUnknown)
        add(*unknown);
      pendingUnknown = false;
      add(*id);
      continue;
    }
    bytes.clear();
    if (byteFallback && tokens.appendByteTokens(character, bytes)) {
      for (TokenId id : bytes)
        add(id);
      continue;
    }
    if (pendingUnknown && !fuseUnknown)
      add(*unknown);
    pendingUnknown = unknown.has_value();
  }
  if (pendingUnknown)
    add(*unknown);
  for (uint32_t i = 0; i < symbols.size(); ++i) {
    symbols[i].previous = i == 0 ? none : i - 1;
    symbols[i].next = i + 1 == symbols.size() ? none : i + 1;
  }
  return symbols;
}

static constexpr std::string_view spaceMark = "\xE2\x96\x81"; // ▁

/// The first ▁ in `token` that does not continue a run of them from the start, or npos.
static size_t innerSpaceMark(std::string_view token) {
  size_t i = 0;
  while (token.compare(i, spaceMark.size(), spaceMark) == 0)
    i += spaceMark.size();
  return token.find(spaceMark, i);
}

/// SentencePiece's BPE gives a whole text as one word, which is cut here into words as others have them.
size_t Bpe::independentStart(std::string_view word) const {
  return splitsAtSpaces ? std::min(innerSpaceMark(word), word.size()) : word.size();
}

/// O(n log n) in the characters of the word: every merge removes a symbol and queues at most two candidates.
Status Bpe::tokenize(std::string_view word, std::vector<TokenId> &result) const {
  if (word.size() >= none)
    return Error{"a word has " + std::to_string(word.size()) + " bytes, at most " + std::to_string(none - 1) +
                 " are supported"};
  if (ignoreMerges) {
    if (std::optional<TokenId> id = tokens.idOf(word)) {
      result.push_back(*id);
      return {};
    }
  }

  std::vector<Symbol> symbols = splitCharacters(word);
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<Candidate>> queue;
  auto enqueue = [&](uint32_t position) {
    if (position == none || symbols[position].next == none)
      return;
    if (const Merge *merge = findMerge(symbols[position].id, symbols[symbols[position].next].id))
      queue.push({merge->rank, position, merge->id});
  };
  for (uint32_t i = 0; i < symbols.size(); ++i)
    enqueue(i);

  while (!queue.empty()) {
    Candidate top = queue.top();
    queue.pop();
    Symbol &left = symbols[top.position];
    if (left.removed || left.next == none)
      continue;
    // Either symbol may have been merged since. The test is on the id of the result, not on the rank: so does
    // `tokenizers`, and it matters where two merges give the same token.
    Symbol &right = symbols[left.next];
    const Merge *merge = findMerge(left.id, right.id);
    if (!merge || merge->id != top.id)
      continue;
    left.id = top.id;
    left.next = right.next;
    right.removed = true;
    if (left.next != none)
      symbols[left.next].previous = top.position;
    enqueue(left.previous);
    enqueue(top.position);
  }

  for (const Symbol &symbol : symbols)
    if (!symbol.removed)
      result.push_back(symbol.id);
  return {};
}

Status Bpe::readOptions(const JsonRef &part) {
  if (JsonRef dropout = part.get("dropout"); !dropout.isNull() && !(dropout->is_number() && *dropout == 0))
    return dropout.fail("dropout is not supported; expected null");
  const std::pair<const char *, std::string *> affixes[] = {{"continuing_subword_prefix", &prefix},
                                                            {"end_of_word_suffix", &suffix}};
  for (auto [name, affix] : affixes) {
    JsonRef member = part.get(name);
    if (member.isNull())
      continue;
    Expected<std::string> text = member.string();
    if (!text)
      return text.error();
    *affix = *text;
  }
  Expected<bool> fallback = part.getBool("byte_fallback", false);
  if (!fallback)
    return fallback.error();
  byteFallback = *fallback;
  Expected<bool> fuse = part.getBool("fuse_unk", false), ignore = part.getBool("ignore_merges", false);
  if (!fuse)
    return fuse.error();
  if (!ignore)
    return ignore.error();
  fuseUnknown = *fuse;
  ignoreMerges = *ignore;
  return {};
}

Status Bpe::readVocabulary(const JsonRef &part) {
  if (Status status = tokens.read(part.get("vocab")); !status)
    return status;
  JsonRef unk = part.get("unk_token");
  if (unk.isNull())
    return {};
  Expected<TokenId> id = tokens.idNamedBy(unk);
  if (!id)
    return id.error();
  unknown = *id;
  return {};
}

Status Bpe::readMerge(const JsonRef &entry, std::string_view left, std::string_view right, uint32_t rank) {
  if (right.size() < prefix.size())
    return entry.fail("token " + inQuotes(right) + " is shorter than continuing_subword_prefix");
  std::string joined = std::string(left) + std::string(right.substr(prefix.size()));
  TokenId found[3];
  size_t n = 0;
  for (std::string_view token : {left, right, std::string_view(joined)}) {
    std::optional<TokenId> id = tokens.idOf(token);
    if (!id)
      return entry.fail("token " + inQuotes(token) + " is not in the vocabulary");
    found[n++] = *id;
  }
  merges[pairKey(found[0], found[1])] = {rank, found[2]}; // the later of two equal pairs counts
  splitsAtSpaces = splitsAtSpaces && innerSpaceMark(joined) == std::string::npos;
  return {};
}

/// Both forms: ["a", "b"], and the older "a b" with an optional "#version" line.
Status Bpe::readMerges(const JsonRef &part) {
  JsonRef list = part.get("merges");
  if (Status status = list.expectArray(); !status)
    return status;
  merges.reserve(list->size());
  splitsAtSpaces = tokens.idOf(spaceMark) && prefix.empty() && suffix.empty() && !ignoreMerges;
  uint32_t rank = 0;
  for (size_t i = 0; i < list->size(); ++i) {
    const nlohmann::json &merge = (*list)[i];
    Status status;
    if (const auto *line = merge.get_ptr<const std::string *>()) {
      if (line->rfind("#version", 0) == 0)
        continue;
      size_t space = line->find(' ');
      if (space == std::string::npos || line->find(' ', space + 1) != std::string::npos)
        return list.at(i).fail("expected two tokens with one space between them, got " + inQuotes(*line));
      std::string_view view = *line;
      status = readMerge(list.at(i), view.substr(0, space), view.substr(space + 1), rank);
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      status = readMerge(list.at(i), *merge[0].get_ptr<const std::string *>(), *merge[1].get_ptr<const std::string *>(),
                         rank);
    } else {
      return list.at(i).expected("two tokens, as 'a b' or [\"a\", \"b\"]");
    }
    if (!status)
      return status;
    ++rank;
  }
  return {};
}

Expected<std::shared_ptr<const TokenModel>> createBpe(const JsonRef &part) {
  auto bpe = std::make_shared<Bpe>();
  if (Status status = bpe->readOptions(part); !status)
    return status.error();
  if (Status status = bpe->readVocabulary(part); !status)
    return status.error();
  if (Status status = bpe->readMerges(part); !status)
    return status.error();
  return std::shared_ptr<const TokenModel>(std::move(bpe));
}

} // namespace attn::text
