//===- AttnOps.td - Operations of the attn dialect ---------------------------------------===//
#ifndef ATTN_OPS_TD
#define ATTN_OPS_TD

include "dialect/AttnBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Attn_Op<string mnemonic, list<Trait> traits = []> : Op<Attn_Dialect, mnemonic, traits>;

// An op of both forms: a result on tensors; `outs` and no result on buffers. Only the buffer form
// has effects: it reads its other operands and writes `outs` (dialect/AttnOps.cpp).
class Attn_DualOp<string mnemonic, list<Trait> traits = []> : Attn_Op<mnemonic, traits # [
    DeclareOpInterfaceMethods<MemoryEffectsOpInterface>,
    DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface, ["reifyResultShapes"]>]> {
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Tokens in
//===----------------------------------------------------------------------===//

def Attn_EmbeddingOp : Attn_DualOp<"embedding", [AttrSizedOperandSegments]> {
  let summary = "rows of a table, optionally added to another tensor";
  let description = [{
    `result[b, s, :] = table[ids[b, s], :] (+ residual[b, s, :])`, computed in the result's type.
    `ids [batch, seq]`, `table [entries, width]` or packed (see `attn-pack-weights`).
    An id outside `0 ≤ id < entries` stops the run with the status `range`. Where `ids` is an optional argument that is
    absent at run time, every id is 0.

    ```mlir
    %x = attn.embedding %ids, %wte : (tensor<?x?xi64>, tensor<50257x768xf32>) -> tensor<?x?x768xf32>
    ```
    Constraints: (C1) result is `ids`' shape plus the width. (C2) `table` is `[entries, width]` or packed
    with that width. (C3) `residual` has the result's type.
  }];
  let arguments = (ins Attn_IdShaped:$ids, Attn_FloatShaped:$table,
                       Optional<Attn_FloatShaped>:$residual, Optional<Attn_FloatBuffer>:$init,
                       OptionalAttr<I64Attr>:$entries);
  let results = (outs Optional<Attn_FloatTensor>:$result);
  let assemblyFormat = [{ $ids `,` $table (`residual` $residual^)? (`outs` $init^)? attr-dict
                          `:` functional-type(operands, results) }];
}

def Attn_ShiftRightOp : Attn_DualOp<"shift_right"> {
  let summary = "sequence moved one step to the right, zero first";
  let description = [{
    `result[b, 0] = 0`, `result[b, s] = input[b, s-1]` (Trax `ShiftRight`).
    Constraints: (C1) result has the input's type, rank at least 2.
  }];
  let arguments = (ins AnyTypeOf<[Attn_IdShaped, Attn_FloatShaped]>:$input,
                       Optional<AnyTypeOf<[Attn_IdBuffer, Attn_FloatBuffer]>>:$init);
  let results = (outs Optional<AnyTypeOf<[Attn_IdTensor, Attn_FloatTensor]>>:$result);
  let assemblyFormat = [{ $input (`outs` $init^)? attr-dict `:` functional-type(operands, results) }];
}

//===----------------------------------------------------------------------===//
// Features
//===----------------------------------------------------------------------===//

def Attn_LinearOp : Attn_DualOp<"linear", [AttrSizedOperandSegments]> {
  let summary = "matrix product with optional bias, activation and residual after";
  let description = [{
    `result = activation(input · W + bias) + residual` over the last dimension.
    `input [..., K]`, `weight [K, N]` (or `[N, K]` with `transpose_weight`, PyTorch's `nn.Linear`),
    `bias [N]`, `residual` and result `[..., N]`. Products are summed in f32 in ascending k for
    every number of rows. Where input and weight are bf16 and the target says `bf16_dot`, the sum is over pairs.

    In a task, `scratch` is that of all workers, a row each: one register tile of the result.

    After `attn-pack-weights` the weight is packed in panels of 16 columns: f32 `[⌈N/16⌉, K, 16]`, 16-bit
    types `[⌈N/16⌉, ⌈K/2⌉, 16, 2]`, zero beyond N and K.

    ```mlir
    %y = attn.linear %x, %w bias %b residual %r activation gelu_tanh
       : (tensor<?x?x768xf32>, tensor<768x3072xf32>, tensor<3072xf32>, tensor<?x?x3072xf32>) -> tensor<?x?x3072xf32>
    ```
    Constraints: (C1) `input` and result have the same leading dimensions and rank at least 2, with static last
    dimensions K and N. (C2) `weight` is `[K, N]`, `[N, K]` with `transpose_weight`, or packed. (C3) `bias` is
    `[N]`. (C4) `residual` has the result's type.
  }];
  let arguments = (ins Attn_FloatShaped:$input, Attn_FloatShaped:$weight,
                       Optional<Attn_FloatShaped>:$bias, Optional<Attn_FloatShaped>:$residual,
                       Optional<Attn_FloatBuffer>:$init, Optional<Attn_Scratch>:$scratch,
                       DefaultValuedAttr<Attn_ActivationAttr, "ActivationKind::none">:$activation,
                       UnitAttr:$transpose_weight);
  let results = (outs Optional<Attn_FloatTensor>:$result);
  let assemblyFormat = [{
    $input `,` $weight (`bias` $bias^)?
    (`activation` $activation^)? (`residual` $residual^)? (`outs` $init^)? (`scratch` $scratch^)? attr-dict
    `:` functional-type(operands, results)
  }];
  let hasCanonicalizer = 1;
}

class Attn_NormOp<string mnemonic> : Attn_DualOp<mnemonic, [AttrSizedOperandSegments]> {
  let arguments = (ins Attn_FloatShaped:$input, Attn_FloatShaped:$gamma,
                       Optional<Attn_FloatShaped>:$beta, Optional<Attn_FloatBuffer>:$init,
                       DefaultValuedAttr<F64Attr, "1e-05">:$epsilon, DefaultValuedAttr<I64Attr, "1">:$groups,
                       UnitAttr:$unit_offset);
  let results = (outs Optional<Attn_FloatTensor>:$result);
  let assemblyFormat = [{ $input `,` $gamma (`,` $beta^)? (`outs` $init^)? attr-dict
                          `:` functional-type(operands, results) }];
}

def Attn_LayerNormOp : Attn_NormOp<"layer_norm"> {
  let summary = "layer normalisation over the last dimension (Ba et al. 2016)";
  let description = [{
    `(x - mean(x)) / sqrt(var(x) + epsilon) * gamma (+ beta)`, variance over K, statistics in f32. With `groups` the last
    dimension is so many equal parts, each normalised by itself with the same `gamma` and `beta` (queries and keys head by
    head, as Qwen3 and Gemma 3 do). `unit_offset`: times `1 + gamma` (Gemma).

    ```mlir
    %y = attn.rms_norm %q, %g {groups = 8 : i64, unit_offset} : (tensor<?x?x512xf32>, tensor<64xf32>) -> tensor<?x?x512xf32>
    ```
    Constraints: (C1) result has the input's type, static last dimension K. (C2) `gamma` and `beta` are `[K/groups]`.
    (C3) `groups` divides K.
  }];
}

def Attn_RMSNormOp : Attn_NormOp<"rms_norm"> {
  let summary = "root-mean-square normalisation over the last dimension (Zhang and Sennrich 2019)";
  let description = [{
    `x / sqrt(mean(x²) + epsilon) * gamma (+ beta)`, statistics in f32. Attributes and constraints: as `attn.layer_norm`.
  }];
}

def Attn_L2NormOp : Attn_DualOp<"l2_norm"> {
  let summary = "vectors of the last dimension scaled to length 1";
  let description = [{
    `x / max(sqrt(Σ x²), epsilon)`, as PyTorch's `normalize`.
    Constraints: (C1) result has the input's type, static last dimension.
  }];
  let arguments = (ins Attn_FloatShaped:$input, Optional<Attn_FloatBuffer>:$init,
                       DefaultValuedAttr<F64Attr, "1e-12">:$epsilon);
  let results = (outs Optional<Attn_FloatTensor>:$result);
  let assemblyFormat = [{ $input (`outs` $init^)? attr-dict `:` functional-type(operands, results) }];
}

class Attn_UnaryOp<string mnemonic, dag extra = (ins)> : Attn_DualOp<mnemonic> {
  let arguments = !con((ins Attn_FloatShaped:$input, Optional<Attn_FloatBuffer>:$init), extra);
  let results = (outs Optional<Attn_FloatTensor>:$result);
}

def Attn_ScaleOp : Attn_UnaryOp<"scale", (ins F64Attr:$factor)> {
  let summary = "a tensor times a number";
  let description = [{
    `factor·x`: scaled embeddings (Vaswani et al. 2017, section 3.4), logits (T5).
    Constraints: (C1) result has the input's type. (C2) `factor` is finite.
  }];
  let assemblyFormat = [{ $input `by` $factor (`outs` $init^)? attr-dict `:` functional-type(operands, results) }];
}

def Attn_SoftCapOp : Attn_UnaryOp<"soft_cap", (ins F64Attr:$cap)> {
  let summary = "values squeezed into -cap to cap (Gemma Team 2024)";
  let description = [{
    `cap·tanh(x/cap)`. Constraints: (C1) result has the input's type. (C2) `cap` is finite and positive.
  }];
  let assemblyFormat = [{ $input `at` $cap (`outs` $init^)? attr-dict `:` functional-type(operands, results) }];
}

def Attn_ActivationOp : Attn_DualOp<"activation", [AttrSizedOperandSegments]> {
  let summary = "elementwise activation, optionally times another tensor";
  let description = [{
    | kind | formula |
    | --- | --- |
    | `none` | x |
    | `relu`, `relu2`, `relu6` | max(x, 0), its square, min(max(x, 0), 6) |
    | `leaky_relu` | x if x ≥ 0 else 0.01·x |
    | `gelu` | x/2·(1 + erf(x/√2)) |
    | `gelu_tanh` (`gelu_new`, `gelu_fast`, `gelu_pytorch_tanh`) | x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))) |
    | `quick_gelu` | x·sigmoid(1.702·x) |
    | `silu` (`swish`) | x·sigmoid(x) |
    | `tanh`, `sigmoid` | as named |
    | `mish` | x·tanh(softplus(x)) |
    | `elu`, `selu` | x if x > 0 else eˣ - 1; scaled (Klambauer et al. 2017) |
    | `softplus` | log(1 + eˣ) |
    | `hard_sigmoid`, `hard_swish` | min(max(x + 3, 0), 6)/6; x times that |

    `times`: `activation(input)·times`, a gated linear unit (Shazeer 2020). `limit` and `times_offset`:
    `activation(min(input, limit))·(clamp(times, -limit, limit) + times_offset)` (GPT-OSS).

    ```mlir
    %y = attn.activation silu %gate times %up : (tensor<?x?x64xf32>, tensor<?x?x64xf32>) -> tensor<?x?x64xf32>
    ```
    Constraints: (C1) result has the input's type. (C2) `times` has the input's type. (C3) `limit`, which is positive, and
    `times_offset` need `times`.
  }];
  let arguments = (ins Attn_FloatShaped:$input, Optional<Attn_FloatShaped>:$times, Optional<Attn_FloatBuffer>:$init,
                       Attn_ActivationAttr:$kind, OptionalAttr<F64Attr>:$limit,
                       DefaultValuedAttr<F64Attr, "0.0">:$times_offset);
  let results = (outs Optional<Attn_FloatTensor>:$result);
  let assemblyFormat = [{ $kind $input (`times` $times^)? (`outs` $init^)? attr-dict `:` functional-type(operands, results) }];
}

