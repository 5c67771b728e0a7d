//===- EmitMath.cpp - exp2, activations and norms as vector arithmetic ---------------------===//
#include "passes/Emit.h"

#include <cmath>

namespace attnc {
using namespace attn;

namespace {
/// Arithmetic on f32 values of one type, scalar or vector.
struct Values {
  Emit &e;
  Type type;

  Value k(double v) {
    auto vector = dyn_cast<VectorType>(type);
    TypedAttr attr = vector ? TypedAttr(DenseElementsAttr::get(vector, APFloat(float(v))))
                            : TypedAttr(e.b.getF32FloatAttr(v));
    return arith::ConstantOp::create(e.b, e.loc, attr);
  }
  Type intType() {
    auto vector = dyn_cast<VectorType>(type);
    return vector ? Type(vector.clone(e.b.getI32Type())) : Type(e.b.getI32Type());
  }
  Value intK(int64_t v) {
    auto vector = dyn_cast<VectorType>(intType());
    TypedAttr attr = vector ? TypedAttr(DenseElementsAttr::get(vector, APInt(32, v)))
                            : TypedAttr(e.b.getI32IntegerAttr(v));
    return arith::ConstantOp::create(e.b, e.loc, attr);
  }
  Value fma(Value a, Value b, Value c) { return math::FmaOp::create(e.b, e.loc, a, b, c); }
  Value minf(Value a, Value c) {
    return e.select(arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OLT, a, c), a, c);
  }
  /// 1 / (1 + e^-x); the exponent is cut where the result is below f32's smallest normal number.
  Value sigmoid(Value x) {
    Value t = minf(k(126), e.mulf(x, k(-1.44269504088896)));
    return e.divf(k(1), e.addf(k(1), emitExp2(e, t)));
  }
  Value exp(Value x) { return emitExp2(e, minf(k(126), e.mulf(x, k(1.44269504088896)))); }
};
} // namespace

Value emitExp2(Emit &e, Value x) {
  Values v{e, x.getType()};
  // x = i + f with |f| ≤ 1/2. Adding 1.5·2²³ + 127 rounds to an integer whose low bits are i + 127, the exponent of 2^i;
  // at i = -127 that is 0, so everything at or below -127 gives exactly 0.
  Value magic = v.k(12582912.0 + 127.0);
  x = e.maxf(v.k(-127), x);
  Value t = e.addf(x, magic);
  Value f = e.subf(x, e.subf(t, magic));
  Value bits = arith::BitcastOp::create(e.b, e.loc, v.intType(), t);
  Value power = arith::BitcastOp::create(e.b, e.loc, x.getType(),
                                         arith::ShLIOp::create(e.b, e.loc, bits, v.intK(23)));
  // Minimax of the relative error on [-1/2, 1/2], degree 6: 8e-8 in f32.
  static const double c[] = {1.0, 0.69314718246, 0.24022646249, 0.05550328642, 0.0096184890717, 0.0013399930904,
                             0.00015345812426};
  Value p = v.k(c[6]);
  for (int i = 5; i >= 0; --i)
    p = v.fma(p, f, v.k(c[i]));
  return e.mulf(p, power);
}

