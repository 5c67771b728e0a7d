//===- Object.cpp - LLVM IR to object files -----------------------------------------------------===//
#include "backends/cpu/Object.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/Analysis/CGSCCPassManager.h"
#include "llvm/Analysis/LoopAnalysisManager.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/IR/Intrinsics.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Target/TargetOptions.h"
#include "llvm/TargetParser/Triple.h"
#include "llvm/Transforms/Instrumentation/AddressSanitizer.h"

#include <mutex>
#include <set>

namespace attnc {
using namespace llvm;

static Error fail(const Twine &message) { return createStringError(inconvertibleErrorCode(), message); }

//===----------------------------------------------------------------------===//
// One module to one object
//===----------------------------------------------------------------------===//

namespace {
struct CodeGenJob {
  std::unique_ptr<LLVMContext> context;
  std::unique_ptr<Module> module;
  std::string name, arch, system, cpu, features;
  bool support = false; ///< the library's object: the architecture's baseline, not sanitized
};
} // namespace

static Expected<std::unique_ptr<TargetMachine>> createMachine(const CodeGenJob &job) {
  static std::once_flag once;
  std::call_once(once, [] {
    InitializeAllTargetInfos();
    InitializeAllTargets();
    InitializeAllTargetMCs();
    InitializeAllAsmPrinters();
    InitializeAllAsmParsers(); // for the support code's inline assembly
  });
  Triple triple(job.arch + "-" + job.system);
  std::string text;
  const Target *target = TargetRegistry::lookupTarget(triple, text);
  if (!target)
    return fail("this LLVM cannot generate code for " + triple.str() + ": " + text);
  TargetOptions options;
  if (job.arch == "riscv64") // floats in registers, as on every Linux
    options.MCOptions.ABIName = "lp64d";
  options.FunctionSections = options.DataSections = true; // what is not used is dropped at link time
  std::unique_ptr<TargetMachine> machine(target->createTargetMachine(
      triple, job.cpu, job.features, options, triple.isWasm() ? Reloc::Static : Reloc::PIC_, CodeModel::Small, CodeGenOptLevel::Aggressive));
  if (!machine)
    return fail("this LLVM has no target machine for " + triple.str());
  return machine;
}

static void optimize(Module &module, TargetMachine &machine, OptimizationLevel level, bool sanitize) {
  LoopAnalysisManager loops;
  FunctionAnalysisManager functions;
  CGSCCAnalysisManager calls;
  ModuleAnalysisManager modules;
  PassBuilder builder(&machine);
  if (sanitize) {
    for (Function &function : module)
      if (!function.isDeclaration())
        function.addFnAttr(Attribute::SanitizeAddress);
    // Last, as clang does. Without constructors: globals are constants that only attnc's own tables refer to.
    builder.registerOptimizerLastEPCallback([](ModulePassManager &pm, OptimizationLevel, ThinOrFullLTOPhase) {
      AddressSanitizerOptions options;
      options.InsertVersionCheck = false;
      pm.addPass(AddressSanitizerPass(options, /*UseGlobalGC=*/false, /*UseOdrIndicator=*/false,
                                      AsanDtorKind::None, AsanCtorKind::None));
    });
  }
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(calls);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, calls, modules);
  builder.buildPerModuleDefaultPipeline(level).run(module, modules);
}

/// Without an instruction for it a fused product and sum would be a call: both roundings instead.
static void splitFusedOperations(Module &module) {
  for (Function &function : make_early_inc_range(module)) {
    if (function.getIntrinsicID() != Intrinsic::fma)
      continue;
    Function *separate = Intrinsic::getOrInsertDeclaration(&module, Intrinsic::fmuladd, {function.getReturnType()});
    function.replaceAllUsesWith(separate);
    function.eraseFromParent();
  }
}

