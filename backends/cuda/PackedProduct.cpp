//===- PackedProduct.cpp - What kernels of products with packed weights share ----------------------------===//
#include "backends/cuda/PackedProduct.h"
#include "backends/cuda/TensorCores.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace attnc::cuda {

static constexpr int64_t kLine = 128; ///< bytes of all banks

PackedProduct::PackedProduct(Kernel &e)
    : e(e), op(cast<attn::LinearOp>(e.op())), k(columnsOf(op.getInput())), n(columnsOf(op.getInit())),
      inputType(typeOf(op.getInput()).getElementType()), weightType(typeOf(op.getWeight()).getElementType()),
      partsB(1 + weightType.isF16() + 2 * weightType.isF32()),
      partsA(partsB == 1 && (inputType.isBF16() || e.hasBf16Math()) ? 1 : 3),
      elementBytes(inputType.getIntOrFloatBitWidth() / 8), kOfWord(weightType.isF32() ? 1 : 2),
      panelBytes(kRound / kOfWord * attn::kPanel * 4), rounds(llvm::divideCeil(k, kRound)),
      roundsOfRange(llvm::divideCeil(rounds, kRanges)) {}

//===----------------------------------------------------------------------===//
// Parts
//===----------------------------------------------------------------------===//

SmallVector<Value> PackedProduct::cut(Value low, Value high, int64_t parts) {
  if (parts == 1)
    return {pack(e, e.b.getBF16Type(), low, high)};
  auto bits = [&](Value f) { return e.as(e.b.getI32Type(), f); };
  // The upper half of an f32 is a bf16 of the same sign and not above it.
  auto top = [&](Value f) {
    return e.as(e.b.getF32Type(), arith::AndIOp::create(e.b, e.loc, bits(f), e.i32(int32_t(0xffff0000))));
  };
  Value given[] = {low, high}, rest[2], isInfinite[2];
  for (int64_t i : {0, 1}) {
    Value size = e.math<math::AbsFOp>(given[i]);
    isInfinite[i] = e.equal(bits(size), e.i32(0x7f800000));
    rest[i] = e.select(isInfinite[i], e.f32(0), given[i]);
  }
  SmallVector<Value> result;
  for (int64_t part = 0; part < parts; ++part) {
    Value tops[2];
    for (int64_t i : {0, 1}) {
      tops[i] = top(rest[i]);
      rest[i] = e.subf(rest[i], tops[i]);
      if (part == parts - 1)
        tops[i] = e.select(isInfinite[i], given[i], tops[i]);
    }
    Value down = arith::ShRUIOp::create(e.b, e.loc, bits(tops[0]), e.i32(16));
    result.push_back(arith::OrIOp::create(e.b, e.loc, down, bits(tops[1])));
  }
  return result;
}

SmallVector<Value> PackedProduct::cutPair(Type type, Value pair, int64_t parts) {
  if (parts == 1 && type.isBF16())
    return {pair};
  auto [low, high] = unpack(e, type, pair);
  return cut(low, high, parts);
}

Type PackedProduct::pieceType() {
  return elementBytes == 4 ? VectorType::get({4}, e.b.getF32Type()) : VectorType::get({2}, e.b.getI32Type());
}

PackedProduct::Registers PackedProduct::cutPiece(Value piece) {
  Registers result(partsA, SmallVector<Value>(2));
  for (int64_t half : {0, 1}) {
    SmallVector<Value> pairs = elementBytes == 4 ? cut(element(piece, 2 * half), element(piece, 2 * half + 1), partsA)
                                                 : cutPair(inputType, element(piece, half), partsA);
    for (auto [part, pair] : llvm::enumerate(pairs))
      result[part][half] = pair;
  }
  return result;
}

