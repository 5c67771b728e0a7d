//===- Attention.cpp - attn.attention as a kernel -----------------------------------------------------===//
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
#include "backends/cuda/Emitters.h"

#include <numeric>

namespace attnc::cuda {
using llvm::Error;

namespace {
constexpr double kLog2e = 1.4426950408889634;
constexpr int64_t kKeys = attn::kKeyPanel, kKeysOfLane = kKeys / kWarp;
constexpr int64_t kWarps = 4, kRowsOfWarp = 4, kRows = kWarps * kRowsOfWarp;
/// Maximum of a row that has seen no key, and the score of a hidden pair: of weight 0 whatever the maximum is.
constexpr float kNoKeys = -1e30f, kHidden = -2e30f;

class AttentionKernel {
public:
  explicit AttentionKernel(Kernel &k)
      : k(k), op(cast<attn::AttentionOp>(k.op())), heads(op.getHeads()), kvHeads(op.getKvHeads()),
        headDim(op.getHeadDim()), headDimV(op.getHeadDimV()), width(llvm::alignTo(headDimV, attn::kPanel)),
        headsOfTile(std::gcd(heads / kvHeads, kRows)), columns(llvm::divideCeil(headDimV, kWarp)) {
    if (op.getCache())
      cache = op.getCache().getDefiningOp<attn::CacheViewOp>();
  }

  Error emit() {
    if (Error error = check())
      return error;
    begin();
    SmallVector<Value> state = walk();
    finish(state);
    return Error::success();
  }

private:
  /// One of the warp's rows.
  struct Row {
    Value query, head, isInside, position;
    Value low, high, sinkEnd; ///< keys low ≤ j < high and j < sinkEnd are visible, but for masks
  };

  Error check() {
    if (op.getRagged())
      return refuse("its sequences are ragged");
    if (op.getScores())
      return refuse("its scores are a result");
    if (op.getKvLen())
      return refuse("its kv_len is checked when it runs");
    if (!op.getProbMod().empty())
      return refuse("it has a prob region");
    if (op.getAlibi() || op.getRelative() || op.getPrefix() || op.getDocuments() || (!cache && !op.isPacked()))
      return refuse("it has not gone through the stage 'fused'");
    if (headDimV > 256)
      return refuse("its head_dim is above 256");
    return Error::success();
  }

  //===--------------------------------------------------------------------===//
  // Rows
  //===--------------------------------------------------------------------===//

  static bool isPackedHeads(Value buffer) { return rankOf(buffer) == 3; }
  /// Element `d` of a row of query or out.
  SmallVector<Value> placeOf(Value buffer, const Row &row, Value d, int64_t ofHead) {
    if (isPackedHeads(buffer))
      return {batch, row.query, k.add(k.mul(row.head, ofHead), d)};
    return {batch, row.head, row.query, d};
  }

