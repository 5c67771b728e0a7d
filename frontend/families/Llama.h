//===- Llama.h - Llama, and what its many relatives vary ------------------------------------===//
#ifndef ATTNC_FRONTEND_FAMILIES_LLAMA_H
#define ATTNC_FRONTEND_FAMILIES_LLAMA_H

#include "frontend/Activations.h"
#include "frontend/Decoder.h"
#include "frontend/families/Families.h"

namespace attnc {

/// Pre-norm decoder with RMS norms, rotary positions, grouped queries and a gated MLP (Touvron et al. 2023). A relative
/// derives from it, gives its defaults, and sets in its constructor what it does differently.
class Llama : public Decoder {
public:
  /// What a configuration that lacks a key means, as transformers' configuration class of the family has it.
  struct Defaults {
    int64_t vocab = 32000, width = 4096, inner = 11008, layers = 32, heads = 32;
    int64_t kvHeads = 0; // 0: as many as heads
    int64_t headDim = 0; // 0: width / heads
    int64_t context = 2048;
    double epsilon = 1e-6;
    bool tied = false;
    llvm::StringRef activationKeys = "hidden_act", activation = "silu";
  };
  Llama(ImportContext &import, const Defaults &defaults);

protected:
  /// Gives some layers a window: see readSlidingLayers.
  void readWindows(int64_t window, llvm::function_ref<bool(int64_t layer)> slides);
  /// Gives every layer the window of `sliding_window`, or of `fallback` where the key is missing; null is none.
  void readWindow(std::optional<int64_t> fallback = {});
  /// Reads how many experts there are, and how many of them a token chooses.
  void readExperts(llvm::StringRef chosenKeys, int64_t expertsFallback, int64_t chosenFallback);
  /// An MLP or what stands in its place; `x` is normed.
  virtual mlir::Value mlp(mlir::Value x);
  /// What q_proj, k_proj and v_proj make of `x`.
  virtual llvm::SmallVector<mlir::Value> projections(mlir::Value x);

  int64_t inner;
  double epsilon;
  attn::ActivationKind activation;
  bool tied;
  llvm::SmallVector<Rotary, 2> rotaries; // of all layers, or of full and sliding ones
  bool qkvBias = false, outBias = false, mlpBias = false;
  bool qkNorms = false;    // of each head's query and key
  bool unitOffset = false; // norms multiply by 1 + weight
  bool postNorms = false;  // norms after attention and MLP, too
  bool sinkLogits = false; // a learned logit per head, "self_attn.sinks"
  double embeddingScale = 1;
  std::optional<double> attentionScale, softCap, finalSoftCap;
  int64_t experts = 0, chosen = 0; // of mixtures
  std::vector<std::optional<int64_t>> windows; // keys that each layer sees, its own among them

private:
  mlir::Value embed(const Inputs &inputs, Stack &stack) override;
  std::string layerPrefix(int64_t index) const override { return "model.layers." + std::to_string(index) + "."; }
  mlir::Value layer(int64_t index, mlir::Value x, const Stack &stack) override;
  mlir::Value head(mlir::Value x) override;
  mlir::Value norm(llvm::StringRef name, mlir::Value x, int64_t groups = 1) {
    return b.rmsNorm(name, x, epsilon, groups, unitOffset);
  }
};

} // namespace attnc

#endif // ATTNC_FRONTEND_FAMILIES_LLAMA_H
