//===- MatrixProduct.cpp - Products with packed weights on tensor cores -----------------------------------===//
//
// Parts, ranges and rounds of k are PackedProduct.h's. A group of warps brings rounds to shared memory with
// asynchronous copies, some rounds ahead, as they lie in global memory. Lane 4·g + t takes k 4t … 4t + 3 of its rows in
// one piece, and 4 columns at once from a panel:
//   A  rows g, g + 8: k 4t, 4t + 1 in the first registers, 4t + 2, 4t + 3 in the others
//   B  of 4 products: columns 4g … 4g + 3 of 32; so column c of product j's result is 4c + j
//
//===------------------------------------------------------------------------------------------------------===//
#include "backends/cuda/Emitters.h"
#include "backends/cuda/PackedProduct.h"
#include "backends/cuda/TensorCores.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

namespace attnc::cuda {
using llvm::Error;

namespace {
constexpr int64_t kMostStages = 4;
constexpr int64_t kQuad = 4,
                  kColumns = kQuad * kFragmentColumns; ///< products that share a lane's pieces, and their columns
static_assert(kColumns == 2 * attn::kPanel);

/// What a block computes. Groups have the same result, of different ranges of k.
struct Tile {
  int64_t warpsDown, warpsAcross, down, across, groups; ///< warps of a group; fragments and quads of a warp
  int64_t rows() const { return warpsDown * down * kFragmentRows; }
  int64_t columns() const { return warpsAcross * across * kColumns; }
  int64_t groupThreads() const { return warpsDown * warpsAcross * kWarp; }
  int64_t threads() const { return groupThreads() * groups; }
};
/// Weights that are cut need the registers of some sums. Few rows have a group for each range of k.
constexpr Tile kLarge = {4, 2, 2, 2, 1}, kLargeCut = {4, 2, 2, 1, 1}, kFew = {1, 1, 1, 1, 8};

class MatrixProduct : PackedProduct {
public:
  MatrixProduct(Kernel &e, Tile tile)
      : PackedProduct(e), tile(tile), bytesA(tile.rows() * kRound * elementBytes),
        stageBytes(bytesA + tile.columns() / attn::kPanel * panelBytes) {
    static_assert(kFew.groups == kRanges);
  }

  void emit() {
    Value out = op.getInit();
    SmallVector<Value> first =
        e.tile(tile.threads(), {e.axis(out, kRowsOfAll, tile.rows()), e.axis(out, rankOf(out) - 1, tile.columns())});
    firstRow = first[0];
    firstColumn = first[1];
    rows = e.size(out, kRowsOfAll);
    group = e.divFloor(e.thread(), tile.groupThreads());
    inGroup = e.rem(e.thread(), e.idx(tile.groupThreads()));
    lane = e.rem(e.thread(), e.idx(kWarp));
    Value warp = e.divFloor(inGroup, kWarp);
    rowOfWarp = e.mul(e.divFloor(warp, tile.warpsAcross), tile.down * kFragmentRows);
    columnOfWarp = e.mul(e.rem(warp, e.idx(tile.warpsAcross)), tile.across * kColumns);

    // Results, [group, row, column], take the place of the rounds. Rows begin 4 banks apart: a lane stores 16 bytes.
    pitch = tile.columns() + 4;
    int64_t resultBytes = tile.groups * tile.rows() * pitch * 4;
    stages = std::min(kMostStages, sharedLimit(80) / (tile.groups * stageBytes));
    int64_t bytes = std::max(tile.groups * stages * stageBytes, resultBytes);
    shared = addressOf(e, e.dynamicShared({bytes}, e.b.getI8Type()));
    mine = e.add(shared, e.mul(group, stages * stageBytes));
    prepareCopies();
    prepareFragments();
    storeSums(tile.groups == 1 ? sumAllRanges() : sumOwnRange());
    e.barrier();
    finish();
  }

private:
  //===--------------------------------------------------------------------===//
  // Copies
  //===--------------------------------------------------------------------===//

