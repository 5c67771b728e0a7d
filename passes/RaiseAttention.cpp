//===- RaiseAttention.cpp - Attention written with products and a softmax to attn.attention ===//
//
// A softmax is the root: upwards lie mask, soft cap, scale and the product of query and key, downwards the product with
// value. Each tensor of a product carries a list of labels, one per dimension, which transposes permute.
//
//===----------------------------------------------------------------------------------===//
#include "passes/CausalMask.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

namespace attnc {
#define GEN_PASS_DEF_RAISEATTENTION
#include "passes/Passes.h.inc"

namespace {
using namespace attn;

/// What a dimension counts. The operands of a product are [batch.., row, inner] and
/// [batch.., column, inner], in any order.
enum Label { batch, heads, row, column, inner };
using Labels = SmallVector<Label>;

/// The value of a splat constant, a fill or a `tensor.splat`.
std::optional<double> splatConstant(Value value) {
  DenseFPElementsAttr dense;
  if (matchPattern(value, m_Constant(&dense)))
    return dense.isSplat() ? std::optional(dense.getSplatValue<APFloat>().convertToDouble()) : std::nullopt;
  Value scalar;
  if (auto fill = value.getDefiningOp<linalg::FillOp>())
    scalar = fill.getInputs()[0];
  else if (auto splat = value.getDefiningOp<tensor::SplatOp>())
    scalar = splat.getInput();
  FloatAttr attr;
  if (!scalar || !matchPattern(scalar, m_Constant(&attr)))
    return std::nullopt;
  return attr.getValue().convertToDouble();
}

/// What `value` is a constant multiple of (multiplying the factor into `scale`), or null.
Value stripFactor(Value value, double &scale) {
  Operation *op = value.getDefiningOp();
  if (isa_and_nonnull<arith::MulFOp, linalg::MulOp>(op)) {
    Value lhs = op->getOperand(0), rhs = op->getOperand(1);
    if (std::optional<double> factor = splatConstant(rhs))
      return scale *= *factor, lhs;
    if (std::optional<double> factor = splatConstant(lhs))
      return scale *= *factor, rhs;
  } else if (isa_and_nonnull<arith::DivFOp, linalg::DivOp>(op)) {
    if (double factor = splatConstant(op->getOperand(1)).value_or(0))
      return scale /= factor, op->getOperand(0);
  }
  return Value();
}

bool isReshape(Operation *op) { return isa_and_nonnull<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(op); }

/// The [batch, heads, ...] type of a reshape that only splits or joins [batch·heads, ...], or null.
RankedTensorType splitType(Operation *op) {
  SmallVector<ReassociationIndices> groups = {{0, 1}, {2}, {3}};
  if (auto expand = dyn_cast_or_null<tensor::ExpandShapeOp>(op))
    return expand.getReassociationIndices() == groups ? expand.getResultType() : RankedTensorType();
  auto collapse = dyn_cast_or_null<tensor::CollapseShapeOp>(op);
  return collapse && collapse.getReassociationIndices() == groups ? collapse.getSrcType() : RankedTensorType();
}

/// The only user of `value` apart from questions for its size, or null.
Operation *onlyUser(Value value) {
  Operation *user = nullptr;
  for (Operation *next : value.getUsers()) {
    if (isa<tensor::DimOp>(next) || next == user)
      continue;
    if (user)
      return nullptr;
    user = next;
  }
  return user;
}

/// A matrix product, seen from the operand that is `lhs`.
struct Product {
  linalg::LinalgOp op;
  Value lhs, rhs;
  Labels lhsLabels, rhsLabels, resultLabels;
};

/// `op` as a product of `lhs` with something; batch and heads are in the order of `lhs`. Fails with a reason.
FailureOr<Product> matchProduct(Operation *op, Value lhs, StringRef &reason) {
  auto linalgOp = dyn_cast_or_null<linalg::LinalgOp>(op);
  reason = "expected linalg.matmul, linalg.batch_matmul or a contraction before and after the softmax";
  if (!linalgOp || !linalg::isaContractionOpInterface(linalgOp))
    return failure();
  FailureOr<linalg::ContractionDimensions> dims = linalg::inferContractionDims(linalgOp);
  reason =
      "expected one row, column and inner dimension and at most two batch dimensions (batch, heads) in each product";
  if (failed(dims) || dims->m.size() != 1 || dims->n.size() != 1 || dims->k.size() != 1 || dims->batch.size() > 2)
    return failure();
  reason = "expected floating-point tensors in each product";
  if (!linalgOp.hasPureTensorSemantics() ||
      !llvm::all_of(op->getOperandTypes(), [](Type type) { return isa<FloatType>(getElementTypeOrSelf(type)); }))
    return failure();
  reason = "expected products into zeros; fill their outs with 0.0";
  if (splatConstant(linalgOp.getDpsInits()[0]) != 0.0)
    return failure();

  bool swapped = linalgOp.getDpsInputs()[0] != lhs;
  Product product{linalgOp, lhs, linalgOp.getDpsInputs()[swapped ? 0 : 1], {}, {}, {}};
  SmallVector<AffineMap> maps = linalgOp.getIndexingMapsArray();
  SmallVector<unsigned> batches;
  for (AffineExpr expr : maps[swapped ? 1 : 0].getResults())
    if (unsigned d = cast<AffineDimExpr>(expr).getPosition(); llvm::is_contained(dims->batch, d))
      batches.push_back(d);
  auto labels = [&](AffineMap map) {
    Labels result;
    for (AffineExpr expr : map.getResults()) {
      unsigned d = cast<AffineDimExpr>(expr).getPosition();
      if (llvm::is_contained(batches, d))
        result.push_back(d == batches[0] ? batch : heads);
      else
        result.push_back(d == dims->k[0] ? inner : (d == dims->m[0]) != swapped ? row : column);
    }
    return result;
  };
  product.lhsLabels = labels(maps[swapped ? 1 : 0]);
  product.rhsLabels = labels(maps[swapped ? 0 : 1]);
  product.resultLabels = labels(maps[2]);
  return product;
}

/// An operand of the future attention: its labels follow `value` upwards through transposes and scales.
struct Operand {
  Value value;
  Labels labels;

