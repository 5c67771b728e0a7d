//===- Verify.h - What the verifiers of attn ops share --------------------------------------===//
#ifndef ATTNC_DIALECT_VERIFY_H
#define ATTNC_DIALECT_VERIFY_H

#include "dialect/AttnDialect.h"

namespace attnc::attn {

inline std::string str(ArrayRef<int64_t> shape) {
  std::string text;
  llvm::raw_string_ostream os(text);
  llvm::interleave(shape, os, [&](int64_t d) { ShapedType::isDynamic(d) ? (void)(os << "?") : (void)(os << d); }, "x");
  return "[" + text + "]";
}

inline ShapedType shaped(Value v) { return cast<ShapedType>(v.getType()); }
inline ArrayRef<int64_t> shape(Value v) { return shaped(v).getShape(); }
inline int64_t last(Value v) { return shape(v).back(); }

inline bool compatible(int64_t a, int64_t b) { return ShapedType::isDynamic(a) || ShapedType::isDynamic(b) || a == b; }

inline LogicalResult expectShape(Operation *op, StringRef name, Value value, ArrayRef<int64_t> expected) {
  ArrayRef<int64_t> got = shape(value);
  if (got.size() == expected.size() &&
      llvm::all_of(llvm::zip(got, expected), [](auto p) { return compatible(std::get<0>(p), std::get<1>(p)); }))
    return success();
  return op->emitOpError() << "expected " << name << " of shape " << str(expected) << ", got " << str(got);
}

/// a·b of sizes, or the largest number: types may hold any sizes.
inline int64_t product(int64_t a, int64_t b) {
  int64_t result;
  return llvm::MulOverflow(a, b, result) ? std::numeric_limits<int64_t>::max() : result;
}

inline LogicalResult expectElementType(Operation *op, StringRef name, Value value, Value like) {
  if (shaped(value).getElementType() != shaped(like).getElementType())
    return op->emitOpError() << "expected " << name << " element type " << shaped(like).getElementType() << ", got "
                             << shaped(value).getElementType();
  return success();
}

/// The result on tensors, `outs` on buffers; exactly one of them.
inline FailureOr<Value> destination(Operation *op, Value init) {
  if ((op->getNumResults() != 0) == bool(init))
    return op->emitOpError() << "expected a result on tensors or an outs buffer, got " << (init ? "both" : "neither");
  for (Value v : op->getOperands())
    if (init ? isa<RankedTensorType>(v.getType()) : isa<MemRefType>(v.getType()))
      return op->emitOpError() << "expected operands that are all " << (init ? "buffers" : "tensors") << ", got "
                               << v.getType();
  return init ? init : op->getResult(0);
}

/// Result with the input's shape and element type.
inline LogicalResult verifySame(Operation *op, Value input, Value init) {
  FailureOr<Value> out = destination(op, init);
  if (failed(out) || failed(expectShape(op, "result", *out, shape(input))))
    return failure();
  return expectElementType(op, "result", *out, input);
}

inline LogicalResult expectRank(Operation *op, StringRef name, Value value, int64_t rank) {
  if (shaped(value).getRank() != rank)
    return op->emitOpError() << "expected " << name << " of rank " << rank << ", got " << shaped(value);
  return success();
}

inline LogicalResult expectStaticLast(Operation *op, StringRef name, Value value, int64_t minRank) {
  if (shaped(value).getRank() < minRank || ShapedType::isDynamic(last(value)))
    return op->emitOpError() << "expected " << name << " of rank at least " << minRank
                             << " with a static last dimension, got " << shaped(value);
  return success();
}

/// A residual of the result's type, or none.
inline LogicalResult verifyResidual(Operation *op, Value residual, Value out) {
  if (!residual)
    return success();
  return failed(expectShape(op, "residual", residual, shape(out))) ? failure()
                                                                   : expectElementType(op, "residual", residual, out);
}

/// `value` is one feature vector of K values.
inline LogicalResult expectVector(Operation *op, StringRef name, Value value, int64_t k) {
  return value ? expectShape(op, name, value, {k}) : success();
}

/// [K, N] plain (transposed: [N, K]) or packed.
inline LogicalResult verifyWeight(Operation *op, StringRef name, Value weight, int64_t k, int64_t n, bool transposed) {
  if (shaped(weight).getRank() == 2)
    return expectShape(op, name, weight, transposed ? ArrayRef<int64_t>{n, k} : ArrayRef<int64_t>{k, n});
  SmallVector<int64_t> packed = packedShape(k, ShapedType::isDynamic(n) ? kPanel : n, shaped(weight).getElementType());
  if (ShapedType::isDynamic(n)) // some columns of a task
    packed[0] = n;
  return expectShape(op, name, weight, packed);
}
/// Splits features by heads.
inline LogicalResult expectDivides(Operation *op, StringRef name, int64_t features, int64_t heads) {
  if (heads < 1 || ShapedType::isDynamic(features) || features % heads != 0)
    return op->emitOpError() << "expected features of " << name << " divisible by " << heads << " heads, got "
                             << (ShapedType::isDynamic(features) ? std::string("?") : std::to_string(features));
  return success();
}

} // namespace attnc::attn

#endif // ATTNC_DIALECT_VERIFY_H
