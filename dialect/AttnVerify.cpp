//===- AttnVerify.cpp - Constraints of attn ops, labelled as in their descriptions ------===//
#include "dialect/Verify.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

namespace attnc::attn {

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
  return verifyResidual(*this, getResidual(), *out); // C4
}

template <typename Op> static LogicalResult verifyNorm(Op op) {
  if (failed(verifySame(op, op.getInput(), op.getInit())) ||
      failed(expectStaticLast(op, "input", op.getInput(), 1))) // C1
    return failure();
  int64_t k = last(op.getInput()), groups = op.getGroups();
  if (groups < 1 || k % groups) // C3
    return op.emitOpError() << "expected groups that divide the last dimension " << k << ", got " << groups;
  return success(succeeded(expectVector(op, "gamma", op.getGamma(), k / groups)) && // C2
                 succeeded(expectVector(op, "beta", op.getBeta(), k / groups)));
}
LogicalResult LayerNormOp::verify() { return verifyNorm(*this); }
LogicalResult RMSNormOp::verify() { return verifyNorm(*this); }

LogicalResult L2NormOp::verify() {
  return failed(expectStaticLast(*this, "input", getInput(), 1)) ? failure() // C1
                                                                 : verifySame(*this, getInput(), getInit());
}

LogicalResult ScaleOp::verify() {
  if (!getFactor().isFinite()) // C2
    return emitOpError("expected a finite factor");
  return failed(expectStaticLast(*this, "input", getInput(), 1)) ? failure() : verifySame(*this, getInput(), getInit());
}

LogicalResult SoftCapOp::verify() {
  if (!getCap().isFinite() || getCap().isNegative() || getCap().isZero()) // C2
    return emitOpError("expected a finite cap above 0");
  return failed(expectStaticLast(*this, "input", getInput(), 1)) ? failure() : verifySame(*this, getInput(), getInit());
}

LogicalResult ActivationOp::verify() {
  if (failed(verifySame(*this, getInput(), getInit()))) // C1
    return failure();
  if (getTimes()) // C2
    if (failed(expectShape(*this, "times", getTimes(), shape(getInput()))) ||
        failed(expectElementType(*this, "times", getTimes(), getInput())))
      return failure();
  if (!getTimes() && (getLimit() || !getTimesOffset().isZero())) // C3
    return emitOpError("expected 'times' with 'limit' or 'times_offset'");
  if (getLimit() && !(getLimit()->convertToDouble() > 0))
    return emitOpError() << "expected a positive limit, got " << getLimit()->convertToDouble();
  return success();
}

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

