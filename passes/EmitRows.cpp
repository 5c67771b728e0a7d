//===- EmitRows.cpp - Ops over rows of features, and data movement, to vector loops ---------===//
//
// Ops that attn-tile-to-tasks has cut into rows come as [rows, K]. The others make their own tasks here: their task is
// not the same op on a part of the buffers.
//
//===----------------------------------------------------------------------------------===//
#include "passes/RowPattern.h"

namespace attnc {
using namespace attn;

namespace {

template <typename Op> struct EmitNorm : RowPattern<Op> {
  using RowPattern<Op>::RowPattern;
  void emit(Emit &e, Op op) const override {
    NormKind kind = std::is_same_v<Op, LayerNormOp> ? NormKind::layer : NormKind::rms;
    int64_t groups = op.getGroups(), k = lastDim(op.getInput()) / groups;
    e.loop(e.idx(0), e.dim(op.getInput(), 0), 1, [&](Value r) {
      e.loop(e.idx(0), e.idx(groups), 1, [&](Value group) {
        emitNorm(e, kind, op.getEpsilon().convertToDouble(), k, op.getInput(), op.getInit(), r, e.mul(group, k),
                 op.getGamma(), op.getUnitOffset(), op.getBeta());
      });
    });
  }
};

struct EmitL2Norm : RowPattern<L2NormOp> {
  using RowPattern::RowPattern;
  void emit(Emit &e, L2NormOp op) const override {
    int64_t k = lastDim(op.getInput());
    e.loop(e.idx(0), e.dim(op.getInput(), 0), 1, [&](Value r) {
      auto load = [&](Value j, Value mask) { return e.load(op.getInput(), {r, j}, mask); };
      SmallVector<Value> squares = e.overVectors(k, e.splat(0), [&](Value j, Value mask, ValueRange sum) {
        Value x = load(j, mask);
        return SmallVector<Value>{e.fma(x, x, sum[0])};
      });
      Value length = math::SqrtOp::create(e.b, e.loc, e.reduceAdd(squares[0]));
      Value scale = e.broadcast(e.divf(e.f32(1), e.maxf(e.f32(op.getEpsilon().convertToDouble()), length)));
      e.overVectors(k, {}, [&](Value j, Value mask, ValueRange) -> SmallVector<Value> {
        e.store(e.mulf(load(j, mask), scale), op.getInit(), {r, j}, mask);
        return {};
      });
    });
  }
};

/// `map(x)` of every element.
template <typename Op> void mapRows(Emit &e, Op op, function_ref<Value(Value)> map) {
  e.loop(e.idx(0), e.dim(op.getInput(), 0), 1, [&](Value r) {
    e.overVectors(lastDim(op.getInput()), {}, [&](Value j, Value mask, ValueRange) -> SmallVector<Value> {
      e.store(map(e.load(op.getInput(), {r, j}, mask)), op.getInit(), {r, j}, mask);
      return {};
    });
  });
}

struct EmitScale : RowPattern<ScaleOp> {
  using RowPattern::RowPattern;
  void emit(Emit &e, ScaleOp op) const override {
    mapRows(e, op, [&](Value x) { return e.mulf(x, e.splat(op.getFactor().convertToDouble())); });
  }
};

struct EmitSoftCap : RowPattern<SoftCapOp> {
  using RowPattern::RowPattern;
  void emit(Emit &e, SoftCapOp op) const override {
    double cap = op.getCap().convertToDouble();
    mapRows(e, op, [&](Value x) {
      return e.mulf(emitActivation(e, ActivationKind::tanh, e.mulf(x, e.splat(1 / cap))), e.splat(cap));
    });
  }
};

struct EmitActivationOp : RowPattern<ActivationOp> {
  using RowPattern::RowPattern;
  void emit(Emit &e, ActivationOp op) const override {
    e.loop(e.idx(0), e.dim(op.getInput(), 0), 1, [&](Value r) {
      e.overVectors(lastDim(op.getInput()), {}, [&](Value j, Value mask, ValueRange) -> SmallVector<Value> {
        auto most = [&](Value x, Value limit) {
          return e.select(arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OGT, x, limit), limit, x);
        };
        Value x = e.load(op.getInput(), {r, j}, mask);
        Value times = op.getTimes() ? e.load(op.getTimes(), {r, j}, mask) : Value();
        if (op.getLimit()) {
          double limit = op.getLimit()->convertToDouble();
          x = most(x, e.splat(limit));
          times = e.maxf(e.splat(-limit), most(times, e.splat(limit)));
        }
        x = emitActivation(e, op.getKind(), x);
        if (!op.getTimesOffset().isZero())
          times = e.addf(times, e.splat(op.getTimesOffset().convertToDouble()));
        e.store(times ? e.mulf(x, times) : x, op.getInit(), {r, j}, mask);
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
                       idsMessage(entries));
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

//===----------------------------------------------------------------------===//
// Ops that make their own tasks
//===----------------------------------------------------------------------===//

struct EmitCheckIds : RowPattern<CheckIdsOp> {
  using RowPattern::RowPattern;
  void emit(Emit &e, CheckIdsOp op) const override {
    (void)ifGiven(e, op.getIds(), e.idx(0), [&] {
      Value ids = flattenRows(e, op.getIds(), /*features=*/0);
      e.loop(e.idx(0), e.dim(ids, 0), 1, [&](Value i) {
        (void)inRange(e, e.toIndex(e.load1(ids, i)), op.getBelow(), op.getMessage());
      });
      return e.idx(0);
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
                         kTokenMessage);
        });
      int64_t k = lastDim(op.getInit());
      auto copy = [&](Value j) { e.store1(e.load1(op.getInput(), {b, at, j}), op.getInit(), {b, j}); };
      e.loop(e.idx(0), ShapedType::isDynamic(k) ? e.dim(op.getInit(), 1) : e.idx(k), 1, copy);
    });
  }
};

/// Token by token into the result, which stays in the first-level cache: each is read once, in order.
struct EmitPool : RowPattern<PoolOp> {
  using RowPattern::RowPattern;
  void emit(Emit &e, PoolOp op) const override {
    Value input = op.getInput(), mask = op.getMask(), out = op.getInit();
    int64_t k = lastDim(out);
    PoolKind kind = op.getKind();
    forTasks(e, e.dim(input, 0), op, [&](Value b) {
      Value zero = e.idx(0), one = e.idx(1), seq = e.dim(input, 1);
      /// new(features j) of the result
      auto update = [&](function_ref<Value(Value, Value)> value) {
        e.overVectors(k, {}, [&](Value j, Value lanes, ValueRange) -> SmallVector<Value> {
          e.store(value(j, lanes), out, {b, j}, lanes);
          return {};
        });
      };
      auto copy = [&](Value s) { update([&](Value j, Value lanes) { return e.load(input, {b, s, j}, lanes); }); };
      bool isMax = kind == PoolKind::max;
      update([&](Value, Value) { return e.splat(isMax ? -std::numeric_limits<double>::infinity() : 0); });
      if (kind == PoolKind::first)
        return e.ifThen(e.less(zero, seq), [&] { copy(zero); });

      Value always = arith::ConstantIntOp::create(e.b, e.loc, 1, 1);
      // The weights of visible tokens and, one more, the last of these.
      SmallVector<Value> found = e.loop(zero, seq, 1, {zero, zero}, [&](Value s, ValueRange sofar) {
        Value isVisible = mask ? ifGiven(e, mask, always, [&] { return isKept(e, mask, {b, s}); }) : always;
        Value next = e.add(s, 1), weight = kind == PoolKind::weighted_mean ? next : one;
        if (kind != PoolKind::last)
          e.ifThen(isVisible, [&] {
            Value factor = e.broadcast(toF32(e, weight));
            update([&](Value j, Value lanes) {
              Value sum = e.load(out, {b, j}, lanes), x = e.load(input, {b, s, j}, lanes);
              return isMax ? e.maxf(x, sum) : e.fma(x, factor, sum);
            });
          });
        return SmallVector<Value>{e.add(sofar[0], e.select(isVisible, weight, zero)), e.select(isVisible, next, sofar[1])};
      });
      Value isAny = e.less(zero, found[1]);
      if (kind == PoolKind::last)
        return e.ifThen(isAny, [&] { copy(e.sub(found[1], one)); });
      Value scale = e.f32(1);
      if (!isMax) {
        Value by = toF32(e, e.max(one, found[0]));
        scale = e.divf(scale, kind == PoolKind::mean_sqrt ? math::SqrtOp::create(e.b, e.loc, by).getResult() : by);
      }
      update([&](Value j, Value lanes) {
        return e.select(isAny, e.mulf(e.load(out, {b, j}, lanes), e.broadcast(scale)), e.splat(0));
      });
    });
  }

  static Value toF32(Emit &e, Value index) {
    Value i = arith::IndexCastOp::create(e.b, e.loc, e.b.getI64Type(), index);
    return arith::SIToFPOp::create(e.b, e.loc, e.b.getF32Type(), i);
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
  patterns.add<EmitNorm<LayerNormOp>, EmitNorm<RMSNormOp>, EmitL2Norm, EmitScale, EmitSoftCap, EmitActivationOp, EmitLogSoftmax, EmitArgmax,
               EmitEmbedding, EmitCheckIds, EmitSelectToken, EmitPool, EmitShiftRight, EmitHeads<SplitHeadsOp>, EmitHeads<MergeHeadsOp>>(
      patterns.getContext(), target);
}

} // namespace attnc
