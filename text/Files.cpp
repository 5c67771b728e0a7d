//===- Files.cpp - The files of a model, in a directory or inside a compiled file --------------------------===//

#include "Files.h"

#include "Json.h"
#include "ModelDirectory.h"
#include "ModelEntry.h"
#include "SentenceDirectory.h"

#include <algorithm>
#include <cerrno>
#include <sys/stat.h>

namespace attn::text {

Files::Files(const std::string &directory, std::vector<NamedFile> *copies)
    : prefix(directory.empty() || directory.back() == '/' ? directory : directory + "/"), copies(copies) {}

bool isDirectory(const std::string &path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

/// Whether there is something, but no directory.
static bool isFile(const std::string &path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && !S_ISDIR(info.st_mode);
}

bool endsWith(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

Expected<Files> Files::open(const std::string &path) {
  if (isDirectory(path) || !endsWith(path, ".so")) {
    if (isFile(path))
      return Error{"expected a directory or a model file (*.so), got " + inQuotes(path)};
    return Files(path);
  }
  attn_error error = emptyError();
  attn_file *loaded = nullptr;
  if (attn_file_load(path.c_str(), &loaded, &error) != ATTN_OK)
    return errorOf(error);
  Files result(attn_file_library(loaded), path);
  result.file.reset(loaded, attn_file_free);
  return result;
}

const attn_embedded_file *Files::findInside(const std::string &name) const {
  const attn_embedded_file *files;
  uint32_t n = attn_library_files(library, &files);
  for (uint32_t i = 0; i < n; ++i)
    if (files[i].name == folder + name)
      return &files[i];
  return nullptr;
}

bool Files::has(const std::string &name) const {
  struct stat info;
  return library ? findInside(name) != nullptr : stat(pathOf(name).c_str(), &info) == 0 || errno != ENOENT;
}

Expected<std::optional<std::string>> Files::read(const std::string &name) const {
  if (!has(name))
    return std::optional<std::string>();
  if (library) {
    const attn_embedded_file *file = findInside(name);
    return std::optional<std::string>(std::string(static_cast<const char *>(file->data), file->bytes));
  }
  Expected<std::string> content = readFile(pathOf(name), maxJsonBytes);
  if (!content)
    return content.error();
  auto isCopy = [&](const NamedFile &file) { return file.name == folder + name; };
  if (copies && std::none_of(copies->begin(), copies->end(), isCopy))
    copies->push_back({folder + name, *content});
  return std::optional<std::string>(std::move(*content));
}

Files Files::in(const std::string &inner) const {
  Files result = *this;
  result.folder += inner;
  return result;
}

Expected<std::optional<Files>> findTokenizer(const std::string &given, const attn_library *library, const std::string &path) {
  if (!given.empty()) {
    Expected<Files> files = Files::open(given);
    if (!files)
      return files.error();
    return std::optional<Files>(std::move(*files));
  }
  size_t slash = path.rfind('/');
  for (const Files &files : {Files(library, path), Files(path.substr(0, slash == std::string::npos ? 0 : slash + 1))})
    if (Tokenizer::isIn(files) || files.has("modules.json"))
      return std::optional<Files>(files);
  return std::optional<Files>();
}

Expected<std::vector<NamedFile>> readTokenizerFiles(const std::string &directory, int64_t vocabularySize) {
  if (isFile(directory))
    return Error{"expected a directory, got " + inQuotes(directory)};
  std::vector<NamedFile> copies;
  Files files(directory, &copies);
  Expected<SentenceDirectory> sentences = SentenceDirectory::load(files);
  if (!sentences)
    return sentences.error();
  Expected<ModelDirectory> prompts = ModelDirectory::load(files, /*withTokenizer=*/Tokenizer::isIn(files));
  if (!prompts)
    return prompts.error();
  if (vocabularySize > 0)
    if (Status status = sentences->tokenizer->checkVocabulary(vocabularySize); !status)
      return status.error();
  return copies;
}

} // namespace attn::text
