//===- Trace.h - What an entry does at given sizes -----------------------------------------------===//
#ifndef ATTNC_PASSES_TRACE_H
#define ATTNC_PASSES_TRACE_H

#include "dialect/AttnDialect.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <optional>

namespace attnc {
using namespace mlir;

/// Sizes that the host would give.
struct TraceSizes {
  llvm::StringMap<int64_t> dims; ///< by name (attn.dims)
  int64_t past = 0;              ///< tokens that the cache holds of every sequence
  int64_t page = 64;             ///< keys of a page
  int64_t workers = 1;
};

/// A set of tasks, a launch, or loops that run in place, in the order of a run.
struct TraceStep {
  StringRef name;            ///< of the tasks or the launch; empty: in place
  Operation *op;             ///< of the module
  std::optional<int64_t> tasks, flop, bytes; ///< none: depends on what is not known before a run
};

/// One buffer of the workspace.
struct TraceBuffer {
  Operation *op;         ///< of the module
  int64_t offset, bytes; ///< from the workspace's start
  unsigned first = ~0u, last = 0; ///< steps that use it; first > last: none
  bool isCallee = false; ///< holds the buffers of a called function
};

struct Trace {
  std::vector<TraceStep> steps;
  std::vector<TraceBuffer> buffers;
  int64_t workspaceBytes = 0; ///< what NAME.workspace says

  /// The most bytes that hold something still needed, over all steps.
  int64_t mostLive() const;
};

/// The integer result of `op` on integer operands, of which some may not be known, by upstream's folders. These may
/// rewrite the op on the way, say exchange operands of a commutative one.
std::optional<int64_t> foldNumber(Operation *op, function_ref<std::optional<int64_t>(Value)> numberOf);

/// Walks through `entry`, a function of stage "vector", computing its index arithmetic and skipping the work. Give it
/// a module of its own: see foldNumber. Fails if a size is not known, say a dimension that `sizes` lacks.
FailureOr<Trace> trace(func::FuncOp entry, const TraceSizes &sizes);

} // namespace attnc

#endif // ATTNC_PASSES_TRACE_H
