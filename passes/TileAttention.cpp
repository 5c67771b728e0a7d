//===- TileAttention.cpp - attn.attention to tasks ------------------------------------------------===//
//
// A task is a block of queries of the heads that share a kv head, over all of its keys: K and V are read once for the
// group. One query over a long sequence is split over the keys instead, and the parts merged in order.
//
//===----------------------------------------------------------------------------------===//
#include "passes/AttentionEmitter.h"
#include "passes/Tiler.h"
#include "runtime/attn_abi.h"

namespace attnc {
using namespace attn;

namespace {

/// Parts of one query's keys at most. With no more blocks than this every block is a part, and the result has the same
/// bits as without a split.
constexpr int64_t kMostParts = 64;
/// Tasks from which on a split is not worth its second step.
constexpr int64_t kEnoughTasks = 64;

/// What differs by task: the rows of a task and where its operands lie.
struct TaskPlace {
  Value batch, kvHead, head, headCount; // query heads head … head + headCount
  Value first, count;                   // queries
  Value keys;                           // of the sequence
  Value offset;                         // position of query 0
  // Where the sequence lies: its batch row, first query row, first key row and panel of keys.
  Value row, queryStart, keyStart, keyPanel;
};

struct AttentionTiler {
  Tiler &tiler;
  AttentionOp op;
  Emit &e;
  int64_t heads, kvHeads, group, headDim, headDimV, width;
  Value queries; // of one sequence; the most of them when ragged
  CacheType cacheType;
  CacheViewOp cache;
  Value scratch;

  AttentionTiler(Tiler &tiler, AttentionOp op) : tiler(tiler), op(op), e(tiler.e) {
    heads = op.getHeads();
    kvHeads = op.getKvHeads();
    group = heads / kvHeads;
    headDim = op.getHeadDim();
    headDimV = op.getHeadDimV();
    width = llvm::alignTo(headDimV, kPanel);
    queries = e.dim(op.getQuery(), isPackedHeads(op.getQuery()) ? 1 : 2);
    if (op.getCache()) {
      cacheType = cast<CacheType>(op.getCache().getType());
      cache = op.getCache().getDefiningOp<CacheViewOp>();
    }
  }

  static bool isPackedHeads(Value v) { return cast<MemRefType>(v.getType()).getRank() == 3; }
  LogicalResult check();
  LogicalResult tile();
  void tileWhole();
  void tileSplit();
  void tileRagged();
  void tileScores(Value lse);

