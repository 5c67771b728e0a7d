//===- NameDims.cpp - Complete and check the description of every entry ------------------===//
//
// Every dynamic dimension of a function gets a name; equal names are equal sizes. A union-find over
// (value, dimension) pairs follows the ops of a function. Callees are done before their callers.
//
//===----------------------------------------------------------------------------------===//
#include "passes/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "llvm/ADT/EquivalenceClasses.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"

namespace attnc {
#define GEN_PASS_DEF_NAMEDIMS
#include "passes/Passes.h.inc"

namespace {
using namespace attn;

/// One dimension of one value; static sizes are nodes of their own.
using Node = std::pair<void *, int64_t>;

struct FunctionDims {
  func::FuncOp func;
  llvm::EquivalenceClasses<Node> classes;
  std::map<Node, int64_t> constants; // leader → static size

  explicit FunctionDims(func::FuncOp func) : func(func) {}

  Node node(Value value, int64_t dim) { return classes.getOrInsertLeaderValue({value.getAsOpaquePointer(), dim}); }

  int64_t size(Value value, int64_t dim) { return cast<ShapedType>(value.getType()).getDimSize(dim); }

  void unify(Value a, int64_t i, Value b, int64_t j) {
    if (!a || !b)
      return;
    Node na = node(a, i), nb = node(b, j);
    auto known = [&](Node n, Value v, int64_t d) -> int64_t {
      if (auto it = constants.find(n); it != constants.end())
        return it->second;
      return size(v, d);
    };
    int64_t ca = known(na, a, i), cb = known(nb, b, j);
    Node leader = *classes.unionSets(na, nb);
    if (!ShapedType::isDynamic(ca))
      constants[leader] = ca;
    else if (!ShapedType::isDynamic(cb))
      constants[leader] = cb;
  }

  /// All dimensions of two values of the same rank.
  void unifyAll(Value a, Value b) {
    if (!a || !b)
      return;
    for (int64_t d = 0, rank = cast<ShapedType>(a.getType()).getRank(); d < rank; ++d)
      unify(a, d, b, d);
  }

  /// A size given as a value: the dimension it was read from.
  void unifySize(Value value, int64_t dim, OpFoldResult size) {
    auto v = dyn_cast<Value>(size);
    if (!v)
      return;
    if (auto dimOp = v.getDefiningOp<tensor::DimOp>())
      if (std::optional<int64_t> index = dimOp.getConstantIndex())
        unify(value, dim, dimOp.getSource(), *index);
  }

