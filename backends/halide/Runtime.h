//===- Runtime.h - Halide's runtime as a part of a model file --------------------------------------------===//
#ifndef ATTNC_BACKENDS_HALIDE_RUNTIME_H
#define ATTNC_BACKENDS_HALIDE_RUNTIME_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/Error.h"

namespace Halide {
struct Target;
}

namespace attnc::halide {

/// What a model file for `target` needs besides its host code and its pipelines, as LLVM bitcode: launches (support/*.c) and
/// those parts of Halide's runtime that launches and `pipelines` (object files or bitcode) reach. It is to be linked with the
/// support code, whose weak functions it replaces.
///
/// Every definition is hidden or local. There are no constructors and destructors: support/Device.c calls the runtime's
/// constructors when a model is opened, and releases the device when the last is closed. On a CPU the runtime is its error
/// texts and little else. Fails for targets whose runtime cannot be linked here, with the reason.
llvm::Expected<llvm::SmallString<0>> deviceCode(const Halide::Target &target, llvm::ArrayRef<llvm::StringRef> pipelines);

} // namespace attnc::halide

#endif // ATTNC_BACKENDS_HALIDE_RUNTIME_H
