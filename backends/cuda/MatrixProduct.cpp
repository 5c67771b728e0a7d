//===- MatrixProduct.cpp - Products with bf16 weights on tensor cores ------------------------------------===//
//
//   weight bf16 [panels, ⌈K/2⌉, 16, 2], whose pairs of k are registers of mma.sync.m16n8k16
//
// The input stays f32: x = h + m + l, three bf16 of 8 bits each, of which every product with a weight is exact, and
// three mma sum them in f32. What tensor cores add is in ascending k for every number of rows: a row's bits do not
// depend on the tile.
//
// A block brings 32 k of its rows to shared memory, split; a warp has some fragments of rows (16) and of columns (8).
// Fragments (PTX ISA, "Matrix Fragments for mma.m16n8k16"), lane = 4·g + t:
//   A  rows g, g + 8 of k 2t, 2t + 1, then of k 2t + 8, 2t + 9
//   B  column g of k 2t, 2t + 1, then of 2t + 8, 2t + 9
//   C  columns 2t, 2t + 1 of row g, then of row g + 8
//
//===------------------------------------------------------------------------------------------------------===//
#include "backends/cuda/Emitters.h"
#include "backends/cuda/Linear.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

namespace attnc::cuda {
using llvm::Error;

namespace {
constexpr int64_t kStep = 32, kMma = 16, kParts = 3;       // kStep: k of a round
constexpr int64_t kWords = kStep / 2, kPitch = kWords + 4; // of a row in shared memory: rows begin in different banks
constexpr int64_t kFragmentRows = 16, kFragmentColumns = 8;

/// What a block computes.
struct Tile {
  int64_t warpsDown, warpsAcross, down, across; // warps, and fragments of a warp
  int64_t rows() const { return warpsDown * down * kFragmentRows; }
  int64_t columns() const { return warpsAcross * across * kFragmentColumns; }
  int64_t threads() const { return warpsDown * warpsAcross * kWarp; }
};
constexpr Tile kLarge = {2, 4, 2, 4}, kFew = {1, 2, 1, 2};

class MatrixProduct {
public:
  MatrixProduct(Kernel &e, Tile tile)
      : e(e), op(cast<attn::LinearOp>(e.op())), tile(tile), k(columnsOf(op.getInput())), n(columnsOf(op.getInit())) {}

  void emit() {
    Value out = op.getInit();
    SmallVector<Value> first =
        e.tile(tile.threads(), {e.axis(out, kRowsOfAll, tile.rows()), e.axis(out, rankOf(out) - 1, tile.columns())});
    firstRow = first[0];
    rows = e.size(out, kRowsOfAll);
    Value lane = e.rem(e.thread(), e.idx(kWarp)), warp = e.divFloor(e.thread(), kWarp);
    group = e.divFloor(lane, 4);
    inGroup = e.rem(lane, e.idx(4));
    rowOfWarp = e.mul(e.divFloor(warp, tile.warpsAcross), tile.down * kFragmentRows);
    column = e.add(first[1], e.mul(e.rem(warp, e.idx(tile.warpsAcross)), tile.across * kFragmentColumns));
    Type i32 = e.b.getI32Type();
    for (int64_t part = 0; part < kParts; ++part)
      split.push_back(e.shared({tile.rows(), kPitch}, i32));

    SmallVector<Value> sums(tile.down * tile.across * 4, e.f32(0));
    sums = e.loop(e.idx(0), e.idx(k), kStep, sums, [&](Value from, ValueRange sofar) {
      bringRows(from);
      e.barrier();
      SmallVector<Value> next(sofar);
      for (int64_t step = 0; step < kStep; step += kMma)
        multiply(from, step, next);
      e.barrier();
      return next;
    });
    for (int64_t i = 0; i < tile.down; ++i)
      for (int64_t j = 0; j < tile.across; ++j)
        for (int64_t c = 0; c < 4; ++c)
          store(sums[(i * tile.across + j) * 4 + c], i, j, c);
  }

private:
  Value bits(Value f) { return e.as(e.b.getI32Type(), f); }
  /// The upper half of an f32, which is a bf16 of the same sign and not above it.
  Value top(Value f) {
    return e.as(e.b.getF32Type(), arith::AndIOp::create(e.b, e.loc, bits(f), e.i32(int32_t(0xffff0000))));
  }
  /// What is left; nothing of infinity.
  Value restOf(Value f, Value part) {
    Value isAll = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, f, part);
    return e.select(isAll, e.f32(0), e.subf(f, part));
  }
  /// Two f32 that are bf16 as one word.
  Value pair(Value low, Value high) {
    Value down = arith::ShRUIOp::create(e.b, e.loc, bits(low), e.i32(16));
    return arith::OrIOp::create(e.b, e.loc, down, bits(high));
  }

