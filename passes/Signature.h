//===- Signature.h - Functions between bufferisation and LLVM -----------------------------===//
//
// After attn-bufferize every function has the arguments
//   context, inputs..., outputs..., [pages, table, past, page,] weights, workspace, workers
// with the four in brackets for each cache that the function has: its own, then the cross cache.
//
//===----------------------------------------------------------------------------------===//
#ifndef ATTNC_PASSES_SIGNATURE_H
#define ATTNC_PASSES_SIGNATURE_H

#include "dialect/AttnDialect.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace attnc {
using namespace mlir;

/// Number of outputs; types of the caches where the function has any; the type before bufferisation (within the pass).
constexpr llvm::StringLiteral kOutputsAttr = "attn.outputs", kCachesAttr = "attn.caches",
                              kOriginalTypeAttr = "attn.original_type";

/// Number of a buffer of the workspace, on its view: two with different lifetimes are not one value though they lie in one
/// place.
constexpr llvm::StringLiteral kBufferAttr = "attn.buffer";

/// Whether a launch passes a buffer of packed 16-bit weights, [..., 16, 2], as u32 without the last dimension: a device loads
/// and widens a pair at once.
inline bool isPairs(MemRefType type) {
  return type.getRank() > 3 && type.getElementTypeBitWidth() == 16 && type.getShape().take_back(2) == ArrayRef<int64_t>{attn::kPanel, 2};
}

/// On the module in stage "llvm": its pipelines as text, which the backend parses and compiles to functions of this prefix.
constexpr llvm::StringLiteral kPipelinesAttr = "attn.pipelines", kPipelinePrefix = "attn_pipeline_";

/// The arguments of a bufferised function by role.
struct Signature {
  explicit Signature(func::FuncOp func) : func(func) {}
  func::FuncOp func;

  unsigned numCaches() {
    auto types = func->getAttrOfType<ArrayAttr>(kCachesAttr);
    return types ? types.size() : 0;
  }
  Value context() { return func.getArgument(0); }
  Value workers() { return fromEnd(1); }
  Value workspace() { return fromEnd(2); }
  Value weights() { return fromEnd(3); }
  /// Of the caches, the last one being number 0.
  Value page(unsigned cache) { return fromEnd(4 + 4 * cache); }
  Value past(unsigned cache) { return fromEnd(5 + 4 * cache); }
  /// Arguments that are inputs: all between the context and the outputs.
  unsigned numInputs() {
    unsigned outputs = func->getAttrOfType<IntegerAttr>(kOutputsAttr).getInt();
    return func.getNumArguments() - 1 - outputs - 3 - 4 * numCaches();
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
