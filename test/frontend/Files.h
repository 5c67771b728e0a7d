//===- Files.h - Temporary directories and safetensors bytes for tests ---------------------===//
#ifndef ATTNC_TEST_FRONTEND_FILES_H
#define ATTNC_TEST_FRONTEND_FILES_H

#include "llvm/Support/Endian.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include <gtest/gtest.h>

#include <string>

namespace attnc::test {

/// A safetensors file with this header and `dataBytes` zero bytes; `length` replaces the header's true length.
inline std::string safetensors(llvm::StringRef header, size_t dataBytes, std::optional<uint64_t> length = {}) {
  std::string bytes(8, '\0');
  llvm::support::endian::write64le(bytes.data(), length.value_or(header.size()));
  return bytes + header.str() + std::string(dataBytes, '\0');
}

/// One F32 tensor of `count` elements.
inline std::string oneTensor(llvm::StringRef name, size_t count) {
  return safetensors("{\"" + name.str() + "\":{\"dtype\":\"F32\",\"shape\":[" + std::to_string(count) +
                         "],\"data_offsets\":[0," + std::to_string(4 * count) + "]}}",
                     4 * count);
}

/// A directory that is removed at the end of the test.
class Directory {
public:
  Directory() { EXPECT_FALSE(llvm::sys::fs::createUniqueDirectory("attn-frontend", root)); }
  ~Directory() { llvm::sys::fs::remove_directories(root); }
  llvm::StringRef path() const { return root; }
  std::string path(llvm::StringRef name) const { return (root + "/" + name).str(); }
  void write(llvm::StringRef name, llvm::StringRef bytes) {
    std::error_code code;
    llvm::raw_fd_ostream os(path(name), code);
    EXPECT_FALSE(code);
    os << bytes;
  }
  void copy(llvm::StringRef from, llvm::StringRef name) { EXPECT_FALSE(llvm::sys::fs::copy_file(from, path(name))); }

private:
  llvm::SmallString<128> root;
};

/// The error's text with the directory's path replaced by DIR; empty on success.
inline std::string text(llvm::Error error, const Directory *directory = nullptr) {
  if (!error)
    return "";
  std::string text = llvm::toString(std::move(error));
  if (directory)
    for (size_t at; (at = text.find(directory->path().str())) != std::string::npos;)
      text.replace(at, directory->path().size(), "DIR");
  return text;
}

template <typename T> std::string text(llvm::Expected<T> value, const Directory *directory = nullptr) {
  return value ? "" : text(value.takeError(), directory);
}

} // namespace attnc::test

#endif // ATTNC_TEST_FRONTEND_FILES_H
