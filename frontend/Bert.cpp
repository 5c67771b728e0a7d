//===- Bert.cpp - Import BERT (Devlin et al. 2019) ------------------------------------------===//
// Post-norm encoder with learned positions and token types. Keys of config.json and tensor names are those of
// transformers' BertConfig and BertModel, with or without the prefix "bert."; heads on top are left out. Projections are
// nn.Linear: weights are [out, in].
#include "frontend/Activations.h"
#include "frontend/Families.h"
#include "frontend/Import.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using llvm::StringRef;
using llvm::Twine;

namespace attnc {
namespace {
constexpr int64_t dyn = ShapedType::kDynamic;
constexpr int64_t kMaxBatch = 4096;

struct Bert {
  int64_t vocab, context, types, width, layers, heads, inner;
  double epsilon;
  attn::ActivationKind activation;
  std::string prefix;               // of tensor names, "" or "bert."
  std::string gamma, beta;          // of norms: "weight" and "bias", or the names of the first checkpoints
  bool hasPooler;
};

llvm::Expected<Bert> readConfig(Config &config) {
  Bert model;
  constexpr int64_t max = INT32_MAX;
  // Defaults are those of BertConfig.
  model.vocab = config.integer("vocab_size", 1, max, 30522);
  model.context = config.integer("max_position_embeddings", 1, max, 512);
  model.types = config.integer("type_vocab_size", 1, max, 2);
  model.width = config.integer("hidden_size", 1, 1 << 20, 768);
  model.layers = config.integer("num_hidden_layers", 1, 4096, 12);
  model.heads = config.integer("num_attention_heads", 1, 1 << 16, 12);
  model.inner = config.integer("intermediate_size", 1, 1 << 22, 3072);
  model.epsilon = config.number("layer_norm_eps", 0, 1, 1e-12);
  model.activation = readActivation(config, "hidden_act", "gelu");
  if (model.width % model.heads != 0)
    config.problem("expected 'hidden_size' divisible by 'num_attention_heads', got " + Twine(model.width) + " and " +
                   Twine(model.heads));
  StringRef positions = config.string("position_embedding_type", "absolute");
  if (positions != "absolute")
    config.problem("expected 'position_embedding_type' to be absolute, got " + quoted(positions));
  if (config.flag("is_decoder", false))
    config.problem("expected 'is_decoder' to be false, got true: BERT is supported as an encoder");
  if (config.flag("add_cross_attention", false))
    config.problem("expected 'add_cross_attention' to be false, got true: cross attention is not supported");
  if (int64_t chunk = config.integer("chunk_size_feed_forward", 0, max, 0))
    config.problem("expected 'chunk_size_feed_forward' to be 0, got " + Twine(chunk) + ": chunking is not supported");
  if (llvm::Error error = config.takeProblems())
    return std::move(error);
  return model;
}

/// Parameters of one layer, in the order of the block's arguments.
std::vector<ParameterSpec> layerParameters(const Bert &model, int64_t index) {
  std::string layer = model.prefix + "encoder.layer." + std::to_string(index) + ".";
  int64_t d = model.width;
  std::vector<ParameterSpec> all;
  auto linear = [&](StringRef name, int64_t in, int64_t out) {
    all.push_back({layer + name.str() + ".weight", {out, in}});
    all.push_back({layer + name.str() + ".bias", {out}});
  };
  auto norm = [&](StringRef name) {
    all.push_back({layer + name.str() + "." + model.gamma, {d}});
    all.push_back({layer + name.str() + "." + model.beta, {d}});
  };
  for (StringRef name : {"attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"})
    linear(name, d, d);
  norm("attention.output.LayerNorm");
  linear("intermediate.dense", d, model.inner);
  linear("output.dense", model.inner, d);
  norm("output.LayerNorm");
  return all;
}

std::vector<ParameterSpec> allParameters(const Bert &model) {
  std::string embeddings = model.prefix + "embeddings.", pooler = model.prefix + "pooler.dense.";
  int64_t d = model.width;
  std::vector<ParameterSpec> all = {{embeddings + "word_embeddings.weight", {model.vocab, d}},
                                    {embeddings + "position_embeddings.weight", {model.context, d}},
                                    {embeddings + "token_type_embeddings.weight", {model.types, d}},
                                    {embeddings + "LayerNorm." + model.gamma, {d}},
                                    {embeddings + "LayerNorm." + model.beta, {d}}};
  for (int64_t index = 0; index < model.layers; ++index)
    llvm::append_range(all, layerParameters(model, index));
  if (model.hasPooler) {
    all.push_back({pooler + "weight", {d, d}});
    all.push_back({pooler + "bias", {d}});
  }
  return all;
}

/// Builds the entry; blocks are functions, shared by all layers that differ in parameters only.
class ModelBuilder {
public:
  ModelBuilder(const Bert &model, ModuleOp module) : model(model), b(module) { hidden = b.f32({dyn, dyn, model.width}); }

  /// input_ids, attention_mask, token_type_ids, position_ids [batch, seq] → last_hidden_state [batch, seq, width],
  /// pooler_output [batch, width].
  void forward() {
    RankedTensorType ids = b.i64({dyn, dyn});
    llvm::SmallVector<Port> outputs = {{"last_hidden_state", hidden, {"batch", "seq"}}};
    if (model.hasPooler)
      outputs.push_back({"pooler_output", b.f32({dyn, model.width}), {"batch"}});
    func::FuncOp func = b.entry("forward",
                                {{"input_ids", ids, {"batch", "seq"}},
                                 {"attention_mask", ids, {"batch", "seq"}, /*optional=*/true},
                                 {"token_type_ids", ids, {"batch", "seq"}, /*optional=*/true},
                                 {"position_ids", ids, {"batch", "seq"}, /*optional=*/true}},
                                outputs, {{"batch", 1, kMaxBatch}, {"seq", 1, model.context}});
    Value x = embed(func.getArgument(0), func.getArgument(2), func.getArgument(3));
    for (int64_t index = 0; index < model.layers; ++index)
      x = layer(index, x, func.getArgument(1));
    llvm::SmallVector<Value> results = {x};
    if (model.hasPooler)
      results.push_back(pool(x));
    func::ReturnOp::create(b, results);
  }

private:
  Value load(const Twine &name) { return b.load(model.prefix + name.str()); }

