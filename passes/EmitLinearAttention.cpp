//===- EmitLinearAttention.cpp - attn.linear_attention to vector loops ----------------------===//
//
// One task is one kv head of one batch row. Tokens are taken in chunks of about 64, and within a chunk in blocks of R
// tokens (R = 1 for the last tokens, and for a sequence shorter than R: the recurrent form). With a_i = exp(g_i),
// products of a over tokens of one block, S the state before the block and j ≤ i tokens of it:
//
//   for the chunk, by block:                                              lanes are key dimensions
//     reads_i   = k_i ⊙ a_1…a_i          queries_i = scale·q_i ⊙ a_1…a_i
//     writes_j  = k_j ⊙ a_(j+1)…a_R      keep      = a_1…a_R
//     L_ij = k_i·(k_j ⊙ a_(j+1)…a_i), j < i      A_ij = scale·q_i·(k_j ⊙ a_(j+1)…a_i)
//   for columns of the state, by block:                                   lanes are value dimensions
//     u_i = β_i·(v_i - reads_i·S - Σ_(j<i) L_ij·u_j)                      or v_i without the delta rule
//     out_i = queries_i·S + Σ_(j≤i) A_ij·u_j
//     S = keep ⊙ S + Σ_j writes_j ⊗ u_j
//
// This is the WY form of Yang et al. 2024 with the register tile as the chunk that is solved at once: on a CPU a larger
// one only adds products, R tokens are enough to load the state once for R uses, and columns of it stay in the
// first-level cache. The triangular system is solved by substitution, cheaper and more stable than an inverse. Factors
// are products of at most R numbers exp(g), never exponentials of differences: strong decay gives 0, as in the
// recurrence, and nothing overflows.
//
//===----------------------------------------------------------------------------------===//
#include "passes/Tiler.h"

namespace attnc {
using namespace attn;

namespace {

constexpr int64_t kWide = 8; // vectors of columns in the recurrent form, so that fused multiply-adds overlap
constexpr double kLog2e = 1.4426950408889634;

/// Sizes of one task, and the elements of its scratch memory.
struct Sizes {
  int64_t group, headDim, headDimV; // query heads of the kv head
  bool gated, perDim, delta;
  int64_t chunk;                  // tokens, whole blocks
  int64_t block, vectors;         // tokens and vectors of columns of a register tile
  int64_t keyStride, stateStride; // in f32

  Sizes(LinearAttentionOp op, TargetAttr target)
      : group(op.getHeads() / op.getKvHeads()), headDim(op.getHeadDim()), headDimV(op.getHeadDimV()),
        gated(op.getDecay()), perDim(op.isDecayPerDim()), delta(op.getBeta()), chunk(target.getRowBlock()),
        block(target.getRowTile()), vectors(target.getPanels() * kPanel / target.getLanes()),
        keyStride(llvm::alignTo(headDim, 16)),
        // One cache line more so that rows of one column do not fall into one set of the cache.
        stateStride(llvm::alignTo(headDimV, 16) + 16) {}

  int64_t factors() const { return perDim ? keyStride : 1; }
  int64_t elements() const {
    int64_t features = (1 + delta + group) * keyStride, pairs = (delta + group) * block;
    return chunk * (features + pairs + (gated ? 2 * factors() : 0)) + headDim * stateStride;
  }
};

struct LinearAttentionEmitter {
  Emit e;
  LinearAttentionOp op;
  Sizes n;
  // Scratch, C tokens of a chunk: [C, factors] twice, [C, key stride] twice, [group·C, key stride], [C, R],
  // [group·C, R], [head_dim, state stride].
  Value decay, keep, reads, writes, queries, keyPairs, queryPairs, state;
  Value seq;

  LinearAttentionEmitter(OpBuilder &b, LinearAttentionOp op, TargetAttr target)
      : e(b, op.getLoc(), target.getLanes()), op(op), n(op, target) {}

  void run();
  void emitFactors(Value first, Value tokens);
  void prepare(int64_t rows, Value first, Value t, Value head);
  void preparePart(int64_t rows, int64_t from, int64_t to, Value first, Value t, Value head);
  void emitColumns(int64_t vectors, bool blocks, Value first, Value tokens);
  void emitBlock(int64_t rows, int64_t vectors, Value column, Value mask, Value first, Value t);
  void copyState(Value from, Value to, int64_t vectors, Value column, Value mask);
  SmallVector<Value> product(Value matrix, Value row, int64_t rows, int64_t vectors, Value column);

