//===- Remarks.cpp - Reasons why a pattern did not apply, for users ----------------------===//
#include "passes/Remarks.h"

#include "mlir/Dialect/MemRef/Transforms/Transforms.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace attnc {

void RemarkListener::notifyPatternBegin(const Pattern &pattern, Operation *op) {
  current = pattern.getDebugName().starts_with("attnc::") ? op : nullptr;
  if (current)
    reasons.erase(current); // this attempt decides
}

void RemarkListener::notifyPatternEnd(const Pattern &, LogicalResult status) { current = nullptr; }

void RemarkListener::notifyMatchFailure(Location loc, function_ref<void(Diagnostic &)> reason) {
  if (!current)
    return;
  Diagnostic text(loc, DiagnosticSeverity::Remark);
  reason(text);
  reasons.insert({current, {loc, text.str()}});
}

void RemarkListener::notifyOperationErased(Operation *op) { reasons.erase(op); }

void RemarkListener::emit() {
  for (auto &[op, reason] : reasons)
    emitRemark(reason.first, reason.second);
  reasons.clear();
}

LogicalResult applyPatterns(Operation *root, RewritePatternSet patterns) {
  // An op's size is asked for through its operands, so that asking does not keep the op alive.
  memref::populateResolveRankedShapedTypeResultDimsPatterns(patterns);
  RemarkListener listener;
  LogicalResult result = applyPatternsGreedily(root, std::move(patterns), GreedyRewriteConfig().setListener(&listener));
  listener.emit();
  return result;
}

} // namespace attnc
