//===- GraphBuilder.h - Graphs of attn ops, built in the terms of checkpoints --------------===//
#ifndef ATTNC_FRONTEND_GRAPHBUILDER_H
#define ATTNC_FRONTEND_GRAPHBUILDER_H

#include "dialect/AttnDialect.h"
#include "frontend/Import.h"
#include "frontend/Rotary.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace attnc {

constexpr int64_t kDynamic = mlir::ShapedType::kDynamic;
constexpr int64_t kMaxBatch = 4096;
/// Tokens that `verify` takes: a guess of some tokens, not a prompt.
constexpr int64_t kMaxVerify = 64;

/// An input of an entry, or a cache. `dims` names its dynamic dimensions.
struct Input {
  llvm::StringRef name;
  mlir::Type type;
  llvm::SmallVector<llvm::StringRef, 2> dims;
  bool optional = false;
};

/// An output of an entry.
struct Output {
  llvm::StringRef name;
  mlir::Value value;
  llvm::SmallVector<llvm::StringRef, 2> dims;
};

/// Inclusive bounds of a named dimension.
struct DimBound {
  llvm::StringRef name;
  int64_t min, max;
};

/// What the layers of a stack share within one entry; a layer's function gets these as arguments. Null ones are absent.
struct Stack {
  mlir::Value mask;                         // [batch, keys], non-zero where a token counts; null: everywhere
  mlir::Value cache, layer;                 // keys and values of earlier tokens, and the index of the layer
  mlir::Value memory, memoryMask;           // an encoder's output [batch, keys, width] and its mask
  mlir::Value cross;                        // keys and values of an encoder's output, cached
  llvm::SmallVector<mlir::Value, 4> tables; // anything else: rotary tables, slopes, biases
};

/// Which experts each token chose, and what they count: [batch, seq, chosen].
struct Experts {
  mlir::Value weights, indices;
};

/// What a family says about attention; see attn.attention.
struct AttentionOptions {
  int64_t heads;
  int64_t kvHeads = 0; // 0: as many as heads
  std::optional<double> scale = {}, softCap = {};
  bool causal = false;
  std::optional<int64_t> windowLeft = {}, windowRight = {};
  mlir::Value sinkLogits = {}, alibi = {}, relative = {}; // [heads], [heads], [heads, 2·distance + 1]
};

/// Builds a graph, one short line per op. Parameters are named as in the checkpoint and declared where they are used:
/// `finish` reports all that are missing or have another shape. Activations are f32, parameters any float type.
class GraphBuilder : public mlir::ImplicitLocOpBuilder {
public:
  /// `prefix` is one that some checkpoints of the family lack: "model.norm.weight" is "norm.weight" in them.
  explicit GraphBuilder(ImportContext &import, llvm::StringRef prefix = "");

  /// Names what is built next, for profiles and messages ("attn.c_proj").
  GraphBuilder &at(const llvm::Twine &name);

  mlir::RankedTensorType f32(llvm::ArrayRef<int64_t> shape) { return mlir::RankedTensorType::get(shape, getF32Type()); }
  mlir::RankedTensorType i64(llvm::ArrayRef<int64_t> shape) { return mlir::RankedTensorType::get(shape, getI64Type()); }

  /// The state of a decoder, in the type of ImportOptions::cache.
  attn::CacheType cacheType(int64_t layers, int64_t kvHeads, int64_t headDim, bool cross = false);

  //===--- Functions ---===//

  /// Adds a public function and continues in its body. Inputs of cache type are state: no name, no dimensions.
  mlir::func::FuncOp entry(llvm::StringRef name, llvm::ArrayRef<Input> inputs, llvm::ArrayRef<DimBound> bounds);
  /// Ends it.
  void results(mlir::func::FuncOp entry, llvm::ArrayRef<Output> outputs);

  /// Applies one layer, whose parameters begin with `prefix`, to `x`. Its body becomes a function called `name`, which all
  /// layers share that differ in parameters only; inside, names of parameters are relative to `prefix`. A body that
  /// returns null (it only fills a cache) makes a function without a result.
  mlir::Value layer(llvm::StringRef name, const llvm::Twine &prefix, mlir::Value x, const Stack &stack,
                    llvm::function_ref<mlir::Value(mlir::Value x, const Stack &stack)> body);

