//===- Bufferize.cpp - Tensors to buffers, results to caller-allocated arguments ---------===//
//
// Functions are straight lines of ops, so a walk in order suffices: each tensor value has a buffer, and
// nothing is updated in place. Own code because results have dynamic sizes, which upstream's
// buffer-results-to-out-params refuses.
//
//===----------------------------------------------------------------------------------===//
#include "passes/Passes.h"
#include "passes/Signature.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/Transforms/BufferUtils.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "llvm/ADT/TypeSwitch.h"

namespace attnc {
#define GEN_PASS_DEF_BUFFERIZE
#include "passes/Passes.h.inc"

namespace {
using namespace attn;

MemRefType bufferType(Type tensor) {
  auto type = cast<RankedTensorType>(tensor);
  return MemRefType::get(type.getShape(), type.getElementType());
}

/// Of an argument that may have any strides but of the innermost dimension.
MemRefType stridedBufferType(Type tensor) {
  MemRefType type = bufferType(tensor);
  SmallVector<int64_t> strides(type.getRank(), ShapedType::kDynamic);
  strides.back() = 1;
  return MemRefType::get(type.getShape(), type.getElementType(), StridedLayoutAttr::get(type.getContext(), 0, strides));
}

/// The new arguments of one function.
struct FunctionBuffers {
  Value context, weights, workspace, workers;
  SmallVector<Value> outs;
  SmallVector<Value> caches[2]; // pages, table, past, page of the function's own cache and of the cross cache, or none
};

struct BufferizeFunction {
  ModuleOp module;
  func::FuncOp func;
  FunctionBuffers args;
  IRMapping map; // tensor value → buffer
  OpBuilder b;
  llvm::SmallPtrSet<Operation *, 32> replaced; // ops whose buffer form exists
  DenseMap<Value, Value> destinations; // returned tensor → output argument
  SmallVector<DictionaryAttr> argAttrs; // of the new arguments, set when the tensor arguments are gone

  BufferizeFunction(ModuleOp module, func::FuncOp func) : module(module), func(func), b(func.getContext()) {}

  LogicalResult run();
  LogicalResult visit(Operation *op);
  void convertSignature();
  LogicalResult reifySizes(Operation *op, ReifiedRankedShapedTypeDims &shapes);
  FailureOr<SmallVector<Value>> allocateResults(Operation *op);
  void visitCall(func::CallOp call);

