//===- LinearAttention.cpp - Constraints, sizes and effects of attn.linear_attention --------===//
#include "dialect/Verify.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <cmath>

namespace attnc::attn {

namespace {
constexpr int64_t kMaxSize = 65536; // of heads and head dims: sizes of scratch memory stay far inside 64 bits

int64_t rankOf(Value v) { return shaped(v).getRank(); }
} // namespace

int64_t LinearAttentionOp::getHeads() {
  return rankOf(getQuery()) == 4 ? shape(getQuery())[1] : getNumHeads().value_or(1);
}

int64_t LinearAttentionOp::getKvHeads() {
  return rankOf(getKey()) == 4 ? shape(getKey())[1] : getNumKvHeads().value_or(getHeads());
}

int64_t LinearAttentionOp::getHeadDim() {
  return rankOf(getKey()) == 4 ? last(getKey()) : last(getKey()) / getKvHeads();
}

int64_t LinearAttentionOp::getHeadDimV() {
  return rankOf(getValue()) == 4 ? last(getValue()) : last(getValue()) / getKvHeads();
}

int64_t LinearAttentionOp::getSeqDim() { return rankOf(getQuery()) - 2; }

bool LinearAttentionOp::isDecayPerDim() { return getDecay() && last(getDecay()) != getKvHeads(); }

double LinearAttentionOp::getScaleOrDefault() {
  return getScale() ? getScale()->convertToDouble() : 1.0 / std::sqrt(double(getHeadDim()));
}

void LinearAttentionOp::getEffects(SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>> &effects) {
  unsigned firstOut = getODSOperandIndexAndLength(6).first; // init, state_init, scratch
  for (OpOperand &operand : (*this)->getOpOperands()) {
    if (!isa<MemRefType>(operand.get().getType()))
      continue;
    if (operand.getOperandNumber() >= firstOut)
      effects.emplace_back(MemoryEffects::Write::get(), &operand, SideEffects::DefaultResource::get());
    else
      effects.emplace_back(MemoryEffects::Read::get(), &operand, SideEffects::DefaultResource::get());
  }
}

LogicalResult LinearAttentionOp::reifyResultShapes(OpBuilder &b, ReifiedRankedShapedTypeDims &shapes) {
  if (!getResult())
    return failure();
  auto sizes = [&](Value v) {
    return isa<MemRefType>(v.getType()) ? memref::getMixedSizes(b, getLoc(), v) : tensor::getMixedSizes(b, getLoc(), v);
  };
  shapes.push_back(sizes(getQuery()));
  shapes[0].back() = b.getIndexAttr(last(getResult()));
  if (getNewState())
    shapes.push_back(
        {shapes[0][0], b.getIndexAttr(getKvHeads()), b.getIndexAttr(getHeadDim()), b.getIndexAttr(getHeadDimV())});
  return success();
}

LogicalResult LinearAttentionOp::verify() {
  FailureOr<Value> out = destination(*this, getInit());
  if (failed(out))
    return failure();
  if (getOutputs().size() > 2)
    return emitOpError() << "expected at most 2 results, out and state, got " << getOutputs().size();
  int64_t rank = rankOf(getQuery());
  if (rank != 3 && rank != 4) // C1
    return emitOpError() << "expected query of rank 3 or 4, got " << shaped(getQuery());
  for (auto [name, value] : {std::pair<StringRef, Value>{"key", getKey()}, {"value", getValue()}, {"result", *out}})
    if (failed(expectRank(*this, name, value, rank)))
      return failure();
  if (rank == 3 && !getNumHeads())
    return emitOpError("expected 'num_heads' with rank 3 query");
  int64_t heads = getHeads(), kvHeads = getKvHeads();
  if (rank == 3 && (failed(expectDivides(*this, "query", last(getQuery()), heads)) || // C2
                    failed(expectDivides(*this, "key", last(getKey()), kvHeads)) ||
                    failed(expectDivides(*this, "value", last(getValue()), kvHeads))))
    return failure();
  for (auto [name, attr, got] :
       {std::tuple<StringRef, std::optional<uint64_t>, int64_t>{"num_heads", getNumHeads(), heads},
        {"num_kv_heads", getNumKvHeads(), kvHeads}})
    if (attr && int64_t(*attr) != got)
      return emitOpError() << "expected '" << name << "' of " << got << " as in the operands, got " << *attr;
  int64_t headDim = getHeadDim(), headDimV = getHeadDimV();
  for (auto [name, size] : {std::pair<StringRef, int64_t>{"heads", heads},
                            {"kv heads", kvHeads},
                            {"head_dim", headDim},
                            {"head_dim_v", headDimV}}) // C8
    if (size < 1 || size > kMaxSize)
      return emitOpError() << "expected " << name << " from 1 to " << kMaxSize << ", got "
                           << (ShapedType::isDynamic(size) ? std::string("?") : std::to_string(size));
  if (heads % kvHeads != 0) // C3
    return emitOpError() << "expected heads to be a multiple of kv heads, got " << heads << " and " << kvHeads;

  int64_t batch = shape(getQuery())[0], seq = shape(getQuery())[getSeqDim()];
  auto features = [&](int64_t heads, int64_t dim) {
    return rank == 3 ? SmallVector<int64_t>{batch, seq, heads * dim} : SmallVector<int64_t>{batch, heads, seq, dim};
  };
  if (failed(expectShape(*this, "query", getQuery(), features(heads, headDim))) || // C4
      failed(expectShape(*this, "key", getKey(), features(kvHeads, headDim))) ||
      failed(expectShape(*this, "value", getValue(), features(kvHeads, headDimV))) ||
      failed(expectShape(*this, "result", *out, features(heads, headDimV))) || // C6
      failed(expectElementType(*this, "result", *out, getQuery())))
    return failure();

  bool gated = getRule() == LinearRule::gated || getRule() == LinearRule::gated_delta;
  bool delta = getRule() == LinearRule::delta || getRule() == LinearRule::gated_delta;
  if (bool(getDecay()) != gated) // C5
    return emitOpError() << "expected " << (gated ? "" : "no ") << "decay with '" << stringifyLinearRule(getRule())
                         << "'";
  if (bool(getBeta()) != delta)
    return emitOpError() << "expected " << (delta ? "" : "no ") << "beta with '" << stringifyLinearRule(getRule())
                         << "'";
  if (gated) {
    if (failed(expectRank(*this, "decay", getDecay(), 3)) ||
        failed(expectShape(*this, "decay", getDecay(),
                           {batch, seq, last(getDecay()) == kvHeads ? kvHeads : kvHeads * headDim})))
      return failure();
    if (ShapedType::isDynamic(last(getDecay())))
      return expectStaticLast(*this, "decay", getDecay(), 3);
  }
  if (delta) {
    if (failed(expectRank(*this, "beta", getBeta(), 3)) ||
        failed(expectShape(*this, "beta", getBeta(), {batch, seq, last(getBeta()) == 1 ? 1 : kvHeads})) ||
        failed(expectStaticLast(*this, "beta", getBeta(), 3)))
      return failure();
  }
  for (auto [name, value] : {std::pair<StringRef, Value>{"state", getState()},
                             {"new state", getInit() ? Value(getStateInit()) : getNewState()}}) { // C7
    if (!value)
      continue;
    if (!shaped(value).getElementType().isF32())
      return emitOpError() << "expected " << name << " element type f32, got " << shaped(value).getElementType();
    if (failed(expectShape(*this, name, value, {batch, kvHeads, headDim, headDimV})))
      return failure();
    if (llvm::any_of(shape(value).drop_front(), ShapedType::isDynamic))
      return emitOpError() << "expected " << name << " of static sizes but for the batch, got " << shaped(value);
  }
  if (getScratch() && (kvHeads != 1 || batch != 1)) // C9
    return emitOpError() << "expected one batch row and kv head in a task, got " << str({batch, kvHeads});
  return success();
}

} // namespace attnc::attn
