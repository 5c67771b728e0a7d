//===- TensorCores.h - mma.sync, ldmatrix and cp.async as functions of tiles -----------------------------===//
//
// Fragments of mma.sync.m16n8k16 (PTX ISA, "Matrix Fragments for mma.m16n8k16"), lane = 4·g + t; each register of a
// factor has two 16-bit elements, neighbours in k:
//
//   A [16, k 16]  4 registers: rows g, g + 8 of k 2t, 2t + 1; then rows g, g + 8 of k 2t + 8, 2t + 9
//   B [k 16, 8]   2 registers: column g of k 2t, 2t + 1; then of k 2t + 8, 2t + 9
//   C [16, 8]     4 f32: columns 2t, 2t + 1 of row g; then of row g + 8
//
// Two C side by side, as pairs of 16-bit elements, are an A: its k are their columns.
//
//===----------------------------------------------------------------------------------------------------===//
#ifndef ATTNC_BACKENDS_CUDA_TENSORCORES_H
#define ATTNC_BACKENDS_CUDA_TENSORCORES_H

#include "backends/cuda/Kernel.h"

namespace attnc::cuda {

constexpr int64_t kFragmentRows = 16, kFragmentColumns = 8, kFragmentDepth = 16;
constexpr int64_t kChunk = 16; ///< bytes that cp.async copies, and of a row that ldmatrix reads

/// c += a · b of one fragment each; `element` is f16 or bf16.
void multiply(Kernel &k, Type element, ArrayRef<Value> a, ArrayRef<Value> b, MutableArrayRef<Value> c);

/// Two f32 as a pair of 16-bit elements, rounded to nearest even; `low` is the first one in memory.
Value pack(Kernel &k, Type element, Value low, Value high);
/// The two elements of a pair as f32.
std::pair<Value, Value> unpack(Kernel &k, Type element, Value pair);
/// Two f32 as sums of pairs, largest first, each what is left of those before: three bf16 hold all 24 bits of an f32,
/// two f16 of normal numbers 23.
SmallVector<Value> split(Kernel &k, Type element, Value low, Value high, int64_t parts);

/// The address of a buffer's first element, in bytes: of global memory, or of the block's.
Value addressOf(Kernel &k, Value buffer);

// Copies of 16 bytes to shared memory. What a thread has copied is there after its wait, and for others after a
// barrier.
/// The first `bytes` (i32, 0 to 16) are copied, the others are 0.
void copyAsync(Kernel &k, Value to, Value from, Value bytes);
void commitCopies(Kernel &k);
/// Until at most so many of this thread's last commits are under way.
void waitForCopies(Kernel &k, int64_t commits);

/// A tile of 16-bit elements in shared memory, [rows, columns], columns a multiple of 16. The chunks of a row are
/// permuted, so that those of 8 rows that ldmatrix reads at once lie in different banks. It may lie in strips of `strip`
/// columns, all rows of one after those of the other: with 64, 32 or 16 the permutation is wgmma's swizzle.
struct SharedTile {
  int64_t rows, columns, strip = columns;
  int64_t chunks() const { return columns * 2 / kChunk; }
  int64_t bytes() const { return rows * columns * 2; }
  /// The bytes to row 0, 8, … of a column that is a multiple of 16, but for the permutation.
  int64_t place(int64_t row, int64_t column) const {
    return column / strip * rows * strip * 2 + row * strip * 2 + column % strip * 2;
  }

  /// The bytes from the tile's beginning to a chunk.
  Value offset(Kernel &k, Value row, Value chunk) const;
  /// The 16 × 16 elements from (row, column) on, multiples of 16, as an A; `lane` is the thread's number in its warp.
  SmallVector<Value> loadA(Kernel &k, Value base, Value lane, int64_t row, int64_t column) const {
    return load(k, base, lane, row, column, /*transposed=*/false);
  }
  /// The same as two B side by side: a row is a k. `chunk`, even, is added to the column's, if it is given.
  SmallVector<Value> loadB(Kernel &k, Value base, Value lane, int64_t row, int64_t column, Value chunk = {}) const {
    return load(k, base, lane, row, column, /*transposed=*/true, chunk);
  }

private:
  SmallVector<Value> load(Kernel &k, Value base, Value lane, int64_t row, int64_t column, bool transposed,
                          Value more = {}) const;
  int64_t chunksOfStrip() const { return strip * 2 / kChunk; }
  Value offsetInStrip(Kernel &k, Value row, Value chunk) const;
  /// So many chunks in a row change places: the greatest power of 2 that divides their number, up to 8.
  int64_t period() const;
  Value swizzle(Kernel &k, Value row) const;
};

} // namespace attnc::cuda

#endif // ATTNC_BACKENDS_CUDA_TENSORCORES_H