  Value embed(Value inputIds, Value tokenTypeIds, Value positionIds) {
    // The lookups add up in one buffer, in transformers' order.
    Value tokens = b.at("embeddings.word_embeddings").embedding(inputIds, load("embeddings.word_embeddings.weight"));
    b.at("embeddings.token_type_embeddings");
    Value x = b.add(tokens, b.embedding(tokenTypeIds, load("embeddings.token_type_embeddings.weight")));
    b.at("embeddings.position_embeddings");
    Value positions = b.create<attn::PositionsOp>(inputIds.getType(), {inputIds, positionIds});
    x = b.add(x, b.embedding(positions, load("embeddings.position_embeddings.weight")));
    b.at("embeddings.LayerNorm");
    return b.layerNorm(x, load("embeddings.LayerNorm." + model.gamma), load("embeddings.LayerNorm." + model.beta),
                       model.epsilon);
  }

  /// Calls the block of layer `index` on `x`.
  Value layer(int64_t index, Value x, Value mask) {
    b.at("encoder.layer." + std::to_string(index));
    llvm::SmallVector<Value> operands{x, mask};
    for (const ParameterSpec &parameter : layerParameters(model, index))
      operands.push_back(b.load(parameter.name));
    FunctionType type = b.getFunctionType(TypeRange(ValueRange(operands)), hidden);
    func::FuncOp &func = blocks[type];
    if (!func) {
      OpBuilder::InsertionGuard guard(b);
      Location loc = b.getLoc();
      func = b.function(blocks.size() == 1 ? "block" : "block_" + std::to_string(blocks.size() - 1), type);
      blockBody(func);
      b.setLoc(loc);
    }
    return func::CallOp::create(b, func, operands).getResult(0);
  }

  void blockBody(func::FuncOp func) {
    Value x = func.getArgument(0), mask = func.getArgument(1);
    ValueRange p = func.getArguments().drop_front(2); // as in layerParameters
    auto linear = [&](StringRef name, Value input, unsigned first) {
      return b.at(name).linear(input, p[first], p[first + 1], /*transposed=*/true);
    };
    Value query = linear("attention.self.query", x, 0);
    Value key = linear("attention.self.key", x, 2);
    Value value = linear("attention.self.value", x, 4);
    b.at("attention.self");
    attn::AttentionOp::Properties attention;
    attention.num_heads = b.getI64IntegerAttr(model.heads);
    Value out = b.create<attn::AttentionOp>(
        hidden, {query, key, value, /*cache=*/{}, /*layer=*/{}, /*bias=*/{}, mask}, attention);
    x = b.add(linear("attention.output.dense", out, 6), x);
    x = b.at("attention.output.LayerNorm").layerNorm(x, p[8], p[9], model.epsilon);
    Value inner = linear("intermediate.dense", x, 10);
    inner = b.at("intermediate.act").activation(inner, model.activation);
    x = b.add(linear("output.dense", inner, 12), x);
    func::ReturnOp::create(b, b.at("output.LayerNorm").layerNorm(x, p[14], p[15], model.epsilon));
  }

  /// tanh(dense) of the first token of `x`, [batch, width].
  Value pool(Value x) {
    b.at("pooler.dense");
    OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
    Value first = tensor::ExtractSliceOp::create(
        b, b.f32({dyn, model.width}), x, llvm::ArrayRef<OpFoldResult>{zero, zero, zero},
        llvm::ArrayRef<OpFoldResult>{tensor::getMixedSize(b, b.getLoc(), x, 0), one, b.getIndexAttr(model.width)},
        llvm::ArrayRef<OpFoldResult>{one, one, one});
    Value y = b.linear(first, load("pooler.dense.weight"), load("pooler.dense.bias"), /*transposed=*/true);
    return b.at("pooler.activation").activation(y, attn::ActivationKind::tanh);
  }

  const Bert &model;
  GraphBuilder b;
  RankedTensorType hidden; // [batch, seq, width]
  llvm::DenseMap<Type, func::FuncOp> blocks;
};
} // namespace

llvm::Error importBert(ImportContext &import) {
  llvm::Expected<Bert> model = readConfig(import.config);
  if (!model)
    return model.takeError();
  auto has = [&](const std::string &name) { return import.weights.find(model->prefix + name) != nullptr; };
  model->prefix = import.weights.find("bert.embeddings.word_embeddings.weight") ? "bert." : "";
  bool isOld = has("embeddings.LayerNorm.gamma");
  model->gamma = isOld ? "gamma" : "weight";
  model->beta = isOld ? "beta" : "bias";
  model->hasPooler = has("pooler.dense.weight");
  if (llvm::Error error = addParameters(import, allParameters(*model)))
    return error;
  ModelBuilder(*model, *import.module).forward();

  return setMetadata(import, "bert",
                     {{"vocab_size", model->vocab},
                      {"context", model->context},
                      {"n_layer", model->layers},
                      {"n_head", model->heads},
                      {"n_embd", model->width}});
}

} // namespace attnc
