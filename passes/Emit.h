//===- Emit.h - A handful of helpers that make emitters read like pseudo-code --------------===//
#ifndef ATTNC_PASSES_EMIT_H
#define ATTNC_PASSES_EMIT_H

#include "dialect/AttnDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/TypeUtilities.h"

namespace attnc {
using namespace mlir;

/// Index and vector arithmetic at one location. `lanes` f32 values make a vector of the target.
struct Emit {
  OpBuilder &b;
  Location loc;
  int64_t lanes;

  Emit(OpBuilder &b, Location loc, int64_t lanes = 1) : b(b), loc(loc), lanes(lanes) {}

  // Indices.
  Value idx(int64_t v) { return arith::ConstantIndexOp::create(b, loc, v); }
  Value add(Value a, Value c) { return arith::AddIOp::create(b, loc, a, c); }
  Value add(Value a, int64_t c) { return c == 0 ? a : add(a, idx(c)); }
  Value sub(Value a, Value c) { return arith::SubIOp::create(b, loc, a, c); }
  Value mul(Value a, Value c) { return arith::MulIOp::create(b, loc, a, c); }
  Value mul(Value a, int64_t c) { return mul(a, idx(c)); }
  Value divFloor(Value a, int64_t c) { return arith::DivUIOp::create(b, loc, a, idx(c)); }
  Value divFloor(Value a, Value c) { return arith::DivUIOp::create(b, loc, a, c); }
  Value divCeil(Value a, int64_t c) { return divFloor(add(a, c - 1), c); }
  Value rem(Value a, Value c) { return arith::RemUIOp::create(b, loc, a, c); }
  Value min(Value a, Value c) { return arith::MinSIOp::create(b, loc, a, c); }
  Value max(Value a, Value c) { return arith::MaxSIOp::create(b, loc, a, c); }
  Value less(Value a, Value c) { return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, a, c); }
  Value select(Value c, Value t, Value f) { return arith::SelectOp::create(b, loc, c, t, f); }
  Value toIndex(Value v) {
    return v.getType().isIndex() ? v : arith::IndexCastOp::create(b, loc, b.getIndexType(), v).getResult();
  }
  Value dim(Value memref, int64_t d) {
    int64_t size = cast<MemRefType>(memref.getType()).getDimSize(d);
    return ShapedType::isDynamic(size) ? memref::DimOp::create(b, loc, memref, d).getResult() : idx(size);
  }

