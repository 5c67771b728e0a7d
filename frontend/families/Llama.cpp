//===- Llama.cpp - Import Llama 1 to 3 (Touvron et al. 2023), SmolLM --------------------------===//
// Keys of config.json and tensor names are those of transformers' LlamaConfig and LlamaForCausalLM, with or without the
// prefix "model.".
#include "frontend/families/Llama.h"

using namespace mlir;
using llvm::StringRef;
using llvm::Twine;

namespace attnc {

Llama::Llama(ImportContext &import, const Defaults &defaults) : Decoder(import, "model.") {
  constexpr int64_t max = INT32_MAX;
  vocab = config.integer("vocab_size", 1, max, defaults.vocab);
  context = config.integer("max_position_embeddings", 1, max, defaults.context);
  width = config.integer("hidden_size", 1, 1 << 20, defaults.width);
  inner = config.integer("intermediate_size", 1, 1 << 22, defaults.inner);
  layers = config.integer("num_hidden_layers", 1, 4096, defaults.layers);
  heads = config.integer("num_attention_heads", 1, 1 << 16, defaults.heads);
  kvHeads = config.integer("num_key_value_heads", 1, 1 << 16, defaults.kvHeads ? defaults.kvHeads : heads);
  headDim = config.integer("head_dim", 1, 1 << 16, defaults.headDim ? defaults.headDim : std::max<int64_t>(width / heads, 1));
  epsilon = config.number("rms_norm_eps", 0, 1, defaults.epsilon);
  activation = readActivation(config, defaults.activationKeys, defaults.activation);
  tied = config.flag("tie_word_embeddings", defaults.tied);
  if (!config.find("head_dim") && !defaults.headDim)
    config.expectDivisible("hidden_size", width, "num_attention_heads", heads);
  config.expectDivisible("num_attention_heads", heads, "num_key_value_heads", kvHeads);
  if (config.flag("use_bidirectional_attention", false))
    config.problem("expected 'use_bidirectional_attention' to be false, got true: a decoder's attention is causal");
  windows.resize(layers);
}

void Llama::readWindows(int64_t window, llvm::function_ref<bool(int64_t)> slides) {
  for (auto [layer, sliding] : llvm::enumerate(readSlidingLayers(config, layers, slides)))
    if (sliding)
      windows[layer] = window;
}

void Llama::readWindow(std::optional<int64_t> fallback) {
  int64_t window = config.integer("sliding_window", 1, INT32_MAX, fallback.value_or(INT32_MAX));
  bool hasWindow = config.find("sliding_window") || (fallback && !config.isNull("sliding_window"));
  readWindows(window, [&](int64_t) { return hasWindow; });
}

void Llama::readExperts(StringRef chosenKeys, int64_t expertsFallback, int64_t chosenFallback) {
  experts = config.integer("num_local_experts", 1, 1024, expertsFallback);
  chosen = config.integer(chosenKeys, 1, 1024, chosenFallback);
  if (chosen > experts)
    config.problem("expected 'num_experts_per_tok' of at most 'num_local_experts', got " + Twine(chosen) + " and " + Twine(experts));
}

Value Llama::embed(const Inputs &inputs, Stack &stack) {
  Value x = b.embedding("model.embed_tokens", inputs.ids, vocab, width);
  if (embeddingScale != 1)
    x = b.scale(x, embeddingScale);
  b.at("model.rotary_emb");
  Value positions = b.positions(inputs.ids, inputs.positions, inputs.cache);
  for (const Rotary &rotary : rotaries)
    stack.tables.push_back(b.rotaryTable(positions, rotary));
  return x;
}

SmallVector<Value> Llama::projections(Value x) {
  return {b.linear("self_attn.q_proj", x, heads * headDim, qkvBias),
          b.linear("self_attn.k_proj", x, kvHeads * headDim, qkvBias),
          b.linear("self_attn.v_proj", x, kvHeads * headDim, qkvBias)};
}

Value Llama::mlp(Value x) {
  Value gate = b.linear("mlp.gate_proj", x, inner, mlpBias), up = b.linear("mlp.up_proj", x, inner, mlpBias);
  Value hidden = b.at("mlp.act_fn").activation(gate, activation, up);
  return b.linear("mlp.down_proj", hidden, width, mlpBias);
}

Value Llama::layer(int64_t index, Value x, const Stack &stack) {
  SmallVector<Value> qkv = projections(norm("input_layernorm", x));
  if (qkNorms) {
    qkv[0] = norm("self_attn.q_norm", qkv[0], heads);
    qkv[1] = norm("self_attn.k_norm", qkv[1], kvHeads);
  }
  Value table = stack.tables[windows[index] ? rotaries.size() - 1 : 0];
  b.at("self_attn.rotary");
  qkv[0] = b.rotary(qkv[0], table, heads);
  qkv[1] = b.rotary(qkv[1], table, kvHeads);

  AttentionOptions options{heads, kvHeads, attentionScale, softCap};
  options.causal = true;
  if (windows[index])
    options.windowLeft = *windows[index] - 1;
  if (sinkLogits)
    options.sinkLogits = b.parameter("self_attn.sinks", {heads}, /*f32=*/true);
  Value out = b.at("self_attn").attention(stack, qkv[0], qkv[1], qkv[2], options);
  out = b.linear("self_attn.o_proj", out, width, outBias);
  if (!postNorms) {
    x = b.add(out, x);
    return b.add(mlp(norm("post_attention_layernorm", x)), x);
  }
  x = b.add(norm("post_attention_layernorm", out), x);
  return b.add(norm("post_feedforward_layernorm", mlp(norm("pre_feedforward_layernorm", x))), x);
}

Value Llama::head(Value x) {
  x = norm("model.norm", x);
  Value weight = b.parameter(tied ? "model.embed_tokens.weight" : "lm_head.weight", {vocab, width});
  x = b.at("lm_head").product(x, weight, Value(), /*transposed=*/true);
  return finalSoftCap ? b.softCap(x, *finalSoftCap) : x;
}

namespace {
class PlainLlama : public Llama {
public:
  explicit PlainLlama(ImportContext &import) : Llama(import, {}) {
    qkvBias = outBias = config.flag("attention_bias", false);
    mlpBias = config.flag("mlp_bias", false);
    rotaries = {readRotary(config, headDim, context)};
  }
};
} // namespace

llvm::Error importLlama(ImportContext &import) { return PlainLlama(import).build("llama"); }

} // namespace attnc