  /// `body(rows, t)` for blocks of R tokens and single tokens after them.
  void overBlocks(Value tokens, bool blocks, function_ref<void(int64_t, Value)> body) {
    Value whole = blocks ? e.sub(tokens, e.rem(tokens, e.idx(n.block))) : e.idx(0);
    if (blocks)
      e.loop(e.idx(0), whole, n.block, [&](Value t) { body(n.block, t); });
    e.loop(whole, tokens, 1, [&](Value t) { body(1, t); });
  }

  /// Index of [head, token, d] in one of the op's operands.
  SmallVector<Value> at(Value memref, Value head, Value token, Value d, int64_t headDim) {
    if (cast<MemRefType>(memref.getType()).getRank() == 4)
      return {e.idx(0), head, token, d};
    return {e.idx(0), token, e.add(e.mul(head, headDim), d)};
  }
  /// One element as all lanes.
  Value splatOf(Value memref, Value row, Value column) { return e.broadcast(e.load1(memref, {row, column})); }
  Value factor(Value memref, Value row, Value d) {
    return n.perDim ? e.load(memref, {row, d}) : splatOf(memref, row, e.idx(0));
  }
};

void LinearAttentionEmitter::run() {
  WorkerScratch scratch(e, op.getScratch());
  auto view = [&](int64_t rows, int64_t columns) { return scratch.take({rows, columns}); };
  writes = view(n.chunk, n.keyStride);
  queries = view(n.group * n.chunk, n.keyStride);
  queryPairs = view(n.group * n.chunk, n.block);
  state = view(n.headDim, n.stateStride);
  if (n.delta) {
    reads = view(n.chunk, n.keyStride);
    keyPairs = view(n.chunk, n.block);
  }
  if (n.gated) {
    decay = view(n.chunk, n.factors());
    keep = view(n.chunk, n.factors());
  }

  seq = e.dim(op.getQuery(), op.getSeqDim());
  // At least one chunk, maybe of no tokens: the state is copied.
  e.loop(e.idx(0), e.max(seq, e.idx(1)), n.chunk, [&](Value first) {
    Value tokens = e.min(e.idx(n.chunk), e.sub(seq, first));
    if (n.gated)
      emitFactors(first, tokens);
    overBlocks(tokens, true, [&](int64_t rows, Value t) {
      prepare(rows, first, t, Value());
      e.loop(e.idx(0), e.idx(n.group), 1, [&](Value head) { prepare(rows, first, t, head); });
    });
    auto branch = scf::IfOp::create(e.b, e.loc, e.less(seq, e.idx(n.block)), /*withElse=*/true);
    OpBuilder::InsertionGuard guard(e.b);
    e.b.setInsertionPointToStart(branch.thenBlock());
    emitColumns(kWide, /*blocks=*/false, first, tokens);
    e.b.setInsertionPointToStart(branch.elseBlock());
    emitColumns(n.vectors, /*blocks=*/true, first, tokens);
  });
}

/// decay = exp(g) of the chunk's tokens.
void LinearAttentionEmitter::emitFactors(Value first, Value tokens) {
  auto exp = [&](Value g, Value log2e, Value most) {
    Value x = e.mulf(g, log2e); // at most 127, and NaN stays
    Value tooLarge = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OGT, x, most);
    return emitExp2(e, e.select(tooLarge, most, x));
  };
  e.loop(e.idx(0), tokens, 1, [&](Value t) {
    Value token = e.add(first, t);
    if (!n.perDim) {
      Value g = e.toF32(e.load1(op.getDecay(), {e.idx(0), token, e.idx(0)}));
      e.store1(exp(g, e.f32(kLog2e), e.f32(127)), decay, {t, e.idx(0)});
      return;
    }
    e.overVectors(n.headDim, {}, [&](Value d, Value mask, ValueRange) -> SmallVector<Value> {
      Value g = e.load(op.getDecay(), {e.idx(0), token, d}, mask);
      e.store(exp(g, e.splat(kLog2e), e.splat(127)), decay, {t, d});
      return {};
    });
  });
}

/// The block of `rows` tokens at t of the chunk: reads, writes, keep and L, or with a head queries and A of that head.
void LinearAttentionEmitter::prepare(int64_t rows, Value first, Value t, Value head) {
  Value pairs = head ? queryPairs : keyPairs; // null without the delta rule
  auto pairsOf = [&](int64_t i) { return !pairs ? 0 : head ? i + 1 : i; };
  // Rows of pairs that together fill the accumulators of a register tile.
  for (int64_t from = 0, to; from < rows; from = to) {
    int64_t sum = pairsOf(from);
    for (to = from + 1; to < rows && sum + pairsOf(to) <= n.block * n.vectors; ++to)
      sum += pairsOf(to);
    preparePart(rows, from, to, first, t, head);
  }
  if (!head && n.gated && !n.perDim) {
    Value kept = e.load1(decay, {t, e.idx(0)});
    for (int64_t i = 1; i < rows; ++i)
      kept = e.mulf(kept, e.load1(decay, {e.add(t, i), e.idx(0)}));
    e.store1(kept, keep, {t, e.idx(0)});
  }
}

/// Of these, rows from ≤ i < to of reads and L, or queries and A; writes and keep with the last of them.
void LinearAttentionEmitter::preparePart(int64_t rows, int64_t from, int64_t to, Value first, Value t, Value head) {
  Value scaled = head ? queries : reads, pairs = head ? queryPairs : keyPairs;
  Value row = head ? e.add(e.mul(head, n.chunk), t) : t;
  DenseMap<std::pair<int64_t, int64_t>, int64_t> place; // (i, j) → index of the sum
  for (int64_t i = from; pairs && i < to; ++i)
    for (int64_t j = 0; j < (head ? i + 1 : i); ++j)
      place.insert({{i, j}, place.size()});
  SmallVector<Value> sums(place.size(), e.splat(0));
  sums = e.overVectors(n.headDim, sums, [&](Value d, Value mask, ValueRange carried) {
    SmallVector<Value> sum(carried), k, x(from), a;
    Value kept;
    for (int64_t i = 0; i < to; ++i) {
      Value token = e.add(first, e.add(t, i));
      k.push_back(e.load(op.getKey(), at(op.getKey(), e.idx(0), token, d, n.headDim), mask));
      if (n.gated) {
        a.push_back(factor(decay, e.add(t, i), d));
        kept = i == 0 ? a[0] : e.mulf(kept, a[i]);
      }
      if (i < from)
        continue;
      x.push_back(k[i]);
      if (head)
        x[i] = e.mulf(e.load(op.getQuery(), at(op.getQuery(), head, token, d, n.headDim), mask),
                      e.splat(op.getScaleOrDefault()));
      if (scaled)
        e.store(n.gated ? e.mulf(x[i], kept) : x[i], scaled, {e.add(row, i), d});
    }
    if (!head && n.perDim && to == rows)
      e.store(kept, keep, {t, d});
    for (int64_t j = 0; j < to; ++j) {
      Value w = k[j];
      for (int64_t i = j; i < to; ++i) {
        if (n.gated && i > j)
          w = e.mulf(w, a[i]);
        if (auto found = place.find({i, j}); found != place.end())
          sum[found->second] = e.fma(x[i], w, sum[found->second]);
      }
      if (!head && to == rows)
        e.store(w, writes, {e.add(t, j), d});
    }
    return sum;
  });
  for (int64_t i = from; i < to; ++i)
    for (int64_t j = 0; j <= i; ++j)
      if (auto found = place.find({i, j}); found != place.end())
        e.store1(e.reduceAdd(sums[found->second]), pairs, {e.add(row, i), e.idx(j)});
}

/// All columns of the state over the tokens of one chunk, `vectors` vectors of them at a time.
void LinearAttentionEmitter::emitColumns(int64_t vectors, bool blocks, Value first, Value tokens) {
  auto columns = [&](Value column, int64_t vectors, Value mask) {
    Value isFirst = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::eq, first, e.idx(0));
    e.ifThen(isFirst, [&] { copyState(op.getState(), state, vectors, column, mask); });
    overBlocks(tokens, blocks, [&](int64_t rows, Value t) { emitBlock(rows, vectors, column, mask, first, t); });
    if (!op.getStateInit())
      return;
    Value isLast = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::sge, e.add(first, n.chunk), seq);
    e.ifThen(isLast, [&] { copyState(state, op.getStateInit(), vectors, column, mask); });
  };
  int64_t width = vectors * e.lanes, whole = n.headDimV / width * width, rest = n.headDimV - whole;
  if (whole)
    e.loop(e.idx(0), e.idx(whole), width, [&](Value c) { columns(c, vectors, Value()); });
  if (rest)
    columns(e.idx(whole), llvm::divideCeil(rest, e.lanes), rest % e.lanes ? e.maskFor(e.idx(rest % e.lanes)) : Value());
}

