//===- AttentionScores.cpp - Scores of attention: products, masks, biases, regions ------------------===//
#include "backends/halide/Attention.h"
#include "backends/halide/Math.h"
#include "backends/halide/Region.h"

namespace attnc::halide {
using namespace Halide;

/// Queries, and what a tile sees.
void AttentionEmitter::defineInputs(AttentionWalk &w) {
  Expr head = headOf(v.row);
  std::vector<Expr> element = {v.batch, head, queryOf(v.row), v.element};
  if (isPackedHeads(op.getQuery()))
    element = {v.batch, queryOf(v.row), head * shape.headDim + v.element};
  w.query(v.ofGroup({v.element, v.row})) = p.load(op.getQuery(), element) * float(op.getScaleOrDefault() * (isNatural() ? 1 : kLog2e));
  // An update makes it numbers that Halide knows nothing of: conditions whose bounds it knows become parts of all sizes.
  Bounds first = boundsOf(0), last = boundsOf(shape.isSingle ? 0 : shape.rows - 1); // both ends ascend with the row
  std::vector<Var> at = v.ofGroup(std::vector<Var>());
  w.reach(at) = Tuple(INT32_MIN, INT32_MIN, INT32_MIN);
  w.reach(at) = Tuple(max(w.reach(at)[0], first.low), max(w.reach(at)[1], last.high), max(w.reach(at)[2], last.sinkEnd));
}

/// Whether the row sees the key, but for the mask region.
Expr AttentionEmitter::isVisible(AttentionWalk &w) {
  Expr j = blockOf(v.block) * kKeys + v.key;
  Bounds b = boundsOf(v.row);
  Expr visible = j < b.high;
  if (op.getWindowLeft())
    visible = visible && j >= b.low;
  if (op.getSinks())
    visible = visible || j < b.sinkEnd;
  if (op.getKeyMask())
    visible = visible && w.isKept(v.key, blockOf(v.block), v.batch) != 0;
  return visible;
}

/// buffer[index], where `index` may depend on the key: what lies beyond the last dimension is hidden elsewhere.
Expr AttentionEmitter::within(mlir::Value buffer, std::vector<Expr> index) {
  index.back() = clamp(index.back(), 0, max(p.size(buffer, index.size() - 1), 1) - 1);
  Expr result = p.load(buffer, index);
  return typeOf(buffer).getElementType().isInteger(1) ? result != Internal::make_zero(result.type()) : result;
}

/// The bias of a pair: dimensions of size 1 are the same for all, and so may be those whose size is known only when it runs.
Expr AttentionEmitter::bias(AttentionWalk &w) {
  mlir::Value buffer = op.getBias();
  mlir::MemRefType type = typeOf(buffer);
  const int64_t rank = type.getRank();
  Expr at[] = {v.batch, headOf(v.row), queryOf(v.row), blockOf(v.block) * kKeys + v.key};
  std::vector<Expr> index(at + 4 - rank, at + 4);
  for (int64_t d = 0; d < rank; ++d)
    if (type.getDimSize(d) == 1)
      index[d] = 0;
    else if (type.isDynamicDim(d) && d + 1 < rank)
      index[d] = min(index[d], p.size(buffer, d) - 1);
  return within(buffer, index);
}

/// A captured tensor's element; `counts`: whether it matters what it is. Others are within the tensor as well.
llvm::Expected<Expr> AttentionEmitter::captured(attn::LoadOp load, llvm::ArrayRef<Expr> index, AttentionWalk &w, Expr counts) {
  std::vector<Expr> inside;
  for (auto [d, at] : llvm::enumerate(index))
    inside.push_back(clamp(at, 0, max(p.size(load.getSource(), d), 1) - 1));
  return within(load.getSource(), inside);
}

/// What a region yields; `first` is its score or probability, or undefined.
llvm::Expected<Expr> AttentionEmitter::region(mlir::Region &region, Expr first, AttentionWalk &w, Expr counts) {
  llvm::SmallVector<Expr> arguments = {v.batch, headOf(v.row), offset() + queryOf(v.row), blockOf(v.block) * kKeys + v.key};
  if (first.defined())
    arguments.insert(arguments.begin(), first);
  auto other = [&](mlir::Operation *inner, llvm::ArrayRef<Expr> in) -> llvm::Expected<Expr> {
    auto load = llvm::dyn_cast<attn::LoadOp>(inner);
    return load ? captured(load, in, w, counts) : llvm::Expected<Expr>(Expr());
  };
  auto yielded = translate(p, region.front(), arguments, other);
  if (!yielded)
    return yielded.takeError();
  return yielded->front();
}

llvm::Error AttentionEmitter::defineScores(AttentionWalk &w) {
  const bool isGpu = p.device.isGpu();
  Expr block = blockOf(v.block);
  auto isWide = [&](mlir::Value buffer) { return typeOf(buffer).getElementTypeBitWidth() > 16; };
  mlir::Value source = cache ? cache.getPages() : op.getKey();
  Var element = v.element;
  if (!isGpu && !shape.isSingle && !isWide(source)) {
    w.keys = Func("keys");
    w.keys(v.key, element, v.block, v.heads, v.batch) = keyAt(v.key, element, v.block);
    w.values = Func("values");
    w.values(v.lane, v.part, v.key, v.block, v.heads, v.batch) = valueAt(v.lane, v.part, v.key, v.block);
  }
  if (mlir::Value mask = op.getKeyMask()) {
    Expr given = p.isGiven(mask), j = v.block * kKeys + v.key, last = p.size(mask, 1) - 1;
    Expr kept = p.load(mask, {v.batch, clamp(j, 0, max(last, 0))});
    w.isKept = Func("is_kept");
    w.isKept(v.key, v.block, v.batch) = cast<int32_t>(!given || (j <= last && kept != Internal::make_zero(kept.type())));
  }
  w.overElements = RDom(0, shape.headDim, 0, 1, "elements");
  if (isGpu)
    w.overElements.where(isReached(w, v.block + w.overElements.y));
  w.dot(v.ofBlock({v.key, v.row})) = 0.0f;
  Expr key = w.keys.defined() ? w.keys(v.key, w.overElements.x, block, v.heads, v.batch) : keyAt(v.key, w.overElements.x, block);
  w.dot(v.ofBlock({v.key, v.row})) += w.query(v.ofGroup({w.overElements.x, v.row}, v.tile)) * key;

  Expr x = w.dot(v.ofBlock({v.key, v.row})), visible = isVisible(w);
  if (isMaskBias())
    visible = visible && bias(w);
  if (!op.getMaskMod().empty()) {
    auto kept = region(op.getMaskMod(), Expr(), w, visible);
    if (!kept)
      return kept.takeError();
    visible = visible && *kept;
  }
  if (op.getSoftCap()) {
    float cap = op.getSoftCap()->convertToDouble();
    x = portable::tanh(x * (1 / cap)) * cap;
  }
  if (!op.getScoreMod().empty()) {
    auto modified = region(op.getScoreMod(), x, w, visible);
    if (!modified)
      return modified.takeError();
    x = *modified;
  }
  if (isNatural())
    x = x * float(kLog2e);
  if (op.getBias() && !isMaskBias()) {
    // -inf hides. It is found by its bits: compilers may assume that there is no infinity.
    Expr add = bias(w);
    visible = visible && reinterpret<int32_t>(add) != int32_t(0xff800000);
    x = x + add * float(kLog2e);
  }
  // OpenCL cannot choose between vectors by every condition; by masks it can.
  Expr mask = select(visible, -1, 0), hidden = reinterpret<int32_t>(Expr(kHidden));
  w.scores(v.ofBlock({v.key, v.row})) = reinterpret<float>((reinterpret<int32_t>(x) & mask) | (hidden & ~mask));
  return llvm::Error::success();
}

} // namespace attnc::halide
