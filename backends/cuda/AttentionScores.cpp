//===- AttentionScores.cpp - Rows of attention, which keys they see, and how they end ---------------------===//
#include "backends/cuda/AttentionScores.h"

#include <numeric>

namespace attnc::cuda {
using llvm::Error;

AttentionScores::AttentionScores(Kernel &k)
    : k(k), op(cast<attn::AttentionOp>(k.op())), heads(op.getHeads()), kvHeads(op.getKvHeads()),
      headDim(op.getHeadDim()), headDimV(op.getHeadDimV()), width(llvm::alignTo(headDimV, attn::kPanel)) {
  if (op.getCache())
    cache = op.getCache().getDefiningOp<attn::CacheViewOp>();
}

Error AttentionScores::check() {
  if (op.getRagged())
    return refuse("its sequences are ragged");
  if (op.getScores())
    return refuse("its scores are a result");
  if (op.getKvLen())
    return refuse("its kv_len is checked when it runs");
  if (!op.getProbMod().empty())
    return refuse("it has a prob region");
  if (op.getAlibi() || op.getRelative() || op.getPrefix() || op.getDocuments() || (!cache && !op.isPacked()))
    return refuse("it has not gone through the stage 'fused'");
  if (headDimV > 256)
    return refuse("its head_dim is above 256");
  return Error::success();
}

Error AttentionScores::emit() {
  if (Error error = check())
    return error;
  start();
  finish(walk());
  return Error::success();
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

static bool isPackedHeads(Value buffer) { return rankOf(buffer) == 3; }

SmallVector<Value> AttentionScores::placeOf(Value buffer, const Row &row, Value d, int64_t ofHead) {
  if (isPackedHeads(buffer))
    return {batch, row.query, k.add(k.mul(row.head, ofHead), d)};
  return {batch, row.head, row.query, d};
}

Axis AttentionScores::queriesOf(int64_t rows) {
  return k.axis(op.getQuery(), isPackedHeads(op.getQuery()) ? 1 : 2, rows / std::gcd(heads / kvHeads, rows));
}

void AttentionScores::begin(int64_t threads, int64_t rows) {
  Value query = op.getQuery();
  bool isPacked = isPackedHeads(query);
  headsOfTile = std::gcd(heads / kvHeads, rows);
  int64_t ofHeads = isPacked ? headsOfTile * headDim : headsOfTile;
  SmallVector<Value> first =
      k.tile(threads, {k.axis(query, 0), k.axis(query, isPacked ? 2 : 1, ofHeads), queriesOf(rows)});
  batch = first[0];
  firstHead = isPacked ? k.divFloor(first[1], headDim) : first[1];
  firstQuery = first[2];
  kvHead = k.divFloor(firstHead, heads / kvHeads);
  queries = k.size(query, isPacked ? 1 : 2);
  past = cache ? k.toIndex(k.read(cache.getPast(), batch)) : k.idx(0);
  keys = keysOf();
  offset = offsetOf();
}

AttentionScores::Row AttentionScores::rowAt(Value number) {
  Row row;
  row.query = k.add(firstQuery, k.divFloor(number, headsOfTile));
  row.head = k.add(firstHead, k.rem(number, k.idx(headsOfTile)));
  row.isInside = k.less(row.query, queries);
  row.query = k.min(row.query, k.sub(queries, k.idx(1)));
  row.position = k.add(offset, row.query);
  row.low = k.idx(0);
  row.high = keys;
  row.sinkEnd = k.idx(op.getSinks());
  if (op.getCausal())
    row.high = k.min(row.high, k.add(row.position, 1));
  row.sinkEnd = k.min(row.sinkEnd, row.high);
  if (op.getWindowRight())
    row.high = k.min(row.high, k.add(row.position, 1 + int64_t(*op.getWindowRight())));
  if (op.getWindowLeft())
    row.low = k.max(row.low, k.sub(row.position, k.idx(*op.getWindowLeft())));
  return row;
}

/// Those of the cache after this call's are appended, or of `key`. A bias with fewer columns hides the rest.
Value AttentionScores::keysOf() {
  Value all = !cache ? k.size(op.getValue(), 2) : op.isCross() ? past : k.add(past, queries);
  if (op.getBias() && columnsOf(op.getBias()) != 1)
    all = k.min(all, k.size(op.getBias(), rankOf(op.getBias()) - 1));
  return all;
}

/// Position of query 0.
Value AttentionScores::offsetOf() {
  Value start = k.idx(op.getCausalOffset());
  if (op.getBottomRight() && !cache) // the cache's diagonal ends at the last key already
    return k.add(start, k.sub(k.size(op.getValue(), 2), queries));
  return cache && !op.isCross() ? k.add(start, past) : start;
}

//===----------------------------------------------------------------------===//
// Keys and values
//===----------------------------------------------------------------------===//

std::pair<Value, Value> AttentionScores::placesOf(Value block) {
  auto type = cast<attn::CacheType>(op.getCache().getType());
  Value page = k.scalar(cache.getPage()), panels = k.divFloor(page, kPanelKeys), panel = k.rem(block, panels);
  Value entry = k.toIndex(k.read(cache.getTable(), {batch, k.divFloor(block, panels)}));
  Value layer = k.add(k.mul(entry, type.getLayers()), k.scalar(op.getLayer()));
  Value head = k.mul(k.mul(k.add(k.mul(layer, kvHeads), kvHead), page), headDim + width);
  return {k.add(head, k.mul(panel, kPanelKeys * headDim)),
          k.add(head, k.add(k.mul(page, headDim), k.mul(panel, kPanelKeys * width)))};
}

Value AttentionScores::valueAt(Value block, Value base, Value key, Value column) {
  if (cache)
    return k.read(cache.getPages(), k.add(base, k.add(k.mul(key, width), column)));
  return k.read(op.getValue(), {batch, kvHead, k.add(k.mul(block, kPanelKeys), key), column});
}

//===----------------------------------------------------------------------===//
// Scores
//===----------------------------------------------------------------------===//

/// buffer[index] with indices kept inside: what is read for a hidden pair does not count.
Value AttentionScores::within(Value buffer, ArrayRef<Value> index) {
  SmallVector<Value> inside;
  for (auto [d, at] : llvm::enumerate(index))
    inside.push_back(k.max(k.idx(0), k.min(at, k.sub(k.size(buffer, d), k.idx(1)))));
  return k.read(buffer, inside);
}

/// The bias of a pair: dimensions of size 1 are the same for all.
Value AttentionScores::biasAt(const Row &row, Value j) {
  Value at[] = {batch, row.head, row.query, j};
  return within(op.getBias(), ArrayRef(at).take_back(rankOf(op.getBias())));
}

Value AttentionScores::isKept(Value j) {
  Value mask = op.getKeyMask();
  return k.ifGiven(mask, k.isTrue(), [&] {
    Value kept = k.toIndex(within(mask, {batch, j}));
    return k.both(k.less(j, k.size(mask, 1)),
                  arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::ne, kept, k.idx(0)));
  });
}

/// What a region yields; `first` is its score, or null.
Value AttentionScores::region(Region &region, Value first, const Row &row, Value j) {
  IRMapping map;
  SmallVector<Value> arguments;
  if (first)
    arguments.push_back(first);
  for (Value index : {batch, row.head, row.position, j})
    arguments.push_back(k.toInteger(index, k.b.getI32Type()));
  map.map(region.getArguments(), arguments);
  for (Operation &inner : region.front().without_terminator()) {
    if (auto load = dyn_cast<attn::LoadOp>(inner)) {
      SmallVector<Value> index;
      for (Value at : load.getIndices())
        index.push_back(k.toIndex(lookup(map, at)));
      Value source = load.getSource(), hasElements = k.isTrue();
      for (int64_t d = 0; d < rankOf(source); ++d)
        hasElements = k.both(hasElements, k.less(k.idx(0), k.size(source, d)));
      Type type = typeOf(source).getElementType();
      type = isa<FloatType>(type) ? k.b.getF32Type() : type;
      Value element = k.ifElse(
          hasElements, type, [&] { return within(source, index); },
          [&] { return arith::ConstantOp::create(k.b, k.loc, k.b.getZeroAttr(type)).getResult(); });
      map.map(load.getResult(), isa<FloatType>(element.getType()) ? k.fromF32(element, load.getType()) : element);
      continue;
    }
    for (Value operand : inner.getOperands())
      (void)lookup(map, operand);
    k.b.clone(inner, map);
  }
  return lookup(map, region.front().getTerminator()->getOperand(0));
}

/// What comes from outside of a region is a scalar of the pipeline.
Value AttentionScores::lookup(IRMapping &map, Value value) {
  if (!map.contains(value))
    map.map(value, k.scalar(value));
  return map.lookup(value);
}

Value AttentionScores::score(Value x, const Row &row, Value j, bool isEdge) {
  Value visible;
  if (isEdge) {
    visible = k.less(j, row.high);
    if (op.getWindowLeft())
      visible = k.both(visible, k.notLess(j, row.low));
    if (op.getSinks())
      visible = k.either(visible, k.less(j, row.sinkEnd));
    if (op.getKeyMask())
      visible = k.both(visible, isKept(j));
  }
  if (isMaskBias())
    visible = k.both(visible, biasAt(row, j));
  if (!op.getMaskMod().empty())
    visible = k.both(visible, region(op.getMaskMod(), Value(), row, j));
  if (op.getSoftCap()) {
    double cap = op.getSoftCap()->convertToDouble();
    x = k.mulf(k.math<math::TanhOp>(k.mulf(x, k.f32(1 / cap))), k.f32(cap));
  }
  if (!op.getScoreMod().empty())
    x = region(op.getScoreMod(), x, row, j);
  if (isNatural())
    x = k.mulf(x, k.f32(kLog2e));
  if (op.getBias() && !isMaskBias()) { // -inf hides
    Value bias = biasAt(row, j);
    visible = k.both(visible, arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::UNE, bias, k.lowest()));
    x = k.addf(x, k.mulf(bias, k.f32(kLog2e)));
  }
  return isEdge ? k.select(visible, x, k.f32(kHidden)) : x;
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

AttentionScores::Total AttentionScores::totalOf(const Row &row, Value most, Value sum) {
  auto isZero = [&](Value x) { return arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::OEQ, x, k.f32(0)); };
  Total total;
  total.isEmpty = isZero(sum);
  total.scale = k.f32(1);
  if (op.getSinkLogits()) { // one more logit, without a value
    Value logit = k.mulf(k.read(op.getSinkLogits(), row.head), k.f32(kLog2e)), all = k.maxf(most, logit);
    total.scale = k.exp2(k.subf(most, all));
    sum = k.addf(k.mulf(sum, total.scale), k.exp2(k.subf(logit, all)));
    most = all;
  }
  total.scale = k.divf(total.scale, sum);
  if (op.getLseInit()) {
    Value lse = k.addf(k.mulf(most, k.f32(1 / kLog2e)), k.math<math::LogOp>(sum));
    total.lse = k.select(isZero(sum), k.lowest(), lse);
  }
  return total;
}

void AttentionScores::writeOut(Value result, const Row &row, Value column) {
  k.write(result, op.getInit(), placeOf(op.getInit(), row, column, headDimV));
}

void AttentionScores::writeLse(const Total &total, const Row &row) {
  k.write(total.lse, op.getLseInit(), {batch, row.head, row.query});
}

Value AttentionScores::ofAllValues(Value isEmpty, Value column) {
  Value n = k.select(isEmpty, keys, k.idx(0));
  Value sum = k.loop(k.idx(0), n, 1, k.f32(0), [&](Value j, ValueRange sofar) {
    Value block = k.divFloor(j, kPanelKeys), base = cache ? placesOf(block).second : Value();
    return SmallVector<Value>{k.addf(sofar[0], valueAt(block, base, k.rem(j, k.idx(kPanelKeys)), column))};
  })[0];
  return op.getMaskedRows() == attn::MaskedRows::mean ? k.divf(sum, k.toFloat(k.max(keys, k.idx(1)))) : sum;
}

} // namespace attnc::cuda
