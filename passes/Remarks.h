//===- Remarks.h - Reasons why a pattern did not apply, for users ------------------------===//
#ifndef ATTNC_PASSES_REMARKS_H
#define ATTNC_PASSES_REMARKS_H

#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/MapVector.h"

namespace attnc {
using namespace mlir;

/// Collects the reasons that this compiler's patterns (not upstream's) give with `notifyMatchFailure`, one per op, and
/// forgets those of ops that a later attempt rewrote or erased. `emit` turns the rest into remarks; drivers show
/// or drop remarks.
class RemarkListener : public RewriterBase::Listener {
public:
  void notifyPatternBegin(const Pattern &pattern, Operation *op) override;
  void notifyPatternEnd(const Pattern &pattern, LogicalResult status) override;
  void notifyMatchFailure(Location loc, function_ref<void(Diagnostic &)> reason) override;
  void notifyOperationErased(Operation *op) override;
  void emit();

private:
  Operation *current = nullptr;
  llvm::MapVector<Operation *, std::pair<Location, std::string>> reasons;
};

/// Applies `patterns` inside `root` until nothing changes, looking through `tensor.dim` of our ops, and emits the
/// remaining reasons as remarks. Fails if the patterns do not converge.
LogicalResult applyPatterns(Operation *root, RewritePatternSet patterns);

} // namespace attnc

#endif // ATTNC_PASSES_REMARKS_H
