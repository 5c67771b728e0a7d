//===- ReuseBuffers.cpp - Buffers that calls hold but do not need ---------------------------------===//
//
// attn-plan-workspace plans function by function, so a call holds its inputs and outputs from its beginning to its end.
// A block needs its input only in its first half and its output only at its end: both get one buffer, and what the block
// needs in between may lie there as well.
//
//===----------------------------------------------------------------------------------===//
#include "passes/Packing.h"
#include "passes/Passes.h"
#include "passes/Signature.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

namespace attnc {
#define GEN_PASS_DEF_REUSEBUFFERS
#include "passes/Passes.h.inc"

namespace {

/// Lifetimes in ops of one function's block.
struct Uses {
  func::FuncOp func;
  DenseMap<Operation *, unsigned> position;

  explicit Uses(func::FuncOp func) : func(func) {
    for (auto [i, op] : llvm::enumerate(func.getBody().front()))
      position[&op] = i;
  }

  /// Of a buffer, through views; none without uses.
  std::optional<Lifetime> lifetimeOf(Value buffer) {
    std::optional<Lifetime> life;
    SmallVector<Value> values = {buffer};
    while (!values.empty())
      for (Operation *user : values.pop_back_val().getUsers()) {
        if (isa<memref::DimOp>(user))
          continue;
        if (isa<ViewLikeOpInterface>(user)) {
          values.append(user->result_begin(), user->result_end());
          continue;
        }
        unsigned at = position[func.getBody().front().findAncestorOpInBlock(*user)];
        life = life ? Lifetime{std::min(life->first, at), std::max(life->last, at)} : Lifetime{at, at};
      }
    return life;
  }
};

/// What a view is of.
Value rootOf(Value value) {
  while (auto view = value.getDefiningOp<ViewLikeOpInterface>())
    value = view.getViewSource();
  return value;
}

/// The same, where the view is all of it.
memref::AllocOp wholeAlloc(Value value) {
  while (auto cast = value.getDefiningOp<memref::CastOp>())
    value = cast.getSource();
  return value.getDefiningOp<memref::AllocOp>();
}

/// Whether two sizes are known to be the same: one value, or dimensions of arguments with one name.
bool isSameSize(func::FuncOp func, Value a, Value b) {
  if (a == b)
    return true;
  auto name = [&](Value size) {
    auto dim = size.getDefiningOp<memref::DimOp>();
    auto argument = dim ? dyn_cast<BlockArgument>(dim.getSource()) : BlockArgument();
    return argument && dim.getConstantIndex() ? dimensionName(func, argument, *dim.getConstantIndex()) : StringAttr();
  };
  return name(a) && name(a) == name(b);
}

/// Whether an allocation has the shape of an argument.
bool isLike(func::FuncOp func, memref::AllocOp alloc, BlockArgument argument) {
  if (alloc.getType() != argument.getType())
    return false;
  unsigned next = 0;
  for (int64_t d = 0; d < alloc.getType().getRank(); ++d) {
    if (!alloc.getType().isDynamicDim(d))
      continue;
    auto dim = alloc.getDynamicSizes()[next++].getDefiningOp<memref::DimOp>();
    auto of = dim ? dyn_cast<BlockArgument>(dim.getSource()) : BlockArgument();
    if (!of || !dim.getConstantIndex())
      return false;
    StringAttr name = dimensionName(func, argument, d);
    bool isSame = (of == argument && *dim.getConstantIndex() == d) ||
                  (name && name == dimensionName(func, of, *dim.getConstantIndex()));
    if (!isSame)
      return false;
  }
  return true;
}

SmallVector<BlockArgument> outputsOf(func::FuncOp func) {
  unsigned first = 1 + Signature(func).numInputs(), count = func->getAttrOfType<IntegerAttr>(kOutputsAttr).getInt();
  return SmallVector<BlockArgument>(func.getArguments().slice(first, count));
}

/// Temporaries of a block in its output, after the last use of whatever may lie in the same place: inputs of its type.
void useOutputs(func::FuncOp func) {
  Uses uses(func);
  for (BlockArgument output : outputsOf(func)) {
    std::optional<Lifetime> life = uses.lifetimeOf(output);
    if (!life)
      continue;
    unsigned from = 0;
    for (BlockArgument other : func.getArguments())
      if (std::optional<Lifetime> its = uses.lifetimeOf(other); its && other != output && other.getType() == output.getType())
        from = std::max(from, its->last + 1);
    SmallVector<Lifetime> taken = {*life};
    for (auto alloc : llvm::make_early_inc_range(func.getOps<memref::AllocOp>())) {
      std::optional<Lifetime> its = uses.lifetimeOf(alloc);
      if (!its || its->first < from || its->last >= life->first || !isLike(func, alloc, output) ||
          llvm::any_of(taken, [&](const Lifetime &other) { return other.meets(*its); }))
        continue;
      taken.push_back(*its);
      alloc.replaceAllUsesWith(Value(output));
      alloc.erase();
    }
  }
}

/// The output of a call in the buffer of an input that ends there, if the callee has read that before it writes this.
void joinInputAndOutput(func::FuncOp caller, func::CallOp call, func::FuncOp callee) {
  Uses uses(caller), inside(callee);
  unsigned now = uses.position[call];
  for (BlockArgument output : outputsOf(callee)) {
    memref::AllocOp to = wholeAlloc(call.getOperand(output.getArgNumber()));
    std::optional<Lifetime> toLife = to ? uses.lifetimeOf(to) : std::nullopt, written = inside.lifetimeOf(output);
    if (!toLife || toLife->first != now || !written)
      continue;
    for (unsigned i = 1; i <= Signature(callee).numInputs(); ++i) {
      memref::AllocOp from = wholeAlloc(call.getOperand(i));
      if (!from || from == to || from.getType() != to.getType() ||
          callee.getArgument(i).getType() != output.getType() || // see useOutputs
          uses.lifetimeOf(from)->last != now ||
          !from->isBeforeInBlock(to) ||
          llvm::count_if(call.getOperands(), [&](Value operand) { return rootOf(operand) == from.getResult(); }) != 1 ||
          !llvm::all_of(llvm::zip(from.getDynamicSizes(), to.getDynamicSizes()),
                        [&](auto sizes) { return isSameSize(caller, std::get<0>(sizes), std::get<1>(sizes)); }))
        continue;
      std::optional<Lifetime> read = inside.lifetimeOf(callee.getArgument(i));
      if (read && read->last >= written->first)
        continue;
      to.replaceAllUsesWith(from.getResult());
      to.erase();
      return; // other outputs at the next call: positions have changed
    }
  }
}

struct ReuseBuffers : impl::ReuseBuffersBase<ReuseBuffers> {
  void runOnOperation() override {
    for (auto func : getOperation().getOps<func::FuncOp>())
      if (func->hasAttr(kOutputsAttr) && func.isPrivate()) // an entry's outputs are the host's
        useOutputs(func);
    for (auto func : getOperation().getOps<func::FuncOp>()) {
      if (!func->hasAttr(kOutputsAttr))
        continue;
      for (auto call : func.getOps<func::CallOp>())
        if (auto callee = getOperation().lookupSymbol<func::FuncOp>(call.getCallee()); callee && callee->hasAttr(kOutputsAttr))
          joinInputAndOutput(func, call, callee);
    }
  }
};
} // namespace
} // namespace attnc
