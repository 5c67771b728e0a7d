//===- RangeCaptures.cpp - Bounds of captured buffers, once per run ---------------------------===//
#include "passes/Passes.h"
#include "passes/Tasks.h"

namespace attnc {
#define GEN_PASS_DEF_RANGECAPTURES
#include "passes/Passes.h.inc"

namespace {
using namespace attn;

/// Which arguments of a mask region, or values within it, move with the query or the key.
struct Movement {
  llvm::SmallPtrSet<Value, 16> moving;

  explicit Movement(Region &mask) {
    moving.insert(mask.getArgument(2));
    moving.insert(mask.getArgument(3));
    for (Operation &op : mask.front())
      if (llvm::any_of(op.getOperands(), [&](Value v) { return moving.contains(v); }))
        moving.insert(op.result_begin(), op.result_end());
  }

  /// Whether bounds of the loaded value come from ranges: only the last index moves.
  bool needsRanges(LoadOp load) {
    auto type = dyn_cast<MemRefType>(load.getSource().getType());
    return type && type.getRank() > 0 && isa<IntegerType>(type.getElementType()) && !load.getRanges() &&
           moving.contains(load.getIndices().back()) &&
           llvm::none_of(load.getIndices().drop_back(), [&](Value v) { return moving.contains(v); });
  }
};

/// ranges [2, leading dimensions…, ⌈last/64⌉] of `source`, allocated and computed.
Value createRanges(Emit &e, Value source) {
  auto type = cast<MemRefType>(source.getType());
  SmallVector<int64_t> shape(type.getShape());
  SmallVector<Value> sizes;
  for (int64_t d = 0; d < type.getRank(); ++d)
    if (type.isDynamicDim(d))
      sizes.push_back(e.dim(source, d));
  if (ShapedType::isDynamic(shape.back()))
    sizes.back() = e.divCeil(sizes.back(), kKeyPanel);
  else
    shape.back() = llvm::divideCeil(shape.back(), kKeyPanel);
  shape.insert(shape.begin(), 2);
  Type element = type.getElementType().isInteger(64) ? e.b.getI64Type() : e.b.getI32Type();
  Value ranges = memref::AllocOp::create(e.b, e.loc, MemRefType::get(shape, element), sizes);
  BlockRangeOp::create(e.b, e.loc, source, ranges);
  return ranges;
}

struct RangeCaptures : impl::RangeCapturesBase<RangeCaptures> {
  void runOnOperation() override {
    // A buffer is written once, before all of its readers: the ranges made for the first serve the others in the block.
    DenseMap<std::pair<Block *, Value>, Value> made;
    getOperation().walk([&](AttentionOp op) {
      if (op.getMaskMod().empty())
        return;
      Movement movement(op.getMaskMod());
      for (auto load : op.getMaskMod().getOps<LoadOp>()) {
        if (!movement.needsRanges(load))
          continue;
        Value &ranges = made[{op->getBlock(), load.getSource()}];
        if (!ranges) {
          OpBuilder b(op);
          Emit e(b, op.getLoc());
          ranges = createRanges(e, load.getSource());
        }
        load.getRangesMutable().assign(ranges);
      }
    });
  }
};
} // namespace
} // namespace attnc
