//===- T5.cpp - Import T5, T5 1.1 and Flan-T5 (Raffel et al. 2020) -------------------------------===//
// Pre-norm encoder–decoder with RMS norms, buckets of relative positions, unscaled scores and no biases. Keys of config.json
// and tensor names: transformers' T5Config and T5ForConditionalGeneration.
#include "frontend/Activations.h"
#include "frontend/EncoderDecoder.h"
#include "frontend/families/Families.h"

#include <cmath>

using namespace mlir;
using llvm::StringRef;

namespace attnc {
namespace {
class T5 : public EncoderDecoder {
public:
  explicit T5(ImportContext &import) : EncoderDecoder(import, "") {
    constexpr int64_t max = INT32_MAX;
    vocab = config.integer("vocab_size", 1, max, 32128);
    // Relative positions set no limit; n_positions is what the model was trained with.
    context = std::max<int64_t>(config.integer("n_positions|max_position_embeddings", 1, max, 512), 2048);
    width = config.integer("d_model|hidden_size", 1, 1 << 20, 512);
    headDim = config.integer("d_kv|head_dim", 1, 1 << 16, 64);
    inner = config.integer("d_ff", 1, 1 << 22, 2048);
    encoderLayers = config.integer("num_layers|num_hidden_layers", 1, 4096, 6);
    decoderLayers = config.integer("num_decoder_layers", 1, 4096, encoderLayers);
    encoderHeads = decoderHeads = config.integer("num_heads|num_attention_heads", 1, 1 << 16, 8);
    buckets = config.integer("relative_attention_num_buckets", 4, 4096, 32);
    distance = config.integer("relative_attention_max_distance", 1, 1 << 20, 128);
    epsilon = config.number("layer_norm_epsilon", 0, 1, 1e-6);
    readFeedForward();
    scaled = config.flag("scale_decoder_outputs|tie_word_embeddings", true);
    if (buckets % 2 != 0 || distance <= buckets / 2)
      config.problem("expected 'relative_attention_num_buckets' to be even and 'relative_attention_max_distance' above half of "
                     "it, got " + llvm::Twine(buckets) + " and " + llvm::Twine(distance));
  }

private:
  /// "relu" or "gated-gelu": the latter means gelu_new, as ever.
  void readFeedForward() {
    StringRef text = config.string("feed_forward_proj", "relu"), name = text;
    gated = name.consume_front("gated-");
    if (gated && name == "gelu")
      name = "gelu_new";
    if (std::optional<attn::ActivationKind> kind = activationFromName(name))
      activation = *kind;
    else
      config.problem("expected 'feed_forward_proj' to be an activation or gated-ACTIVATION, got " + quoted(text));
  }

  Value embed(Side side, Value ids, Value, Stack &stack) override {
    StringRef name = side == Side::encoder ? "encoder" : "decoder";
    Value x = b.embedding(b.has("shared.weight") ? "shared" : name + ".embed_tokens", ids, vocab, width);
    b.at(name + ".relative_attention_bias");
    Value table = b.parameter(name + ".block.0.layer.0.SelfAttention.relative_attention_bias.weight", {buckets, encoderHeads});
    stack.tables = {b.relativeBias(table, distance, /*bidirectional=*/side == Side::encoder)};
    return x;
  }

  std::string layerPrefix(Side side, int64_t index) const override {
    return (side == Side::encoder ? "encoder.block." : "decoder.block.") + std::to_string(index) + ".layer.";
  }

  Value encoderLayer(Value x, const Stack &stack) override { return feedForward(selfAttention(x, stack, false), "1."); }

  Value decoderLayer(Value x, const Stack &stack) override {
    x = selfAttention(x, stack, /*causal=*/true);
    Value norm = b.rmsNorm("1.layer_norm", x, epsilon);
    Value query = linear("1.EncDecAttention.q", norm, decoderHeads * headDim);
    AttentionOptions options{decoderHeads};
    options.scale = 1;
    b.at("1.EncDecAttention");
    Value attended = crossAttention(stack, query, options);
    return feedForward(b.add(linear("1.EncDecAttention.o", attended, width), x), "2.");
  }

  std::pair<Value, Value> crossKeysValues(Value memory) override {
    return {linear("1.EncDecAttention.k", memory, decoderHeads * headDim),
            linear("1.EncDecAttention.v", memory, decoderHeads * headDim)};
  }

  Value selfAttention(Value x, const Stack &stack, bool causal) {
    Value norm = b.rmsNorm("0.layer_norm", x, epsilon);
    int64_t columns = encoderHeads * headDim;
    Value query = linear("0.SelfAttention.q", norm, columns), key = linear("0.SelfAttention.k", norm, columns),
          value = linear("0.SelfAttention.v", norm, columns);
    AttentionOptions options{encoderHeads};
    options.scale = 1;
    options.causal = causal;
    options.relative = stack.tables[0];
    Value out = b.at("0.SelfAttention").attention(stack, query, key, value, options);
    return b.add(linear("0.SelfAttention.o", out, width), x);
  }

  Value feedForward(Value x, StringRef layer) {
    Value norm = b.rmsNorm(layer + "layer_norm", x, epsilon), hidden;
    std::string name = layer.str() + "DenseReluDense.";
    if (gated) {
      Value gate = linear(name + "wi_0", norm, inner), up = linear(name + "wi_1", norm, inner);
      hidden = b.at(name + "act").activation(gate, activation, up);
    } else {
      hidden = linear(name + "wi", norm, inner);
      hidden = b.at(name + "act").activation(hidden, activation);
    }
    return b.add(linear(name + "wo", hidden, width), x);
  }

  Value finish(Side side, Value x) override {
    return b.rmsNorm(side == Side::encoder ? "encoder.final_layer_norm" : "decoder.final_layer_norm", x, epsilon);
  }

  Value head(Value x) override {
    b.at("lm_head");
    if (scaled)
      x = b.scale(x, 1 / std::sqrt(double(width)));
    // Tied where there is no tensor of its own; whether the outputs are scaled is another matter.
    return linear(b.has("lm_head.weight") || !b.has("shared.weight") ? "lm_head" : "shared", x, vocab);
  }

  Value linear(const llvm::Twine &name, Value input, int64_t columns) { return b.linear(name, input, columns, /*bias=*/false); }

  int64_t inner, buckets, distance;
  double epsilon;
  bool gated, scaled;
  attn::ActivationKind activation = attn::ActivationKind::relu;
};
} // namespace

llvm::Error importT5(ImportContext &import) { return T5(import).build("t5"); }

} // namespace attnc