static Expected<CodeObject> generate(CodeGenJob job, const CodeOptions &options, bool assembly) {
  Expected<std::unique_ptr<TargetMachine>> machine = createMachine(job);
  if (!machine)
    return machine.takeError();
  Module &module = *job.module;
  module.setTargetTriple((*machine)->getTargetTriple());
  module.setDataLayout((*machine)->createDataLayout());
  if (job.arch != "wasm32" && !module.getModuleFlag("PIC Level")) // what comes as bitcode says so itself
    module.setPICLevel(PICLevel::BigPIC);
  if (options.debug && !module.getModuleFlag("Dwarf Version"))
    module.addModuleFlag(Module::Warning, "Dwarf Version", 5);
  if (job.arch == "wasm32")
    splitFusedOperations(module);
  for (Function &function : module) {
    function.addFnAttr(Attribute::NoUnwind);
    // LLVM's generic AArch64 CPU runs in order: scheduled for it, attention and linear need more registers than there are.
    if (job.arch == "aarch64")
      function.addFnAttr("tune-cpu", "neoverse-n2");
    if (options.debug) // perf and gdb walk the stack
      function.addFnAttr("frame-pointer", "all");
  }
  std::string text;
  raw_string_ostream stream(text);
  if (verifyModule(module, &stream))
    return fail("internal error: invalid LLVM IR for " + job.name + ": " + StringRef(text).take_until([](char c) {
      return c == '\n';
    }));
  // The support code was optimised when attnc was built.
  optimize(module, **machine, job.support ? OptimizationLevel::O1 : OptimizationLevel::O3,
           options.sanitizeAddress && !job.support);

  CodeObject object{job.name, {}};
  raw_svector_ostream out(object.bytes);
  legacy::PassManager pm;
  if ((*machine)->addPassesToEmitFile(pm, out, nullptr,
                                      assembly ? CodeGenFileType::AssemblyFile : CodeGenFileType::ObjectFile))
    return fail("internal error: cannot emit " + job.name);
  pm.run(module);
  return object;
}

//===----------------------------------------------------------------------===//
// Undefined symbols
//===----------------------------------------------------------------------===//

/// What LLVM takes from a system's own library or linker: WebAssembly's, Apple's and Windows'.
static bool isFromSystem(StringRef name) {
  return is_contained<StringRef>({"__indirect_function_table", "__stack_pointer", "__multi3", "bzero", "__chkstk", "_fltused"}, name);
}

/// A model file needs no library: what one object lacks, another must define, but for weak names, which the code does without.
/// An archive takes from its program what the library's module declares without the archive's prefix.
static Error checkSymbols(ArrayRef<CodeObject> objects, const StringSet<> &fromHost, const CodeOptions &options) {
  llvm::StringSet<> defined;
  std::set<std::string> undefined;
  for (const CodeObject &object : objects) {
    auto file = object::ObjectFile::createObjectFile(MemoryBufferRef(object.bytes, object.name));
    if (!file)
      return file.takeError();
    for (const object::SymbolRef &symbol : (*file)->symbols()) {
      Expected<uint32_t> flags = symbol.getFlags();
      Expected<StringRef> name = symbol.getName();
      if (!flags)
        return flags.takeError();
      if (!name)
        return name.takeError();
      name->consume_front((*file)->isMachO() ? "_" : (*file)->isCOFF() ? "__imp_" : "");
      if (name->empty())
        continue;
      if (*flags & object::SymbolRef::SF_Undefined && !(*flags & object::SymbolRef::SF_Weak))
        undefined.insert(name->str());
      else if (*flags & object::SymbolRef::SF_Global)
        defined.insert(*name);
    }
  }
  std::string missing;
  for (const std::string &name : undefined) {
    bool isKnown = fromHost.contains(name) || isFromSystem(name) ||
                   (options.sanitizeAddress && StringRef(name).starts_with("__asan_"));
    if (!defined.contains(name) && !isKnown && name != "attn_weights") // attn_weights: the linker script
      missing += (missing.empty() ? "" : ", ") + name;
  }
  if (missing.empty())
    return Error::success();
  if (StringRef(missing).contains("hfsf2") || StringRef(missing).contains("sfhf2")) // of a compiler's library
    return fail("the target has no instructions for f16: expected weights and caches of another type (--dtype=bf16)");
  return fail("internal error: the generated code calls functions that no model file has: " + missing);
}

//===----------------------------------------------------------------------===//
// The whole model
//===----------------------------------------------------------------------===//