LogicalResult PoolOp::verify() {
  FailureOr<Value> out = destination(*this, getInit());
  if (failed(out) || failed(expectRank(*this, "input", getInput(), 3)) || // C1
      failed(expectStaticLast(*this, "input", getInput(), 3)))
    return failure();
  ArrayRef<int64_t> in = shape(getInput());
  if (failed(expectShape(*this, "result", *out, {in[0], in[2]})) ||
      failed(expectElementType(*this, "result", *out, getInput())))
    return failure();
  return getMask() ? expectShape(*this, "mask", getMask(), in.drop_back()) : success(); // C2
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
  bool isCounted = !ShapedType::isDynamic(keys) && !getRagged();
  int64_t panels = isCounted ? int64_t(llvm::divideCeil(keys, kKeyPanel)) : ShapedType::kDynamic;
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
  if (failed(expectShape(*this, "key", getKey(), {dyn, dyn, cache.getKvHeads() * cache.getHeadDim()})) ||
      failed(expectShape(*this, "value", getValue(), // C1
                         {shape(getKey())[0], shape(getKey())[1], cache.getKvHeads() * cache.getHeadDimV()})))
    return failure();
  if (!getKeyMask())
    return success();
  if (!cache.getCross()) // C2
    return emitOpError() << "expected a cross cache with 'key_mask', got " << cache;
  return expectShape(*this, "key_mask", getKeyMask(), shape(getKey()).take_front(2));
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
bool isScalar(Type type) {
  return type.isIndex() || isa<Float16Type, BFloat16Type, Float32Type, Float64Type>(type) ||
         (isa<IntegerType>(type) && type.getIntOrFloatBitWidth() <= 64);
}

/// A remainder by 0 counts as speculatable upstream, but processors trap.
bool dividesSafely(Operation *op) {
  APInt by;
  return !isa<arith::DivSIOp, arith::DivUIOp, arith::CeilDivSIOp, arith::CeilDivUIOp, arith::FloorDivSIOp,
              arith::RemSIOp, arith::RemUIOp>(op) ||
         (matchPattern(op->getOperand(1), m_ConstantInt(&by)) && !by.isZero() && !by.isAllOnes());
}

/// Arguments, results and ops of the regions of attention: scalars that can always be computed.
LogicalResult verifyScoreRegions(Operation *op) {
  for (auto [i, region] : llvm::enumerate(op->getRegions())) {
    if (region.empty())
      continue;
    auto kind = ScoreRegion(i);
    StringRef name = getName(kind);
    SmallVector<Type> arguments = regionArguments(op->getContext(), kind);
    if (!region.hasOneBlock() || region.front().getArgumentTypes() != TypeRange(arguments))
      return op->emitOpError() << "expected one block in '" << name << "' with arguments " << arguments;
    for (Operation &inner : region.front()) {
      if (auto yield = dyn_cast<YieldOp>(inner)) {
        if (yield.getValue().getType().isF32() != (kind != ScoreRegion::mask))
          return yield.emitOpError() << "expected '" << name << "' to yield "
                                     << (kind == ScoreRegion::mask ? "i1" : "f32") << ", got "
                                     << yield.getValue().getType();
        continue;
      }
      if (auto load = dyn_cast<LoadOp>(inner))
        if (isa<MemRefType>(load.getSource().getType()) != (op->getNumResults() == 0))
          return load.emitOpError() << "expected captured " << (op->getNumResults() == 0 ? "buffers" : "tensors")
                                    << " in '" << name << "', got " << load.getSource().getType();
      bool known = isa<LoadOp>(inner) || (isa_and_nonnull<arith::ArithDialect, math::MathDialect>(inner.getDialect()) &&
                                          llvm::all_of(inner.getOperandTypes(), isScalar));
      if (!known || inner.getNumResults() != 1 || !isScalar(inner.getResult(0).getType()))
        return inner.emitOpError() << "expected attn.load, and ops of arith and math on scalars of at most 64 bits, in '"
                                   << name << "'";
      if (!isMemoryEffectFree(&inner) || !isSpeculatable(&inner) || !dividesSafely(&inner))
        return inner.emitOpError() << "expected an op without side effects that can always be computed in '" << name
                                   << "'; divide by constants other than 0 and -1";
    }
  }
  return success();
}
} // namespace

