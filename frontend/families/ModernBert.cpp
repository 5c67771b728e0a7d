//===- ModernBert.cpp - Import ModernBERT (Warner et al. 2024) -----------------------------------===//
// Pre-norm encoder with rotary positions, a gated MLP and, in most layers, a window. Keys of config.json and tensor names:
// transformers' ModernBertConfig and ModernBertModel, with or without the prefix "model.".
#include "frontend/Activations.h"
#include "frontend/Encoder.h"
#include "frontend/families/Families.h"

using namespace mlir;
using llvm::StringRef;
using llvm::Twine;

namespace attnc {
namespace {
class ModernBert : public Encoder {
public:
  explicit ModernBert(ImportContext &import) : Encoder(import, "model.") {
    constexpr int64_t max = INT32_MAX;
    // Defaults are those of ModernBertConfig.
    vocab = config.integer("vocab_size", 1, max, 50368);
    context = config.integer("max_position_embeddings", 1, max, 8192);
    width = config.integer("hidden_size", 1, 1 << 20, 768);
    layers = config.integer("num_hidden_layers", 1, 4096, 22);
    heads = config.integer("num_attention_heads", 1, 1 << 16, 12);
    inner = config.integer("intermediate_size", 1, 1 << 22, 1152);
    epsilon = config.number("norm_eps", 0, 1, 1e-5);
    activation = readActivation(config, "hidden_activation", "gelu");
    normBias = config.flag("norm_bias", false);
    attentionBias = config.flag("attention_bias", false);
    mlpBias = config.flag("mlp_bias", false);
    reach = config.integer("local_attention", 0, max, 128) / 2;
    config.expectDivisible("hidden_size", width, "num_attention_heads", heads);
    int64_t period = config.integer("global_attn_every_n_layers", 1, 4096, 3);
    slides = readSlidingLayers(config, layers, [&](int64_t layer) { return layer % period != 0; });
    RotaryKeys full, sliding;
    full.theta = 160000;
    full.thetaKeys = "global_rope_theta";
    full.layerType = "full_attention";
    sliding = full;
    sliding.layerType = "sliding_attention";
    if (!config.isNull("local_rope_theta")) { // null: as the others
      sliding.theta = 10000;
      sliding.thetaKeys = "local_rope_theta";
    }
    int64_t headDim = std::max<int64_t>(width / heads, 2);
    rotaries[0] = readRotary(config, headDim, context, full);
    rotaries[1] = readRotary(config, headDim, context, sliding);
    if (task() == "SequenceClassification" || task() == "TokenClassification")
      readHead();
  }

private:
  void readHead() {
    headBias = config.flag("classifier_bias", false);
    headActivation = readActivation(config, "classifier_activation", "gelu");
    StringRef pooling = config.string("classifier_pooling", "cls");
    poolsMean = pooling == "mean";
    if (pooling != "cls" && pooling != "mean")
      config.problem("expected 'classifier_pooling' to be cls or mean, got " + quoted(pooling));
  }

  Value norm(StringRef name, Value x) { return b.layerNorm(name, x, epsilon, normBias); }

  Value embed(const Inputs &inputs, Stack &stack) override {
    Value x = b.embedding("model.embeddings.tok_embeddings", inputs.ids, vocab, width);
    b.at("model.rotary_emb");
    Value positions = b.positions(inputs.ids, inputs.positions);
    for (const Rotary &rotary : rotaries)
      stack.tables.push_back(b.rotaryTable(positions, rotary));
    return norm("model.embeddings.norm", x);
  }

  std::string layerPrefix(int64_t index) const override { return "model.layers." + std::to_string(index) + "."; }

  Value layer(int64_t index, Value x, const Stack &stack) override {
    Value normed = index == 0 ? x : norm("attn_norm", x); // the first layer's input is normed already
    SmallVector<Value> qkv = b.split(b.linear("attn.Wqkv", normed, 3 * width, attentionBias), {width, width, width});
    b.at("attn.rotary_emb");
    Value table = stack.tables[slides[index]];
    AttentionOptions options{heads};
    if (slides[index])
      options.windowLeft = options.windowRight = reach;
    Value query = b.rotary(qkv[0], table, heads), key = b.rotary(qkv[1], table, heads);
    Value out = b.at("attn").attention(stack, query, key, qkv[2], options);
    x = b.add(b.linear("attn.Wo", out, width, attentionBias), x);

    SmallVector<Value> parts = b.split(b.linear("mlp.Wi", norm("mlp_norm", x), 2 * inner, mlpBias), {inner, inner});
    Value hidden = b.at("mlp.act").activation(parts[0], activation, parts[1]);
    return b.add(b.linear("mlp.Wo", hidden, width, mlpBias), x);
  }

  Value finish(Value x) override { return norm("model.final_norm", x); }

  void outputs(Value x, const Inputs &inputs, SmallVectorImpl<Output> &outputs) override {
    bool perToken = task() == "TokenClassification";
    if (!perToken && task() != "SequenceClassification")
      return;
    b.at("head");
    if (!perToken)
      x = poolsMean ? b.pool(x, inputs.mask, attn::PoolKind::mean) : b.firstToken(x);
    x = b.activation(b.linear("head.dense", x, width, headBias), headActivation);
    Output logits{"logits", b.linear("classifier", norm("head.norm", x), labels()), {"batch"}};
    if (perToken)
      logits.dims.push_back("seq");
    outputs.push_back(logits);
  }

  int64_t inner, reach; // keys that a window shows on either side
  double epsilon;
  attn::ActivationKind activation, headActivation = attn::ActivationKind::none;
  bool normBias, attentionBias, mlpBias, headBias = false, poolsMean = false;
  std::vector<bool> slides; // whether a layer has a window
  Rotary rotaries[2];       // of layers without a window, and with
};
} // namespace

llvm::Error importModernBert(ImportContext &import) { return ModernBert(import).build("modernbert"); }

} // namespace attnc