  void begin() {
    Value query = op.getQuery();
    bool isPacked = isPackedHeads(query);
    int64_t queriesOfTile = kRows / headsOfTile, ofHeads = isPacked ? headsOfTile * headDim : headsOfTile;
    SmallVector<Value> first = k.tile(kWarps * kWarp, {k.axis(query, 0), k.axis(query, isPacked ? 2 : 1, ofHeads),
                                                       k.axis(query, isPacked ? 1 : 2, queriesOfTile)});
    batch = first[0];
    Value firstHead = isPacked ? k.divFloor(first[1], headDim) : first[1];
    kvHead = k.divFloor(firstHead, heads / kvHeads);
    queries = k.size(query, isPacked ? 1 : 2);
    lane = k.rem(k.thread(), k.idx(kWarp));
    warp = k.divFloor(k.thread(), kWarp);
    past = cache ? k.toIndex(k.read(cache.getPast(), batch)) : k.idx(0);
    keys = keysOf();
    Value offset = offsetOf();
    for (int64_t r = 0; r < kRowsOfWarp; ++r) {
      Value number = k.add(k.mul(warp, kRowsOfWarp), r);
      Row row;
      row.query = k.add(first[2], k.divFloor(number, headsOfTile));
      row.head = k.add(firstHead, k.rem(number, k.idx(headsOfTile)));
      row.isInside = k.less(row.query, queries);
      row.query = k.min(row.query, k.sub(queries, k.idx(1))); // what is read is there
      row.position = k.add(offset, row.query);
      row.low = k.idx(0);
      row.high = keys;
      row.sinkEnd = k.idx(op.getSinks());
      if (op.getCausal())
        row.high = k.min(row.high, k.add(row.position, 1));
      row.sinkEnd = k.min(row.sinkEnd, row.high);
      if (op.getWindowRight())
        row.high = k.min(row.high, k.add(row.position, 1 + int64_t(*op.getWindowRight())));
      if (op.getWindowLeft())
        row.low = k.max(row.low, k.sub(row.position, k.idx(*op.getWindowLeft())));
      // Rows beyond the last query see nothing: a warp that has no others is done at once.
      row.high = k.select(row.isInside, row.high, k.idx(0));
      row.sinkEnd = k.select(row.isInside, row.sinkEnd, k.idx(0));
      row.low = k.select(row.isInside, row.low, keys);
      rows.push_back(row);
    }
    // The queries of all rows, scaled: [row, element].
    scaled = k.shared({kRows, headDim}, k.b.getF32Type());
    double scale = op.getScaleOrDefault() * (isNatural() ? 1 : kLog2e);
    for (auto [r, row] : llvm::enumerate(rows))
      k.loop(lane, k.idx(headDim), kWarp, [&](Value d) {
        Value q = k.mulf(k.read(query, placeOf(query, row, d, headDim)), k.f32(scale));
        k.store1(q, scaled, {k.add(k.mul(warp, kRowsOfWarp), r), d});
      });
    k.barrier();
  }

  /// Those of the cache after this call's are appended, or of `key`. A bias with fewer columns hides the rest.
  Value keysOf() {
    Value all = !cache ? k.size(op.getValue(), 2) : op.isCross() ? past : k.add(past, queries);
    if (op.getBias() && columnsOf(op.getBias()) != 1)
      all = k.min(all, k.size(op.getBias(), rankOf(op.getBias()) - 1));
    return all;
  }

  /// Position of query 0.
  Value offsetOf() {
    Value start = k.idx(op.getCausalOffset());
    if (op.getBottomRight() && !cache) // the cache's diagonal ends at the last key already
      return k.add(start, k.sub(k.size(op.getValue(), 2), queries));
    return cache && !op.isCross() ? k.add(start, past) : start;
  }

  //===--------------------------------------------------------------------===//
  // Keys and values
  //===--------------------------------------------------------------------===//

  /// Where the keys and the values of a block begin in `pages`: see !attn.cache.
  std::pair<Value, Value> placesOf(Value block) {
    auto type = cast<attn::CacheType>(op.getCache().getType());
    Value page = k.scalar(cache.getPage()), panels = k.divFloor(page, kKeys), panel = k.rem(block, panels);
    Value entry = k.toIndex(k.read(cache.getTable(), {batch, k.divFloor(block, panels)}));
    Value layer = k.add(k.mul(entry, type.getLayers()), k.scalar(op.getLayer()));
    Value head = k.mul(k.mul(k.add(k.mul(layer, kvHeads), kvHead), page), headDim + width);
    return {k.add(head, k.mul(panel, kKeys * headDim)),
            k.add(head, k.add(k.mul(page, headDim), k.mul(panel, kKeys * width)))};
  }

  Value keyAt(Value block, Value base, Value d, Value key) {
    if (cache)
      return k.read(cache.getPages(), k.add(base, k.add(k.mul(d, kKeys), key)));
    return k.read(op.getKey(), {batch, kvHead, block, d, key});
  }

  Value valueAt(Value block, Value base, Value key, Value column) {
    if (cache)
      return k.read(cache.getPages(), k.add(base, k.add(k.mul(key, width), column)));
    return k.read(op.getValue(), {batch, kvHead, k.add(k.mul(block, kKeys), key), column});
  }

