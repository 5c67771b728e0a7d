//===- EmitExperts.cpp - attn.route and attn.combine_experts to loops over rows --------------===//
//
// Their products are emitted with attn.linear's, in EmitLinear.cpp.
//
//===----------------------------------------------------------------------------------===//
#include "passes/RowPattern.h"

namespace attnc {
using namespace attn;

namespace {

/// One scan over the logits for each choice: the largest that comes after the last one in the order of (logit descending,
/// index ascending). Experts and choices are few.
struct EmitRoute : RowPattern<RouteOp> {
  using RowPattern::RowPattern;
  void emit(Emit &e, RouteOp op) const override {
    Value weights = op.getInit(), k = e.idx(op.getTopK());
    const float infinity = std::numeric_limits<float>::infinity();
    e.loop(e.idx(0), e.dim(op.getLogits(), 0), 1, [&](Value r) {
      e.loop(e.idx(0), k, 1, {e.f32(infinity), e.idx(-1)}, [&](Value c, ValueRange last) {
        SmallVector<Value> best = largestAfter(e, op.getLogits(), r, last);
        e.store1(best[0], weights, {r, c});
        e.store1(arith::IndexCastOp::create(e.b, e.loc, e.b.getI64Type(), best[1]), op.getExpertsInit(), {r, c});
        return best;
      });
      Value most = e.load1(weights, {r, e.idx(0)});
      Value sum = e.loop(e.idx(0), k, 1, ValueRange(e.f32(0)), [&](Value c, ValueRange sum) {
        Value x = emitExp2(e, e.mulf(e.subf(e.load1(weights, {r, c}), most), e.f32(1.4426950408889634)));
        e.store1(x, weights, {r, c});
        return SmallVector<Value>{e.addf(sum[0], x)};
      })[0];
      e.loop(e.idx(0), k, 1, [&](Value c) { e.store1(e.divf(e.load1(weights, {r, c}), sum), weights, {r, c}); });
    });
  }

  /// Logit and index of the next choice after `last`; NaN and 0 where none is left.
  static SmallVector<Value> largestAfter(Emit &e, Value logits, Value r, ValueRange last) {
    auto compare = [&](arith::CmpFPredicate predicate, Value a, Value c) -> Value {
      return arith::CmpFOp::create(e.b, e.loc, predicate, a, c);
    };
    SmallVector<Value> none = {e.f32(std::numeric_limits<double>::quiet_NaN()), e.idx(0)};
    return e.loop(e.idx(0), e.dim(logits, 1), 1, none, [&](Value j, ValueRange best) {
      Value x = e.load1(logits, {r, j});
      Value isEqual = compare(arith::CmpFPredicate::OEQ, x, last[0]);
      Value isAfter = arith::OrIOp::create(e.b, e.loc, compare(arith::CmpFPredicate::OLT, x, last[0]),
                                           arith::AndIOp::create(e.b, e.loc, isEqual, e.less(last[1], j)));
      Value isBetter = arith::AndIOp::create(e.b, e.loc, isAfter, compare(arith::CmpFPredicate::UGT, x, best[0]));
      return SmallVector<Value>{e.select(isBetter, x, best[0]), e.select(isBetter, j, best[1])};
    });
  }
};

struct EmitCombineExperts : RowPattern<CombineExpertsOp> {
  using RowPattern::RowPattern;
  void emit(Emit &e, CombineExpertsOp op) const override {
    ArrayRef<int64_t> shape = cast<MemRefType>(op.getInput().getType()).getShape(); // [rows, top_k, N]
    e.loop(e.idx(0), e.dim(op.getInit(), 0), 1, [&](Value r) {
      e.overVectors(shape[2], {}, [&](Value j, Value mask, ValueRange) -> SmallVector<Value> {
        auto weight = [&](Value c) { return e.broadcast(e.load1(op.getWeights(), {r, c})); };
        auto input = [&](Value c) { return e.load(op.getInput(), {r, c, j}, mask); };
        Value first = e.mulf(weight(e.idx(0)), input(e.idx(0)));
        Value sum = e.loop(e.idx(1), e.idx(shape[1]), 1, ValueRange(first), [&](Value c, ValueRange sum) {
          return SmallVector<Value>{e.fma(weight(c), input(c), sum[0])};
        })[0];
        if (op.getResidual())
          sum = e.addf(sum, e.load(op.getResidual(), {r, j}, mask));
        e.store(sum, op.getInit(), {r, j}, mask);
        return {};
      });
    });
  }
};
} // namespace

void populateEmitExperts(RewritePatternSet &patterns, TargetAttr target) {
  patterns.add<EmitRoute, EmitCombineExperts>(patterns.getContext(), target);
}

} // namespace attnc