  /// With `split`, also looks through the collapse of [batch, heads, ...]; then the labels gain `heads`.
  /// Factors are multiplied into `scale`, unless it is null.
  void lookThrough(bool split, double *scale) {
    while (true) {
      if (Value scaled = scale ? stripFactor(value, *scale) : Value()) {
        value = scaled;
        continue;
      }
      if (auto transpose = value.getDefiningOp<linalg::TransposeOp>()) {
        Labels before(labels.size());
        for (auto [to, from] : llvm::enumerate(transpose.getPermutation()))
          before[from] = labels[to];
        labels = before, value = transpose.getInput();
        continue;
      }
      auto collapse = value.getDefiningOp<tensor::CollapseShapeOp>();
      if (!split || !collapse || llvm::is_contained(labels, heads) || collapse.getSrcType().getRank() != 4 ||
          collapse.getResultType().getRank() != 3)
        return;
      Labels before;
      for (auto [label, group] : llvm::zip(labels, collapse.getReassociationIndices())) {
        before.push_back(label);
        if (group.size() == 2) {
          if (label != batch)
            return;
          before.push_back(heads);
        }
      }
      labels = before, value = collapse.getSrc();
    }
  }

  bool hasHeads() const { return llvm::is_contained(labels, heads); }
  int64_t size(Label label) const {
    return cast<ShapedType>(value.getType()).getDimSize(llvm::find(labels, label) - labels.begin());
  }

