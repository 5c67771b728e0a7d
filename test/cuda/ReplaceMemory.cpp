//===- ReplaceMemory.cpp - Shared memory and address spaces -------------------------------------===//
#include "test/cuda/EmulatorCalls.h"
#include "test/cuda/ReplaceNvvm.h"

#include "mlir/IR/AttrTypeSubElements.h"
#include "mlir/Interfaces/DataLayoutInterfaces.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace emulator {

static constexpr unsigned sharedSpace = 3;

/// Kernels, by whose functions they reach.
static void collectUses(LLVM::LLVMFuncOp function, ModuleOp module, llvm::SetVector<Operation *> &globals,
                        llvm::SetVector<Operation *> &seen) {
  if (!seen.insert(function))
    return;
  function.walk([&](Operation *op) {
    if (auto address = dyn_cast<LLVM::AddressOfOp>(op)) {
      if (auto global = module.lookupSymbol<LLVM::GlobalOp>(address.getGlobalName()))
        globals.insert(global);
    } else if (auto call = dyn_cast<LLVM::CallOp>(op)) {
      if (call.getCallee())
        if (auto callee = module.lookupSymbol<LLVM::LLVMFuncOp>(*call.getCallee()))
          collectUses(callee, module, globals, seen);
    }
  });
}

/// Shared globals get their offsets: after all that a kernel which uses them has already. `attn.kernel` marks kernels.
static void placeShared(ModuleOp module, llvm::StringMap<uint64_t> &sharedBytes,
                        DenseMap<Operation *, uint64_t> &offsets) {
  DataLayout layout(module);
  DenseMap<Operation *, SmallVector<StringRef>> users;
  for (auto function : module.getOps<LLVM::LLVMFuncOp>()) {
    if (!function->hasAttr("attn.kernel"))
      continue;
    llvm::SetVector<Operation *> globals, seen;
    collectUses(function, module, globals, seen);
    for (Operation *global : globals)
      users[global].push_back(function.getName());
  }
  for (auto global : module.getOps<LLVM::GlobalOp>()) {
    const uint64_t bytes = layout.getTypeSize(global.getType());
    if (global.getAddrSpace() != sharedSpace || !bytes)
      continue;
    const uint64_t alignment =
        std::max<uint64_t>(global.getAlignment().value_or(1), layout.getTypeABIAlignment(global.getType()));
    uint64_t offset = 0;
    for (StringRef kernel : users[global])
      offset = std::max(offset, sharedBytes[kernel]);
    offset = llvm::alignTo(offset, alignment);
    for (StringRef kernel : users[global])
      sharedBytes[kernel] = offset + bytes;
    offsets[global] = offset;
  }
  // Dynamic shared memory begins behind, as aligned as anything wants it.
  for (auto global : module.getOps<LLVM::GlobalOp>())
    if (global.getAddrSpace() == sharedSpace && !offsets.count(global))
      for (StringRef kernel : users[global])
        if (uint64_t &bytes = sharedBytes[kernel])
          bytes = llvm::alignTo(bytes, std::max<uint64_t>(global.getAlignment().value_or(1), 16));
}

static void replaceShared(ModuleOp module, const DenseMap<Operation *, uint64_t> &offsets) {
  module.walk([&](LLVM::AddressOfOp address) {
    auto global = module.lookupSymbol<LLVM::GlobalOp>(address.getGlobalName());
    if (!global || global.getAddrSpace() != sharedSpace)
      return;
    EmulatorCalls calls(module, address);
    auto found = offsets.find(global);
    Value pointer = found == offsets.end()
                        ? calls.call("attn_emulator_dynamic_shared", address.getType(), {})
                        : calls.call("attn_emulator_shared", address.getType(), calls.i64(found->second));
    address.replaceAllUsesWith(pointer);
    address.erase();
  });
  for (auto global : llvm::make_early_inc_range(module.getOps<LLVM::GlobalOp>()))
    if (global.getAddrSpace() == sharedSpace)
      global.erase();
}

/// What an access claims of its address must hold; memory of the thread itself is not looked at.
static void checkAlignment(ModuleOp module) {
  DataLayout layout(module);
  module.walk([&](Operation *op) {
    Value pointer;
    Type type;
    std::optional<uint64_t> claimed;
    if (auto load = dyn_cast<LLVM::LoadOp>(op)) {
      pointer = load.getAddr(), type = load.getType(), claimed = load.getAlignment();
    } else if (auto store = dyn_cast<LLVM::StoreOp>(op)) {
      pointer = store.getAddr(), type = store.getValue().getType(), claimed = store.getAlignment();
    } else {
      return;
    }
    Value base = pointer;
    while (auto gep = base.getDefiningOp<LLVM::GEPOp>())
      base = gep.getBase();
    const uint64_t alignment = claimed.value_or(layout.getTypeABIAlignment(type));
    if (alignment < 2 || base.getDefiningOp<LLVM::AllocaOp>() || base.getDefiningOp<LLVM::AddressOfOp>())
      return;
    EmulatorCalls calls(module, op);
    calls.call("attn_emulator_check_alignment", {calls.place(), calls.generic(pointer), calls.i64(alignment)});
  });
}

static void eraseAddressSpaces(ModuleOp module) {
  AttrTypeReplacer replacer;
  replacer.addReplacement([](LLVM::LLVMPointerType type) { return LLVM::LLVMPointerType::get(type.getContext()); });
  replacer.recursivelyReplaceElementsIn(module, /*replaceAttrs=*/true, /*replaceLocs=*/false, /*replaceTypes=*/true);
  module.walk([](LLVM::AddrSpaceCastOp cast) {
    cast.replaceAllUsesWith(cast.getArg());
    cast.erase();
  });
  for (auto global : module.getOps<LLVM::GlobalOp>())
    global.setAddrSpace(0);
}

LogicalResult replaceMemory(ModuleOp module, llvm::StringMap<uint64_t> &sharedBytes) {
  checkAlignment(module);
  DenseMap<Operation *, uint64_t> offsets;
  placeShared(module, sharedBytes, offsets);
  replaceShared(module, offsets);
  eraseAddressSpaces(module);
  return success();
}

} // namespace emulator
