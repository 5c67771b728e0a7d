//===- Caches.cpp - Keys and values in the layout of a cache page -----------------------------------===//
#include "backends/halide/Emitters.h"
#include "backends/halide/Schedule.h"

namespace attnc::halide {
using namespace Halide;
using llvm::Error;
using mlir::MemRefType;
using mlir::Value;

namespace {
constexpr int kPanel = attn::kPanel, kKeys = attn::kKeyPanel;

/// Element d of a head's row, of [batch, seq, heads·head_dim] or [batch, heads, seq, head_dim].
Expr headOf(Pipeline &p, Value buffer, Expr batch, Expr head, Expr row, Expr d, int64_t headDim) {
  if (llvm::cast<MemRefType>(buffer.getType()).getRank() == 3)
    return p.load(buffer, {batch, row, head * int32_t(headDim) + d});
  return p.load(buffer, {batch, head, row, d});
}

int seqDim(Value buffer) { return llvm::cast<MemRefType>(buffer.getType()).getRank() == 3 ? 1 : 2; }
} // namespace

/// result[b, h, panel, d, key]: keys beyond the last are 0.
Error emitPackKeys(Pipeline &p) {
  auto op = llvm::cast<attn::PackKeysOp>(p.op());
  if (op.getRagged())
    return refuse("its sequences are ragged");
  int64_t headDim = llvm::cast<MemRefType>(op.getInit().getType()).getDimSize(3);
  Expr keys = p.size(op.getInput(), seqDim(op.getInput()));
  RowIndex index(op.getInit());
  Expr row = index.leading[2] * kKeys + index.column;
  Expr key = headOf(p, op.getInput(), index.leading[0], index.leading[1], clamp(row, 0, keys - 1), index.leading[3], headDim);
  Func result("pack_keys");
  result(index.elements()) = p.narrow(select(row < keys, key, 0.0f), op.getInit());
  scheduleElements(p.device, result, kKeys);
  p.define(op.getInit(), result);
  return Error::success();
}

/// result[b, h, row, d]: values beyond head_dim_v are 0.
Error emitPackValues(Pipeline &p) {
  auto op = llvm::cast<attn::PackValuesOp>(p.op());
  auto input = llvm::cast<MemRefType>(op.getInput().getType());
  int64_t headDim = input.getRank() == 3 ? input.getDimSize(2) / int64_t(op.getHeads()) : input.getDimSize(3);
  RowIndex index(op.getInit());
  Expr d = index.column, inside = min(d, int32_t(headDim - 1));
  Expr value = headOf(p, op.getInput(), index.leading[0], index.leading[1], index.leading[2], inside, headDim);
  Func result("pack_values");
  result(index.elements()) = p.narrow(headDim % kPanel ? select(d < int32_t(headDim), value, 0.0f) : value, op.getInit());
  scheduleElements(p.device, result, columnsOf(op.getInit()));
  p.define(op.getInit(), result);
  return Error::success();
}

/// Writes a part of `pages`: at the places of the run's tokens, see !attn.cache.
Error emitCacheAppend(Pipeline &p) {
  auto op = llvm::cast<attn::CacheAppendOp>(p.op());
  if (op.getKeyMask())
    return refuse("its tokens have a mask");
  auto type = llvm::cast<attn::CacheType>(op.getCache().getType());
  auto cache = op.getCache().getDefiningOp<attn::CacheViewOp>();
  int heads = type.getKvHeads(), dk = type.getHeadDim(), dv = type.getHeadDimV(), dvp = llvm::alignTo(dv, kPanel);
  Expr batch = p.size(op.getKey(), 0), seq = p.size(op.getKey(), 1), page = cast<int32_t>(p.scalar(cache.getPage()));
  Func result("cache_append");
  Var at("at"), block("block"), thread("thread");
  result(at) = undef(p.narrow(0.0f, cache.getPages()).type());
  if (p.device.isGpu()) // it computes nothing, but a loop of the host would want the pages there
    result.gpu_tile(at, block, thread, 64, TailStrategy::GuardWithIf);
  Expr last = result.output_buffer().dim(0).extent() - 1;
  auto append = [&](int width, auto indexOf, auto valueOf) {
    RDom r(0, width, 0, seq, 0, heads, 0, batch);
    Expr position = cast<int32_t>(p.load(cache.getPast(), {r.w})) + r.y;
    Expr place = clamp(position / page, 0, p.size(cache.getTable(), 1) - 1);
    Expr entry = cast<int32_t>(p.load(cache.getTable(), {r.w, place}));
    Expr layer = entry * int32_t(type.getLayers()) + cast<int32_t>(p.scalar(op.getLayer()));
    Expr base = (layer * heads + r.z) * page * (dk + dvp);
    result(clamp(indexOf(base, position % page, r.x), 0, last)) = p.narrow(valueOf(r), cache.getPages());
    Stage update = result.update(result.num_update_definitions() - 1);
    update.allow_race_conditions(); // every element has a place of its own
    if (p.device.isGpu())
      update.gpu_blocks(r.y, r.z, r.w).gpu_threads(r.x);
    else
      update.parallel(r.z);
  };
  append(dk, [&](Expr base, Expr row, Expr d) { return base + row / kKeys * (dk * kKeys) + d * kKeys + row % kKeys; },
         [&](RDom &r) { return headOf(p, op.getKey(), r.w, r.z, r.y, r.x, dk); });
  append(dvp, [&](Expr base, Expr row, Expr d) { return base + page * dk + row * dvp + d; },
         [&](RDom &r) {
           Expr value = headOf(p, op.getValue(), r.w, r.z, r.y, min(r.x, dv - 1), dv);
           return dv == dvp ? value : select(r.x < dv, value, 0.0f);
         });
  p.define(cache.getPages(), result);
  return Error::success();
}

} // namespace attnc::halide
