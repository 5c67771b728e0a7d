//===- Tensor.cpp - Values of a graph while a model is built from layers --------------------===//
#include "frontend/Tensor.h"
#include "frontend/Trace.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using llvm::ArrayRef;
using llvm::SmallVector;
using llvm::Twine;

namespace attnc {

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

std::string Dim::text() const {
  if (isStatic())
    return std::to_string(factor);
  return factor == 1 ? name : std::to_string(factor) + "·" + name;
}

std::string shapeText(const Shape &shape) {
  return "[" + llvm::join(llvm::map_range(shape, [](const Dim &dim) { return dim.text(); }), ", ") + "]";
}

Dim Tensor::dim(int64_t i) const {
  i += i < 0 ? rank() : 0;
  return i >= 0 && i < rank() ? dims[i] : Dim(1);
}

bool Tensor::isFloat() const { return v && isa<FloatType>(getElementTypeOrSelf(v)); }

std::string Tensor::text() const {
  return shapeText(dims) + (isFloat() || !v ? "" : getElementTypeOrSelf(v).isInteger(1) ? " i1" : " i64");
}

RankedTensorType Trace::type(const Shape &shape, Type element) const {
  return RankedTensorType::get(llvm::map_to_vector(shape, [](const Dim &dim) { return dim.size(); }), element);
}

/// The dimension of `inputs` with the name; if there are several, one with the least factor.
static std::optional<std::pair<Tensor, int64_t>> findDim(llvm::ArrayRef<Tensor> inputs, llvm::StringRef name) {
  std::optional<std::pair<Tensor, int64_t>> found;
  for (const Tensor &input : inputs)
    for (auto [index, dim] : llvm::enumerate(input.shape()))
      if (dim.name == name && (!found || dim.factor < found->first.dim(found->second).factor))
        found = std::pair(input, int64_t(index));
  return found;
}

bool Trace::isKnown(const Dim &dim) const { return dim.isStatic() || findDim(inputs, dim.name); }

OpFoldResult Trace::size(const Dim &dim) {
  if (dim.isStatic())
    return b.getIndexAttr(dim.factor);
  auto [input, index] = *findDim(inputs, dim.name); // isKnown
  Value size = tensor::DimOp::create(b, input.value(), index);
  int64_t factor = input.dim(index).factor;
  if (factor != 1 && factor != dim.factor)
    size = arith::DivUIOp::create(b, size, arith::ConstantIndexOp::create(b, factor));
  if (factor != dim.factor && dim.factor != 1)
    size = arith::MulIOp::create(b, size, arith::ConstantIndexOp::create(b, dim.factor));
  return size;
}

SmallVector<OpFoldResult> Trace::sizes(const Shape &shape) {
  return llvm::map_to_vector(shape, [&](const Dim &dim) { return size(dim); });
}

Value Trace::empty(const Shape &shape, Type element) { return tensor::EmptyOp::create(b, sizes(shape), element); }

Value Trace::splat(double value, const Shape &shape) {
  Value scalar = arith::ConstantOp::create(b, b.getF32FloatAttr(float(value)));
  return tensor::SplatOp::create(b, scalar, sizes(shape));
}

Value Trace::broadcast(const Tensor &a, const Shape &shape) {
  if (a.shape() == shape)
    return a.value();
  // Dimensions of size 1 are taken out, then all that are missing are put in.
  int64_t leading = shape.size() - a.rank();
  SmallVector<int64_t> added;
  SmallVector<ReassociationIndices> groups;
  ReassociationIndices ones; // before the first that is kept
  for (int64_t i = 0; i < int64_t(shape.size()); ++i) {
    bool kept = i >= leading && a.shape()[i - leading] == shape[i];
    if (!kept)
      added.push_back(i);
    if (i < leading)
      continue;
    if (kept) {
      groups.push_back(std::exchange(ones, {}));
      groups.back().push_back(i - leading);
    } else {
      (groups.empty() ? ones : groups.back()).push_back(i - leading);
    }
  }
  Value value = a.value();
  if (int64_t(groups.size()) != a.rank())
    value = tensor::CollapseShapeOp::create(b, value, groups);
  Value init = empty(shape, getElementTypeOrSelf(value));
  return linalg::BroadcastOp::create(b, value, init, added)->getResult(0);
}

//===----------------------------------------------------------------------===//
// Elementwise
//===----------------------------------------------------------------------===//

/// The shape to which both broadcast.
static std::optional<Shape> joined(const Tensor &a, const Tensor &b) {
  Shape shape;
  for (int64_t i = std::max(a.rank(), b.rank()); i > 0; --i) {
    Dim left = a.dim(-i), right = b.dim(-i);
    if (left != right && left != Dim(1) && right != Dim(1))
      return std::nullopt;
    shape.push_back(left == Dim(1) ? right : left);
  }
  return shape;
}

template <typename Op> static Tensor binary(const Tensor &a, const Tensor &b, llvm::StringRef what) {
  if (!a || !b)
    return {};
  Trace &trace = *a.trace;
  std::optional<Shape> shape = joined(a, b);
  if (!a.isFloat() || !b.isFloat() || !shape)
    return trace.fail(what + ": expected f32 tensors of shapes that broadcast, got " + a.text() + " and " + b.text());
  Value left = trace.broadcast(a, *shape), right = trace.broadcast(b, *shape);
  return {trace, Op::create(trace.b, left, right).getResult(), *shape};
}

template <typename Op> static Tensor binary(const Tensor &a, double b, llvm::StringRef what) {
  if (!a)
    return {};
  return binary<Op>(a, {*a.trace, a.trace->splat(b, a.shape()), a.shape()}, what);
}

Tensor operator+(const Tensor &a, const Tensor &b) { return binary<arith::AddFOp>(a, b, "+"); }
Tensor operator-(const Tensor &a, const Tensor &b) { return binary<arith::SubFOp>(a, b, "-"); }
Tensor operator*(const Tensor &a, const Tensor &b) { return binary<arith::MulFOp>(a, b, "*"); }
Tensor operator/(const Tensor &a, const Tensor &b) { return binary<arith::DivFOp>(a, b, "/"); }
Tensor operator+(const Tensor &a, double b) { return binary<arith::AddFOp>(a, b, "+"); }
Tensor operator-(const Tensor &a, double b) { return binary<arith::SubFOp>(a, b, "-"); }
Tensor operator*(const Tensor &a, double b) { return binary<arith::MulFOp>(a, b, "*"); }
Tensor operator/(const Tensor &a, double b) { return binary<arith::DivFOp>(a, b, "/"); }
Tensor maximum(const Tensor &a, const Tensor &b) { return binary<arith::MaximumFOp>(a, b, "maximum"); }

/// `build(value)` of an f32 tensor of at least `rank` dimensions, in the same shape.
static Tensor unary(const Tensor &a, llvm::StringRef what, int64_t rank, llvm::function_ref<Value(Value)> build) {
  if (!a)
    return {};
  if (!a.isFloat() || a.rank() < rank)
    return a.trace->fail(what + ": expected an f32 tensor" + (rank ? " of rank at least " + Twine(rank) : Twine()) +
                         ", got " + a.text());
  return {*a.trace, build(a.value()), a.shape()};
}

Tensor exp(const Tensor &a) {
  return unary(a, "exp", 0, [&](Value v) { return math::ExpOp::create(a.trace->b, v); });
}
Tensor log(const Tensor &a) {
  return unary(a, "log", 0, [&](Value v) { return math::LogOp::create(a.trace->b, v); });
}
Tensor sqrt(const Tensor &a) {
  return unary(a, "sqrt", 0, [&](Value v) { return math::SqrtOp::create(a.trace->b, v); });
}
Tensor tanh(const Tensor &a) {
  return unary(a, "tanh", 0, [&](Value v) { return math::TanhOp::create(a.trace->b, v); });
}
Tensor activation(const Tensor &a, attn::ActivationKind kind) {
  return unary(a, attn::stringifyActivationKind(kind), 0, [&](Value v) { return a.trace->b.activation(v, kind); });
}

Tensor where(const Tensor &keep, const Tensor &a, double other) {
  if (!keep || !a)
    return {};
  Trace &trace = *a.trace;
  std::optional<Shape> shape = joined(keep, a);
  if (!getElementTypeOrSelf(keep.value()).isInteger(1) || !a.isFloat() || !shape || *shape != a.shape())
    return trace.fail("where: expected an i1 mask that broadcasts to an f32 tensor, got " + keep.text() + " and " +
                      a.text());
  Value mask = trace.broadcast(keep, *shape);
  return {trace, arith::SelectOp::create(trace.b, mask, a.value(), trace.splat(other, *shape)), *shape};
}

//===----------------------------------------------------------------------===//
// Products and what surrounds them
//===----------------------------------------------------------------------===//

/// The first two of four dimensions joined, or the first split again into those of `shape`.
static Value joinLeading(Trace &trace, Value value) {
  return tensor::CollapseShapeOp::create(trace.b, value, ArrayRef<ReassociationIndices>{{0, 1}, {2}, {3}});
}
static Value splitLeading(Trace &trace, Value value, const Shape &shape) {
  return tensor::ExpandShapeOp::create(trace.b, trace.type(shape, getElementTypeOrSelf(value)), value,
                                       ArrayRef<ReassociationIndices>{{0, 1}, {2}, {3}}, trace.sizes(shape));
}

Tensor matmul(const Tensor &a, const Tensor &b) {
  if (!a || !b)
    return {};
  Trace &trace = *a.trace;
  trace.cannotCache("matmul");
  int64_t rank = a.rank();
  bool fits = a.isFloat() && b.isFloat() && rank == b.rank() && rank >= 2 && rank <= 4 && a.dim(-1) == b.dim(-2);
  for (int64_t i = 0; fits && i < rank - 2; ++i)
    fits = a.dim(i) == b.dim(i);
  if (!fits)
    return trace.fail("matmul: expected f32 [..., rows, K] and [..., K, columns] of rank 2 to 4, got " + a.text() +
                      " and " + b.text());
  Shape shape = a.shape();
  shape.back() = b.dim(-1);
  Value left = a.value(), right = b.value(), zeros = trace.splat(0, shape), result;
  if (rank == 4)
    left = joinLeading(trace, left), right = joinLeading(trace, right), zeros = joinLeading(trace, zeros);
  if (rank == 2)
    result = linalg::MatmulOp::create(trace.b, ValueRange{left, right}, ValueRange(zeros)).getResult(0);
  else
    result = linalg::BatchMatmulOp::create(trace.b, ValueRange{left, right}, ValueRange(zeros)).getResult(0);
  return {trace, rank == 4 ? splitLeading(trace, result, shape) : result, shape};
}

Tensor transpose(const Tensor &a) {
  if (!a)
    return {};
  Trace &trace = *a.trace;
  trace.cannotCache("transpose");
  if (a.rank() < 2)
    return trace.fail("transpose: expected a tensor of rank at least 2, got " + a.text());
  Shape shape = a.shape();
  std::swap(shape.back(), shape[shape.size() - 2]);
  auto permutation = llvm::to_vector(llvm::seq<int64_t>(0, a.rank()));
  std::swap(permutation.back(), permutation[permutation.size() - 2]);
  Value init = trace.empty(shape, getElementTypeOrSelf(a.value()));
  return {trace, linalg::TransposeOp::create(trace.b, a.value(), init, permutation)->getResult(0), shape};
}

Tensor softmax(const Tensor &a) {
  return unary(a, "softmax", 1, [&](Value v) -> Value {
    Value init = a.trace->empty(a.shape(), getElementTypeOrSelf(v));
    return linalg::SoftmaxOp::create(a.trace->b, TypeRange(init.getType()), v, init, uint64_t(a.rank() - 1))
        ->getResult(0);
  });
}

Tensor logSoftmax(const Tensor &a) {
  if (a && !a.dim(-1).isStatic())
    return a.trace->fail("log_softmax: expected a fixed number of features, got " + a.text());
  return unary(a, "log_softmax", 2, [&](Value v) { return a.trace->b.create<attn::LogSoftmaxOp>(v.getType(), {v}); });
}

Tensor isNotZero(const Tensor &ids) {
  if (!ids)
    return {};
  Trace &trace = *ids.trace;
  if (!getElementTypeOrSelf(ids.value()).isInteger(64))
    return trace.fail("isNotZero: expected ids, got " + ids.text());
  Type i1 = trace.b.getI1Type();
  SmallVector<AffineMap> maps(2, trace.b.getMultiDimIdentityMap(ids.rank()));
  SmallVector<utils::IteratorType> parallel(ids.rank(), utils::IteratorType::parallel);
  auto op = linalg::GenericOp::create(
      trace.b, TypeRange(trace.type(ids.shape(), i1)), ids.value(), trace.empty(ids.shape(), i1), maps, parallel,
      [](OpBuilder &b, Location loc, ValueRange in) {
        Value zero = arith::ConstantIntOp::create(b, loc, 0, 64);
        linalg::YieldOp::create(b, loc,
                                arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, in[0], zero).getResult());
      });
  return {trace, op->getResult(0), ids.shape()};
}

