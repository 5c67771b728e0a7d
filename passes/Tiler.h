//===- Tiler.h - What the tilings of attn-tile-to-tasks share ----------------------------------===//
#ifndef ATTNC_PASSES_TILER_H
#define ATTNC_PASSES_TILER_H

#include "passes/Tasks.h"

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

inline bool isContiguous(Value memref) { return cast<MemRefType>(memref.getType()).getLayout().isIdentity(); }

/// attn.attention on buffers to tasks: TileAttention.cpp.
LogicalResult tileAttention(Tiler &tiler, attn::AttentionOp op);
/// attn.linear_attention on buffers to tasks, the same op on views: EmitLinearAttention.cpp.
LogicalResult tileLinearAttention(Tiler &tiler, attn::LinearAttentionOp op);

} // namespace attnc

#endif // ATTNC_PASSES_TILER_H
