//===- Warpgroups.cpp - wgmma, mbarriers and proxy fences of capability 9.0 ------------------------------===//
#include "backends/cuda/Warpgroups.h"
#include "backends/cuda/TensorCores.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

namespace attnc::cuda {

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

// Bits of a descriptor: 0-13 address, 16-29 leading bytes, 32-45 stride, all in units of 16 bytes; 62-63 the swizzle.
static constexpr int64_t kUnit = 16, kAddressBytes = 1 << 18;

Value descriptor(Kernel &k, Value address, SharedLayout layout) {
  uint64_t mode = layout.swizzle == 128 ? 1 : layout.swizzle == 64 ? 2 : layout.swizzle == 32 ? 3 : 0;
  uint64_t format =
      uint64_t(layout.leadingBytes / kUnit) << 16 | uint64_t(layout.strideBytes / kUnit) << 32 | mode << 62;
  Type i64 = k.b.getI64Type();
  Value units = k.toInteger(k.divFloor(k.rem(address, k.idx(kAddressBytes)), kUnit), i64);
  return arith::OrIOp::create(k.b, k.loc, units, arith::ConstantIntOp::create(k.b, k.loc, int64_t(format), 64));
}

Value advance(Kernel &k, Value descriptor, int64_t bytes) {
  return arith::AddIOp::create(k.b, k.loc, descriptor, arith::ConstantIntOp::create(k.b, k.loc, bytes / kUnit, 64));
}

Value swizzled(Kernel &k, Value row, Value chunk, int64_t swizzle) {
  Value moved = k.rem(k.divFloor(row, 128 / swizzle), k.idx(swizzle / kChunk));
  return arith::XOrIOp::create(k.b, k.loc, chunk, moved);
}

/// Inline assembly whose results take the registers of the last operands, which they replace.
static void assemble(Kernel &k, StringRef text, std::string constraints, ArrayRef<Value> before,
                     MutableArrayRef<Value> replaced) {
  SmallVector<Value> operands(before);
  llvm::append_range(operands, replaced);
  std::string results;
  for (auto [i, value] : llvm::enumerate(replaced)) {
    results += value.getType().isF32() ? "=f," : "=r,";
    constraints += (constraints.empty() ? "" : ",") + std::to_string(i);
  }
  SmallVector<Type> types(ValueRange(ArrayRef<Value>(replaced)).getTypes());
  auto assembly = LLVM::InlineAsmOp::create(
      k.b, k.loc, LLVM::LLVMStructType::getLiteral(k.b.getContext(), types), operands, text, results + constraints,
      /*has_side_effects=*/true, /*is_align_stack=*/false, LLVM::tailcallkind::TailCallKind::None,
      /*asm_dialect=*/nullptr, /*operand_attrs=*/nullptr);
  for (auto [i, value] : llvm::enumerate(replaced))
    value = LLVM::ExtractValueOp::create(k.b, k.loc, assembly.getRes(), ArrayRef<int64_t>{int64_t(i)});
}

/// As NVVM's op has no form with A in registers, all products are inline assembly.
void multiplyAsync(Kernel &k, Type element, ArrayRef<Value> a, Value b, MutableArrayRef<Value> sums, bool transposedB) {
  const size_t count = sums.size();
  auto numbers = [](size_t first, size_t count) {
    std::string list;
    for (size_t i = 0; i < count; ++i)
      list += (i ? ", $" : "$") + std::to_string(first + i);
    return list;
  };
  std::string type = element.isBF16() ? "bf16" : "f16", text, constraints;
  bool inRegisters = a.size() > 1;
  llvm::raw_string_ostream(text) << "wgmma.mma_async.sync.aligned.m64n" << 2 * count << "k16.f32." << type << "."
                                 << type << " {" << numbers(0, count) << "}, " << (inRegisters ? "{" : "")
                                 << numbers(count, a.size()) << (inRegisters ? "}" : "") << ", $" << count + a.size()
                                 << ", 1, 1, 1, " << (inRegisters ? "" : "0, ") << (transposedB ? "1;" : "0;");
  for (size_t i = 0; i < a.size(); ++i)
    constraints += inRegisters ? "r," : "l,";
  SmallVector<Value> factors(a);
  factors.push_back(b);
  assemble(k, text, constraints + "l", factors, sums);
}

void settle(Kernel &k, MutableArrayRef<Value> registers) { assemble(k, "", "", {}, registers); }

void fenceProducts(Kernel &k) { NVVM::WgmmaFenceAlignedOp::create(k.b, k.loc); }

void commitProducts(Kernel &k) { NVVM::WgmmaGroupSyncAlignedOp::create(k.b, k.loc); }

void waitForProducts(Kernel &k, int64_t commits) { NVVM::WgmmaWaitGroupSyncOp::create(k.b, k.loc, commits); }

//===----------------------------------------------------------------------===//
// Roles
//===----------------------------------------------------------------------===//

void takeRegisters(Kernel &k, int64_t count) {
  NVVM::SetMaxRegisterOp::create(k.b, k.loc, count, NVVM::SetMaxRegisterAction::increase);
}

void giveRegisters(Kernel &k, int64_t count) {
  NVVM::SetMaxRegisterOp::create(k.b, k.loc, count, NVVM::SetMaxRegisterAction::decrease);
}

//===----------------------------------------------------------------------===//
// mbarriers
//===----------------------------------------------------------------------===//

static Value pointer(Kernel &k, Value address) {
  Type type = LLVM::LLVMPointerType::get(k.b.getContext(), unsigned(NVVM::NVVMMemorySpace::Shared));
  return LLVM::IntToPtrOp::create(k.b, k.loc, type, k.toInteger(address, k.b.getI64Type()));
}

void initBarrier(Kernel &k, Value barrier, int64_t arrivals) {
  NVVM::MBarrierInitOp::create(k.b, k.loc, pointer(k, barrier), k.i32(arrivals), Value());
}

void fenceBarriers(Kernel &k) { NVVM::FenceMbarrierInitOp::create(k.b, k.loc); }

void arrive(Kernel &k, Value barrier) {
  NVVM::MBarrierArriveOp::create(k.b, k.loc, k.b.getI64Type(), pointer(k, barrier), Value());
}

void arriveAfterCopies(Kernel &k, Value barrier) {
  NVVM::CpAsyncMBarrierArriveOp::create(k.b, k.loc, pointer(k, barrier), /*noinc=*/true);
}

void waitForPhase(Kernel &k, Value barrier, Value parity) {
  constexpr int64_t kNanoseconds = 10000000; // the op begins again after that
  NVVM::MBarrierTryWaitParityOp::create(k.b, k.loc, pointer(k, barrier), parity, k.i32(kNanoseconds));
}

void fenceAsyncProxy(Kernel &k) {
  NVVM::FenceProxyOp::create(k.b, k.loc, NVVM::ProxyKind::async_shared,
                             NVVM::SharedSpaceAttr::get(k.b.getContext(), NVVM::SharedSpace::shared_cta));
}

} // namespace attnc::cuda
