//===- FiniteProducts.cpp - P·V on tensor cores, where values may be infinite or NaN ----------------------===//
#include "backends/cuda/FiniteProducts.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

namespace attnc::cuda {

namespace {
/// Bits of a 16-bit float: the exponent of what is not finite, and 1.
struct Bits {
  int32_t exponent, one;
  explicit Bits(Type element) : exponent(element.isBF16() ? 0x7f80 : 0x7c00), one(element.isBF16() ? 0x3f80 : 0x3c00) {}
};
} // namespace

/// Words whose halves are what `map` makes of those of others.
static Fragment mapHalves(Kernel &k, ArrayRef<Value> words, function_ref<Value(Value)> map) {
  return llvm::map_to_vector(words, [&](Value word) -> Value {
    Value low = map(arith::AndIOp::create(k.b, k.loc, word, k.i32(0xffff)));
    Value high = map(arith::ShRUIOp::create(k.b, k.loc, word, k.i32(16)));
    return arith::OrIOp::create(k.b, k.loc, low, arith::ShLIOp::create(k.b, k.loc, high, k.i32(16)));
  });
}

void addProducts(Kernel &k, Type element, ArrayRef<Fragment> parts, ArrayRef<Value> values,
                 MutableArrayRef<Value> sums) {
  for (const Fragment &a : llvm::reverse(parts)) // small ones first
    for (int64_t i : {0, 1})
      multiply(k, element, a, values.slice(2 * i, 2), sums.slice(4 * i, 4));
}

void addFiniteProducts(Kernel &k, Type element, ArrayRef<Fragment> parts, ArrayRef<Value> values,
                       MutableArrayRef<Value> sums) {
  const Bits bits(element);
  auto absolute = [&](Value half) { return arith::AndIOp::create(k.b, k.loc, half, k.i32(0x7fff)).getResult(); };
  auto isFinite = [&](Value half) { return k.less(absolute(half), k.i32(bits.exponent)); };
  auto oneIf = [&](Value condition) { return k.select(condition, k.i32(bits.one), k.i32(0)); };
  Fragment finite = mapHalves(k, values, [&](Value half) { return k.select(isFinite(half), half, k.i32(0)); });
  addProducts(k, element, parts, finite, sums);
  Fragment hasWeight = mapHalves(k, parts[0], [&](Value half) { return oneIf(k.less(k.i32(0), half)); });
  for (int64_t isNegative : {0, 1}) { // NaN is both infinities
    Fragment isIt = mapHalves(k, values, [&](Value half) {
      Value isNaN = k.less(k.i32(bits.exponent), absolute(half));
      return oneIf(k.either(isNaN, k.equal(half, k.i32(bits.exponent | isNegative << 15))));
    });
    SmallVector<Value> found(sums.size(), k.f32(0));
    addProducts(k, element, hasWeight, isIt, found);
    for (auto [sum, n] : llvm::zip(sums, found)) {
      Value isFound = arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::OGT, n, k.f32(0));
      Value infinity = k.f32((isNegative ? -1 : 1) * std::numeric_limits<double>::infinity());
      sum = k.select(isFound, k.addf(sum, infinity), sum);
    }
  }
}

Value someInfinite(Kernel &k, Type element, ArrayRef<Value> words) {
  // All bits of an exponent are 1: one more of its lowest is carried to the sign's place.
  const int32_t exponent = Bits(element).exponent, lowest = exponent & -exponent;
  Value all = k.i32(0);
  for (Value word : words) {
    Value exponents = arith::AndIOp::create(k.b, k.loc, word, k.i32(exponent << 16 | exponent));
    all = arith::OrIOp::create(k.b, k.loc, all, k.add(exponents, k.i32(lowest << 16 | lowest)));
  }
  all = arith::AndIOp::create(k.b, k.loc, all, k.i32(int32_t(0x80008000)));
  Value own = arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::ne, all, k.i32(0));
  return NVVM::VoteSyncOp::create(k.b, k.loc, k.b.getI1Type(), k.i32(-1), own, NVVM::VoteSyncKind::any);
}

} // namespace attnc::cuda
