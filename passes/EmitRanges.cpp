//===- EmitRanges.cpp - Least and greatest of every 64 elements ------------------------------===//
#include "passes/Tasks.h"

namespace attnc {
using namespace attn;

namespace {
constexpr int64_t kBlocks = 64; // of one task, 4096 elements

struct EmitBlockRange : OpRewritePattern<BlockRangeOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(BlockRangeOp op, PatternRewriter &rewriter) const override {
    Emit e(rewriter, op.getLoc());
    Value source = e.words(op.getSource()), ranges = op.getInit();
    int64_t rank = cast<MemRefType>(op.getSource().getType()).getRank();
    Type element = cast<MemRefType>(ranges.getType()).getElementType();
    bool isFlag = getElementTypeOrSelf(op.getSource().getType()).isInteger(1);
    Value last = e.dim(op.getSource(), rank - 1), blocks = e.divCeil(last, kKeyPanel),
          chunks = e.divCeil(blocks, kBlocks);
    Value rows = e.idx(1);
    for (int64_t d = 0; d < rank - 1; ++d)
      rows = e.mul(rows, e.dim(op.getSource(), d));
    forTasks(e, e.mul(rows, chunks), op, [&](Value task) {
      Value firstBlock = e.mul(e.rem(task, chunks), kBlocks), row = e.divFloor(task, chunks);
      SmallVector<Value> leading(rank - 1);
      for (int64_t d = rank - 2; d >= 0; --d) {
        leading[d] = e.rem(row, e.dim(op.getSource(), d));
        row = e.divFloor(row, e.dim(op.getSource(), d));
      }
      auto read = [&](Value at) {
        SmallVector<Value> index(leading);
        index.push_back(at);
        Value x = e.load1(source, index);
        if (isFlag)
          return arith::ExtUIOp::create(rewriter, e.loc, element, e.fromWords(x, op.getSource())).getResult();
        return x.getType() == element ? x : arith::ExtSIOp::create(rewriter, e.loc, element, x).getResult();
      };
      e.loop(firstBlock, e.min(e.add(firstBlock, kBlocks), blocks), 1, [&](Value block) {
        Value first = e.mul(block, kKeyPanel), end = e.min(e.add(first, kKeyPanel), last), x = read(first);
        SmallVector<Value> found = e.loop(e.add(first, 1), end, 1, {x, x}, [&](Value at, ValueRange sofar) {
          Value x = read(at);
          return SmallVector<Value>{e.min(sofar[0], x), e.max(sofar[1], x)};
        });
        for (int64_t which : {0, 1}) {
          SmallVector<Value> at = {e.idx(which)};
          llvm::append_range(at, leading);
          at.push_back(block);
          e.store1(found[which], ranges, at);
        }
      });
    });
    rewriter.eraseOp(op);
    return success();
  }
};
} // namespace

void populateEmitRanges(RewritePatternSet &patterns) { patterns.add<EmitBlockRange>(patterns.getContext()); }

} // namespace attnc
