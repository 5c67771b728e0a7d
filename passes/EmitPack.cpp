//===- EmitPack.cpp - Keys and values to the micro-kernel's layout, in buffers and in the cache --===//
//
// Keys are transposed in squares of one vector: as many rows as lanes, interleaved log2(lanes) times.
//
//===----------------------------------------------------------------------------------===//
#include "passes/RowPattern.h"

namespace attnc {
using namespace attn;

namespace {

/// Rows [lanes] of as many values to their columns.
SmallVector<Value> transposed(Emit &e, SmallVector<Value> rows) {
  int64_t n = rows.size();
  SmallVector<int64_t> low, high;
  for (int64_t i = 0; i < n / 2; ++i) {
    low.append({i, n + i});
    high.append({n / 2 + i, n + n / 2 + i});
  }
  for (int64_t step = 1; step < n; step *= 2) {
    SmallVector<Value> next;
    for (int64_t i = 0; i < n / 2; ++i)
      for (ArrayRef<int64_t> order : {ArrayRef<int64_t>(low), ArrayRef<int64_t>(high)})
        next.push_back(vector::ShuffleOp::create(e.b, e.loc, rows[i], rows[n / 2 + i], order));
    rows = next;
  }
  return rows;
}

struct EmitPackKeys : OpRewritePattern<PackKeysOp> {
  TargetAttr target;
  EmitPackKeys(MLIRContext *context, TargetAttr target) : OpRewritePattern(context), target(target) {}
  LogicalResult matchAndRewrite(PackKeysOp op, PatternRewriter &rewriter) const override {
    Emit e(rewriter, op.getLoc(), target.getLanes());
    int64_t heads = op.getHeads(), headDim = cast<MemRefType>(op.getInit().getType()).getDimSize(3);
    int64_t keyDim = cast<MemRefType>(op.getInput().getType()).getRank() == 3 ? 1 : 2;
    Value keys = e.dim(op.getInput(), keyDim), panels = e.dim(op.getInit(), 2);
    Value total = e.mul(e.mul(e.dim(op.getInit(), 0), heads), panels);
    if (op.getRagged())
      RaggedPlace::check(e, op.getRagged(), keys, "ragged: expected offsets that ascend from 0 to the number of keys");
    forTasks(e, total, op, [&](Value task) {
      Value panel = e.rem(task, panels), rest = e.divFloor(task, panels);
      Value head = e.rem(rest, e.idx(heads)), b = e.divFloor(rest, heads);
      Value source = headOf(e, op.getInput(), b, head, e.idx(0), keys, headDim);
      Value first = e.mul(panel, kKeyPanel), end = keys; // rows of the panel
      if (op.getRagged()) {
        RaggedPlace place(e, op.getRagged(), kKeyPanel, panel);
        first = e.add(place.start, e.mul(place.block, kKeyPanel));
        end = e.add(place.start, place.length);
      }
      e.loop(e.idx(0), e.idx(kKeyPanel), e.lanes, [&](Value key) {
        auto square = [&](Value d, int64_t columns) {
          SmallVector<Value> rows;
          for (int64_t i = 0; i < e.lanes; ++i) {
            Value row = e.add(e.add(first, key), i);
            Value count = e.select(e.less(row, end), e.idx(columns), e.idx(0));
            // Lanes that are off may lie anywhere, but a page that is not there costs hundreds of cycles.
            row = e.min(row, e.max(e.idx(0), e.sub(end, e.idx(1))));
            rows.push_back(e.load(source, {row, d}, e.maskFor(count)));
          }
          rows = transposed(e, rows);
          for (int64_t i = 0; i < columns; ++i)
            e.store(rows[i], op.getInit(), {b, head, panel, e.add(d, i), key});
        };
        int64_t whole = headDim / e.lanes * e.lanes;
        e.loop(e.idx(0), e.idx(whole), e.lanes, [&](Value d) { square(d, e.lanes); });
        if (whole != headDim)
          square(e.idx(whole), headDim - whole);
      });
    });
    rewriter.eraseOp(op);
    return success();
  }
};

/// One row of head_dim_v values, zero up to the row's stride.
void packValue(Emit &e, Value source, Value row, Value out, ArrayRef<Value> at, Value column) {
  int64_t headDim = cast<MemRefType>(source.getType()).getShape().back();
  e.overVectors(headDim, {}, [&](Value d, Value mask, ValueRange) -> SmallVector<Value> {
    SmallVector<Value> to(at);
    to.push_back(e.add(column, d));
    e.store(e.load(source, {row, d}, mask), out, to); // the lanes beyond are zero
    return {};
  });
  if (int64_t done = llvm::alignTo(headDim, e.lanes); done < int64_t(llvm::alignTo(headDim, kPanel))) {
    SmallVector<Value> to(at);
    to.push_back(e.add(column, done));
    e.store(e.splat(0), out, to);
  }
}

struct EmitPackValues : OpRewritePattern<PackValuesOp> {
  TargetAttr target;
  EmitPackValues(MLIRContext *context, TargetAttr target) : OpRewritePattern(context), target(target) {}
  LogicalResult matchAndRewrite(PackValuesOp op, PatternRewriter &rewriter) const override {
    Emit e(rewriter, op.getLoc(), target.getLanes());
    int64_t heads = op.getHeads();
    auto input = cast<MemRefType>(op.getInput().getType());
    int64_t headDim = input.getRank() == 3 ? input.getDimSize(2) / heads : input.getDimSize(3);
    Value keys = e.dim(op.getInit(), 2), blocks = e.divCeil(keys, kKeyPanel);
    forTasks(e, e.mul(e.mul(e.dim(op.getInit(), 0), heads), blocks), op, [&](Value task) {
      Value block = e.rem(task, blocks), rest = e.divFloor(task, blocks);
      Value head = e.rem(rest, e.idx(heads)), b = e.divFloor(rest, heads);
      Value source = headOf(e, op.getInput(), b, head, e.idx(0), keys, headDim);
      Value first = e.mul(block, kKeyPanel);
      e.loop(first, e.min(keys, e.add(first, kKeyPanel)), 1,
             [&](Value row) { packValue(e, source, row, op.getInit(), {b, head, row}, e.idx(0)); });
    });
    rewriter.eraseOp(op);
    return success();
  }
};

struct EmitCacheAppend : OpRewritePattern<CacheAppendOp> {
  TargetAttr target;
  EmitCacheAppend(MLIRContext *context, TargetAttr target) : OpRewritePattern(context), target(target) {}
  LogicalResult matchAndRewrite(CacheAppendOp op, PatternRewriter &rewriter) const override {
    Emit e(rewriter, op.getLoc(), target.getLanes());
    auto type = cast<CacheType>(op.getCache().getType());
    auto cache = op.getCache().getDefiningOp<CacheViewOp>();
    int64_t heads = type.getKvHeads(), dk = type.getHeadDim(), dv = type.getHeadDimV();
    int64_t dvp = llvm::alignTo(dv, kPanel);
    Value seq = e.dim(op.getKey(), 1);
    forTasks(e, e.mul(e.dim(op.getKey(), 0), heads), op, [&](Value task) {
      Value head = e.rem(task, e.idx(heads)), b = e.divFloor(task, heads);
      CachePlace place = cachePlace(e, type, cache.getPage(), op.getLayer(), head);
      Value key = headOf(e, op.getKey(), b, head, e.idx(0), seq, dk);
      Value value = headOf(e, op.getValue(), b, head, e.idx(0), seq, dv);
      Value past = e.toIndex(e.load1(cache.getPast(), b));
      auto append = [&](Value s, Value position) {
        Value entry = e.toIndex(e.load1(cache.getTable(), {b, e.divFloor(position, cache.getPage())}));
        Value page = e.mul(entry, place.pageStride), inPage = e.rem(position, cache.getPage());
        Value panel = e.mul(e.divFloor(inPage, kKeyPanel), dk * kKeyPanel);
        Value keyAt = e.add(e.add(e.add(page, place.keyBase), panel), e.rem(inPage, e.idx(kKeyPanel)));
        e.loop(e.idx(0), e.idx(dk), 1, [&](Value d) {
          Value x = e.fromF32(e.toF32(e.load1(key, {s, d})), type.getElementType());
          e.store1(x, cache.getPages(), e.add(keyAt, e.mul(d, kKeyPanel)));
        });
        packValue(e, value, s, cache.getPages(), {}, e.add(e.add(page, place.valueBase), e.mul(inPage, dvp)));
      };
      Value mask = op.getKeyMask();
      if (!mask) {
        e.loop(e.idx(0), seq, 1, [&](Value s) { append(s, e.add(past, s)); });
        return;
      }
      e.loop(e.idx(0), seq, 1, ValueRange(past), [&](Value s, ValueRange position) {
        Value visible = ifGiven(e, mask, e.idx(1), [&] {
          return e.select(isKept(e, mask, {b, s}), e.idx(1), e.idx(0));
        });
        e.ifThen(e.less(e.idx(0), visible), [&] { append(s, position[0]); });
        return SmallVector<Value>{e.add(position[0], visible)};
      });
    });
    rewriter.eraseOp(op);
    return success();
  }
};
} // namespace

void populateEmitPack(RewritePatternSet &patterns, TargetAttr target) {
  patterns.add<EmitPackKeys, EmitPackValues, EmitCacheAppend>(patterns.getContext(), target);
}

} // namespace attnc
