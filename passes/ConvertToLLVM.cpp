//===- ConvertToLLVM.cpp - dispatch, launch and fail to calls of the support code ---------------===//
//
//   void attn_dispatch(ptr context, ptr kernel, ptr arg, i64 count, ptr op, i64 flop, i64 bytes)
//   where kernel is void (ptr arg, i64 task, i64 worker)
//   void attn_fail(ptr context, i32 status, ptr message)
//   void attn_external(ptr context, ptr name, ptr tensors, i32 inputs, i32 outputs)
//   void attn_launch(ptr context, ptr pipeline, ptr tensors, i32 inputs, i32 inits, ptr op, i64 flop, i64 bytes)
//   where pipeline is i32 (ptr args), in what the backend compiled
//   void attn_copy_to_host(ptr context, ptr tensors), void attn_copy_to_device(ptr context, ptr tensors)
//   where tensors is an array of DLTensor; a scalar is one of rank 0
//
// The captures of a kernel travel in one struct on the stack: dispatch returns when all tasks are done.
//
//===----------------------------------------------------------------------------------===//
#include "passes/Passes.h"
#include "passes/Signature.h"

#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/LLVMCommon/Pattern.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

#include <dlpack/dlpack.h>

namespace attnc {
#define GEN_PASS_DEF_CONVERTTOLLVM
#include "passes/Passes.h.inc"

namespace {
using namespace attn;

/// Address of a constant text of the module.
Value textAddress(OpBuilder &b, Location loc, ModuleOp module, StringRef text) {
  for (unsigned n = 0;; ++n) {
    std::string candidate = "attn.text." + std::to_string(n);
    auto global = module.lookupSymbol<LLVM::GlobalOp>(candidate);
    std::string value = text.str() + '\0';
    if (!global) {
      OpBuilder top = OpBuilder::atBlockBegin(module.getBody());
      auto type = LLVM::LLVMArrayType::get(b.getI8Type(), value.size());
      global = LLVM::GlobalOp::create(top, loc, type, /*isConstant=*/true, LLVM::Linkage::Internal, candidate,
                                      b.getStringAttr(value));
    } else if (cast<StringAttr>(global.getValueAttr()).getValue() != value) {
      continue;
    }
    return LLVM::AddressOfOp::create(b, loc, global);
  }
}

LLVM::LLVMFuncOp declare(ModuleOp module, StringRef name, TypeRange arguments, Type result = {}) {
  if (auto found = module.lookupSymbol<LLVM::LLVMFuncOp>(name))
    return found;
  OpBuilder b = OpBuilder::atBlockBegin(module.getBody());
  auto type = LLVM::LLVMFunctionType::get(result ? result : LLVM::LLVMVoidType::get(b.getContext()),
                                          llvm::to_vector(arguments));
  return LLVM::LLVMFuncOp::create(b, module.getLoc(), name, type);
}

struct ConvertDispatch : ConvertOpToLLVMPattern<DispatchOp> {
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;
  LogicalResult matchAndRewrite(DispatchOp op, OpAdaptor adaptor, ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    auto module = op->getParentOfType<ModuleOp>();
    auto ptr = LLVM::LLVMPointerType::get(b.getContext());
    Type i64 = b.getI64Type();
    auto argType = LLVM::LLVMStructType::getLiteral(b.getContext(), llvm::to_vector(adaptor.getInputs().getTypes()));

    LLVM::LLVMFuncOp thunk = getThunk(op, argType, b);
    Value arg;
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(&op->getParentOfType<func::FuncOp>().getBody().front());
      Value one = LLVM::ConstantOp::create(b, loc, i64, b.getI64IntegerAttr(1));
      arg = LLVM::AllocaOp::create(b, loc, ptr, argType, one);
    }
    for (auto [i, value] : llvm::enumerate(adaptor.getInputs())) {
      Value field = LLVM::GEPOp::create(b, loc, ptr, argType, arg, ArrayRef<LLVM::GEPArg>{0, int32_t(i)});
      LLVM::StoreOp::create(b, loc, value, field);
    }
    auto dispatch = declare(module, "attn_dispatch", {ptr, ptr, ptr, i64, ptr, i64, i64});
    Value kernel = LLVM::AddressOfOp::create(b, loc, ptr, thunk.getName());
    Value name = textAddress(b, loc, module, op.getOp());
    b.replaceOpWithNewOp<LLVM::CallOp>(op, dispatch,
                                       ValueRange{adaptor.getInputs()[0], kernel, arg, adaptor.getCount(), name,
                                                  adaptor.getFlop(), adaptor.getBytes()});
    return success();
  }

