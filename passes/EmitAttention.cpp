//===- EmitAttention.cpp - attn.online_attention to vector loops ----------------------------===//
//
//   for each row (query, head):  Q' = q·scale·log2(e); visible keys
//   for blocks of 512 keys, as far as any of the rows sees:
//     for R rows:
//       for panels of keys:  S[R][panel] = Q'·K, masked where the panel is partial; row maxima
//       P = 2^(S - max), l_b = ΣP;  O_b = P·V
//       merge (O, m, l) with (O_b, m_b, l_b)
//   out = O / l
//
// Keys are lanes; a block of K and V stays in the second-level cache for all rows. Every row decides on its own maximum,
// and blocks start at multiples of 512, so a row's bits do not depend on its neighbours.
//
//===----------------------------------------------------------------------------------===//
#include "passes/AttentionEmitter.h"

namespace attnc {
using namespace attn;

AttentionEmitter::AttentionEmitter(PatternRewriter &b, OnlineAttentionOp op, TargetAttr target)
    : e(b, op.getLoc(), target.getLanes()), op(op), target(target) {
  headDim = cast<MemRefType>(op.getQuery().getType()).getDimSize(2);
  // With `partial` and `scores` the result has other sizes.
  headDimV = op.getPartial() || op.getScores() ? 0 : cast<MemRefType>(op.getInit().getType()).getDimSize(2);
  valueStride = op.getPartial() ? cast<MemRefType>(op.getInit().getType()).getDimSize(2)
                                : int64_t(llvm::alignTo(headDimV, kPanel));
}

//===----------------------------------------------------------------------===//
// Keys and values
//===----------------------------------------------------------------------===//

/// Elements of `pages` at which the page that holds `key` starts.
Value AttentionEmitter::pageOf(Value key) {
  Value entry = e.toIndex(e.load1(op.getTable(), e.divFloor(key, op.getPage())));
  return e.mul(entry, op.getPageStride());
}

/// Part of a page as a contiguous buffer.
Value AttentionEmitter::pageView(Value offset, ArrayRef<int64_t> shape) {
  SmallVector<int64_t> strides(shape.size(), 1);
  for (int64_t d = int64_t(shape.size()) - 2; d >= 0; --d)
    strides[d] = strides[d + 1] * shape[d + 1];
  auto type = MemRefType::get(shape, cast<MemRefType>(op.getPages().getType()).getElementType(),
                              StridedLayoutAttr::get(e.b.getContext(), ShapedType::kDynamic, strides));
  return memref::ReinterpretCastOp::create(e.b, e.loc, type, op.getPages(), OpFoldResult(offset),
                                           getAsIndexOpFoldResult(e.b.getContext(), shape),
                                           getAsIndexOpFoldResult(e.b.getContext(), strides));
}

/// A buffer [.., head_dim, 64] and the index of the panel in it that holds `key`.
Value AttentionEmitter::keyPanel(Value key, Value &panel) {
  if (op.getKey()) {
    panel = e.divFloor(key, kKeyPanel);
    return op.getKey();
  }
  panel = e.idx(0);
  Value inPage = e.divFloor(e.rem(key, op.getPage()), kKeyPanel);
  return pageView(e.add(e.add(pageOf(key), op.getKeyBase()), e.mul(inPage, headDim * kKeyPanel)),
                  {1, headDim, kKeyPanel});
}

/// A buffer [.., dvp] and the row in it of `key`, a multiple of 64; the following 63 rows are of the next keys.
Value AttentionEmitter::valueRows(Value key, Value &row) {
  if (op.getValue()) {
    row = key;
    return op.getValue();
  }
  row = e.idx(0);
  return pageView(e.add(e.add(pageOf(key), op.getValueBase()), e.mul(e.rem(key, op.getPage()), valueStride)),
                  {kKeyPanel, valueStride});
}

//===----------------------------------------------------------------------===//
// The nest
//===----------------------------------------------------------------------===//

void AttentionEmitter::layOutScratch() {
  WorkerScratch scratch(e, op.getScratch());
  Type i32 = e.b.getI32Type();
  queries = scratch.take({kTaskRows, int64_t(llvm::alignTo(headDim, kPanel))});
  out = scratch.take({kTaskRows, valueStride});
  scores = scratch.take({target.getQueryRows(), kBlock});
  block = scratch.take({target.getQueryRows(), valueStride});
  for (Value *array : {&maxima, &sums})
    *array = scratch.take({kTaskRows});
  for (Value *array : {&low, &high, &sinkEnd, &head, &position})
    *array = scratch.take({kTaskRows}, i32);
  classes = scratch.take({2, kBlock / kKeyPanel}, i32);
  visibleKeys = scratch.take({kBlock / target.getKeyLanes(), 2}, i32);
  outside = scratch.take({1}, i32);
}

int64_t attentionScratch(TargetAttr target, int64_t headDim, int64_t headDimV) {
  int64_t dvp = llvm::alignTo(headDimV, kPanel);
  return kTaskRows * (int64_t(llvm::alignTo(headDim, kPanel)) + dvp + 7) + target.getQueryRows() * (kBlock + dvp) +
         2 * kBlock / kKeyPanel + 2 * kBlock / target.getKeyLanes() + kPanel;
}

void AttentionEmitter::run() {
  OpBuilder &b = e.b;
  group = e.dim(op.getQuery(), 1);
  rows = e.mul(e.dim(op.getQuery(), 0), group);
  layOutScratch();
  firstKey = e.idx(0);
  endKey = op.getKeys();
  if (op.getKeyMask())
    boundKeys();
  e.store1(arith::ConstantIntOp::create(b, e.loc, 0, 32), outside, e.idx(0));
  prepareRows();
  if (op.getScores()) {
    writeScores();
  } else {
    if (!op.getProbMod().empty())
      walkBlocks(statistics);
    walkBlocks(op.getProbMod().empty() ? online : probabilities);
    finish();
  }
  failOnBadReads();
}

void AttentionEmitter::prepareRows() {
  double scale = op.getScale()->convertToDouble() * (isNatural() ? 1.0 : kLog2e);
  auto i32 = [&](Value v) { return arith::IndexCastOp::create(e.b, e.loc, e.b.getI32Type(), v).getResult(); };
  e.loop(e.idx(0), e.dim(op.getQuery(), 0), 1, [&](Value q) {
    Value at = e.add(op.getOffset(), e.add(op.getFirst(), q));
    // Keys lo ≤ j < hi are visible, and j < sink, but for masks.
    Value lo = firstKey, hi = endKey, sink = e.idx(op.getSinks());
    if (op.getCausal())
      hi = e.min(hi, e.add(at, 1));
    sink = e.max(e.min(sink, hi), e.idx(0));
    if (op.getWindowRight())
      hi = e.min(hi, e.add(at, int64_t(*op.getWindowRight()) + 1));
    if (op.getWindowLeft())
      lo = e.max(lo, e.sub(at, e.idx(*op.getWindowLeft())));
    hi = e.max(hi, e.idx(0));
    lo = e.min(lo, hi);
    if (op.getFrom()) {
      lo = e.max(lo, op.getFrom());
      hi = e.max(e.min(hi, op.getTo()), lo);
      sink = e.min(sink, op.getTo());
    }
    e.loop(e.idx(0), group, 1, [&](Value g) {
      Value row = e.add(e.mul(q, group), g);
      e.store1(i32(lo), low, row);
      e.store1(i32(hi), high, row);
      e.store1(i32(sink), sinkEnd, row);
      e.store1(i32(at), position, row);
      e.store1(i32(e.add(op.getHead(), g)), head, row);
      e.store1(e.f32(kNoKeys), maxima, row);
      e.store1(e.f32(0), sums, row);
      e.overVectors(headDim, {}, [&](Value d, Value mask, ValueRange) -> SmallVector<Value> {
        e.store(e.mulf(e.load(op.getQuery(), {q, g, d}, mask), e.splat(scale)), queries, {row, d}, mask);
        return {};
      });
      e.overVectors(valueStride, {}, [&](Value d, Value mask, ValueRange) -> SmallVector<Value> {
        e.store(e.splat(0), out, {row, d}, mask);
        return {};
      });
    });
  });
}

void AttentionEmitter::forRowTiles(function_ref<void(int64_t, Value)> body) {
  Value row = e.idx(0);
  for (int64_t tile : {int64_t(target.getQueryRows()), int64_t(1)}) {
    Value end = e.add(row, e.mul(e.divFloor(e.sub(rows, row), tile), tile));
    e.loop(row, end, tile, [&](Value r) { body(tile, r); });
    row = end;
  }
}

void AttentionEmitter::walkBlocks(Walk walk) {
  Value none = e.idx(0), last = e.sub(rows, e.idx(1));
  // Rows ascend by position, and so do the bounds of what they see.
  Value least = op.getSinks() ? (op.getFrom() ? Value(op.getFrom()) : none) : e.toIndex(rowInt(low, none));
  Value most = e.max(e.toIndex(rowInt(high, last)), e.toIndex(rowInt(sinkEnd, last)));
  Value first = e.mul(e.divFloor(least, kBlock), kBlock);
  e.loop(first, most, kBlock, [&](Value keyBlock) {
    Value start = e.max(keyBlock, e.mul(e.divFloor(least, kKeyPanel), kKeyPanel));
    Value end = e.min(e.add(keyBlock, kBlock), most);
    auto tiles = [&] {
      forRowTiles([&](int64_t tile, Value row) {
        Value lastRow = e.add(row, tile - 1);
        Value from = start, to = e.min(end, e.max(e.toIndex(rowInt(high, lastRow)), e.toIndex(rowInt(sinkEnd, lastRow))));
        if (!op.getSinks())
          from = e.max(start, e.mul(e.divFloor(e.toIndex(rowInt(low, row)), kKeyPanel), kKeyPanel));
        Value any = hasClasses() ? refine(keyBlock, from, to, row, lastRow) : e.less(from, to);
        e.ifThen(any, [&] { emitBlock(walk, tile, row, keyBlock, from, to); });
      });
    };
    if (hasClasses())
      e.ifThen(classify(keyBlock, start, end), tiles);
    else
      tiles();
  });
}

/// One block of keys for `tile` rows.
void AttentionEmitter::emitBlock(Walk walk, int64_t tile, Value row, Value keyBlock, Value start, Value end) {
  OpBuilder &b = e.b;
  // `body` for every step of keys whose panel some row sees.
  auto overKeys = [&](ValueRange init, function_ref<SmallVector<Value>(Value, ValueRange)> body) {
    return e.loop(start, end, target.getKeyLanes(), init, [&](Value key, ValueRange carried) -> SmallVector<Value> {
      if (!hasClasses())
        return body(key, carried);
      auto branch = scf::IfOp::create(b, e.loc, carried.getTypes(), isVisible(keyBlock, key), /*withElse=*/true);
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(branch.thenBlock());
      scf::YieldOp::create(b, e.loc, body(key, carried));
      b.setInsertionPointToStart(branch.elseBlock());
      scf::YieldOp::create(b, e.loc, carried);
      return branch.getResults();
    });
  };
  SmallVector<Value> most(tile, e.splat(kNoKeys));
  most = overKeys(most, [&](Value key, ValueRange most) { return emitScores(tile, row, keyBlock, key, most); });
  // P = 2^(S - max); keys beyond `end` are -inf and give 0.
  SmallVector<Value> blockMax, blockSum(tile, e.splat(0)), inverse(tile);
  for (int64_t r = 0; r < tile; ++r) {
    Value at = e.add(row, r);
    if (walk != probabilities) {
      blockMax.push_back(e.reduceMax(most[r]));
      continue;
    }
    blockMax.push_back(e.load1(maxima, at));
    Value sink = op.getSinkLogits() ? e.load1(op.getSinkLogits(), headInGroup(at)) : Value();
    inverse[r] = e.broadcast(FinishedSoftmax(e, blockMax.back(), e.load1(sums, at), sink).scale);
  }
  blockSum = overKeys(blockSum, [&](Value key, ValueRange carried) {
    SmallVector<Value> sum(carried);
    for (int64_t r = 0; r < tile; ++r) {
      Value m = e.broadcast(blockMax[r]), column = e.sub(key, keyBlock);
      for (int64_t v = 0; v < keyVectors(); ++v) {
        SmallVector<Value> at = {e.idx(r), e.add(column, v * e.lanes)};
        Value s = e.load(scores, at);
        Value p = emitExp2(e, e.subf(s, m));
        if (walk == probabilities)
          p = emitProbability(e.add(row, r), e.add(key, v * e.lanes), s, e.mulf(p, inverse[r]));
        else
          sum[r] = e.addf(sum[r], p);
        if (walk != statistics)
          e.store(p, scores, at);
      }
    }
    return sum;
  });
  if (walk != statistics) {
    emitProduct(tile, keyBlock, start, end);
    Value again = arith::XOrIOp::create(b, e.loc, isFinite(tile), arith::ConstantIntOp::create(b, e.loc, 1, 1));
    e.ifThen(again, [&] { emitCarefulProduct(tile, keyBlock, start, end); });
  }
  if (walk != probabilities)
    return merge(walk, tile, row, blockMax, blockSum);
  for (int64_t r = 0; r < tile; ++r)
    e.overVectors(valueStride, {}, [&](Value d, Value mask, ValueRange) -> SmallVector<Value> {
      Value at = e.add(row, r);
      e.store(e.addf(e.load(out, {at, d}, mask), e.load(block, {e.idx(r), d}, mask)), out, {at, d}, mask);
      return {};
    });
}

/// Whether all of block[0..tile, :] is finite: x - x is NaN where x is not.
Value AttentionEmitter::isFinite(int64_t tile) {
  Value sum = e.splat(0);
  for (int64_t r = 0; r < tile; ++r)
    sum = e.overVectors(valueStride, sum, [&](Value d, Value mask, ValueRange carried) {
      Value x = e.load(block, {e.idx(r), d}, mask);
      return SmallVector<Value>{e.addf(carried[0], e.subf(x, x))};
    })[0];
  return arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, e.reduceAdd(sum), e.f32(0));
}