Tensor insertDim(const Tensor &a, int64_t place) {
  if (!a)
    return {};
  Trace &trace = *a.trace;
  if (place < 0 || place > a.rank() || a.rank() < 1)
    return trace.fail("insertDim: expected a place from 0 to " + Twine(a.rank()) + ", got " + Twine(place));
  Shape shape = a.shape();
  shape.insert(shape.begin() + place, Dim(1));
  SmallVector<ReassociationIndices> groups(a.rank());
  for (int64_t dim = 0; dim < int64_t(shape.size()); ++dim) // the new one joins the group before it, or the first
    groups[std::max<int64_t>(dim - (dim >= place), 0)].push_back(dim);
  Value value = tensor::ExpandShapeOp::create(trace.b, trace.type(shape, getElementTypeOrSelf(a.value())), a.value(),
                                              groups, trace.sizes(shape));
  return {trace, value, shape};
}

Tensor causalMask(const Tensor &scores) {
  if (!scores)
    return {};
  Trace &trace = *scores.trace;
  trace.cannotCache("causalMask");
  if (scores.rank() < 2)
    return trace.fail("causalMask: expected scores [..., queries, keys], got " + scores.text());
  Shape shape = {scores.dim(-2), scores.dim(-1)};
  Value init = trace.empty(shape, trace.b.getI1Type());
  SmallVector<utils::IteratorType> parallel(2, utils::IteratorType::parallel);
  auto op = linalg::GenericOp::create(
      trace.b, TypeRange(init.getType()), ValueRange(), ValueRange(init),
      ArrayRef<AffineMap>{trace.b.getMultiDimIdentityMap(2)}, parallel, [](OpBuilder &b, Location loc, ValueRange) {
        Value query = linalg::IndexOp::create(b, loc, 0), key = linalg::IndexOp::create(b, loc, 1);
        Value seen = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ule, key, query);
        linalg::YieldOp::create(b, loc, seen);
      });
  return {trace, op->getResult(0), shape};
}

