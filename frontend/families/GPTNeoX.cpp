//===- GPTNeoX.cpp - Import GPT-NeoX and Pythia (Black et al. 2022, Biderman et al. 2023) ----===//
// Pre-norm decoder that rotates a part of each head and adds attention and MLP of the same input. Keys of config.json and
// tensor names are those of transformers' GPTNeoXConfig and GPTNeoXForCausalLM, with or without the prefix "gpt_neox.".
#include "frontend/Activations.h"
#include "frontend/Decoder.h"
#include "frontend/families/Families.h"

using namespace mlir;

namespace attnc {
namespace {
class GPTNeoX : public Decoder {
public:
  explicit GPTNeoX(ImportContext &import) : Decoder(import, "gpt_neox.") {
    constexpr int64_t max = INT32_MAX;
    // Defaults are those of GPTNeoXConfig.
    vocab = config.integer("vocab_size", 1, max, 50432);
    context = config.integer("max_position_embeddings", 1, max, 2048);
    width = config.integer("hidden_size", 1, 1 << 20, 6144);
    inner = config.integer("intermediate_size", 1, 1 << 22, 24576);
    layers = config.integer("num_hidden_layers", 1, 4096, 44);
    heads = kvHeads = config.integer("num_attention_heads", 1, 1 << 16, 64);
    headDim = width / heads;
    epsilon = config.number("layer_norm_eps", 0, 1, 1e-5);
    activation = readActivation(config, "hidden_act", "gelu");
    parallel = config.flag("use_parallel_residual", true);
    attentionBias = config.flag("attention_bias", true);
    tied = config.flag("tie_word_embeddings", false);
    config.expectDivisible("hidden_size", width, "num_attention_heads", heads);
    RotaryKeys keys;
    keys.thetaKeys = "rotary_emb_base";
    keys.fraction = 0.25;
    rotary = readRotary(config, headDim, context, keys);
  }

private:
  Value embed(const Inputs &inputs, Stack &stack) override {
    b.at("gpt_neox.rotary_emb");
    stack.tables = {b.rotaryTable(b.positions(inputs.ids, inputs.positions, inputs.cache), rotary)};
    return b.embedding("gpt_neox.embed_in", inputs.ids, vocab, width);
  }

  std::string layerPrefix(int64_t index) const override { return "gpt_neox.layers." + std::to_string(index) + "."; }

  Value layer(int64_t, Value x, const Stack &stack) override {
    Value norm = b.layerNorm("input_layernorm", x, epsilon);
    SmallVector<Value> qkv = b.projectionsByHead("attention.query_key_value", norm, heads, headDim, attentionBias);
    b.at("attention.rotary");
    Value query = b.rotary(qkv[0], stack.tables[0], heads), key = b.rotary(qkv[1], stack.tables[0], heads);
    AttentionOptions options{heads};
    options.causal = true;
    Value out = b.at("attention").attention(stack, query, key, qkv[2], options);
    Value attended = b.add(b.linear("attention.dense", out, width, attentionBias), x);
    norm = b.layerNorm("post_attention_layernorm", parallel ? x : attended, epsilon);
    Value hidden = b.linear("mlp.dense_h_to_4h", norm, inner);
    hidden = b.at("mlp.act").activation(hidden, activation);
    return b.add(b.linear("mlp.dense_4h_to_h", hidden, width), attended);
  }

  Value head(Value x) override {
    x = b.layerNorm("gpt_neox.final_layer_norm", x, epsilon);
    const char *own = b.has("embed_out.weight") ? "embed_out.weight" : "lm_head.weight"; // transformers 4 or 5
    Value weight = b.parameter(tied ? "gpt_neox.embed_in.weight" : own, {vocab, width});
    return b.at("embed_out").product(x, weight, Value(), /*transposed=*/true);
  }

  int64_t inner;
  double epsilon;
  attn::ActivationKind activation;
  bool parallel, attentionBias, tied;
  Rotary rotary;
};
} // namespace

llvm::Error importGPTNeoX(ImportContext &import) { return GPTNeoX(import).build("gpt_neox"); }

} // namespace attnc
