//===- FuseProjections.cpp - Products of one input become one product ------------------------===//
//
// Query, key and value are products of the same input: joined, the input is read once. Weights are joined at compile
// time, so they must be parameters; those of a block function are its arguments, joined in the callers.
//
//===----------------------------------------------------------------------------------===//
#include "passes/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"

namespace attnc {
#define GEN_PASS_DEF_FUSEPROJECTIONS
#include "passes/Passes.h.inc"

namespace {
using namespace attn;
using ml_program::GlobalLoadConstOp;

bool isParameter(Value value) { return value.getDefiningOp<GlobalLoadConstOp>(); }

/// The joined type of `values` along `dim`.
RankedTensorType joinedType(ValueRange values, int64_t dim) {
  auto type = cast<RankedTensorType>(values[0].getType());
  SmallVector<int64_t> shape(type.getShape());
  shape[dim] = 0;
  for (Value value : values)
    shape[dim] += cast<RankedTensorType>(value.getType()).getDimSize(dim);
  return type.clone(shape);
}

Value join(OpBuilder &b, Location loc, ValueRange values, int64_t dim) {
  return ConcatParametersOp::create(b, loc, joinedType(values, dim), values, dim);
}

/// Where a weight or bias comes from; only what is known at compile time can be joined.
enum class Source { parameter, argument, computed };
Source sourceOf(Value value, func::FuncOp func) {
  if (isParameter(value))
    return Source::parameter;
  auto argument = dyn_cast<BlockArgument>(value);
  return argument && argument.getOwner() == &func.getBody().front() ? Source::argument : Source::computed;
}

/// Why `linear` cannot be joined with anything, or nothing.
std::optional<StringRef> obstacle(LinearOp linear, func::FuncOp func) {
  if (linear.getActivation() != ActivationKind::none || linear.getResidual())
    return "one has an activation or a residual";
  Source source = sourceOf(linear.getWeight(), func);
  if (source == Source::computed)
    return "a weight is computed; load it with ml_program.global_load_const";
  if (linear.getBias() && sourceOf(linear.getBias(), func) != source)
    return "a bias does not come from where its weight comes from; load both with ml_program.global_load_const";
  auto weight = cast<ShapedType>(linear.getWeight().getType());
  if (weight.getRank() != 2 || !weight.hasStaticShape() ||
      (linear.getBias() && !cast<ShapedType>(linear.getBias().getType()).hasStaticShape()))
    return "a weight is packed or has dynamic sizes";
  return std::nullopt;
}

/// Why `a` and `b`, each without an obstacle, cannot be one product, or nothing.
std::optional<StringRef> mismatch(LinearOp a, LinearOp b, func::FuncOp func) {
  if (a.getTransposeWeight() != b.getTransposeWeight())
    return "only some have transpose_weight; store the weights alike";
  if (bool(a.getBias()) != bool(b.getBias()))
    return "only some have a bias; give a bias of zeros to the others";
  auto differ = [](Value a, Value b) { return a && getElementTypeOrSelf(a) != getElementTypeOrSelf(b); };
  if (differ(a.getWeight(), b.getWeight()) || differ(a.getBias(), b.getBias()) || differ(a.getResult(), b.getResult()))
    return "they have different element types; convert the weights to one";
  if (sourceOf(a.getWeight(), func) != sourceOf(b.getWeight(), func))
    return "only some weights are arguments of the function; pass or load them alike";
  return std::nullopt;
}

/// The calls of a block function; fails if it is an entry or has uses other than calls.
FailureOr<SmallVector<func::CallOp>> callsOf(func::FuncOp func, ModuleOp module) {
  SmallVector<func::CallOp> calls;
  std::optional<SymbolTable::UseRange> uses = SymbolTable::getSymbolUses(func, module);
  if (!func.isPrivate() || !uses)
    return failure();
  for (SymbolTable::SymbolUse use : *uses) {
    auto call = dyn_cast<func::CallOp>(use.getUser());
    if (!call)
      return failure();
    calls.push_back(call);
  }
  return calls;
}

/// Why the arguments `values` of `func` cannot be joined in its callers, or nothing.
std::optional<StringRef> argumentObstacle(func::FuncOp func, ArrayRef<Value> values,
                                          FailureOr<SmallVector<func::CallOp>> calls) {
  if (failed(calls))
    return "their weights are arguments of an entry; load them with ml_program.global_load_const";
  for (Value value : values) {
    if (!value.hasOneUse())
      return "a weight or bias has other uses in the block function; pass it once for each";
    for (func::CallOp call : *calls)
      if (!isParameter(call.getOperand(cast<BlockArgument>(value).getArgNumber())))
        return "a call passes a weight or bias that is no parameter; pass an ml_program.global_load_const";
  }
  return std::nullopt;
}

/// A new argument of `func` before the first of `values`: these joined along `dim`, by every caller.
Value joinArguments(func::FuncOp func, ArrayRef<Value> values, int64_t dim, ArrayRef<func::CallOp> calls) {
  unsigned at = cast<BlockArgument>(values[0]).getArgNumber();
  for (func::CallOp call : calls) {
    OpBuilder b(call);
    SmallVector<Value> parts;
    for (Value value : values)
      parts.push_back(call.getOperand(cast<BlockArgument>(value).getArgNumber()));
    call->insertOperands(at, join(b, call.getLoc(), parts, dim));
  }
  (void)func.insertArgument(at, joinedType(values, dim), {}, values[0].getLoc());
  return func.getArgument(at);
}

void eraseArguments(func::FuncOp func, ArrayRef<Value> values, ArrayRef<func::CallOp> calls) {
  for (Value value : values) {
    unsigned index = cast<BlockArgument>(value).getArgNumber();
    for (func::CallOp call : calls)
      call->eraseOperand(index);
    (void)func.eraseArgument(index);
  }
}

/// Joins `linears`, of one input in one block, or returns why not.
std::optional<StringRef> fuse(func::FuncOp func, ArrayRef<LinearOp> linears) {
  LinearOp first = linears[0];
  SmallVector<Value> weights, biases, all;
  for (LinearOp linear : linears) {
    weights.push_back(linear.getWeight());
    if (linear.getBias())
      biases.push_back(linear.getBias());
  }
  llvm::append_range(all, weights);
  llvm::append_range(all, biases);
  int64_t dim = first.getTransposeWeight() ? 0 : 1;
  OpBuilder b(first);
  Value weight, bias;
  bool arguments = sourceOf(weights[0], func) == Source::argument;
  FailureOr<SmallVector<func::CallOp>> calls = failure();
  if (arguments) {
    calls = callsOf(func, func->getParentOfType<ModuleOp>());
    if (std::optional<StringRef> reason = argumentObstacle(func, all, calls))
      return reason;
    weight = joinArguments(func, weights, dim, *calls);
    bias = biases.empty() ? Value() : joinArguments(func, biases, 0, *calls);
  } else {
    for (Value value : all) // loads have no operands: they may stand before the first product
      if (Operation *load = value.getDefiningOp();
          load->getBlock() == first->getBlock() && first->isBeforeInBlock(load))
        load->moveBefore(first);
    weight = join(b, first.getLoc(), weights, dim);
    bias = biases.empty() ? Value() : join(b, first.getLoc(), biases, 0);
  }

  auto fused = cast<LinearOp>(b.clone(*first));
  fused.getWeightMutable().assign(weight);
  if (bias)
    fused.getBiasMutable().assign(bias);
  auto type = cast<RankedTensorType>(first.getResult().getType());
  SmallVector<int64_t> shape(type.getShape());
  shape.back() = cast<ShapedType>(weight.getType()).getDimSize(dim);
  fused.getResult().setType(type.clone(shape));

  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, first.getLoc(), first.getInput());
  SmallVector<OpFoldResult> offsets(sizes.size(), b.getIndexAttr(0)), strides(sizes.size(), b.getIndexAttr(1));
  int64_t offset = 0;
  for (LinearOp linear : linears) {
    auto part = cast<RankedTensorType>(linear.getResult().getType());
    for (int64_t d = 0; d < part.getRank(); ++d)
      if (!part.isDynamicDim(d))
        sizes[d] = b.getIndexAttr(part.getDimSize(d));
    offsets.back() = b.getIndexAttr(offset);
    Value slice = tensor::ExtractSliceOp::create(b, linear.getLoc(), fused.getResult(), offsets, sizes, strides);
    if (slice.getType() != part)
      slice = tensor::CastOp::create(b, linear.getLoc(), part, slice);
    linear.getResult().replaceAllUsesWith(slice);
    offset += part.getShape().back();
  }
  for (LinearOp linear : linears)
    linear.erase();
  if (arguments)
    eraseArguments(func, all, *calls);
  return std::nullopt;
}

struct FuseProjections : impl::FuseProjectionsBase<FuseProjections> {
  void runOnOperation() override {
    for (auto func : getOperation().getOps<func::FuncOp>()) {
      // The products of each input, by block, in order.
      llvm::MapVector<std::pair<Block *, Value>, SmallVector<LinearOp>> products;
      func.walk([&](LinearOp linear) {
        if (linear.getResult())
          products[{linear->getBlock(), linear.getInput()}].push_back(linear);
      });
      for (auto &[key, linears] : products)
        fuseAlike(func, linears);
    }
  }

  /// Joins those of `linears` that can be one product; remarks on those left over.
  static void fuseAlike(func::FuncOp func, SmallVector<LinearOp> linears) {
    auto remark = [&](LinearOp linear, StringRef reason) {
      emitRemark(linear.getLoc()) << "products of one input not joined: " << reason;
    };
    if (linears.size() < 2)
      return;
    llvm::erase_if(linears, [&](LinearOp linear) {
      std::optional<StringRef> reason = obstacle(linear, func);
      if (reason)
        remark(linear, *reason);
      return reason.has_value();
    });
    while (linears.size() > 1) {
      SmallVector<LinearOp> alike, rest;
      std::optional<StringRef> reason;
      for (LinearOp linear : linears) {
        if (std::optional<StringRef> why = mismatch(linears[0], linear, func)) {
          reason = why;
          rest.push_back(linear);
        } else {
          alike.push_back(linear);
        }
      }
      Location loc = alike[0].getLoc();
      if (alike.size() > 1)
        reason = fuse(func, alike);
      if (reason)
        emitRemark(loc) << "products of one input not joined: " << *reason;
      linears = rest;
    }
  }
};
} // namespace
} // namespace attnc
