//===- ChooseLayouts.cpp - Keys and values in the micro-kernel's layout ------------------===//
#include "passes/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace attnc {
#define GEN_PASS_DEF_CHOOSELAYOUTS
#include "passes/Passes.h.inc"

namespace {
using namespace attn;

struct PackKeysAndValues : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    if (!op.getKey() || op.isPacked())
      return rewriter.notifyMatchFailure(op, "keys are cached or packed already");
    auto key = cast<RankedTensorType>(op.getKey().getType());
    int64_t batch = key.getDimSize(0), keys = key.getDimSize(key.getRank() == 3 ? 1 : 2), heads = op.getKvHeads();
    Value offsets = op.getRaggedKeys() ? op.getRaggedKeys() : op.getRagged();
    int64_t panels = ShapedType::isDynamic(keys) || offsets ? ShapedType::kDynamic : llvm::divideCeil(keys, kKeyPanel);
    Type f32 = rewriter.getF32Type();
    Value packedKeys = PackKeysOp::create(
        rewriter, op.getLoc(), RankedTensorType::get({batch, heads, panels, op.getHeadDim(), kKeyPanel}, f32),
        op.getKey(), offsets, Value(), heads).getResult();
    Value packedValues = PackValuesOp::create(
        rewriter, op.getLoc(),
        RankedTensorType::get({batch, heads, keys, (int64_t)llvm::alignTo(op.getHeadDimV(), kPanel)}, f32),
        op.getValue(), Value(), heads).getResult();
    rewriter.modifyOpInPlace(op, [&] {
      op.getKeyMutable().assign(packedKeys);
      op.getValueMutable().assign(packedValues);
      op.setNumKvHeads(heads);
    });
    return success();
  }
};

/// Arguments of an entry that only attention reads need not be contiguous.
void markStrided(func::FuncOp func) {
  if (!func.isPublic())
    return;
  for (BlockArgument argument : func.getArguments()) {
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    bool strided = type && type.getRank() > 0 && llvm::all_of(argument.getUses(), [](OpOperand &use) {
      return isa<PackKeysOp, PackValuesOp, LinearAttentionOp>(use.getOwner()) ||
             (isa<AttentionOp>(use.getOwner()) && use.getOperandNumber() == 0);
    });
    if (strided && !argument.use_empty())
      func.setArgAttr(argument.getArgNumber(), kStridedAttr, UnitAttr::get(func.getContext()));
  }
}

struct ChooseLayouts : impl::ChooseLayoutsBase<ChooseLayouts> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<PackKeysAndValues>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
    markStrided(getOperation());
  }
};
} // namespace
} // namespace attnc
