//===- Rows.cpp - Ops that compute each row of features by itself -----------------------------------===//
//
// A block for each row, whose threads fold every so many columns and then combine what they have.
//
//===------------------------------------------------------------------------------------------------===//
#include "backends/cuda/Emitters.h"

namespace attnc::cuda {
using llvm::Error;

namespace {
/// A block for each row of `buffer`: the leading indices.
struct Row {
  Kernel &k;
  SmallVector<Value> leading;

  Row(Kernel &k, Value buffer) : k(k) {
    SmallVector<Axis> axes;
    for (int32_t d = 0; d + 1 < rankOf(buffer); ++d)
      axes.push_back(k.axis(buffer, d));
    int64_t columns = columnsOf(buffer); // about four a thread
    int64_t threads =
        ShapedType::isDynamic(columns) ? 256 : llvm::alignTo(std::clamp<int64_t>(columns / 4, 1, 512), kWarp);
    leading = k.tile(threads, axes);
  }
  SmallVector<Value> at(Value column) const {
    SmallVector<Value> index(leading);
    index.push_back(column);
    return index;
  }
  /// Over the columns `from ≤ j < from + n`, known to all threads.
  Value sum(Value from, Value n, function_ref<Value(Value)> term) {
    auto add = [&](Value a, Value c) { return k.addf(a, c); };
    return k.reduceBlock(fold(k.f32(0), from, n, term, add), add);
  }
  Value most(Value from, Value n, function_ref<Value(Value)> term) {
    auto max = [&](Value a, Value c) { return k.maxf(a, c); };
    return k.reduceBlock(fold(k.lowest(), from, n, term, max), max);
  }
  Value fold(Value initial, Value from, Value n, function_ref<Value(Value)> term,
             function_ref<Value(Value, Value)> combine) {
    return k.strided(n, initial, [&](Value j, ValueRange sofar) {
      return SmallVector<Value>{combine(term(k.add(from, j)), sofar[0])};
    })[0];
  }
};

template <typename Op> Error emitNorm(Kernel &k, bool isLayer) {
  auto op = cast<Op>(k.op());
  Value input = op.getInput(), init = op.getInit();
  int64_t groups = op.getGroups(), width = columnsOf(input) / groups;
  Row row(k, init);
  k.loop(k.idx(0), k.idx(groups), 1, [&](Value group) {
    Value from = k.mul(group, width), n = k.idx(width), perColumn = k.f32(1.0 / width);
    auto x = [&](Value j) { return k.read(input, row.at(j)); };
    Value mean = isLayer ? k.mulf(row.sum(from, n, x), perColumn) : Value();
    auto centred = [&](Value j) { return isLayer ? k.subf(x(j), mean) : x(j); };
    Value variance = k.mulf(row.sum(from, n,
                                    [&](Value j) {
                                      Value d = centred(j);
                                      return k.mulf(d, d);
                                    }),
                            perColumn);
    Value root = k.math<math::SqrtOp>(k.addf(variance, k.f32(op.getEpsilon().convertToDouble())));
    Value scale = k.divf(k.f32(1), root);
    k.strided(n, [&](Value j) {
      Value column = k.add(from, j), gamma = k.read(op.getGamma(), j);
      if (op.getUnitOffset())
        gamma = k.addf(gamma, k.f32(1));
      Value y = k.mulf(k.mulf(centred(column), scale), gamma);
      if (op.getBeta())
        y = k.addf(y, k.read(op.getBeta(), j));
      k.write(y, init, row.at(column));
    });
    if (groups > 1)
      k.barrier(); // the memory of reductions is used again
  });
  return Error::success();
}
} // namespace

Error emitLayerNorm(Kernel &k) { return emitNorm<attn::LayerNormOp>(k, true); }
Error emitRMSNorm(Kernel &k) { return emitNorm<attn::RMSNormOp>(k, false); }

Error emitL2Norm(Kernel &k) {
  auto op = cast<attn::L2NormOp>(k.op());
  Row row(k, op.getInit());
  Value n = k.size(op.getInput(), rankOf(op.getInput()) - 1);
  auto x = [&](Value j) { return k.read(op.getInput(), row.at(j)); };
  Value squares = row.sum(k.idx(0), n, [&](Value j) {
    Value v = x(j);
    return k.mulf(v, v);
  });
  Value length = k.maxf(k.f32(op.getEpsilon().convertToDouble()), k.math<math::SqrtOp>(squares));
  k.strided(n, [&](Value j) { k.write(k.divf(x(j), length), op.getInit(), row.at(j)); });
  return Error::success();
}

Error emitLogSoftmax(Kernel &k) {
  auto op = cast<attn::LogSoftmaxOp>(k.op());
  Row row(k, op.getInit());
  Value n = k.size(op.getInput(), rankOf(op.getInput()) - 1);
  auto x = [&](Value j) { return k.read(op.getInput(), row.at(j)); };
  Value most = row.most(k.idx(0), n, x);
  Value sum = row.sum(k.idx(0), n, [&](Value j) { return k.math<math::ExpOp>(k.subf(x(j), most)); });
  Value shift = k.addf(most, k.math<math::LogOp>(sum));
  k.strided(n, [&](Value j) { k.write(k.subf(x(j), shift), op.getInit(), row.at(j)); });
  return Error::success();
}

/// Ties go to the lowest index; NaN never wins.
Error emitArgmax(Kernel &k) {
  auto op = cast<attn::ArgmaxOp>(k.op());
  Row row(k, op.getInput());
  Value n = k.size(op.getInput(), rankOf(op.getInput()) - 1);
  auto x = [&](Value j) { return k.read(op.getInput(), row.at(j)); };
  auto least = [&](Value a, Value c) { return k.min(a, c); };
  Value most = row.most(k.idx(0), n, x);
  Value at = row.fold(
      n, k.idx(0), n,
      [&](Value j) {
        Value isMost = arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::OEQ, x(j), most);
        return k.select(isMost, j, n);
      },
      least);
  at = k.reduceBlock(k.toInteger(at, k.b.getI32Type()), least); // shuffles are of 32 bits
  at = k.select(k.less(at, k.toInteger(n, at.getType())), at, k.i32(0));
  k.ifThen(k.equal(k.thread(), k.idx(0)), [&] { k.write(at, op.getInit(), row.leading); });
  return Error::success();
}

} // namespace attnc::cuda