def Attn_LogSoftmaxOp : Attn_UnaryOp<"log_softmax"> {
  let summary = "log of the softmax over the last dimension";
  let description = [{
    `x - max(x) - log(Σ exp(x - max(x)))`. Constraints: (C1) result has the input's type.
  }];
  let assemblyFormat = [{ $input (`outs` $init^)? attr-dict `:` functional-type(operands, results) }];
}

def Attn_ArgmaxOp : Attn_DualOp<"argmax"> {
  let summary = "index of the largest value of the last dimension; the lowest index among equals";
  let description = [{
    Constraints: (C1) result is i64 with the input's leading dimensions.
  }];
  let arguments = (ins Attn_FloatShaped:$input, Optional<Attn_IdBuffer>:$init);
  let results = (outs Optional<Attn_IdTensor>:$result);
  let assemblyFormat = [{ $input (`outs` $init^)? attr-dict `:` functional-type(operands, results) }];
}

def Attn_SelectTokenOp : Attn_DualOp<"select_token", [AttrSizedOperandSegments]> {
  let summary = "one token's features per sequence: the last, or the one at an index";
  let description = [{
    `result[b, :] = input[b, at[b], :]`, or the last token where the optional argument `at` is
    absent at run time. An index outside the sequence stops the run with the status `range`.
    Constraints: (C1) input is `[batch, seq, features]`, result `[batch, features]`. (C2) `at` is `[batch]`.
  }];
  let arguments = (ins Attn_FloatShaped:$input, Optional<Attn_IdShaped>:$at, Optional<Attn_FloatBuffer>:$init);
  let results = (outs Optional<Attn_FloatTensor>:$result);
  let assemblyFormat = [{ $input (`at` $at^)? (`outs` $init^)? attr-dict `:` functional-type(operands, results) }];
}

