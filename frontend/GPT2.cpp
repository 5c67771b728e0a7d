//===- GPT2.cpp - Import GPT-2 (Radford et al. 2019) ---------------------------------------===//
// Pre-norm decoder with learned positions. Keys of config.json and tensor names are those of transformers' GPT2Config
// and GPT2LMHeadModel, with or without the prefix "transformer.". Projections are Conv1D: weights are [in, out].
#include "frontend/Activations.h"
#include "frontend/Families.h"
#include "frontend/Import.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <cmath>

using namespace mlir;
using llvm::StringRef;
using llvm::Twine;

namespace attnc {
namespace {
constexpr int64_t dyn = ShapedType::kDynamic;
constexpr int64_t kMaxBatch = 4096;

struct GPT2 {
  int64_t vocab, context, width, layers, heads, inner;
  double epsilon;
  bool scaled, scaledByLayer, tied;
  attn::ActivationKind activation;
  std::string prefix; // of tensor names, "" or "transformer."

  /// Scale of layer `index` (from 0), or null for the default, 1/√head_dim.
  FloatAttr scale(Builder &builder, int64_t index) const {
    if (scaled && (!scaledByLayer || index == 0))
      return {};
    double value = scaled ? 1 / std::sqrt(double(width / heads)) : 1.0;
    return builder.getF64FloatAttr(scaledByLayer ? value / double(index + 1) : value);
  }
};

llvm::Expected<GPT2> readConfig(Config &config) {
  GPT2 model;
  constexpr int64_t max = INT32_MAX;
  // Defaults are those of GPT2Config.
  model.vocab = config.integer("vocab_size", 1, max, 50257);
  model.context = config.integer("n_positions|max_position_embeddings", 1, max, 1024);
  model.width = config.integer("n_embd|hidden_size", 1, 1 << 20, 768);
  model.layers = config.integer("n_layer|num_hidden_layers", 1, 4096, 12);
  model.heads = config.integer("n_head|num_attention_heads", 1, 1 << 16, 12);
  model.inner = config.integer("n_inner", 1, 1 << 22, 4 * model.width);
  model.epsilon = config.number("layer_norm_epsilon", 0, 1, 1e-5);
  model.activation = readActivation(config, "activation_function", "gelu_new");
  model.scaled = config.flag("scale_attn_weights", true);
  model.scaledByLayer = config.flag("scale_attn_by_inverse_layer_idx", false);
  model.tied = config.flag("tie_word_embeddings", true);
  config.flag("reorder_and_upcast_attn", false); // a matter of rounding in 16 bits; scores are f32 here
  if (model.width % model.heads != 0)
    config.problem("expected 'n_embd' divisible by 'n_head', got " + Twine(model.width) + " and " +
                   Twine(model.heads));
  if (config.flag("add_cross_attention", false))
    config.problem("expected 'add_cross_attention' to be false, got true: cross attention is not supported");
  if (llvm::Error error = config.takeProblems())
    return std::move(error);
  return model;
}

/// Parameters of one layer, in the order of the block's arguments.
std::vector<ParameterSpec> layerParameters(const GPT2 &model, int64_t index) {
  std::string layer = model.prefix + "h." + std::to_string(index) + ".";
  int64_t d = model.width;
  return {{layer + "ln_1.weight", {d}},
          {layer + "ln_1.bias", {d}},
          {layer + "attn.c_attn.weight", {d, 3 * d}},
          {layer + "attn.c_attn.bias", {3 * d}},
          {layer + "attn.c_proj.weight", {d, d}},
          {layer + "attn.c_proj.bias", {d}},
          {layer + "ln_2.weight", {d}},
          {layer + "ln_2.bias", {d}},
          {layer + "mlp.c_fc.weight", {d, model.inner}},
          {layer + "mlp.c_fc.bias", {model.inner}},
          {layer + "mlp.c_proj.weight", {model.inner, d}},
          {layer + "mlp.c_proj.bias", {d}}};
}

std::vector<ParameterSpec> allParameters(const GPT2 &model) {
  std::vector<ParameterSpec> all = {{model.prefix + "wte.weight", {model.vocab, model.width}},
                                    {model.prefix + "wpe.weight", {model.context, model.width}}};
  for (int64_t index = 0; index < model.layers; ++index)
    llvm::append_range(all, layerParameters(model, index));
  all.push_back({model.prefix + "ln_f.weight", {model.width}});
  all.push_back({model.prefix + "ln_f.bias", {model.width}});
  if (!model.tied)
    all.push_back({"lm_head.weight", {model.vocab, model.width}});
  return all;
}

/// Builds the entries; blocks are functions, shared by all layers (and entries) that differ in parameters only.
class ModelBuilder {
public:
  ModelBuilder(const GPT2 &model, ModuleOp module) : model(model), b(module) {
    hidden = b.f32({dyn, dyn, model.width});
    ids = b.i64({dyn, dyn});
    cache = attn::CacheType::get(b.getContext(), model.layers, model.heads, model.width / model.heads,
                                 model.width / model.heads, b.getF32Type());
  }

