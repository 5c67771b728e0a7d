//===- Files.h - The files of a model, in a directory or inside a compiled file ----------------------------===//
#ifndef ATTN_TEXT_FILES_H
#define ATTN_TEXT_FILES_H

#include "Expected.h"
#include "runtime/attn_runtime.h"

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace attn::text {

struct NamedFile {
  std::string name, content;
};

/// Files that are known by their names.
class Files {
public:
  /// Those in `directory` (empty: the current one). `*copies`, if given, receives each one that is read.
  explicit Files(const std::string &directory, std::vector<NamedFile> *copies = nullptr);
  /// Those in a directory, or inside a model file (*.so), which stays open. Errors: those of the runtime, and "expected a
  /// directory or a model file (*.so), got 'x'" for another file.
  static Expected<Files> open(const std::string &path);
  /// Those inside the model file `path` (attnc --tokenizer). `library` must outlive this.
  Files(const attn_library *library, const std::string &path) : prefix(path + "/"), library(library) {}

  bool has(const std::string &name) const;
  /// The whole file; nothing when there is none. Errors: those of readFile.
  Expected<std::optional<std::string>> read(const std::string &name) const;
  /// For messages: "DIRECTORY/NAME", "MODEL.so/NAME".
  std::string pathOf(const std::string &name) const { return prefix + folder + name; }
  /// Those in a folder of these: "0_Transformer/"; empty: these.
  Files in(const std::string &inner) const;

private:
  const attn_embedded_file *findInside(const std::string &name) const;

  std::string prefix, folder;
  const attn_library *library = nullptr; ///< or null: a directory
  std::shared_ptr<attn_file> file;       ///< that of the library, if it is this one's
  std::vector<NamedFile> *copies = nullptr;
};

bool isDirectory(const std::string &path);
bool endsWith(std::string_view text, std::string_view suffix);

/// Where the tokenizer of the open model file `path` is: in what `given` names (Files::open) or, if that is empty, inside
/// the file or else beside it; nothing if it is in none of them. Errors: those of Files::open.
Expected<std::optional<Files>> findTokenizer(const std::string &given, const attn_library *library, const std::string &path);

/// What attnc --tokenizer puts into a model file: the files of `directory` that ModelDirectory::load and
/// SentenceDirectory::load read, checked as they check them. `vocabularySize` is the model's; 0: unknown. Errors: theirs and
/// those of Tokenizer::checkVocabulary, and "expected a directory, got 'x'" for a file.
Expected<std::vector<NamedFile>> readTokenizerFiles(const std::string &directory, int64_t vocabularySize);

} // namespace attn::text

#endif // ATTN_TEXT_FILES_H
