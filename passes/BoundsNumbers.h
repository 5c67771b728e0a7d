//===- BoundsNumbers.h - Numbers that are constants or values of the generated code -------------===//
//
// For Bounds.cpp only. Every number has limits that are known at compile time; they decide most of the checks for
// overflow and sign, so that few are emitted.
//
//===----------------------------------------------------------------------------------===//
#ifndef ATTNC_PASSES_BOUNDSNUMBERS_H
#define ATTNC_PASSES_BOUNDSNUMBERS_H

#include "passes/Emit.h"

#include "mlir/IR/Matchers.h"
#include "llvm/Support/MathExtras.h"

namespace attnc::bounds {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min(), kMax = std::numeric_limits<int64_t>::max();

/// A constant (no value, min == max), or a value of type i64, or i1 for a flag, with limits known at compile time.
struct Num {
  Value value;
  int64_t min = kMin, max = kMax;
  Num(int64_t constant) : min(constant), max(constant) {}
  Num(Value value, int64_t min, int64_t max) : value(min == max ? Value() : value), min(min), max(max) {}
  bool isConstant() const { return !value; }
  bool operator==(const Num &o) const { return value == o.value && (value || min == o.min); }
};

/// Bounds of one value of the region: signed, but i1 is 0 or 1.
struct Range {
  Num lo, hi;
  bool isSingle() const { return lo == hi; }
  std::optional<int64_t> constant() const {
    return isSingle() && lo.isConstant() ? std::optional<int64_t>(lo.min) : std::nullopt;
  }
};

/// Bits of an integer of at most 64, or 0.
inline unsigned widthOf(Type type) {
  if (type.isIndex())
    return 64;
  auto integer = dyn_cast<IntegerType>(type);
  return integer && integer.getWidth() <= 64 ? integer.getWidth() : 0;
}

inline Range everyValue(unsigned width) {
  if (width <= 1)
    return {0, 1};
  return {llvm::minIntN(width), llvm::maxIntN(width)};
}

//===----------------------------------------------------------------------===//
// Arithmetic on numbers
//===----------------------------------------------------------------------===//

struct Arithmetic {
  Emit *e; // null at compile time: all numbers are constants

  Value get(Num n, unsigned width = 64) {
    return n.value ? n.value : arith::ConstantIntOp::create(e->b, e->loc, n.min, width).getResult();
  }
  /// A value that lies within the limits.
  Num number(Value value, int64_t min, int64_t max) {
    APInt constant;
    if (matchPattern(value, m_ConstantInt(&constant)))
      return constant.getBitWidth() == 1 ? constant.getZExtValue() : constant.getSExtValue();
    return Num(value, min, max);
  }
  template <typename Op> Num make(Num a, Num b, int64_t min, int64_t max, unsigned width = 64) {
    if (min == max)
      return min;
    return number(e->b.createOrFold<Op>(e->loc, get(a, width), get(b, width)), min, max);
  }