  /// input_ids, attention_mask, position_ids [batch, seq] → logits [batch, seq, vocab].
  void forward() {
    func::FuncOp func = b.entry("forward",
                                {{"input_ids", ids, {"batch", "seq"}},
                                 {"attention_mask", ids, {"batch", "seq"}, /*optional=*/true},
                                 {"position_ids", ids, {"batch", "seq"}, /*optional=*/true}},
                                {{"logits", b.f32({dyn, dyn, model.vocab}), {"batch", "seq"}}},
                                {{"batch", 1, kMaxBatch}, {"seq", 1, model.context}});
    Value x = embed(func.getArgument(0), func.getArgument(2), Value());
    x = layers(x, func.getArgument(1), Value());
    func::ReturnOp::create(b, head(x));
  }

  /// input_ids, position_ids [batch, seq], attention_mask [batch, keys], logits_index [batch], cache → logits
  /// [batch, vocab] of one token per sequence. `seq` is dynamic for prefill and 1 for decode.
  void cached(StringRef name, int64_t seq) {
    llvm::SmallVector<StringRef, 2> tokens{"batch"};
    llvm::SmallVector<DimBound> bounds{{"batch", 1, kMaxBatch}, {"keys", 1, model.context}};
    if (seq == dyn) {
      tokens.push_back("seq");
      bounds.push_back({"seq", 1, model.context});
    }
    func::FuncOp func = b.entry(name,
                                {{"input_ids", b.i64({dyn, seq}), tokens},
                                 {"attention_mask", ids, {"batch", "keys"}, /*optional=*/true},
                                 {"position_ids", b.i64({dyn, seq}), tokens, /*optional=*/true},
                                 {"logits_index", b.i64({dyn}), {"batch"}, /*optional=*/true},
                                 {"", cache, {}}},
                                {{"logits", b.f32({dyn, model.vocab}), {"batch"}}}, bounds);
    Value x = embed(func.getArgument(0), func.getArgument(2), func.getArgument(4));
    if (seq != dyn) // so that decode runs the blocks of prefill
      x = tensor::CastOp::create(b, hidden, x);
    x = layers(x, func.getArgument(1), func.getArgument(4));
    b.at("select_token");
    x = b.create<attn::SelectTokenOp>(b.f32({dyn, model.width}), {x, func.getArgument(3)});
    func::ReturnOp::create(b, head(x));
  }

private:
  Value load(StringRef name) { return b.load(model.prefix + name.str()); }

  Value embed(Value inputIds, Value positionIds, Value cacheValue) {
    Value tokens = b.at("wte").embedding(inputIds, load("wte.weight"));
    b.at("wpe");
    Value positions = b.create<attn::PositionsOp>(inputIds.getType(), {inputIds, positionIds, cacheValue});
    return b.add(tokens, b.embedding(positions, load("wpe.weight")));
  }

  /// Calls every layer's block on `x`; `cacheValue` may be null.
  Value layers(Value x, Value mask, Value cacheValue) {
    for (int64_t index = 0; index < model.layers; ++index) {
      b.at("h." + std::to_string(index));
      llvm::SmallVector<Value> operands{x, mask};
      if (cacheValue)
        operands.append({cacheValue, arith::ConstantIndexOp::create(b, index)});
      for (const ParameterSpec &parameter : layerParameters(model, index))
        operands.push_back(b.load(parameter.name));
      auto type = b.getFunctionType(TypeRange(ValueRange(operands)), hidden);
      x = func::CallOp::create(b, block(model.scale(b, index), type, bool(cacheValue)), operands).getResult(0);
    }
    return x;
  }

