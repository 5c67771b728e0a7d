//===- AttentionScores.h - What every kernel of attn.attention shares ------------------------------------===//
//
// Rows (query, head) that share a kv head, which keys they see, scores, and what is written in the end. How the
// products are computed is the kernels' own: Attention.cpp, AttentionTiles.h.
//
//===----------------------------------------------------------------------------------------------------===//
#ifndef ATTNC_BACKENDS_CUDA_ATTENTIONSCORES_H
#define ATTNC_BACKENDS_CUDA_ATTENTIONSCORES_H

#include "backends/cuda/Kernel.h"

namespace attnc::cuda {

class AttentionScores {
public:
  virtual ~AttentionScores() = default;
  llvm::Error emit();

protected:
  static constexpr double kLog2e = 1.4426950408889634;
  static constexpr int64_t kPanelKeys = attn::kKeyPanel; ///< keys of a panel in memory
  /// Maximum of a row that has seen no key, and the score of a hidden pair: of weight 0 whatever the maximum is.
  static constexpr float kNoKeys = -1e30f, kHidden = -2e30f;

  explicit AttentionScores(Kernel &k);

  struct Row {
    Value query, head, isInside, position;
    Value low, high, sinkEnd; ///< keys low ≤ j < high and j < sinkEnd are visible, but for masks
  };

  // The steps of a kernel.
  virtual void start() = 0;
  /// What rows have after all keys.
  virtual SmallVector<Value> walk() = 0;
  virtual void finish(ArrayRef<Value> state) = 0;

  /// How many queries a tile of `rows` rows has, as an axis of launches.
  Axis queriesOf(int64_t rows);
  /// A block for every tile of `rows` rows.
  void begin(int64_t threads, int64_t rows);
  /// A row of the block's tile. Queries beyond the last one are the last one: what is read is there.
  Row rowAt(Value number);
  /// Element `d` of a row of query or out.
  SmallVector<Value> placeOf(Value buffer, const Row &row, Value d, int64_t ofHead);

  /// Where the keys and the values of a panel begin in `pages`: see !attn.cache.
  std::pair<Value, Value> placesOf(Value panel);
  Value valueAt(Value panel, Value base, Value key, Value column);

  /// What products are multiplied with before `score`.
  double scale() { return op.getScaleOrDefault() * (isNatural() ? 1 : kLog2e); }
  /// The score of key j from its scaled product, base 2; kHidden if the row does not see it. Not `isEdge`: it does by
  /// `low` and `high`, and hidesSome is false.
  Value score(Value x, const Row &row, Value j, bool isEdge = true);
  /// Whether scores have to be asked which pairs are hidden, besides `low` and `high`: known here, or when it runs.
  bool hidesAny() { return op.getBias() || !op.getMaskMod().empty() || !op.getScoreMod().empty(); }
  Value hidesSome() {
    Value none = arith::ConstantIntOp::create(k.b, k.loc, 0, 1);
    return op.getKeyMask() ? k.ifGiven(op.getKeyMask(), none, [&] { return k.isTrue(); }) : none;
  }

  /// How a row ends, from its maximum and its sum.
  struct Total {
    Value isEmpty, scale, lse; ///< out = o·scale unless it is empty
  };
  Total totalOf(const Row &row, Value most, Value sum);
  void writeOut(Value result, const Row &row, Value column);
  void writeLse(const Total &total, const Row &row);
  /// The sum of all values in a column, or their mean: what a row without a visible key yields.
  Value ofAllValues(Value isEmpty, Value column);

  Kernel &k;
  attn::AttentionOp op;
  int64_t heads, kvHeads, headDim, headDimV, width; // width: of a row of values
  attn::CacheViewOp cache;
  Value batch, kvHead, queries, keys;

private:
  /// What no kernel computes.
  llvm::Error check();
  bool isNatural() { return op.getSoftCap() || !op.getScoreMod().empty(); }
  bool isMaskBias() { return op.getBias() && typeOf(op.getBias()).getElementType().isInteger(1); }
  Value keysOf();
  Value offsetOf();
  Value within(Value buffer, ArrayRef<Value> index);
  Value biasAt(const Row &row, Value j);
  Value isKept(Value j);
  Value region(Region &region, Value first, const Row &row, Value j);
  Value lookup(IRMapping &map, Value value);

  int64_t headsOfTile = 1;
  Value past, offset, firstQuery, firstHead;
};

} // namespace attnc::cuda

#endif // ATTNC_BACKENDS_CUDA_ATTENTIONSCORES_H
