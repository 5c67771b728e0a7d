//===- SentenceDirectory.cpp - How sentences become tokens for an embedding ------------------------------===//

#include "SentenceDirectory.h"

#include "Json.h"
#include "Utf8.h"

#include <algorithm>
#include <filesystem>

namespace attn::text {

/// The folder of the first module, which is the transformer; empty: the directory itself.
static Expected<std::string> transformerFolder(const Files &files) {
  const char *name = "modules.json";
  Expected<nlohmann::json> modules = loadOptionalJson(files, name);
  if (!modules)
    return modules.error();
  JsonRef list(*modules, files.pathOf(name));
  if (list.isNull())
    return std::string();
  if (Status status = list.expectArray(); !status)
    return status.error();
  JsonRef member = list.at(0).get("path");
  Expected<std::string> folder = member.string();
  if (!folder || folder->empty())
    return folder;
  std::filesystem::path parts(*folder);
  if (parts.is_absolute() || std::find(parts.begin(), parts.end(), "..") != parts.end())
    return member.fail("expected a folder inside the directory, got " + inQuotes(*folder));
  return *folder + "/";
}

/// A length as the configurations have it; none where there is no limit: transformers writes 1e30 for that.
static Expected<std::optional<int64_t>> readLength(const JsonRef &value) {
  if (value.isNull() || (value->is_number() && value->get<double>() >= double(INT32_MAX)))
    return std::optional<int64_t>();
  if (!value->is_number_integer() || value->get<int64_t>() < 1)
    return value.fail("expected a length of at least 1");
  return std::optional<int64_t>(value->get<int64_t>());
}

/// Reads all but the prompts.
static Status readTransformer(const Files &files, SentenceDirectory &result) {
  static const char *const names[] = {"bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"};
  std::string path;
  nlohmann::json config;
  for (const char *name : names) {
    if (!config.is_null())
      break;
    std::string file = std::string("sentence_") + name + "_config.json";
    path = files.pathOf(file);
    Expected<nlohmann::json> loaded = loadOptionalObject(files, file);
    if (!loaded)
      return loaded.error();
    config = std::move(*loaded);
  }
  JsonRef root(config, path);
  Expected<bool> lowercase = root.getBool("do_lower_case", false);
  if (!lowercase)
    return lowercase.error();

  const char *tokenizerName = "tokenizer_config.json";
  Expected<nlohmann::json> tokenizer = loadOptionalObject(files, tokenizerName);
  if (!tokenizer)
    return tokenizer.error();
  // The first that is there, as sentence-transformers takes them.
  const JsonRef lengths[] = {root.get("processor_kwargs").get("model_max_length"),
                             root.get("tokenizer_args").get("model_max_length"), root.get("max_seq_length"),
                             JsonRef(*tokenizer, files.pathOf(tokenizerName)).get("model_max_length")};
  for (const JsonRef &member : lengths) {
    if (member.isNull())
      continue;
    Expected<std::optional<int64_t>> length = readLength(member);
    if (!length)
      return length.error();
    result.maxTokens = length->value_or(INT64_MAX);
    break;
  }
  Expected<Tokenizer> loaded = Tokenizer::load(files, *lowercase);
  if (!loaded)
    return loaded.error();
  result.tokenizer = std::move(*loaded);
  return {};
}

static Status readPrompts(const Files &files, SentenceDirectory &result) {
  const char *name = "config_sentence_transformers.json";
  Expected<nlohmann::json> config = loadOptionalObject(files, name);
  if (!config)
    return config.error();
  JsonRef root(*config, files.pathOf(name)), prompts = root.get("prompts"), chosen = root.get("default_prompt_name");
  if (!prompts.isNull())
    if (Status status = prompts.expectObject(); !status)
      return status;
  for (auto member = prompts->begin(); member != prompts->end(); ++member) {
    JsonRef prompt = prompts.get(member.key().c_str());
    if (prompt.isNull()) // a name without a prompt
      continue;
    Expected<std::string> text = prompt.string();
    if (!text)
      return text.error();
    result.prompts[member.key()] = *text;
  }
  if (chosen.isNull())
    return {};
  Expected<std::string> prompt = chosen.string();
  if (!prompt)
    return prompt.error();
  if (Status status = result.choosePrompt(*prompt); !status)
    return chosen.fail(status.error().text);
  return {};
}

Expected<SentenceDirectory> SentenceDirectory::load(const Files &files) {
  Expected<std::string> folder = transformerFolder(files);
  if (!folder)
    return folder.error();
  SentenceDirectory result;
  if (Status status = readTransformer(files.in(*folder), result); !status)
    return status.error();
  if (Status status = readPrompts(files, result); !status)
    return status.error();
  return result;
}

Status SentenceDirectory::choosePrompt(const std::string &name) {
  auto found = prompts.find(name);
  if (found == prompts.end()) {
    std::string known;
    for (const auto &[other, text] : prompts)
      known += (known.empty() ? "" : ", ") + other;
    return Error{"expected the name of a prompt (" + (known.empty() ? "there is none" : known) + "), got " + inQuotes(name)};
  }
  prompt = found->second;
  return {};
}

Expected<SentenceDirectory::Sentence> SentenceDirectory::encode(std::string_view text, bool strict, int64_t most) const {
  std::string repaired, whole = prompt;
  if (size_t invalid = findInvalidUtf8(text); invalid != std::string_view::npos) {
    if (strict)
      return Error{"invalid UTF-8 at byte " + std::to_string(invalid)};
    text = repaired = repairUtf8(text);
  }
  whole += text;
  Expected<std::vector<TokenId>> ids = tokenizer->encode(whole);
  if (!ids)
    return ids.error();
  bool cut = static_cast<int64_t>(ids->size()) > most;
  if (cut) {
    ids = tokenizer->encode(whole, {/*strict=*/false, /*addSpecialTokens=*/true, most});
    if (!ids)
      return ids.error();
  }
  return Sentence{std::move(*ids), cut};
}

} // namespace attn::text
