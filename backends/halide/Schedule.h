//===- Schedule.h - Indices, folds and loops that ops over rows share -------------------------===//
#ifndef ATTNC_BACKENDS_HALIDE_SCHEDULE_H
#define ATTNC_BACKENDS_HALIDE_SCHEDULE_H

#include "backends/halide/Pipeline.h"

namespace attnc::halide {
using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::Var;

/// Indices of the elements of a buffer: [leading dimensions..., column].
struct RowIndex {
  std::vector<Var> leading; // in MLIR's order
  Var column{"column"};

  explicit RowIndex(mlir::Value buffer);
  /// Of the element in this row's column, in MLIR's order.
  std::vector<Expr> at(Expr column) const;
  std::vector<Expr> row() const { return {leading.begin(), leading.end()}; }
  /// Arguments of a Func of elements, and of one of rows: Halide's order.
  std::vector<Var> elements() const;
  std::vector<Var> rows() const { return {leading.rbegin(), leading.rend()}; }
};

/// The static size of the last dimension, 0 if it is dynamic.
int64_t columnsOf(mlir::Value buffer);

/// A value of each row: every column's term, combined by so many independent lanes and then over these.
struct Fold {
  Func lanes, total;
  bool isSpread; // the lanes' first update is over whole lanes
};
using Combine = Expr (*)(Expr, Expr);
Fold foldColumns(Pipeline &p, const RowIndex &index, std::string name, int64_t columns, Expr initial, Combine combine,
                 llvm::function_ref<Expr(Expr)> term);
inline Expr addOf(Expr a, Expr b) { return a + b; }
inline Expr maxOf(Expr a, Expr b) { return max(a, b); }
inline Expr minOf(Expr a, Expr b) { return min(a, b); }

/// Dimensions of a Func from argument `first` on and `loop`, which is the innermost of them, as one loop. It must not be split:
/// from a tail that is guarded Halide would not see that each iteration is at one place.
Var fuseWith(Func f, Var loop, size_t first);

/// `result(column, ...)` computes each element by itself. `inner` are Funcs of the same arguments that loop over something
/// else, for a vector of columns at a time; `ofRow` are loops that the columns of a row share.
void scheduleElements(const Device &device, Func result, int64_t columns, llvm::ArrayRef<Func> inner = {},
                      llvm::ArrayRef<Func> ofRow = {});
/// `result(column, ...)`, or `result(...)` if there are no columns, after the folds of its row.
void scheduleRows(const Device &device, Func result, int64_t columns, llvm::ArrayRef<Fold> folds);

} // namespace attnc::halide

#endif // ATTNC_BACKENDS_HALIDE_SCHEDULE_H
