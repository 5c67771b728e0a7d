//===- Region.cpp - Regions of scalar ops as Halide's expressions ---------------------------------===//
#include "backends/halide/Region.h"
#include "backends/halide/Math.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/IR/ConstantRange.h"

#include <cmath>

namespace attnc::halide {
using namespace Halide;
using llvm::APInt;
using llvm::ConstantRange;
using mlir::Operation;
using mlir::Value;

namespace {
Type unsignedOf(Type type) { return type.with_code(halide_type_uint); }
Expr asUnsigned(Expr x) { return x.type().is_bool() ? x : reinterpret(unsignedOf(x.type()), x); }
Expr asSigned(Expr x) { return x.type().is_bool() ? x : reinterpret(x.type().with_code(halide_type_int), x); }
Expr constant(Type type, double v) { return cast(type, Expr(v)); }
Expr integer(Type type, int64_t v) { return Internal::make_const(type, v); }

/// A value of the region. The range is that of an integer's bits, signed.
struct Number {
  Expr value;
  ConstantRange range;
};

//===----------------------------------------------------------------------===//
// Floats
//===----------------------------------------------------------------------===//

Expr bitsOf(Expr x) { return reinterpret(UInt(x.type().bits()), x); }
Expr signBit(Type type) { return Internal::make_const(UInt(type.bits()), uint64_t(1) << (type.bits() - 1)); }

Expr copySign(Expr x, Expr sign) {
  Expr bit = signBit(x.type());
  return reinterpret(x.type(), (bitsOf(x) & ~bit) | (bitsOf(sign) & bit));
}

/// Halves away from zero. From 2²³ on every f32 is whole; just below a half must not become one by the addition.
Expr roundAway(Expr x) {
  double half = x.type().bits() == 32 ? 0.49999997 : 0.49999999999999994;
  return trunc(x + copySign(constant(x.type(), half), x));
}

Expr erf(Expr x) {
  // Σ (-1)^n·x^(2n+1)/(n!·(2n+1))·2/√π, where 1 - erfc(x) would cancel.
  Expr z = x * x, sum = 0.0f;
  for (int n = 8; n >= 0; --n)
    sum = sum * z + float((n % 2 ? -1 : 1) / (std::tgamma(n + 1) * (2 * n + 1)) * M_2_SQRTPI);
  return select(abs(x) < 0.5f, x * sum, 1.0f - portable::erfc(x));
}

/// |base| to any power; below zero only whole powers have a value.
Expr power(Expr base, Expr exponent) {
  Expr wide = cast<double>(abs(base)), log2 = portable::log2Wide(wide);
  Expr positive = cast<float>(portable::exp2Wide(clamp(cast<double>(exponent) * log2, Expr(-1022.0), Expr(1022.0))));
  Expr isWhole = floor(exponent) == exponent, isOdd = isWhole && floor(exponent * 0.5f) != exponent * 0.5f;
  Expr signedValue = select(base < 0.0f && isOdd, -positive, positive);
  const float infinity = std::numeric_limits<float>::infinity();
  Expr ofZero = select(exponent > 0.0f, Expr(0.0f), Expr(infinity));
  return strict_float(select(exponent == 0.0f, 1.0f, base == 0.0f, ofZero, base < 0.0f && !isWhole, std::nanf(""), signedValue));
}

Expr sinhOf(Expr x) {
  Expr n = portable::expm1(abs(x)), y = 0.5f * (n + n / (n + 1.0f));
  return copySign(y, x);
}

using Unary = Expr (*)(Expr);
/// Functions of f32, and whether they are of f64 as well.
struct FloatFunction {
  Unary function;
  bool isExact = false;
};

const llvm::StringMap<FloatFunction> &floatFunctions() {
  static const llvm::StringMap<FloatFunction> table = {
      {"arith.negf", {[](Expr x) { return -x; }, true}},
      {"math.absf", {[](Expr x) { return abs(x); }, true}},
      {"math.ceil", {[](Expr x) { return ceil(x); }, true}},
      {"math.floor", {[](Expr x) { return floor(x); }, true}},
      {"math.round", {roundAway, true}},
      {"math.roundeven", {[](Expr x) { return round(x); }, true}},
      {"math.trunc", {[](Expr x) { return trunc(x); }, true}},
      {"math.sqrt", {[](Expr x) { return sqrt(x); }, true}},
      {"math.rsqrt", {[](Expr x) { return constant(x.type(), 1) / sqrt(x); }, true}},
      {"math.exp", {portable::exp}},
      {"math.exp2", {portable::exp2}},
      {"math.expm1", {portable::expm1}},
      {"math.log", {portable::log}},
      {"math.log2", {[](Expr x) { return portable::log(x) * float(M_LOG2E); }}},
      {"math.log10", {[](Expr x) { return portable::log(x) * float(M_LOG10E); }}},
      {"math.log1p", {[](Expr x) { return select(x >= 0.0f && x <= 1.0f, portable::log1p(x), portable::log(1.0f + x)); }}},
      {"math.tanh", {portable::tanh}},
      {"math.sinh", {sinhOf}},
      {"math.cosh", {[](Expr x) { return 0.5f * (portable::exp(x) + portable::exp(-x)); }}},
      {"math.erf", {erf}},
      {"math.erfc", {portable::erfc}},
      {"math.sin", {[](Expr x) { return cast<float>(portable::sinCos(cast<double>(x)).sin); }}},
      {"math.cos", {[](Expr x) { return cast<float>(portable::sinCos(cast<double>(x)).cos); }}},
      {"math.tan", {[](Expr x) {
         portable::SinCos of = portable::sinCos(cast<double>(x));
         return cast<float>(of.sin / of.cos);
       }}},
  };
  return table;
}

/// Every comparison of floats is of values that may be NaN.
Expr compare(mlir::arith::CmpFPredicate predicate, Expr a, Expr b) {
  using P = mlir::arith::CmpFPredicate;
  Expr unordered = is_nan(a) || is_nan(b);
  auto ordered = [&](Expr test) { return strict_float(test); };
  switch (predicate) {
  case P::AlwaysFalse:
    return Internal::const_false();
  case P::OEQ:
    return ordered(a == b);
  case P::OGT:
    return ordered(a > b);
  case P::OGE:
    return ordered(a >= b);
  case P::OLT:
    return ordered(a < b);
  case P::OLE:
    return ordered(a <= b);
  case P::ONE:
    return ordered(a < b || a > b);
  case P::ORD:
    return !unordered;
  case P::UEQ:
    return unordered || ordered(a == b);
  case P::UGT:
    return unordered || ordered(a > b);
  case P::UGE:
    return unordered || ordered(a >= b);
  case P::ULT:
    return unordered || ordered(a < b);
  case P::ULE:
    return unordered || ordered(a <= b);
  case P::UNE:
    return !ordered(a == b);
  case P::UNO:
    return unordered;
  case P::AlwaysTrue:
    return Internal::const_true();
  }
  llvm_unreachable("unknown predicate");
}

/// A NaN is the result of maximumf and minimumf, and left out by maxnumf and minnumf.
Expr extreme(Operation *op, Expr a, Expr b) {
  bool isMax = llvm::isa<mlir::arith::MaximumFOp, mlir::arith::MaxNumFOp>(op);
  bool keepsNaN = llvm::isa<mlir::arith::MaximumFOp, mlir::arith::MinimumFOp>(op);
  Expr first = keepsNaN ? is_nan(a) : is_nan(b);
  return select(first || strict_float(isMax ? a > b : a < b), a, b);
}

//===----------------------------------------------------------------------===//
// Integers
//===----------------------------------------------------------------------===//

Expr compare(mlir::arith::CmpIPredicate predicate, Expr a, Expr b) {
  using P = mlir::arith::CmpIPredicate;
  if (a.type().is_bool()) { // true is -1 where it has a sign
    bool isSigned = predicate == P::slt || predicate == P::sle || predicate == P::sgt || predicate == P::sge;
    auto whole = [&](Expr x) { return select(x, isSigned ? -1 : 1, 0); };
    return compare(predicate, whole(a), whole(b));
  }
  Expr x = asUnsigned(a), y = asUnsigned(b);
  switch (predicate) {
  case P::eq:
    return a == b;
  case P::ne:
    return a != b;
  case P::slt:
    return a < b;
  case P::sle:
    return a <= b;
  case P::sgt:
    return a > b;
  case P::sge:
    return a >= b;
  case P::ult:
    return x < y;
  case P::ule:
    return x <= y;
  case P::ugt:
    return x > y;
  case P::uge:
    return x >= y;
  }
  llvm_unreachable("unknown predicate");
}

/// Quotient and remainder towards zero. Halide's own go by what they would be without a fraction below, which is the same
/// where neither is negative, and the only ones that it reasons about.
Expr quotient(const Number &a, const Number &b) {
  bool isPlain = a.range.isAllNonNegative() && b.range.isAllNonNegative();
  return isPlain ? a.value / b.value : div_round_to_zero(a.value, b.value);
}
Expr remainder(const Number &a, const Number &b) {
  bool isPlain = a.range.isAllNonNegative() && b.range.isAllNonNegative();
  return isPlain ? a.value % b.value : mod_round_to_zero(a.value, b.value);
}
/// The quotient towards zero, moved by one where it was not exact and the true one lies on the side of `above`.
Expr roundedQuotient(const Number &a, const Number &b, bool above) {
  Expr zero = integer(a.value.type(), 0);
  Expr isInexact = remainder(a, b) != zero, isNegative = (a.value < zero) != (b.value < zero);
  Expr moves = isInexact && (above ? !isNegative : isNegative);
  return quotient(a, b) + select(moves, integer(a.value.type(), above ? 1 : -1), zero);
}

/// x + y, x - y, x·y, which wraps around unless the ranges say that it fits.
Number wrapping(llvm::Instruction::BinaryOps kind, const Number &a, const Number &b) {
  unsigned width = a.range.getBitWidth();
  ConstantRange exact = a.range.signExtend(2 * width + 1).binaryOp(kind, b.range.signExtend(2 * width + 1));
  ConstantRange all = ConstantRange::getFull(width).signExtend(2 * width + 1);
  bool fits = all.contains(exact);
  Expr x = fits ? a.value : asUnsigned(a.value), y = fits ? b.value : asUnsigned(b.value);
  Expr result = kind == llvm::Instruction::Add ? x + y : kind == llvm::Instruction::Sub ? x - y : x * y;
  return {fits ? result : asSigned(result), fits ? exact.truncate(width) : ConstantRange::getFull(width)};
}

//===----------------------------------------------------------------------===//
// The region
//===----------------------------------------------------------------------===//

class Translator {
public:
  Translator(Pipeline &p, OtherOp other) : p(p), other(other) {}
  llvm::Expected<llvm::SmallVector<Expr>> run(mlir::Block &block, llvm::ArrayRef<Expr> arguments);

private:
  static unsigned widthOf(mlir::Type type) { return type.isIndex() ? 64 : type.getIntOrFloatBitWidth(); }
  static bool isNarrow(mlir::Type type) { return type.isBF16() || type.isF16(); }
  static Type typeOf(mlir::Type type) {
    if (llvm::isa<mlir::FloatType>(type))
      return Float(isNarrow(type) ? 32 : widthOf(type));
    return type.isInteger(1) ? Bool() : Int(widthOf(type));
  }
  static ConstantRange anything(mlir::Type type) { return ConstantRange::getFull(widthOf(type)); }