  TaskPlace placeOf(Value batch, Value kvHead, Value groupBlock, Value first, Value count);
  void forQueryBlocks(function_ref<void(const TaskPlace &)> body, StringRef step = {});
  Value allKeysOf(Value batch);
  Value keysOf(Value batch);
  Value swappedView(Value memref, const TaskPlace &place);
  Value rowsView(Value memref, const TaskPlace &place, int64_t width);
  Value biasView(const TaskPlace &place);
  OnlineAttentionOp createTask(const TaskPlace &place, Value init, Value lse);
  Value sinkLogits(const TaskPlace &place);
  Value lseView(const TaskPlace &place);
};

LogicalResult AttentionTiler::check() {
  for (Value v : {Value(op.getQuery()), Value(op.getInit()), Value(op.getBias())})
    if (v && cast<MemRefType>(v.getType()).getElementType().isF64())
      return op.emitOpError("of f64 is not yet lowered");
  if (op.getBias() && !isContiguous(op.getBias()))
    return op.emitOpError() << "with bias " << op.getBias().getType() << " is not yet lowered";
  return success();
}

/// [count, group] or [count, group, width] of the task's rows in a [batch, heads, queries] or [batch, heads, queries, width]
/// buffer.
Value AttentionTiler::swappedView(Value memref, const TaskPlace &place) {
  SmallVector<OpFoldResult> offsets = {place.row, place.head, e.add(place.queryStart, place.first)};
  SmallVector<OpFoldResult> sizes = {e.b.getIndexAttr(1), place.headCount, place.count};
  SmallVector<unsigned> order = {1, 0};
  auto type = cast<MemRefType>(memref.getType());
  if (type.getRank() == 4) {
    offsets.push_back(e.b.getIndexAttr(0));
    sizes.push_back(type.isDynamicDim(3) ? OpFoldResult(e.dim(memref, 3)) : e.b.getIndexAttr(type.getDimSize(3)));
    order.push_back(2);
  }
  AffineMap swap = AffineMap::getPermutationMap(ArrayRef<unsigned>(order), e.b.getContext());
  return memref::TransposeOp::create(e.b, e.loc, subview(e, memref, offsets, sizes, 1), AffineMapAttr::get(swap));
}

/// [count, group, width] of the task's rows in a [batch, seq, heads·width] or [batch, heads, seq, width] buffer.
Value AttentionTiler::rowsView(Value memref, const TaskPlace &place, int64_t width) {
  OpFoldResult one = e.b.getIndexAttr(1), zero = e.b.getIndexAttr(0), features = e.b.getIndexAttr(width);
  if (!isPackedHeads(memref))
    return swappedView(memref, place);
  auto type = cast<MemRefType>(memref.getType());
  SmallVector<ReassociationIndices> groups = {{0}, {1}, {2, 3}};
  SmallVector<int64_t> shape(type.getShape().drop_back());
  shape.append({type.getDimSize(2) / width, width});
  SmallVector<OpFoldResult> sizes;
  for (int64_t d = 0; d < 4; ++d)
    sizes.push_back(ShapedType::isDynamic(shape[d]) ? OpFoldResult(e.dim(memref, d)) : e.b.getIndexAttr(shape[d]));
  auto expanded = *memref::ExpandShapeOp::computeExpandedType(type, shape, groups);
  Value split = memref::ExpandShapeOp::create(e.b, e.loc, expanded, memref, groups, sizes);
  return subview(e, split, {place.row, e.add(place.queryStart, place.first), place.head, zero},
                 {one, place.count, place.headCount, features}, 1);
}

/// [count, group, keys] of a bias that broadcasts to [batch, heads, queries, keys]: dimensions of size 1 get stride 0.
Value AttentionTiler::biasView(const TaskPlace &place) {
  Value bias = op.getBias();
  auto type = cast<MemRefType>(bias.getType());
  int64_t rank = type.getRank(), dyn = ShapedType::kDynamic;
  Value keys = e.dim(bias, rank - 1), stride = keys, offset = e.idx(0);
  Value at[] = {place.first, place.head, place.batch}, strides[] = {e.idx(0), e.idx(0), e.idx(0)};
  for (int64_t d = rank - 2, i = 0; d >= 0; --d, ++i) {
    // Sizes only known at run time may turn out to be 1 as well.
    Value size = e.dim(bias, d);
    Value single = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::eq, size, e.idx(1));
    strides[i] = e.select(single, e.idx(0), stride);
    offset = e.add(offset, e.mul(at[i], strides[i]));
    stride = e.mul(stride, size);
  }
  bool single = type.getShape().back() == 1;
  auto view = MemRefType::get({dyn, dyn, single ? 1 : dyn}, type.getElementType(),
                              StridedLayoutAttr::get(e.b.getContext(), dyn, {dyn, dyn, 1}));
  return memref::ReinterpretCastOp::create(
      e.b, e.loc, view, bias, OpFoldResult(offset),
      ArrayRef<OpFoldResult>{place.count, place.headCount, single ? OpFoldResult(e.b.getIndexAttr(1)) : OpFoldResult(keys)},
      ArrayRef<OpFoldResult>{strides[0], strides[1], e.b.getIndexAttr(1)});
}

Value AttentionTiler::sinkLogits(const TaskPlace &place) {
  return op.getSinkLogits() ? subview(e, op.getSinkLogits(), {place.head}, {place.headCount}) : Value();
}

Value AttentionTiler::lseView(const TaskPlace &place) {
  return op.getLseInit() ? swappedView(op.getLseInit(), place) : Value();
}

/// Keys that a row of the batch has, in the cache after this call's are appended (but for a cross cache), or in `key`.
Value AttentionTiler::allKeysOf(Value batch) {
  if (!cache)
    return e.dim(op.getValue(), 2);
  Value past = e.toIndex(e.load1(cache.getPast(), batch));
  return op.isCross() ? past : e.add(past, queries);
}

/// kv_len of them.
Value AttentionTiler::keysOf(Value batch) {
  Value keys = allKeysOf(batch);
  if (!op.getKvLen())
    return keys;
  Value valid = e.toIndex(e.load1(op.getKvLen(), batch));
  return e.max(e.idx(0), e.min(keys, valid));
}

TaskPlace AttentionTiler::placeOf(Value batch, Value kvHead, Value groupBlock, Value first, Value count) {
  TaskPlace place;
  place.batch = place.row = batch;
  place.queryStart = place.keyStart = place.keyPanel = e.idx(0);
  place.kvHead = kvHead;
  Value firstOfGroup = e.mul(groupBlock, kTaskRows);
  place.head = e.add(e.mul(kvHead, group), firstOfGroup);
  place.headCount = group <= kTaskRows ? e.idx(group) : e.min(e.idx(kTaskRows), e.sub(e.idx(group), firstOfGroup));
  place.first = first;
  place.count = count;
  place.keys = keysOf(batch);
  place.offset = e.idx(op.getCausalOffset());
  if (cache && !op.isCross())
    place.offset = e.add(place.offset, e.toIndex(e.load1(cache.getPast(), batch)));
  if (op.getBottomRight()) // the cache's diagonal ends at the last key already
    place.offset = e.add(e.sub(place.keys, queries), int64_t(op.getCausalOffset()));
  return place;
}

/// The task; `init` and `lse` are its views, or the parts of a split.
OnlineAttentionOp AttentionTiler::createTask(const TaskPlace &place, Value init, Value lse) {
  OpBuilder &b = e.b;
  OpFoldResult one = b.getIndexAttr(1), zero = b.getIndexAttr(0);
  Value query = rowsView(op.getQuery(), place, headDim);
  auto task = OnlineAttentionOp::create(b, e.loc, query, place.batch, place.head, place.first, place.offset, place.keys,
                                        init, scratch);
  b.setInsertionPoint(task);
  if (cache) {
    CachePlace at = cachePlace(e, cacheType, cache.getPage(), op.getLayer(), place.kvHead);
    task.getPagesMutable().assign(cache.getPages());
    task.getTableMutable().assign(subview(e, cache.getTable(), {place.batch, zero}, {one, e.dim(cache.getTable(), 1)}, 1));
    task.getPageMutable().assign(cache.getPage());
    task.getPageStrideMutable().assign(at.pageStride);
    task.getKeyBaseMutable().assign(at.keyBase);
    task.getValueBaseMutable().assign(at.valueBase);
  } else {
    Value panels = e.sub(e.dim(op.getKey(), 2), place.keyPanel), rows = e.sub(e.dim(op.getValue(), 2), place.keyStart);
    task.getKeyMutable().assign(subview(e, op.getKey(), {place.row, place.kvHead, place.keyPanel, zero, zero},
                                        {one, one, panels, b.getIndexAttr(headDim), b.getIndexAttr(kKeyPanel)}, 2));
    task.getValueMutable().assign(subview(e, op.getValue(), {place.row, place.kvHead, place.keyStart, zero},
                                          {one, one, rows, b.getIndexAttr(width)}, 2));
  }
  if (op.getKvLen()) {
    Value valid = e.toIndex(e.load1(op.getKvLen(), place.batch));
    Value most = allKeysOf(place.batch);
    FailOp::create(b, e.loc, arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::ugt, valid, most), ATTN_RANGE,
                   "kv_len: expected lengths within the number of keys");
  }
  if (op.getBias()) {
    task.getBiasMutable().assign(biasView(place));
    // A bias with fewer columns hides the keys beyond.
    auto type = cast<MemRefType>(op.getBias().getType());
    if (type.getShape().back() != 1)
      task.getKeysMutable().assign(e.min(place.keys, e.dim(op.getBias(), type.getRank() - 1)));
  }
  if (Value mask = op.getKeyMask()) {
    task.getKeyMaskMutable().assign(subview(e, mask, {place.batch, zero}, {one, e.dim(mask, 1)}, 1));
    if (cache) {
      Value pointer = memref::ExtractAlignedPointerAsIndexOp::create(b, e.loc, mask);
      Value given = arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::ne, pointer, e.idx(0));
      Value tooShort = e.less(e.dim(mask, 1), place.keys);
      FailOp::create(b, e.loc, arith::AndIOp::create(b, e.loc, given, tooShort), ATTN_SHAPE,
                     "attention_mask: expected a column for every cached and new token of its row");
    }
  }
  if (op.getSinkLogits())
    task.getSinkLogitsMutable().assign(sinkLogits(place));
  if (lse)
    task.getLseMutable().assign(lse);
  task.setNumHeads(heads);
  task.setNumKvHeads(kvHeads);
  task.setScale(APFloat(op.getScaleOrDefault()));
  task.setCausal(op.getCausal());
  task.setWindowLeft(op.getWindowLeft());
  task.setWindowRight(op.getWindowRight());
  task.setSinks(op.getSinks());
  task.setSoftCapAttr(op.getSoftCapAttr());
  task.setMaskedRows(op.getMaskedRows());
  for (auto [from, to] : llvm::zip(op->getRegions(), task->getRegions())) {
    IRMapping map;
    from.cloneInto(&to, map);
  }
  b.setInsertionPointAfter(task);
  return task;
}

