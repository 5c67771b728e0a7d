//===- Tiler.h - What the tilings of attn-tile-to-tasks share ----------------------------------===//
#ifndef ATTNC_PASSES_TILER_H
#define ATTNC_PASSES_TILER_H

#include "passes/Tasks.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace attnc {

struct Tiler {
  Emit e;
  attn::TargetAttr target;
  Value workers;

  /// A row of `floats` for each worker.
  Value scratch(int64_t floats) {
    return memref::AllocOp::create(e.b, e.loc, MemRefType::get({ShapedType::kDynamic, floats * 4}, e.b.getI8Type()),
                                   ValueRange(workers));
  }
};

constexpr int64_t kRowBlock = 16; // rows of one elementwise task

inline bool isContiguous(Value memref) { return cast<MemRefType>(memref.getType()).getLayout().isIdentity(); }

/// A buffer by rows, as flattenRows: contiguous, or some features of a contiguous one (attn-fuse-projections); else null.
Value rowsOfOperand(Emit &e, Value memref, bool features = true);

/// linalg.generic on buffers to tasks, the same op on views, if it is elementwise over rows: EmitElementwise.cpp.
std::optional<LogicalResult> tileElementwise(Tiler &tiler, linalg::GenericOp op);
/// attn.attention on buffers to tasks: TileAttention.cpp.
LogicalResult tileAttention(Tiler &tiler, attn::AttentionOp op);
/// attn.linear_attention on buffers to tasks, the same op on views: EmitLinearAttention.cpp.
LogicalResult tileLinearAttention(Tiler &tiler, attn::LinearAttentionOp op);

/// The vector loops of such tasks.
void populateEmitElementwise(RewritePatternSet &patterns, attn::TargetAttr target);

} // namespace attnc

#endif // ATTNC_PASSES_TILER_H
