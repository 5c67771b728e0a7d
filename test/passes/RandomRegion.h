//===- RandomRegion.h - Random regions over b, h, i, j, and an interpreter for them -----------===//
#ifndef ATTNC_TEST_PASSES_RANDOMREGION_H
#define ATTNC_TEST_PASSES_RANDOMREGION_H

#include "passes/Bounds.h"

#include <random>

namespace attnc::test {

/// Elements of a captured buffer.
struct Buffer {
  SmallVector<int64_t> shape;
  std::vector<int64_t> data;
  unsigned width; // bits of an element, sign-extended; i1 is 0 or 1
};

using Memory = DenseMap<Value, Buffer>;
/// What a value is at run time; a value that was not computed (a quotient that overflows) has none.
using Numbers = DenseMap<Value, APInt>;

/// Computes the ops of `block` by upstream's folds; loops, branches and loads by hand. False if memory is read outside
/// of a buffer by `memref.load`; `attn.load` gives `outside` there.
bool interpret(Block &block, Numbers &numbers, Memory &memory, int64_t outside = 0);

/// A region of random ops on its arguments b, h, i, j, constants and captured values.
struct RandomRegion {
  std::mt19937_64 random;
  OpBuilder b;
  Location loc;
  Block outer;             // its arguments are the captured values
  Region region;           // ends in attn.yield
  SmallVector<Value> made; // results of the region's ops, but for constants
  Numbers scalars;         // captured ones
  Memory memory;

  RandomRegion(MLIRContext *context, uint64_t seed, bool captures);
  /// Random bounds of b, h, i, j.
  SmallVector<ConstantInterval> intervals();
  /// Numbers for b, h, i, j within their bounds, the corners among them.
  SmallVector<SmallVector<int64_t>> points(ArrayRef<ConstantInterval> bhij, int64_t count);
  /// Ends the region with a yield of `value`.
  void yield(Value value);

  int64_t pick(int64_t lo, int64_t hi) { return std::uniform_int_distribution<int64_t>(lo, hi)(random); }

private:
  SmallVector<Value> values; // to choose operands from
  Value any(Type type);
  Value anyNumber();
  Value constant(Type type, int64_t value);
  int64_t constantFor(unsigned width);
  Value op();
  Value load();
  Value capture(Type type);
  void addBuffer(ArrayRef<int64_t> shape, Type element, bool ranges);
  SmallVector<std::pair<Value, Value>> buffers; // with their ranges, or null
};

/// Bits of an integer type; 64 for index.
unsigned widthOf(Type type);

} // namespace attnc::test

#endif // ATTNC_TEST_PASSES_RANDOMREGION_H
