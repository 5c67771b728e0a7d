//===- Module.h - The kernels of a model, from attn.pipelines to PTX -------------------------------------===//
#ifndef ATTNC_BACKENDS_CUDA_MODULE_H
#define ATTNC_BACKENDS_CUDA_MODULE_H

#include "backends/cuda/Kernel.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/StringMap.h"

namespace attnc::cuda {

/// What a launch needs to know of a kernel: support/Code.h.
struct KernelInfo {
  std::string name;
  int64_t threads, sharedBytes;
  SmallVector<Axis> axes;
  std::optional<Axis> fewUpTo; ///< the next kernel is for launches whose size is at most the tile
};

/// The kernels for one kind of device.
struct DeviceCode {
  int capability; ///< 80: of compute capability 8.0 and later; 90: of 9.0 only, with what is Hopper's own
  std::string chip;
  SmallVector<KernelInfo> kernels;
  llvm::StringMap<unsigned> first; ///< a pipeline's kernel
  std::string ptx;                 ///< after `translate`
};

/// The kernels of a model in a module of their own; pipelines come as text (see Signature.h).
class Kernels {
public:
  /// `bf16Math`: products with bf16 weights round their inputs to bf16.
  explicit Kernels(bool bf16Math);
  /// A gpu.module for each kind of device, with a gpu.func of every pipeline. An error is about the first that has no
  /// kernel.
  llvm::Error build(StringRef pipelines);
  /// To the LLVM dialect with NVVM's ops.
  llvm::Error lower();
  std::string print();
  /// After `lower`.
  llvm::Error translate();
  ArrayRef<DeviceCode> codes() const { return all; }

private:
  MLIRContext context;
  bool bf16Math;
  OwningOpRef<ModuleOp> module;
  SmallVector<DeviceCode> all;
};

} // namespace attnc::cuda

#endif // ATTNC_BACKENDS_CUDA_MODULE_H
