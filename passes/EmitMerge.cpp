//===- EmitMerge.cpp - Softmax states over different keys as one ----------------------------------===//
//
// Milakov and Gimelshein 2018, in base 2: a state is a maximum m, a denominator l and a sum of values o. Merging blocks
// in order gives the same bits whether one task walks over all of them or each is a part of its own.
//
//===----------------------------------------------------------------------------------===//
#include "passes/AttentionEmitter.h"

namespace attnc {
using namespace attn;

MergedSoftmax::MergedSoftmax(Emit &e, Value max1, Value sum1, Value max2, Value sum2) {
  max = e.maxf(max1, max2);
  keep = emitExp2(e, e.subf(max1, max));
  add = emitExp2(e, e.subf(max2, max));
  sum = math::FmaOp::create(e.b, e.loc, sum2, add, e.mulf(sum1, keep));
}

FinishedSoftmax::FinishedSoftmax(Emit &e, Value max, Value sum, Value sinkLogit) : e(e), max(max), sum(sum) {
  Value one = e.f32(1), keep = one;
  if (sinkLogit) {
    MergedSoftmax with(e, max, sum, e.mulf(sinkLogit, e.f32(kLog2e)), one);
    this->max = with.max;
    this->sum = with.sum;
    keep = with.keep;
  }
  none = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, sum, e.f32(0));
  // A row without keys is 0, or what patchMaskedRow left there.
  scale = e.select(none, one, e.divf(keep, this->sum));
  none = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, this->sum, e.f32(0));
}

Value FinishedSoftmax::lse() {
  Value lse = e.mulf(e.addf(max, math::Log2Op::create(e.b, e.loc, sum)), e.f32(1 / kLog2e));
  return e.select(none, e.f32(-std::numeric_limits<double>::infinity()), lse);
}

namespace {
/// parts[0] and its maximum and denominator take in the others, in order.
struct EmitMergeAttention : OpRewritePattern<MergeAttentionOp> {
  TargetAttr target;
  EmitMergeAttention(MLIRContext *context, TargetAttr target) : OpRewritePattern(context), target(target) {}
  LogicalResult matchAndRewrite(MergeAttentionOp op, PatternRewriter &rewriter) const override {
    Emit e(rewriter, op.getLoc(), target.getLanes());
    Value parts = op.getParts(), maxima = op.getMaxima(), zero = e.idx(0), one = e.idx(1);
    int64_t width = cast<MemRefType>(parts.getType()).getDimSize(2);
    int64_t headDimV = cast<MemRefType>(op.getInit().getType()).getDimSize(2);
    Value group = e.dim(op.getInit(), 1);
    e.loop(zero, e.dim(parts, 1), 1, [&](Value row) {
      SmallVector<Value> state = {e.load1(maxima, {zero, row, zero}), e.load1(maxima, {zero, row, one})};
      state = e.loop(one, e.dim(parts, 0), 1, state, [&](Value s, ValueRange carried) {
        MergedSoftmax merged(e, carried[0], carried[1], e.load1(maxima, {s, row, zero}), e.load1(maxima, {s, row, one}));
        Value keep = e.broadcast(merged.keep), add = e.broadcast(merged.add);
        e.overVectors(width, {}, [&](Value d, Value mask, ValueRange) -> SmallVector<Value> {
          Value o = e.mulf(e.load(parts, {zero, row, d}, mask), keep);
          e.store(e.fma(e.load(parts, {s, row, d}, mask), add, o), parts, {zero, row, d}, mask);
          return {};
        });
        return SmallVector<Value>{merged.max, merged.sum};
      });
      Value q = e.divFloor(row, group), g = e.rem(row, group);
      FinishedSoftmax finished(e, state[0], state[1], op.getSinkLogits() ? e.load1(op.getSinkLogits(), g) : Value());
      Value scale = e.broadcast(finished.scale);
      e.overVectors(headDimV, {}, [&](Value d, Value mask, ValueRange) -> SmallVector<Value> {
        e.store(e.mulf(e.load(parts, {zero, row, d}, mask), scale), op.getInit(), {q, g, d}, mask);
        return {};
      });
      if (op.getLse())
        e.store1(finished.lse(), op.getLse(), {q, g});
    });
    rewriter.eraseOp(op);
    return success();
  }
};
} // namespace

void populateMergeAttention(RewritePatternSet &patterns, TargetAttr target) {
  patterns.add<EmitMergeAttention>(patterns.getContext(), target);
}

} // namespace attnc
