//===- EmitRows.cpp - Ops over rows of features, and data movement, to vector loops ---------===//
//
// Ops that attn-tile-to-tasks has cut into rows come as [rows, K]. The others make their own tasks here: their task is
// not the same op on a part of the buffers.
//
//===----------------------------------------------------------------------------------===//
#include "passes/Tasks.h"
#include "runtime/attn_abi.h"

#include <cmath>

namespace attnc {
using namespace attn;

namespace {

template <typename Op> struct RowPattern : OpRewritePattern<Op> {
  TargetAttr target;
  RowPattern(MLIRContext *context, TargetAttr target) : OpRewritePattern<Op>(context), target(target) {}
  virtual void emit(Emit &e, Op op) const = 0;
  LogicalResult matchAndRewrite(Op op, PatternRewriter &rewriter) const override {
    Emit e(rewriter, op.getLoc(), target.getLanes());
    emit(e, op);
    rewriter.eraseOp(op);
    return success();
  }
};

int64_t lastDim(Value memref) { return cast<MemRefType>(memref.getType()).getShape().back(); }

/// `read()` where an optional argument was given at run time, else `otherwise`.
Value ifGiven(Emit &e, Value memref, Value otherwise, function_ref<Value()> read) {
  Value pointer = memref::ExtractAlignedPointerAsIndexOp::create(e.b, e.loc, memref);
  Value given = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ne, pointer, e.idx(0));
  auto choose = scf::IfOp::create(e.b, e.loc, TypeRange(otherwise.getType()), given, /*withElse=*/true);
  OpBuilder::InsertionGuard guard(e.b);
  e.b.setInsertionPointToStart(choose.thenBlock());
  scf::YieldOp::create(e.b, e.loc, ValueRange(read()));
  e.b.setInsertionPointToStart(choose.elseBlock());
  scf::YieldOp::create(e.b, e.loc, ValueRange(otherwise));
  return choose.getResult(0);
}

/// Fails the run if `value` is outside 0 ≤ value < size; returns it, or 0 then.
Value inRange(Emit &e, Value value, Value size, const Twine &message) {
  Value bad = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::uge, value, size);
  FailOp::create(e.b, e.loc, bad, ATTN_RANGE, message.str());
  return e.select(bad, e.idx(0), value);
}

template <typename Op> struct EmitNorm : RowPattern<Op> {
  using RowPattern<Op>::RowPattern;
  void emit(Emit &e, Op op) const override {
    NormKind kind = std::is_same_v<Op, LayerNormOp> ? NormKind::layer : NormKind::rms;
    e.loop(e.idx(0), e.dim(op.getInput(), 0), 1, [&](Value r) {
      emitNorm(e, kind, op.getEpsilon().convertToDouble(), lastDim(op.getInput()), op.getInput(), r, op.getGamma(),
               op.getBeta(), op.getInit(), r);
    });
  }
};

struct EmitActivationOp : RowPattern<ActivationOp> {
  using RowPattern::RowPattern;
  void emit(Emit &e, ActivationOp op) const override {
    e.loop(e.idx(0), e.dim(op.getInput(), 0), 1, [&](Value r) {
      e.overVectors(lastDim(op.getInput()), {}, [&](Value j, Value mask, ValueRange) -> SmallVector<Value> {
        e.store(emitActivation(e, op.getKind(), e.load(op.getInput(), {r, j}, mask)), op.getInit(), {r, j}, mask);
        return {};
      });
    });
  }
};

struct EmitLogSoftmax : RowPattern<LogSoftmaxOp> {
  using RowPattern::RowPattern;
  void emit(Emit &e, LogSoftmaxOp op) const override {
    const double log2e = 1.4426950408889634;
    int64_t k = lastDim(op.getInput());
    e.loop(e.idx(0), e.dim(op.getInput(), 0), 1, [&](Value r) {
      Value lowest = e.splat(-std::numeric_limits<double>::infinity());
      auto load = [&](Value j, Value mask) {
        Value x = e.load(op.getInput(), {r, j}, mask);
        return mask ? e.select(mask, x, lowest) : x;
      };
      SmallVector<Value> most = e.overVectors(k, lowest, [&](Value j, Value mask, ValueRange m) {
        return SmallVector<Value>{e.maxf(m[0], load(j, mask))};
      });
      Value max = e.reduceMax(most[0]);
      SmallVector<Value> sum = e.overVectors(k, e.splat(0), [&](Value j, Value mask, ValueRange s) {
        Value x = e.mulf(e.subf(load(j, mask), e.broadcast(max)), e.splat(log2e));
        return SmallVector<Value>{e.addf(s[0], emitExp2(e, x))};
      });
      Value log = math::LogOp::create(e.b, e.loc, e.reduceAdd(sum[0]));
      Value shift = e.broadcast(e.addf(max, log));
      e.overVectors(k, {}, [&](Value j, Value mask, ValueRange) -> SmallVector<Value> {
        e.store(e.subf(e.load(op.getInput(), {r, j}, mask), shift), op.getInit(), {r, j}, mask);
        return {};
      });
    });
  }
};

