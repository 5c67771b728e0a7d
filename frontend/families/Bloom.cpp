//===- Bloom.cpp - Import BLOOM (Le Scao et al. 2022) ------------------------------------------===//
// Pre-norm decoder with ALiBi in place of positions and a norm of the embeddings. Keys of config.json and tensor names are
// those of transformers' BloomConfig and BloomForCausalLM, with or without the prefix "transformer.".
#include "frontend/Decoder.h"
#include "frontend/families/Families.h"

#include <cmath>

using namespace mlir;

namespace attnc {
namespace {
/// Press et al. 2022: 2^(-8h/n), h = 1 … n, for a power of two n; beyond the largest power of two that fits, every other
/// slope of twice as many.
std::vector<float> alibiSlopes(int64_t heads) {
  int64_t power = llvm::bit_floor(uint64_t(heads));
  std::vector<float> slopes;
  for (int64_t h = 0; h < heads; ++h)
    slopes.push_back(std::exp2(h < power ? -8.0 * double(h + 1) / double(power)
                                         : -4.0 * double(2 * (h - power) + 1) / double(power)));
  return slopes;
}

class Bloom : public Decoder {
public:
  explicit Bloom(ImportContext &import) : Decoder(import, "transformer.") {
    // Defaults are those of BloomConfig, which has no key for the context: ALiBi has no limit.
    vocab = config.integer("vocab_size", 1, INT32_MAX, 250880);
    context = config.integer("seq_length", 1, INT32_MAX, 2048);
    width = config.integer("n_embed|hidden_size", 1, 1 << 20, 64);
    layers = config.integer("n_layer|num_hidden_layers", 1, 4096, 2);
    heads = kvHeads = config.integer("n_head|num_attention_heads", 1, 1 << 16, 8);
    headDim = width / heads;
    epsilon = config.number("layer_norm_epsilon", 0, 1, 1e-5);
    normedResidual = config.flag("apply_residual_connection_post_layernorm", false);
    tied = config.flag("tie_word_embeddings", true);
    config.expectDivisible("hidden_size", width, "n_head", heads);
    takesPositions = false;
  }

private:
  Value embed(const Inputs &inputs, Stack &stack) override {
    stack.tables = {b.at("transformer.alibi").constant(alibiSlopes(heads))};
    Value x = b.embedding("transformer.word_embeddings", inputs.ids, vocab, width);
    return b.layerNorm("transformer.word_embeddings_layernorm", x, epsilon);
  }

  std::string layerPrefix(int64_t index) const override { return "transformer.h." + std::to_string(index) + "."; }

  Value layer(int64_t, Value x, const Stack &stack) override {
    Value norm = b.layerNorm("input_layernorm", x, epsilon);
    SmallVector<Value> qkv = b.projectionsByHead("self_attention.query_key_value", norm, heads, headDim, /*bias=*/true);
    AttentionOptions options{heads};
    options.causal = true;
    options.alibi = stack.tables[0];
    Value out = b.at("self_attention").attention(stack, qkv[0], qkv[1], qkv[2], options);
    x = b.add(b.linear("self_attention.dense", out, width), normedResidual ? norm : x);
    norm = b.layerNorm("post_attention_layernorm", x, epsilon);
    Value hidden = b.linear("mlp.dense_h_to_4h", norm, 4 * width);
    hidden = b.at("mlp.gelu_impl").activation(hidden, attn::ActivationKind::gelu_tanh);
    return b.add(b.linear("mlp.dense_4h_to_h", hidden, width), normedResidual ? norm : x);
  }

  Value head(Value x) override {
    x = b.layerNorm("transformer.ln_f", x, epsilon);
    Value weight = b.parameter(tied ? "transformer.word_embeddings.weight" : "lm_head.weight", {vocab, width});
    return b.at("lm_head").product(x, weight, Value(), /*transposed=*/true);
  }

  double epsilon;
  bool normedResidual, tied;
};
} // namespace

llvm::Error importBloom(ImportContext &import) { return Bloom(import).build("bloom"); }

} // namespace attnc