  void prepareCopies() {
    Value input = e.buffer(op.getInput()), begin = addressOf(e, input);
    // Pieces of whole 16 bytes go asynchronously.
    isAligned = elementBytes == 4 ? inputIsAligned() : Value();
    int64_t piecesOfRow = kRound / kPiece, pieces = tile.rows() * piecesOfRow;
    for (int64_t i = 0; i < pieces; i += tile.groupThreads()) {
      Value piece = e.add(inGroup, i), row = e.divFloor(piece, piecesOfRow), at = e.rem(piece, e.idx(piecesOfRow));
      Value number = e.add(firstRow, row), firstK = e.mul(at, kPiece);
      SmallVector<Value> index = rowIndex(e, op.getInit(), e.min(number, e.sub(rows, e.idx(1))));
      index.push_back(firstK);
      Value to = e.add(e.mul(row, kRound * elementBytes),
                       e.mul(exclusiveOr(at, e.mul(halfOf(row), piecesOfRow / 2)), kPiece * elementBytes));
      copiesA.push_back({e.add(begin, bytesTo(input, index, elementBytes)), to, e.less(number, rows), firstK});
    }
    copiesB = weightCopies(inGroup, tile.groupThreads(), firstColumn, tile.columns());
  }

  /// Rows that a warp reads at once in pieces begin in the same bank: every other one has its halves exchanged.
  Value halfOf(Value row) { return e.rem(e.divFloor(row, elementBytes == 4 ? 1 : 2), e.idx(2)); }

  /// Begins to copy a round to a stage.
  void copyRound(Value round, Value stage) {
    Value base = e.add(mine, e.mul(stage, stageBytes)), atK = e.mul(round, kRound);
    Value bytes = e.mul(round, kRound * elementBytes);
    auto copyElements = [&] {
      for (const Copy &copy : copiesA)
        for (int64_t i = 0; i < kPiece; ++i) {
          Type type = elementBytes == 4 ? e.b.getI32Type() : e.b.getI16Type();
          Value isInside = e.both(copy.isThere, e.less(e.add(e.add(atK, copy.k), i), e.idx(k)));
          Value element = e.ifElse(
              isInside, type, [&] { return load(type, e.add(e.add(copy.from, bytes), i * elementBytes), 1); },
              [&] { return arith::ConstantIntOp::create(e.b, e.loc, type, 0).getResult(); });
          store(element, e.add(e.add(base, copy.to), i * elementBytes));
        }
    };
    if (isAligned) {
      auto branch = scf::IfOp::create(e.b, e.loc, isAligned, /*withElseRegion=*/true);
      OpBuilder::InsertionGuard guard(e.b);
      e.b.setInsertionPointToStart(branch.thenBlock());
      copyChunks(copiesA, base, atK, bytes);
      e.b.setInsertionPointToStart(branch.elseBlock());
      copyElements();
    } else {
      copyElements();
    }
    copyChunks(copiesB, e.add(base, bytesA), atK, weightBytes(round));
  }

  //===--------------------------------------------------------------------===//
  // Rounds
  //===--------------------------------------------------------------------===//

  SmallVector<Value> zeros() { return SmallVector<Value>(tile.down * tile.across * kQuad * 4, e.f32(0)); }

  void synchronize() {
    if (tile.groups == 1)
      e.barrier();
    else
      NVVM::SyncWarpOp::create(e.b, e.loc, e.i32(-1)); // a group is a warp
  }

  Value stageOf(Value round, Value from) { return e.rem(e.sub(round, from), e.idx(stages)); }

  void beginRounds(Value from, Value to) {
    for (int64_t s = 0; s + 1 < stages; ++s) {
      Value round = e.add(from, s);
      e.ifThen(e.less(round, to), [&] { copyRound(round, e.idx(s)); });
      commitCopies(e);
    }
  }

