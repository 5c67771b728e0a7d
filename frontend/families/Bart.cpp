//===- Bart.cpp - Import BART, Pegasus and Marian (Lewis, Zhang, Junczys-Dowmunt et al.) ----------===//
// Encoder–decoders with layer norms and biases. BART (2020): post-norm, learned positions (the first two rows of the table are
// never used), embeddings normed. Pegasus (2020): pre-norm, sinusoidal positions, final norms. Marian (2018): post-norm,
// sinusoidal positions, vocabularies may differ. Keys of config.json and tensor names: transformers' BartConfig,
// PegasusConfig, MarianConfig and …ForConditionalGeneration, with or without the prefix "model.".
#include "frontend/Activations.h"
#include "frontend/EncoderDecoder.h"
#include "frontend/families/Families.h"

#include <cmath>

using namespace mlir;
using llvm::StringRef;
using llvm::Twine;

namespace attnc {
namespace {
enum class Kind { bart, pegasus, marian };

class Bart : public EncoderDecoder {
public:
  Bart(ImportContext &import, Kind kind) : EncoderDecoder(import, "model."), kind(kind) {
    constexpr int64_t max = INT32_MAX;
    encoderVocab = config.integer("vocab_size", 1, max, kind == Kind::marian ? 58101 : 50265);
    shared = kind != Kind::marian || config.flag("share_encoder_decoder_embeddings", true);
    vocab = shared ? encoderVocab : config.integer("decoder_vocab_size", 1, max, encoderVocab);
    context = config.integer("max_position_embeddings", 1, max, 1024);
    width = config.integer("d_model|hidden_size", 1, 1 << 20, 1024);
    encoderLayers = config.integer("encoder_layers|num_hidden_layers", 1, 4096, 12);
    decoderLayers = config.integer("decoder_layers", 1, 4096, 12);
    encoderHeads = config.integer("encoder_attention_heads|num_attention_heads", 1, 1 << 16, 16);
    decoderHeads = config.integer("decoder_attention_heads", 1, 1 << 16, 16);
    encoderInner = config.integer("encoder_ffn_dim", 1, 1 << 22, 4096);
    decoderInner = config.integer("decoder_ffn_dim", 1, 1 << 22, 4096);
    activation = readActivation(config, "activation_function", "gelu");
    scale = config.flag("scale_embedding", false) ? std::sqrt(double(width)) : 1;
    tied = config.flag("tie_word_embeddings", true);
    headDim = width / decoderHeads;
    config.expectDivisible("d_model", width, "encoder_attention_heads", encoderHeads);
    config.expectDivisible("d_model", width, "decoder_attention_heads", decoderHeads);
    for (StringRef key : {"normalize_before", "add_final_layer_norm", "static_position_embeddings", "normalize_embedding"})
      if (const llvm::json::Value *value = config.find(key); value && value->getAsBoolean() != expected(key))
        config.problem("expected '" + key + "' to be " + (expected(key) ? "true" : "false") + " in this family");
  }

private:
  bool isPreNorm() const { return kind == Kind::pegasus; }

  /// What keys of old configurations, which transformers does not read, say of this family.
  bool expected(StringRef key) const {
    if (key == "normalize_embedding")
      return kind == Kind::bart;
    return key == "static_position_embeddings" ? kind != Kind::bart : isPreNorm();
  }

  /// "model.encoder." or "model.decoder.".
  static std::string stackName(Side side) { return side == Side::encoder ? "model.encoder." : "model.decoder."; }

  /// The embedding of tokens, one for both where it is tied.
  std::string tokenTable(Side side) const {
    std::string own = stackName(side) + "embed_tokens";
    return shared && tied && b.has("model.shared.weight") ? "model.shared" : own;
  }