LogicalResult AttentionOp::verify() {
  FailureOr<Value> out = destination(*this, getInit());
  if (failed(out))
    return failure();
  size_t most = getScores() ? 3 : 2;
  if (getOutputs().size() > most || (getScores() && getOutputs().size() == 1))
    return emitOpError() << "expected " << (getScores() ? "out, maybe lse, and scores" : "at most out and lse")
                         << " as results, got " << getOutputs().size();
  if (bool(getScoresInit()) != (getInit() && getScores()))
    return emitOpError("expected 'scores' to say at which point exactly when scores are a result");
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
      bool isCounted = !ShapedType::isDynamic(keys) && !getRagged();
      int64_t panels = isCounted ? int64_t(llvm::divideCeil(keys, kKeyPanel)) : ShapedType::kDynamic;
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
  auto expectF32 = [&](StringRef name, Value value, ArrayRef<int64_t> expected) -> LogicalResult {
    if (value && !shaped(value).getElementType().isF32())
      return emitOpError() << "expected " << name << " element type f32, got " << shaped(value).getElementType();
    return value ? expectShape(*this, name, value, expected) : success();
  };
  if (failed(expectF32("lse", getLseInit() ? Value(getLseInit()) : getLse(), {batch, heads, rows})) || // C11
      failed(expectF32("scores", getScoresInit() ? Value(getScoresInit()) : getScoresResult(),
                       {batch, heads, rows, keys})))
    return failure();
  if (getScores() && getCache())
    return emitOpError("expected scores of keys that are not cached");
  if (isCross() && (getCausal() || getWindowLeft() || getWindowRight() || getBottomRight() || getAlibi() || getRelative() ||
                    getPrefix() || getDocuments())) // C15
    return emitOpError("expected no causal, windows, bottom_right, alibi, relative, prefix or documents over a cross cache");
  int64_t dyn = ShapedType::kDynamic;
  if (failed(expectF32("sink_logits", getSinkLogits(), {heads})) || // C13
      failed(expectF32("alibi", getAlibi(), {heads})) || failed(expectF32("relative", getRelative(), {heads, dyn})))
    return failure();
  if (getRelative() && (last(getRelative()) % 2 != 1 || last(getRelative()) > std::numeric_limits<int32_t>::max()))
    return emitOpError() << "expected relative of an odd, static number of distances, got " << shaped(getRelative());
  int64_t sequences = dyn; // of a ragged batch
  if (getRagged() && shaped(getRagged()).getRank() == 1 && !ShapedType::isDynamic(last(getRagged())))
    sequences = last(getRagged()) - 1;
  if ((getPrefix() && failed(expectShape(*this, "prefix", getPrefix(), {getRagged() ? sequences : batch}))) || // C9
      (getDocuments() &&
       failed(expectShape(*this, "documents", getDocuments(), {batch, getCache() ? dyn : keys}))))
    return failure();
  if (getRaggedKeys() && !getRagged()) // C14
    return emitOpError("expected 'ragged' with 'ragged_keys'");
  if (!getRagged())
    return success();
  if (failed(expectRank(*this, "ragged", getRagged(), 1)))
    return failure();
  if (last(getRagged()) == 0)
    return emitOpError() << "expected ragged of at least 1 offset, got " << shaped(getRagged());
  if (getRaggedKeys() && failed(expectShape(*this, "ragged_keys", getRaggedKeys(), shape(getRagged()))))
    return failure();
  if (rank != 3 || !compatible(batch, 1))
    return emitOpError() << "expected query [1, rows, features] with 'ragged', got " << shaped(getQuery());
  if (getCache() || getBias() || getKeyMask() || getKvLen() || getDocuments() || getScores() || getBottomRight())
    return emitOpError("expected no cache, bias, key_mask, kv_len, documents, scores or bottom_right with 'ragged'");
  return success();
}

/// Ranges of 64 elements of `source`: [2, leading dimensions…, ⌈last/64⌉].
static LogicalResult expectRanges(Operation *op, Value source, Value ranges) {
  auto element = dyn_cast<IntegerType>(shaped(source).getElementType());
  if (!element || shaped(source).getRank() == 0)
    return op->emitOpError() << "expected ranges of integers in a buffer of rank at least 1, got " << source.getType();
  Type expected = IntegerType::get(op->getContext(), element.getWidth() == 64 ? 64 : 32);
  if (shaped(ranges).getElementType() != expected)
    return op->emitOpError() << "expected ranges of " << expected << ", got " << shaped(ranges).getElementType();
  SmallVector<int64_t> sizes(shape(source));
  sizes.back() = ShapedType::isDynamic(sizes.back()) ? sizes.back() : llvm::divideCeil(sizes.back(), kKeyPanel);
  sizes.insert(sizes.begin(), 2);
  return expectShape(op, "ranges", ranges, sizes);
}