def Attn_PoolOp : Attn_DualOp<"pool", [AttrSizedOperandSegments]> {
  let summary = "one vector of features per sequence, from the tokens that a mask keeps";
  let description = [{
    Over the tokens with a non-zero `mask [batch, seq]`, an optional argument of which all are non-zero where it is absent at
    run time. They are those of sentence-transformers' `Pooling`:

    | kind | result |
    | --- | --- |
    | `first` | token 0, whatever the mask |
    | `last` | the last one |
    | `mean`, `mean_sqrt` | their sum by their number, by the root of their number |
    | `max` | the largest of each feature |
    | `weighted_mean` | `Σ (s + 1)·input[b, s] / Σ (s + 1)` |

    Where there is none the result is 0. Tokens that the mask hides are not read.

    ```mlir
    %y = attn.pool mean %x mask %m : (tensor<?x?x384xf32>, tensor<?x?xi64>) -> tensor<?x384xf32>
    ```
    Constraints: (C1) input is `[batch, seq, features]`, static features, result `[batch, features]` of its element type.
    (C2) `mask` is `[batch, seq]`.
  }];
  let arguments = (ins Attn_PoolAttr:$kind, Attn_FloatShaped:$input, Optional<Attn_IdShaped>:$mask,
                       Optional<Attn_FloatBuffer>:$init);
  let results = (outs Optional<Attn_FloatTensor>:$result);
  let assemblyFormat = [{ $kind $input (`mask` $mask^)? (`outs` $init^)? attr-dict
                          `:` functional-type(operands, results) }];
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

def Attn_SplitHeadsOp : Attn_UnaryOp<"split_heads", (ins I64Attr:$heads)> {
  let summary = "[batch, seq, heads*head_dim] to [batch, heads, seq, head_dim]";
  let description = [{
    Constraints: (C1) input is rank 3 with a static last dimension divisible by `heads`. (C2) result is
    `[batch, heads, seq, features/heads]`.
  }];
  let assemblyFormat = [{ $input `into` $heads (`outs` $init^)? attr-dict `:` functional-type(operands, results) }];
  let hasFolder = 1;
}

def Attn_MergeHeadsOp : Attn_UnaryOp<"merge_heads"> {
  let summary = "[batch, heads, seq, head_dim] to [batch, seq, heads*head_dim]";
  let description = [{
    Constraints: (C1) input is rank 4 with static heads and head_dim. (C2) result is
    `[batch, seq, heads*head_dim]`.
  }];
  let assemblyFormat = [{ $input (`outs` $init^)? attr-dict `:` functional-type(operands, results) }];
  let hasFolder = 1;
}

// What every attention op says about scores, masks and rows; formulas in attn.attention.
defvar scoreAttributes = (ins
    OptionalAttr<I64Attr>:$num_heads, OptionalAttr<I64Attr>:$num_kv_heads,
    OptionalAttr<F64Attr>:$scale, UnitAttr:$causal, DefaultValuedAttr<I64Attr, "0">:$causal_offset,
    OptionalAttr<I64Attr>:$window_left, OptionalAttr<I64Attr>:$window_right,
    DefaultValuedAttr<I64Attr, "0">:$sinks, OptionalAttr<F64Attr>:$soft_cap,
    DefaultValuedAttr<Attn_MaskedRowsAttr, "MaskedRows::zero">:$masked_rows);
defvar scoreRegions = (region AnyRegion:$score_mod, AnyRegion:$mask_mod, AnyRegion:$prob_mod);

def Attn_AttentionOp : Attn_DualOp<"attention", [AttrSizedOperandSegments]> {
  let summary = "scaled dot-product attention in all its forms";
  let description = [{
    `out = prob(softmax(mask(score(softcap(scale·q·kᵀ)) + biases))) · v`, scores and softmax in f32.

    **Layouts.** `query [batch, heads, queries, head_dim]`, `key [batch, kv_heads, keys, head_dim]`,
    `value [batch, kv_heads, keys, head_dim_v]`, `out [batch, heads, queries, head_dim_v]`; or packed rank 3,
    `[batch, seq, heads*head_dim]`, which needs `num_heads` (and `num_kv_heads` where it differs) and is never
    copied. Query head h uses kv head `h / (heads/kv_heads)`. After `attn-choose-layouts` key and value are packed:
    `key [batch, kv_heads, ⌈keys/64⌉, head_dim, 64]`, `value [batch, kv_heads, keys, roundup(head_dim_v, 16)]`.
    With `cache %c[%layer]` keys and values are the cached ones, and `key`, `value` are left out. Those of a cross cache are what it
    held before the run, none at first; queries then count from 0.
    With `ragged %offsets [sequences + 1]` (and `ragged_keys` where keys have their own) the batch is 1 and sequence n
    consists of rows `offsets[n] … offsets[n+1]`; queries and keys count from the sequence's start, and b below is n.

    **Attributes.** `scale` (default `1/√head_dim`); `soft_cap` c: `c·tanh(s/c)`. Position of query index q is
    `i = q + offset`, offset = `causal_offset` + the tokens that preceded this call in the cache, and with `bottom_right`
    + valid keys − queries. `causal`: key j is visible to query i when `j ≤ i`; `window_left`, `window_right`: and
    `i-left ≤ j ≤ i+right`, except the first `sinks` keys, which only `causal` can hide; `masked_rows`: what a row with
    nothing visible yields (`zero`: 0 and lse -inf; `mean` and `trax`: mean and sum of the valid values).

    **Biases**, added after the soft cap and `score`: `bias` float, broadcastable to `[batch, heads, queries, keys]`;
    `alibi %slopes [heads]`: `slope·(j - i)` (Press et al. 2022); `relative %table [heads, 2R+1]`:
    `table[h, clamp(j - i, -R, R) + R]` (see `attn.relative_bias`). `sink_logits [heads]`: one more logit in the
    denominator, with no value.

    **Masks.** `bias` of i1 (true keeps), a last dimension shorter than the keys hides the rest; `key_mask
    [batch, keys]`: integers, non-zero keeps, may be an optional argument; `kv_len [batch]`: valid keys; `prefix %n
    [batch]`: visible when `j ≤ i` or `j < n[b]`, in place of `causal`; `documents %ids [batch, keys]`: visible when `ids[b, i] == ids[b, j]`.
    Masked scores are selected, not added: NaN and Inf behind a mask do not leak.

    **Regions.** `score(%s, %b, %h, %i, %j)` yields the new score (f32); `mask(%b, %h, %i, %j)` yields i1, true keeps;
    `prob(%p, %b, %h, %i, %j)` yields the new probability. `b, h, i, j` are i32: batch row, query head, absolute positions.
    They hold scalar `arith` and `math` ops without side effects that can always be computed, and `attn.load` of captured
    tensors. Each runs in vectors of keys. From a mask it is derived which tiles are skipped and which need no mask.

    **Results.** `out`; `lse [batch, heads, queries]` f32, the log of the sum of exponentials; with `scores = raw | capped |
    masked | softmax` the scores at that point, f32 `[batch, heads, queries, keys]` (ONNX `qk_matmul_output`).

    Sources: Vaswani et al. 2017; ONNX Attention-24; FlashAttention-2 (Dao 2023); FlexAttention (Dong et al. 2024).

    ```mlir
    %o = attn.attention %q, %k, %v {causal, num_heads = 12 : i64} score(%s, %b, %h, %i, %j) {
      %slope = attn.load %slopes[%h] : tensor<12xf32>
      %d = arith.subi %j, %i : i32
      %distance = arith.sitofp %d : i32 to f32
      %bias = arith.mulf %slope, %distance : f32
      %r = arith.addf %s, %bias : f32
      attn.yield %r : f32
    } : (tensor<?x?x768xf32>, tensor<?x?x768xf32>, tensor<?x?x768xf32>) -> tensor<?x?x768xf32>
    ```
    Constraints: (C1) query, key, value have the same rank, 3 or 4 (or key and value are packed), and rank 3 needs
    `num_heads`. (C2) features divide by the heads. (C3) heads are a multiple of kv heads. (C4) key's head_dim equals
    query's. (C5) batches agree; keys of key and value agree. (C6) result is query's shape with head_dim_v.
    (C7) exactly one of key and value, or `cache` with `layer`; the cache's heads and head_dim agree. (C8) `bias`
    broadcasts to `[batch, heads, queries, keys]`. (C9) `key_mask` is `[batch, keys]`, `kv_len` `[batch]`, `prefix`
    `[batch]`, `documents` `[batch, keys]`. (C10) windows and sinks are not negative, sinks need a window, soft cap is
    positive. (C11) `lse` is `[batch, heads, queries]` f32, `scores` `[batch, heads, queries, keys]` f32 and not over a cache.
    (C12) regions have the arguments above and yield f32 or i1; their ops are scalar, pure and speculatable. (C13)
    `sink_logits` and `alibi` are `[heads]` f32, `relative` is `[heads, odd]` f32. (C14) `ragged` is rank 1, needs rank 3 operands
    and excludes cache, bias, key_mask, kv_len, scores and bottom_right. (C15) a cross cache excludes causal, windows, bottom_right,
    alibi, relative, prefix and documents.
  }];
  let arguments = !con((ins Attn_FloatShaped:$query, Optional<Attn_FloatShaped>:$key,
      Optional<Attn_FloatShaped>:$value, Optional<Attn_CacheType>:$cache, Optional<Index>:$layer,
      Optional<AnyTypeOf<[Attn_FloatShaped, Attn_Shaped<I1>]>>:$bias,
      Optional<Attn_IdShaped>:$key_mask, Optional<Attn_IdShaped>:$kv_len,
      Optional<Attn_FloatShaped>:$sink_logits, Optional<Attn_FloatShaped>:$alibi, Optional<Attn_FloatShaped>:$relative,
      Optional<Attn_IdShaped>:$prefix, Optional<Attn_IdShaped>:$documents,
      Optional<Attn_IdShaped>:$ragged, Optional<Attn_IdShaped>:$ragged_keys,
      Optional<Attn_FloatBuffer>:$init, Optional<Attn_FloatBuffer>:$lse_init,
      Optional<Attn_FloatBuffer>:$scores_init), scoreAttributes,
      (ins UnitAttr:$bottom_right, OptionalAttr<Attn_ScorePointAttr>:$scores));
  let results = (outs Variadic<Attn_FloatTensor>:$outputs); // none on buffers; out, lse, scores
  let regions = scoreRegions;
  let hasRegionVerifier = 1;
  let assemblyFormat = [{
    $query (`,` $key^ `,` $value)? (`cache` $cache^ `[` $layer `]`)? (`bias` $bias^)?
    (`key_mask` $key_mask^)? (`kv_len` $kv_len^)? (`sink_logits` $sink_logits^)? (`alibi` $alibi^)?
    (`relative` $relative^)? (`prefix` $prefix^)? (`documents` $documents^)? (`ragged` $ragged^)?
    (`ragged_keys` $ragged_keys^)? (`outs` $init^)? (`lse` $lse_init^)? (`scores` $scores_init^)? attr-dict
    `` custom<ScoreRegions>($score_mod, $mask_mod, $prob_mod) `:` functional-type(operands, results)
  }];
  let builders = [OpBuilder<(ins "TypeRange":$results, "Value":$query, "Value":$key, "Value":$value)>];
  let extraClassDeclaration = [{
    /// `out`, `lse` and `scores` on tensors; null where there is none.
    Value getResult() { return getOutputs().empty() ? Value() : getOutputs()[0]; }
    Value getLse() { return getOutputs().size() < (getScores() ? 3 : 2) ? Value() : getOutputs()[1]; }
    Value getScoresResult() { return getScores() && !getOutputs().empty() ? getOutputs().back() : Value(); }
    /// Sizes that follow from types and attributes, the same for every layout.
    int64_t getHeads();
    int64_t getKvHeads();
    int64_t getHeadDim();
    int64_t getHeadDimV();
    /// `scale`, or 1/sqrt(head_dim).
    double getScaleOrDefault();
    /// Whether the keys are those of a cross cache.
    bool isCross() { return getCache() && cast<CacheType>(getCache().getType()).getCross(); }
    /// Whether key and value are in the packed layout.
    bool isPacked() { return getKey() && cast<ShapedType>(getKey().getType()).getRank() == 5; }
  }];
}

def Attn_YieldOp : Attn_Op<"yield", [Pure, Terminator, ParentOneOf<["AttentionOp", "OnlineAttentionOp"]>]> {
  let summary = "result of a score, mask or prob region";
  let arguments = (ins AnyTypeOf<[F32, I1]>:$value);
  let assemblyFormat = "$value attr-dict `:` type($value)";
}

def Attn_LoadOp : Attn_Op<"load", [Pure, AttrSizedOperandSegments, ParentOneOf<["AttentionOp", "OnlineAttentionOp"]>, TypesMatchWith<"result is an element of source", "source", "result",
    "::llvm::cast<ShapedType>($_self).getElementType()">]> {
  let summary = "value of a captured tensor, in a region of attention";
  let description = [{
    `source[indices]`, indices i32. What a region reads for a visible pair must lie within the tensor: it is proven, or
    checked at run time (status `range`). Pairs that a mask hides are not read.
    An index that moves with j becomes a contiguous load (clamped to a constant range too), other indices that vary by
    lane become gathers. On buffers, `ranges` are the least and the greatest element of every 64 of the last dimension
    (`attn.block_range`), from which the values over a tile are bounded.
    Constraints: (C1) one index per dimension. (C2) `ranges` is of an integer buffer, `[2, leading dimensions…, ⌈last/64⌉]`.
  }];
  let arguments = (ins AnyTypeOf<[RankedTensorOf<[Attn_Float, I1, I8, I32, I64]>,
                                  StridedMemRefOf<[Attn_Float, I1, I8, I32, I64]>]>:$source, Variadic<I32>:$indices,
                       Optional<Attn_IdBuffer>:$ranges);
  let results = (outs AnyTypeOf<[Attn_Float, I1, I8, I32, I64]>:$result);
  let assemblyFormat = [{ $source `[` $indices `]` (`ranges` $ranges^ `:` type($ranges))? attr-dict `:` type($source) }];
  let hasVerifier = 1;
}

def Attn_BlockRangeOp : Attn_Op<"block_range", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "least and greatest of every 64 elements of a buffer's last dimension";
  let description = [{
    `ranges[0, …, k]` and `ranges[1, …, k]` are the least and the greatest of `source[…, 64k]` to `source[…, 64k + 63]`, or up to
    the last one. i1 counts as 0 and 1. Made by `attn-range-captures` for `attn.load`.

    ```mlir
    attn.block_range %ids outs %ranges : memref<?x?xi32>, memref<2x?x?xi32>
    ```
    Constraints: (C1) `source` has rank at least 1; `ranges` is `[2, leading dimensions…, ⌈last/64⌉]`, of i64 if `source` is, else
    of i32.
  }];
  let arguments = (ins StridedMemRefOf<[I1, I8, I32, I64]>:$source, Attn_IdBuffer:$init);
  let assemblyFormat = "$source `outs` $init attr-dict `:` type($source) `,` type($init)";
  let hasVerifier = 1;
}

