//===- Gemma.cpp - Import Gemma 1, 2 and 3 (Gemma Team 2024, 2025) -------------------------------===//
// Llama with scaled embeddings and norms that multiply by 1 + weight; 2 adds norms after attention and MLP, soft caps and
// alternating windows; 3 has norms of each head's query and key and a rotary base of its own in layers with a window. Keys
// of config.json: transformers' GemmaConfig, Gemma2Config and Gemma3TextConfig.
#include "frontend/families/Llama.h"

#include <cmath>

namespace attnc {
namespace {
class Gemma : public Llama {
public:
  Gemma(ImportContext &import, int64_t generation) : Llama(import, defaults(generation)) {
    unitOffset = true;
    embeddingScale = std::sqrt(double(width));
    qkvBias = outBias = config.flag("attention_bias", false);
    if (generation == 1) {
      if (activation == attn::ActivationKind::gelu) // what the first checkpoints say, and do not mean
        activation = attn::ActivationKind::gelu_tanh;
      rotaries = {readRotary(config, headDim, context)};
      return;
    }
    postNorms = true;
    qkNorms = generation == 3;
    attentionScale = 1 / std::sqrt(config.number("query_pre_attn_scalar", 1e-6, 1e9, 256));
    if (generation == 2) // transformers' Gemma 3 does not read it
      softCap = cap("attn_logit_softcapping", 50);
    finalSoftCap = cap("final_logit_softcapping", generation == 2 ? 30.0 : 0);
    int64_t window = config.integer("sliding_window", 1, INT32_MAX, 4096);
    int64_t period = generation == 2 ? 2 : config.integer("sliding_window_pattern", 1, 4096, 6); // one full layer in each
    readWindows(window, [&](int64_t index) { return (index + 1) % period != 0; });
    if (generation == 2) {
      rotaries = {readRotary(config, headDim, context)};
      return;
    }
    RotaryKeys full, sliding;
    full.theta = 1e6;
    full.layerType = "full_attention";
    sliding.layerType = "sliding_attention";
    sliding.thetaKeys = "rope_local_base_freq";
    sliding.scaled = false;
    rotaries = {readRotary(config, headDim, context, full), readRotary(config, headDim, context, sliding)};
  }

private:
  /// A soft cap, or `fallback` where the key is missing; 0 and null are none.
  std::optional<double> cap(llvm::StringRef key, double fallback) {
    double value = config.isNull(key) ? 0 : config.number(key, 0, 1e9, fallback);
    return value ? std::optional<double>(value) : std::nullopt;
  }

  static Defaults defaults(int64_t generation) {
    Defaults defaults;
    defaults.vocab = generation == 3 ? 262208 : 256000;
    defaults.width = generation == 1 ? 3072 : 2304;
    defaults.inner = generation == 1 ? 24576 : 9216;
    defaults.layers = generation == 1 ? 28 : 26;
    defaults.heads = generation == 1 ? 16 : 8;
    defaults.kvHeads = generation == 1 ? 16 : 4;
    defaults.headDim = 256;
    defaults.context = generation == 3 ? 131072 : 8192;
    defaults.tied = true;
    defaults.activationKeys = "hidden_activation|hidden_act";
    defaults.activation = "gelu_pytorch_tanh";
    return defaults;
  }
};
} // namespace

llvm::Error importGemma(ImportContext &import) { return Gemma(import, 1).build("gemma"); }
llvm::Error importGemma2(ImportContext &import) { return Gemma(import, 2).build("gemma2"); }
llvm::Error importGemma3(ImportContext &import) { return Gemma(import, 3).build("gemma3_text"); }

} // namespace attnc
