//===- Tokens.cpp - Ops that move or gather features of tokens, and count tokens --------------------===//
#include "backends/cuda/Emitters.h"

namespace attnc::cuda {
using llvm::Error;

namespace {
/// `id` of 0 ≤ id < `below`: what the host has checked.
Value idOf(Kernel &k, Value ids, ValueRange at) { return k.toIndex(k.read(ids, at)); }
} // namespace

Error emitEmbedding(Kernel &k) {
  auto op = cast<attn::EmbeddingOp>(k.op());
  Value table = op.getTable();
  int64_t rank = rankOf(table);
  mapElements(k, op.getInit(), [&](ArrayRef<Value> at) {
    Value id = k.ifGiven(op.getIds(), k.idx(0), [&] { return idOf(k, op.getIds(), at.drop_back()); }), j = at.back();
    Value panel = k.divFloor(id, attn::kPanel), column = k.rem(id, k.idx(attn::kPanel));
    Value x = rank == 2   ? k.read(table, {id, j})
              : rank == 3 ? k.read(table, {panel, j, column})
                          : k.read(table, {panel, k.divFloor(j, 2), column, k.rem(j, k.idx(2))});
    return op.getResidual() ? k.addf(x, k.read(op.getResidual(), at)) : x;
  });
  return Error::success();
}

Error emitSelectToken(Kernel &k) {
  auto op = cast<attn::SelectTokenOp>(k.op());
  mapElements(k, op.getInit(), [&](ArrayRef<Value> at) {
    Value token = k.sub(k.size(op.getInput(), 1), k.idx(1));
    if (op.getAt())
      token = k.ifGiven(op.getAt(), token, [&] { return idOf(k, op.getAt(), at[0]); });
    return k.read(op.getInput(), {at[0], token, at[1]});
  });
  return Error::success();
}

Error emitShiftRight(Kernel &k) {
  auto op = cast<attn::ShiftRightOp>(k.op());
  mapElements(k, op.getInit(), [&](ArrayRef<Value> at) {
    SmallVector<Value> from(at);
    from[1] = k.max(k.sub(at[1], k.idx(1)), k.idx(0));
    Value x = k.read(op.getInput(), from);
    Value zero = arith::ConstantOp::create(k.b, k.loc, k.b.getZeroAttr(x.getType()));
    return k.select(k.equal(at[1], k.idx(0)), zero, x);
  });
  return Error::success();
}

Error emitSplitHeads(Kernel &k) {
  auto op = cast<attn::SplitHeadsOp>(k.op());
  mapElements(k, op.getInit(), [&](ArrayRef<Value> at) { // [batch, heads, seq, head_dim]
    return k.read(op.getInput(), {at[0], at[2], k.add(k.mul(at[1], columnsOf(op.getInit())), at[3])});
  });
  return Error::success();
}

Error emitMergeHeads(Kernel &k) {
  auto op = cast<attn::MergeHeadsOp>(k.op());
  mapElements(k, op.getInit(), [&](ArrayRef<Value> at) { // [batch, seq, heads·head_dim]
    int64_t headDim = columnsOf(op.getInput());
    return k.read(op.getInput(), {at[0], k.divFloor(at[2], headDim), at[1], k.rem(at[2], k.idx(headDim))});
  });
  return Error::success();
}

/// Each feature by itself; tokens that the mask hides are not read.
Error emitPool(Kernel &k) {
  auto op = cast<attn::PoolOp>(k.op());
  Value input = op.getInput(), mask = op.getMask();
  const attn::PoolKind kind = op.getKind();
  const bool isMax = kind == attn::PoolKind::max, isLast = kind == attn::PoolKind::last,
             isWeighted = kind == attn::PoolKind::weighted_mean;
  mapElements(k, op.getInit(), [&](ArrayRef<Value> at) {
    auto x = [&](Value s) { return k.read(input, {at[0], s, at[1]}); };
    Value seq = k.size(input, 1), zero = k.f32(0);
    if (kind == attn::PoolKind::first)
      return k.ifElse(k.less(k.idx(0), seq), zero.getType(), [&] { return x(k.idx(0)); }, [&] { return zero; });
    // The sum so far, or what is the result so far, and the weight of what it is of.
    SmallVector<Value> all =
        k.loop(k.idx(0), seq, 1, {isMax ? k.lowest() : zero, zero}, [&](Value s, ValueRange sofar) {
          Value isVisible = k.isTrue();
          if (mask)
            isVisible = k.ifGiven(mask, isVisible, [&] {
              Value kept = k.toIndex(k.read(mask, {at[0], s}));
              return arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::ne, kept, k.idx(0)).getResult();
            });
          Value weight = isWeighted ? k.toFloat(k.add(s, 1)) : k.f32(1);
          Value next = k.ifElse(
              isVisible, zero.getType(),
              [&] {
                Value v = x(s);
                return isLast ? v : isMax ? k.maxf(v, sofar[0]) : k.addf(sofar[0], k.mulf(v, weight));
              },
              [&] { return sofar[0]; });
          return SmallVector<Value>{next, k.select(isVisible, k.addf(sofar[1], weight), sofar[1])};
        });
    Value y = all[0], weights = all[1];
    if (kind == attn::PoolKind::mean_sqrt)
      y = k.divf(y, k.math<math::SqrtOp>(weights));
    else if (kind == attn::PoolKind::mean || isWeighted)
      y = k.divf(y, weights);
    return k.select(arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::OGT, weights, zero), y, zero);
  });
  return Error::success();
}