  //===--------------------------------------------------------------------===//
  // Scores
  //===--------------------------------------------------------------------===//

  /// Whether scores are in base e while ops that mean it look at them.
  bool isNatural() { return op.getSoftCap() || !op.getScoreMod().empty(); }
  bool isMaskBias() { return op.getBias() && typeOf(op.getBias()).getElementType().isInteger(1); }

  /// buffer[index] with indices kept inside: what is read for a hidden pair does not count.
  Value within(Value buffer, ArrayRef<Value> index) {
    SmallVector<Value> inside;
    for (auto [d, at] : llvm::enumerate(index))
      inside.push_back(k.max(k.idx(0), k.min(at, k.sub(k.size(buffer, d), k.idx(1)))));
    return k.read(buffer, inside);
  }

  /// The bias of a pair: dimensions of size 1 are the same for all.
  Value biasAt(const Row &row, Value j) {
    Value at[] = {batch, row.head, row.query, j};
    return within(op.getBias(), ArrayRef(at).take_back(rankOf(op.getBias())));
  }

  Value isKept(Value j) {
    Value mask = op.getKeyMask();
    return k.ifGiven(mask, k.isTrue(), [&] {
      Value kept = k.toIndex(within(mask, {batch, j}));
      return k.both(k.less(j, k.size(mask, 1)),
                    arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::ne, kept, k.idx(0)));
    });
  }

  /// What a region yields; `first` is its score, or null.
  Value region(Region &region, Value first, const Row &row, Value j) {
    IRMapping map;
    SmallVector<Value> arguments;
    if (first)
      arguments.push_back(first);
    for (Value index : {batch, row.head, row.position, j})
      arguments.push_back(k.toInteger(index, k.b.getI32Type()));
    map.map(region.getArguments(), arguments);
    for (Operation &inner : region.front().without_terminator()) {
      if (auto load = dyn_cast<attn::LoadOp>(inner)) {
        SmallVector<Value> index;
        for (Value at : load.getIndices())
          index.push_back(k.toIndex(lookup(map, at)));
        Value element = within(load.getSource(), index);
        map.map(load.getResult(), isa<FloatType>(element.getType()) ? k.fromF32(element, load.getType()) : element);
        continue;
      }
      for (Value operand : inner.getOperands())
        (void)lookup(map, operand);
      k.b.clone(inner, map);
    }
    return lookup(map, region.front().getTerminator()->getOperand(0));
  }

  /// What comes from outside of a region is a scalar of the pipeline.
  Value lookup(IRMapping &map, Value value) {
    if (!map.contains(value))
      map.map(value, k.scalar(value));
    return map.lookup(value);
  }

  /// The score of key j from its product, base 2; kHidden if the row does not see it.
  Value score(Value x, const Row &row, Value j) {
    Value visible = k.less(j, row.high);
    if (op.getWindowLeft())
      visible = k.both(visible, k.notLess(j, row.low));
    if (op.getSinks())
      visible = k.either(visible, k.less(j, row.sinkEnd));
    if (op.getKeyMask())
      visible = k.both(visible, isKept(j));
    if (isMaskBias())
      visible = k.both(visible, biasAt(row, j));
    if (!op.getMaskMod().empty())
      visible = k.both(visible, region(op.getMaskMod(), Value(), row, j));
    if (op.getSoftCap()) {
      double cap = op.getSoftCap()->convertToDouble();
      x = k.mulf(k.math<math::TanhOp>(k.mulf(x, k.f32(1 / cap))), k.f32(cap));
    }
    if (!op.getScoreMod().empty())
      x = region(op.getScoreMod(), x, row, j);
    if (isNatural())
      x = k.mulf(x, k.f32(kLog2e));
    if (op.getBias() && !isMaskBias()) { // -inf hides
      Value bias = biasAt(row, j);
      visible = k.both(visible, arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::UNE, bias, k.lowest()));
      x = k.addf(x, k.mulf(bias, k.f32(kLog2e)));
    }
    return k.select(visible, x, k.f32(kHidden));
  }

