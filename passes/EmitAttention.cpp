//===- EmitAttention.cpp - attn.online_attention to vector loops ----------------------------===//
//
//   for R query rows:
//     Q' = q·scale·log2(e)
//     for blocks of 512 keys, as far as any of the rows sees:
//       for panels of keys:  S[R][panel] = Q'·K, masked where the panel is partial; row maxima
//       P = 2^(S - max), l_b = ΣP;  O_b = P·V
//       merge (O, m, l) with (O_b, m_b, l_b)
//     out = O / l
//
// Keys are lanes. Every row decides on its own maximum, and blocks start at multiples of 512, so a row's bits do not
// depend on its neighbours. The running maximum starts at a finite -1e30 so that rows without keys need no special case.
//
//===----------------------------------------------------------------------------------===//
#include "passes/Emit.h"

namespace attnc {
using namespace attn;

namespace {

constexpr int64_t kBlock = 512;
constexpr double kLog2e = 1.4426950408889634;
constexpr float kNoKeys = -1e30f;

struct AttentionEmitter {
  Emit e;
  OnlineAttentionOp op;
  TargetAttr target;
  int64_t headDim, headDimV, valueStride; // f32
  Value scores, queries, out, block;      // scratch: [R, 512], [R, head_dim], [R, dvp], [R, dvp]
  Value hasMask;                          // i1, or null: key_mask given at run time

  AttentionEmitter(PatternRewriter &b, OnlineAttentionOp op, TargetAttr target)
      : e(b, op.getLoc(), target.getLanes()), op(op), target(target) {
    headDim = cast<MemRefType>(op.getQuery().getType()).getDimSize(1);
    headDimV = cast<MemRefType>(op.getInit().getType()).getDimSize(1);
    valueStride = llvm::alignTo(headDimV, kPanel);
  }

  int64_t keyVectors() const { return target.getKeyLanes() / e.lanes; }

  void run();
  void emitRows(int64_t rows, Value row);
  SmallVector<Value> emitScores(int64_t rows, Value row, Value keyBlock, Value key, ValueRange low, ValueRange high);
  void emitProduct(int64_t rows, Value keyBlock, Value start, Value end, bool skipMasked);
  Value isFinite(int64_t rows);

