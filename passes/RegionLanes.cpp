//===- RegionLanes.cpp - A scalar region, computed for a vector of keys ----------------------===//
#include "passes/RegionLanes.h"

#include "mlir/IR/Matchers.h"

namespace attnc {
using namespace attn;

namespace {
VectorType lanesOf(Emit &e, Type element) { return VectorType::get({e.lanes}, element); }

std::optional<int64_t> constantOf(const LaneValue &v) {
  APInt constant;
  if (v.kind == LaneValue::uniform && matchPattern(v.value, m_ConstantInt(&constant)))
    return constant.getSExtValue();
  return std::nullopt;
}

Value anyLane(Emit &e, Value mask) {
  return vector::ReductionOp::create(e.b, e.loc, vector::CombiningKind::OR, mask);
}

Value both(Emit &e, Value a, Value c) { return a ? arith::AndIOp::create(e.b, e.loc, a, c).getResult() : c; }

Value negated(Emit &e, Value v) {
  TypedAttr ones = e.b.getBoolAttr(true);
  if (auto vector = dyn_cast<VectorType>(v.getType()))
    ones = DenseElementsAttr::get(vector, true);
  return arith::XOrIOp::create(e.b, e.loc, v, arith::ConstantOp::create(e.b, e.loc, ones));
}

Value zero(Emit &e, Type type) { return arith::ConstantOp::create(e.b, e.loc, e.b.getZeroAttr(type)); }
} // namespace

Value RegionLanes::vector(LaneValue v) {
  if (v.kind == LaneValue::varying)
    return v.value;
  Value all = vector::BroadcastOp::create(e.b, e.loc, lanesOf(e, v.value.getType()), v.value);
  if (v.kind == LaneValue::uniform)
    return all;
  auto type = cast<VectorType>(all.getType());
  SmallVector<APInt> steps;
  for (int64_t i = 0; i < e.lanes; ++i)
    steps.push_back(APInt(type.getElementTypeBitWidth(), i));
  Value x = e.add(all, arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(type, steps)));
  if (v.kind == LaneValue::affine)
    return x;
  auto splat = [&](int64_t c) {
    return arith::ConstantOp::create(
        e.b, e.loc, DenseElementsAttr::get(type, APInt(type.getElementTypeBitWidth(), c, /*isSigned=*/true)));
  };
  return e.min(e.max(x, splat(v.low)), splat(v.high));
}

LaneValue RegionLanes::run(Region &region, ArrayRef<LaneValue> args) {
  DenseMap<Value, LaneValue> map;
  for (auto [argument, value] : llvm::zip(region.getArguments(), args))
    map[argument] = value;
  auto lookup = [&](Value v) {
    auto found = map.find(v);
    return found == map.end() ? LaneValue{LaneValue::uniform, v} : found->second; // captured
  };
  for (Operation &op : region.front().without_terminator())
    map[op.getResult(0)] = visit(&op, lookup);
  return lookup(cast<YieldOp>(region.front().getTerminator()).getValue());
}

LaneValue RegionLanes::visit(Operation *op, function_ref<LaneValue(Value)> lookup) {
  if (auto load = dyn_cast<LoadOp>(op))
    return this->load(load, lookup);
  SmallVector<LaneValue> in = llvm::map_to_vector(op->getOperands(), lookup);
  auto clone = [&](function_ref<Value(const LaneValue &)> operand) {
    IRMapping map;
    for (auto [from, to] : llvm::zip(op->getOperands(), in))
      map.map(from, operand(to));
    return e.b.clone(*op, map);
  };
  auto scalar = [](const LaneValue &v) { return v.value; };
  bool isUniform = llvm::all_of(in, [](const LaneValue &v) { return v.kind == LaneValue::uniform; });
  if (isUniform)
    return {LaneValue::uniform, clone(scalar)->getResult(0)};

  // Index arithmetic keeps its form. Sizes fit: sequences of 2³¹ or more are refused.
  bool movesFirst = in[0].kind == LaneValue::affine || in[0].kind == LaneValue::clamped;
  bool movesSecond = in.size() > 1 && (in[1].kind == LaneValue::affine || in[1].kind == LaneValue::clamped);
  bool shift = (isa<arith::AddIOp>(op) && (movesFirst ? in[1] : in[0]).kind == LaneValue::uniform &&
                (movesFirst || movesSecond)) ||
               (isa<arith::SubIOp>(op) && movesFirst && in[1].kind == LaneValue::uniform);
  if (shift) {
    LaneValue result = movesFirst ? in[0] : in[1], by = movesFirst ? in[1] : in[0];
    std::optional<int64_t> constant = constantOf(by);
    if (result.kind == LaneValue::affine || constant) {
      result.value = clone(scalar)->getResult(0);
      int64_t delta = constant.value_or(0) * (isa<arith::SubIOp>(op) ? -1 : 1);
      result.low += delta;
      result.high += delta;
      return result;
    }
  }
  if (isa<arith::MinSIOp, arith::MaxSIOp>(op) && (movesFirst || movesSecond)) {
    LaneValue result = movesFirst ? in[0] : in[1];
    std::optional<int64_t> bound = constantOf(movesFirst ? in[1] : in[0]);
    if (bound && result.kind == LaneValue::affine)
      result.low = INT32_MIN, result.high = INT32_MAX;
    if (bound && (isa<arith::MinSIOp>(op) ? *bound >= result.low : *bound <= result.high)) {
      result.kind = LaneValue::clamped;
      (isa<arith::MinSIOp>(op) ? result.high : result.low) =
          isa<arith::MinSIOp>(op) ? std::min(result.high, *bound) : std::max(result.low, *bound);
      return result;
    }
  }
  if (isa<arith::ExtSIOp, arith::IndexCastOp>(op) && in[0].kind == LaneValue::affine)
    return {LaneValue::affine, clone(scalar)->getResult(0)};

  Operation *wide = clone([&](const LaneValue &v) { return vector(v); });
  wide->getResult(0).setType(lanesOf(e, op->getResult(0).getType()));
  return {LaneValue::varying, wide->getResult(0)};
}