void PackedProduct::forParts(function_ref<void(int64_t, int64_t)> multiply) {
  for (int64_t below = 2; below >= 0; --below)
    for (int64_t part = std::min(below, partsA - 1); part >= 0 && below - part < partsB; --part)
      multiply(part, below - part);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

static Value pointer(Kernel &e, Value address, unsigned space) {
  Type type = LLVM::LLVMPointerType::get(e.b.getContext(), space);
  return LLVM::IntToPtrOp::create(e.b, e.loc, type, e.toInteger(address, e.b.getI64Type()));
}

static unsigned bytesOf(Type type) {
  auto vector = dyn_cast<VectorType>(type);
  return getElementTypeOrSelf(type).getIntOrFloatBitWidth() / 8 * (vector ? vector.getNumElements() : 1);
}

Value PackedProduct::load(Type type, Value address, unsigned space) {
  return LLVM::LoadOp::create(e.b, e.loc, type, pointer(e, address, space), bytesOf(type));
}

void PackedProduct::store(Value v, Value address) {
  LLVM::StoreOp::create(e.b, e.loc, v, pointer(e, address, 3), bytesOf(v.getType()));
}

Value PackedProduct::bytesTo(Value buffer, ArrayRef<Value> index, int64_t bytes) {
  auto layout = memref::ExtractStridedMetadataOp::create(e.b, e.loc, buffer);
  Value at = index.back();
  for (auto [d, i] : llvm::enumerate(index.drop_back()))
    at = e.add(at, e.mul(i, layout.getStrides()[d]));
  return e.mul(at, bytes);
}

Value PackedProduct::inputIsAligned() {
  if (k % kPiece)
    return Value();
  Value input = e.buffer(op.getInput());
  Value isAligned = e.equal(e.rem(addressOf(e, input), e.idx(kPiece * elementBytes)), e.idx(0));
  auto layout = memref::ExtractStridedMetadataOp::create(e.b, e.loc, input);
  for (int64_t d = 0; d + 1 < rankOf(op.getInput()); ++d)
    isAligned = e.both(isAligned, e.equal(e.rem(layout.getStrides()[d], e.idx(kPiece)), e.idx(0)));
  return isAligned;
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

SmallVector<PackedProduct::Copy> PackedProduct::weightCopies(Value thread, int64_t threads, Value firstColumn,
                                                             int64_t columns) {
  Value weight = e.buffer(op.getWeight()), begin = addressOf(e, weight);
  int64_t linesOfPanel = kRound / kOfWord, chunks = attn::kPanel * 4 / kChunk, ofPanel = linesOfPanel * chunks;
  int64_t panels = llvm::divideCeil(n, attn::kPanel);
  SmallVector<Copy> copies;
  for (int64_t i = 0; i < columns / attn::kPanel * ofPanel; i += threads) {
    Value number = e.add(thread, i), panel = e.divFloor(number, ofPanel);
    Value row = e.rem(e.divFloor(number, chunks), e.idx(linesOfPanel)), chunk = e.rem(number, e.idx(chunks));
    // Columns beyond the last panel are another's.
    Value source = e.min(e.add(e.divFloor(firstColumn, attn::kPanel), panel), e.idx(panels - 1));
    Value from = e.add(begin, bytesTo(weight, {source, row, e.mul(chunk, kChunk / 4)}, 4));
    copies.push_back({from, e.add(e.mul(panel, panelBytes), placeInPanel(row, chunk)), Value(), e.mul(row, kOfWord)});
  }
  return copies;
}

void PackedProduct::copyChunks(ArrayRef<Copy> copies, Value stage, Value atK, Value bytes) {
  for (const Copy &copy : copies) {
    Value isThere = copy.isThere;
    if (k % kRound || !isThere) {
      Value isInside = e.less(e.add(atK, copy.k), e.idx(k));
      isThere = isThere ? e.both(isThere, isInside) : isInside;
    }
    copyAsync(e, e.add(stage, copy.to), e.add(copy.from, bytes), e.select(isThere, e.i32(kChunk), e.i32(0)));
  }
}

/// Two rows of a panel, 16 words each, are a line of all banks. Lanes read chunks of rows that are 2 (16-bit) or 4
/// (f32) apart at once: chunks of these change places, and odd ones lie in the other row.
Value PackedProduct::placeInPanel(Value row, Value chunk) {
  Value lane = e.rem(e.divFloor(row, kPiece / kOfWord), e.idx(4));
  Value half = e.rem(exclusiveOr(row, chunk), e.idx(2));
  return e.add(e.add(e.mul(e.divFloor(row, 2), kLine), e.mul(half, kLine / 2)),
               e.mul(exclusiveOr(chunk, lane), kChunk));
}

} // namespace attnc::cuda
