//===- attn-emulate.cpp - Kernels at the NVVM level to an image that runs on this CPU ----------===//
//
// attn-emulate IN.mlir -o IMAGE.so: the kernels of every gpu.module, or of the module itself, as a shared library whose
// functions call test/cuda/emulator. docs/gpu.md, "Emulator", says what is emulated.
//===--------------------------------------------------------------------------------------------===//
#include "test/cuda/ReplaceNvvm.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/IndexToLLVM/IndexToLLVM.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/UBToLLVM/UBToLLVM.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/DLTI/DLTI.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Index/IR/IndexDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/AsmState.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "test/cuda/emulator/Image.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/ToolOutputFile.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/TargetParser/Host.h"

using namespace mlir;

static llvm::cl::opt<std::string> input(llvm::cl::Positional, llvm::cl::desc("IN.mlir"), llvm::cl::init("-"));
static llvm::cl::opt<std::string> output("o", llvm::cl::desc("the image"), llvm::cl::Required);
static llvm::cl::opt<std::string> chip("chip", llvm::cl::desc("only kernels for this one, e.g. sm_90a"));
static llvm::cl::opt<bool> emitLlvm("emit-llvm", llvm::cl::desc("write LLVM IR instead of an image"));

namespace {
struct KernelInfo {
  std::string name;
  uint64_t maxThreads = 0, sharedBytes = 0;
};
} // namespace

static std::string chipOf(gpu::GPUModuleOp gpuModule) {
  if (gpuModule.getTargetsAttr() && !gpuModule.getTargetsAttr().empty())
    if (auto target = dyn_cast<NVVM::NVVMTargetAttr>(gpuModule.getTargetsAttr()[0]))
      return target.getChip().str();
  return "";
}

/// Moves what the gpu.modules, or those for --chip, hold into `module`; returns the chip that they are for, if there is
/// one.
static std::string flatten(ModuleOp module) {
  std::string found;
  for (auto gpuModule : llvm::make_early_inc_range(module.getOps<gpu::GPUModuleOp>())) {
    const std::string of = chipOf(gpuModule);
    if (chip.empty() || of == chip) {
      found = of;
      module.getBody()->getOperations().splice(module.getBody()->end(), gpuModule.getBody()->getOperations());
    }
    gpuModule.erase();
  }
  for (auto op : llvm::make_early_inc_range(module.getOps<LLVM::LLVMFuncOp>()))
    if (op.isExternal() && SymbolTable::symbolKnownUseEmpty(op, module))
      op.erase();
  return found;
}

/// What the driver must know of each kernel; what only NVPTX understands goes away.
static std::vector<KernelInfo> takeKernels(ModuleOp module) {
  std::vector<KernelInfo> kernels;
  for (auto function : module.getOps<LLVM::LLVMFuncOp>()) {
    if (!function->hasAttr(NVVM::NVVMDialect::getKernelFuncAttrName()) &&
        !function->hasAttr(gpu::GPUDialect::getKernelFuncAttrName()))
      continue;
    KernelInfo kernel;
    kernel.name = function.getName().str();
    if (auto maxThreads = function->getAttrOfType<DenseI32ArrayAttr>(NVVM::NVVMDialect::getMaxntidAttrName())) {
      kernel.maxThreads = 1;
      for (int32_t threads : maxThreads.asArrayRef())
        kernel.maxThreads *= threads;
    }
    kernels.push_back(kernel);
    function->setAttr("attn.kernel", UnitAttr::get(module.getContext()));
  }
  for (auto function : module.getOps<LLVM::LLVMFuncOp>()) {
    for (NamedAttribute attribute : function->getAttrDictionary())
      if (attribute.getName().getValue().starts_with("nvvm.") || attribute.getName().getValue().starts_with("gpu."))
        function->removeAttr(attribute.getName());
    FunctionOpInterface interface = function;
    for (unsigned i = 0; i < interface.getNumArguments(); ++i) {
      SmallVector<NamedAttribute> kept;
      for (NamedAttribute attribute : interface.getArgAttrs(i))
        if (attribute.getName() == LLVM::LLVMDialect::getByValAttrName())
          kept.push_back(attribute);
      interface.setArgAttrs(i, kept);
    }
  }
  return kernels;
}

