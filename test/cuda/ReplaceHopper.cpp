//===- ReplaceHopper.cpp - mbarriers, bulk copies, products of warpgroups -----------------------===//
#include "test/cuda/EmulatorCalls.h"
#include "test/cuda/ReplaceNvvm.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/Dominance.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/Regex.h"

using namespace mlir;

namespace emulator {

static SmallVector<Value> none() { return {}; }

//===----------------------------------------------------------------------===//
// mbarriers
//===----------------------------------------------------------------------===//

/// The state that an arrival returns, where somebody wants it.
static Replacement state(Operation *op, Value phase) {
  return op->getNumResults() ? SmallVector<Value>{phase} : none();
}

template <class Op> static Replacement tryWait(Op op, StringRef function, EmulatorCalls &calls) {
  Value value = op.getStateOrPhase();
  const bool isParity = value.getType().isInteger(32);
  if (isParity)
    value = LLVM::ZExtOp::create(calls.builder, calls.loc, calls.builder.getI64Type(), value);
  Value result = calls.call(function, calls.builder.getI32Type(),
                            {calls.place(), calls.generic(op.getAddr()), value, calls.i32(isParity)});
  return SmallVector<Value>{calls.fromI32(result, calls.builder.getI1Type())};
}

//===----------------------------------------------------------------------===//
// Bulk copies
//===----------------------------------------------------------------------===//

static Replacement tmaLoad(NVVM::CpAsyncBulkTensorGlobalToSharedClusterOp op, EmulatorCalls &calls) {
  if (!op.getIm2colOffsets().empty() || op.getMulticastMask() || op.getPredicate() ||
      op.getMode() != NVVM::TMALoadMode::TILE || op.getGroup())
    return failure();
  calls.call("attn_emulator_tma_load", {calls.place(), calls.generic(op.getDstMem()), op.getTmaDescriptor(),
                                        calls.i32(op.getCoordinates().size()), calls.registers(op.getCoordinates()),
                                        calls.generic(op.getMbar())});
  return none();
}

static Replacement tmaStore(NVVM::CpAsyncBulkTensorSharedCTAToGlobalOp op, EmulatorCalls &calls) {
  if (op.getPredicate() || op.getMode() != NVVM::TMAStoreMode::TILE)
    return failure();
  calls.call("attn_emulator_tma_store", {calls.place(), op.getTmaDescriptor(), calls.generic(op.getSrcMem()),
                                         calls.i32(op.getCoordinates().size()), calls.registers(op.getCoordinates())});
  return none();
}

//===----------------------------------------------------------------------===//
// Products of warpgroups
//===----------------------------------------------------------------------===//

static std::optional<unsigned> numberType(StringRef name) {
  return llvm::StringSwitch<std::optional<unsigned>>(name).Case("f16", 0).Case("bf16", 1).Case("tf32", 2).Default(
      std::nullopt);
}

namespace {
/// As attn_emulator_wgmma takes it.
struct WarpgroupProduct {
  unsigned type, columns;
  Value a, descriptorA, descriptorB; ///< a: registers, or null
  bool transposedA = false, transposedB = false, negatedA = false, negatedB = false;
  Value accumulates; ///< i32
};
} // namespace

/// `registers`: the memory of D, whose values become references to the product's.
static void callProduct(const WarpgroupProduct &product, Value registers, EmulatorCalls &calls) {
  const unsigned flags = product.transposedA | product.transposedB << 1 | product.negatedA << 3 | product.negatedB << 4;
  Value isSet =
      LLVM::ICmpOp::create(calls.builder, calls.loc, LLVM::ICmpPredicate::ne, product.accumulates, calls.i32(0));
  Value all = LLVM::SelectOp::create(calls.builder, calls.loc, isSet, calls.i32(flags | 4), calls.i32(flags));
  calls.call("attn_emulator_wgmma",
             {calls.place(), calls.i32(product.type), calls.i32(product.columns), product.a ? product.a : calls.null(),
              product.descriptorA ? product.descriptorA : calls.i64(0), product.descriptorB, all, registers});
}

static Replacement multiply(NVVM::WgmmaMmaAsyncOp op, EmulatorCalls &calls) {
  std::optional<unsigned> type = numberType(NVVM::stringifyWGMMATypes(op.getTypeA()));
  if (!type || op.getTypeA() != op.getTypeB() || op.getTypeD() != NVVM::WGMMATypes::f32 || op.getSatfinite())
    return failure();
  WarpgroupProduct product;
  product.type = *type;
  product.columns = op.getShape().getN();
  product.descriptorA = op.getDescriptorA();
  product.descriptorB = op.getDescriptorB();
  product.transposedA = op.getLayoutA() == NVVM::MMALayout::col;
  product.transposedB = op.getLayoutB() == NVVM::MMALayout::row;
  product.negatedA = op.getScaleA() == NVVM::WGMMAScaleIn::neg;
  product.negatedB = op.getScaleB() == NVVM::WGMMAScaleIn::neg;
  product.accumulates = calls.i32(op.getScaleD() == NVVM::WGMMAScaleOut::one);
  Value registers = calls.room(op.getInouts().getType());
  calls.store(op.getInouts(), registers);
  callProduct(product, registers, calls);
  return SmallVector<Value>{calls.load(op.getType(), registers)};
}

/// Inline assembly: one wgmma, with A in registers or in shared memory,
///   wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 {$0, …}, {$8, …} or $8, $12, p, 1, 1[, trans-a][, trans-b];
/// whose p is set by `setp.ne.b32 p, $13, 0`. Operands are registers of 32 bits, or descriptors of 64; those tied to
/// results come after all others or where their constraint stands.
static Replacement assembly(LLVM::InlineAsmOp op, EmulatorCalls &calls) {
  static const llvm::Regex instruction(
      "wgmma\\.mma_async\\.sync\\.aligned\\.m64n([0-9]+)k(8|16)\\.f32\\.([a-z0-9]+)\\.([a-z0-9]+)[ \t\n]*"
      "\\{([^}]*)\\}[ \t\n]*,[ \t\n]*(\\{[^}]*\\}|\\$[0-9]+)[ \t\n]*,[ \t\n]*\\$([0-9]+)[ \t\n]*,([^;]*);");
  static const llvm::Regex predicate("setp\\.ne\\.b32[ \t]+p,[ \t]*\\$([0-9]+),[ \t]*0;");
  SmallVector<StringRef> parts, setp;
  StringRef text = op.getAsmString();
  auto resultType = dyn_cast_or_null<LLVM::LLVMStructType>(op.getNumResults() ? op.getResult(0).getType() : Type());
  if (text.empty() && resultType && ValueRange(op.getOperands()).getTypes() == resultType.getBody()) {
    // Its results are its operands: all that it says is when they are computed.
    Value all = LLVM::UndefOp::create(calls.builder, calls.loc, resultType);
    for (auto [i, value] : llvm::enumerate(op.getOperands()))
      all = LLVM::InsertValueOp::create(calls.builder, calls.loc, all, value, ArrayRef<int64_t>{int64_t(i)});
    return SmallVector<Value>{all};
  }
  if (text.count("wgmma.") != 1 || !instruction.match(text, &parts) || parts[3] != parts[4])
    return failure();
  std::optional<unsigned> type = numberType(parts[3]);
  WarpgroupProduct product;
  if (!type || parts[1].getAsInteger(10, product.columns) || !resultType ||
      resultType.getBody().size() != product.columns / 2)
    return failure();
  product.type = *type;

  // Number of an operand in the text: results first.
  const unsigned results = resultType.getBody().size();
  auto operand = [&](StringRef number) -> Value {
    unsigned index;
    number = number.trim();
    number.consume_front("$");
    if (number.getAsInteger(10, index) || index < results || index - results >= op.getOperands().size())
      return {};
    return op.getOperands()[index - results];
  };
  if (parts[6].starts_with("{")) {
    SmallVector<StringRef> names;
    parts[6].drop_front().drop_back().split(names, ',');
    SmallVector<Value> registers;
    for (StringRef name : names)
      registers.push_back(operand(name));
    if (registers.size() != 4 || llvm::is_contained(registers, Value()))
      return failure();
    product.a = calls.registers(registers);
  } else if (!(product.descriptorA = operand(parts[6]))) {
    return failure();
  }
  if (!(product.descriptorB = operand(parts[7])))
    return failure();

  // p or 1, then the signs, then what is transposed: of B alone where A is in registers.
  SmallVector<StringRef> rest;
  parts[8].split(rest, ',');
  for (StringRef &word : rest)
    word = word.trim();
  if (rest.size() < 3)
    return failure();
  product.accumulates = calls.i32(1);
  if (rest[0] == "p") {
    if (!predicate.match(text, &setp) || !(product.accumulates = operand(setp[1])))
      return failure();
  } else if (rest[0] != "1") {
    return failure();
  }
  product.negatedA = rest[1] == "-1";
  product.negatedB = rest[2] == "-1";
  if (rest.size() > 3)
    product.transposedB = rest.back() == "1";
  if (rest.size() > 4)
    product.transposedA = rest[3] == "1";

  // D goes in where a constraint is the number of a result.
  SmallVector<StringRef> constraints;
  StringRef(op.getConstraints()).split(constraints, ',');
  llvm::erase_if(constraints, [](StringRef constraint) { return constraint.starts_with("~"); });
  Value registers = calls.room(resultType);
  for (auto [i, constraint] :
       llvm::enumerate(ArrayRef(constraints).drop_front(std::min<size_t>(results, constraints.size())))) {
    unsigned tied;
    if (constraint.getAsInteger(10, tied) || tied >= results || i >= op.getOperands().size())
      continue;
    Value place = LLVM::GEPOp::create(calls.builder, calls.loc, registers.getType(), calls.builder.getI32Type(),
                                      registers, ArrayRef<LLVM::GEPArg>{int32_t(tied)});
    calls.store(op.getOperands()[i], place);
  }
  callProduct(product, registers, calls);
  return SmallVector<Value>{calls.load(resultType, registers)};
}

/// Accumulators are references until they are taken out of their struct and used, but by another product, or by
/// assembly that only passes them on.
static void resolveAccumulators(Operation *product, ModuleOp module) {
  product->getParentOfType<LLVM::LLVMFuncOp>().walk([&](LLVM::ExtractValueOp extract) {
    auto type = dyn_cast<LLVM::LLVMStructType>(extract.getContainer().getType());
    if (!type || !extract.getType().isF32() || extract->hasAttr("attn.resolved"))
      return;
    extract->setAttr("attn.resolved", UnitAttr::get(extract.getContext()));
    for (OpOperand &use : llvm::make_early_inc_range(extract.getRes().getUses())) {
      if (isa<LLVM::InlineAsmOp>(use.getOwner()))
        continue;
      EmulatorCalls calls(module, use.getOwner());
      Value bits = LLVM::BitcastOp::create(calls.builder, calls.loc, calls.builder.getI32Type(), extract);
      Value number = calls.call("attn_emulator_accumulator", calls.builder.getI32Type(), {calls.place(), bits});
      use.set(calls.fromI32(number, extract.getType()));
    }
  });
}

//===----------------------------------------------------------------------===//
// All
//===----------------------------------------------------------------------===//

Replacement replaceHopper(Operation *op, EmulatorCalls &calls) {
  auto module = op->getParentOfType<ModuleOp>();
  auto callWith = [&](StringRef function, ArrayRef<Value> arguments) {
    calls.call(function, arguments);
    return none();
  };
  auto i64 = calls.builder.getI64Type();
  return llvm::TypeSwitch<Operation *, Replacement>(op)
      .Case([&](NVVM::MBarrierInitOp op) -> Replacement {
        if (op.getPredicate())
          return failure();
        return callWith("attn_emulator_mbarrier_init", {calls.place(), calls.generic(op.getAddr()), op.getCount()});
      })
      .Case([&](NVVM::MBarrierInvalOp op) {
        return callWith("attn_emulator_mbarrier_inval", {calls.place(), calls.generic(op.getAddr())});
      })
      .Case([&](NVVM::MBarrierArriveOp op) {
        return state(
            op, calls.call("attn_emulator_mbarrier_arrive", i64,
                           {calls.place(), calls.generic(op.getAddr()), op.getCount() ? op.getCount() : calls.i32(1)}));
      })
      .Case([&](NVVM::MBarrierArriveExpectTxOp op) -> Replacement {
        if (op.getPredicate())
          return failure();
        return state(op, calls.call("attn_emulator_mbarrier_arrive_expect_tx", i64,
                                    {calls.place(), calls.generic(op.getAddr()), op.getTxcount()}));
      })
      .Case([&](NVVM::MBarrierExpectTxOp op) {
        return callWith("attn_emulator_mbarrier_expect_tx",
                        {calls.place(), calls.generic(op.getAddr()), op.getTxcount()});
      })
      .Case([&](NVVM::MBarrierTryWaitParityOp op) {
        return callWith("attn_emulator_mbarrier_wait_parity",
                        {calls.place(), calls.generic(op.getAddr()), op.getPhase()});
      })
      .Case([&](NVVM::MBarrierTryWaitOp op) { return tryWait(op, "attn_emulator_mbarrier_try_wait", calls); })
      .Case([&](NVVM::MBarrierTestWaitOp op) { return tryWait(op, "attn_emulator_mbarrier_test_wait", calls); })
      .Case([&](NVVM::CpAsyncMBarrierArriveOp op) {
        return callWith("attn_emulator_cp_async_mbarrier_arrive",
                        {calls.place(), calls.generic(op.getAddr()), calls.i32(op.getNoinc())});
      })
      .Case([&](NVVM::CpAsyncBulkTensorGlobalToSharedClusterOp op) { return tmaLoad(op, calls); })
      .Case([&](NVVM::CpAsyncBulkTensorSharedCTAToGlobalOp op) { return tmaStore(op, calls); })
      .Case([&](NVVM::CpAsyncBulkCommitGroupOp) { return callWith("attn_emulator_bulk_commit_group", {}); })
      .Case([&](NVVM::CpAsyncBulkWaitGroupOp op) {
        return callWith("attn_emulator_bulk_wait_group", {calls.i32(op.getGroup())});
      })
      .Case([&](NVVM::WgmmaFenceAlignedOp) { return callWith("attn_emulator_wgmma_fence", {}); })
      .Case([&](NVVM::WgmmaGroupSyncAlignedOp) { return callWith("attn_emulator_wgmma_commit", {}); })
      .Case([&](NVVM::WgmmaWaitGroupSyncOp op) {
        return callWith("attn_emulator_wgmma_wait", {calls.i32(int64_t(op.getGroup()))});
      })
      .Case([&](NVVM::WgmmaMmaAsyncOp op) {
        resolveAccumulators(op, module);
        return multiply(op, calls);
      })
      .Case([&](LLVM::InlineAsmOp op) {
        Replacement values = assembly(op, calls);
        if (succeeded(values))
          resolveAccumulators(op, module);
        return values;
      })
      .Default([](Operation *) { return failure(); });
}

LogicalResult checkFences(ModuleOp module) {
  DominanceInfo dominance(module);
  WalkResult result = module.walk([&](NVVM::CpAsyncBulkTensorSharedCTAToGlobalOp store) {
    bool fenced = false;
    store->getParentOfType<LLVM::LLVMFuncOp>().walk([&](NVVM::FenceProxyOp fence) {
      fenced |= (fence.getKind() == NVVM::ProxyKind::async_shared || fence.getKind() == NVVM::ProxyKind::async) &&
                dominance.properlyDominates(fence.getOperation(), store.getOperation());
    });
    if (fenced)
      return WalkResult::advance();
    store.emitError("expected nvvm.fence.proxy of async.shared before it: other threads' writes may not be seen");
    return WalkResult::interrupt();
  });
  return failure(result.wasInterrupted());
}

} // namespace emulator
