//===- AttentionTiles.cpp - Queries, tiles of keys, and softmax in fragments of tensor cores --------------===//
#include "backends/cuda/AttentionTiles.h"
#include "backends/cuda/FiniteProducts.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace attnc::cuda {

static constexpr int64_t kOtherBytes = 2 * kDynamicSharedAlignment; // reductions, barriers, and what alignment costs

static bool is16Bit(Type type) { return type.isBF16() || type.isF16(); }
/// Parts that a factor is split into.
static int64_t partsOf(Type type) { return type.isBF16() ? 3 : 2; }

AttentionTiles::AttentionTiles(Kernel &k) : AttentionScores(k), depth(llvm::alignTo(headDim, kFragmentDepth)) {
  auto elementOf = [](Value buffer) { return typeOf(buffer).getElementType(); };
  Type query = elementOf(op.getQuery());
  keyType = cache ? elementOf(cache.getPages()) : op.getKey() ? elementOf(op.getKey()) : query;
  valueType = cache ? keyType : op.getValue() ? elementOf(op.getValue()) : query;
  queryParts = query == keyType ? 1 : partsOf(keyType);
  weightParts = std::min<int64_t>(partsOf(valueType), is16Bit(query) ? 2 : 3);
  isScaled = queryParts > 1 && keyType.isF16();
}

bool AttentionTiles::has16BitTiles() {
  return is16Bit(keyType) && is16Bit(valueType) && (cache || op.isPacked());
}

int64_t AttentionTiles::stagesIn(int64_t bytes, int64_t most) const {
  int64_t left = bytes - llvm::alignTo(queryBytes(), kDynamicSharedAlignment) - rows() * 4 - kOtherBytes;
  return std::min(most, left / stageBytes());
}

//===----------------------------------------------------------------------===//
// Start
//===----------------------------------------------------------------------===//

/// Of so many queries whatever the group: decoding and verifying a few tokens have the same bits.
void AttentionTiles::offerFewQueries() {
  Axis queries = queriesOf(kFragmentRows);
  queries.tile = kFragmentRows;
  k.offerFew(queries);
}

void AttentionTiles::beginTiles(int64_t threads) {
  begin(threads, rows());
  if (cache) // scalars are made where they are used first, and these are used in branches
    for (Value scalar : {cache.getPage(), op.getLayer()})
      (void)k.scalar(scalar);
  lane = k.rem(k.thread(), k.idx(kWarp));
  group = k.divFloor(lane, 4);
  inGroup = k.rem(lane, k.idx(4));
  warp = k.divFloor(k.thread(), kWarp);
  firstOfWarp = splits > 1 ? k.idx(0) : k.mul(warp, kFragmentRows);
  firstKey = splits > 1 ? k.mul(warp, keysOfWarp()) : k.idx(0);
  Type i32 = k.b.getI32Type();
  queryMemory = k.dynamicShared({queryBytes() / 4}, i32);
  tiles = k.dynamicShared({stages * stageBytes() / 4}, i32);
  if (isScaled)
    factors = k.dynamicShared({rows()}, k.b.getF32Type());

  Row first = rowAt(k.idx(0)), last = rowAt(k.idx(rows() - 1)); // what a row sees moves on with its query
  Value to = k.divCeil(k.max(last.high, k.idx(0)), keysOfTile);
  firstTile = k.divFloor(first.low, keysOfTile);
  sinkTiles = k.idx(0);
  if (op.getSinks()) {
    Value all = k.divCeil(k.max(last.sinkEnd, k.idx(0)), keysOfTile);
    sinkTiles = k.min(all, firstTile);
    to = k.max(to, all);
  }
  count = k.add(sinkTiles, k.max(k.idx(0), k.sub(to, firstTile)));
}

void AttentionTiles::bringQueries() {
  const int64_t own = rows() / warps;
  k.loop(k.idx(0), k.idx(own), kRowsAtOnce, [&](Value first) {
    for (int64_t r = 0; r < kRowsAtOnce; ++r)
      bringQuery(k.add(k.add(k.mul(warp, own), first), r));
  });
}

void AttentionTiles::beginRows(int64_t queryRegisters) {
  for (int64_t r : {0, 8}) {
    Value number = k.add(k.add(firstOfWarp, group), r);
    mine.push_back(rowAt(number));
    Value factor = k.f32(scale());
    scales.push_back(isScaled ? k.mulf(k.load1(factors, number), factor) : factor);
  }
  if (queryParts * depth / 4 <= queryRegisters)
    for (int64_t part = 0; part < queryParts; ++part)
      for (int64_t d = 0; d < depth; d += kFragmentDepth)
        held.push_back(loadQuery(part, d));
  firstRow = rowAt(firstOfWarp);
  lastRow = rowAt(k.add(firstOfWarp, kFragmentRows - 1));
  hides = hidesAny() ? Value() : hidesSome();
}

