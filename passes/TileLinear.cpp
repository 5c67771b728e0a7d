//===- TileLinear.cpp - attn.linear and attn.expert_linear on buffers to parallel tasks -------===//
//
// Row blocks × column chunks; neighbouring tasks share the chunk of the weight. Row blocks of experts are blocks of the
// choices that name one, so an expert that nobody chose has none, and one token as many as the experts it chose.
//
//===----------------------------------------------------------------------------------===//
#include "passes/RowPattern.h"
#include "passes/Tiler.h"

namespace attnc {
using namespace attn;

namespace {

constexpr int64_t kTasks = 64;            // aimed at for one product
constexpr int64_t kTaskProducts = 1 << 15; // of a task at least: about a microsecond, of which claiming it is a tenth

/// N columns of a packed weight in chunks, so many that there are about kTasks tasks over `rowBlocks`, but fewer where a row
/// has few products.
struct ColumnChunks {
  Emit &e;
  int64_t n, panels;
  Value chunkPanels, count;

  ColumnChunks(Emit &e, TargetAttr target, int64_t k, int64_t n, Value rows, Value rowBlocks)
      : e(e), n(n), panels(llvm::divideCeil(n, kPanel)) {
    Value wanted = e.divFloor(e.idx(kTasks), e.max(rowBlocks, e.idx(1)));
    wanted = e.min(wanted, e.divCeil(e.mul(rows, n * k), kTaskProducts));
    int64_t groups = llvm::divideCeil(panels, target.getPanels());
    Value chunks = e.max(e.idx(1), e.min(wanted, e.idx(groups)));
    Value chunkGroups = e.divFloor(e.add(chunks, groups - 1), chunks); // ceil(groups / chunks)
    chunkPanels = e.mul(chunkGroups, target.getPanels());
    count = e.divFloor(e.sub(e.add(chunkPanels, panels), e.idx(1)), chunkPanels);
  }

  struct Chunk {
    Value firstPanel, panels, firstColumn, columns;
  };
  Chunk at(Value number) {
    Chunk chunk;
    chunk.firstPanel = e.mul(number, chunkPanels);
    chunk.panels = e.min(chunkPanels, e.sub(e.idx(panels), chunk.firstPanel));
    chunk.firstColumn = e.mul(chunk.firstPanel, kPanel);
    chunk.columns = e.min(e.mul(chunk.panels, kPanel), e.sub(e.idx(n), chunk.firstColumn));
    return chunk;
  }

