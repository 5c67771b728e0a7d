//===- TileToTasks.cpp - Ops on buffers to parallel tasks -----------------------------------===//
//
// How an op is split depends on its sizes only, so results do not depend on the number of workers. Tasks are small
// enough to balance and large enough that claiming one (about 50 ns) does not show.
//
//===----------------------------------------------------------------------------------===//
#include "passes/Passes.h"
#include "passes/Tiler.h"

#include "llvm/ADT/TypeSwitch.h"

namespace attnc {
#define GEN_PASS_DEF_TILETOTASKS
#include "passes/Passes.h.inc"

namespace {
using namespace attn;

/// Whether `size` is that of dimension d of a buffer.
bool isSizeOf(OpFoldResult size, Value memref, int64_t d) {
  auto type = cast<MemRefType>(memref.getType());
  if (!type.isDynamicDim(d))
    return isConstantIntValue(size, type.getDimSize(d));
  auto value = dyn_cast<Value>(size);
  if (auto alloc = memref.getDefiningOp<memref::AllocOp>(); alloc && value == alloc.getDynamicSizes()[type.getDynamicDimIndex(d)])
    return true;
  auto dim = value ? value.getDefiningOp<memref::DimOp>() : memref::DimOp();
  return dim && dim.getSource() == memref && dim.getConstantIndex() == d;
}

/// Operands that every task takes whole.
bool isParameter(Operation *op, Value operand) {
  if (auto embedding = dyn_cast<EmbeddingOp>(op))
    return operand == embedding.getTable();
  if (isa<LayerNormOp, RMSNormOp>(op))
    return operand != op->getOperand(0) && operand != getInit(op);
  return false;
}

/// Ops that handle each row of features by itself: operands are [..., features], or [...] without features, or with two
/// dimensions of them.
LogicalResult tileRows(Tiler &tiler, Operation *op) {
  Emit &e = tiler.e;
  IRMapping flat;
  int64_t leading = cast<MemRefType>(getInit(op).getType()).getRank() - !isa<ArgmaxOp>(op);
  for (Value operand : op->getOperands()) {
    auto type = cast<MemRefType>(operand.getType());
    if (isParameter(op, operand))
      continue;
    if (isa<FloatType>(type.getElementType()) && !type.getElementType().isF32())
      return op->emitOpError() << "of " << type.getElementType() << " activations is not yet lowered";
    Value rows = rowsOfOperand(e, operand, type.getRank() - leading);
    if (!rows)
      return op->emitOpError(kStridedView);
    flat.map(operand, rows);
  }
  Value rows = e.dim(flat.lookup(getInit(op)), 0);
  forTasks(e, e.divCeil(rows, kRowBlock), op, [&](Value task) {
    Value first = e.mul(task, kRowBlock), count = e.min(e.idx(kRowBlock), e.sub(rows, first));
    IRMapping map;
    for (Value operand : op->getOperands())
      if (!isParameter(op, operand))
        map.map(operand, rowsOf(e, flat.lookup(operand), first, count));
    e.b.clone(*op, map);
  });
  return success();
}

} // namespace

Value rowsOfOperand(Emit &e, Value memref, int64_t features) {
  auto type = cast<MemRefType>(memref.getType());
  if (isContiguous(memref) || (type.getRank() == 1 + features && type.areTrailingDimsContiguous(1)))
    return flattenRows(e, memref, features);
  while (auto cast = memref.getDefiningOp<memref::CastOp>())
    memref = cast.getSource();
  auto slice = memref.getDefiningOp<memref::SubViewOp>();
  auto isWhole = [&](int64_t d) {
    return isConstantIntValue(slice.getMixedOffsets()[d], 0) && isSizeOf(slice.getMixedSizes()[d], slice.getSource(), d);
  };
  if (features != 1 || !slice || !isContiguous(slice.getSource()) || slice.getSourceType().getRank() != type.getRank() ||
      !llvm::all_of(slice.getMixedStrides(), [](OpFoldResult stride) { return isConstantIntValue(stride, 1); }) ||
      !llvm::all_of(llvm::seq(type.getRank() - 1), isWhole))
    return Value();
  Value rows = flattenRows(e, slice.getSource());
  return subview(e, rows, {e.b.getIndexAttr(0), slice.getMixedOffsets().back()},
                 {e.dim(rows, 0), slice.getMixedSizes().back()});
}

namespace {
struct TileToTasks : impl::TileToTasksBase<TileToTasks> {
  void runOnOperation() override {
    auto target = getOperation()->getAttrOfType<TargetAttr>(kTargetAttr);
    if (!target) {
      getOperation().emitError() << "expected '" << kTargetAttr << "' on the module";
      return signalPassFailure();
    }
    for (auto func : getOperation().getOps<func::FuncOp>()) {
      if (!func->hasAttr(kOutputsAttr))
        continue;
      Value workers = Signature(func).workers();
      DenseMap<Value, Groups> groups;
      for (Operation &op : llvm::make_early_inc_range(func.getBody().front())) {
        OpBuilder b(&op);
        Tiler tiler{Emit(b, op.getLoc(), target.getLanes()), target, workers, groups};
        std::optional<LogicalResult> tiled =
            llvm::TypeSwitch<Operation *, std::optional<LogicalResult>>(&op)
                .Case([&](LinearOp op) { return tileLinear(tiler, op); })
                .Case([&](linalg::GenericOp op) { return tileElementwise(tiler, op); })
                .Case([&](ExpertLinearOp op) { return tileExpertLinear(tiler, op); })
                .Case([&](AttentionOp op) { return tileAttention(tiler, op); })
                .Case<PackKeysOp, PackValuesOp, CacheAppendOp>([&](Operation *op) -> std::optional<LogicalResult> {
                  if (!getElementTypeOrSelf(op->getOperand(0).getType()).isF64())
                    return std::nullopt; // makes its own tasks
                  return op->emitOpError("of f64 is not yet lowered");
                })
                .Case([&](LinearAttentionOp op) { return tileLinearAttention(tiler, op); })
                .Case<LayerNormOp, RMSNormOp, L2NormOp, ScaleOp, SoftCapOp, ActivationOp, EmbeddingOp, LogSoftmaxOp, ArgmaxOp, RotaryOp,
                      PositionalEncodingOp, RouteOp, CombineExpertsOp>([&](Operation *op) { return tileRows(tiler, op); })
                .Default(std::optional<LogicalResult>());
        if (!tiled)
          continue;
        if (failed(*tiled))
          return signalPassFailure();
        op.erase();
      }
    }
  }
};
} // namespace
} // namespace attnc
