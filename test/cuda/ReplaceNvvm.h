//===- ReplaceNvvm.h - NVVM ops to calls of the emulator ----------------------------------------===//
#ifndef ATTN_TEST_CUDA_REPLACENVVM_H
#define ATTN_TEST_CUDA_REPLACENVVM_H

#include "mlir/IR/BuiltinOps.h"

namespace emulator {

class EmulatorCalls;

/// What an op is replaced by: values for its results, or failure if its form is not emulated.
using Replacement = llvm::FailureOr<llvm::SmallVector<mlir::Value>>;

/// Of mbarriers, bulk copies and products of warpgroups.
Replacement replaceHopper(mlir::Operation *op, EmulatorCalls &calls);
/// Fails with an error if a bulk copy reads what no proxy fence made visible, which running cannot show.
llvm::LogicalResult checkFences(mlir::ModuleOp module);

/// Replaces every NVVM op, and the inline assembly that is known. An op that is not known is an error that names it.
llvm::LogicalResult replaceNvvm(mlir::ModuleOp module);

/// After everything is in the LLVM dialect: shared memory becomes calls that say where the block's lies, every load and
/// store with an alignment checks it, and no pointer has an address space any more. `sharedBytes` says how much static
/// shared memory each kernel has.
llvm::LogicalResult replaceMemory(mlir::ModuleOp module, llvm::StringMap<uint64_t> &sharedBytes);

} // namespace emulator

#endif // ATTN_TEST_CUDA_REPLACENVVM_H
