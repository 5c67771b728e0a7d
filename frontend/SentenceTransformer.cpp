//===- SentenceTransformer.cpp - Directories of sentence-transformers ---------------------===//
#include "frontend/SentenceTransformer.h"
#include "frontend/Config.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using llvm::StringRef;
using llvm::Twine;

namespace attnc {

namespace {
struct Module {
  std::string type, path; // "sentence_transformers.models.Pooling", "1_Pooling"
};

/// A mode of sentence-transformers' Pooling, and the flag that stood for it up to version 5.
struct ModeRow {
  StringRef name, flag;
  attn::PoolKind kind;
};
constexpr ModeRow modes[] = {
    {"cls", "pooling_mode_cls_token", attn::PoolKind::first},
    {"lasttoken", "pooling_mode_lasttoken", attn::PoolKind::last},
    {"max", "pooling_mode_max_tokens", attn::PoolKind::max},
    {"mean", "pooling_mode_mean_tokens", attn::PoolKind::mean},
    {"mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", attn::PoolKind::mean_sqrt},
    {"weightedmean", "pooling_mode_weightedmean_tokens", attn::PoolKind::weighted_mean},
};

std::string join(StringRef directory, StringRef path) {
  llvm::SmallString<128> joined(directory);
  llvm::sys::path::append(joined, path);
  return joined.str().str();
}

bool isInside(StringRef path) {
  return !llvm::sys::path::is_absolute(path) &&
         !llvm::is_contained(llvm::make_range(llvm::sys::path::begin(path), llvm::sys::path::end(path)), "..");
}

/// The modules in their order; none where there is no modules.json.
llvm::Expected<std::vector<Module>> readModules(StringRef directory) {
  std::string path = join(directory, "modules.json");
  std::vector<Module> modules;
  if (!llvm::sys::fs::exists(path))
    return modules;
  llvm::Expected<llvm::json::Value> value = readJson(path);
  if (!value)
    return value.takeError();
  const llvm::json::Array *array = value->getAsArray();
  if (!array)
    return fail(path + ": expected a JSON array");
  Problems problems;
  for (auto [index, item] : llvm::enumerate(*array)) {
    const llvm::json::Object *object = item.getAsObject();
    std::optional<StringRef> type = object ? object->getString("type") : std::nullopt;
    std::optional<StringRef> folder = object ? object->getString("path") : std::nullopt;
    if (!type || !folder)
      problems.add("module " + Twine(index) + ": expected an object with strings 'type' and 'path'");
    else if (!isInside(*folder))
      problems.add("module " + Twine(index) + ": expected 'path' inside the directory, got " + quoted(*folder));
    else
      modules.push_back({type->str(), folder->str()});
  }
  if (llvm::Error error = problems.take(path))
    return std::move(error);
  return modules;
}

attn::PoolKind readMode(Config &config) {
  std::vector<StringRef> names;
  if (const llvm::json::Value *mode = config.find("pooling_mode")) {
    names = mode->getAsArray() ? config.strings("pooling_mode") : std::vector<StringRef>{config.string("pooling_mode")};
  } else {
    for (const ModeRow &row : modes)
      if (config.flag(row.flag, false))
        names.push_back(row.name);
    if (names.empty())
      names.push_back("mean");
  }
  if (names.size() != 1) {
    config.problem("expected one pooling mode, got " + Twine(names.size()) + ": concatenation is not supported");
    return attn::PoolKind::mean;
  }
  for (const ModeRow &row : modes)
    if (row.name == names[0])
      return row.kind;
  std::string known;
  for (const ModeRow &row : modes)
    known += (known.empty() ? "" : ", ") + row.name.str();
  config.problem("expected 'pooling_mode' to be one of " + known + ", got " + quoted(names[0]));
  return attn::PoolKind::mean;
}
} // namespace

llvm::Expected<std::string> transformerFolder(StringRef directory) {
  llvm::Expected<std::vector<Module>> modules = readModules(directory);
  if (!modules)
    return modules.takeError();
  return modules->empty() ? std::string() : modules->front().path;
}

llvm::Error SentenceEmbedding::read(StringRef directory, int64_t width) {
  llvm::Expected<std::vector<Module>> modules = readModules(directory);
  if (!modules)
    return modules.takeError();
  constexpr StringRef order[] = {"Transformer", "Pooling", "Normalize"};
  Problems problems;
  for (auto [index, module] : llvm::enumerate(*modules)) {
    // The package moved its modules more than once; their names stayed.
    StringRef wanted = order[std::min<size_t>(index, 2)], type = module.type;
    if (!type.starts_with("sentence_transformers.") || type.rsplit('.').second != wanted)
      problems.add("module " + Twine(index) +
                   ": expected Transformer, Pooling, then Normalize of sentence_transformers, got " + quoted(type));
  }
  llvm::Error error = problems.take(join(directory, "modules.json"));
  normalized = modules->size() > 2;
  if (modules->size() < 2 || !StringRef((*modules)[1].type).ends_with(".Pooling"))
    return error;
  return llvm::joinErrors(std::move(error), readPooling(join(directory, (*modules)[1].path + "/config.json"), width));
}

llvm::Error SentenceEmbedding::readPooling(StringRef path, int64_t width) {
  llvm::Expected<Config> config = Config::read(path);
  if (!config)
    return config.takeError();
  constexpr StringRef widthKeys = "embedding_dimension|word_embedding_dimension";
  if (int64_t given = config->integer(widthKeys, 1, INT32_MAX, width); given != width)
    config->problem("expected 'embedding_dimension' to be the model's width " + Twine(width) + ", got " + Twine(given));
  if (!config->flag("include_prompt", true))
    config->problem("expected 'include_prompt' to be true, got false: where a prompt ends is not known");
  pooling = readMode(*config);
  return config->takeProblems();
}

} // namespace attnc
