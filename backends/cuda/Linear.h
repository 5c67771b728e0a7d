//===- Linear.h - What products on ordinary and on tensor cores share ------------------------------------===//
#ifndef ATTNC_BACKENDS_CUDA_LINEAR_H
#define ATTNC_BACKENDS_CUDA_LINEAR_H

#include "backends/cuda/Kernel.h"

namespace attnc::cuda {

/// The indices of a row of `out`, counted over all leading dimensions.
SmallVector<Value> rowIndex(Kernel &e, Value out, Value row);

/// activation(sum + bias) + residual, to the result's row and column.
void storeProduct(Kernel &e, attn::LinearOp op, Value sum, SmallVector<Value> row, Value column);

/// The tile of a product that a block has on ordinary cores: 16 · rowsOfThread rows × 64 columns, 256 threads with
/// every 16th of both. Each result is one sum in ascending k, whatever the number of rows.
class ProductTile {
public:
  static constexpr int64_t kSide = 16, kThreads = kSide * kSide, kPerThread = 4, kColumns = kSide * kPerThread;

  ProductTile(Kernel &e, int64_t rowsOfThread);
  int64_t rows() const { return kSide * rowsOfThread; }
  /// This thread's row i and column j of the tile.
  Value row(int64_t i) { return e.add(y, i * kSide); }
  Value column(int64_t j) { return e.add(x, j * kSide); }
  /// [rowsOfThread, kPerThread]: Σ_k input(i, k) · weight(k, column of the tile) over this thread's rows i. Both are
  /// asked for k below its size alone, and yield 0 where there is no row or column. Every thread of the block must get
  /// here.
  SmallVector<Value> sum(int64_t k, function_ref<Value(int64_t, Value)> input,
                         function_ref<Value(Value, Value)> weight);

private:
  static constexpr int64_t kStep = 16; // k that the block brings to shared memory at once, widened to f32
  Kernel &e;
  int64_t rowsOfThread;
  Value x, y;
  Value a, w; // [k, row] and [k, column] of a step
};

/// attn.linear with packed weights: MatrixProduct.cpp.
void emitMatrixProduct(Kernel &e);

} // namespace attnc::cuda

#endif // ATTNC_BACKENDS_CUDA_LINEAR_H
