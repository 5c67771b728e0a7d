//===- Tables.cpp - What is computed from positions and distances alone -----------------------------===//
#include "backends/cuda/Emitters.h"
#include "passes/Positions.h"

namespace attnc::cuda {
using llvm::Error;

namespace {
constexpr int64_t kTokens = 16, kThreads = 128; // of a block of a rotary table

/// The numbers as a constant buffer of the kernels' module.
Value constants(Kernel &k, ArrayRef<double> numbers) {
  auto module = k.func()->getParentOfType<gpu::GPUModuleOp>();
  auto type = MemRefType::get({int64_t(numbers.size())}, k.b.getF64Type());
  Attribute value = DenseElementsAttr::get(RankedTensorType::get(type.getShape(), type.getElementType()), numbers);
  for (unsigned n = 0;; ++n) {
    std::string name = "constants_" + std::to_string(n);
    auto global = module.lookupSymbol<memref::GlobalOp>(name);
    if (!global) {
      OpBuilder top = OpBuilder::atBlockBegin(module.getBody());
      memref::GlobalOp::create(top, k.loc, name, top.getStringAttr("private"), type, value, /*constant=*/true,
                               /*alignment=*/IntegerAttr());
    } else if (global.getInitialValueAttr() != value) {
      continue;
    }
    return memref::GetGlobalOp::create(k.b, k.loc, type, name);
  }
}

/// The largest position of a row of the batch; every thread of the block gets it.
Value lastPosition(Kernel &k, Value positions, Value batch) {
  Value ofThreads = k.shared({k.threads()}, k.b.getI64Type()); // shuffles are of 32 bits
  auto largest = [&](Value from, Value n, int64_t step, function_ref<Value(Value)> at) {
    return k.loop(from, n, step, k.idx(0),
                  [&](Value i, ValueRange most) { return SmallVector<Value>{k.max(most[0], k.toIndex(at(i)))}; })[0];
  };
  Value own =
      largest(k.thread(), k.size(positions, 1), k.threads(), [&](Value s) { return k.read(positions, {batch, s}); });
  k.store1(k.toInteger(own, k.b.getI64Type()), ofThreads, k.thread());
  k.barrier();
  return largest(k.idx(0), k.idx(k.threads()), 1, [&](Value i) { return k.load1(ofThreads, i); });
}
} // namespace

/// Angles in f64, as on a CPU.
Error emitPositionalEncoding(Kernel &k) {
  auto op = cast<attn::PositionalEncodingOp>(k.op());
  const int64_t width = columnsOf(op.getInit()), sines = llvm::divideCeil(width, 2);
  Reals reals(k);
  mapElements(k, op.getInit(), [&](ArrayRef<Value> at) {
    Value j = at.back(), isSine, pair;
    if (op.getHalves()) {
      isSine = k.less(j, k.idx(sines));
      pair = k.select(isSine, j, k.sub(j, k.idx(sines)));
    } else {
      isSine = k.equal(k.rem(j, k.idx(2)), k.idx(0));
      pair = k.divFloor(j, 2);
    }
    Value frequency = reals.exp2(k.mulf(reals.from(pair), reals.k(-2.0 / width * std::log2(10000.0))));
    Value position = reals.from(k.toIndex(k.read(op.getPositions(), at.drop_back())));
    auto [sin, cos] = reals.sinCos(k.mulf(frequency, position));
    return reals.toF32(k.select(isSine, sin, cos));
  });
  return Error::success();
}

/// A block for some tokens of a row of the batch.
Error emitRotaryTable(Kernel &k) {
  auto op = cast<attn::RotaryTableOp>(k.op());
  Value positions = op.getPositions(), out = op.getInit();
  const int64_t count = op.getFrequencies().size();
  SmallVector<Value> first = k.tile(kThreads, {k.axis(positions, 0), k.axis(positions, 1, kTokens)});
  Value batch = first[0], isLong, growth;
  if (op.getLongFrom()) {
    Value last = lastPosition(k, positions, batch);
    isLong = k.notLess(last, k.idx(*op.getLongFrom()));
    if (op.getNtkFactor())
      growth = emitNtkGrowth(k, op, last, isLong);
  }
  Reals reals(k);
  Value frequencies = constants(k, op.getFrequencies()), scale = reals.k(op.getScale().convertToDouble());
  Value longFrequencies = op.getLongFrequencies() ? constants(k, *op.getLongFrequencies()) : Value();
  k.strided(k.idx(kTokens * count), [&](Value number) {
    Value s = k.add(first[1], k.divFloor(number, count)), i = k.rem(number, k.idx(count));
    k.ifThen(k.less(s, k.size(positions, 1)), [&] {
      Value frequency = k.load1(frequencies, i);
      if (longFrequencies)
        frequency = k.select(isLong, k.load1(longFrequencies, i), frequency);
      if (growth)
        frequency = k.mulf(frequency, reals.exp2(k.mulf(reals.from(i), growth)));
      auto [sin, cos] = reals.sinCos(k.mulf(frequency, reals.from(k.toIndex(k.read(positions, {batch, s})))));
      k.write(reals.toF32(k.mulf(cos, scale)), out, {batch, s, i});
      k.write(reals.toF32(k.mulf(sin, scale)), out, {batch, s, k.add(i, count)});
    });
  });
  return Error::success();
}

/// A thread for each head and distance.
Error emitRelativeBias(Kernel &k) {
  auto op = cast<attn::RelativeBiasOp>(k.op());
  mapElements(k, op.getInit(),
              [&](ArrayRef<Value> at) { return k.read(op.getTable(), {emitBucket(k, op, at[1]), at[0]}); });
  return Error::success();
}

} // namespace attnc::cuda