  /// Rounds from … to of those that began with `first` and end with `last`.
  SmallVector<Value> sumRounds(Value first, Value from, Value to, Value last) {
    return e.loop(from, to, 1, zeros(), [&](Value round, ValueRange sofar) {
      waitForCopies(e, stages - 2);
      synchronize(); // this round is there for all, and the stage of the one before is free
      Value ahead = e.add(round, stages - 1);
      e.ifThen(e.less(ahead, last), [&] { copyRound(ahead, stageOf(ahead, first)); });
      commitCopies(e);
      SmallVector<Value> sums(sofar);
      multiplyRound(e.add(mine, e.mul(stageOf(round, first), stageBytes)), sums);
      return sums;
    });
  }

  SmallVector<Value> sumAllRanges() {
    Value zero = e.idx(0), last = e.idx(rounds);
    beginRounds(zero, last);
    return e.loop(zero, last, roundsOfRange, zeros(), [&](Value from, ValueRange sofar) {
      SmallVector<Value> totals, sums = sumRounds(zero, from, e.min(e.add(from, roundsOfRange), last), last);
      for (auto [total, sum] : llvm::zip(sofar, sums))
        totals.push_back(e.addf(total, sum));
      return totals;
    });
  }

  SmallVector<Value> sumOwnRange() {
    Value from = e.min(e.mul(group, roundsOfRange), e.idx(rounds)),
          to = e.min(e.add(from, roundsOfRange), e.idx(rounds));
    beginRounds(from, to);
    return sumRounds(from, from, to, to);
  }

  //===--------------------------------------------------------------------===//
  // Fragments
  //===--------------------------------------------------------------------===//

  void prepareFragments() {
    Value g = e.divFloor(lane, 4), t = e.rem(lane, e.idx(4));
    int64_t rowBytes = kRound * elementBytes, pieceBytes = kPiece * elementBytes;
    for (int64_t step = 0; step < kRound / kFragmentDepth; ++step) {
      Value piece = e.add(e.mul(exclusiveOr(e.idx(step), halfOf(g)), kFragmentDepth / kPiece), t);
      placesA.push_back(e.add(e.mul(e.add(rowOfWarp, g), rowBytes), e.mul(piece, pieceBytes)));
      Value panel = e.add(e.divFloor(columnOfWarp, attn::kPanel), e.divFloor(g, 4));
      for (int64_t j = 0; j < kPiece / kOfWord; ++j) {
        Value row = e.add(e.mul(t, kPiece / kOfWord), step * kFragmentDepth / kOfWord + j);
        placesB.push_back(e.add(e.add(e.mul(panel, panelBytes), bytesA), placeInPanel(row, e.rem(g, e.idx(4)))));
      }
    }
  }

  Registers fragmentA(Value stage, int64_t step, int64_t i) {
    Registers a(partsA, SmallVector<Value>(4));
    for (int64_t lower : {0, 1}) {
      Value at = e.add(e.add(stage, placesA[step]), (i * kFragmentRows + lower * 8) * kRound * elementBytes);
      Registers pieces = cutPiece(load(pieceType(), at));
      for (auto [part, pairs] : llvm::enumerate(pieces))
        for (int64_t half : {0, 1})
          a[part][2 * half + lower] = pairs[half];
    }
    return a;
  }

  SmallVector<Registers> fragmentsB(Value stage, int64_t step, int64_t quad) {
    SmallVector<Value> lines;
    int64_t count = kPiece / kOfWord;
    Type type = kOfWord == 1 ? e.b.getF32Type() : Type(e.b.getI32Type());
    for (int64_t j = 0; j < count; ++j)
      lines.push_back(
          load(VectorType::get({4}, type), e.add(e.add(stage, placesB[step * count + j]), quad * 2 * panelBytes)));
    SmallVector<Registers> result;
    for (int64_t j = 0; j < kQuad; ++j) {
      Registers b(partsB, SmallVector<Value>(2));
      for (int64_t half : {0, 1}) {
        SmallVector<Value> pairs = kOfWord == 1
                                       ? cut(element(lines[2 * half], j), element(lines[2 * half + 1], j), b.size())
                                       : cutPair(weightType, element(lines[half], j), b.size());
        for (auto [part, pair] : llvm::enumerate(pairs))
          b[part][half] = pair;
      }
      result.push_back(std::move(b));
    }
    return result;
  }

