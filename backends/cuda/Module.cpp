//===- Module.cpp - attn.pipelines to kernels, to NVVM, to PTX -------------------------------------------===//
//
// In a context of its own, as pipelines come as text: what attnc reads as input has none of these dialects.
//
//===------------------------------------------------------------------------------------------------===//
#include "backends/cuda/Module.h"
#include "backends/cuda/Emitters.h"
#include "passes/Signature.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/GPUToNVVM/GPUToNVVMPass.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/IR/Verifier.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVM/NVVM/Target.h"
#include "mlir/Target/LLVMIR/Dialect/All.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "mlir/Transforms/Passes.h"

namespace attnc::cuda {
using llvm::Error;

/// Devices that every model file has code for, ATTN_CUDA_TARGETS. PTX versions are the lowest that serve: older drivers
/// compile them, too.
static constexpr struct {
  int capability;
  StringLiteral chip, features;
} kTargets[] = {{80, "sm_80", "+ptx70"}, {90, "sm_90a", "+ptx80"}};

Kernels::Kernels(bool bf16Math) : context(MLIRContext::Threading::DISABLED), bf16Math(bf16Math) {
  DialectRegistry registry;
  registerAllExtensions(registry);
  registerAllGPUToLLVMIRTranslations(registry);
  NVVM::registerNVVMTargetInterfaceExternalModels(registry);
  context.appendDialectRegistry(registry);
  context.loadDialect<attn::AttnDialect, arith::ArithDialect, cf::ControlFlowDialect, func::FuncDialect,
                      gpu::GPUDialect, linalg::LinalgDialect, LLVM::LLVMDialect, math::MathDialect,
                      memref::MemRefDialect, NVVM::NVVMDialect, scf::SCFDialect, vector::VectorDialect>();
}

static Error buildKernel(attn::PipelineOp pipeline, gpu::GPUModuleOp to, KernelOptions options, DeviceCode &code) {
  OpBuilder builder(pipeline.getContext());
  std::string symbol = (pipeline.getSymName() + (options.few ? "_few" : "")).str();
  Kernel kernel(pipeline, symbol, to, builder, options);
  StringRef name = kernel.op()->getName().getStringRef();
  Emitter emit = findEmitter(name);
  if (!emit)
    return refuse("'" + name + "' has no kernel");
  for (BlockArgument argument : pipeline.getBody().front().getArguments())
    if (auto type = dyn_cast<MemRefType>(argument.getType()))
      if (!type.getElementType().isIntOrIndexOrFloat() || type.getElementType().isF64())
        return refuse("expected buffers of integers and of floats of up to 32 bits");
  if (Error error = emit(kernel))
    return error;
  kernel.finish();
  if (kernel.allSharedBytes() > sharedLimit(code.capability))
    return refuse("its kernel needs " + llvm::Twine(kernel.allSharedBytes()) + " bytes of shared memory on " +
                  code.chip);
  code.kernels.push_back(
      {symbol, kernel.threads(), kernel.dynamicBytes(), llvm::to_vector(kernel.axes()), kernel.offeredFew()});
  if (!kernel.offeredFew())
    return Error::success();
  options.few = true;
  return buildKernel(pipeline, to, options, code);
}

Error Kernels::build(StringRef pipelines) {
  OwningOpRef<ModuleOp> source = parseSourceString<ModuleOp>(pipelines, ParserConfig(&context));
  if (!source)
    return refuse("internal error: expected the text of attn.pipelines");
  module = ModuleOp::create(UnknownLoc::get(&context));
  OpBuilder b = OpBuilder::atBlockBegin(module->getBody());
  all.clear();
  for (const auto &row : kTargets) {
    Attribute target =
        NVVM::NVVMTargetAttr::get(&context, /*optLevel=*/3, "nvptx64-nvidia-cuda", row.chip, row.features);
    auto kernels = gpu::GPUModuleOp::create(b, module->getLoc(), row.chip, b.getArrayAttr(target));
    DeviceCode &code = all.emplace_back(DeviceCode{row.capability, row.chip.str()});
    for (auto pipeline : source->getOps<attn::PipelineOp>()) {
      code.first[pipeline.getSymName()] = code.kernels.size();
      if (Error error = buildKernel(pipeline, kernels, {row.capability, bf16Math}, code))
        return error;
    }
  }
  if (failed(verify(*module)))
    return refuse("internal error: an invalid kernel");
  return Error::success();
}

/// Upstream's pass would turn math into calls of a library of CUDA's.
static LogicalResult convertToNVVM(gpu::GPUModuleOp kernels) {
  MLIRContext *context = kernels.getContext();
  LowerToLLVMOptions options(context);
  options.overrideIndexBitwidth(64);
  LLVMTypeConverter converter(context, options);
  configureGpuToNVVMTypeConverter(converter);
  RewritePatternSet patterns(context);
  populateMathToLLVMConversionPatterns(converter, patterns, /*approximateLog1p=*/false, /*benefit=*/2);
  arith::populateArithToLLVMConversionPatterns(converter, patterns);
  cf::populateControlFlowToLLVMConversionPatterns(converter, patterns);
  populateFinalizeMemRefToLLVMConversionPatterns(converter, patterns);
  populateVectorToLLVMConversionPatterns(converter, patterns);
  populateGpuToNVVMConversionPatterns(converter, patterns);
  LLVMConversionTarget target(*context);
  target.addLegalDialect<NVVM::NVVMDialect>();
  target.addIllegalDialect<gpu::GPUDialect>();
  target.addLegalOp<gpu::GPUModuleOp>();
  if (failed(applyPartialConversion(kernels, target, std::move(patterns))))
    return failure();
  for (auto global : kernels.getOps<LLVM::GlobalOp>()) // of gpu.dynamic_shared_memory
    if (auto array = dyn_cast<LLVM::LLVMArrayType>(global.getType()); array && !array.getNumElements())
      global.setAlignment(kDynamicSharedAlignment);
  return success();
}

Error Kernels::lower() {
  // Functions of math that have no instruction: polynomials, as on a CPU; there is no library to call.
  RewritePatternSet patterns(&context);
  populateMathPolynomialApproximationPatterns(patterns, [](StringRef) { return true; });
  if (failed(applyPatternsGreedily(*module, std::move(patterns))))
    return refuse("internal error: functions of math do not become polynomials");
  PassManager before(&context), after(&context);
  OpPassManager &kernels = before.nest<gpu::GPUModuleOp>();
  kernels.addPass(createCanonicalizerPass());
  kernels.addPass(createCSEPass());
  kernels.addPass(createLoopInvariantCodeMotionPass());
  kernels.addPass(createSCFToControlFlowPass());
  after.addPass(createReconcileUnrealizedCastsPass());
  after.addPass(createCanonicalizerPass());
  after.addPass(createCSEPass());
  bool lowers = succeeded(before.run(*module));
  for (auto kernels : module->getOps<gpu::GPUModuleOp>())
    lowers = lowers && succeeded(convertToNVVM(kernels));
  if (!lowers || failed(after.run(*module)))
    return refuse("internal error: kernels do not lower to NVVM");
  return Error::success();
}

std::string Kernels::print() {
  std::string text;
  llvm::raw_string_ostream(text) << *module << "\n";
  return text;
}

Error Kernels::translate() {
  PassManager assembly(&context); // ops that LLVM has no intrinsic for, as waiting for an mbarrier
  assembly.nest<gpu::GPUModuleOp>().addPass(createConvertNVVMToLLVMPass());
  if (failed(assembly.run(*module)))
    return refuse("internal error: kernels do not lower to PTX");
  for (auto [kernels, code] : llvm::zip_equal(module->getOps<gpu::GPUModuleOp>(), all)) {
    gpu::TargetOptions options({}, {}, {}, {}, gpu::CompilationTarget::Assembly);
    std::optional<SmallVector<char, 0>> text =
        cast<gpu::TargetAttrInterface>(kernels.getTargetsAttr()[0]).serializeToObject(kernels, options);
    if (!text)
      return refuse("internal error: no PTX for " + code.chip);
    code.ptx = std::string(text->data(), text->size()).c_str();
  }
  return Error::success();
}

} // namespace attnc::cuda
