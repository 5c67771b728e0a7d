//===- Emitters.h - Ops of the attn dialect as kernels ----------------------------------------------===//
// To add an op: its emitter here, a row in Emitters.cpp, a case in test/e2e/op_cases.py.
#ifndef ATTNC_BACKENDS_CUDA_EMITTERS_H
#define ATTNC_BACKENDS_CUDA_EMITTERS_H

#include "backends/cuda/Kernel.h"

namespace attnc::cuda {

/// Of the op with this name; null: there is none.
Emitter findEmitter(llvm::StringRef name);

/// A thread for each element of `out`.
void mapElements(Kernel &k, Value out, function_ref<Value(ArrayRef<Value>)> map);

// Elementwise.cpp
llvm::Error emitElementwise(Kernel &k);
llvm::Error emitCopy(Kernel &k);
llvm::Error emitScale(Kernel &k);
llvm::Error emitSoftCap(Kernel &k);
llvm::Error emitActivation(Kernel &k);
// Rows.cpp
llvm::Error emitLayerNorm(Kernel &k);
llvm::Error emitRMSNorm(Kernel &k);
llvm::Error emitL2Norm(Kernel &k);
llvm::Error emitLogSoftmax(Kernel &k);
llvm::Error emitArgmax(Kernel &k);
// Tokens.cpp
llvm::Error emitEmbedding(Kernel &k);
llvm::Error emitSelectToken(Kernel &k);
llvm::Error emitShiftRight(Kernel &k);
llvm::Error emitSplitHeads(Kernel &k);
llvm::Error emitMergeHeads(Kernel &k);
llvm::Error emitPool(Kernel &k);
llvm::Error emitPositions(Kernel &k);
llvm::Error emitRotary(Kernel &k);
// Tables.cpp
llvm::Error emitPositionalEncoding(Kernel &k);
llvm::Error emitRotaryTable(Kernel &k);
llvm::Error emitRelativeBias(Kernel &k);
// Attention.cpp
llvm::Error emitAttention(Kernel &k);
// AttentionOnTensorCores.cpp
bool canAttendOnTensorCores(Kernel &k);
llvm::Error emitAttentionOnTensorCores(Kernel &k);
// AttentionOnWarpgroups.cpp
bool canAttendOnWarpgroups(Kernel &k);
llvm::Error emitAttentionOnWarpgroups(Kernel &k);
// Caches.cpp
llvm::Error emitPackKeys(Kernel &k);
llvm::Error emitPackValues(Kernel &k);
llvm::Error emitCacheAppend(Kernel &k);
// Linear.cpp
llvm::Error emitLinear(Kernel &k);
// Experts.cpp
llvm::Error emitRoute(Kernel &k);
llvm::Error emitExpertLinear(Kernel &k);
llvm::Error emitCombineExperts(Kernel &k);
// LinearAttention.cpp
llvm::Error emitLinearAttention(Kernel &k);

} // namespace attnc::cuda

#endif // ATTNC_BACKENDS_CUDA_EMITTERS_H
