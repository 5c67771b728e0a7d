//===- Attention.cpp - attn.attention as Halide Funcs ---------------------------------------------===//
#include "backends/halide/Attention.h"
#include "backends/halide/Emitters.h"
#include "backends/halide/Math.h"
#include "backends/halide/Region.h"

namespace attnc::halide {
using namespace Halide;

/// The largest divisor of n up to `most`.
static int divisorUpTo(int n, int most) {
  for (int d = std::min(n, most); d > 1; --d)
    if (n % d == 0)
      return d;
  return 1;
}

AttentionShape::AttentionShape(attn::AttentionOp op, const Device &device)
    : heads(op.getHeads()), kvHeads(op.getKvHeads()), headDim(op.getHeadDim()), headDimV(op.getHeadDimV()) {
  int vectors = llvm::divideCeil(headDimV, attn::kPanel);
  parts = divisorUpTo(vectors, 8);
  lanes = vectors / parts * attn::kPanel;
  mlir::MemRefType query = typeOf(op.getQuery());
  isSingle = query.getDimSize(query.getRank() == 3 ? 1 : 2) == 1;
  headsOfTile = isSingle ? divisorUpTo(heads / kvHeads, device.isGpu() ? 4 : 8) : 1;
  isSplit = isSingle && device.isGpu();
  // Accumulators of a CPU's register tile, rows by vectors of keys: 6 by 2, or by 4 where there are 32 registers. A GPU's
  // shared memory holds 32 rows of D = 64 with their scores.
  rows = isSingle ? headsOfTile : device.isGpu() ? 4 : 6;
  tiles = device.isGpu() ? (std::max(headDim, headDimV) > 64 ? 4 : 8) : isSingle ? 1 : 10;
}


std::vector<Var> AttentionVars::ofBlock(std::vector<Var> inner) const {
  inner.insert(inner.end(), {tile, block, group, heads, batch});
  return inner;
}
std::vector<Expr> AttentionVars::ofBlock(std::vector<Expr> inner, Expr which) const {
  inner.insert(inner.end(), {tile, which, group, heads, batch});
  return inner;
}
std::vector<Var> AttentionVars::ofGroup(std::vector<Var> inner) const {
  inner.insert(inner.end(), {tile, group, heads, batch});
  return inner;
}
std::vector<Expr> AttentionVars::ofGroup(std::vector<Expr> inner, Expr which) const {
  inner.insert(inner.end(), {which, group, heads, batch});
  return inner;
}

AttentionEmitter::AttentionEmitter(Pipeline &p) : p(p), op(llvm::cast<attn::AttentionOp>(p.op())), shape(op, p.device) {
  if (op.getCache()) {
    cache = op.getCache().getDefiningOp<attn::CacheViewOp>();
    cacheType = llvm::cast<attn::CacheType>(op.getCache().getType());
  }
}

llvm::Error AttentionEmitter::check() {
  if (op.getRagged())
    return refuse("its sequences are ragged");
  if (op.getScores())
    return refuse("its scores are a result");
  if (op.getKvLen())
    return refuse("its kv_len is checked when it runs");
  if (op.getAlibi() || op.getRelative() || op.getPrefix() || op.getDocuments() || (!op.getCache() && !op.isPacked()))
    return refuse("it has not gone through the stage 'fused'");
  for (mlir::Value buffer : {mlir::Value(op.getQuery()), mlir::Value(op.getInit()), mlir::Value(op.getBias())})
    if (buffer && typeOf(buffer).getElementType().isF64())
      return refuse("it is of f64");
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Positions
//===----------------------------------------------------------------------===//

/// Rows beyond the last query are computed like it.
Expr AttentionEmitter::queryOf(Expr row) {
  return shape.isSingle ? Expr(0) : min((v.group * shape.tiles + v.tile) * shape.rows + row, queries() - 1);
}

/// Those of the cache after this call's are appended, or of `key`. A bias with fewer columns hides the rest.
Expr AttentionEmitter::keys() {
  Expr all = !cache ? p.size(op.getValue(), 2) : op.isCross() ? past() : past() + queries();
  if (op.getBias() && typeOf(op.getBias()).getShape().back() != 1)
    all = min(all, p.size(op.getBias(), typeOf(op.getBias()).getRank() - 1));
  return all;
}

/// Position of query 0.
Expr AttentionEmitter::offset() {
  Expr start = int32_t(op.getCausalOffset());
  if (op.getBottomRight() && !cache) // the cache's diagonal ends at the last key already
    return start + p.size(op.getValue(), 2) - queries();
  return cache && !op.isCross() ? start + past() : start;
}

/// Blocks that there may be keys in.
Expr AttentionEmitter::panels() {
  if (!cache)
    return p.size(op.getKey(), 2);
  return p.size(cache.getTable(), 1) * (cast<int32_t>(p.scalar(cache.getPage())) / kKeys);
}

/// Keys low ≤ j < high and j < sinkEnd are visible, but for masks.
AttentionEmitter::Bounds AttentionEmitter::boundsOf(Expr row) {
  Expr at = offset() + queryOf(row);
  Bounds b = {0, keys(), int32_t(op.getSinks())};
  if (op.getCausal())
    b.high = min(b.high, at + 1);
  b.sinkEnd = min(b.sinkEnd, b.high);
  if (op.getWindowRight())
    b.high = min(b.high, at + 1 + int32_t(*op.getWindowRight()));
  if (op.getWindowLeft())
    b.low = at - int32_t(*op.getWindowLeft());
  return b;
}

/// Whether some row of the tile may see a key of a block.
Expr AttentionEmitter::isReached(AttentionWalk &w, Expr block) {
  FuncRef reach = w.reach(v.ofGroup(std::vector<Expr>(), v.tile));
  Expr start = blockOf(block) * kKeys, reached = start < reach[1];
  if (op.getWindowLeft())
    reached = reached && start + kKeys > reach[0];
  return op.getSinks() ? reached || start < reach[2] : reached;
}

//===----------------------------------------------------------------------===//
// Keys and values
//===----------------------------------------------------------------------===//

/// Element of `pages` at which the keys or values of a block lie: see !attn.cache.
Expr AttentionEmitter::placeOf(Expr block, bool values) {
  int width = shape.lanes * shape.parts, perPanel = kKeys * (values ? width : shape.headDim);
  Expr page = cast<int32_t>(p.scalar(cache.getPage())), panels = page / kKeys;
  Expr entry = cast<int32_t>(p.load(cache.getTable(), {v.batch, min(block / panels, p.size(cache.getTable(), 1) - 1)}));
  Expr layer = entry * int32_t(cacheType.getLayers()) + cast<int32_t>(p.scalar(op.getLayer()));
  Expr head = (layer * shape.kvHeads + kvHead()) * page * (shape.headDim + width);
  return head + (values ? page * shape.headDim : Expr(0)) + block % panels * perPanel;
}

/// Where a page lies is read from the table, of which Halide knows nothing.
Expr AttentionEmitter::inPages(Expr element) {
  return unsafe_promise_clamped(element, 0, p.size(cache.getPages(), 0) - 1);
}

Expr AttentionEmitter::keyAt(Expr key, Expr element, Expr block) {
  if (!cache)
    return p.load(op.getKey(), {v.batch, kvHead(), min(block, panels() - 1), element, key});
  return p.load(cache.getPages(), {inPages(placeOf(block, /*values=*/false) + element * kKeys + key)});
}

/// Keys beyond the last one have weight 0; there is no value to read.
Expr AttentionEmitter::valueAt(Expr lane, Expr part, Expr key, Expr block) {
  Expr column = part * shape.lanes + lane, first = block * kKeys;
  if (!cache)
    return p.load(op.getValue(), {v.batch, kvHead(), min(first + key, p.size(op.getValue(), 2) - 1), column});
  Expr row = min(key, keys() - 1 - first);
  return p.load(cache.getPages(), {inPages(placeOf(block, /*values=*/true) + row * (shape.lanes * shape.parts) + column)});
}


//===----------------------------------------------------------------------===//
// Softmax
//===----------------------------------------------------------------------===//

/// 2^x for x ≤ 0, or NaN, as in passes/EmitMath.cpp: 0 at and below -127. Vectors of OpenCL have no comparisons of floats that
/// heed NaN, so bits are compared: those of -127 to -Inf are a range of unsigned numbers.
Expr AttentionEmitter::exp2(Expr x) {
  if (!p.device.isGpu())
    return portable::exp2(x);
  Expr first = Internal::make_const(UInt(32), 0xc2fe0000u), count = Internal::make_const(UInt(32), 0xff800000u - 0xc2fe0000u);
  x = select(reinterpret<uint32_t>(x) - first <= count, -127.0f, x);
  Expr biased = cast<int32_t>(x + 127.5f), f = x - cast<float>(biased - 127), sum = 0.00015345812426f;
  for (double c : {0.0013399930904, 0.0096184890717, 0.05550328642, 0.24022646249, 0.69314718246, 1.0})
    sum = sum * f + float(c);
  return sum * reinterpret<float>(biased << 23);
}

/// w.weights from the scores; `before` has the statistics that probabilities need.
llvm::Error AttentionEmitter::defineWeights(AttentionWalk &w, AttentionWalk *before) {
  const int n = keyLanes(p.device);
  std::vector<Var> lanes = v.ofBlock({v.lane, v.row}), rows = v.ofBlock({v.row}), keys = v.ofBlock({v.key, v.row});
  Expr score = w.scores(keys);
  if (before) {
    Softmax all = withSink(merged(*before, 0));
    Expr probability = exp2(score - all.max) / select(all.sum == 0.0f, 1.0f, all.sum);
    auto modified = region(op.getProbMod(), probability, w, score > kHidden);
    if (!modified)
      return modified.takeError();
    w.weights(keys) = select(score > kHidden, *modified, 0.0f);
    return llvm::Error::success();
  }
  auto overLanes = [&](Func of, Expr (*combine)(Expr, Expr)) {
    Expr result = of(v.ofBlock({v.lane, v.row}, v.block));
    for (int key = n; key < kKeys; key += n)
      result = combine(result, of(v.ofBlock({v.lane + key, v.row}, v.block)));
    return result;
  };
  RDom lane(0, n, "lane");
  w.mostOfLane(lanes) = overLanes(w.scores, [](Expr a, Expr b) { return max(a, b); });
  w.most(rows) = kNoKeys;
  w.most(rows) = max(w.most(rows), w.mostOfLane(v.ofBlock({lane, v.row}, v.block)));
  w.weights(keys) = exp2(score - w.most(rows));
  w.sumOfLane(lanes) = overLanes(w.weights, [](Expr a, Expr b) { return a + b; });
  w.sum(rows) = 0.0f;
  w.sum(rows) += w.sumOfLane(v.ofBlock({lane, v.row}, v.block));
  return llvm::Error::success();
}

/// NaN and infinite values of pairs with weight 0 must not count. Looking at each weight costs little on a GPU; on a CPU it is
/// done again, with care, where the plain product is not finite.
void AttentionEmitter::defineProduct(AttentionWalk &w) {
  std::vector<Var> at = v.ofBlock({v.lane, v.part, v.row});
  auto product = [&](RDom over, bool isCareful) {
    Expr block = blockOf(v.block), weight = w.weights(v.ofBlock({over.x, v.row}, v.block));
    Expr value = w.values.defined() ? w.values(v.lane, v.part, over.x, block, v.heads, v.batch)
                                    : valueAt(v.lane, v.part, over.x, block);
    // Bits, because compilers may take 0·x for 0.
    return isCareful ? weight * reinterpret<float>(reinterpret<int32_t>(value) & select(weight == 0.0f, 0, -1)) : weight * value;
  };
  // 0 ≤ y < 1: conditions do not depend on x, so that they are looked at before the loop.
  w.overKeys = RDom(0, kKeys, 0, 1, "keys");
  w.product(at) = 0.0f;
  if (p.device.isGpu()) {
    w.overKeys.where(isReached(w, v.block + w.overKeys.y));
    w.product(at) += product(w.overKeys, /*isCareful=*/true);
    return;
  }
  w.product(at) += product(w.overKeys, /*isCareful=*/false);
  Expr magnitude = reinterpret<int32_t>(w.product(at)) & 0x7fffffff;
  w.overParts = RDom(0, shape.parts, 0, shape.rows, "parts");
  std::vector<Var> lanes = v.ofBlock({v.lane}), tile = v.ofBlock(std::vector<Var>());
  w.worstOfLane(lanes) = 0;
  w.worstOfLane(lanes) = max(w.worstOfLane(lanes), reinterpret<int32_t>(w.product(v.ofBlock({v.lane, w.overParts.x, w.overParts.y}, v.block))) & 0x7fffffff);
  RDom lane(0, shape.lanes, "lane");
  w.worst(tile) = 0;
  w.worst(tile) = max(w.worst(tile), w.worstOfLane(v.ofBlock({lane}, v.block)));
  w.overCarefully = RDom(0, kKeys, 0, 1, "keys");
  w.overCarefully.where(w.worst(tile) >= 0x7f800000 + w.overCarefully.y);
  w.careful(at) = 0.0f;
  w.careful(at) += product(w.overCarefully, /*isCareful=*/true);
}

void AttentionEmitter::defineState(AttentionWalk &w, Kind kind) {
  std::vector<Var> at = v.ofGroup({v.lane, v.row});
  std::vector<Expr> initial;
  if (kind != probabilities)
    initial = {kNoKeys, 0.0f};
  initial.resize(initial.size() + (kind == statistics ? 0 : shape.parts), 0.0f);
  w.state(at) = Tuple(initial);
  w.overBlocks = RDom(0, shape.isSplit ? (panels() + shape.tiles - 1) / shape.tiles : panels(), "blocks");
  Expr block = w.overBlocks.x;
  if (!p.device.isGpu())
    w.overBlocks.where(isReached(w, block));
  std::vector<Expr> next, now;
  for (size_t i = 0; i < initial.size(); ++i)
    now.push_back(initial.size() == 1 ? Expr(w.state(at)) : w.state(at)[i]);
  auto product = [&](int part) {
    Expr plain = w.product(v.ofBlock({v.lane, part, v.row}, block));
    if (!w.careful.defined())
      return plain;
    return select(w.worst(v.ofBlock(std::vector<Expr>(), block)) >= 0x7f800000,
                  w.careful(v.ofBlock({v.lane, part, v.row}, block)), plain);
  };
  if (kind == probabilities) {
    for (int i = 0; i < shape.parts; ++i)
      next.push_back(now[i] + product(i));
  } else {
    Expr most = w.most(v.ofBlock({v.row}, block)), max = Halide::max(now[0], most);
    Expr keep = exp2(now[0] - max), add = exp2(most - max);
    next = {max, now[1] * keep + w.sum(v.ofBlock({v.row}, block)) * add};
    for (int i = 0; kind == online && i < shape.parts; ++i)
      next.push_back(now[2 + i] * keep + product(i) * add);
  }
  w.state(at) = Tuple(next);
}

llvm::Expected<AttentionWalk> AttentionEmitter::walk(Kind kind, AttentionWalk *before) {
  AttentionWalk w;
  auto name = [](Func &f, const char *text) { f = Func(text); };
  for (auto [f, text] : {std::pair(&w.reach, "reach"), {&w.query, "query"}, {&w.dot, "dot"}, {&w.scores, "scores"},
                         {&w.weights, "weights"}, {&w.mostOfLane, "most_of_lane"}, {&w.most, "most"},
                         {&w.sumOfLane, "sum_of_lane"}, {&w.sum, "sum"}, {&w.product, "product"},
                         {&w.worstOfLane, "worst_of_lane"}, {&w.worst, "worst"}, {&w.careful, "careful"}, {&w.state, "state"}})
    name(*f, text);
  defineInputs(w);
  if (llvm::Error error = defineScores(w))
    return error;
  if (llvm::Error error = defineWeights(w, before))
    return error;
  if (kind != statistics)
    defineProduct(w);
  defineState(w, kind);
  return w;
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

/// What the tiles of a split group have together; else the tile's own. Maximum and denominator are the same in all lanes.
AttentionEmitter::Softmax AttentionEmitter::merged(AttentionWalk &w, Expr lane) {
  FuncRef state = w.state(v.ofGroup({lane, v.row}, v.tile));
  if (!shape.isSplit)
    return {state[0], state[1]};
  RDom tile(0, shape.tiles, "tile");
  FuncRef other = w.state(v.ofGroup({lane, v.row}, tile));
  Expr max = maximum(tile, other[0]);
  return {max, sum(tile, other[1] * exp2(other[0] - max))};
}

/// One more logit, without a value.
AttentionEmitter::Softmax AttentionEmitter::withSink(Softmax state) {
  if (!op.getSinkLogits())
    return state;
  Expr logit = p.load(op.getSinkLogits(), {headOf(v.row)}) * float(kLog2e), max = Halide::max(state.max, logit);
  return {max, state.sum * exp2(state.max - max) + exp2(logit - max)};
}

/// The sum of all values, or their mean: what a row without a visible key yields.
Expr AttentionEmitter::ofAllValues(Expr isWanted, Expr lane, Expr part) {
  RDom over(0, kKeys, 0, panels(), "all_keys");
  over.where(over.y * kKeys + over.x < keys() && isWanted);
  Expr total = sum(over, valueAt(lane, part, over.x, over.y), "all_values");
  return op.getMaskedRows() == attn::MaskedRows::mean ? total / cast<float>(max(keys(), 1)) : total;
}

llvm::Error AttentionEmitter::emitOut() {
  std::optional<AttentionWalk> before;
  if (!op.getProbMod().empty()) {
    auto found = walk(statistics);
    if (!found)
      return found.takeError();
    before = std::move(*found);
  }
  auto found = walk(before ? probabilities : online, before ? &*before : nullptr);
  if (!found)
    return found.takeError();
  AttentionWalk &w = *found;

  Softmax own = merged(before ? *before : w, v.lane), all = withSink(own);
  Expr scale = before ? Expr(1.0f) : exp2(own.max - all.max) / all.sum;
  std::vector<Expr> parts;
  for (int i = 0; i < shape.parts; ++i) {
    int element = before ? i : 2 + i;
    auto sumOf = [&](Expr tile) {
      FuncRef state = w.state(v.ofGroup({v.lane, v.row}, tile));
      Expr part = before && shape.parts == 1 ? Expr(state) : state[element];
      return before || !shape.isSplit ? part : part * exp2(state[0] - own.max);
    };
    RDom tile(0, shape.tiles, "tile");
    parts.push_back(shape.isSplit ? sum(tile, sumOf(tile)) : sumOf(v.tile));
  }
  Expr isEmpty = own.sum == 0.0f, none = 0.0f;
  if (op.getMaskedRows() != attn::MaskedRows::zero)
    none = ofAllValues(isEmpty, v.lane, v.part);
  Func finished("finished"), result("attention");
  finished(v.ofGroup({v.lane, v.part, v.row})) = select(isEmpty, none, mux(v.part, parts) * scale);
  Var column("column"), query("query"), head("head");
  Expr h = isPackedHeads(op.getInit()) ? column / shape.headDimV : Expr(head), d = column % shape.headDimV;
  std::vector<Var> index = isPackedHeads(op.getInit()) ? std::vector<Var>{column, query, v.batch}
                                                       : std::vector<Var>{column, query, head, v.batch};
  result(index) = p.narrow(finished(ofResult({d % shape.lanes, d / shape.lanes}, query, h)), op.getInit());
  Var task = scheduleResult(result, index, /*hasColumns=*/true);
  if (before)
    scheduleWalk(shape, v, p.device, *before, result, task);
  scheduleWalk(shape, v, p.device, w, result, task);
  p.define(op.getInit(), result);
  return llvm::Error::success();
}

llvm::Error AttentionEmitter::emitLse() {
  auto w = walk(statistics);
  if (!w)
    return w.takeError();
  Softmax all = withSink(merged(*w, 0));
  Func finished("finished"), result("lse");
  Expr value = (all.max + portable::log(all.sum) * float(kLog2e)) * float(1 / kLog2e);
  // Chosen as bits: compilers may assume that there is no infinity.
  Expr minusInfinity = int32_t(0xff800000);
  finished(v.ofGroup({v.row})) = reinterpret<float>(select(all.sum == 0.0f, minusInfinity, reinterpret<int32_t>(value)));
  Var query("query"), head("head");
  std::vector<Var> index = {query, head, v.batch};
  result(index) = finished(ofResult({}, query, head));
  Var task = scheduleResult(result, index, /*hasColumns=*/false);
  scheduleWalk(shape, v, p.device, *w, result, task);
  p.define(op.getLseInit(), result);
  return llvm::Error::success();
}

/// `inner`, and then the row, tile, group, heads and batch row of an element of a result.
std::vector<Expr> AttentionEmitter::ofResult(std::vector<Expr> inner, Expr query, Expr head) {
  if (shape.isSingle)
    inner.insert(inner.end(), {head % shape.headsOfTile, 0, 0, head / shape.headsOfTile, v.batch});
  else
    inner.insert(inner.end(), {query % shape.rows, query / shape.rows % shape.tiles, query / (shape.rows * shape.tiles), head, v.batch});
  return inner;
}

/// Loops over the dimensions of v, of which `index` are those of a result; returns the loop over tasks.
Var AttentionEmitter::scheduleResult(Func result, llvm::ArrayRef<Var> index, bool hasColumns) {
  const auto guarded = TailStrategy::GuardWithIf;
  // Vectors of a GPU have no masks.
  const int n = p.device.isGpu() && shape.headDimV % shape.lanes ? 1 : keyLanes(p.device);
  Var query = index[hasColumns ? 1 : 0], head = hasColumns && isPackedHeads(op.getInit()) ? Var("head") : index[index.size() - 2];
  Var one("one"), quad("quad"), thread("thread"), task("task");
  for (size_t d = hasColumns; d < index.size(); ++d)
    result.output_buffer().dim(d).set_min(0);
  if (hasColumns) {
    Var column = index[0];
    result.bound(column, 0, shape.headDimV * (index.size() == 3 ? shape.heads : 1));
    if (index.size() == 3)
      result.split(column, head, column, shape.headDimV);
    result.split(column, v.part, v.lane, shape.lanes, guarded).split(v.lane, quad, v.lane, n, guarded);
  }
  if (!hasColumns || index.size() == 4)
    result.bound(head, 0, shape.heads);
  if (shape.isSingle)
    result.bound(query, 0, 1).split(head, v.heads, v.row, shape.headsOfTile);
  else
    result.split(head, v.heads, one, 1).split(query, v.tile, v.row, shape.rows, guarded)
        .split(v.tile, v.group, v.tile, shape.tiles, guarded);
  std::vector<VarOrRVar> order;
  if (hasColumns)
    order = {v.lane, v.part, quad};
  order.push_back(v.row);
  if (shape.isSingle)
    order.insert(order.end(), {query, v.heads, v.batch});
  else
    order.insert(order.end(), {one, v.tile, v.group, v.heads, v.batch});
  result.reorder(order);
  if (hasColumns)
    result.vectorize(v.lane).unroll(v.part);
  result.fuse(v.heads, v.batch, task);
  if (!p.device.isGpu()) {
    if (!shape.isSingle)
      result.fuse(v.group, task, task);
    result.parallel(task);
    return task;
  }
  if (hasColumns)
    result.fuse(quad, v.row, thread);
  Var inner = hasColumns ? thread : v.row;
  if (shape.isSingle)
    result.gpu_threads(inner).gpu_blocks(task);
  else
    result.gpu_threads(inner, v.tile).gpu_blocks(v.group, task);
  return shape.isSingle ? task : v.group;
}

llvm::Error AttentionEmitter::emit() {
  if (llvm::Error error = check())
    return error;
  if (llvm::Error error = emitOut())
    return error;
  return op.getLseInit() ? emitLse() : llvm::Error::success();
}

llvm::Error emitAttention(Pipeline &p) { return AttentionEmitter(p).emit(); }

} // namespace attnc::halide
