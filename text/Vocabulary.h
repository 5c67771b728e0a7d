//===- Vocabulary.h - Tokens and their ids --------------------------------------------------------------===//
#ifndef ATTN_TEXT_VOCABULARY_H
#define ATTN_TEXT_VOCABULARY_H

#include "Json.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace attn::text {

/// A token's number; 0 <= id < 2^31 wherever it comes from a file.
using TokenId = int64_t;

/// The tokens of a model.
class Vocabulary {
public:
  /// Reads an object of token → id. Ids need not be dense, but differ.
  Status read(const JsonRef &object);
  /// Adds a token; one text may have several ids, then the last counts. False if the id is taken.
  bool add(std::string token, TokenId id);
  void reserve(size_t n);

  std::optional<TokenId> idOf(std::string_view token) const {
    auto found = ids.find(token);
    return found == ids.end() ? std::nullopt : std::optional<TokenId>(found->second);
  }
  /// The token with this id, or null.
  const std::string *tokenOf(TokenId id) const {
    auto found = tokens.find(id);
    return found == tokens.end() ? nullptr : &found->second;
  }
  size_t size() const { return tokens.size(); }
  TokenId largestId() const { return largest; } ///< -1 when empty

  /// The id of the token that the string `member` names; "'X' is not in the vocabulary" otherwise.
  Expected<TokenId> idNamedBy(const JsonRef &member) const;
  /// Appends the ids of the tokens "<0xE2>" of the bytes of `text`; nothing, and false, if one is missing.
  bool appendByteTokens(std::string_view text, std::vector<TokenId> &out) const;

private:
  std::unordered_map<TokenId, std::string> tokens;
  std::unordered_map<std::string_view, TokenId> ids; ///< views into `tokens`, whose nodes do not move
  TokenId largest = -1;
};

} // namespace attn::text

#endif // ATTN_TEXT_VOCABULARY_H
