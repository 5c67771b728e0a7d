//===- Import.cpp - What the importers of all families share ------------------------------===//
#include "frontend/Import.h"

#include "dialect/AttnDialect.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using llvm::StringRef;
using namespace mlir;

namespace attnc {

std::vector<bool> readSlidingLayers(Config &config, int64_t layers, llvm::function_ref<bool(int64_t)> slides) {
  std::vector<StringRef> types = config.strings("layer_types");
  if (!types.empty() && int64_t(types.size()) != layers) {
    config.problem("expected 'layer_types' of " + llvm::Twine(layers) + " layers, got " + llvm::Twine(types.size()));
    types.clear();
  }
  std::vector<bool> sliding(layers);
  for (int64_t layer = 0; layer < layers; ++layer) {
    sliding[layer] = types.empty() ? slides(layer) : types[layer] == "sliding_attention";
    if (!types.empty() && !sliding[layer] && types[layer] != "full_attention")
      config.problem("expected 'layer_types' of full_attention and sliding_attention, got " + quoted(types[layer]));
  }
  return sliding;
}

static llvm::Error addTokenIds(ImportContext &import, NamedAttrList &metadata) {
  llvm::SmallString<128> path(import.directory);
  llvm::sys::path::append(path, "generation_config.json");
  std::optional<Config> generation;
  if (llvm::sys::fs::exists(path)) {
    llvm::Expected<Config> read = Config::read(path);
    if (!read)
      return read.takeError();
    generation = std::move(*read);
  }
  Builder builder(import.context);
  for (StringRef name : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    bool given = generation && generation->find(name);
    // -1 stands for none in old files; ids beyond the vocabulary are harmless, they are never produced.
    std::vector<int64_t> ids = (given ? *generation : import.config).integers(name, -1, INT32_MAX);
    llvm::erase(ids, -1);
    if (ids.size() == 1)
      metadata.set(name, builder.getI64IntegerAttr(ids[0]));
    else if (!ids.empty())
      metadata.set(name, builder.getDenseI64ArrayAttr(ids));
  }
  if (generation)
    if (llvm::Error error = generation->takeProblems())
      return error;
  return import.config.takeProblems();
}

llvm::Error setMetadata(ImportContext &import, StringRef modelType, llvm::ArrayRef<std::pair<StringRef, int64_t>> sizes) {
  Builder builder(import.context);
  NamedAttrList metadata;
  metadata.set("model_type", builder.getStringAttr(modelType));
  for (auto [name, value] : sizes)
    metadata.set(name, builder.getI64IntegerAttr(value));
  if (llvm::Error error = addTokenIds(import, metadata))
    return error;
  (*import.module)->setAttr(attn::kMetadataAttr, metadata.getDictionary(import.context));
  return llvm::Error::success();
}

} // namespace attnc