  /// void thunk(ptr arg, i64 task, i64 worker): unpacks the struct and calls the kernel.
  LLVM::LLVMFuncOp getThunk(DispatchOp op, LLVM::LLVMStructType argType, ConversionPatternRewriter &b) const {
    auto module = op->getParentOfType<ModuleOp>();
    Location loc = op.getLoc();
    std::string name = (op.getKernel() + ".thunk").str();
    if (auto found = module.lookupSymbol<LLVM::LLVMFuncOp>(name))
      return found;
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    auto ptr = LLVM::LLVMPointerType::get(b.getContext());
    auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()),
                                            {ptr, b.getI64Type(), b.getI64Type()});
    auto thunk = LLVM::LLVMFuncOp::create(b, loc, name, type, LLVM::Linkage::Internal);
    Block *entry = thunk.addEntryBlock(b);
    b.setInsertionPointToStart(entry);
    SmallVector<Value> captures;
    for (auto [i, field] : llvm::enumerate(argType.getBody())) {
      Value at = LLVM::GEPOp::create(b, loc, ptr, argType, entry->getArgument(0), ArrayRef<LLVM::GEPArg>{0, int32_t(i)});
      Value value = LLVM::LoadOp::create(b, loc, field, at);
      captures.push_back(UnrealizedConversionCastOp::create(b, loc, op.getInputs()[i].getType(), value).getResult(0));
    }
    for (unsigned i : {1, 2})
      captures.push_back(
          UnrealizedConversionCastOp::create(b, loc, b.getIndexType(), entry->getArgument(i)).getResult(0));
    // func.call, not llvm.call: the kernel is still a func.func.
    func::CallOp::create(b, loc, op.getKernel(), TypeRange(), captures);
    LLVM::ReturnOp::create(b, loc, ValueRange());
    return thunk;
  }
};

struct ConvertFail : ConvertOpToLLVMPattern<FailOp> {
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;
  LogicalResult matchAndRewrite(FailOp op, OpAdaptor adaptor, ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    auto module = op->getParentOfType<ModuleOp>();
    auto ptr = LLVM::LLVMPointerType::get(b.getContext());
    auto fail = declare(module, "attn_fail", {ptr, b.getI32Type(), ptr});
    auto branch = scf::IfOp::create(b, loc, adaptor.getCondition(), /*withElse=*/false);
    b.setInsertionPointToStart(branch.thenBlock());
    Value status = LLVM::ConstantOp::create(b, loc, b.getI32Type(), op.getStatusAttr());
    Value context = op->getParentOfType<func::FuncOp>().getArgument(0);
    LLVM::CallOp::create(b, loc, fail, ValueRange{context, status, textAddress(b, loc, module, op.getMessage())});
    b.eraseOp(op);
    return success();
  }
};