  /// The function of a block with this scale and these types.
  func::FuncOp block(FloatAttr scale, FunctionType type, bool isCached) {
    func::FuncOp &func = blocks[{scale, type}];
    if (!func) {
      std::string name = isCached ? "cached_block" : "block";
      int64_t &copies = isCached ? cachedBlocks : plainBlocks;
      OpBuilder::InsertionGuard guard(b);
      Location loc = b.getLoc();
      func = b.function(copies++ ? name + "_" + std::to_string(copies - 1) : name, type);
      blockBody(func, scale, isCached);
      b.setLoc(loc);
    }
    return func;
  }

  void blockBody(func::FuncOp func, FloatAttr scale, bool isCached) {
    Value x = func.getArgument(0), mask = func.getArgument(1), cacheValue, layer;
    ValueRange p = func.getArguments().drop_front(isCached ? 4 : 2); // as in layerParameters
    if (isCached) {
      cacheValue = func.getArgument(2);
      layer = func.getArgument(3);
    }
    int64_t d = model.width;
    Value norm = b.at("ln_1").layerNorm(x, p[0], p[1], model.epsilon);
    Value qkv = b.at("attn.c_attn").linear(norm, p[2], p[3]);
    llvm::SmallVector<Value> parts = b.split(qkv, {d, d, d});
    Value query = parts[0], key = parts[1], value = parts[2];
    b.at("attn");
    if (isCached) {
      b.create<attn::CacheAppendOp>(Type(), {key, value, cacheValue, layer});
      key = value = Value();
    }
    attn::AttentionOp::Properties attention;
    attention.num_heads = b.getI64IntegerAttr(model.heads);
    attention.causal = b.getUnitAttr();
    attention.scale = scale;
    Value out = b.create<attn::AttentionOp>(hidden, {query, key, value, cacheValue, layer, /*bias=*/{}, mask},
                                            attention);
    x = b.at("attn.c_proj").add(b.linear(out, p[4], p[5]), x);
    norm = b.at("ln_2").layerNorm(x, p[6], p[7], model.epsilon);
    Value inner = b.at("mlp.c_fc").linear(norm, p[8], p[9]);
    inner = b.at("mlp.act").activation(inner, model.activation);
    x = b.at("mlp.c_proj").add(b.linear(inner, p[10], p[11]), x);
    func::ReturnOp::create(b, x);
  }

  /// Final norm and logits of `x [..., width]`.
  Value head(Value x) {
    b.at("ln_f");
    x = b.layerNorm(x, load("ln_f.weight"), load("ln_f.bias"), model.epsilon);
    b.at("lm_head");
    return b.linear(x, model.tied ? load("wte.weight") : b.load("lm_head.weight"), Value(), /*transposed=*/true);
  }

  const GPT2 &model;
  GraphBuilder b;
  RankedTensorType hidden, ids; // [batch, seq, width], [batch, seq]
  attn::CacheType cache;
  llvm::DenseMap<std::pair<Attribute, Type>, func::FuncOp> blocks;
  int64_t plainBlocks = 0, cachedBlocks = 0;
};
} // namespace

llvm::Error importGPT2(ImportContext &import) {
  llvm::Expected<GPT2> model = readConfig(import.config);
  if (!model)
    return model.takeError();
  model->prefix = import.weights.find("transformer.wte.weight") ? "transformer." : "";
  if (llvm::Error error = addParameters(import, allParameters(*model)))
    return error;

  ModelBuilder builder(*model, *import.module);
  builder.forward();
  builder.cached("prefill", dyn);
  builder.cached("decode", 1);

  return setMetadata(import, "gpt2",
                     {{"vocab_size", model->vocab},
                      {"context", model->context},
                      {"n_layer", model->layers},
                      {"n_head", model->heads},
                      {"n_embd", model->width}});
}

} // namespace attnc
