//===- Positions.h - What positions are turned into, on CPUs and on devices ----------------===//
#ifndef ATTNC_PASSES_POSITIONS_H
#define ATTNC_PASSES_POSITIONS_H

#include "passes/Emit.h"

#include <cmath>

namespace attnc {

/// Mathematics in f64 that inlines, as a compiled file calls no library; of values of one type, f64 or vectors of it.
struct Reals {
  /// 1.5·2⁵²: adding it leaves the nearest integer in the low bits.
  static constexpr double kRound = 6755399441055744.0;

  Emit &e;
  Type type, bits; // bits: the same number of i64

  explicit Reals(Emit &e) : e(e), type(e.b.getF64Type()), bits(e.b.getI64Type()) {}
  Reals(Emit &e, int64_t lanes) : Reals(e) {
    type = VectorType::get({lanes}, type);
    bits = VectorType::get({lanes}, bits);
  }

  Value k(double v) {
    auto vector = dyn_cast<VectorType>(type);
    TypedAttr attr = vector ? TypedAttr(DenseElementsAttr::get(vector, v)) : TypedAttr(e.b.getF64FloatAttr(v));
    return arith::ConstantOp::create(e.b, e.loc, attr);
  }
  Value integer(int64_t v) {
    auto vector = dyn_cast<VectorType>(bits);
    TypedAttr attr = vector ? TypedAttr(DenseElementsAttr::get(vector, v)) : TypedAttr(e.b.getI64IntegerAttr(v));
    return arith::ConstantOp::create(e.b, e.loc, attr);
  }
  Value fma(Value a, Value c, Value sum) { return math::FmaOp::create(e.b, e.loc, a, c, sum); }
  Value asBits(Value x) { return arith::BitcastOp::create(e.b, e.loc, bits, x); }
  Value asReal(Value x) { return arith::BitcastOp::create(e.b, e.loc, type, x); }
  /// All lanes the f64 `x`.
  Value all(Value x) { return type == x.getType() ? x : vector::BroadcastOp::create(e.b, e.loc, type, x).getResult(); }
  /// An index as f64, in all lanes.
  Value from(Value index) {
    Value i = arith::IndexCastOp::create(e.b, e.loc, e.b.getI64Type(), index);
    return all(arith::SIToFPOp::create(e.b, e.loc, e.b.getF64Type(), i));
  }
  /// first, first + 1, … by lane.
  Value count(Value first) {
    SmallVector<double> lanes;
    for (int64_t l = 0; l < cast<VectorType>(type).getDimSize(0); ++l)
      lanes.push_back(l);
    auto attr = DenseElementsAttr::get(cast<VectorType>(type), ArrayRef<double>(lanes));
    return e.addf(from(first), arith::ConstantOp::create(e.b, e.loc, attr));
  }

  /// 2^x for |x| ≤ 1022.
  Value exp2(Value x) {
    Value magic = k(kRound + 1023), t = e.addf(x, magic);
    Value f = e.mulf(e.subf(x, e.subf(t, magic)), k(M_LN2)), p = k(1);
    for (int n = 14; n > 0; --n) // Taylor of e^f, |f| < 0.35
      p = fma(e.mulf(p, f), k(1.0 / n), k(1));
    return e.mulf(p, asReal(arith::ShLIOp::create(e.b, e.loc, asBits(t), integer(52))));
  }

  /// log2(x) for normal x > 0.
  Value log2(Value x) {
    Value word = asBits(x);
    Value fraction = asReal(arith::OrIOp::create(
        e.b, e.loc, arith::AndIOp::create(e.b, e.loc, word, integer((int64_t(1) << 52) - 1)), integer(int64_t(1023) << 52)));
    Value exponent = arith::SubIOp::create(e.b, e.loc, arith::ShRUIOp::create(e.b, e.loc, word, integer(52)), integer(1023));
    // log(m) = 2·artanh(s), s = (m - 1)/(m + 1) < 1/3
    Value s = e.divf(e.subf(fraction, k(1)), e.addf(fraction, k(1))), s2 = e.mulf(s, s), sum = k(0);
    for (int n = 17; n >= 0; --n)
      sum = fma(sum, s2, k(2 / M_LN2 / (2 * n + 1)));
    return fma(s, sum, arith::SIToFPOp::create(e.b, e.loc, type, exponent));
  }

  struct SinCos {
    Value sin, cos;
  };
  /// Of f32's accuracy for |angle| up to 2³⁰: f32 angles would lose theirs at large positions.
  SinCos sinCos(Value angle) {
    // Reduce to |r| ≤ π by whole turns, then Taylor.
    Value turns = e.subf(fma(angle, k(0.5 / M_PI), k(kRound)), k(kRound));
    Value r = fma(turns, k(-2 * M_PI), angle), r2 = e.mulf(r, r);
    auto series = [&](int terms, int offset) { // Σ (-1)^n r^2n / (2n + offset)!
      Value s = k(1);
      for (int n = terms; n > 0; --n)
        s = fma(e.mulf(s, r2), k(-1.0 / ((2 * n - 1 + offset) * (2 * n + offset))), k(1));
      return s;
    };
    return {e.mulf(series(14, 1), r), series(14, 0)};
  }

  Value toF32(Value x) {
    auto vector = dyn_cast<VectorType>(type);
    Type f32 = e.b.getF32Type();
    return arith::TruncFOp::create(e.b, e.loc, vector ? Type(vector.clone(f32)) : f32, x);
  }
};

/// Dynamic NTK: log2 of what frequency i is multiplied by, for each i, in a row whose largest position is `last`; 0 in
/// short rows.
Value emitNtkGrowth(Emit &e, attn::RotaryTableOp op, Value last, Value isLong);

/// The row of a relative bias' table for column `column` of its result, which stands for a distance.
Value emitBucket(Emit &e, attn::RelativeBiasOp op, Value column);

} // namespace attnc

#endif // ATTNC_PASSES_POSITIONS_H
