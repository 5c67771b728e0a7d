//===- TensorCores.cpp - mma.sync, ldmatrix and cp.async as functions of tiles ---------------------------===//
#include "backends/cuda/TensorCores.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

namespace attnc::cuda {

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

void multiply(Kernel &k, Type element, ArrayRef<Value> a, ArrayRef<Value> b, MutableArrayRef<Value> c) {
  NVVM::MMATypes type = element.isBF16() ? NVVM::MMATypes::bf16 : NVVM::MMATypes::f16;
  Type f32 = k.b.getF32Type(), half = VectorType::get({2}, element);
  auto registers = [&](ArrayRef<Value> pairs) {
    SmallVector<Value> result(pairs);
    if (element.isF16()) // NVVM's op has vectors for f16, and words for bf16
      for (Value &pair : result)
        pair = LLVM::BitcastOp::create(k.b, k.loc, half, pair);
    return result;
  };
  auto sums = LLVM::LLVMStructType::getLiteral(k.b.getContext(), {f32, f32, f32, f32});
  Value result = NVVM::MmaOp::create(k.b, k.loc, sums, registers(a), registers(b), c,
                                     ArrayRef<int64_t>{kFragmentRows, kFragmentColumns, kFragmentDepth}, std::nullopt,
                                     std::nullopt, std::array<NVVM::MMATypes, 2>{type, type},
                                     std::array<NVVM::MMALayout, 2>{NVVM::MMALayout::row, NVVM::MMALayout::col});
  for (int64_t i = 0; i < 4; ++i)
    c[i] = LLVM::ExtractValueOp::create(k.b, k.loc, result, ArrayRef<int64_t>{i});
}

Value pack(Kernel &k, Type element, Value low, Value high) {
  Type type = VectorType::get({2}, element);
  auto rounding = NVVM::FPRoundingMode::RN;
  Value pair = element.isBF16()
                   ? NVVM::ConvertF32x2ToBF16x2Op::create(k.b, k.loc, type, high, low, Value(), rounding).getResult()
                   : NVVM::ConvertF32x2ToF16x2Op::create(k.b, k.loc, type, high, low, Value(), rounding).getResult();
  return LLVM::BitcastOp::create(k.b, k.loc, k.b.getI32Type(), pair);
}

std::pair<Value, Value> unpack(Kernel &k, Type element, Value pair) {
  if (element.isBF16()) {
    Value low = arith::ShLIOp::create(k.b, k.loc, pair, k.i32(16));
    Value high = arith::AndIOp::create(k.b, k.loc, pair, k.i32(int32_t(0xffff0000)));
    return {k.as(k.b.getF32Type(), low), k.as(k.b.getF32Type(), high)};
  }
  Value halves = LLVM::BitcastOp::create(k.b, k.loc, VectorType::get({2}, element), pair);
  auto half = [&](int64_t i) { return k.toF32(LLVM::ExtractElementOp::create(k.b, k.loc, halves, k.i32(i))); };
  return {half(0), half(1)};
}

SmallVector<Value> split(Kernel &k, Type element, Value low, Value high, int64_t parts) {
  SmallVector<Value> result;
  for (int64_t part = 0; part < parts; ++part) {
    if (part) {
      auto [lower, upper] = unpack(k, element, result.back());
      low = k.subf(low, lower);
      high = k.subf(high, upper);
    }
    result.push_back(pack(k, element, low, high));
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Value addressOf(Kernel &k, Value buffer) { return memref::ExtractAlignedPointerAsIndexOp::create(k.b, k.loc, buffer); }

static Value pointer(Kernel &k, Value address, NVVM::NVVMMemorySpace space) {
  Type type = LLVM::LLVMPointerType::get(k.b.getContext(), unsigned(space));
  return LLVM::IntToPtrOp::create(k.b, k.loc, type, k.toInteger(address, k.b.getI64Type()));
}

void copyAsync(Kernel &k, Value to, Value from, Value bytes) {
  NVVM::CpAsyncOp::create(k.b, k.loc, pointer(k, to, NVVM::NVVMMemorySpace::Shared),
                          pointer(k, from, NVVM::NVVMMemorySpace::Global), kChunk, NVVM::LoadCacheModifierKind::CG,
                          bytes);
}

void commitCopies(Kernel &k) { NVVM::CpAsyncCommitGroupOp::create(k.b, k.loc); }

void waitForCopies(Kernel &k, int64_t commits) { NVVM::CpAsyncWaitGroupOp::create(k.b, k.loc, commits); }

int64_t SharedTile::period() const { return std::min<int64_t>(8, chunksOfStrip() & -chunksOfStrip()); }

/// Rows begin in 8 / period places of the 128 bytes of all banks, one after the other; the next ones are moved.
Value SharedTile::swizzle(Kernel &k, Value row) const { return k.rem(k.divFloor(row, 8 / period()), k.idx(period())); }

Value SharedTile::offsetInStrip(Kernel &k, Value row, Value chunk) const {
  Value moved = arith::XOrIOp::create(k.b, k.loc, chunk, swizzle(k, row));
  return k.add(k.mul(row, strip * 2), k.mul(moved, kChunk));
}

Value SharedTile::offset(Kernel &k, Value row, Value chunk) const {
  if (strip == columns)
    return offsetInStrip(k, row, chunk);
  Value number = k.divFloor(chunk, chunksOfStrip()), inStrip = k.rem(chunk, k.idx(chunksOfStrip()));
  return k.add(k.mul(number, rows * strip * 2), offsetInStrip(k, row, inStrip));
}

SmallVector<Value> SharedTile::load(Kernel &k, Value base, Value lane, int64_t row, int64_t column,
                                    bool transposed, Value more) const {
  // A lane has the address of a row of one of the four 8 × 8 matrices; swizzle repeats every 8 rows and `period`
  // chunks.
  int64_t chunk = column / kFragmentColumns, aligned = chunk / period() * period();
  Value first = k.add(k.divFloor(lane, kFragmentRows), chunk - aligned);
  Value own = offsetInStrip(k, k.rem(lane, k.idx(kFragmentRows)), more ? k.add(first, more) : first);
  Value address = k.add(k.add(base, own), place(row, aligned * kFragmentColumns));
  Type i32 = k.b.getI32Type();
  auto type = LLVM::LLVMStructType::getLiteral(k.b.getContext(), {i32, i32, i32, i32});
  Value all =
      NVVM::LdMatrixOp::create(k.b, k.loc, type, pointer(k, address, NVVM::NVVMMemorySpace::Shared), 4,
                               transposed ? NVVM::MMALayout::col : NVVM::MMALayout::row,
                               NVVM::LdStMatrixShapeAttr::get(k.b.getContext(), 8, 8), NVVM::LdStMatrixEltType::B16);
  SmallVector<Value> result;
  for (int64_t i = 0; i < 4; ++i)
    result.push_back(LLVM::ExtractValueOp::create(k.b, k.loc, all, ArrayRef<int64_t>{i}));
  return result;
}

} // namespace attnc::cuda
