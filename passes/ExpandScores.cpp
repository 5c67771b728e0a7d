//===- ExpandScores.cpp - Biases and masks that have a name become regions of attention ----===//
#include "passes/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace attnc {
#define GEN_PASS_DEF_EXPANDSCORES
#include "passes/Passes.h.inc"

namespace {
using namespace attn;

/// The end of a score or mask region: what it yields so far, and its arguments.
struct RegionEnd {
  ImplicitLocOpBuilder b;
  YieldOp yield;
  Value batch, head, query, key; // i32: b, h, i, j

  /// A region that is empty is made: it yields the score, or true.
  RegionEnd(AttentionOp op, ScoreRegion kind) : b(op.getLoc(), op.getContext()) {
    Region &region = op->getRegion(unsigned(kind));
    if (region.empty()) {
      SmallVector<Type> types = regionArguments(op.getContext(), kind);
      b.createBlock(&region, region.end(), types, SmallVector<Location>(types.size(), op.getLoc()));
      Value all = kind == ScoreRegion::mask ? arith::ConstantOp::create(b, b.getBoolAttr(true)).getResult()
                                            : region.getArgument(0);
      YieldOp::create(b, all);
    }
    yield = cast<YieldOp>(region.front().getTerminator());
    b.setInsertionPoint(yield);
    unsigned first = region.getNumArguments() - 4;
    batch = region.getArgument(first);
    head = region.getArgument(first + 1);
    query = region.getArgument(first + 2);
    key = region.getArgument(first + 3);
  }

  Value load(Value source, ValueRange at) {
    Type type = cast<ShapedType>(source.getType()).getElementType();
    return LoadOp::create(b, type, source, at, Value());
  }
  Value constant(int32_t value) { return arith::ConstantOp::create(b, b.getI32IntegerAttr(value)); }
  /// j - i.
  Value distance() { return arith::SubIOp::create(b, key, query); }
  Value compare(arith::CmpIPredicate predicate, Value lhs, Value rhs) {
    return arith::CmpIOp::create(b, predicate, lhs, rhs);
  }
  void add(Value bias) { yield.getValueMutable().assign(arith::AddFOp::create(b, yield.getValue(), bias)); }
  void keep(Value visible) { yield.getValueMutable().assign(arith::AndIOp::create(b, yield.getValue(), visible)); }
};

/// slope[h]·(j - i).
void expandAlibi(AttentionOp op) {
  RegionEnd end(op, ScoreRegion::score);
  Value slope = end.load(op.getAlibi(), end.head);
  Value distance = arith::SIToFPOp::create(end.b, end.b.getF32Type(), end.distance());
  end.add(arith::MulFOp::create(end.b, slope, distance));
  op.getAlibiMutable().clear();
}

/// table[h, clamp(j - i, -R, R) + R]: a clamp of an affine index, which vectors load contiguously.
void expandRelative(AttentionOp op) {
  RegionEnd end(op, ScoreRegion::score);
  int32_t reach = cast<ShapedType>(op.getRelative().getType()).getDimSize(1) / 2; // R
  Value low = arith::MaxSIOp::create(end.b, end.distance(), end.constant(-reach));
  Value clamped = arith::MinSIOp::create(end.b, low, end.constant(reach));
  Value column = arith::AddIOp::create(end.b, clamped, end.constant(reach));
  end.add(end.load(op.getRelative(), {end.head, column}));
  op.getRelativeMutable().clear();
}

/// j ≤ i or j < n[b]: causal but for the prefix, so it takes the place of `causal`.
void expandPrefix(AttentionOp op) {
  RegionEnd end(op, ScoreRegion::mask);
  Value length = end.load(op.getPrefix(), end.batch), key = end.key;
  if (length.getType() != key.getType()) // lengths of i64 may be beyond i32
    key = arith::ExtSIOp::create(end.b, length.getType(), key);
  Value past = end.compare(arith::CmpIPredicate::sle, end.key, end.query);
  Value inPrefix = end.compare(arith::CmpIPredicate::slt, key, length);
  end.keep(arith::OrIOp::create(end.b, past, inPrefix));
  op.getPrefixMutable().clear();
  op.setCausal(false);
}

/// ids[b, i] == ids[b, j].
void expandDocuments(AttentionOp op) {
  RegionEnd end(op, ScoreRegion::mask);
  Value own = end.load(op.getDocuments(), {end.batch, end.query});
  Value other = end.load(op.getDocuments(), {end.batch, end.key});
  end.keep(end.compare(arith::CmpIPredicate::eq, own, other));
  op.getDocumentsMutable().clear();
}

struct ExpandScores : impl::ExpandScoresBase<ExpandScores> {
  void runOnOperation() override {
    getOperation().walk([](AttentionOp op) {
      if (op.getAlibi())
        expandAlibi(op);
      if (op.getRelative())
        expandRelative(op);
      if (op.getPrefix())
        expandPrefix(op);
      if (op.getDocuments())
        expandDocuments(op);
    });
  }
};
} // namespace
} // namespace attnc