  /// `value` with its dimensions in the order of `wanted`.
  Value inOrder(OpBuilder &b, Location loc, const Labels &wanted) const {
    SmallVector<int64_t> permutation;
    for (Label label : wanted)
      permutation.push_back(llvm::find(labels, label) - labels.begin());
    if (llvm::is_sorted(permutation))
      return value;
    SmallVector<OpFoldResult> from = tensor::getMixedSizes(b, loc, value), to;
    for (int64_t dim : permutation)
      to.push_back(from[dim]);
    Value init = tensor::EmptyOp::create(b, loc, to, getElementTypeOrSelf(value));
    return linalg::TransposeOp::create(b, loc, value, init, permutation)->getResult(0);
  }
};

/// Whether `value` is a matrix product, scaled, capped or reshaped.
bool leadsToProduct(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    double scale = 1.0;
    if (Value next = stripFactor(value, scale))
      value = next;
    else if (isReshape(op) || isa<math::TanhOp, linalg::TanhOp, arith::MulFOp, linalg::MulOp>(op))
      value = op->getOperand(0);
    else
      return isa<linalg::LinalgOp>(op) && linalg::isaContractionOpInterface(cast<linalg::LinalgOp>(op));
  }
  return false;
}

/// `value` with dimensions of size 1 at positions `ones` (ascending) of the result.
Value insertOnes(OpBuilder &b, Location loc, Value value, ArrayRef<int64_t> ones) {
  if (ones.empty())
    return value;
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, value);
  SmallVector<int64_t> shape(type.getShape());
  for (int64_t one : ones) {
    sizes.insert(sizes.begin() + one, b.getIndexAttr(1));
    shape.insert(shape.begin() + one, 1);
  }
  SmallVector<ReassociationIndices> groups(type.getRank());
  for (int64_t dim = 0, next = -1; dim < (int64_t)shape.size(); ++dim) {
    next += !llvm::is_contained(ones, dim); // a one joins the group before it, or the first
    groups[std::max<int64_t>(next, 0)].push_back(dim);
  }
  return tensor::ExpandShapeOp::create(b, loc, type.clone(shape), value, groups, sizes);
}

/// What stands between the product of query and key and the softmax.
struct Scores {
  linalg::LinalgOp product;
  double scale = 1.0;
  std::optional<double> softCap;
  Value mask;                   // float: added; i1: true keeps
  bool finiteMask = false;      // what hides is a number: a row without keys is their mean
  std::optional<int64_t> heads; // if scores are reshaped to [batch, heads, queries, keys] or back
};

struct RaiseSoftmax : OpRewritePattern<linalg::SoftmaxOp> {
  using OpRewritePattern::OpRewritePattern;

  /// Walks from the softmax up to the product of query and key.
  template <typename Fail> static LogicalResult matchScores(linalg::SoftmaxOp softmax, Scores &scores, Fail fail) {
    Value value = softmax.getInput();
    Operation *consumer = softmax, *op = nullptr;
    for (; (op = value.getDefiningOp()); consumer = op) {
      if (onlyUser(value) != consumer)
        return fail("the scores are also used elsewhere; let the softmax be their only use");
      if (Value next = stripFactor(value, scores.scale)) {
        value = next;
      } else if (isReshape(op)) {
        RankedTensorType type = splitType(op);
        if (!type)
          return fail("expected reshapes of the scores to split or join batch and heads only");
        if (scores.heads && *scores.heads != type.getDimSize(1))
          return fail("the scores are reshaped to different numbers of heads");
        scores.heads = type.getDimSize(1), value = op->getOperand(0);
      } else if (isa<math::TanhOp, linalg::TanhOp>(op)) {
        if (scores.softCap)
          return fail("the scores have two soft caps; use one");
        if (!(scores.scale > 0))
          return fail("expected a soft cap above 0");
        scores.softCap = std::exchange(scores.scale, 1.0); // c in c·tanh(s/c)
        value = op->getOperand(0);
      } else if (isa<arith::AddFOp, linalg::AddOp, arith::SelectOp>(op)) {
        if (scores.scale != 1.0 || scores.softCap)
          return fail("the scores are scaled after the mask; scale them before it");
        if (scores.mask)
          return fail("the scores have two masks; join the masks first");
        if (failed(matchMask(op, value, scores, fail)))
          return failure();
      } else if (isa<arith::MulFOp, arith::DivFOp, linalg::MulOp, linalg::DivOp>(op)) {
        return fail("the scale is not a constant; multiply by a splat constant");
      } else {
        break;
      }
    }
    scores.product = dyn_cast_or_null<linalg::LinalgOp>(op);
    if (scores.softCap)
      scores.scale *= *scores.softCap; // the factor below tanh holds 1/c
    return success();
  }