def Attn_RelativeBiasOp : Attn_DualOp<"relative_bias"> {
  let summary = "table of relative position biases by distance, from T5's buckets";
  let description = [{
    `result[h, d + R] = table[bucket(d), h]` for distances `d = j - i` in `[-R, R]`, R = `max_distance`, with T5's bucket function
    (Raffel et al. 2020): half of the buckets for each direction when `bidirectional`, else keys after the query share bucket
    0; of those, the first half exact, the rest logarithmic up to `max_distance`. Where a logarithmic bucket begins is
    computed in f32 as PyTorch does it.

    ```mlir
    %t = attn.relative_bias %table {bidirectional} : (tensor<32x8xf32>) -> tensor<8x257xf32>
    ```
    Constraints: (C1) `table` is `[buckets, heads]`, static; there are 4 (2 when not bidirectional) to 4096 buckets, an even
    number when bidirectional; `max_distance` is above the exact ones, at most 2^20. (C2) the result is
    `[heads, 2·max_distance + 1]` f32.
  }];
  let arguments = (ins Attn_FloatShaped:$table, Optional<Attn_FloatBuffer>:$init,
                       DefaultValuedAttr<I64Attr, "128">:$max_distance, UnitAttr:$bidirectional);
  let results = (outs Optional<Attn_FloatTensor>:$result);
  let assemblyFormat = "$table (`outs` $init^)? attr-dict `:` functional-type(operands, results)";
}