  /// The rows' inputs of this round, in parts. Each is what is left of the one before, cut off: the three have 24 bits.
  void bringRows(Value from) {
    e.loop(e.thread(), e.idx(tile.rows() * kWords), tile.threads(), [&](Value i) {
      Value row = e.divFloor(i, kWords), word = e.rem(i, e.idx(kWords)), number = e.add(firstRow, row);
      Value rest[2];
      for (int64_t half : {0, 1}) {
        Value at = e.add(e.add(from, e.mul(word, 2)), half), zero = e.f32(0);
        rest[half] = e.ifElse(
            e.both(e.less(number, rows), e.less(at, e.idx(k))), zero.getType(),
            [&] {
              SmallVector<Value> index = rowIndex(e, op.getInit(), number);
              index.push_back(at);
              return e.read(op.getInput(), index);
            },
            [&] { return zero; });
      }
      for (int64_t part = 0; part < kParts; ++part) {
        Value halves[] = {top(rest[0]), top(rest[1])};
        e.store1(pair(halves[0], halves[1]), split[part], {row, word});
        for (int64_t half : {0, 1})
          rest[half] = restOf(rest[half], halves[half]);
      }
    });
  }

  /// A pair of k of a column of the weight; 0 beyond the last k. Columns beyond the last panel read another's.
  Value weightAt(Value number, Value of) {
    int64_t pairs = llvm::divideCeil(k, 2), panels = llvm::divideCeil(n, attn::kPanel);
    Value panel = e.min(e.divFloor(of, attn::kPanel), e.idx(panels - 1)), inPanel = e.rem(of, e.idx(attn::kPanel));
    auto load = [&] { return e.load1(e.buffer(op.getWeight()), {panel, number, inPanel}); };
    if (k % kStep == 0)
      return load();
    Type i32 = e.b.getI32Type();
    return e.ifElse(e.less(number, e.idx(pairs)), i32, load, [&] { return e.i32(0); });
  }

  void multiply(Value from, int64_t step, SmallVector<Value> &sums) {
    SmallVector<Value> b; // [across][2]
    for (int64_t j = 0; j < tile.across; ++j)
      for (int64_t half : {0, 1}) {
        Value number = e.add(e.divFloor(e.add(from, step), 2), e.add(inGroup, 4 * half));
        b.push_back(weightAt(number, e.add(column, e.add(group, j * kFragmentColumns))));
      }
    for (int64_t part = kParts; part-- > 0;) // small ones first
      for (int64_t i = 0; i < tile.down; ++i) {
        Value row = e.add(rowOfWarp, e.add(group, i * kFragmentRows)), word = e.add(inGroup, step / 2);
        SmallVector<Value> a;
        for (int64_t half : {0, 1})
          for (int64_t lower : {0, 8})
            a.push_back(e.load1(split[part], {e.add(row, lower), e.add(word, 4 * half)}));
        for (int64_t j = 0; j < tile.across; ++j) {
          MutableArrayRef<Value> sum = MutableArrayRef(sums).slice((i * tile.across + j) * 4, 4);
          mma(a, ArrayRef(b).slice(2 * j, 2), sum);
        }
      }
  }

  void mma(ArrayRef<Value> a, ArrayRef<Value> b, MutableArrayRef<Value> sum) {
    Type f32 = e.b.getF32Type();
    auto type = LLVM::LLVMStructType::getLiteral(e.b.getContext(), {f32, f32, f32, f32});
    Value result = NVVM::MmaOp::create(
        e.b, e.loc, type, a, b, sum, ArrayRef<int64_t>{kFragmentRows, kFragmentColumns, kMma}, std::nullopt,
        std::nullopt, std::array<NVVM::MMATypes, 2>{NVVM::MMATypes::bf16, NVVM::MMATypes::bf16},
        std::array<NVVM::MMALayout, 2>{NVVM::MMALayout::row, NVVM::MMALayout::col});
    for (int64_t c = 0; c < 4; ++c)
      sum[c] = LLVM::ExtractValueOp::create(e.b, e.loc, result, ArrayRef<int64_t>{c});
  }

  void store(Value sum, int64_t i, int64_t j, int64_t c) {
    Value row = e.add(firstRow, e.add(rowOfWarp, e.add(group, i * kFragmentRows + c / 2 * 8)));
    Value of = e.add(column, e.add(e.mul(inGroup, 2), j * kFragmentColumns + c % 2));
    e.ifThen(e.both(e.less(row, rows), e.less(of, e.idx(n))),
             [&] { storeProduct(e, op, sum, rowIndex(e, op.getInit(), row), of); });
  }

  Kernel &e;
  attn::LinearOp op;
  Tile tile;
  int64_t k, n;
  Value firstRow, rows, group, inGroup, rowOfWarp, column;
  SmallVector<Value> split; // [rows, pairs of k] of each part
};
} // namespace

void emitMatrixProduct(Kernel &e) {
  if (!e.isFew())
    e.offerFew(e.axis(cast<attn::LinearOp>(e.op()).getInit(), kRowsOfAll, kFew.rows()));
  MatrixProduct(e, e.isFew() ? kFew : kLarge).emit();
}

} // namespace attnc::cuda
