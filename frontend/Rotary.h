//===- Rotary.h - Rotary position embeddings as configurations describe them --------------===//
#ifndef ATTNC_FRONTEND_ROTARY_H
#define ATTNC_FRONTEND_ROTARY_H

#include "frontend/Config.h"

#include "llvm/ADT/SmallVector.h"

namespace attnc {

/// What attn.rotary_table computes: angles are position · frequency, cosines and sines times `scale`.
struct Rotary {
  llvm::SmallVector<double> frequencies; // of each pair
  double scale = 1;
  llvm::SmallVector<double> longFrequencies; // beyond `longFrom` positions; empty: the same
  std::optional<int64_t> longFrom;
  std::optional<double> ntkFactor; // frequencies that shrink with the length beyond `longFrom`
};

/// Where a configuration speaks of it.
struct RotaryKeys {
  double theta = 10000;                  // the family's default base
  double fraction = 1;                   // of head_dim that is rotated, by default
  llvm::StringRef thetaKeys = "rope_theta";
  llvm::StringRef layerType = "";        // of layers that have a base of their own: "sliding_attention"
  bool scaled = true;                    // whether rope_scaling is for these layers
};

/// Reads `rope_parameters` (transformers 5) or `rope_theta`, `rope_scaling` and `partial_rotary_factor` (transformers 4),
/// of the types default, linear, dynamic, yarn, longrope and llama3. `context`: max_position_embeddings. Formulas:
/// transformers' modeling_rope_utils.py; Peng et al. 2023 (yarn), Ding et al. 2024 (longrope).
Rotary readRotary(Config &config, int64_t headDim, int64_t context, const RotaryKeys &keys = {});

} // namespace attnc

#endif // ATTNC_FRONTEND_ROTARY_H
