//===- EmitScores.cpp - Scores of one tile of attention: products, regions, masks -------------===//
//
// A tile that every row sees in full stays in registers. At the edges of what rows see, each vector of keys is looked at
// by itself.
//
//===----------------------------------------------------------------------------------===//
#include "passes/AttentionEmitter.h"
#include "passes/Bounds.h"
#include "runtime/attn_abi.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace attnc {
using namespace attn;

namespace {
/// Classes of a panel of 64 keys for some rows.
enum PanelClass { skipped, partial, full };

Value vectorCompare(Emit &e, arith::CmpIPredicate predicate, Value lanes, Value scalar) {
  return arith::CmpIOp::create(e.b, e.loc, predicate, lanes,
                               vector::BroadcastOp::create(e.b, e.loc, lanes.getType(), scalar));
}
} // namespace

/// Class of the keys `key` ≤ j < `end` for some rows, from bounds of the mask region. Keys beyond the last one count as it.
Value AttentionEmitter::maskClass(Value key, Value end, Value firstRow, Value lastRow) {
  OpBuilder &b = e.b;
  auto i64 = [&](Value v) {
    if (v.getType().isIndex())
      return arith::IndexCastOp::create(b, e.loc, b.getI64Type(), v).getResult();
    return arith::ExtSIOp::create(b, e.loc, b.getI64Type(), v).getResult();
  };
  auto i32 = [&](int64_t v) { return arith::ConstantIntOp::create(b, e.loc, v, 32).getResult(); };
  // One batch row or head is one value: captured tensors are bounded where they are read at one place.
  Value last = e.sub(e.min(end, op.getKeys()), e.idx(1));
  Value batch = i64(op.getBatch()), firstHead = i64(op.getHead()), lastHead = firstHead;
  if (cast<MemRefType>(op.getQuery().getType()).getDimSize(1) != 1)
    lastHead = i64(e.sub(e.add(op.getHead(), group), e.idx(1)));
  Interval bhij[] = {{batch, batch},
                     {firstHead, lastHead},
                     {i64(rowInt(position, firstRow)), i64(rowInt(position, lastRow))},
                     {i64(e.min(key, last)), i64(last)}};
  Interval keep = boundsOf(e, op.getMaskMod(), bhij);
  Value zero = arith::ConstantIntOp::create(b, e.loc, 0, 64);
  Value isFull = arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::sgt, keep.lo, zero);
  Value isSkipped = arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::sle, keep.hi, zero);
  return e.select(isSkipped, i32(skipped), e.select(isFull, i32(full), i32(partial)));
}

/// Class of the panel at `key` for some rows, from the mask region and from the gap behind the sinks.
Value AttentionEmitter::panelClass(Value key, Value firstRow, Value lastRow) {
  OpBuilder &b = e.b;
  auto i32 = [&](int64_t v) { return arith::ConstantIntOp::create(b, e.loc, v, 32).getResult(); };
  Value panelEnd = e.add(key, kKeyPanel);
  // Without a region bounds by row say the rest.
  Value result = op.getMaskMod().empty() ? i32(partial) : maskClass(key, panelEnd, firstRow, lastRow);
  if (!op.getSinks())
    return result;
  Value afterSinks = arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::sge, key, e.toIndex(rowInt(sinkEnd, lastRow)));
  Value beforeWindow = arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::sle, panelEnd, e.toIndex(rowInt(low, firstRow)));
  return e.select(arith::AndIOp::create(b, e.loc, afterSinks, beforeWindow), i32(skipped), result);
}

/// classes[ofTask, panel of the block] for all rows of the task; returns whether any panel is visible.
Value AttentionEmitter::classify(Value keyBlock, Value start, Value end) {
  return classifyPanels(keyBlock, start, end, ofTask,
                        [&](Value key, Value) { return panelClass(key, e.idx(0), e.sub(rows, e.idx(1))); });
}