/// Columns of S between its scratch [head_dim, stride] and [1, 1, head_dim, head_dim_v]; a null `from` is 0.
void LinearAttentionEmitter::copyState(Value from, Value to, int64_t vectors, Value column, Value mask) {
  auto place = [&](Value memref, Value d, Value c) {
    return memref == state ? SmallVector<Value>{d, c} : SmallVector<Value>{e.idx(0), e.idx(0), d, c};
  };
  e.loop(e.idx(0), e.idx(n.headDim), 1, [&](Value d) {
    for (int64_t v = 0; v < vectors; ++v) {
      Value c = e.add(column, v * e.lanes), m = v == vectors - 1 ? mask : Value();
      Value x = from ? e.load(from, place(from, d, c), from == state ? Value() : m) : e.splat(0);
      e.store(x, to, place(to, d, c), to == state ? Value() : m);
    }
  });
}

/// Rows row … row + rows of `matrix` times columns of the state.
SmallVector<Value> LinearAttentionEmitter::product(Value matrix, Value row, int64_t rows, int64_t vectors,
                                                   Value column) {
  SmallVector<Value> zero(rows * vectors, e.splat(0));
  return e.loop(e.idx(0), e.idx(n.headDim), 1, zero, [&](Value d, ValueRange carried) {
    SmallVector<Value> acc(carried), s;
    for (int64_t v = 0; v < vectors; ++v)
      s.push_back(e.load(state, {d, e.add(column, v * e.lanes)}));
    for (int64_t i = 0; i < rows; ++i) {
      Value x = splatOf(matrix, e.add(row, i), d);
      for (int64_t v = 0; v < vectors; ++v)
        acc[i * vectors + v] = e.fma(x, s[v], acc[i * vectors + v]);
    }
    return acc;
  });
}