//===----------------------------------------------------------------------===//
// Queries
//===----------------------------------------------------------------------===//

/// A row, by a warp: split, 0 beyond head_dim.
void AttentionTiles::bringQuery(Value number) {
  Row row = rowAt(number);
  Value query = op.getQuery(), inside = k.idx(headDim);
  const int64_t pairs = depth / 2;
  SmallVector<std::array<Value, 2>> elements;
  for (int64_t p = 0; p < pairs; p += kWarp) {
    std::array<Value, 2> &pair = elements.emplace_back();
    for (int64_t half : {0, 1}) {
      Value d = k.add(k.mul(k.add(lane, p), 2), half);
      Value q = k.read(query, placeOf(query, row, k.min(d, k.idx(headDim - 1)), headDim));
      pair[half] = k.select(k.less(d, inside), q, k.f32(0));
    }
  }
  if (isScaled)
    scaleRow(number, elements);
  for (size_t p = 0; p < elements.size(); ++p) {
    const std::array<Value, 2> &pair = elements[p];
    Value at = k.add(lane, p * kWarp);
    SmallVector<Value> words = split(k, keyType, pair[0], pair[1], queryParts);
    Value place = k.add(k.divFloor(queryTile().offset(k, number, k.divFloor(at, 4)), 4), k.rem(at, k.idx(4)));
    auto store = [&] {
      for (int64_t part = 0; part < queryParts; ++part)
        k.store1(words[part], queryMemory, k.add(place, part * queryTile().bytes() / 4));
    };
    if (int64_t(p + 1) * kWarp <= pairs)
      store();
    else
      k.ifThen(k.less(at, k.idx(pairs)), store);
  }
}

/// By 2^n so that the greatest element is near 2^14; 2^-n goes to `factors`.
void AttentionTiles::scaleRow(Value number, SmallVectorImpl<std::array<Value, 2>> &elements) {
  Type i32 = k.b.getI32Type(), f32 = k.b.getF32Type();
  Value most = k.i32(20 << 23);
  for (const std::array<Value, 2> &pair : elements)
    for (Value element : pair)
      most = k.max(most, arith::AndIOp::create(k.b, k.loc, k.as(i32, element), k.i32(0x7f800000)));
  most = k.min(k.reduceWarp(most, [&](Value a, Value c) { return k.max(a, c); }), k.i32(254 << 23));
  Value factor = k.as(f32, k.sub(k.i32((254 + 14) << 23), most));
  for (std::array<Value, 2> &pair : elements)
    for (Value &element : pair)
      element = k.mulf(element, factor);
  k.ifThen(k.equal(lane, k.idx(0)), [&] { k.store1(k.as(f32, k.sub(most, k.i32(14 << 23))), factors, number); });
}

SmallVector<Value> AttentionTiles::loadQuery(int64_t part, int64_t d) {
  Value base = k.add(addressOf(k, queryMemory), k.mul(firstOfWarp, queryTile().strip * 2));
  return queryTile().loadA(k, k.add(base, part * queryTile().bytes()), lane, 0, d);
}

//===----------------------------------------------------------------------===//
// Keys and values
//===----------------------------------------------------------------------===//

/// Of an element of a 16-bit buffer.
Value AttentionTiles::addressAt(Value source, ArrayRef<Value> index) {
  Value at = k.idx(0);
  auto layout = memref::ExtractStridedMetadataOp::create(k.b, k.loc, k.buffer(source));
  for (auto [i, stride] : llvm::zip(index, layout.getStrides()))
    at = k.add(at, k.mul(i, stride));
  return k.add(addressOf(k, k.buffer(source)), k.mul(at, 2));
}

void AttentionTiles::bring(Value tile, Value stage, Value thread) {
  const int64_t perPanel = kPanelKeys / keysOfTile;
  Value panel = k.divFloor(tile, perPanel), inPanel = k.mul(k.rem(tile, k.idx(perPanel)), keysOfTile);
  Value keyBase, valueBase, zero = k.idx(0), first = k.mul(tile, keysOfTile);
  if (cache) {
    std::tie(keyBase, valueBase) = placesOf(panel);
    keyBase = addressAt(cache.getPages(), k.add(keyBase, inPanel));
    valueBase = addressAt(cache.getPages(), k.add(valueBase, k.mul(inPanel, width)));
  } else {
    keyBase = addressAt(op.getKey(), {batch, kvHead, panel, zero, inPanel});
    valueBase = addressAt(op.getValue(), {batch, kvHead, first, zero});
  }
  Value last = k.sub(k.sub(keys, k.idx(1)), first); // values beyond it may not be there
  copyTile(keyTile(), stage, keyBase, kPanelKeys, headDim == depth ? Value() : k.idx(headDim - 1), thread);
  copyTile(valueTile(), k.add(stage, keyTile().bytes()), valueBase, width, last, thread);
}

