//===- Cost.h - Arithmetic and memory traffic of one op ----------------------------------------===//
#ifndef ATTNC_PASSES_COST_H
#define ATTNC_PASSES_COST_H

#include "passes/Emit.h"

namespace attnc {

/// Both of type index, computed when the entry runs: see attn.cost.
struct Cost {
  Value flop, bytes;
};

/// Cost of an op on buffers. `step` names a part of its work that has tasks of its own: attention's "merge" and "scores".
Cost costOf(Emit &e, Operation *op, StringRef step = {});

} // namespace attnc

#endif // ATTNC_PASSES_COST_H
