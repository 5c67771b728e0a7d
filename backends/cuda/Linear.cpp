//===- Linear.cpp - Products with weights on ordinary cores
//-------------------------------------------------------------===//
//
//   weight f32     [panels, K, 16]
//   weight 16-bit  [panels, ⌈K/2⌉, 16, 2]
//
// A block computes a tile of 64 rows × 64 columns, 256 threads 4 × 4 values each. For steps of 16 k the block brings
// both factors to shared memory, widened to f32. Each result is one sum in ascending k, whatever the number of rows.
//
//===------------------------------------------------------------------------------------------------===//
#include "backends/cuda/Linear.h"
#include "backends/cuda/Emitters.h"

namespace attnc::cuda {
using llvm::Error;

namespace {
constexpr int64_t kRows = 64, kColumns = 64, kStep = 16, kSide = 16, kPerThread = 4, kThreads = kSide * kSide;
static_assert(kRows == kSide * kPerThread && kColumns == kSide * kPerThread && attn::kPanel == kSide);

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

Error emitLinear(Kernel &e) {
  auto op = cast<attn::LinearOp>(e.op());
  if (MemRefType weight = typeOf(op.getWeight()); weight.getRank() == 4 && weight.getElementType().isBF16()) {
    emitMatrixProduct(e);
    return Error::success();
  }
  Value input = op.getInput(), out = op.getInit();
  const int64_t rank = rankOf(out), k = columnsOf(input), n = columnsOf(out);
  // Rows are counted over all leading dimensions; columns are the faster axis of blocks: neighbours share rows.
  SmallVector<Value> first = e.tile(kThreads, {e.axis(out, kRowsOfAll, kRows), e.axis(out, rank - 1, kColumns)});
  Value rows = e.size(out, kRowsOfAll), zero = e.f32(0);
  auto guarded = [&](Value condition, function_ref<Value()> value) {
    return e.ifElse(condition, zero.getType(), value, [&] { return zero; });
  };
  auto within = [&](Value row, Value column) { return e.both(e.less(row, rows), e.less(column, e.idx(n))); };

  // [k, row] and [k, column] of this step.
  Value a = e.shared({kStep, kRows + 1}, e.b.getF32Type()), w = e.shared({kStep, kColumns}, e.b.getF32Type());
  Value x = e.rem(e.thread(), e.idx(kSide)), y = e.divFloor(e.thread(), kSide);
  SmallVector<Value> sums(kPerThread * kPerThread, zero);
  // Of the rows that this thread brings, one in 16.
  SmallVector<SmallVector<Value>> mine;
  SmallVector<Value> numbers;
  for (int64_t i = 0; i < kPerThread; ++i) {
    numbers.push_back(e.add(first[0], e.add(y, i * kSide)));
    mine.push_back(rowIndex(e, out, numbers.back()));
  }
  sums = e.loop(e.idx(0), e.idx(k), kStep, sums, [&](Value from, ValueRange sofar) {
    for (int64_t i = 0; i < kPerThread; ++i) {
      Value at = e.add(from, x), isInside = e.less(at, e.idx(k));
      SmallVector<Value> index(mine[i]);
      index.push_back(at);
      e.store1(guarded(e.both(e.less(numbers[i], rows), isInside), [&] { return e.read(input, index); }), a,
               {x, e.add(y, i * kSide)});
    }
    for (int64_t i = 0; i < kPerThread; ++i) { // 64 columns of a k at a time, 4 at a time
      Value k0 = e.add(e.divFloor(e.thread(), kColumns), i * (kThreads / kColumns)),
            c = e.rem(e.thread(), e.idx(kColumns));
      Value at = e.add(from, k0), column = e.add(first[1], c);
      Value isInside = e.both(e.less(at, e.idx(k)), e.less(column, e.idx(n)));
      e.store1(guarded(isInside, [&] { return weightAt(e, op, at, column); }), w, {k0, c});
    }
    e.barrier();
    SmallVector<Value> next = e.loop(e.idx(0), e.idx(kStep), 1, sofar, [&](Value step, ValueRange inner) {
      SmallVector<Value> left, right, result;
      for (int64_t i = 0; i < kPerThread; ++i) {
        left.push_back(e.load1(a, {step, e.add(y, i * kSide)}));
        right.push_back(e.load1(w, {step, e.add(x, i * kSide)}));
      }
      for (int64_t i = 0; i < kPerThread * kPerThread; ++i)
        result.push_back(math::FmaOp::create(e.b, e.loc, left[i / kPerThread], right[i % kPerThread], inner[i]));
      return result;
    });
    e.barrier();
    return next;
  });
  for (int64_t i = 0; i < kPerThread; ++i)
    for (int64_t j = 0; j < kPerThread; ++j) {
      Value column = e.add(first[1], e.add(x, j * kSide));
      e.ifThen(within(numbers[i], column), [&] { storeProduct(e, op, sums[i * kPerThread + j], mine[i], column); });
    }
  return Error::success();
}

} // namespace attnc::cuda