/// What the support code takes as an array of DLTensor: buffers, and scalars as tensors of rank 0.
template <typename Op> struct ConvertCall : ConvertOpToLLVMPattern<Op> {
  using ConvertOpToLLVMPattern<Op>::ConvertOpToLLVMPattern;

  static Value constant(OpBuilder &b, Location loc, Type type, int64_t value) {
    return LLVM::ConstantOp::create(b, loc, type, IntegerAttr::get(type, value));
  }

  Value tensors(Op op, ValueRange operands, ValueRange converted, ConversionPatternRewriter &b) const {
    Location loc = op.getLoc();
    auto ptr = LLVM::LLVMPointerType::get(b.getContext());
    Type i8 = b.getI8Type(), i16 = b.getI16Type(), i32 = b.getI32Type(), i64 = b.getI64Type();
    // data, device {type, id}, ndim, dtype {code, bits, lanes}, shape, strides, byte_offset
    auto tensorType = LLVM::LLVMStructType::getLiteral(b.getContext(), {ptr, i32, i32, i32, i8, i8, i16, ptr, ptr, i64});
    auto allocate = [&](Type type, int64_t count) -> Value {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(&op->template getParentOfType<func::FuncOp>().getBody().front());
      return LLVM::AllocaOp::create(b, loc, ptr, type, constant(b, loc, i64, count));
    };
    auto store = [&](Value value, Type type, Value to, ArrayRef<LLVM::GEPArg> indices) {
      LLVM::StoreOp::create(b, loc, value, LLVM::GEPOp::create(b, loc, ptr, type, to, indices));
    };
    Value tensors = allocate(tensorType, operands.size());
    for (auto [i, operand] : llvm::enumerate(operands)) {
      auto type = dyn_cast<MemRefType>(operand.getType());
      Type element = type ? type.getElementType() : converted[i].getType(); // an index is i64
      bool pairs = isa<LaunchOp>(op) && type && isPairs(type); // as u32 each
      int64_t rank = type ? type.getRank() - pairs : 0;
      Value data, sizes = LLVM::ZeroOp::create(b, loc, ptr), strides = sizes;
      if (type) {
        MemRefDescriptor memref(converted[i]);
        data = memref.bufferPtr(b, loc, *this->getTypeConverter(), type);
        sizes = allocate(i64, 2 * rank);
        for (int32_t d = 0; d < rank; ++d) {
          store(memref.size(b, loc, d), i64, sizes, {d});
          Value stride = memref.stride(b, loc, d);
          if (pairs)
            stride = LLVM::UDivOp::create(b, loc, stride, constant(b, loc, i64, 2));
          store(stride, i64, sizes, {int32_t(rank + d)});
        }
        strides = LLVM::GEPOp::create(b, loc, ptr, i64, sizes, ArrayRef<LLVM::GEPArg>{int32_t(rank)});
      } else {
        data = allocate(element, 1);
        LLVM::StoreOp::create(b, loc, converted[i], data);
      }
      unsigned code = pairs ? kDLUInt : element.isInteger() ? kDLInt : element.isBF16() ? kDLBfloat : kDLFloat;
      Value fields[] = {data,
                        constant(b, loc, i32, kDLCPU),
                        constant(b, loc, i32, 0),
                        constant(b, loc, i32, rank),
                        constant(b, loc, i8, code),
                        constant(b, loc, i8, (pairs + 1) * element.getIntOrFloatBitWidth()),
                        constant(b, loc, i16, 1),
                        sizes,
                        strides,
                        constant(b, loc, i64, 0)};
      for (auto [field, value] : llvm::enumerate(fields))
        store(value, tensorType, tensors, {int32_t(i), int32_t(field)});
    }
    return tensors;
  }

  static SmallVector<Value> joined(ValueRange inputs, ValueRange inits) {
    SmallVector<Value> all(inputs);
    llvm::append_range(all, inits);
    return all;
  }
};

struct ConvertExternal : ConvertCall<ExternalOp> {
  using ConvertCall::ConvertCall;
  LogicalResult matchAndRewrite(ExternalOp op, OpAdaptor adaptor, ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    auto module = op->getParentOfType<ModuleOp>();
    auto ptr = LLVM::LLVMPointerType::get(b.getContext());
    Type i32 = b.getI32Type();
    Value array = tensors(op, joined(op.getInputs(), op.getInits()), joined(adaptor.getInputs(), adaptor.getInits()), b);
    auto external = declare(module, "attn_external", {ptr, ptr, ptr, i32, i32});
    Value context = op->getParentOfType<func::FuncOp>().getArgument(0);
    b.replaceOpWithNewOp<LLVM::CallOp>(op, external,
                                       ValueRange{context, textAddress(b, loc, module, op.getName()), array,
                                                  constant(b, loc, i32, op.getInputs().size()),
                                                  constant(b, loc, i32, op.getInits().size())});
    return success();
  }
};

