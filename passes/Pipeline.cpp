//===- Pipeline.cpp - The whole way from graph to LLVM, in order -------------------------===//
#include "passes/Pipeline.h"
#include "passes/Passes.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

namespace attnc {

static void cleanUp(OpPassManager &pm) {
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

/// The graph as imported or written: names and dimensions of every entry complete and checked.
static void buildAttn(OpPassManager &pm, const DeviceCheck &) { pm.addPass(createNameDims()); }

/// The graph with few, large ops, and parameters in their final layout.
static void buildFused(OpPassManager &pm, const DeviceCheck &) {
  OpPassManager &func = pm.nest<func::FuncOp>();
  func.addPass(createRaiseAttention());       // softmax(q·kᵀ)·v, written by the user → attn.attention
  func.addPass(createDecomposeSoftmax());     // one that is no attention
  func.addPass(createFoldLayouts());          // head split and merge → indexing of attention
  func.addPass(createFuseEpilogues());        // bias, activation, residual → linear
  cleanUp(pm);
  pm.addPass(createFuseProjections());        // linears of one input (q, k, v) → one
  pm.nest<func::FuncOp>().addPass(createExpandScores());   // alibi, relative, prefix, documents → regions
  pm.addPass(createPrintTileMap([] {         // counts of skipped, full and partial tiles, for --remarks
    PrintTileMapOptions options;
    options.remarks = true;
    return options;
  }()));
  pm.nest<func::FuncOp>().addPass(createChooseLayouts());  // keys and values in panels
  cleanUp(pm);
  pm.addPass(createPackWeights());            // weights in panels, each with its place in the file
  pm.nest<func::FuncOp>().addPass(createConvertElementwiseToLinalgPass()); // what nothing fused
  pm.addPass(createLinalgElementwiseOpFusionPass());
}

/// Buffers and parallel tasks.
static void buildTasks(OpPassManager &pm, const DeviceCheck &device) {
  pm.addPass(createBufferize());
  cleanUp(pm);
  if (device)
    pm.addPass(createOutlinePipelinesFor(device)); // what the target's device computes is launched
  pm.nest<func::FuncOp>().addPass(createRangeCaptures()); // bounds of what masks read
  pm.nest<func::FuncOp>().addPass(createInsertCopies());  // from and to a device with its own memory
  pm.addPass(createTileToTasks());
  cleanUp(pm);
}

/// One workspace with offsets computed at entry.
static void buildPlanned(OpPassManager &pm, const DeviceCheck &) {
  pm.addPass(memref::createResolveShapedTypeResultDimsPass()); // sizes in terms of arguments
  cleanUp(pm);
  pm.addPass(createReuseBuffers());
  pm.addPass(createPlanWorkspace());
  cleanUp(pm);
}

/// Kernels of vector loops.
static void buildVector(OpPassManager &pm, const DeviceCheck &) {
  pm.addPass(createEmitLoops());
  pm.nest<func::FuncOp>().addPass(createConvertLinalgToLoopsPass()); // ops without an emitter
  cleanUp(pm);
  pm.addPass(createOutlineTasks());
  cleanUp(pm);
  pm.addPass(createLoopInvariantCodeMotionPass());
}

/// The LLVM dialect.
static void buildLLVM(OpPassManager &pm, const DeviceCheck &) {
  pm.addPass(createConvertToLLVM());
  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.addPass(createLowerAffinePass());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createConvertVectorToLLVMPass());
  pm.addPass(arith::createArithExpandOpsPass([] {
    arith::ArithExpandOpsPassOptions options;
    options.includeBf16 = true; // Debian's libgcc lacks __truncsfbf2
    return options;
  }()));
  pm.addPass(createConvertMathToLLVMPass());
  pm.addPass(createArithToLLVMConversionPass());
  pm.addPass(createFinalizeMemRefToLLVMConversionPass());
  pm.addPass(createConvertFuncToLLVMPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
  cleanUp(pm);
}

llvm::ArrayRef<Stage> stages() {
  static const Stage table[] = {
      {"attn", "graph as imported or written, entries named and checked", buildAttn, false},
      {"fused", "few, large ops; weights in their final layout", buildFused, false},
      {"tasks", "buffers and parallel tasks", buildTasks, true},
      {"planned", "one workspace, offsets computed at entry", buildPlanned, true},
      {"vector", "kernels of vector loops", buildVector, true},
      {"llvm", "LLVM dialect", buildLLVM, true},
  };
  return table;
}

void registerPassesAndPipelines() {
  registerAttnPasses();
  for (const Stage &stage : stages())
    PassPipelineRegistration<>(("attn-to-" + stage.name).str(), stage.description,
                               [&stage](OpPassManager &pm) { stage.build(pm, {}); });
}

} // namespace attnc
