//===- Math.h - Functions of numbers as arithmetic of every device -----------------------===//
#ifndef ATTNC_BACKENDS_HALIDE_MATH_H
#define ATTNC_BACKENDS_HALIDE_MATH_H

#include "dialect/AttnDialect.h"

#include "Halide.h"

namespace attnc::halide {
using Halide::Expr;

/// Halide's own functions of these names are calls of a C library where they are scalar, and of whatever a device has; nor do
/// they know bounds of their errors. Called with this prefix: Halide's would be found first.
namespace portable {

// Of f32, except sinCos and the last two. exp2 is exactly 0 at and below -127; relative errors are about 1e-7.
Expr exp2(Expr x);
Expr exp(Expr x);
Expr expm1(Expr x);
Expr log(Expr x);
Expr log1p(Expr x); // 0 ≤ x ≤ 1
Expr erfc(Expr x);
Expr tanh(Expr x);
Expr sigmoid(Expr x);
Expr activation(attn::ActivationKind kind, Expr x);

/// Sine and cosine of an f64 angle, |angle| ≤ 2³⁰, as f64 of f32's accuracy.
struct SinCos {
  Expr sin, cos;
};
SinCos sinCos(Expr angle);
/// 2^x for f64 x, |x| ≤ 1022.
Expr exp2Wide(Expr x);
/// log2(x) of a normal f64 x > 0.
Expr log2Wide(Expr x);

} // namespace portable

/// a > b ? a : b and a < b ? a : b; on a CPU NaN in b stays. Halide's own max may be told that there is no NaN.
Expr maxNum(Expr a, Expr b);
Expr minNum(Expr a, Expr b);

/// condition ? a : b of f32 that may be infinite or NaN, which a plain select may be told they are not.
Expr selectExactly(Expr condition, Expr a, Expr b);

/// y, but x where that is NaN, which minima and maxima lose.
Expr keepNaN(Expr x, Expr y);

/// An i32 that is ordered as f32 are: comparisons that every device does alike. NaN is as low as -inf; both zeros are equal.
Expr orderOf(Expr x);
constexpr int32_t kLowestOrder = -0x7f800000;

} // namespace attnc::halide

#endif // ATTNC_BACKENDS_HALIDE_MATH_H
