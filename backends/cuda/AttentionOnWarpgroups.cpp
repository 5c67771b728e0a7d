//===- AttentionOnWarpgroups.cpp - attn.attention with 16-bit keys and values by wgmma -------------------===//
//
// AttentionTiles.h on Hopper, as in FlashAttention-3 (Shah et al. 2024). A block has a warpgroup that brings tiles of
// 64 keys, and two that compute 64 rows each:
//
//   producer   copies keys and values into a ring of stages; a stage is full when the copies of all its threads are
//              there, and empty when all warps of the consumers are done with it
//   consumers  S = q·K with q from registers, or from shared memory where it has too many, o += P·V with P from
//              registers; while one has its softmax, the tensor cores have the other
//
// Pages of a cache are allocations of their own, which a tensor map of TMA cannot describe: tiles come by cp.async. A
// key tile has rows of 64 keys, 128 bytes; values, and queries, lie in strips of up to 64 columns. So SharedTile's
// permutation is wgmma's swizzle.
//
// Where the result is NaN the consumers begin again, by mma.sync, and bring tiles themselves.
//
//===------------------------------------------------------------------------------------------------------===//
#include "backends/cuda/AttentionTiles.h"
#include "backends/cuda/Emitters.h"
#include "backends/cuda/Warpgroups.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

namespace attnc::cuda {
using llvm::Error;

namespace {
constexpr int64_t kFewestStages = 2, kMostStages = 4;
constexpr int64_t kMaxQueryRegisters = 32; // of a lane, for fragments that stay for all tiles
constexpr int64_t kMaxWidth = 128;         // of values: sums of more would be spilled
constexpr int64_t kConsumers = 2, kConsumerThreads = kConsumers * kWarpgroup, kThreads = kConsumerThreads + kWarpgroup;
/// Of a thread; 168 is what the launch gives to each, and all of them together have 64 Ki.
constexpr int64_t kProducerRegisters = 56, kConsumerRegisters = 224;
static_assert((kProducerRegisters + kConsumers * kConsumerRegisters) * kWarpgroup <= 64 << 10);
constexpr int64_t kConsumerBarrier = 1; ///< 0 is the block's

class WarpgroupAttention : public AttentionTiles {
public:
  explicit WarpgroupAttention(Kernel &k) : AttentionTiles(k) {
    hasStrips = true;
    keysOfTile = kPanelKeys;
    warps = kConsumerThreads / kWarp;
  }

  bool choose() {
    if (k.capability() != 90 || k.isFew() || !has16BitTiles() || width > kMaxWidth)
      return false;
    stages = stagesIn(sharedLimit(90), kMostStages);
    return stages >= kFewestStages;
  }

private:
  struct Stage {
    Value at, full, empty, parity; ///< parity: of its barriers' phase in which this tile is there
  };
  Stage stageOf(Value i) {
    Value number = k.rem(i, k.idx(stages)), barrier = k.mul(number, kBarrierBytes);
    Value use = k.rem(k.divFloor(i, stages), k.idx(2));
    return {k.add(addressOf(k, tiles), k.mul(number, stageBytes())), k.add(full, barrier), k.add(empty, barrier),
            k.toInteger(use, k.b.getI32Type())};
  }

  /// What follows `start` is the consumers'.
  void start() override {
    offerFewQueries();
    beginTiles(kThreads);
    full = addressOf(k, k.dynamicShared({2 * stages * kBarrierBytes}, k.b.getI8Type()));
    empty = k.add(full, stages * kBarrierBytes);
    isWanted = k.shared({1}, k.b.getI32Type());
    k.ifThen(k.equal(k.thread(), k.idx(0)), [&] {
      for (int64_t stage = 0; stage < stages; ++stage) {
        initBarrier(k, k.add(full, stage * kBarrierBytes), kWarpgroup);
        initBarrier(k, k.add(empty, stage * kBarrierBytes), warps);
      }
      fenceBarriers(k);
      k.store1(k.i32(0), isWanted, k.idx(0));
    });
    k.barrier();
    Value consumes = k.less(k.thread(), k.idx(kConsumerThreads));
    auto roles = scf::IfOp::create(k.b, k.loc, consumes, /*withElseRegion=*/true);
    k.b.setInsertionPointToStart(roles.elseBlock());
    produce();
    k.b.setInsertionPointToStart(roles.thenBlock());
    takeRegisters(k, kConsumerRegisters);
    bringQueries();
    fenceAsyncProxy(k);
    barrierOfConsumers();
    beginRows(kMaxQueryRegisters);
  }

  void produce() {
    giveRegisters(k, kProducerRegisters);
    copyThreads = kWarpgroup;
    Value thread = k.sub(k.thread(), k.idx(kConsumerThreads));
    k.loop(k.idx(0), count, 1, [&](Value i) {
      Stage stage = stageOf(i);
      waitForPhase(k, stage.empty, arith::XOrIOp::create(k.b, k.loc, stage.parity, k.i32(1)));
      bring(tileOf(i), stage.at, thread);
      arriveAfterCopies(k, stage.full);
    });
    commitCopies(k);
    waitForCopies(k, 0);
  }

