//===- Pipeline.cpp - The whole way from graph to LLVM, in order -------------------------===//
#include "passes/Pipeline.h"
#include "passes/Passes.h"
#include "mlir/Pass/PassRegistry.h"

namespace attnc {

/// The graph as imported or written, checked.
static void buildAttn(OpPassManager &pm) { pm.addPass(createNameDims()); }

llvm::ArrayRef<Stage> stages() {
  static const Stage table[] = {
      {"attn", "graph as imported or written, entries named and checked", buildAttn, false},
  };
  return table;
}

void registerPassesAndPipelines() {
  registerAttnPasses();
  for (const Stage &stage : stages())
    PassPipelineRegistration<>(llvm::StringRef(stage.name), stage.description,
                               [&stage](OpPassManager &pm) { stage.build(pm); });
}

} // namespace attnc
