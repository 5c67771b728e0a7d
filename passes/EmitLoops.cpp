//===- EmitLoops.cpp - Tasks to vector loops --------------------------------------------------===//
#include "passes/Emit.h"
#include "passes/Passes.h"
#include "passes/Tiler.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"

namespace attnc {
#define GEN_PASS_DEF_EMITLOOPS
#include "passes/Passes.h.inc"

namespace {
using namespace attn;

struct EmitLoops : impl::EmitLoopsBase<EmitLoops> {
  void runOnOperation() override {
    auto target = getOperation()->getAttrOfType<TargetAttr>(kTargetAttr);
    if (!target) {
      getOperation().emitError() << "expected '" << kTargetAttr << "' on the module";
      return signalPassFailure();
    }
    RewritePatternSet patterns(&getContext());
    populateEmitLinear(patterns, target);
    populateEmitAttention(patterns, target);
    populateEmitLinearAttention(patterns, target);
    populateEmitElementwise(patterns, target);
    populateEmitPack(patterns, target);
    populateEmitPositions(patterns, target);
    populateEmitRows(patterns, target);
    populateEmitExperts(patterns, target);
    populateEmitRelativeBias(patterns);
    populateEmitRanges(patterns);
    FrozenRewritePatternSet frozen(std::move(patterns));
    for (auto func : getOperation().getOps<func::FuncOp>()) // what pipelines compute is the device's
      walkAndApplyPatterns(func, frozen);
    // Copies of strided views would become calls of a run-time library; linalg.copy becomes loops.
    getOperation().walk([](memref::CopyOp copy) {
      if (copy->getParentOfType<PipelineOp>())
        return;
      OpBuilder b(copy);
      linalg::CopyOp::create(b, copy.getLoc(), copy.getSource(), copy.getTarget());
      copy.erase();
    });
    getOperation().walk([](CacheViewOp view) {
      if (view.use_empty())
        view.erase();
    });
    WalkResult left = getOperation().walk<WalkOrder::PreOrder>([](Operation *op) {
      if (isa<PipelineOp>(op))
        return WalkResult::skip();
      if (!isa<AttnDialect>(op->getDialect()) ||
          isa<WorkerOp, FailOp, CostOp, ExternalOp, LaunchOp, CopyToHostOp, CopyToDeviceOp>(op))
        return WalkResult::advance();
      op->emitOpError("is not yet lowered");
      return WalkResult::interrupt();
    });
    if (left.wasInterrupted())
      signalPassFailure();
  }
};
} // namespace
} // namespace attnc
