//===- Tiler.h - What the tilings of attn-tile-to-tasks share ----------------------------------===//
#ifndef ATTNC_PASSES_TILER_H
#define ATTNC_PASSES_TILER_H

#include "passes/Tasks.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace attnc {

/// What tokens chose, by expert: `choices` [tokens·top_k] (token·top_k + c) sorted by expert, and `blocks` [blocks, 3] of
/// them: expert, first, count (0: none).
struct Groups {
  Value choices, blocks;
};

struct Tiler {
  Emit e;
  attn::TargetAttr target;
  Value workers;
  DenseMap<Value, Groups> &groups; // of experts that a product had already

  /// A row of `floats` for each worker.
  Value scratch(int64_t floats) {
    return memref::AllocOp::create(e.b, e.loc, MemRefType::get({ShapedType::kDynamic, floats * 4}, e.b.getI8Type()),
                                   ValueRange(workers));
  }
};

constexpr int64_t kRowBlock = 16; // rows of one elementwise task

inline bool isContiguous(Value memref) { return cast<MemRefType>(memref.getType()).getLayout().isIdentity(); }

/// A buffer by rows, as flattenRows: contiguous, or some features of a contiguous one (attn-fuse-projections); else null.
Value rowsOfOperand(Emit &e, Value memref, int64_t features = 1);
constexpr llvm::StringLiteral kStridedView = "of a strided view is not yet lowered, except for a slice of features";

/// linalg.generic on buffers to tasks, the same op on views, if it is elementwise over rows: EmitElementwise.cpp.
std::optional<LogicalResult> tileElementwise(Tiler &tiler, linalg::GenericOp op);
/// attn.linear and attn.expert_linear on buffers to tasks, the same op on views: TileLinear.cpp.
LogicalResult tileLinear(Tiler &tiler, attn::LinearOp op);
LogicalResult tileExpertLinear(Tiler &tiler, attn::ExpertLinearOp op);
/// attn.attention on buffers to tasks: TileAttention.cpp.
LogicalResult tileAttention(Tiler &tiler, attn::AttentionOp op);
/// attn.linear_attention on buffers to tasks, the same op on views: EmitLinearAttention.cpp.
LogicalResult tileLinearAttention(Tiler &tiler, attn::LinearAttentionOp op);

/// The vector loops of such tasks.
void populateEmitElementwise(RewritePatternSet &patterns, attn::TargetAttr target);

} // namespace attnc

#endif // ATTNC_PASSES_TILER_H
