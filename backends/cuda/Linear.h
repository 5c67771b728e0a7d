//===- Linear.h - What products on ordinary and on tensor cores share ------------------------------------===//
#ifndef ATTNC_BACKENDS_CUDA_LINEAR_H
#define ATTNC_BACKENDS_CUDA_LINEAR_H

#include "backends/cuda/Kernel.h"

namespace attnc::cuda {

/// The indices of a row of `out`, counted over all leading dimensions.
SmallVector<Value> rowIndex(Kernel &e, Value out, Value row);

/// activation(sum + bias) + residual, to the result's row and column.
void storeProduct(Kernel &e, attn::LinearOp op, Value sum, SmallVector<Value> row, Value column);

/// attn.linear with packed bf16 weights: MatrixProduct.cpp.
void emitMatrixProduct(Kernel &e);

} // namespace attnc::cuda

#endif // ATTNC_BACKENDS_CUDA_LINEAR_H
