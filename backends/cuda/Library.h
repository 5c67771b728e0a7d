//===- Library.h - What a model file for CUDA contains besides its host code ---------------------------===//
#ifndef ATTNC_BACKENDS_CUDA_LIBRARY_H
#define ATTNC_BACKENDS_CUDA_LIBRARY_H

#include "backends/cuda/Module.h"

#include "llvm/ADT/SmallString.h"

namespace attnc::cuda {

/// The architectures of hosts that support code is there for: llvm::Triple's names.
llvm::ArrayRef<StringRef> hostArchitectures();

/// The support code that launches kernels, with the kernels' PTX and their descriptions (support/Code.h), as LLVM
/// bitcode that is linked with the CPU's support code, whose weak functions it replaces. A launch names its pipeline
/// kPipelinePrefix + name + "_argv".
llvm::Expected<llvm::SmallString<0>> deviceCode(StringRef arch, ArrayRef<DeviceCode> codes);

} // namespace attnc::cuda

#endif // ATTNC_BACKENDS_CUDA_LIBRARY_H
