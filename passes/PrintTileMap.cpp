//===- PrintTileMap.cpp - Which tiles of attention are skipped, full or partial ---------------===//
#include "passes/Bounds.h"
#include "passes/Passes.h"

namespace attnc {
#define GEN_PASS_DEF_PRINTTILEMAP
#include "passes/Passes.h.inc"

namespace {
using namespace attn;

/// Tiles of one map; a remark is only made of maps up to this size, so that it costs no time that anyone notices.
constexpr int64_t kMostTiles = int64_t(1) << 22, kMostRemarkTiles = int64_t(1) << 16;
constexpr int64_t kMostPositions = std::numeric_limits<int32_t>::max();

struct Counts {
  int64_t skipped = 0, full = 0, partial = 0;
};

/// Bounds of a truth value: {0, 0} hides all of a tile, {1, 1} nothing.
ConstantInterval both(ConstantInterval a, ConstantInterval b) { return {a.lo & b.lo, a.hi & b.hi}; }
ConstantInterval either(ConstantInterval a, ConstantInterval b) { return {a.lo | b.lo, a.hi | b.hi}; }
ConstantInterval atMost(ConstantInterval a, ConstantInterval b) { return {a.hi <= b.lo, a.lo <= b.hi}; }
ConstantInterval plus(ConstantInterval a, int64_t c) { return {a.lo + c, a.hi + c}; }
constexpr ConstantInterval kAlways = {1, 1}, kUnknown = {0, 1};

/// One attention op and the sizes of its scores.
struct TileMap {
  AttentionOp op;
  int64_t batches, queries, keys; // ShapedType::kDynamic if not known
  ConstantInterval offset;        // position of query 0

  TileMap(AttentionOp op, int64_t givenQueries, int64_t givenKeys) : op(op) {
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

  bool isStatic() const { return !ShapedType::isDynamic(queries) && !ShapedType::isDynamic(keys); }
  /// Whether positions are numbers of 32 bits.
  bool fits() const {
    return queries <= kMostPositions && keys <= kMostPositions && offset.lo >= -kMostPositions &&
           offset.hi + queries <= kMostPositions;
  }
  bool hasMask() {
    return !op.getMaskMod().empty() || op.getCausal() || op.getWindowLeft() || op.getWindowRight() || op.getPrefix() ||
           op.getDocuments() || op.getKvLen() || op.getKeyMask();
  }
  /// Whether the map may differ by batch row (0) or head (1): only what the compiler can see counts.
  bool dependsOn(unsigned argument) {
    return !op.getMaskMod().empty() && !op.getMaskMod().getArgument(argument).use_empty();
  }

  ConstantInterval visible(ConstantInterval b, ConstantInterval h, ConstantInterval q, ConstantInterval j);
};

/// Bounds of whether query indices q see keys j.
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

struct PrintTileMap : impl::PrintTileMapBase<PrintTileMap> {
  using PrintTileMapBase::PrintTileMapBase;

