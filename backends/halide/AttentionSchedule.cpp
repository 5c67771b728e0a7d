//===- AttentionSchedule.cpp - Schedules of attention ----------------------------------------------===//
#include "backends/halide/Attention.h"

namespace attnc::halide {
using namespace Halide;

namespace {
constexpr int kKeys = attn::kKeyPanel;

/// Vectors of a register tile beside each row: accumulators, operands and one factor fit.
int vectorsOfTile(const Target &target) {
  bool has32 = target.arch != Target::X86 || target.has_feature(Target::AVX512_Skylake);
  return has32 ? 4 : 2;
}

/// Sizes that Halide does not see: indices of a group are divisions and remainders of those of the result.
void bind(const AttentionShape &shape, Func f, bool isWhole) {
  for (const Var &var : f.args()) {
    llvm::StringRef name = var.name();
    if (name == "row")
      f.bound(var, 0, shape.rows);
    else if (name == "tile" && isWhole)
      f.bound(var, 0, shape.tiles);
    else if (name == "block" || name == "group" || name == "heads" || name == "batch")
      f.bound_extent(var, 1);
  }
}

/// Rows of a register tile are unrolled, and its keys, or lanes, are vectors.
void scheduleCpu(const AttentionShape &shape, const AttentionVars &v, const Device &device, AttentionWalk &w, Func consumer,
                 Var task) {
  const int n = keyLanes(device), vectors = vectorsOfTile(device.target);
  RVar block = w.overBlocks.x;
  Var outer("outer"), inner("inner");
  w.reach.compute_at(consumer, task);
  w.query.compute_at(consumer, task).vectorize(v.element, n, TailStrategy::GuardWithIf);
  w.state.compute_at(consumer, task).bound(v.lane, 0, shape.lanes).vectorize(v.lane, n).unroll(v.row);
  w.state.update().reorder(v.lane, v.row, v.tile, block).vectorize(v.lane, n).unroll(v.row);
  for (Func f : {w.reach, w.query, w.state})
    bind(shape, f, /*isWhole=*/true);

  // Funcs of one block and tile.
  auto atTile = [&](Func f) {
    bind(shape, f, /*isWhole=*/false);
    return f.compute_at(w.state, v.tile);
  };
  auto ofKeys = [&](Func f) { atTile(f).bound(v.key, 0, kKeys).vectorize(v.key, n).unroll(v.key).unroll(v.row); };
  ofKeys(w.dot);
  w.dot.update().split(v.key, outer, v.key, std::min(kKeys, n * vectors))
      .reorder(v.key, v.row, w.overElements.x, w.overElements.y, outer).vectorize(v.key, n).unroll(v.key).unroll(v.row);
  ofKeys(w.scores);
  if (w.weights.defined() && w.product.defined())
    ofKeys(w.weights);
  for (auto [lanes, total] : {std::pair(w.mostOfLane, w.most), std::pair(w.sumOfLane, w.sum)})
    if (total.defined()) {
      atTile(lanes).bound(v.lane, 0, n).vectorize(v.lane).unroll(v.row);
      atTile(total).unroll(v.row);
      total.update().atomic().vectorize(total.rvars()[0]).unroll(v.row);
    }
  if (w.product.defined()) {
    int width = std::min(shape.parts, std::max(1, vectors * n / shape.lanes));
    while (shape.parts % width)
      --width;
    for (Func product : {w.product, w.careful})
      atTile(product).bound(v.lane, 0, shape.lanes).bound(v.part, 0, shape.parts).vectorize(v.lane, n).unroll(v.lane);
    w.product.update().split(v.part, outer, inner, width).reorder(v.lane, inner, v.row, w.overKeys.x, w.overKeys.y, outer)
        .vectorize(v.lane, n).unroll(v.lane).unroll(inner).unroll(v.row);
    w.careful.update().reorder(v.lane, v.part, w.overCarefully.x, v.row, w.overCarefully.y).vectorize(v.lane, n);
    atTile(w.worstOfLane).bound(v.lane, 0, shape.lanes).vectorize(v.lane, n);
    w.worstOfLane.update().reorder(v.lane, w.overParts.x, w.overParts.y).vectorize(v.lane, n);
    atTile(w.worst);
    w.worst.update().atomic().vectorize(w.worst.rvars()[0], n);
  }

  // Funcs of one block, for all tiles.
  for (Func f : {w.keys, w.values, w.isKept})
    if (f.defined()) {
      bind(shape, f, /*isWhole=*/false);
      f.compute_at(w.state, block).vectorize(f.args()[0], n);
    }
}

/// A block of threads for each group, a column of threads for each tile: keys beside one another for the scores; lanes of the
/// result, then rows, for the state. What threads exchange is in shared memory. What is made before the loop over the blocks and
/// read in it must be read to its end: Halide 21 takes its memory back after the last read in the loop's body.
void scheduleGpu(const AttentionShape &shape, const AttentionVars &v, const Device &device, AttentionWalk &w, Func consumer,
                 Var task) {
  const int n = keyLanes(device);
  RVar block = w.overBlocks.x;
  Var quad("quad"), thread("thread");
  w.reach.compute_at(consumer, task).gpu_threads(v.tile);
  w.reach.update().gpu_threads(v.tile);
  w.state.compute_at(consumer, task).bound(v.lane, 0, shape.lanes).split(v.lane, quad, v.lane, n)
      .reorder(v.lane, quad, v.row, v.tile).vectorize(v.lane).fuse(quad, v.row, thread).gpu_threads(thread, v.tile);
  w.state.update().split(v.lane, quad, v.lane, n).reorder(v.lane, quad, v.row, v.tile, block).vectorize(v.lane)
      .fuse(quad, v.row, thread).gpu_threads(thread, v.tile);
  for (Func f : {w.reach, w.state})
    bind(shape, f, /*isWhole=*/true);

  auto atBlock = [&](Func f) {
    bind(shape, f, /*isWhole=*/true);
    return f.compute_at(w.state, block);
  };
  auto ofKeys = [&](Func f) {
    atBlock(f).bound(v.key, 0, kKeys).split(v.key, quad, v.key, n).reorder(v.key, v.row, quad, v.tile).vectorize(v.key)
        .unroll(v.row).gpu_threads(quad, v.tile);
  };
  ofKeys(w.scores);
  bind(shape, w.dot, /*isWhole=*/false);
  w.dot.compute_at(w.scores, quad).vectorize(v.key).unroll(v.row);
  w.dot.update().reorder(v.key, v.row, w.overElements.x, w.overElements.y).vectorize(v.key).unroll(v.row);
  if (w.weights.defined() && w.product.defined())
    ofKeys(w.weights);
  for (Func total : {w.most, w.sum})
    if (total.defined()) {
      atBlock(total).gpu_threads(v.row, v.tile);
      total.update().gpu_threads(v.row, v.tile);
    }
  if (w.product.defined()) {
    w.product.compute_at(w.state, thread).bound(v.part, 0, shape.parts).vectorize(v.lane).unroll(v.part);
    w.product.update().reorder(v.lane, v.part, v.row, w.overKeys.x, w.overKeys.y).vectorize(v.lane).unroll(v.part);
    for (Var var : {v.block, v.group, v.heads, v.batch})
      w.product.bound_extent(var, 1);
  }
}
} // namespace

void scheduleWalk(const AttentionShape &shape, const AttentionVars &v, const Device &device, AttentionWalk &w, Func consumer,
                  Var task) {
  (device.isGpu() ? scheduleGpu : scheduleCpu)(shape, v, device, w, consumer, task);
}

} // namespace attnc::halide
