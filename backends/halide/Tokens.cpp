//===- Tokens.cpp - Ops that move or gather features of tokens ------------------------------------===//
#include "backends/halide/Emitters.h"
#include "backends/halide/Math.h"
#include "backends/halide/Schedule.h"

namespace attnc::halide {
using namespace Halide;
using llvm::Error;
using mlir::MemRefType;
using mlir::Value;

namespace {
constexpr int kPanel = attn::kPanel;

int64_t rankOf(Value buffer) { return llvm::cast<MemRefType>(buffer.getType()).getRank(); }

/// init[index] = value of every element, in the type of a load.
Error moveElements(Pipeline &p, Value init, llvm::function_ref<Expr(const RowIndex &)> value) {
  RowIndex index(init);
  Func result(p.op()->getName().stripDialect().str());
  result(index.elements()) = p.narrow(value(index), init);
  scheduleElements(p.device, result, columnsOf(init));
  p.define(init, result);
  return Error::success();
}
} // namespace

/// Ids are checked by the host before the launch.
Error emitEmbedding(Pipeline &p) {
  auto op = llvm::cast<attn::EmbeddingOp>(p.op());
  Value ids = op.getIds(), table = op.getTable();
  auto type = llvm::cast<MemRefType>(table.getType());
  int64_t entries = op.getEntries().value_or(type.getDimSize(0));
  (void)p.isGiven(ids); // else every id is 0
  return moveElements(p, op.getInit(), [&](const RowIndex &index) {
    Expr id = clamp(cast<int32_t>(p.load(ids, index.row())), 0, int32_t(entries - 1)), j = index.column, value;
    if (type.getRank() == 2)
      value = p.load(table, {id, j});
    else if (type.getRank() == 3)
      value = p.load(table, {id / kPanel, j, id % kPanel});
    else
      value = p.loadOfPair(table, {id / kPanel, j / 2, id % kPanel}, j % 2);
    return op.getResidual() ? value + p.load(op.getResidual(), index.at(j)) : value;
  });
}

/// Indices are checked by the host before the launch.
Error emitSelectToken(Pipeline &p) {
  auto op = llvm::cast<attn::SelectTokenOp>(p.op());
  return moveElements(p, op.getInit(), [&](const RowIndex &index) {
    Expr last = p.size(op.getInput(), 1) - 1, at = last, b = index.leading[0];
    if (op.getAt()) {
      Expr isGiven = p.isGiven(op.getAt());
      at = select(isGiven, clamp(cast<int32_t>(p.load(op.getAt(), {b})), 0, last), last);
    }
    return p.load(op.getInput(), {b, at, index.column});
  });
}

Error emitShiftRight(Pipeline &p) {
  auto op = llvm::cast<attn::ShiftRightOp>(p.op());
  if (rankOf(op.getInit()) == 2) // [batch, seq]
    return moveElements(p, op.getInit(), [&](const RowIndex &index) {
      Expr s = index.column, value = p.load(op.getInput(), {index.leading[0], max(s - 1, 0)});
      return select(s == 0, cast(value.type(), 0), value);
    });
  return moveElements(p, op.getInit(), [&](const RowIndex &index) {
    std::vector<Expr> from = index.at(index.column);
    from[1] = max(from[1] - 1, 0);
    Expr value = p.load(op.getInput(), from);
    return select(index.leading[1] == 0, cast(value.type(), 0), value);
  });
}

Error emitSplitHeads(Pipeline &p) {
  auto op = llvm::cast<attn::SplitHeadsOp>(p.op());
  return moveElements(p, op.getInit(), [&](const RowIndex &index) { // [batch, heads, seq, head_dim]
    int32_t headDim = columnsOf(op.getInit());
    return p.load(op.getInput(), {index.leading[0], index.leading[2], index.leading[1] * headDim + index.column});
  });
}

Error emitMergeHeads(Pipeline &p) {
  auto op = llvm::cast<attn::MergeHeadsOp>(p.op());
  return moveElements(p, op.getInit(), [&](const RowIndex &index) { // [batch, seq, heads·head_dim]
    int32_t headDim = columnsOf(op.getInput());
    Expr c = index.column;
    return p.load(op.getInput(), {index.leading[0], c / headDim, index.leading[1], c % headDim});
  });
}

Error emitPool(Pipeline &p) {
  auto op = llvm::cast<attn::PoolOp>(p.op());
  Value input = op.getInput(), mask = op.getMask(), init = op.getInit();
  const attn::PoolKind kind = op.getKind();
  const bool isMax = kind == attn::PoolKind::max, isFirst = kind == attn::PoolKind::first;
  RowIndex index(init);
  Expr b = index.leading[0], tokens = p.size(input, 1);
  if (isFirst)
    tokens = min(tokens, 1);
  const bool isWeighted = kind == attn::PoolKind::weighted_mean, isMasked = mask && !isFirst;
  RDom s(0, tokens, "s"); // what is hidden is not read
  Expr isHidden;
  if (isMasked) {
    isHidden = p.isGiven(mask) && p.load(mask, {b, s}) == 0;
    s.where(!isHidden);
  }

  Func sum("sum"), count("count"), result("pool");
  Expr weight = isWeighted ? cast<float>(s + 1) : Expr(1.0f), x = p.load(input, {b, s, index.column});
  sum(index.elements()) = isMax ? -std::numeric_limits<float>::infinity() : 0.0f;
  if (isMax)
    sum(index.elements()) = maxNum(x, sum(index.elements()));
  else if (isFirst || kind == attn::PoolKind::last)
    sum(index.elements()) = x;
  else
    sum(index.elements()) += x * weight;
  Expr weights = cast<float>(isWeighted ? tokens * (tokens + 1) / 2 : tokens), y = sum(index.elements()); // of visible tokens
  llvm::SmallVector<Func> ofRow;
  if (isMasked) {
    count(index.leading[0]) = 0.0f;
    count(index.leading[0]) += select(isHidden, 0.0f, weight); // a weight of 1 does not name s
    weights = count(b);
    ofRow = {count};
  }
  if (kind == attn::PoolKind::mean_sqrt)
    y = y / sqrt(weights);
  else if (kind == attn::PoolKind::mean || isWeighted)
    y = y / weights;
  result(index.elements()) = p.narrow(selectExactly(weights > 0.0f, y, 0.0f), init);
  scheduleElements(p.device, result, columnsOf(init), {sum}, ofRow);
  p.define(init, result);
  return Error::success();
}

} // namespace attnc::halide
