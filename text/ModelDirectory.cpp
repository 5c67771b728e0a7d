//===- ModelDirectory.cpp - How a model wants to be asked ------------------------------------------------===//

#include "ModelDirectory.h"

#include "Json.h"

namespace attn::text {

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

Expected<ModelDirectory> ModelDirectory::load(const Files &files, bool withTokenizer, const JsonRef *metadata) {
  ModelDirectory result;
  if (withTokenizer) {
    Expected<Tokenizer> tokenizer = Tokenizer::load(files);
    if (!tokenizer)
      return tokenizer.error();
    result.tokenizer = std::move(*tokenizer);
  }

  const char *configName = "config.json", *generationName = "generation_config.json";
  Expected<nlohmann::json> config = loadOptionalObject(files, configName);
  Expected<nlohmann::json> generation = loadOptionalObject(files, generationName);
  if (!config)
    return config.error();
  if (!generation)
    return generation.error();
  JsonRef configRoot(*config, files.pathOf(configName)), generationRoot(*generation, files.pathOf(generationName));
  JsonRef task = configRoot.get("task_specific_params").get("summarization");

  std::vector<JsonRef> sources = {task, generationRoot, configRoot};
  if (metadata)
    sources.push_back(*metadata);
  Expected<GenerationConfig> settings = GenerationConfig::read(sources);
  if (!settings)
    return settings.error();
  result.generation = std::move(*settings);
  if (JsonRef textPrefix = task.get("prefix"); !textPrefix.isNull()) {
    Expected<std::string> text = textPrefix.string();
    if (!text)
      return text.error();
    result.prefix = std::move(*text);
  }
  if (result.tokenizer) {
    Expected<std::vector<TemplatePiece>> promptTemplate = readTemplate(task.get("template"), *result.tokenizer);
    if (!promptTemplate)
      return promptTemplate.error();
    result.promptTemplate = std::move(*promptTemplate);
  }
  return result;
}

Expected<std::vector<TokenId>> ModelDirectory::encodePrompt(std::string_view text, bool useTemplate, bool strict,
                                                            int64_t maxTokens) const {
  std::string prefixed;
  if (useTemplate && !prefix.empty())
    text = prefixed = prefix + std::string(text);
  if (!useTemplate || promptTemplate.empty())
    return tokenizer->encode(text, {strict, /*addSpecialTokens=*/true, maxTokens});
  int64_t room = maxTokens - static_cast<int64_t>(promptTemplate.size() - 1);
  if (room < 1)
    return Error{std::to_string(maxTokens) + " tokens leave no room for the text"};
  Expected<std::vector<TokenId>> article = tokenizer->encode(text, {strict, /*addSpecialTokens=*/false, room});
  if (!article)
    return article;
  std::vector<TokenId> result;
  for (const TemplatePiece &piece : promptTemplate)
    if (piece.isArticle)
      result.insert(result.end(), article->begin(), article->end());
    else
      result.push_back(piece.id);
  return result;
}

} // namespace attn::text
