//===- ModelDirectory.cpp - How a model wants to be asked ------------------------------------------------===//

#include "ModelDirectory.h"

#include "Json.h"

#include <algorithm>
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

Expected<ModelDirectory> ModelDirectory::load(const std::string &directory, bool withTokenizer) {
  std::string prefix = directory.empty() || directory.back() == '/' ? directory : directory + "/";
  ModelDirectory result;
  if (withTokenizer) {
    Expected<Tokenizer> tokenizer = Tokenizer::load(directory.empty() ? "." : directory);
    if (!tokenizer)
      return tokenizer.error();
    result.tokenizer = std::move(*tokenizer);
  }

  std::string configPath = prefix + "config.json", generationPath = prefix + "generation_config.json";
  Expected<nlohmann::json> config = loadOptional(configPath), generation = loadOptional(generationPath);
  if (!config)
    return config.error();
  if (!generation)
    return generation.error();
  JsonRef configRoot(*config, configPath), generationRoot(*generation, generationPath);
  JsonRef task = configRoot.get("task_specific_params").get("summarization");

  Expected<GenerationConfig> settings = GenerationConfig::read({task, generationRoot, configRoot});
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
  Expected<std::vector<TokenId>> article = tokenizer->encode(text, {strict, /*addSpecialTokens=*/false});
  if (!article)
    return article;
  std::vector<TokenId> before, after;
  if (useTemplate && !promptTemplate.empty()) {
    bool behind = false;
    for (const TemplatePiece &piece : promptTemplate) {
      if (!piece.isArticle)
        (behind ? after : before).push_back(piece.id);
      behind |= piece.isArticle;
    }
  } else {
    // What the post_processor puts around the text.
    Expected<std::vector<TokenId>> whole = tokenizer->encode(text, {strict, /*addSpecialTokens=*/true});
    if (!whole)
      return whole;
    auto at = std::search(whole->begin(), whole->end(), article->begin(), article->end());
    if (static_cast<int64_t>(whole->size()) <= maxTokens || at == whole->end())
      return whole;
    before.assign(whole->begin(), at);
    after.assign(at + static_cast<ptrdiff_t>(article->size()), whole->end());
  }
  int64_t room = maxTokens - static_cast<int64_t>(before.size() + after.size());
  if (room < 1)
    return Error{std::to_string(maxTokens) + " tokens leave no room for the prompt"};
  if (static_cast<int64_t>(article->size()) > room)
    article->resize(static_cast<size_t>(room));
  std::vector<TokenId> result = std::move(before);
  result.insert(result.end(), article->begin(), article->end());
  result.insert(result.end(), after.begin(), after.end());
  return result;
}

} // namespace attn::text
