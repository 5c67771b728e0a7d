//===- Tasks.h - Parallel tasks and views of one task ---------------------------------------===//
#ifndef ATTNC_PASSES_TASKS_H
#define ATTNC_PASSES_TASKS_H

#include "passes/Cost.h"
#include "passes/Signature.h"
#include "runtime/attn_abi.h"

namespace attnc {

/// The name that profiles show for a task, on its `scf.forall`.
constexpr llvm::StringLiteral kOpAttr = "attn.op";

/// `count` tasks that are all of `op`, or one `step` of it; `body(task)` is one.
inline void forTasks(Emit &e, Value count, Operation *op, function_ref<void(Value)> body, StringRef step = {}) {
  StringRef name = op->getName().stripDialect();
  Cost cost = costOf(e, op, step);
  auto forall = scf::ForallOp::create(e.b, e.loc, ArrayRef<OpFoldResult>{OpFoldResult(count)}, ValueRange(), std::nullopt);
  forall->setAttr(kOpAttr, e.b.getStringAttr(step.empty() ? name : name + "." + step));
  OpBuilder::InsertionGuard guard(e.b);
  e.b.setInsertionPointToStart(forall.getBody());
  attn::CostOp::create(e.b, e.loc, cost.flop, cost.bytes);
  body(forall.getInductionVar(0));
}

/// Fails the run if `value` is outside 0 ≤ value < size; returns it, or 0 then.
inline Value inRange(Emit &e, Value value, Value size, const Twine &message) {
  Value bad = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::uge, value, size);
  attn::FailOp::create(e.b, e.loc, bad, ATTN_RANGE, message.str());
  return e.select(bad, e.idx(0), value);
}

/// What ops say of ids out of range.
inline std::string idsMessage(int64_t entries) { return "embedding: expected ids in [0, " + std::to_string(entries) + ")"; }
inline std::string expertsMessage(int64_t experts) {
  return "expert_linear: expected experts in [0, " + std::to_string(experts) + ")";
}
constexpr llvm::StringLiteral kTokenMessage = "select_token: expected an index within the sequence";

/// [d0, d1, ..., K] as [d0·d1·…, K], with another number of last dimensions that are `features`.
inline Value flattenRows(Emit &e, Value memref, int64_t features = 1) {
  int64_t rank = cast<MemRefType>(memref.getType()).getRank();
  SmallVector<ReassociationIndices> groups(1);
  for (int64_t d = 0; d < rank - features; ++d)
    groups[0].push_back(d);
  for (int64_t d = rank - features; d < rank; ++d)
    groups.push_back({d});
  if ((int64_t)groups[0].size() == 1)
    return memref;
  return memref::CollapseShapeOp::create(e.b, e.loc, memref, groups);
}

/// A view of `sizes` at `offsets`, without the dimensions of size 1 that `drop` names (first ones).
inline Value subview(Emit &e, Value memref, ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes,
                     int64_t dropLeading = 0) {
  auto type = cast<MemRefType>(memref.getType());
  SmallVector<OpFoldResult> strides(offsets.size(), e.b.getIndexAttr(1));
  auto full = cast<MemRefType>(memref::SubViewOp::inferResultType(type, offsets, sizes, strides));
  auto result = cast<MemRefType>(memref::SubViewOp::inferRankReducedResultType(
      full.getShape().drop_front(dropLeading), type, offsets, sizes, strides));
  return memref::SubViewOp::create(e.b, e.loc, result, memref, offsets, sizes, strides);
}

/// Rows first … first + count of [rows, ...].
inline Value rowsOf(Emit &e, Value memref, Value first, Value count) {
  auto type = cast<MemRefType>(memref.getType());
  SmallVector<OpFoldResult> offsets(type.getRank(), e.b.getIndexAttr(0)), sizes;
  offsets[0] = first;
  sizes.push_back(count);
  for (int64_t d = 1; d < type.getRank(); ++d)
    sizes.push_back(type.isDynamicDim(d) ? OpFoldResult(e.dim(memref, d))
                                         : OpFoldResult(e.b.getIndexAttr(type.getDimSize(d))));
  return subview(e, memref, offsets, sizes);
}

