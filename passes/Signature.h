//===- Signature.h - Functions between bufferisation and LLVM -----------------------------===//
//
// After attn-bufferize every function has the arguments
//   context, inputs..., outputs..., [pages, table, past, page,] weights, workspace, workers
//
//===----------------------------------------------------------------------------------===//
#ifndef ATTNC_PASSES_SIGNATURE_H
#define ATTNC_PASSES_SIGNATURE_H

#include "dialect/AttnDialect.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace attnc {
using namespace mlir;

/// Number of outputs; the cache's type where the function uses one; the type before bufferisation (within the pass).
constexpr llvm::StringLiteral kOutputsAttr = "attn.outputs", kCacheAttr = "attn.cache",
                              kOriginalTypeAttr = "attn.original_type";

/// Number of a buffer of the workspace, on its view: two with different lifetimes are not one value though they lie in one
/// place.
constexpr llvm::StringLiteral kBufferAttr = "attn.buffer";

/// The arguments of a bufferised function by role.
struct Signature {
  explicit Signature(func::FuncOp func) : func(func) {}
  func::FuncOp func;

  attn::CacheType cache() {
    auto type = func->getAttrOfType<TypeAttr>(kCacheAttr);
    return type ? cast<attn::CacheType>(type.getValue()) : attn::CacheType();
  }
  Value context() { return func.getArgument(0); }
  Value workers() { return fromEnd(1); }
  Value workspace() { return fromEnd(2); }
  Value weights() { return fromEnd(3); }
  Value page() { return fromEnd(4); }
  Value past() { return fromEnd(5); }
  Value table() { return fromEnd(6); }
  Value pages() { return fromEnd(7); }
  /// Arguments that are inputs: all between the context and the outputs.
  unsigned numInputs() {
    unsigned outputs = func->getAttrOfType<IntegerAttr>(kOutputsAttr).getInt();
    return func.getNumArguments() - 1 - outputs - 3 - (cache() ? 4 : 0);
  }

private:
  Value fromEnd(unsigned i) { return func.getArgument(func.getNumArguments() - i); }
};

/// The name of a dynamic dimension of an argument, or null.
inline StringAttr dimensionName(func::FuncOp func, BlockArgument argument, int64_t dim) {
  auto type = cast<MemRefType>(argument.getType());
  auto names = func.getArgAttrOfType<ArrayAttr>(argument.getArgNumber(), attn::kDimsAttr);
  unsigned n = llvm::count_if(type.getShape().take_front(dim), ShapedType::isDynamic);
  return names && n < names.size() && type.isDynamicDim(dim) ? cast<StringAttr>(names[n]) : StringAttr();
}

/// The op on buffers: `operands` for its operands, `outs` after `outs`.
LogicalResult createBufferForm(OpBuilder &b, Operation *op, ValueRange operands, ValueRange outs);

} // namespace attnc

#endif // ATTNC_PASSES_SIGNATURE_H