Error emitPositions(Kernel &k) {
  auto op = cast<attn::PositionsOp>(k.op());
  Value ids = op.getIds(), mask = op.getMask();
  auto cache = op.getCache() ? op.getCache().getDefiningOp<attn::CacheViewOp>() : attn::CacheViewOp();
  mapElements(k, op.getInit(), [&](ArrayRef<Value> at) {
    Value batch = at[0], s = at[1];
    auto differs = [&](Value a, int64_t c) {
      return arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::ne, a, k.idx(c)).getResult();
    };
    /// How many of the first `n` pass.
    auto count = [&](Value n, function_ref<Value(Value)> isCounted) {
      return k.loop(k.idx(0), n, 1, k.idx(0), [&](Value t, ValueRange sofar) {
        return SmallVector<Value>{k.select(isCounted(t), k.add(sofar[0], 1), sofar[0])};
      })[0];
    };
    Value past = cache ? idOf(k, cache.getPast(), batch) : k.idx(0), position = k.add(past, s);
    if (op.getPad()) {
      int64_t pad = *op.getPad();
      auto isToken = [&](Value t) {
        Value id = k.ifGiven(ids, k.idx(0), [&] { return idOf(k, ids, {batch, t}); });
        return differs(id, pad);
      };
      Value tokens = count(k.add(s, 1), isToken);
      position = k.select(isToken(s), k.add(tokens, pad), k.idx(pad));
    } else if (mask) {
      position = k.ifGiven(mask, position, [&] {
        Value kept = count(k.min(k.add(position, 1), k.size(mask, 1)),
                           [&](Value key) { return differs(idOf(k, mask, {batch, key}), 0); });
        return k.max(k.sub(kept, k.idx(1)), k.idx(0));
      });
    }
    if (op.getGiven())
      position = k.ifGiven(op.getGiven(), position, [&] { return idOf(k, op.getGiven(), {batch, s}); });
    return position;
  });
  return Error::success();
}

Error emitRotary(Kernel &k) {
  auto op = cast<attn::RotaryOp>(k.op());
  Value input = op.getInput(), table = op.getTable();
  int64_t headDim = columnsOf(input) / op.getHeads(), rotated = columnsOf(table), half = rotated / 2;
  bool isInterleaved = op.getInterleaved();
  mapElements(k, op.getInit(), [&](ArrayRef<Value> at) {
    auto ofToken = [&](Value buffer, Value column) { return k.read(buffer, {at[0], at[1], column}); };
    Value c = at[2], d = k.rem(c, k.idx(headDim)), x = ofToken(input, c); // d: within the head
    return k.ifElse(
        k.less(d, k.idx(rotated)), x.getType(),
        [&] {
          Value pair = isInterleaved ? k.divFloor(d, 2) : k.rem(d, k.idx(half));
          Value isFirst = isInterleaved ? k.equal(k.rem(d, k.idx(2)), k.idx(0)) : k.less(d, k.idx(half));
          Value step = k.idx(isInterleaved ? 1 : half), other = k.select(isFirst, k.add(c, step), k.sub(c, step));
          Value cos = ofToken(table, pair), sin = ofToken(table, k.add(pair, half));
          Value signedSin = k.select(isFirst, arith::NegFOp::create(k.b, k.loc, sin), sin);
          return k.addf(k.mulf(x, cos), k.mulf(ofToken(input, other), signedSin));
        },
        [&] { return x; });
  });
  return Error::success();
}

} // namespace attnc::cuda
