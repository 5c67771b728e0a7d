// Bounds of regions (passes/Bounds.h) against brute force and upstream's inference of integer ranges, on random
// regions.
#include "RandomRegion.h"

#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/InferIntRangeInterface.h"
#include <gtest/gtest.h>

using namespace attnc;
using namespace attnc::test;

namespace {

/// A context with what the regions need, and the seed of the tests: ATTN_TEST_SEED.
struct Bounds : testing::Test {
  MLIRContext context{MLIRContext::Threading::DISABLED};
  uint64_t seed = 1;

  Bounds() {
    context.loadDialect<attn::AttnDialect, arith::ArithDialect, math::MathDialect, memref::MemRefDialect,
                        scf::SCFDialect>();
    if (const char *text = std::getenv("ATTN_TEST_SEED"))
      seed = std::strtoull(text, nullptr, 10);
    RecordProperty("seed", std::to_string(seed));
  }
};

/// As the bounds count: i1 as 0 and 1.
int64_t read(const APInt &number) { return number.getBitWidth() == 1 ? number.getZExtValue() : number.getSExtValue(); }

std::string show(Region &region) {
  std::string text;
  llvm::raw_string_ostream os(text);
  for (Operation &op : region.front()) {
    op.print(os, OpPrintingFlags().printGenericOpForm(false).useLocalScope());
    os << '\n';
  }
  return text;
}

/// The numbers that `value` takes at `points`.
SmallVector<int64_t> bruteForce(RandomRegion &r, Value value, ArrayRef<SmallVector<int64_t>> points) {
  SmallVector<int64_t> found;
  for (auto &point : points) {
    Numbers numbers = r.scalars;
    for (auto [argument, x] : llvm::zip(r.region.getArguments(), point))
      numbers.try_emplace(argument, APInt(32, x, /*isSigned=*/true));
    interpret(r.region.front(), numbers, r.memory, /*outside=*/r.pick(-5, 5));
    if (auto number = numbers.find(value); number != numbers.end())
      found.push_back(read(number->second));
  }
  return found;
}

/// Emits the bounds with the arguments' bounds as values, and computes them.
ConstantInterval atRunTime(RandomRegion &r, ArrayRef<ConstantInterval> bhij) {
  Block code;
  OpBuilder b(r.b.getContext());
  b.setInsertionPointToStart(&code);
  Emit e(b, r.loc);
  Numbers numbers = r.scalars;
  SmallVector<Interval> arguments;
  for (ConstantInterval bounds : bhij) {
    Value lo = code.addArgument(b.getI64Type(), r.loc);
    Value hi = bounds.lo == bounds.hi ? lo : code.addArgument(b.getI64Type(), r.loc);
    numbers.try_emplace(lo, APInt(64, bounds.lo, true));
    numbers.try_emplace(hi, APInt(64, bounds.hi, true));
    arguments.push_back({lo, hi});
  }
  Interval bounds = boundsOf(e, r.region, arguments);
  EXPECT_TRUE(interpret(code, numbers, r.memory)) << "the bounds read outside of a buffer";
  auto lo = numbers.find(bounds.lo), hi = numbers.find(bounds.hi);
  if (lo == numbers.end() || hi == numbers.end()) {
    ADD_FAILURE() << "expected numbers";
    return {0, 0};
  }
  return {lo->second.getSExtValue(), hi->second.getSExtValue()};
}

TEST_F(Bounds, HoldEveryValue) {
  int64_t exact = 0, cases = 0;
  for (int64_t n = 0; n < 3000; ++n) {
    RandomRegion r(&context, seed * 1000003 + n, /*captures=*/n % 2);
    if (r.made.empty())
      continue;
    SmallVector<ConstantInterval> bhij = r.intervals();
    auto points = r.points(bhij, 40);
    Value value = r.made.back();
    r.yield(value);
    SmallVector<int64_t> found = bruteForce(r, value, points);
    ConstantInterval early = boundsOf(r.region, bhij), late = atRunTime(r, bhij);
    if (found.empty())
      continue;
    auto [least, most] = std::minmax_element(found.begin(), found.end());
    ++cases;
    exact += late.lo == *least && late.hi == *most;
    for (ConstantInterval bounds : {early, late})
      ASSERT_TRUE(bounds.lo <= *least && *most <= bounds.hi)
          << "seed " << seed << ", case " << n << ": expected [" << *least << ", " << *most << "] within [" << bounds.lo
          << ", " << bounds.hi << "] of\n"
          << show(r.region);
  }
  EXPECT_GT(cases, 2500);
  EXPECT_GT(exact, cases / 2) << "too few bounds are the least and greatest value of the sampled points";
}

/// What upstream infers for each value.
DenseMap<Value, ConstantIntRanges> inferUpstream(Region &region, ArrayRef<ConstantInterval> bhij) {
  DenseMap<Value, ConstantIntRanges> known;
  for (auto [argument, bounds] : llvm::zip(region.getArguments(), bhij))
    known.try_emplace(argument, ConstantIntRanges::fromSigned(APInt(32, bounds.lo, true), APInt(32, bounds.hi, true)));
  for (Operation &op : region.front()) {
    // Upstream's ceildivsi of the least number has the wrong sign.
    auto infers = dyn_cast<InferIntRangeInterface>(op);
    if (!infers || isa<arith::CeilDivSIOp>(op) ||
        llvm::any_of(op.getOperands(), [&](Value v) { return !known.contains(v); }))
      continue;
    SmallVector<ConstantIntRanges> in;
    for (Value v : op.getOperands())
      in.push_back(known.find(v)->second);
    infers.inferResultRanges(in, [&](Value v, const ConstantIntRanges &range) { known.try_emplace(v, range); });
  }
  return known;
}

/// Whether a rule may give wider bounds than upstream's from the same bounds of the operands: these know less about
/// bits and about negative numbers taken as unsigned ones.
bool isCoarse(Operation *op) {
  return isa<arith::AndIOp, arith::OrIOp, arith::XOrIOp, arith::TruncIOp, arith::DivUIOp, arith::RemUIOp,
             arith::ShRUIOp, arith::ExtUIOp, arith::IndexCastUIOp, arith::MaxUIOp, arith::MinUIOp, arith::CmpIOp>(op);
}

TEST_F(Bounds, AgreeWithUpstream) {
  int64_t compared = 0, equal = 0;
  for (int64_t n = 0; n < 3000; ++n) {
    RandomRegion r(&context, seed * 1000003 + n, /*captures=*/false);
    SmallVector<ConstantInterval> bhij = r.intervals();
    DenseMap<Value, ConstantIntRanges> upstream = inferUpstream(r.region, bhij);
    llvm::SmallPtrSet<Value, 16> agreed; // values with upstream's bounds
    for (Value value : r.made) {
      auto theirs = upstream.find(value);
      Operation *op = value.getDefiningOp();
      if (theirs == upstream.end())
        continue;
      r.yield(value);
      ConstantInterval ours = boundsOf(r.region, bhij);
      bool isFlag = value.getType().isInteger(1);
      ConstantInterval range = {read(isFlag ? theirs->second.umin() : theirs->second.smin()),
                                read(isFlag ? theirs->second.umax() : theirs->second.smax())};
      auto message = [&] {
        return "seed " + std::to_string(seed) + ", case " + std::to_string(n) + ": expected [" +
               std::to_string(range.lo) + ", " + std::to_string(range.hi) + "], got [" + std::to_string(ours.lo) +
               ", " + std::to_string(ours.hi) + "] of\n" + show(r.region);
      };
      ASSERT_TRUE(ours.lo <= range.hi && range.lo <= ours.hi) << message();
      bool isSame = ours.lo == range.lo && ours.hi == range.hi;
      if (isSame)
        agreed.insert(value);
      ++compared;
      equal += isSame;
      bool sameOperands = llvm::all_of(op->getOperands(), [&](Value v) {
        return agreed.contains(v) || isa<BlockArgument>(v) || v.getDefiningOp<arith::ConstantOp>();
      });
      unsigned width = widthOf(value.getType());
      bool isEverything = !isFlag && ours.lo == llvm::minIntN(width) && ours.hi == llvm::maxIntN(width); // overflow
      if (sameOperands && !isCoarse(op) && !isEverything)
        ASSERT_TRUE(range.lo <= ours.lo && ours.hi <= range.hi) << message();
    }
  }
  EXPECT_GT(compared, 10000);
  EXPECT_GT(equal, compared * 7 / 10);
}

TEST_F(Bounds, OfConstantsAreConstants) {
  for (int64_t n = 0; n < 300; ++n) {
    RandomRegion r(&context, seed * 1000003 + n, /*captures=*/false);
    if (r.made.empty())
      continue;
    r.yield(r.made.back());
    Block code;
    OpBuilder b(&context);
    b.setInsertionPointToStart(&code);
    Emit e(b, r.loc);
    SmallVector<ConstantInterval> bhij = r.intervals();
    SmallVector<Interval> arguments;
    for (ConstantInterval bounds : bhij)
      arguments.push_back({arith::ConstantIntOp::create(b, r.loc, bounds.lo, 64),
                           arith::ConstantIntOp::create(b, r.loc, bounds.hi, 64)});
    Interval found = boundsOf(e, r.region, arguments);
    ConstantInterval expected = boundsOf(r.region, bhij);
    APInt lo, hi;
    ASSERT_TRUE(matchPattern(found.lo, m_ConstantInt(&lo)) && matchPattern(found.hi, m_ConstantInt(&hi)));
    EXPECT_EQ(lo.getSExtValue(), expected.lo);
    EXPECT_EQ(hi.getSExtValue(), expected.hi);
    for (Operation &op : code)
      EXPECT_TRUE(isa<arith::ConstantOp>(op)) << "expected no code, got " << op.getName().getStringRef().str();
  }
}

// A tile of a causal mask costs two comparisons, and one more op each.
TEST_F(Bounds, AreShort) {
  RandomRegion r(&context, 1, /*captures=*/false);
  r.region.front().clear();
  r.b.setInsertionPointToStart(&r.region.front());
  r.yield(
      arith::CmpIOp::create(r.b, r.loc, arith::CmpIPredicate::sle, r.region.getArgument(3), r.region.getArgument(2)));
  Block code;
  OpBuilder b(&context);
  b.setInsertionPointToStart(&code);
  Emit e(b, r.loc);
  SmallVector<Interval> arguments;
  for (int n = 0; n < 4; ++n)
    arguments.push_back({code.addArgument(b.getI64Type(), r.loc), code.addArgument(b.getI64Type(), r.loc)});
  boundsOf(e, r.region, arguments);
  int64_t ops = llvm::count_if(code, [](Operation &op) { return !isa<arith::ConstantOp>(op); });
  EXPECT_LE(ops, 6);
}

// Documents of any length, by ids of 300 tokens with their ranges: a tile is computed in part only if it is mixed.
TEST_F(Bounds, OfDocumentsAreExact) {
  RandomRegion r(&context, seed, /*captures=*/false);
  r.region.front().clear();
  r.b.setInsertionPointToStart(&r.region.front());
  int64_t dyn = ShapedType::kDynamic, size = 300, blocks = llvm::divideCeil(size, attn::kKeyPanel);
  Type i32 = r.b.getI32Type();
  Value ids = r.outer.addArgument(MemRefType::get({dyn, dyn}, i32), r.loc);
  Value ranges = r.outer.addArgument(MemRefType::get({2, dyn, dyn}, i32), r.loc);
  Buffer idData{{1, size}, {}, 32}, idBounds{{2, 1, blocks}, std::vector<int64_t>(2 * blocks), 32};
  for (int64_t k = 0, document = 5; k < size; ++k) {
    document += r.pick(0, 60) == 0;
    idData.data.push_back(document);
    if (k % attn::kKeyPanel == 0)
      idBounds.data[k / attn::kKeyPanel] = document;
    idBounds.data[blocks + k / attn::kKeyPanel] = document;
  }
  r.memory.try_emplace(ids, idData);
  r.memory.try_emplace(ranges, idBounds);
  Value b = r.region.getArgument(0), i = r.region.getArgument(2), j = r.region.getArgument(3);
  Value own = attn::LoadOp::create(r.b, r.loc, i32, ids, ValueRange{b, i}, ranges);
  Value other = attn::LoadOp::create(r.b, r.loc, i32, ids, ValueRange{b, j}, ranges);
  r.yield(arith::CmpIOp::create(r.b, r.loc, arith::CmpIPredicate::eq, own, other));
  for (int64_t q = 0; q < size; q += 64)
    for (int64_t k = 0; k < size; k += 64) {
      ConstantInterval rows = {q, std::min(q + 64, size) - 1}, keys = {k, std::min(k + 64, size) - 1};
      int64_t visible = 0;
      for (int64_t i = rows.lo; i <= rows.hi; ++i)
        for (int64_t j = keys.lo; j <= keys.hi; ++j)
          visible += idData.data[i] == idData.data[j];
      ConstantInterval found = atRunTime(r, {{0, 0}, {0, 3}, rows, keys});
      EXPECT_EQ(found.hi, visible > 0) << "rows from " << q << ", keys from " << k;
      EXPECT_EQ(found.lo, visible == (rows.hi - rows.lo + 1) * (keys.hi - keys.lo + 1)) << q << ' ' << k;
    }
}

// What lies outside of a buffer is anything, and is not read; more than four blocks are not looked at.
TEST_F(Bounds, OfLoadsStayInside) {
  RandomRegion r(&context, seed, /*captures=*/false);
  r.region.front().clear();
  r.b.setInsertionPointToStart(&r.region.front());
  int64_t dyn = ShapedType::kDynamic;
  Type i32 = r.b.getI32Type();
  Value source = r.outer.addArgument(MemRefType::get({dyn}, i32), r.loc);
  Value ranges = r.outer.addArgument(MemRefType::get({2, dyn}, i32), r.loc);
  Buffer data{{500}, {}, 32}, bounds{{2, 8}, {}, 32};
  for (int64_t k = 0; k < 500; ++k)
    data.data.push_back(k);
  for (int64_t which : {0, 1})
    for (int64_t block = 0; block < 8; ++block)
      bounds.data.push_back(which ? std::min<int64_t>(block * 64 + 63, 499) : block * 64);
  r.memory.try_emplace(source, data);
  r.memory.try_emplace(ranges, bounds);
  r.yield(attn::LoadOp::create(r.b, r.loc, i32, source, ValueRange(r.region.getArgument(2)), ranges));
  auto of = [&](int64_t lo, int64_t hi) {
    ConstantInterval found = atRunTime(r, {{0, 0}, {0, 0}, {lo, hi}, {0, 0}});
    return std::make_pair(found.lo, found.hi);
  };
  auto anything = std::make_pair(llvm::minIntN(32), llvm::maxIntN(32));
  EXPECT_EQ(of(70, 70), std::make_pair(int64_t(70), int64_t(70))); // few places: the elements
  EXPECT_EQ(of(63, 70), std::make_pair(int64_t(63), int64_t(70)));
  EXPECT_EQ(of(70, 78), std::make_pair(int64_t(64), int64_t(127))); // more: their blocks
  EXPECT_EQ(of(60, 70), std::make_pair(int64_t(0), int64_t(127)));
  EXPECT_EQ(of(63, 255), std::make_pair(int64_t(0), int64_t(255)));
  EXPECT_EQ(of(63, 256), anything);
  EXPECT_EQ(of(450, 499), std::make_pair(int64_t(448), int64_t(499)));
  EXPECT_EQ(of(450, 500), anything);
  EXPECT_EQ(of(-1, 3), anything);
  EXPECT_EQ(of(500, 500), anything);
  EXPECT_EQ(of(-5, -5), anything);
}

} // namespace