LogicalResult BlockRangeOp::verify() { return expectRanges(*this, getSource(), getInit()); } // C1

LogicalResult AttentionOp::verifyRegions() { return verifyScoreRegions(*this); } // C12

LogicalResult LoadOp::verify() {
  if (int64_t(getIndices().size()) != shaped(getSource()).getRank()) // C1
    return emitOpError() << "expected " << shaped(getSource()).getRank() << " indices of " << getSource().getType()
                         << ", got " << getIndices().size();
  if (!getRanges())
    return success();
  if (!isa<MemRefType>(getSource().getType()) || !isa<IntegerType>(shaped(getSource()).getElementType()) ||
      getIndices().empty()) // C2
    return emitOpError() << "expected 'ranges' of a buffer of integers, got " << getSource().getType();
  return expectRanges(*this, getSource(), getRanges());
}

LogicalResult RelativeBiasOp::verify() {
  FailureOr<Value> out = destination(*this, getInit());
  if (failed(out) || failed(expectRank(*this, "table", getTable(), 2)))
    return failure();
  int64_t buckets = shape(getTable())[0], heads = shape(getTable())[1], distance = getMaxDistance();
  if (!shaped(getTable()).hasStaticShape() || (getBidirectional() && buckets % 2)) // C1
    return emitOpError() << "expected a static table" << (getBidirectional() ? " of an even number of buckets" : "")
                         << ", got " << shaped(getTable());
  int64_t exact = buckets / (getBidirectional() ? 4 : 2);
  if (exact < 1 || buckets > 4096 || distance <= exact || distance > (int64_t(1) << 20))
    return emitOpError() << "expected " << (getBidirectional() ? 4 : 2)
                         << " to 4096 buckets and a max_distance of " << exact + 1 << " to 2^20, got " << buckets
                         << " and " << distance;
  if (!shaped(*out).getElementType().isF32()) // C2
    return emitOpError() << "expected result element type f32, got " << shaped(*out).getElementType();
  return expectShape(*this, "result", *out, {heads, 2 * distance + 1}); // C2
}

LogicalResult OnlineAttentionOp::verify() {
  for (auto [name, value, rank] : {std::tuple<StringRef, Value, int64_t>{"query", getQuery(), 3},
                                   {"outs", getInit(), 3},
                                   {"key", getKey(), 3},
                                   {"value", getValue(), 2},
                                   {"pages", getPages(), 1},
                                   {"table", getTable(), 1},
                                   {"bias", getBias(), 3},
                                   {"key_mask", getKeyMask(), 1},
                                   {"sink_logits", getSinkLogits(), 1},
                                   {"lse", getLse(), 2},
                                   {"partial", getPartial(), 3}}) // C1
    if (value && failed(expectRank(*this, name, value, rank)))
      return failure();
  Value cache[] = {getPages(), getTable(), getPage(), getPageStride(), getKeyBase(), getValueBase()};
  int64_t packed = bool(getKey()) + bool(getValue()), paged = llvm::count_if(cache, [](Value v) { return bool(v); });
  if (!(packed == 2 && paged == 0) && !(packed == 0 && paged == 6)) // C2
    return emitOpError("expected either key and value, or all of the cache's operands");
  return success();
}

LogicalResult OnlineAttentionOp::verifyRegions() { return verifyScoreRegions(*this); }

LogicalResult MergeAttentionOp::verify() {
  for (auto [name, value, rank] : {std::tuple<StringRef, Value, int64_t>{"parts", getParts(), 3},
                                   {"maxima", getMaxima(), 3},
                                   {"sink_logits", getSinkLogits(), 1},
                                   {"outs", getInit(), 3},
                                   {"lse", getLse(), 2}}) // C1
    if (value && failed(expectRank(*this, name, value, rank)))
      return failure();
  return success();
}

} // namespace attnc::attn
