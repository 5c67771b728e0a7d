//===- AttentionEmitter.h - attn.online_attention as vector loops, in parts --------------------===//
#ifndef ATTNC_PASSES_ATTENTIONEMITTER_H
#define ATTNC_PASSES_ATTENTIONEMITTER_H

#include "passes/RegionLanes.h"

namespace attnc {

/// Keys of one softmax block: see attn.online_attention.
constexpr int64_t kBlock = 512;
/// Rows (query, head) of one task at most, so the rows of its scratch.
constexpr int64_t kTaskRows = 64;
constexpr double kLog2e = 1.4426950408889634;
/// Maximum of a row that has seen no key: finite, so that it needs no special case.
constexpr float kNoKeys = -1e30f;

/// Two softmax states over different keys as one, base 2: o = o1·keep + o2·add.
struct MergedSoftmax {
  Value max, sum, keep, add;
  MergedSoftmax(Emit &e, Value max1, Value sum1, Value max2, Value sum2);
};

/// A softmax state at its end: out = o·scale. `sinkLogit` (or null) is one more logit, with no value.
struct FinishedSoftmax {
  Emit &e;
  Value max, sum, none, scale;
  FinishedSoftmax(Emit &e, Value max, Value sum, Value sinkLogit);
  /// Natural logarithm of the sum of exponentials, -inf without keys.
  Value lse();
};

struct AttentionEmitter {
  Emit e;
  attn::OnlineAttentionOp op;
  attn::TargetAttr target;
  int64_t headDim, headDimV, valueStride; // f32
  Value rows, group;                      // of this task; group: query heads of one query
  Value firstKey, endKey;                 // of those that key_mask leaves, or all
  Value hasMask;                          // i1, or null: a key_mask with holes between them

  // Scratch. By row of the task: queries·scale [64, head_dim], sums of values [64, dvp], maxima (base 2) and denominators
  // [64]; visible keys are low ≤ j < high or j < sinkEnd; query head and position; i32 [64].
  Value queries, out, maxima, sums, low, high, sinkEnd, head, position;
  // Of one block: scores or probabilities [R, 512], its sum of values [R, dvp], panel classes of all rows and of a tile [2, 8], first and
  // last visible key of the tile's steps [512/lanes of a step, 2], and the number of a
  // load that read outside of its buffer, or 0 [1].
  Value scores, block, classes, visibleKeys, outside;

  AttentionEmitter(PatternRewriter &b, attn::OnlineAttentionOp op, attn::TargetAttr target);
  void run();

  /// What a walk over the blocks is for. With a prob region the maximum and denominator come first.
  enum Walk { online, statistics, probabilities };

  int64_t keyVectors() const { return target.getKeyLanes() / e.lanes; }
  bool hasClasses() { return !op.getMaskMod().empty() || op.getSinks() != 0; }
  /// Scores arrive without log2(e) where something needs them in their own unit.
  bool isNatural() { return op.getSoftCap() || !op.getScoreMod().empty() || op.getScores(); }

  // The nest.
  void boundKeys(); // EmitKeyMask.cpp
  void layOutScratch();
  void prepareRows();
  void walkBlocks(Walk walk);
  void forRowTiles(function_ref<void(int64_t, Value)> body);
  void emitBlock(Walk walk, int64_t tile, Value row, Value keyBlock, Value start, Value end);
  using ValuesBody = function_ref<SmallVector<Value>(Value values, Value first, Value from, Value to, ValueRange init)>;
  SmallVector<Value> overValues(Value keyBlock, Value start, Value end, ValueRange init, ValuesBody body);
  void emitProduct(int64_t tile, Value keyBlock, Value start, Value end);
  void emitCarefulProduct(int64_t tile, Value keyBlock, Value start, Value end);
  Value isFinite(int64_t tile);
  void merge(Walk walk, int64_t tile, Value row, ValueRange blockMax, ValueRange blockSum);
  void finish();
  void patchMaskedRow(Value row);

  // Scores of one tile: EmitScores.cpp.
  void writeScores();
  SmallVector<Value> emitDot(int64_t tile, Value row, Value key, int64_t vectors);
  enum ClassesOf { ofTask, ofTile };
  Value classify(Value keyBlock, Value start, Value end);
  Value refine(Value keyBlock, Value start, Value end, Value firstRow, Value lastRow);
  Value classifyPanels(Value keyBlock, Value start, Value end, ClassesOf row, function_ref<Value(Value, Value)> classOf);
  Value maskClass(Value key, Value end, Value firstRow, Value lastRow);
  Value panelClass(Value key, Value firstRow, Value lastRow);
  Value tileClass(Value keyBlock, Value key);
  Value isVisible(Value keyBlock, Value key);
  SmallVector<Value> emitScores(int64_t tile, Value row, Value keyBlock, Value key, ValueRange most);
  SmallVector<Value> emitFullTile(int64_t tile, Value row, Value keyBlock, Value key, ValueRange dots, ValueRange most);
  SmallVector<Value> emitMaskedTile(int64_t tile, Value row, Value keyBlock, Value key, ValueRange dots, ValueRange most);
  SmallVector<Value> emitPartialTile(int64_t tile, Value row, Value keyBlock, Value key, ValueRange most);
  Value emitMaskedVector(Value r, Value row, Value keyBlock, Value lane, Value score, Value most);
  void setVisible(Value keyBlock, Value key, Value from, Value to);
  Value softCap(Value score);
  Value modify(Value row, Value key, Value score, Value keep, SmallVectorImpl<BadRead> &bad);
  Value emitProbability(Value row, Value key, Value score, Value probability);
  Value keepLanes(Value row, Value key, SmallVectorImpl<BadRead> &bad);
  SmallVector<attn::LoadOp> loads();
  void record(ArrayRef<BadRead> bad);
  void failOnBadReads();
  SmallVector<LaneValue> regionArguments(Value row, Value key);

  // Keys and values.
  Value pageOf(Value key);
  Value pageView(Value offset, ArrayRef<int64_t> shape);
  Value keyPanel(Value key, Value &panel);
  Value valueRows(Value key, Value &row);

  Value rowInt(Value array, Value row) { return e.load1(array, row); }
  Value query(Value row) { return e.divFloor(row, group); }
  Value headInGroup(Value row) { return e.rem(row, group); }
};

/// attn.merge_attention: EmitMerge.cpp.
void populateMergeAttention(RewritePatternSet &patterns, attn::TargetAttr target);

} // namespace attnc

#endif // ATTNC_PASSES_ATTENTIONEMITTER_H