  Value pageOf(Value key);
  Value keyPanel(Value key, Value &panel);
  Value valueRows(Value key, Value &row);
};

/// Elements of `pages` at which the page that holds `key` starts.
Value AttentionEmitter::pageOf(Value key) {
  Value entry = e.toIndex(e.load1(op.getTable(), e.divFloor(key, op.getPage())));
  return e.mul(entry, op.getPageStride());
}

/// A buffer [.., head_dim, 64] and the index of the panel in it that holds `key`.
Value AttentionEmitter::keyPanel(Value key, Value &panel) {
  if (op.getKey()) {
    panel = e.divFloor(key, kKeyPanel);
    return op.getKey();
  }
  panel = e.idx(0);
  Value inPage = e.divFloor(e.rem(key, op.getPage()), kKeyPanel);
  Value offset = e.add(e.add(pageOf(key), op.getKeyBase()), e.mul(inPage, headDim * kKeyPanel));
  auto type = MemRefType::get({1, headDim, kKeyPanel}, e.b.getF32Type(),
                              StridedLayoutAttr::get(e.b.getContext(), ShapedType::kDynamic,
                                                     {headDim * kKeyPanel, kKeyPanel, 1}));
  return memref::ReinterpretCastOp::create(
      e.b, e.loc, type, op.getPages(), OpFoldResult(offset),
      ArrayRef<OpFoldResult>{e.b.getIndexAttr(1), e.b.getIndexAttr(headDim), e.b.getIndexAttr(kKeyPanel)},
      ArrayRef<OpFoldResult>{e.b.getIndexAttr(headDim * kKeyPanel), e.b.getIndexAttr(kKeyPanel), e.b.getIndexAttr(1)});
}

/// A buffer [.., dvp] and the row in it of `key`, a multiple of 64; the following 63 rows are of the next keys.
Value AttentionEmitter::valueRows(Value key, Value &row) {
  if (op.getValue()) {
    row = key;
    return op.getValue();
  }
  row = e.idx(0);
  Value offset = e.add(e.add(pageOf(key), op.getValueBase()), e.mul(e.rem(key, op.getPage()), valueStride));
  auto type = MemRefType::get({kKeyPanel, valueStride}, e.b.getF32Type(),
                              StridedLayoutAttr::get(e.b.getContext(), ShapedType::kDynamic, {valueStride, 1}));
  return memref::ReinterpretCastOp::create(
      e.b, e.loc, type, op.getPages(), OpFoldResult(offset),
      ArrayRef<OpFoldResult>{e.b.getIndexAttr(kKeyPanel), e.b.getIndexAttr(valueStride)},
      ArrayRef<OpFoldResult>{e.b.getIndexAttr(valueStride), e.b.getIndexAttr(1)});
}

void AttentionEmitter::run() {
  OpBuilder &b = e.b;
  auto scratchType = cast<MemRefType>(op.getScratch().getType());
  Value bytes = memref::CollapseShapeOp::create(b, e.loc, op.getScratch(), SmallVector<ReassociationIndices>{{0, 1}});
  Value base = e.mul(WorkerOp::create(b, e.loc), scratchType.getDimSize(1));
  int64_t offset = 0;
  auto view = [&](int64_t columns) -> Value {
    Value v = memref::ViewOp::create(b, e.loc, MemRefType::get({target.getQueryRows(), columns}, b.getF32Type()), bytes,
                                     e.add(base, offset * 4), ValueRange());
    offset += target.getQueryRows() * columns;
    return v;
  };
  scores = view(kBlock);
  queries = view(llvm::alignTo(headDim, kPanel));
  out = view(valueStride);
  block = view(valueStride);
  if (op.getKeyMask()) {
    Value pointer = memref::ExtractAlignedPointerAsIndexOp::create(b, e.loc, op.getKeyMask());
    hasMask = arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::ne, pointer, e.idx(0));
  }
  Value rows = e.dim(op.getQuery(), 0), tile = e.idx(target.getQueryRows());
  Value whole = e.mul(e.divFloor(rows, tile), tile);
  e.loop(e.idx(0), whole, target.getQueryRows(), [&](Value r) { emitRows(target.getQueryRows(), r); });
  e.loop(whole, rows, 1, [&](Value r) { emitRows(1, r); });
}

/// S = Q'·K of `rows` queries, the first of them `row`, and one tile of keys at `key`, to scores[:, key - keyBlock ..]; returns max(S) by lane.
SmallVector<Value> AttentionEmitter::emitScores(int64_t rows, Value row, Value keyBlock, Value key, ValueRange low,
                                                ValueRange high) {
  OpBuilder &b = e.b;
  int64_t vectors = keyVectors();
  Value panel, keys = keyPanel(key, panel);
  Value within = e.rem(key, e.idx(kKeyPanel));
  SmallVector<Value> columns;
  for (int64_t v = 0; v < vectors; ++v)
    columns.push_back(e.add(within, v * e.lanes));
  SmallVector<Value> s(rows * vectors, e.splat(0));
  s = e.loop(e.idx(0), e.idx(headDim), 1, s, [&](Value d, ValueRange carried) {
    SmallVector<Value> acc(carried), k;
    for (int64_t v = 0; v < vectors; ++v)
      k.push_back(e.load(keys, {panel, d, columns[v]}));
    for (int64_t r = 0; r < rows; ++r) {
      Value q = e.broadcast(e.load1(queries, {e.idx(r), d}));
      for (int64_t v = 0; v < vectors; ++v)
        acc[r * vectors + v] = e.fma(q, k[v], acc[r * vectors + v]);
    }
    return acc;
  });
  if (op.getSoftCap()) {
    // Scores arrive without log2(e): cap·tanh(s/cap)·log2(e).
    double cap = op.getSoftCap()->convertToDouble();
    for (Value &x : s)
      x = e.mulf(math::TanhOp::create(b, e.loc, e.mulf(x, e.splat(1 / cap))), e.splat(cap * kLog2e));
  }

  if (op.getBias())
    for (int64_t v = 0; v < vectors; ++v) {
      Value at = e.add(key, v * e.lanes);
      Value valid = e.maskFor(e.max(e.idx(0), e.min(e.idx(e.lanes), e.sub(e.dim(op.getBias(), 1), at))));
      for (int64_t r = 0; r < rows; ++r)
        s[r * vectors + v] = e.fma(e.load(op.getBias(), {e.add(row, r), at}, valid), e.splat(kLog2e), s[r * vectors + v]);
    }

  // Partial: some row does not see all keys of the tile. Bounds ascend with the row.
  Value end = e.add(key, target.getKeyLanes());
  Value partial = arith::OrIOp::create(b, e.loc, e.less(high.front(), end), e.less(key, low.back()));
  if (hasMask)
    partial = arith::OrIOp::create(b, e.loc, partial, hasMask);
  auto branch = scf::IfOp::create(b, e.loc, ValueRange(s).getTypes(), partial, /*withElse=*/true);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    auto i32 = VectorType::get({e.lanes}, b.getI32Type());
    auto i1 = VectorType::get({e.lanes}, b.getI1Type());
    auto lane = [&](Value index) {
      return vector::BroadcastOp::create(b, e.loc, i32, arith::IndexCastOp::create(b, e.loc, b.getI32Type(), index));
    };
    SmallVector<int32_t> steps = llvm::to_vector(llvm::seq<int32_t>(0, e.lanes));
    Value iota = arith::ConstantOp::create(b, e.loc, DenseElementsAttr::get(i32, ArrayRef<int32_t>(steps)));
    SmallVector<Value> masked;
    SmallVector<Value> position, given;
    for (int64_t v = 0; v < vectors; ++v) {
      Value at = e.add(key, v * e.lanes);
      position.push_back(arith::AddIOp::create(b, e.loc, lane(at), iota));
      if (!hasMask)
        continue;
      auto read = scf::IfOp::create(b, e.loc, TypeRange(i1), hasMask, /*withElse=*/true);
      OpBuilder::InsertionGuard inner(b);
      b.setInsertionPointToStart(read.thenBlock());
      auto type = VectorType::get({e.lanes}, cast<MemRefType>(op.getKeyMask().getType()).getElementType());
      Value zero = arith::ConstantOp::create(b, e.loc, DenseElementsAttr::get(type, APInt(type.getElementTypeBitWidth(), 0)));
      Value valid = e.maskFor(e.max(e.idx(0), e.min(e.idx(e.lanes), e.sub(e.dim(op.getKeyMask(), 0), at))));
      Value m = vector::MaskedLoadOp::create(b, e.loc, type, op.getKeyMask(), at, valid, zero);
      scf::YieldOp::create(b, e.loc, ValueRange(arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::ne, m, zero)));
      b.setInsertionPointToStart(read.elseBlock());
      scf::YieldOp::create(b, e.loc, ValueRange(arith::ConstantOp::create(b, e.loc, DenseElementsAttr::get(i1, true))));
      given.push_back(read.getResult(0));
    }
    Value never = e.splat(-std::numeric_limits<double>::infinity());
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < vectors; ++v) {
        Value keep = arith::AndIOp::create(
            b, e.loc, arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::sge, position[v], lane(low[r])),
            arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::slt, position[v], lane(high[r])));
        if (hasMask)
          keep = arith::AndIOp::create(b, e.loc, keep, given[v]);
        masked.push_back(e.select(keep, s[r * vectors + v], never));
      }
    scf::YieldOp::create(b, e.loc, masked);
    b.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(b, e.loc, s);
  }
  Value column = e.sub(key, keyBlock);
  SmallVector<Value> maxima;
  for (int64_t r = 0; r < rows; ++r) {
    Value most;
    for (int64_t v = 0; v < vectors; ++v) {
      Value x = branch.getResult(r * vectors + v);
      e.store(x, scores, {e.idx(r), e.add(column, v * e.lanes)});
      most = most ? e.maxf(most, x) : x;
    }
    maxima.push_back(most);
  }
  return maxima;
}

