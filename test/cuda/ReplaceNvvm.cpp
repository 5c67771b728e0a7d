//===- ReplaceNvvm.cpp - NVVM ops to calls of the emulator --------------------------------------===//
#include "test/cuda/ReplaceNvvm.h"
#include "test/cuda/EmulatorCalls.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace emulator {

//===----------------------------------------------------------------------===//
// Threads
//===----------------------------------------------------------------------===//

static Replacement shuffle(NVVM::ShflOp op, EmulatorCalls &calls) {
  Type type = op.getVal().getType();
  Value valid = op.getReturnValueAndIsValid() ? calls.room(calls.builder.getI32Type()) : calls.null();
  Value bits = calls.call("attn_emulator_shfl_sync", calls.builder.getI32Type(),
                          {calls.place(), op.getThreadMask(), calls.toI32(op.getVal()), op.getOffset(),
                           op.getMaskAndClamp(), calls.i32(int64_t(op.getKind())), valid});
  Value value = calls.fromI32(bits, type);
  if (!op.getReturnValueAndIsValid())
    return SmallVector<Value>{value};
  Value isValid = calls.fromI32(calls.load(calls.builder.getI32Type(), valid), calls.builder.getI1Type());
  Value both = LLVM::UndefOp::create(calls.builder, calls.loc, op.getType());
  both = LLVM::InsertValueOp::create(calls.builder, calls.loc, both, value, ArrayRef<int64_t>{0});
  return SmallVector<Value>{LLVM::InsertValueOp::create(calls.builder, calls.loc, both, isValid, ArrayRef<int64_t>{1})};
}

static Replacement vote(NVVM::VoteSyncOp op, EmulatorCalls &calls) {
  Value result = calls.call("attn_emulator_vote_sync", calls.builder.getI32Type(),
                            {calls.place(), op.getMask(), calls.toI32(op.getPred()), calls.i32(int64_t(op.getKind()))});
  return SmallVector<Value>{calls.fromI32(result, op.getType())};
}

static Replacement redux(NVVM::ReduxOp op, EmulatorCalls &calls) {
  if (op.getAbs() || op.getNan())
    return failure();
  Value result =
      calls.call("attn_emulator_redux_sync", calls.builder.getI32Type(),
                 {calls.place(), calls.toI32(op.getVal()), calls.i32(int64_t(op.getKind())), op.getMaskAndClamp()});
  return SmallVector<Value>{calls.fromI32(result, op.getType())};
}

static Replacement match(NVVM::MatchSyncOp op, EmulatorCalls &calls) {
  if (!op.getVal().getType().isInteger(32) || op.getKind() != NVVM::MatchSyncKind::any)
    return failure();
  return SmallVector<Value>{calls.call("attn_emulator_match_sync", calls.builder.getI32Type(),
                                       {calls.place(), op.getThreadMask(), op.getVal(), calls.i32(0)})};
}

static Replacement elect(NVVM::ElectSyncOp op, EmulatorCalls &calls) {
  Value mask = op.getMembermask() ? op.getMembermask() : calls.i32(-1);
  Value result = calls.call("attn_emulator_elect_sync", calls.builder.getI32Type(), {calls.place(), mask});
  return SmallVector<Value>{calls.fromI32(result, op.getType())};
}

static Replacement barrier(NVVM::BarrierOp op, EmulatorCalls &calls) {
  auto orZero = [&](Value value) { return value ? value : calls.i32(0); };
  Value kind = calls.i32(op.getReductionOp() ? int64_t(*op.getReductionOp()) : 0);
  Value result = calls.call("attn_emulator_barrier", calls.builder.getI32Type(),
                            {calls.place(), orZero(op.getBarrierId()), orZero(op.getNumberOfThreads()), kind,
                             orZero(op.getReductionPredicate())});
  return op->getNumResults() ? SmallVector<Value>{result} : SmallVector<Value>{};
}

static Replacement barrier0(NVVM::Barrier0Op op, EmulatorCalls &calls) {
  calls.call("attn_emulator_barrier", calls.builder.getI32Type(),
             {calls.place(), calls.i32(0), calls.i32(0), calls.i32(0), calls.i32(0)});
  return SmallVector<Value>{};
}