  Value buffer(Value tensor) { return tensor ? map.lookupOrDefault(tensor) : Value(); }
};

/// Argument order: context, inputs, outputs, cache, weights, workspace, workers (see the pass description).
void BufferizeFunction::convertSignature() {
  MLIRContext *context = func.getContext();
  Location loc = func.getLoc();
  Block &body = func.getBody().front();
  FunctionType old = func.getFunctionType();
  DictionaryAttr none = b.getDictionaryAttr({});
  BlockArgument caches[2];

  args.context = body.insertArgument(0u, LLVM::LLVMPointerType::get(context), loc);
  argAttrs.push_back(none);
  unsigned next = 1;
  for (auto [i, type] : llvm::enumerate(old.getInputs())) {
    BlockArgument arg = body.getArgument(next);
    if (auto cache = dyn_cast<CacheType>(type)) {
      caches[cache.getCross()] = arg;
      ++next;
      continue;
    }
    argAttrs.push_back(func.getArgAttrDict(i) ? func.getArgAttrDict(i) : none);
    if (isa<RankedTensorType>(type)) {
      MemRefType buffer = func.getArgAttr(i, kStridedAttr) ? stridedBufferType(type) : bufferType(type);
      BlockArgument replacement = body.insertArgument(next, buffer, loc);
      map.map(arg, replacement); // the tensor argument stays until its users are gone
      ++next;
    }
    ++next;
  }
  for (auto [i, type] : llvm::enumerate(old.getResults())) {
    args.outs.push_back(body.addArgument(bufferType(type), loc));
    argAttrs.push_back(func.getResultAttrDict(i) ? func.getResultAttrDict(i) : none);
  }
  auto add = [&](Type type) {
    argAttrs.push_back(none);
    return body.addArgument(type, loc);
  };
  int64_t dyn = ShapedType::kDynamic;
  SmallVector<Attribute> cacheTypes;
  for (auto [cache, parts] : llvm::zip(caches, args.caches)) {
    if (!cache)
      continue;
    cacheTypes.push_back(TypeAttr::get(cache.getType()));
    parts = {add(MemRefType::get({dyn}, cast<CacheType>(cache.getType()).getElementType())),
             add(MemRefType::get({dyn, dyn}, b.getI32Type())), add(MemRefType::get({dyn}, b.getI32Type())),
             add(b.getIndexType())};
    b.setInsertionPointToStart(&body);
    map.map(cache, CacheViewOp::create(b, loc, cache.getType(), parts[0], parts[1], parts[2], parts[3]).getCache());
  }
  args.weights = add(MemRefType::get({dyn}, b.getI8Type()));
  args.workspace = add(MemRefType::get({dyn}, b.getI8Type()));
  args.workers = add(b.getIndexType());
  func->setAttr(kOutputsAttr, b.getI64IntegerAttr(args.outs.size()));
  if (!cacheTypes.empty())
    func->setAttr(kCachesAttr, b.getArrayAttr(cacheTypes));
}

LogicalResult BufferizeFunction::run() {
  Block &body = func.getBody().front();
  SmallVector<Operation *> ops;
  for (Operation &op : body)
    ops.push_back(&op);
  convertSignature();

  auto ret = cast<func::ReturnOp>(body.getTerminator());
  for (auto [value, out] : llvm::zip(ret.getOperands(), args.outs))
    if (value.getDefiningOp() && !isa<tensor::CastOp>(value.getDefiningOp()))
      destinations.try_emplace(value, out);

  for (Operation *op : ops) {
    b.setInsertionPoint(op);
    auto isGraphType = llvm::IsaPred<TensorType, CacheType>;
    if (!llvm::any_of(op->getOperandTypes(), isGraphType) && !llvm::any_of(op->getResultTypes(), isGraphType) &&
        !op->hasTrait<OpTrait::ReturnLike>())
      continue;
    replaced.insert(op);
    if (failed(visit(op)))
      return failure();
  }
  // Nothing uses the tensor form now. Index arithmetic stays.
  for (Operation *op : llvm::reverse(ops))
    if (replaced.contains(op))
      op->erase();
  for (unsigned i = body.getNumArguments(); i-- > 0;) {
    BlockArgument arg = body.getArgument(i);
    if (!isa<RankedTensorType, CacheType>(arg.getType()))
      continue;
    if (!arg.use_empty())
      return func.emitOpError() << "has an op without a buffer form: '" << (*arg.user_begin())->getName() << "'";
    body.eraseArgument(i);
  }
  func.setFunctionType(FunctionType::get(func.getContext(), body.getArgumentTypes(), {}));
  func->removeAttr("res_attrs");
  func.setAllArgAttrs(argAttrs);
  return success();
}

/// Sizes of the results, read from buffers where the op's reification reads them from tensors.
LogicalResult BufferizeFunction::reifySizes(Operation *op, ReifiedRankedShapedTypeDims &shapes) {
  Operation *before = op->getPrevNode();
  if (failed(reifyResultShapes(b, op, shapes)))
    return failure();
  DenseMap<Value, Value> converted;
  for (Operation *made = before ? before->getNextNode() : &op->getBlock()->front(); made != op;) {
    auto dim = dyn_cast<tensor::DimOp>(made);
    made = made->getNextNode();
    if (!dim)
      continue;
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(dim);
    Value size = memref::DimOp::create(b, dim.getLoc(), buffer(dim.getSource()), dim.getIndex());
    converted[dim.getResult()] = size;
    dim.getResult().replaceAllUsesWith(size);
    dim.erase();
  }
  for (auto &shape : shapes)
    for (OpFoldResult &size : shape)
      if (auto value = dyn_cast<Value>(size))
        if (Value now = converted.lookup(value))
          size = now;
  return success();
}

/// One buffer per tensor result: the function's output, or an allocation with the sizes that the op reifies.
FailureOr<SmallVector<Value>> BufferizeFunction::allocateResults(Operation *op) {
  SmallVector<Value> buffers;
  ReifiedRankedShapedTypeDims shapes;
  for (Value result : op->getResults()) {
    if (Value out = destinations.lookup(result)) {
      buffers.push_back(out);
      map.map(result, out);
      continue;
    }
    MemRefType type = bufferType(result.getType());
    SmallVector<Value> sizes;
    if (type.getNumDynamicDims() != 0) {
      if (shapes.empty() && failed(reifySizes(op, shapes)))
        return FailureOr<SmallVector<Value>>(op->emitOpError("has no buffer form yet: the size of its result is unknown"));
      for (auto [d, size] : llvm::enumerate(shapes[cast<OpResult>(result).getResultNumber()]))
        if (type.isDynamicDim(d))
          sizes.push_back(getValueOrCreateConstantIndexOp(b, op->getLoc(), size));
    }
    Value alloc = memref::AllocOp::create(b, op->getLoc(), type, sizes);
    buffers.push_back(alloc);
    map.map(result, alloc);
  }
  return buffers;
}

void BufferizeFunction::visitCall(func::CallOp call) {
  Location loc = call.getLoc();
  auto callee = module.lookupSymbol<func::FuncOp>(call.getCallee());
  SmallVector<Value> operands = {args.context}, sizes;
  llvm::StringMap<Value> named; // callee's dimension → its value here
  // The callee may be converted already: its original types and names are kept by runOnOperation.
  auto original = cast<TypeAttr>(callee->getAttr(kOriginalTypeAttr)).getValue();
  auto argDims = cast<ArrayAttr>(callee->getAttr("attn.arg_dims"));
  auto resultDims = cast<ArrayAttr>(callee->getAttr("attn.result_dims"));
  auto type = cast<FunctionType>(original);
  bool uses[2] = {false, false}; // its own cache, the cross cache
  for (auto [i, operand] : llvm::enumerate(call.getOperands())) {
    if (auto cache = dyn_cast<CacheType>(operand.getType())) {
      uses[cache.getCross()] = true;
      continue;
    }
    auto tensor = dyn_cast<RankedTensorType>(type.getInput(i));
    if (!tensor) {
      operands.push_back(operand);
      continue;
    }
    Value value = buffer(operand);
    operands.push_back(value);
    unsigned next = 0;
    for (int64_t d = 0; d < tensor.getRank(); ++d)
      if (tensor.isDynamicDim(d)) {
        Value size = memref::DimOp::create(b, loc, value, d);
        sizes.push_back(size);
        named.try_emplace(cast<StringAttr>(cast<ArrayAttr>(argDims[i])[next++]).getValue(), size);
      }
  }
  for (auto [i, result] : llvm::enumerate(call.getResults())) {
    Value out = destinations.lookup(result);
    if (!out) {
      MemRefType outType = bufferType(result.getType());
      SmallVector<Value> dims;
      for (unsigned d = 0; d < (unsigned)outType.getNumDynamicDims(); ++d)
        dims.push_back(named.lookup(cast<StringAttr>(cast<ArrayAttr>(resultDims[i])[d]).getValue()));
      out = memref::AllocOp::create(b, loc, outType, dims);
    }
    map.map(result, out);
    operands.push_back(out);
  }
  for (auto [used, parts] : llvm::zip(uses, args.caches))
    if (used)
      operands.append(parts);
  sizes.push_back(args.workers);
  Value bytes = func::CallOp::create(b, loc, (callee.getSymName() + ".workspace").str(),
                                     TypeRange(b.getIndexType()), sizes).getResult(0);
  Value workspace =
      memref::AllocOp::create(b, loc, MemRefType::get({ShapedType::kDynamic}, b.getI8Type()), ValueRange(bytes));
  operands.append({args.weights, workspace, args.workers});
  func::CallOp::create(b, loc, callee.getSymName(), TypeRange(), operands);
}

LogicalResult BufferizeFunction::visit(Operation *op) {
  Location loc = op->getLoc();
  auto bufferOperands = [&](Operation *op) {
    return llvm::map_to_vector(op->getOperands(), [&](Value v) { return buffer(v); });
  };
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](ml_program::GlobalLoadConstOp load) {
        auto global = module.lookupSymbol<ml_program::GlobalOp>(load.getGlobal().getLeafReference());
        auto offset = global->getAttrOfType<IntegerAttr>("attn.offset");
        if (!offset)
          return LogicalResult(load.emitOpError("expected a parameter placed by attn-pack-weights"));
        Value at = arith::ConstantIndexOp::create(b, loc, offset.getInt());
        map.map(load.getResult(),
                memref::ViewOp::create(b, loc, bufferType(load.getResult().getType()), args.weights, at, ValueRange())
                    .getResult());
        return success();
      })
      .Case([&](arith::ConstantOp constant) {
        SymbolTableCollection symbols;
        FailureOr<memref::GlobalOp> global = bufferization::getGlobalFor(constant, symbols, /*alignment=*/64);
        if (failed(global))
          return LogicalResult(failure());
        map.map(constant.getResult(),
                memref::GetGlobalOp::create(b, loc, bufferType(constant.getType()), global->getName()).getResult());
        return success();
      })
      .Case([&](tensor::DimOp dim) {
        Value size = memref::DimOp::create(b, loc, buffer(dim.getSource()), dim.getIndex());
        dim.getResult().replaceAllUsesWith(size);
        return success();
      })
      .Case([&](tensor::CastOp cast) {
        map.map(cast.getResult(),
                memref::CastOp::create(b, loc, bufferType(cast.getType()), buffer(cast.getSource())).getResult());
        return success();
      })
      .Case([&](tensor::ExtractSliceOp slice) {
        Value source = buffer(slice.getSource());
        auto type = cast<MemRefType>(memref::SubViewOp::inferRankReducedResultType(
            slice.getType().getShape(), cast<MemRefType>(source.getType()), slice.getMixedOffsets(),
            slice.getMixedSizes(), slice.getMixedStrides()));
        map.map(slice.getResult(), memref::SubViewOp::create(b, loc, type, source, slice.getMixedOffsets(),
                                                             slice.getMixedSizes(), slice.getMixedStrides())
                                       .getResult());
        return success();
      })
      .Case([&](tensor::CollapseShapeOp collapse) {
        Value source = buffer(collapse.getSrc());
        if (!memref::CollapseShapeOp::isGuaranteedCollapsible(cast<MemRefType>(source.getType()),
                                                              collapse.getReassociationIndices()))
          return LogicalResult(collapse.emitOpError("of a strided view is not yet lowered"));
        map.map(collapse.getResult(),
                memref::CollapseShapeOp::create(b, loc, source, collapse.getReassociationIndices()).getResult());
        return success();
      })
      .Case([&](tensor::ExpandShapeOp expand) {
        FailureOr<MemRefType> type = memref::ExpandShapeOp::computeExpandedType(
            cast<MemRefType>(buffer(expand.getSrc()).getType()), expand.getType().getShape(),
            expand.getReassociationIndices());
        if (failed(type))
          return LogicalResult(expand.emitOpError("of a strided view is not yet lowered"));
        map.map(expand.getResult(),
                memref::ExpandShapeOp::create(b, loc, *type, buffer(expand.getSrc()),
                                              expand.getReassociationIndices(), expand.getMixedOutputShape())
                    .getResult());
        return success();
      })
      .Case([&](tensor::SplatOp splat) {
        Value out = destinations.lookup(splat.getResult());
        if (!out)
          out = memref::AllocOp::create(b, loc, bufferType(splat.getType()), splat.getDynamicSizes());
        linalg::FillOp::create(b, loc, splat.getInput(), out);
        map.map(splat.getResult(), out);
        return success();
      })
      .Case([&](tensor::ConcatOp concat) {
        FailureOr<SmallVector<Value>> out = allocateResults(op);
        if (failed(out))
          return LogicalResult(failure());
        auto type = cast<MemRefType>((*out)[0].getType());
        SmallVector<OpFoldResult> offsets(type.getRank(), b.getIndexAttr(0)), strides(type.getRank(), b.getIndexAttr(1));
        Value at = arith::ConstantIndexOp::create(b, loc, 0);
        for (Value input : bufferOperands(op)) {
          SmallVector<OpFoldResult> sizes = memref::getMixedSizes(b, loc, input);
          offsets[concat.getDim()] = at;
          memref::CopyOp::create(b, loc, input, memref::SubViewOp::create(b, loc, (*out)[0], offsets, sizes, strides));
          at = arith::AddIOp::create(b, loc, at, getValueOrCreateConstantIndexOp(b, loc, sizes[concat.getDim()]));
        }
        return success();
      })
      .Case([&](tensor::EmptyOp) { return LogicalResult(allocateResults(op)); })
      .Case([&](func::CallOp call) {
        visitCall(call);
        return success();
      })
      .Case([&](func::ReturnOp ret) {
        for (auto [value, out] : llvm::zip(ret.getOperands(), args.outs))
          if (buffer(value) != out)
            memref::CopyOp::create(b, loc, buffer(value), out);
        func::ReturnOp::create(b, loc);
        return success();
      })
      .Case([&](CacheAppendOp append) {
        CacheAppendOp::create(b, loc, buffer(append.getKey()), buffer(append.getValue()),
                              buffer(append.getCache()), append.getLayer(), buffer(append.getKeyMask()));
        return success();
      })
      .Default([&](Operation *op) -> LogicalResult {
        if (isa<AttnDialect>(op->getDialect())) {
          // The same op with buffers, and its results' buffers after `outs`.
          op->walk([&](LoadOp load) { load.getSourceMutable().assign(buffer(load.getSource())); });
          FailureOr<SmallVector<Value>> outs = allocateResults(op);
          return failed(outs) ? failure() : createBufferForm(b, op, bufferOperands(op), *outs);
        }
        if (auto dps = dyn_cast<DestinationStyleOpInterface>(op)) {
          SmallVector<Value> operands = bufferOperands(op);
          for (OpOperand &init : dps.getDpsInitsMutable()) {
            OpResult result = dps.getTiedOpResult(&init);
            Value out = destinations.lookup(result);
            if (!init.get().getDefiningOp<tensor::EmptyOp>()) {
              FailureOr<SmallVector<Value>> copy = allocateResults(op);
              if (failed(copy))
                return failure();
              out = (*copy)[result.getResultNumber()];
              memref::CopyOp::create(b, loc, operands[init.getOperandNumber()], out);
            }
            if (out)
              operands[init.getOperandNumber()] = out;
            map.map(result, operands[init.getOperandNumber()]);
          }
          OperationState state(loc, op->getName(), operands, TypeRange(), op->getAttrs());
          for (Region &region : op->getRegions()) {
            IRMapping inner;
            region.cloneInto(state.addRegion(), inner);
          }
          b.create(state);
          return success();
        }
        return op->emitOpError("is not yet lowered");
      });
}

