//===- Link.h - Object files to a shared library, an archive or one object ----------------------------===//
#ifndef ATTNC_BACKENDS_CPU_LINK_H
#define ATTNC_BACKENDS_CPU_LINK_H

#include "backends/Backend.h"

namespace attnc {

/// A linked shared library and where its weights belong.
struct LinkedFile {
  llvm::SmallString<0> bytes;
  uint64_t weightsOffset = 0; ///< where the segment's bytes begin, aligned to 64 KiB; 0: no weights inside
};

/// Links a shared library that exports attn_query alone and needs no other library. With `weightsInside` bytes a
/// read-only segment for symbol attn_weights is reserved, and the file's headers already describe it: the caller
/// writes `weightsInside` bytes at `weightsOffset`, which is `weightsFrom` or, where that is inside the file, its end. Objects pass through a temporary directory. lld can run only once
/// per process after a failure.
llvm::Expected<LinkedFile> linkShared(llvm::ArrayRef<CodeObject> objects, uint64_t weightsInside,
                                      uint64_t weightsFrom, const CodeOptions &options);

/// One relocatable object of all (`ld -r`).
llvm::Expected<LinkedFile> linkRelocatable(llvm::ArrayRef<CodeObject> objects, const CodeOptions &options);

/// A static library (ar) of all, without time stamps.
llvm::Expected<llvm::SmallString<0>> makeArchive(llvm::ArrayRef<CodeObject> objects, llvm::StringRef name);

} // namespace attnc

#endif // ATTNC_BACKENDS_CPU_LINK_H
