//===- WarpgroupProduct.cpp - Products of many rows by wgmma ---------------------------------------------===//
//
// The transposed product, yᵀ = wᵀ · xᵀ: so weights are the factor in registers, whose pairs of k are words of a panel
// as it is packed for every target, and the input, which must be cut into parts anyway, is the one in shared memory, in
// a layout of wgmma's. A block has 128 columns of the weight and 128 rows of the input, and three warpgroups:
//
//   producer       loads pieces of the input two rounds ahead, cuts them into parts, [part, 128 rows, 32 k] of bf16
//   with
//                  a swizzle of 64 bytes; brings panels by asynchronous copies
//   two consumers  64 columns of the weight each, a panel for each warp: row g of a fragment is column 2g of the panel,
//                  row g + 8 column 2g + 1
//
// Rounds go through a ring of stages, each with a barrier that says it is full and one that says it is empty.
//
// Few rows are MatrixProduct.cpp's, by mma.sync. Their bits are the same: parts, the order in which they are
// multiplied, and ranges are, and for 16-bit factors Hopper computes mma.sync's and wgmma's 16 k in the same way, the
// sum of all exact products and of what is there already cut off once (P. Xie et al., "MMA-Sim: Bit-Accurate Reference
// Model of Tensor Cores and Matrix Cores", arXiv 2511.10909).
//
//===------------------------------------------------------------------------------------------------------===//
#include "backends/cuda/PackedProduct.h"
#include "backends/cuda/TensorCores.h"
#include "backends/cuda/Warpgroups.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

namespace attnc::cuda {

namespace {
constexpr int64_t kRows = 128, kColumns = 128, kMostStages = 4;
constexpr int64_t kConsumers = kColumns / kWarpgroupRows, kConsumerThreads = kConsumers * kWarpgroup;
constexpr int64_t kThreads = kConsumerThreads + kWarpgroup;
/// Of a thread; 168 is what the launch gives to each, and all of them together have 64 Ki.
constexpr int64_t kProducerRegisters = 128, kConsumerRegisters = 192;
static_assert((kProducerRegisters + kConsumers * kConsumerRegisters) * kWarpgroup <= 64 << 10);
constexpr int64_t kConsumerBarrier = 1; ///< 0 is the block's

class WarpgroupProduct : PackedProduct {
public:
  explicit WarpgroupProduct(Kernel &e)
      : PackedProduct(e), bytesA(partsA * kPartBytes), stageBytes(bytesA + kColumns / attn::kPanel * panelBytes),
        stages(std::min(kMostStages, (sharedLimit(90) - kDynamicSharedAlignment) / stageBytes)) {}

