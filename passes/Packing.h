//===- Packing.h - In which order buffers share memory -------------------------------------------===//
#ifndef ATTNC_PASSES_PACKING_H
#define ATTNC_PASSES_PACKING_H

#include "mlir/Support/LLVM.h"

namespace attnc {
using namespace mlir;

/// First and last op that use a buffer.
struct Lifetime {
  unsigned first, last;
  bool meets(const Lifetime &other) const { return first <= other.last && other.first <= last; }
};

/// Sizes are only known when an entry runs, but not the order of offsets: each buffer in turn is put right above those
/// before it whose lifetimes meet its own. This is the order that wastes least at the worst of some samples of sizes, each
/// `samples[s][buffer]`: the best of first fits by size and by lifetime, then of exchanges of neighbours.
SmallVector<unsigned> packingOrder(ArrayRef<Lifetime> lifetimes, ArrayRef<SmallVector<double>> samples);

} // namespace attnc

#endif // ATTNC_PASSES_PACKING_H
