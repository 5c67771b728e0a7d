// attnc with one more family: a decoder of single-head attention layers.
#include "frontend/Decoder.h"
#include "tools/attnc/Main.h"

using namespace attnc;
using mlir::Value;

class Toy : public Decoder {
public:
  // Reads config.json. Without a default a key must be there; problems are collected and reported together.
  explicit Toy(ImportContext &import) : Decoder(import, /*prefix=*/"") {
    vocab = config.integer("vocab_size", 1, INT32_MAX);
    context = config.integer("max_position_embeddings", 1, 1 << 20, 512);
    width = headDim = config.integer("hidden_size", 1, 1 << 16);
    layers = config.integer("num_hidden_layers", 1, 100, 2);
    heads = kvHeads = 1;
  }

private:
  Value embed(const Inputs &inputs, Stack &) override {
    Value positions = b.positions(inputs.ids, inputs.positions, inputs.cache);
    return b.add(b.embedding("tokens", inputs.ids, vocab, width), b.embedding("positions", positions, context, width));
  }

  std::string layerPrefix(int64_t index) const override { return "layers." + std::to_string(index) + "."; }

  // Reads layers.N.query.weight, layers.N.query.bias, …, in whatever type they are stored.
  Value layer(int64_t, Value x, const Stack &stack) override {
    AttentionOptions options{heads};
    options.causal = true;
    Value out = b.attention(stack, b.linear("query", x, width), b.linear("key", x, width), b.linear("value", x, width), options);
    return b.layerNorm("norm", b.add(b.linear("out", out, width), x), 1e-5);
  }

  Value head(Value x) override { return b.linear("head", x, vocab, /*bias=*/false); }
};

int main(int argc, char **argv) {
  registerFamily({"toy", "decoder", "one head, no MLP", [](ImportContext &import) { return Toy(import).build("toy"); }});
  return compilerMain(argc, argv);
}