struct ConvertLaunch : ConvertCall<LaunchOp> {
  using ConvertCall::ConvertCall;
  LogicalResult matchAndRewrite(LaunchOp op, OpAdaptor adaptor, ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    auto module = op->getParentOfType<ModuleOp>();
    auto ptr = LLVM::LLVMPointerType::get(b.getContext());
    Type i32 = b.getI32Type(), i64 = b.getI64Type();
    Value array = tensors(op, joined(op.getInputs(), op.getInits()), joined(adaptor.getInputs(), adaptor.getInits()), b);
    auto pipeline = declare(module, (kPipelinePrefix + op.getPipeline() + "_argv").str(), {ptr}, i32);
    auto launch = declare(module, "attn_launch", {ptr, ptr, ptr, i32, i32, ptr, i64, i64});
    Value context = op->getParentOfType<func::FuncOp>().getArgument(0);
    b.replaceOpWithNewOp<LLVM::CallOp>(
        op, launch,
        ValueRange{context, LLVM::AddressOfOp::create(b, loc, ptr, pipeline.getName()), array,
                   constant(b, loc, i32, op.getInputs().size()), constant(b, loc, i32, op.getInits().size()),
                   textAddress(b, loc, module, op.getOp()), adaptor.getFlop(), adaptor.getBytes()});
    return success();
  }
};

template <typename Op> struct ConvertCopy : ConvertCall<Op> {
  using ConvertCall<Op>::ConvertCall;
  LogicalResult matchAndRewrite(Op op, typename Op::Adaptor adaptor, ConversionPatternRewriter &b) const override {
    auto ptr = LLVM::LLVMPointerType::get(b.getContext());
    Value array = this->tensors(op, op.getBuffer(), adaptor.getBuffer(), b);
    auto copy = declare(op->template getParentOfType<ModuleOp>(),
                        isa<CopyToHostOp>(op) ? "attn_copy_to_host" : "attn_copy_to_device", {ptr, ptr});
    Value context = op->template getParentOfType<func::FuncOp>().getArgument(0);
    b.replaceOpWithNewOp<LLVM::CallOp>(op, copy, ValueRange{context, array});
    return success();
  }
};

/// Pipelines as text: upstream's conversions would convert what is in them.
void printPipelines(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  for (auto pipeline : llvm::make_early_inc_range(module.getOps<PipelineOp>())) {
    stream << pipeline << "\n";
    pipeline.erase();
  }
  if (!text.empty())
    module->setAttr(kPipelinesAttr, StringAttr::get(module.getContext(), text));
}

struct ConvertToLLVM : impl::ConvertToLLVMBase<ConvertToLLVM> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    printPipelines(module);
    // Functions of math that have no instruction: inlined polynomials, no libm.
    RewritePatternSet math(&getContext());
    populateMathPolynomialApproximationPatterns(math, [](StringRef) { return true; });
    if (failed(applyPatternsGreedily(module, std::move(math))))
      return signalPassFailure();

    for (auto func : module.getOps<func::FuncOp>()) {
      if (func->hasAttr(kOutputsAttr) && func.isPublic())
        func->setAttr(LLVM::LLVMDialect::getEmitCWrapperAttrName(), UnitAttr::get(&getContext()));
      // What described the boundary is in the graph module.
      for (unsigned i = 0; i < func.getNumArguments(); ++i)
        func.setArgAttrs(i, ArrayRef<NamedAttribute>());
    }
    LLVMTypeConverter converter(&getContext());
    RewritePatternSet patterns(&getContext());
    patterns.add<ConvertDispatch, ConvertFail, ConvertExternal, ConvertLaunch, ConvertCopy<CopyToHostOp>,
                 ConvertCopy<CopyToDeviceOp>>(converter);
    LLVMConversionTarget target(getContext());
    target.addIllegalOp<DispatchOp, FailOp, ExternalOp, LaunchOp, CopyToHostOp, CopyToDeviceOp>();
    target.markUnknownOpDynamicallyLegal([](Operation *) { return true; });
    if (failed(applyPartialConversion(module, target, std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
} // namespace attnc
