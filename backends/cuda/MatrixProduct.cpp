//===- MatrixProduct.cpp - Products with packed weights on tensor cores -----------------------------------===//
//
//   weight f32     [panels, K, 16]
//   weight 16-bit  [panels, ⌈K/2⌉, 16, 2]
//
// Tensor cores multiply bf16 and add in f32. A value is cut into parts of bf16's 8 bits, whose sum it is: an f32 three,
// an f16 two (8 + 3 bits; two f16 would not have an f32's range), a bf16 one. Products of parts are exact, and all are
// summed but those below 2^-24 of the result: 3 for an f32 input and a bf16 weight, 5 with an f16 weight, 6 with f32.
// With a bf16 weight an input of bf16 has one part, too, and so has any that --math=bf16 rounds. Else it has three: the
// last of them multiplies a weight's first part alone, which is no 0 unless the weight is, so that infinity, which is
// there, gives what it must.
//
// K is cut in 8 ranges. Of each the sum is in ascending k, and the sums are added in ascending order: a launch for few
// rows gives each range to a warp of its own, one for many computes them one after the other, and a row's bits are the
// same.
//
// A group of warps brings rounds of 32 k to shared memory with asynchronous copies, some rounds ahead, as they lie in
// global memory. Which k a register of a fragment has does not matter as long as both factors agree, nor which column:
// lane 4·g + t takes k 4t … 4t + 3 of its rows in one piece, and 4 columns at once from a panel:
//   A  rows g, g + 8: k 4t, 4t + 1 in the first registers, 4t + 2, 4t + 3 in the others
//   B  of 4 products: columns 4g … 4g + 3 of 32; so column c of product j's result is 4c + j
//
//===------------------------------------------------------------------------------------------------------===//
#include "backends/cuda/Emitters.h"
#include "backends/cuda/Linear.h"
#include "backends/cuda/TensorCores.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

namespace attnc::cuda {
using llvm::Error;

namespace {
constexpr int64_t kRound = 32, kRanges = 8, kMostStages = 4;
constexpr int64_t kQuad = 4,
                  kColumns = kQuad * kFragmentColumns; ///< products that share a lane's pieces, and their columns
constexpr int64_t kPiece = 4;                          ///< k of A in one piece
constexpr int64_t kLine = 128;                         ///< bytes of all banks
static_assert(kColumns == 2 * attn::kPanel);

/// What a block computes. Groups have the same result, of different ranges of k.
struct Tile {
  int64_t warpsDown, warpsAcross, down, across, groups; ///< warps of a group; fragments and quads of a warp
  int64_t rows() const { return warpsDown * down * kFragmentRows; }
  int64_t columns() const { return warpsAcross * across * kColumns; }
  int64_t groupThreads() const { return warpsDown * warpsAcross * kWarp; }
  int64_t threads() const { return groupThreads() * groups; }
};
/// Weights that are cut need the registers of some sums.
constexpr Tile kLarge = {4, 2, 2, 2, 1}, kLargeCut = {4, 2, 2, 1, 1}, kFew = {1, 1, 1, 1, kRanges};

class MatrixProduct {
public:
  MatrixProduct(Kernel &e, Tile tile)
      : e(e), op(cast<attn::LinearOp>(e.op())), tile(tile), k(columnsOf(op.getInput())), n(columnsOf(op.getInit())),
        inputType(typeOf(op.getInput()).getElementType()), weightType(typeOf(op.getWeight()).getElementType()),
        partsB(1 + weightType.isF16() + 2 * weightType.isF32()),
        partsA(partsB == 1 && (inputType.isBF16() || e.hasBf16Math()) ? 1 : 3),
        elementBytes(inputType.getIntOrFloatBitWidth() / 8), kOfWord(weightType.isF32() ? 1 : 2),
        bytesA(tile.rows() * kRound * elementBytes), panelBytes(kRound / kOfWord * attn::kPanel * 4),
        stageBytes(bytesA + tile.columns() / attn::kPanel * panelBytes), rounds(llvm::divideCeil(k, kRound)),
        roundsOfRange(llvm::divideCeil(rounds, kRanges)) {}

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

  struct Copy {
    Value from, to; ///< addresses: of round 0, and in a stage
    Value isThere;  ///< its row is; null: yes
    Value k;        ///< of its first element in round 0
  };

  Value exclusiveOr(Value a, Value c) { return arith::XOrIOp::create(e.b, e.loc, a, c); }

  /// Bytes to element `index` of a buffer, whose elements or pairs have `bytes`.
  Value bytesTo(Value buffer, ArrayRef<Value> index, int64_t bytes) {
    auto layout = memref::ExtractStridedMetadataOp::create(e.b, e.loc, buffer);
    Value at = index.back();
    for (auto [d, i] : llvm::enumerate(index.drop_back()))
      at = e.add(at, e.mul(i, layout.getStrides()[d]));
    return e.mul(at, bytes);
  }

