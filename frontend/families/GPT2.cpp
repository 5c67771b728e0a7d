//===- GPT2.cpp - Import GPT-2 (Radford et al. 2019) ---------------------------------------===//
// Pre-norm decoder with learned positions. Keys of config.json and tensor names are those of transformers' GPT2Config
// and GPT2LMHeadModel, with or without the prefix "transformer.". Projections are Conv1D: weights are [in, out].
#include "frontend/Activations.h"
#include "frontend/Decoder.h"
#include "frontend/families/Families.h"

#include <cmath>

using namespace mlir;
using llvm::StringRef;
using llvm::Twine;

namespace attnc {
namespace {
class GPT2 : public Decoder {
public:
  explicit GPT2(ImportContext &import) : Decoder(import, "transformer.") {
    constexpr int64_t max = INT32_MAX;
    // Defaults are those of GPT2Config.
    vocab = config.integer("vocab_size", 1, max, 50257);
    context = config.integer("n_positions|max_position_embeddings", 1, max, 1024);
    width = config.integer("n_embd|hidden_size", 1, 1 << 20, 768);
    layers = config.integer("n_layer|num_hidden_layers", 1, 4096, 12);
    heads = kvHeads = config.integer("n_head|num_attention_heads", 1, 1 << 16, 12);
    headDim = width / heads;
    inner = config.integer("n_inner", 1, 1 << 22, 4 * width);
    epsilon = config.number("layer_norm_epsilon", 0, 1, 1e-5);
    activation = readActivation(config, "activation_function", "gelu_new");
    scaled = config.flag("scale_attn_weights", true);
    scaledByLayer = config.flag("scale_attn_by_inverse_layer_idx", false);
    tied = config.flag("tie_word_embeddings", true);
    config.flag("reorder_and_upcast_attn", false); // a matter of rounding in 16 bits; scores are f32 here
    config.expectDivisible("n_embd", width, "n_head", heads);
    if (config.flag("add_cross_attention", false))
      config.problem("expected 'add_cross_attention' to be false, got true: cross attention is not supported");
  }

private:
  Value embed(const Inputs &inputs, Stack &) override {
    Value tokens = b.embedding("transformer.wte", inputs.ids, vocab, width);
    b.at("transformer.wpe");
    Value positions = b.positions(inputs.ids, inputs.positions, inputs.cache);
    return b.add(tokens, b.embedding("transformer.wpe", positions, context, width));
  }

  std::string layerPrefix(int64_t index) const override { return "transformer.h." + std::to_string(index) + "."; }

  Value layer(int64_t index, Value x, const Stack &stack) override {
    Value norm = b.layerNorm("ln_1", x, epsilon);
    SmallVector<Value> qkv = b.split(conv1d("attn.c_attn", norm, 3 * width), {width, width, width});
    AttentionOptions options{heads};
    options.causal = true;
    if (!scaled)
      options.scale = 1;
    if (scaledByLayer && index > 0)
      options.scale = (scaled ? 1 / std::sqrt(double(headDim)) : 1.0) / double(index + 1);
    Value out = b.at("attn").attention(stack, qkv[0], qkv[1], qkv[2], options);
    x = b.add(conv1d("attn.c_proj", out, width), x);
    norm = b.layerNorm("ln_2", x, epsilon);
    Value hidden = conv1d("mlp.c_fc", norm, inner);
    hidden = b.at("mlp.act").activation(hidden, activation);
    return b.add(conv1d("mlp.c_proj", hidden, width), x);
  }

  Value head(Value x) override {
    x = b.layerNorm("transformer.ln_f", x, epsilon);
    return b.at("lm_head").product(x, b.parameter(tied ? "transformer.wte.weight" : "lm_head.weight", {vocab, width}),
                                   Value(), /*transposed=*/true);
  }

  Value conv1d(StringRef name, Value input, int64_t columns) {
    b.at(name);
    int64_t rows = cast<RankedTensorType>(input.getType()).getShape().back();
    return b.product(input, b.parameter(name + ".weight", {rows, columns}), b.parameter(name + ".bias", {columns}),
                     /*transposed=*/false);
  }

  int64_t inner;
  double epsilon;
  bool scaled, scaledByLayer, tied;
  attn::ActivationKind activation;
};
} // namespace

llvm::Error importGPT2(ImportContext &import) { return GPT2(import).build("gpt2"); }

} // namespace attnc
