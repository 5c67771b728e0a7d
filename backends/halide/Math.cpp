//===- Math.cpp - Functions of numbers as arithmetic of every device ----------------------===//
#include "backends/halide/Math.h"

#include <cmath>

namespace attnc::halide {
using namespace Halide;
using attn::ActivationKind;

namespace {
Expr bitsOf(Expr x) { return reinterpret<uint32_t>(std::move(x)); }
Expr fromBits(Expr bits) { return reinterpret<float>(bits); }
Expr word(uint32_t v) { return Internal::make_const(UInt(32), v); }
/// c[0] + c[1]·x + …
Expr polynomial(Expr x, std::initializer_list<double> c) {
  Expr sum = Internal::make_zero(x.type());
  for (auto at = std::rbegin(c); at != std::rend(c); ++at)
    sum = sum * x + cast(x.type(), Expr(*at));
  return sum;
}
} // namespace

Expr maxNum(Expr a, Expr b) { return strict_float(max(a, b)); }
Expr minNum(Expr a, Expr b) { return strict_float(min(a, b)); }

Expr selectExactly(Expr condition, Expr a, Expr b) { return fromBits(select(condition, bitsOf(a), bitsOf(b))); }

Expr keepNaN(Expr x, Expr y) {
  return selectExactly((reinterpret<int32_t>(x) & 0x7fffffff) > 0x7f800000, x, y);
}

Expr orderOf(Expr x) {
  Expr bits = reinterpret<int32_t>(x), magnitude = bits & 0x7fffffff;
  return select(magnitude > 0x7f800000, kLowestOrder, bits < 0, -magnitude, magnitude);
}

//===----------------------------------------------------------------------===//
// Functions of f32
//===----------------------------------------------------------------------===//

Expr portable::exp2(Expr x) {
  // x = i + f with |f| ≤ 1/2; 2^i is the exponent's bits: 0 at i = -127, Inf at 128.
  x = minNum(128.0f, maxNum(-127.0f, x));
  Expr biased = cast<int32_t>(x + 127.5f);
  Expr f = x - cast<float>(biased - 127);
  Expr power = fromBits(cast<uint32_t>(biased) << 23);
  // Minimax of the relative error on [-1/2, 1/2]: passes/EmitMath.cpp.
  return polynomial(f, {1.0, 0.69314718246, 0.24022646249, 0.05550328642, 0.0096184890717, 0.0013399930904,
                        0.00015345812426}) * power;
}

Expr portable::exp(Expr x) { return portable::exp2(x * float(M_LOG2E)); }

Expr portable::expm1(Expr x) {
  Expr series = x * polynomial(x, {1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320});
  return select(abs(x) < 0.5f, series, portable::exp(x) - 1.0f);
}

namespace {
/// portable::log((1 + s)/(1 - s)), |s| ≤ 1/3.
Expr logOfRatio(Expr s) {
  Expr z = s * s;
  return s * polynomial(z, {2.0, 2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11, 2.0 / 13});
}
} // namespace

Expr portable::log(Expr x) {
  // x = m·2^e with √½ ≤ m < √2
  const uint32_t half = 0x3f3504f3; // bits of √½
  Expr shifted = bitsOf(x) - word(half);
  Expr e = cast<float>(cast<int32_t>(shifted) >> 23);
  Expr m = fromBits((shifted & word(0x7fffff)) + word(half));
  Expr y = e * float(M_LN2) + logOfRatio((m - 1.0f) / (m + 1.0f));
  // Comparisons of bits: those of floats may be told that there is no infinity.
  Expr bits = bitsOf(x), infinity = word(0x7f800000);
  return select(bits == word(0), fromBits(word(0xff800000)), bits == infinity, x, bits > infinity, fromBits(word(0x7fc00000)), y);
}

Expr portable::log1p(Expr x) { return logOfRatio(x / (x + 2.0f)); }

Expr portable::erfc(Expr x) {
  // Press et al., Numerical Recipes, erfcc: relative error 1.2e-7.
  Expr z = abs(x), t = 1.0f / (1.0f + 0.5f * z);
  Expr y = t * portable::exp(polynomial(t, {-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398,
                                  1.48851587, -0.82215223, 0.17087277}) - z * z);
  return select(x >= 0.0f, y, 2.0f - y);
}

Expr portable::tanh(Expr x) {
  Expr n = portable::expm1(2.0f * minNum(10.0f, abs(x)));
  Expr y = n / (n + 2.0f);
  return select(x < 0.0f, -y, y);
}

Expr portable::sigmoid(Expr x) { return 1.0f / (1.0f + portable::exp(minNum(87.0f, -x))); }

static Expr formula(ActivationKind kind, Expr x) {
  Expr zero = 0.0f, relu = maxNum(zero, x);
  auto hardSigmoid = [&] { return minNum(6.0f, maxNum(zero, x + 3.0f)) * float(1.0 / 6); };
  switch (kind) {
  case ActivationKind::none:
    return x;
  case ActivationKind::relu:
    return relu;
  case ActivationKind::relu2:
    return relu * relu;
  case ActivationKind::relu6:
    return minNum(6.0f, relu);
  case ActivationKind::leaky_relu:
    return select(x > zero, x, x * 0.01f);
  case ActivationKind::gelu:
    return x * 0.5f * portable::erfc(x * float(-M_SQRT1_2)); // 1 + erf(z) as portable::erfc(-z): no cancellation for negative x
  case ActivationKind::gelu_tanh: // x/2·(1 + tanh u) = x·portable::sigmoid(2u)
    return x * portable::sigmoid(x * (x * x * 0.044715f + 1.0f) * float(2 * std::sqrt(2 / M_PI)));
  case ActivationKind::quick_gelu:
    return x * portable::sigmoid(x * 1.702f);
  case ActivationKind::silu:
    return x * portable::sigmoid(x);
  case ActivationKind::tanh:
    return portable::tanh(x);
  case ActivationKind::sigmoid:
    return portable::sigmoid(x);
  case ActivationKind::mish: {
    // portable::tanh(softplus(x)) = (n² + 2n) / (n² + 2n + 2), n = e^x; 1 where that overflows.
    Expr n = portable::exp(minNum(20.0f, x)), s = n * (n + 2.0f);
    return x * (s / (s + 2.0f));
  }
  case ActivationKind::elu:
    return select(x > zero, x, portable::expm1(minNum(zero, x)));
  case ActivationKind::selu: {
    const double alpha = 1.6732632423543772, scale = 1.0507009873554805;
    return select(x > zero, x * float(scale), portable::expm1(minNum(zero, x)) * float(scale * alpha));
  }
  case ActivationKind::softplus:
    return relu + portable::log1p(portable::exp(-abs(x)));
  case ActivationKind::hard_sigmoid:
    return hardSigmoid();
  case ActivationKind::hard_swish:
    return x * hardSigmoid();
  }
  llvm_unreachable("unknown activation");
}

Expr portable::activation(ActivationKind kind, Expr x) { return keepNaN(x, formula(kind, x)); }

//===----------------------------------------------------------------------===//
// Functions of f64
//===----------------------------------------------------------------------===//

namespace {
Expr real(double v) { return Expr(v); }
/// The nearest integer of |x| < 2³¹.
Expr nearest(Expr x) { return cast<int32_t>(x + select(x < real(0), real(-0.5), real(0.5))); }
} // namespace

portable::SinCos portable::sinCos(Expr angle) {
  // Reduce to |r| ≤ π by whole turns, then Taylor.
  Expr turns = cast<double>(nearest(angle * real(0.5 / M_PI)));
  Expr r = angle - turns * real(2 * M_PI), r2 = r * r;
  auto series = [&](int terms, int offset) { // Σ (-1)^n r^2n / (2n + offset)!
    Expr s = real(1);
    for (int n = terms; n > 0; --n)
      s = s * r2 * real(-1.0 / ((2 * n - 1 + offset) * (2 * n + offset))) + real(1);
    return s;
  };
  return {series(14, 1) * r, series(14, 0)};
}

Expr portable::exp2Wide(Expr x) {
  Expr i = nearest(x), f = (x - cast<double>(i)) * real(M_LN2), p = real(1);
  for (int n = 14; n > 0; --n) // Taylor of e^f, |f| < 0.35
    p = p * f * real(1.0 / n) + real(1);
  return p * reinterpret<double>(cast<int64_t>(i + 1023) << 52);
}

Expr portable::log2Wide(Expr x) {
  Expr bits = reinterpret<int64_t>(x);
  Expr mantissa = reinterpret<double>((bits & Expr((int64_t(1) << 52) - 1)) | Expr(int64_t(1023) << 52));
  Expr e = cast<double>(cast<int32_t>(bits >> 52) - 1023);
  // portable::log(m) = 2·artanh(s), s = (m - 1)/(m + 1) < 1/3
  Expr s = (mantissa - real(1)) / (mantissa + real(1)), s2 = s * s, sum = real(0);
  for (int n = 17; n >= 0; --n)
    sum = sum * s2 + real(2 / M_LN2 / (2 * n + 1));
  return s * sum + e;
}

} // namespace attnc::halide