  //===--------------------------------------------------------------------===//
  // Consumers
  //===--------------------------------------------------------------------===//

  void barrierOfConsumers() {
    NVVM::BarrierOp::create(k.b, k.loc, Type(), k.i32(kConsumerBarrier), k.i32(kConsumerThreads), {}, Value());
  }

  SmallVector<Value> walk() override {
    SmallVector<Value> initial = initialState();
    SmallVector<Value> state = k.loop(k.idx(0), count, 1, initial, [&](Value i, ValueRange before) {
      Stage stage = stageOf(i);
      waitForPhase(k, stage.full, stage.parity);
      fenceAsyncProxy(k); // cp.async writes as threads do
      SmallVector<Value> scores = products(stage.at), next = weigh(firstKeyOf(i), scores, before);
      addValues(k.add(stage.at, keyTile().bytes()), scores, MutableArrayRef(next).take_front(sums()));
      NVVM::SyncWarpOp::create(k.b, k.loc, k.i32(-1));
      k.ifThen(k.equal(lane, k.idx(0)), [&] { arrive(k, stage.empty); });
      return next;
    });
    return again(initial, state);
  }

  /// The same without products of what is not finite, if some consumer has a NaN.
  SmallVector<Value> again(ArrayRef<Value> initial, ArrayRef<Value> state) {
    k.ifThen(hasNaN(state.take_front(sums())), [&] { k.store1(k.i32(1), isWanted, k.idx(0)); });
    barrierOfConsumers();
    Value isDone = k.equal(k.load1(isWanted, k.idx(0)), k.i32(0));
    SmallVector<Value> first;
    for (auto [value, start] : llvm::zip(state, initial))
      first.push_back(k.select(isDone, value, start));
    isCareful = k.isTrue();
    copyThreads = kConsumerThreads;
    Value stage = addressOf(k, tiles);
    return k.loop(k.idx(0), k.select(isDone, k.idx(0), count), 1, first, [&](Value i, ValueRange before) {
      bring(tileOf(i), stage, k.thread());
      commitCopies(k);
      waitForCopies(k, 0);
      barrierOfConsumers();
      SmallVector<Value> next = addTile(firstKeyOf(i), stage, before);
      barrierOfConsumers(); // the tile is done with
      return next;
    });
  }

  /// S: for every 8 keys a C.
  SmallVector<Value> products(Value stage) {
    SmallVector<Value> result(keysOfTile / 2, k.f32(0));
    const SharedTile keys = keyTile(), queries = queryTile();
    Value b = descriptor(k, stage, layoutOf(keys)), a;
    if (held.empty()) {
      Value number = k.divFloor(warp, kWarpgroup / kWarp);
      a = descriptor(k, k.add(addressOf(k, queryMemory), k.mul(number, kWarpgroupRows * queries.strip * 2)),
                     layoutOf(queries));
    }
    settle(k, result);
    fenceProducts(k);
    for (int64_t d = 0; d < depth; d += kFragmentDepth)
      for (int64_t part = queryParts; part-- > 0;) { // small ones first
        SmallVector<Value> query;
        if (held.empty())
          query.push_back(advance(k, a, part * queries.bytes() + queries.place(0, d)));
        else
          query = held[(part * depth + d) / kFragmentDepth];
        multiplyAsync(k, keyType, query, advance(k, b, keys.place(d, 0)), result, /*transposedB=*/true);
      }
    finishProducts(result);
    return result;
  }

  /// o += P·V.
  void addValues(Value stage, ArrayRef<Value> weights, MutableArrayRef<Value> o) {
    const SharedTile values = valueTile();
    Value b = descriptor(k, stage, layoutOf(values));
    SmallVector<SmallVector<SmallVector<Value>>> parts;
    for (int64_t j = 0; j < keysOfTile; j += kFragmentDepth)
      parts.push_back(partsOfWeights(weights, j));
    settle(k, o);
    for (SmallVector<SmallVector<Value>> &ofKeys : parts)
      for (SmallVector<Value> &part : ofKeys)
        settle(k, part);
    fenceProducts(k);
    for (auto [i, ofKeys] : llvm::enumerate(parts))
      for (ArrayRef<Value> p : llvm::reverse(ofKeys)) // small ones first
        multiplyAsync(k, valueType, p, advance(k, b, values.place(i * kFragmentDepth, 0)), o, /*transposedB=*/true);
    finishProducts(o);
  }

  void finishProducts(MutableArrayRef<Value> sums) {
    commitProducts(k);
    waitForProducts(k, 0);
    settle(k, sums); // nor does LLVM know that a wait is about them
  }

  static SharedLayout layoutOf(SharedTile tile) {
    return {/*leadingBytes=*/tile.rows * tile.strip * 2, /*strideBytes=*/8 * tile.strip * 2,
            /*swizzle=*/tile.strip * 2};
  }

  Value full, empty;
  Value isWanted; ///< not 0: a second pass
};
} // namespace

bool canAttendOnWarpgroups(Kernel &k) { return WarpgroupAttention(k).choose(); }

Error emitAttentionOnWarpgroups(Kernel &k) {
  WarpgroupAttention attention(k);
  attention.choose();
  return attention.emit();
}

} // namespace attnc::cuda