struct Bufferize : impl::BufferizeBase<Bufferize> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    Builder b(&getContext());
    SmallVector<func::FuncOp> functions(module.getOps<func::FuncOp>());
    // Callers look at what a callee was before.
    for (func::FuncOp func : functions) {
      SmallVector<Attribute> argDims, resultDims;
      SmallVector<Type> dims;
      auto names = [&](DictionaryAttr attrs) -> Attribute {
        auto found = attrs ? attrs.getAs<ArrayAttr>(kDimsAttr) : nullptr;
        return found ? found : b.getArrayAttr({});
      };
      for (unsigned i = 0; i < func.getNumArguments(); ++i) {
        argDims.push_back(names(func.getArgAttrDict(i)));
        if (auto type = dyn_cast<RankedTensorType>(func.getArgumentTypes()[i])) {
          if (int64_t(cast<ArrayAttr>(argDims.back()).size()) != type.getNumDynamicDims()) {
            func.emitOpError("expected dimensions named by attn-name-dims");
            return signalPassFailure();
          }
          dims.append(type.getNumDynamicDims(), b.getIndexType());
        }
      }
      for (unsigned i = 0; i < func.getNumResults(); ++i)
        resultDims.push_back(names(func.getResultAttrDict(i)));
      func->setAttr(kOriginalTypeAttr, TypeAttr::get(func.getFunctionType()));
      func->setAttr("attn.arg_dims", b.getArrayAttr(argDims));
      func->setAttr("attn.result_dims", b.getArrayAttr(resultDims));
      dims.push_back(b.getIndexType()); // workers
      OpBuilder builder(func);
      auto workspace = func::FuncOp::create(builder, func.getLoc(), (func.getSymName() + ".workspace").str(),
                                            b.getFunctionType(dims, b.getIndexType()));
      workspace.setVisibility(SymbolTable::Visibility::Private);
    }
    for (func::FuncOp func : functions)
      if (failed(BufferizeFunction(module, func).run()))
        return signalPassFailure();
    for (func::FuncOp func : functions)
      for (StringRef name : {StringRef(kOriginalTypeAttr), StringRef("attn.arg_dims"), StringRef("attn.result_dims")})
        func->removeAttr(name);
    for (auto global : llvm::make_early_inc_range(module.getOps<ml_program::GlobalOp>()))
      global.erase();
  }
};
} // namespace