CpuCompilation::~CpuCompilation() {
  for (std::future<Expected<CodeObject>> &object : objects)
    if (object.valid())
      consumeError(object.get().takeError());
}

Error CpuCompilation::addVariant(const TargetRow &row, mlir::ModuleOp module) {
  if (!rows.empty() && rows[0]->arch != row.arch) // stages that were fed back in
    return fail("expected modules for one architecture, got " + rows[0]->name + " and " + row.name);
  auto context = std::make_unique<LLVMContext>();
  Expected<std::unique_ptr<Module>> built = buildVariantModule(model, rows.size(), module, *context);
  if (!built)
    return built.takeError();
  rows.push_back(&row);
  schedule(row, row.name, std::move(context), std::move(*built));
  return Error::success();
}

Error CpuCompilation::addCode(const TargetRow &row, StringRef name, StringRef bitcode) {
  auto context = std::make_unique<LLVMContext>();
  Expected<std::unique_ptr<Module>> parsed = parseBitcodeFile(MemoryBufferRef(bitcode, name), *context);
  if (!parsed)
    return parsed.takeError();
  schedule(row, name, std::move(context), std::move(*parsed));
  return Error::success();
}

Expected<std::vector<CodeObject>> CpuCompilation::finish() {
  CodeGenJob job;
  job.context = std::make_unique<LLVMContext>();
  Expected<std::unique_ptr<Module>> library = buildLibraryModule(model, options, rows, deviceCode, *job.context);
  if (!library)
    return library.takeError();
  StringSet<> fromHost;
  for (const GlobalValue &global : (*library)->global_values())
    if (!options.symbolPrefix.empty() && global.isDeclaration() &&
        !global.getName().starts_with(options.symbolPrefix + "."))
      fromHost.insert(global.getName());
  job.module = std::move(*library);
  job.name = "library";
  job.arch = rows[0]->arch.str();
  job.system = rows[0]->system.str();
  job.cpu = job.arch == "x86_64" ? "x86-64" : job.arch == "riscv64" ? "generic-rv64" : "generic";
  job.features = job.arch == "riscv64" ? rows[0]->features.str() : "";
  job.support = true;
  std::vector<CodeObject> result;
  Expected<CodeObject> first = generate(std::move(job), options, assembly);
  if (!first)
    return first.takeError();
  result.push_back(std::move(*first));
  Error error = Error::success();
  for (std::future<Expected<CodeObject>> &object : objects) {
    Expected<CodeObject> done = object.get();
    if (done)
      result.push_back(std::move(*done));
    else
      error = joinErrors(std::move(error), done.takeError());
  }
  if (error)
    return std::move(error);
  if (!assembly)
    if (Error missing = checkSymbols(result, fromHost, options))
      return std::move(missing);
  return result;
}

void CpuCompilation::schedule(const TargetRow &row, StringRef name, std::unique_ptr<LLVMContext> context,
                              std::unique_ptr<Module> module) {
  // Symbols that the objects share carry the archive's name: several models may be linked into one program.
  if (!options.symbolPrefix.empty())
    for (GlobalValue &global : module->global_values())
      if (!global.hasLocalLinkage() && !is_contained(kMemoryFunctions, global.getName()) &&
          !global.getName().starts_with("llvm."))
        global.setName(options.symbolPrefix + "." + global.getName());
  auto shared = std::make_shared<CodeGenJob>();
  shared->context = std::move(context);
  shared->module = std::move(module);
  shared->name = name.str();
  shared->arch = row.arch.str();
  shared->system = row.system.str();
  shared->cpu = row.cpu.str();
  shared->features = row.features.str();
  auto policy = options.jobs > 1 ? std::launch::async : std::launch::deferred;
  objects.push_back(std::async(policy, [shared, options = options, assembly = assembly] {
    return generate(std::move(*shared), options, assembly);
  }));
}

Expected<std::unique_ptr<Compilation>> startCpuCompilation(const ModelInterface &model, const CodeOptions &options,
                                                           bool assembly) {
  return std::make_unique<CpuCompilation>(model, options, assembly);
}

} // namespace attnc
