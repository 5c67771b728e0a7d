//===- Elementwise.cpp - linalg ops that compute every element by itself ------------------------------===//
#include "backends/halide/Emitters.h"
#include "backends/halide/Region.h"
#include "backends/halide/Schedule.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace attnc::halide {
using namespace Halide;
using llvm::Error;
using mlir::MemRefType;
using mlir::Value;

static bool isBool(Value buffer) { return llvm::cast<MemRefType>(buffer.getType()).getElementType().isInteger(1); }

static Error define(Pipeline &p, Value init, const RowIndex &index, Expr value) {
  Func result(p.op()->getName().stripDialect().str());
  result(index.elements()) = p.narrow(value, init);
  scheduleElements(p.device, result, columnsOf(init));
  p.define(init, result);
  return Error::success();
}

/// A linalg op that writes one element per point of its loops, in the result's order.
Error emitElementwise(Pipeline &p) {
  auto op = llvm::cast<mlir::linalg::LinalgOp>(p.op());
  if (op.getNumDpsInits() != 1 || op.getNumParallelLoops() != op.getNumLoops() ||
      !op.getIndexingMapsArray().back().isIdentity())
    return refuse("it is not elementwise over one result");
  Value init = op.getDpsInits()[0];
  RowIndex index(init);
  std::vector<Expr> loops = index.at(index.column);
  llvm::SmallVector<Expr> arguments;
  for (mlir::OpOperand *operand : op.getDpsInputOperands()) {
    if (!llvm::isa<MemRefType>(operand->get().getType())) {
      arguments.push_back(p.scalar(operand->get()));
      continue;
    }
    std::vector<Expr> at;
    for (mlir::AffineExpr expr : op.getMatchingIndexingMap(operand).getResults()) {
      if (auto dim = llvm::dyn_cast<mlir::AffineDimExpr>(expr))
        at.push_back(loops[dim.getPosition()]);
      else if (auto constant = llvm::dyn_cast<mlir::AffineConstantExpr>(expr))
        at.push_back(int32_t(constant.getValue()));
      else
        return refuse("an operand's index is computed");
    }
    Expr value = p.load(operand->get(), at);
    arguments.push_back(isBool(operand->get()) ? value != 0 : value);
  }
  if (!op.getBlock()->getArguments().back().use_empty())
    return refuse("it reads what it writes");
  arguments.push_back(Expr()); // what the result held before
  auto values = translate(p, *op.getBlock(), arguments,
                          [&](mlir::Operation *inner, llvm::ArrayRef<Expr>) -> llvm::Expected<Expr> {
                            if (auto loop = llvm::dyn_cast<mlir::linalg::IndexOp>(inner))
                              return cast<int64_t>(loops[loop.getDim()]);
                            return refuse("'" + inner->getName().getStringRef() + "' has no Halide counterpart");
                          });
  if (!values)
    return values.takeError();
  return define(p, init, index, values->front());
}

Error emitCopy(Pipeline &p) {
  auto op = llvm::cast<mlir::memref::CopyOp>(p.op());
  RowIndex index(op.getTarget());
  return define(p, op.getTarget(), index, p.load(op.getSource(), index.at(index.column)));
}

} // namespace attnc::halide
