//===- ModelDirectory.cpp - How a model wants to be asked ------------------------------------------------===//

#include "ModelDirectory.h"

#include "Json.h"

#include <cerrno>
#include <sys/stat.h>

namespace attn::text {

/// The object in `path`, or an empty one when there is no such file.
static Expected<nlohmann::json> loadOptional(const std::string &path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0 && errno == ENOENT)
    return nlohmann::json::object();
  Expected<std::string> content = readFile(path, maxJsonBytes);
  if (!content)
    return content.error();
  Expected<nlohmann::json> value = parseJson(*content, path);
  if (!value)
    return value.error();
  if (Status status = JsonRef(*value, path).expectObject(); !status)
    return status.error();
  return value;
}

/// eos_token_id: a number, a list of numbers, or null.
static Expected<std::vector<TokenId>> readEosIds(const JsonRef &member) {
  std::vector<TokenId> result;
  if (member.isNull())
    return result;
  size_t n = member->is_array() ? member->size() : 1;
  for (size_t i = 0; i < n; ++i) {
    Expected<int64_t> id = (member->is_array() ? member.at(i) : member).id();
    if (!id)
      return id.error();
    result.push_back(*id);
  }
  return result;
}

static Expected<std::vector<TemplatePiece>> readTemplate(const JsonRef &list, const Tokenizer &tokenizer) {
  std::vector<TemplatePiece> result;
  if (list.isNull())
    return result;
  if (Status status = list.expectArray(); !status)
    return status.error();
  size_t articles = 0;
  for (size_t i = 0; i < list->size(); ++i) {
    Expected<std::string> piece = list.at(i).string();
    if (!piece)
      return piece.error();
    if (*piece == "article") {
      result.push_back({true, -1});
      ++articles;
      continue;
    }
    std::optional<TokenId> id = tokenizer.idOf(*piece);
    if (!id)
      return list.at(i).fail("expected 'article' or a token of the tokenizer, got " + inQuotes(*piece));
    result.push_back({false, *id});
  }
  if (articles != 1)
    return list.fail("expected 'article' once, got it " + std::to_string(articles) + " times");
  return result;
}

Expected<ModelDirectory> ModelDirectory::load(const std::string &directory) {
  std::string prefix = directory.empty() || directory.back() == '/' ? directory : directory + "/";
  Expected<Tokenizer> tokenizer = Tokenizer::load(prefix + "tokenizer.json");
  if (!tokenizer)
    return tokenizer.error();
  ModelDirectory result{*tokenizer, {}, std::nullopt, {}};

  std::string configPath = prefix + "config.json", generationPath = prefix + "generation_config.json";
  Expected<nlohmann::json> config = loadOptional(configPath), generation = loadOptional(generationPath);
  if (!config)
    return config.error();
  if (!generation)
    return generation.error();
  JsonRef configRoot(*config, configPath), generationRoot(*generation, generationPath);

  JsonRef eos = generationRoot.get("eos_token_id");
  Expected<std::vector<TokenId>> eosIds = readEosIds(eos.isNull() ? configRoot.get("eos_token_id") : eos);
  if (!eosIds)
    return eosIds.error();
  result.eosIds = *eosIds;

  JsonRef task = configRoot.get("task_specific_params").get("summarization");
  JsonRef limit = task.get("max_new_tokens");
  if (limit.isNull())
    limit = generationRoot.get("max_new_tokens");
  if (!limit.isNull()) {
    Expected<int64_t> value = limit.id();
    if (!value)
      return value.error();
    result.maxNewTokens = *value;
  }
  Expected<std::vector<TemplatePiece>> promptTemplate = readTemplate(task.get("template"), *tokenizer);
  if (!promptTemplate)
    return promptTemplate.error();
  result.promptTemplate = *promptTemplate;
  return result;
}

Expected<std::vector<TokenId>> ModelDirectory::encodePrompt(std::string_view text, bool useTemplate,
                                                            bool strict) const {
  bool templated = useTemplate && !promptTemplate.empty();
  Expected<std::vector<TokenId>> article = tokenizer.encode(text, {strict, /*addSpecialTokens=*/!templated});
  if (!article || !templated)
    return article;
  std::vector<TokenId> result;
  for (const TemplatePiece &piece : promptTemplate) {
    if (piece.isArticle)
      result.insert(result.end(), article->begin(), article->end());
    else
      result.push_back(piece.id);
  }
  return result;
}

} // namespace attn::text