def Attn_PackKeysOp : Attn_DualOp<"pack_keys", [AttrSizedOperandSegments]> {
  let summary = "keys in panels of 64 for the micro-kernel";
  let description = [{
    `[batch, keys, heads*head_dim]` or `[batch, heads, keys, head_dim]` to
    `[batch, heads, ⌈keys/64⌉, head_dim, 64]`, zero beyond the last key: the layout of a cache page. With `ragged`
    offsets of sequences that lie end to end, sequence n starts a panel, `⌊offsets[n]/64⌋ + n`, and there are
    `⌊keys/64⌋ + sequences` panels.
    Constraints: (C1) features divide by `heads`. (C2) result shape as above.
  }];
  let arguments = (ins Attn_FloatShaped:$input, Optional<Attn_IdShaped>:$ragged, Optional<Attn_FloatBuffer>:$init,
                       I64Attr:$heads);
  let results = (outs Optional<Attn_FloatTensor>:$result);
  let assemblyFormat = [{ $input `heads` $heads (`ragged` $ragged^)? (`outs` $init^)? attr-dict
                          `:` functional-type(operands, results) }];
}

def Attn_PackValuesOp : Attn_UnaryOp<"pack_values", (ins I64Attr:$heads)> {
  let summary = "values with rows padded to 16";
  let description = [{
    `[batch, keys, heads*head_dim_v]` or `[batch, heads, keys, head_dim_v]` to
    `[batch, heads, keys, roundup(head_dim_v, 16)]`, zero beyond head_dim_v: the layout of a cache page.
    Constraints: (C1) features divide by `heads`. (C2) result shape as above.
  }];
  let assemblyFormat = [{ $input `heads` $heads (`outs` $init^)? attr-dict `:` functional-type(operands, results) }];
}