  void multiplyRound(Value stage, SmallVector<Value> &sums) {
    for (int64_t step = 0; step < kRound / kFragmentDepth; ++step) {
      SmallVector<Registers> a;
      for (int64_t i = 0; i < tile.down; ++i)
        a.push_back(fragmentA(stage, step, i));
      for (int64_t quad = 0; quad < tile.across; ++quad) {
        SmallVector<Registers> b = fragmentsB(stage, step, quad);
        forParts([&](int64_t partA, int64_t partB) {
          for (int64_t i = 0; i < tile.down; ++i)
            for (int64_t j = 0; j < kQuad; ++j)
              multiply(e, e.b.getBF16Type(), a[i][partA], b[j][partB],
                       MutableArrayRef(sums).slice(((i * tile.across + quad) * kQuad + j) * 4, 4));
        });
      }
    }
  }

  //===--------------------------------------------------------------------===//
  // Results
  //===--------------------------------------------------------------------===//

  Value placeOf(Value ofGroup, Value row, Value column) {
    return e.add(shared, e.mul(e.add(e.mul(e.add(e.mul(ofGroup, tile.rows()), row), pitch), column), 4));
  }

  void storeSums(ArrayRef<Value> sums) {
    e.barrier(); // nobody reads a round any more
    Value g = e.divFloor(lane, 4), t = e.rem(lane, e.idx(4));
    auto type = VectorType::get({kQuad}, e.b.getF32Type());
    for (int64_t i = 0; i < tile.down; ++i)
      for (int64_t quad = 0; quad < tile.across; ++quad)
        for (int64_t c = 0; c < 4; ++c) {
          SmallVector<Value> four;
          for (int64_t j = 0; j < kQuad; ++j)
            four.push_back(sums[((i * tile.across + quad) * kQuad + j) * 4 + c]);
          Value row = e.add(rowOfWarp, e.add(g, i * kFragmentRows + c / 2 * 8));
          Value column = e.add(columnOfWarp, e.add(e.mul(t, 8), quad * kColumns + c % 2 * kQuad));
          store(vector::FromElementsOp::create(e.b, e.loc, type, four), placeOf(group, row, column));
        }
  }

  /// A warp has a row at a time, and its lanes neighbouring columns.
  void finish() {
    e.loop(e.divFloor(e.thread(), kWarp), e.idx(tile.rows()), tile.threads() / kWarp, [&](Value row) {
      Value number = e.add(firstRow, row);
      e.ifThen(e.less(number, rows), [&] {
        SmallVector<Value> index = rowIndex(e, op.getInit(), number);
        for (int64_t c = 0; c < tile.columns(); c += kWarp) {
          Value column = e.add(lane, c), of = e.add(firstColumn, column), sum;
          for (int64_t g = 0; g < tile.groups; ++g) {
            Value part = load(e.b.getF32Type(), placeOf(e.idx(g), row, column));
            sum = e.addf(sum ? sum : e.f32(0), part);
          }
          e.ifThen(e.less(of, e.idx(n)), [&] { storeProduct(e, op, sum, index, of); });
        }
      });
    });
  }

  Tile tile;
  int64_t bytesA, stageBytes; ///< of a round
  int64_t stages = 0, pitch = 0;
  Value firstRow, firstColumn, rows, group, inGroup, lane, rowOfWarp, columnOfWarp, shared, mine, isAligned;
  SmallVector<Copy> copiesA, copiesB;
  SmallVector<Value> placesA, placesB; ///< of a lane's pieces in a stage: by step, and by step and row
};
} // namespace

void emitMatrixProduct(Kernel &e) {
  auto op = cast<attn::LinearOp>(e.op());
  if (!e.isFew())
    e.offerFew(e.axis(op.getInit(), kRowsOfAll, kFew.rows()));
  if (e.capability() == 90 && !e.isFew())
    return emitWarpgroupProduct(e);
  const Tile &large = typeOf(op.getWeight()).getElementType().isBF16() ? kLarge : kLargeCut;
  MatrixProduct(e, e.isFew() ? kFew : large).emit();
}

} // namespace attnc::cuda
