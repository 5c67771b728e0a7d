//===- FiniteProducts.h - P·V on tensor cores, where values may be infinite or NaN ------------------------===//
//
// P ≥ 0 is split in parts (TensorCores.h), of which some are 0 or negative: one multiplication with infinity would give
// NaN where the product is infinite, and a value that a row does not see, of weight 0, would count.
//
//===----------------------------------------------------------------------------------------------------===//
#ifndef ATTNC_BACKENDS_CUDA_FINITEPRODUCTS_H
#define ATTNC_BACKENDS_CUDA_FINITEPRODUCTS_H

#include "backends/cuda/TensorCores.h"

namespace attnc::cuda {

using Fragment = SmallVector<Value>; ///< the registers of a factor

/// sums += Σ parts · values, of 16 rows, 16 keys and 16 columns: two C. `values` are two B side by side, of type
/// `element`.
void addProducts(Kernel &k, Type element, ArrayRef<Fragment> parts, ArrayRef<Value> values,
                 MutableArrayRef<Value> sums);
/// The same of what is finite; and, for each row, infinity where some key with a weight has it.
void addFiniteProducts(Kernel &k, Type element, ArrayRef<Fragment> parts, ArrayRef<Value> values,
                       MutableArrayRef<Value> sums);
/// Whether some lane of the warp has an infinity or a NaN among pairs of `element`.
Value someInfinite(Kernel &k, Type element, ArrayRef<Value> words);

} // namespace attnc::cuda

#endif // ATTNC_BACKENDS_CUDA_FINITEPRODUCTS_H
