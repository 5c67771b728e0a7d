//===- RandomRegion.cpp - Random regions over b, h, i, j, and an interpreter for them ---------===//
#include "RandomRegion.h"

namespace attnc::test {
using namespace attn;

unsigned widthOf(Type type) { return type.isIndex() ? 64 : type.getIntOrFloatBitWidth(); }

//===----------------------------------------------------------------------===//
// Interpreter
//===----------------------------------------------------------------------===//

namespace {
std::optional<int64_t> element(const Buffer &buffer, ArrayRef<int64_t> at) {
  int64_t offset = 0;
  for (auto [index, size] : llvm::zip(at, buffer.shape)) {
    if (index < 0 || index >= size)
      return std::nullopt;
    offset = offset * size + index;
  }
  return buffer.data[offset];
}

APInt numberOf(Type type, int64_t value) {
  return APInt(widthOf(type), value, /*isSigned=*/true, /*implicitTrunc=*/true);
}
} // namespace

bool interpret(Block &block, Numbers &numbers, Memory &memory, int64_t outside) {
  auto set = [&](Value value, int64_t number) {
    numbers.erase(value);
    numbers.try_emplace(value, numberOf(value.getType(), number));
  };
  auto copy = [&](Value from, Value to) {
    if (auto found = numbers.find(from); found != numbers.end()) {
      APInt number = found->second;
      numbers.erase(to);
      numbers.try_emplace(to, number);
    }
  };
  auto get = [&](Value value) { return numbers.find(value)->second.getSExtValue(); };
  auto at = [&](ValueRange indices) { return llvm::map_to_vector(indices, get); };

  for (Operation &op : block) {
    if (op.hasTrait<OpTrait::IsTerminator>())
      break;
    if (llvm::any_of(op.getOperands(), [&](Value v) { return v.getType().isIntOrIndex() && !numbers.contains(v); }))
      continue;
    if (auto choice = dyn_cast<scf::IfOp>(op)) {
      Block *taken = get(choice.getCondition()) ? choice.thenBlock() : choice.elseBlock();
      if (!interpret(*taken, numbers, memory, outside))
        return false;
      for (auto [from, to] : llvm::zip(taken->getTerminator()->getOperands(), choice.getResults()))
        copy(from, to);
    } else if (auto loop = dyn_cast<scf::ForOp>(op)) {
      for (auto [from, to] : llvm::zip(loop.getInitArgs(), loop.getRegionIterArgs()))
        copy(from, to);
      for (int64_t i = get(loop.getLowerBound()); i < get(loop.getUpperBound()); i += get(loop.getStep())) {
        set(loop.getInductionVar(), i);
        if (!interpret(*loop.getBody(), numbers, memory, outside))
          return false;
        for (auto [from, to] : llvm::zip(loop.getYieldedValues(), loop.getRegionIterArgs()))
          copy(from, to);
      }
      for (auto [from, to] : llvm::zip(loop.getRegionIterArgs(), loop.getResults()))
        copy(from, to);
    } else if (auto dim = dyn_cast<memref::DimOp>(op)) {
      set(dim, memory.find(dim.getSource())->second.shape[*dim.getConstantIndex()]);
    } else if (auto cast = dyn_cast<UnrealizedConversionCastOp>(op)) {
      Buffer buffer = memory.find(cast.getOperand(0))->second; // i1 as bytes
      memory.try_emplace(cast.getResult(0), buffer);
    } else if (auto load = dyn_cast<memref::LoadOp>(op)) {
      std::optional<int64_t> found = element(memory.find(load.getMemRef())->second, at(load.getIndices()));
      if (!found)
        return false;
      set(load, *found);
    } else if (auto load = dyn_cast<LoadOp>(op)) {
      set(load, element(memory.find(load.getSource())->second, at(load.getIndices())).value_or(outside));
    } else if (isa<arith::FloorDivSIOp, arith::CeilDivSIOp>(op)) { // upstream does not fold the least number
      bool isFloor = isa<arith::FloorDivSIOp>(op);
      APInt a = numbers.find(op.getOperand(0))->second, c = numbers.find(op.getOperand(1))->second, rest, quotient;
      APInt::sdivrem(a, c, quotient, rest);
      if (!rest.isZero() && (rest.isNegative() != c.isNegative()) == isFloor)
        quotient += isFloor ? -1 : 1;
      set(op.getResult(0), quotient.getSExtValue());
    } else {
      SmallVector<Attribute> operands;
      for (Value v : op.getOperands())
        operands.push_back(IntegerAttr::get(v.getType(), numbers.find(v)->second));
      SmallVector<OpFoldResult> results;
      while (succeeded(op.fold(operands, results)) && results.empty()) // in place
        operands = llvm::map_to_vector(op.getOperands(), [&](Value v) -> Attribute {
          return IntegerAttr::get(v.getType(), numbers.find(v)->second);
        });
      if (results.empty())
        continue;
      if (auto value = dyn_cast<Value>(results[0])) {
        copy(value, op.getResult(0));
      } else {
        numbers.erase(op.getResult(0));
        numbers.try_emplace(op.getResult(0), llvm::cast<IntegerAttr>(llvm::cast<Attribute>(results[0])).getValue());
      }
    }
  }
  return true;
}

//===----------------------------------------------------------------------===//
// Random regions
//===----------------------------------------------------------------------===//

RandomRegion::RandomRegion(MLIRContext *context, uint64_t seed, bool captures)
    : random(seed), b(context), loc(b.getUnknownLoc()) {
  Block &block = region.emplaceBlock();
  for (int n = 0; n < 4; ++n)
    values.push_back(block.addArgument(b.getI32Type(), loc));
  b.setInsertionPointToStart(&block);
  if (captures) {
    for (Type type : {Type(b.getI1Type()), Type(b.getI32Type()), Type(b.getI64Type()), Type(b.getIndexType())})
      capture(type);
    addBuffer({pick(1, 2), pick(0, 400)}, b.getI32Type(), true);
    addBuffer({pick(1, 300)}, b.getI1Type(), true);
    addBuffer({pick(1, 300)}, b.getI64Type(), true);
    addBuffer({pick(0, 3)}, b.getI8Type(), false);
  }
  for (int64_t n = pick(1, 12); n > 0; --n) {
    Value value = captures && pick(0, 3) == 0 ? load() : op();
    if (!value || value.getDefiningOp<arith::ConstantOp>())
      continue;
    values.push_back(value);
    made.push_back(value);
  }
}

void RandomRegion::yield(Value value) {
  if (region.front().mightHaveTerminator())
    region.front().getTerminator()->erase();
  b.setInsertionPointToEnd(&region.front());
  YieldOp::create(b, loc, value);
}

SmallVector<ConstantInterval> RandomRegion::intervals() {
  SmallVector<ConstantInterval> bhij;
  int64_t top = llvm::maxIntN(32);
  for (int n = 0; n < 4; ++n) {
    int64_t width = pick(0, 3) == 0 ? 0 : n < 2 ? pick(0, 2) : pick(0, 100);
    int64_t lo = n < 2 ? pick(0, 3) : pick(0, 300);
    if (pick(0, 15) == 0)
      lo = pick(top - 200, top - width);
    if (n == 2 && pick(0, 3) == 0) // only the query's position may be negative
      lo = pick(0, 7) == 0 ? -top - 1 : -lo;
    bhij.push_back({lo, std::min(lo + width, top)});
  }
  return bhij;
}

SmallVector<SmallVector<int64_t>> RandomRegion::points(ArrayRef<ConstantInterval> bhij, int64_t count) {
  SmallVector<SmallVector<int64_t>> points;
  for (int64_t n = 0; n < 16 + count; ++n) {
    SmallVector<int64_t> point;
    for (auto [d, bounds] : llvm::enumerate(bhij))
      point.push_back(n >= 16 ? pick(bounds.lo, bounds.hi) : n >> d & 1 ? bounds.hi : bounds.lo);
    points.push_back(point);
  }
  return points;
}

Value RandomRegion::constant(Type type, int64_t value) {
  return arith::ConstantOp::create(b, loc, IntegerAttr::get(type, numberOf(type, value)));
}

int64_t RandomRegion::constantFor(unsigned width) {
  int64_t common[] = {0, 1, -1, 2, 3, 7, 8, 63, 64, -64, 100, llvm::minIntN(width), llvm::maxIntN(width)};
  return pick(0, 2) ? common[pick(0, std::size(common) - 1)] : pick(-1000, 1000);
}

/// A value of `type`; a constant now and then.
Value RandomRegion::any(Type type) {
  SmallVector<Value> fitting =
      llvm::to_vector(llvm::make_filter_range(values, [&](Value v) { return v.getType() == type; }));
  if (fitting.empty() || pick(0, 3) == 0)
    return constant(type, constantFor(widthOf(type)));
  return fitting[pick(std::max<int64_t>(0, fitting.size() - 6), fitting.size() - 1)];
}

/// Not a flag.
Value RandomRegion::anyNumber() {
  SmallVector<Value> fitting =
      llvm::to_vector(llvm::make_filter_range(values, [&](Value v) { return widthOf(v.getType()) > 1; }));
  return fitting[pick(0, fitting.size() - 1)];
}

Value RandomRegion::op() {
  Value x = anyNumber();
  Type type = x.getType();
  int64_t width = widthOf(type);
  auto binary = [&](auto tag) -> Value { return decltype(tag)::create(b, loc, x, any(type)); };
  auto by = [&](auto tag, int64_t c) -> Value { return decltype(tag)::create(b, loc, x, constant(type, c)); };
  auto divisor = [&](bool isSigned) {
    int64_t c = constantFor(width);
    return c == 0 || (isSigned && c == -1) ? int64_t(64) : c;
  };
  auto flag = [&] { return any(b.getI1Type()); };
  switch (pick(0, 27)) {
  case 0:
  case 1:
    return binary(arith::AddIOp());
  case 2:
  case 3:
    return binary(arith::SubIOp());
  case 4:
    return binary(arith::MulIOp());
  case 5:
    return binary(arith::MinSIOp());
  case 6:
    return binary(arith::MaxSIOp());
  case 7:
    return binary(arith::MinUIOp());
  case 8:
    return binary(arith::MaxUIOp());
  case 9:
    return binary(arith::AndIOp());
  case 10:
    return by(arith::AndIOp(), constantFor(width));
  case 11:
    return pick(0, 1) ? binary(arith::OrIOp()) : binary(arith::XOrIOp());
  case 12:
    return by(arith::DivSIOp(), divisor(true));
  case 13:
    return by(arith::DivUIOp(), divisor(false));
  case 14:
    return by(arith::RemSIOp(), divisor(true));
  case 15:
    return by(arith::RemUIOp(), divisor(false));
  case 16:
    return by(arith::FloorDivSIOp(), divisor(true));
  case 17:
    return by(arith::CeilDivSIOp(), divisor(true));
  case 18:
    return by(arith::ShLIOp(), pick(0, width - 1));
  case 19:
    return by(arith::ShRSIOp(), pick(0, width - 1));
  case 20:
    return by(arith::ShRUIOp(), pick(0, width - 1));
  case 21:
    return type.isIndex() ? Value() : math::AbsIOp::create(b, loc, x).getResult();
  case 22:
    return arith::SelectOp::create(b, loc, flag(), x, any(type));
  case 23: { // wider or narrower
    if (type.isIndex())
      return pick(0, 1) ? arith::IndexCastOp::create(b, loc, b.getI32Type(), x).getResult()
                        : arith::IndexCastUIOp::create(b, loc, b.getI32Type(), x).getResult();
    if (width == 32 && pick(0, 2) == 0)
      return pick(0, 1) ? arith::IndexCastOp::create(b, loc, b.getIndexType(), x).getResult()
                        : arith::IndexCastUIOp::create(b, loc, b.getIndexType(), x).getResult();
    int64_t other = SmallVector<int64_t>{1, 8, 32, 64}[pick(0, 3)];
    Type to = b.getIntegerType(other);
    if (other == width)
      return Value();
    if (other < width)
      return arith::TruncIOp::create(b, loc, to, x);
    return pick(0, 1) ? arith::ExtSIOp::create(b, loc, to, x).getResult()
                      : arith::ExtUIOp::create(b, loc, to, x).getResult();
  }
  case 24: {
    Type to = pick(0, 1) ? b.getI32Type() : b.getI64Type();
    return pick(0, 1) ? arith::ExtSIOp::create(b, loc, to, flag()).getResult()
                      : arith::ExtUIOp::create(b, loc, to, flag()).getResult();
  }
  case 25: {
    Value p = flag(), q = flag();
    switch (pick(0, 4)) {
    case 0:
      return arith::AndIOp::create(b, loc, p, q);
    case 1:
      return arith::OrIOp::create(b, loc, p, q);
    case 2:
      return arith::XOrIOp::create(b, loc, p, q);
    case 3:
      return arith::SelectOp::create(b, loc, flag(), p, q);
    default:
      return arith::CmpIOp::create(b, loc, arith::CmpIPredicate(pick(0, 9)), p, q);
    }
  }
  default:
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate(pick(0, 9)), x, any(type));
  }
}

