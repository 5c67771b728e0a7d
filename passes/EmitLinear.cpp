//===- EmitLinear.cpp - attn.linear of one task to register-tiled vector loops -------------===//
//
//   copy the task's rows (normalised) to scratch A [rows, K], so that every address in the hot loop is base + constant
//   for G panels of 16 columns, for R rows:
//     acc[R][G·16] = 0
//     for k: G·16/lanes loads of W, R broadcasts of A, R·G·16/lanes fused multiply-adds
//     C [R, G·16] = acc
//     for each row of C: bias, activation, residual, store
//
// Every output is one ascending sum over k, whatever R and G are.
//
//===----------------------------------------------------------------------------------===//
#include "passes/Emit.h"

namespace attnc {
using namespace attn;

namespace {

/// Row stride of A in f32: K rounded up, plus one cache line so that rows do not fall into one set of the cache.
int64_t rowStride(int64_t k) { return llvm::alignTo(k, 16) + 16; }

/// 16 packed columns of W at one k (f32) or at a pair of k (16-bit types), as vectors of f32.
struct PanelLoader {
  Emit &e;
  Value weight; // [panels, K, 16] or [panels, K/2, 32]
  Type type;

  int64_t kStep() const { return type.isF32() ? 1 : 2; }

  /// result[i][v]: vector v of the panel at k + i.
  SmallVector<SmallVector<Value>> load(Value panel, Value k) {
    int64_t lanes = e.lanes;
    SmallVector<SmallVector<Value>> result(kStep());
    for (int64_t v = 0; v < kPanel / lanes; ++v) {
      if (type.isF32()) {
        result[0].push_back(e.load(weight, {panel, k, e.idx(v * lanes)}));
        continue;
      }
      auto pairs = vector::LoadOp::create(e.b, e.loc, VectorType::get({2 * lanes}, type), weight,
                                          ValueRange{panel, k, e.idx(2 * v * lanes)});
      auto i32 = VectorType::get({lanes}, e.b.getI32Type());
      Value words = vector::BitCastOp::create(e.b, e.loc, i32, pairs);
      auto constant = [&](uint32_t c) {
        return arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(i32, APInt(32, c)));
      };
      if (type.isBF16()) { // bf16 is the upper half of f32
        Value even = arith::ShLIOp::create(e.b, e.loc, words, constant(16));
        Value odd = arith::AndIOp::create(e.b, e.loc, words, constant(0xffff0000));
        result[0].push_back(arith::BitcastOp::create(e.b, e.loc, e.vec(), even));
        result[1].push_back(arith::BitcastOp::create(e.b, e.loc, e.vec(), odd));
      } else {
        auto half = [&](Value words) {
          auto i16 = VectorType::get({lanes}, e.b.getI16Type());
          Value bits = arith::TruncIOp::create(e.b, e.loc, i16, words);
          Value f16 = arith::BitcastOp::create(e.b, e.loc, VectorType::get({lanes}, type), bits);
          return arith::ExtFOp::create(e.b, e.loc, e.vec(), f16);
        };
        result[0].push_back(half(words));
        result[1].push_back(half(arith::ShRUIOp::create(e.b, e.loc, words, constant(16))));
      }
    }
    return result;
  }
};

struct EmitLinear : OpRewritePattern<LinearOp> {
  TargetAttr target;
  EmitLinear(MLIRContext *context, TargetAttr target) : OpRewritePattern(context), target(target) {}

  LogicalResult matchAndRewrite(LinearOp op, PatternRewriter &rewriter) const override {
    if (!op.getScratch())
      return rewriter.notifyMatchFailure(op, "not a task yet");
    Emit e(rewriter, op.getLoc(), target.getLanes());
    int64_t k = cast<MemRefType>(op.getInput().getType()).getShape().back();
    int64_t groupWidth = target.getPanels() * kPanel;

    int64_t stride = rowStride(k);
    WorkerScratch scratch(e, op.getScratch());
    Value a = scratch.take({target.getRowBlock(), stride}), c = scratch.take({target.getRowTile(), groupWidth});

    Value rows = e.dim(op.getInput(), 0);
    emitRows(e, op, k, rows, a);

    Value weight = op.getWeight();
    auto weightType = cast<MemRefType>(weight.getType());
    if (weightType.getRank() == 4)
      weight = memref::CollapseShapeOp::create(rewriter, op.getLoc(), weight,
                                               SmallVector<ReassociationIndices>{{0}, {1}, {2, 3}});
    PanelLoader loader{e, weight, weightType.getElementType()};
    Value panels = e.dim(weight, 0);
    auto group = [&](Value panel, int64_t groupPanels) {
      Value row = e.idx(0);
      for (int64_t tile = target.getRowTile(); tile > 0; tile = nextTile(tile)) {
        Value end = e.add(row, e.mul(e.divFloor(e.sub(rows, row), tile), tile));
        e.loop(row, end, tile, [&](Value r) {
          emitTile(e, op, k, loader, a, c, r, tile, panel, groupPanels);
          emitEpilogue(e, op, c, r, tile, panel, groupPanels);
        });
        row = end;
      }
    };
    Value whole = e.mul(e.divFloor(panels, target.getPanels()), target.getPanels());
    e.loop(e.idx(0), whole, target.getPanels(), [&](Value p) { group(p, target.getPanels()); });
    if (target.getPanels() > 1)
      e.loop(whole, panels, 1, [&](Value p) { group(p, 1); });
    rewriter.eraseOp(op);
    return success();
  }