LogicalResult createBufferForm(OpBuilder &b, Operation *op, ValueRange operands, ValueRange outs) {
  if (auto external = dyn_cast<ExternalOp>(op)) { // any number of outs
    ExternalOp::create(b, op->getLoc(), TypeRange(), operands.take_front(external.getInputs().size()), ValueRange(), outs,
                       external.getName());
    return success();
  }
  // Segments of optional operands, from the last one: `init`, `lse_init` and `scores_init`; `init` and `state_init` before
  // `scratch`; `init` and `experts_init`; `init` before `scratch`; `init`.
  SmallVector<size_t> outSegments = {1};
  if (isa<LinearOp, ExpertLinearOp>(op))
    outSegments = {2};
  else if (isa<RouteOp>(op))
    outSegments = {2, 1};
  else if (isa<LinearAttentionOp>(op))
    outSegments = outs.size() == 1 ? SmallVector<size_t>{3} : SmallVector<size_t>{3, 2};
  else if (auto attention = dyn_cast<AttentionOp>(op)) {
    outSegments = {3};
    if (attention.getLse())
      outSegments.push_back(2);
    if (attention.getScoresResult())
      outSegments.push_back(1);
  }
  OperationState state(op->getLoc(), op->getName());
  SmallVector<NamedAttribute> attrs(op->getDiscardableAttrs());
  SmallVector<Value> all(operands);
  all.append(outs.begin(), outs.end());
  state.addOperands(all);
  state.addAttributes(attrs);
  for (Region &region : op->getRegions())
    state.addRegion()->takeBody(region);
  state.propertiesAttr = op->getPropertiesAsAttribute();
  if (auto properties = dyn_cast_or_null<DictionaryAttr>(state.propertiesAttr)) {
    if (auto segments = properties.getAs<DenseI32ArrayAttr>("operandSegmentSizes")) {
      SmallVector<int32_t> sizes(segments.asArrayRef());
      for (size_t segment : outSegments)
        sizes[sizes.size() - segment] = 1;
      NamedAttrList list(properties);
      list.set("operandSegmentSizes", b.getDenseI32ArrayAttr(sizes));
      state.propertiesAttr = list.getDictionary(op->getContext());
    }
  }
  b.create(state);
  return success();
}
} // namespace attnc
