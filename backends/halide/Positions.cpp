//===- Positions.cpp - Positions, sinusoids and rotations -----------------------------------------===//
#include "backends/halide/Emitters.h"
#include "backends/halide/Math.h"
#include "backends/halide/Schedule.h"

#include <cmath>

namespace attnc::halide {
using namespace Halide;
using llvm::Error;
using mlir::Value;

namespace {
/// Angles are computed in f64, which few GPUs have.
Error expectReals(const Device &device) {
  return device.isGpu() ? refuse("its angles are of f64") : Error::success();
}
Expr real(double v) { return Expr(v); }
} // namespace

Error emitPositions(Pipeline &p) {
  auto op = llvm::cast<attn::PositionsOp>(p.op());
  Value ids = op.getIds(), mask = op.getMask(), init = op.getInit();
  auto cache = op.getCache() ? op.getCache().getDefiningOp<attn::CacheViewOp>() : attn::CacheViewOp();
  RowIndex index(init);
  Expr b = index.leading[0], s = index.column;
  Expr past = cache ? cast<int32_t>(p.load(cache.getPast(), {b})) : Expr(0), position = past + s;
  Func count("count"), result("positions");
  llvm::SmallVector<Func> inner;
  if (op.getPad()) { // tokens up to this one
    int32_t pad = *op.getPad();
    (void)p.isGiven(ids);
    auto isToken = [&](Expr at) { return cast<int32_t>(p.load(ids, {b, at})) != pad; };
    RDom t(0, p.size(ids, 1), "t");
    count(index.elements()) = 0;
    count(index.elements()) += cast<int32_t>(t <= s && isToken(t));
    position = select(isToken(s), pad + count(index.elements()), pad);
    inner = {count};
  } else if (mask) { // keys up to this one that count
    Expr isGiven = p.isGiven(mask);
    RDom key(0, select(isGiven, p.size(mask, 1), 0), "key");
    count(index.elements()) = 0;
    count(index.elements()) += cast<int32_t>(key <= past + s && p.load(mask, {b, key}) != 0);
    position = select(isGiven, max(count(index.elements()) - 1, 0), position);
    inner = {count};
  }
  if (op.getGiven()) {
    Expr isGiven = p.isGiven(op.getGiven());
    position = select(isGiven, cast<int32_t>(p.load(op.getGiven(), {b, s})), position);
  }
  result(index.elements()) = p.narrow(position, init);
  scheduleElements(p.device, result, columnsOf(init), inner);
  p.define(init, result);
  return Error::success();
}

Error emitPositionalEncoding(Pipeline &p) {
  auto op = llvm::cast<attn::PositionalEncodingOp>(p.op());
  if (Error error = expectReals(p.device))
    return error;
  Value init = op.getInit();
  int64_t width = columnsOf(init);
  if (!width)
    return refuse("its last dimension is dynamic");
  RowIndex index(init);
  int32_t sines = (width + 1) / 2;
  Expr j = index.column, isCos = op.getHalves() ? j >= sines : j % 2 == 1, pair = op.getHalves() ? j % sines : j / 2;
  Expr frequency = portable::exp2Wide(cast<double>(pair) * real(-2.0 / width * std::log2(10000.0)));
  auto [sin, cos] = portable::sinCos(frequency * cast<double>(p.load(op.getPositions(), index.row())));
  Func result("positional_encoding");
  result(index.elements()) = p.narrow(cast<float>(select(isCos, cos, sin)), init);
  scheduleElements(p.device, result, width);
  p.define(init, result);
  return Error::success();
}

Error emitRotaryTable(Pipeline &p) {
  auto op = llvm::cast<attn::RotaryTableOp>(p.op());
  if (Error error = expectReals(p.device))
    return error;
  Value positions = op.getPositions(), init = op.getInit();
  const int32_t count = op.getFrequencies().size();
  RowIndex index(init); // [batch, seq, 2·count]
  Var b = index.leading[0];
  Expr j = index.column, i = j % count;
  auto table = [](llvm::ArrayRef<double> numbers) {
    Buffer<double> buffer(int(numbers.size()));
    llvm::copy(numbers, buffer.begin());
    return buffer;
  };
  Expr frequency = table(op.getFrequencies())(i);
  if (op.getLongFrom()) {
    Func last("last"); // the row's largest position
    RDom s(0, p.size(positions, 1), "s");
    last(b) = 0;
    last(b) = max(last(b), cast<int32_t>(p.load(positions, {b, s})));
    last.compute_root();
    Expr isLong = last(b) >= int32_t(*op.getLongFrom()), longer;
    if (op.getLongFrequencies()) {
      longer = table(*op.getLongFrequencies())(i);
    } else { // dynamic NTK: f_i·g^(-2i/(2F-2))
      double factor = op.getNtkFactor()->convertToDouble();
      Expr length = cast<double>(last(b)) + real(1);
      Expr g = length * real(factor / double(*op.getLongFrom())) + real(1 - factor);
      Expr exponent = cast<double>(i) * real(-2.0 / (2.0 * count - 2));
      longer = frequency * portable::exp2Wide(portable::log2Wide(g) * exponent);
    }
    frequency = select(isLong, longer, frequency);
  }
  auto [sin, cos] = portable::sinCos(frequency * cast<double>(p.load(positions, index.row())));
  Func result("rotary_table");
  result(index.elements()) = p.narrow(cast<float>(select(j < count, cos, sin) * real(op.getScale().convertToDouble())), init);
  scheduleElements(p.device, result, 2 * count);
  p.define(init, result);
  return Error::success();
}

Error emitRotary(Pipeline &p) {
  auto op = llvm::cast<attn::RotaryOp>(p.op());
  Value input = op.getInput(), table = op.getTable(), init = op.getInit();
  int32_t headDim = columnsOf(input) / op.getHeads(), rotated = columnsOf(table), half = rotated / 2;
  RowIndex index(init);
  Expr c = index.column, d = c % headDim; // within the head
  Expr isFirst = op.getInterleaved() ? d % 2 == 0 : d < half;
  Expr pair = op.getInterleaved() ? d / 2 : d % half;
  Expr other = select(isFirst, c + (op.getInterleaved() ? 1 : half), c - (op.getInterleaved() ? 1 : half));
  auto angle = [&](Expr column) { return p.load(table, index.at(column)); };
  // Features that are not rotated read any pair.
  pair = clamp(pair, 0, half - 1);
  other = clamp(other, 0, int32_t(columnsOf(input) - 1));
  Expr x = p.load(input, index.at(c)), y = p.load(input, index.at(other));
  Expr sin = angle(pair + half);
  Expr turned = x * angle(pair) + y * select(isFirst, -sin, sin);
  Func result("rotary");
  result(index.elements()) = p.narrow(rotated == headDim ? turned : select(d < rotated, turned, x), init);
  scheduleElements(p.device, result, columnsOf(init));
  p.define(init, result);
  return Error::success();
}

} // namespace attnc::halide