  Value embed(Side side, Value ids, Value cache, Stack &) override {
    Value x = b.embedding(tokenTable(side), ids, side == Side::encoder ? encoderVocab : vocab, width);
    if (scale != 1)
      x = b.scale(x, scale);
    b.at(stackName(side) + "embed_positions");
    Value positions = b.positions(ids, Value(), cache);
    if (kind != Kind::bart)
      return b.add(x, b.positionalEncoding(positions, width));
    std::string rows = ("[2:" + Twine(context) + ":" + Twine(context + 2) + "]").str();
    Value table = b.parameter(stackName(side) + "embed_positions.weight" + rows, {context, width});
    x = b.add(x, b.lookUp(table, positions));
    return b.layerNorm(stackName(side) + "layernorm_embedding", x, kEpsilon);
  }

  std::string layerPrefix(Side side, int64_t index) const override {
    return stackName(side) + "layers." + std::to_string(index) + ".";
  }

  Value encoderLayer(Value x, const Stack &stack) override {
    x = around("self_attn_layer_norm", x, [&](Value x) { return selfAttention(x, stack, encoderHeads, false); });
    return around("final_layer_norm", x, [&](Value x) { return feedForward(x, encoderInner); });
  }

  Value decoderLayer(Value x, const Stack &stack) override {
    x = around("self_attn_layer_norm", x, [&](Value x) { return selfAttention(x, stack, decoderHeads, true); });
    x = around("encoder_attn_layer_norm", x, [&](Value x) {
      Value query = b.linear("encoder_attn.q_proj", x, width);
      b.at("encoder_attn");
      return b.linear("encoder_attn.out_proj", crossAttention(stack, query, {decoderHeads}), width);
    });
    return around("final_layer_norm", x, [&](Value x) { return feedForward(x, decoderInner); });
  }

  std::pair<Value, Value> crossKeysValues(Value memory) override {
    return {b.linear("encoder_attn.k_proj", memory, width), b.linear("encoder_attn.v_proj", memory, width)};
  }

  /// x + part(x), normed before or after.
  Value around(StringRef norm, Value x, llvm::function_ref<Value(Value)> part) {
    if (isPreNorm())
      return b.add(part(b.layerNorm(norm, x, kEpsilon)), x);
    return b.layerNorm(norm, b.add(part(x), x), kEpsilon);
  }

  Value selfAttention(Value x, const Stack &stack, int64_t heads, bool causal) {
    Value query = b.linear("self_attn.q_proj", x, width), key = b.linear("self_attn.k_proj", x, width),
          value = b.linear("self_attn.v_proj", x, width);
    AttentionOptions options{heads};
    options.causal = causal;
    Value out = b.at("self_attn").attention(stack, query, key, value, options);
    return b.linear("self_attn.out_proj", out, width);
  }

  Value feedForward(Value x, int64_t inner) {
    Value hidden = b.linear("fc1", x, inner);
    hidden = b.at("activation_fn").activation(hidden, activation);
    return b.linear("fc2", hidden, width);
  }

  Value finish(Side side, Value x) override {
    return isPreNorm() ? b.layerNorm(stackName(side) + "layer_norm", x, kEpsilon) : x;
  }

  Value head(Value x) override {
    b.at("lm_head");
    Value bias = b.has("final_logits_bias") ? b.parameter("final_logits_bias[0]", {vocab}) : Value();
    std::string table = tied ? tokenTable(Side::decoder) : std::string("lm_head");
    return b.product(x, b.parameter(table + ".weight", {vocab, width}), bias, /*transposed=*/true);
  }

  static constexpr double kEpsilon = 1e-5; // of nn.LayerNorm
  Kind kind;
  int64_t encoderVocab, encoderInner, decoderInner;
  double scale;
  bool shared, tied;
  attn::ActivationKind activation;
};
} // namespace

llvm::Error importBart(ImportContext &import) { return Bart(import, Kind::bart).build("bart"); }
llvm::Error importPegasus(ImportContext &import) { return Bart(import, Kind::pegasus).build("pegasus"); }
llvm::Error importMarian(ImportContext &import) { return Bart(import, Kind::marian).build("marian"); }

} // namespace attnc
