//===- TileToTasks.cpp - Ops on buffers to parallel tasks -----------------------------------===//
//
// How an op is split depends on its sizes only, so results do not depend on the number of workers. Tasks are small
// enough to balance and large enough that claiming one (about 50 ns) does not show.
//
//===----------------------------------------------------------------------------------===//
#include "passes/Passes.h"
#include "passes/Tasks.h"
#include "runtime/attn_abi.h"

#include "llvm/ADT/TypeSwitch.h"

namespace attnc {
#define GEN_PASS_DEF_TILETOTASKS
#include "passes/Passes.h.inc"

namespace {
using namespace attn;

constexpr int64_t kTasks = 64;     // aimed at for one product
constexpr int64_t kQueryBlock = 64; // query rows of one attention task
constexpr int64_t kRowBlock = 16;  // rows of one elementwise task

struct Tiler {
  Emit e;
  TargetAttr target;
  Value workers;

  Value scratch(int64_t floats) {
    return memref::AllocOp::create(e.b, e.loc, MemRefType::get({ShapedType::kDynamic, floats * 4}, e.b.getI8Type()),
                                   ValueRange(workers));
  }
  LogicalResult tile(LinearOp op);
  LogicalResult tile(AttentionOp op);
  LogicalResult tileRows(Operation *op);
  Value biasOf(Value bias, Value batch, Value head, Value first, Value count);
};

bool isContiguous(Value memref) { return cast<MemRefType>(memref.getType()).getLayout().isIdentity(); }

LogicalResult Tiler::tile(LinearOp op) {
  Value input = op.getInput(), init = op.getInit(), residual = op.getResidual();
  if (cast<MemRefType>(op.getWeight().getType()).getRank() == 2)
    return op.emitOpError("expected a packed weight: the weight of a linear must be a parameter");
  for (Value v : {input, init, residual})
    if (v && !isContiguous(v) && cast<MemRefType>(v.getType()).getRank() > 2)
      return op.emitOpError("of a strided view is not yet lowered");
  for (Value v : {input, init, residual})
    if (v && !cast<MemRefType>(v.getType()).getElementType().isF32())
      return op.emitOpError() << "of " << cast<MemRefType>(v.getType()).getElementType()
                              << " activations is not yet lowered";
  int64_t k = cast<MemRefType>(input.getType()).getShape().back();
  int64_t n = cast<MemRefType>(init.getType()).getShape().back();
  int64_t panels = llvm::divideCeil(n, kPanel);
  input = flattenRows(e, input);
  init = flattenRows(e, init);
  residual = residual ? flattenRows(e, residual) : Value();
  Value rows = e.dim(init, 0), scratch = this->scratch(linearScratch(target, k));

  // Row blocks × column chunks; neighbouring tasks share the chunk of the weight.
  Value rowBlocks = e.divCeil(rows, target.getRowBlock());
  Value wanted = e.divFloor(e.idx(kTasks), e.max(rowBlocks, e.idx(1)));
  int64_t groups = llvm::divideCeil(panels, target.getPanels());
  Value chunks = e.max(e.idx(1), e.min(wanted, e.idx(groups)));
  Value chunkGroups = e.divFloor(e.add(chunks, groups - 1), chunks); // ceil(groups / chunks)
  Value chunkPanels = e.mul(chunkGroups, target.getPanels());
  Value usedChunks = e.divFloor(e.sub(e.add(chunkPanels, panels), e.idx(1)), chunkPanels);
  forTasks(e, e.mul(rowBlocks, usedChunks), "linear", [&](Value task) {
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
                                 rowsOf(e, op.getWeight(), firstPanel, panelCount), op.getGamma(), op.getBeta(),
                                 op.getBias() ? subview(e, op.getBias(), {firstColumn}, {columnCount}) : Value(),
                                 block(residual), block(init), scratch, op.getActivationAttr(), op.getNormAttr(),
                                 op.getEpsilonAttr(), UnitAttr());
    if (n % kPanel)
      part->setAttr("attn.ragged", e.b.getUnitAttr());
  });
  return success();
}

/// [rows, keys] of a bias that broadcasts to [batch, heads, queries, keys]: dimensions of size 1 get stride 0.
Value Tiler::biasOf(Value bias, Value batch, Value head, Value first, Value count) {
  auto type = cast<MemRefType>(bias.getType());
  int64_t rank = type.getRank();
  Value keys = e.dim(bias, rank - 1), stride = keys, offset = e.idx(0), rowStride = e.idx(0);
  Value at[] = {first, head, batch};
  for (int64_t d = rank - 2, i = 0; d >= 0; --d, ++i) {
    if (type.getDimSize(d) != 1) {
      offset = e.add(offset, e.mul(at[i], stride));
      if (i == 0)
        rowStride = stride;
    }
    stride = e.mul(stride, e.dim(bias, d));
  }
  int64_t dyn = ShapedType::kDynamic;
  auto view = MemRefType::get({dyn, dyn}, type.getElementType(), StridedLayoutAttr::get(e.b.getContext(), dyn, {dyn, 1}));
  return memref::ReinterpretCastOp::create(e.b, e.loc, view, bias, OpFoldResult(offset),
                                           ArrayRef<OpFoldResult>{count, keys},
                                           ArrayRef<OpFoldResult>{rowStride, e.b.getIndexAttr(1)});
}

LogicalResult Tiler::tile(AttentionOp op) {
  if (op.getSinks() || op.getMaskedRows() != MaskedRows::zero)
    return op.emitOpError("with sinks or masked_rows other than zero is not yet lowered");
  if (Value bias = op.getBias()) {
    auto type = cast<MemRefType>(bias.getType());
    if (!type.getElementType().isF32() || !isContiguous(bias))
      return op.emitOpError() << "with bias " << type << " is not yet lowered";
    if (op.getCache() || type.getShape().back() == 1)
      return op.emitOpError("with bias over a cache, or broadcast along keys, is not yet lowered");
  }
  for (Value v : {Value(op.getQuery()), Value(op.getInit())})
    if (!cast<MemRefType>(v.getType()).getElementType().isF32())
      return op.emitOpError() << "of " << cast<MemRefType>(v.getType()).getElementType() << " is not yet lowered";
  int64_t heads = op.getHeads(), kvHeads = op.getKvHeads(), headDim = op.getHeadDim(), headDimV = op.getHeadDimV();
  int64_t queryDim = cast<MemRefType>(op.getQuery().getType()).getRank() == 3 ? 1 : 2;
  Value batch = e.dim(op.getQuery(), 0), queries = e.dim(op.getQuery(), queryDim);
  Value scratch = this->scratch(attentionScratch(target, headDim, headDimV));
  Value queryBlocks = e.divCeil(queries, kQueryBlock);
  auto cacheType = op.getCache() ? cast<CacheType>(op.getCache().getType()) : CacheType();
  auto cache = op.getCache() ? op.getCache().getDefiningOp<CacheViewOp>() : CacheViewOp();
  if (op.getCache() && !cacheType.getElementType().isF32())
    return op.emitOpError() << "over a cache of " << cacheType.getElementType() << " is not yet lowered";

  forTasks(e, e.mul(e.mul(batch, e.idx(heads)), queryBlocks), "attention", [&](Value task) {
    Value block = e.rem(task, queryBlocks), rest = e.divFloor(task, queryBlocks);
    Value head = e.rem(rest, e.idx(heads)), b = e.divFloor(rest, heads);
    Value kvHead = e.divFloor(head, heads / kvHeads);
    Value first = e.mul(block, kQueryBlock), count = e.min(e.idx(kQueryBlock), e.sub(queries, first));
    Value query = headOf(e, op.getQuery(), b, head, first, count, headDim);
    Value init = headOf(e, op.getInit(), b, head, first, count, headDimV);
    OpFoldResult one = e.b.getIndexAttr(1);
    Value lse;
    if (op.getLseInit())
      lse = subview(e, op.getLseInit(), {b, head, first}, {one, one, count}, 2);
    Value key, value, pages, table, page, stride, keyBase, valueBase, past, keys;
    if (cache) {
      past = e.toIndex(e.load1(cache.getPast(), b));
      keys = e.add(past, queries);
      CachePlace place = cachePlace(e, cacheType, cache.getPage(), op.getLayer(), kvHead);
      pages = cache.getPages();
      page = cache.getPage();
      stride = place.pageStride;
      keyBase = place.keyBase;
      valueBase = place.valueBase;
      table = subview(e, cache.getTable(), {b, e.b.getIndexAttr(0)}, {one, e.dim(cache.getTable(), 1)}, 1);
    } else {
      auto keyType = cast<MemRefType>(op.getKey().getType());
      OpFoldResult zero = e.b.getIndexAttr(0);
      keys = e.dim(op.getValue(), 2);
      key = subview(e, op.getKey(), {b, kvHead, zero, zero, zero},
                    {one, one, e.dim(op.getKey(), 2), e.b.getIndexAttr(keyType.getDimSize(3)),
                     e.b.getIndexAttr(kKeyPanel)}, 2);
      value = subview(e, op.getValue(), {b, kvHead, zero, zero},
                      {one, one, keys, e.b.getIndexAttr(cast<MemRefType>(op.getValue().getType()).getDimSize(3))}, 2);
    }
    if (op.getKvLen()) {
      Value valid = e.toIndex(e.load1(op.getKvLen(), b));
      FailOp::create(e.b, e.loc, arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ugt, valid, keys), ATTN_RANGE,
                     "kv_len: expected lengths within the number of keys");
      keys = e.max(e.idx(0), e.min(keys, valid));
    }
    Value mask, bias;
    if (op.getBias())
      bias = biasOf(op.getBias(), b, head, first, count);
    if (op.getKeyMask())
      mask = subview(e, op.getKeyMask(), {b, e.b.getIndexAttr(0)}, {one, e.dim(op.getKeyMask(), 1)}, 1);
    if (mask && cache) {
      Value pointer = memref::ExtractAlignedPointerAsIndexOp::create(e.b, e.loc, op.getKeyMask());
      Value given = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ne, pointer, e.idx(0));
      Value tooShort = e.less(e.dim(op.getKeyMask(), 1), keys);
      FailOp::create(e.b, e.loc, arith::AndIOp::create(e.b, e.loc, given, tooShort), ATTN_SHAPE,
                     "attention_mask: expected a column for every cached and new token of its row");
    }
    OnlineAttentionOp::create(e.b, e.loc, query, first, keys, key, value, pages, table, page, stride, keyBase,
                              valueBase, past, bias, mask, init, lse, scratch, op.getNumHeadsAttr(), op.getNumKvHeadsAttr(),
                              e.b.getF64FloatAttr(op.getScaleOrDefault()), op.getCausalAttr(),
                              op.getCausalOffsetAttr(), op.getWindowLeftAttr(), op.getWindowRightAttr(),
                              op.getSinksAttr(), op.getSoftCapAttr(), op.getMaskedRowsAttr());
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
LogicalResult Tiler::tileRows(Operation *op) {
  IRMapping flat;
  int64_t leading = cast<MemRefType>(getInit(op).getType()).getRank() - !isa<ArgmaxOp>(op);
  for (Value operand : op->getOperands()) {
    auto type = cast<MemRefType>(operand.getType());
    if (isParameter(op, operand))
      continue;
    if (isa<FloatType>(type.getElementType()) && !type.getElementType().isF32())
      return op->emitOpError() << "of " << type.getElementType() << " activations is not yet lowered";
    if (!isContiguous(operand) && type.getRank() > 2)
      return op->emitOpError("of a strided view is not yet lowered");
    flat.map(operand, flattenRows(e, operand, type.getRank() > leading));
  }
  Value rows = e.dim(flat.lookup(getInit(op)), 0);
  forTasks(e, e.divCeil(rows, kRowBlock), op->getName().stripDialect(), [&](Value task) {
    Value first = e.mul(task, kRowBlock), count = e.min(e.idx(kRowBlock), e.sub(rows, first));
    IRMapping map;
    for (Value operand : op->getOperands())
      if (!isParameter(op, operand))
        map.map(operand, rowsOf(e, flat.lookup(operand), first, count));
    e.b.clone(*op, map);
  });
  return success();
}

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
                .Case<LinearOp, AttentionOp>([&](auto op) { return tiler.tile(op); })
                .Case([&](LinearAttentionOp op) { return tileLinearAttention(tiler.e, op, target, workers); })
                .Case<LayerNormOp, RMSNormOp, ActivationOp, EmbeddingOp, LogSoftmaxOp, ArgmaxOp, RotaryOp,
                      PositionalEncodingOp>([&](Operation *op) { return tiler.tileRows(op); })
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