  void visit(Operation *op, SymbolTableCollection &symbols);
  void visitConstraints(Operation *op);
};

/// Sizes that operands must share; results follow from reifyResultShapes.
void FunctionDims::visitConstraints(Operation *op) {
  llvm::TypeSwitch<Operation *>(op)
      .Case([&](PositionsOp op) {
        unifyAll(op.getIds(), op.getGiven());
        unify(op.getIds(), 0, op.getMask(), 0);
        if (!op.getCache())
          unify(op.getIds(), 1, op.getMask(), 1);
      })
      .Case([&](ActivationOp op) { unifyAll(op.getInput(), op.getTimes()); })
      .Case([&](PoolOp op) {
        unify(op.getInput(), 0, op.getMask(), 0);
        unify(op.getInput(), 1, op.getMask(), 1);
      })
      .Case([&](EmbeddingOp op) { unifyAll(op.getResult(), op.getResidual()); })
      .Case([&](LinearOp op) { unifyAll(op.getResult(), op.getResidual()); })
      .Case([&](ExpertLinearOp op) {
        for (int64_t d = 0, rank = cast<ShapedType>(op.getExperts().getType()).getRank(); d + 1 < rank; ++d)
          unify(op.getInput(), d, op.getExperts(), d);
      })
      .Case([&](CombineExpertsOp op) {
        for (int64_t d = 0, rank = cast<ShapedType>(op.getWeights().getType()).getRank(); d + 1 < rank; ++d)
          unify(op.getInput(), d, op.getWeights(), d);
        unifyAll(op.getResult(), op.getResidual());
      })
      .Case([&](SelectTokenOp op) { unify(op.getInput(), 0, op.getAt(), 0); })
      .Case([&](RotaryOp op) {
        unify(op.getInput(), 0, op.getTable(), 0);
        unify(op.getInput(), 1, op.getTable(), 1);
      })
      .Case([&](CacheAppendOp op) {
        unify(op.getKey(), 0, op.getValue(), 0);
        unify(op.getKey(), 1, op.getValue(), 1);
        unify(op.getKey(), 0, op.getKeyMask(), 0);
        unify(op.getKey(), 1, op.getKeyMask(), 1);
      })
      .Case([&](AttentionOp op) {
        Value key = op.getKey(), value = op.getValue();
        int64_t keyDim = key && cast<ShapedType>(key.getType()).getRank() == 3 ? 1 : 2;
        unify(op.getQuery(), 0, op.getKeyMask(), 0);
        unify(op.getQuery(), 0, op.getKvLen(), 0);
        unify(op.getQuery(), 0, op.getDocuments(), 0);
        if (!op.getRagged())
          unify(op.getQuery(), 0, op.getPrefix(), 0);
        unify(op.getRagged(), 0, op.getRaggedKeys(), 0);
        if (Value bias = op.getBias()) { // aligned from the right with [batch, heads, queries, keys]
          int64_t rank = cast<ShapedType>(bias.getType()).getRank();
          auto follow = [&](int64_t fromRight, Value other, int64_t dim) {
            if (other && rank >= fromRight && size(bias, rank - fromRight) != 1)
              unify(bias, rank - fromRight, other, dim);
          };
          follow(4, op.getQuery(), 0);
          follow(2, op.getQuery(), cast<ShapedType>(op.getQuery().getType()).getRank() == 3 ? 1 : 2);
          follow(1, value, op.isPacked() ? 2 : keyDim);
        }
        if (!key)
          return;
        unify(op.getQuery(), 0, key, 0);
        unify(op.getQuery(), 0, value, 0);
        unify(value, op.isPacked() ? 2 : keyDim, op.getKeyMask(), 1);
        unify(value, op.isPacked() ? 2 : keyDim, op.getDocuments(), 1);
        if (!op.isPacked())
          unify(key, keyDim, value, keyDim);
      })
      .Case([&](LinearAttentionOp op) {
        int64_t seqDim = op.getSeqDim();
        for (Value other : {op.getKey(), op.getValue(), op.getDecay(), op.getBeta(), op.getState()})
          unify(op.getQuery(), 0, other, 0);
        for (Value other : {op.getKey(), op.getValue()})
          unify(op.getQuery(), seqDim, other, seqDim);
        for (Value other : {op.getDecay(), op.getBeta()})
          unify(op.getQuery(), seqDim, other, 1);
      })
      .Case([&](linalg::LinalgOp op) {
        // A loop dimension has one size in every operand that it indexes alone.
        DenseMap<unsigned, std::pair<Value, int64_t>> first;
        for (OpOperand &operand : op->getOpOperands())
          for (auto [d, expr] : llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults()))
            if (auto loop = dyn_cast<AffineDimExpr>(expr)) {
              auto [it, isNew] = first.try_emplace(loop.getPosition(), operand.get(), d);
              if (!isNew)
                unify(it->second.first, it->second.second, operand.get(), d);
            }
      });
}

void FunctionDims::visit(Operation *op, SymbolTableCollection &symbols) {
  visitConstraints(op);
  if (op->hasTrait<OpTrait::Elementwise>() && op->getNumResults() == 1) {
    for (Value operand : op->getOperands())
      if (isa<RankedTensorType>(operand.getType()))
        unifyAll(op->getResult(0), operand);
    return;
  }
  if (auto call = dyn_cast<func::CallOp>(op)) {
    auto callee = symbols.lookupNearestSymbolFrom<func::FuncOp>(call, call.getCalleeAttr());
    llvm::StringMap<std::pair<Value, int64_t>> named; // callee's name → where it is here
    auto visitTensor = [&](Value value, ArrayAttr names) {
      auto type = dyn_cast<RankedTensorType>(value.getType());
      if (!type || !names)
        return;
      unsigned next = 0;
      for (int64_t d = 0; d < type.getRank(); ++d) {
        if (!type.isDynamicDim(d) || next >= names.size())
          continue;
        auto name = cast<StringAttr>(names[next++]).getValue();
        auto [it, isNew] = named.try_emplace(name, value, d);
        if (!isNew)
          unify(it->second.first, it->second.second, value, d);
      }
    };
    for (auto [i, operand] : llvm::enumerate(call.getOperands()))
      visitTensor(operand, callee.getArgAttrOfType<ArrayAttr>(i, kDimsAttr));
    for (auto [i, result] : llvm::enumerate(call.getResults()))
      visitTensor(result, callee.getResultAttrOfType<ArrayAttr>(i, kDimsAttr));
    return;
  }
  if (auto cast = dyn_cast<tensor::CastOp>(op))
    return unifyAll(cast.getSource(), cast.getResult());
  // Dimensions that a reshape neither splits nor joins keep their size.
  auto reshape = [&](Value wide, Value narrow, ArrayRef<ReassociationIndices> groups) {
    for (auto [d, group] : llvm::enumerate(groups))
      if (group.size() == 1)
        unify(wide, group[0], narrow, d);
  };
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op))
    return reshape(collapse.getSrc(), collapse.getResult(), collapse.getReassociationIndices());
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op)) {
    for (auto [d, size] : llvm::enumerate(expand.getMixedOutputShape()))
      unifySize(expand.getResult(), d, size);
    return reshape(expand.getResult(), expand.getSrc(), expand.getReassociationIndices());
  }
  if (auto empty = dyn_cast<tensor::EmptyOp>(op)) {
    for (auto [d, size] : llvm::enumerate(empty.getMixedSizes()))
      unifySize(empty.getResult(), d, size);
    return;
  }
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    llvm::SmallBitVector dropped = slice.getDroppedDims();
    int64_t next = 0;
    for (auto [d, size] : llvm::enumerate(slice.getMixedSizes()))
      if (!dropped.test(d))
        unifySize(slice.getResult(), next++, size);
    return;
  }
  auto reify = dyn_cast<ReifyRankedShapedTypeOpInterface>(op);
  if (!reify || op->getNumResults() == 0 || !isa<RankedTensorType>(op->getResult(0).getType()))
    return;
  // The ops that reify makes are only looked at.
  OpBuilder builder(op);
  Operation *before = op->getPrevNode();
  ReifiedRankedShapedTypeDims shapes;
  if (succeeded(reify.reifyResultShapes(builder, shapes)))
    for (auto [result, shape] : llvm::zip(op->getResults(), shapes))
      for (auto [d, size] : llvm::enumerate(shape))
        unifySize(result, d, size);
  while (op->getPrevNode() != before)
    op->getPrevNode()->erase();
}