def Attn_CacheAppendOp : Attn_Op<"cache_append", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "write a layer's new keys and values after those the cache holds";
  let description = [{
    Token s of row b goes to position `past[b] + s` of its slot. The lengths advance once, when the whole run has
    succeeded. Capacity is checked before the run (status `cache-full`).
    `key [batch, seq, kv_heads*head_dim]`, `value [batch, seq, kv_heads*head_dim_v]`.

    To a cross cache only tokens go whose `key_mask [batch, seq]` is not zero, one after the other, and the length advances by their
    number: attention without positions does not care where a key lies, and padding costs nothing later. The slot's cross cache
    must be empty before the run. `key_mask` is an input of the entry, which may be left out: all tokens.

    ```mlir
    attn.cache_append %k, %v to %cross[%layer] key_mask %attention_mask
       : tensor<?x?x512xf32>, tensor<?x?x512xf32>, !attn.cache<6x8x64x64xf32, cross>, tensor<?x?xi64>
    ```
    Constraints: (C1) key and value are rank 3 and agree with the cache's heads and head dims. (C2) `key_mask` is `[batch, seq]`,
    and the cache a cross cache.
  }];
  let arguments = (ins Attn_FloatShaped:$key, Attn_FloatShaped:$value, Attn_CacheType:$cache, Index:$layer,
                       Optional<Attn_IdShaped>:$key_mask);
  let assemblyFormat = [{ $key `,` $value `to` $cache `[` $layer `]` (`key_mask` $key_mask^)? attr-dict
                          `:` type($key) `,` type($value) `,` qualified(type($cache)) (`,` type($key_mask)^)? }];
  let hasVerifier = 1;
}

