//===- FoldLayouts.cpp - Splitting and merging heads becomes indexing of attention -----------===//
#include "passes/Passes.h"
#include "passes/Remarks.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace attnc {
#define GEN_PASS_DEF_FOLDLAYOUTS
#include "passes/Passes.h.inc"

namespace {
using namespace attn;

/// [batch, seq, heads, head_dim] to [batch, seq, heads*head_dim].
SmallVector<ReassociationIndices> features() { return {{0}, {1}, {2, 3}}; }

/// Whether `op` swaps heads and sequence of a rank 4 tensor.
linalg::TransposeOp swapsHeads(Operation *op) {
  auto transpose = dyn_cast_or_null<linalg::TransposeOp>(op);
  return transpose && transpose.getPermutation() == ArrayRef<int64_t>{0, 2, 1, 3} ? transpose : linalg::TransposeOp();
}

/// Whether `heads` [batch, heads, seq, head_dim] is a view of [batch, seq, heads*head_dim].
bool isSplit(Value heads) { return heads.getDefiningOp<SplitHeadsOp>() || swapsHeads(heads.getDefiningOp()); }

/// That [batch, seq, heads*head_dim].
Value unsplit(Value heads, PatternRewriter &rewriter) {
  if (auto split = heads.getDefiningOp<SplitHeadsOp>())
    return split.getInput();
  Value input = swapsHeads(heads.getDefiningOp()).getInput();
  if (auto expand = input.getDefiningOp<tensor::ExpandShapeOp>())
    if (expand.getReassociationIndices() == features())
      return expand.getSrc();
  return tensor::CollapseShapeOp::create(rewriter, heads.getLoc(), input, features());
}

struct FoldHeads : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(AttentionOp attention, PatternRewriter &rewriter) const override {
    if (!attention.getResult() || attention.isPacked() ||
        cast<ShapedType>(attention.getQuery().getType()).getRank() != 4)
      return failure(); // not a candidate: no remark
    auto fail = [&](const Twine &reason) {
      return rewriter.notifyMatchFailure(attention, "heads not folded into attention: " + reason);
    };
    for (auto [name, value] :
         {std::pair("query", attention.getQuery()), {"key", attention.getKey()}, {"value", attention.getValue()}}) {
      if (value && !isSplit(value))
        return fail(Twine(name) +
                    " does not come from attn.split_heads or a transpose of [batch, seq, heads, head_dim]");
      if (value && ShapedType::isDynamic(cast<ShapedType>(value.getType()).getDimSize(3)))
        return fail("expected a static head_dim of " + Twine(name));
    }
    Value result = attention.getResult();
    Operation *merge = result.hasOneUse() ? *result.user_begin() : nullptr;
    bool transposed = merge && swapsHeads(merge);
    if (!isa_and_nonnull<MergeHeadsOp>(merge) && !transposed)
      return fail("expected the result to be used once, by attn.merge_heads or a transpose to "
                  "[batch, seq, heads, head_dim]");

    // [batch, heads, queries, head_dim_v] to [batch, queries, heads*head_dim_v]
    auto type = cast<RankedTensorType>(result.getType());
    int64_t heads = attention.getHeads(), kvHeads = attention.getKvHeads();
    auto packed = RankedTensorType::get({type.getDimSize(0), type.getDimSize(2), heads * type.getDimSize(3)},
                                        type.getElementType());
    rewriter.setInsertionPoint(attention);
    Value query = unsplit(attention.getQuery(), rewriter), key, value;
    if (attention.getKey())
      key = unsplit(attention.getKey(), rewriter), value = unsplit(attention.getValue(), rewriter);
    auto folded = cast<AttentionOp>(rewriter.clone(*attention));
    rewriter.modifyOpInPlace(folded, [&] {
      folded.getQueryMutable().assign(query);
      if (key) {
        folded.getKeyMutable().assign(key);
        folded.getValueMutable().assign(value);
      }
      folded.setNumHeads(heads);
      if (kvHeads != heads)
        folded.setNumKvHeads(kvHeads);
      folded.getResult().setType(packed);
    });
    rewriter.setInsertionPointAfter(folded);
    Value replacement = folded.getResult();
    if (transposed) {
      auto split = cast<RankedTensorType>(merge->getResult(0).getType());
      SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(rewriter, attention.getLoc(), replacement);
      sizes.back() = rewriter.getIndexAttr(heads);
      sizes.push_back(rewriter.getIndexAttr(type.getDimSize(3)));
      auto expanded = split.clone({type.getDimSize(0), type.getDimSize(2), heads, type.getDimSize(3)});
      replacement =
          tensor::ExpandShapeOp::create(rewriter, attention.getLoc(), expanded, replacement, features(), sizes);
    }
    if (replacement.getType() != merge->getResult(0).getType())
      replacement = tensor::CastOp::create(rewriter, attention.getLoc(), merge->getResult(0).getType(), replacement);
    rewriter.replaceOp(merge, replacement);
    if (attention.getLse())
      rewriter.replaceAllUsesWith(attention.getLse(), folded.getLse());
    rewriter.eraseOp(attention);
    return success();
  }
};

struct FoldLayouts : impl::FoldLayoutsBase<FoldLayouts> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FoldHeads>(&getContext());
    tensor::CollapseShapeOp::getCanonicalizationPatterns(patterns, &getContext());
    tensor::ExpandShapeOp::getCanonicalizationPatterns(patterns, &getContext());
    if (failed(applyPatterns(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
} // namespace attnc