  /// `scores + mask` in either order, or `select(keep, scores, hidden)`. Moves `value` on to the scores.
  template <typename Fail> static LogicalResult matchMask(Operation *op, Value &value, Scores &scores, Fail fail) {
    Value &mask = scores.mask;
    if (auto select = dyn_cast<arith::SelectOp>(op)) {
      std::optional<double> masked = splatConstant(select.getFalseValue());
      if (!isa<RankedTensorType>(select.getCondition().getType()) || !masked || !(*masked <= kHiddenScore))
        return fail("expected select(keep, scores, -inf) or -1e9 as a mask");
      scores.finiteMask = std::isfinite(*masked);
      mask = select.getCondition(), value = select.getTrueValue();
      return success();
    }
    Value lhs = op->getOperand(0), rhs = op->getOperand(1);
    if (!leadsToProduct(lhs) && !leadsToProduct(rhs))
      return fail("the scores are no product plus one mask; add the masks to each other first");
    bool first = leadsToProduct(lhs);
    mask = first ? rhs : lhs, value = first ? lhs : rhs;
    return success();
  }

  LogicalResult matchAndRewrite(linalg::SoftmaxOp softmax, PatternRewriter &rewriter) const override {
    auto fail = [&](const Twine &reason) {
      return rewriter.notifyMatchFailure(softmax, "attention not raised: " + reason);
    };
    if (softmax->getNumResults() != 1)
      return fail("expected tensors, got buffers");
    int64_t rank = softmax.getInputOperandType().getRank();
    if ((int64_t)softmax.getDimension() != rank - 1)
      return fail("the softmax runs over dimension " + Twine(softmax.getDimension()) + "; expected the last, " +
                  Twine(rank - 1) + ", the keys");
    Scores scores;
    if (failed(matchScores(softmax, scores, fail)))
      return failure();

    // The products.
    StringRef reason;
    FailureOr<Product> qk =
        matchProduct(scores.product, scores.product ? scores.product->getOperand(0) : Value(), reason);
    if (failed(qk))
      return fail(reason);
    Value probs = softmax->getResult(0);
    Operation *user = onlyUser(probs);
    if (splitType(user))
      probs = user->getResult(0), user = onlyUser(probs);
    if (!user)
      return fail("the probabilities are also used elsewhere; let the product with value be their only use");
    FailureOr<Product> pv = matchProduct(user, probs, reason);
    if (failed(pv))
      return fail(reason);
    Labels rowColumn = qk->resultLabels;
    // Rows of the scores are queries, whichever operand they come from.
    if (llvm::find(rowColumn, row) > llvm::find(rowColumn, column)) {
      std::swap(qk->lhs, qk->rhs), std::swap(qk->lhsLabels, qk->rhsLabels);
      for (Labels *labels : {&qk->lhsLabels, &qk->rhsLabels, &rowColumn})
        for (Label &label : *labels)
          label = label == row ? column : label == column ? row : label;
    }
    if (!llvm::is_sorted(rowColumn))
      return fail("expected scores [batch, heads, queries, keys]");
    if (pv->lhsLabels.back() != inner || !llvm::is_sorted(pv->lhsLabels))
      return fail("expected the product with value to sum over the keys, the softmax's dimension");

    // Query, key and value: with heads if all have them, else as one head.
    Operand q, k, v;
    for (bool split : {true, false}) {
      double scale = scores.scale;
      q = {qk->lhs, qk->lhsLabels}, k = {qk->rhs, qk->rhsLabels}, v = {pv->rhs, pv->rhsLabels};
      q.lookThrough(split, &scale), k.lookThrough(split, &scale), v.lookThrough(split, nullptr);
      bool all = q.hasHeads() && k.hasHeads() && v.hasHeads() && !ShapedType::isDynamic(q.size(heads)) &&
                 q.size(heads) == k.size(heads) && k.size(heads) == v.size(heads);
      if (all || !split) {
        scores.scale = scale;
        break;
      }
    }
    bool withHeads = q.hasHeads();
    if (k.hasHeads() != withHeads || v.hasHeads() != withHeads ||
        (withHeads && (ShapedType::isDynamic(q.size(heads)) || scores.heads.value_or(q.size(heads)) != q.size(heads))))
      return fail("expected a static number of heads, the same in query, key and value");
    if (ShapedType::isDynamic(q.size(inner)) || ShapedType::isDynamic(v.size(column)))
      return fail("expected a static head_dim");
    return replace(*pv, q, k, v, scores, withHeads, rewriter, fail);
  }

