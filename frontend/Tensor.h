//===- Tensor.h - Values of a graph while a model is built from layers ----------------------===//
//
// What the function of an `Fn` works on: `Fn("Addition", [](Tensor x, Tensor y) { return x + y; })`. Each operation
// adds ops to the graph, which the compiler fuses and vectorises. A misuse is kept in the trace, with the path of the
// layer; its result is a null tensor, and so is what is computed from that.
//
//===------------------------------------------------------------------------------------===//
#ifndef ATTNC_FRONTEND_TENSOR_H
#define ATTNC_FRONTEND_TENSOR_H

#include "dialect/AttnDialect.h"

#include "mlir/IR/Value.h"

#include <string>
#include <vector>

namespace attnc {

class Trace;

/// A dimension: a number, or a number times a dimension of the inputs ("seq", "8·batch").
struct Dim {
  int64_t factor = 1;
  std::string name; // empty: static

  Dim(int64_t size) : factor(size) {}
  Dim(int size) : factor(size) {} // not a null pointer
  Dim(std::string name, int64_t factor = 1) : factor(factor), name(std::move(name)) {}
  Dim(const char *name) : name(name) {}
  bool operator==(const Dim &other) const { return factor == other.factor && name == other.name; }
  bool operator!=(const Dim &other) const { return !(*this == other); }
  bool isStatic() const { return name.empty(); }
  int64_t size() const { return isStatic() ? factor : mlir::ShapedType::kDynamic; }
  std::string text() const;
};

using Shape = std::vector<Dim>;
/// "[batch, seq, 512]".
std::string shapeText(const Shape &shape);

/// A tensor of f32, i64 (ids) or i1 (masks); a value, cheap to copy.
class Tensor {
public:
  Tensor() = default;
  Tensor(Trace &trace, mlir::Value value, Shape shape) : trace(&trace), v(value), dims(std::move(shape)) {}

  explicit operator bool() const { return bool(v); }
  mlir::Value value() const { return v; }
  const Shape &shape() const { return dims; }
  int64_t rank() const { return dims.size(); }
  /// Dimension `i`; a negative one counts from the end. 1 where there is none.
  Dim dim(int64_t i) const;
  bool isFloat() const;
  /// "[batch, seq] i64"; f32 is not said.
  std::string text() const;

  Trace *trace = nullptr;

private:
  mlir::Value v;
  Shape dims;
};

/// Elementwise, with dimensions of size 1 and missing leading ones broadcast as in numpy.
Tensor operator+(const Tensor &a, const Tensor &b);
Tensor operator-(const Tensor &a, const Tensor &b);
Tensor operator*(const Tensor &a, const Tensor &b);
Tensor operator/(const Tensor &a, const Tensor &b);
Tensor operator+(const Tensor &a, double b);
Tensor operator-(const Tensor &a, double b);
Tensor operator*(const Tensor &a, double b);
Tensor operator/(const Tensor &a, double b);
Tensor maximum(const Tensor &a, const Tensor &b);
Tensor exp(const Tensor &a);
Tensor log(const Tensor &a);
Tensor sqrt(const Tensor &a);
Tensor tanh(const Tensor &a);
Tensor activation(const Tensor &a, attn::ActivationKind kind);

/// `a [..., rows, K]` times `b [..., K, columns]`, at most two leading dimensions, the same in both.
Tensor matmul(const Tensor &a, const Tensor &b);
/// The last two dimensions exchanged.
Tensor transpose(const Tensor &a);
/// Over the last dimension.
Tensor softmax(const Tensor &a);
Tensor logSoftmax(const Tensor &a);
/// `a` where `keep` (i1, broadcast) is true, else `other`.
Tensor where(const Tensor &keep, const Tensor &a, double other);
/// i1 of `ids`' shape, true where an id is not zero.
Tensor isNotZero(const Tensor &ids);
/// A new dimension of size 1 at `place`, from 0 to the rank.
Tensor insertDim(const Tensor &a, int64_t place);
/// For `scores [..., queries, keys]`: i1 [queries, keys], true where key ≤ query.
Tensor causalMask(const Tensor &scores);
/// [batch, seq, heads·head_dim] to [heads·batch, seq, head_dim], and back.
Tensor splitHeads(const Tensor &a, int64_t heads);
Tensor mergeHeads(const Tensor &a, int64_t heads);
/// The features of `a` (its last dimension) in `parts` equal parts.
std::vector<Tensor> split(const Tensor &a, int64_t parts);
/// Joined along the last dimension.
Tensor concatenate(const std::vector<Tensor> &parts);
/// What the C function `name` of the host makes of `inputs`, see attn.external: one tensor of each shape, f32.
/// Dimensions with names are those of the model's inputs.
std::vector<Tensor> external(const std::string &name, const std::vector<Tensor> &inputs,
                             const std::vector<Shape> &results);
/// One step to the right in dimension 1, zero first.
Tensor shiftRight(const Tensor &a);

} // namespace attnc

#endif // ATTNC_FRONTEND_TENSOR_H