  void prepareCopies() {
    Value input = e.buffer(op.getInput()), begin = addressOf(e, input);
    // Pieces of whole 16 bytes go asynchronously: which wants the alignment of every row.
    isAligned = k % kPiece || elementBytes != 4 ? Value() : e.equal(e.rem(begin, e.idx(kChunk)), e.idx(0));
    if (isAligned) {
      auto layout = memref::ExtractStridedMetadataOp::create(e.b, e.loc, input);
      for (int64_t d = 0; d + 1 < rankOf(op.getInput()); ++d)
        isAligned = e.both(isAligned, e.equal(e.rem(layout.getStrides()[d], e.idx(kPiece)), e.idx(0)));
    }
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
    Value weight = e.buffer(op.getWeight());
    begin = addressOf(e, weight);
    int64_t linesOfPanel = kRound / kOfWord, chunks = attn::kPanel * 4 / kChunk,
            panels = llvm::divideCeil(n, attn::kPanel);
    int64_t ofPanel = linesOfPanel * chunks;
    for (int64_t i = 0; i < tile.columns() / attn::kPanel * ofPanel; i += tile.groupThreads()) {
      Value number = e.add(inGroup, i), panel = e.divFloor(number, ofPanel);
      Value row = e.rem(e.divFloor(number, chunks), e.idx(linesOfPanel)), chunk = e.rem(number, e.idx(chunks));
      // Columns beyond the last panel are another's.
      Value source = e.min(e.add(e.divFloor(firstColumn, attn::kPanel), panel), e.idx(panels - 1));
      Value from = e.add(begin, bytesTo(weight, {source, row, e.mul(chunk, kChunk / 4)}, 4));
      Value to = e.add(e.add(e.mul(panel, panelBytes), bytesA), placeInPanel(row, chunk));
      copiesB.push_back({from, to, Value(), e.mul(row, kOfWord)});
    }
  }

  /// Rows that a warp reads at once in pieces begin in the same bank: every other one has its halves exchanged.
  Value halfOf(Value row) { return e.rem(e.divFloor(row, elementBytes == 4 ? 1 : 2), e.idx(2)); }

  /// Two rows of a panel, 16 words each, are a line of all banks. Lanes read chunks 0 … 3 of rows that are 2 (16-bit)
  /// or 4 (f32) apart at once: chunks of these change places, and odd ones lie in the other row.
  Value placeInPanel(Value row, Value chunk) {
    Value lane = e.rem(e.divFloor(row, kPiece / kOfWord), e.idx(4));
    Value half = e.rem(exclusiveOr(row, chunk), e.idx(2));
    return e.add(e.add(e.mul(e.divFloor(row, 2), kLine), e.mul(half, kLine / 2)),
                 e.mul(exclusiveOr(chunk, lane), kChunk));
  }

  /// Begins to copy a round to a stage.
  void copyRound(Value round, Value stage) {
    Value base = e.add(mine, e.mul(stage, stageBytes)), atK = e.mul(round, kRound);
    auto used = [&](const Copy &copy) {
      Value isThere = copy.isThere;
      if (k % kRound || !isThere) {
        Value isInside = e.less(e.add(atK, copy.k), e.idx(k));
        isThere = isThere ? e.both(isThere, isInside) : isInside;
      }
      return e.select(isThere, e.i32(kChunk), e.i32(0));
    };
    Value bytes = e.mul(round, kRound * elementBytes);
    auto copyPieces = [&] {
      for (const Copy &copy : copiesA)
        copyAsync(e, e.add(base, copy.to), e.add(copy.from, bytes), used(copy));
    };
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
      copyPieces();
      e.b.setInsertionPointToStart(branch.elseBlock());
      copyElements();
    } else {
      copyElements();
    }
    Value weightBytes = e.mul(round, kRound / kOfWord * attn::kPanel * 4);
    for (const Copy &copy : copiesB)
      copyAsync(e, e.add(base, copy.to), e.add(copy.from, weightBytes), used(copy));
  }

