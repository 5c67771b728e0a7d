//===- AttentionTiles.h - Attention with 16-bit keys and values on tensor cores ---------------------------===//
//
// What the kernels by mma.sync and by wgmma share (FlashAttention-2; Dao 2023). A warp has 16 rows (query, head) that
// share a kv head; warps share tiles of keys in shared memory:
//
//   key tile [head_dim, keys], as panels lie in memory: B of S = q·K; values [keys, columns]: B of o = P·V
//
//   S = q·K, through soft cap, regions, biases and masks; a lane has 2 rows
//   m' = max(m, max S);  P = 2^(S - m');  l = l·2^(m - m') + ΣP, a quarter in each lane that shares the row
//   o = o·2^(m - m') + P·V;  P's sums are P's fragments
//   out = o / l
//
// Tiles that all rows of a warp see have no code for masks. A query of the keys' type is a factor as it is, and P has
// two parts. Any other query, of f32 above all, is split, and so is P: see `split`; what f32 would not round is not
// rounded. A split into f16, whose exponents end early, is of rows scaled by a power of 2.
//
// With a value that is not finite, inf·0, or inf - inf from a negative part of P, would be NaN, even in rows that do
// not see it. A block that has a NaN in the end begins again, and multiplies such values as 0, then adds them where P
// is not 0. An infinity whose weight underflows later may still be NaN.
//
//===------------------------------------------------------------------------------------------------------===//
#ifndef ATTNC_BACKENDS_CUDA_ATTENTIONTILES_H
#define ATTNC_BACKENDS_CUDA_ATTENTIONTILES_H

#include "backends/cuda/AttentionScores.h"
#include "backends/cuda/TensorCores.h"

namespace attnc::cuda {

class AttentionTiles : public AttentionScores {
protected:
  explicit AttentionTiles(Kernel &k);

  // What kernels choose first.
  int64_t warps = 0;       ///< that compute
  int64_t splits = 1;      ///< of them, that share rows, and have keys of their own
  int64_t keysOfTile = 0;  ///< a divisor of a panel's
  int64_t stages = 0;      ///< tiles in shared memory
  bool hasStrips = false;  ///< tiles lie in strips that wgmma reads
  int64_t copyThreads = 0; ///< that bring tiles

  bool has16BitTiles();
  int64_t rows() const { return warps / splits * kFragmentRows; }
  int64_t keysOfWarp() const { return keysOfTile / splits; }
  SharedTile queryTile() const { return tile(rows(), depth); }
  SharedTile keyTile() const { return tile(depth, keysOfTile); }
  SharedTile valueTile() const { return tile(keysOfTile, width); }
  int64_t queryBytes() const { return queryTile().bytes() * queryParts; }
  int64_t stageBytes() const { return keyTile().bytes() + valueTile().bytes(); }
  /// As many as fit into `bytes` of shared memory, up to `most`.
  int64_t stagesIn(int64_t bytes, int64_t most) const;

  // The steps of a start, by all threads but for queries.
  void offerFewQueries();
  void beginTiles(int64_t threads);
  /// By the warps that compute; all of them must then pass a barrier.
  void bringQueries();
  /// After the barrier: the lane's rows. So many registers at most hold queries, if all have room.
  void beginRows(int64_t queryRegisters);
  SmallVector<Value> loadQuery(int64_t part, int64_t d);

  // Tiles.
  Value tileOf(Value i) { return k.select(k.less(i, sinkTiles), i, k.add(firstTile, k.sub(i, sinkTiles))); }
  Value firstKeyOf(Value i) { return k.add(k.mul(tileOf(i), keysOfTile), firstKey); }
  /// Begins the copies of a tile of keys and its values; `thread` is one of copyThreads.
  void bring(Value tile, Value stage, Value thread);

  /// A lane's part of o; then maximum and sum of its two rows are its state.
  int64_t sums() const { return width / kFragmentColumns * 4; }
  SmallVector<Value> initialState();
  /// The warp's keys of a tile, from `first` on.
  SmallVector<Value> addTile(Value first, Value stage, ValueRange state);
  /// Products become P; what is the state but for P·V.
  SmallVector<Value> weigh(Value first, SmallVector<Value> &scores, ValueRange state);
  /// The parts of P of 16 keys from `key` on.
  SmallVector<SmallVector<Value>> partsOfWeights(ArrayRef<Value> weights, int64_t key);
  /// Whether a thread has a NaN among `values`, or infinities of both signs.
  Value hasNaN(ValueRange values);
  Value exp2(Value x);
  void finish(ArrayRef<Value> state) override;

  int64_t depth; ///< head_dim, in whole fragments
  Type keyType, valueType;
  int64_t queryParts, weightParts;
  Value lane, warp, queryMemory, tiles;
  Value count;                          ///< tiles that some row of the block sees
  Value isCareful;                      ///< values that are not finite are not multiplied
  SmallVector<Row> mine;                ///< the lane's
  SmallVector<SmallVector<Value>> held; ///< fragments of the queries, [part][16 of depth]

private:
  SharedTile tile(int64_t rows, int64_t columns) const {
    return {rows, columns, hasStrips ? std::min(kPanelKeys, columns & -columns) : columns};
  }
  void bringQuery(Value number);
  void scaleRow(Value number, SmallVectorImpl<std::array<Value, 2>> &elements);
  Value addressAt(Value source, ArrayRef<Value> index);
  void copyTile(SharedTile tile, Value to, Value from, int64_t pitch, Value last, Value thread);
  SmallVector<Value> choice(Value condition, size_t n, function_ref<SmallVector<Value>()> then,
                            function_ref<SmallVector<Value>()> otherwise);
  SmallVector<Value> products(Value stage);
  void addValues(Value stage, ArrayRef<Value> weights, MutableArrayRef<Value> o);
  Value isNot(Value truth) { return arith::XOrIOp::create(k.b, k.loc, truth, k.isTrue()); }

  static constexpr int64_t kRowsAtOnce = 4; ///< queries on their way to shared memory
  bool isScaled;
  Value group, inGroup, firstOfWarp, firstKey, factors, hides, firstTile, sinkTiles;
  Row firstRow, lastRow; ///< of the warp
  SmallVector<Value> scales;
};

} // namespace attnc::cuda

#endif // ATTNC_BACKENDS_CUDA_ATTENTIONTILES_H