/// classes[ofTile, panel of the block]: what is partial for the task may be skipped or full for the rows of a tile.
Value AttentionEmitter::refine(Value keyBlock, Value start, Value end, Value firstRow, Value lastRow) {
  OpBuilder &b = e.b;
  return classifyPanels(keyBlock, start, end, ofTile, [&](Value key, Value panel) -> Value {
    Value found = e.load1(classes, {e.idx(ofTask), panel});
    Value isPartial = arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::eq, found,
                                            arith::ConstantIntOp::create(b, e.loc, partial, 32));
    auto branch = scf::IfOp::create(b, e.loc, TypeRange(b.getI32Type()), isPartial, /*withElse=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    scf::YieldOp::create(b, e.loc, ValueRange(panelClass(key, firstRow, lastRow)));
    b.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(b, e.loc, ValueRange(found));
    return branch.getResult(0);
  });
}

Value AttentionEmitter::classifyPanels(Value keyBlock, Value start, Value end, ClassesOf row,
                                       function_ref<Value(Value, Value)> classOf) {
  OpBuilder &b = e.b;
  Value none = arith::ConstantIntOp::create(b, e.loc, skipped, 32);
  Value any = e.loop(start, end, kKeyPanel, none, [&](Value key, ValueRange carried) {
    Value panel = e.divFloor(e.sub(key, keyBlock), kKeyPanel), found = classOf(key, panel);
    e.store1(found, classes, {e.idx(row), panel});
    return SmallVector<Value>{arith::OrIOp::create(b, e.loc, carried[0], found)};
  })[0];
  return arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::ne, any, none);
}

Value AttentionEmitter::tileClass(Value keyBlock, Value key) {
  return e.load1(classes, {e.idx(ofTile), e.divFloor(e.sub(key, keyBlock), kKeyPanel)});
}

/// Whether some row of the tile sees some key of the panel that holds `key`.
Value AttentionEmitter::isVisible(Value keyBlock, Value key) {
  return arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ne, tileClass(keyBlock, key),
                               arith::ConstantIntOp::create(e.b, e.loc, skipped, 32));
}

/// Q'·K of the `tile` rows from `row` on and `vectors` of keys from `key` on: vectors by row.
SmallVector<Value> AttentionEmitter::emitDot(int64_t tile, Value row, Value key, int64_t vectors) {
  Value panel, keys = keyPanel(key, panel), within = e.rem(key, e.idx(kKeyPanel));
  SmallVector<Value> columns;
  for (int64_t v = 0; v < vectors; ++v)
    columns.push_back(e.add(within, v * e.lanes));
  // One query reads every key and value once, from memory: the panel's values are fetched beside its keys.
  Value values;
  int64_t step = kKeyPanel * valueStride / headDim, line = 0;
  if (op.getPartial() && op.getPages() && vectors * e.lanes == kKeyPanel && valueStride <= 4 * headDim) {
    Value offset = e.add(e.add(pageOf(key), op.getValueBase()), e.mul(e.rem(key, op.getPage()), valueStride));
    values = pageView(offset, {kKeyPanel * valueStride});
    line = 64 / (e.elementOf(values).getIntOrFloatBitWidth() / 8);
  }
  SmallVector<Value> s(tile * vectors, e.splat(0));
  return e.loop(e.idx(0), e.idx(headDim), 1, s, [&](Value d, ValueRange carried) {
    for (int64_t ahead = 0; values && ahead < step; ahead += line)
      memref::PrefetchOp::create(e.b, e.loc, values, e.add(e.mul(d, step), ahead), /*isWrite=*/false, /*localityHint=*/2,
                                 /*isDataCache=*/true);
    SmallVector<Value> acc(carried), k;
    for (int64_t v = 0; v < vectors; ++v)
      k.push_back(e.load(keys, {panel, d, columns[v]}));
    for (int64_t r = 0; r < tile; ++r) {
      Value q = e.broadcast(e.load1(queries, {e.add(row, r), d}));
      for (int64_t v = 0; v < vectors; ++v)
        acc[r * vectors + v] = e.fma(q, k[v], acc[r * vectors + v]);
    }
    return acc;
  });
}

