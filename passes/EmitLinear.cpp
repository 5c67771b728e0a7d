//===- EmitLinear.cpp - attn.linear and attn.expert_linear of one task to register-tiled vector loops -===//
//
//   for G panels of 16 columns, for R rows:
//     acc[R][G·16] = 0
//     for k: G·16/lanes loads of W, R broadcasts of A, R·G·16/lanes fused multiply-adds
//     C [R, G·16] = acc
//     for each row of C: bias, activation, residual, store
//   for the last rows, a power of two at a time: the same with as many panels as keep the multiply-adds busy
//
// Every output is one ascending sum over k, whatever R and G are.
//
//===----------------------------------------------------------------------------------===//
#include "passes/Emit.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace attnc {
using namespace attn;

namespace {

/// R rows of A by G panels of W, at (row, panel) of the task.
struct Tile {
  Value row, panel;
  int64_t rows, panels;
};

/// Rows that a task of attn.expert_linear takes: row r of its tiles is choices[r] of the result, choices[r]/top_k of A.
struct Choices {
  Value list; // null: every row, in order
  int64_t topK = 1;

  Value ofResult(Emit &e, Value r) const { return list ? e.toIndex(e.load1(list, r)) : r; }
  Value ofInput(Emit &e, Value r) const { return topK == 1 ? ofResult(e, r) : e.divFloor(ofResult(e, r), topK); }
};

/// Sums of products in registers: acc[row][panel][vector].
///   weight f32     [panels, K, 16]: a step is one k
///   weight 16-bit  [panels, ⌈K/2⌉, 16, 2]: a step is a pair of k, widened to f32, or multiplied as it is by rows of bf16
struct Products {
  Emit &e;
  Value a, weight; // [rows, K]; [panels, K, 16] or [panels, ⌈K/2⌉, 32]
  int64_t k;
  bool dot; // of pairs of bf16
  Choices choices;

  Type type() const { return e.elementOf(weight); }
  int64_t kStep() const { return type().isF32() ? 1 : 2; }
  int64_t vectors() const { return kPanel / e.lanes; } // of one panel

  /// The sums over all k.
  SmallVector<Value> sum(const Tile &tile) {
    constexpr int64_t unroll = 4;
    int64_t steps = k / kStep(), whole = steps / unroll * unroll;
    SmallVector<Value> acc(tile.rows * tile.panels * vectors(), e.splat(0)), rows;
    for (int64_t r = 0; r < tile.rows; ++r)
      rows.push_back(choices.ofInput(e, e.add(tile.row, r)));
    if (whole)
      acc = e.loop(e.idx(0), e.idx(whole), unroll, acc, [&](Value i, ValueRange carried) {
        SmallVector<Value> acc(carried);
        for (int64_t u = 0; u < unroll; ++u)
          step(tile, rows, e.add(i, u), false, acc);
        return acc;
      });
    for (int64_t i = whole; i < steps; ++i)
      step(tile, rows, e.idx(i), false, acc);
    if (k % kStep())
      step(tile, rows, e.idx(steps), true, acc);
    return acc;
  }

private:
  /// `half`: K is odd and this is the last pair, of which A has the first alone.
  void step(const Tile &tile, ArrayRef<Value> rows, Value i, bool half, SmallVector<Value> &acc) {
    SmallVector<SmallVector<Value>> w; // [k of the step][panel · vector]
    for (int64_t p = 0; p < tile.panels; ++p)
      load(e.add(tile.panel, p), i, w);
    for (int64_t s = 0; s < (half ? 1 : int64_t(w.size())); ++s)
      for (int64_t r = 0; r < tile.rows; ++r) {
        Value row = rows[r], at = e.add(e.mul(i, kStep()), s);
        Value x = dot ? pair(row, at, half) : e.broadcast(e.toF32(e.load1(a, {row, at})));
        for (auto [v, value] : llvm::enumerate(w[s])) {
          Value &sum = acc[r * w[s].size() + v];
          sum = dot ? multiplyPairs(sum, x, value) : e.fma(x, value, sum);
        }
      }
  }

  /// Appends one panel's vectors at step `i`.
  void load(Value panel, Value i, SmallVector<SmallVector<Value>> &w) {
    w.resize(dot ? 1 : kStep());
    for (int64_t v = 0; v < vectors(); ++v) {
      if (type().isF32()) {
        w[0].push_back(e.load(weight, {panel, i, e.idx(v * e.lanes)}));
        continue;
      }
      Value words = e.words(weight);
      auto pairs = vector::LoadOp::create(e.b, e.loc, VectorType::get({2 * e.lanes}, e.elementOf(words)), words,
                                          ValueRange{panel, i, e.idx(2 * v * e.lanes)});
      if (dot)
        w[0].push_back(e.as(type(), pairs));
      else
        widen(pairs, w);
    }
  }

