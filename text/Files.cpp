//===- Files.cpp - The files of a model, in a directory or inside a compiled file --------------------------===//

#include "Files.h"

#include "Json.h"
#include "ModelDirectory.h"
#include "SentenceDirectory.h"

#include <algorithm>
#include <cerrno>
#include <sys/stat.h>

namespace attn::text {

Files::Files(const std::string &directory, std::vector<NamedFile> *copies)
    : prefix(directory.empty() || directory.back() == '/' ? directory : directory + "/"), copies(copies) {}

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

std::optional<Files> findTokenizer(const std::string &given, const attn_library *library, const std::string &path) {
  if (!given.empty())
    return Files(given);
  size_t slash = path.rfind('/');
  for (const Files &files : {Files(library, path), Files(path.substr(0, slash == std::string::npos ? 0 : slash + 1))})
    if (Tokenizer::isIn(files) || files.has("modules.json"))
      return files;
  return {};
}

Expected<std::vector<NamedFile>> readTokenizerFiles(const std::string &directory, int64_t vocabularySize) {
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
