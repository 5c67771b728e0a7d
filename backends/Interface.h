//===- Interface.h - What a model looks like from outside --------------------------------===//
// After the stage "fused" two module attributes say everything about the model's boundary and its weights, so that
// later stages may change functions and drop parameters, and a stage's text can be fed back in:
//
//   attn.interface  = [{name = "prefill", inputs = [{name = "input_ids", type = tensor<?x?xi64>,
//                       dims = ["batch", "seq"], optional, strided}, …], outputs = […],
//                       bounds = {seq = array<i64: 1, 512>}, cache = !attn.cache<…>, window = 127, sinks = 4,
//                       cross = !attn.cache<…, cross>}, {name = "encode", inputs = [{…, cross_mask}], …, fills_cross}, …]
//   attn.parameters = [{source = ["wte.weight"], type = tensor<…>, offset = 64, pack = {kind = "panels",
//                       transposed = true, k = 768, n = 50257}, parts = array<i64: 50257>}, …]
//   attn.externals  = ["addition"], functions of the host, if there are any
#ifndef ATTNC_BACKENDS_INTERFACE_H
#define ATTNC_BACKENDS_INTERFACE_H

#include "dialect/AttnDialect.h"
#include "mlir/IR/BuiltinOps.h"

#include <optional>
#include <string>
#include <vector>

namespace attnc {

/// A named dimension with inclusive bounds.
struct DimInterface {
  std::string name;
  int64_t min = 1, max = 0;
};

struct TensorInterface {
  std::string name;
  mlir::Type elementType;
  /// >= 0: static size; < 0: dimension number -1 - shape[i] of the entry, as in attn_tensor_info.
  llvm::SmallVector<int64_t> shape;
  bool optional = false;
  bool strided = false; ///< any strides but of the innermost dimension
  bool int32 = false; ///< i64 that may be given as int32, too
  bool crossMask = false; ///< selects what a run appends to the cross cache
};

struct EntryInterface {
  std::string name;
  std::vector<DimInterface> dims;
  std::vector<TensorInterface> inputs, outputs;
  unsigned usesState = 0; ///< attn_state_use
  /// Tokens of the cache before its own that a run reads, and first tokens that it always reads; no window: all.
  std::optional<int64_t> window;
  int64_t sinks = 0;

  /// That a run with a state may append: the bound of the first input's `seq`.
  int64_t mostTokens() const;
  /// Dynamic dimensions of the inputs, in order: the arguments of NAME.workspace before `workers`.
  unsigned workspaceArguments() const;
};

struct ModelInterface {
  std::vector<EntryInterface> entries;
  attn::CacheType cache; ///< of the model's state, its cross part too; null without
  int64_t crossTokens = 0; ///< that a run may append to the cross cache; 0: there is none
  int64_t window = 0, sinks = 0; ///< the largest of the entries; used with ringTokens()
  mlir::DictionaryAttr metadata; ///< or null
  std::vector<std::string> externals; ///< functions of the host
  uint64_t weightsBytes = 0; ///< packed, header included; 0: none

  /// Bytes of the cache's pages per token and per number, 0 without a cache.
  uint64_t tokenBytes() const;
  uint64_t elementBytes() const;
  /// Tokens that a run reads or appends when all entries have a window: all that a slot must keep besides the sinks. 0: no
  /// such bound.
  int64_t ringTokens() const;
};

/// One packed parameter: which tensors of the checkpoint, and where and how they lie in the weights segment.
struct Parameter {
  std::vector<std::string> sources; ///< joined along N in this order; of `stacked`, expert after expert
  mlir::RankedTensorType type;      ///< packed
  uint64_t offset = 0;
  bool panels = false; ///< otherwise row-major
  bool transposed = false; ///< the sources are [N, K]
  bool stacked = false; ///< every expert has sources of its own; otherwise the sources are [experts, K, N]
  int64_t k = 0, n = 0, experts = 0; ///< 0: no experts, the sources are [K, N]; vectors of experts are [experts, N]
  llvm::SmallVector<int64_t> parts; ///< n of each source of one expert
};

constexpr llvm::StringLiteral kInterfaceAttr = "attn.interface", kParametersAttr = "attn.parameters",
                              kOffsetAttr = "attn.offset", kPackAttr = "attn.pack", kSourceAttr = "attn.source",
                              kPartsAttr = "attn.pack.parts", kExternalsAttr = "attn.externals", kWeightsBytesAttr = "attn.weights_bytes";

/// Sets attn.interface and attn.parameters from the module's public functions and globals ("fused" stage), unless they
/// are there already. Reports functions that cannot be entries, at their location.
mlir::LogicalResult recordInterface(mlir::ModuleOp module);

/// Reads attn.interface. Reports what is malformed: the text may be written by hand.
mlir::FailureOr<ModelInterface> readInterface(mlir::ModuleOp module);

/// Reads attn.parameters, ordered by offset, and checks that they lie within the segment without overlaps.
mlir::FailureOr<std::vector<Parameter>> readParameters(mlir::ModuleOp module);

} // namespace attnc

#endif // ATTNC_BACKENDS_INTERFACE_H