static Replacement barrierArrive(NVVM::BarrierArriveOp op, EmulatorCalls &calls) {
  calls.call("attn_emulator_barrier_arrive",
             {calls.place(), op.getBarrierId() ? op.getBarrierId() : calls.i32(0), op.getNumberOfThreads()});
  return SmallVector<Value>{};
}

/// nvvm.read.ptx.sreg.NAME calls attn_emulator_sreg_NAME.
static Replacement specialRegister(Operation *op, EmulatorCalls &calls) {
  StringRef name = op->getName().getStringRef();
  name.consume_front("nvvm.read.ptx.sreg.");
  std::string function = ("attn_emulator_sreg_" + name).str();
  std::replace(function.begin(), function.end(), '.', '_');
  static const StringRef known[] = {"tid.x",
                                    "tid.y",
                                    "tid.z",
                                    "ntid.x",
                                    "ntid.y",
                                    "ntid.z",
                                    "ctaid.x",
                                    "ctaid.y",
                                    "ctaid.z",
                                    "nctaid.x",
                                    "nctaid.y",
                                    "nctaid.z",
                                    "laneid",
                                    "warpid",
                                    "nwarpid",
                                    "warpsize",
                                    "smid",
                                    "nsmid",
                                    "lanemask.eq",
                                    "lanemask.lt",
                                    "lanemask.le",
                                    "lanemask.gt",
                                    "lanemask.ge",
                                    "dynamic.smem.size",
                                    "total.smem.size",
                                    "cluster.ctarank",
                                    "cluster.nctarank",
                                    "cluster.ctaid.x",
                                    "cluster.ctaid.y",
                                    "cluster.ctaid.z",
                                    "cluster.nctaid.x",
                                    "cluster.nctaid.y",
                                    "cluster.nctaid.z",
                                    "clusterid.x",
                                    "clusterid.y",
                                    "clusterid.z",
                                    "clock",
                                    "clock64",
                                    "globaltimer"};
  if (!llvm::is_contained(known, name))
    return failure();
  return SmallVector<Value>{calls.call(function, op->getResult(0).getType(), {})};
}

/// An instruction of a whole warp that only changes what a device does, not what it computes.
static Replacement aligned(Operation *op, EmulatorCalls &calls) {
  calls.call("attn_emulator_aligned", {calls.place(), calls.text(op->getName().stripDialect())});
  return SmallVector<Value>{};
}

/// nvvm ops through llvm.call_intrinsic: approximate functions, computed exactly.
static Replacement intrinsic(LLVM::CallIntrinsicOp op, EmulatorCalls &calls) {
  StringRef name = op.getIntrin();
  if (!name.consume_front("llvm.nvvm."))
    return failure();
  static const std::pair<StringRef, StringRef> functions[] = {{"ex2.approx", "exp2f"},
                                                              {"lg2.approx", "log2f"},
                                                              {"sin.approx", "sinf"},
                                                              {"cos.approx", "cosf"},
                                                              {"tanh.approx", "tanhf"},
                                                              {"sqrt.approx", "sqrtf"},
                                                              {"sqrt.rn", "sqrtf"},
                                                              {"rcp.approx", "attn_emulator_rcp"},
                                                              {"rcp.rn", "attn_emulator_rcp"},
                                                              {"rsqrt.approx", "attn_emulator_rsqrt"}};
  for (auto [intrinsic, function] : functions)
    if (name.starts_with(intrinsic) && op->getNumOperands() == 1 && op->getOperand(0).getType().isF32())
      return SmallVector<Value>{calls.call(function, calls.builder.getF32Type(), op->getOperand(0))};
  return failure();
}

//===----------------------------------------------------------------------===//
// Copies and matrices of warps
//===----------------------------------------------------------------------===//

static Replacement copyAsync(NVVM::CpAsyncOp op, EmulatorCalls &calls) {
  Value bytes = calls.i32(op.getSize());
  calls.call("attn_emulator_cp_async", {calls.place(), calls.generic(op.getDst()), calls.generic(op.getSrc()), bytes,
                                        op.getCpSize() ? op.getCpSize() : bytes});
  return SmallVector<Value>{};
}