Tensor splitHeads(const Tensor &a, int64_t heads) {
  if (!a)
    return {};
  Trace &trace = *a.trace;
  if (!a.isFloat() || a.rank() != 3 || !a.dim(2).isStatic() || heads < 1 || a.dim(2).factor % heads)
    return trace.fail("splitHeads: expected f32 [batch, seq, features] with features a multiple of " + Twine(heads) +
                      ", got " + a.text());
  Shape split = {a.dim(0), heads, a.dim(1), a.dim(2).factor / heads};
  attn::SplitHeadsOp::Properties properties;
  properties.heads = trace.b.getI64IntegerAttr(heads);
  Value value = trace.b.create<attn::SplitHeadsOp>(trace.type(split, trace.b.getF32Type()), {a.value()}, properties);
  return {trace, joinLeading(trace, value), {Dim(a.dim(0).name, a.dim(0).factor * heads), split[2], split[3]}};
}

Tensor mergeHeads(const Tensor &a, int64_t heads) {
  if (!a)
    return {};
  Trace &trace = *a.trace;
  if (!a.isFloat() || a.rank() != 3 || !a.dim(2).isStatic() || heads < 1 || a.dim(0).factor % heads)
    return trace.fail("mergeHeads: expected f32 [" + Twine(heads) + "·batch, seq, head_dim], got " + a.text());
  Dim batch(a.dim(0).name, a.dim(0).factor / heads);
  Value value = splitLeading(trace, a.value(), {batch, heads, a.dim(1), a.dim(2)});
  Shape shape = {batch, a.dim(1), heads * a.dim(2).factor};
  return {trace, trace.b.create<attn::MergeHeadsOp>(trace.type(shape, trace.b.getF32Type()), {value}), shape};
}

