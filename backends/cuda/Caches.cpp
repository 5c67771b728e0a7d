//===- Caches.cpp - Keys and values in the layout of a cache page -----------------------------------===//
#include "backends/cuda/Emitters.h"

namespace attnc::cuda {
using llvm::Error;

namespace {
constexpr int64_t kKeys = attn::kKeyPanel;

/// Element d of a head's row, of [batch, seq, heads·head_dim] or [batch, heads, seq, head_dim].
Value headOf(Kernel &k, Value buffer, Value batch, Value head, Value row, Value d, int64_t headDim) {
  if (rankOf(buffer) == 3)
    return k.read(buffer, {batch, row, k.add(k.mul(head, headDim), d)});
  return k.read(buffer, {batch, head, row, d});
}

int64_t seqDim(Value buffer) { return rankOf(buffer) == 3 ? 1 : 2; }
} // namespace

/// result[b, h, panel, d, key]: keys beyond the last are 0.
Error emitPackKeys(Kernel &k) {
  auto op = cast<attn::PackKeysOp>(k.op());
  if (op.getRagged())
    return refuse("its sequences are ragged");
  int64_t headDim = typeOf(op.getInit()).getDimSize(3);
  mapElements(k, op.getInit(), [&](ArrayRef<Value> at) {
    Value row = k.add(k.mul(at[2], kKeys), at[4]), zero = k.f32(0);
    return k.ifElse(
        k.less(row, k.size(op.getInput(), seqDim(op.getInput()))), zero.getType(),
        [&] { return headOf(k, op.getInput(), at[0], at[1], row, at[3], headDim); }, [&] { return zero; });
  });
  return Error::success();
}

/// result[b, h, row, d]: values beyond head_dim_v are 0.
Error emitPackValues(Kernel &k) {
  auto op = cast<attn::PackValuesOp>(k.op());
  MemRefType input = typeOf(op.getInput());
  int64_t headDim = input.getRank() == 3 ? input.getDimSize(2) / int64_t(op.getHeads()) : input.getDimSize(3);
  mapElements(k, op.getInit(), [&](ArrayRef<Value> at) {
    Value zero = k.f32(0);
    return k.ifElse(
        k.less(at[3], k.idx(headDim)), zero.getType(),
        [&] { return headOf(k, op.getInput(), at[0], at[1], at[2], at[3], headDim); }, [&] { return zero; });
  });
  return Error::success();
}

/// A block for each token; what of the pages no token of this run is in stays. Places: see !attn.cache. Tokens that a
/// mask hides leave no gap.
Error emitCacheAppend(Kernel &k) {
  auto op = cast<attn::CacheAppendOp>(k.op());
  auto type = cast<attn::CacheType>(op.getCache().getType());
  auto cache = op.getCache().getDefiningOp<attn::CacheViewOp>();
  int64_t heads = type.getKvHeads(), dk = type.getHeadDim(), dv = type.getHeadDimV(),
          dvp = llvm::alignTo(dv, attn::kPanel);
  SmallVector<Value> first = k.tile(128, {k.axis(op.getKey(), 0), k.axis(op.getKey(), 1)});
  Value batch = first[0], s = first[1], page = k.scalar(cache.getPage()), before = s, isKept = k.isTrue();
  if (Value mask = op.getKeyMask()) {
    auto isSet = [&](Value token) {
      Value kept = k.toIndex(k.read(mask, {batch, token}));
      return arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::ne, kept, k.idx(0)).getResult();
    };
    isKept = k.ifGiven(mask, isKept, [&] { return isSet(s); });
    before = k.ifGiven(mask, before, [&] {
      Value own = k.strided(s, k.i32(0), [&](Value token, ValueRange sofar) {
        return SmallVector<Value>{k.select(isSet(token), k.add(sofar[0], k.i32(1)), sofar[0])};
      })[0];
      return k.toIndex(k.reduceBlock(own, [&](Value a, Value c) { return k.add(a, c); }));
    });
  }
  k.ifThen(isKept, [&] {
    Value position = k.add(k.toIndex(k.read(cache.getPast(), batch)), before);
    Value entry = k.toIndex(k.read(cache.getTable(), {batch, k.divFloor(position, page)}));
    Value layer = k.add(k.mul(entry, type.getLayers()), k.scalar(op.getLayer())), row = k.rem(position, page);
    auto append = [&](int64_t width, function_ref<Value(Value, Value)> placeOf,
                      function_ref<Value(Value, Value)> valueOf) {
      k.strided(k.idx(heads * width), [&](Value i) {
        Value head = k.divFloor(i, width), d = k.rem(i, k.idx(width));
        Value base = k.mul(k.mul(k.add(k.mul(layer, heads), head), page), dk + dvp);
        k.write(valueOf(head, d), cache.getPages(), k.add(base, placeOf(page, d)));
      });
    };
    append(
        dk,
        [&](Value, Value d) {
          Value panel = k.mul(k.divFloor(row, kKeys), dk * kKeys);
          return k.add(panel, k.add(k.mul(d, kKeys), k.rem(row, k.idx(kKeys))));
        },
        [&](Value head, Value d) { return headOf(k, op.getKey(), batch, head, s, d, dk); });
    append(
        dvp, [&](Value page, Value d) { return k.add(k.mul(page, dk), k.add(k.mul(row, dvp), d)); },
        [&](Value head, Value d) {
          Value zero = k.f32(0);
          return k.ifElse(
              k.less(d, k.idx(dv)), zero.getType(), [&] { return headOf(k, op.getValue(), batch, head, s, d, dv); },
              [&] { return zero; });
        });
  });
  return Error::success();
}

} // namespace attnc::cuda