static Replacement loadMatrix(NVVM::LdMatrixOp op, EmulatorCalls &calls) {
  if (op.getShape().getM() != 8 || op.getShape().getN() != 8 || op.getEltType() != NVVM::LdStMatrixEltType::B16)
    return failure();
  Value registers = calls.room(op.getType());
  calls.call("attn_emulator_ldmatrix", {calls.place(), registers, calls.generic(op.getPtr()), calls.i32(op.getNum()),
                                        calls.i32(op.getLayout() == NVVM::MMALayout::col)});
  return SmallVector<Value>{calls.load(op.getType(), registers)};
}

static Replacement storeMatrix(NVVM::StMatrixOp op, EmulatorCalls &calls) {
  if (op.getShape().getM() != 8 || op.getShape().getN() != 8 || op.getEltType() != NVVM::LdStMatrixEltType::B16)
    return failure();
  calls.call("attn_emulator_stmatrix",
             {calls.place(), calls.registers(op.getSources()), calls.generic(op.getPtr()),
              calls.i32(op.getSources().size()), calls.i32(op.getLayout() == NVVM::MMALayout::col)});
  return SmallVector<Value>{};
}

/// 16×8×k of f16, bf16 or tf32, with f32 accumulators.
static Replacement multiply(NVVM::MmaOp op, EmulatorCalls &calls) {
  std::optional<NVVM::MMATypes> type = op.getMultiplicandAPtxType();
  if (!type || type != op.getMultiplicandBPtxType() || op.getShape().getM() != 16 || op.getShape().getN() != 8 ||
      op.getLayoutA() != NVVM::MMALayout::row || op.getLayoutB() != NVVM::MMALayout::col ||
      op.accumPtxType() != NVVM::MMATypes::f32 || op.resultPtxType() != NVVM::MMATypes::f32)
    return failure();
  unsigned number;
  switch (*type) {
  case NVVM::MMATypes::f16:
    number = 0;
    break;
  case NVVM::MMATypes::bf16:
    number = 1;
    break;
  case NVVM::MMATypes::tf32:
    number = 2;
    break;
  default:
    return failure();
  }
  Value result = calls.room(op.getType());
  calls.call("attn_emulator_mma_sync",
             {calls.place(), calls.i32(number), calls.i32(op.getShape().getK()), calls.registers(op.getOperandA()),
              calls.registers(op.getOperandB()), calls.registers(op.getOperandC()), result});
  return SmallVector<Value>{calls.load(op.getType(), result)};
}

static Replacement toTf32(NVVM::ConvertFloatToTF32Op op, EmulatorCalls &calls) {
  const bool tiesToEven = op.getRnd() == NVVM::FPRoundingMode::RN;
  if ((!tiesToEven && op.getRnd() != NVVM::FPRoundingMode::RNA) || op.getRelu() ||
      op.getSat() != NVVM::SaturationMode::NONE)
    return failure();
  return SmallVector<Value>{calls.call("attn_emulator_to_tf32", op.getType(), {op.getSrc(), calls.i32(tiesToEven)})};
}

/// Two f32 to f16 or bf16, the first one in the upper half.
template <class Op> static Replacement toPair(Op op, EmulatorCalls &calls) {
  if (op.getRnd() != NVVM::FPRoundingMode::RN || op.getRelu() || op.getSat() != NVVM::SaturationMode::NONE)
    return failure();
  Value pair = LLVM::UndefOp::create(calls.builder, calls.loc, op.getType());
  for (auto [i, half] : llvm::enumerate(ValueRange{op.getSrcLo(), op.getSrcHi()})) {
    Value rounded =
        LLVM::FPTruncOp::create(calls.builder, calls.loc, cast<VectorType>(op.getType()).getElementType(), half);
    pair = LLVM::InsertElementOp::create(calls.builder, calls.loc, pair, rounded, calls.i32(i));
  }
  return SmallVector<Value>{pair};
}

//===----------------------------------------------------------------------===//
// All
//===----------------------------------------------------------------------===//

