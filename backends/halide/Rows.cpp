//===- Rows.cpp - Ops that compute each row of features by itself -------------------------------===//
#include "backends/halide/Emitters.h"
#include "backends/halide/Math.h"
#include "backends/halide/Schedule.h"

namespace attnc::halide {
using llvm::Error;
using mlir::Value;

namespace {

Expr lowest() { return -std::numeric_limits<float>::infinity(); }

/// Ops whose folds unroll over columns need to know them.
Error expectStatic(Value buffer) {
  return columnsOf(buffer) ? Error::success() : refuse("its last dimension is dynamic");
}

/// init[...] = map(index) of every element.
template <typename Op> Error mapElements(Pipeline &p, Op op, llvm::function_ref<Expr(const std::vector<Expr> &)> map) {
  Value init = op.getInit();
  RowIndex index(init);
  Func result(op->getName().stripDialect().str());
  result(index.elements()) = p.narrow(map(index.at(index.column)), init);
  scheduleElements(p.device, result, columnsOf(init));
  p.define(init, result);
  return Error::success();
}

template <typename Op> Error emitNorm(Pipeline &p, bool isLayer) {
  auto op = llvm::cast<Op>(p.op());
  Value input = op.getInput(), init = op.getInit();
  if (op.getGroups() != 1)
    return refuse("it has groups that are not dimensions");
  if (Error error = expectStatic(input))
    return error;
  int64_t columns = columnsOf(input);
  RowIndex index(init);
  auto x = [&](Expr j) { return p.load(input, index.at(j)); };
  auto mean = [&](std::string name, llvm::function_ref<Expr(Expr)> term) {
    return foldColumns(p, index, name, columns, 0.0f, addOf, term);
  };
  llvm::SmallVector<Fold> folds;
  Expr centre = 0.0f;
  if (isLayer) {
    folds.push_back(mean("mean", x));
    centre = folds.back().total(index.rows()) * float(1.0 / columns);
  }
  folds.push_back(mean("variance", [&](Expr j) {
    Expr d = x(j) - centre;
    return d * d;
  }));
  Expr variance = folds.back().total(index.rows()) * float(1.0 / columns);
  Expr scale = 1.0f / sqrt(variance + float(op.getEpsilon().convertToDouble()));
  Expr gamma = p.load(op.getGamma(), {index.column});
  if (op.getUnitOffset())
    gamma = gamma + 1.0f;
  Expr y = (x(index.column) - centre) * scale * gamma;
  if (op.getBeta())
    y = y + p.load(op.getBeta(), {index.column});
  Func result(isLayer ? "layer_norm" : "rms_norm");
  result(index.elements()) = p.narrow(y, init);
  scheduleRows(p.device, result, columns, folds);
  p.define(init, result);
  return Error::success();
}
} // namespace

Error emitLayerNorm(Pipeline &p) { return emitNorm<attn::LayerNormOp>(p, true); }
Error emitRMSNorm(Pipeline &p) { return emitNorm<attn::RMSNormOp>(p, false); }

Error emitL2Norm(Pipeline &p) {
  auto op = llvm::cast<attn::L2NormOp>(p.op());
  Value input = op.getInput(), init = op.getInit();
  if (Error error = expectStatic(input))
    return error;
  RowIndex index(init);
  auto x = [&](Expr j) { return p.load(input, index.at(j)); };
  Fold squares = foldColumns(p, index, "squares", columnsOf(input), 0.0f, addOf, [&](Expr j) { return x(j) * x(j); });
  Expr length = sqrt(squares.total(index.rows()));
  Func result("l2_norm");
  result(index.elements()) = p.narrow(x(index.column) / maxNum(float(op.getEpsilon().convertToDouble()), length), init);
  scheduleRows(p.device, result, columnsOf(input), squares);
  p.define(init, result);
  return Error::success();
}

Error emitScale(Pipeline &p) {
  auto op = llvm::cast<attn::ScaleOp>(p.op());
  return mapElements(p, op, [&](const std::vector<Expr> &at) {
    return p.load(op.getInput(), at) * float(op.getFactor().convertToDouble());
  });
}

Error emitSoftCap(Pipeline &p) {
  auto op = llvm::cast<attn::SoftCapOp>(p.op());
  double cap = op.getCap().convertToDouble();
  return mapElements(p, op, [&](const std::vector<Expr> &at) {
    Expr x = p.load(op.getInput(), at);
    return keepNaN(x, portable::tanh(x * float(1 / cap)) * float(cap));
  });
}

Error emitActivation(Pipeline &p) {
  auto op = llvm::cast<attn::ActivationOp>(p.op());
  return mapElements(p, op, [&](const std::vector<Expr> &at) {
    Expr x = p.load(op.getInput(), at), times = op.getTimes() ? p.load(op.getTimes(), at) : Expr();
    if (op.getLimit()) {
      float limit = op.getLimit()->convertToDouble();
      x = keepNaN(x, minNum(limit, x));
      times = keepNaN(times, maxNum(-limit, minNum(limit, times)));
    }
    x = portable::activation(op.getKind(), x);
    if (!op.getTimesOffset().isZero())
      times = times + float(op.getTimesOffset().convertToDouble());
    return times.defined() ? x * times : x;
  });
}

Error emitLogSoftmax(Pipeline &p) {
  auto op = llvm::cast<attn::LogSoftmaxOp>(p.op());
  Value input = op.getInput(), init = op.getInit();
  if (Error error = expectStatic(input))
    return error;
  int64_t columns = columnsOf(input);
  RowIndex index(init);
  auto x = [&](Expr j) { return p.load(input, index.at(j)); };
  Fold most = foldColumns(p, index, "most", columns, lowest(), maxNum, x);
  Expr max = most.total(index.rows());
  Fold sum = foldColumns(p, index, "sum", columns, 0.0f, addOf, [&](Expr j) { return portable::exp(x(j) - max); });
  Func result("log_softmax");
  result(index.elements()) = p.narrow(x(index.column) - (max + portable::log(sum.total(index.rows()))), init);
  scheduleRows(p.device, result, columns, {most, sum});
  p.define(init, result);
  return Error::success();
}

/// Ties go to the lowest index, NaN never wins.
Error emitArgmax(Pipeline &p) {
  auto op = llvm::cast<attn::ArgmaxOp>(p.op());
  Value input = op.getInput(), init = op.getInit();
  if (Error error = expectStatic(input))
    return error;
  RowIndex index(input);
  int64_t columns = columnsOf(input);
  auto order = [&](Expr j) { return orderOf(p.load(input, index.at(j))); };
  Fold most = foldColumns(p, index, "most", columns, kLowestOrder, maxOf, order);
  Fold at = foldColumns(p, index, "at", columns, 1 << 30, minOf, [&](Expr j) {
    return select(order(j) == most.total(index.rows()), j, 1 << 30);
  });
  Func result("argmax");
  result(index.rows()) = p.narrow(at.total(index.rows()), init);
  scheduleRows(p.device, result, /*columns=*/0, {most, at});
  p.define(init, result);
  return Error::success();
}

} // namespace attnc::halide
