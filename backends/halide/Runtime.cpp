//===- Runtime.cpp - Halide's runtime as a part of a model file ------------------------------------------===//
//
// The runtime comes as LLVM bitcode, as its functions are before code generation. So our definitions replace its weak ones,
// what is not reached is dropped, and what is left becomes local, all by LLVM's linker. Its LLVM is older than ours, which
// reads its bitcode.
//
//===----------------------------------------------------------------------------------------------------===//
#include "backends/halide/Runtime.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/IR/AttributeMask.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/DebugInfo.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Linker/Linker.h"
#include "llvm/Object/SymbolicFile.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Transforms/IPO/GlobalDCE.h"
#include "llvm/Transforms/IPO/Internalize.h"

#include <Halide.h>
#include <dlpack/dlpack.h>

namespace attnc::halide {
using namespace llvm;

static Error fail(const Twine &message) { return createStringError(inconvertibleErrorCode(), message); }

//===----------------------------------------------------------------------===//
// Our part
//===----------------------------------------------------------------------===//

namespace {
struct Support {
  Halide::Target::Arch arch;
  ArrayRef<unsigned char> host, device; ///< pipelines on the CPU; on a device with a memory of its own
};
} // namespace

static const unsigned char hostX86[] = {
#include "backends/halide/x86_64/Host.inc"
};
static const unsigned char hostAArch64[] = {
#include "backends/halide/aarch64/Host.inc"
};
static const unsigned char hostWasm32[] = {
#include "backends/halide/wasm32/Host.inc"
};
static const unsigned char deviceX86[] = {
#include "backends/halide/x86_64/Device.inc"
};
static const unsigned char deviceAArch64[] = {
#include "backends/halide/aarch64/Device.inc"
};
static const Support supports[] = {{Halide::Target::X86, hostX86, deviceX86},
                                   {Halide::Target::ARM, hostAArch64, deviceAArch64},
                                   {Halide::Target::WebAssembly, hostWasm32, {}}};

namespace {
/// A device with a memory of its own.
struct Device {
  Halide::Target::Feature feature;
  StringLiteral interface; ///< function of the runtime
  DLDeviceType type;
};
} // namespace
static constexpr Device devices[] = {{Halide::Target::OpenCL, "halide_opencl_device_interface", kDLOpenCL},
                                     {Halide::Target::Vulkan, "halide_vulkan_device_interface", kDLVulkan},
                                     {Halide::Target::Metal, "halide_metal_device_interface", kDLMetal},
                                     {Halide::Target::D3D12Compute, "halide_d3d12compute_device_interface", kDLExtDev},
                                     {Halide::Target::WebGPU, "halide_webgpu_device_interface", kDLWebGPU}};

/// The target's; null: it computes on the host's CPU. Others are refused.
static Expected<const Device *> deviceOf(const Halide::Target &target) {
  for (const Device &device : devices)
    if (target.has_feature(device.feature))
      return &device;
  if (target.has_gpu_feature() || target.has_feature(Halide::Target::HVX))
    return fail("--target=halide:" + target.to_string() + ": expected opencl, vulkan, metal, d3d12compute or webgpu as the device");
  return nullptr;
}

static Expected<StringRef> supportBitcode(const Halide::Target &target, bool onDevice) {
  for (const Support &support : supports)
    if (support.arch == target.arch && (!onDevice || !support.device.empty()))
      return toStringRef(onDevice ? support.device : support.host);
  return fail("--target=halide:" + target.to_string() + ": expected x86-64, arm-64 or, without a device, wasm-32");
}

/// Functions of libc that the runtime calls and support/ defines in another way.
static constexpr StringLiteral kLibc[] = {"abort",  "atoi",   "dlerror", "dlopen", "dlsym", "free", "getenv", "malloc",
                                          "strcmp", "strlen", "strncpy", "strstr"};
static constexpr StringLiteral kLibcPrefix = "runtime_";

/// What the support code and generated code call.
static constexpr StringLiteral kRoots[] = {"attn_launch",  "attn_copy_to_host", "attn_copy_to_device", "device_open",
                                           "device_close", "device_fetch_page", "device_finish",       "device_has_threads",
                                           "device_stamp"};

//===----------------------------------------------------------------------===//
// Halide's part
//===----------------------------------------------------------------------===//

/// The whole runtime of a target, for the baseline of its architecture.
static Expected<std::unique_ptr<Module>> runtimeModule(const Halide::Target &target, const Device *device,
                                                       LLVMContext &context) {
  Halide::Target baseline(target.os, target.arch, target.bits);
  if (device)
    baseline.set_feature(device->feature);
  SmallString<128> path;
  if (std::error_code error = sys::fs::createTemporaryFile("attnc-halide", "bc", path))
    return fail("could not make a temporary file: " + error.message());
  FileRemover remover(path);
  try {
    Halide::Module("halide_runtime", baseline.with_feature(Halide::Target::UserContext))
        .compile({{Halide::OutputFileType::bitcode, std::string(path)}});
  } catch (const Halide::Error &error) {
    return fail("--target=halide:" + target.to_string() + ": " + StringRef(error.what()).trim());
  }
  auto buffer = MemoryBuffer::getFile(path);
  if (!buffer)
    return fail("could not read Halide's runtime: " + buffer.getError().message());
  return parseBitcodeFile((*buffer)->getMemBufferRef(), context);
}

/// Makes the functions that support/Device.h declares. Destructors are forgotten.
static void addFunctions(Module &module, const Device &device) {
  LLVMContext &context = module.getContext();
  auto begin = [&](StringRef name, Type *result) {
    auto *function = Function::Create(FunctionType::get(result, false), GlobalValue::ExternalLinkage, name, module);
    return BasicBlock::Create(context, "", function);
  };
  IRBuilder<> b(begin("runtime_construct", Type::getVoidTy(context)));
  SmallVector<GlobalVariable *> variables;
  for (GlobalVariable &global : module.globals())
    if (!global.isConstant() && global.hasInitializer() && !global.getName().starts_with("llvm.") &&
        !global.getName().contains("compilation_cache")) // by which the runtime knows a pipeline's kernels
      variables.push_back(&global);
  for (GlobalVariable *global : variables) {
    auto *first = new GlobalVariable(module, global->getValueType(), true, GlobalValue::PrivateLinkage, global->getInitializer());
    b.CreateMemCpy(global, global->getAlign(), first, global->getAlign(),
                   module.getDataLayout().getTypeAllocSize(global->getValueType()));
  }
  if (GlobalVariable *list = module.getGlobalVariable("llvm.global_ctors")) {
    for (Use &entry : list->getInitializer()->operands()) // priority, function, data
      b.CreateCall(FunctionType::get(b.getVoidTy(), false), cast<ConstantStruct>(entry)->getOperand(1));
    list->eraseFromParent();
  }
  b.CreateRetVoid();
  b.SetInsertPoint(begin("runtime_device_interface", b.getPtrTy()));
  b.CreateRet(b.CreateCall(module.getFunction(device.interface)));
  new GlobalVariable(module, b.getInt32Ty(), true, GlobalValue::ExternalLinkage, b.getInt32(device.type), "runtime_device_type");
}

/// In Halide 21, Vulkan's allocator cuts a buffer short when a piece of memory that it splits has an odd size (halide/Halide#9223
/// and #9224 came later): pieces become multiples of 4 KiB.
static Error fixVulkan(Module &module) {
  Function *conform = module.getFunction("_ZN6Halide7Runtime8Internal6Vulkan21VulkanMemoryAllocator22conform_region_request"
                                         "EPvPNS1_13MemoryRequestE");
  if (!conform || conform->isDeclaration() || conform->arg_size() != 2)
    return fail("internal error: Halide's runtime has another allocator for Vulkan than expected");
  for (unsigned i = 0; i < conform->arg_size(); ++i) // that it only reads
    conform->removeParamAttrs(i, AttributeMask().addAttribute(Attribute::ReadOnly));
  conform->removeFnAttr(Attribute::Memory);
  constexpr uint64_t kPiece = 4096;
  IRBuilder<> b(&*conform->getEntryBlock().getFirstInsertionPt());
  Value *size = b.CreateConstInBoundsGEP1_64(b.getInt64Ty(), conform->getArg(1), 1); // {offset, size, …}
  Value *up = b.CreateAdd(b.CreateLoad(b.getInt64Ty(), size), b.getInt64(kPiece - 1));
  b.CreateStore(b.CreateAnd(up, ~(kPiece - 1)), size);
  return Error::success();
}

/// Names that object files or bitcode use and do not define.
static Error addUndefined(ArrayRef<StringRef> files, bool isMachO, StringSet<> &names) {
  LLVMContext context;
  for (StringRef bytes : files) {
    Expected<std::unique_ptr<object::SymbolicFile>> file =
        object::SymbolicFile::createSymbolicFile(MemoryBufferRef(bytes, "pipelines"), file_magic::unknown, &context);
    if (!file)
      return file.takeError();
    for (const object::BasicSymbolRef &symbol : (*file)->symbols()) {
      Expected<uint32_t> flags = symbol.getFlags();
      if (!flags)
        return flags.takeError();
      if (!(*flags & object::BasicSymbolRef::SF_Undefined))
        continue;
      std::string name;
      raw_string_ostream stream(name);
      if (Error error = symbol.printName(stream))
        return error;
      names.insert(StringRef(name).substr(isMachO && StringRef(name).starts_with("_")));
    }
  }
  return Error::success();
}

Expected<SmallString<0>> deviceCode(const Halide::Target &target, ArrayRef<StringRef> pipelines) {
  Expected<const Device *> device = deviceOf(target);
  if (!device)
    return device.takeError();
  Expected<StringRef> ours = supportBitcode(target, *device != nullptr);
  if (!ours)
    return ours.takeError();
  StringSet<> needed;
  for (StringRef name : kRoots)
    needed.insert(name);
  if (Error error = addUndefined(pipelines, target.os == Halide::Target::OSX || target.os == Halide::Target::IOS, needed))
    return std::move(error);

  LLVMContext context;
  Expected<std::unique_ptr<Module>> runtime = runtimeModule(target, *device, context);
  if (!runtime)
    return runtime.takeError();
  Module &module = **runtime;
  if (*device)
    addFunctions(module, **device);
  if (*device && (*device)->type == kDLVulkan)
    if (Error error = fixVulkan(module))
      return std::move(error);
  for (StringRef name : {"llvm.global_ctors", "llvm.global_dtors"})
    if (GlobalVariable *list = module.getGlobalVariable(name))
      list->eraseFromParent();
  for (StringRef name : kLibc)
    if (Function *function = module.getFunction(name))
      function->setName(kLibcPrefix + name);
  Expected<std::unique_ptr<Module>> support = parseBitcodeFile(MemoryBufferRef(*ours, "support"), context);
  if (!support)
    return support.takeError();
  if (target.os == Halide::Target::Windows)
    for (StringRef name : {"halide_load_library", "halide_get_library_symbol"})
      if (Function *function = (*support)->getFunction(name))
        function->deleteBody();
  if (NamedMDNode *flags = module.getModuleFlagsMetadata()) // of its system, which differ
    module.eraseNamedMetadata(flags);
  module.setTargetTriple((*support)->getTargetTriple()); // of its own system it needs no more than its functions
  module.setDataLayout((*support)->getDataLayout());
  if (Linker::linkModules(module, std::move(*support)))
    return fail("internal error: Halide's runtime and the support code do not fit together");

  for (StringRef name : kLibc) // which only an archive's runtime reaches
    if (Function *function = module.getFunction((kLibcPrefix + name).str()); function && function->isDeclaration())
      function->replaceAllUsesWith(module.getOrInsertFunction(name, function->getFunctionType()).getCallee());

  StripDebugInfo(module);
  internalizeModule(module, [&](const GlobalValue &global) { return needed.contains(global.getName()); });
  ModuleAnalysisManager analyses;
  GlobalDCEPass().run(module, analyses);
  for (GlobalObject &global : module.global_objects())
    global.setComdat(nullptr); // which Windows has, and which names of archives do not fit
  for (GlobalValue &global : module.global_values())
    if (!global.isDeclaration() && !global.hasLocalLinkage()) {
      global.setLinkage(GlobalValue::ExternalLinkage); // strong: it replaces the support code's
      global.setVisibility(GlobalValue::HiddenVisibility);
      global.setDSOLocal(true);
    }
  SmallString<0> bitcode;
  raw_svector_ostream stream(bitcode);
  WriteBitcodeToFile(module, stream);
  return bitcode;
}

} // namespace attnc::halide
