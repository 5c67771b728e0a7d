//===- InsertCopies.cpp - Copies around what the host computes for a device -----------------------===//
#include "passes/Passes.h"
#include "passes/Signature.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

namespace attnc {
#define GEN_PASS_DEF_INSERTCOPIES
#include "passes/Passes.h.inc"

namespace {
using namespace attn;

/// Whether the host's memory holds this buffer's content in any case: a parameter. An input of the model may be in the
/// device's memory; where it is not, its copy is nothing.
bool isOnHost(func::FuncOp func, Value buffer) {
  while (auto view = buffer.getDefiningOp<ViewLikeOpInterface>())
    buffer = view.getViewSource();
  if (buffer.getDefiningOp<memref::GetGlobalOp>())
    return true;
  return buffer == Signature(func).weights();
}

struct InsertCopies : impl::InsertCopiesBase<InsertCopies> {
  void runOnOperation() override {
    func::FuncOp func = getOperation();
    auto target = func->getParentOfType<ModuleOp>()->getAttrOfType<TargetAttr>(kTargetAttr);
    if (!target || !target.getDeviceMemory() || !func->hasAttr(kOutputsAttr))
      return;
    DenseSet<Value> current; // of which the host has a copy
    for (Operation &op : llvm::make_early_inc_range(func.getBody().front())) {
      auto effects = dyn_cast<MemoryEffectOpInterface>(&op);
      if (isa<LaunchOp, func::CallOp>(op)) {
        current.clear();
        continue;
      }
      if (!effects || isa<memref::AllocOp, ViewLikeOpInterface, CacheViewOp>(op))
        continue;
      SmallVector<MemoryEffects::EffectInstance> instances;
      effects.getEffects(instances);
      auto touched = [&](bool written) {
        llvm::SetVector<Value> buffers;
        for (const MemoryEffects::EffectInstance &e : instances)
          if (e.getValue() && isa<MemRefType>(e.getValue().getType()) &&
              isa<MemoryEffects::Write>(e.getEffect()) == written)
            buffers.insert(e.getValue());
        if (llvm::any_of(instances, [](const auto &e) { return e.getResource()->getName() == "attn.cache"; }))
          for (Value operand : op.getOperands())
            if (auto view = operand.getDefiningOp<CacheViewOp>(); view && (!written || isa<CacheAppendOp>(op)))
              buffers.insert(view.getPages());
        return buffers;
      };
      OpBuilder b(&op);
      for (Value buffer : touched(/*written=*/false))
        if (!isOnHost(func, buffer) && current.insert(buffer).second)
          CopyToHostOp::create(b, op.getLoc(), buffer);
      b.setInsertionPointAfter(&op);
      for (Value buffer : touched(/*written=*/true)) {
        CopyToDeviceOp::create(b, op.getLoc(), buffer);
        current.insert(buffer);
      }
    }
  }
};
} // namespace
} // namespace attnc
