//===- FuseNorms.cpp - Layer and RMS norms into the products that read them ------------------===//
#include "passes/Passes.h"
#include "passes/Remarks.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace attnc {
#define GEN_PASS_DEF_FUSENORMS
#include "passes/Passes.h.inc"

namespace {
using namespace attn;

template <typename Norm> struct FuseNorm : OpRewritePattern<Norm> {
  using OpRewritePattern<Norm>::OpRewritePattern;

  LogicalResult matchAndRewrite(Norm norm, PatternRewriter &rewriter) const override {
    if (!norm.getResult() || norm->use_empty())
      return failure(); // not a candidate: no remark
    Value input = norm.getInput();
    auto fail = [&](const Twine &reason) { return rewriter.notifyMatchFailure(norm, "norm not fused: " + reason); };
    SmallVector<LinearOp> linears;
    for (OpOperand &use : norm.getResult().getUses()) {
      auto linear = dyn_cast<LinearOp>(use.getOwner());
      if (!linear || use.getOperandNumber() != 0)
        return fail("its result is also " + Twine(linear ? "the residual of '" : "used by '") +
                    use.getOwner()->getName().getStringRef() + "'; let the inputs of products be its only uses");
      if (linear.getNorm() != NormKind::none)
        return fail("a product that reads it already has a norm");
      linears.push_back(linear);
    }
    NormKind kind = std::is_same_v<Norm, LayerNormOp> ? NormKind::layer : NormKind::rms;
    for (LinearOp linear : linears)
      rewriter.modifyOpInPlace(linear, [&] {
        linear.getInputMutable().assign(input);
        linear.getGammaMutable().assign(norm.getGamma());
        if (norm.getBeta())
          linear.getBetaMutable().assign(norm.getBeta());
        linear.setNorm(kind);
        linear.setEpsilonAttr(norm.getEpsilonAttr());
      });
    rewriter.eraseOp(norm);
    return success();
  }
};

struct FuseNorms : impl::FuseNormsBase<FuseNorms> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FuseNorm<LayerNormOp>, FuseNorm<RMSNormOp>>(&getContext());
    if (failed(applyPatterns(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
} // namespace attnc
