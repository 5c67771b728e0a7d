//===- Layers.h - Models built from small layers --------------------------------------------===//
//
// A layer takes tensors from the top of a stack and puts its results there, as in Trax; a model is a layer:
//
//   Layer block = Serial(Residual(LayerNorm(), Dense(2048), Relu(), Dense(512)), LogSoftmax());
//   auto model = Model::build(&context, block, {{"x", {"batch", "seq", 512}}});
//
// Layers are values: the same one at two places is two layers with parameters of their own, named after their paths
// ("Serial.0.Residual.1.Dense.weight"). Nothing is checked before `Model::build`, which infers every shape and reports
// the first misuse:
//
//   Serial[0] > Residual[1] > Dense, [..., K] → [..., 2048]: expected …, got …, on the stack ([batch, seq] i64)
//
//===------------------------------------------------------------------------------------===//
#ifndef ATTNC_FRONTEND_LAYERS_H
#define ATTNC_FRONTEND_LAYERS_H

#include "frontend/Frontend.h"
#include "frontend/Tensor.h"

#include <functional>
#include <memory>

namespace attnc {

/// How a parameter begins. Values depend on the seed and the parameter's name only.
struct Initializer {
  /// Sinusoids: of [positions, features], sin and cos of position / 10000^(2i / features) in turn (Vaswani et al.
  /// 2017).
  enum Kind { Constant, Normal, GlorotUniform, Sinusoids } kind = Constant;
  double value = 0; // Constant: of every element; Normal: the standard deviation
};

struct ModelParameter {
  std::string name;
  llvm::SmallVector<int64_t, 2> shape;
  Initializer initializer;
};

class Layer;
using Layers = std::vector<Layer>;

/// One layer; a value.
class Layer {
public:
  /// What a layer does to the stack, whose top is element 0.
  using Apply = std::function<void(Trace &, std::vector<Tensor> &stack)>;

  Layer(std::string name, std::string signature, int64_t inputs, int64_t outputs, Apply apply, bool composite = false);