std::vector<Tensor> split(const Tensor &a, int64_t parts) {
  if (!a)
    return std::vector<Tensor>(std::clamp<int64_t>(parts, 0, 1024));
  Trace &trace = *a.trace;
  if (!a.isFloat() || !a.rank() || !a.dim(-1).isStatic() || parts < 1 || a.dim(-1).factor % parts)
    return std::vector<Tensor>(
        std::clamp<int64_t>(parts, 0, 1024),
        trace.fail("split: expected f32 features that are a multiple of " + Twine(parts) + ", got " + a.text()));
  Shape shape = a.shape();
  shape.back() = a.dim(-1).factor / parts;
  std::vector<Tensor> result;
  for (Value part : trace.b.split(a.value(), SmallVector<int64_t>(parts, shape.back().factor)))
    result.emplace_back(trace, part, shape);
  return result;
}

Tensor concatenate(const std::vector<Tensor> &parts) {
  if (parts.empty() || !llvm::all_of(parts, [](const Tensor &part) { return bool(part); }))
    return {};
  Trace &trace = *parts[0].trace;
  Shape shape = parts[0].shape();
  int64_t width = 0;
  for (const Tensor &part : parts) {
    Shape other = part.shape();
    if (!part.isFloat() || !part.rank() || part.rank() != parts[0].rank() || !part.dim(-1).isStatic() ||
        !std::equal(other.begin(), other.end() - 1, shape.begin()))
      return trace.fail("concatenate: expected f32 tensors that differ in their features only, got " + parts[0].text() +
                        " and " + part.text());
    width += part.dim(-1).factor;
  }
  shape.back() = width;
  SmallVector<Value> values = llvm::map_to_vector(parts, [](const Tensor &part) { return part.value(); });
  return {trace,
          tensor::ConcatOp::create(trace.b, trace.type(shape, trace.b.getF32Type()), parts[0].rank() - 1, values),
          shape};
}

