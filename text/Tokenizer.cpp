//===- Tokenizer.cpp - Text to token ids and back ------------------------------------------------------===//

#include "Tokenizer.h"

#include "AddedTokens.h"
#include "Json.h"
#include "Utf8.h"

#include <algorithm>

namespace attn::text {

Expected<Tokenizer> Tokenizer::load(const std::string &path) {
  Expected<std::string> content = readFile(path, maxJsonBytes);
  if (!content)
    return content.error();
  return parse(*content, path);
}

Expected<Tokenizer> Tokenizer::parse(std::string_view json, const std::string &name) {
  Expected<nlohmann::json> parsed = parseJson(json, name);
  if (!parsed)
    return parsed.error();
  JsonRef root(*parsed, name);
  if (Status status = root.expectObject(); !status)
    return status.error();
  if (JsonRef version = root.get("version"); !version.isNull() && *version != "1.0")
    return version.fail("expected '1.0'");

  auto model = createTokenModel(root);
  if (!model)
    return model.error();
  auto added = AddedTokens::create(root, **model);
  if (!added)
    return added.error();
  auto normalizer = createNormalizer(root);
  if (!normalizer)
    return normalizer.error();
  auto preTokenizer = createPreTokenizer(root);
  if (!preTokenizer)
    return preTokenizer.error();
  auto postProcessor = createPostProcessor(root);
  if (!postProcessor)
    return postProcessor.error();
  auto decoder = createDecoder(root);
  if (!decoder)
    return decoder.error();

  Tokenizer result;
  result.added = *added;
  result.normalizer = *normalizer;
  result.preTokenizer = *preTokenizer;
  result.model = *model;
  result.postProcessor = *postProcessor;
  result.decoder = *decoder;
  return result;
}

Expected<std::vector<TokenId>> Tokenizer::encode(std::string_view bytes, const EncodeOptions &options) const {
  std::string repaired;
  if (size_t invalid = findInvalidUtf8(bytes); invalid != std::string_view::npos) {
    if (options.strict)
      return Error{"invalid UTF-8 at byte " + std::to_string(invalid)};
    repaired = repairUtf8(bytes);
    bytes = repaired;
  }

  std::vector<TextPiece> pieces;
  if (Status status = added->raw.split(bytes, pieces); !status)
    return status.error();
  std::vector<TokenId> ids;
  for (const TextPiece &piece : pieces) {
    if (piece.id >= 0) {
      ids.push_back(piece.id);
      continue;
    }
    if (Status status = encodePiece(piece.text, ids); !status)
      return status.error();
  }
  if (options.addSpecialTokens && postProcessor)
    ids = postProcessor->process(std::move(ids));
  return ids;
}

/// A part of the text without the added tokens that are looked for in the raw text.
Status Tokenizer::encodePiece(std::string_view text, std::vector<TokenId> &ids) const {
  std::string normalizedText;
  if (normalizer) {
    Expected<std::string> result = normalizer->normalize(text);
    if (!result)
      return result.error();
    normalizedText = std::move(*result);
    text = normalizedText;
  }
  std::vector<TextPiece> pieces;
  if (Status status = added->normalized.split(text, pieces); !status)
    return status;
  std::vector<std::string> words;
  for (const TextPiece &piece : pieces) {
    if (piece.id >= 0) {
      ids.push_back(piece.id);
      continue;
    }
    words.clear();
    if (Status status = preTokenizer->split(piece.text, words); !status)
      return status;
    for (const std::string &word : words)
      if (Status status = model->tokenize(word, ids); !status)
        return status;
  }
  return {};
}

Status Tokenizer::appendBytes(TokenId id, bool first, bool skipSpecial, std::string &bytes) const {
  const AddedToken *token = added->tokenOf(id);
  if (token && token->special && skipSpecial)
    return {};
  const std::string *text = token ? &token->content : model->tokenOf(id);
  if (!text)
    return Error{"token id " + std::to_string(id) + " is not in the vocabulary"};
  decoder->append(*text, first, bytes);
  return {};
}

Expected<std::string> Tokenizer::decode(const std::vector<TokenId> &ids, bool skipSpecial) const {
  std::string bytes;
  for (TokenId id : ids)
    if (Status status = appendBytes(id, bytes.empty(), skipSpecial, bytes); !status)
      return status.error();
  return repairUtf8(bytes);
}

std::optional<TokenId> Tokenizer::idOf(std::string_view token) const {
  if (std::optional<TokenId> id = added->idOf(token))
    return id;
  return model->idOf(token);
}

bool Tokenizer::isSpecial(TokenId id) const {
  const AddedToken *token = added->tokenOf(id);
  return token && token->special;
}

TokenId Tokenizer::idLimit() const { return std::max(added->largestId(), model->largestId()) + 1; }

Expected<std::string> StreamDecoder::push(TokenId id) {
  std::string bytes;
  if (Status status = tokenizer.appendBytes(id, first, skipSpecial, bytes); !status)
    return status.error();
  first = first && bytes.empty();
  pending += bytes;

  // Everything up to a character that is cut off at the end; a cut-off sequence cannot be followed by another.
  size_t whole = 0;
  while (whole < pending.size()) {
    Utf8Step step = readUtf8(pending, whole);
    if (step.kind == Utf8Step::Truncated)
      break;
    whole += step.bytes;
  }
  std::string result = repairUtf8(std::string_view(pending).substr(0, whole));
  pending.erase(0, whole);
  return result;
}

std::string StreamDecoder::finish() {
  std::string result = repairUtf8(pending);
  pending.clear();
  first = true;
  return result;
}

} // namespace attn::text