/// From rows of `pitch` elements; those after `last` are 0.
void AttentionTiles::copyTile(SharedTile tile, Value to, Value from, int64_t pitch, Value last, Value thread) {
  // Where all threads have a number of whole periods of rows, each copies the same chunk of rows that are so far
  // apart: it keeps one address, not one for each copy.
  const int64_t chunks = tile.chunks(), step = copyThreads % (8 * chunks) ? 0 : copyThreads / chunks;
  for (int64_t i = 0; i < tile.rows * chunks; i += copyThreads) {
    Value number = k.add(thread, step ? 0 : i), below = k.idx(i / copyThreads * step);
    Value row = k.divFloor(number, chunks), chunk = k.rem(number, k.idx(chunks));
    Value place = k.add(tile.offset(k, row, chunk), k.mul(below, tile.strip * 2));
    Value source = k.add(k.add(k.mul(row, pitch * 2), k.mul(chunk, kChunk)), k.mul(below, pitch * 2));
    row = k.add(row, below);
    auto copy = [&] {
      Value bytes = last ? k.select(k.less(last, row), k.i32(0), k.i32(kChunk)) : k.i32(kChunk);
      copyAsync(k, k.add(to, place), k.add(from, source),
                bytes); // one of 0 bytes reads nothing: the row need not be there
    };
    if (i + copyThreads <= tile.rows * tile.chunks())
      copy();
    else
      k.ifThen(k.less(row, k.idx(tile.rows)), copy);
  }
}

//===----------------------------------------------------------------------===//
// Tiles of keys
//===----------------------------------------------------------------------===//

SmallVector<Value> AttentionTiles::initialState() {
  SmallVector<Value> state(sums(), k.f32(0));
  state.append(2, k.f32(kNoKeys));
  state.append(2, k.f32(0));
  return state;
}

Value AttentionTiles::hasNaN(ValueRange values) {
  Value all = k.f32(0);
  for (Value value : values)
    all = k.addf(all, value);
  return arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::UNO, all, all);
}

SmallVector<Value> AttentionTiles::choice(Value condition, size_t n, function_ref<SmallVector<Value>()> then,
                                          function_ref<SmallVector<Value>()> otherwise) {
  SmallVector<Type> types(n, k.b.getF32Type());
  auto branch = scf::IfOp::create(k.b, k.loc, types, condition, /*withElse=*/true);
  OpBuilder::InsertionGuard guard(k.b);
  k.b.setInsertionPointToStart(branch.thenBlock());
  scf::YieldOp::create(k.b, k.loc, then());
  k.b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(k.b, k.loc, otherwise());
  return branch.getResults();
}

Value AttentionTiles::exp2(Value x) {
  return LLVM::CallIntrinsicOp::create(k.b, k.loc, k.b.getF32Type(), k.b.getStringAttr("llvm.nvvm.ex2.approx.ftz.f32"),
                                       x)
      .getResult(0);
}

SmallVector<Value> AttentionTiles::addTile(Value first, Value stage, ValueRange state) {
  SmallVector<Value> scores = products(stage), next = weigh(first, scores, state);
  addValues(k.add(k.add(stage, keyTile().bytes()), k.mul(firstKey, width * 2)), scores,
            MutableArrayRef(next).take_front(sums()));
  return next;
}

SmallVector<Value> AttentionTiles::weigh(Value first, SmallVector<Value> &scores, ValueRange state) {
  auto scored = [&](bool isEdge) {
    SmallVector<Value> result;
    for (auto [i, product] : llvm::enumerate(scores)) {
      int64_t r = i % 4 / 2;
      Value j = k.add(k.add(first, k.mul(inGroup, 2)), i / 4 * kFragmentColumns + i % 2);
      result.push_back(score(k.mulf(product, scales[r]), mine[r], j, isEdge));
    }
    return result;
  };
  if (hides) {
    Value outside = k.either(k.less(first, lastRow.low), k.less(firstRow.high, k.add(first, keysOfWarp())));
    Value isMasked = k.either(hides, outside); // the same for all lanes of the warp
    scores = choice(isMasked, scores.size(), [&] { return scored(true); }, [&] { return scored(false); });
  } else {
    scores = scored(true);
  }
  SmallVector<Value> o(state.take_front(sums())), most, total;
  for (int64_t r : {0, 1}) {
    Value before = state[sums() + r], now = before, own = k.f32(0);
    auto ofRow = [&](auto visit) {
      for (size_t i = 0; i < scores.size(); ++i)
        if (int64_t(i % 4 / 2) == r)
          visit(scores[i]);
    };
    ofRow([&](Value &x) { now = k.maxf(x, now); });
    for (int64_t mask : {1, 2})
      now = k.maxf(now, k.shuffle(now, mask));
    Value keep = exp2(k.subf(before, now));
    ofRow([&](Value &x) {
      x = exp2(k.subf(x, now));
      own = k.addf(own, x);
    });
    most.push_back(now);
    total.push_back(k.addf(k.mulf(state[sums() + 2 + r], keep), own));
    for (int64_t i = 0; i < sums(); ++i)
      if (i % 4 / 2 == r)
        o[i] = k.mulf(o[i], keep);
  }
  o.append(most);
  o.append(total);
  return o;
}