def Attn_CacheViewOp : Attn_Op<"cache_view", [Pure]> {
  let summary = "the cache as the buffers it consists of";
  let description = [{
    Made by `attn-bufferize` at the start of a function, from its arguments: `pages [elements]`, `table [batch, pages of a
    sequence]`, `past [batch]` tokens, and the keys of a `page`.
  }];
  let arguments = (ins Attn_FloatBuffer:$pages, Attn_IdBuffer:$table, Attn_IdBuffer:$past, Index:$page);
  let results = (outs Attn_CacheType:$cache);
  let assemblyFormat = [{ $pages `,` $table `,` $past `,` $page attr-dict
                          `:` type($pages) `,` type($table) `,` type($past) `->` type($cache) }];
}

def Attn_CacheReadOp : Attn_DualOp<"cache_read"> {
  let summary = "a layer's cached keys or values as one tensor";
  let description = [{
    `[batch, kv_heads, keys, head_dim]`, keys = the longest sequence, zero beyond each length. For inspection; attention
    reads the cache in place.
    Constraints: (C1) result is rank 4 with the cache's heads and head dim.
  }];
  let arguments = (ins Attn_CacheType:$cache, Index:$layer, Index:$keys, UnitAttr:$values,
                       Optional<Attn_FloatBuffer>:$init);
  let results = (outs Optional<Attn_FloatTensor>:$result);
  let assemblyFormat = [{ $cache `[` $layer `]` `keys` $keys (`values` $values^)? (`outs` $init^)? attr-dict
                          `:` functional-type(operands, results) }];
}

//===----------------------------------------------------------------------===//
// Parameters
//===----------------------------------------------------------------------===//

def Attn_ConcatParametersOp : Attn_Op<"concat_parameters", [Pure]> {
  let summary = "parameters joined along their output dimension, at compile time";
  let description = [{
    Joins weights `[K, Ni]` to `[K, ΣNi]` (dimension 1) or `[Ni, K]`, `[Ni]` (dimension 0). Operands are
    `ml_program.global_load_const`s; `attn-pack-weights` turns the op into one packed parameter.
    Constraints: (C1) operands agree in type but for the joined dimension; the result is their sum there.
  }];
  let arguments = (ins Variadic<Attn_FloatTensor>:$inputs, I64Attr:$dim);
  let results = (outs Attn_FloatTensor:$result);
  let assemblyFormat = "$inputs `dim` $dim attr-dict `:` functional-type($inputs, $result)";
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Tasks: one unit of parallel work on buffers
//===----------------------------------------------------------------------===//

def Attn_OnlineAttentionOp : Attn_Op<"online_attention", [AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "attention of one block of queries of some query heads over the keys of their kv head";
  let description = [{
    The task of `attn.attention`: `query [queries, group, head_dim]` and `out [queries, group, head_dim_v]` are strided views
    of `group` query heads that share a kv head; their rows (query, head) are folded. `first` is the index of the first query and
    `head` the first query head, `batch` the batch row, `keys` the number of keys; `offset` + the query's index is its position.
    Keys and values are packed panels `key [⌈keys/64⌉, head_dim, 64]`, `value [keys, roundup(head_dim_v, 16)]`, or the
    cache's pages: `pages [elements]`, `table [pages of the sequence]`, `page` keys each, `page_stride` elements apart, this
    head's keys and values at `key_base` and `value_base` within a page. `bias [queries, group, keys]` (dimensions may be the same
    memory) and `key_mask [keys]` as in attention; the latter's presence is only known at run time. `sink_logits [group]`.
    `scratch` is that of all workers, a row each: the scores of one block, scaled queries, accumulators.

    Blocks of 512 keys at absolute multiples are softmaxed on their own maximum and merged in order:
    `m' = max(m, m_b)`, `o' = o·2^(m-m') + o_b·2^(m_b-m')` (Milakov and Gimelshein 2018), in base 2, so a row's bits
    depend neither on its neighbours nor on how rows are grouped. With `partial` only the keys `from ≤ j < to` are taken, and
    `out [queries, group, roundup(head_dim_v, 16)]` gets the sum before normalisation, `partial [queries, group, 2]` its maximum (base 2) and denominator;
    `attn.merge_attention` does the rest. With `scores` only the scores at that point are written, `[queries, group, keys]`;
    `lse` is read then.

    Constraints: (C1) ranks are as above. (C2) exactly one of key and value, or the cache's operands.
  }];
  let arguments = !con((ins Attn_FloatBuffer:$query, Index:$batch, Index:$head, Index:$first, Index:$offset,
      Index:$keys, Optional<Attn_FloatBuffer>:$key, Optional<Attn_FloatBuffer>:$value,
      Optional<Attn_FloatBuffer>:$pages, Optional<Attn_IdBuffer>:$table, Optional<Index>:$page,
      Optional<Index>:$page_stride, Optional<Index>:$key_base, Optional<Index>:$value_base,
      Optional<AnyTypeOf<[Attn_FloatBuffer, StridedMemRefOf<[I1]>]>>:$bias, Optional<Attn_IdBuffer>:$key_mask,
      Optional<Attn_FloatBuffer>:$sink_logits, Optional<Index>:$from, Optional<Index>:$to, Attn_FloatBuffer:$init,
      Optional<Attn_FloatBuffer>:$lse, Optional<Attn_FloatBuffer>:$partial,
      Attn_Scratch:$scratch), scoreAttributes, (ins OptionalAttr<Attn_ScorePointAttr>:$scores));
  let regions = scoreRegions;
  let hasRegionVerifier = 1;
  let assemblyFormat = [{
    $query `batch` $batch `head` $head `first` $first `offset` $offset `keys` $keys (`packed` $key^ `,` $value)?
    (`pages` $pages^ `[` $table `]` `of` $page `stride` $page_stride `at` $key_base `,` $value_base)?
    (`bias` $bias^)? (`key_mask` $key_mask^)? (`sink_logits` $sink_logits^)? (`from` $from^ `to` $to)? `outs` $init
    (`lse` $lse^)? (`partial` $partial^)? `scratch` $scratch attr-dict `` custom<ScoreRegions>($score_mod, $mask_mod, $prob_mod)
    `:` type(operands)
  }];
  let builders = [OpBuilder<(ins "Value":$query, "Value":$batch, "Value":$head, "Value":$first, "Value":$offset,
                             "Value":$keys, "Value":$init, "Value":$scratch)>];
  let hasVerifier = 1;
}