/// A plain loop: ties go to the lowest index, NaN never wins.
struct EmitArgmax : RowPattern<ArgmaxOp> {
  using RowPattern::RowPattern;
  void emit(Emit &e, ArgmaxOp op) const override {
    e.loop(e.idx(0), e.dim(op.getInput(), 0), 1, [&](Value r) {
      SmallVector<Value> best = {e.f32(-std::numeric_limits<double>::infinity()), e.idx(0)};
      best = e.loop(e.idx(0), e.idx(lastDim(op.getInput())), 1, best, [&](Value j, ValueRange carried) {
        Value x = e.load1(op.getInput(), {r, j});
        Value better = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OGT, x, carried[0]);
        return SmallVector<Value>{e.select(better, x, carried[0]), e.select(better, j, carried[1])};
      });
      e.store1(arith::IndexCastOp::create(e.b, e.loc, e.b.getI64Type(), best[1]), op.getInit(), r);
    });
  }
};

struct EmitEmbedding : RowPattern<EmbeddingOp> {
  using RowPattern::RowPattern;
  void emit(Emit &e, EmbeddingOp op) const override {
    int64_t k = lastDim(op.getInit());
    auto table = cast<MemRefType>(op.getTable().getType());
    int64_t entries = op.getEntries().value_or(table.getDimSize(0));
    e.loop(e.idx(0), e.dim(op.getIds(), 0), 1, [&](Value r) {
      Value id = ifGiven(e, op.getIds(), e.idx(0), [&] {
        return inRange(e, e.toIndex(e.load1(op.getIds(), r)), e.idx(entries),
                       "embedding: expected ids in [0, " + Twine(entries) + ")");
      });
      if (table.getRank() == 2) {
        e.overVectors(k, {}, [&](Value j, Value mask, ValueRange) -> SmallVector<Value> {
          Value x = e.load(op.getTable(), {id, j}, mask);
          if (op.getResidual())
            x = e.addf(x, e.load(op.getResidual(), {r, j}, mask));
          e.store(x, op.getInit(), {r, j}, mask);
          return {};
        });
        return;
      }
      // One value at a time: a row of a packed table is strided, and this is far from any hot loop.
      e.loop(e.idx(0), e.idx(k), 1, [&](Value j) {
        Value x;
        if (table.getRank() == 3)
          x = e.load1(op.getTable(), {e.divFloor(id, kPanel), j, e.rem(id, e.idx(kPanel))});
        else
          x = e.load1(op.getTable(),
                      {e.divFloor(id, kPanel), e.divFloor(j, 2), e.rem(id, e.idx(kPanel)), e.rem(j, e.idx(2))});
        if (!x.getType().isF32())
          x = arith::ExtFOp::create(e.b, e.loc, e.b.getF32Type(), x);
        if (op.getResidual())
          x = e.addf(x, e.load1(op.getResidual(), {r, j}));
        e.store1(x, op.getInit(), {r, j});
      });
    });
  }
};

