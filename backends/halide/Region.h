//===- Region.h - Regions of scalar ops as Halide's expressions ---------------------------------===//
#ifndef ATTNC_BACKENDS_HALIDE_REGION_H
#define ATTNC_BACKENDS_HALIDE_REGION_H

#include "backends/halide/Pipeline.h"

namespace attnc::halide {

/// An op that is neither of arith nor of math, on its operands: attn.load, linalg.index.
using OtherOp = llvm::function_ref<llvm::Expected<Halide::Expr>(mlir::Operation *, llvm::ArrayRef<Halide::Expr>)>;

/// What a block of scalar arith and math ops yields; `arguments` are its block's. f16 and bf16 are f32, rounded after each op;
/// i1 is Bool; an index is Int(64). An op without a counterpart is refused by its name.
///
/// Integers wrap around. Those that are made of the arguments, which are indices below 2²⁸, do not as far as their ranges
/// show it: then Halide may reason about them.
llvm::Expected<llvm::SmallVector<Halide::Expr>> translate(Pipeline &p, mlir::Block &block,
                                                          llvm::ArrayRef<Halide::Expr> arguments, OtherOp other);

} // namespace attnc::halide

#endif // ATTNC_BACKENDS_HALIDE_REGION_H
