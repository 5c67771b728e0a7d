//===- ConvertToLLVM.cpp - dispatch and fail to calls of the support code ---------------------===//
//
//   void attn_dispatch(ptr context, ptr kernel, ptr arg, i64 count, ptr op, i64 flop, i64 bytes)
//   where kernel is void (ptr arg, i64 task, i64 worker)
//   void attn_fail(ptr context, i32 status, ptr message)
//   void attn_external(ptr context, ptr name, ptr tensors, i32 inputs, i32 outputs)
//   where tensors is an array of DLTensor
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

LLVM::LLVMFuncOp declare(ModuleOp module, StringRef name, TypeRange arguments) {
  if (auto found = module.lookupSymbol<LLVM::LLVMFuncOp>(name))
    return found;
  OpBuilder b = OpBuilder::atBlockBegin(module.getBody());
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), llvm::to_vector(arguments));
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

struct ConvertExternal : ConvertOpToLLVMPattern<ExternalOp> {
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;
  LogicalResult matchAndRewrite(ExternalOp op, OpAdaptor adaptor, ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    auto module = op->getParentOfType<ModuleOp>();
    auto ptr = LLVM::LLVMPointerType::get(b.getContext());
    Type i8 = b.getI8Type(), i16 = b.getI16Type(), i32 = b.getI32Type(), i64 = b.getI64Type();
    // data, device {type, id}, ndim, dtype {code, bits, lanes}, shape, strides, byte_offset
    auto tensorType = LLVM::LLVMStructType::getLiteral(b.getContext(), {ptr, i32, i32, i32, i8, i8, i16, ptr, ptr, i64});
    SmallVector<Value> buffers(op.getInputs()), descriptors(adaptor.getInputs());
    llvm::append_range(buffers, op.getInits());
    llvm::append_range(descriptors, adaptor.getInits());
    auto constant = [&](Type type, int64_t value) {
      return LLVM::ConstantOp::create(b, loc, type, IntegerAttr::get(type, value)).getResult();
    };
    auto allocate = [&](Type type, int64_t count) -> Value {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(&op->getParentOfType<func::FuncOp>().getBody().front());
      return LLVM::AllocaOp::create(b, loc, ptr, type, constant(i64, count));
    };
    auto store = [&](Value value, Type type, Value to, ArrayRef<LLVM::GEPArg> indices) {
      LLVM::StoreOp::create(b, loc, value, LLVM::GEPOp::create(b, loc, ptr, type, to, indices));
    };
    Value tensors = allocate(tensorType, buffers.size());
    for (auto [i, buffer] : llvm::enumerate(buffers)) {
      auto type = cast<MemRefType>(buffer.getType());
      Type element = type.getElementType();
      MemRefDescriptor memref(descriptors[i]);
      Value sizes = allocate(i64, 2 * type.getRank());
      for (int32_t d = 0; d < type.getRank(); ++d) {
        store(memref.size(b, loc, d), i64, sizes, {d});
        store(memref.stride(b, loc, d), i64, sizes, {int32_t(type.getRank() + d)});
      }
      Value strides = LLVM::GEPOp::create(b, loc, ptr, i64, sizes, ArrayRef<LLVM::GEPArg>{int32_t(type.getRank())});
      unsigned code = element.isInteger() ? kDLInt : element.isBF16() ? kDLBfloat : kDLFloat;
      Value fields[] = {memref.bufferPtr(b, loc, *getTypeConverter(), type), constant(i32, kDLCPU), constant(i32, 0),
                        constant(i32, type.getRank()), constant(i8, code), constant(i8, element.getIntOrFloatBitWidth()),
                        constant(i16, 1), sizes, strides, constant(i64, 0)};
      for (auto [field, value] : llvm::enumerate(fields))
        store(value, tensorType, tensors, {int32_t(i), int32_t(field)});
    }
    auto external = declare(module, "attn_external", {ptr, ptr, ptr, i32, i32});
    Value context = op->getParentOfType<func::FuncOp>().getArgument(0);
    b.replaceOpWithNewOp<LLVM::CallOp>(op, external,
                                       ValueRange{context, textAddress(b, loc, module, op.getName()), tensors,
                                                  constant(i32, op.getInputs().size()), constant(i32, op.getInits().size())});
    return success();
  }
};

struct ConvertToLLVM : impl::ConvertToLLVMBase<ConvertToLLVM> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
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
    patterns.add<ConvertDispatch, ConvertFail, ConvertExternal>(converter);
    LLVMConversionTarget target(getContext());
    target.addIllegalOp<DispatchOp, FailOp, ExternalOp>();
    target.markUnknownOpDynamicallyLegal([](Operation *) { return true; });
    if (failed(applyPartialConversion(module, target, std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
} // namespace attnc
