//===- Experts.cpp - Mixture of experts ---------------------------------------------------------------===//
//
// How many tokens chose an expert is known on the device alone. So the blocks of a product are those of all experts and
// their columns: each looks for the choices of its expert, some thousand at a time, and computes tiles of these. Who
// was not chosen has read the choices, and is done.
//
//===----------------------------------------------------------------------------------------------------===//
#include "backends/cuda/Emitters.h"
#include "backends/cuda/Linear.h"

namespace attnc::cuda {
using llvm::Error;

namespace {
constexpr int64_t kChoices = 4096;             // that a block looks at before it computes
constexpr int64_t kManyRows = 4, kFewRows = 1; // of a thread
constexpr int32_t kNone = std::numeric_limits<int32_t>::max();

/// The weight of an expert at (k, n) as f32; layouts as attn.expert_linear has them.
Value weightAt(Kernel &e, attn::ExpertLinearOp op, Value expert, Value k, Value n) {
  Value weight = op.getWeight(), panel = e.divFloor(n, attn::kPanel), column = e.rem(n, e.idx(attn::kPanel));
  switch (rankOf(weight)) {
  case 3:
    return op.getTransposeWeight() ? e.read(weight, {expert, n, k}) : e.read(weight, {expert, k, n});
  case 4:
    return e.read(weight, {expert, panel, k, column});
  default:
    return e.read(weight, {expert, panel, e.divFloor(k, 2), column, e.rem(k, e.idx(2))});
  }
}

/// A warp's choice c of a row: the largest logit that comes after the last choice in the order of (logit descending,
/// index ascending), and its index; kNone if there is none but NaN.
SmallVector<Value> chooseNext(Kernel &k, Value logits, ArrayRef<Value> row, ValueRange last) {
  auto compare = [&](arith::CmpFPredicate predicate, Value a, Value c) -> Value {
    return arith::CmpFOp::create(k.b, k.loc, predicate, a, c);
  };
  SmallVector<Value> best = k.strided( // of this lane's logits
      k.size(logits, row.size()), {k.lowest(), k.i32(kNone)}, [&](Value j, ValueRange best) {
        SmallVector<Value> at(row);
        at.push_back(j);
        Value x = k.read(logits, at), number = k.toInteger(j, k.b.getI32Type());
        Value isEqual = compare(arith::CmpFPredicate::OEQ, x, last[0]);
        Value isAfter =
            k.either(compare(arith::CmpFPredicate::OLT, x, last[0]), k.both(isEqual, k.less(last[1], number)));
        Value isFirst = k.equal(best[1], k.i32(kNone));
        Value isBetter = k.both(isAfter, k.either(isFirst, compare(arith::CmpFPredicate::OGT, x, best[0])));
        return SmallVector<Value>{k.select(isBetter, x, best[0]), k.select(isBetter, number, best[1])};
      });
  Value most = k.reduceWarp(best[0], [&](Value a, Value c) { return k.maxf(a, c); });
  Value candidate = k.select(compare(arith::CmpFPredicate::OEQ, best[0], most), best[1], k.i32(kNone));
  return {most, k.reduceWarp(candidate, [&](Value a, Value c) { return k.min(a, c); })};
}
} // namespace

/// A warp for each token, one scan over the logits for each choice. Its first lane keeps the chosen logits where the
/// weights go.
Error emitRoute(Kernel &k) {
  auto op = cast<attn::RouteOp>(k.op());
  Value logits = op.getLogits(), weights = op.getInit();
  SmallVector<Axis> axes;
  for (int32_t d = 0; d + 1 < rankOf(logits); ++d)
    axes.push_back(k.axis(logits, d));
  SmallVector<Value> row = k.tile(kWarp, axes);
  auto at = [&](Value choice) {
    SmallVector<Value> index(row);
    index.push_back(choice);
    return index;
  };
  Value isFirstLane = k.equal(k.thread(), k.idx(0)), choices = k.idx(op.getTopK());
  SmallVector<Value> none = {k.f32(std::numeric_limits<double>::infinity()), k.i32(-1)};
  k.loop(k.idx(0), choices, 1, none, [&](Value c, ValueRange last) {
    SmallVector<Value> next = chooseNext(k, logits, row, last);
    Value isMissing = k.equal(next[1], k.i32(kNone));
    k.ifThen(isFirstLane, [&] {
      k.write(k.select(isMissing, k.f32(std::numeric_limits<double>::quiet_NaN()), next[0]), weights, at(c));
      k.write(k.select(isMissing, k.i32(0), next[1]), op.getExpertsInit(), at(c));
    });
    return next;
  });
  k.ifThen(isFirstLane, [&] {
    Value most = k.read(weights, at(k.idx(0)));
    Value sum = k.loop(k.idx(0), choices, 1, k.f32(0), [&](Value c, ValueRange sum) {
      Value x = k.math<math::ExpOp>(k.subf(k.read(weights, at(c)), most));
      k.write(x, weights, at(c));
      return SmallVector<Value>{k.addf(sum[0], x)};
    })[0];
    k.loop(k.idx(0), choices, 1, [&](Value c) { k.write(k.divf(k.read(weights, at(c)), sum), weights, at(c)); });
  });
  return Error::success();
}

Error emitExpertLinear(Kernel &e) {
  auto op = cast<attn::ExpertLinearOp>(e.op());
  Value experts = op.getExperts(), input = op.getInput(), out = op.getInit();
  const int64_t k = columnsOf(input), n = columnsOf(out), rowsOfThread = e.isFew() ? kFewRows : kManyRows;
  const int64_t shared = rankOf(input) > rankOf(experts) ? 1 : op.getChoices(); // choices of a row of input
  if (!e.isFew())
    e.offerFew(e.axis(experts, kElements, kFewRows * ProductTile::kSide));
  SmallVector<Value> first =
      e.tile(ProductTile::kThreads, {e.axis(op.getWeight(), 0), e.axis(out, rankOf(out) - 1, ProductTile::kColumns)});
  ProductTile tile(e, rowsOfThread);
  Value expert = first[0], zero = e.f32(0), total = e.size(experts, kElements);
  Value count = e.shared({1}, e.b.getI32Type()), mine = e.shared({kChoices}, e.b.getI32Type());

  // The rows of the expert's choices `from`, `from` + 1, … of `found`, which are among those from `base` on.
  auto multiply = [&](Value base, Value from, Value found) {
    SmallVector<Value> isThere;
    SmallVector<SmallVector<Value>> inputRows, outRows;
    for (int64_t i = 0; i < rowsOfThread; ++i) {
      Value number = e.add(from, tile.row(i)), inside = e.min(number, e.sub(found, e.idx(1)));
      Value choice = e.add(base, e.toIndex(e.load1(mine, inside)));
      isThere.push_back(e.less(number, found));
      inputRows.push_back(rowIndex(e, input, e.divFloor(choice, shared)));
      outRows.push_back(rowIndex(e, out, choice));
    }
    auto x = [&](int64_t i, Value at) {
      SmallVector<Value> index(inputRows[i]);
      index.push_back(at);
      return e.ifElse(isThere[i], zero.getType(), [&] { return e.read(input, index); }, [&] { return zero; });
    };
    auto w = [&](Value at, Value inTile) {
      Value column = e.add(first[1], inTile);
      return e.ifElse(
          e.less(column, e.idx(n)), zero.getType(), [&] { return weightAt(e, op, expert, at, column); },
          [&] { return zero; });
    };
    SmallVector<Value> sums = tile.sum(k, x, w);
    for (auto [number, sum] : llvm::enumerate(sums)) {
      int64_t i = number / ProductTile::kPerThread;
      Value column = e.add(first[1], tile.column(number % ProductTile::kPerThread)), y = sum;
      e.ifThen(e.both(isThere[i], e.less(column, e.idx(n))), [&] {
        if (op.getBias())
          y = e.addf(y, e.read(op.getBias(), {expert, column}));
        SmallVector<Value> index(outRows[i]);
        index.push_back(column);
        e.write(y, out, index);
      });
    }
  };

  e.loop(e.idx(0), total, kChoices, [&](Value base) {
    e.ifThen(e.equal(e.thread(), e.idx(0)), [&] { e.store1(e.i32(0), count, e.idx(0)); });
    e.barrier();
    e.strided(e.min(e.idx(kChoices), e.sub(total, base)), [&](Value i) {
      Value choice = e.add(base, i), ofToken = e.divFloor(choice, op.getChoices());
      SmallVector<Value> at = rowIndex(e, experts, ofToken);
      at.push_back(e.rem(choice, e.idx(op.getChoices())));
      e.ifThen(e.equal(e.toIndex(e.read(experts, at)), expert), [&] {
        // In any order: no row's bits depend on its neighbours.
        Value place = memref::AtomicRMWOp::create(e.b, e.loc, arith::AtomicRMWKind::addi, e.i32(1), count, e.idx(0));
        e.store1(e.toInteger(i, e.b.getI32Type()), mine, e.toIndex(place));
      });
    });
    e.barrier();
    Value found = e.toIndex(e.load1(count, e.idx(0)));
    e.loop(e.idx(0), found, tile.rows(), [&](Value from) { multiply(base, from, found); });
    e.barrier(); // `count` and `mine` are written again
  });
  return Error::success();
}

Error emitCombineExperts(Kernel &k) {
  auto op = cast<attn::CombineExpertsOp>(k.op());
  const int64_t choices = columnsOf(op.getWeights());
  mapElements(k, op.getInit(), [&](ArrayRef<Value> at) {
    auto weight = [&](Value c) {
      SmallVector<Value> index(at.drop_back());
      index.push_back(c);
      return k.read(op.getWeights(), index);
    };
    auto input = [&](Value c) {
      SmallVector<Value> index(at.drop_back());
      index.append({c, at.back()});
      return k.read(op.getInput(), index);
    };
    Value sum = k.mulf(weight(k.idx(0)), input(k.idx(0)));
    sum = k.loop(k.idx(1), k.idx(choices), 1, sum, [&](Value c, ValueRange sofar) {
      return SmallVector<Value>{math::FmaOp::create(k.b, k.loc, weight(c), input(c), sofar[0])};
    })[0];
    return op.getResidual() ? k.addf(sum, k.read(op.getResidual(), at)) : sum;
  });
  return Error::success();
}

} // namespace attnc::cuda
