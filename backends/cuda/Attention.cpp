//===- Attention.cpp - attn.attention on ordinary cores ----------------------------------------------===//
//
// A warp computes some rows (query, head) that share a kv head, block of 64 keys by block, as FlashAttention-2 does:
//
//   for blocks of 64 keys that a row sees:
//     S = scale·log2(e)·q·K, through soft cap, regions, biases and masks; a lane has 2 keys
//     m' = max(m, max S);  P = 2^(S - m');  l = l·2^(m - m') + ΣP
//     o = o·2^(m - m') + P·V; a lane has every 32nd column, and gets P from the others
//   out = o / l
//
// All arithmetic is f32. A row's bits depend neither on its neighbours nor on how many there are: blocks that it does
// not see change nothing.
//
//===------------------------------------------------------------------------------------------------===//
#include "backends/cuda/AttentionScores.h"
#include "backends/cuda/Emitters.h"

namespace attnc::cuda {
using llvm::Error;

namespace {
constexpr int64_t kWarps = 4, kRowsOfWarp = 4, kRows = kWarps * kRowsOfWarp;

class AttentionKernel : public AttentionScores {
  static constexpr int64_t kKeysOfLane = kPanelKeys / kWarp;

public:
  explicit AttentionKernel(Kernel &k) : AttentionScores(k), columns(llvm::divideCeil(headDimV, kWarp)) {}

private:
  void start() override {
    begin(kWarps * kWarp, kRows);
    lane = k.rem(k.thread(), k.idx(kWarp));
    warp = k.divFloor(k.thread(), kWarp);
    for (int64_t r = 0; r < kRowsOfWarp; ++r) {
      Row row = rowAt(k.add(k.mul(warp, kRowsOfWarp), r));
      // Rows beyond the last query see nothing: a warp that has no others is done at once.
      row.high = k.select(row.isInside, row.high, k.idx(0));
      row.sinkEnd = k.select(row.isInside, row.sinkEnd, k.idx(0));
      row.low = k.select(row.isInside, row.low, keys);
      rows.push_back(row);
    }
    // The queries of all rows, scaled: [row, element].
    Value query = op.getQuery();
    scaled = k.shared({kRows, headDim}, k.b.getF32Type());
    for (int64_t r = 0; r < kRowsOfWarp; ++r)
      k.loop(lane, k.idx(headDim), kWarp, [&](Value d) {
        Value q = k.mulf(k.read(query, placeOf(query, rows[r], d, headDim)), k.f32(scale()));
        k.store1(q, scaled, {k.add(k.mul(warp, kRowsOfWarp), r), d});
      });
    k.barrier();
  }

  //===--------------------------------------------------------------------===//
  // Blocks of keys
  //===--------------------------------------------------------------------===//

  Value keyAt(Value block, Value base, Value d, Value key) {
    if (cache)
      return k.read(cache.getPages(), k.add(base, k.add(k.mul(d, kPanelKeys), key)));
    return k.read(op.getKey(), {batch, kvHead, block, d, key});
  }

  /// Per row: maximum, sum, and the columns that this lane has.
  int64_t stride() const { return 2 + columns; }

  SmallVector<Value> walk() override {
    SmallVector<Value> initial;
    for (int64_t r = 0; r < kRowsOfWarp; ++r) {
      initial.push_back(k.f32(kNoKeys));
      initial.append(1 + columns, k.f32(0));
    }
    // What some row of the warp may see.
    Value low = rows[0].low, high = rows[0].high, sinkEnd = rows[0].sinkEnd;
    for (const Row &row : ArrayRef(rows).drop_front()) {
      low = k.min(low, row.low);
      high = k.max(high, row.high);
      sinkEnd = k.max(sinkEnd, row.sinkEnd);
    }
    Value begin = k.divFloor(low, kPanelKeys), end = k.divCeil(k.max(high, k.idx(0)), kPanelKeys);
    auto body = [&](Value block, ValueRange state) { return addBlock(block, state); };
    if (op.getSinks()) {
      Value sinkBlocks = k.divCeil(k.max(sinkEnd, k.idx(0)), kPanelKeys);
      initial = k.loop(k.idx(0), k.min(sinkBlocks, begin), 1, initial, body);
      end = k.max(end, sinkBlocks);
    }
    return k.loop(begin, end, 1, initial, body);
  }