/// sin and cos of position·frequency; the angle is reduced in f64, where f32 would lose it at large positions.
struct Angles {
  Emit &e;
  Value sin, cos; // f32 scalars
  Angles(Emit &e, Value position, Value pair, double base, int64_t width) : e(e) {
    // base^(-2·pair/width) = 2^(pair·step)
    OpBuilder &b = e.b;
    auto f64 = [&](double v) { return arith::ConstantOp::create(b, e.loc, b.getF64FloatAttr(v)).getResult(); };
    auto real = [&](Value index) {
      Value i = arith::IndexCastOp::create(b, e.loc, b.getI64Type(), index);
      return arith::SIToFPOp::create(b, e.loc, b.getF64Type(), i).getResult();
    };
    // The power as repeated squaring would need a loop; a polynomial of 2^f in f64 is exact enough and inlines.
    Value x = e.mulf(real(pair), f64(-2.0 / width * std::log2(base)));
    Value i = math::FloorOp::create(b, e.loc, x);
    Value f = e.mulf(e.subf(x, i), f64(M_LN2));
    Value p = f64(1);
    for (int n = 14; n > 0; --n) // Taylor of e^f, f < 0.7
      p = math::FmaOp::create(b, e.loc, e.mulf(p, f), f64(1.0 / n), f64(1));
    Value bits = arith::ShLIOp::create(
        b, e.loc,
        arith::AddIOp::create(b, e.loc, arith::FPToSIOp::create(b, e.loc, b.getI64Type(), i),
                              arith::ConstantOp::create(b, e.loc, b.getI64IntegerAttr(1023))),
        arith::ConstantOp::create(b, e.loc, b.getI64IntegerAttr(52)));
    Value frequency = e.mulf(p, arith::BitcastOp::create(b, e.loc, b.getF64Type(), bits));
    Value angle = e.mulf(real(position), frequency);
    // Reduce to |r| ≤ π by whole turns, then Taylor in f64.
    Value turns = math::FloorOp::create(
        b, e.loc, math::FmaOp::create(b, e.loc, angle, f64(0.5 / M_PI), f64(0.5)));
    Value r = math::FmaOp::create(b, e.loc, turns, f64(-2 * M_PI), angle);
    Value r2 = e.mulf(r, r);
    auto series = [&](int terms, int offset) { // Σ (-1)^n r^2n / (2n + offset)!
      Value s = f64(1);
      for (int n = terms; n > 0; --n)
        s = math::FmaOp::create(b, e.loc, e.mulf(s, r2), f64(-1.0 / ((2 * n - 1 + offset) * (2 * n + offset))), f64(1));
      return s;
    };
    sin = arith::TruncFOp::create(b, e.loc, b.getF32Type(), e.mulf(series(14, 1), r));
    cos = arith::TruncFOp::create(b, e.loc, b.getF32Type(), series(14, 0));
  }
};

struct EmitPositionalEncoding : RowPattern<PositionalEncodingOp> {
  using RowPattern::RowPattern;
  void emit(Emit &e, PositionalEncodingOp op) const override {
    int64_t k = lastDim(op.getInit());
    e.loop(e.idx(0), e.dim(op.getPositions(), 0), 1, [&](Value r) {
      Value position = e.toIndex(e.load1(op.getPositions(), r));
      e.loop(e.idx(0), e.idx(k / 2), 1, [&](Value i) {
        Angles angles(e, position, i, 10000.0, k);
        e.store1(angles.sin, op.getInit(), {r, e.mul(i, 2)});
        e.store1(angles.cos, op.getInit(), {r, e.add(e.mul(i, 2), 1)});
      });
      if (k % 2)
        e.store1(Angles(e, position, e.idx(k / 2), 10000.0, k).sin, op.getInit(), {r, e.idx(k - 1)});
    });
  }
};

struct EmitRotary : RowPattern<RotaryOp> {
  using RowPattern::RowPattern;
  void emit(Emit &e, RotaryOp op) const override {
    int64_t heads = op.getHeads(), headDim = lastDim(op.getInput()) / heads;
    int64_t dim = op.getRotaryDim().value_or(headDim), half = dim / 2;
    e.loop(e.idx(0), e.dim(op.getInput(), 0), 1, [&](Value r) {
      Value position = e.toIndex(e.load1(op.getPositions(), r));
      e.loop(e.idx(0), e.idx(half), 1, [&](Value i) {
        Angles angles(e, position, i, op.getTheta().convertToDouble(), dim);
        e.loop(e.idx(0), e.idx(heads), 1, [&](Value h) {
          Value base = e.mul(h, headDim);
          Value j0 = op.getInterleaved() ? e.add(base, e.mul(i, 2)) : e.add(base, i);
          Value j1 = e.add(j0, op.getInterleaved() ? 1 : half);
          Value a = e.load1(op.getInput(), {r, j0}), c = e.load1(op.getInput(), {r, j1});
          e.store1(e.subf(e.mulf(a, angles.cos), e.mulf(c, angles.sin)), op.getInit(), {r, j0});
          e.store1(e.addf(e.mulf(c, angles.cos), e.mulf(a, angles.sin)), op.getInit(), {r, j1});
        });
      });
      e.loop(e.idx(0), e.idx(heads), 1, [&](Value h) {
        e.loop(e.idx(dim), e.idx(headDim), 1, [&](Value j) {
          Value at = e.add(e.mul(h, headDim), j);
          e.store1(e.load1(op.getInput(), {r, at}), op.getInit(), {r, at});
        });
      });
    });
  }
};

//===----------------------------------------------------------------------===//
// Ops that make their own tasks
//===----------------------------------------------------------------------===//

