//===- TileMap.h - Which tiles of attention are skipped, full or partial -------------------------===//
#ifndef ATTNC_PASSES_TILEMAP_H
#define ATTNC_PASSES_TILEMAP_H

#include "passes/Bounds.h"

namespace attnc {

/// Tiles of one map that is printed.
constexpr int64_t kMostTiles = int64_t(1) << 22;
constexpr int64_t kMostPositions = std::numeric_limits<int32_t>::max();

struct TileCounts {
  int64_t skipped = 0, full = 0, partial = 0;
};

/// One attention op on tensors and the sizes of its scores.
struct TileMap {
  attn::AttentionOp op;
  int64_t batches, queries, keys; // ShapedType::kDynamic if not known
  ConstantInterval offset;        // position of query 0

  /// The given numbers count where the op's are dynamic, if they are not negative.
  TileMap(attn::AttentionOp op, int64_t givenQueries, int64_t givenKeys);

  bool isStatic() const { return !ShapedType::isDynamic(queries) && !ShapedType::isDynamic(keys); }
  /// Whether positions are numbers of 32 bits.
  bool fits() const {
    return queries <= kMostPositions && keys <= kMostPositions && offset.lo >= -kMostPositions &&
           offset.hi + queries <= kMostPositions;
  }
  bool hasMask();
  /// Whether the map may differ by batch row (0) or head (1): only what the compiler can see counts.
  bool dependsOn(unsigned argument);
  /// Bounds of whether query indices q see keys j: {0, 0} hides all of a tile, {1, 1} nothing.
  ConstantInterval visible(ConstantInterval b, ConstantInterval h, ConstantInterval q, ConstantInterval j);
  /// Of batch rows b and heads h. `line` gets each row of tiles: '.' skipped, '#' full, '+' partial.
  TileCounts count(ConstantInterval b, ConstantInterval h, int64_t tileRows, int64_t tileKeys,
                   function_ref<void(StringRef)> line);
};

} // namespace attnc

#endif // ATTNC_PASSES_TILEMAP_H