/// 0 ≤ index < size, for a scalar or a vector of i32.
Value RegionLanes::inRange(Value index, Value size) {
  Value limit = arith::IndexCastOp::create(e.b, e.loc, e.b.getI32Type(), size);
  if (isa<VectorType>(index.getType()))
    limit = vector::BroadcastOp::create(e.b, e.loc, index.getType(), limit);
  return arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ult, index, limit);
}

/// Lanes that count must be `inside`: a scalar or a vector of i1.
void RegionLanes::require(LoadOp op, Value inside) {
  Value outside = negated(e, inside);
  if (isa<VectorType>(inside.getType()))
    bad.push_back({anyLane(e, both(e, keep, outside)), op});
  else
    bad.push_back({keep ? both(e, anyLane(e, keep), outside) : outside, op});
}

LaneValue RegionLanes::load(LoadOp op, function_ref<LaneValue(Value)> lookup) {
  OpBuilder &b = e.b;
  Value source = op.getSource();
  auto type = cast<MemRefType>(source.getType());
  SmallVector<LaneValue> at = llvm::map_to_vector(op.getIndices(), lookup);
  int64_t rank = type.getRank();
  Value words = e.words(source);
  Type element = cast<MemRefType>(words.getType()).getElementType();
  Region *region = op->getParentRegion();
  Value h = region->getArgument(region->getNumArguments() - 3);

  // Scalar indices: checked, and 0 where outside.
  SmallVector<Value> index(rank);
  Value inside; // of the scalar ones
  for (int64_t d = 0; d < rank; ++d) {
    if (at[d].kind != LaneValue::uniform)
      continue;
    index[d] = e.toIndex(at[d].value);
    std::optional<int64_t> constant = constantOf(at[d]);
    bool proven = !type.isDynamicDim(d) && ((op.getIndices()[d] == h && heads <= type.getDimSize(d)) ||
                                            (constant && *constant >= 0 && *constant < type.getDimSize(d)));
    if (proven)
      continue;
    Value ok = inRange(at[d].value, e.dim(source, d));
    require(op, ok);
    index[d] = e.select(ok, index[d], e.idx(0));
    inside = both(e, inside, ok);
  }
  // An empty buffer has no element 0 either.
  Value any;
  for (int64_t d = 0; d < rank; ++d)
    if (type.isDynamicDim(d))
      any = both(e, any, e.less(e.idx(0), e.dim(source, d)));
  bool isUniform = llvm::all_of(at, [](const LaneValue &v) { return v.kind == LaneValue::uniform; });
  if (isUniform) {
    Value x;
    if (any) {
      auto guarded = scf::IfOp::create(b, e.loc, TypeRange(element), any, /*withElse=*/true);
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(guarded.thenBlock());
      scf::YieldOp::create(b, e.loc, ValueRange(e.load1(words, index)));
      b.setInsertionPointToStart(guarded.elseBlock());
      scf::YieldOp::create(b, e.loc, ValueRange(zero(e, element)));
      x = guarded.getResult(0);
    } else {
      x = e.load1(words, index);
    }
    return {LaneValue::uniform, e.fromWords(x, source)};
  }

  VectorType result = lanesOf(e, element);
  Value none = zero(e, result), mask = keep;
  auto andScalar = [&](Value scalar) {
    if (scalar)
      mask = both(e, mask, vector::BroadcastOp::create(b, e.loc, lanesOf(e, b.getI1Type()), scalar));
  };
  andScalar(inside);
  andScalar(any);
  auto [strides, offset] = type.getStridesAndOffset();
  bool contiguous = rank > 0 && strides.back() == 1;
  for (int64_t d = 0; d + 1 < rank; ++d)
    contiguous &= at[d].kind == LaneValue::uniform;
  LaneValue last = at.back();
  int64_t size = type.getShape().back();
  if (contiguous && last.kind == LaneValue::clamped && last.low >= 0 && !ShapedType::isDynamic(size) && last.high < size) {
    // Contiguous between the ends, one value beyond each.
    Value lanes = vector({LaneValue::affine, last.value});
    auto compare = [&](arith::CmpIPredicate predicate, int64_t bound) {
      auto splat = DenseElementsAttr::get(cast<VectorType>(lanes.getType()), APInt(32, bound, /*isSigned=*/true));
      return arith::CmpIOp::create(b, e.loc, predicate, lanes, arith::ConstantOp::create(b, e.loc, splat)).getResult();
    };
    auto at1 = [&](int64_t bound) {
      SmallVector<Value> where(index);
      where.back() = e.idx(bound);
      return vector::BroadcastOp::create(b, e.loc, result, e.load1(words, where)).getResult();
    };
    Value below = compare(arith::CmpIPredicate::slt, last.low), above = compare(arith::CmpIPredicate::sgt, last.high);
    Value within = negated(e, arith::OrIOp::create(b, e.loc, below, above));
    index.back() = e.toIndex(last.value);
    Value x = vector::MaskedLoadOp::create(b, e.loc, result, words, index, both(e, mask, within), none);
    x = e.select(below, at1(last.low), e.select(above, at1(last.high), x));
    return {LaneValue::varying, e.fromWords(x, source)};
  }
  if (contiguous && last.kind == LaneValue::affine) {
    Value extent = e.dim(source, rank - 1);
    index.back() = e.toIndex(last.value);
    if (keep) {
      Value ok = inRange(vector(last), extent);
      require(op, ok);
      mask = both(e, mask, ok);
    } else { // all lanes count: one scalar check
      Value first = arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::sge, index.back(), e.idx(0));
      Value ok = both(e, first, arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::sle,
                                                      e.add(index.back(), e.lanes), extent));
      require(op, ok);
      andScalar(ok);
    }
    return {LaneValue::varying,
            e.fromWords(vector::MaskedLoadOp::create(b, e.loc, result, words, index, mask, none), source)};
  }

  // Gather over the buffer as one dimension.
  for (int64_t d = 0; d < rank; ++d)
    if (at[d].kind != LaneValue::uniform) {
      Value ok = inRange(vector(at[d]), e.dim(source, d));
      require(op, ok);
      mask = both(e, mask, ok);
    }
  auto metadata = memref::ExtractStridedMetadataOp::create(b, e.loc, words);
  int64_t dyn = ShapedType::kDynamic;
  auto flatType = MemRefType::get({dyn}, element, StridedLayoutAttr::get(b.getContext(), dyn, {1}));
  Value flat = memref::ReinterpretCastOp::create(b, e.loc, flatType, metadata.getBaseBuffer(),
                                                 OpFoldResult(metadata.getOffset()),
                                                 ArrayRef<OpFoldResult>{e.idx(std::numeric_limits<int64_t>::max() / 16)},
                                                 ArrayRef<OpFoldResult>{b.getIndexAttr(1)});
  VectorType i64 = lanesOf(e, b.getI64Type());
  Value linear, start = e.idx(0);
  for (int64_t d = 0; d < rank; ++d) {
    Value stride = metadata.getStrides()[d];
    if (at[d].kind == LaneValue::uniform) {
      start = e.add(start, e.mul(index[d], stride));
      continue;
    }
    Value wide = arith::ExtSIOp::create(b, e.loc, i64, vector(at[d]));
    Value scale = vector::BroadcastOp::create(
        b, e.loc, i64, arith::IndexCastOp::create(b, e.loc, b.getI64Type(), stride));
    wide = e.mul(wide, scale);
    linear = linear ? e.add(linear, wide) : wide;
  }
  if (!mask)
    mask = arith::ConstantOp::create(b, e.loc, DenseElementsAttr::get(lanesOf(e, b.getI1Type()), true));
  Value x = vector::GatherOp::create(b, e.loc, result, flat, ValueRange(start), linear, mask, none);
  return {LaneValue::varying, e.fromWords(x, source)};
}

} // namespace attnc