struct EmitPositions : RowPattern<PositionsOp> {
  using RowPattern::RowPattern;
  void emit(Emit &e, PositionsOp op) const override {
    auto cache = op.getCache() ? op.getCache().getDefiningOp<CacheViewOp>() : CacheViewOp();
    Type type = cast<MemRefType>(op.getInit().getType()).getElementType();
    forTasks(e, e.idx(1), op, [&](Value) {
      e.loop(e.idx(0), e.dim(op.getInit(), 0), 1, [&](Value b) {
        Value past = cache ? e.toIndex(e.load1(cache.getPast(), b)) : e.idx(0);
        e.loop(e.idx(0), e.dim(op.getInit(), 1), 1, [&](Value s) {
          Value p = arith::IndexCastOp::create(e.b, e.loc, type, e.add(past, s));
          if (op.getGiven())
            p = ifGiven(e, op.getGiven(), p, [&] { return e.load1(op.getGiven(), {b, s}); });
          e.store1(p, op.getInit(), {b, s});
        });
      });
    });
  }
};

struct EmitSelectToken : RowPattern<SelectTokenOp> {
  using RowPattern::RowPattern;
  void emit(Emit &e, SelectTokenOp op) const override {
    forTasks(e, e.dim(op.getInit(), 0), op, [&](Value b) {
      Value size = e.dim(op.getInput(), 1), at = e.sub(size, e.idx(1));
      if (op.getAt())
        at = ifGiven(e, op.getAt(), at, [&] {
          return inRange(e, e.toIndex(e.load1(op.getAt(), b)), size,
                         "select_token: expected an index within the sequence");
        });
      int64_t k = lastDim(op.getInit());
      auto copy = [&](Value j) { e.store1(e.load1(op.getInput(), {b, at, j}), op.getInit(), {b, j}); };
      e.loop(e.idx(0), ShapedType::isDynamic(k) ? e.dim(op.getInit(), 1) : e.idx(k), 1, copy);
    });
  }
};

struct EmitShiftRight : RowPattern<ShiftRightOp> {
  using RowPattern::RowPattern;
  void emit(Emit &e, ShiftRightOp op) const override {
    auto type = cast<MemRefType>(op.getInit().getType());
    forTasks(e, e.dim(op.getInit(), 0), op, [&](Value b) {
      SmallVector<Value> at = {b};
      std::function<void(int64_t)> nest = [&](int64_t d) {
        if (d < type.getRank()) {
          e.loop(e.idx(0), e.dim(op.getInit(), d), 1, [&](Value i) {
            at.push_back(i);
            nest(d + 1);
            at.pop_back();
          });
          return;
        }
        SmallVector<Value> from(at);
        Value isFirst = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::eq, at[1], e.idx(0));
        from[1] = e.select(isFirst, e.idx(0), e.sub(at[1], e.idx(1)));
        Value zero = arith::ConstantOp::create(e.b, e.loc, e.b.getZeroAttr(type.getElementType()));
        e.store1(e.select(isFirst, zero, e.load1(op.getInput(), from)), op.getInit(), at);
      };
      nest(1);
    });
  }
};

/// split_heads and merge_heads that nothing folded: a transpose, element by element.
template <typename Op> struct EmitHeads : RowPattern<Op> {
  using RowPattern<Op>::RowPattern;
  void emit(Emit &e, Op op) const override {
    bool split = std::is_same_v<Op, SplitHeadsOp>;
    Value wide = split ? op.getInput() : op.getInit(), tall = split ? op.getInit() : op.getInput();
    int64_t heads = cast<MemRefType>(tall.getType()).getDimSize(1), headDim = lastDim(tall);
    forTasks(e, e.dim(wide, 0), op, [&](Value b) {
      e.loop(e.idx(0), e.dim(wide, 1), 1, [&](Value s) {
        e.loop(e.idx(0), e.idx(heads), 1, [&](Value h) {
          e.loop(e.idx(0), e.idx(headDim), 1, [&](Value d) {
            SmallVector<Value> w = {b, s, e.add(e.mul(h, headDim), d)}, t = {b, h, s, d};
            e.store1(e.load1(op.getInput(), split ? w : t), op.getInit(), split ? t : w);
          });
        });
      });
    });
  }
};
} // namespace

void populateEmitRows(RewritePatternSet &patterns, TargetAttr target) {
  patterns.add<EmitNorm<LayerNormOp>, EmitNorm<RMSNormOp>, EmitActivationOp, EmitLogSoftmax, EmitArgmax, EmitEmbedding,
               EmitPositionalEncoding, EmitRotary, EmitPositions, EmitSelectToken, EmitShiftRight,
               EmitHeads<SplitHeadsOp>, EmitHeads<MergeHeadsOp>>(
      patterns.getContext(), target);
}

} // namespace attnc