Value emitActivation(Emit &e, ActivationKind kind, Value x) {
  Values v{e, x.getType()};
  auto math = [&](auto op, Value x) { return decltype(op)::create(e.b, e.loc, x).getResult(); };
  auto positive = [&](Value x) { return arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OGT, x, v.k(0)); };
  Value relu = e.maxf(v.k(0), x);
  auto hardSigmoid = [&] { return e.mulf(v.minf(v.k(6), e.maxf(v.k(0), e.addf(x, v.k(3)))), v.k(1.0 / 6)); };
  auto softplus = [&] {
    Value small = v.exp(e.mulf(math(math::AbsFOp(), x), v.k(-1)));
    return e.addf(relu, math(math::Log1pOp(), small));
  };
  switch (kind) {
  case ActivationKind::none:
    return x;
  case ActivationKind::relu:
    return relu;
  case ActivationKind::relu2:
    return e.mulf(relu, relu);
  case ActivationKind::relu6:
    return v.minf(v.k(6), relu);
  case ActivationKind::leaky_relu:
    return e.select(positive(x), x, e.mulf(x, v.k(0.01)));
  case ActivationKind::gelu:
    // 1 + erf(z) as erfc(-z): no cancellation for negative x.
    return e.mulf(e.mulf(x, v.k(0.5)), math(math::ErfcOp(), e.mulf(x, v.k(-std::sqrt(0.5)))));
  case ActivationKind::gelu_tanh: {
    // x/2·(1 + tanh u) = x·sigmoid(2u), without cancellation.
    Value inner = v.fma(e.mulf(x, x), v.k(0.044715), v.k(1));
    return e.mulf(x, v.sigmoid(e.mulf(e.mulf(x, inner), v.k(2 * std::sqrt(2 / M_PI)))));
  }
  case ActivationKind::quick_gelu:
    return e.mulf(x, v.sigmoid(e.mulf(x, v.k(1.702))));
  case ActivationKind::silu:
    return e.mulf(x, v.sigmoid(x));
  case ActivationKind::tanh:
    return math(math::TanhOp(), x);
  case ActivationKind::sigmoid:
    return v.sigmoid(x);
  case ActivationKind::mish: {
    // tanh(softplus(x)) = (n² + 2n) / (n² + 2n + 2), n = e^x; 1 where that overflows.
    Value n = v.exp(v.minf(v.k(20), x));
    Value s = e.mulf(n, e.addf(n, v.k(2)));
    return e.mulf(x, e.divf(s, e.addf(s, v.k(2))));
  }
  case ActivationKind::elu:
    return e.select(positive(x), x, math(math::ExpM1Op(), v.minf(v.k(0), x)));
  case ActivationKind::selu: {
    const double alpha = 1.6732632423543772, scale = 1.0507009873554805;
    return e.select(positive(x), e.mulf(x, v.k(scale)),
                    e.mulf(math(math::ExpM1Op(), v.minf(v.k(0), x)), v.k(scale * alpha)));
  }
  case ActivationKind::softplus:
    return softplus();
  case ActivationKind::hard_sigmoid:
    return hardSigmoid();
  case ActivationKind::hard_swish:
    return e.mulf(x, hardSigmoid());
  }
  llvm_unreachable("unknown activation");
}

void emitNorm(Emit &e, NormKind kind, double epsilon, int64_t k, Value in, Value out, Value row, Value first, Value gamma,
              bool unitOffset, Value beta) {
  auto at = [&](Value j) { return SmallVector<Value>{row, e.add(first, j)}; };
  auto sumOver = [&](function_ref<Value(Value, Value)> term) {
    SmallVector<Value> sum = e.overVectors(k, e.splat(0), [&](Value j, Value mask, ValueRange s) {
      return SmallVector<Value>{e.addf(s[0], term(e.load(in, at(j), mask), mask))};
    });
    return e.mulf(e.reduceAdd(sum[0]), e.f32(1.0 / k));
  };
  Value mean;
  if (kind == NormKind::layer)
    mean = e.broadcast(sumOver([](Value x, Value) { return x; }));
  auto centred = [&](Value x) { return mean ? e.subf(x, mean) : x; };
  Value variance = sumOver([&](Value x, Value mask) {
    Value d = centred(x);
    if (mask && mean) // lanes beyond k hold -mean
      d = e.select(mask, d, e.splat(0));
    return e.mulf(d, d);
  });
  Value root = math::SqrtOp::create(e.b, e.loc, e.addf(variance, e.f32(epsilon)));
  Value scale = e.broadcast(e.divf(e.f32(1), root));
  e.overVectors(k, {}, [&](Value j, Value mask, ValueRange) -> SmallVector<Value> {
    Value y = e.mulf(centred(e.load(in, at(j), mask)), scale);
    Value g = e.load(gamma, j, mask);
    if (unitOffset)
      g = e.addf(g, e.splat(1));
    y = beta ? e.fma(y, g, e.load(beta, j, mask)) : e.mulf(y, g);
    e.store(y, out, at(j), mask);
    return {};
  });
}

} // namespace attnc
