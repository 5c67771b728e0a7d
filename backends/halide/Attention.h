//===- Attention.h - Attention as Halide Funcs, and their schedules -----------------------------===//
#ifndef ATTNC_BACKENDS_HALIDE_ATTENTION_H
#define ATTNC_BACKENDS_HALIDE_ATTENTION_H

#include "backends/halide/Pipeline.h"

namespace attnc::halide {
using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::Var;

constexpr double kLog2e = 1.4426950408889634;
constexpr int kKeys = attn::kKeyPanel; // of a block
/// Maximum of a row that has seen no key, and the score of a hidden pair: of weight 0 whatever the maximum is.
constexpr float kNoKeys = -1e30f, kHidden = -2e30f;

inline mlir::MemRefType typeOf(mlir::Value buffer) { return llvm::cast<mlir::MemRefType>(buffer.getType()); }
/// [batch, seq, heads·width], not [batch, heads, seq, width].
inline bool isPackedHeads(mlir::Value buffer) { return typeOf(buffer).getRank() == 3; }

/// How attention is cut into pieces. A tile is `rows` queries of one head, or one query of `rows` heads that share a kv head:
/// what a CPU's register tile holds, or a few of a GPU's threads. A group of `tiles` reads keys and values while they are in a
/// cache: a task of a CPU, a block of a GPU.
struct AttentionShape {
  int heads, kvHeads, headDim, headDimV;
  int lanes, parts; // a row of values in memory is lanes·parts wide
  bool isSingle;    // one query
  bool isSplit;     // the tiles of a group are the same rows, each on blocks of keys of its own
  int rows, tiles, headsOfTile;

  AttentionShape(attn::AttentionOp op, const Device &device);
};

/// Keys side by side: in a vector register, or of a GPU's thread. OpenCL has vectors of more than four, which its CPU devices
/// gain by.
inline int keyLanes(const Device &device) {
  return device.target.has_feature(Halide::Target::OpenCL) ? 8 : device.lanes();
}

/// Dimensions of Funcs, the innermost first: a key of a block, an element of a query, or lane and part of a value; a row of a
/// tile; a tile of a group; a block of 64 keys; a group; the heads of a tile; a batch row.
struct AttentionVars {
  Var key{"key"}, element{"element"}, lane{"lane"}, part{"part"}, row{"row"}, tile{"tile"}, block{"block"}, group{"group"},
      heads{"heads"}, batch{"batch"};

  /// `inner`, tile, block, group, heads, batch.
  std::vector<Var> ofBlock(std::vector<Var> inner) const;
  std::vector<Expr> ofBlock(std::vector<Expr> inner, Expr block) const;
  /// `inner`, tile, group, heads, batch.
  std::vector<Var> ofGroup(std::vector<Var> inner) const;
  std::vector<Expr> ofGroup(std::vector<Expr> inner, Expr tile) const;
};

/// One walk over the blocks of keys. A block's softmax goes by its own maximum; the state takes it in by the split-KV rule.
/// In brackets the dimensions before those of ofBlock.
struct AttentionWalk {
  Func reach;                // [] of a group: the first key that the tile sees, the end, and the end of the sinks
  Func query;                // [element, row] of a group: times the scale
  Func keys, values;         // (key, element, block, heads, batch), (lane, part, key, block, ...): 16-bit ones as f32
  Func isKept;               // (key, block, batch): the key mask
  Func dot, scores, weights; // [key, row]: base 2; 2^(score - maximum), or probabilities
  Func mostOfLane, sumOfLane, most, sum; // [lane, row], [row]: maximum of a block's scores, sum of its weights
  Func product;              // [lane, part, row]: weights · values
  Func worstOfLane, worst;   // [lane], []: the greatest magnitude of the product, as bits
  Func careful;              // [lane, part, row]: the product, without pairs of weight 0
  Func state;                // [lane, row] of a group: maximum, denominator, parts of the result
  RDom overBlocks, overElements, overKeys, overCarefully, overParts;
};

/// attn.attention as Halide Funcs:
///
///   for each group of tiles, heads and batch row:
///     for blocks of 64 keys that a tile sees:
///       S = scale·log2(e)·q·K, through soft cap, regions, biases and masks
///       m_b = max S;  P = 2^(S - m_b);  l_b = ΣP;  o_b = P·V
///       m' = max(m, m_b);  (l, o) = (l, o)·2^(m - m') + (l_b, o_b)·2^(m_b - m')
///     out = o / l
///
/// Everything is finite but for what inputs hold: compilers may assume it.
class AttentionEmitter {
public:
  explicit AttentionEmitter(Pipeline &p);
  llvm::Error emit();

private:
  /// What a walk is for. With a prob region the maximum and denominator come first.
  enum Kind { online, statistics, probabilities };