struct NameDims : impl::NameDimsBase<NameDims> {
  void runOnOperation() override {
    SymbolTableCollection symbols;
    llvm::SmallPtrSet<Operation *, 8> done, open;
    for (auto func : getOperation().getOps<func::FuncOp>())
      if (failed(visitFunction(func, symbols, done, open)))
        return signalPassFailure();
  }

  LogicalResult visitFunction(func::FuncOp func, SymbolTableCollection &symbols,
                              llvm::SmallPtrSetImpl<Operation *> &done, llvm::SmallPtrSetImpl<Operation *> &open) {
    if (func.isDeclaration() || done.contains(func))
      return success();
    if (!open.insert(func).second)
      return func.emitOpError("expected functions that do not call themselves");
    if (!func.getBody().hasOneBlock())
      return func.emitOpError("expected one block: control flow in a model is not supported");
    FunctionDims dims(func);
    for (Operation &op : func.getBody().front()) {
      if (auto call = dyn_cast<func::CallOp>(op)) {
        auto callee = symbols.lookupNearestSymbolFrom<func::FuncOp>(call, call.getCalleeAttr());
        if (!callee || failed(visitFunction(callee, symbols, done, open)))
          return callee ? failure() : call.emitOpError("expected a function of this module");
      }
      dims.visit(&op, symbols);
    }
    done.insert(func);
    return name(dims);
  }