  void emit() {
    Value out = op.getInit();
    SmallVector<Value> first =
        e.tile(kThreads, {e.axis(out, kRowsOfAll, kRows), e.axis(out, rankOf(out) - 1, kColumns)});
    firstRow = first[0];
    firstColumn = first[1];
    rows = e.size(out, kRowsOfAll);
    // Results, [row, column], take the place of the stages.
    int64_t bytes = std::max(stages * stageBytes, kRows * kPitch * 4);
    shared = addressOf(e, e.dynamicShared({bytes + 2 * stages * kBarrierBytes}, e.b.getI8Type()));
    full = e.add(shared, bytes);
    empty = e.add(full, stages * kBarrierBytes);
    e.ifThen(e.equal(e.thread(), e.idx(0)), [&] {
      for (int64_t stage = 0; stage < stages; ++stage) {
        initBarrier(e, e.add(full, stage * kBarrierBytes), 2 * kWarpgroup); // what a thread wrote, and what it copied
        initBarrier(e, e.add(empty, stage * kBarrierBytes), kConsumerThreads / kWarp);
      }
      fenceBarriers(e);
    });
    e.barrier();
    Value consumes = e.less(e.thread(), e.idx(kConsumerThreads));
    auto roles = scf::IfOp::create(e.b, e.loc, consumes, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(e.b);
    e.b.setInsertionPointToStart(roles.thenBlock());
    consume();
    e.b.setInsertionPointToStart(roles.elseBlock());
    produce();
  }

private:
  static constexpr int64_t kRowBytes = kRound * 2; ///< of a part
  static constexpr int64_t kPartBytes = kRows * kRowBytes;
  static constexpr int64_t kPitch = kColumns + 4; ///< of results: lanes store to all banks
  static constexpr int64_t kSteps = kRound / kFragmentDepth;

  struct Stage {
    Value at, full, empty, parity; ///< parity: of its barriers' phase in which this round is there
  };
  Stage stageOf(Value round) {
    Value number = e.rem(round, e.idx(stages)), barrier = e.mul(number, kBarrierBytes);
    Value use = e.rem(e.divFloor(round, stages), e.idx(2));
    return {e.add(shared, e.mul(number, stageBytes)), e.add(full, barrier), e.add(empty, barrier),
            e.toInteger(use, e.b.getI32Type())};
  }

  //===--------------------------------------------------------------------===//
  // Producer
  //===--------------------------------------------------------------------===//

  void produce() {
    giveRegisters(e, kProducerRegisters);
    Value thread = e.sub(e.thread(), e.idx(kConsumerThreads));
    preparePieces(thread);
    SmallVector<Copy> weights = weightCopies(thread, kWarpgroup, firstColumn, kColumns);
    SmallVector<Value> ahead = loadPieces(e.idx(0));
    llvm::append_range(ahead, loadPieces(e.idx(1)));
    e.loop(e.idx(0), e.idx(rounds), 1, ahead, [&](Value round, ValueRange pieces) {
      Stage stage = stageOf(round);
      waitForPhase(e, stage.empty, arith::XOrIOp::create(e.b, e.loc, stage.parity, e.i32(1)));
      copyChunks(weights, e.add(stage.at, bytesA), e.mul(round, kRound), weightBytes(round));
      storePieces(pieces.take_front(from.size()), stage.at);
      fenceAsyncProxy(e);
      arrive(e, stage.full);
      arriveAfterCopies(e, stage.full);
      SmallVector<Value> next(pieces.drop_front(from.size()));
      llvm::append_range(next, loadPieces(e.add(round, 2)));
      return next;
    });
  }

  /// Neighbouring threads have the pieces of a row, and each thread every 16th row.
  void preparePieces(Value thread) {
    constexpr int64_t ofRow = kRound / kPiece, rowsAtOnce = kWarpgroup / ofRow;
    Value row = e.divFloor(thread, ofRow), number = e.rem(thread, e.idx(ofRow));
    firstK = e.mul(number, kPiece);
    Value begin = addressOf(e, e.buffer(op.getInput()));
    for (int64_t i = 0; i < kRows; i += rowsAtOnce) {
      // Rows that are not there are the last one's.
      Value inBounds = e.min(e.add(firstRow, e.add(row, i)), e.sub(rows, e.idx(1)));
      SmallVector<Value> index = rowIndex(e, op.getInit(), inBounds);
      index.push_back(e.idx(0));
      from.push_back(e.add(begin, bytesTo(e.buffer(op.getInput()), index, elementBytes)));
    }
    isAligned = inputIsAligned();
    // The first two of a piece's k are in the lower half of its step's 16.
    constexpr int64_t piecesOfStep = kFragmentDepth / kPiece;
    Value word = e.mul(e.rem(number, e.idx(piecesOfStep)), 4);
    for (int64_t half : {0, 1}) {
      Value chunk = e.add(e.mul(e.divFloor(number, piecesOfStep), 2), half);
      to[half] = e.add(e.add(e.mul(row, kRowBytes), e.mul(swizzled(e, row, chunk, kRowBytes), kChunk)), word);
    }
  }

  /// This thread's pieces of a round; what is beyond the last k is 0, and a round that is not there the last one.
  SmallVector<Value> loadPieces(Value round) {
    Value at = e.add(e.mul(e.min(round, e.idx(rounds - 1)), kRound), firstK);
    SmallVector<Type> types(from.size(), pieceType());
    auto whole = [&] {
      SmallVector<Value> pieces;
      Value isInside = e.less(at, e.idx(k)), bytes = e.mul(e.min(at, e.idx(k - kPiece)), elementBytes);
      for (Value row : from) {
        Value piece = load(pieceType(), e.add(row, bytes), 1);
        Value zero = arith::ConstantOp::create(e.b, e.loc, e.b.getZeroAttr(pieceType()));
        pieces.push_back(k % kRound ? e.select(isInside, piece, zero) : piece);
      }
      return pieces;
    };
    auto elements = [&] {
      SmallVector<Value> pieces;
      Type type = elementBytes == 4 ? e.b.getF32Type() : Type(e.b.getI16Type());
      Value zero = arith::ConstantOp::create(e.b, e.loc, e.b.getZeroAttr(type));
      for (Value row : from) {
        SmallVector<Value> values;
        for (int64_t i = 0; i < kPiece; ++i) {
          Value of = e.add(at, i), bytes = e.mul(e.min(of, e.idx(k - 1)), elementBytes);
          values.push_back(e.select(e.less(of, e.idx(k)), load(type, e.add(row, bytes), 1), zero));
        }
        Value piece = vector::FromElementsOp::create(e.b, e.loc, VectorType::get({kPiece}, type), values);
        pieces.push_back(elementBytes == 4 ? piece
                                           : vector::BitCastOp::create(e.b, e.loc, pieceType(), piece).getResult());
      }
      return pieces;
    };
    if (!isAligned)
      return elements();
    auto branch = scf::IfOp::create(e.b, e.loc, types, isAligned, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(e.b);
    e.b.setInsertionPointToStart(branch.thenBlock());
    scf::YieldOp::create(e.b, e.loc, whole());
    e.b.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(e.b, e.loc, elements());
    return SmallVector<Value>(branch.getResults());
  }

  void storePieces(ValueRange pieces, Value stage) {
    int64_t ofThread = kPartBytes / int64_t(from.size()); // a multiple of what the swizzle repeats after
    for (auto [i, piece] : llvm::enumerate(pieces))
      for (auto [part, pairs] : llvm::enumerate(cutPiece(piece)))
        for (int64_t half : {0, 1})
          store(pairs[half], e.add(e.add(stage, to[half]), part * kPartBytes + i * ofThread));
  }

  //===--------------------------------------------------------------------===//
  // Consumers
  //===--------------------------------------------------------------------===//

  void consume() {
    takeRegisters(e, kConsumerRegisters);
    lane = e.rem(e.thread(), e.idx(kWarp));
    panel = e.divFloor(e.thread(), kWarp);
    Value g = e.divFloor(lane, 4), t = e.rem(lane, e.idx(4));
    int64_t linesOfPiece = kPiece / kOfWord;
    for (int64_t step = 0; step < kSteps; ++step)
      for (int64_t i = 0; i < linesOfPiece; ++i) {
        Value line = e.add(e.mul(t, linesOfPiece), step * kFragmentDepth / kOfWord + i);
        Value place = e.add(placeInPanel(line, e.divFloor(g, 2)), e.mul(e.rem(g, e.idx(2)), 8));
        places.push_back(e.add(e.add(e.mul(panel, panelBytes), bytesA), place));
      }
    // Values of both loops are sums, then the lines of the weight for the round to come.
    SmallVector<Value> zeros(kRows / 2, e.f32(0)), init(zeros);
    llvm::append_range(init, loadLines(stageOf(e.idx(0))));
    SmallVector<Value> all = e.loop(e.idx(0), e.idx(rounds), roundsOfRange, init, [&](Value first, ValueRange sofar) {
      Value end = e.min(e.add(first, roundsOfRange), e.idx(rounds));
      SmallVector<Value> begin(zeros);
      llvm::append_range(begin, sofar.drop_front(zeros.size()));
      SmallVector<Value> result = e.loop(first, end, 1, begin, [&](Value round, ValueRange before) {
        SmallVector<Value> sums(before.take_front(zeros.size()));
        llvm::append_range(sums, multiplyRound(round, sums, before.drop_front(zeros.size())));
        return sums;
      });
      for (auto [total, sum] : llvm::zip(sofar.take_front(zeros.size()), result))
        sum = e.addf(total, sum);
      return result;
    });
    finish(ArrayRef(all).take_front(zeros.size()));
  }

  /// Yields the lines for the next round, which are on their way while this one is multiplied. They are asked for
  /// before: loads among products, into registers that are a factor later, would make ptxas wait after each product.
  SmallVector<Value> multiplyRound(Value round, SmallVector<Value> &sums, ValueRange lines) {
    SmallVector<Registers> weights;
    for (int64_t step = 0; step < kSteps; ++step)
      weights.push_back(fragment(lines.slice(step * lines.size() / kSteps, lines.size() / kSteps)));
    Stage stage = stageOf(round);
    Value input = descriptor(e, stage.at, {/*leadingBytes=*/kChunk, 8 * kRowBytes, /*swizzle=*/kRowBytes});
    SmallVector<Value> next = loadLines(stageOf(e.min(e.add(round, 1), e.idx(rounds - 1))));
    settle(e, sums);
    for (Registers &parts : weights)
      for (SmallVector<Value> &part : parts)
        settle(e, part);
    fenceProducts(e);
    for (int64_t step = 0; step < kSteps; ++step)
      forParts([&](int64_t partA, int64_t partB) {
        multiplyAsync(e, e.b.getBF16Type(), weights[step][partB],
                      advance(e, input, partA * kPartBytes + step * kFragmentDepth * 2), sums);
      });
    commitProducts(e);
    waitForProducts(e, 0);
    NVVM::SyncWarpOp::create(e.b, e.loc, e.i32(-1)); // all lanes have read their weights
    e.ifThen(e.equal(lane, e.idx(0)), [&] { arrive(e, stage.empty); });
    return next;
  }

  /// Pairs of k of two neighbouring columns, or of f32 a k, [step, line], when the round is there.
  SmallVector<Value> loadLines(const Stage &stage) {
    waitForPhase(e, stage.full, stage.parity);
    auto type = VectorType::get({2}, kOfWord == 1 ? e.b.getF32Type() : Type(e.b.getI32Type()));
    SmallVector<Value> lines;
    for (Value place : places)
      lines.push_back(load(type, e.add(stage.at, place)));
    return lines;
  }

  /// [part, 4 registers] of a step's lines.
  Registers fragment(ValueRange lines) {
    Registers result(partsB, SmallVector<Value>(4));
    for (int64_t half : {0, 1})
      for (int64_t column : {0, 1}) {
        SmallVector<Value> pairs =
            kOfWord == 1 ? cut(element(lines[2 * half], column), element(lines[2 * half + 1], column), partsB)
                         : cutPair(weightType, element(lines[half], column), partsB);
        for (auto [part, pair] : llvm::enumerate(pairs))
          result[part][2 * half + column] = pair;
      }
    return result;
  }

  //===--------------------------------------------------------------------===//
  // Results
  //===--------------------------------------------------------------------===//

  void barrierOfConsumers() {
    NVVM::BarrierOp::create(e.b, e.loc, Type(), e.i32(kConsumerBarrier), e.i32(kConsumerThreads), {}, Value());
  }

  Value placeOf(Value row, Value column) { return e.add(shared, e.mul(e.add(e.mul(row, kPitch), column), 4)); }

  void finish(ArrayRef<Value> totals) {
    barrierOfConsumers(); // nobody reads a stage any more; all rounds have come
    Value g = e.divFloor(lane, 4), t = e.rem(lane, e.idx(4));
    Value column = e.add(e.mul(panel, attn::kPanel), e.mul(g, 2));
    auto type = VectorType::get({2}, e.b.getF32Type());
    for (int64_t i = 0; i < kRows / 8; ++i)
      for (int64_t odd : {0, 1}) {
        Value two =
            vector::FromElementsOp::create(e.b, e.loc, type, ValueRange{totals[4 * i + odd], totals[4 * i + 2 + odd]});
        store(two, placeOf(e.add(e.mul(t, 2), 8 * i + odd), column));
      }
    barrierOfConsumers();
    // A warp has a row at a time, and its lanes neighbouring columns.
    e.loop(panel, e.idx(kRows), kConsumerThreads / kWarp, [&](Value row) {
      Value number = e.add(firstRow, row);
      e.ifThen(e.less(number, rows), [&] {
        SmallVector<Value> index = rowIndex(e, op.getInit(), number);
        for (int64_t c = 0; c < kColumns; c += kWarp) {
          Value inTile = e.add(lane, c), of = e.add(firstColumn, inTile);
          e.ifThen(e.less(of, e.idx(n)),
                   [&] { storeProduct(e, op, load(e.b.getF32Type(), placeOf(row, inTile)), index, of); });
        }
      });
    });
  }

  int64_t bytesA, stageBytes, stages;
  Value firstRow, firstColumn, rows, shared, full, empty, isAligned;
  Value firstK, to[2];       ///< of a producer's pieces in a round, and in a part, by half
  SmallVector<Value> from;   ///< addresses of its rows
  Value lane, panel;         ///< a consumer's; its warp has a panel
  SmallVector<Value> places; ///< of a lane's weights in a stage, by step and line
};
} // namespace

void emitWarpgroupProduct(Kernel &e) { WarpgroupProduct(e).emit(); }

} // namespace attnc::cuda