  /// Turns a mask of scores of rank 2, 3 (one head) or 4 into a bias that broadcasts to [batch, heads, queries, keys],
  /// or into `causal` and no mask.
  template <typename Fail>
  static LogicalResult placeMask(Value &mask, bool &causal, int64_t rank, OpBuilder &b, Location loc, Fail fail) {
    // A broadcast mask is used as it was before, with sizes of 1; leading ones are left out.
    int64_t scoreRank = cast<ShapedType>(mask.getType()).getRank(), leading = 0;
    SmallVector<int64_t> ones;
    if (auto op = mask.getDefiningOp<linalg::BroadcastOp>(); op && op.getInput().getType().getRank() > 0) {
      for (int64_t dim : op.getDimensions())
        dim == leading ? (void)++leading : ones.push_back(dim - leading);
      mask = op.getInput();
    }
    causal = ones.empty() && isCausalMask(mask);
    if (causal)
      return mask = Value(), success();
    if (scoreRank - leading > 2 && scoreRank != rank)
      return fail("the mask has another rank than query, key and value; reshape them in the same way");
    mask = insertOnes(b, loc, mask, ones);
    if (scoreRank - leading == 3 && rank == 3)
      mask = insertOnes(b, loc, mask, {1}); // the head
    return success();
  }

  /// Builds attn.attention where the product with value stands.
  template <typename Fail>
  static LogicalResult replace(Product &pv, const Operand &q, const Operand &k, const Operand &v, Scores &scores,
                               bool withHeads, PatternRewriter &rewriter, Fail fail) {
    Location loc = pv.op.getLoc();
    bool matrix = pv.resultLabels.size() == 2; // no batch: [1, rows, features]
    rewriter.setInsertionPoint(pv.op);
    Value mask = scores.mask;
    bool causal = false;
    if (mask && failed(placeMask(mask, causal, matrix ? 2 : withHeads ? 4 : 3, rewriter, loc, fail)))
      return failure();
    SmallVector<Value> inputs;
    for (auto [operand, position, feature] : {std::tuple(&q, row, inner), {&k, column, inner}, {&v, inner, column}}) {
      Labels order = withHeads ? Labels{batch, heads, position, feature} : Labels{batch, position, feature};
      if (matrix)
        order.erase(order.begin());
      Value value = operand->inOrder(rewriter, loc, order);
      inputs.push_back(matrix ? insertOnes(rewriter, loc, value, {0}) : value);
    }
    SmallVector<int64_t> shape(cast<ShapedType>(inputs[0].getType()).getShape());
    shape.back() = v.size(column);
    auto resultType = RankedTensorType::get(shape, getElementTypeOrSelf(pv.op->getResultTypes()[0]));
    auto attention = AttentionOp::create(rewriter, loc, TypeRange(resultType), inputs[0], inputs[1], inputs[2]);
    if (mask)
      attention.getBiasMutable().assign(mask);
    if (!withHeads)
      attention.setNumHeads(1);
    attention.setScale(APFloat(scores.scale));
    attention.setCausal(causal);
    if (mask && scores.finiteMask)
      attention.setMaskedRows(MaskedRows::mean);
    if (scores.softCap)
      attention.setSoftCap(APFloat(*scores.softCap));

    // Back to the product's own rank and order.
    Operand out{attention.getResult(), withHeads ? Labels{batch, heads, row, column} : Labels{batch, row, column}};
    if (matrix || (withHeads && pv.resultLabels.size() == 3)) {
      SmallVector<ReassociationIndices> groups = {{0, 1}, {2}};
      if (!matrix)
        groups.push_back({3});
      out.value = tensor::CollapseShapeOp::create(rewriter, loc, out.value, groups);
      out.labels = matrix ? Labels{row, column} : Labels{batch, row, column};
    }
    Value result = out.inOrder(rewriter, loc, pv.resultLabels);
    if (result.getType() != pv.op->getResultTypes()[0])
      result = tensor::CastOp::create(rewriter, loc, pv.op->getResultTypes()[0], result);
    rewriter.replaceOp(pv.op, result);
    return success();
  }
};

struct RaiseAttention : impl::RaiseAttentionBase<RaiseAttention> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<RaiseSoftmax>(&getContext());
    tensor::CollapseShapeOp::getCanonicalizationPatterns(patterns, &getContext());
    tensor::ExpandShapeOp::getCanonicalizationPatterns(patterns, &getContext());
    if (failed(applyPatterns(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
} // namespace attnc