std::vector<Tensor> external(const std::string &name, const std::vector<Tensor> &inputs,
                             const std::vector<Shape> &results) {
  std::vector<Tensor> outputs(results.size());
  if (inputs.empty() || !llvm::all_of(inputs, [](const Tensor &input) { return bool(input); }))
    return outputs;
  Trace &trace = *inputs[0].trace;
  auto fail = [&](const Twine &what) { return trace.fail("external: expected " + what), outputs; };
  trace.cannotCache("external");
  if (name.empty())
    return fail("the name of a function, got none");
  SmallVector<Value> values, sizes;
  SmallVector<Type> types;
  for (const Tensor &input : inputs) {
    if (getElementTypeOrSelf(input.value()).isInteger(1) || !input.rank())
      return fail("f32 tensors or ids of rank at least 1, got " + input.text());
    values.push_back(input.value());
  }
  if (results.empty() || inputs.size() + results.size() > 64)
    return fail("results, and 64 tensors at most, got " + Twine(inputs.size()) + " inputs and " +
                Twine(results.size()) + " results");
  for (const Shape &shape : results) {
    for (const Dim &dim : shape) {
      if (!trace.isKnown(dim) || dim.factor < 1)
        return fail("dimensions of the inputs or positive ones, got " + shapeText(shape));
      if (!dim.isStatic())
        sizes.push_back(cast<Value>(trace.size(dim)));
    }
    if (shape.empty() || shape.size() > 8)
      return fail("results of rank 1 to 8, got " + shapeText(shape));
    types.push_back(trace.type(shape, trace.b.getF32Type()));
  }
  auto op = attn::ExternalOp::create(trace.b, types, values, sizes, ValueRange(), name);
  for (auto [output, value, shape] : llvm::zip(outputs, op.getOutputs(), results))
    output = Tensor(trace, value, shape);
  return outputs;
}

Tensor shiftRight(const Tensor &a) {
  if (!a)
    return {};
  if (a.rank() < 2 || getElementTypeOrSelf(a.value()).isInteger(1))
    return a.trace->fail("shiftRight: expected ids or f32 [batch, seq, ...], got " + a.text());
  if (a.trace->cache) // see ModelOptions::cached
    return a;
  if (a.value() != a.trace->tokens.value())
    a.trace->cannotCache("shiftRight of another tensor than the ids");
  return {*a.trace, a.trace->b.create<attn::ShiftRightOp>(a.value().getType(), {a.value()}), a.shape()};
}

} // namespace attnc
