//===- Warpgroups.h - wgmma, mbarriers and proxy fences of capability 9.0 --------------------------------===//
//
// A warpgroup is 4 warps that multiply together: D [64, n] += A [64, 16] · B [16, n], n a multiple of 8 up to 256, of
// f16 or bf16, sums in f32. Warp w has rows 16w … 16w + 15 of A and D; of these, as for mma.sync (TensorCores.h), lane
// 4·g + t has rows g and g + 8:
//
//   A  4 registers: rows g, g + 8 of k 2t, 2t + 1; then rows g, g + 8 of k 2t + 8, 2t + 9
//   D  n/2 f32, by 8 columns: columns 2t, 2t + 1 of row g; then of row g + 8
//
// B, and A if it is not in registers, lies in shared memory, as a descriptor says (PTX ISA, "Matrix Descriptor
// Format"). The sums are not there, and registers of A must stay, until a wait.
//
//===------------------------------------------------------------------------------------------------------===//
#ifndef ATTNC_BACKENDS_CUDA_WARPGROUPS_H
#define ATTNC_BACKENDS_CUDA_WARPGROUPS_H

#include "backends/cuda/Kernel.h"

namespace attnc::cuda {

constexpr int64_t kWarpgroup = 4 * kWarp, kWarpgroupRows = 64;

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// How a matrix of 16-bit elements lies in shared memory. With a swizzle, `strideBytes` is from 8 rows to the next 8.
struct SharedLayout {
  int64_t leadingBytes, strideBytes;
  int64_t swizzle; ///< bytes of a row whose chunks change places: 128, 64, 32; 0: none
};
/// i64. `address` is that of the matrix, an index in bytes, and a multiple of 16 (of 8 · swizzle for the first slice of
/// a swizzled one).
Value descriptor(Kernel &k, Value address, SharedLayout layout);
/// Of the same matrix so many bytes on.
Value advance(Kernel &k, Value descriptor, int64_t bytes);
/// The chunk of 16 bytes where a swizzle puts chunk `chunk` of row `row`, of rows of `swizzle` bytes.
Value swizzled(Kernel &k, Value row, Value chunk, int64_t swizzle);

/// sums += a · b, all n/2 of them. `element` is f16 or bf16. `a`: 4 registers, or a descriptor. `transposedB`: rows of
/// B in memory are k, and not n.
void multiplyAsync(Kernel &k, Type element, ArrayRef<Value> a, Value b, MutableArrayRef<Value> sums,
                   bool transposedB = false);
/// Before the first product that uses registers that were written; those must be settled: LLVM does not know that a
/// fence is about registers, and would compute them after it.
void fenceProducts(Kernel &k);
void settle(Kernel &k, MutableArrayRef<Value> registers);
void commitProducts(Kernel &k);
/// Until at most so many of the warpgroup's last commits are under way.
void waitForProducts(Kernel &k, int64_t commits);

//===----------------------------------------------------------------------===//
// Roles
//===----------------------------------------------------------------------===//

/// So many registers a thread from here on, a multiple of 8; all warps of a warpgroup get here.
void takeRegisters(Kernel &k, int64_t count);
void giveRegisters(Kernel &k, int64_t count);

//===----------------------------------------------------------------------===//
// mbarriers
//===----------------------------------------------------------------------===//

constexpr int64_t kBarrierBytes = 8;

// `barrier` is an address in shared memory, an index. A phase ends when all have arrived; phases have parity 0, 1, 0 …
void initBarrier(Kernel &k, Value barrier, int64_t arrivals);
/// After the last initBarrier, by the same thread; then everybody must pass a barrier of the block.
void fenceBarriers(Kernel &k);
void arrive(Kernel &k, Value barrier);
/// One arrival, when all copyAsync of this thread have come.
void arriveAfterCopies(Kernel &k, Value barrier);
/// Until the phase of this parity (i32) has ended. A new barrier is past parity 1.
void waitForPhase(Kernel &k, Value barrier, Value parity);

/// What this thread wrote to shared memory can be read by wgmma and bulk copies: before it arrives.
void fenceAsyncProxy(Kernel &k);

} // namespace attnc::cuda

#endif // ATTNC_BACKENDS_CUDA_WARPGROUPS_H
