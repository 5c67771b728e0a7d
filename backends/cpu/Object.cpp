//===- Object.cpp - LLVM IR to object files -----------------------------------------------------===//
#include "backends/cpu/Object.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/Analysis/CGSCCPassManager.h"
#include "llvm/Analysis/LoopAnalysisManager.h"
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

#include <future>
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
  std::string name, arch, cpu, features;
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
  Triple triple(job.arch + "-unknown-linux-gnu");
  std::string text;
  const Target *target = TargetRegistry::lookupTarget(triple, text);
  if (!target)
    return fail("this LLVM cannot generate code for " + triple.str() + ": " + text);
  TargetOptions options;
  options.FunctionSections = options.DataSections = true; // what is not used is dropped at link time
  std::unique_ptr<TargetMachine> machine(target->createTargetMachine(
      triple, job.cpu, job.features, options, Reloc::PIC_, CodeModel::Small, CodeGenOptLevel::Aggressive));
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

static Expected<CodeObject> generate(CodeGenJob job, const CodeOptions &options, bool assembly) {
  Expected<std::unique_ptr<TargetMachine>> machine = createMachine(job);
  if (!machine)
    return machine.takeError();
  Module &module = *job.module;
  module.setTargetTriple((*machine)->getTargetTriple());
  module.setDataLayout((*machine)->createDataLayout());
  if (!job.support) // the support code says so itself
    module.setPICLevel(PICLevel::BigPIC);
  if (options.debug && !module.getModuleFlag("Dwarf Version"))
    module.addModuleFlag(Module::Warning, "Dwarf Version", 5);
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

/// A model file needs no library: what one object lacks, another must define.
static Error checkSymbols(ArrayRef<CodeObject> objects, const CodeOptions &options) {
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
      if (name->empty())
        continue;
      if (*flags & object::SymbolRef::SF_Undefined)
        undefined.insert(name->str());
      else if (*flags & object::SymbolRef::SF_Global)
        defined.insert(*name);
    }
  }
  std::string missing;
  for (const std::string &name : undefined) {
    bool fromHost = (!options.symbolPrefix.empty() && is_contained(kMemoryFunctions, name)) ||
                    (options.sanitizeAddress && StringRef(name).starts_with("__asan_"));
    if (!defined.contains(name) && !fromHost && name != "attn_weights") // attn_weights: the linker script
      missing += (missing.empty() ? "" : ", ") + name;
  }
  if (missing.empty())
    return Error::success();
  return fail("internal error: the generated code calls functions that no model file has: " + missing);
}

//===----------------------------------------------------------------------===//
// The whole model
//===----------------------------------------------------------------------===//

namespace {
class CpuCompilation : public Compilation {
public:
  CpuCompilation(const ModelInterface &model, const CodeOptions &options, bool assembly)
      : model(model), options(options), assembly(assembly) {}

  ~CpuCompilation() override {
    for (std::future<Expected<CodeObject>> &object : objects)
      if (object.valid())
        consumeError(object.get().takeError());
  }

  Error addVariant(const TargetRow &row, mlir::ModuleOp module) override {
    if (!rows.empty() && rows[0]->arch != row.arch) // stages that were fed back in
      return fail("expected modules for one architecture, got " + rows[0]->name + " and " + row.name);
    CodeGenJob job;
    job.context = std::make_unique<LLVMContext>();
    Expected<std::unique_ptr<Module>> built = buildVariantModule(model, rows.size(), module, *job.context);
    if (!built)
      return built.takeError();
    job.module = std::move(*built);
    job.name = row.name.str();
    job.arch = row.arch.str();
    job.cpu = row.cpu.str();
    job.features = row.features.str();
    rows.push_back(&row);
    schedule(std::move(job));
    return Error::success();
  }

  Expected<std::vector<CodeObject>> finish() override {
    CodeGenJob job;
    job.context = std::make_unique<LLVMContext>();
    Expected<std::unique_ptr<Module>> library = buildLibraryModule(model, options, rows, *job.context);
    if (!library)
      return library.takeError();
    job.module = std::move(*library);
    job.name = "library";
    job.arch = rows[0]->arch.str();
    job.cpu = job.arch == "x86_64" ? "x86-64" : "generic";
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
      if (Error missing = checkSymbols(result, options))
        return std::move(missing);
    return result;
  }

private:
  void schedule(CodeGenJob job) {
    // Symbols that the objects share carry the archive's name: several models may be linked into one program.
    if (!options.symbolPrefix.empty())
      for (GlobalValue &global : job.module->global_values())
        if (!global.hasLocalLinkage() && !is_contained(kMemoryFunctions, global.getName()) &&
            !global.getName().starts_with("llvm."))
          global.setName(options.symbolPrefix + "." + global.getName());
    auto policy = options.jobs > 1 ? std::launch::async : std::launch::deferred;
    auto shared = std::make_shared<CodeGenJob>(std::move(job));
    objects.push_back(std::async(policy, [shared, options = options, assembly = assembly] {
      return generate(std::move(*shared), options, assembly);
    }));
  }

  ModelInterface model;
  CodeOptions options;
  bool assembly;
  std::vector<const TargetRow *> rows;
  std::vector<std::future<Expected<CodeObject>>> objects;
};
} // namespace

Expected<std::unique_ptr<Compilation>> startCpuCompilation(const ModelInterface &model, const CodeOptions &options,
                                                           bool assembly) {
  return std::make_unique<CpuCompilation>(model, options, assembly);
}

} // namespace attnc
