//===- TemplateProcessing.cpp - Special tokens around a text -------------------------------------------===//

#include "TokenizerParts.h"

namespace attn::text {

namespace {

/// The template for a single text: the text's ids go where `Sequence` "A" stands.
class TemplateProcessor : public PostProcessor {
public:
  struct Piece {
    bool isText;
    std::vector<TokenId> ids; ///< of a special token
  };
  explicit TemplateProcessor(std::vector<Piece> pieces) : pieces(std::move(pieces)) {}

  std::vector<TokenId> process(std::vector<TokenId> ids) const override {
    std::vector<TokenId> result;
    for (const Piece &piece : pieces) {
      const std::vector<TokenId> &source = piece.isText ? ids : piece.ids;
      result.insert(result.end(), source.begin(), source.end());
    }
    return result;
  }

private:
  std::vector<Piece> pieces;
};

} // namespace

/// BertProcessing and RobertaProcessing: "cls" before the text and "sep" after it, each a list of token and id.
CreatedPostProcessor createClsSepProcessor(const JsonRef &part) {
  std::vector<TokenId> ids;
  for (const char *name : {"cls", "sep"}) {
    JsonRef member = part.get(name);
    if (Status status = member.expectArray(); !status)
      return status.error();
    if (member->size() != 2)
      return member.fail("expected a token and its id");
    Expected<int64_t> id = member.at(1).id();
    if (!id)
      return id.error();
    ids.push_back(*id);
  }
  return std::shared_ptr<const PostProcessor>(std::make_shared<TemplateProcessor>(
      std::vector<TemplateProcessor::Piece>{{false, {ids[0]}}, {true, {}}, {false, {ids[1]}}}));
}

static Expected<TemplateProcessor::Piece> readPiece(const JsonRef &part, const JsonRef &piece) {
  if (JsonRef sequence = piece.get("Sequence"); !sequence.isNull()) {
    Expected<std::string> id = sequence.get("id").string();
    if (!id)
      return id.error();
    if (*id != "A")
      return sequence.get("id").fail("expected 'A' in the template of a single text, got " + inQuotes(*id));
    return TemplateProcessor::Piece{true, {}};
  }
  JsonRef special = piece.get("SpecialToken");
  if (special.isNull())
    return piece.fail("expected an object with 'Sequence' or 'SpecialToken'");
  Expected<std::string> name = special.get("id").string();
  if (!name)
    return name.error();
  JsonRef token = part.get("special_tokens").get(name->c_str());
  if (token.isNull())
    return special.fail(inQuotes(*name) + " is not in special_tokens");
  JsonRef list = token.get("ids");
  if (Status status = list.expectArray(); !status)
    return status.error();
  TemplateProcessor::Piece result{false, {}};
  for (size_t i = 0; i < list->size(); ++i) {
    Expected<int64_t> id = list.at(i).id();
    if (!id)
      return id.error();
    result.ids.push_back(*id);
  }
  return result;
}

Expected<std::shared_ptr<const PostProcessor>> createTemplateProcessor(const JsonRef &part) {
  JsonRef single = part.get("single");
  if (Status status = single.expectArray(); !status)
    return status.error();
  std::vector<TemplateProcessor::Piece> pieces;
  for (size_t i = 0; i < single->size(); ++i) {
    Expected<TemplateProcessor::Piece> piece = readPiece(part, single.at(i));
    if (!piece)
      return piece.error();
    pieces.push_back(std::move(*piece));
  }
  return std::shared_ptr<const PostProcessor>(std::make_shared<TemplateProcessor>(std::move(pieces)));
}

} // namespace attn::text