/// Whether all of block[0..rows, :] is finite: x - x is NaN where x is not.
Value AttentionEmitter::isFinite(int64_t rows) {
  Value sum = e.splat(0);
  for (int64_t r = 0; r < rows; ++r)
    sum = e.overVectors(valueStride, sum, [&](Value d, Value mask, ValueRange carried) {
      Value x = e.load(block, {e.idx(r), d}, mask);
      return SmallVector<Value>{e.addf(carried[0], e.subf(x, x))};
    })[0];
  return arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, e.reduceAdd(sum), e.f32(0));
}

/// block[r, :] = Σ scores[r, j - keyBlock]·V[j, :] over start ≤ j < end; start is a multiple of 64. With `skipMasked`
/// values of weight 0 are not looked at, so that NaN and Inf behind a mask do not count.
void AttentionEmitter::emitProduct(int64_t rows, Value keyBlock, Value start, Value end, bool skipMasked) {
  auto columns = [&](Value column, int64_t vectors) {
    SmallVector<Value> acc(rows * vectors, e.splat(0)), at;
    for (int64_t v = 0; v < vectors; ++v)
      at.push_back(e.add(column, v * e.lanes));
    auto over = [&](Value values, Value valueOffset, Value lo, Value hi, ValueRange init) {
      return e.loop(lo, hi, 1, init, [&](Value j, ValueRange carried) {
        SmallVector<Value> acc(carried), x;
        Value row = e.add(j, valueOffset);
        for (int64_t v = 0; v < vectors; ++v)
          x.push_back(e.load(values, {row, at[v]}));
        Value score = e.sub(j, keyBlock);
        for (int64_t r = 0; r < rows; ++r) {
          Value weight = e.load1(scores, {e.idx(r), score});
          Value p = e.broadcast(weight), counts;
          if (skipMasked)
            counts = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::UNE, weight, e.f32(0));
          for (int64_t v = 0; v < vectors; ++v)
            acc[r * vectors + v] =
                e.fma(p, skipMasked ? e.select(counts, x[v], e.splat(0)) : x[v], acc[r * vectors + v]);
        }
        return acc;
      });
    };
    if (op.getValue())
      acc = over(op.getValue(), e.idx(0), start, end, acc);
    else
      acc = e.loop(start, end, kKeyPanel, acc, [&](Value panel, ValueRange carried) {
        Value row, values = valueRows(panel, row);
        return over(values, e.sub(row, panel), panel, e.min(end, e.add(panel, kKeyPanel)), carried);
      });
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < vectors; ++v)
        e.store(acc[r * vectors + v], block, {e.idx(r), at[v]});
  };
  int64_t width = target.getKeyLanes(), whole = valueStride / width * width;
  e.loop(e.idx(0), e.idx(whole), width, [&](Value c) { columns(c, width / e.lanes); });
  if (whole != valueStride)
    columns(e.idx(whole), (valueStride - whole) / e.lanes);
}

