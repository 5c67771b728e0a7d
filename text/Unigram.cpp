//===- Unigram.cpp - The most probable segmentation -------------------------------------------------------===//
//
// Kudo 2018: every token has a log probability, and a word becomes the tokens with the largest sum, found from
// left to right (Viterbi). Ties go to the segmentation found first, as in the `tokenizers` package.
//
//===--------------------------------------------------------------------------------------------------===//

#include "TokenizerParts.h"
#include "Utf8.h"

#include <algorithm>
#include <limits>

namespace attn::text {

namespace {

/// All tokens that start at one place of a text. Children of a node lie side by side, ordered by their byte.
class PrefixTree {
public:
  static constexpr uint32_t none = UINT32_MAX;

  /// `sorted`: different tokens, none empty, in order of their bytes; a token's number is its place.
  void build(const std::vector<std::string_view> &sorted) {
    struct Range {
      size_t begin, end; // of the tokens below a node, which have `depth` bytes in common
      size_t depth;
    };
    nodes.assign(1, {});
    std::vector<Range> ranges{{0, sorted.size(), 0}};
    for (size_t node = 0; node < nodes.size(); ++node) {
      auto [begin, end, depth] = ranges[node];
      if (begin < end && sorted[begin].size() == depth)
        nodes[node].token = static_cast<uint32_t>(begin++);
      nodes[node].firstChild = static_cast<uint32_t>(nodes.size());
      while (begin < end) {
        char label = sorted[begin][depth];
        size_t next = begin;
        while (next < end && sorted[next][depth] == label)
          ++next;
        nodes.push_back({0, none, 0, static_cast<uint8_t>(label)});
        ranges.push_back({begin, next, depth + 1});
        ++nodes[node].children;
        begin = next;
      }
    }
  }

  /// Calls `visit(token number, bytes)` for each token at the start of `text`, the shortest first.
  template <typename Visit> void forEachPrefix(std::string_view text, Visit visit) const {
    uint32_t node = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      auto label = static_cast<uint8_t>(text[i]);
      const Node *first = nodes.data() + nodes[node].firstChild, *last = first + nodes[node].children;
      const Node *found =
          std::lower_bound(first, last, label, [](const Node &child, uint8_t value) { return child.label < value; });
      if (found == last || found->label != label)
        return;
      node = static_cast<uint32_t>(found - nodes.data());
      if (found->token != none)
        visit(found->token, i + 1);
    }
  }

private:
  struct Node {
    uint32_t firstChild = 0, token = none;
    uint16_t children = 0;
    uint8_t label = 0;
  };
  std::vector<Node> nodes;
};

class Unigram : public TokenModel {
public:
  Status tokenize(std::string_view word, std::vector<TokenId> &ids) const override;
  Status read(const JsonRef &part);

private:
  static constexpr uint32_t none = UINT32_MAX;
  /// The best way to segment the bytes up to some place.
  struct Best {
    double score = 0;
    uint32_t start = none; ///< of its last token; none: there is no way
    TokenId id = 0;
  };

  void appendUnknown(std::string_view text, std::vector<TokenId> &ids) const;

  PrefixTree tree;
  std::vector<std::pair<TokenId, double>> known; ///< by number in the tree: id, log probability
  double unknownScore = 0;
  std::optional<TokenId> unknown;
  bool byteFallback = false;
};

} // namespace

