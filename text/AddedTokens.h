//===- AddedTokens.h - Tokens found in the text before anything else -----------------------------------===//
#ifndef ATTN_TEXT_ADDEDTOKENS_H
#define ATTN_TEXT_ADDEDTOKENS_H

#include "Regex.h"
#include "TokenizerParts.h"

#include <array>
#include <unordered_map>

namespace attn::text {

/// One entry of "added_tokens".
struct AddedToken {
  TokenId id;
  std::string content;
  bool special, singleWord, leftStrip, rightStrip;
  bool normalized;     ///< looked for in the normalised text, after those that are not
  std::string decoded; ///< what decoders see: the content, normalised if `normalized`
};

/// A part of a text: an added token, or text for the model (id is -1).
struct TextPiece {
  std::string_view text;
  TokenId id;
};

/// The added tokens of one kind (normalised or not), found leftmost first, the longest where several start.
class AddedTokenSet {
public:
  /// Contents of at most this many bytes are supported: it bounds the time of a search to text bytes × this.
  static constexpr size_t maxContentBytes = 512;

  /// Adds a token that is found as `text`, of 1 to maxContentBytes bytes; `token` must outlive the set.
  void add(std::string_view text, const AddedToken &token);

  /// Appends the pieces of `text`: none when it is empty, otherwise pieces that are not empty.
  Status split(std::string_view text, std::vector<TextPiece> &pieces) const;

private:
  /// The token at `position`, or null, and its bytes.
  std::pair<const AddedToken *, size_t> longestAt(std::string_view text, size_t position) const;

  struct Node {
    std::unordered_map<uint8_t, uint32_t> children;
    const AddedToken *token = nullptr;
  };
  std::vector<Node> nodes{1}; ///< a trie over bytes; 0 is the root
  std::array<bool, 256> starts{};
};

/// The whole "added_tokens" list.
class AddedTokens {
public:
  /// Reads root.added_tokens. The ids must be those that the `tokenizers` package gives: the model's id for a
  /// content in its vocabulary, otherwise any id that the model does not use.
  /// Tokens that are looked for in normalised text are normalised themselves; `normalizer` may be null.
  static Expected<std::shared_ptr<const AddedTokens>> create(const JsonRef &root, const TokenModel &model,
                                                             const Normalizer *normalizer);

  AddedTokenSet raw, normalized;
  std::optional<TokenId> idOf(std::string_view content) const;
  const AddedToken *tokenOf(TokenId id) const;
  TokenId largestId() const { return largest; }

private:
  Status read(const JsonRef &entry, const TokenModel &model, const Normalizer *normalizer);

  std::unordered_map<TokenId, AddedToken> tokens; // nodes do not move
  std::unordered_map<std::string_view, TokenId> ids;
  TokenId largest = -1;
};

} // namespace attn::text

#endif // ATTN_TEXT_ADDEDTOKENS_H