  void widen(Value pairs, SmallVector<SmallVector<Value>> &w) {
    if (type().isBF16()) { // the upper half of f32
      auto i32 = VectorType::get({e.lanes}, e.b.getI32Type());
      Value words = vector::BitCastOp::create(e.b, e.loc, i32, pairs);
      auto constant = [&](uint32_t c) {
        return arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(i32, APInt(32, c)));
      };
      w[0].push_back(e.as(e.b.getF32Type(), arith::ShLIOp::create(e.b, e.loc, words, constant(16))));
      w[1].push_back(e.as(e.b.getF32Type(), arith::AndIOp::create(e.b, e.loc, words, constant(0xffff0000))));
      return;
    }
    auto half = [&](int64_t first) {
      return e.toF32(vector::ExtractStridedSliceOp::create(e.b, e.loc, pairs, ArrayRef<int64_t>{first},
                                                           ArrayRef<int64_t>{e.lanes}, ArrayRef<int64_t>{1}));
    };
    Value low = half(0), high = half(e.lanes);
    for (int64_t s = 0; s < 2; ++s) {
      auto lanes = llvm::map_to_vector(llvm::seq(e.lanes), [&](int64_t l) { return 2 * l + s; });
      w[s].push_back(vector::ShuffleOp::create(e.b, e.loc, low, high, lanes));
    }
  }

  /// A[row, at] and A[row, at + 1] in every pair of lanes.
  Value pair(Value row, Value at, bool half) {
    Value words = e.words(a), word;
    Type i32 = e.b.getI32Type();
    if (half) {
      word = arith::ExtUIOp::create(e.b, e.loc, i32, e.load1(words, {row, at}));
    } else {
      Value two = vector::LoadOp::create(e.b, e.loc, VectorType::get({2}, e.b.getI16Type()), words, ValueRange{row, at});
      two = vector::BitCastOp::create(e.b, e.loc, VectorType::get({1}, i32), two);
      word = vector::ExtractOp::create(e.b, e.loc, two, ArrayRef<int64_t>{0});
    }
    Value all = vector::BroadcastOp::create(e.b, e.loc, VectorType::get({e.lanes}, i32), word);
    return vector::BitCastOp::create(e.b, e.loc, VectorType::get({2 * e.lanes}, e.b.getBF16Type()), all);
  }

  /// sum[l] + a[2l]·b[2l] + a[2l + 1]·b[2l + 1]
  Value multiplyPairs(Value sum, Value a, Value b) {
    StringRef name = e.lanes == 16 ? "llvm.x86.avx512bf16.dpbf16ps.512" : "llvm.aarch64.neon.bfdot.v4f32.v8bf16";
    return LLVM::CallIntrinsicOp::create(e.b, e.loc, sum.getType(), e.b.getStringAttr(name), ValueRange{sum, a, b})
        .getResult(0);
  }
};

/// A task of either op.
struct Product {
  Emit &e;
  TargetAttr target;
  Value input, weight, bias, residual, init, scratch; // [rows, K]; columns of a packed weight; [N]; [rows, N]; as residual
  ActivationKind activation;
  bool isRagged; // N may end within a panel
  Choices choices;

  void emit() {
    Value c = WorkerScratch(e, scratch).take({target.getRowTile(), widest(target) * kPanel});
    if (cast<MemRefType>(weight.getType()).getRank() == 4)
      weight = memref::CollapseShapeOp::create(e.b, e.loc, weight,
                                               SmallVector<ReassociationIndices>{{0}, {1}, {2, 3}});
    bool dot = e.elementOf(input).isBF16() && e.elementOf(weight).isBF16() && target.getBf16Dot() &&
               !target.getDeviceMemory(); // or it is the device that has the instruction
    Products products{e, input, weight, cast<MemRefType>(input.getType()).getShape().back(), dot, choices};
    Value rows = e.dim(choices.list ? choices.list : input, 0), panels = e.dim(weight, 0);
    auto emitTile = [&](const Tile &tile) {
      int64_t columns = tile.panels * products.vectors();
      for (auto [i, sum] : llvm::enumerate(products.sum(tile)))
        e.store(sum, c, {e.idx(i / columns), e.idx(i % columns * e.lanes)});
      emitEpilogue(c, tile);
    };
    // Panels outside: a group's weights stay in the cache for all rows.
    int64_t height = target.getRowTile();
    Value row = e.mul(e.divFloor(rows, height), height);
    overPanels(panels, target.getPanels(), [&](Value panel, int64_t count) {
      e.loop(e.idx(0), row, height, [&](Value r) { emitTile({r, panel, height, count}); });
    });
    while ((height = height == 1 ? 0 : int64_t(llvm::bit_floor(uint64_t(height - 1))))) {
      Value end = e.add(row, e.mul(e.divFloor(e.sub(rows, row), height), height));
      e.loop(row, end, height, [&](Value r) {
        overPanels(panels, panelsFor(target, height),
                   [&](Value panel, int64_t count) { emitTile({r, panel, height, count}); });
      });
      row = end;
    }
  }