static LogicalResult lower(ModuleOp module) {
  PassManager pm(module.getContext());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createConvertVectorToLLVMPass());
  pm.addPass(createConvertMathToLLVMPass());
  arith::ArithExpandOpsPassOptions expand;
  expand.includeBf16 = true;
  pm.addPass(arith::createArithExpandOpsPass(expand));
  pm.addPass(createConvertIndexToLLVMPass());
  pm.addPass(createFinalizeMemRefToLLVMConversionPass());
  pm.addPass(createArithToLLVMConversionPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createUBToLLVMConversionPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
  return pm.run(module);
}

/// Everything that remains must be code or data that this tool can translate and link.
static LogicalResult verifyLowered(ModuleOp module) {
  WalkResult result = module.walk([&](Operation *op) {
    if (op != module && !isa<LLVM::LLVMDialect>(op->getDialect())) {
      op->emitError("the emulator does not know '") << op->getName() << "'";
      return WalkResult::interrupt();
    }
    auto call = dyn_cast<LLVM::CallOp>(op);
    if (!call || !call.getCallee())
      return WalkResult::advance();
    auto callee = module.lookupSymbol<LLVM::LLVMFuncOp>(*call.getCallee());
    static const StringRef known[] = {"exp2f", "log2f", "sinf", "cosf", "tanhf", "sqrtf"};
    if (callee && callee.isExternal() && !callee.getName().starts_with("attn_emulator_") &&
        !llvm::is_contained(known, callee.getName())) {
      op->emitError("the emulator does not know function '") << callee.getName() << "'";
      return WalkResult::interrupt();
    }
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

/// For each kernel a function that takes its arguments out of an array of pointers, and the table of all (Image.h).
static void addTable(llvm::Module &module, ArrayRef<KernelInfo> kernels, StringRef chip) {
  llvm::LLVMContext &context = module.getContext();
  llvm::IRBuilder<> builder(context);
  auto *pointer = builder.getPtrTy();
  auto *word = builder.getInt64Ty();
  auto constant = [&](llvm::Constant *value) {
    return new llvm::GlobalVariable(module, value->getType(), true, llvm::GlobalValue::InternalLinkage, value, "table");
  };
  auto text = [&](StringRef text) { return constant(llvm::ConstantDataArray::getString(context, text)); };

  for (llvm::Function &function : module)
    if (!function.isDeclaration())
      function.setLinkage(llvm::GlobalValue::InternalLinkage);
  std::vector<llvm::Constant *> rows;
  for (const KernelInfo &kernel : kernels) {
    llvm::Function *function = module.getFunction(kernel.name);
    auto *run = llvm::Function::Create(llvm::FunctionType::get(builder.getVoidTy(), {pointer}, false),
                                       llvm::GlobalValue::InternalLinkage, kernel.name + ".run", module);
    builder.SetInsertPoint(llvm::BasicBlock::Create(context, "", run));
    std::vector<llvm::Value *> arguments;
    std::vector<uint64_t> sizes;
    for (llvm::Argument &argument : function->args()) {
      llvm::Value *value =
          builder.CreateLoad(pointer, builder.CreateConstGEP1_64(pointer, run->getArg(0), argument.getArgNo()));
      llvm::Type *type = argument.getParamByValType();
      if (type) // a pointer to the driver's copy
        function->removeParamAttr(argument.getArgNo(), llvm::Attribute::ByVal);
      else
        value = builder.CreateLoad(type = argument.getType(), value);
      arguments.push_back(value);
      sizes.push_back(module.getDataLayout().getTypeAllocSize(type));
    }
    builder.CreateCall(function, arguments);
    builder.CreateRetVoid();
    rows.push_back(llvm::ConstantStruct::getAnon(
        {text(kernel.name), run, constant(llvm::ConstantDataArray::get(context, sizes)),
         llvm::ConstantInt::get(word, sizes.size()), llvm::ConstantInt::get(word, kernel.maxThreads),
         llvm::ConstantInt::get(word, kernel.sharedBytes)}));
  }
  llvm::Constant *table = llvm::ConstantPointerNull::get(pointer);
  if (!rows.empty())
    table = constant(llvm::ConstantArray::get(llvm::ArrayType::get(rows[0]->getType(), rows.size()), rows));
  auto *image = constant(llvm::ConstantStruct::getAnon({llvm::ConstantInt::get(word, emulator::imageVersion),
                                                        text(chip), llvm::ConstantInt::get(word, rows.size()), table}));
  image->setName("attn_emulator_image");
  image->setLinkage(llvm::GlobalValue::ExternalLinkage);
}

static std::unique_ptr<llvm::TargetMachine> createMachine(std::string &message) {
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  llvm::Triple triple(llvm::sys::getProcessTriple());
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, message);
  if (!target)
    return nullptr;
  std::string features;
  for (auto &[name, has] : llvm::sys::getHostCPUFeatures())
    features += (features.empty() ? "" : ",") + std::string(has ? "+" : "-") + name.str();
  return std::unique_ptr<llvm::TargetMachine>(target->createTargetMachine(triple, llvm::sys::getHostCPUName(), features,
                                                                          llvm::TargetOptions(), llvm::Reloc::PIC_));
}

/// O1: images are compiled often and run once.
static void optimize(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager calls;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(calls);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, calls, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O1).run(module, modules);
}

static int fail(const Twine &message) {
  llvm::errs() << "attn-emulate: " << message << '\n';
  return 1;
}

/// What symbols the image lacks, the emulator has: it makes itself visible before it loads an image.
static int link(StringRef object) {
  llvm::ErrorOr<std::string> lld = llvm::sys::findProgramByName("ld.lld", {ATTN_LLVM_TOOLS});
  if (!lld)
    return fail("cannot find ld.lld: " + lld.getError().message());
  std::string message;
  if (llvm::sys::ExecuteAndWait(*lld, {*lld, "-shared", "-Bsymbolic", object, "-o", output}, {}, {}, 0, 0, &message))
    return fail("cannot link " + output + ": " + message);
  return 0;
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  llvm::cl::ParseCommandLineOptions(argc, argv, "Links kernels at the NVVM level into an image for the emulator\n");
  DialectRegistry registry;
  registry.insert<arith::ArithDialect, cf::ControlFlowDialect, DLTIDialect, gpu::GPUDialect, index::IndexDialect,
                  LLVM::LLVMDialect, math::MathDialect, memref::MemRefDialect, NVVM::NVVMDialect, scf::SCFDialect,
                  ub::UBDialect, vector::VectorDialect>();
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  MLIRContext context(registry);

  std::string message;
  std::unique_ptr<llvm::MemoryBuffer> file = openInputFile(input, &message);
  if (!file)
    return fail(message);
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(std::move(file), llvm::SMLoc());
  SourceMgrDiagnosticHandler handler(sources, &context);
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(sources, &context);
  if (!module)
    return 1;
  const std::string found = flatten(*module);
  if (found != chip && !chip.empty())
    return fail("expected kernels for " + chip);
  (*module)->setAttrs(DictionaryAttr::get(&context)); // data layouts of a device
  std::vector<KernelInfo> kernels = takeKernels(*module);
  llvm::StringMap<uint64_t> sharedBytes;
  if (failed(emulator::replaceNvvm(*module)) || failed(lower(*module)) ||
      failed(emulator::replaceMemory(*module, sharedBytes)) || failed(verifyLowered(*module)))
    return 1;
  for (KernelInfo &kernel : kernels)
    kernel.sharedBytes = sharedBytes.lookup(kernel.name);
  module->walk([](LLVM::LLVMFuncOp function) { function->removeAttr("attn.kernel"); });

  llvm::LLVMContext llvmContext;
  std::unique_ptr<llvm::Module> code = translateModuleToLLVMIR(*module, llvmContext);
  std::unique_ptr<llvm::TargetMachine> machine = createMachine(message);
  if (!code || !machine)
    return fail("cannot generate code: " + message);
  code->setTargetTriple(machine->getTargetTriple());
  code->setDataLayout(machine->createDataLayout());
  addTable(*code, kernels, found);
  llvm::raw_string_ostream stream(message);
  if (llvm::verifyModule(*code, &stream))
    return fail("internal error: invalid LLVM IR: " + message);
  optimize(*code, *machine);
  if (emitLlvm) {
    std::unique_ptr<llvm::ToolOutputFile> out = openOutputFile(output, &message);
    if (!out)
      return fail(message);
    code->print(out->os(), nullptr);
    out->keep();
    return 0;
  }
  SmallString<128> object;
  if (std::error_code error = llvm::sys::fs::createTemporaryFile("attn-emulate", "o", object))
    return fail("cannot make a temporary file: " + error.message());
  llvm::FileRemover remover(object);
  {
    std::error_code error;
    llvm::raw_fd_ostream out(object, error);
    llvm::legacy::PassManager pm;
    if (error || machine->addPassesToEmitFile(pm, out, nullptr, llvm::CodeGenFileType::ObjectFile))
      return fail("cannot write an object file");
    pm.run(*code);
  }
  return link(object);
}
