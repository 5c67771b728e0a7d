//===- ModelFile.cpp - An open model file and its runtime ------------------------------------------------===//

#include "ModelFile.h"

#include "ModelEntry.h"

namespace attn::text {

Expected<ModelFile> ModelFile::open(const std::string &path, const std::string &variant, uint32_t threads) {
  attn_error error = emptyError();
  attn_runtime_options options = {};
  options.size = sizeof options;
  options.threads = threads;
  ModelFile result;
  attn_runtime *runtime = nullptr;
  if (attn_runtime_create(&options, &runtime, &error) != ATTN_OK)
    return errorOf(error);
  result.ownedRuntime.reset(runtime);
  attn_file *file = nullptr;
  if (attn_file_load(path.c_str(), &file, &error) != ATTN_OK)
    return errorOf(error);
  result.file.reset(file);
  attn_model *model = nullptr;
  if (attn_file_open(file, result.host(), variant.empty() ? nullptr : variant.c_str(), &model, &error) != ATTN_OK)
    return errorOf(error);
  result.openModel = {model, {result.library()}};
  return result;
}

} // namespace attn::text
