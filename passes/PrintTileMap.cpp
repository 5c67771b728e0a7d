//===- PrintTileMap.cpp - Which tiles of attention are skipped, full or partial ---------------===//
#include "passes/Passes.h"
#include "passes/TileMap.h"

namespace attnc {
#define GEN_PASS_DEF_PRINTTILEMAP
#include "passes/Passes.h.inc"

namespace {
using namespace attn;

/// A remark is only made of maps up to this size, so that it costs no time that anyone notices.
constexpr int64_t kMostRemarkTiles = int64_t(1) << 16;

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
        TileCounts counts = map.count(b, h, tileRows, tileKeys, [](StringRef row) { llvm::outs() << row << '\n'; });
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
    TileCounts sum;
    auto batches = choose(map, "batch row", 0, map.batches, {}), allHeads = choose(map, "head", 1, op.getHeads(), {});
    for (ConstantInterval b : *batches)
      for (ConstantInterval h : *allHeads) {
        TileCounts counts = map.count(b, h, tileRows, tileKeys, [](StringRef) {});
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
