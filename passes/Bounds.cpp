//===- Bounds.cpp - Least and greatest value of a region over a tile ------------------------===//
//
// One set of rules for compile time and run time.
//
//===----------------------------------------------------------------------------------===//
#include "passes/Bounds.h"
#include "passes/BoundsNumbers.h"

#include "llvm/ADT/TypeSwitch.h"

namespace attnc {
using namespace attn;
using namespace bounds;

namespace {
constexpr int64_t kBlocks = 4; // most blocks of a captured tensor that are looked at
constexpr int64_t kElements = 8; // fewer of them are looked at one by one

/// What each value of a region may be, by one rule per op.
struct Rules : Arithmetic {
  Region &region;
  DenseMap<Value, Range> known;
  Rules(Emit *e, Region &region) : Arithmetic{e}, region(region) {}

  Range yielded();
  Range of(Value value);
  Range captured(Value value);
  Range load(LoadOp op);
  Range visit(Operation *op, ArrayRef<Range> in, unsigned from, unsigned width);
  Range compare(arith::CmpIOp op, Range a, Range b, unsigned width);

  /// `r`, or every value where it leaves the type or `bad` holds.
  Range fit(Range r, unsigned width, Num bad = 0) {
    Range all = everyValue(width);
    bad = either(bad, either(less(r.lo, all.lo), less(all.hi, r.hi)));
    return choose(bad, all, clip(r, all.lo.min, all.hi.min));
  }
  /// `r`, which is known to lie within min and max where it is used.
  static Range clip(Range r, int64_t min, int64_t max) {
    auto number = [&](Num n) { return Num(n.value, std::clamp(n.min, min, max), std::clamp(n.max, min, max)); };
    return {number(r.lo), number(r.hi)};
  }
  Range choose(Num flag, Range a, Range b, unsigned width = 64) {
    return {select(flag, a.lo, b.lo, width), select(flag, a.hi, b.hi, width)};
  }
  Range plus(Range a, Range b, unsigned width) {
    Range r{add(a.lo, b.lo), add(a.hi, b.hi)};
    return fit(r, width, either(wraps(a.lo, b.lo, r.lo, false), wraps(a.hi, b.hi, r.hi, false)));
  }
  Range minus(Range a, Range b, unsigned width) {
    Range r{sub(a.lo, b.hi), sub(a.hi, b.lo)};
    return fit(r, width, either(wraps(a.lo, b.hi, r.lo, true), wraps(a.hi, b.lo, r.hi, true)));
  }
  Range times(Range a, Range b, unsigned width) {
    Num bad = 0;
    Range whole = everyValue(32);
    for (Num x : {a.lo, a.hi})
      for (Num y : {b.lo, b.hi})
        if (!productLimits(x, y)) // else products of i32 numbers, which do not leave i64
          for (Range r : {a, b})
            bad = either(bad, either(less(r.lo, whole.lo), less(whole.hi, r.hi)));
    if (bad == Num(1))
      return everyValue(width);
    if (a.lo.min >= 0 && b.lo.min >= 0)
      return fit({mul(a.lo, b.lo), mul(a.hi, b.hi)}, width, bad);
    Num p = mul(a.lo, b.lo), q = mul(a.hi, b.lo), r = mul(a.lo, b.hi), s = mul(a.hi, b.hi);
    return fit({least(least(p, q), least(r, s)), most(most(p, q), most(r, s))}, width, bad);
  }
  Range magnitude(Range a, unsigned width) {
    Num low = sub(0, a.hi), high = sub(0, a.lo);
    return fit({most(0, most(a.lo, low)), most(a.hi, high)}, width, wraps(0, a.lo, high, true));
  }
  Range square(Range a, unsigned width) {
    // |a| of the least i64 does not fit, and neither would its square.
    Range m = magnitude(a, 64);
    return m.lo.min < 0 ? times(a, a, width) : times(m, m, width);
  }
  /// Of an op on unsigned numbers with results up to `top`: `r` where a is not negative, when it is as if signed.
  Range ifNotNegative(Range a, Range r, int64_t top) { return choose(less(a.lo, 0), {0, top}, clip(r, 0, top)); }
  Range remainder(Range a, int64_t c) {
    // Within one multiple of c the remainder rises with a.
    Num within = equal(div(a.lo, c), div(a.hi, c));
    auto rest = [&](Num x) {
      bool one = x.min / c == x.max / c;
      return make<arith::RemSIOp>(x, c,
                                  one         ? x.min % c
                                  : x.min < 0 ? 1 - c
                                              : 0,
                                  one         ? x.max % c
                                  : x.max > 0 ? c - 1
                                              : 0);
    };
    return choose(within, {rest(a.lo), rest(a.hi)}, {least(0, most(a.lo, 1 - c)), most(0, least(a.hi, c - 1))});
  }
  /// Unsigned numbers in the order of signed ones.
  Range flip(Range a, unsigned width) {
    Num crosses = both(less(a.lo, 0), invert(less(a.hi, 0)));
    return choose(crosses, everyValue(width), {flipSign(a.lo, width), flipSign(a.hi, width)});
  }
};

/// A value from outside of the region.
Range Rules::captured(Value value) {
  unsigned width = widthOf(value.getType());
  APInt constant;
  if (width && matchPattern(value, m_ConstantInt(&constant))) {
    int64_t c = width == 1 ? constant.getZExtValue() : constant.getSExtValue();
    return {c, c};
  }
  Range all = everyValue(width);
  if (!width || !e)
    return all;
  if (value.getType().isIndex())
    value = e->b.createOrFold<arith::IndexCastOp>(e->loc, e->b.getI64Type(), value);
  else if (width > 1 && width < 64)
    value = e->b.createOrFold<arith::ExtSIOp>(e->loc, e->b.getI64Type(), value);
  Num n = number(value, all.lo.min, all.hi.min);
  return {n, n};
}

Range Rules::load(LoadOp op) {
  unsigned width = widthOf(op.getType());
  Range all = everyValue(width);
  auto type = dyn_cast<MemRefType>(op.getSource().getType());
  if (!width || !e || !type)
    return all;
  SmallVector<Range> at = llvm::map_to_vector(op.getIndices(), [&](Value index) { return of(index); });
  bool moves = !at.empty() && !at.back().isSingle();
  if ((moves && !op.getRanges()) || !llvm::all_of(ArrayRef(at).drop_back(moves), [](Range r) { return r.isSingle(); }))
    return all;

  // Read only where all of the indices lie within the tensor.
  Num inside = 1;
  for (auto [d, r] : llvm::enumerate(at)) {
    Value size = e->b.createOrFold<arith::IndexCastOp>(e->loc, e->b.getI64Type(), e->dim(op.getSource(), d));
    inside = both(inside, both(invert(less(r.lo, 0)), less(r.hi, number(size, 0, kMax))));
  }
  int64_t shift = llvm::Log2_64(kKeyPanel);
  Num first = 0, last = 0;
  if (moves) {
    first = shiftRight(at.back().lo, shift);
    last = shiftRight(at.back().hi, shift);
    inside = both(inside, less(sub(last, first), kBlocks));
  }
  if (inside == Num(0))
    return all;
  SmallVector<Value> indices;
  for (Range r : ArrayRef(at).drop_back(moves))
    indices.push_back(e->toIndex(get(r.lo)));
  unsigned bits = width == 1 ? 1 : 64;
  Type result = e->b.getIntegerType(bits);
  auto choice = scf::IfOp::create(e->b, e->loc, TypeRange{result, result}, get(inside, 1), /*withElse=*/true);
  OpBuilder::InsertionGuard guard(e->b);
  e->b.setInsertionPointToStart(choice.elseBlock());
  scf::YieldOp::create(e->b, e->loc, ValueRange{get(all.lo, bits), get(all.hi, bits)});
  e->b.setInsertionPointToStart(choice.thenBlock());
  auto read = [&](Value from, ValueRange where) {
    Value v = e->fromWords(e->load1(e->words(from), where), from);
    return v.getType().isInteger(1) || v.getType().isInteger(64) ? v
                                            : arith::ExtSIOp::create(e->b, e->loc, e->b.getI64Type(), v).getResult();
  };
  SmallVector<Value> found;
  if (!moves) {
    found.assign(2, read(op.getSource(), indices));
  } else {
    auto bounds = [&](Value block) {
      SmallVector<Value> pair;
      for (int64_t which : {0, 1}) {
        SmallVector<Value> where = {e->idx(which)};
        llvm::append_range(where, indices);
        where.push_back(block);
        pair.push_back(read(op.getRanges(), where));
      }
      return pair;
    };
    auto over = [&](Num from, Num to, function_ref<SmallVector<Value>(Value)> bounds) {
      Value begin = e->toIndex(get(from)), end = e->toIndex(get(to));
      return e->loop(e->add(begin, 1), e->add(end, 1), 1, bounds(begin), [&](Value at, ValueRange sofar) {
        SmallVector<Value> next = bounds(at);
        return SmallVector<Value>{e->min(sofar[0], next[0]), e->max(sofar[1], next[1])};
      });
    };
    if (width == 1) {
      found = over(first, last, bounds);
    } else { // the rows of one register tile are bounded exactly
      Value few = get(less(sub(at.back().hi, at.back().lo), kElements), 1);
      auto exact = scf::IfOp::create(e->b, e->loc, TypeRange{result, result}, few, /*withElse=*/true);
      OpBuilder::InsertionGuard guard(e->b);
      e->b.setInsertionPointToStart(exact.thenBlock());
      scf::YieldOp::create(e->b, e->loc, over(at.back().lo, at.back().hi, [&](Value element) {
        SmallVector<Value> where(indices);
        where.push_back(element);
        return SmallVector<Value>(2, read(op.getSource(), where));
      }));
      e->b.setInsertionPointToStart(exact.elseBlock());
      scf::YieldOp::create(e->b, e->loc, over(first, last, bounds));
      found.assign(exact.getResults().begin(), exact.getResults().end());
    }
    if (width == 1)
      for (Value &v : found)
        v = arith::TruncIOp::create(e->b, e->loc, result, v);
  }
  scf::YieldOp::create(e->b, e->loc, found);
  Num lo(choice.getResult(0), all.lo.min, all.hi.min);
  // One place, known to be within the tensor, is one number.
  return {lo, inside == Num(1) && !moves ? lo : Num(choice.getResult(1), all.lo.min, all.hi.min)};
}

Range Rules::compare(arith::CmpIOp op, Range a, Range b, unsigned width) {
  using Predicate = arith::CmpIPredicate;
  Predicate predicate = op.getPredicate();
  if (op.getLhs() == op.getRhs()) {
    bool holds = arith::applyCmpPredicate(predicate, APInt(width, 0), APInt(width, 0));
    return {holds, holds};
  }
  bool isSigned = llvm::is_contained({Predicate::slt, Predicate::sle, Predicate::sgt, Predicate::sge}, predicate);
  if (width == 1) {
    a = {widen(a.lo), widen(a.hi)};
    b = {widen(b.lo), widen(b.hi)};
    if (isSigned) // true is -1
      std::swap(a, b);
  } else if (!isSigned && (a.lo.min < 0 || b.lo.min < 0) && predicate != Predicate::eq && predicate != Predicate::ne) {
    a = flip(a, width);
    b = flip(b, width);
  }
  switch (predicate) {
  case Predicate::sgt:
  case Predicate::ugt:
    std::swap(a, b);
    [[fallthrough]];
  case Predicate::slt:
  case Predicate::ult:
    return {less(a.hi, b.lo), less(a.lo, b.hi)};
  case Predicate::sge:
  case Predicate::uge:
    std::swap(a, b);
    [[fallthrough]];
  case Predicate::sle:
  case Predicate::ule:
    return {invert(less(b.lo, a.hi)), invert(less(b.hi, a.lo))};
  case Predicate::eq:
  case Predicate::ne:
    break;
  }
  Num never = either(less(a.hi, b.lo), less(b.hi, a.lo)), differ = either(less(a.lo, b.hi), less(b.lo, a.hi));
  if (predicate == Predicate::ne)
    return {never, differ};
  return {invert(differ), invert(never)};
}

/// Bounds of the result of `op`, an integer of `width` bits, by those of its operands, the first of `from` bits.
Range Rules::visit(Operation *op, ArrayRef<Range> in, unsigned from, unsigned width) {
  Range all = everyValue(width), a = in[0], b = in[in.size() > 1 ? 1 : 0];
  bool same = in.size() == 2 && op->getOperand(0) == op->getOperand(1);
  std::optional<int64_t> constant = b.constant();
  int64_t c = constant.value_or(0); // no rule for 0
  // The greatest quotient of an unsigned number by 2 or more.
  auto top = [&](uint64_t divisor) { return int64_t(llvm::maxUIntN(width) / divisor); };
  auto falling = [](Range r) { return Range{r.hi, r.lo}; };
  auto truncated = [&]() -> Range {
    if (width > 1)
      return fit(a, width);
    if (!a.isSingle())
      return all;
    if (a.lo.isConstant())
      return {a.lo.min & 1, a.lo.min & 1};
    Num bit = number(e->b.createOrFold<arith::TruncIOp>(e->loc, e->b.getI1Type(), a.lo.value), 0, 1);
    return {bit, bit};
  };
  auto extended = [&](bool isSigned) -> Range {
    if (from == 1) {
      Range bit{widen(a.lo), widen(a.hi)};
      return isSigned ? Range{sub(0, bit.hi), sub(0, bit.lo)} : bit;
    }
    return isSigned || from == 64 ? a : ifNotNegative(a, a, llvm::maxUIntN(from));
  };

  if (auto compared = dyn_cast<arith::CmpIOp>(op))
    return compare(compared, a, b, from);
  if (isa<arith::SelectOp>(op)) {
    Range t = b, f = in[2];
    if (width == 1)
      return {select(a.lo, t.lo, select(a.hi, both(t.lo, f.lo), f.lo, 1), 1),
              select(a.lo, t.hi, select(a.hi, either(t.hi, f.hi), f.hi, 1), 1)};
    return choose(a.lo, t, choose(a.hi, {least(t.lo, f.lo), most(t.hi, f.hi)}, f));
  }
  if (isa<arith::ExtSIOp>(op))
    return extended(true);
  if (isa<arith::ExtUIOp>(op))
    return extended(false);
  if (isa<arith::TruncIOp>(op))
    return truncated();
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp>(op))
    return width >= from ? extended(isa<arith::IndexCastOp>(op)) : truncated();
  if (width == 1) { // logic; of the others, nothing is known
    return llvm::TypeSwitch<Operation *, Range>(op)
        .Case([&](arith::AndIOp) { return Range{both(a.lo, b.lo), both(a.hi, b.hi)}; })
        .Case([&](arith::OrIOp) { return Range{either(a.lo, b.lo), either(a.hi, b.hi)}; })
        .Case([&](arith::XOrIOp) {
          return same ? Range{0, 0}
                      : Range{either(both(a.lo, invert(b.hi)), both(b.lo, invert(a.hi))),
                              either(both(a.hi, invert(b.lo)), both(b.hi, invert(a.lo)))};
        })
        .Default([&](Operation *) { return all; });
  }
  return llvm::TypeSwitch<Operation *, Range>(op)
      .Case([&](arith::AddIOp) { return plus(a, b, width); })
      .Case([&](arith::SubIOp) { return same ? Range{0, 0} : minus(a, b, width); })
      .Case([&](arith::MulIOp) { return same ? square(a, width) : times(a, b, width); })
      .Case([&](arith::MinSIOp) { return Range{least(a.lo, b.lo), least(a.hi, b.hi)}; })
      .Case([&](arith::MaxSIOp) { return Range{most(a.lo, b.lo), most(a.hi, b.hi)}; })
      .Case<arith::MinUIOp, arith::MaxUIOp>([&](Operation *op) {
        bool isMin = isa<arith::MinUIOp>(op), plain = a.lo.min >= 0 && b.lo.min >= 0;
        Range x = plain ? a : flip(a, width), y = plain ? b : flip(b, width);
        Range r = isMin ? Range{least(x.lo, y.lo), least(x.hi, y.hi)} : Range{most(x.lo, y.lo), most(x.hi, y.hi)};
        return plain ? r : flip(r, width);
      })
      .Case([&](arith::DivSIOp) {
        if (c == 0 || c == -1)
          return all;
        Range r{div(a.lo, c), div(a.hi, c)};
        return c > 0 ? r : falling(r);
      })
      .Case([&](arith::DivUIOp) {
        if (c <= 1)
          return c == 1 ? a : all;
        return ifNotNegative(a, {div(a.lo, c), div(a.hi, c)}, top(c));
      })
      .Case<arith::FloorDivSIOp, arith::CeilDivSIOp>([&](Operation *op) {
        if (c == 0 || c == -1)
          return all;
        auto quotient = [&](Num n) {
          return isa<arith::FloorDivSIOp>(op)
                     ? monotone<arith::FloorDivSIOp>(n, c, [&](int64_t x) { return llvm::divideFloorSigned(x, c); })
                     : monotone<arith::CeilDivSIOp>(n, c, [&](int64_t x) { return llvm::divideCeilSigned(x, c); });
        };
        Range r{quotient(a.lo), quotient(a.hi)};
        return c > 0 ? r : falling(r);
      })
      .Case([&](arith::RemSIOp) { return c == 0 || c == kMin ? all : remainder(a, std::abs(c)); })
      .Case([&](arith::RemUIOp) { return c <= 0 ? all : ifNotNegative(a, remainder(a, c), c - 1); })
      .Case([&](arith::ShLIOp) {
        return !constant || c < 0 || c >= width || c > 62 ? all : times(a, {int64_t(1) << c, int64_t(1) << c}, width);
      })
      .Case([&](arith::ShRSIOp) {
        return !constant || c < 0 || c >= width ? all : Range{shiftRight(a.lo, c), shiftRight(a.hi, c)};
      })
      .Case([&](arith::ShRUIOp) {
        if (!constant || c < 0 || c >= width)
          return all;
        return c == 0 ? a : ifNotNegative(a, {shiftRight(a.lo, c), shiftRight(a.hi, c)}, top(uint64_t(1) << c));
      })
      .Case([&](arith::AndIOp) {
        if (same)
          return a;
        if (!constant && a.constant()) {
          std::swap(a, b);
          constant = b.constant();
          c = *constant;
        }
        if (!constant) // with a number that is not negative: at most that
          return a.lo.min >= 0 && b.lo.min >= 0 ? Range{0, least(a.hi, b.hi)}
                 : a.lo.min >= 0                ? Range{0, a.hi}
                 : b.lo.min >= 0                ? Range{0, b.hi}
                                                : all;
        if (c < 0) { // multiples of a power of two
          auto align = [&](Num n) { return monotone<arith::AndIOp>(n, c, [&](int64_t x) { return x & c; }); };
          return llvm::isPowerOf2_64(-uint64_t(c)) ? Range{align(a.lo), align(a.hi)} : all;
        }
        if (!llvm::isMask_64(c))
          return Range{0, select(less(a.lo, 0), c, least(a.hi, c))};
        // The rest of a multiple of c + 1, of negative numbers too.
        int64_t bits = llvm::countr_one(uint64_t(c));
        auto rest = [&](Num n) {
          bool one = n.min >> bits == n.max >> bits;
          return make<arith::AndIOp>(n, c, one ? n.min & c : 0, one ? n.max & c : c);
        };
        Num within = bits == 63 ? invert(less(a.lo, 0)) : equal(shiftRight(a.lo, bits), shiftRight(a.hi, bits));
        return choose(within, {rest(a.lo), rest(a.hi)}, {0, c});
      })
      .Case([&](arith::OrIOp) { return same ? a : all; })
      .Case([&](arith::XOrIOp) {
        if (same)
          return Range{0, 0};
        return constant && c == -1 ? Range{sub(-1, a.hi), sub(-1, a.lo)} : all;
      })
      .Case([&](math::AbsIOp) { return magnitude(a, width); })
      .Default([&](Operation *) { return all; });
}

Range Rules::of(Value value) {
  if (auto found = known.find(value); found != known.end())
    return found->second;
  Operation *op = value.getDefiningOp();
  unsigned width = widthOf(value.getType());
  Range r = everyValue(width);
  if (!op || op->getParentRegion() != &region || isa<arith::ConstantOp>(op)) {
    r = captured(value);
  } else if (auto read = dyn_cast<LoadOp>(op)) {
    r = load(read);
  } else if (width && op->getNumResults() == 1 && op->getNumOperands() > 0 &&
             llvm::all_of(op->getOperandTypes(), [](Type type) { return widthOf(type) != 0; })) {
    SmallVector<Range> in;
    for (Value operand : op->getOperands())
      in.push_back(of(operand));
    r = visit(op, in, widthOf(op->getOperand(0).getType()), width);
  }
  known.try_emplace(value, r);
  return r;
}

/// What the region yields, once `known` holds its arguments.
Range Rules::yielded() {
  for (Operation &op : region.front().without_terminator()) // in order, so that `of` does not recurse
    of(op.getResult(0));
  return of(cast<YieldOp>(region.front().getTerminator()).getValue());
}

/// Arguments b, h, i, j.
MutableArrayRef<BlockArgument> positions(Region &region) { return region.getArguments().take_back(4); }
} // namespace

Interval boundsOf(Emit &e, Region &region, ArrayRef<Interval> bhij) {
  Rules rules(&e, region);
  for (auto [n, argument] : llvm::enumerate(positions(region))) {
    int64_t max = llvm::maxIntN(32), min = n == 2 ? llvm::minIntN(32) : 0;
    Num lo = rules.number(bhij[n].lo, min, max), hi = rules.number(bhij[n].hi, min, max);
    rules.known.try_emplace(argument, Range{lo, hi});
  }
  Range r = rules.yielded();
  if (cast<YieldOp>(region.front().getTerminator()).getValue().getType().isInteger(1))
    r = {rules.widen(r.lo), rules.widen(r.hi)};
  return {rules.get(r.lo), rules.get(r.hi)};
}

ConstantInterval boundsOf(Region &region, ArrayRef<ConstantInterval> bhij) {
  Rules rules(nullptr, region);
  for (auto [argument, bounds] : llvm::zip(positions(region), bhij))
    rules.known.try_emplace(argument, Range{bounds.lo, bounds.hi});
  Range r = rules.yielded();
  return {r.lo.min, r.hi.min};
}

} // namespace attnc
