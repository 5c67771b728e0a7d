//===- Positions.cpp - Constraints of positions and what is computed from them --------------===//
#include "dialect/Verify.h"

#include <cmath>

namespace attnc::attn {

namespace {
constexpr int64_t kMostFrequencies = 65536;

/// The shape of `positions` plus `features`.
LogicalResult expectFeatures(Operation *op, Value out, Value positions, int64_t features) {
  SmallVector<int64_t> expected(shape(positions));
  expected.push_back(features);
  return expectShape(op, "result", out, expected);
}
} // namespace

LogicalResult PositionsOp::verify() {
  if (failed(expectRank(*this, "ids", getIds(), 2))) // C1
    return failure();
  if (getGiven() && (failed(expectShape(*this, "given", getGiven(), shape(getIds()))) ||
                     failed(expectElementType(*this, "given", getGiven(), getIds()))))
    return failure();
  if (getMask()) { // C2
    ArrayRef<int64_t> ids = shape(getIds());
    if (failed(expectShape(*this, "mask", getMask(), {ids[0], getCache() ? ShapedType::kDynamic : ids[1]})))
      return failure();
  }
  if (getPad() && (getCache() || getMask())) // C3
    return emitOpError("expected neither a cache nor a mask with 'pad'");
  return verifySame(*this, getIds(), getInit());
}

LogicalResult PositionalEncodingOp::verify() {
  FailureOr<Value> out = destination(*this, getInit());
  if (failed(out) || failed(expectStaticLast(*this, "result", *out, 2)))
    return failure();
  return expectFeatures(*this, *out, getPositions(), last(*out)); // C1
}

LogicalResult RotaryTableOp::verify() {
  FailureOr<Value> out = destination(*this, getInit());
  if (failed(out) || failed(expectRank(*this, "positions", getPositions(), 2)))
    return failure();
  int64_t count = getFrequencies().size();
  auto isNotFinite = [](double f) { return !std::isfinite(f); };
  if (count < 1 || count > kMostFrequencies) // C2
    return emitOpError() << "expected 1 to " << kMostFrequencies << " frequencies, got " << count;
  if (failed(expectFeatures(*this, *out, getPositions(), 2 * count))) // C1
    return failure();
  if (!shaped(*out).getElementType().isF32())
    return emitOpError() << "expected result element type f32, got " << shaped(*out).getElementType();
  ArrayRef<double> longer = getLongFrequencies().value_or(ArrayRef<double>());
  if (llvm::any_of(getFrequencies(), isNotFinite) || llvm::any_of(longer, isNotFinite))
    return emitOpError("expected finite frequencies");
  if (getLongFrequencies() && int64_t(longer.size()) != count) // C3
    return emitOpError() << "expected " << count << " long_frequencies, got " << longer.size();
  int64_t alternatives = bool(getLongFrequencies()) + bool(getNtkFactor()); // C4
  if (alternatives > 1 || alternatives != int64_t(bool(getLongFrom())))
    return emitOpError("expected 'long_from' and one of 'long_frequencies' and 'ntk_factor', or none of the three");
  if (getLongFrom() && int64_t(*getLongFrom()) < 1)
    return emitOpError() << "expected a positive long_from, got " << int64_t(*getLongFrom());
  if (getNtkFactor()) {
    double factor = getNtkFactor()->convertToDouble();
    if (!(factor > 0) || !std::isfinite(factor))
      return emitOpError() << "expected a positive ntk_factor, got " << factor;
    if (count < 2)
      return emitOpError("expected at least 2 frequencies with 'ntk_factor', got 1");
  }
  return success();
}

LogicalResult RotaryOp::verify() {
  if (failed(verifySame(*this, getInput(), getInit())) || // C1
      failed(getInit() ? expectStaticLast(*this, "input", getInput(), 2) // rows of a task have rank 2
                       : expectRank(*this, "input", getInput(), 3)) ||
      failed(expectDivides(*this, "input", last(getInput()), getHeads())) || // C2
      failed(expectStaticLast(*this, "table", getTable(), 2)))
    return failure();
  int64_t headDim = last(getInput()) / int64_t(getHeads()), rotated = last(getTable());
  if (rotated < 2 || rotated % 2 || rotated > headDim) // C3
    return emitOpError() << "expected a table of an even number of values, at most head_dim " << headDim << ", got " << rotated;
  if (!shaped(getTable()).getElementType().isF32())
    return emitOpError() << "expected table element type f32, got " << shaped(getTable()).getElementType();
  SmallVector<int64_t> expected(shape(getInput()));
  expected.back() = rotated;
  return expectShape(*this, "table", getTable(), expected);
}

} // namespace attnc::attn
