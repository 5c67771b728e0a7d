//===- Bpe.cpp - Byte pair encoding --------------------------------------------------------------------===//
//
// Sennrich et al. 2016: a word starts as its characters; the neighbours whose merge has the lowest rank are
// joined until no merge applies. Ids are those of the `tokenizers` package: ties go to the leftmost pair.
//
//===--------------------------------------------------------------------------------------------------===//

#include "TokenizerParts.h"
#include "Utf8.h"

#include <queue>
#include <unordered_map>

namespace attn::text {

namespace {

class Bpe : public TokenModel {
public:
  Status tokenize(std::string_view word, std::vector<TokenId> &ids) const override;

  std::optional<TokenId> idOf(std::string_view token) const override {
    auto found = ids.find(token);
    return found == ids.end() ? std::nullopt : std::optional<TokenId>(found->second);
  }
  const std::string *tokenOf(TokenId id) const override {
    auto found = tokens.find(id);
    return found == tokens.end() ? nullptr : &found->second;
  }
  size_t vocabularySize() const override { return tokens.size(); }
  TokenId largestId() const override { return largest; }

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

  std::unordered_map<TokenId, std::string> tokens;
  std::unordered_map<std::string_view, TokenId> ids; ///< views into `tokens`, whose nodes do not move
  std::unordered_map<uint64_t, Merge> merges;        ///< by pairKey
  std::optional<TokenId> unknown;
  TokenId largest = -1;
  bool fuseUnknown = false, ignoreMerges = false;
};

} // namespace

/// One symbol per character. A character outside the vocabulary becomes the unknown token, or nothing when the
/// file has none, as in the `tokenizers` package (a byte-level vocabulary normally holds every byte).
std::vector<Bpe::Symbol> Bpe::splitCharacters(std::string_view word) const {
  std::vector<Symbol> symbols;
  bool lastUnknown = false;
  for (size_t i = 0; i < word.size();) {
    size_t length = readUtf8(word, i).bytes;
    std::optional<TokenId> id = idOf(word.substr(i, length));
    i += length;
    bool isUnknown = !id;
    if (isUnknown)
      id = unknown;
    if (id && !(isUnknown && lastUnknown && fuseUnknown))
      symbols.push_back({*id, none, none, false});
    lastUnknown = isUnknown;
  }
  for (uint32_t i = 0; i < symbols.size(); ++i) {
    symbols[i].previous = i == 0 ? none : i - 1;
    symbols[i].next = i + 1 == symbols.size() ? none : i + 1;
  }
  return symbols;
}

/// O(n log n) in the characters of the word: every merge removes a symbol and queues at most two candidates.
Status Bpe::tokenize(std::string_view word, std::vector<TokenId> &result) const {
  if (word.size() >= none)
    return Error{"a word has " + std::to_string(word.size()) + " bytes, at most " + std::to_string(none - 1) +
                 " are supported"};
  if (ignoreMerges) {
    if (std::optional<TokenId> id = idOf(word)) {
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
  for (const char *name : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (JsonRef affix = part.get(name); !affix.isNull() && *affix != "")
      return affix.fail(std::string(name) + " is not supported; expected null");
  Expected<bool> byteFallback = part.getBool("byte_fallback", false);
  if (!byteFallback)
    return byteFallback.error();
  if (*byteFallback)
    return part.get("byte_fallback").fail("byte_fallback is not supported; expected false");
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
  JsonRef vocab = part.get("vocab");
  if (Status status = vocab.expectObject(); !status)
    return status;
  tokens.reserve(vocab->size());
  ids.reserve(vocab->size());
  for (const auto &[token, value] : vocab->items()) {
    Expected<int64_t> id = JsonRef(value, "").id();
    if (!id)
      return vocab.fail(inQuotes(token) + id.error().text);
    auto [place, isNew] = tokens.try_emplace(*id, token);
    if (!isNew)
      return vocab.fail("tokens " + inQuotes(place->second) + " and " + inQuotes(token) + " both have id " +
                        std::to_string(*id));
    ids.emplace(place->second, *id);
    largest = std::max(largest, *id);
  }
  JsonRef unk = part.get("unk_token");
  if (unk.isNull())
    return {};
  Expected<std::string> name = unk.string();
  if (!name)
    return name.error();
  unknown = idOf(*name);
  if (!unknown)
    return unk.fail(inQuotes(*name) + " is not in the vocabulary");
  return {};
}

Status Bpe::readMerge(const JsonRef &entry, std::string_view left, std::string_view right, uint32_t rank) {
  std::string joined = std::string(left) + std::string(right);
  TokenId found[3];
  size_t n = 0;
  for (std::string_view token : {left, right, std::string_view(joined)}) {
    std::optional<TokenId> id = idOf(token);
    if (!id)
      return entry.fail("token " + inQuotes(token) + " is not in the vocabulary");
    found[n++] = *id;
  }
  merges[pairKey(found[0], found[1])] = {rank, found[2]}; // the later of two equal pairs counts
  return {};
}

/// Both forms: ["a", "b"], and the older "a b" with an optional "#version" line.
Status Bpe::readMerges(const JsonRef &part) {
  JsonRef list = part.get("merges");
  if (Status status = list.expectArray(); !status)
    return status;
  merges.reserve(list->size());
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
