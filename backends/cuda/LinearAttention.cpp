//===- LinearAttention.cpp - attn.linear_attention as a recurrence --------------------------------------===//
//
// A block has up to 32 columns of the state of a batch row and kv head in its registers: a lane has a column, warp w of
// 8 the key dimensions w, w + 8, …. Tokens are taken one after the other; a product with the state is summed over the
// warps through shared memory, in order. All arithmetic is f32.
//
//===------------------------------------------------------------------------------------------------------===//
#include "backends/cuda/Emitters.h"

namespace attnc::cuda {
using llvm::Error;

namespace {
constexpr int64_t kWarps = 8, kMaxHeadDim = 256; // of which a thread has 32 registers

class LinearAttentionKernel {
public:
  explicit LinearAttentionKernel(Kernel &k)
      : k(k), op(cast<attn::LinearAttentionOp>(k.op())), headDim(op.getHeadDim()), headDimV(op.getHeadDimV()),
        group(op.getHeads() / op.getKvHeads()) {}

  Error emit() {
    if (headDim > kMaxHeadDim)
      return refuse("its head_dim is above 256");
    begin();
    SmallVector<Value> state = k.loop(k.idx(0), k.size(op.getQuery(), op.getSeqDim()), 1, firstState(),
                                      [&](Value token, ValueRange before) { return addToken(token, before); });
    if (Value last = op.getStateInit())
      for (auto [i, d] : llvm::enumerate(dims)) {
        Value element = state[i], at = d;
        k.ifThen(k.both(isColumn, k.less(at, k.idx(headDim))),
                 [&] { k.write(element, last, {batch, kvHead, at, column}); });
      }
    return Error::success();
  }

private:
  /// A block for the columns of a tile that divides head_dim_v: it has one kv head.
  void begin() {
    Value value = op.getValue();
    int64_t width = kWarp;
    while (headDimV % width)
      --width;
    const bool isPacked = rankOf(value) == 3;
    SmallVector<Axis> axes = {k.axis(value, 0)};
    if (!isPacked)
      axes.push_back(k.axis(value, 1));
    axes.push_back(k.axis(value, rankOf(value) - 1, width));
    SmallVector<Value> first = k.tile(kWarps * kWarp, axes);
    batch = first[0];
    kvHead = isPacked ? k.divFloor(first[1], headDimV) : first[1];
    lane = k.rem(k.thread(), k.idx(kWarp));
    warp = k.divFloor(k.thread(), kWarp);
    isColumn = k.less(lane, k.idx(width));
    column = k.add(isPacked ? k.rem(first[1], k.idx(headDimV)) : first[2], k.min(lane, k.idx(width - 1)));
    for (int64_t d = 0; d < headDim; d += kWarps)
      dims.push_back(k.add(warp, d));
    ofWarps = k.shared({kWarps, kWarp}, k.b.getF32Type());
  }

  /// Element d of a head's token, of [batch, seq, heads·width] or [batch, heads, seq, width].
  SmallVector<Value> placeOf(Value buffer, Value head, Value token, Value d, int64_t width) {
    if (rankOf(buffer) == 3)
      return {batch, token, k.add(k.mul(head, width), d)};
    return {batch, head, token, d};
  }
  /// `d` of this thread, or another one that is there.
  Value inside(Value d) { return headDim % kWarps ? k.min(d, k.idx(headDim - 1)) : d; }

  SmallVector<Value> firstState() {
    SmallVector<Value> state;
    for (Value d : dims)
      state.push_back(op.getState() ? k.read(op.getState(), {batch, kvHead, inside(d), column}) : k.f32(0));
    return state;
  }

  /// Σ_d x(d)·state[d]; every thread of the block gets that of its column.
  Value product(ValueRange state, function_ref<Value(int64_t)> x) {
    Value own = k.f32(0);
    for (auto [i, d] : llvm::enumerate(dims)) {
      Value sum = math::FmaOp::create(k.b, k.loc, x(i), state[i], own);
      own = headDim % kWarps && i + 1 == dims.size() ? k.select(k.less(d, k.idx(headDim)), sum, own) : sum;
    }
    k.store1(own, ofWarps, {warp, lane});
    k.barrier();
    Value all = k.load1(ofWarps, {k.idx(0), lane});
    for (int64_t w = 1; w < kWarps; ++w)
      all = k.addf(all, k.load1(ofWarps, {k.idx(w), lane}));
    k.barrier(); // the memory is used again
    return all;
  }

  SmallVector<Value> addToken(Value token, ValueRange before) {
    SmallVector<Value> state(before), key;
    for (Value d : dims)
      key.push_back(k.read(op.getKey(), placeOf(op.getKey(), kvHead, token, inside(d), headDim)));
    if (Value decay = op.getDecay()) {
      auto factor = [&](Value at) { return k.math<math::ExpOp>(k.read(decay, {batch, token, at})); };
      Value ofHead = op.isDecayPerDim() ? Value() : factor(kvHead);
      for (auto [i, d] : llvm::enumerate(dims))
        state[i] = k.mulf(state[i], ofHead ? ofHead : factor(k.add(k.mul(kvHead, headDim), inside(d))));
    }
    Value u = k.read(op.getValue(), placeOf(op.getValue(), kvHead, token, column, headDimV));
    if (Value beta = op.getBeta()) {
      Value known = product(state, [&](int64_t i) { return key[i]; });
      Value of = columnsOf(beta) == 1 ? k.idx(0) : kvHead;
      u = k.mulf(k.read(beta, {batch, token, of}), k.subf(u, known));
    }
    for (auto [x, element] : llvm::zip(key, state))
      element = math::FmaOp::create(k.b, k.loc, x, u, element);
    k.loop(k.idx(0), k.idx(group), 1, [&](Value ofGroup) {
      Value head = k.add(k.mul(kvHead, group), ofGroup), query = op.getQuery(), out = op.getInit();
      Value y = product(
          state, [&](int64_t i) { return k.read(query, placeOf(query, head, token, inside(dims[i]), headDim)); });
      k.ifThen(k.both(isColumn, k.equal(warp, k.idx(0))), [&] {
        k.write(k.mulf(y, k.f32(op.getScaleOrDefault())), out, placeOf(out, head, token, column, headDimV));
      });
    });
    return state;
  }

  Kernel &k;
  attn::LinearAttentionOp op;
  int64_t headDim, headDimV, group; // query heads of a kv head
  Value batch, kvHead, lane, warp, column, isColumn;
  SmallVector<Value> dims; // of this thread
  Value ofWarps;           // [warps, lanes]
};
} // namespace

Error emitLinearAttention(Kernel &k) { return LinearAttentionKernel(k).emit(); }

} // namespace attnc::cuda
