//===- CausalMask.h - Recognise causal masks ----------------------------------------------===//
#ifndef ATTNC_PASSES_CAUSALMASK_H
#define ATTNC_PASSES_CAUSALMASK_H

#include "mlir/IR/Value.h"

namespace attnc {

/// Added to a score of any size that occurs or taken in its place, this leaves a probability of 0.
constexpr double kHiddenScore = -1e9;

/// Whether the tensor `mask` [..., queries, keys] hides exactly the keys after each query's own position: true (i1) or
/// 0 (float) where key <= query, else false or at most -1e9. Recognises constants, and `linalg.generic` and
/// `tensor.generate` that compare the two indices.
bool isCausalMask(mlir::Value mask);

} // namespace attnc

#endif // ATTNC_PASSES_CAUSALMASK_H
