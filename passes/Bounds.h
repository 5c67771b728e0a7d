//===- Bounds.h - Least and greatest value of a region over a tile --------------------------===//
#ifndef ATTNC_PASSES_BOUNDS_H
#define ATTNC_PASSES_BOUNDS_H

#include "passes/Emit.h"

namespace attnc {

/// Inclusive bounds, of type i64.
struct Interval {
  Value lo, hi;
};
struct ConstantInterval {
  int64_t lo, hi;
};

/// Bounds of what `region`, a score region of attention that yields an integer, yields when its arguments b, h, i, j
/// lie in `bhij`; i1 counts as 0 and 1. A mask hides a tile where hi is 0 and shows all of it where lo is 1.
///
/// Each op has a rule that bounds its result by the bounds of its operands, so values that move together are not seen
/// as such. Overflow, floats and ops without a rule give every value of the type: the bounds are never too narrow.
///
/// The arguments' bounds are i32 numbers, those of b, h and j not negative, lo ≤ hi. Emits scalar code at `e`; constant
/// bounds give constant results. Captured tensors are bounded by their elements where the index is one place, or
/// where only the last one moves and over fewer than eight; by the `ranges` of the load over at most four blocks. They are
/// never read outside.
Interval boundsOf(Emit &e, Region &region, ArrayRef<Interval> bhij);

/// The same at compile time, where captured values that are not constants may be anything.
ConstantInterval boundsOf(Region &region, ArrayRef<ConstantInterval> bhij);

} // namespace attnc

#endif // ATTNC_PASSES_BOUNDS_H
