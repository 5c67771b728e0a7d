//===- EmitRelativeBias.cpp - T5's relative position biases, from buckets to distances ------===//
#include "passes/Positions.h"
#include "passes/Tasks.h"

namespace attnc {
using namespace attn;

namespace {
constexpr int64_t kDistances = 64; // of one task

/// Where the logarithmic buckets begin: the least n > exact that lies in bucket exact + 1, exact + 2, …, in order.
///
/// `exact` and `all` are the buckets of one direction. In f32, rounded after each step as PyTorch does it: at n = 64 of
/// 128 the quotient is a whole number but for rounding, and the model was trained with where it fell.
SmallVector<int64_t> bucketStarts(int64_t exact, int64_t all, int64_t maxDistance) {
  const float whole = float(std::log(double(maxDistance) / double(exact)));
  SmallVector<int64_t> starts;
  for (int64_t n = exact + 1; n < maxDistance && int64_t(starts.size()) < all - exact - 1; ++n) {
    float part = float(std::log(double(float(n) / float(exact))));
    float scaled = part / whole;
    scaled *= float(all - exact);
    int64_t bucket = std::min<int64_t>(int64_t(scaled), all - exact - 1);
    starts.append(bucket - int64_t(starts.size()), n);
  }
  starts.resize(all - exact - 1, maxDistance); // the last bucket holds maxDistance whatever the rounding
  return starts;
}

struct EmitRelativeBias : OpRewritePattern<RelativeBiasOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(RelativeBiasOp op, PatternRewriter &rewriter) const override {
    Emit e(rewriter, op.getLoc());
    int64_t heads = cast<MemRefType>(op.getTable().getType()).getDimSize(1), size = 2 * op.getMaxDistance() + 1;
    forTasks(e, e.idx(llvm::divideCeil(size, kDistances)), op, [&](Value task) {
      Value first = e.mul(task, kDistances);
      e.loop(first, e.min(e.add(first, kDistances), e.idx(size)), 1, [&](Value column) {
        Value bucket = emitBucket(e, op, column);
        e.loop(e.idx(0), e.idx(heads), 1, [&](Value head) {
          Value x = e.load1(op.getTable(), {bucket, head});
          x = x.getType().isF64() ? arith::TruncFOp::create(rewriter, op.getLoc(), rewriter.getF32Type(), x).getResult()
                                  : e.toF32(x);
          e.store1(x, op.getInit(), {head, column});
        });
      });
    });
    rewriter.eraseOp(op);
    return success();
  }
};
} // namespace

Value emitBucket(Emit &e, RelativeBiasOp op, Value column) {
  int64_t buckets = cast<ShapedType>(op.getTable().getType()).getDimSize(0), reach = op.getMaxDistance();
  int64_t all = op.getBidirectional() ? buckets / 2 : buckets, exact = all / 2; // of one direction
  Value distance = e.sub(column, e.idx(reach)), back = e.sub(e.idx(reach), column); // j - i, i - j
  Value n = e.max(back, op.getBidirectional() ? distance : e.idx(0));
  Value bucket = e.min(n, e.idx(exact));
  for (int64_t start : bucketStarts(exact, all, reach))
    bucket = e.add(bucket, e.select(e.less(n, e.idx(start)), e.idx(0), e.idx(1)));
  if (op.getBidirectional()) // keys after the query
    bucket = e.add(bucket, e.select(e.less(e.idx(0), distance), e.idx(all), e.idx(0)));
  return bucket;
}

void populateEmitRelativeBias(RewritePatternSet &patterns) { patterns.add<EmitRelativeBias>(patterns.getContext()); }

} // namespace attnc
