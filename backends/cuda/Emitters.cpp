//===- Emitters.cpp - The table of ops that have a kernel -------------------------------------------===//
#include "backends/cuda/Emitters.h"

#include "llvm/ADT/StringSwitch.h"

namespace attnc::cuda {

Emitter findEmitter(llvm::StringRef name) {
  return llvm::StringSwitch<Emitter>(name)
      .Case("attn.attention", emitAttention)
      .Case("attn.pack_keys", emitPackKeys)
      .Case("attn.pack_values", emitPackValues)
      .Case("attn.cache_append", emitCacheAppend)
      .Case("attn.linear", emitLinear)
      .Case("attn.route", emitRoute)
      .Case("attn.expert_linear", emitExpertLinear)
      .Case("attn.combine_experts", emitCombineExperts)
      .Case("attn.linear_attention", emitLinearAttention)
      .Case("attn.layer_norm", emitLayerNorm)
      .Case("attn.rms_norm", emitRMSNorm)
      .Case("attn.l2_norm", emitL2Norm)
      .Case("attn.log_softmax", emitLogSoftmax)
      .Case("attn.argmax", emitArgmax)
      .Case("attn.scale", emitScale)
      .Case("attn.soft_cap", emitSoftCap)
      .Case("attn.activation", emitActivation)
      .Case("attn.embedding", emitEmbedding)
      .Case("attn.select_token", emitSelectToken)
      .Case("attn.shift_right", emitShiftRight)
      .Case("attn.split_heads", emitSplitHeads)
      .Case("attn.merge_heads", emitMergeHeads)
      .Case("attn.pool", emitPool)
      .Case("attn.positions", emitPositions)
      .Case("attn.rotary", emitRotary)
      .Case("attn.positional_encoding", emitPositionalEncoding)
      .Case("attn.rotary_table", emitRotaryTable)
      .Case("attn.relative_bias", emitRelativeBias)
      .Cases({"linalg.generic", "linalg.fill", "linalg.copy", "linalg.transpose", "linalg.broadcast", "linalg.map"},
             emitElementwise)
      .Case("memref.copy", emitCopy)
      .Default(nullptr);
}

} // namespace attnc::cuda