/// `body` as a task for every block of queries of every group of heads.
void AttentionTiler::forQueryBlocks(function_ref<void(const TaskPlace &)> body, StringRef step) {
  Value batch = e.dim(op.getQuery(), 0);
  int64_t groupBlocks = llvm::divideCeil(group, kTaskRows);
  int64_t queryBlock = std::max<int64_t>(1, kTaskRows / group);
  Value queryBlocks = e.divCeil(queries, queryBlock);
  // Blocks of one head are neighbours, the last ones, with the most keys under a causal mask, first.
  forTasks(e, e.mul(e.mul(batch, e.idx(kvHeads * groupBlocks)), queryBlocks), op, [&](Value task) {
    Value block = e.sub(e.sub(queryBlocks, e.idx(1)), e.rem(task, queryBlocks)), rest = e.divFloor(task, queryBlocks);
    Value groupBlock = e.rem(rest, e.idx(groupBlocks));
    rest = e.divFloor(rest, groupBlocks);
    Value first = e.mul(block, queryBlock), count = e.min(e.idx(queryBlock), e.sub(queries, first));
    body(placeOf(e.divFloor(rest, kvHeads), e.rem(rest, e.idx(kvHeads)), groupBlock, first, count));
  }, step);
}

void AttentionTiler::tileWhole() {
  forQueryBlocks([&](const TaskPlace &place) {
    createTask(place, rowsView(op.getInit(), place, headDimV), lseView(place));
  });
}