  const std::string &name() const { return node->name; }
  /// How many tensors it takes from the stack, and puts there.
  int64_t inputs() const { return node->inputs; }
  int64_t outputs() const { return node->outputs; }
  void operator()(Trace &trace, std::vector<Tensor> &stack) const;

private:
  struct Node {
    std::string name, signature;
    int64_t inputs, outputs;
    Apply apply;
    bool composite; // consists of layers, which check the stack themselves
  };
  std::shared_ptr<const Node> node;
};

/// Layers and lists of layers in one list.
template <typename... Parts> Layers list(const Parts &...parts) {
  Layers layers;
  auto append = [&](const auto &part) {
    if constexpr (std::is_same_v<std::decay_t<decltype(part)>, Layers>)
      layers.insert(layers.end(), part.begin(), part.end());
    else
      layers.push_back(part);
  };
  (append(parts), ...);
  return layers;
}

//===----------------------------------------------------------------------===//
// Combinators
//===----------------------------------------------------------------------===//

Layer serial(std::string name, Layers layers);
Layer parallel(Layers layers);
Layer branch(Layers layers);
Layer residual(Layers layers);

/// One after the other.
template <typename... Parts> Layer Serial(const Parts &...parts) { return serial("Serial", list(parts...)); }
/// Each layer on tensors of its own: the first takes those on top.
template <typename... Parts> Layer Parallel(const Parts &...parts) { return parallel(list(parts...)); }
/// Each layer on copies of the same tensors. A part that is a list is one layer, Serial.
template <typename... Parts> Layer Branch(const Parts &...parts) {
  auto one = [](const auto &part) {
    if constexpr (std::is_same_v<std::decay_t<decltype(part)>, Layers>)
      return serial("Serial", part);
    else
      return Layer(part);
  };
  return branch({one(parts)...});
}
/// The layers one after the other, and what they took from the top added to what they put there. A Residual of one
/// tensor becomes a function of the compiled model, which all share that differ in parameters only.
template <typename... Parts> Layer Residual(const Parts &...parts) { return residual(list(parts...)); }

/// Takes `inputs` tensors (default: as many as needed) and puts copies of those at `indices` there.
Layer Select(std::vector<int64_t> indices, int64_t inputs = -1);
Layer Dup();
Layer Drop();
/// The features (last dimension) in equal parts, and several tensors' features joined.
Layer Split(int64_t parts);
Layer Concatenate(int64_t inputs = 2);
Layer ShiftRight();

/// `apply` on `inputs` tensors; each gets a tensor that is not null, in the order of the stack.
Layer function(std::string name, int64_t inputs, int64_t outputs,
               std::function<std::vector<Tensor>(llvm::ArrayRef<Tensor>)> apply);

namespace detail {
template <typename Result, typename... Args, size_t... I>
std::vector<Tensor> call(const std::function<Result(Args...)> &f, llvm::ArrayRef<Tensor> in,
                         std::index_sequence<I...>) {
  if constexpr (std::is_same_v<Result, Tensor>)
    return {f(in[I]...)};
  else
    return f(in[I]...);
}
template <typename Result, typename... Args>
Layer wrap(std::string name, std::function<Result(Args...)> f, int64_t outputs) {
  return function(std::move(name), sizeof...(Args), outputs,
                  [f](llvm::ArrayRef<Tensor> in) { return call(f, in, std::index_sequence_for<Args...>()); });
}
} // namespace detail

/// A function of tensors as a layer: `Fn("Addition", [](Tensor x, Tensor y) { return x + y; })`. It returns a tensor
/// or, with `outputs`, a vector of them.
template <typename F> Layer Fn(std::string name, F f, int64_t outputs = 1) {
  return detail::wrap(std::move(name), std::function(std::move(f)), outputs);
}

/// The C function `name` of the host (attn_host.resolve) on `inputs` tensors: one result, of the first one's shape. For
/// others: `external` of frontend/Tensor.h in an Fn.
Layer External(std::string name, int64_t inputs = 1);

//===----------------------------------------------------------------------===//
// Layers with parameters, and the usual ones without
//===----------------------------------------------------------------------===//

/// weight [K, features] (Glorot uniform), bias [features] (normal, 1e-6).
Layer Dense(int64_t features, bool bias = true);
/// weight [vocabulary, features] (normal, 1): ids [...] → [..., features].
Layer Embedding(int64_t vocabulary, int64_t features);
/// Adds rows of weight [maxLength, features] to [batch, seq, features]: sinusoids or, learned, normal, 1.
Layer PositionalEncoding(int64_t maxLength = 4096, bool learned = false);
Layer LayerNorm(double epsilon = 1e-6);
Layer Activation(std::string name, attn::ActivationKind kind);
inline Layer Relu() { return Activation("Relu", attn::ActivationKind::relu); }
inline Layer Gelu() { return Activation("Gelu", attn::ActivationKind::gelu); }
inline Layer FastGelu() { return Activation("FastGelu", attn::ActivationKind::gelu_tanh); }
/// Nothing: models are compiled for inference.
Layer Dropout(double rate = 0.1);
Layer LogSoftmax();
/// Fused attention of [batch, seq, features] in three tensors: query, key, value → result. With `masked` a fourth, ids
/// [batch, keys] that are not zero where a key counts; it stays on the stack below the result.
Layer Attention(int64_t heads, bool causal, bool masked = false);
/// Projections of query, key and value, masked Attention, and a projection of the result.
Layer AttentionQKV(int64_t features, int64_t heads = 1);
/// Branch(Dense, Dense, Dense), causal Attention, Dense.
Layer CausalAttention(int64_t features, int64_t heads = 1);

//===----------------------------------------------------------------------===//
// Models
//===----------------------------------------------------------------------===//

/// A tensor that the caller gives; f32, or i64 with `ids`.
struct ModelInput {
  std::string name;
  Shape shape;
  bool ids = false;
};

struct ModelOptions {
  std::string name = "model", entry = "forward", output = "output"; // several outputs: output, output_1, …
  std::vector<std::pair<std::string, int64_t>> limits;              // the most of a named dimension; others: 4096
  /// For a model of one input of ids [batch, seq] and one output [batch, seq, features] in which all that mixes tokens
  /// is causal Attention: adds `prefill` and `decode`, which keep keys and values of earlier tokens and give [batch,
  /// features] of one token per sequence, the last one or the one at `logits_index [batch]`, and `verify`, of all of up
  /// to 64. They leave out ShiftRight of the ids: their sequence begins with the 0 that it would put there.
  bool cached = false;
  std::vector<std::pair<std::string, int64_t>> metadata; // "eos_token_id", …
  ImportOptions types;
};

/// A layer applied to inputs: a graph to compile, and the parameters that it has.
struct Model {
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::vector<ModelParameter> parameters;

  /// `weights`: the safetensors file that the compiler reads the parameters from, relative to where it runs.
  static llvm::Expected<Model> build(mlir::MLIRContext *context, const Layer &layer, llvm::ArrayRef<ModelInput> inputs,
                                     llvm::StringRef weights = "model.safetensors", const ModelOptions &options = {});
};

/// Writes every parameter as its initialiser makes it, as safetensors.
llvm::Error saveInitialWeights(llvm::ArrayRef<ModelParameter> parameters, uint64_t seed, llvm::StringRef path);
/// Writes the parameters as Trax has saved them in `traxFile`, a `.weights.npy.gz`: arrays in the order of the layers,
/// whose shapes must be the parameters' but for dimensions of 1.
llvm::Error saveTraxWeights(llvm::ArrayRef<ModelParameter> parameters, llvm::StringRef traxFile, llvm::StringRef path);

} // namespace attnc

#endif // ATTNC_FRONTEND_LAYERS_H