Value RandomRegion::capture(Type type) {
  Value value = outer.addArgument(type, loc);
  scalars.try_emplace(value, numberOf(type, pick(0, 3) ? pick(-50, 300) : constantFor(widthOf(type))));
  values.push_back(value);
  return value;
}

/// A buffer of random numbers that rise slowly, as positions and documents do, and its ranges.
void RandomRegion::addBuffer(ArrayRef<int64_t> shape, Type type, bool hasRanges) {
  Buffer buffer{llvm::to_vector(shape), {}, widthOf(type)};
  int64_t rank = shape.size(), rows = rank == 2 ? shape[0] : 1, size = shape.back();
  int64_t blocks = llvm::divideCeil(size, kKeyPanel), number = 0;
  Buffer ranges{llvm::to_vector(shape), {}, buffer.width == 64 ? 64u : 32u};
  ranges.shape.back() = blocks;
  ranges.shape.insert(ranges.shape.begin(), 2);
  ranges.data.resize(2 * rows * blocks);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t k = 0; k < size; ++k) {
      number += pick(0, 9) == 0;
      int64_t x = buffer.width == 1 ? number / 16 % 2 : pick(0, 99) ? number % 100 : constantFor(buffer.width);
      buffer.data.push_back(x);
      for (int64_t which : {0, 1}) {
        int64_t &bound = ranges.data[(which * rows + r) * blocks + k / kKeyPanel];
        bound = k % kKeyPanel == 0 ? x : which ? std::max(bound, x) : std::min(bound, x);
      }
    }
  SmallVector<int64_t> dynamic(rank, ShapedType::kDynamic), dynamicRanges(rank + 1, ShapedType::kDynamic);
  dynamicRanges[0] = 2;
  Value source = outer.addArgument(MemRefType::get(dynamic, type), loc), bounds;
  memory.try_emplace(source, buffer);
  if (hasRanges) {
    bounds = outer.addArgument(MemRefType::get(dynamicRanges, b.getIntegerType(ranges.width)), loc);
    memory.try_emplace(bounds, ranges);
  }
  buffers.push_back({source, bounds});
}

Value RandomRegion::load() {
  auto [source, ranges] = buffers[pick(0, buffers.size() - 1)];
  auto type = cast<MemRefType>(source.getType());
  SmallVector<Value> at;
  if (type.getRank() == 2)
    at.push_back(pick(0, 2) ? values[0] : any(b.getI32Type()));
  at.push_back(pick(0, 1) ? values[pick(2, 3)] : any(b.getI32Type()));
  return LoadOp::create(b, loc, type.getElementType(), source, at, ranges);
}

} // namespace attnc::test