/// Sequences end to end: tasks for as many blocks as there may be; those that are not used return at once. The keys'
/// offsets were checked when the keys were packed.
void AttentionTiler::tileRagged() {
  Value rows = queries, offsets = op.getRagged(), keyOffsets = op.getRaggedKeys() ? op.getRaggedKeys() : offsets;
  RaggedPlace::check(e, offsets, rows, "ragged: expected offsets that ascend from 0 to the number of query rows");
  int64_t groupBlocks = llvm::divideCeil(group, kTaskRows), queryBlock = std::max<int64_t>(1, kTaskRows / group);
  Value blocks = RaggedPlace::blocks(e, offsets, queryBlock, rows);
  forTasks(e, e.mul(blocks, e.idx(kvHeads * groupBlocks)), op, [&](Value task) {
    Value rest = e.divFloor(task, blocks);
    RaggedPlace sequence(e, offsets, queryBlock, e.rem(task, blocks));
    Value first = e.mul(sequence.block, queryBlock);
    e.ifThen(e.less(first, sequence.length), [&] {
      Value count = e.min(e.idx(queryBlock), e.sub(sequence.length, first)), zero = e.idx(0);
      TaskPlace place = placeOf(zero, e.divFloor(rest, groupBlocks), e.rem(rest, e.idx(groupBlocks)), first, count);
      place.batch = sequence.sequence;
      place.queryStart = sequence.start;
      place.keyStart = e.toIndex(e.load1(keyOffsets, place.batch));
      place.keyPanel = e.add(e.divFloor(place.keyStart, kKeyPanel), place.batch);
      place.keys = e.sub(e.toIndex(e.load1(keyOffsets, e.add(place.batch, 1))), place.keyStart);
      createTask(place, rowsView(op.getInit(), place, headDimV), lseView(place));
    });
  });
}

/// Scores at the point asked for, after the attention itself: a second walk over all keys.
void AttentionTiler::tileScores(Value lse) {
  forQueryBlocks([&](const TaskPlace &place) {
    auto online = createTask(place, swappedView(op.getScoresInit(), place), lse ? swappedView(lse, place) : Value());
    online.setScoresAttr(op.getScoresAttr());
  }, "scores");
}