/// S = Q'·K of the `tile` rows from `row` on and one tile of keys at `key`, modified and masked, to
/// scores[:, key - keyBlock ..]; returns max(most, S) by lane.
SmallVector<Value> AttentionEmitter::emitScores(int64_t tile, Value row, Value keyBlock, Value key, ValueRange most) {
  OpBuilder &b = e.b;
  auto either = [&](Value a, Value c) { return arith::OrIOp::create(b, e.loc, a, c).getResult(); };
  Value tileEnd = e.add(key, target.getKeyLanes()), lastRow = e.add(row, tile - 1);
  // Partial: some row does not see all keys of the tile. Bounds ascend with the row.
  Value isPartial = either(e.less(e.toIndex(rowInt(high, row)), tileEnd), e.less(key, e.toIndex(rowInt(low, lastRow))));
  if (op.getSinks()) {
    Value inSinks = arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::sge, e.toIndex(rowInt(sinkEnd, row)), tileEnd);
    isPartial = e.select(inSinks, arith::ConstantIntOp::create(b, e.loc, 0, 1), isPartial);
  }
  if (!op.getMaskMod().empty())
    isPartial = either(isPartial, arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::ne, tileClass(keyBlock, key),
                                                        arith::ConstantIntOp::create(b, e.loc, full, 32)));
  auto branch = scf::IfOp::create(b, e.loc, most.getTypes(), isPartial, /*withElse=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  scf::YieldOp::create(b, e.loc, emitPartialTile(tile, row, keyBlock, key, most));

  b.setInsertionPointToStart(branch.elseBlock());
  SmallVector<Value> dots = emitDot(tile, row, key, keyVectors());
  bool dense = op.getBias() && getElementTypeOrSelf(op.getBias().getType()).isInteger(1);
  if (dense) {
    scf::YieldOp::create(b, e.loc, emitMaskedTile(tile, row, keyBlock, key, dots, most));
  } else if (hasMask) {
    auto masked = scf::IfOp::create(b, e.loc, most.getTypes(), hasMask, /*withElse=*/true);
    scf::YieldOp::create(b, e.loc, masked.getResults());
    b.setInsertionPointToStart(masked.thenBlock());
    scf::YieldOp::create(b, e.loc, emitMaskedTile(tile, row, keyBlock, key, dots, most));
    b.setInsertionPointToStart(masked.elseBlock());
    scf::YieldOp::create(b, e.loc, emitFullTile(tile, row, keyBlock, key, dots, most));
  } else {
    scf::YieldOp::create(b, e.loc, emitFullTile(tile, row, keyBlock, key, dots, most));
  }
  return branch.getResults();
}

/// All rows see all keys of the tile: everything stays in registers.
SmallVector<Value> AttentionEmitter::emitFullTile(int64_t tile, Value row, Value keyBlock, Value key, ValueRange dots,
                                                  ValueRange most) {
  SmallVector<Value> maxima(most);
  SmallVector<BadRead> bad;
  for (int64_t r = 0; r < tile; ++r)
    for (int64_t v = 0; v < keyVectors(); ++v) {
      Value lane = e.add(key, v * e.lanes);
      Value x = modify(e.add(row, r), lane, dots[r * keyVectors() + v], Value(), bad);
      e.store(x, scores, {e.idx(r), e.sub(lane, keyBlock)});
      maxima[r] = e.maxf(maxima[r], x);
    }
  record(bad);
  if (hasClasses())
    setVisible(keyBlock, key, key, e.add(key, target.getKeyLanes()));
  return maxima;
}

/// One vector of keys, masked: the scores are there already.
Value AttentionEmitter::emitMaskedVector(Value r, Value row, Value keyBlock, Value lane, Value score, Value most) {
  SmallVector<BadRead> bad;
  Value keep = keepLanes(row, lane, bad);
  Value x = e.select(keep, modify(row, lane, score, keep, bad), e.splat(-std::numeric_limits<double>::infinity()));
  record(bad);
  e.store(x, scores, {r, e.sub(lane, keyBlock)});
  return e.maxf(most, x);
}

/// A dense mask hides some pairs: all products, then a mask by vector, through memory.
SmallVector<Value> AttentionEmitter::emitMaskedTile(int64_t tile, Value row, Value keyBlock, Value key, ValueRange dots,
                                                    ValueRange most) {
  for (int64_t r = 0; r < tile; ++r)
    for (int64_t v = 0; v < keyVectors(); ++v)
      e.store(dots[r * keyVectors() + v], scores, {e.idx(r), e.sub(e.add(key, v * e.lanes), keyBlock)});
  SmallVector<Value> maxima;
  for (int64_t r = 0; r < tile; ++r)
    maxima.push_back(e.loop(e.idx(0), e.idx(target.getKeyLanes()), e.lanes, most[r], [&](Value v, ValueRange carried) {
      Value lane = e.add(key, v), score = e.load(scores, {e.idx(r), e.sub(lane, keyBlock)});
      return SmallVector<Value>{emitMaskedVector(e.idx(r), e.add(row, r), keyBlock, lane, score, carried[0])};
    })[0]);
  if (hasClasses())
    setVisible(keyBlock, key, key, e.add(key, target.getKeyLanes()));
  return maxima;
}

