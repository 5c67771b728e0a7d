//===- Cost.cpp - Arithmetic and memory traffic of one op --------------------------------------===//
//
// A few integer ops beside each set of tasks. Numbers wrap instead of trapping: they are advice.
//
//===----------------------------------------------------------------------------------===//
#include "passes/Cost.h"

#include "llvm/ADT/TypeSwitch.h"

namespace attnc {
using namespace attn;

namespace {

Value elements(Emit &e, Value memref) {
  Value count = e.idx(1);
  for (int64_t d = 0; d < cast<MemRefType>(memref.getType()).getRank(); ++d)
    count = e.mul(count, e.dim(memref, d));
  return count;
}

int64_t bytesOf(Type element) { return llvm::divideCeil(element.getIntOrFloatBitWidth(), 8); }

Value bytes(Emit &e, Value memref) {
  return memref ? e.mul(elements(e, memref), bytesOf(getElementTypeOrSelf(memref.getType()))) : e.idx(0);
}

/// All operands but `skipped`.
Value bytesOfOperands(Emit &e, Operation *op, ValueRange skipped = {}) {
  Value sum = e.idx(0);
  for (Value operand : op->getOperands())
    if (isa<MemRefType>(operand.getType()) && !llvm::is_contained(skipped, operand))
      sum = e.add(sum, bytes(e, operand));
  return sum;
}

Cost costOfLinear(Emit &e, LinearOp op) {
  int64_t k = cast<MemRefType>(op.getInput().getType()).getShape().back();
  return {e.mul(elements(e, op.getInit()), 2 * k), bytesOfOperands(e, op, op.getScratch())};
}

/// Of the weights those of as many experts as there are choices, at most all.
Cost costOfExpertLinear(Emit &e, ExpertLinearOp op, StringRef step) {
  if (step == "group")
    return {e.idx(0), e.mul(bytes(e, op.getExperts()), 2)};
  int64_t k = cast<MemRefType>(op.getInput().getType()).getShape().back();
  Value chosen = e.min(elements(e, op.getExperts()), e.idx(op.getNumExperts()));
  Value moved = bytesOfOperands(e, op, {op.getWeight(), op.getBias()});
  for (Value parameter : {Value(op.getWeight()), Value(op.getBias())})
    moved = e.add(moved, e.mul(chosen, e.divFloor(bytes(e, parameter), op.getNumExperts())));
  return {e.mul(elements(e, op.getInit()), 2 * k), moved};
}

/// Rows that are looked up, not the table.
Cost costOfEmbedding(Emit &e, EmbeddingOp op) {
  Value rows = e.mul(elements(e, op.getInit()), bytesOf(getElementTypeOrSelf(op.getTable().getType())));
  return {e.idx(0), e.add(rows, bytesOfOperands(e, op, op.getTable()))};
}

/// What the recurrence needs for each token: k ⊗ v (and Sᵀk with a delta rule) of each kv head, Sᵀq of each query head.
Cost costOfLinearAttention(Emit &e, LinearAttentionOp op) {
  bool isDelta = op.getRule() == LinearRule::delta || op.getRule() == LinearRule::gated_delta;
  int64_t products = op.getHeads() + op.getKvHeads() * (isDelta ? 2 : 1);
  Value tokens = e.mul(e.dim(op.getQuery(), 0), e.dim(op.getQuery(), op.getSeqDim()));
  return {e.mul(tokens, 2 * products * op.getHeadDim() * op.getHeadDimV()), bytesOfOperands(e, op, op.getScratch())};
}

/// Keys, and pairs of query and key, of one or all sequences.
struct Visible {
  Value pairs, keys;
};

/// Exact for causal masks. A window gives each row as many keys, though the first rows may have fewer.
Visible visibleOf(Emit &e, AttentionOp op, Value queries, Value keys, Value offset) {
  Visible all = {e.mul(queries, keys), keys};
  Value zero = e.idx(0);
  if (op.getCausal()) {
    // Query i sees min(keys, i + offset + 1): the last one `seen`, those before it fewer by 1, 2, … down to the first.
    Value rows = e.max(zero, e.add(queries, e.min(offset, zero))); // that see anything
    Value seen = e.max(zero, e.min(keys, e.add(queries, offset)));
    Value fewer = e.max(zero, e.sub(seen, e.max(offset, zero)));
    Value hidden = e.divFloor(e.mul(fewer, e.max(zero, e.sub(fewer, e.idx(1)))), 2);
    all = {e.sub(e.mul(rows, seen), hidden), seen};
  }
  if (op.getWindowLeft() && (op.getWindowRight() || op.getCausal())) {
    constexpr int64_t most = int64_t(1) << 31;
    int64_t width = std::min<int64_t>(*op.getWindowLeft(), most) + std::min<int64_t>(op.getSinks(), most);
    if (!op.getCausal())
      width += std::min<int64_t>(*op.getWindowRight(), most);
    all.pairs = e.min(all.pairs, e.mul(queries, width + 1));
    all.keys = e.min(all.keys, e.add(queries, width));
  }
  return all;
}

/// Summed over the batch or the sequences of a ragged one.
Visible visibleOf(Emit &e, AttentionOp op) {
  Value query = op.getQuery(), batch = e.dim(query, 0);
  Value queries = e.dim(query, cast<MemRefType>(query.getType()).getRank() - 2), given = e.idx(op.getCausalOffset());
  auto sum = [&](Value count, function_ref<Visible(Value)> of) -> Visible {
    SmallVector<Value> sums = e.loop(e.idx(0), count, 1, {e.idx(0), e.idx(0)}, [&](Value n, ValueRange carried) {
      Visible one = of(n);
      return SmallVector<Value>{e.add(carried[0], one.pairs), e.add(carried[1], one.keys)};
    });
    return {sums[0], sums[1]};
  };
  auto at = [&](Value numbers, Value n) { return e.toIndex(e.load1(numbers, n)); };
  if (Value offsets = op.getRagged()) {
    Value keyOffsets = op.getRaggedKeys() ? Value(op.getRaggedKeys()) : offsets;
    auto length = [&](Value of, Value n) { return e.sub(at(of, e.add(n, 1)), at(of, n)); };
    return sum(e.sub(e.dim(offsets, 0), e.idx(1)),
               [&](Value n) { return visibleOf(e, op, length(offsets, n), length(keyOffsets, n), given); });
  }
  auto cache = op.getCache() ? op.getCache().getDefiningOp<CacheViewOp>() : CacheViewOp();
  auto row = [&](Value keys, Value past) {
    Value offset = op.getBottomRight() ? e.sub(keys, queries) : past;
    return visibleOf(e, op, queries, keys, e.add(offset, given));
  };
  if (cache || op.getKvLen())
    return sum(batch, [&](Value n) {
      Value past = cache ? at(cache.getPast(), n) : e.idx(0);
      Value keys = !cache ? e.dim(op.getValue(), 2) : op.isCross() ? past : e.add(past, queries);
      return row(op.getKvLen() ? e.min(keys, at(op.getKvLen(), n)) : keys, past);
    });
  Visible one = row(e.dim(op.getValue(), 2), e.idx(0));
  return {e.mul(batch, one.pairs), e.mul(batch, one.keys)};
}

Cost costOfAttention(Emit &e, AttentionOp op, StringRef step) {
  int64_t heads = op.getHeads(), dk = op.getHeadDim(), dv = op.getHeadDimV();
  if (step == "merge") // its parts are still in a cache
    return {e.idx(0), bytes(e, op.getInit())};
  Visible visible = visibleOf(e, op);
  Type element = op.getCache() ? cast<CacheType>(op.getCache().getType()).getElementType()
                               : getElementTypeOrSelf(op.getKey().getType());
  Value key = e.mul(visible.keys, op.getKvHeads() * bytesOf(element) * dk);
  if (step == "scores")
    return {e.mul(visible.pairs, 2 * heads * dk),
            e.add(e.add(bytes(e, op.getQuery()), key), bytes(e, op.getScoresInit()))};
  Value moved = e.mul(visible.keys, op.getKvHeads() * bytesOf(element) * (dk + dv));
  for (Value buffer : {Value(op.getQuery()), Value(op.getBias()), Value(op.getInit()), Value(op.getLseInit())})
    moved = e.add(moved, bytes(e, buffer));
  return {e.mul(visible.pairs, 2 * heads * (dk + dv)), moved};
}

} // namespace

Cost costOf(Emit &e, Operation *op, StringRef step) {
  if (step == "round") { // of the input to bf16
    Value input = op->getOperand(0);
    return {e.idx(0), e.add(bytes(e, input), e.mul(elements(e, input), 2))};
  }
  return llvm::TypeSwitch<Operation *, Cost>(op)
      .Case([&](LinearOp op) { return costOfLinear(e, op); })
      .Case([&](ExpertLinearOp op) { return costOfExpertLinear(e, op, step); })
      .Case([&](AttentionOp op) { return costOfAttention(e, op, step); })
      .Case([&](LinearAttentionOp op) { return costOfLinearAttention(e, op); })
      .Case([&](EmbeddingOp op) { return costOfEmbedding(e, op); })
      .Case([&](SelectTokenOp op) { return Cost{e.idx(0), e.mul(bytes(e, op.getInit()), 2)}; })
      .Case([&](CacheAppendOp op) {
        Type stored = cast<CacheType>(op.getCache().getType()).getElementType();
        Value written = e.mul(e.add(elements(e, op.getKey()), elements(e, op.getValue())), bytesOf(stored));
        return Cost{e.idx(0), e.add(bytesOfOperands(e, op), written)};
      })
      .Default([&](Operation *op) { return Cost{e.idx(0), bytesOfOperands(e, op)}; });
}

} // namespace attnc
