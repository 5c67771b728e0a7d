//===- Linear.cpp - Products on ordinary cores: experts', and with weights that are not packed ------------===//
//
//===------------------------------------------------------------------------------------------------------===//
#include "backends/cuda/Linear.h"
#include "backends/cuda/Emitters.h"
#include "passes/Signature.h"

namespace attnc::cuda {
using llvm::Error;

namespace {
constexpr int64_t kRowsOfThread = 4;

/// The weight at (k, n) as f32.
Value weightAt(Kernel &e, attn::LinearOp op, Value k, Value n) {
  Value weight = op.getWeight(), panel = e.divFloor(n, attn::kPanel), column = e.rem(n, e.idx(attn::kPanel));
  switch (rankOf(weight)) {
  case 2:
    return op.getTransposeWeight() ? e.read(weight, {n, k}) : e.read(weight, {k, n});
  case 3:
    return e.read(weight, {panel, k, column});
  default:
    return e.read(weight, {panel, e.divFloor(k, 2), column, e.rem(k, e.idx(2))});
  }
}
} // namespace

SmallVector<Value> rowIndex(Kernel &e, Value out, Value row) {
  SmallVector<Value> index(rankOf(out) - 1);
  for (int64_t d = index.size(); d-- > 1; row = e.divFloor(row, e.size(out, d)))
    index[d] = e.rem(row, e.size(out, d));
  index[0] = row;
  return index;
}

void storeProduct(Kernel &e, attn::LinearOp op, Value sum, SmallVector<Value> row, Value column) {
  row.push_back(column);
  if (op.getBias())
    sum = e.addf(sum, e.read(op.getBias(), column));
  sum = attnc::emitActivation(e, op.getActivation(), sum);
  if (op.getResidual())
    sum = e.addf(sum, e.read(op.getResidual(), row));
  e.write(sum, op.getInit(), row);
}

ProductTile::ProductTile(Kernel &e, int64_t rowsOfThread)
    : e(e), rowsOfThread(rowsOfThread), x(e.rem(e.thread(), e.idx(kSide))), y(e.divFloor(e.thread(), kSide)),
      a(e.shared({kStep, rows() + 1}, e.b.getF32Type())), w(e.shared({kStep, kColumns}, e.b.getF32Type())) {}

SmallVector<Value> ProductTile::sum(int64_t k, function_ref<Value(int64_t, Value)> input,
                                    function_ref<Value(Value, Value)> weight) {
  static_assert(kStep == kSide);
  SmallVector<Value> sums(rowsOfThread * kPerThread, e.f32(0));
  return e.loop(e.idx(0), e.idx(k), kStep, sums, [&](Value from, ValueRange sofar) {
    auto bring = [&](Value at, Value to, ArrayRef<Value> index, function_ref<Value()> value) {
      Value zero = e.f32(0);
      e.store1(e.ifElse(e.less(at, e.idx(k)), zero.getType(), value, [&] { return zero; }), to, index);
    };
    for (int64_t i = 0; i < rowsOfThread; ++i) {
      Value at = e.add(from, x);
      bring(at, a, {x, row(i)}, [&] { return input(i, at); });
    }
    for (int64_t i = 0; i < kStep * kColumns / kThreads; ++i) { // the columns of a k at a time, 4 at a time
      Value ofStep = e.add(e.divFloor(e.thread(), kColumns), i * (kThreads / kColumns));
      Value at = e.add(from, ofStep), column = e.rem(e.thread(), e.idx(kColumns));
      bring(at, w, {ofStep, column}, [&] { return weight(at, column); });
    }
    e.barrier();
    SmallVector<Value> next = e.loop(e.idx(0), e.idx(kStep), 1, sofar, [&](Value step, ValueRange inner) {
      SmallVector<Value> left, right, result;
      for (int64_t i = 0; i < rowsOfThread; ++i)
        left.push_back(e.load1(a, {step, row(i)}));
      for (int64_t j = 0; j < kPerThread; ++j)
        right.push_back(e.load1(w, {step, column(j)}));
      for (auto [i, sum] : llvm::enumerate(inner))
        result.push_back(math::FmaOp::create(e.b, e.loc, left[i / kPerThread], right[i % kPerThread], sum));
      return result;
    });
    e.barrier();
    return next;
  });
}

Error emitLinear(Kernel &e) {
  auto op = cast<attn::LinearOp>(e.op());
  if (rankOf(op.getWeight()) > 2 && !isPairs(typeOf(op.getInput()))) {
    emitMatrixProduct(e);
    return Error::success();
  }
  Value input = op.getInput(), out = op.getInit();
  const int64_t rank = rankOf(out), k = columnsOf(input), n = columnsOf(out);
  // Rows are counted over all leading dimensions; columns are the faster axis of blocks: neighbours share rows.
  SmallVector<Value> first = e.tile(ProductTile::kThreads, {e.axis(out, kRowsOfAll, kRowsOfThread * ProductTile::kSide),
                                                            e.axis(out, rank - 1, ProductTile::kColumns)});
  ProductTile tile(e, kRowsOfThread);
  Value rows = e.size(out, kRowsOfAll), zero = e.f32(0);
  auto guarded = [&](Value condition, function_ref<Value()> value) {
    return e.ifElse(condition, zero.getType(), value, [&] { return zero; });
  };
  SmallVector<SmallVector<Value>> mine; // the rows of this thread
  SmallVector<Value> numbers;
  for (int64_t i = 0; i < kRowsOfThread; ++i) {
    numbers.push_back(e.add(first[0], tile.row(i)));
    mine.push_back(rowIndex(e, out, numbers.back()));
  }
  auto x = [&](int64_t i, Value at) {
    SmallVector<Value> index(mine[i]);
    index.push_back(at);
    return guarded(e.less(numbers[i], rows), [&] { return e.read(input, index); });
  };
  auto w = [&](Value at, Value inTile) {
    Value column = e.add(first[1], inTile);
    return guarded(e.less(column, e.idx(n)), [&] { return weightAt(e, op, at, column); });
  };
  for (auto [number, sum] : llvm::enumerate(tile.sum(k, x, w))) {
    int64_t i = number / ProductTile::kPerThread;
    Value column = e.add(first[1], tile.column(number % ProductTile::kPerThread)), y = sum;
    e.ifThen(e.both(e.less(numbers[i], rows), e.less(column, e.idx(n))),
             [&] { storeProduct(e, op, y, mine[i], column); });
  }
  return Error::success();
}

} // namespace attnc::cuda