  Num add(Num a, Num b) {
    if (a.isConstant() && b.isConstant())
      return int64_t(uint64_t(a.min) + uint64_t(b.min));
    int64_t min, max;
    bool over = llvm::AddOverflow(a.min, b.min, min) | llvm::AddOverflow(a.max, b.max, max);
    return make<arith::AddIOp>(a, b, over ? kMin : min, over ? kMax : max);
  }
  Num sub(Num a, Num b) {
    if (a.isConstant() && b.isConstant())
      return int64_t(uint64_t(a.min) - uint64_t(b.min));
    if (a == b)
      return 0;
    int64_t min, max;
    bool over = llvm::SubOverflow(a.min, b.max, min) | llvm::SubOverflow(a.max, b.min, max);
    return make<arith::SubIOp>(a, b, over ? kMin : min, over ? kMax : max);
  }
  /// Limits of a·b; nothing if they leave i64.
  static std::optional<std::pair<int64_t, int64_t>> productLimits(Num a, Num b) {
    int64_t p[4];
    if (llvm::MulOverflow(a.min, b.min, p[0]) | llvm::MulOverflow(a.min, b.max, p[1]) |
        llvm::MulOverflow(a.max, b.min, p[2]) | llvm::MulOverflow(a.max, b.max, p[3]))
      return std::nullopt;
    return std::make_pair(*std::min_element(p, p + 4), *std::max_element(p, p + 4));
  }
  Num mul(Num a, Num b) {
    if (a.isConstant() && b.isConstant())
      return int64_t(uint64_t(a.min) * uint64_t(b.min));
    auto limits = productLimits(a, b).value_or(std::make_pair(kMin, kMax));
    return make<arith::MulIOp>(a, b, limits.first, limits.second);
  }
  Num least(Num a, Num b) {
    if (a == b || a.max <= b.min)
      return a;
    return b.max <= a.min ? b : make<arith::MinSIOp>(a, b, std::min(a.min, b.min), std::min(a.max, b.max));
  }
  Num most(Num a, Num b) {
    if (a == b || a.min >= b.max)
      return a;
    return b.min >= a.max ? b : make<arith::MaxSIOp>(a, b, std::max(a.min, b.min), std::max(a.max, b.max));
  }
  /// Op(a, c), of which `f` is the value and which only rises, or only falls, with a.
  template <typename Op> Num monotone(Num a, int64_t c, function_ref<int64_t(int64_t)> f) {
    auto [min, max] = std::minmax({f(a.min), f(a.max)});
    return make<Op>(a, c, min, max);
  }
  Num div(Num a, int64_t c) {
    return c == 1 ? a : monotone<arith::DivSIOp>(a, c, [c](int64_t x) { return x / c; });
  }
  Num shiftRight(Num a, int64_t c) {
    return c == 0 ? a : monotone<arith::ShRSIOp>(a, c, [c](int64_t x) { return x >> c; });
  }
  /// a with the sign bit of `width` bits flipped: the order of unsigned numbers.
  Num flipSign(Num a, unsigned width) {
    int64_t sign = llvm::minIntN(width);
    bool crosses = a.min < 0 && a.max >= 0;
    return make<arith::XOrIOp>(a, sign, crosses ? sign : a.min ^ sign, crosses ? llvm::maxIntN(width) : a.max ^ sign);
  }

  // Flags.
  Num less(Num a, Num b) {
    if (a.max < b.min)
      return 1;
    if (a == b || a.min >= b.max)
      return 0;
    return number(e->b.createOrFold<arith::CmpIOp>(e->loc, arith::CmpIPredicate::slt, get(a), get(b)), 0, 1);
  }
  Num both(Num a, Num b) {
    if (a == b || a == Num(0) || b == Num(1))
      return a;
    return a == Num(1) || b == Num(0) ? b : make<arith::AndIOp>(a, b, 0, 1, 1);
  }
  Num either(Num a, Num b) {
    if (a == b || a == Num(1) || b == Num(0))
      return a;
    return a == Num(0) || b == Num(1) ? b : make<arith::OrIOp>(a, b, 0, 1, 1);
  }
  Num invert(Num a) { return a.isConstant() ? Num(1 - a.min) : make<arith::XOrIOp>(a, 1, 0, 1, 1); }
  Num equal(Num a, Num b) { return a == b ? Num(1) : both(invert(less(a, b)), invert(less(b, a))); }
  Num select(Num flag, Num a, Num b, unsigned width = 64) {
    if (flag.isConstant() || a == b)
      return flag == Num(1) ? a : b;
    return number(e->b.createOrFold<arith::SelectOp>(e->loc, get(flag, 1), get(a, width), get(b, width)),
                  std::min(a.min, b.min), std::max(a.max, b.max));
  }
  /// 0 or 1 as a number.
  Num widen(Num flag) {
    if (flag.isConstant())
      return flag;
    return number(e->b.createOrFold<arith::ExtUIOp>(e->loc, e->b.getI64Type(), flag.value), 0, 1);
  }
  /// Whether the signs say that `result` = a + b, or with `minus` a - b, wrapped.
  Num wraps(Num a, Num b, Num result, bool minus) {
    int64_t min, max;
    bool low = minus ? llvm::SubOverflow(a.min, b.max, min) : llvm::AddOverflow(a.min, b.min, min);
    bool high = minus ? llvm::SubOverflow(a.max, b.min, max) : llvm::AddOverflow(a.max, b.max, max);
    if (!low && !high)
      return 0;
    if (a.isConstant() && b.isConstant())
      return 1;
    Num x = make<arith::XOrIOp>(a, minus ? b : result, kMin, kMax);
    Num y = make<arith::XOrIOp>(minus ? a : b, result, kMin, kMax);
    return less(make<arith::AndIOp>(x, y, kMin, kMax), 0);
  }
};

} // namespace attnc::bounds

#endif // ATTNC_PASSES_BOUNDSNUMBERS_H
