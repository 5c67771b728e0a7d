//===- PluginMain.cpp - The plug-in: pipelines as text to an object file ----------------------------===//
#include "backends/halide/Pipeline.h"
#include "backends/halide/Plugin.h"
#include "backends/halide/Runtime.h"
#include "passes/Signature.h"

#include "mlir/InitAllDialects.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Linker/Linker.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"

namespace attnc {
namespace {
using namespace halide;

llvm::Error fail(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

/// Halide reports what is the caller's fault, and its own bugs, as exceptions.
template <typename Function> auto guarded(Function function) -> decltype(function()) {
  try {
    return function();
  } catch (const Halide::Error &error) {
    return fail("Halide: " + llvm::StringRef(error.what()).rtrim());
  }
}

/// Warnings are about Halide's own choices, such as a check that it leaves out of a kernel.
struct Reporter : Halide::CompileTimeErrorReporter {
  void warning(const char *) override {}
  void error(const char *message) override { throw Halide::CompileError(message); }
};

/// Reads pipelines; each lives as long as this.
class Source {
public:
  Source(llvm::StringRef text, mlir::MLIRContext &context)
      : module(mlir::parseSourceString<mlir::ModuleOp>(text, mlir::ParserConfig(&context))) {}
  llvm::Expected<std::vector<std::unique_ptr<Pipeline>>> build(const Device &device) {
    if (!module)
      return fail("internal error: the pipelines are not what attnc printed");
    std::vector<std::unique_ptr<Pipeline>> pipelines;
    for (auto op : module->getOps<attn::PipelineOp>()) {
      auto built = buildPipeline(op, device);
      if (!built)
        return built.takeError();
      pipelines.push_back(std::move(*built));
    }
    return pipelines;
  }

private:
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

Halide::Target functionTarget(llvm::StringRef name) {
  auto target = Halide::Target(name.str()).with_feature(Halide::Target::NoRuntime).with_feature(Halide::Target::UserContext);
  if (target.features_any_of({Halide::Target::Metal, Halide::Target::D3D12Compute})) // whose kernels cannot have them
    target.set_feature(Halide::Target::NoAsserts);
  return target;
}

/// The rows of the CPU backend, by the vector instructions of a Halide target, which is cut down to what the row promises.
llvm::Expected<std::string> hostRow(Halide::Target &target) {
  using Halide::Target;
  if (target.os == Target::WebAssemblyRuntime && target.arch == Target::WebAssembly && target.bits == 32) {
    for (auto feature : {Target::WasmSimd128, Target::WasmBulkMemory})
      target.set_feature(feature);
    return "wasm32";
  }
  if (target.arch == Target::ARM && target.bits == 64)
    return "aarch64";
  if (target.arch == Target::RISCV)
    return fail("expected another architecture: Halide 21 compiles for RISC-V only with vectors, which files for RISC-V do not "
                "promise; --target=riscv64 is the CPU backend's");
  if (target.arch != Target::X86 || target.bits != 64)
    return fail("expected a host of architecture x86-64, arm-64 or wasm-32, got '" + target.to_string() + "'");
  if (!target.features_all_of({Target::AVX2, Target::FMA, Target::F16C}))
    return fail("expected a host with AVX2, FMA and F16C, got '" + target.to_string() + "'");
  constexpr Target::Feature beyond[] = {Target::AVX512_KNL,   Target::AVX512_Cannonlake, Target::AVX512_SapphireRapids,
                                        Target::AVX512_Zen4, Target::AVX512_Zen5,       Target::AVXVNNI,
                                        Target::AVX10_1};
  bool wide = target.has_feature(Target::AVX512_Skylake) || target.features_any_of({beyond[1], beyond[2], beyond[3], beyond[4]});
  for (Target::Feature feature : beyond)
    target = target.without_feature(feature);
  for (Target::Feature feature : {Target::AVX512, Target::AVX512_Skylake})
    target = wide ? target.with_feature(feature) : target.without_feature(feature);
  target.processor_tune = Target::ProcessorGeneric;
  return wide ? "x86-64-v4" : "x86-64-v3";
}

/// LLVM's name of the system.
llvm::Expected<std::string> systemOf(const Halide::Target &target) {
  switch (target.os) {
  case Halide::Target::Linux:
    return "unknown-linux-gnu";
  case Halide::Target::OSX:
    return "apple-macosx11.0.0";
  case Halide::Target::IOS:
    return "apple-ios14.0.0";
  case Halide::Target::Windows:
    return "pc-windows-msvc";
  case Halide::Target::WebAssemblyRuntime:
    return "unknown-unknown";
  default:
    return fail("expected linux, osx, ios, windows or wasmrt as the system, got '" + target.to_string() + "'");
  }
}

/// Modules of Halide's as one of LLVM's. Halide declares all of its runtime, whatever is used, and exports what it defines.
llvm::Expected<llvm::SmallString<0>> compiled(llvm::ArrayRef<Halide::Module> modules) {
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> all;
  for (const Halide::Module &module : modules) {
    llvm::SmallString<128> path;
    if (std::error_code error = llvm::sys::fs::createTemporaryFile("attnc-pipelines", "bc", path))
      return fail("could not make a temporary file: " + error.message());
    llvm::FileRemover remover(path);
    module.compile({{Halide::OutputFileType::bitcode, std::string(path)}});
    auto bytes = llvm::MemoryBuffer::getFile(path);
    if (!bytes)
      return fail("could not read Halide's output: " + bytes.getError().message());
    auto parsed = llvm::parseBitcodeFile((*bytes)->getMemBufferRef(), context);
    if (!parsed)
      return parsed.takeError();
    if (llvm::NamedMDNode *flags = (*parsed)->getModuleFlagsMetadata()) // Halide's own, which differ
      (*parsed)->eraseNamedMetadata(flags);
    if (!all)
      all = std::move(*parsed);
    else if (llvm::Linker::linkModules(*all, std::move(*parsed)))
      return fail("internal error: the pipelines do not fit together");
  }
  for (llvm::GlobalObject &global : all->global_objects())
    global.setComdat(nullptr); // see Runtime.cpp
  for (llvm::Function &function : llvm::make_early_inc_range(*all))
    if (!function.isDeclaration() && !function.hasLocalLinkage())
      function.setVisibility(llvm::GlobalValue::HiddenVisibility);
    else if (function.use_empty())
      function.eraseFromParent();
  llvm::SmallString<0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::WriteBitcodeToFile(*all, stream);
  return bytes;
}

class Plugin : public HalidePlugin {
public:
  Plugin() {
    Halide::set_custom_compile_time_error_reporter(&reporter);
    mlir::DialectRegistry registry;
    mlir::registerAllDialects(registry);
    registry.insert<attn::AttnDialect>();
    context.appendDialectRegistry(registry);
  }

  llvm::Expected<HalideTarget> resolve(llvm::StringRef name) override {
    return guarded([&]() -> llvm::Expected<HalideTarget> {
      if (!Halide::Target::validate_target_string(name.str()))
        return fail("expected a target of Halide, such as host, host-opencl or arm-64-linux, got '" + name + "'");
      Halide::Target target(name.str());
      if (target.has_feature(Halide::Target::Vulkan)) // for ids of 64 bits, weights of 16 and masks of 8
        for (auto feature : {Halide::Target::VulkanV13, Halide::Target::VulkanInt8, Halide::Target::VulkanInt16,
                             Halide::Target::VulkanInt64})
          target.set_feature(feature);
      auto row = hostRow(target);
      if (!row)
        return row.takeError();
      auto system = systemOf(target);
      if (!system)
        return system.takeError();
      bool archiveOnly = target.os != Halide::Target::Linux || target.has_feature(Halide::Target::WebGPU);
      return HalideTarget{target.to_string(), *row, *system, archiveOnly, target.has_gpu_feature()};
    });
  }

  std::string check(llvm::StringRef target, llvm::StringRef text) override {
    Halide::Target halide = functionTarget(target);
    auto error = guarded([&]() -> llvm::Expected<bool> {
      Source source(text, context);
      auto built = source.build({halide});
      if (!built)
        return built.takeError();
      // Their languages lack types, 64-bit integers among them, which is known only when their text is made.
      if (halide.features_any_of({Halide::Target::Metal, Halide::Target::D3D12Compute, Halide::Target::WebGPU}))
        for (auto &pipeline : *built)
          if (auto code = compiled(pipeline->lower()); !code)
            return code.takeError();
      return true;
    });
    return error ? "" : llvm::toString(error.takeError());
  }

  llvm::Expected<llvm::SmallString<0>> compile(llvm::StringRef name, llvm::StringRef text) override {
    return guarded([&]() -> llvm::Expected<llvm::SmallString<0>> {
      Halide::Target target = functionTarget(name);
      Source source(text, context);
      auto pipelines = source.build({target});
      if (!pipelines)
        return pipelines.takeError();
      // One module for all is compiled faster; on a device each would take the first one's kernels, which have one name.
      std::vector<Halide::Module> modules;
      for (auto &pipeline : *pipelines) {
        Halide::Module lowered = pipeline->lower();
        if (modules.empty() || target.has_gpu_feature()) {
          modules.push_back(lowered);
          continue;
        }
        for (const Halide::Internal::LoweredFunc &function : lowered.functions())
          modules.front().append(function);
        for (const Halide::Buffer<> &buffer : lowered.buffers())
          modules.front().append(buffer);
      }
      if (modules.empty())
        modules.emplace_back("attn_pipelines", target);
      return compiled(modules);
    });
  }

  llvm::Expected<llvm::SmallString<0>> deviceCode(llvm::StringRef target, llvm::StringRef pipelines) override {
    return guarded([&] { return halide::deviceCode(Halide::Target(target.str()), pipelines); });
  }

  llvm::Expected<std::string> print(llvm::StringRef name, llvm::StringRef text) override {
    return guarded([&]() -> llvm::Expected<std::string> {
      Source source(text, context);
      auto pipelines = source.build({functionTarget(name)});
      if (!pipelines)
        return pipelines.takeError();
      std::string result;
      for (auto &pipeline : *pipelines)
        result += pipeline->print() + "\n";
      return result;
    });
  }

private:
  Reporter reporter;
  mlir::MLIRContext context{mlir::MLIRContext::Threading::DISABLED};
};
} // namespace
} // namespace attnc

extern "C" __attribute__((visibility("default"))) attnc::HalidePlugin *attn_halide_plugin() {
  static attnc::Plugin plugin;
  return &plugin;
}
