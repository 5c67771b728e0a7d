//===- Variant.cpp - LLVM dialect to one variant's LLVM module ----------------------------------===//
#include "backends/cpu/Object.h"
#include "backends/cpu/support/Descriptor.h"

#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/Module.h"
#include "llvm/Transforms/IPO/Internalize.h"

namespace attnc {
using namespace llvm;

static Error fail(const Twine &message) {
  return createStringError(inconvertibleErrorCode(), "internal error: " + message);
}

std::string codeTableName(unsigned variant) { return ("attn.code." + Twine(variant)).str(); }

//===----------------------------------------------------------------------===//
// Operations of a run
//===----------------------------------------------------------------------===//

namespace {
/// Calls of attn_dispatch and attn_launch in one run of a function: blocks are called once per layer, so calls multiply. Exact as long
/// as no call stands in a loop; poll's total is advice.
class OpCounter {
public:
  uint64_t count(const Function &function) {
    auto [entry, isNew] = counts.try_emplace(&function, 0);
    if (!isNew || function.isDeclaration()) // counted, or recursive
      return entry->second;
    uint64_t total = 0;
    for (const BasicBlock &block : function)
      for (const Instruction &instruction : block)
        if (auto *call = dyn_cast<CallBase>(&instruction))
          if (const Function *callee = call->getCalledFunction())
            total = SaturatingAdd(total, is_contained(kOps, callee->getName()) ? 1 : count(*callee));
    return counts[&function] = total;
  }

private:
  static constexpr StringLiteral kOps[] = {"attn_dispatch", "attn_launch"};
  DenseMap<const Function *, uint64_t> counts;
};
} // namespace

//===----------------------------------------------------------------------===//
// Trampolines
//===----------------------------------------------------------------------===//

/// `name(ptr args)`: loads 8-byte arguments from the array and calls `target` with them.
static Function *buildTrampoline(Module &module, Function &target, const Twine &name, bool returnsInt) {
  LLVMContext &context = module.getContext();
  Type *i64 = Type::getInt64Ty(context);
  auto *type = FunctionType::get(returnsInt ? i64 : Type::getVoidTy(context), {PointerType::get(context, 0)}, false);
  Function *function = Function::Create(type, GlobalValue::InternalLinkage, name, module);
  IRBuilder<> builder(BasicBlock::Create(context, "", function));
  SmallVector<Value *> args;
  for (auto [i, parameter] : enumerate(target.args()))
    args.push_back(builder.CreateAlignedLoad(parameter.getType(),
                                             builder.CreateConstInBoundsGEP1_64(i64, function->getArg(0), i), Align(8)));
  CallInst *call = builder.CreateCall(&target, args);
  if (returnsInt)
    builder.CreateRet(call);
  else
    builder.CreateRetVoid();
  return function;
}

/// The function `name`, defined, with these argument kinds: 'p' pointer, 'i' i64.
static Expected<Function *> findFunction(Module &module, const Twine &name, StringRef kinds, bool returnsInt) {
  Function *function = module.getFunction(name.str());
  if (!function || function->isDeclaration())
    return fail("expected a function '" + name + "' in the last stage, got none");
  std::string got;
  for (const Argument &argument : function->args())
    got += argument.getType()->isPointerTy() ? 'p' : argument.getType()->isIntegerTy(64) ? 'i' : '?';
  bool returns = returnsInt ? function->getReturnType()->isIntegerTy(64) : function->getReturnType()->isVoidTy();
  if (got != kinds || !returns)
    return fail("expected function '" + name + "' to take (" + kinds + ")" + (returnsInt ? " and return i64" : "") +
                ", got (" + got + ")");
  return function;
}

static Expected<Constant *> buildEntryCode(Module &module, const EntryInterface &entry, OpCounter &ops) {
  std::string kinds(1 + entry.inputs.size() + entry.outputs.size(), 'p');
  for (unsigned part : {ATTN_STATE_APPENDS, ATTN_STATE_READS_CROSS, ATTN_STATE_FILLS_CROSS})
    kinds += entry.usesState & part ? "pppi" : "";
  kinds += "ppi"; // weights, workspace, workers
  Expected<Function *> run = findFunction(module, "_mlir_ciface_" + entry.name, kinds, false);
  if (!run)
    return run.takeError();
  Expected<Function *> workspace =
      findFunction(module, entry.name + ".workspace", std::string(entry.workspaceArguments() + 1, 'i'), true);
  if (!workspace)
    return workspace.takeError();
  uint64_t count = ops.count(**run);
  return ConstantStruct::getAnon(
      {buildTrampoline(module, **run, entry.name + ".run", false),
       buildTrampoline(module, **workspace, entry.name + ".workspace_bytes", true),
       ConstantInt::get(Type::getInt64Ty(module.getContext()), count)});
}

//===----------------------------------------------------------------------===//
// The module
//===----------------------------------------------------------------------===//

Expected<std::unique_ptr<Module>> buildVariantModule(const ModelInterface &model, unsigned variant,
                                                     mlir::ModuleOp source, LLVMContext &context) {
  std::unique_ptr<Module> module = mlir::translateModuleToLLVMIR(source, context, "model");
  if (!module)
    return fail("the last stage's module does not translate to LLVM IR");
  module->setSourceFileName("model"); // not the path of the input
  OpCounter ops;
  SmallVector<Constant *> codes;
  for (const EntryInterface &entry : model.entries) {
    Expected<Constant *> code = buildEntryCode(*module, entry, ops);
    if (!code)
      return code.takeError();
    codes.push_back(*code);
  }
  auto *type = ArrayType::get(codes[0]->getType(), codes.size());
  auto *table = new GlobalVariable(*module, type, true, GlobalValue::ExternalLinkage, ConstantArray::get(type, codes),
                                   codeTableName(variant));
  internalizeModule(*module, [&](const GlobalValue &global) { return &global == table; });
  // A block may be called memcpy or expf; those names mean something to LLVM. Kernels' names have a dot.
  for (GlobalObject &object : module->global_objects())
    if (!object.isDeclaration() && !object.getName().contains('.'))
      object.setName(object.getName() + ".block");
  // Everything else comes from the library's object, next to it: no PLT.
  for (GlobalValue &global : module->global_values())
    if (!global.hasLocalLinkage() && !global.getName().starts_with("llvm.")) {
      if (!is_contained(kMemoryFunctions, global.getName()))
        global.setVisibility(GlobalValue::HiddenVisibility);
      global.setDSOLocal(true);
    }
  return module;
}

} // namespace attnc
