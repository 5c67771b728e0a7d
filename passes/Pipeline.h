//===- Pipeline.h - The whole way from graph to LLVM, in order --------------------------===//
#ifndef ATTNC_PASSES_PIPELINE_H
#define ATTNC_PASSES_PIPELINE_H

#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <functional>

namespace attnc {

/// Why a backend's device cannot compute what the `attn.pipeline` holds; empty: it can. Null: there is no device.
using DeviceCheck = std::function<std::string(mlir::Operation *pipeline)>;

/// attn-outline-pipelines for what passes `check`: OutlinePipelines.cpp.
std::unique_ptr<mlir::Pass> createOutlinePipelinesFor(DeviceCheck check);

/// One stage of compilation. `attnc --emit=NAME` stops after it and prints; its text can be fed back in.
struct Stage {
  llvm::StringRef name;
  llvm::StringRef description;
  /// Adds the stage's passes. Stages up to "fused" run once per model; later ones once per variant, on a module that
  /// carries `attn.target`.
  void (*build)(mlir::OpPassManager &, const DeviceCheck &);
  bool perTarget;
};

/// attn → fused → planned → tasks → vector → llvm (LLVM dialect).
llvm::ArrayRef<Stage> stages();

/// Registers every attnc pass, `attn-opt`'s pipelines (one per stage, "attn-to-NAME") and the upstream passes they use.
void registerPassesAndPipelines();

} // namespace attnc

#endif // ATTNC_PASSES_PIPELINE_H