/// S: for every 8 keys a C.
SmallVector<Value> AttentionTiles::products(Value stage) {
  SmallVector<Value> result(keysOfWarp() / kFragmentColumns * 4, k.f32(0));
  Value chunk = splits > 1 ? k.divFloor(firstKey, kFragmentColumns) : Value();
  for (int64_t d = 0; d < depth; d += kFragmentDepth) {
    SmallVector<SmallVector<Value>> b;
    for (int64_t j = 0; j < keysOfWarp(); j += 16)
      b.push_back(keyTile().loadB(k, stage, lane, d, j, chunk));
    for (int64_t part = queryParts; part-- > 0;) { // small ones first
      int64_t number = (part * depth + d) / kFragmentDepth;
      SmallVector<Value> a = held.empty() ? loadQuery(part, d) : held[number];
      for (size_t i = 0; i < 2 * b.size(); ++i)
        multiply(k, keyType, a, ArrayRef(b[i / 2]).slice(i % 2 * 2, 2), MutableArrayRef(result).slice(4 * i, 4));
    }
  }
  return result;
}

SmallVector<Fragment> AttentionTiles::partsOfWeights(ArrayRef<Value> weights, int64_t key) {
  SmallVector<Fragment> parts(weightParts, Fragment());
  for (int64_t i = 0; i < 8; i += 2) {
    ArrayRef<Value> pair = weights.slice(key / 2 + i, 2);
    for (auto [part, word] : llvm::enumerate(split(k, valueType, pair[0], pair[1], weightParts)))
      parts[part].push_back(word);
  }
  return parts;
}

/// o += P·V, 16 keys at a time: neighbouring products are of different sums, and one split of P is there at once.
void AttentionTiles::addValues(Value stage, ArrayRef<Value> weights, MutableArrayRef<Value> o) {
  for (int64_t j = 0; j < keysOfWarp(); j += 16) {
    SmallVector<Fragment> p = partsOfWeights(weights, j);
    for (int64_t c = 0; c < width; c += 16) {
      Fragment v = valueTile().loadB(k, stage, lane, j, c);
      MutableArrayRef<Value> sums = o.slice(c / 2, 8);
      Value isInfinite = k.ifElse(
          isCareful, isCareful.getType(), [&] { return someInfinite(k, valueType, v); },
          [&] { return arith::ConstantIntOp::create(k.b, k.loc, 0, 1).getResult(); });
      auto added = [&](bool isFinite) {
        SmallVector<Value> now(sums.begin(), sums.end());
        (isFinite ? addProducts : addFiniteProducts)(k, valueType, p, v, now);
        return now;
      };
      llvm::copy(choice(isInfinite, 8, [&] { return added(false); }, [&] { return added(true); }), sums.begin());
    }
  }
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

void AttentionTiles::finish(ArrayRef<Value> state) {
  const bool isZero = op.getMaskedRows() == attn::MaskedRows::zero;
  for (int64_t r : {0, 1}) {
    const Row &row = mine[r];
    Value sum = state[sums() + 2 + r];
    for (int64_t mask : {1, 2})
      sum = k.addf(sum, k.shuffle(sum, mask));
    Total total = totalOf(row, state[sums() + r], sum);
    for (int64_t i = 0; i < sums(); ++i) {
      if (i % 4 / 2 != r)
        continue;
      Value column = k.add(k.mul(inGroup, 2), i / 4 * kFragmentColumns + i % 2);
      Value isWritten = k.both(row.isInside, k.less(column, k.idx(headDimV)));
      if (!isZero)
        isWritten = k.both(isWritten, isNot(total.isEmpty));
      k.ifThen(isWritten,
               [&] { writeOut(k.select(total.isEmpty, k.f32(0), k.mulf(state[i], total.scale)), row, column); });
    }
    if (!isZero)
      k.ifThen(k.both(row.isInside, total.isEmpty), [&] {
        k.loop(inGroup, k.idx(headDimV), 4,
               [&](Value column) { writeOut(ofAllValues(total.isEmpty, column), row, column); });
      });
    if (op.getLseInit())
      k.ifThen(k.both(row.isInside, k.equal(inGroup, k.idx(0))), [&] { writeLse(total, row); });
  }
}

} // namespace attnc::cuda
