//===- AttnVerify.cpp - Constraints of attn ops, labelled as in their descriptions ------===//
#include "dialect/Verify.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace attnc::attn {

namespace {
/// Result with the input's shape and element type.
LogicalResult verifySame(Operation *op, Value input, Value init) {
  FailureOr<Value> out = destination(op, init);
  if (failed(out) || failed(expectShape(op, "result", *out, shape(input))))
    return failure();
  return expectElementType(op, "result", *out, input);
}

/// A residual of the result's type, or none.
LogicalResult verifyResidual(Operation *op, Value residual, Value out) {
  if (!residual)
    return success();
  return failed(expectShape(op, "residual", residual, shape(out))) ? failure()
                                                                   : expectElementType(op, "residual", residual, out);
}

/// `value` is one feature vector of K values.
LogicalResult expectVector(Operation *op, StringRef name, Value value, int64_t k) {
  return value ? expectShape(op, name, value, {k}) : success();
}

/// [K, N] plain (transposed: [N, K]) or packed.
LogicalResult verifyWeight(Operation *op, StringRef name, Value weight, int64_t k, int64_t n, bool transposed) {
  if (shaped(weight).getRank() == 2)
    return expectShape(op, name, weight, transposed ? ArrayRef<int64_t>{n, k} : ArrayRef<int64_t>{k, n});
  SmallVector<int64_t> packed = packedShape(k, ShapedType::isDynamic(n) ? kPanel : n, shaped(weight).getElementType());
  if (ShapedType::isDynamic(n)) // some columns of a task
    packed[0] = n;
  return expectShape(op, name, weight, packed);
}
} // namespace

LogicalResult PositionsOp::verify() {
  if (failed(expectRank(*this, "ids", getIds(), 2))) // C1
    return failure();
  if (getGiven() && (failed(expectShape(*this, "given", getGiven(), shape(getIds()))) ||
                     failed(expectElementType(*this, "given", getGiven(), getIds()))))
    return failure();
  return verifySame(*this, getIds(), getInit());
}

LogicalResult EmbeddingOp::verify() {
  FailureOr<Value> out = destination(*this, getInit());
  if (failed(out))
    return failure();
  if (failed(expectStaticLast(*this, "result", *out, 1)))
    return failure();
  SmallVector<int64_t> expected(shape(getIds()));
  expected.push_back(last(*out));
  if (failed(expectShape(*this, "result", *out, expected))) // C1
    return failure();
  if (shaped(getTable()).getRank() == 2) { // C2
    if (failed(expectShape(*this, "table", getTable(), {ShapedType::kDynamic, last(*out)})))
      return failure();
  } else {
    if (!getEntries() || int64_t(*getEntries()) < 1)
      return emitOpError("expected 'entries' of at least 1 with a packed table");
    if (failed(verifyWeight(*this, "table", getTable(), last(*out), *getEntries(), false)))
      return failure();
  }
  return verifyResidual(*this, getResidual(), *out); // C3
}

LogicalResult PositionalEncodingOp::verify() {
  FailureOr<Value> out = destination(*this, getInit());
  if (failed(out) || failed(expectStaticLast(*this, "result", *out, 2)))
    return failure();
  SmallVector<int64_t> expected(shape(getPositions()));
  expected.push_back(last(*out));
  return expectShape(*this, "result", *out, expected); // C1
}

LogicalResult ShiftRightOp::verify() {
  if (shaped(getInput()).getRank() < 2) // C1
    return emitOpError() << "expected input of rank at least 2, got " << shaped(getInput());
  return verifySame(*this, getInput(), getInit());
}

