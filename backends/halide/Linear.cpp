//===- Linear.cpp - Products with weights ---------------------------------------------------------===//
//
//   weight f32     [panels, K, 16]
//   weight 16-bit  [panels, ⌈K/2⌉, 16, 2], of which a pair of k is one u32 (Pipeline::pairs)
//
// A tile of rows × panels is summed in registers over all k: each output is one ascending sum, whatever the tile.
//
//===----------------------------------------------------------------------------------===//
#include "backends/halide/Emitters.h"
#include "backends/halide/Math.h"
#include "backends/halide/Schedule.h"

namespace attnc::halide {
using namespace Halide;
using llvm::Error;
using mlir::MemRefType;
using mlir::Value;

namespace {
constexpr int kPanel = attn::kPanel;

/// Rows and panels of one tile of the result, whose sums stay in registers.
struct Tile {
  int rows, panels, lanes; // lanes: of the vectors that make up a panel

  /// `sums` = rows · panels · 16/lanes vectors, and as many registers for the weight and the input.
  explicit Tile(const Device &device) : rows(4), panels(1), lanes(device.lanes()) {
    const Target &target = device.target;
    if (device.isGpu())
      lanes = target.has_feature(Target::OpenCL) ? 8 : 4;
    else if (lanes == kPanel)
      panels = 4;
    else if (lanes * 4 <= kPanel && target.arch != Target::ARM)
      rows = 2; // 16 registers of 4
  }
};

/// The weight at (column of the panel, k, panel) as f32; `expert` where there are several.
struct Weight {
  Pipeline &p;
  Value input, buffer;
  int64_t k, n;
  bool isTransposed;

  MemRefType type() const { return llvm::cast<MemRefType>(buffer.getType()); }
  int64_t panels() const { return llvm::divideCeil(n, kPanel); }

  Expr operator()(Expr column, Expr at, Expr panel, Expr expert, bool isExact) const {
    std::vector<Expr> index;
    if (expert.defined())
      index.push_back(expert);
    int64_t rank = type().getRank() - int64_t(index.size());
    if (rank == 2) {
      Expr j = panel * kPanel + column;
      if (!isExact || n % kPanel)
        j = min(j, int32_t(n - 1));
      llvm::append_range(index, isTransposed ? std::vector<Expr>{j, at} : std::vector<Expr>{at, j});
      return p.load(buffer, index);
    }
    if (!isExact) // the last tile has panels beyond the last
      panel = min(panel, int32_t(panels() - 1));
    if (rank == 3) {
      llvm::append_range(index, std::vector<Expr>{panel, at, column});
      return p.load(buffer, index);
    }
    llvm::append_range(index, std::vector<Expr>{panel, at / 2, column});
    return p.loadOfPair(buffer, index, at % 2);
  }
};

/// result[row..., n] = epilogue(Σ_k input(row..., k) · weight(n, k)).
struct Product {
  using Row = std::vector<Expr>; // the leading indices

  Pipeline &p;
  Weight weight;
  Value init;
  std::function<Expr(Row, Expr k)> input;
  std::function<Expr(Row)> expert; // null: one weight for all
  std::function<Expr(Expr sum, Row, Expr n)> epilogue;