  //===--- Parameters ---===//

  /// Whether the checkpoint has it.
  bool has(const llvm::Twine &name) const;
  /// `f32`: in that type whatever ImportOptions::dtype says, as some operands must be.
  mlir::Value parameter(const llvm::Twine &name, llvm::ArrayRef<int64_t> shape, bool f32 = false);
  /// Tensors PREFIX + expert + PART of `shape [rows, K]` for every expert and part, as one parameter [experts, parts·rows, K].
  mlir::Value expertParameter(llvm::StringRef prefix, llvm::ArrayRef<llvm::StringRef> parts, int64_t experts,
                              llvm::ArrayRef<int64_t> shape);
  /// All problems with parameters.
  llvm::Error finish();

  //===--- Ops with parameters NAME.weight and NAME.bias ---===//

  /// nn.Linear: weight [columns, K], bias [columns]; `rows`: the view of both that is meant, see WeightSet::find.
  mlir::Value linear(const llvm::Twine &name, mlir::Value input, int64_t columns, bool bias = true,
                     llvm::StringRef rows = "");
  /// nn.Linear that makes query, key and value of the first head, then of the second, …: all queries, keys and values,
  /// each [..., heads·headDim].
  llvm::SmallVector<mlir::Value> projectionsByHead(const llvm::Twine &name, mlir::Value input, int64_t heads,
                                                   int64_t headDim, bool bias);
  /// nn.Embedding of `ids` of any shape: weight [entries, width].
  mlir::Value embedding(const llvm::Twine &name, mlir::Value ids, int64_t entries, int64_t width);
  /// nn.LayerNorm over the last dimension. Checkpoints of the first days call weight and bias gamma and beta.
  mlir::Value layerNorm(const llvm::Twine &name, mlir::Value input, double epsilon, bool bias = true, bool weight = true);
  /// RMSNorm of each of `groups` parts of the last dimension, times weight, or 1 + weight.
  mlir::Value rmsNorm(const llvm::Twine &name, mlir::Value input, double epsilon, int64_t groups = 1,
                      bool unitOffset = false);

  //===--- Mixtures of experts ---===//

  /// Each token's experts, the `chosen` largest of `logits [batch, seq, experts]`.
  Experts route(mlir::Value logits, int64_t chosen);
  /// `input [batch, seq, K]`, or `[batch, seq, chosen, K]`, times the weights of each token's experts: [batch, seq, chosen, N].
  /// `weight [experts, K, N]` or, `transposed`, `[experts, N, K]`; `bias [experts, N]` or null.
  mlir::Value expertLinear(mlir::Value input, mlir::Value weight, mlir::Value bias, const Experts &experts, bool transposed);
  /// The weighted sum of `input [batch, seq, chosen, width]`.
  mlir::Value combine(mlir::Value input, const Experts &experts);

  //===--- Ops without ---===//