LogicalResult LinearOp::verify() {
  FailureOr<Value> out = destination(*this, getInit());
  if (failed(out) || failed(expectStaticLast(*this, "input", getInput(), 2)) || // C1
      (!getScratch() && failed(expectStaticLast(*this, "result", *out, 2))))
    return failure();
  int64_t k = last(getInput()), n = last(*out);
  SmallVector<int64_t> expected(shape(getInput()));
  expected.back() = n;
  if (failed(expectShape(*this, "result", *out, expected)))
    return failure();
  if (failed(verifyWeight(*this, "weight", getWeight(), k, n, getTransposeWeight()))) // C2
    return failure();
  if (failed(expectVector(*this, "bias", getBias(), n))) // C3
    return failure();
  if (failed(verifyResidual(*this, getResidual(), *out))) // C4
    return failure();
  if (bool(getGamma()) != (getNorm() != NormKind::none)) // C5
    return emitOpError() << "expected norm 'layer' or 'rms' exactly when gamma is given";
  if (getBeta() && !getGamma())
    return emitOpError("expected gamma with beta");
  return success(succeeded(expectVector(*this, "gamma", getGamma(), k)) &&
                 succeeded(expectVector(*this, "beta", getBeta(), k)));
}

template <typename Op> static LogicalResult verifyNorm(Op op) {
  if (failed(verifySame(op, op.getInput(), op.getInit())) ||
      failed(expectStaticLast(op, "input", op.getInput(), 1))) // C1
    return failure();
  int64_t k = last(op.getInput());
  return success(succeeded(expectVector(op, "gamma", op.getGamma(), k)) && // C2
                 succeeded(expectVector(op, "beta", op.getBeta(), k)));
}
LogicalResult LayerNormOp::verify() { return verifyNorm(*this); }
LogicalResult RMSNormOp::verify() { return verifyNorm(*this); }

LogicalResult ActivationOp::verify() { return verifySame(*this, getInput(), getInit()); }
LogicalResult LogSoftmaxOp::verify() {
  return failed(expectStaticLast(*this, "input", getInput(), 1)) ? failure()
                                                                 : verifySame(*this, getInput(), getInit());
}

LogicalResult ArgmaxOp::verify() {
  FailureOr<Value> out = destination(*this, getInit());
  if (failed(out) || failed(expectStaticLast(*this, "input", getInput(), 1)))
    return failure();
  if (!shaped(*out).getElementType().isInteger(64)) // C1
    return emitOpError() << "expected result element type i64, got " << shaped(*out).getElementType();
  return expectShape(*this, "result", *out, shape(getInput()).drop_back());
}

LogicalResult SelectTokenOp::verify() {
  FailureOr<Value> out = destination(*this, getInit());
  if (failed(out) || failed(expectRank(*this, "input", getInput(), 3))) // C1
    return failure();
  ArrayRef<int64_t> in = shape(getInput());
  if (failed(expectShape(*this, "result", *out, {in[0], in[2]})))
    return failure();
  return expectVector(*this, "at", getAt(), in[0]); // C2
}

LogicalResult SplitHeadsOp::verify() {
  FailureOr<Value> out = destination(*this, getInit());
  if (failed(out) || failed(expectRank(*this, "input", getInput(), 3)) || // C1
      failed(expectDivides(*this, "input", last(getInput()), getHeads())))
    return failure();
  ArrayRef<int64_t> in = shape(getInput());
  int64_t heads = getHeads();
  return expectShape(*this, "result", *out, {in[0], heads, in[1], in[2] / heads}); // C2
}

LogicalResult MergeHeadsOp::verify() {
  FailureOr<Value> out = destination(*this, getInit());
  if (failed(out) || failed(expectRank(*this, "input", getInput(), 4))) // C1
    return failure();
  ArrayRef<int64_t> in = shape(getInput());
  if (ShapedType::isDynamic(in[1]) || ShapedType::isDynamic(in[3]))
    return emitOpError() << "expected static heads and head_dim, got " << shaped(getInput());
  return expectShape(*this, "result", *out, {in[0], in[2], product(in[1], in[3])}); // C2
}

LogicalResult RotaryOp::verify() {
  if (failed(verifySame(*this, getInput(), getInit())) || // C1
      failed(getInit() ? expectStaticLast(*this, "input", getInput(), 2) // rows of a task have rank 2
                       : expectRank(*this, "input", getInput(), 3)) ||
      failed(expectDivides(*this, "input", last(getInput()), getHeads()))) // C2
    return failure();
  int64_t headDim = last(getInput()) / int64_t(getHeads()), dim = getRotaryDim().value_or(headDim);
  if (dim < 2 || dim % 2 || dim > headDim)
    return emitOpError() << "expected an even rotary_dim of at most head_dim " << headDim << ", got " << dim;
  return expectShape(*this, "positions", getPositions(), shape(getInput()).drop_back()); // C3
}