def Attn_MergeAttentionOp : Attn_Op<"merge_attention", [AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "attention of some rows from its parts over the keys";
  let description = [{
    The task after `attn.online_attention` with `partial`: merges `parts [splits, rows, roundup(head_dim_v, 16)]` with their
    `maxima [splits, rows, 2]` in order, normalises, and writes `out [queries, group, head_dim_v]` and `lse [queries, group]`. `sink_logits [group]`.
    Constraints: (C1) ranks are as above.
  }];
  let arguments = (ins Attn_FloatBuffer:$parts, Attn_FloatBuffer:$maxima, Optional<Attn_FloatBuffer>:$sink_logits,
                       Attn_FloatBuffer:$init, Optional<Attn_FloatBuffer>:$lse);
  let assemblyFormat = [{ $parts `,` $maxima (`sink_logits` $sink_logits^)? `outs` $init (`lse` $lse^)? attr-dict
                          `:` type(operands) }];
  let hasVerifier = 1;
}

def Attn_WorkerOp : Attn_Op<"worker", [Pure]> {
  let summary = "index of the worker that runs this task";
  let description = [{ Inside the `scf.forall` of a task, or a kernel; selects per-worker scratch memory. }];
  let results = (outs Index:$result);
  let assemblyFormat = "attr-dict";
}

def Attn_CostOp : Attn_Op<"cost"> {
  let summary = "what all tasks of an scf.forall cost together";
  let description = [{
    Stands in the body of a task; `attn-outline-tasks` moves its operands to `attn.dispatch`, or drops them where a single
    task runs in place. `flop`: 2 for each multiply-add of matrix products, which are `linear`, `attention` and
    `linear_attention`; other arithmetic counts 0. Of attention the pairs that causal masks and windows leave; other masks
    are not looked into. `bytes`: operands that are read, once, and results. Advice for profiles and reports.
  }];
  let arguments = (ins Index:$flop, Index:$bytes);
  let assemblyFormat = "`flop` $flop `bytes` $bytes attr-dict";
}

def Attn_FailOp : Attn_Op<"fail"> {
  let summary = "stop the run with a status if a condition holds";
  let description = [{
    Records `status` (an `attn_status`) for the run when `condition` is true; later ops are skipped. The message is a
    constant text.
  }];
  let arguments = (ins I1:$condition, I32Attr:$status, StrAttr:$message);
  let assemblyFormat = "$condition `,` $status `,` $message attr-dict";
}

def Attn_DispatchOp : Attn_Op<"dispatch", [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "run a kernel function once per task";
  let description = [{
    `parallel_for` over `count` tasks of `kernel(inputs..., task, worker)`; the next op starts when all are done.
    `op` is the name that profiles show, `flop` the arithmetic and `bytes` the memory traffic of all tasks (see `attn.cost`).
    Constraints: (C1) the kernel is a function in this module with these input types and two index arguments.
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Index:$count, Index:$flop, Index:$bytes, Variadic<AnyType>:$inputs,
                       StrAttr:$op);
  let assemblyFormat = "$kernel `[` $count `]` `(` $inputs `)` $op `flop` $flop `bytes` $bytes attr-dict (`:` type($inputs)^)?";
}

include "dialect/Device.td"
include "dialect/Experts.td"
include "dialect/External.td"
include "dialect/LinearAttention.td"
include "dialect/Positions.td"

#endif // ATTN_OPS_TD
