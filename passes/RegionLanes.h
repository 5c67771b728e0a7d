//===- RegionLanes.h - A scalar region, computed for a vector of keys ------------------------===//
#ifndef ATTNC_PASSES_REGIONLANES_H
#define ATTNC_PASSES_REGIONLANES_H

#include "passes/Emit.h"

namespace attnc {

/// What a value of a region is over `lanes` consecutive keys.
struct LaneValue {
  enum Kind {
    uniform, ///< the same in every lane: a scalar
    affine,  ///< value + lane: the scalar of lane 0
    clamped, ///< clamp(value + lane, low, high), constants
    varying, ///< a vector
  } kind;
  Value value;
  int64_t low = 0, high = 0;
};

/// Whether (i1) a lane that counts reads outside of the load's buffer.
struct BadRead {
  Value flag;
  attn::LoadOp load;
};

/// Clones the ops of a region at lane width: ops on uniform values stay scalar, the others become vectors; loads of
/// captured buffers become scalar, contiguous or gathered.
struct RegionLanes {
  Emit &e;
  int64_t heads;          ///< h is in [0, heads)
  Value keep;             ///< lanes that count (vector of i1), or null for all: others are not read
  SmallVector<BadRead> bad;

  RegionLanes(Emit &e, int64_t heads, Value keep = {}) : e(e), heads(heads), keep(keep) {}

  /// What the region yields; `args` are its arguments.
  LaneValue run(Region &region, ArrayRef<LaneValue> args);
  /// As a vector.
  Value vector(LaneValue v);

private:
  LaneValue visit(Operation *op, function_ref<LaneValue(Value)> lookup);
  LaneValue load(attn::LoadOp op, function_ref<LaneValue(Value)> lookup);
  Value inRange(Value index, Value size);
  void require(attn::LoadOp op, Value inside);
};

} // namespace attnc

#endif // ATTNC_PASSES_REGIONLANES_H
