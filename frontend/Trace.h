//===- Trace.h - A graph while layers are applied to tensors --------------------------------===//
#ifndef ATTNC_FRONTEND_TRACE_H
#define ATTNC_FRONTEND_TRACE_H

#include "frontend/GraphBuilder.h"
#include "frontend/Layers.h"

namespace attnc {

class Trace {
public:
  explicit Trace(GraphBuilder &b) : b(b) {}

  /// Keeps the first misuse: "PATH SIGNATURE: expected …, got …".
  Tensor fail(const llvm::Twine &message);
  bool failed() const { return !error.empty(); }
  /// "PATH SIGNATURE: MESSAGE, on the stack STACK".
  std::string placed(const llvm::Twine &message) const;
  /// Keeps the first reason why the model cannot be cached: `what` mixes tokens, and is not what the cache does.
  void cannotCache(const llvm::Twine &what);

  /// The path as parameters are named after it: "Serial.3.Residual.Dense".
  std::string layerName() const;
  /// f32 parameter NAME of the layer that is being applied.
  Tensor parameter(llvm::StringRef name, llvm::ArrayRef<int64_t> shape, Initializer initializer);
  /// `type` of `shape`.
  mlir::RankedTensorType type(const Shape &shape, mlir::Type element) const;
  /// Whether a dimension of `inputs` has the name.
  bool isKnown(const Dim &dim) const;
  /// Sizes, in terms of the dimensions of `inputs`.
  mlir::OpFoldResult size(const Dim &dim);
  llvm::SmallVector<mlir::OpFoldResult> sizes(const Shape &shape);
  mlir::Value empty(const Shape &shape, mlir::Type element);
  mlir::Value splat(double value, const Shape &shape);
  /// `a` with the shape `shape`, to which it broadcasts.
  mlir::Value broadcast(const Tensor &a, const Shape &shape);

  GraphBuilder &b;
  std::vector<std::string> path; // "Serial[3]", "Residual", "Dense"
  std::string signature, met;    // of the layer that is being applied, and the stack that it met
  std::string prefix;            // of the parameters in the function that is being built; empty: the entry
  std::string error;
  std::vector<ModelParameter> parameters;

  std::vector<Tensor> inputs; // of the function that is being built

  // Of the entry.
  Tensor tokens; // the ids that the model reads, for positions
  /// Earlier tokens' keys and values, and the first layer of them that the function being built uses; or null.
  mlir::Value cache, cacheLayer;
  int64_t attentions = 0, first = 0; // so far; when the function being built began

  // Of the entry without a cache, for those with one.
  llvm::SmallVector<std::pair<int64_t, int64_t>> heads; // of each attention that can be cached: number, head_dim
  std::string notCached;                                // see cannotCache; empty: it can
  int64_t lastAttention = -1;                           // the last part of the model with one
  /// Puts one token per sequence in the place of all tokens, after that part.
  std::function<void(std::vector<Tensor> &stack)> selectToken;
};

} // namespace attnc

#endif // ATTNC_FRONTEND_TRACE_H
