//===- EmitKeyMask.cpp - A key mask as bounds of what every row sees ----------------------------===//
//
// Padding makes masks that are one run of visible keys. Its ends bound what each row sees, so that tiles beyond are not
// computed and those within need no mask. Only a mask with holes is read again for every vector of scores.
//
//===----------------------------------------------------------------------------------===//
#include "passes/AttentionEmitter.h"

namespace attnc {

/// Sets firstKey, endKey and hasMask from the mask, if it is there. One pass over the mask in each task: little beside
/// the products with as many keys.
void AttentionEmitter::boundKeys() {
  OpBuilder &b = e.b;
  Value mask = op.getKeyMask();
  Type i32 = b.getI32Type(), index = b.getIndexType();
  auto type = VectorType::get({e.lanes}, i32), read = VectorType::get({e.lanes}, e.elementOf(mask));
  auto splat = [&](int32_t v) {
    return arith::ConstantOp::create(b, e.loc, DenseElementsAttr::get(type, v)).getResult();
  };
  Value pointer = memref::ExtractAlignedPointerAsIndexOp::create(b, e.loc, mask);
  Value given = arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::ne, pointer, e.idx(0));
  auto branch = scf::IfOp::create(b, e.loc, TypeRange{index, index, b.getI1Type()}, given, /*withElse=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(b, e.loc, ValueRange{firstKey, endKey, arith::ConstantIntOp::create(b, e.loc, 0, 1)});

  b.setInsertionPointToStart(branch.thenBlock());
  Value end = e.min(endKey, e.dim(mask, 0)), zero = arith::ConstantOp::create(b, e.loc, b.getZeroAttr(read));
  auto numbers = llvm::to_vector(llvm::seq<int32_t>(0, e.lanes));
  Value lanes = arith::ConstantOp::create(b, e.loc, DenseElementsAttr::get(type, ArrayRef<int32_t>(numbers)));
  // By lane: the first visible key, one more than the last, and how many there are.
  SmallVector<Value> found = {splat(INT32_MAX), splat(0), splat(0)};
  found = e.loop(e.idx(0), end, e.lanes, found, [&](Value key, ValueRange sofar) -> SmallVector<Value> {
    Value inside = e.maskFor(e.min(e.idx(e.lanes), e.sub(end, key)));
    Value m = vector::MaskedLoadOp::create(b, e.loc, read, mask, key, inside, zero);
    Value keep = arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::ne, m, zero);
    Value start = arith::IndexCastOp::create(b, e.loc, i32, key);
    Value j = e.add(vector::BroadcastOp::create(b, e.loc, type, start), lanes);
    return {e.select(keep, e.min(sofar[0], j), sofar[0]), e.select(keep, e.add(j, splat(1)), sofar[1]),
            e.add(sofar[2], arith::ExtUIOp::create(b, e.loc, type, keep))};
  });
  Value last = e.reduce(found[1], [&](Value a, Value c) { return e.max(a, c); });
  Value first = e.min(e.reduce(found[0], [&](Value a, Value c) { return e.min(a, c); }), last);
  if (op.getSinks()) // the first keys are visible whatever the lower bound
    first = arith::ConstantIntOp::create(b, e.loc, 0, 32);
  Value count = e.reduce(found[2], [&](Value a, Value c) { return e.add(a, c); });
  Value holes = arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::ne, count, e.sub(last, first));
  scf::YieldOp::create(b, e.loc, ValueRange{e.toIndex(first), e.toIndex(last), holes});
  firstKey = branch.getResult(0);
  endKey = branch.getResult(1);
  hasMask = branch.getResult(2);
}

} // namespace attnc
