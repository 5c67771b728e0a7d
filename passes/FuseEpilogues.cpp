//===- FuseEpilogues.cpp - Bias, activation and residual into products and lookups -----------===//
//
// attn.linear computes activation(x·W + bias) + residual, so they fuse in that order. The fused op stands where the
// last of the fused ops stood: there every operand is available.
//
//===----------------------------------------------------------------------------------===//
#include "passes/Passes.h"
#include "passes/Remarks.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace attnc {
#define GEN_PASS_DEF_FUSEEPILOGUES
#include "passes/Passes.h.inc"

namespace {
using namespace attn;

/// The vector that `value` repeats along all dimensions but the last, or null.
Value broadcastVector(Value value) {
  auto op = value.getDefiningOp<linalg::LinalgOp>();
  if (!op || op.getNumDpsInputs() != 1 || op->getNumResults() != 1)
    return Value();
  Value input = op.getDpsInputs()[0];
  auto type = dyn_cast<RankedTensorType>(input.getType());
  int64_t rank = op.getNumLoops();
  if (!type || type.getRank() != 1 || op.getNumParallelLoops() != rank || rank < 2)
    return Value();
  Operation *yield = op.getBlock()->getTerminator();
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  bool repeats = maps[0] == AffineMap::get(rank, 0, getAffineDimExpr(rank - 1, value.getContext())) &&
                 maps[1].isIdentity() && yield->getOperand(0) == op.getBlock()->getArgument(0);
  return repeats ? input : Value();
}

/// Replaces `root` by a copy of `producer` at its place, changed by `change`.
template <typename Op, typename Change>
void fuse(Operation *root, Op producer, PatternRewriter &rewriter, Change change) {
  rewriter.setInsertionPoint(root);
  auto fused = cast<Op>(rewriter.clone(*producer));
  rewriter.modifyOpInPlace(fused, [&] { change(fused); });
  rewriter.replaceOp(root, fused->getResults());
}

struct FuseAdd : OpRewritePattern<arith::AddFOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(arith::AddFOp add, PatternRewriter &rewriter) const override {
    // Of two producers the later takes the other as its residual.
    SmallVector<std::pair<Operation *, Value>, 2> producers;
    for (auto [value, other] : {std::pair(add.getLhs(), add.getRhs()), {add.getRhs(), add.getLhs()}})
      if (Operation *op = value.getDefiningOp(); isa_and_nonnull<LinearOp, EmbeddingOp>(op))
        producers.push_back({op, other});
    if (producers.empty())
      return failure(); // not a candidate: no remark
    if (producers.size() == 2 && producers[0].first->getBlock() == producers[1].first->getBlock() &&
        producers[0].first->isBeforeInBlock(producers[1].first))
      std::swap(producers[0], producers[1]);

    std::string reason;
    for (auto [producer, other] : producers) {
      if (!producer->hasOneUse()) {
        reason = "the product is also used elsewhere; let the addition be its only use";
        continue;
      }
      if (auto embedding = dyn_cast<EmbeddingOp>(producer)) {
        if (embedding.getResidual()) {
          reason = "the embedding already adds a tensor; add the two tensors first";
          continue;
        }
        fuse(add, embedding, rewriter, [&, other = other](EmbeddingOp op) { op.getResidualMutable().assign(other); });
        return success();
      }
      auto linear = cast<LinearOp>(producer);
      if (Value bias = broadcastVector(other)) {
        if (linear.getBias())
          reason = "the product already has a bias; add the two vectors first";
        else if (linear.getActivation() != ActivationKind::none)
          reason = "the bias is added after the activation; add it before";
        else {
          fuse(add, linear, rewriter, [&](LinearOp op) { op.getBiasMutable().assign(bias); });
          return success();
        }
        continue;
      }
      if (linear.getResidual()) {
        reason = "the product already adds a residual; add the two tensors first";
        continue;
      }
      fuse(add, linear, rewriter, [&, other = other](LinearOp op) { op.getResidualMutable().assign(other); });
      return success();
    }
    return rewriter.notifyMatchFailure(add, "addition not fused: " + Twine(reason));
  }
};

struct FuseActivation : OpRewritePattern<ActivationOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ActivationOp activation, PatternRewriter &rewriter) const override {
    auto linear = activation.getInput().getDefiningOp<LinearOp>();
    if (!linear || activation.getTimes())
      return failure(); // not a candidate: no remark
    auto fail = [&](const Twine &reason) {
      return rewriter.notifyMatchFailure(activation, "activation not fused: " + reason);
    };
    if (!linear->hasOneUse())
      return fail("the product is also used elsewhere; let the activation be its only use");
    if (linear.getResidual())
      return fail("the product adds a residual before the activation; add it after");
    if (linear.getActivation() != ActivationKind::none)
      return fail("the product already has an activation");
    fuse(activation, linear, rewriter, [&](LinearOp op) { op.setActivation(activation.getKind()); });
    return success();
  }
};

struct FuseEpilogues : impl::FuseEpiloguesBase<FuseEpilogues> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FuseAdd, FuseActivation>(&getContext());
    if (failed(applyPatterns(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
} // namespace attnc
