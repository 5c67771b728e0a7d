//===- Tokenizer.cpp - Text to token ids and back ------------------------------------------------------===//

#include "Tokenizer.h"

#include "AddedTokens.h"
#include "Files.h"
#include "Json.h"
#include "SentencePiece.h"
#include "Utf8.h"
#include "WordCache.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace attn::text {

static constexpr const char *fileNames[] = {"tokenizer.json", "spiece.model", "tokenizer.model"};

bool Tokenizer::isIn(const Files &files) {
  return std::any_of(std::begin(fileNames), std::end(fileNames), [&](const char *name) { return files.has(name); });
}

Expected<Tokenizer> Tokenizer::load(const Files &files, bool lowercase) {
  auto found = std::find_if(std::begin(fileNames), std::end(fileNames), [&](const char *name) { return files.has(name); });
  return loadFile(files, found == std::end(fileNames) ? fileNames[0] : *found, lowercase);
}

Expected<Tokenizer> Tokenizer::load(const std::string &path) {
  if (!isDirectory(path) && (endsWith(path, ".json") || endsWith(path, ".model"))) {
    size_t name = path.rfind('/') + 1; // 0 without a slash
    return loadFile(Files(path.substr(0, name)), path.substr(name));
  }
  Expected<Files> files = Files::open(path);
  if (!files)
    return files.error();
  return load(*files);
}

Expected<Tokenizer> Tokenizer::loadFile(const Files &files, const std::string &name, bool lowercase) {
  std::string path = files.pathOf(name);
  Expected<std::optional<std::string>> content = files.read(name);
  if (!content)
    return content.error();
  if (!*content)
    return Error{"cannot open '" + path + "': " + std::strerror(ENOENT)};
  if (!endsWith(name, ".model"))
    return parse(**content, path, lowercase);
  Expected<SentencePieceParts> parts = createSentencePiece(**content, files, name);
  if (!parts)
    return parts.error();
  Tokenizer result;
  result.caches = std::make_shared<WordCaches>();
  result.added = std::make_shared<AddedTokens>();
  if (lowercase)
    result.normalizer = lowercaseFirst(nullptr);
  result.model = parts->model;
  result.postProcessor = parts->postProcessor;
  result.decoder = parts->decoder;
  return result;
}

Expected<Tokenizer> Tokenizer::parse(std::string_view json, const std::string &name, bool lowercase) {
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
  auto normalizer = createNormalizer(root);
  if (!normalizer)
    return normalizer.error();
  if (lowercase)
    *normalizer = lowercaseFirst(*normalizer);
  auto added = AddedTokens::create(root, **model, normalizer->get());
  if (!added)
    return added.error();
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
  result.caches = std::make_shared<WordCaches>();
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
  std::unique_ptr<WordCache> cache = caches->take();
  for (const TextPiece &piece : pieces) {
    if (piece.id >= 0) {
      ids.push_back(piece.id);
      continue;
    }
    if (Status status = encodePiece(piece.text, piece.text.data() == bytes.data(), *cache, ids); !status)
      return status.error();
  }
  caches->giveBack(std::move(cache));
  bool process = options.addSpecialTokens && postProcessor;
  if (options.maxTokens < INT64_MAX) {
    int64_t room = options.maxTokens - static_cast<int64_t>(process ? postProcessor->process({}).size() : 0);
    if (room < 1)
      return Error{std::to_string(options.maxTokens) + " tokens leave no room for the text"};
    ids.resize(std::min(ids.size(), static_cast<size_t>(room)));
  }
  if (process)
    ids = postProcessor->process(std::move(ids));
  return ids;
}

/// A part of the text without the added tokens that are looked for in the raw text.
Status Tokenizer::encodePiece(std::string_view text, bool atStart, WordCache &cache, std::vector<TokenId> &ids) const {
  std::string normalizedText;
  if (normalizer) {
    Expected<std::string> result = normalizer->normalize(text, atStart);
    if (!result)
      return result.error();
    normalizedText = std::move(*result);
    text = normalizedText;
  }
  std::vector<TextPiece> pieces;
  if (Status status = added->normalized.split(text, pieces); !status)
    return status;
  Words words;
  for (const TextPiece &piece : pieces) {
    if (piece.id >= 0) {
      ids.push_back(piece.id);
      continue;
    }
    if (!preTokenizer) {
      if (Status status = cache.tokenize(*model, piece.text, ids); !status)
        return status;
      continue;
    }
    words.clear();
    if (Status status = preTokenizer->split(piece.text, atStart && piece.text.data() == text.data(), words); !status)
      return status;
    for (size_t i = 0; i < words.size(); ++i)
      if (Status status = cache.tokenize(*model, words[i], ids); !status)
        return status;
  }
  return {};
}

Expected<const std::string *> Tokenizer::tokenToDecode(TokenId id, bool skipSpecial) const {
  const AddedToken *token = added->tokenOf(id);
  if (token)
    return token->special && skipSpecial ? nullptr : &token->decoded;
  const std::string *text = model->vocabulary().tokenOf(id);
  if (!text)
    return Error{"token id " + std::to_string(id) + " is not in the vocabulary"};
  return skipSpecial && model->isControl(id) ? nullptr : text;
}

Expected<std::string> Tokenizer::decode(const std::vector<TokenId> &ids, bool skipSpecial) const {
  std::string bytes;
  auto append = [&](std::string_view text) {
    bytes.append(text);
    return Status();
  };
  std::unique_ptr<TokenDecoder> decoding = decoder->clone();
  for (TokenId id : ids) {
    Expected<const std::string *> token = tokenToDecode(id, skipSpecial);
    if (!token)
      return token.error();
    if (*token)
      if (Status status = decoding->push(**token, append); !status)
        return status.error();
  }
  if (Status status = decoding->finish(append); !status)
    return status.error();
  return repairUtf8(bytes);
}

std::optional<TokenId> Tokenizer::idOf(std::string_view token) const {
  if (std::optional<TokenId> id = added->idOf(token))
    return id;
  return model->vocabulary().idOf(token);
}

bool Tokenizer::isSpecial(TokenId id) const {
  const AddedToken *token = added->tokenOf(id);
  return token ? token->special : model->isControl(id);
}

TokenId Tokenizer::idLimit() const { return std::max(added->largestId(), model->vocabulary().largestId()) + 1; }

Status Tokenizer::checkVocabulary(int64_t vocabularySize) const {
  if (idLimit() <= vocabularySize)
    return {};
  return Error{"the tokenizer has ids up to " + std::to_string(idLimit() - 1) + ", the model's vocabulary " +
               std::to_string(vocabularySize) + " tokens: expected the model's own tokenizer"};
}

StreamDecoder::StreamDecoder(Tokenizer tokenizer, bool skipSpecial)
    : tokenizer(std::move(tokenizer)), skipSpecial(skipSpecial), decoder(this->tokenizer.decoder->clone()) {}

Expected<std::string> StreamDecoder::push(TokenId id) {
  Expected<const std::string *> token = tokenizer.tokenToDecode(id, skipSpecial);
  if (!token)
    return token.error();
  auto append = [&](std::string_view text) {
    pending.append(text);
    return Status();
  };
  if (*token)
    if (Status status = decoder->push(**token, append); !status)
      return status.error();

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

Expected<std::string> StreamDecoder::finish() {
  std::string rest;
  std::swap(rest, pending);
  Status status = decoder->finish([&](std::string_view text) {
    rest.append(text);
    return Status();
  });
  decoder = tokenizer.decoder->clone();
  if (!status)
    return status.error();
  return repairUtf8(rest);
}

} // namespace attn::text