/// `rows` tokens at t of the chunk on one tile of columns; `mask` is that of the last vector.
void LinearAttentionEmitter::emitBlock(int64_t rows, int64_t vectors, Value column, Value mask, Value first, Value t) {
  auto maskOf = [&](int64_t v) { return v == vectors - 1 ? mask : Value(); };
  auto columnOf = [&](int64_t v) { return e.add(column, v * e.lanes); };
  SmallVector<Value> u, tokens;
  for (int64_t i = 0; i < rows; ++i) {
    tokens.push_back(e.add(first, e.add(t, i)));
    for (int64_t v = 0; v < vectors; ++v)
      u.push_back(e.load(op.getValue(), at(op.getValue(), e.idx(0), tokens[i], columnOf(v), n.headDimV), maskOf(v)));
  }
  if (n.delta) {
    SmallVector<Value> read = product(reads, t, rows, vectors, column);
    for (int64_t i = 0; i < rows; ++i) {
      SmallVector<Value> known; // -L_ij
      for (int64_t j = 0; j < i; ++j)
        known.push_back(e.broadcast(arith::NegFOp::create(e.b, e.loc, e.load1(keyPairs, {e.add(t, i), e.idx(j)}))));
      Value beta = e.broadcast(e.toF32(e.load1(op.getBeta(), {e.idx(0), tokens[i], e.idx(0)})));
      for (int64_t v = 0; v < vectors; ++v) {
        Value x = e.subf(u[i * vectors + v], read[i * vectors + v]);
        for (int64_t j = 0; j < i; ++j)
          x = e.fma(known[j], u[j * vectors + v], x);
        u[i * vectors + v] = e.mulf(beta, x);
      }
    }
  }
  e.loop(e.idx(0), e.idx(n.group), 1, [&](Value head) {
    Value row = e.add(e.mul(head, n.chunk), t);
    SmallVector<Value> out = product(queries, row, rows, vectors, column);
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j <= i; ++j) {
        Value a = splatOf(queryPairs, e.add(row, i), e.idx(j));
        for (int64_t v = 0; v < vectors; ++v)
          out[i * vectors + v] = e.fma(a, u[j * vectors + v], out[i * vectors + v]);
      }
      for (int64_t v = 0; v < vectors; ++v)
        e.store(out[i * vectors + v], op.getInit(), at(op.getInit(), head, tokens[i], columnOf(v), n.headDimV),
                maskOf(v));
    }
  });
  e.loop(e.idx(0), e.idx(n.headDim), 1, [&](Value d) {
    Value kept = n.gated ? splatOf(keep, t, n.perDim ? d : e.idx(0)) : Value();
    SmallVector<Value> s;
    for (int64_t v = 0; v < vectors; ++v) {
      s.push_back(e.load(state, {d, columnOf(v)}));
      if (kept)
        s[v] = e.mulf(s[v], kept);
    }
    for (int64_t j = 0; j < rows; ++j) {
      Value w = splatOf(writes, e.add(t, j), d);
      for (int64_t v = 0; v < vectors; ++v)
        s[v] = e.fma(w, u[j * vectors + v], s[v]);
    }
    for (int64_t v = 0; v < vectors; ++v)
      e.store(s[v], state, {d, columnOf(v)});
  });
}