  /// A task whose last panel may be part of one.
  void mark(Operation *task) {
    if (n % kPanel)
      task->setAttr("attn.ragged", e.b.getUnitAttr());
  }
};

/// Number of all elements but of the last `features` dimensions, of an operand: the plan follows sizes to the arguments,
/// but not through views.
Value leadingSize(Emit &e, Value operand, int64_t features) {
  Value size = e.idx(1);
  for (int64_t d = 0; d + features < cast<MemRefType>(operand.getType()).getRank(); ++d)
    size = e.mul(size, e.dim(operand, d));
  return size;
}

/// `input` [rows, K] of `op`, rounded to bf16 if the target rounds what it multiplies with the weight.
template <typename Op> Value roundRows(Tiler &tiler, Op op, Value input) {
  Emit &e = tiler.e;
  if (!tiler.target.getBf16Dot() || !e.elementOf(op.getWeight()).isBF16() || e.elementOf(input).isBF16())
    return input;
  int64_t k = cast<MemRefType>(input.getType()).getDimSize(1);
  Value rows = leadingSize(e, op.getInput(), 1);
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

/// Weights in panels and operands that are not f64; every operand as rows of its last dimension.
LogicalResult prepareOperands(Emit &e, Operation *op, bool isPacked, ArrayRef<Value *> operands) {
  if (!isPacked)
    return op->emitOpError("expected a packed weight: the weight of a linear must be a parameter");
  for (Value *v : operands) {
    if (!*v)
      continue;
    if (e.elementOf(*v).isF64())
      return op->emitOpError("of f64 is not yet lowered");
    *v = rowsOfOperand(e, *v);
    if (!*v)
      return op->emitOpError(kStridedView);
  }
  return success();
}

/// A counting sort, in one task: experts are few, and it reads 8 bytes where a product reads a row.
Groups groupByExpert(Tiler &tiler, ExpertLinearOp op) {
  Emit &e = tiler.e;
  int64_t experts = op.getNumExperts(), rowBlock = tiler.target.getRowBlock();
  Value total = leadingSize(e, op.getExperts(), 0);
  // Σ ⌈choices of one expert / rowBlock⌉ at most: all full but one for each expert.
  Value blocks = e.min(total, e.add(e.divFloor(total, rowBlock), experts));
  auto alloc = [&](ArrayRef<int64_t> shape, ValueRange sizes) -> Value {
    return memref::AllocOp::create(e.b, e.loc, MemRefType::get(shape, e.b.getI64Type()), sizes);
  };
  auto store = [&](Value v, Value memref, ValueRange at) {
    e.store1(arith::IndexCastOp::create(e.b, e.loc, e.b.getI64Type(), v), memref, at);
  };
  auto read = [&](Value memref, ValueRange at) { return e.toIndex(e.load1(memref, at)); };
  Groups groups{alloc({ShapedType::kDynamic}, total), alloc({ShapedType::kDynamic, 3}, blocks)};
  Value next = alloc({experts}, {}), chosen = flattenRows(e, op.getExperts(), 0);
  std::string message = expertsMessage(experts);
  auto group = [&](Value) {
    e.loop(e.idx(0), e.idx(experts), 1, [&](Value x) { store(e.idx(0), next, x); });
    e.loop(e.idx(0), total, 1, [&](Value choice) {
      Value x = inRange(e, read(chosen, choice), e.idx(experts), message);
      store(e.add(read(next, x), 1), next, x);
    });
    // next[x]: where expert x begins.
    SmallVector<Value> ends = e.loop(e.idx(0), e.idx(experts), 1, {e.idx(0), e.idx(0)}, [&](Value x, ValueRange carried) {
      Value first = carried[0], end = e.add(first, read(next, x));
      store(first, next, x);
      SmallVector<Value> used = e.loop(first, end, rowBlock, ValueRange(carried[1]), [&](Value at, ValueRange number) {
        store(x, groups.blocks, {number[0], e.idx(0)});
        store(at, groups.blocks, {number[0], e.idx(1)});
        store(e.min(e.idx(rowBlock), e.sub(end, at)), groups.blocks, {number[0], e.idx(2)});
        return SmallVector<Value>{e.add(number[0], 1)};
      });
      return SmallVector<Value>{end, used[0]};
    });
    e.loop(ends[1], blocks, 1, [&](Value number) {
      for (int64_t field = 0; field < 3; ++field)
        store(e.idx(0), groups.blocks, {number, e.idx(field)});
    });
    e.loop(e.idx(0), total, 1, [&](Value choice) {
      Value x = read(chosen, choice);
      Value bad = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::uge, x, e.idx(experts));
      x = e.select(bad, e.idx(0), x);
      Value at = read(next, x);
      store(choice, groups.choices, at);
      store(e.add(at, 1), next, x);
    });
  };
  forTasks(e, e.idx(1), op, group, "group");
  return groups;
}
} // namespace

LogicalResult tileLinear(Tiler &tiler, LinearOp op) {
  Emit &e = tiler.e;
  TargetAttr target = tiler.target;
  Value input = op.getInput(), init = op.getInit(), residual = op.getResidual();
  if (failed(prepareOperands(e, op, cast<MemRefType>(op.getWeight().getType()).getRank() > 2, {&input, &init, &residual})))
    return failure();
  input = roundRows(tiler, op, input);
  Value rows = e.dim(init, 0), scratch = tiler.scratch(linearScratch(target));
  Value rowBlocks = e.divCeil(rows, target.getRowBlock());
  ColumnChunks chunks(e, target, lastDim(input), lastDim(init), rows, rowBlocks);
  forTasks(e, e.mul(rowBlocks, chunks.count), op, [&](Value task) {
    Value firstRow = e.mul(e.rem(task, rowBlocks), target.getRowBlock());
    Value rowCount = e.min(e.idx(target.getRowBlock()), e.sub(rows, firstRow));
    ColumnChunks::Chunk chunk = chunks.at(e.divFloor(task, rowBlocks));
    auto block = [&](Value v) {
      return v ? subview(e, v, {firstRow, chunk.firstColumn}, {rowCount, chunk.columns}) : Value();
    };
    chunks.mark(LinearOp::create(e.b, e.loc, TypeRange(), rowsOf(e, input, firstRow, rowCount),
                                 rowsOf(e, op.getWeight(), chunk.firstPanel, chunk.panels),
                                 op.getBias() ? subview(e, op.getBias(), {chunk.firstColumn}, {chunk.columns}) : Value(),
                                 block(residual), block(init), scratch, op.getActivationAttr(), UnitAttr()));
  });
  return success();
}

LogicalResult tileExpertLinear(Tiler &tiler, ExpertLinearOp op) {
  Emit &e = tiler.e;
  auto rank = [](Value v) { return cast<MemRefType>(v.getType()).getRank(); };
  Value input = op.getInput(), init = op.getInit();
  if (failed(prepareOperands(e, op, rank(op.getWeight()) > 3, {&input, &init})))
    return failure();
  if (!isContiguous(op.getExperts()))
    return op.emitOpError("of strided experts is not yet lowered");
  Groups &groups = tiler.groups[op.getExperts()];
  if (!groups.choices)
    groups = groupByExpert(tiler, op);
  input = roundRows(tiler, op, input);
  int64_t shared = rank(op.getInput()) > rank(op.getExperts()) ? 1 : op.getChoices(); // choices of a row of input
  Value blocks = e.dim(groups.blocks, 0), scratch = tiler.scratch(linearScratch(tiler.target));
  ColumnChunks chunks(e, tiler.target, lastDim(input), lastDim(init), leadingSize(e, op.getExperts(), 0), blocks);
  forTasks(e, e.mul(blocks, chunks.count), op, [&](Value task) {
    Value block = e.rem(task, blocks);
    auto field = [&](int64_t n) { return e.toIndex(e.load1(groups.blocks, {block, e.idx(n)})); };
    ColumnChunks::Chunk chunk = chunks.at(e.divFloor(task, blocks));
    OpFoldResult zero = e.b.getIndexAttr(0), one = e.b.getIndexAttr(1), expert = field(0);
    SmallVector<OpFoldResult> offsets = {expert, chunk.firstPanel}, sizes = {one, chunk.panels};
    for (int64_t size : cast<MemRefType>(op.getWeight().getType()).getShape().drop_front(2)) {
      offsets.push_back(zero);
      sizes.push_back(e.b.getIndexAttr(size));
    }
    Value bias = op.getBias() ? subview(e, op.getBias(), {expert, chunk.firstColumn}, {one, chunk.columns}, 1) : Value();
    chunks.mark(ExpertLinearOp::create(e.b, e.loc, TypeRange(), input, subview(e, op.getWeight(), offsets, sizes, 1), bias,
                                       subview(e, groups.choices, {field(1)}, {field(2)}),
                                       subview(e, init, {zero, chunk.firstColumn}, {e.dim(init, 0), chunk.columns}),
                                       scratch, UnitAttr(), e.b.getI64IntegerAttr(shared)));
  });
  return success();
}

} // namespace attnc