/// body(values, row of `from` in it, from, to) for the keys of the block that are read, in order and in pieces.
SmallVector<Value> AttentionEmitter::overValues(Value keyBlock, Value start, Value end, ValueRange init, ValuesBody body) {
  OpBuilder &b = e.b;
  if (op.getValue() && !hasClasses())
    return body(op.getValue(), start, start, end, init);
  int64_t step = hasClasses() ? target.getKeyLanes() : kKeyPanel;
  return e.loop(start, end, step, init, [&](Value key, ValueRange carried) {
    if (!hasClasses()) {
      Value row, values = valueRows(key, row);
      return body(values, row, key, e.min(end, e.add(key, kKeyPanel)), carried);
    }
    auto branch = scf::IfOp::create(b, e.loc, carried.getTypes(), isVisible(keyBlock, key), /*withElse=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    Value panel = e.mul(e.divFloor(key, kKeyPanel), kKeyPanel), row, values = valueRows(panel, row);
    Value at = e.divFloor(e.sub(key, keyBlock), target.getKeyLanes());
    Value from = e.toIndex(e.load1(visibleKeys, {at, e.idx(0)})), to = e.toIndex(e.load1(visibleKeys, {at, e.idx(1)}));
    SmallVector<Value> results = body(values, e.add(row, e.sub(from, panel)), from, e.min(end, to), carried);
    if (!init.empty()) {
      scf::YieldOp::create(b, e.loc, results);
      b.setInsertionPointToStart(branch.elseBlock());
      scf::YieldOp::create(b, e.loc, carried);
    }
    return SmallVector<Value>(branch.getResults());
  });
}

/// block[r, :] = Σ scores[r, j - keyBlock]·V[j, :] over start ≤ j < end; start is a multiple of 64.
void AttentionEmitter::emitProduct(int64_t tile, Value keyBlock, Value start, Value end) {
  auto columns = [&](Value column, int64_t vectors) {
    SmallVector<Value> acc(tile * vectors, e.splat(0)), at;
    for (int64_t v = 0; v < vectors; ++v)
      at.push_back(e.add(column, v * e.lanes));
    auto body = [&](Value values, Value first, Value from, Value to, ValueRange init) {
      Value offset = e.sub(first, from);
      return e.loop(from, to, 1, init, [&](Value j, ValueRange carried) {
        SmallVector<Value> acc(carried), x;
        for (int64_t v = 0; v < vectors; ++v)
          x.push_back(e.load(values, {e.add(j, offset), at[v]}));
        for (int64_t r = 0; r < tile; ++r) {
          Value p = e.broadcast(e.load1(scores, {e.idx(r), e.sub(j, keyBlock)}));
          for (int64_t v = 0; v < vectors; ++v)
            acc[r * vectors + v] = e.fma(p, x[v], acc[r * vectors + v]);
        }
        return acc;
      });
    };
    acc = overValues(keyBlock, start, end, acc, body);
    for (int64_t r = 0; r < tile; ++r)
      for (int64_t v = 0; v < vectors; ++v)
        e.store(acc[r * vectors + v], block, {e.idx(r), at[v]});
  };
  int64_t width = target.getKeyLanes(), whole = valueStride / width * width;
  e.loop(e.idx(0), e.idx(whole), width, [&](Value c) { columns(c, width / e.lanes); });
  if (whole != valueStride)
    columns(e.idx(whole), (valueStride - whole) / e.lanes);
}

/// The same where a value is not finite: those of weight 0 are not looked at, so that NaN and Inf behind a mask do not
/// count. Rare, so one vector at a time.
void AttentionEmitter::emitCarefulProduct(int64_t tile, Value keyBlock, Value start, Value end) {
  e.loop(e.idx(0), e.idx(tile), 1, [&](Value r) {
    e.loop(e.idx(0), e.idx(valueStride), e.lanes, [&](Value column) {
      auto body = [&](Value values, Value first, Value from, Value to, ValueRange init) {
        Value offset = e.sub(first, from);
        return e.loop(from, to, 1, init, [&](Value j, ValueRange carried) {
          Value weight = e.load1(scores, {r, e.sub(j, keyBlock)}), x = e.load(values, {e.add(j, offset), column});
          Value counts = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::UNE, weight, e.f32(0));
          return SmallVector<Value>{e.fma(e.broadcast(weight), e.select(counts, x, e.splat(0)), carried[0])};
        });
      };
      e.store(overValues(keyBlock, start, end, e.splat(0), body)[0], block, {r, column});
    });
  });
}

/// (out, maxima, sums) of `tile` rows with those of a block.
void AttentionEmitter::merge(Walk walk, int64_t tile, Value row, ValueRange blockMax, ValueRange blockSum) {
  for (int64_t r = 0; r < tile; ++r) {
    Value at = e.add(row, r);
    MergedSoftmax merged(e, e.load1(maxima, at), e.load1(sums, at), blockMax[r], e.reduceAdd(blockSum[r]));
    e.store1(merged.max, maxima, at);
    e.store1(merged.sum, sums, at);
    if (walk == statistics)
      continue; // no values yet
    Value keep = e.broadcast(merged.keep), add = e.broadcast(merged.add);
    e.overVectors(valueStride, {}, [&](Value d, Value mask, ValueRange) -> SmallVector<Value> {
      Value o = e.mulf(e.load(out, {at, d}, mask), keep);
      e.store(e.fma(e.load(block, {e.idx(r), d}, mask), add, o), out, {at, d}, mask);
      return {};
    });
  }
}

/// Normalises and writes the results.
void AttentionEmitter::finish() {
  e.loop(e.idx(0), rows, 1, [&](Value row) {
    Value q = query(row), g = headInGroup(row);
    if (op.getPartial()) {
      e.overVectors(valueStride, {}, [&](Value d, Value mask, ValueRange) -> SmallVector<Value> {
        e.store(e.load(out, {row, d}, mask), op.getInit(), {q, g, d}, mask);
        return {};
      });
      e.store1(e.load1(maxima, row), op.getPartial(), {q, g, e.idx(0)});
      e.store1(e.load1(sums, row), op.getPartial(), {q, g, e.idx(1)});
      return;
    }
    if (op.getMaskedRows() != MaskedRows::zero)
      patchMaskedRow(row);
    FinishedSoftmax finished(e, e.load1(maxima, row), e.load1(sums, row),
                             op.getSinkLogits() ? e.load1(op.getSinkLogits(), g) : Value());
    // With a prob region the rows are sums of probabilities already.
    Value scale = e.broadcast(op.getProbMod().empty() ? finished.scale : e.f32(1));
    e.overVectors(headDimV, {}, [&](Value d, Value mask, ValueRange) -> SmallVector<Value> {
      e.store(e.mulf(e.load(out, {row, d}, mask), scale), op.getInit(), {q, g, d}, mask);
      return {};
    });
    if (op.getLse())
      e.store1(finished.lse(), op.getLse(), {q, g});
  });
}

/// A row that saw no key gets the sum (trax) or the mean of all values.
void AttentionEmitter::patchMaskedRow(Value row) {
  Value none = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, e.load1(sums, row), e.f32(0));
  e.ifThen(none, [&] {
    e.loop(e.idx(0), op.getKeys(), kKeyPanel, [&](Value panel) {
      Value first, values = valueRows(panel, first);
      e.loop(panel, e.min(op.getKeys(), e.add(panel, kKeyPanel)), 1, [&](Value j) {
        Value at = e.add(e.sub(j, panel), first);
        e.overVectors(valueStride, {}, [&](Value d, Value mask, ValueRange) -> SmallVector<Value> {
          e.store(e.addf(e.load(out, {row, d}, mask), e.load(values, {at, d}, mask)), out, {row, d}, mask);
          return {};
        });
      });
    });
    // The denominator by which finish() divides.
    Value count = e.f32(1);
    if (op.getMaskedRows() == MaskedRows::mean) {
      Value keys = arith::IndexCastOp::create(e.b, e.loc, e.b.getI32Type(), e.max(op.getKeys(), e.idx(1)));
      count = arith::SIToFPOp::create(e.b, e.loc, e.b.getF32Type(), keys);
    }
    Value inverse = e.broadcast(e.divf(e.f32(1), count));
    e.overVectors(valueStride, {}, [&](Value d, Value mask, ValueRange) -> SmallVector<Value> {
      e.store(e.mulf(e.load(out, {row, d}, mask), inverse), out, {row, d}, mask);
      return {};
    });
  });
}

namespace {
struct EmitOnlineAttention : OpRewritePattern<OnlineAttentionOp> {
  TargetAttr target;
  EmitOnlineAttention(MLIRContext *context, TargetAttr target) : OpRewritePattern(context), target(target) {}
  LogicalResult matchAndRewrite(OnlineAttentionOp op, PatternRewriter &rewriter) const override {
    AttentionEmitter(rewriter, op, target).run();
    rewriter.eraseOp(op);
    return success();
  }
};
} // namespace

void populateEmitAttention(RewritePatternSet &patterns, TargetAttr target) {
  patterns.add<EmitOnlineAttention>(patterns.getContext(), target);
  populateMergeAttention(patterns, target);
}

} // namespace attnc