struct EmitLinearAttention : OpRewritePattern<LinearAttentionOp> {
  TargetAttr target;
  EmitLinearAttention(MLIRContext *context, TargetAttr target) : OpRewritePattern(context), target(target) {}
  LogicalResult matchAndRewrite(LinearAttentionOp op, PatternRewriter &rewriter) const override {
    if (!op.getScratch())
      return rewriter.notifyMatchFailure(op, "not a task yet");
    LinearAttentionEmitter(rewriter, op, target).run();
    rewriter.eraseOp(op);
    return success();
  }
};
} // namespace

LogicalResult tileLinearAttention(Tiler &tiler, LinearAttentionOp op) {
  Emit &e = tiler.e;
  for (Value v : op.getOperands()) {
    auto type = cast<MemRefType>(v.getType());
    if (type.getElementType().isF64() || !type.isLastDimUnitStride())
      return op.emitOpError() << "of " << type << " is not yet lowered";
  }
  int64_t kvHeads = op.getKvHeads(), group = op.getHeads() / kvHeads;
  int64_t headDim = op.getHeadDim(), headDimV = op.getHeadDimV();
  Value seq = e.dim(op.getQuery(), op.getSeqDim());
  Value scratch = tiler.scratch(Sizes(op, tiler.target).elements());
  forTasks(e, e.mul(e.dim(op.getQuery(), 0), kvHeads), op, [&](Value task) {
    Value head = e.rem(task, e.idx(kvHeads)), batch = e.divFloor(task, kvHeads);
    OpFoldResult zero = e.b.getIndexAttr(0), one = e.b.getIndexAttr(1);
    auto attr = [&](int64_t v) { return OpFoldResult(e.b.getIndexAttr(v)); };
    // `heads` heads of `dim` features that belong to the kv head.
    auto headsOf = [&](Value v, int64_t heads, int64_t dim) -> Value {
      if (cast<MemRefType>(v.getType()).getRank() == 4)
        return subview(e, v, {batch, e.mul(head, heads), zero, zero}, {one, attr(heads), seq, attr(dim)});
      return subview(e, v, {batch, zero, e.mul(head, heads * dim)}, {one, seq, attr(heads * dim)});
    };
    auto stateOf = [&](Value v) -> Value {
      return v ? subview(e, v, {batch, head, zero, zero}, {one, one, attr(headDim), attr(headDimV)}) : Value();
    };
    Value decay, beta;
    if (op.getDecay())
      decay = subview(e, op.getDecay(), {batch, zero, e.mul(head, op.isDecayPerDim() ? headDim : 1)},
                      {one, seq, attr(op.isDecayPerDim() ? headDim : 1)});
    if (op.getBeta()) {
      bool shared = cast<MemRefType>(op.getBeta().getType()).getDimSize(2) == 1;
      beta = subview(e, op.getBeta(), {batch, zero, shared ? zero : OpFoldResult(head)}, {one, seq, one});
    }
    LinearAttentionOp::create(e.b, e.loc, TypeRange(), op.getRuleAttr(), headsOf(op.getQuery(), group, headDim),
                              headsOf(op.getKey(), 1, headDim), headsOf(op.getValue(), 1, headDimV), decay, beta,
                              stateOf(op.getState()), headsOf(op.getInit(), group, headDimV),
                              stateOf(op.getStateInit()), scratch, e.b.getI64IntegerAttr(group),
                              e.b.getI64IntegerAttr(1), e.b.getF64FloatAttr(op.getScaleOrDefault()));
  });
  return success();
}

void populateEmitLinearAttention(RewritePatternSet &patterns, TargetAttr target) {
  patterns.add<EmitLinearAttention>(patterns.getContext(), target);
}

} // namespace attnc