  //===--------------------------------------------------------------------===//
  // Blocks of keys
  //===--------------------------------------------------------------------===//

  /// Per row: maximum, sum, and the columns that this lane has.
  int64_t stride() const { return 2 + columns; }

  SmallVector<Value> walk() {
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
    Value begin = k.divFloor(low, kKeys), end = k.divCeil(k.max(high, k.idx(0)), kKeys);
    auto body = [&](Value block, ValueRange state) { return addBlock(block, state); };
    if (op.getSinks()) {
      Value sinkBlocks = k.divCeil(k.max(sinkEnd, k.idx(0)), kKeys);
      initial = k.loop(k.idx(0), k.min(sinkBlocks, begin), 1, initial, body);
      end = k.max(end, sinkBlocks);
    }
    return k.loop(begin, end, 1, initial, body);
  }

  SmallVector<Value> addBlock(Value block, ValueRange state) {
    Value keyBase, valueBase, first = k.mul(block, kKeys);
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
      Value first = k.add(k.mul(block, kKeys), i * kWarp);
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

  /// The sum of all values in a column, or their mean: what a row without a visible key yields.
  Value ofAllValues(Value isEmpty, Value column) {
    Value n = k.select(isEmpty, keys, k.idx(0));
    Value sum = k.loop(k.idx(0), n, 1, k.f32(0), [&](Value j, ValueRange sofar) {
      Value block = k.divFloor(j, kKeys), base = cache ? placesOf(block).second : Value();
      return SmallVector<Value>{k.addf(sofar[0], valueAt(block, base, k.rem(j, k.idx(kKeys)), column))};
    })[0];
    return op.getMaskedRows() == attn::MaskedRows::mean ? k.divf(sum, k.toFloat(k.max(keys, k.idx(1)))) : sum;
  }

  void finish(ArrayRef<Value> state) {
    for (auto [r, row] : llvm::enumerate(rows)) {
      Value most = state[r * stride()], sum = state[r * stride() + 1], scale = k.f32(1);
      Value isEmpty = arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::OEQ, sum, k.f32(0));
      if (op.getSinkLogits()) { // one more logit, without a value
        Value logit = k.mulf(k.read(op.getSinkLogits(), row.head), k.f32(kLog2e)), all = k.maxf(most, logit);
        scale = k.exp2(k.subf(most, all));
        sum = k.addf(k.mulf(sum, scale), k.exp2(k.subf(logit, all)));
        most = all;
      }
      scale = k.divf(scale, sum);
      for (int64_t c = 0; c < columns; ++c) {
        Value column = k.add(lane, c * kWarp), isInside = k.less(column, k.idx(headDimV));
        k.ifThen(k.both(row.isInside, isInside), [&] {
          Value none = op.getMaskedRows() == attn::MaskedRows::zero ? k.f32(0) : ofAllValues(isEmpty, column);
          Value result = k.select(isEmpty, none, k.mulf(state[r * stride() + 2 + c], scale));
          k.write(result, op.getInit(), placeOf(op.getInit(), row, column, headDimV));
        });
      }
      if (op.getLseInit())
        k.ifThen(k.both(row.isInside, k.equal(lane, k.idx(0))), [&] {
          Value lse = k.addf(k.mulf(most, k.f32(1 / kLog2e)), k.math<math::LogOp>(sum));
          Value isNone = arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::OEQ, sum, k.f32(0));
          k.write(k.select(isNone, k.lowest(), lse), op.getLseInit(), {batch, row.head, row.query});
        });
    }
  }

  Kernel &k;
  attn::AttentionOp op;
  int64_t heads, kvHeads, headDim, headDimV, width; // width: of a row of values
  int64_t headsOfTile, columns;                     // columns: of a lane
  attn::CacheViewOp cache;
  Value batch, kvHead, queries, keys, past, lane, warp, scaled;
  SmallVector<Row> rows;
};
} // namespace

Error emitAttention(Kernel &k) { return AttentionKernel(k).emit(); }

} // namespace attnc::cuda