  /// Tile heights for the last rows: the powers of two below.
  static int64_t nextTile(int64_t tile) { return tile == 1 ? 0 : int64_t(llvm::bit_floor(uint64_t(tile - 1))); }

  /// A = norm(input), zero in the column after an odd K (16-bit weights come in pairs).
  void emitRows(Emit &e, LinearOp op, int64_t k, Value rows, Value a) const {
    e.loop(e.idx(0), rows, 1, [&](Value r) {
      if (k % 2)
        e.store1(e.f32(0), a, {r, e.idx(k)});
      if (op.getNorm() != NormKind::none) {
        emitNorm(e, op.getNorm(), op.getEpsilon().convertToDouble(), k, op.getInput(), r, op.getGamma(),
                 op.getBeta(), a, r);
        return;
      }
      e.overVectors(k, {}, [&](Value j, Value mask, ValueRange) -> SmallVector<Value> {
        e.store(e.load(op.getInput(), {r, j}, mask), a, {r, j}, mask);
        return {};
      });
    });
  }

  /// C[0..rows, :] = A[row.., :] · W[panel.., :, :]
  void emitTile(Emit &e, LinearOp op, int64_t k, PanelLoader &loader, Value a, Value c, Value row, int64_t rows,
                Value panel, int64_t panels) const {
    int64_t vectors = kPanel / e.lanes; // of one panel
    SmallVector<Value> acc(rows * panels * vectors, e.splat(0));
    int64_t step = loader.kStep(), trips = llvm::divideCeil(k, step);
    int64_t unroll = trips % 4 == 0 ? 4 : trips % 2 == 0 ? 2 : 1;
    SmallVector<Value> panelIndex, rowIndex;
    for (int64_t p = 0; p < panels; ++p)
      panelIndex.push_back(e.add(panel, p));
    for (int64_t r = 0; r < rows; ++r)
      rowIndex.push_back(e.add(row, r));
    acc = e.loop(e.idx(0), e.idx(trips), unroll, acc, [&](Value i, ValueRange carried) {
      SmallVector<Value> acc(carried);
      for (int64_t u = 0; u < unroll; ++u) {
        Value at = e.add(i, u); // in steps of the weight's layout
        SmallVector<SmallVector<SmallVector<Value>>> w;
        for (int64_t p = 0; p < panels; ++p)
          w.push_back(loader.load(panelIndex[p], at));
        for (int64_t s = 0; s < step; ++s) {
          Value ak = step == 1 ? at : e.add(e.mul(at, step), s);
          for (int64_t r = 0; r < rows; ++r) {
            Value x = e.broadcast(e.load1(a, {rowIndex[r], ak}));
            for (int64_t p = 0; p < panels; ++p)
              for (int64_t v = 0; v < vectors; ++v) {
                Value &sum = acc[(r * panels + p) * vectors + v];
                sum = e.fma(x, w[p][s][v], sum);
              }
          }
        }
      }
      return acc;
    });
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < panels * vectors; ++v)
        e.store(acc[r * panels * vectors + v], c, {e.idx(r), e.idx(v * e.lanes)});
  }

  /// out = activation(C + bias) + residual, columns of these panels.
  void emitEpilogue(Emit &e, LinearOp op, Value c, Value row, int64_t rows, Value panel, int64_t panels) const {
    auto outType = cast<MemRefType>(op.getInit().getType());
    Value columns = e.dim(op.getInit(), 1);
    Value firstColumn = e.mul(panel, kPanel);
    // A task's columns are whole panels but for the last one of a weight whose N is no multiple of 16.
    bool masked = ShapedType::isDynamic(outType.getDimSize(1)) && op->hasAttr("attn.ragged");
    e.loop(e.idx(0), e.idx(rows), 1, [&](Value r) {
      Value outRow = e.add(row, r);
      for (int64_t v = 0; v < panels * kPanel / e.lanes; ++v) {
        Value column = e.add(firstColumn, v * e.lanes);
        Value mask = masked ? e.maskFor(e.max(e.idx(0), e.sub(columns, column))) : Value();
        Value x = e.load(c, {r, e.idx(v * e.lanes)});
        if (op.getBias())
          x = e.addf(x, e.load(op.getBias(), column, mask));
        x = emitActivation(e, op.getActivation(), x);
        if (op.getResidual())
          x = e.addf(x, e.load(op.getResidual(), {outRow, column}, mask));
        e.store(x, op.getInit(), {outRow, column}, mask);
      }
    });
  }
};
} // namespace

int64_t linearScratch(TargetAttr target, int64_t k) {
  return target.getRowBlock() * rowStride(k) + target.getRowTile() * target.getPanels() * kPanel;
}

void populateEmitLinear(RewritePatternSet &patterns, TargetAttr target) {
  patterns.add<EmitLinear>(patterns.getContext(), target);
}

} // namespace attnc
