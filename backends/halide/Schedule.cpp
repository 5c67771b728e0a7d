//===- Schedule.cpp - Indices, folds and loops that ops over rows share ------------------------===//
#include "backends/halide/Schedule.h"

namespace attnc::halide {
using namespace Halide;
using mlir::MemRefType;
using mlir::ShapedType;

namespace {
constexpr int kRowBlock = 16;  // rows of one task, at most
constexpr int kGpuLanes = 64;  // threads that fold one row
constexpr int kGpuColumns = 16, kGpuRows = 4; // threads of a block of elements

int lanesOfFold(const Device &device) { return device.isGpu() ? kGpuLanes : 16; }
} // namespace

RowIndex::RowIndex(mlir::Value buffer) {
  for (int64_t d = 0; d + 1 < llvm::cast<MemRefType>(buffer.getType()).getRank(); ++d)
    leading.push_back(Var("row" + std::to_string(d)));
}

std::vector<Expr> RowIndex::at(Expr column) const {
  std::vector<Expr> index = row();
  index.push_back(column);
  return index;
}

std::vector<Var> RowIndex::elements() const {
  std::vector<Var> vars = {column};
  vars.insert(vars.end(), leading.rbegin(), leading.rend());
  return vars;
}

int64_t columnsOf(mlir::Value buffer) {
  int64_t size = llvm::cast<MemRefType>(buffer.getType()).getShape().back();
  return ShapedType::isDynamic(size) ? 0 : size;
}

Fold foldColumns(Pipeline &p, const RowIndex &index, std::string name, int64_t columns, Expr initial, Combine combine,
                 llvm::function_ref<Expr(Expr)> term) {
  const int count = lanesOfFold(p.device);
  int whole = columns / count, rest = columns % count;
  Fold fold{Func(name + "_lanes"), Func(name), whole > 0};
  Var lane("lane");
  auto of = [&](Expr l) {
    std::vector<Expr> at = {l};
    at.insert(at.end(), index.leading.rbegin(), index.leading.rend());
    return fold.lanes(at);
  };
  of(lane) = initial;
  if (whole) {
    RDom step(0, whole, "step");
    of(lane) = combine(of(lane), term(lane + count * step));
  }
  if (rest) {
    RDom last(0, rest, "last");
    of(last) = combine(of(last), term(whole * count + last));
  }
  RDom all(0, count, "all");
  std::vector<Var> rows = index.rows();
  fold.total(rows) = initial;
  fold.total(rows) = combine(fold.total(rows), of(all));
  return fold;
}

Var fuseWith(Func f, Var loop, size_t first) {
  std::vector<Var> args = f.args();
  for (size_t d = first; d < args.size(); ++d) {
    Var fused("fused");
    f.fuse(loop, args[d], fused);
    loop = fused;
  }
  return loop;
}

namespace {
/// The widest vector of a device that is no wider than the columns, of which 0 is a dynamic number; `isWhole`: without a rest.
int vectorOf(const Device &device, int64_t columns, bool isWhole = false) {
  int lanes = device.lanes();
  while (lanes > 1 && ((columns && lanes > columns) || (isWhole && (!columns || columns % lanes))))
    lanes /= 2;
  return lanes;
}
} // namespace

void scheduleElements(const Device &device, Func result, int64_t columns, llvm::ArrayRef<Func> inner,
                      llvm::ArrayRef<Func> ofRow) {
  std::vector<Var> args = result.args();
  const bool hasRows = args.size() > 1;
  Var column = args[0], block("block"), chunk("chunk"), row("row"), rows("rows"), thread("thread"), threadRow("thread_row");
  // GPUs have no vectors with a guard, and what `inner` reads has none.
  int lanes = vectorOf(device, columns, /*isWhole=*/device.isGpu() || !inner.empty());
  if (columns)
    result.bound(column, 0, int32_t(columns));
  result.split(column, chunk, column, lanes, device.isGpu() ? TailStrategy::GuardWithIf : TailStrategy::Predicate);
  if (lanes > 1)
    result.vectorize(column);
  if (device.isGpu()) {
    result.split(chunk, block, thread, kGpuColumns, TailStrategy::GuardWithIf);
    if (hasRows) {
      result.split(args[1], rows, threadRow, kGpuRows, TailStrategy::GuardWithIf);
      rows = fuseWith(result, rows, 2);
      result.reorder(column, thread, threadRow, block, rows).gpu_blocks(block, rows).gpu_threads(thread, threadRow);
    } else {
      result.gpu_blocks(block).gpu_threads(thread);
    }
  } else if (hasRows) {
    result.split(args[1], rows, row, kRowBlock, TailStrategy::GuardWithIf).reorder(column, chunk, row);
    result.parallel(fuseWith(result, rows, 2));
  } else {
    result.split(chunk, block, chunk, 256, TailStrategy::GuardWithIf).parallel(block);
  }
  for (Func f : ofRow)
    f.compute_at(result, device.isGpu() ? thread : row);
  for (Func f : inner) {
    Var x = f.args()[0];
    f.compute_at(result, device.isGpu() ? thread : chunk);
    if (lanes == 1)
      continue;
    f.vectorize(x, lanes);
    for (int i = 0; i < f.num_update_definitions(); ++i)
      f.update(i).vectorize(x, lanes);
  }
}

void scheduleRows(const Device &device, Func result, int64_t columns, llvm::ArrayRef<Fold> folds) {
  std::vector<Var> args = result.args();
  const size_t first = columns ? 1 : 0; // of the rows' dimensions
  Var column = args[0], block("block"), chunk("chunk"), row("row"), thread("thread"), at = row;
  if (columns)
    result.bound(column, 0, int32_t(columns));
  if (device.isGpu()) { // one row in a block, whose threads fold it, too
    if (columns) {
      result.split(column, chunk, thread, kGpuLanes, TailStrategy::GuardWithIf).reorder(chunk, thread);
      block = args[1];
    } else {
      result.split(args[0], block, thread, 1);
    }
    at = block = fuseWith(result, block, first + 1);
    result.gpu_blocks(block).gpu_threads(thread);
  } else {
    if (columns)
      result.split(column, chunk, column, vectorOf(device, columns), TailStrategy::Predicate).vectorize(column);
    result.split(args[first], block, row, kRowBlock, TailStrategy::GuardWithIf);
    if (columns)
      result.reorder(column, chunk, row);
    result.parallel(fuseWith(result, block, first + 1));
  }
  for (Fold fold : folds) {
    fold.total.compute_at(result, at);
    fold.lanes.compute_at(result, at);
    Var lane = fold.lanes.args()[0];
    auto spread = [&](Stage stage) {
      if (device.isGpu())
        stage.gpu_threads(lane);
      else
        stage.vectorize(lane, device.lanes());
    };
    spread(fold.lanes);
    if (fold.isSpread)
      spread(fold.lanes.update(0));
    if (int last = fold.lanes.num_update_definitions() - 1; last >= fold.isSpread)
      fold.lanes.update(last).unscheduled();
  }
}

} // namespace attnc::halide
