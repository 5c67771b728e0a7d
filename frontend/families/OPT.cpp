//===- OPT.cpp - Import OPT and Galactica (Zhang et al. 2022) ---------------------------------===//
// Decoder with norms before or after each part and learned positions that do not count padding. Keys of config.json and
// tensor names are those of transformers' OPTConfig and OPTForCausalLM, with or without the prefix "model.".
#include "frontend/Activations.h"
#include "frontend/Decoder.h"
#include "frontend/families/Families.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using llvm::StringRef;

namespace attnc {
namespace {
class OPT : public Decoder {
public:
  explicit OPT(ImportContext &import) : Decoder(import, "model.") {
    constexpr int64_t max = INT32_MAX;
    // Defaults are those of OPTConfig.
    vocab = config.integer("vocab_size", 1, max, 50272);
    context = config.integer("max_position_embeddings", 1, max, 2048);
    width = config.integer("hidden_size", 1, 1 << 20, 768);
    wordWidth = config.integer("word_embed_proj_dim", 1, 1 << 20, width);
    inner = config.integer("ffn_dim", 1, 1 << 22, 3072);
    layers = config.integer("num_hidden_layers", 1, 4096, 12);
    heads = kvHeads = config.integer("num_attention_heads", 1, 1 << 16, 12);
    headDim = width / heads;
    activation = readActivation(config, "activation_function", "relu");
    normBefore = config.flag("do_layer_norm_before", true);
    finalNorm = normBefore && !config.flag("_remove_final_layer_norm", false);
    bias = config.flag("enable_bias", true);
    affine = config.flag("layer_norm_elementwise_affine", true);
    tied = config.flag("tie_word_embeddings", true);
    config.expectDivisible("hidden_size", width, "num_attention_heads", heads);
  }

private:
  Value embed(const Inputs &inputs, Stack &) override {
    Value x = b.embedding("model.decoder.embed_tokens", inputs.ids, vocab, wordWidth);
    if (wordWidth != width)
      x = b.linear("model.decoder.project_in", x, width, /*bias=*/false);
    b.at("model.decoder.embed_positions");
    Value positions = b.positions(inputs.ids, inputs.positions, inputs.cache, inputs.mask);
    // The table's first two rows are of padding.
    std::string rows = llvm::formatv("[2:{0}:{1}]", context, context + 2).str();
    Value table = b.parameter("model.decoder.embed_positions.weight" + rows, {context, width});
    return b.add(b.lookUp(table, positions), x);
  }

  std::string layerPrefix(int64_t index) const override { return "model.decoder.layers." + std::to_string(index) + "."; }

  Value layer(int64_t, Value x, const Stack &stack) override {
    Value in = normBefore ? norm("self_attn_layer_norm", x) : x;
    Value query = b.linear("self_attn.q_proj", in, width, bias), key = b.linear("self_attn.k_proj", in, width, bias),
          value = b.linear("self_attn.v_proj", in, width, bias);
    AttentionOptions options{heads};
    options.causal = true;
    Value out = b.at("self_attn").attention(stack, query, key, value, options);
    x = b.add(b.linear("self_attn.out_proj", out, width, bias), x);
    if (!normBefore)
      x = norm("self_attn_layer_norm", x);
    in = normBefore ? norm("final_layer_norm", x) : x;
    Value hidden = b.linear("fc1", in, inner, bias);
    hidden = b.at("activation_fn").activation(hidden, activation);
    x = b.add(b.linear("fc2", hidden, width, bias), x);
    return normBefore ? x : norm("final_layer_norm", x);
  }

  Value head(Value x) override {
    if (finalNorm)
      x = norm("model.decoder.final_layer_norm", x);
    if (wordWidth != width)
      x = b.linear("model.decoder.project_out", x, wordWidth, /*bias=*/false);
    Value weight = b.parameter(tied ? "model.decoder.embed_tokens.weight" : "lm_head.weight", {vocab, wordWidth});
    return b.at("lm_head").product(x, weight, Value(), /*transposed=*/true);
  }

  Value norm(StringRef name, Value x) { return b.layerNorm(name, x, 1e-5, /*bias=*/affine, /*weight=*/affine); }

  int64_t wordWidth, inner;
  attn::ActivationKind activation;
  bool normBefore, finalNorm, bias, affine, tied;
};
} // namespace

llvm::Error importOPT(ImportContext &import) { return OPT(import).build("opt"); }

} // namespace attnc