  Value pointer(Value address, unsigned space) {
    Type type = LLVM::LLVMPointerType::get(e.b.getContext(), space);
    return LLVM::IntToPtrOp::create(e.b, e.loc, type, e.toInteger(address, e.b.getI64Type()));
  }
  static unsigned bytesOf(Type type) {
    auto vector = dyn_cast<VectorType>(type);
    return getElementTypeOrSelf(type).getIntOrFloatBitWidth() / 8 * (vector ? vector.getNumElements() : 1);
  }
  /// Aligned to its own size. Spaces: 1 is global memory, 3 shared.
  Value load(Type type, Value address, unsigned space = 3) {
    return LLVM::LoadOp::create(e.b, e.loc, type, pointer(address, space), bytesOf(type));
  }
  void store(Value v, Value address) {
    LLVM::StoreOp::create(e.b, e.loc, v, pointer(address, 3), bytesOf(v.getType()));
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

  Value bits(Value f) { return e.as(e.b.getI32Type(), f); }
  /// The upper half of an f32, which is a bf16 of the same sign and not above it.
  Value top(Value f) {
    return e.as(e.b.getF32Type(), arith::AndIOp::create(e.b, e.loc, bits(f), e.i32(int32_t(0xffff0000))));
  }
  /// Two f32 as pairs of bf16: each what is left of the ones before, cut off. Infinity is the last part. One part alone
  /// is rounded.
  SmallVector<Value> cut(Value low, Value high, int64_t parts) {
    if (parts == 1)
      return {pack(e, e.b.getBF16Type(), low, high)};
    Value given[] = {low, high}, rest[2], isInfinite[2];
    for (int64_t i : {0, 1}) {
      Value size = e.math<math::AbsFOp>(given[i]);
      isInfinite[i] = e.equal(bits(size), e.i32(0x7f800000));
      rest[i] = e.select(isInfinite[i], e.f32(0), given[i]);
    }
    SmallVector<Value> result;
    for (int64_t part = 0; part < parts; ++part) {
      Value tops[2];
      for (int64_t i : {0, 1}) {
        tops[i] = top(rest[i]);
        rest[i] = e.subf(rest[i], tops[i]);
        if (part == parts - 1)
          tops[i] = e.select(isInfinite[i], given[i], tops[i]);
      }
      Value down = arith::ShRUIOp::create(e.b, e.loc, bits(tops[0]), e.i32(16));
      result.push_back(arith::OrIOp::create(e.b, e.loc, down, bits(tops[1])));
    }
    return result;
  }
  /// A pair of 16-bit values as pairs of bf16.
  SmallVector<Value> cutPair(Type type, Value pair, int64_t parts) {
    if (parts == 1 && type.isBF16())
      return {pair};
    auto [low, high] = unpack(e, type, pair);
    return cut(low, high, parts);
  }
  Value element(Value vector, int64_t i) { return vector::ExtractOp::create(e.b, e.loc, vector, ArrayRef<int64_t>{i}); }

  using Registers = SmallVector<SmallVector<Value>>; ///< by part
  Registers fragmentA(Value stage, int64_t step, int64_t i) {
    Registers a(partsA, SmallVector<Value>(4));
    for (int64_t lower : {0, 1}) {
      Value at = e.add(e.add(stage, placesA[step]), (i * kFragmentRows + lower * 8) * kRound * elementBytes);
      Value piece =
          load(elementBytes == 4 ? VectorType::get({4}, e.b.getF32Type()) : VectorType::get({2}, e.b.getI32Type()), at);
      for (int64_t half : {0, 1}) {
        SmallVector<Value> pairs = elementBytes == 4
                                       ? cut(element(piece, 2 * half), element(piece, 2 * half + 1), a.size())
                                       : cutPair(inputType, element(piece, half), a.size());
        for (auto [part, pair] : llvm::enumerate(pairs))
          a[part][2 * half + lower] = pair;
      }
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
        for (int64_t below = 2; below >= 0; --below) // small ones first
          for (int64_t part = std::min(below, partsA - 1); part >= 0 && below - part < partsB; --part)
            for (int64_t i = 0; i < tile.down; ++i)
              for (int64_t j = 0; j < kQuad; ++j)
                multiply(e, e.b.getBF16Type(), a[i][part], b[j][below - part],
                         MutableArrayRef(sums).slice(((i * tile.across + quad) * kQuad + j) * 4, 4));
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

  Kernel &e;
  attn::LinearOp op;
  Tile tile;
  int64_t k, n;
  Type inputType, weightType;
  int64_t partsB, partsA;
  int64_t elementBytes, kOfWord;          ///< bytes of an input's element; k in a word of the weight
  int64_t bytesA, panelBytes, stageBytes; ///< of a round
  int64_t rounds, roundsOfRange, stages = 0, pitch = 0;
  Value firstRow, firstColumn, rows, group, inGroup, lane, rowOfWarp, columnOfWarp, shared, mine, isAligned;
  SmallVector<Copy> copiesA, copiesB;
  SmallVector<Value> placesA, placesB; ///< of a lane's pieces in a stage: by step, and by step and row
};
} // namespace

void emitMatrixProduct(Kernel &e) {
  auto op = cast<attn::LinearOp>(e.op());
  if (!e.isFew())
    e.offerFew(e.axis(op.getInit(), kRowsOfAll, kFew.rows()));
  const Tile &large = typeOf(op.getWeight()).getElementType().isBF16() ? kLarge : kLargeCut;
  MatrixProduct(e, e.isFew() ? kFew : large).emit();
}

} // namespace attnc::cuda
