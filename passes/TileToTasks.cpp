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

constexpr int64_t kTasks = 64;     // aimed at for one product
constexpr StringLiteral kStrided = "of a strided view is not yet lowered, except for a slice of features";

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

/// `input` [rows, K] of `op` in bf16.
Value roundRows(Emit &e, LinearOp op, Value input) {
  int64_t k = cast<MemRefType>(input.getType()).getDimSize(1);
  Value rows = e.idx(1); // of the operand: the plan follows sizes to the arguments, but not through views
  for (int64_t d = 0; d + 1 < cast<MemRefType>(op.getInput().getType()).getRank(); ++d)
    rows = e.mul(rows, e.dim(op.getInput(), d));
  Value rounded = memref::AllocOp::create(e.b, e.loc, MemRefType::get({ShapedType::kDynamic, k}, e.b.getBF16Type()),
                                          ValueRange(rows));
  auto roundBlock = [&](Value task) {
    Value first = e.mul(task, kRowBlock);
    e.loop(first, e.min(rows, e.add(first, kRowBlock)), 1, [&](Value r) {
      e.overVectors(k, {}, [&](Value j, Value mask, ValueRange) -> SmallVector<Value> {
        e.store(e.load(input, {r, j}, mask), rounded, {r, j}, mask);
        return {};
      });
    });
  };
  forTasks(e, e.divCeil(rows, kRowBlock), op, roundBlock, "round");
  return rounded;
}

LogicalResult tileLinear(Tiler &tiler, LinearOp op) {
  Emit &e = tiler.e;
  TargetAttr target = tiler.target;
  Value input = op.getInput(), init = op.getInit(), residual = op.getResidual();
  if (cast<MemRefType>(op.getWeight().getType()).getRank() == 2)
    return op.emitOpError("expected a packed weight: the weight of a linear must be a parameter");
  for (Value v : {input, init, residual})
    if (v && e.elementOf(v).isF64())
      return op.emitOpError("of f64 is not yet lowered");
  int64_t n = cast<MemRefType>(init.getType()).getShape().back();
  int64_t panels = llvm::divideCeil(n, kPanel);
  for (Value *v : {&input, &init, &residual}) {
    if (*v && !(*v = rowsOfOperand(e, *v)))
      return op.emitOpError(kStrided);
  }
  if (target.getBf16Dot() && e.elementOf(op.getWeight()).isBF16() && !e.elementOf(input).isBF16())
    input = roundRows(e, op, input);
  Value rows = e.dim(init, 0), scratch = tiler.scratch(linearScratch(target));

  // Row blocks × column chunks; neighbouring tasks share the chunk of the weight.
  Value rowBlocks = e.divCeil(rows, target.getRowBlock());
  Value wanted = e.divFloor(e.idx(kTasks), e.max(rowBlocks, e.idx(1)));
  int64_t groups = llvm::divideCeil(panels, target.getPanels());
  Value chunks = e.max(e.idx(1), e.min(wanted, e.idx(groups)));
  Value chunkGroups = e.divFloor(e.add(chunks, groups - 1), chunks); // ceil(groups / chunks)
  Value chunkPanels = e.mul(chunkGroups, target.getPanels());
  Value usedChunks = e.divFloor(e.sub(e.add(chunkPanels, panels), e.idx(1)), chunkPanels);
  forTasks(e, e.mul(rowBlocks, usedChunks), op, [&](Value task) {
    Value firstRow = e.mul(e.rem(task, rowBlocks), target.getRowBlock());
    Value rowCount = e.min(e.idx(target.getRowBlock()), e.sub(rows, firstRow));
    Value firstPanel = e.mul(e.divFloor(task, rowBlocks), chunkPanels);
    Value panelCount = e.min(chunkPanels, e.sub(e.idx(panels), firstPanel));
    Value firstColumn = e.mul(firstPanel, kPanel);
    Value columnCount = e.min(e.mul(panelCount, kPanel), e.sub(e.idx(n), firstColumn));
    auto block = [&](Value v) {
      return v ? subview(e, v, {firstRow, firstColumn}, {rowCount, columnCount}) : Value();
    };
    auto part = LinearOp::create(e.b, e.loc, TypeRange(), rowsOf(e, input, firstRow, rowCount),
                                 rowsOf(e, op.getWeight(), firstPanel, panelCount),
                                 op.getBias() ? subview(e, op.getBias(), {firstColumn}, {columnCount}) : Value(),
                                 block(residual), block(init), scratch, op.getActivationAttr(), UnitAttr());
    if (n % kPanel)
      part->setAttr("attn.ragged", e.b.getUnitAttr());
  });
  return success();
}

/// Operands that every task takes whole.
bool isParameter(Operation *op, Value operand) {
  if (auto embedding = dyn_cast<EmbeddingOp>(op))
    return operand == embedding.getTable();
  if (isa<LayerNormOp, RMSNormOp>(op))
    return operand != op->getOperand(0) && operand != getInit(op);
  return false;
}

/// Ops that handle each row of features by itself: operands are [..., features] or, without features, [...].
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
    Value rows = rowsOfOperand(e, operand, type.getRank() > leading);
    if (!rows)
      return op->emitOpError(kStrided);
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

Value rowsOfOperand(Emit &e, Value memref, bool features) {
  auto type = cast<MemRefType>(memref.getType());
  if (isContiguous(memref) || (type.getRank() == 1 + features && type.areTrailingDimsContiguous(1)))
    return flattenRows(e, memref, features);
  while (auto cast = memref.getDefiningOp<memref::CastOp>())
    memref = cast.getSource();
  auto slice = memref.getDefiningOp<memref::SubViewOp>();
  auto isWhole = [&](int64_t d) {
    return isConstantIntValue(slice.getMixedOffsets()[d], 0) && isSizeOf(slice.getMixedSizes()[d], slice.getSource(), d);
  };
  if (!features || !slice || !isContiguous(slice.getSource()) || slice.getSourceType().getRank() != type.getRank() ||
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
      for (Operation &op : llvm::make_early_inc_range(func.getBody().front())) {
        OpBuilder b(&op);
        Tiler tiler{Emit(b, op.getLoc(), target.getLanes()), target, workers};
        std::optional<LogicalResult> tiled =
            llvm::TypeSwitch<Operation *, std::optional<LogicalResult>>(&op)
                .Case([&](LinearOp op) { return tileLinear(tiler, op); })
                .Case([&](linalg::GenericOp op) { return tileElementwise(tiler, op); })
                .Case([&](AttentionOp op) { return tileAttention(tiler, op); })
                .Case<PackKeysOp, PackValuesOp, CacheAppendOp>([&](Operation *op) -> std::optional<LogicalResult> {
                  if (!getElementTypeOrSelf(op->getOperand(0).getType()).isF64())
                    return std::nullopt; // makes its own tasks
                  return op->emitOpError("of f64 is not yet lowered");
                })
                .Case([&](LinearAttentionOp op) { return tileLinearAttention(tiler, op); })
                .Case<LayerNormOp, RMSNormOp, L2NormOp, ScaleOp, SoftCapOp, ActivationOp, EmbeddingOp, LogSoftmaxOp, ArgmaxOp, RotaryOp,
                      PositionalEncodingOp>([&](Operation *op) { return tileRows(tiler, op); })
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