  void runOnOperation() override {
    if (tileRows < 1 || tileKeys < 1) {
      getOperation().emitError() << "expected tiles of at least 1 x 1, got " << int64_t(tileRows) << " x "
                                 << int64_t(tileKeys);
      return signalPassFailure();
    }
    WalkResult result = getOperation().walk([&](AttentionOp op) {
      TileMap map(op, queries, keys);
      return !map.hasMask() || succeeded(remarks ? remark(map) : print(map)) ? WalkResult::advance()
                                                                             : WalkResult::interrupt();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }

  /// What to make maps of: the given ones, else every one if the map depends on it, else all at once.
  FailureOr<SmallVector<ConstantInterval>> choose(TileMap &map, StringRef name, unsigned argument, int64_t size,
                                                  ArrayRef<int64_t> given) {
    SmallVector<ConstantInterval> chosen;
    for (int64_t n : given) {
      if (n < 0 || n >= (ShapedType::isDynamic(size) ? kMostPositions : size))
        return map.op.emitOpError() << "expected a " << name << " below "
                                    << (ShapedType::isDynamic(size) ? kMostPositions : size) << ", got " << n;
      chosen.push_back({n, n});
    }
    bool isEach = given.empty() && map.dependsOn(argument) && !ShapedType::isDynamic(size);
    for (int64_t n = 0; isEach && n < size; ++n)
      chosen.push_back({n, n});
    if (given.empty() && !isEach)
      chosen.push_back({0, ShapedType::isDynamic(size) ? kMostPositions : std::max<int64_t>(size - 1, 0)});
    return chosen;
  }

  /// Counts of one map; `line` gets each row of tiles.
  Counts count(TileMap &map, ConstantInterval b, ConstantInterval h, function_ref<void(StringRef)> line) {
    Counts counts;
    std::string row;
    int64_t rowStep = std::min<int64_t>(tileRows, kMostPositions),
            keyStep = std::min<int64_t>(tileKeys, kMostPositions);
    for (int64_t q = 0; q < map.queries; q += rowStep) {
      row.clear();
      for (int64_t j = 0; j < map.keys; j += keyStep) {
        ConstantInterval seen = map.visible(b, h, {q, q + std::min(rowStep, map.queries - q) - 1},
                                            {j, j + std::min(keyStep, map.keys - j) - 1});
        ++(seen.hi == 0 ? counts.skipped : seen.lo == 1 ? counts.full : counts.partial);
        row += seen.hi == 0 ? '.' : seen.lo == 1 ? '#' : '+';
      }
      line(row);
    }
    return counts;
  }

  int64_t tilesOf(TileMap &map) {
    return llvm::divideCeil(map.queries, int64_t(tileRows)) * llvm::divideCeil(map.keys, int64_t(tileKeys));
  }

  LogicalResult print(TileMap &map) {
    AttentionOp op = map.op;
    if (!map.isStatic()) {
      emitRemark(op.getLoc()) << "no tile map: the number of queries or keys is dynamic; give queries= and keys=";
      return success();
    }
    if (!map.fits())
      return op.emitOpError() << "expected positions of 32 bits, got " << map.queries << " queries from "
                              << map.offset.lo << " and " << map.keys << " keys";
    if (tilesOf(map) > kMostTiles)
      return op.emitOpError() << "expected a tile map of at most " << kMostTiles << " tiles, got " << tilesOf(map);
    auto batches = choose(map, "batch row", 0, map.batches, batch);
    if (failed(batches))
      return failure();
    auto allHeads = choose(map, "head", 1, op.getHeads(), heads);
    if (failed(allHeads))
      return failure();
    auto name = [](ConstantInterval n) { return n.lo == n.hi ? std::to_string(n.lo) : std::string("any"); };
    for (ConstantInterval b : *batches)
      for (ConstantInterval h : *allHeads) {
        if (auto func = op->getParentOfType<func::FuncOp>())
          llvm::outs() << '@' << func.getSymName() << ": ";
        llvm::outs() << "batch " << name(b) << ", head " << name(h) << ", " << map.queries << " queries x " << map.keys
                     << " keys in tiles of " << tileRows << " x " << tileKeys << '\n';
        Counts counts = count(map, b, h, [](StringRef row) { llvm::outs() << row << '\n'; });
        llvm::outs() << counts.skipped << " skipped, " << counts.full << " full, " << counts.partial << " partial\n";
      }
    return success();
  }

  /// The counts of all batch rows and heads that differ.
  LogicalResult remark(TileMap &map) {
    AttentionOp op = map.op;
    int64_t maps = (map.dependsOn(0) && !ShapedType::isDynamic(map.batches) ? map.batches : 1) *
                   (map.dependsOn(1) ? op.getHeads() : 1);
    bool fits = map.isStatic() && map.fits() && !ShapedType::isDynamic(map.batches) && maps <= kMostRemarkTiles &&
                tilesOf(map) * maps <= kMostRemarkTiles;
    if (!fits)
      return success();
    Counts sum;
    auto batches = choose(map, "batch row", 0, map.batches, {}), allHeads = choose(map, "head", 1, op.getHeads(), {});
    for (ConstantInterval b : *batches)
      for (ConstantInterval h : *allHeads) {
        Counts counts = count(map, b, h, [](StringRef) {});
        sum.skipped += counts.skipped;
        sum.full += counts.full;
        sum.partial += counts.partial;
      }
    emitRemark(op.getLoc()) << "tile map of " << int64_t(tileRows) << " x " << int64_t(tileKeys) << ": " << sum.skipped
                            << " skipped, " << sum.full << " full, " << sum.partial << " partial";
    return success();
  }
};
} // namespace
} // namespace attnc
