//===- Emitters.h - Ops of the attn dialect as Halide Funcs -------------------------------------===//
// To add an op: its emitter here, a row in Emitters.cpp, a case in test/backends/halide.
#ifndef ATTNC_BACKENDS_HALIDE_EMITTERS_H
#define ATTNC_BACKENDS_HALIDE_EMITTERS_H

#include "backends/halide/Pipeline.h"

namespace attnc::halide {

/// Of the op with this name; null: there is none.
Emitter findEmitter(llvm::StringRef name);

// Attention.cpp
llvm::Error emitAttention(Pipeline &p);
// Caches.cpp
llvm::Error emitPackKeys(Pipeline &p);
llvm::Error emitPackValues(Pipeline &p);
llvm::Error emitCacheAppend(Pipeline &p);
// Elementwise.cpp
llvm::Error emitElementwise(Pipeline &p);
llvm::Error emitCopy(Pipeline &p);
// Experts.cpp
llvm::Error emitRoute(Pipeline &p);
llvm::Error emitCombineExperts(Pipeline &p);
// Linear.cpp
llvm::Error emitLinear(Pipeline &p);
llvm::Error emitExpertLinear(Pipeline &p);
// Positions.cpp
llvm::Error emitPositions(Pipeline &p);
llvm::Error emitPositionalEncoding(Pipeline &p);
llvm::Error emitRotaryTable(Pipeline &p);
llvm::Error emitRotary(Pipeline &p);
// Rows.cpp
llvm::Error emitLayerNorm(Pipeline &p);
llvm::Error emitRMSNorm(Pipeline &p);
llvm::Error emitL2Norm(Pipeline &p);
llvm::Error emitScale(Pipeline &p);
llvm::Error emitSoftCap(Pipeline &p);
llvm::Error emitActivation(Pipeline &p);
llvm::Error emitLogSoftmax(Pipeline &p);
llvm::Error emitArgmax(Pipeline &p);
// Tokens.cpp
llvm::Error emitEmbedding(Pipeline &p);
llvm::Error emitSelectToken(Pipeline &p);
llvm::Error emitPool(Pipeline &p);
llvm::Error emitShiftRight(Pipeline &p);
llvm::Error emitSplitHeads(Pipeline &p);
llvm::Error emitMergeHeads(Pipeline &p);

} // namespace attnc::halide

#endif // ATTNC_BACKENDS_HALIDE_EMITTERS_H
