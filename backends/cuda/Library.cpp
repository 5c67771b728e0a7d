//===- Library.cpp - Support code, PTX and tables as LLVM bitcode -----------------------------------------===//
#include "backends/cuda/Library.h"
#include "backends/cuda/support/Code.h"
#include "passes/Signature.h"

#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"

namespace attnc::cuda {
using namespace llvm;

static_assert(kMaxAxes == ATTN_CUDA_AXES && kElements == ATTN_CUDA_ELEMENTS && kRowsOfAll == ATTN_CUDA_ROWS);

static const unsigned char supportX86[] = {
#include "backends/x86_64/cuda/Device.inc"
};
static const unsigned char supportAArch64[] = {
#include "backends/aarch64/cuda/Device.inc"
};
static const llvm::StringRef architectures[] = {"x86_64", "aarch64"};

llvm::ArrayRef<llvm::StringRef> hostArchitectures() { return architectures; }

namespace {
/// Constants in the layout of support/Code.h.
struct Tables {
  llvm::Module &module;
  LLVMContext &context = module.getContext();

  Constant *i32(int64_t v) { return ConstantInt::getSigned(llvm::Type::getInt32Ty(context), v); }
  Constant *i64(int64_t v) { return ConstantInt::get(llvm::Type::getInt64Ty(context), v); }
  GlobalVariable *global(Constant *content, const Twine &name, GlobalValue::LinkageTypes linkage) {
    return new GlobalVariable(module, content->getType(), true, linkage, content, name);
  }
  Constant *text(llvm::StringRef text) {
    return global(ConstantDataArray::getString(context, text), "cuda.text", GlobalValue::PrivateLinkage);
  }
  Constant *array(ArrayRef<Constant *> elements) {
    return ConstantArray::get(ArrayType::get(elements[0]->getType(), elements.size()), elements);
  }

  /// attn_cuda_kernel
  Constant *kernel(const KernelInfo &info) {
    auto of = [&](Axis axis) { return ConstantStruct::getAnon({i32(axis.operand), i32(axis.dim), i32(axis.tile)}); };
    SmallVector<Constant *> axes;
    for (const Axis &axis : info.axes)
      axes.push_back(of(axis));
    axes.resize(ATTN_CUDA_AXES, of({0, 0, 1}));
    return ConstantStruct::getAnon({text(info.name), i32(info.threads), i32(info.sharedBytes), i32(info.axes.size()),
                                    array(axes), of(info.fewUpTo.value_or(Axis{0, 0, 0}))});
  }

  /// attn_cuda_code
  Constant *code(const DeviceCode &code) {
    SmallVector<Constant *> kernels;
    for (const KernelInfo &info : code.kernels)
      kernels.push_back(kernel(info));
    Constant *list = ConstantPointerNull::get(PointerType::getUnqual(context));
    if (!kernels.empty())
      list = global(array(kernels), "cuda.kernels", GlobalValue::PrivateLinkage);
    return ConstantStruct::getAnon({i32(code.capability), text(code.ptx), i64(kernels.size()), list});
  }
};
} // namespace

Expected<llvm::SmallString<0>> deviceCode(llvm::StringRef arch, ArrayRef<DeviceCode> codes) {
  llvm::StringRef support = toStringRef(ArrayRef<unsigned char>(supportX86));
  if (arch == "aarch64")
    support = toStringRef(ArrayRef<unsigned char>(supportAArch64));
  LLVMContext context;
  Expected<std::unique_ptr<llvm::Module>> parsed = parseBitcodeFile(MemoryBufferRef(support, "support"), context);
  if (!parsed)
    return parsed.takeError();
  llvm::Module &module = **parsed;
  Tables tables{module};
  assert(codes.size() == ATTN_CUDA_TARGETS && "support/Code.h");
  SmallVector<Constant *> all;
  for (const DeviceCode &code : codes)
    all.push_back(tables.code(code));
  for (llvm::StringRef name : codes.front().first.keys()) { // attn_cuda_pipeline
    SmallVector<Constant *> indices;
    for (const DeviceCode &code : codes)
      indices.push_back(tables.i32(code.first.lookup(name)));
    tables.global(tables.array(indices), kPipelinePrefix + name + "_argv", GlobalValue::ExternalLinkage);
  }
  GlobalVariable *declared = module.getGlobalVariable("attn_cuda");
  GlobalVariable *table = tables.global(tables.array(all), "", GlobalValue::ExternalLinkage);
  declared->replaceAllUsesWith(table);
  table->takeName(declared);
  declared->eraseFromParent();
  for (GlobalValue &global : module.global_values())
    if (!global.isDeclaration() && !global.hasLocalLinkage()) {
      global.setVisibility(GlobalValue::HiddenVisibility);
      global.setDSOLocal(true);
    }
  llvm::SmallString<0> bitcode;
  raw_svector_ostream stream(bitcode);
  WriteBitcodeToFile(module, stream);
  return bitcode;
}

} // namespace attnc::cuda