void AttentionEmitter::emitRows(int64_t rows, Value row) {
  OpBuilder &b = e.b;
  double scale = op.getScale()->convertToDouble() * (op.getSoftCap() ? 1.0 : kLog2e);
  SmallVector<Value> low, high;
  for (int64_t r = 0; r < rows; ++r) {
    Value queryRow = e.add(row, r);
    e.overVectors(headDim, {}, [&](Value d, Value mask, ValueRange) -> SmallVector<Value> {
      e.store(e.mulf(e.load(op.getQuery(), {queryRow, d}, mask), e.splat(scale)), queries, {e.idx(r), d}, mask);
      return {};
    });
    e.overVectors(valueStride, {}, [&](Value d, Value mask, ValueRange) -> SmallVector<Value> {
      e.store(e.splat(0), out, {e.idx(r), d}, mask);
      return {};
    });
    // Keys low ≤ j < high are visible but for a key mask.
    Value position = e.add(e.add(op.getFirst(), queryRow), int64_t(op.getCausalOffset()));
    if (op.getPast())
      position = e.add(position, op.getPast());
    Value lo = e.idx(0), hi = op.getKeys();
    if (op.getCausal())
      hi = e.min(hi, e.add(position, 1));
    if (op.getWindowRight())
      hi = e.min(hi, e.add(position, int64_t(*op.getWindowRight()) + 1));
    if (op.getWindowLeft())
      lo = e.max(lo, e.sub(position, e.idx(*op.getWindowLeft())));
    hi = e.max(hi, e.idx(0));
    low.push_back(e.min(lo, hi));
    high.push_back(hi);
  }

  Value first = e.mul(e.divFloor(low.front(), kKeyPanel), kKeyPanel);
  Value firstBlock = e.mul(e.divFloor(low.front(), kBlock), kBlock);
  SmallVector<Value> state(rows, e.f32(kNoKeys)); // maxima, then sums
  state.append(rows, e.f32(0));
  state = e.loop(firstBlock, high.back(), kBlock, state, [&](Value keyBlock, ValueRange carried) {
    Value start = e.max(keyBlock, first), end = e.min(e.add(keyBlock, kBlock), high.back());
    SmallVector<Value> maxima(rows, e.splat(kNoKeys));
    maxima = e.loop(start, end, target.getKeyLanes(), maxima, [&](Value key, ValueRange most) {
      SmallVector<Value> next = emitScores(rows, row, keyBlock, key, low, high);
      for (int64_t r = 0; r < rows; ++r)
        next[r] = e.maxf(most[r], next[r]);
      return next;
    });
    // P = 2^(S - max); keys beyond `end` are -inf and give 0.
    SmallVector<Value> blockMax, sums(rows, e.splat(0));
    for (Value m : maxima)
      blockMax.push_back(e.reduceMax(m));
    sums = e.loop(e.sub(start, keyBlock), e.sub(end, keyBlock), target.getKeyLanes(), sums,
                  [&](Value column, ValueRange carried) {
                    SmallVector<Value> sum(carried);
                    for (int64_t r = 0; r < rows; ++r) {
                      Value m = e.broadcast(blockMax[r]);
                      for (int64_t v = 0; v < keyVectors(); ++v) {
                        SmallVector<Value> at = {e.idx(r), e.add(column, v * e.lanes)};
                        Value p = emitExp2(e, e.subf(e.load(scores, at), m));
                        e.store(p, scores, at);
                        sum[r] = e.addf(sum[r], p);
                      }
                    }
                    return sum;
                  });
    emitProduct(rows, keyBlock, start, end, /*skipMasked=*/false);
    Value again = arith::XOrIOp::create(b, e.loc, isFinite(rows), arith::ConstantIntOp::create(b, e.loc, 1, 1));
    e.ifThen(again, [&] { emitProduct(rows, keyBlock, start, end, /*skipMasked=*/true); });
    SmallVector<Value> newMax, newSum;
    for (int64_t r = 0; r < rows; ++r) {
      Value m = e.maxf(carried[r], blockMax[r]);
      Value keep = emitExp2(e, e.subf(carried[r], m)), add = emitExp2(e, e.subf(blockMax[r], m));
      newMax.push_back(m);
      newSum.push_back(math::FmaOp::create(b, e.loc, e.reduceAdd(sums[r]), add, e.mulf(carried[rows + r], keep)));
      Value keepV = e.broadcast(keep), addV = e.broadcast(add);
      e.overVectors(valueStride, {}, [&](Value d, Value mask, ValueRange) -> SmallVector<Value> {
        Value o = e.mulf(e.load(out, {e.idx(r), d}, mask), keepV);
        e.store(e.fma(e.load(block, {e.idx(r), d}, mask), addV, o), out, {e.idx(r), d}, mask);
        return {};
      });
    }
    newMax.append(newSum);
    return newMax;
  });

  for (int64_t r = 0; r < rows; ++r) {
    Value sum = state[rows + r], queryRow = e.add(row, r);
    Value none = arith::CmpFOp::create(b, e.loc, arith::CmpFPredicate::OEQ, sum, e.f32(0));
    Value inverse = e.broadcast(e.select(none, e.f32(0), e.divf(e.f32(1), sum)));
    e.overVectors(headDimV, {}, [&](Value d, Value mask, ValueRange) -> SmallVector<Value> {
      e.store(e.mulf(e.load(out, {e.idx(r), d}, mask), inverse), op.getInit(), {queryRow, d}, mask);
      return {};
    });
    if (op.getLse()) {
      Value lse = e.mulf(e.addf(state[r], math::Log2Op::create(b, e.loc, sum)), e.f32(1 / kLog2e));
      e.store1(e.select(none, e.f32(-std::numeric_limits<double>::infinity()), lse), op.getLse(), queryRow);
    }
  }
}

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

int64_t attentionScratch(TargetAttr target, int64_t headDim, int64_t headDimV) {
  return target.getQueryRows() * (kBlock + llvm::alignTo(headDim, kPanel) + 2 * llvm::alignTo(headDimV, kPanel));
}

void populateEmitAttention(RewritePatternSet &patterns, TargetAttr target) {
  patterns.add<EmitOnlineAttention>(patterns.getContext(), target);
}

} // namespace attnc