  LogicalResult name(FunctionDims &dims) {
    func::FuncOp func = dims.func;
    std::map<Node, StringAttr> names;
    llvm::StringSet<> taken;
    Builder b(&getContext());
    // Names that the author gave.
    auto collect = [&](Value value, ArrayAttr given, StringRef what, unsigned index) -> LogicalResult {
      auto type = dyn_cast<RankedTensorType>(value.getType());
      if (!given)
        return success();
      if (!type || (int64_t)given.size() != type.getNumDynamicDims() ||
          !llvm::all_of(given, llvm::IsaPred<StringAttr>))
        return func.emitOpError() << "expected '" << kDimsAttr << "' of " << what << " " << index
                                  << " to name its dynamic dimensions, " << (type ? type.getNumDynamicDims() : 0)
                                  << " strings";
      unsigned next = 0;
      for (int64_t d = 0; d < type.getRank(); ++d) {
        if (!type.isDynamicDim(d))
          continue;
        auto name = cast<StringAttr>(given[next++]);
        auto [it, isNew] = names.try_emplace(dims.node(value, d), name);
        if (!isNew && it->second != name)
          return func.emitOpError() << "expected one name for equal dimensions, got '" << it->second.getValue()
                                    << "' and '" << name.getValue() << "' (dimension " << d << " of " << what << " "
                                    << index << ")";
        taken.insert(name);
      }
      return success();
    };
    auto returned = func.getBody().front().getTerminator()->getOperands();
    for (BlockArgument arg : func.getArguments())
      if (failed(collect(arg, func.getArgAttrOfType<ArrayAttr>(arg.getArgNumber(), kDimsAttr), "argument",
                         arg.getArgNumber())))
        return failure();
    for (auto [i, value] : llvm::enumerate(returned))
      if (failed(collect(value, func.getResultAttrOfType<ArrayAttr>(i, kDimsAttr), "result", i)))
        return failure();

    // Names of the rest.
    std::set<Node> inputs;
    auto assign = [&](Value value, bool isInput, unsigned index) -> FailureOr<ArrayAttr> {
      auto type = cast<RankedTensorType>(value.getType());
      SmallVector<Attribute> result;
      for (int64_t d = 0; d < type.getRank(); ++d) {
        if (!type.isDynamicDim(d))
          continue;
        Node node = dims.node(value, d);
        if (isInput)
          inputs.insert(node);
        else if (auto it = dims.constants.find(node); it != dims.constants.end())
          return FailureOr<ArrayAttr>(func.emitOpError() << "expected static size " << it->second << " in dimension "
                                                         << d << " of result " << index);
        else if (!inputs.count(node))
          return FailureOr<ArrayAttr>(func.emitOpError() << "expected dimension " << d << " of result " << index
                                                         << " to follow from the inputs' dimensions");
        StringAttr &name = names[node];
        for (unsigned n = 0; !name; ++n)
          if (std::string candidate = "d" + std::to_string(n); taken.insert(candidate).second)
            name = b.getStringAttr(candidate);
        result.push_back(name);
      }
      return b.getArrayAttr(result);
    };
    for (BlockArgument arg : func.getArguments()) {
      if (func.isPublic() && !func.getArgAttr(arg.getArgNumber(), kNameAttr) && isa<TensorType>(arg.getType()))
        func.setArgAttr(arg.getArgNumber(), kNameAttr, b.getStringAttr("arg" + std::to_string(arg.getArgNumber())));
      if (isa<RankedTensorType>(arg.getType()))
        func.setArgAttr(arg.getArgNumber(), kDimsAttr, *assign(arg, true, arg.getArgNumber()));
    }
    for (auto [i, value] : llvm::enumerate(returned)) {
      if (!isa<RankedTensorType>(value.getType()))
        return func.emitOpError() << "expected tensors as results, got " << value.getType();
      FailureOr<ArrayAttr> named = assign(value, false, i);
      if (failed(named))
        return failure();
      func.setResultAttr(i, kDimsAttr, *named);
      if (func.isPublic() && !func.getResultAttr(i, kNameAttr))
        func.setResultAttr(i, kNameAttr, b.getStringAttr("out" + std::to_string(i)));
    }
    return success();
  }
};
} // namespace
} // namespace attnc
