//===- WeightSet.cpp - Which safetensors files make a checkpoint --------------------------===//
#include "frontend/Problems.h"
#include "frontend/Safetensors.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <map>

using llvm::StringRef;

namespace attnc {

namespace {
std::string join(StringRef directory, StringRef name) {
  llvm::SmallString<128> path(directory);
  llvm::sys::path::append(path, name);
  return std::string(path);
}

/// A plain file name: an index must not reach outside its directory.
bool isPlainName(StringRef name) {
  return !name.empty() && name.find_first_of(StringRef("/\\\0", 3)) == StringRef::npos && !name.contains("..") &&
         name != ".";
}

/// Tensor name to shard, sorted by name, from an index file.
llvm::Expected<std::map<std::string, std::string>> readIndex(StringRef path) {
  llvm::Expected<llvm::json::Value> value = readJson(path);
  if (!value)
    return value.takeError();
  const llvm::json::Object *object = value->getAsObject();
  const llvm::json::Object *map = object ? object->getObject("weight_map") : nullptr;
  if (!map)
    return fail(path + ": expected an object 'weight_map' of tensor names to file names");
  std::map<std::string, std::string> index;
  Problems problems;
  for (const auto &[name, file] : sortedMembers(*map)) {
    std::optional<StringRef> text = file->getAsString();
    if (!text || !isPlainName(*text))
      problems.add("tensor " + quoted(name) + ": expected the name of a file beside the index, got " +
                   (text ? quoted(*text) : std::string("another type")));
    else
      index.emplace(name.str(), text->str());
  }
  if (index.empty() && problems.empty())
    problems.add("expected tensors in 'weight_map', got none");
  if (llvm::Error error = problems.take(path))
    return std::move(error);
  return index;
}
} // namespace

llvm::Expected<WeightSet> WeightSet::openFiles(llvm::ArrayRef<std::string> paths) {
  WeightSet set;
  for (const std::string &path : paths) {
    llvm::Expected<std::unique_ptr<llvm::MemoryBuffer>> buffer = mapFile(path);
    if (!buffer)
      return buffer.takeError();
    if (llvm::Error error = set.add(std::move(*buffer)))
      return std::move(error);
  }
  return set;
}

llvm::Expected<WeightSet> WeightSet::openDirectory(StringRef root, StringRef folder) {
  std::string joined = folder.empty() ? root.str() : join(root, folder);
  StringRef directory = joined;
  constexpr StringRef single = "model.safetensors", indexName = "model.safetensors.index.json";
  std::vector<std::string> shards;
  std::map<std::string, std::string> index;
  std::string indexPath = join(directory, indexName);
  if (llvm::sys::fs::exists(join(directory, single))) {
    shards.push_back(single.str());
  } else if (llvm::sys::fs::exists(indexPath)) {
    llvm::Expected<std::map<std::string, std::string>> read = readIndex(indexPath);
    if (!read)
      return read.takeError();
    index = std::move(*read);
    for (const auto &[name, file] : index)
      shards.push_back(file);
    llvm::sort(shards);
    shards.erase(llvm::unique(shards), shards.end());
  } else {
    bool pickled = llvm::sys::fs::exists(join(directory, "pytorch_model.bin"));
    return fail(directory + ": expected " + single + " or " + indexName +
                (pickled ? ", got pytorch_model.bin: convert it to safetensors" : ""));
  }

  llvm::Expected<WeightSet> set = openFiles(
      llvm::map_to_vector(shards, [&](const std::string &name) { return join(directory, name); }));
  if (!set)
    return set.takeError();
  set->names.clear();
  for (const std::string &name : shards)
    set->names.push_back(join(folder, name));
  Problems problems;
  for (const auto &[name, file] : index) {
    std::optional<TensorView> tensor = set->find(name);
    if (!tensor || llvm::sys::path::filename(tensor->file) != file)
      problems.add("tensor " + quoted(name) + ": expected in " + file + ", got " +
                   (tensor ? llvm::sys::path::filename(tensor->file).str() : std::string("no such tensor")));
  }
  if (llvm::Error error = problems.take(indexPath))
    return std::move(error);
  return set;
}

} // namespace attnc