/// One query, many keys: [batch, kv head, part] tasks of some blocks each, then one merge by batch and kv head.
void AttentionTiler::tileSplit() {
  OpBuilder &b = e.b;
  Value batch = e.dim(op.getQuery(), 0), pairs = e.mul(batch, e.idx(kvHeads));
  int64_t dyn = ShapedType::kDynamic;
  auto allocate = [&](int64_t last) -> Value {
    return memref::AllocOp::create(b, e.loc, MemRefType::get({dyn, kMostParts, group, last}, b.getF32Type()),
                                   ValueRange(pairs));
  };
  Value parts = allocate(width), maxima = allocate(2);
  Value most = e.loop(e.idx(0), batch, 1, ValueRange(e.idx(0)), [&](Value row, ValueRange carried) {
    return SmallVector<Value>{e.max(carried[0], keysOf(row))};
  })[0];
  Value splits = e.min(e.idx(kMostParts), e.divCeil(most, kBlock));
  Value split = arith::AndIOp::create(b, e.loc, e.less(e.idx(1), splits), e.less(pairs, e.idx(kEnoughTasks)));
  auto branch = scf::IfOp::create(b, e.loc, split, /*withElse=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.elseBlock());
  tileWhole();
  b.setInsertionPointToStart(branch.thenBlock());
  // Of each row's own length, so that its bits depend on nothing else: blocks of one part, and parts.
  auto blocksOfPart = [&](Value keys) { return e.max(e.idx(1), e.divCeil(e.divCeil(keys, kBlock), kMostParts)); };
  Value zero = e.idx(0), one = e.idx(1);
  auto partView = [&](Value memref, Value pair, Value part) {
    int64_t last = cast<MemRefType>(memref.getType()).getDimSize(3);
    return subview(e, memref, {pair, part, b.getIndexAttr(0), b.getIndexAttr(0)},
                   {b.getIndexAttr(1), b.getIndexAttr(1), b.getIndexAttr(group), b.getIndexAttr(last)}, 1);
  };
  forTasks(e, e.mul(pairs, splits), op, [&](Value task) {
    Value part = e.rem(task, splits), pair = e.divFloor(task, splits);
    TaskPlace place = placeOf(e.divFloor(pair, kvHeads), e.rem(pair, e.idx(kvHeads)), zero, zero, one);
    Value size = e.mul(blocksOfPart(place.keys), kBlock);
    auto online = createTask(place, partView(parts, pair, part), Value());
    b.setInsertionPoint(online);
    online.getPartialMutable().assign(partView(maxima, pair, part));
    Value from = e.mul(part, size);
    online.getFromMutable().assign(from);
    online.getToMutable().assign(e.add(from, size));
    b.setInsertionPointAfter(online);
  });
  forTasks(e, pairs, op, [&](Value pair) {
    TaskPlace place = placeOf(e.divFloor(pair, kvHeads), e.rem(pair, e.idx(kvHeads)), zero, zero, one);
    Value blocks = blocksOfPart(place.keys);
    Value used = e.max(one, e.divFloor(e.sub(e.add(e.divCeil(place.keys, kBlock), blocks), one), blocks));
    auto ofPair = [&](Value memref) {
      int64_t last = cast<MemRefType>(memref.getType()).getDimSize(3);
      return subview(e, memref, {pair, b.getIndexAttr(0), b.getIndexAttr(0), b.getIndexAttr(0)},
                     {b.getIndexAttr(1), used, b.getIndexAttr(group), b.getIndexAttr(last)}, 1);
    };
    MergeAttentionOp::create(b, e.loc, ofPair(parts), ofPair(maxima), sinkLogits(place),
                             rowsView(op.getInit(), place, headDimV), lseView(place));
  }, "merge");
}

LogicalResult AttentionTiler::tile() {
  if (failed(check()))
    return failure();
  scratch = tiler.scratch(attentionScratch(tiler.target, headDim, headDimV));
  if (op.getScores() == ScorePoint::softmax && !op.getLseInit()) {
    auto type = MemRefType::get({ShapedType::kDynamic, heads, ShapedType::kDynamic}, e.b.getF32Type());
    Value lse = memref::AllocOp::create(e.b, e.loc, type, ValueRange{e.dim(op.getQuery(), 0), queries});
    op.getLseInitMutable().assign(lse);
  }
  // Longer queries give enough tasks, and rows without keys or with a prob region need all keys at once.
  auto constant = queries.getDefiningOp<arith::ConstantIndexOp>();
  if (op.getRagged())
    tileRagged();
  else if (constant && constant.value() == 1 && group <= kTaskRows && op.getMaskedRows() == MaskedRows::zero &&
      op.getProbMod().empty())
    tileSplit();
  else
    tileWhole();
  if (op.getScores())
    tileScores(op.getScores() == ScorePoint::softmax ? Value(op.getLseInit()) : Value());
  return success();
}
} // namespace

LogicalResult tileAttention(Tiler &tiler, AttentionOp op) { return AttentionTiler(tiler, op).tile(); }

} // namespace attnc