  /// Groups of `count` panels, then one by one.
  void overPanels(Value panels, int64_t count, function_ref<void(Value, int64_t)> body) {
    Value whole = e.mul(e.divFloor(panels, count), count);
    e.loop(e.idx(0), whole, count, [&](Value p) { body(p, count); });
    if (count > 1)
      e.loop(whole, panels, 1, [&](Value p) { body(p, 1); });
  }

  /// Panels of a tile with fewer rows: a few sums of few rows would wait for each other. Up to 8 vectors of weights.
  static int64_t widest(TargetAttr target) {
    return std::max(target.getPanels(), std::min<int64_t>(4, 8 * target.getLanes() / kPanel));
  }
  static int64_t panelsFor(TargetAttr target, int64_t rows) {
    int64_t sums = target.getRowTile() * target.getPanels();
    return std::max(target.getPanels(), int64_t(llvm::bit_floor(uint64_t(std::min(widest(target), sums / rows)))));
  }

  /// out = activation(C + bias) + residual
  void emitEpilogue(Value c, const Tile &tile) {
    Value columns = e.dim(init, 1), firstColumn = e.mul(tile.panel, kPanel);
    // A task's columns are whole panels but for the last one of a weight whose N is no multiple of 16.
    bool masked = isRagged && ShapedType::isDynamic(cast<MemRefType>(init.getType()).getDimSize(1));
    e.loop(e.idx(0), e.idx(tile.rows), 1, [&](Value r) {
      Value row = choices.ofResult(e, e.add(tile.row, r));
      for (int64_t v = 0; v < tile.panels * kPanel / e.lanes; ++v) {
        Value column = e.add(firstColumn, v * e.lanes);
        Value mask = masked ? e.maskFor(e.max(e.idx(0), e.sub(columns, column))) : Value();
        Value x = e.load(c, {r, e.idx(v * e.lanes)});
        if (bias)
          x = e.addf(x, e.load(bias, column, mask));
        x = emitActivation(e, activation, x);
        if (residual)
          x = e.addf(x, e.load(residual, {row, column}, mask));
        e.store(x, init, {row, column}, mask);
      }
    });
  }
};

template <typename Op> struct EmitProduct : OpRewritePattern<Op> {
  TargetAttr target;
  EmitProduct(MLIRContext *context, TargetAttr target) : OpRewritePattern<Op>(context), target(target) {}

  LogicalResult matchAndRewrite(Op op, PatternRewriter &rewriter) const override {
    if (!op.getScratch())
      return rewriter.notifyMatchFailure(op, "not a task yet");
    Emit e(rewriter, op.getLoc(), target.getLanes());
    Product product{e, target, op.getInput(), op.getWeight(), op.getBias(), {}, op.getInit(), op.getScratch(),
                    ActivationKind::none, op->hasAttr("attn.ragged"), {}};
    if constexpr (std::is_same_v<Op, LinearOp>) {
      product.residual = op.getResidual();
      product.activation = op.getActivation();
    } else {
      product.choices = {op.getExperts(), int64_t(*op.getTopK())};
    }
    product.emit();
    rewriter.eraseOp(op);
    return success();
  }
};
} // namespace

int64_t linearScratch(TargetAttr target) {
  return target.getRowTile() * Product::widest(target) * kPanel;
}

void populateEmitLinear(RewritePatternSet &patterns, TargetAttr target) {
  patterns.add<EmitProduct<LinearOp>, EmitProduct<ExpertLinearOp>>(patterns.getContext(), target);
}

} // namespace attnc
