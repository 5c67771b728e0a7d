//===- Bert.cpp - Import BERT (Devlin et al. 2019) ------------------------------------------===//
// Keys of config.json and tensor names are those of transformers' BertConfig and BertModel, with or without the prefix
// "bert.".
#include "frontend/families/Bert.h"

using namespace mlir;
using llvm::StringRef;
using llvm::Twine;

namespace attnc {

Bert::Bert(ImportContext &import, const Names &names, const Defaults &defaults)
    : Encoder(import, names.prefix), names(names) {
  constexpr int64_t max = INT32_MAX;
  vocab = config.integer("vocab_size", 1, max, defaults.vocab);
  entries = context = config.integer("max_position_embeddings", 1, max, 512);
  width = config.integer(names.widthKey, 1, 1 << 20, 768);
  layers = config.integer(names.layersKey, 1, 4096, defaults.layers);
  heads = config.integer(names.headsKey, 1, 1 << 16, 12);
  inner = config.integer(names.innerKey, 1, 1 << 22, 3072);
  epsilon = config.number("layer_norm_eps", 0, 1, 1e-12);
  activation = readActivation(config, names.activationKey, "gelu");
  config.expectDivisible(names.widthKey.split('|').first, width, names.headsKey.split('|').first, heads);
  StringRef positions = config.string("position_embedding_type", "absolute");
  if (positions != "absolute")
    config.problem("expected 'position_embedding_type' to be absolute, got " + quoted(positions));
  if (config.flag("is_decoder", false))
    config.problem("expected 'is_decoder' to be false, got true: the model is supported as an encoder");
  if (config.flag("add_cross_attention", false))
    config.problem("expected 'add_cross_attention' to be false, got true: cross attention is not supported");
}

void Bert::countFromPad(int64_t pad) {
  this->pad = pad;
  context = entries - pad - 1;
  if (context < 1)
    config.problem("expected 'max_position_embeddings' of at least " + Twine(pad + 2) + ", got " + Twine(entries) +
                   ": positions begin after the padding token " + Twine(pad));
}

void Bert::readTypes() {
  types = config.integer("type_vocab_size", 1, INT32_MAX, 2);
  hasTypes = true;
}

Value Bert::embed(const Inputs &inputs, Stack &) {
  // The lookups add up in one buffer, in transformers' order.
  Value x = b.embedding(names.prefix + "embeddings.word_embeddings", inputs.ids, vocab, width);
  if (hasTypes)
    x = b.add(x, b.embedding(names.prefix + "embeddings.token_type_embeddings", inputs.types, types, width));
  b.at(names.prefix + "embeddings.position_embeddings");
  Value positions = pad ? b.positionsAfterPad(inputs.ids, inputs.positions, *pad) : b.positions(inputs.ids, inputs.positions);
  x = b.add(x, b.embedding(names.prefix + "embeddings.position_embeddings", positions, entries, width));
  return b.layerNorm(names.prefix + "embeddings.LayerNorm", x, epsilon);
}

Value Bert::layer(int64_t, Value x, const Stack &stack) {
  Value query = b.linear(names.query, x, width), key = b.linear(names.key, x, width), value = b.linear(names.value, x, width);
  AttentionOptions options{heads};
  if (!stack.tables.empty())
    options.relative = stack.tables[0];
  Value out = b.at(names.query.rsplit('.').first).attention(stack, query, key, value, options);
  x = b.add(b.linear(names.out, out, width), x);
  x = b.layerNorm(names.attentionNorm, x, epsilon);
  Value hidden = b.linear(names.inner, x, inner);
  hidden = b.at(names.inner.rsplit('.').first + ".act").activation(hidden, activation);
  x = b.add(b.linear(names.outer, hidden, width), x);
  return b.layerNorm(names.outputNorm, x, epsilon);
}

void Bert::outputs(Value x, const Inputs &, SmallVectorImpl<Output> &outputs) {
  auto firstToken = [&](StringRef name, attn::ActivationKind kind) {
    Value first = b.at(name.rsplit('.').first).firstToken(x);
    return b.activation(b.linear(name, first, width), kind);
  };
  std::string pooler = (names.prefix + "pooler.dense").str();
  Value pooled;
  if (b.has(pooler + ".weight")) {
    pooled = firstToken(pooler, attn::ActivationKind::tanh);
    outputs.push_back({"pooler_output", pooled, {"batch"}});
  }
  if (task() == "SequenceClassification") {
    Value hidden = pooled && names.headInner == pooler ? pooled : firstToken(names.headInner, headActivation);
    outputs.push_back({"logits", b.linear(names.headOuter, hidden, labels()), {"batch"}});
  }
  if (task() == "TokenClassification")
    outputs.push_back({"logits", b.linear("classifier", x, labels()), {"batch", "seq"}});
}

namespace {
class PlainBert : public Bert {
public:
  explicit PlainBert(ImportContext &import) : Bert(import, {}, {}) { readTypes(); }
};
} // namespace

llvm::Error importBert(ImportContext &import) { return PlainBert(import).build("bert"); }

} // namespace attnc
