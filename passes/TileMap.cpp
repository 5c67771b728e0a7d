//===- TileMap.cpp - Which tiles of attention are skipped, full or partial -----------------------===//
#include "passes/TileMap.h"

namespace attnc {
using namespace attn;

namespace {
ConstantInterval both(ConstantInterval a, ConstantInterval b) { return {a.lo & b.lo, a.hi & b.hi}; }
ConstantInterval either(ConstantInterval a, ConstantInterval b) { return {a.lo | b.lo, a.hi | b.hi}; }
ConstantInterval atMost(ConstantInterval a, ConstantInterval b) { return {a.hi <= b.lo, a.lo <= b.hi}; }
ConstantInterval plus(ConstantInterval a, int64_t c) { return {a.lo + c, a.hi + c}; }
constexpr ConstantInterval kAlways = {1, 1}, kUnknown = {0, 1};
} // namespace

TileMap::TileMap(AttentionOp op, int64_t givenQueries, int64_t givenKeys) : op(op) {
  auto query = cast<ShapedType>(op.getQuery().getType()).getShape();
  bool isRagged = bool(op.getRagged());
  batches = isRagged ? ShapedType::kDynamic : query[0];
  queries = isRagged ? ShapedType::kDynamic : query[query.size() - 2];
  keys = ShapedType::kDynamic;
  if (op.getValue() && !isRagged) {
    auto value = cast<ShapedType>(op.getValue().getType()).getShape();
    keys = value[value.size() - 2];
  }
  if (ShapedType::isDynamic(queries) && givenQueries >= 0)
    queries = givenQueries;
  if (ShapedType::isDynamic(keys) && givenKeys >= 0)
    keys = givenKeys;
  int64_t given = std::clamp(int64_t(op.getCausalOffset()), -2 * kMostPositions, 2 * kMostPositions);
  offset = {given, given};
  if (!isStatic() || queries > kMostPositions || keys > kMostPositions)
    return;
  if (op.getCache() || (op.getBottomRight() && !op.getKvLen()))
    offset = plus(offset, keys - queries);
  else if (op.getBottomRight()) // between no valid keys and all
    offset = {offset.lo - queries, offset.hi + keys - queries};
}

bool TileMap::hasMask() {
  return !op.getMaskMod().empty() || op.getCausal() || op.getWindowLeft() || op.getWindowRight() || op.getPrefix() ||
         op.getDocuments() || op.getKvLen() || op.getKeyMask();
}

bool TileMap::dependsOn(unsigned argument) {
  return !op.getMaskMod().empty() && !op.getMaskMod().getArgument(argument).use_empty();
}

ConstantInterval TileMap::visible(ConstantInterval b, ConstantInterval h, ConstantInterval q, ConstantInterval j) {
  ConstantInterval i = {q.lo + offset.lo, q.hi + offset.hi}, result = kAlways;
  if (op.getPrefix()) // takes the place of causal
    result = either(atMost(j, i), kUnknown);
  else if (op.getCausal())
    result = atMost(j, i);
  if (op.getWindowLeft() || op.getWindowRight()) {
    ConstantInterval window = kAlways;
    if (op.getWindowLeft())
      window = atMost(plus(i, -std::min<int64_t>(*op.getWindowLeft(), 2 * kMostPositions)), j);
    if (op.getWindowRight())
      window = both(window, atMost(j, plus(i, std::min<int64_t>(*op.getWindowRight(), 2 * kMostPositions))));
    int64_t lastSink = int64_t(op.getSinks()) - 1;
    result = both(result, either(window, atMost(j, {lastSink, lastSink})));
  }
  bool isBoolean = op.getBias() && cast<ShapedType>(op.getBias().getType()).getElementType().isInteger(1);
  if (op.getDocuments() || op.getKvLen() || op.getKeyMask() || isBoolean)
    result = both(result, kUnknown);
  if (!op.getMaskMod().empty())
    result = both(result, boundsOf(op.getMaskMod(), {b, h, i, j}));
  return result;
}

TileCounts TileMap::count(ConstantInterval b, ConstantInterval h, int64_t tileRows, int64_t tileKeys,
                          function_ref<void(StringRef)> line) {
  TileCounts counts;
  std::string row;
  int64_t rowStep = std::min(tileRows, kMostPositions), keyStep = std::min(tileKeys, kMostPositions);
  for (int64_t q = 0; q < queries; q += rowStep) {
    row.clear();
    for (int64_t j = 0; j < keys; j += keyStep) {
      ConstantInterval seen =
          visible(b, h, {q, q + std::min(rowStep, queries - q) - 1}, {j, j + std::min(keyStep, keys - j) - 1});
      ++(seen.hi == 0 ? counts.skipped : seen.lo == 1 ? counts.full : counts.partial);
      row += seen.hi == 0 ? '.' : seen.lo == 1 ? '#' : '+';
    }
    line(row);
  }
  return counts;
}

} // namespace attnc
