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

def Attn_PositionsOp : Attn_DualOp<"positions", [AttrSizedOperandSegments]> {
  let summary = "position of every token in its own sequence";
  let description = [{
    `given[b, s]` if the optional argument `given` is present at run time, else `past[b] + s`,
    where `past` is the number of tokens the cache holds (0 without a cache). Shape and type follow `ids`.

    ```mlir
    %p = attn.positions %ids given %position_ids cache %c
       : (tensor<?x?xi64>, tensor<?x?xi64>, !attn.cache<12x12x64x64xf32>) -> tensor<?x?xi64>
    ```
    Constraints: (C1) `ids`, `given` and the result have the same shape and element type, rank 2.
  }];
  let arguments = (ins Attn_IdShaped:$ids, Optional<Attn_IdShaped>:$given,
                       Optional<Attn_CacheType>:$cache, Optional<Attn_IdBuffer>:$init);
  let results = (outs Optional<Attn_IdTensor>:$result);
  let assemblyFormat = [{ $ids (`given` $given^)? (`cache` $cache^)? (`outs` $init^)? attr-dict
                          `:` functional-type(operands, results) }];
}

def Attn_EmbeddingOp : Attn_DualOp<"embedding", [AttrSizedOperandSegments]> {
  let summary = "rows of a table, optionally added to another tensor";
  let description = [{
    `result[b, s, :] = table[ids[b, s], :] (+ residual[b, s, :])`, computed in the result's type.
    `ids [batch, seq]`, `table [entries, width]` or packed (see `attn-pack-weights`).
    An id outside `0 ≤ id < entries` stops the run with the status `range`.

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

def Attn_PositionalEncodingOp : Attn_DualOp<"positional_encoding"> {
  let summary = "sinusoidal position vectors (Vaswani et al. 2017, section 3.5)";
  let description = [{
    `result[b, s, 2i] = sin(p / 10000^(2i/width))`, `result[b, s, 2i+1] = cos(...)`, with
    `p = positions[b, s]`. Learned positions are an `attn.embedding` of `attn.positions`.
    Constraints: (C1) result is `positions`' shape plus a width.
  }];
  let arguments = (ins Attn_IdShaped:$positions, Optional<Attn_FloatBuffer>:$init);
  let results = (outs Optional<Attn_FloatTensor>:$result);
  let assemblyFormat = [{ $positions (`outs` $init^)? attr-dict `:` functional-type(operands, results) }];
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
  let summary = "matrix product with optional norm before, bias, activation and residual after";
  let description = [{
    `result = activation(norm(input) · W + bias) + residual` over the last dimension.
    `input [..., K]`, `weight [K, N]` (or `[N, K]` with `transpose_weight`, PyTorch's `nn.Linear`),
    `bias [N]`, `residual` and result `[..., N]`. Products are summed in f32 in ascending k for
    every number of rows. `norm(gamma, beta)` is the prologue `attn.layer_norm` (`norm = layer`) or
    `attn.rms_norm` (`norm = rms`) with `epsilon`.

    In a task, `scratch` is that of all workers, a row each: the normalised rows and one register tile of the result.

    After `attn-pack-weights` the weight is packed in panels of 16 columns: f32 `[⌈N/16⌉, K, 16]`, 16-bit
    types `[⌈N/16⌉, ⌈K/2⌉, 16, 2]`, zero beyond N and K.

    ```mlir
    %y = attn.linear %x, %w bias %b residual %r activation gelu_tanh
       : (tensor<?x?x768xf32>, tensor<768x3072xf32>, tensor<3072xf32>, tensor<?x?x3072xf32>) -> tensor<?x?x3072xf32>
    ```
    Constraints: (C1) `input` and result have the same leading dimensions and rank at least 2, with static last
    dimensions K and N. (C2) `weight` is `[K, N]`, `[N, K]` with `transpose_weight`, or packed. (C3) `bias` is
    `[N]`. (C4) `residual` has the result's type. (C5) `gamma` is `[K]`, present exactly when `norm` is not none;
    `beta` is `[K]` and needs `gamma`.
  }];
  let arguments = (ins Attn_FloatShaped:$input, Attn_FloatShaped:$weight,
                       Optional<Attn_FloatShaped>:$gamma, Optional<Attn_FloatShaped>:$beta,
                       Optional<Attn_FloatShaped>:$bias, Optional<Attn_FloatShaped>:$residual,
                       Optional<Attn_FloatBuffer>:$init, Optional<Attn_Scratch>:$scratch,
                       DefaultValuedAttr<Attn_ActivationAttr, "ActivationKind::none">:$activation,
                       DefaultValuedAttr<Attn_NormAttr, "NormKind::none">:$norm,
                       DefaultValuedAttr<F64Attr, "1e-05">:$epsilon,
                       UnitAttr:$transpose_weight);
  let results = (outs Optional<Attn_FloatTensor>:$result);
  let assemblyFormat = [{
    $input `,` $weight (`norm` $norm^ `(` $gamma (`,` $beta^)? `)`)? (`bias` $bias^)?
    (`activation` $activation^)? (`residual` $residual^)? (`outs` $init^)? (`scratch` $scratch^)? attr-dict
    `:` functional-type(operands, results)
  }];
  let hasCanonicalizer = 1;
}

class Attn_NormOp<string mnemonic> : Attn_DualOp<mnemonic, [AttrSizedOperandSegments]> {
  let arguments = (ins Attn_FloatShaped:$input, Attn_FloatShaped:$gamma,
                       Optional<Attn_FloatShaped>:$beta, Optional<Attn_FloatBuffer>:$init,
                       DefaultValuedAttr<F64Attr, "1e-05">:$epsilon);
  let results = (outs Optional<Attn_FloatTensor>:$result);
  let assemblyFormat = [{ $input `,` $gamma (`,` $beta^)? (`outs` $init^)? attr-dict
                          `:` functional-type(operands, results) }];
}

def Attn_LayerNormOp : Attn_NormOp<"layer_norm"> {
  let summary = "layer normalisation over the last dimension (Ba et al. 2016)";
  let description = [{
    `(x - mean(x)) / sqrt(var(x) + epsilon) * gamma (+ beta)`, variance over K, statistics in f32.
    Constraints: (C1) result has the input's type, static last dimension K. (C2) `gamma` and `beta` are `[K]`.
  }];
}

def Attn_RMSNormOp : Attn_NormOp<"rms_norm"> {
  let summary = "root-mean-square normalisation over the last dimension (Zhang and Sennrich 2019)";
  let description = [{
    `x / sqrt(mean(x²) + epsilon) * gamma (+ beta)`, statistics in f32.
    Constraints: as `attn.layer_norm`.
  }];
}

class Attn_UnaryOp<string mnemonic, dag extra = (ins)> : Attn_DualOp<mnemonic> {
  let arguments = !con((ins Attn_FloatShaped:$input, Optional<Attn_FloatBuffer>:$init), extra);
  let results = (outs Optional<Attn_FloatTensor>:$result);
}

def Attn_ActivationOp : Attn_UnaryOp<"activation", (ins Attn_ActivationAttr:$kind)> {
  let summary = "elementwise activation";
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

    Constraints: (C1) result has the input's type.
  }];
  let assemblyFormat = [{ $kind $input (`outs` $init^)? attr-dict `:` functional-type(operands, results) }];
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

def Attn_RotaryOp : Attn_DualOp<"rotary"> {
  let summary = "rotary position embedding (Su et al. 2021)";
  let description = [{
    Rotates pairs of the first `rotary_dim` (default head_dim) values of each head of
    `input [batch, seq, heads*head_dim]` by `p·theta^(-2i/rotary_dim)`, p = `positions[b, s]`. Pairs are
    `(i, i + rotary_dim/2)`, or `(2i, 2i+1)` with `interleaved`.
    Constraints: (C1) result has the input's type. (C2) features divide by `heads`; `rotary_dim` is even and at most
    head_dim. (C3) `positions` is `[batch, seq]`.
  }];
  let arguments = (ins Attn_FloatShaped:$input, Attn_IdShaped:$positions, Optional<Attn_FloatBuffer>:$init,
      I64Attr:$heads, DefaultValuedAttr<F64Attr, "10000.0">:$theta, OptionalAttr<I64Attr>:$rotary_dim,
      UnitAttr:$interleaved);
  let results = (outs Optional<Attn_FloatTensor>:$result);
  let assemblyFormat = [{ $input `at` $positions `heads` $heads (`outs` $init^)? attr-dict
                          `:` functional-type(operands, results) }];
}

// What every attention op says about scores, masks and rows; formulas in attn.attention.
defvar scoreAttributes = (ins
    OptionalAttr<I64Attr>:$num_heads, OptionalAttr<I64Attr>:$num_kv_heads,
    OptionalAttr<F64Attr>:$scale, UnitAttr:$causal, DefaultValuedAttr<I64Attr, "0">:$causal_offset,
    OptionalAttr<I64Attr>:$window_left, OptionalAttr<I64Attr>:$window_right,
    DefaultValuedAttr<I64Attr, "0">:$sinks, OptionalAttr<F64Attr>:$soft_cap,
    DefaultValuedAttr<Attn_MaskedRowsAttr, "MaskedRows::zero">:$masked_rows);

def Attn_AttentionOp : Attn_DualOp<"attention", [AttrSizedOperandSegments]> {
  let summary = "scaled dot-product attention in all its forms";
  let description = [{
    `out = softmax(mask(softcap(scale·q·kᵀ) + bias)) · v`, scores and softmax in f32.

    **Layouts.** `query [batch, heads, queries, head_dim]`, `key [batch, kv_heads, keys, head_dim]`,
    `value [batch, kv_heads, keys, head_dim_v]`, `out [batch, heads, queries, head_dim_v]`; or packed rank 3,
    `[batch, seq, heads*head_dim]`, which needs `num_heads` (and `num_kv_heads` where it differs) and is never
    copied. Query head h uses kv head `h / (heads/kv_heads)`. After `attn-choose-layouts` key and value are packed:
    `key [batch, kv_heads, ⌈keys/64⌉, head_dim, 64]`, `value [batch, kv_heads, keys, roundup(head_dim_v, 16)]`.
    With `cache %c[%layer]` keys and values are the cached ones, and `key`, `value` are left out.

    **Attributes.** `scale` (default `1/√head_dim`); `soft_cap` c: `c·tanh(s/c)`; `causal`: key j is visible to query
    i when `j ≤ i + offset`, offset = `causal_offset` + the tokens that preceded this call in the cache;
    `window_left`, `window_right`: and `i+offset-left ≤ j ≤ i+offset+right`, except the first `sinks` keys;
    `masked_rows`: what a row with nothing visible yields (`zero`: 0 and lse -inf; `mean`; `trax`).

    **Masks.** `bias`: float, added after the soft cap, or i1 (true keeps), broadcastable to
    `[batch, heads, queries, keys]`; `key_mask [batch, keys]`: integers, non-zero keeps, may be an optional argument;
    `kv_len [batch]`: valid keys. Masked scores are selected, not added.

    **Results.** `out`; with a second result, `lse [batch, heads, queries]` f32, the log of the sum of exponentials.

    Sources: Vaswani et al. 2017; ONNX Attention-24; FlashAttention-2 (Dao 2023).

    ```mlir
    %o = attn.attention %q, %k, %v {causal, num_heads = 12 : i64}
       : (tensor<?x?x768xf32>, tensor<?x?x768xf32>, tensor<?x?x768xf32>) -> tensor<?x?x768xf32>
    ```
    Constraints: (C1) query, key, value have the same rank, 3 or 4 (or key and value are packed), and rank 3 needs
    `num_heads`. (C2) features divide by the heads. (C3) heads are a multiple of kv heads. (C4) key's head_dim equals
    query's. (C5) batches agree; keys of key and value agree. (C6) result is query's shape with head_dim_v.
    (C7) exactly one of key and value, or `cache` with `layer`; the cache's heads and head_dim agree. (C8) `bias`
    broadcasts to `[batch, heads, queries, keys]`. (C9) `key_mask` is `[batch, keys]`, `kv_len` `[batch]`.
    (C10) windows and sinks are not negative, sinks need a window, soft cap is positive. (C11) `lse` is
    `[batch, heads, queries]` f32.
  }];
  let arguments = !con((ins Attn_FloatShaped:$query, Optional<Attn_FloatShaped>:$key,
      Optional<Attn_FloatShaped>:$value, Optional<Attn_CacheType>:$cache, Optional<Index>:$layer,
      Optional<AnyTypeOf<[Attn_FloatShaped, Attn_Shaped<I1>]>>:$bias,
      Optional<Attn_IdShaped>:$key_mask, Optional<Attn_IdShaped>:$kv_len,
      Optional<Attn_FloatBuffer>:$init, Optional<Attn_FloatBuffer>:$lse_init), scoreAttributes);
  let results = (outs Variadic<Attn_FloatTensor>:$outputs); // none on buffers; out; out and lse
  let assemblyFormat = [{
    $query (`,` $key^ `,` $value)? (`cache` $cache^ `[` $layer `]`)? (`bias` $bias^)?
    (`key_mask` $key_mask^)? (`kv_len` $kv_len^)? (`outs` $init^)? (`lse` $lse_init^)? attr-dict
    `:` functional-type(operands, results)
  }];
  let extraClassDeclaration = [{
    /// `out` and `lse` on tensors; null where there is none.
    Value getResult() { return getOutputs().empty() ? Value() : getOutputs()[0]; }
    Value getLse() { return getOutputs().size() < 2 ? Value() : getOutputs()[1]; }
    /// Sizes that follow from types and attributes, the same for every layout.
    int64_t getHeads();
    int64_t getKvHeads();
    int64_t getHeadDim();
    int64_t getHeadDimV();
    /// `scale`, or 1/sqrt(head_dim).
    double getScaleOrDefault();
    /// Whether key and value are in the packed layout.
    bool isPacked() { return getKey() && cast<ShapedType>(getKey().getType()).getRank() == 5; }
  }];
}

def Attn_PackKeysOp : Attn_UnaryOp<"pack_keys", (ins I64Attr:$heads)> {
  let summary = "keys in panels of 64 for the micro-kernel";
  let description = [{
    `[batch, keys, heads*head_dim]` or `[batch, heads, keys, head_dim]` to
    `[batch, heads, ⌈keys/64⌉, head_dim, 64]`, zero beyond the last key: the layout of a cache page.
    Constraints: (C1) features divide by `heads`. (C2) result shape as above.
  }];
  let assemblyFormat = [{ $input `heads` $heads (`outs` $init^)? attr-dict `:` functional-type(operands, results) }];
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
    Constraints: (C1) key and value are rank 3 and agree with the cache's heads and head dims.
  }];
  let arguments = (ins Attn_FloatShaped:$key, Attn_FloatShaped:$value, Attn_CacheType:$cache, Index:$layer);
  let assemblyFormat = [{ $key `,` $value `to` $cache `[` $layer `]` attr-dict
                          `:` type($key) `,` type($value) `,` qualified(type($cache)) }];
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
  let summary = "attention of one block of query rows over all keys of one kv head";
  let description = [{
    The task of `attn.attention`: `query [rows, head_dim]` and `out [rows, head_dim_v]` are strided views of one
    query head, `first` is the index of the first row within the queries, `keys` the number of keys.
    Keys and values are packed panels `key [⌈keys/64⌉, head_dim, 64]`, `value [keys, roundup(head_dim_v, 16)]`, or the
    cache's pages: `pages [elements]`, `table [pages of the sequence]`, `page` keys each, `page_stride` elements apart, this
    head's keys and values at `key_base` and `value_base` within a page, with `past` tokens before this call. `bias [rows, keys]` (the rows may be the same memory) and `key_mask [keys]` as in attention; the latter's presence is only known at run time.
    `scratch` is that of all workers, a row each: the scores of one block, scaled queries, accumulators.

    Blocks of 512 keys at absolute multiples are softmaxed on their own maximum and merged in order:
    `m' = max(m, m_b)`, `o' = o·2^(m-m') + o_b·2^(m_b-m')` (Milakov and Gimelshein 2018), in base 2, so a row's bits
    depend neither on its neighbours nor on how rows are grouped.

    Constraints: (C1) ranks are as above. (C2) exactly one of key and value, or the cache's operands.
  }];
  let arguments = !con((ins Attn_FloatBuffer:$query, Index:$first,
      Index:$keys, Optional<Attn_FloatBuffer>:$key, Optional<Attn_FloatBuffer>:$value,
      Optional<Attn_FloatBuffer>:$pages, Optional<Attn_IdBuffer>:$table, Optional<Index>:$page,
      Optional<Index>:$page_stride, Optional<Index>:$key_base, Optional<Index>:$value_base, Optional<Index>:$past,
      Optional<Attn_FloatBuffer>:$bias, Optional<Attn_IdBuffer>:$key_mask, Attn_FloatBuffer:$init,
      Optional<Attn_FloatBuffer>:$lse,
      Attn_Scratch:$scratch), scoreAttributes);
  let assemblyFormat = [{
    $query `first` $first `keys` $keys (`packed` $key^ `,` $value)?
    (`pages` $pages^ `[` $table `]` `of` $page `stride` $page_stride `at` $key_base `,` $value_base `past` $past)?
    (`bias` $bias^)? (`key_mask` $key_mask^)? `outs` $init (`lse` $lse^)? `scratch` $scratch attr-dict
    `:` type(operands)
  }];
  let hasVerifier = 1;
}

def Attn_WorkerOp : Attn_Op<"worker", [Pure]> {
  let summary = "index of the worker that runs this task";
  let description = [{ Inside the `scf.forall` of a task, or a kernel; selects per-worker scratch memory. }];
  let results = (outs Index:$result);
  let assemblyFormat = "attr-dict";
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
    `op` is the name that profiles show.
    Constraints: (C1) the kernel is a function in this module with these input types and two index arguments.
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Index:$count, Variadic<AnyType>:$inputs, StrAttr:$op);
  let assemblyFormat = "$kernel `[` $count `]` `(` $inputs `)` $op attr-dict (`:` type($inputs)^)?";
}

include "dialect/LinearAttention.td"

#endif // ATTN_OPS_TD