Status Unigram::tokenize(std::string_view word, std::vector<TokenId> &ids) const {
  if (word.size() >= none)
    return Error{"a word has " + std::to_string(word.size()) + " bytes, at most " + std::to_string(none - 1) +
                 " are supported"};
  std::vector<Best> best(word.size() + 1);
  for (size_t start = 0; start < word.size();) {
    double score = best[start].score;
    size_t character = readUtf8(word, start).bytes;
    bool hasCharacter = false;
    auto offer = [&](size_t bytes, TokenId id, double tokenScore) {
      Best &target = best[start + bytes];
      if (target.start == none || score + tokenScore > target.score)
        target = {score + tokenScore, static_cast<uint32_t>(start), id};
    };
    tree.forEachPrefix(word.substr(start), [&](uint32_t number, size_t bytes) {
      offer(bytes, known[number].first, known[number].second);
      hasCharacter |= bytes == character;
    });
    if (!hasCharacter) {
      if (!unknown)
        return Error{inQuotes(word.substr(start, character)) +
                     " is not in the vocabulary, and the tokenizer has no unknown token"};
      offer(character, *unknown, unknownScore);
    }
    start += character;
  }

  // From the end; neighbouring unknown tokens are one.
  size_t first = ids.size();
  size_t end = word.size(), unknownEnd = 0; // unknownEnd: of unknown tokens not yet written, 0 if there are none
  std::vector<TokenId> run;
  auto writeUnknown = [&](size_t begin) {
    run.clear();
    appendUnknown(word.substr(begin, unknownEnd - begin), run);
    ids.insert(ids.end(), run.rbegin(), run.rend());
    unknownEnd = 0;
  };
  while (end > 0) {
    const Best &last = best[end];
    if (unknown && last.id == *unknown) {
      unknownEnd = std::max(unknownEnd, end);
    } else {
      if (unknownEnd)
        writeUnknown(end);
      ids.push_back(last.id);
    }
    end = last.start;
  }
  if (unknownEnd)
    writeUnknown(0);
  std::reverse(ids.begin() + static_cast<std::ptrdiff_t>(first), ids.end());
  return {};
}

/// The ids of unknown characters: a token after all, the tokens of their bytes, or the unknown token.
void Unigram::appendUnknown(std::string_view text, std::vector<TokenId> &ids) const {
  if (std::optional<TokenId> id = tokens.idOf(text))
    ids.push_back(*id);
  else if (!byteFallback || !tokens.appendByteTokens(text, ids))
    ids.push_back(*unknown);
}

Status Unigram::read(const JsonRef &part) {
  JsonRef vocab = part.get("vocab");
  if (Status status = vocab.expectArray(); !status)
    return status;
  if (vocab->size() >= none)
    return vocab.fail("has " + std::to_string(vocab->size()) + " tokens, at most 4294967294 are supported");
  tokens.reserve(vocab->size());
  double lowest = std::numeric_limits<double>::infinity();
  std::vector<double> scores;
  for (size_t i = 0; i < vocab->size(); ++i) {
    const nlohmann::json &entry = (*vocab)[i];
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number())
      return vocab.at(i).fail("expected a token and its log probability, as [\"a\", -1.5]");
    tokens.add(*entry[0].get_ptr<const std::string *>(), static_cast<TokenId>(i));
    scores.push_back(entry[1].get<double>());
    lowest = std::min(lowest, scores.back());
  }
  unknownScore = lowest - 10; // SentencePiece's kUnkPenalty

  std::vector<std::string_view> sorted;
  for (size_t i = 0; i < scores.size(); ++i) {
    const std::string &token = *tokens.tokenOf(static_cast<TokenId>(i));
    if (!token.empty() && tokens.idOf(token) == static_cast<TokenId>(i)) // of equal tokens the last counts
      sorted.push_back(token);
  }
  std::sort(sorted.begin(), sorted.end());
  tree.build(sorted);
  for (std::string_view token : sorted) {
    TokenId id = *tokens.idOf(token);
    known.push_back({id, scores[static_cast<size_t>(id)]});
  }

  if (JsonRef member = part.get("unk_id"); !member.isNull()) {
    Expected<int64_t> id = member.id();
    if (!id)
      return id.error();
    if (!tokens.tokenOf(*id))
      return member.fail("expected an id below " + std::to_string(tokens.size()) + ", got " + std::to_string(*id));
    unknown = *id;
  }
  Expected<bool> fallback = part.getBool("byte_fallback", false);
  if (!fallback)
    return fallback.error();
  byteFallback = *fallback;
  return {};
}

CreatedModel createUnigram(const JsonRef &part) {
  auto model = std::make_shared<Unigram>();
  if (Status status = model->read(part); !status)
    return status.error();
  return std::shared_ptr<const TokenModel>(std::move(model));
}

} // namespace attn::text
