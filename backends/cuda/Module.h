//===- Module.h - The kernels of a model, from attn.pipelines to PTX -------------------------------------===//
#ifndef ATTNC_BACKENDS_CUDA_MODULE_H
#define ATTNC_BACKENDS_CUDA_MODULE_H

#include "backends/cuda/Kernel.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace attnc::cuda {

/// What a launch needs to know of a kernel: support/Code.h.
struct KernelInfo {
  std::string name;
  int64_t threads;
  SmallVector<Axis> axes;
  std::optional<Axis> fewUpTo; ///< the next kernel is for launches whose size is at most the tile
};

/// PTX for one kind of device.
struct Ptx {
  int capability; ///< 80: of compute capability 8.0 and later; 90: of 9.0 only, with what is Hopper's own
  std::string text;
};

/// The kernels of a model in a module of their own; pipelines come as text (see Signature.h).
class Kernels {
public:
  Kernels();
  /// A gpu.func of every pipeline. An error is about the first that has no kernel.
  llvm::Error build(StringRef pipelines);
  /// To the LLVM dialect with NVVM's ops.
  llvm::Error lower();
  std::string print();
  /// After `lower`.
  llvm::Expected<SmallVector<Ptx>> translate();
  ArrayRef<KernelInfo> list() const { return infos; }

private:
  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  SmallVector<KernelInfo> infos;
};

} // namespace attnc::cuda

#endif // ATTNC_BACKENDS_CUDA_MODULE_H
