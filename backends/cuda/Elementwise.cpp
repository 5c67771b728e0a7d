//===- Elementwise.cpp - Ops that compute every element by itself -----------------------------------===//
#include "backends/cuda/Emitters.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace attnc::cuda {
using llvm::Error;

namespace {
constexpr int64_t kThreads = 256;
} // namespace

/// A thread for each element.
void mapElements(Kernel &k, Value out, function_ref<Value(ArrayRef<Value>)> map) {
  Value at = k.add(k.tile(kThreads, k.axis(out, kElements, kThreads))[0], k.thread());
  k.ifThen(k.less(at, k.size(out, kElements)), [&] {
    SmallVector<Value> index(rankOf(out));
    Value rest = at;
    for (int64_t d = rankOf(out); d-- > 1;) {
      index[d] = k.rem(rest, k.size(out, d));
      rest = k.divFloor(rest, k.size(out, d));
    }
    index[0] = rest;
    k.write(map(index), out, index);
  });
}

/// A linalg op that writes one element per point of its loops.
Error emitElementwise(Kernel &k) {
  auto op = cast<linalg::LinalgOp>(k.op());
  if (op.getNumDpsInits() != 1 || op.getNumParallelLoops() != op.getNumLoops() ||
      !op.getIndexingMapsArray().back().isIdentity())
    return refuse("it is not elementwise over one result");
  if (!op.getBlock()->getArguments().back().use_empty())
    return refuse("it reads what it writes");
  for (OpOperand *operand : op.getDpsInputOperands())
    for (AffineExpr expr : op.getMatchingIndexingMap(operand).getResults())
      if (!isa<AffineDimExpr, AffineConstantExpr>(expr))
        return refuse("an operand's index is computed");
  for (Operation &inner : *op.getBlock())
    if (inner.getNumRegions())
      return refuse("it contains '" + inner.getName().getStringRef() + "'");
  mapElements(k, op.getDpsInits()[0], [&](ArrayRef<Value> loops) {
    IRMapping map;
    for (OpOperand *operand : op.getDpsInputOperands()) {
      BlockArgument argument = op.getMatchingBlockArgument(operand);
      if (argument.use_empty())
        continue;
      if (!isa<MemRefType>(operand->get().getType())) {
        map.map(argument, k.scalar(operand->get()));
        continue;
      }
      SmallVector<Value> at;
      for (AffineExpr expr : op.getMatchingIndexingMap(operand).getResults())
        if (auto dim = dyn_cast<AffineDimExpr>(expr))
          at.push_back(loops[dim.getPosition()]);
        else
          at.push_back(k.idx(cast<AffineConstantExpr>(expr).getValue()));
      Value element = k.read(operand->get(), at);
      if (isa<FloatType>(element.getType()))
        element = k.fromF32(element, argument.getType());
      map.map(argument, element);
    }
    for (Operation &inner : op.getBlock()->without_terminator()) {
      for (Value operand : inner.getOperands()) // from outside
        if (!map.contains(operand))
          map.map(operand, k.scalar(operand));
      if (auto index = dyn_cast<linalg::IndexOp>(inner))
        map.map(index.getResult(), loops[index.getDim()]);
      else
        k.b.clone(inner, map);
    }
    Value result = op.getBlock()->getTerminator()->getOperand(0);
    return k.f32Or(map.contains(result) ? map.lookup(result) : k.scalar(result));
  });
  return Error::success();
}

Error emitCopy(Kernel &k) {
  auto op = cast<memref::CopyOp>(k.op());
  mapElements(k, op.getTarget(), [&](ArrayRef<Value> at) { return k.read(op.getSource(), at); });
  return Error::success();
}

Error emitScale(Kernel &k) {
  auto op = cast<attn::ScaleOp>(k.op());
  mapElements(k, op.getInit(), [&](ArrayRef<Value> at) {
    return k.mulf(k.read(op.getInput(), at), k.f32(op.getFactor().convertToDouble()));
  });
  return Error::success();
}

Error emitSoftCap(Kernel &k) {
  auto op = cast<attn::SoftCapOp>(k.op());
  double cap = op.getCap().convertToDouble();
  mapElements(k, op.getInit(), [&](ArrayRef<Value> at) {
    return k.mulf(k.math<math::TanhOp>(k.mulf(k.read(op.getInput(), at), k.f32(1 / cap))), k.f32(cap));
  });
  return Error::success();
}

Error emitActivation(Kernel &k) {
  auto op = cast<attn::ActivationOp>(k.op());
  mapElements(k, op.getInit(), [&](ArrayRef<Value> at) {
    Value x = k.read(op.getInput(), at), times = op.getTimes() ? k.read(op.getTimes(), at) : Value();
    auto least = [&](Value a, Value c) { // a < c ? a : c; a NaN in c stays
      return k.select(arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::OLT, a, c), a, c);
    };
    if (op.getLimit()) {
      double limit = op.getLimit()->convertToDouble();
      x = least(k.f32(limit), x);
      times = k.maxf(k.f32(-limit), least(k.f32(limit), times));
    }
    x = attnc::emitActivation(k, op.getKind(), x);
    if (!op.getTimesOffset().isZero())
      times = k.addf(times, k.f32(op.getTimesOffset().convertToDouble()));
    return times ? k.mulf(x, times) : x;
  });
  return Error::success();
}

} // namespace attnc::cuda