  SmallVector<Value> addBlock(Value block, ValueRange state) {
    Value keyBase, valueBase, first = k.mul(block, kPanelKeys);
    if (cache)
      std::tie(keyBase, valueBase) = placesOf(block);
    SmallVector<Value> keyOf;
    for (int64_t i = 0; i < kKeysOfLane; ++i)
      keyOf.push_back(k.add(lane, i * kWarp));
    // Products of all rows with this lane's keys. Keys beyond the last one are in the block, and hidden.
    SmallVector<Value> products(kRowsOfWarp * kKeysOfLane, k.f32(0));
    products = k.loop(k.idx(0), k.idx(headDim), 1, products, [&](Value d, ValueRange sums) {
      SmallVector<Value> next(sums), key;
      for (Value at : keyOf)
        key.push_back(keyAt(block, keyBase, d, at));
      for (int64_t r = 0; r < kRowsOfWarp; ++r) {
        Value q = k.load1(scaled, {k.add(k.mul(warp, kRowsOfWarp), r), d});
        for (int64_t i = 0; i < kKeysOfLane; ++i)
          next[r * kKeysOfLane + i] = math::FmaOp::create(k.b, k.loc, q, key[i], sums[r * kKeysOfLane + i]);
      }
      return next;
    });
    SmallVector<Value> next, weights;
    for (auto [r, row] : llvm::enumerate(rows)) {
      auto max = [&](Value a, Value c) { return k.maxf(a, c); };
      auto add = [&](Value a, Value c) { return k.addf(a, c); };
      Value before = state[r * stride()], sum = state[r * stride() + 1], most = before;
      SmallVector<Value> scores;
      for (int64_t i = 0; i < kKeysOfLane; ++i) {
        scores.push_back(score(products[r * kKeysOfLane + i], row, k.add(first, keyOf[i])));
        most = k.maxf(scores.back(), most);
      }
      most = k.reduceWarp(most, max);
      Value keep = k.exp2(k.subf(before, most)), own = k.f32(0);
      for (Value score : scores) {
        weights.push_back(k.exp2(k.subf(score, most)));
        own = k.addf(own, weights.back());
      }
      next.push_back(most);
      next.push_back(k.addf(k.mulf(sum, keep), k.reduceWarp(own, add)));
      for (int64_t c = 0; c < columns; ++c)
        next.push_back(k.mulf(state[r * stride() + 2 + c], keep));
    }
    return addValues(block, valueBase, next, weights);
  }

  /// o += P·V. What has weight 0 is not read, or does not count, whatever it is.
  SmallVector<Value> addValues(Value block, Value base, SmallVector<Value> state, ArrayRef<Value> weights) {
    for (int64_t i = 0; i < kKeysOfLane; ++i) {
      Value first = k.add(k.mul(block, kPanelKeys), i * kWarp);
      Value n = k.max(k.idx(0), k.min(k.idx(kWarp), k.sub(keys, first)));
      state = k.loop(k.idx(0), n, 1, state, [&](Value key, ValueRange sofar) {
        SmallVector<Value> next(sofar), values;
        for (int64_t c = 0; c < columns; ++c) {
          Value column = k.min(k.add(lane, c * kWarp), k.idx(headDimV - 1));
          values.push_back(valueAt(block, base, k.add(key, i * kWarp), column));
        }
        for (int64_t r = 0; r < kRowsOfWarp; ++r) {
          Value weight = k.broadcastFrom(weights[r * kKeysOfLane + i], key);
          Value counts = arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::UNE, weight, k.f32(0));
          for (int64_t c = 0; c < columns; ++c) {
            Value &sum = next[r * stride() + 2 + c];
            sum = math::FmaOp::create(k.b, k.loc, weight, k.select(counts, values[c], k.f32(0)), sum);
          }
        }
        return next;
      });
    }
    return state;
  }

  //===--------------------------------------------------------------------===//
  // Results
  //===--------------------------------------------------------------------===//

  void finish(ArrayRef<Value> state) override {
    for (int64_t r = 0; r < kRowsOfWarp; ++r) {
      const Row &row = rows[r];
      Total total = totalOf(row, state[r * stride()], state[r * stride() + 1]);
      for (int64_t c = 0; c < columns; ++c) {
        Value column = k.add(lane, c * kWarp), isInside = k.less(column, k.idx(headDimV));
        k.ifThen(k.both(row.isInside, isInside), [&] {
          bool isZero = op.getMaskedRows() == attn::MaskedRows::zero;
          Value none = isZero ? k.f32(0) : ofAllValues(total.isEmpty, column);
          writeOut(k.select(total.isEmpty, none, k.mulf(state[r * stride() + 2 + c], total.scale)), row, column);
        });
      }
      if (op.getLseInit())
        k.ifThen(k.both(row.isInside, k.equal(lane, k.idx(0))), [&] { writeLse(total, row); });
    }
  }

  int64_t columns; // of a lane
  Value lane, warp, scaled;
  SmallVector<Row> rows;
};
} // namespace

Error emitAttention(Kernel &k) {
  if (canAttendOnWarpgroups(k))
    return emitAttentionOnWarpgroups(k);
  return canAttendOnTensorCores(k) ? emitAttentionOnTensorCores(k) : AttentionKernel(k).emit();
}

} // namespace attnc::cuda
