//===- RowPattern.h - What the emitters of ops over rows share ------------------------------===//
#ifndef ATTNC_PASSES_ROWPATTERN_H
#define ATTNC_PASSES_ROWPATTERN_H

#include "passes/Tasks.h"

namespace attnc {

template <typename Op> struct RowPattern : OpRewritePattern<Op> {
  attn::TargetAttr target;
  RowPattern(MLIRContext *context, attn::TargetAttr target) : OpRewritePattern<Op>(context), target(target) {}
  virtual void emit(Emit &e, Op op) const = 0;
  LogicalResult matchAndRewrite(Op op, PatternRewriter &rewriter) const override {
    Emit e(rewriter, op.getLoc(), target.getLanes());
    emit(e, op);
    rewriter.eraseOp(op);
    return success();
  }
};

inline int64_t lastDim(Value memref) { return cast<MemRefType>(memref.getType()).getShape().back(); }

/// `yes()` if the condition holds, else `no()`.
inline Value choose(Emit &e, Value condition, Type type, function_ref<Value()> yes, function_ref<Value()> no) {
  auto choice = scf::IfOp::create(e.b, e.loc, TypeRange(type), condition, /*withElse=*/true);
  OpBuilder::InsertionGuard guard(e.b);
  e.b.setInsertionPointToStart(choice.thenBlock());
  scf::YieldOp::create(e.b, e.loc, ValueRange(yes()));
  e.b.setInsertionPointToStart(choice.elseBlock());
  scf::YieldOp::create(e.b, e.loc, ValueRange(no()));
  return choice.getResult(0);
}

/// `read()` where an optional argument was given at run time, else `otherwise`.
inline Value ifGiven(Emit &e, Value memref, Value otherwise, function_ref<Value()> read) {
  Value pointer = memref::ExtractAlignedPointerAsIndexOp::create(e.b, e.loc, memref);
  Value given = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ne, pointer, e.idx(0));
  return choose(e, given, otherwise.getType(), read, [&] { return otherwise; });
}

/// Whether element `at` of a mask of integers is not zero.
inline Value isKept(Emit &e, Value mask, ValueRange at) {
  return arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ne, e.toIndex(e.load1(mask, at)), e.idx(0));
}

} // namespace attnc

#endif // ATTNC_PASSES_ROWPATTERN_H
