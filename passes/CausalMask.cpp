//===- CausalMask.cpp - Recognise causal masks --------------------------------------------===//
#include "passes/CausalMask.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

namespace attnc {
using namespace mlir;

namespace {
bool isConstant(DenseElementsAttr mask) {
  ArrayRef<int64_t> shape = mask.getType().getShape();
  int64_t keys = shape.back(), queries = shape[shape.size() - 2], at = 0;
  auto row = [&] { return at / keys % queries; };
  auto column = [&] { return at % keys; };
  if (mask.getElementType().isInteger(1)) {
    for (bool keep : mask.getValues<bool>()) {
      if (keep != (column() <= row()))
        return false;
      ++at;
    }
    return true;
  }
  if (!isa<FloatType>(mask.getElementType()))
    return false;
  for (APFloat value : mask.getValues<APFloat>()) {
    if (column() <= row() ? !value.isZero() : !(value.convertToDouble() <= kHiddenScore))
      return false;
    ++at;
  }
  return true;
}

/// The dimension of the mask that `value` counts, if any.
std::optional<int64_t> indexOf(Value value, Block *body) {
  while (auto cast = value.getDefiningOp())
    if (isa<arith::IndexCastOp, arith::IndexCastUIOp>(cast))
      value = cast->getOperand(0);
    else
      break;
  if (auto index = value.getDefiningOp<linalg::IndexOp>())
    return index.getDim();
  auto argument = dyn_cast<BlockArgument>(value);
  if (argument && argument.getOwner() == body && isa<tensor::GenerateOp>(body->getParentOp()))
    return argument.getArgNumber();
  return std::nullopt;
}

/// True if `condition` is "the key is visible", false if it is the opposite, nothing if it is something else.
std::optional<bool> visibility(Value condition, Block *body, int64_t rank) {
  auto compare = condition.getDefiningOp<arith::CmpIOp>();
  if (!compare)
    return std::nullopt;
  std::optional<int64_t> lhs = indexOf(compare.getLhs(), body), rhs = indexOf(compare.getRhs(), body);
  using P = arith::CmpIPredicate;
  P predicate = compare.getPredicate();
  if (lhs == rank - 1 && rhs == rank - 2) { // key ? query
    if (predicate == P::sle || predicate == P::ule)
      return true;
    if (predicate == P::sgt || predicate == P::ugt)
      return false;
  } else if (lhs == rank - 2 && rhs == rank - 1) { // query ? key
    if (predicate == P::sge || predicate == P::uge)
      return true;
    if (predicate == P::slt || predicate == P::ult)
      return false;
  }
  return std::nullopt;
}
} // namespace

bool isCausalMask(Value mask) {
  auto type = cast<RankedTensorType>(mask.getType());
  int64_t rank = type.getRank();
  if (rank < 2)
    return false;
  DenseElementsAttr constant;
  if (matchPattern(mask, m_Constant(&constant)))
    return isConstant(constant);

  Block *body = nullptr;
  if (auto generate = mask.getDefiningOp<tensor::GenerateOp>())
    body = &generate.getBody().front();
  auto generic = mask.getDefiningOp<linalg::GenericOp>();
  if (generic && generic.getNumDpsInits() == 1 && generic.getNumParallelLoops() == rank &&
      generic.getNumLoops() == rank && generic.getMatchingIndexingMap(generic.getDpsInitOperand(0)).isIdentity())
    body = generic.getBody();
  if (!body)
    return false;
  Value value = body->getTerminator()->getOperand(0);
  if (type.getElementType().isInteger(1))
    return visibility(value, body, rank) == true;
  auto select = value.getDefiningOp<arith::SelectOp>();
  std::optional<bool> visible = select ? visibility(select.getCondition(), body, rank) : std::nullopt;
  FloatAttr seen, hidden;
  return visible && matchPattern(*visible ? select.getTrueValue() : select.getFalseValue(), m_Constant(&seen)) &&
         matchPattern(*visible ? select.getFalseValue() : select.getTrueValue(), m_Constant(&hidden)) &&
         seen.getValue().isZero() && hidden.getValue().convertToDouble() <= kHiddenScore;
}

} // namespace attnc