  llvm::Error check();
  llvm::Expected<AttentionWalk> walk(Kind kind, AttentionWalk *before = nullptr);
  void defineInputs(AttentionWalk &w);
  llvm::Error defineScores(AttentionWalk &w);
  llvm::Error defineWeights(AttentionWalk &w, AttentionWalk *before);
  void defineProduct(AttentionWalk &w);
  void defineState(AttentionWalk &w, Kind kind);
  llvm::Error emitOut();
  llvm::Error emitLse();
  std::vector<Expr> ofResult(std::vector<Expr> inner, Expr query, Expr head);
  Var scheduleResult(Func result, llvm::ArrayRef<Var> index, bool hasColumns);

  // Positions. `row` is of a tile, `block` one that is the tile's.
  Expr queries() { return p.size(op.getQuery(), isPackedHeads(op.getQuery()) ? 1 : 2); }
  Expr queryOf(Expr row);
  Expr headOf(Expr row) { return shape.isSingle ? v.heads * shape.headsOfTile + row : Expr(v.heads); }
  Expr kvHead() { return v.heads / (shape.heads / shape.kvHeads / shape.headsOfTile); }
  Expr blockOf(Expr block) { return shape.isSplit ? block * shape.tiles + v.tile : block; }
  Expr past() { return Halide::cast<int32_t>(p.load(cache.getPast(), {v.batch})); }
  Expr keys();
  Expr panels();
  Expr offset();
  struct Bounds {
    Expr low, high, sinkEnd;
  };
  Bounds boundsOf(Expr row);
  Expr isReached(AttentionWalk &w, Expr block);

  // Keys and values of a block, which is counted from the first key.
  Expr placeOf(Expr block, bool values);
  Halide::Expr inPages(Halide::Expr element);
  Expr keyAt(Expr key, Expr element, Expr block);
  Expr valueAt(Expr lane, Expr part, Expr key, Expr block);

  // Scores.
  Expr isVisible(AttentionWalk &w);
  Expr within(mlir::Value buffer, std::vector<Expr> index);
  Expr bias(AttentionWalk &w);
  llvm::Expected<Expr> region(mlir::Region &region, Expr first, AttentionWalk &w, Expr counts);
  llvm::Expected<Expr> captured(attn::LoadOp load, llvm::ArrayRef<Expr> index, AttentionWalk &w, Expr counts);
  bool isMaskBias() { return op.getBias() && typeOf(op.getBias()).getElementType().isInteger(1); }
  bool isNatural() { return op.getSoftCap() || !op.getScoreMod().empty(); }

  struct Softmax {
    Expr max, sum;
  };
  Expr exp2(Expr x);
  Softmax withSink(Softmax state);
  Softmax merged(AttentionWalk &w, Expr lane);
  Expr ofAllValues(Expr isWanted, Expr lane, Expr part);

  Pipeline &p;
  attn::AttentionOp op;
  AttentionShape shape;
  AttentionVars v;
  attn::CacheViewOp cache;
  attn::CacheType cacheType;
};

/// Defines a walk's schedule: its state is computed for each group, at `task` of `consumer`.
void scheduleWalk(const AttentionShape &shape, const AttentionVars &v, const Device &device, AttentionWalk &walk, Func consumer,
                  Var task);

} // namespace attnc::halide

#endif // ATTNC_BACKENDS_HALIDE_ATTENTION_H
