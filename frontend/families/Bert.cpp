//===- Bert.cpp - Import BERT (Devlin et al. 2019) ------------------------------------------===//
// Post-norm encoder with learned positions and token types. Keys of config.json and tensor names are those of
// transformers' BertConfig and BertModel, with or without the prefix "bert.".
#include "frontend/Activations.h"
#include "frontend/Encoder.h"
#include "frontend/families/Families.h"

using namespace mlir;
using llvm::StringRef;
using llvm::Twine;

namespace attnc {
namespace {
class Bert : public Encoder {
public:
  explicit Bert(ImportContext &import) : Encoder(import, "bert.") {
    constexpr int64_t max = INT32_MAX;
    // Defaults are those of BertConfig.
    vocab = config.integer("vocab_size", 1, max, 30522);
    context = config.integer("max_position_embeddings", 1, max, 512);
    types = config.integer("type_vocab_size", 1, max, 2);
    width = config.integer("hidden_size", 1, 1 << 20, 768);
    layers = config.integer("num_hidden_layers", 1, 4096, 12);
    heads = config.integer("num_attention_heads", 1, 1 << 16, 12);
    inner = config.integer("intermediate_size", 1, 1 << 22, 3072);
    epsilon = config.number("layer_norm_eps", 0, 1, 1e-12);
    activation = readActivation(config, "hidden_act", "gelu");
    hasTypes = true;
    config.expectDivisible("hidden_size", width, "num_attention_heads", heads);
    StringRef positions = config.string("position_embedding_type", "absolute");
    if (positions != "absolute")
      config.problem("expected 'position_embedding_type' to be absolute, got " + quoted(positions));
    if (config.flag("is_decoder", false))
      config.problem("expected 'is_decoder' to be false, got true: BERT is supported as an encoder");
    if (config.flag("add_cross_attention", false))
      config.problem("expected 'add_cross_attention' to be false, got true: cross attention is not supported");
    if (int64_t chunk = config.integer("chunk_size_feed_forward", 0, max, 0))
      config.problem("expected 'chunk_size_feed_forward' to be 0, got " + Twine(chunk) + ": chunking is not supported");
  }

private:
  Value embed(const Inputs &inputs, Stack &) override {
    // The lookups add up in one buffer, in transformers' order.
    Value x = b.embedding("bert.embeddings.word_embeddings", inputs.ids, vocab, width);
    x = b.add(x, b.embedding("bert.embeddings.token_type_embeddings", inputs.types, types, width));
    b.at("bert.embeddings.position_embeddings");
    Value positions = b.positions(inputs.ids, inputs.positions);
    x = b.add(x, b.embedding("bert.embeddings.position_embeddings", positions, context, width));
    return b.layerNorm("bert.embeddings.LayerNorm", x, epsilon);
  }

  std::string layerPrefix(int64_t index) const override { return "bert.encoder.layer." + std::to_string(index) + "."; }

  Value layer(int64_t, Value x, const Stack &stack) override {
    Value query = b.linear("attention.self.query", x, width);
    Value key = b.linear("attention.self.key", x, width);
    Value value = b.linear("attention.self.value", x, width);
    Value out = b.at("attention.self").attention(stack, query, key, value, {heads});
    x = b.add(b.linear("attention.output.dense", out, width), x);
    x = b.layerNorm("attention.output.LayerNorm", x, epsilon);
    Value hidden = b.linear("intermediate.dense", x, inner);
    hidden = b.at("intermediate.act").activation(hidden, activation);
    x = b.add(b.linear("output.dense", hidden, width), x);
    return b.layerNorm("output.LayerNorm", x, epsilon);
  }

  void outputs(Value x, const Inputs &, SmallVectorImpl<Output> &outputs) override {
    if (b.has("bert.pooler.dense.weight")) {
      Value first = b.at("bert.pooler").firstToken(x);
      Value pooled = b.linear("bert.pooler.dense", first, width);
      outputs.push_back({"pooler_output", b.activation(pooled, attn::ActivationKind::tanh), {"batch"}});
    }
  }

  int64_t types, inner;
  double epsilon;
  attn::ActivationKind activation;
};
} // namespace

llvm::Error importBert(ImportContext &import) { return Bert(import).build("bert"); }

} // namespace attnc
