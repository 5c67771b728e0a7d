//===- CompiledModel.h - Steps of a compiled model file --------------------------------------------------===//
//
// Runs the entries of a compiled language model (attn_abi.h). The entries' contract:
//
//   forward  input_ids [batch, seq] i64 -> logits [batch, seq, vocab] f32
//   prefill  input_ids [batch, seq] i64 -> logits [batch, vocab] f32 of the last token; appends to the state
//   decode   as prefill, seq = 1
//   verify   as prefill -> logits [batch, seq, vocab] f32 (may be missing)
//
// and of an encoder–decoder, which is known by its entry `encode`:
//
//   encode   input_ids [batch, seq] i64; fills the cross part of the state
//   forward, prefill, decode, verify: the sequence is decoder_input_ids; forward takes input_ids, too
//
// Other inputs must be optional and are left out: the model then sees plain positions and no padding. Sequences of one
// length share a run, each in a slot of its own.
//
//===--------------------------------------------------------------------------------------------------===//
#ifndef ATTN_TEXT_COMPILEDMODEL_H
#define ATTN_TEXT_COMPILEDMODEL_H

#include "StepModel.h"
#include "runtime/attn_runtime.h"

#include <memory>

namespace attn::text {

/// Uses prefill and decode with a state (key/value cache). `library`, `model` and `host` must outlive the
/// result. Errors: a missing entry ("… has no entry 'prefill'; it has: forward"), inputs or outputs that do not
/// fit the contract, out of memory.
Expected<std::unique_ptr<StepModel>> createCachedModel(const attn_library *library, const attn_model *model,
                                                       const attn_host *host);

/// Runs forward on each whole sequence at every step; needs no state. Otherwise as createCachedModel. Error: a model with
/// ShiftRight, whose metadata has shift_right = 1.
Expected<std::unique_ptr<StepModel>> createUncachedModel(const attn_library *library, const attn_model *model,
                                                         const attn_host *host);

} // namespace attn::text

#endif // ATTN_TEXT_COMPILEDMODEL_H
