//===- AttentionOnTensorCores.cpp - attn.attention with 16-bit keys and values by mma.sync ---------------===//
//
// AttentionTiles.h by mma.sync: a block has 4 warps or fewer, which share tiles of 16 to 64 keys. While a tile is
// computed the next one is on its way to shared memory.
//
// A launch with few queries, as decoding has, has blocks of 16 rows: its warps share them, take 16 keys of a tile each,
// and add up what they have in the end, as in FlashDecoding. More tiles are on their way then, as far as there is
// shared memory, to read a cache as fast as memory gives it.
//
//===------------------------------------------------------------------------------------------------------===//
#include "backends/cuda/AttentionTiles.h"
#include "backends/cuda/Emitters.h"

namespace attnc::cuda {
using llvm::Error;

namespace {
constexpr int64_t kStages = 2, kStagesOfFew = 4; // tiles in shared memory
constexpr int64_t kMaxQueryRegisters = 16;       // of a lane, for fragments that stay for all tiles

class TensorAttention : public AttentionTiles {
public:
  explicit TensorAttention(Kernel &k) : AttentionTiles(k) {}

  /// Whether there is a tile that fits; the one with most rows, then most keys, is taken.
  bool choose() {
    if (!has16BitTiles())
      return false;
    // More keys in a tile would take registers that sums of wide rows need.
    const int64_t limit = sharedLimit(k.isFew() && width <= 128 ? k.capability() : 80);
    for (warps = 4; warps > 0; warps /= 2) {
      splits = k.isFew() ? warps : 1;
      copyThreads = warps * kWarp;
      for (keysOfTile = kPanelKeys; keysOfWarp() >= kFragmentDepth; keysOfTile /= 2)
        if ((stages = stagesIn(limit, k.isFew() ? kStagesOfFew : kStages)) >= kStages)
          return true;
    }
    return false;
  }

private:
  void start() override {
    if (!k.isFew())
      offerFewQueries();
    beginTiles(copyThreads);
    bringQueries();
    k.barrier();
    beginRows(kMaxQueryRegisters);
  }

  SmallVector<Value> walk() override {
    Value base = addressOf(k, tiles), n;
    auto stageOf = [&](Value i) { return k.add(base, k.mul(k.rem(i, k.idx(stages)), stageBytes())); };
    auto bringIfThere = [&](Value i) {
      k.ifThen(k.less(i, n), [&] { bring(tileOf(i), stageOf(i), k.thread()); });
      commitCopies(k);
    };
    SmallVector<Value> initial = initialState();
    SmallVector<Value> state = k.loop(k.idx(0), k.idx(2), 1, initial, [&](Value pass, ValueRange before) {
      isCareful = k.equal(pass, k.idx(1));
      Value isDone = k.both(isCareful, isFinished(before.take_front(sums())));
      SmallVector<Value> first;
      for (auto [value, start] : llvm::zip(before, initial))
        first.push_back(k.select(isDone, value, start));
      n = k.select(isDone, k.idx(0), count);
      for (int64_t i = 0; i + 1 < stages; ++i)
        bringIfThere(k.idx(i));
      return k.loop(k.idx(0), n, 1, first, [&](Value i, ValueRange state) {
        waitForCopies(k, stages - 2);
        k.barrier(); // the tile is there, and the one before is done with
        bringIfThere(k.add(i, stages - 1));
        return addTile(firstKeyOf(i), stageOf(i), state);
      });
    });
    return splits > 1 ? merge(state) : state;
  }

  /// Whether no thread of the block has a NaN.
  Value isFinished(ValueRange values) {
    Value own = k.select(hasNaN(values), k.i32(1), k.i32(0));
    return k.equal(k.reduceBlock(own, [&](Value a, Value c) { return k.max(a, c); }), k.i32(0));
  }

  /// What the warps have of the same rows, added in order by the first one, by way of the tiles' memory.
  SmallVector<Value> merge(ArrayRef<Value> state) {
    const int64_t size = state.size();
    Value isFirst = k.equal(warp, k.idx(0)), zero = k.f32(0);
    auto place = [&](Value of, int64_t i) { return k.add(k.mul(k.add(k.mul(of, size), i), kWarp), lane); };
    k.barrier(); // tiles are done with
    for (auto [i, value] : llvm::enumerate(state))
      k.store1(k.as(k.b.getI32Type(), value), tiles, place(warp, i));
    k.barrier();
    for (Row &row : mine)
      row.isInside = k.both(row.isInside, isFirst);
    // A loop, so that what one warp has is there at once, not what all have.
    return k.loop(k.select(isFirst, k.idx(1), k.idx(splits)), k.idx(splits), 1, state, [&](Value w, ValueRange sofar) {
      SmallVector<Value> all(sofar);
      auto other = [&](int64_t i) { return k.as(k.b.getF32Type(), k.load1(tiles, place(w, i))); };
      for (int64_t r : {0, 1}) {
        Value &most = all[sums() + r], its = other(sums() + r), now = k.maxf(most, its);
        Value keep = exp2(k.subf(most, now)), theirs = exp2(k.subf(its, now));
        auto part = [&](Value x, Value weight) { // of weight 0 even infinity does not count
          return k.select(arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::UNE, weight, zero), k.mulf(x, weight),
                          zero);
        };
        auto add = [&](int64_t i) { all[i] = k.addf(part(all[i], keep), part(other(i), theirs)); };
        for (int64_t i = 0; i < sums(); ++i)
          if (i % 4 / 2 == r)
            add(i);
        add(sums() + 2 + r);
        most = now;
      }
      return all;
    });
  }
};
} // namespace

bool canAttendOnTensorCores(Kernel &k) { return TensorAttention(k).choose(); }

Error emitAttentionOnTensorCores(Kernel &k) {
  TensorAttention attention(k);
  attention.choose();
  return attention.emit();
}

} // namespace attnc::cuda
