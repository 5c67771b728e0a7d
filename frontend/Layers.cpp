//===- Layers.cpp - Layers with parameters, and the usual ones without ----------------------===//
#include "frontend/Layers.h"
#include "frontend/Trace.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using llvm::ArrayRef;
using llvm::Twine;
using namespace mlir;

namespace attnc {

Tensor Trace::parameter(llvm::StringRef name, ArrayRef<int64_t> shape, Initializer initializer) {
  std::string full = layerName() + "." + name.str();
  if (llvm::none_of(parameters, [&](const ModelParameter &other) { return other.name == full; }))
    parameters.push_back({full, llvm::SmallVector<int64_t, 2>(shape), initializer});
  Shape dims(shape.begin(), shape.end());
  return {*this, b.parameter(llvm::StringRef(full).drop_front(prefix.size()), shape), dims};
}

/// A layer that makes one tensor of one: `f` is given tensors of f32 (or ids) of rank `rank` or more.
static Layer unary(std::string name, std::string signature, bool ids, int64_t rank,
                   std::function<Tensor(Trace &, const Tensor &)> f) {
  auto apply = [f, ids, rank](Trace &trace, std::vector<Tensor> &stack) {
    Tensor &x = stack[0];
    bool fits = ids ? getElementTypeOrSelf(x.value()).isInteger(64) : x.isFloat();
    if (!fits || x.rank() < rank)
      trace.fail((ids ? "expected ids" : "expected f32 values") +
                 (rank ? " of rank at least " + Twine(rank) : Twine()) + ", got " + x.text());
    else
      x = f(trace, x);
  };
  return Layer(std::move(name), std::move(signature), 1, 1, apply);
}

/// A parameter's size that a layer asks for; anything else is reported.
static bool isSize(Trace &trace, llvm::StringRef what, int64_t size) {
  if (size >= 1 && size <= INT32_MAX)
    return true;
  trace.fail("expected " + what + " from 1 to 2147483647, got " + Twine(size));
  return false;
}

Layer Dense(int64_t features, bool bias) {
  return unary("Dense", "[..., K] → [..., " + std::to_string(features) + "]", false, 2,
               [features, bias](Trace &trace, const Tensor &x) -> Tensor {
                 if (!isSize(trace, "features", features))
                   return {};
                 if (!x.dim(-1).isStatic())
                   return trace.fail("expected a fixed number of features, got " + x.text());
                 Tensor weight = trace.parameter("weight", {x.dim(-1).factor, features}, {Initializer::GlorotUniform});
                 Value b = bias ? trace.parameter("bias", {features}, {Initializer::Normal, 1e-6}).value() : Value();
                 Shape shape = x.shape();
                 shape.back() = features;
                 return {trace, trace.b.product(x.value(), weight.value(), b, /*transposed=*/false), shape};
               });
}

Layer Embedding(int64_t vocabulary, int64_t features) {
  return unary("Embedding", "ids [...] → [..., " + std::to_string(features) + "]", true, 2,
               [=](Trace &trace, const Tensor &ids) -> Tensor {
                 if (!isSize(trace, "vocabulary", vocabulary) || !isSize(trace, "features", features))
                   return {};
                 Tensor table = trace.parameter("weight", {vocabulary, features}, {Initializer::Normal, 1});
                 Shape shape = ids.shape();
                 shape.push_back(features);
                 return {trace, trace.b.lookUp(table.value(), ids.value()), shape};
               });
}

Layer PositionalEncoding(int64_t maxLength, bool learned) {
  auto apply = [=](Trace &trace, const Tensor &x) -> Tensor {
    Tensor ids = trace.tokens;
    if (x.rank() != 3 || !x.dim(2).isStatic())
      return trace.fail("expected [batch, seq, features], got " + x.text());
    if (!isSize(trace, "maxLength", maxLength))
      return {};
    if (!ids || ids.shape() != Shape{x.dim(0), x.dim(1)})
      return trace.fail("expected an input of ids " + shapeText(Shape{x.dim(0), x.dim(1)}) + ", got " +
                        (ids ? ids.text() : "none"));
    Initializer initializer = learned ? Initializer{Initializer::Normal, 1} : Initializer{Initializer::Sinusoids};
    Tensor table = trace.parameter("weight", {maxLength, x.dim(2).factor}, initializer);
    Value positions = trace.b.positions(ids.value(), Value(), trace.cache);
    return x + Tensor(trace, trace.b.lookUp(table.value(), positions), x.shape());
  };
  return unary("PositionalEncoding", "[batch, seq, features] → the same", false, 3, apply);
}

Layer LayerNorm(double epsilon) {
  return unary("LayerNorm", "[..., K] → [..., K]", false, 2, [epsilon](Trace &trace, const Tensor &x) -> Tensor {
    if (!x.dim(-1).isStatic())
      return trace.fail("expected a fixed number of features, got " + x.text());
    Value weight = trace.parameter("weight", {x.dim(-1).factor}, {Initializer::Constant, 1}).value();
    Value bias = trace.parameter("bias", {x.dim(-1).factor}, {Initializer::Constant, 0}).value();
    attn::LayerNormOp::Properties properties;
    properties.epsilon = trace.b.getF64FloatAttr(epsilon);
    return {trace, trace.b.create<attn::LayerNormOp>(x.value().getType(), {x.value(), weight, bias}, properties),
            x.shape()};
  });
}

Layer Activation(std::string name, attn::ActivationKind kind) {
  return unary(std::move(name), "f32 → f32", false, 1,
               [kind](Trace &, const Tensor &x) { return activation(x, kind); });
}

Layer Dropout(double) {
  return Layer("Dropout", "x → x", 1, 1, [](Trace &, std::vector<Tensor> &) {});
}

Layer LogSoftmax() {
  return unary("LogSoftmax", "[..., K] → [..., K]", false, 2, [](Trace &, const Tensor &x) { return logSoftmax(x); });
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

Layer Attention(int64_t heads, bool causal, bool masked) {
  auto apply = [=](ArrayRef<Tensor> in) -> std::vector<Tensor> {
    const Tensor &query = in[0], &key = in[1], &value = in[2];
    Trace &trace = *query.trace;
    bool fits = key.shape() == value.shape() && query.dim(0) == key.dim(0) && query.dim(2) == key.dim(2);
    for (const Tensor &x : in.take_front(3))
      fits &= x.isFloat() && x.rank() == 3 && x.dim(2).isStatic() && heads >= 1 && x.dim(2).factor % heads == 0;
    if (!fits)
      return {trace.fail(
          "expected [batch, queries, features], [batch, keys, features] twice, with features a multiple of " +
          Twine(heads) + " heads, got " + query.text() + ", " + key.text() + " and " + value.text())};
    Stack stack;
    ++trace.attentions;
    if (!causal || masked || query.shape() != key.shape())
      trace.cannotCache(causal && !masked ? "Attention to other tokens" : "Attention that is not causal or is masked");
    else if (!trace.tokens || query.dim(0) != trace.tokens.dim(0) || query.dim(1) != trace.tokens.dim(1))
      trace.cannotCache("Attention of other rows than the ids'");
    else if (!trace.cache)
      trace.heads.push_back({heads, query.dim(2).factor / heads});
    if (trace.cache) {
      Value index =
          arith::ConstantIndexOp::create(trace.b, trace.attentions - 1 - (trace.cacheLayer ? trace.first : 0));
      stack.cache = trace.cache;
      stack.layer = trace.cacheLayer ? arith::AddIOp::create(trace.b, trace.cacheLayer, index).getResult() : index;
    }
    if (masked) {
      if (!getElementTypeOrSelf(in[3].value()).isInteger(64) || in[3].shape() != Shape{key.dim(0), key.dim(1)})
        return {
            trace.fail("expected a mask " + shapeText(Shape{key.dim(0), key.dim(1)}) + " i64, got " + in[3].text())};
      stack.mask = in[3].value();
    }
    AttentionOptions options{heads};
    options.causal = causal;
    std::vector<Tensor> out = {
        {trace, trace.b.attention(stack, query.value(), key.value(), value.value(), options), query.shape()}};
    if (masked)
      out.push_back(in[3]);
    return out;
  };
  return function("Attention", masked ? 4 : 3, masked ? 2 : 1, apply);
}

Layer AttentionQKV(int64_t features, int64_t heads) {
  return serial("AttentionQKV", {Parallel(Dense(features), Dense(features), Dense(features)),
                                 Attention(heads, /*causal=*/false, /*masked=*/true), Dense(features)});
}

Layer CausalAttention(int64_t features, int64_t heads) {
  return serial("CausalAttention", {Branch(Dense(features), Dense(features), Dense(features)),
                                    Attention(heads, /*causal=*/true), Dense(features)});
}

} // namespace attnc