/// [keys, head_dim] of one batch row and head, of [batch, seq, heads·head_dim] or [batch, heads, seq, head_dim].
inline Value headOf(Emit &e, Value memref, Value batch, Value head, Value first, Value count, int64_t headDim) {
  OpFoldResult zero = e.b.getIndexAttr(0), one = e.b.getIndexAttr(1), width = e.b.getIndexAttr(headDim);
  if (cast<MemRefType>(memref.getType()).getRank() == 3)
    return subview(e, memref, {batch, first, e.mul(head, headDim)}, {one, count, width}, 1);
  return subview(e, memref, {batch, head, first, zero}, {one, one, count, width}, 2);
}

/// Sequences packed end to end with `offsets [sequences + 1]`, each cut into blocks of `rows`. Blocks are numbered so that
/// sequence n starts at offsets[n]/rows + n: ascending without a sum over the sequences, some numbers are not used.
struct RaggedPlace {
  Value sequence, start, length, block; // rows; the block's number in its sequence, perhaps beyond its end
  /// How many numbers there are for sequences of `total` rows.
  static Value blocks(Emit &e, Value offsets, int64_t rows, Value total) {
    return e.add(e.divFloor(total, rows), e.max(e.idx(0), e.sub(e.dim(offsets, 0), e.idx(1))));
  }
  /// Fails the run unless offsets ascend from 0 to `total`.
  static void check(Emit &e, Value offsets, Value total, StringRef message);
  RaggedPlace(Emit &e, Value offsets, int64_t rows, Value number) {
    auto first = [&](Value n) { return e.add(e.divFloor(e.toIndex(e.load1(offsets, n)), rows), n); };
    Value last = e.sub(e.dim(offsets, 0), e.idx(1));
    sequence = e.loop(e.idx(1), last, 1, ValueRange(e.idx(0)), [&](Value n, ValueRange found) {
      Value before = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::sle, first(n), number);
      return SmallVector<Value>{e.select(before, n, found[0])};
    })[0];
    start = e.toIndex(e.load1(offsets, sequence));
    length = e.sub(e.toIndex(e.load1(offsets, e.add(sequence, 1))), start);
    block = e.sub(number, first(sequence));
  }
};

inline void RaggedPlace::check(Emit &e, Value offsets, Value total, StringRef message) {
  OpBuilder &b = e.b;
  auto any = [&](Value a, Value c) { return arith::OrIOp::create(b, e.loc, a, c).getResult(); };
  auto differs = [&](Value at, Value expected) {
    return arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::ne, e.toIndex(e.load1(offsets, at)), expected);
  };
  auto flag = [&](bool v) { return arith::ConstantIntOp::create(b, e.loc, v, 1).getResult(); };
  Value last = e.sub(e.dim(offsets, 0), e.idx(1));
  auto checks = scf::IfOp::create(b, e.loc, TypeRange(b.getI1Type()), e.less(last, e.idx(0)), /*withElse=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(checks.thenBlock());
  scf::YieldOp::create(b, e.loc, ValueRange(flag(true)));
  b.setInsertionPointToStart(checks.elseBlock());
  Value bad = e.loop(e.idx(0), last, 1, ValueRange(flag(false)), [&](Value n, ValueRange carried) {
    Value at = e.toIndex(e.load1(offsets, n)), next = e.toIndex(e.load1(offsets, e.add(n, 1)));
    return SmallVector<Value>{any(carried[0], e.less(next, at))};
  })[0];
  bad = any(bad, any(differs(e.idx(0), e.idx(0)), differs(last, total)));
  scf::YieldOp::create(b, e.loc, ValueRange(bad));
  b.setInsertionPointAfter(checks);
  attn::FailOp::create(b, e.loc, checks.getResult(0), ATTN_RANGE, message);
}

/// Where one layer's and head's keys and values lie in the cache (see !attn.cache).
struct CachePlace {
  Value pageStride, keyBase, valueBase; // elements
};
inline CachePlace cachePlace(Emit &e, attn::CacheType cache, Value page, Value layer, Value kvHead) {
  int64_t dvp = llvm::alignTo(cache.getHeadDimV(), attn::kPanel);
  Value perHead = e.mul(page, cache.getHeadDim() + dvp);
  CachePlace place;
  place.pageStride = e.mul(perHead, cache.getLayers() * cache.getKvHeads());
  place.keyBase = e.mul(e.add(e.mul(layer, cache.getKvHeads()), kvHead), perHead);
  place.valueBase = e.add(place.keyBase, e.mul(page, cache.getHeadDim()));
  return place;
}

} // namespace attnc

#endif // ATTNC_PASSES_TASKS_H