  Number find(Value value);
  llvm::Expected<Number> visit(Operation *op);
  Expr visitFloat(Operation *op, llvm::ArrayRef<Number> in);
  std::optional<Number> visitInteger(Operation *op, llvm::ArrayRef<Number> in);
  Expr visitCast(Operation *op, Expr x);

  Pipeline &p;
  OtherOp other;
  llvm::DenseMap<Value, Number> numbers;
};

Number Translator::find(Value value) {
  auto found = numbers.find(value);
  if (found != numbers.end())
    return found->second;
  mlir::Type type = value.getType();
  APInt bits;
  if (mlir::matchPattern(value, mlir::m_ConstantInt(&bits))) {
    Expr constant = type.isInteger(1) ? Internal::make_bool(bits.getBoolValue()) : integer(typeOf(type), bits.getSExtValue());
    return {constant, ConstantRange(bits.sextOrTrunc(widthOf(type)))};
  }
  llvm::APFloat real(0.0);
  if (mlir::matchPattern(value, mlir::m_ConstantFloat(&real))) {
    bool lost;
    real.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven, &lost);
    return {constant(typeOf(type), real.convertToDouble()), anything(type)};
  }
  return {p.scalar(value), anything(type)};
}

Expr Translator::visitCast(Operation *op, Expr x) {
  using namespace mlir::arith;
  mlir::Type from = op->getOperand(0).getType(), to = op->getResult(0).getType();
  Type type = typeOf(to);
  auto isUnsigned = llvm::isa<ExtUIOp, UIToFPOp, IndexCastUIOp>(op);
  if (llvm::isa<BitcastOp>(op))
    return isNarrow(from) || isNarrow(to) || from.isInteger(1) ? Expr() : from == to ? x : reinterpret(type, x);
  if (llvm::isa<FPToUIOp>(op))
    return asSigned(cast(unsignedOf(type), x));
  if (type.is_bool()) // trunci
    return x.type().is_bool() ? x : (x & integer(x.type(), 1)) != integer(x.type(), 0);
  if (x.type().is_bool()) {
    Expr one = llvm::isa<mlir::FloatType>(to) ? constant(type, isUnsigned ? 1 : -1) : integer(type, isUnsigned ? 1 : -1);
    return select(x, one, Internal::make_zero(type));
  }
  if (type.is_int() && x.type().is_int() && (isUnsigned || type.bits() < x.type().bits()))
    return asSigned(cast(unsignedOf(type), asUnsigned(x)));
  return cast(type, isUnsigned ? asUnsigned(x) : x);
}

Expr Translator::visitFloat(Operation *op, llvm::ArrayRef<Number> in) {
  using namespace mlir;
  Expr x = in[0].value, y = in.size() > 1 ? in[1].value : Expr();
  auto known = floatFunctions().find(op->getName().getStringRef());
  if (known != floatFunctions().end())
    return x.type().bits() == 32 || known->second.isExact ? known->second.function(x) : Expr();
  if (llvm::isa<arith::AddFOp>(op))
    return x + y;
  if (llvm::isa<arith::SubFOp>(op))
    return x - y;
  if (llvm::isa<arith::MulFOp>(op))
    return x * y;
  if (llvm::isa<arith::DivFOp>(op))
    return x / y;
  if (llvm::isa<arith::MaximumFOp, arith::MaxNumFOp, arith::MinimumFOp, arith::MinNumFOp>(op))
    return extreme(op, x, y);
  if (llvm::isa<math::FmaOp>(op))
    return x * y + in[2].value;
  if (llvm::isa<math::CopySignOp>(op))
    return copySign(x, y);
  if (llvm::isa<math::ClampFOp>(op))
    return maxNum(y, minNum(in[2].value, x));
  if (llvm::isa<math::PowFOp>(op) && x.type().bits() == 32)
    return power(x, y);
  return Expr();
}

std::optional<Number> Translator::visitInteger(Operation *op, llvm::ArrayRef<Number> in) {
  using namespace mlir;
  using I = llvm::Instruction;
  const Number &a = in[0], &b = in.size() > 1 ? in[1] : in[0];
  Expr x = a.value, y = b.value;
  Halide::Type type = x.type();
  unsigned width = a.range.getBitWidth();
  auto of = [&](Expr value, I::BinaryOps kind) { return Number{value, a.range.binaryOp(kind, b.range)}; };
  auto plain = [&](Expr value) { return Number{value, ConstantRange::getFull(width)}; };
  if (type.is_bool()) { // arithmetic modulo 2
    if (llvm::isa<arith::AndIOp, arith::MulIOp, arith::MaxSIOp, arith::MinUIOp>(op))
      return plain(x && y);
    if (llvm::isa<arith::OrIOp, arith::MaxUIOp, arith::MinSIOp>(op))
      return plain(x || y);
    if (llvm::isa<arith::XOrIOp, arith::AddIOp, arith::SubIOp>(op))
      return plain(x != y);
    return std::nullopt;
  }
  return llvm::TypeSwitch<Operation *, std::optional<Number>>(op)
      .Case<arith::AddIOp>([&](auto) { return wrapping(I::Add, a, b); })
      .Case<arith::SubIOp>([&](auto) { return wrapping(I::Sub, a, b); })
      .Case<arith::MulIOp>([&](auto) { return wrapping(I::Mul, a, b); })
      .Case<arith::DivSIOp>([&](auto) { return of(quotient(a, b), I::SDiv); })
      .Case<arith::RemSIOp>([&](auto) { return of(remainder(a, b), I::SRem); })
      .Case<arith::FloorDivSIOp>([&](auto) { return plain(roundedQuotient(a, b, /*above=*/false)); })
      .Case<arith::CeilDivSIOp>([&](auto) { return plain(roundedQuotient(a, b, /*above=*/true)); })
      .Case<arith::DivUIOp>([&](auto) { return of(asSigned(asUnsigned(x) / asUnsigned(y)), I::UDiv); })
      .Case<arith::RemUIOp>([&](auto) { return of(asSigned(asUnsigned(x) % asUnsigned(y)), I::URem); })
      .Case<arith::CeilDivUIOp>([&](auto) {
        Expr q = asUnsigned(x) / asUnsigned(y), rest = asUnsigned(x) % asUnsigned(y);
        return plain(asSigned(q + select(rest != Internal::make_zero(rest.type()), Internal::make_one(rest.type()),
                                         Internal::make_zero(rest.type()))));
      })
      .Case<arith::AndIOp>([&](auto) { return of(x & y, I::And); })
      .Case<arith::OrIOp>([&](auto) { return of(x | y, I::Or); })
      .Case<arith::XOrIOp>([&](auto) { return of(x ^ y, I::Xor); })
      .Case<arith::ShLIOp>([&](auto) { return of(asSigned(asUnsigned(x) << asUnsigned(y)), I::Shl); })
      .Case<arith::ShRSIOp>([&](auto) { return of(x >> asUnsigned(y), I::AShr); })
      .Case<arith::ShRUIOp>([&](auto) { return of(asSigned(asUnsigned(x) >> asUnsigned(y)), I::LShr); })
      .Case<arith::MaxSIOp>([&](auto) { return Number{max(x, y), a.range.smax(b.range)}; })
      .Case<arith::MinSIOp>([&](auto) { return Number{min(x, y), a.range.smin(b.range)}; })
      .Case<arith::MaxUIOp>([&](auto) { return plain(asSigned(max(asUnsigned(x), asUnsigned(y)))); })
      .Case<arith::MinUIOp>([&](auto) { return plain(asSigned(min(asUnsigned(x), asUnsigned(y)))); })
      .Case<math::AbsIOp>([&](auto) { return Number{asSigned(abs(x)), a.range.abs()}; })
      .Case<math::CtPopOp>([&](auto) { return plain(asSigned(popcount(asUnsigned(x)))); })
      .Case<math::CountLeadingZerosOp>([&](auto) {
        return plain(select(x == integer(type, 0), integer(type, width), asSigned(count_leading_zeros(asUnsigned(x)))));
      })
      .Case<math::CountTrailingZerosOp>([&](auto) {
        return plain(select(x == integer(type, 0), integer(type, width), asSigned(count_trailing_zeros(asUnsigned(x)))));
      })
      .Default([](Operation *) { return std::nullopt; });
}

llvm::Expected<Number> Translator::visit(Operation *op) {
  using namespace mlir;
  auto unknown = [&] { return refuse("its region has " + op->getName().getStringRef() + ", which has no counterpart in Halide"); };
  mlir::Type type = op->getNumResults() == 1 ? op->getResult(0).getType() : mlir::Type();
  if (!type)
    return unknown();
  llvm::SmallVector<Number> in; // buffers are the other ops' business
  for (Value operand : op->getOperands())
    if (!llvm::isa<mlir::MemRefType>(operand.getType()))
      in.push_back(find(operand));
  if (op->hasTrait<OpTrait::ConstantLike>())
    return find(op->getResult(0));
  if (!llvm::isa<arith::ArithDialect, math::MathDialect>(op->getDialect())) {
    llvm::SmallVector<Expr> values = llvm::map_to_vector(in, [](const Number &number) { return number.value; });
    llvm::Expected<Expr> result = other(op, values);
    if (!result)
      return result.takeError();
    return result->defined() ? llvm::Expected<Number>(Number{*result, anything(type)}) : unknown();
  }
  Number result{Expr(), anything(type)};
  mlir::Type from = in.empty() ? type : op->getOperand(0).getType();
  if (auto select = llvm::dyn_cast<arith::SelectOp>(op)) {
    result.value = Halide::select(in[0].value, in[1].value, in[2].value);
    if (!llvm::isa<FloatType>(type))
      result.range = in[1].range.unionWith(in[2].range);
  } else if (auto cmp = llvm::dyn_cast<arith::CmpFOp>(op)) {
    result.value = compare(cmp.getPredicate(), in[0].value, in[1].value);
  } else if (auto cmp = llvm::dyn_cast<arith::CmpIOp>(op)) {
    result.value = compare(cmp.getPredicate(), in[0].value, in[1].value);
  } else if (llvm::isa<math::IsNaNOp>(op)) {
    result.value = is_nan(in[0].value);
  } else if (llvm::isa<math::IsInfOp>(op)) {
    result.value = is_inf(in[0].value);
  } else if (llvm::isa<math::IsFiniteOp>(op)) {
    result.value = is_finite(in[0].value);
  } else if (llvm::isa<CastOpInterface>(op)) {
    result.value = visitCast(op, in[0].value);
    if (!llvm::isa<FloatType>(type) && !llvm::isa<FloatType>(from) && llvm::isa<arith::ExtSIOp, arith::IndexCastOp>(op))
      result.range = in[0].range.sextOrTrunc(widthOf(type));
  } else if (llvm::isa<FloatType>(type)) {
    result.value = visitFloat(op, in);
  } else if (std::optional<Number> found = visitInteger(op, in)) {
    result = *found;
  }
  if (!result.value.defined())
    return unknown();
  if (isNarrow(type))
    result.value = p.round(result.value, type);
  return result;
}

llvm::Expected<llvm::SmallVector<Expr>> Translator::run(mlir::Block &block, llvm::ArrayRef<Expr> arguments) {
  bool areIndices = llvm::isa<attn::AttentionOp>(block.getParentOp());
  for (auto [argument, value] : llvm::zip(block.getArguments(), arguments)) {
    ConstantRange range = anything(argument.getType());
    if (areIndices && range.getBitWidth() > 28 && !llvm::isa<mlir::FloatType>(argument.getType()))
      range = ConstantRange(APInt::getSignedMinValue(29).sext(range.getBitWidth()),
                            APInt::getSignedMaxValue(29).sext(range.getBitWidth()));
    numbers.insert({argument, Number{value, range}});
  }
  for (Operation &op : block.without_terminator()) {
    llvm::Expected<Number> number = visit(&op);
    if (!number)
      return number.takeError();
    numbers.insert({op.getResult(0), *number});
  }
  return llvm::map_to_vector(block.getTerminator()->getOperands(), [&](Value v) { return find(v).value; });
}
} // namespace

llvm::Expected<llvm::SmallVector<Expr>> translate(Pipeline &p, mlir::Block &block, llvm::ArrayRef<Expr> arguments,
                                                  OtherOp other) {
  return Translator(p, other).run(block, arguments);
}

} // namespace attnc::halide