/// At an edge of what the rows see: vectors that no row sees are not computed.
SmallVector<Value> AttentionEmitter::emitPartialTile(int64_t tile, Value row, Value keyBlock, Value key, ValueRange most) {
  OpBuilder &b = e.b;
  auto both = [&](Value a, Value c) { return arith::AndIOp::create(b, e.loc, a, c).getResult(); };
  Value lastRow = e.add(row, tile - 1), tileEnd = e.add(key, target.getKeyLanes());
  Value lowest = e.toIndex(rowInt(low, row)), highest = e.toIndex(rowInt(high, lastRow));
  SmallVector<Value> state(most); // and the first and last visible key
  state.append({tileEnd, key});
  state = e.loop(key, tileEnd, e.lanes, state, [&](Value lane, ValueRange carried) {
    Value laneEnd = e.add(lane, e.lanes), visible = both(e.less(lane, highest), e.less(lowest, laneEnd));
    if (op.getSinks())
      visible = arith::OrIOp::create(b, e.loc, visible, e.less(lane, e.toIndex(rowInt(sinkEnd, lastRow))));
    if (!op.getMaskMod().empty())
      visible = both(visible, arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::ne, maskClass(lane, laneEnd, row, lastRow),
                                                    arith::ConstantIntOp::create(b, e.loc, skipped, 32)));
    auto branch = scf::IfOp::create(b, e.loc, carried.getTypes(), visible, /*withElse=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    SmallVector<Value> dots = emitDot(tile, row, lane, 1), next;
    for (int64_t r = 0; r < tile; ++r)
      next.push_back(emitMaskedVector(e.idx(r), e.add(row, r), keyBlock, lane, dots[r], carried[r]));
    next.append({e.min(carried[tile], lane), laneEnd});
    scf::YieldOp::create(b, e.loc, next);
    b.setInsertionPointToStart(branch.elseBlock());
    for (int64_t r = 0; r < tile; ++r)
      e.store(e.splat(-std::numeric_limits<double>::infinity()), scores, {e.idx(r), e.sub(lane, keyBlock)});
    scf::YieldOp::create(b, e.loc, carried);
    return SmallVector<Value>(branch.getResults());
  });
  if (hasClasses())
    setVisible(keyBlock, key, state[tile], state[tile + 1]);
  state.truncate(tile);
  return state;
}

/// Remembers which keys of the tile at `key` any row sees: `from` ≤ j < `to`.
void AttentionEmitter::setVisible(Value keyBlock, Value key, Value from, Value to) {
  auto i32 = [&](Value v) { return arith::IndexCastOp::create(e.b, e.loc, e.b.getI32Type(), v).getResult(); };
  Value step = e.divFloor(e.sub(key, keyBlock), target.getKeyLanes());
  e.store1(i32(from), visibleKeys, {step, e.idx(0)});
  e.store1(i32(to), visibleKeys, {step, e.idx(1)});
}

/// b, h, i, j of a row and the keys from `key` on.
SmallVector<LaneValue> AttentionEmitter::regionArguments(Value row, Value key) {
  auto i32 = [&](Value v) { return arith::IndexCastOp::create(e.b, e.loc, e.b.getI32Type(), v).getResult(); };
  return {{LaneValue::uniform, i32(op.getBatch())},
          {LaneValue::uniform, rowInt(head, row)},
          {LaneValue::uniform, rowInt(position, row)},
          {LaneValue::affine, i32(key)}};
}

/// cap·tanh(score / cap), or the score where there is no cap.
Value AttentionEmitter::softCap(Value score) {
  if (!op.getSoftCap())
    return score;
  double cap = op.getSoftCap()->convertToDouble();
  return e.mulf(math::TanhOp::create(e.b, e.loc, e.mulf(score, e.splat(1 / cap))), e.splat(cap));
}

/// Soft cap, score region and float bias of one vector of scores, in units of log2 at the end. `keep` are the lanes that
/// count, or null for all.
Value AttentionEmitter::modify(Value row, Value key, Value score, Value keep, SmallVectorImpl<BadRead> &bad) {
  score = softCap(score);
  if (!op.getScoreMod().empty()) {
    RegionLanes lanes(e, op.getNumHeads().value_or(0), keep);
    SmallVector<LaneValue> args = regionArguments(row, key);
    args.insert(args.begin(), {LaneValue::varying, score});
    score = lanes.vector(lanes.run(op.getScoreMod(), args));
    bad.append(lanes.bad);
  }
  if (isNatural())
    score = e.mulf(score, e.splat(kLog2e));
  Value bias = op.getBias();
  if (!bias || getElementTypeOrSelf(bias.getType()).isInteger(1))
    return score;
  SmallVector<Value> at = {query(row), headInGroup(row), key};
  Value add;
  if (cast<MemRefType>(bias.getType()).getDimSize(2) == 1) { // the same for all keys
    at.back() = e.idx(0);
    add = e.broadcast(e.toF32(e.load1(bias, at)));
  } else {
    add = e.load(bias, at, keep);
  }
  // -inf hides: a NaN behind it does not leak.
  Value never = e.splat(-std::numeric_limits<double>::infinity());
  Value hidden = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, add, never);
  return e.select(hidden, never, e.fma(add, e.splat(kLog2e), score));
}

/// Which of the keys from `key` on the row sees.
Value AttentionEmitter::keepLanes(Value row, Value key, SmallVectorImpl<BadRead> &bad) {
  OpBuilder &b = e.b;
  auto i1 = VectorType::get({e.lanes}, b.getI1Type());
  auto both = [&](Value a, Value c) { return arith::AndIOp::create(b, e.loc, a, c).getResult(); };
  SmallVector<LaneValue> args = regionArguments(row, key);
  RegionLanes bounds(e, 0);
  Value j = bounds.vector(args[3]);
  using P = arith::CmpIPredicate;
  Value keep = both(vectorCompare(e, P::sge, j, rowInt(low, row)), vectorCompare(e, P::slt, j, rowInt(high, row)));
  if (op.getSinks())
    keep = arith::OrIOp::create(b, e.loc, keep, vectorCompare(e, P::slt, j, rowInt(sinkEnd, row)));
  if (hasMask) {
    auto read = scf::IfOp::create(b, e.loc, TypeRange(i1), hasMask, /*withElse=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(read.thenBlock());
    auto type = VectorType::get({e.lanes}, getElementTypeOrSelf(op.getKeyMask().getType()));
    Value zero = arith::ConstantOp::create(b, e.loc, b.getZeroAttr(type));
    Value m = vector::MaskedLoadOp::create(b, e.loc, type, op.getKeyMask(), key, keep, zero);
    scf::YieldOp::create(b, e.loc, ValueRange(arith::CmpIOp::create(b, e.loc, P::ne, m, zero)));
    b.setInsertionPointToStart(read.elseBlock());
    scf::YieldOp::create(b, e.loc, ValueRange(keep));
    keep = read.getResult(0);
  }
  if (op.getBias() && getElementTypeOrSelf(op.getBias().getType()).isInteger(1)) {
    Value mask = e.words(op.getBias()), given;
    SmallVector<Value> at = {query(row), headInGroup(row), key};
    VectorType vec = e.vecOf(mask);
    if (cast<MemRefType>(mask.getType()).getDimSize(2) == 1) {
      at.back() = e.idx(0);
      given = vector::BroadcastOp::create(b, e.loc, vec, e.load1(mask, at));
    } else {
      Value zero = arith::ConstantOp::create(b, e.loc, b.getZeroAttr(vec));
      given = vector::MaskedLoadOp::create(b, e.loc, vec, mask, at, keep, zero);
    }
    keep = both(keep, e.fromWords(given, op.getBias()));
  }
  if (!op.getMaskMod().empty()) {
    RegionLanes lanes(e, op.getNumHeads().value_or(0), keep);
    keep = both(keep, lanes.vector(lanes.run(op.getMaskMod(), args)));
    bad.append(lanes.bad);
  }
  return keep;
}

/// The prob region of one vector; masked pairs stay 0.
Value AttentionEmitter::emitProbability(Value row, Value key, Value score, Value probability) {
  Value never = e.splat(-std::numeric_limits<double>::infinity());
  Value keep = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::UNE, score, never);
  RegionLanes lanes(e, op.getNumHeads().value_or(0), keep);
  SmallVector<LaneValue> args = regionArguments(row, key);
  args.insert(args.begin(), {LaneValue::varying, probability});
  Value p = lanes.vector(lanes.run(op.getProbMod(), args));
  record(lanes.bad);
  return e.select(keep, p, e.splat(0));
}

/// All scores of the task at the point asked for, masked or not.
void AttentionEmitter::writeScores() {
  OpBuilder &b = e.b;
  ScorePoint point = *op.getScores();
  Value total = e.dim(op.getInit(), 2), never = e.splat(-std::numeric_limits<double>::infinity());
  e.loop(e.idx(0), total, target.getKeyLanes(), [&](Value key) {
    forRowTiles([&](int64_t tile, Value row) {
      SmallVector<Value> dots = emitDot(tile, row, key, keyVectors());
      for (int64_t r = 0; r < tile; ++r)
        for (int64_t v = 0; v < keyVectors(); ++v)
          e.store(dots[r * keyVectors() + v], scores, {e.idx(r), e.idx(v * e.lanes)});
      e.loop(e.idx(0), e.idx(tile), 1, [&](Value r) {
        e.loop(e.idx(0), e.idx(target.getKeyLanes()), e.lanes, [&](Value v) {
          Value at = e.add(row, r), lane = e.add(key, v), x = e.load(scores, {r, v}), q = query(at), g = headInGroup(at);
          SmallVector<BadRead> bad;
          if (point == ScorePoint::capped)
            x = softCap(x);
          if (point == ScorePoint::masked || point == ScorePoint::softmax) {
            Value keep = keepLanes(at, lane, bad);
            x = e.select(keep, modify(at, lane, x, keep, bad), never);
            record(bad);
            if (point == ScorePoint::masked) {
              x = e.mulf(x, e.splat(1 / kLog2e));
            } else {
              Value p = emitExp2(e, e.subf(x, e.broadcast(e.mulf(e.load1(op.getLse(), {q, g}), e.f32(kLog2e)))));
              x = e.select(arith::CmpFOp::create(b, e.loc, arith::CmpFPredicate::UNE, x, never), p, e.splat(0));
            }
          }
          Value inside = e.maskFor(e.max(e.idx(0), e.min(e.idx(e.lanes), e.sub(total, lane))));
          e.store(x, op.getInit(), {q, g, lane}, inside);
        });
      });
    });
  });
}

/// Loads of captured buffers, numbered from 1.
SmallVector<LoadOp> AttentionEmitter::loads() {
  SmallVector<LoadOp> found;
  op->walk([&](LoadOp load) { found.push_back(load); });
  return found;
}

/// Remembers which load read outside of its buffer: one check at the task's end, no call in the loops.
void AttentionEmitter::record(ArrayRef<BadRead> bad) {
  if (bad.empty())
    return;
  Value any = bad.front().flag;
  for (BadRead read : bad.drop_front())
    any = arith::OrIOp::create(e.b, e.loc, any, read.flag);
  SmallVector<LoadOp> all = loads();
  e.ifThen(any, [&] {
    Value which;
    for (BadRead read : bad) {
      Value number = arith::ConstantIntOp::create(e.b, e.loc, 1 + (llvm::find(all, read.load) - all.begin()), 32);
      which = which ? e.select(read.flag, number, which) : number;
    }
    e.store1(which, outside, e.idx(0));
  });
}

/// Fails the run if a load read outside of its buffer, naming it.
void AttentionEmitter::failOnBadReads() {
  for (auto [i, load] : llvm::enumerate(loads())) {
    Value number = arith::ConstantIntOp::create(e.b, e.loc, i + 1, 32);
    Value failed = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::eq, e.load1(outside, e.idx(0)), number);
    std::string message = "a captured tensor";
    if (auto argument = dyn_cast<BlockArgument>(load.getSource()))
      if (auto func = dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp()))
        if (auto name = func.getArgAttrOfType<StringAttr>(argument.getArgNumber(), kNameAttr))
          message = name.str();
    message += ": expected the indices of attn.load in '" +
               getName(ScoreRegion(load->getParentRegion()->getRegionNumber())).str() + "' within its shape";
    FailOp::create(e.b, e.loc, failed, ATTN_RANGE, message);
  }
}

} // namespace attnc