namespace {
/// pack_keys and pack_values: [batch, kv heads, keys, head_dim] of the input, checked.
FailureOr<SmallVector<int64_t>> unpackedKv(Operation *op, Value input, int64_t heads) {
  ArrayRef<int64_t> in = shape(input);
  if (in.size() == 4) {
    if (in[1] != heads || heads < 1)
      return op->emitOpError() << "expected input with " << heads << " heads, got " << shaped(input);
    return SmallVector<int64_t>(in);
  }
  if (failed(expectRank(op, "input", input, 3)) || failed(expectDivides(op, "input", in[2], heads))) // C1
    return failure();
  return SmallVector<int64_t>{in[0], heads, in[1], in[2] / heads};
}
} // namespace

LogicalResult PackKeysOp::verify() {
  FailureOr<Value> out = destination(*this, getInit());
  if (failed(out))
    return failure();
  FailureOr<SmallVector<int64_t>> kv = unpackedKv(*this, getInput(), getHeads());
  if (failed(kv))
    return failure();
  int64_t keys = (*kv)[2];
  int64_t panels = ShapedType::isDynamic(keys) ? keys : llvm::divideCeil(keys, kKeyPanel);
  return expectShape(*this, "result", *out, {(*kv)[0], (*kv)[1], panels, (*kv)[3], kKeyPanel}); // C2
}

LogicalResult PackValuesOp::verify() {
  FailureOr<Value> out = destination(*this, getInit());
  if (failed(out))
    return failure();
  FailureOr<SmallVector<int64_t>> kv = unpackedKv(*this, getInput(), getHeads());
  if (failed(kv))
    return failure();
  int64_t width = llvm::alignTo((*kv)[3], kPanel);
  return expectShape(*this, "result", *out, {(*kv)[0], (*kv)[1], (*kv)[2], width}); // C2
}

LogicalResult CacheAppendOp::verify() {
  auto cache = cast<CacheType>(getCache().getType());
  int64_t dyn = ShapedType::kDynamic;
  return success(succeeded(expectShape(*this, "key", getKey(), {dyn, dyn, cache.getKvHeads() * cache.getHeadDim()})) &&
                 succeeded(expectShape(*this, "value", getValue(), // C1
                                       {shape(getKey())[0], shape(getKey())[1],
                                        cache.getKvHeads() * cache.getHeadDimV()})));
}

LogicalResult CacheReadOp::verify() {
  FailureOr<Value> out = destination(*this, getInit());
  if (failed(out))
    return failure();
  auto cache = cast<CacheType>(getCache().getType());
  int64_t dyn = ShapedType::kDynamic;
  return expectShape(*this, "result", *out, // C1
                     {dyn, cache.getKvHeads(), dyn, getValues() ? cache.getHeadDimV() : cache.getHeadDim()});
}

LogicalResult ConcatParametersOp::verify() {
  auto result = cast<ShapedType>(getResult().getType());
  int64_t dim = getDim(), sum = 0;
  if (getInputs().empty() || dim < 0 || dim >= result.getRank())
    return emitOpError() << "expected inputs and a dimension of the result, got " << getInputs().size()
                         << " inputs and dimension " << dim;
  for (Value input : getInputs()) { // C1
    SmallVector<int64_t> expected(result.getShape());
    if (shaped(input).getRank() == result.getRank())
      expected[dim] = shape(input)[dim];
    if (failed(expectShape(*this, "input", input, expected)))
      return failure();
    if (shaped(input).getElementType() != result.getElementType())
      return emitOpError() << "expected element type " << result.getElementType() << ", got "
                           << shaped(input).getElementType();
    if (llvm::AddOverflow(sum, shape(input)[dim], sum) || ShapedType::isDynamic(shape(input)[dim]))
      return emitOpError() << "expected inputs of static sizes, got " << shaped(input);
  }
  if (sum != result.getDimSize(dim))
    return emitOpError() << "expected inputs that sum to " << result.getDimSize(dim) << " along dimension " << dim
                         << ", got " << sum;
  return success();
}

