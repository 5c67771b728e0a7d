//===- EmitElementwise.cpp - linalg.generic over rows to tasks, and to vector loops ---------===//
//
// What users compute with arith and math on tensors and no op of ours took: each operand is whole rows, one row for all, or a
// number for all. Everything else stays a loop over elements.
//
//===----------------------------------------------------------------------------------===//
#include "passes/RowPattern.h"
#include "passes/Tiler.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace attnc {

namespace {

bool isElementwise(linalg::GenericOp op) {
  return op.hasPureBufferSemantics() && op.getNumParallelLoops() == op.getNumLoops() && op.getNumDpsInits() == 1 &&
         op.getNumLoops() >= 2 && !op.hasIndexSemantics();
}

/// One row for all: an operand of the last loop's index alone.
bool isRow(AffineMap map) {
  return map == AffineMap::get(map.getNumDims(), 0, getAffineDimExpr(map.getNumDims() - 1, map.getContext()));
}

struct EmitElementwise : OpRewritePattern<linalg::GenericOp> {
  attn::TargetAttr target;
  EmitElementwise(MLIRContext *context, attn::TargetAttr target) : OpRewritePattern(context), target(target) {}

  /// f32, and i1 between the ops.
  static bool isLane(Value value) { return value.getType().isF32() || value.getType().isInteger(1); }

  static bool isVectorised(linalg::GenericOp op) {
    if (!isElementwise(op) || op.getNumLoops() != 2)
      return false;
    for (OpOperand &operand : op->getOpOperands()) {
      AffineMap map = op.getMatchingIndexingMap(&operand);
      auto type = dyn_cast<MemRefType>(operand.get().getType());
      if (!getElementTypeOrSelf(operand.get().getType()).isF32() || (type && !type.areTrailingDimsContiguous(1)) ||
          !(map.isIdentity() || (type && isRow(map)) || (!type && map.getNumResults() == 0)))
        return false;
    }
    return !ShapedType::isDynamic(lastDim(op.getDpsInits()[0])) &&
           llvm::all_of(op.getBody()->without_terminator(), [](Operation &inner) {
             return isa_and_nonnull<arith::ArithDialect, math::MathDialect>(inner.getDialect()) &&
                    inner.getNumResults() == 1 && inner.getNumRegions() == 0 && isLane(inner.getResult(0)) &&
                    llvm::all_of(inner.getOperands(), isLane);
           }) && isLane(op.getBody()->getTerminator()->getOperand(0));
  }

  LogicalResult matchAndRewrite(linalg::GenericOp op, PatternRewriter &rewriter) const override {
    if (!isVectorised(op))
      return failure();
    Emit e(rewriter, op.getLoc(), target.getLanes());
    Value out = op.getDpsInits()[0];
    Block &body = *op.getBody();
    e.loop(e.idx(0), e.dim(out, 0), 1, [&](Value r) {
      e.overVectors(lastDim(out), {}, [&](Value j, Value mask, ValueRange) -> SmallVector<Value> {
        IRMapping lanes;
        for (auto [operand, argument] : llvm::zip(op->getOpOperands(), body.getArguments())) {
          if (argument.use_empty())
            continue;
          Value value = operand.get();
          if (isa<MemRefType>(value.getType()))
            value = op.getMatchingIndexingMap(&operand).isIdentity() ? e.load(value, {r, j}, mask) : e.load(value, j, mask);
          else
            value = e.broadcast(value);
          lanes.map(argument, value);
        }
        auto vectorOf = [&](Type type) { return VectorType::get({e.lanes}, type); };
        auto take = [&](Value value) { // one number for all lanes, if it comes from outside
          if (!lanes.contains(value))
            lanes.map(value, vector::BroadcastOp::create(e.b, e.loc, vectorOf(value.getType()), value));
          return lanes.lookup(value);
        };
        for (Operation &inner : body.without_terminator()) {
          if (inner.hasTrait<OpTrait::ConstantLike>()) {
            Value constant = e.b.clone(inner)->getResult(0);
            lanes.map(inner.getResult(0), vector::BroadcastOp::create(e.b, e.loc, vectorOf(constant.getType()), constant));
            continue;
          }
          for (Value operand : inner.getOperands())
            take(operand);
          Operation *vector = e.b.clone(inner, lanes);
          vector->getResult(0).setType(vectorOf(inner.getResult(0).getType()));
        }
        e.store(take(body.getTerminator()->getOperand(0)), out, {r, j}, mask);
        return {};
      });
    });
    rewriter.eraseOp(op);
    return success();
  }
};
} // namespace

std::optional<LogicalResult> tileElementwise(Tiler &tiler, linalg::GenericOp op) {
  Emit &e = tiler.e;
  if (!isElementwise(op))
    return std::nullopt;
  MLIRContext *context = op.getContext();
  SmallVector<AffineMap> maps;
  IRMapping rows; // operands of [rows, K]
  for (OpOperand &operand : op->getOpOperands()) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    if (!map.isIdentity() && !isRow(map) && map.getNumResults() != 0)
      return std::nullopt;
    maps.push_back(AffineMap::get(2, 0, context));
    if (map.isIdentity())
      maps.back() = AffineMap::getMultiDimIdentityMap(2, context);
    else if (isRow(map))
      maps.back() = AffineMap::get(2, 0, getAffineDimExpr(1, context));
  }
  for (OpOperand &operand : op->getOpOperands())
    if (op.getMatchingIndexingMap(&operand).isIdentity() && !rows.contains(operand.get())) {
      Value flat = rowsOfOperand(e, operand.get());
      if (!flat)
        return std::nullopt;
      rows.map(operand.get(), flat);
    }
  Value count = e.dim(rows.lookup(op.getDpsInits()[0]), 0);
  forTasks(e, e.divCeil(count, kRowBlock), op, [&](Value task) {
    Value first = e.mul(task, kRowBlock), size = e.min(e.idx(kRowBlock), e.sub(count, first));
    IRMapping map;
    for (Value operand : op->getOperands())
      if (Value flat = rows.lookupOrNull(operand); flat && !map.contains(operand))
        map.map(operand, rowsOf(e, flat, first, size));
    auto part = cast<linalg::GenericOp>(e.b.clone(*op, map));
    part.setIndexingMapsAttr(e.b.getAffineMapArrayAttr(maps));
    auto parallel = linalg::IteratorTypeAttr::get(context, utils::IteratorType::parallel);
    part.setIteratorTypesAttr(e.b.getArrayAttr({parallel, parallel}));
  });
  return success();
}

void populateEmitElementwise(RewritePatternSet &patterns, attn::TargetAttr target) {
  patterns.add<EmitElementwise>(patterns.getContext(), target);
}

} // namespace attnc