static Replacement replace(Operation *op, EmulatorCalls &calls) {
  if (op->getName().getStringRef().starts_with("nvvm.read.ptx.sreg."))
    return specialRegister(op, calls);
  return llvm::TypeSwitch<Operation *, Replacement>(op)
      .Case([&](NVVM::ShflOp op) { return shuffle(op, calls); })
      .Case([&](NVVM::VoteSyncOp op) { return vote(op, calls); })
      .Case([&](NVVM::ReduxOp op) { return redux(op, calls); })
      .Case([&](NVVM::MatchSyncOp op) { return match(op, calls); })
      .Case([&](NVVM::ElectSyncOp op) { return elect(op, calls); })
      .Case([&](NVVM::SyncWarpOp op) {
        calls.call("attn_emulator_bar_warp_sync", {calls.place(), op.getMask()});
        return SmallVector<Value>{};
      })
      .Case([&](NVVM::BarrierOp op) { return barrier(op, calls); })
      .Case([&](NVVM::Barrier0Op op) { return barrier0(op, calls); })
      .Case([&](NVVM::BarrierArriveOp op) { return barrierArrive(op, calls); })
      .Case([&](NVVM::RcpApproxFtzF32Op op) {
        return SmallVector<Value>{calls.call("attn_emulator_rcp", op.getType(), op->getOperands())};
      })
      .Case([&](NVVM::NanosleepOp op) {
        calls.call("attn_emulator_yield", {});
        return SmallVector<Value>{};
      })
      .Case([&](NVVM::CpAsyncOp op) { return copyAsync(op, calls); })
      .Case([&](NVVM::CpAsyncCommitGroupOp op) {
        calls.call("attn_emulator_cp_async_commit_group", {});
        return SmallVector<Value>{};
      })
      .Case([&](NVVM::CpAsyncWaitGroupOp op) {
        calls.call("attn_emulator_cp_async_wait_group", calls.i32(op.getN()));
        return SmallVector<Value>{};
      })
      .Case([&](NVVM::LdMatrixOp op) { return loadMatrix(op, calls); })
      .Case([&](NVVM::StMatrixOp op) { return storeMatrix(op, calls); })
      .Case([&](NVVM::MmaOp op) { return multiply(op, calls); })
      .Case([&](NVVM::ConvertFloatToTF32Op op) { return toTf32(op, calls); })
      .Case([&](NVVM::ConvertF32x2ToF16x2Op op) { return toPair(op, calls); })
      .Case([&](NVVM::ConvertF32x2ToBF16x2Op op) { return toPair(op, calls); })
      .Case([&](NVVM::SetMaxRegisterOp op) { return aligned(op, calls); })
      // One thread's memory operations happen in order, and all at once: fences and hints change nothing.
      .Case<NVVM::MembarOp, NVVM::FenceScClusterOp, NVVM::FenceSyncRestrictOp, NVVM::FenceMbarrierInitOp,
            NVVM::FenceProxyOp, NVVM::FenceProxyAcquireOp, NVVM::FenceProxyReleaseOp, NVVM::FenceProxySyncRestrictOp,
            NVVM::PrefetchOp, NVVM::GriddepcontrolOp>([&](Operation *) { return SmallVector<Value>{}; })
      .Default([&](Operation *op) { return replaceHopper(op, calls); });
}

LogicalResult replaceNvvm(ModuleOp module) {
  if (failed(checkFences(module)))
    return failure();
  SmallVector<Operation *> ops;
  module.walk([&](Operation *op) {
    auto intrinsic = dyn_cast<LLVM::CallIntrinsicOp>(op);
    if (isa<NVVM::NVVMDialect>(op->getDialect()) || isa<LLVM::InlineAsmOp>(op) ||
        (intrinsic && intrinsic.getIntrin().starts_with("llvm.nvvm.")))
      ops.push_back(op);
  });
  for (Operation *op : ops) {
    EmulatorCalls calls(module, op);
    auto call = dyn_cast<LLVM::CallIntrinsicOp>(op);
    Replacement values = call ? intrinsic(call, calls) : replace(op, calls);
    if (failed(values)) {
      if (auto assembly = dyn_cast<LLVM::InlineAsmOp>(op))
        return op->emitError("the emulator does not know this inline assembly: ") << assembly.getAsmString();
      if (call)
        return op->emitError("the emulator does not know intrinsic ") << call.getIntrin();
      return op->emitError("the emulator does not know this form of '") << op->getName() << "'";
    }
    op->replaceAllUsesWith(*values);
    op->erase();
  }
  return success();
}

} // namespace emulator