  void emit(std::string name) {
    RowIndex index(init);
    Tile tile(p.device);
    if (expert)
      tile.rows = 1; // neighbours have other weights
    tile.panels = std::min<int64_t>(tile.panels, weight.panels());
    const bool isExact = weight.panels() % tile.panels == 0;
    const int lanes = tile.lanes, vectors = kPanel / lanes;
    Var lane("lane"), vector("vector"), panel("panel");
    RDom k(0, int32_t(weight.k), "k");
    Func sum("sum"), result(name);
    auto sumAt = [&](Expr lane, Expr vector, Expr panel) {
      std::vector<Expr> at = {lane, vector, panel};
      at.insert(at.end(), index.leading.rbegin(), index.leading.rend());
      return sum(at);
    };
    Row row = index.row();
    if (!expert) // a tile's last rows may be beyond
      row.back() = clamp(row.back(), 0, p.size(weight.input, row.size() - 1) - 1);
    sumAt(lane, vector, panel) = 0.0f;
    sumAt(lane, vector, panel) += input(row, k) * weight(lane + vector * lanes, k, panel, expert ? expert(row) : Expr(), isExact);
    Var n = index.column;
    result(index.elements()) = p.narrow(epilogue(sumAt(n % lanes, n / lanes % vectors, n / kPanel), index.row(), n), init);
    schedule(result, sum, k, tile);
    p.define(init, result);
  }

private:
  void schedule(Func result, Func sum, RDom k, const Tile &tile) {
    std::vector<Var> args = result.args(); // n, row...
    Var n = args[0], row("row"), tiles("tiles"), columns("columns"), block("block"), chunk("chunk"), at;
    const int vectors = kPanel / tile.lanes, width = tile.panels * kPanel;
    result.bound(n, 0, int32_t(weight.n)).split(n, columns, n, width, TailStrategy::GuardWithIf)
        .vectorize(n, tile.lanes, TailStrategy::GuardWithIf).unroll(n)
        .split(args[1], tiles, row, tile.rows, TailStrategy::GuardWithIf).unroll(row);
    if (p.device.isGpu()) {
      Var threadRow("thread_row"), threadColumn("thread_column");
      result.split(tiles, block, threadRow, 8, TailStrategy::GuardWithIf)
          .split(columns, chunk, threadColumn, 8, TailStrategy::GuardWithIf);
      block = fuseWith(result, block, 2);
      result.reorder(n, row, threadRow, threadColumn, chunk, block).gpu_blocks(chunk, block).gpu_threads(threadRow, threadColumn);
      at = threadRow;
    } else {
      // A task: 64 rows, so that a weight is read from a far cache once for these, by some columns: 16 tasks at least, or
      // 512 columns, which are enough to pay for a task of one row.
      const int perTask = std::max<int64_t>(1, std::min<int64_t>(512 / width, weight.n / (width * 16)));
      result.split(tiles, block, tiles, std::max(1, 64 / tile.rows), TailStrategy::GuardWithIf)
          .split(columns, chunk, columns, perTask, TailStrategy::GuardWithIf)
          .reorder(n, row, tiles, columns, chunk, block);
      Var task("task");
      result.fuse(chunk, block, task).parallel(fuseWith(result, task, 2));
      at = tiles;
    }
    result.never_partition_all();
    args = sum.args(); // lane, vector, panel, row...
    sum.compute_at(result, at).store_in(MemoryType::Register).bound_extent(args[0], tile.lanes)
        .bound_extent(args[1], vectors).bound_extent(args[2], tile.panels);
    for (size_t d = 3; d < args.size(); ++d)
      sum.bound_extent(args[d], d == 3 ? tile.rows : 1);
    auto tileLoops = [&](Stage stage) {
      stage.vectorize(args[0]).unroll(args[1]).unroll(args[2]).unroll(args[3]);
    };
    tileLoops(sum);
    sum.update().reorder({args[0], args[1], args[2], args[3], k});
    tileLoops(sum.update());
    if (weight.k > 1)
      sum.update().unroll(k, 2).never_partition_all(); // a pair at once
  }
};
} // namespace

Error emitLinear(Pipeline &p) {
  auto op = llvm::cast<attn::LinearOp>(p.op());
  Weight weight{p, op.getInput(), op.getWeight(), columnsOf(op.getInput()), columnsOf(op.getInit()), op.getTransposeWeight()};
  Product product{p, weight, op.getInit(), {}, {}, {}};
  auto in = [](Product::Row row, Expr column) {
    row.push_back(column);
    return row;
  };
  product.input = [&](Product::Row row, Expr k) { return p.load(op.getInput(), in(row, k)); };
  product.epilogue = [&](Expr y, Product::Row row, Expr n) {
    if (op.getBias())
      y = y + p.load(op.getBias(), {n});
    y = portable::activation(op.getActivation(), y);
    return op.getResidual() ? y + p.load(op.getResidual(), in(row, n)) : y;
  };
  product.emit("linear");
  return Error::success();
}

/// Each choice by itself, with its expert's weight: right for few tokens, and for many without the reuse of weights that
/// sorting them by expert gives.
Error emitExpertLinear(Pipeline &p) {
  auto op = llvm::cast<attn::ExpertLinearOp>(p.op());
  auto rankOf = [](Value v) { return llvm::cast<MemRefType>(v.getType()).getRank(); };
  Weight weight{p, op.getInput(), op.getWeight(), columnsOf(op.getInput()), columnsOf(op.getInit()), op.getTransposeWeight()};
  Product product{p, weight, op.getInit(), {}, {}, {}};
  const bool isShared = rankOf(op.getInput()) == rankOf(op.getExperts()); // one row of input for a token's choices
  product.input = [&](Product::Row row, Expr k) {
    if (isShared)
      row.pop_back();
    row.push_back(k);
    return p.load(op.getInput(), row);
  };
  product.expert = [&](Product::Row row) {
    return clamp(cast<int32_t>(p.load(op.getExperts(), row)), 0, int32_t(op.getNumExperts() - 1));
  };
  product.epilogue = [&](Expr y, Product::Row row, Expr n) {
    return op.getBias() ? y + p.load(op.getBias(), {product.expert(row), n}) : y;
  };
  product.emit("expert_linear");
  return Error::success();
}

} // namespace attnc::halide