  /// `input [..., K]`, `weight [K, N]` or, `transposed`, `[N, K]`; `bias [N]` or null.
  mlir::Value product(mlir::Value input, mlir::Value weight, mlir::Value bias, bool transposed);
  /// `activation(input)`, times `times` if that is not null.
  mlir::Value activation(mlir::Value input, attn::ActivationKind kind, mlir::Value times = {});
  /// GPT-OSS's gated unit: quick_gelu(min(gate, limit)) · (clamp(up, -limit, limit) + 1).
  mlir::Value clampedGate(mlir::Value gate, mlir::Value up, double limit);
  mlir::Value add(mlir::Value a, mlir::Value b);
  /// `value` as a tensor of this type, which is less static.
  mlir::Value cast(mlir::RankedTensorType type, mlir::Value value);
  mlir::Value scale(mlir::Value input, double by);
  /// cap · tanh(input / cap).
  mlir::Value softCap(mlir::Value input, double cap);
  /// `input [..., features]` cut along its features into parts of these widths.
  llvm::SmallVector<mlir::Value> split(mlir::Value input, llvm::ArrayRef<int64_t> widths);
  /// The first token of `input [batch, seq, features]`: [batch, features].
  mlir::Value firstToken(mlir::Value input);
  /// [batch, features] of the tokens of `input` that `mask [batch, seq]` keeps.
  mlir::Value pool(mlir::Value input, mlir::Value mask, attn::PoolKind kind);
  /// Vectors of length 1.
  mlir::Value l2Norm(mlir::Value input);
  /// Of each token of `ids [batch, seq]`: `given` where that is there at run time, else by its place after the cached ones,
  /// where those that `mask [batch, keys]` hides do not count.
  mlir::Value positions(mlir::Value ids, mlir::Value given, mlir::Value cache = {}, mlir::Value mask = {});
  /// `given` where that is there at run time, else `pad` + the number of tokens so far that are not `pad` (RoBERTa).
  mlir::Value positionsAfterPad(mlir::Value ids, mlir::Value given, int64_t pad);
  /// Cosines and sines for `rotary`, [batch, seq, 2·frequencies].
  mlir::Value rotaryTable(mlir::Value positions, const Rotary &rotary);
  /// `input [batch, seq, heads·head_dim]`, its pairs rotated by `table`.
  mlir::Value rotary(mlir::Value input, mlir::Value table, int64_t heads, bool interleaved = false);
  /// Rows of `table [entries, width]`, for ids of any shape.
  mlir::Value lookUp(mlir::Value table, mlir::Value ids);
  /// Sines, then cosines, of `positions [batch, seq]`: [batch, seq, width].
  mlir::Value positionalEncoding(mlir::Value positions, int64_t width);
  /// `table [buckets, heads]` by distance, for AttentionOptions::relative.
  mlir::Value relativeBias(mlir::Value table, int64_t maxDistance, bool bidirectional);
  /// A constant [values].
  mlir::Value constant(llvm::ArrayRef<float> values);

  /// Attention to `key` and `value` of this run and, with a cache, of earlier ones; [batch, seq, heads·head_dim]. Without
  /// `key` and `value` those in the cache.
  mlir::Value attention(const Stack &stack, mlir::Value query, mlir::Value key, mlir::Value value,
                        const AttentionOptions &options);

  /// Creates an attn op. `operands` stand in the order of its definition; null ones, and those left out at the end, are
  /// absent. Attributes that `properties` does not set have their defaults.
  template <typename Op>
  mlir::Value create(mlir::Type result, llvm::ArrayRef<mlir::Value> operands, typename Op::Properties properties = {}) {
    constexpr bool segmented = Op::template hasTrait<mlir::OpTrait::AttrSizedOperandSegments>();
    llvm::SmallVector<mlir::Value> present;
    if constexpr (segmented)
      properties.operandSegmentSizes = {};
    for (auto [index, operand] : llvm::enumerate(operands)) {
      if (!operand)
        continue;
      present.push_back(operand);
      if constexpr (segmented)
        properties.operandSegmentSizes[index] = 1;
    }
    mlir::Operation *op =
        Op::create(*this, result ? mlir::TypeRange(result) : mlir::TypeRange(), present, properties).getOperation();
    return result ? mlir::Value(op->getResult(0)) : mlir::Value();
  }

private:
  /// A parameter as an argument of a layer's function, and how callers load it.
  struct Argument {
    mlir::Value value;
    std::function<mlir::Value()> load;
  };
  /// A layer while its body is built.
  struct Layer {
    mlir::func::FuncOp func;
    std::string prefix;
    llvm::MapVector<mlir::StringAttr, Argument> arguments; // by full name
  };
  struct Function {
    mlir::func::FuncOp func;
    std::string name; // before it was made unique
  };

  /// The tensor of the checkpoint that `name` stands for.
  std::string fullName(const llvm::Twine &name) const;
  /// A parameter of the module; adds it.
  mlir::RankedTensorType declare(llvm::StringRef name, llvm::ArrayRef<int64_t> shape, bool f32 = false);
  /// What `load` gives, or the argument that stands for it in a layer.
  mlir::Value loaded(llvm::StringRef name, mlir::RankedTensorType type, std::function<mlir::Value()> load);
  /// The function equal to `func` that was there before, or `func`.
  mlir::func::FuncOp share(mlir::func::FuncOp func, llvm::StringRef name);

  ImportContext &import;
  mlir::ModuleOp module;
  std::string missingPrefix; // of names
  Problems problems;
  llvm::StringMap<mlir::RankedTensorType> declared;
  std::optional<Layer> current;
  std::vector<Function> functions;
};

} // namespace attnc

#endif // ATTNC_FRONTEND_GRAPHBUILDER_H
