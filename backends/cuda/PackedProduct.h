//===- PackedProduct.h - What kernels of products with packed weights share ------------------------------===//
//
//   weight f32     [panels, K, 16]
//   weight 16-bit  [panels, ⌈K/2⌉, 16, 2]
//
// Tensor cores multiply bf16 and add in f32. A value is cut into parts of bf16's 8 bits, whose sum it is: an f32 three,
// an f16 two (8 + 3 bits; two f16 would not have an f32's range), a bf16 one. Products of parts are exact, and all are
// summed but those below 2^-24 of the result: 3 for an f32 input and a bf16 weight, 5 with an f16 weight, 6 with f32.
// With a bf16 weight an input of bf16 has one part, too, and so has any that --math=bf16 rounds. Else it has three: the
// last of them multiplies a weight's first part alone, which is no 0 unless the weight is, so that infinity, which is
// there, gives what it must.
//
// K is cut in 8 ranges. Of each the sum is in ascending k, and the sums are added in ascending order: a launch for few
// rows gives each range to a warp of its own, one for many computes them one after the other, and a row's bits are the
// same.
//
// Rounds of 32 k are brought to shared memory. Which k a register of a fragment has does not matter as long as both
// factors agree: lane 4·g + t has k 4t … 4t + 3 of 16 in one piece, the first two in its first registers.
//
//===------------------------------------------------------------------------------------------------------===//
#ifndef ATTNC_BACKENDS_CUDA_PACKEDPRODUCT_H
#define ATTNC_BACKENDS_CUDA_PACKEDPRODUCT_H

#include "backends/cuda/Linear.h"

namespace attnc::cuda {

class PackedProduct {
protected:
  static constexpr int64_t kRound = 32, kRanges = 8;
  static constexpr int64_t kPiece = 4; ///< k of an input in one piece

  explicit PackedProduct(Kernel &e);

  // Parts.
  /// Two f32 as pairs of bf16: each what is left of the ones before, cut off. Infinity is the last part. One part alone
  /// is rounded.
  SmallVector<Value> cut(Value low, Value high, int64_t parts);
  /// A pair of 16-bit values as pairs of bf16.
  SmallVector<Value> cutPair(Type type, Value pair, int64_t parts);
  /// A piece of the input, [part, half]: as vector<4xf32>, or vector<2xi32> of pairs of 16-bit values.
  using Registers = SmallVector<SmallVector<Value>>;
  Registers cutPiece(Value piece);
  Type pieceType();
  /// Calls multiply(part of the input, part of the weight) for all products that count, small ones first.
  void forParts(function_ref<void(int64_t, int64_t)> multiply);

  // Memory.
  /// Aligned to its own size. Spaces: 1 is global memory, 3 shared.
  Value load(Type type, Value address, unsigned space = 3);
  void store(Value v, Value address);
  /// Bytes to element `index` of a buffer, whose elements or pairs have `bytes`.
  Value bytesTo(Value buffer, ArrayRef<Value> index, int64_t bytes);
  /// i1: all rows of the input begin at a multiple of a piece. Null: there is no need to ask, they do not.
  Value inputIsAligned();
  Value element(Value vector, int64_t i) { return vector::ExtractOp::create(e.b, e.loc, vector, ArrayRef<int64_t>{i}); }
  Value exclusiveOr(Value a, Value c) { return arith::XOrIOp::create(e.b, e.loc, a, c); }

  // Weights in shared memory, as panels of a round.
  struct Copy {
    Value from, to; ///< addresses: of round 0, and in a stage
    Value isThere;  ///< its row is; null: yes
    Value k;        ///< of its first element in round 0
  };
  /// The chunks of 16 bytes that `thread` of `threads` copies; columns are a multiple of 16.
  SmallVector<Copy> weightCopies(Value thread, int64_t threads, Value firstColumn, int64_t columns);
  /// Begins to copy chunks of a round, whose first k is `atK`, to `stage`; those beyond the last k are 0.
  void copyChunks(ArrayRef<Copy> copies, Value stage, Value atK, Value bytes);
  Value weightBytes(Value round) { return e.mul(round, kRound / kOfWord * attn::kPanel * 4); }
  Value placeInPanel(Value row, Value chunk);

  Kernel &e;
  attn::LinearOp op;
  int64_t k, n;
  Type inputType, weightType;
  int64_t partsB, partsA;
  int64_t elementBytes, kOfWord; ///< bytes of an input's element; k in a word of the weight
  int64_t panelBytes;            ///< of a round
  int64_t rounds, roundsOfRange;
};

/// The product of many rows on capability 9.0: WarpgroupProduct.cpp.
void emitWarpgroupProduct(Kernel &e);

} // namespace attnc::cuda

#endif // ATTNC_BACKENDS_CUDA_PACKEDPRODUCT_H
