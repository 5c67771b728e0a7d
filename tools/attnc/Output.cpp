//===- Output.cpp - Files that appear complete or not at all -------------------------------------------===//
#include "Output.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Signals.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace attnc {
using namespace llvm;

static Error fail(const Twine &message) { return createStringError(inconvertibleErrorCode(), message); }

Error OutputFile::failure() const { return fail("cannot write '" + name + "': " + std::strerror(errno)); }

Expected<OutputFile> OutputFile::create(StringRef path, bool executable) {
  OutputFile file;
  file.name = path.str();
  if (path == "-") {
    file.fd = STDOUT_FILENO;
    return file;
  }
  sys::fs::file_status status;
  sys::fs::status(path, status);
  if (sys::fs::is_directory(status) || path.ends_with("/"))
    return fail("cannot write '" + path + "': expected a file name, got a directory");
  if (sys::fs::exists(status) && !sys::fs::is_regular_file(status)) {
    file.fd = ::open(file.name.c_str(), O_WRONLY | O_CLOEXEC);
    if (file.fd < 0)
      return file.failure();
    return file;
  }
  for (int attempt = 0; attempt < 16 && file.fd < 0; ++attempt) {
    std::string candidate = file.name + "." + utohexstr(sys::Process::GetRandomNumber()) + ".tmp";
    file.fd = ::open(candidate.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, executable ? 0777 : 0666);
    if (file.fd >= 0)
      file.temporary = candidate;
    else if (errno != EEXIST)
      break;
  }
  if (file.fd < 0)
    return file.failure();
  sys::RemoveFileOnSignal(file.temporary);
  return file;
}

OutputFile::~OutputFile() {
  if (fd > STDERR_FILENO)
    ::close(fd);
  if (!temporary.empty()) {
    ::unlink(temporary.c_str());
    sys::DontRemoveFileOnSignal(temporary);
  }
}

Error OutputFile::write(StringRef bytes) {
  while (!bytes.empty()) {
    ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return failure();
    bytes = bytes.drop_front(written);
  }
  return Error::success();
}

Error OutputFile::commit() {
  if (temporary.empty())
    return Error::success();
  int closed = ::close(std::exchange(fd, -1)); // some file systems report a full disk here
  if (closed != 0 || std::rename(temporary.c_str(), name.c_str()) != 0)
    return failure();
  sys::DontRemoveFileOnSignal(temporary);
  temporary.clear();
  return Error::success();
}

} // namespace attnc