LogicalResult DispatchOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto kernel = symbols.lookupNearestSymbolFrom<func::FuncOp>(*this, getKernelAttr());
  SmallVector<Type> expected(getInputs().getTypes());
  expected.append(2, IndexType::get(getContext()));
  if (!kernel || llvm::to_vector(kernel.getArgumentTypes()) != expected) // C1
    return emitOpError() << "expected a kernel function of " << expected.size()
                         << " arguments: the inputs' types and two indices";
  return success();
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

namespace {
/// `value` broadcasts from the right to `target`.
bool broadcasts(ArrayRef<int64_t> value, ArrayRef<int64_t> target) {
  if (value.size() > target.size())
    return false;
  ArrayRef<int64_t> tail = target.take_back(value.size());
  return llvm::all_of(llvm::zip(value, tail), [](auto p) {
    return std::get<0>(p) == 1 || compatible(std::get<0>(p), std::get<1>(p));
  });
}
} // namespace

LogicalResult AttentionOp::verify() {
  FailureOr<Value> out = destination(*this, getInit());
  if (failed(out))
    return failure();
  if (getOutputs().size() > 2)
    return emitOpError() << "expected at most 2 results, out and lse, got " << getOutputs().size();
  int64_t rank = shaped(getQuery()).getRank();
  if (rank != 3 && rank != 4) // C1
    return emitOpError() << "expected query of rank 3 or 4, got " << shaped(getQuery());
  if (rank == 3 && !getNumHeads())
    return emitOpError("expected 'num_heads' with rank 3 query");
  if (failed(expectRank(*this, "result", *out, rank)))
    return failure();
  int64_t heads = getHeads();
  ArrayRef<int64_t> query = shape(getQuery());
  if (rank == 3 && failed(expectDivides(*this, "query", query.back(), heads))) // C2
    return failure();
  if (heads < 1 || ShapedType::isDynamic(query.back()))
    return emitOpError() << "expected static heads and features, got " << shaped(getQuery());
  if (int64_t(getNumHeads().value_or(heads)) != heads)
    return emitOpError() << "expected 'num_heads' of " << heads << " as in query, got " << *getNumHeads();
  int64_t batch = query[0], rows = rank == 3 ? query[1] : query[2], headDim = getHeadDim();

  if (bool(getKey()) == bool(getCache()) || bool(getKey()) != bool(getValue()) ||
      bool(getCache()) != bool(getLayer())) // C7
    return emitOpError("expected either key and value, or cache with layer");
  int64_t keys = ShapedType::kDynamic, headDimV, kvHeads;
  if (getCache()) {
    auto cache = cast<CacheType>(getCache().getType());
    kvHeads = cache.getKvHeads();
    headDimV = cache.getHeadDimV();
    if (cache.getHeadDim() != headDim)
      return emitOpError() << "expected a cache with head_dim " << headDim << ", got " << cache;
  } else {
    ArrayRef<int64_t> key = shape(getKey()), value = shape(getValue());
    bool packed = key.size() == 5;
    if ((!packed && (int64_t)key.size() != rank) || value.size() != (packed ? 4 : key.size())) // C1
      return emitOpError() << "expected query, key and value of the same rank, got ranks " << rank << ", "
                           << key.size() << " and " << value.size();
    kvHeads = getKvHeads();
    if (key.size() == 3) {
      if (failed(expectDivides(*this, "key", key[2], kvHeads)) ||
          failed(expectDivides(*this, "value", value[2], kvHeads)))
        return failure();
      keys = key[1];
      headDimV = value[2] / kvHeads;
      if (failed(expectShape(*this, "key", getKey(), {batch, keys, kvHeads * headDim})) || // C4, C5
          failed(expectShape(*this, "value", getValue(), {batch, keys, kvHeads * headDimV})))
        return failure();
    } else if (packed) {
      if (failed(expectStaticLast(*this, "result", *out, rank)))
        return failure();
      headDimV = getHeadDimV();
      keys = value[2];
      int64_t panels = ShapedType::isDynamic(keys) ? keys : llvm::divideCeil(keys, kKeyPanel);
      if (failed(expectShape(*this, "key", getKey(), {batch, kvHeads, panels, headDim, kKeyPanel})) ||
          failed(expectShape(*this, "value", getValue(),
                             {batch, kvHeads, keys, (int64_t)llvm::alignTo(headDimV, kPanel)})))
        return failure();
    } else {
      keys = key[2];
      headDimV = value[3];
      if (failed(expectShape(*this, "key", getKey(), {batch, kvHeads, keys, headDim})) ||
          failed(expectShape(*this, "value", getValue(), {batch, kvHeads, keys, headDimV})))
        return failure();
    }
  }
  if (int64_t(getNumKvHeads().value_or(kvHeads)) != kvHeads)
    return emitOpError() << "expected 'num_kv_heads' of " << kvHeads << " as in key or cache, got " << *getNumKvHeads();
  if (kvHeads < 1 || heads % kvHeads != 0) // C3
    return emitOpError() << "expected heads to be a multiple of kv heads, got " << heads << " and " << kvHeads;
  SmallVector<int64_t> result(query);
  result.back() = rank == 3 ? product(heads, headDimV) : headDimV;
  if (failed(expectShape(*this, "result", *out, result))) // C6
    return failure();
  if (getBias() && !broadcasts(shape(getBias()), {batch, heads, rows, keys})) // C8
    return emitOpError() << "expected bias that broadcasts to " << str({batch, heads, rows, keys}) << ", got "
                         << str(shape(getBias()));
  if (getKeyMask() && failed(expectShape(*this, "key_mask", getKeyMask(),
                                         {batch, getCache() ? ShapedType::kDynamic : keys}))) // C9
    return failure();
  if (getKvLen() && failed(expectShape(*this, "kv_len", getKvLen(), {batch})))
    return failure();
  if (int64_t(getWindowLeft().value_or(0)) < 0 || int64_t(getWindowRight().value_or(0)) < 0 ||
      int64_t(getSinks()) < 0) // C10
    return emitOpError("expected windows and sinks of at least 0");
  if (getSinks() && !getWindowLeft())
    return emitOpError("expected 'window_left' with 'sinks'");
  if (getSoftCap() && !(getSoftCap()->convertToDouble() > 0))
    return emitOpError() << "expected soft_cap above 0, got " << getSoftCap()->convertToDouble();
  if (Value lse = getLseInit() ? Value(getLseInit()) : getLse()) { // C11
    if (!shaped(lse).getElementType().isF32())
      return emitOpError() << "expected lse element type f32, got " << shaped(lse).getElementType();
    return expectShape(*this, "lse", lse, {batch, heads, rows});
  }
  return success();
}

LogicalResult OnlineAttentionOp::verify() {
  for (auto [name, value, rank] : {std::tuple<StringRef, Value, int64_t>{"query", getQuery(), 2},
                                   {"outs", getInit(), 2},
                                   {"key", getKey(), 3},
                                   {"value", getValue(), 2},
                                   {"pages", getPages(), 1},
                                   {"table", getTable(), 1},
                                   {"key_mask", getKeyMask(), 1},
                                   {"lse", getLse(), 1}}) // C1
    if (value && failed(expectRank(*this, name, value, rank)))
      return failure();
  Value cache[] = {getPages(), getTable(), getPage(), getPageStride(), getKeyBase(), getValueBase(), getPast()};
  int64_t packed = bool(getKey()) + bool(getValue()), paged = llvm::count_if(cache, [](Value v) { return bool(v); });
  if (!(packed == 2 && paged == 0) && !(packed == 0 && paged == 7)) // C2
    return emitOpError("expected either key and value, or all of the cache's operands");
  return success();
}

} // namespace attnc::attn