  // Vectors of f32.
  VectorType vec(int64_t n) { return VectorType::get({n}, b.getF32Type()); }
  VectorType vec() { return vec(lanes); }
  Value f32(double v) { return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(v)); }
  Value splat(double v) {
    return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(vec(), APFloat(float(v))));
  }
  Value broadcast(Value scalar) { return vector::BroadcastOp::create(b, loc, vec(), scalar); }
  /// A buffer as the words that memory holds: i1 is a byte, of which any value but 0 is true, and bf16, of which LLVM has no
  /// vectors on most CPUs, an i16.
  Value words(Value memref) {
    auto type = cast<MemRefType>(memref.getType());
    Type element = type.getElementType();
    if (!element.isInteger(1) && !element.isBF16())
      return memref;
    Type word = element.isBF16() ? b.getI16Type() : b.getI8Type();
    return UnrealizedConversionCastOp::create(b, loc, MemRefType::get(type.getShape(), word, type.getLayout()), memref)
        .getResult(0);
  }
  /// The value that words of `memref` stand for, scalar or vector.
  Value fromWords(Value v, Value memref) {
    Type element = elementOf(memref);
    if (!element.isInteger(1))
      return as(element, v);
    Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(v.getType()));
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, v, zero);
  }
  Value as(Type element, Value v) {
    auto vector = dyn_cast<VectorType>(v.getType());
    Type type = vector ? Type(vector.clone(element)) : element;
    return type == v.getType() ? v : arith::BitcastOp::create(b, loc, type, v).getResult();
  }
  Type elementOf(Value memref) { return cast<MemRefType>(memref.getType()).getElementType(); }
  VectorType vecOf(Value memref) { return VectorType::get({lanes}, cast<MemRefType>(memref.getType()).getElementType()); }
  Value toF32(Value v) {
    Type type = getElementTypeOrSelf(v.getType());
    if (type.isF32())
      return v;
    auto vector = dyn_cast<VectorType>(v.getType());
    return arith::ExtFOp::create(b, loc, vector ? Type(vector.clone(b.getF32Type())) : Type(b.getF32Type()), v);
  }
  Value fromF32(Value v, Type element) {
    if (getElementTypeOrSelf(v.getType()) == element)
      return v;
    auto vector = dyn_cast<VectorType>(v.getType());
    return arith::TruncFOp::create(b, loc, vector ? Type(vector.clone(element)) : element, v);
  }
  Value load(Value memref, ValueRange at) {
    Value from = words(memref);
    return toF32(fromWords(vector::LoadOp::create(b, loc, vecOf(from), from, at), memref));
  }
  void store(Value v, Value memref, ValueRange at) {
    Value to = words(memref);
    vector::StoreOp::create(b, loc, as(elementOf(to), fromF32(v, elementOf(memref))), to, at);
  }
  Value load1(Value memref, ValueRange at) { return memref::LoadOp::create(b, loc, memref, at); }
  void store1(Value v, Value memref, ValueRange at) { memref::StoreOp::create(b, loc, v, memref, at); }
  Value fma(Value a, Value c, Value acc) { return vector::FMAOp::create(b, loc, a, c, acc); }
  Value addf(Value a, Value c) { return arith::AddFOp::create(b, loc, a, c); }
  Value subf(Value a, Value c) { return arith::SubFOp::create(b, loc, a, c); }
  Value mulf(Value a, Value c) { return arith::MulFOp::create(b, loc, a, c); }
  Value divf(Value a, Value c) { return arith::DivFOp::create(b, loc, a, c); }
  /// a > c ? a : c, one instruction; a NaN in c stays.
  Value maxf(Value a, Value c) {
    return select(arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, a, c), a, c);
  }
  /// All lanes as one, halves by halves: log2(lanes) steps, where upstream's reduction of floats is a chain.
  Value reduce(Value v, function_ref<Value(Value, Value)> combine) {
    for (int64_t n = cast<VectorType>(v.getType()).getDimSize(0) / 2; n > 0; n /= 2) {
      auto half = [&](int64_t first) {
        return vector::ExtractStridedSliceOp::create(b, loc, v, ArrayRef<int64_t>{first}, ArrayRef<int64_t>{n},
                                                     ArrayRef<int64_t>{1}).getResult();
      };
      v = combine(half(0), half(n));
    }
    return vector::ExtractOp::create(b, loc, v, ArrayRef<int64_t>{0});
  }
  Value reduceAdd(Value v) {
    return reduce(v, [&](Value a, Value c) { return addf(a, c); });
  }
  Value reduceMax(Value v) {
    return reduce(v, [&](Value a, Value c) { return maxf(a, c); });
  }

  /// True in the first `valid` of the lanes.
  Value maskFor(Value valid) {
    return vector::CreateMaskOp::create(b, loc, VectorType::get({lanes}, b.getI1Type()), valid);
  }
  Value load(Value memref, ValueRange at, Value mask) {
    if (!mask)
      return load(memref, at);
    Value from = words(memref), zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(vecOf(from)));
    return toF32(fromWords(vector::MaskedLoadOp::create(b, loc, vecOf(from), from, at, mask, zero), memref));
  }
  void store(Value v, Value memref, ValueRange at, Value mask) {
    if (!mask)
      return store(v, memref, at);
    Value to = words(memref);
    vector::MaskedStoreOp::create(b, loc, to, at, mask, as(elementOf(to), fromF32(v, elementOf(memref))));
  }

  /// for (i = lo; i < hi; i += step) with loop-carried values.
  SmallVector<Value> loop(Value lo, Value hi, int64_t step, ValueRange init,
                          function_ref<SmallVector<Value>(Value, ValueRange)> body) {
    auto loop = scf::ForOp::create(b, loc, lo, hi, idx(step), init);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    SmallVector<Value> results = body(loop.getInductionVar(), loop.getRegionIterArgs());
    if (init.empty())
      return {};
    scf::YieldOp::create(b, loc, results);
    return loop.getResults();
  }
  void loop(Value lo, Value hi, int64_t step, function_ref<void(Value)> body) {
    loop(lo, hi, step, {}, [&](Value i, ValueRange) -> SmallVector<Value> {
      body(i);
      return {};
    });
  }
  void ifThen(Value condition, function_ref<void()> body) {
    auto op = scf::IfOp::create(b, loc, condition, /*withElse=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(op.thenBlock());
    body();
  }

  /// Vectors over `n` (static) values: whole ones in a loop, the rest masked. `body(index, mask or null, carried)`.
  SmallVector<Value> overVectors(int64_t n, ValueRange init,
                                 function_ref<SmallVector<Value>(Value, Value, ValueRange)> body) {
    int64_t whole = n / lanes * lanes;
    SmallVector<Value> carried(init);
    if (whole)
      carried = loop(idx(0), idx(whole), lanes, init,
                     [&](Value i, ValueRange args) { return body(i, Value(), args); });
    if (whole != n)
      carried = body(idx(whole), maskFor(idx(n - whole)), carried);
    return carried;
  }
};

/// The row of a task's scratch that is this worker's, cut into buffers one after the other.
struct WorkerScratch {
  Emit &e;
  Value bytes, base;
  int64_t words = 0; // of 4 bytes, taken so far

  WorkerScratch(Emit &e, Value scratch) : e(e) {
    bytes = memref::CollapseShapeOp::create(e.b, e.loc, scratch, SmallVector<ReassociationIndices>{{0, 1}});
    base = e.mul(attn::WorkerOp::create(e.b, e.loc), cast<MemRefType>(scratch.getType()).getDimSize(1));
  }
  /// A buffer of f32, or of another type of 4 bytes.
  Value take(ArrayRef<int64_t> shape, Type type = {}) {
    int64_t offset = std::exchange(words, words + ShapedType::getNumElements(shape));
    return memref::ViewOp::create(e.b, e.loc, MemRefType::get(shape, type ? type : Type(e.b.getF32Type())), bytes,
                                  e.add(base, offset * 4), ValueRange());
  }
};

/// 2^x for x ≤ 127, f32 vectors of any width: max relative error 2e-7; below -127 and for -inf 0; NaN stays.
Value emitExp2(Emit &e, Value x);

/// The activation `kind` of `x`, an f32 scalar or vector; formulas in attn.activation.
Value emitActivation(Emit &e, attn::ActivationKind kind, Value x);

/// The `k` values of a row from `first` on, normalised: out = norm(in)·gamma[j] + beta[j], or with `unitOffset`
/// norm(in)·(1 + gamma[j]) + beta[j]; beta may be null.
void emitNorm(Emit &e, attn::NormKind kind, double epsilon, int64_t k, Value in, Value out, Value row, Value first,
              Value gamma, bool unitOffset, Value beta);

void populateEmitLinear(RewritePatternSet &patterns, attn::TargetAttr target);
void populateEmitAttention(RewritePatternSet &patterns, attn::TargetAttr target);
void populateEmitLinearAttention(RewritePatternSet &patterns, attn::TargetAttr target);
void populateEmitPack(RewritePatternSet &patterns, attn::TargetAttr target);
void populateEmitPositions(RewritePatternSet &patterns, attn::TargetAttr target);
void populateEmitRows(RewritePatternSet &patterns, attn::TargetAttr target);
void populateEmitExperts(RewritePatternSet &patterns, attn::TargetAttr target);
void populateEmitRelativeBias(RewritePatternSet &patterns);
void populateEmitRanges(RewritePatternSet &patterns);

/// Scratch of one worker, in f32: see the emitters.
int64_t linearScratch(attn::TargetAttr target);
int64_t attentionScratch(attn::TargetAttr target, int64_t headDim, int64_t headDimV);

} // namespace attnc

#endif // ATTNC_PASSES_EMIT_H
