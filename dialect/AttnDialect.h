//===- AttnDialect.h - The attn dialect ------------------------------------------------===//
#ifndef ATTNC_DIALECT_ATTNDIALECT_H
#define ATTNC_DIALECT_ATTNDIALECT_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialect/AttnDialect.h.inc"
#include "dialect/AttnEnums.h.inc"
#define GET_TYPEDEF_CLASSES
#include "dialect/AttnTypes.h.inc"
#define GET_ATTRDEF_CLASSES
#include "dialect/AttnAttrs.h.inc"

namespace attnc::attn {
using namespace mlir;
}

#define GET_OP_CLASSES
#include "dialect/AttnOps.h.inc"

namespace attnc::attn {

/// Columns of one packed weight panel, in every file and for every instruction set.
constexpr int64_t kPanel = 16;
/// Keys of one packed key panel.
constexpr int64_t kKeyPanel = 64;

/// Names of the discardable attributes described in the dialect's documentation.
constexpr llvm::StringLiteral kNameAttr = "attn.name", kDimsAttr = "attn.dims", kOptionalAttr = "attn.optional",
                              kStridedAttr = "attn.strided", kInt32Attr = "attn.int32",
                              kBoundsAttr = "attn.bounds", kWeightsAttr = "attn.weights",
                              kMetadataAttr = "attn.metadata", kTargetAttr = "attn.target";

/// Panel layout of a weight [K, N] with elements of `type`: f32 [⌈N/16⌉, K, 16], 16-bit [⌈N/16⌉, ⌈K/2⌉, 16, 2].
llvm::SmallVector<int64_t> packedShape(int64_t k, int64_t n, Type type);

/// The regions of attention, in order.
enum class ScoreRegion { score, mask, prob };
/// How the region is written.
llvm::StringRef getName(ScoreRegion kind);
/// Types of its arguments: the score or probability (but for mask), then b, h, i, j.
llvm::SmallVector<Type> regionArguments(MLIRContext *context, ScoreRegion kind);

/// The `outs` operand of an attn op of both forms, or a null value in its tensor form.
Value getInit(Operation *op);

} // namespace attnc::attn

#endif // ATTNC_DIALECT_ATTNDIALECT_H
