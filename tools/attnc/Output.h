//===- Output.h - Files that appear complete or not at all ---------------------------------------------===//
#ifndef ATTNC_TOOLS_OUTPUT_H
#define ATTNC_TOOLS_OUTPUT_H

#include "llvm/Support/Error.h"

#include <string>
#include <utility>

namespace attnc {

/// One output: a temporary file beside its place, so that an unwritable path shows before any work is done. Goes away
/// unless committed. "-" and paths that exist and are no regular files (/dev/null) are written directly.
class OutputFile {
public:
  static llvm::Expected<OutputFile> create(llvm::StringRef path, bool executable = false);
  OutputFile(OutputFile &&other)
      : name(std::move(other.name)), temporary(std::exchange(other.temporary, {})), fd(std::exchange(other.fd, -1)) {}
  ~OutputFile();

  const std::string &path() const { return name; }
  int descriptor() const { return fd; }
  /// Appends.
  llvm::Error write(llvm::StringRef bytes);
  /// Gives the file its name.
  llvm::Error commit();

private:
  OutputFile() = default;
  llvm::Error failure() const; ///< what errno says
  std::string name, temporary; ///< temporary is empty when the file is written directly
  int fd = -1;
};

} // namespace attnc

#endif // ATTNC_TOOLS_OUTPUT_H
