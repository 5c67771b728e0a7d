//===- Experts.cpp - Routing tokens to experts, and joining what these say -------------------------===//
//
// Their products are in Linear.cpp.
//
//===----------------------------------------------------------------------------------===//
#include "backends/halide/Emitters.h"
#include "backends/halide/Math.h"
#include "backends/halide/Schedule.h"

namespace attnc::halide {
using namespace Halide;
using llvm::Error;
using mlir::Value;

namespace {
/// The experts that each row chooses, by choice; `none` where no logit but NaN is left. One scan over the logits for each
/// choice: the largest that comes after the last one in the order of (logit descending, index ascending). Experts and choices
/// are few.
Func chooseExperts(Pipeline &p, Value logits, const RowIndex &index, int32_t choices, int32_t none) {
  Func chosen("chosen");
  RDom r(0, none, 0, choices, "r"); // logits, choices
  auto of = [&](Expr choice) {
    std::vector<Expr> at = {choice};
    at.insert(at.end(), index.leading.rbegin(), index.leading.rend());
    return chosen(at);
  };
  auto order = [&](Expr j) { return orderOf(p.load(logits, index.at(clamp(j, 0, none - 1)))); };
  of(index.column) = none;
  Expr last = of(max(r.y - 1, 0)), best = of(r.y), x = order(r.x);
  Expr isAfter = r.y == 0 || (last != none && (x < order(last) || (x == order(last) && r.x > last)));
  Expr isBetter = best == none || x > order(best);
  Expr isNumber = (reinterpret<int32_t>(p.load(logits, index.at(r.x))) & 0x7fffffff) <= 0x7f800000;
  of(r.y) = select(isNumber && isAfter && isBetter, r.x, best);
  chosen.bound_extent(index.column, choices);
  return chosen;
}
} // namespace

Error emitRoute(Pipeline &p) {
  auto op = llvm::cast<attn::RouteOp>(p.op());
  Value logits = op.getLogits();
  const int32_t none = columnsOf(logits), choices = op.getTopK();
  if (!none)
    return refuse("its last dimension is dynamic");
  RowIndex index(logits);
  std::vector<Var> elements = index.elements();
  auto with = [&](Expr choice) {
    std::vector<Expr> at(elements.begin(), elements.end());
    at[0] = choice;
    return at;
  };

  Func chosen = chooseExperts(p, logits, index, choices, none), sum("sum"), weights("weights");
  auto exponential = [&](Expr choice) {
    auto logit = [&](Expr c) { return p.load(logits, index.at(clamp(chosen(with(c)), 0, none - 1))); };
    return portable::exp(logit(choice) - logit(0));
  };
  RDom c(0, choices, "c");
  sum(index.rows()) = 0.0f;
  sum(index.rows()) += exponential(c);
  Expr isMissing = chosen(with(choices - 1)) == none, weight = exponential(index.column) / sum(index.rows());
  weights(elements) = p.narrow(selectExactly(isMissing, std::numeric_limits<float>::quiet_NaN(), weight), op.getInit());
  scheduleElements(p.device, weights, choices, {}, {chosen, sum});
  p.define(op.getInit(), weights);

  Func again = chooseExperts(p, logits, index, choices, none), experts("experts");
  Expr expert = again(with(index.column));
  experts(elements) = p.narrow(select(expert == none, 0, expert), op.getExpertsInit());
  scheduleElements(p.device, experts, choices, {}, {again});
  p.define(op.getExpertsInit(), experts);
  return Error::success();
}

Error emitCombineExperts(Pipeline &p) {
  auto op = llvm::cast<attn::CombineExpertsOp>(p.op());
  Value init = op.getInit();
  RowIndex index(init);
  auto in = [&](Expr choice, bool column) {
    std::vector<Expr> at = index.row();
    at.push_back(choice);
    if (column)
      at.push_back(index.column);
    return at;
  };
  RDom c(0, int32_t(columnsOf(op.getWeights())), "c");
  Func sum("sum"), result("combine_experts");
  sum(index.elements()) = 0.0f;
  sum(index.elements()) += p.load(op.getWeights(), in(c, false)) * p.load(op.getInput(), in(c, true));
  Expr y = sum(index.elements());
  if (op.getResidual())
    y = y + p.load(op.getResidual(), index.at(index.column));
  result(index.elements()) = p.narrow(y, init);
  scheduleElements(p.device, result, columnsOf(init), {sum});
  p.define(init, result);
  return Error::success();
}

} // namespace attnc::halide
