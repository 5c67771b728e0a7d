//===- Positions.td - Positions of tokens, and what is computed from them -------------------===//
#ifndef ATTN_POSITIONS_TD
#define ATTN_POSITIONS_TD

// Included at the end of AttnOps.td, which holds the base classes.

def Attn_PositionsOp : Attn_DualOp<"positions", [AttrSizedOperandSegments]> {
  let summary = "position of every token in its own sequence";
  let description = [{
    `given[b, s]` if the optional argument `given` is present at run time, else one of
    - `past[b] + s`, where `past` is the number of tokens the cache holds (0 without a cache);
    - with `mask [batch, keys]`, unless it is an optional argument that is absent at run time: how many of the row's first
      `past[b] + s + 1` elements are not zero, minus 1, at least 0: padding does not count (OPT). Keys beyond the mask's
      last count as 0;
    - with `pad`: `pad` + how many of `ids[b, 0]` to `ids[b, s]` are not `pad`, and `pad` where `ids[b, s]` is (RoBERTa).

    Shape and type follow `ids`.

    ```mlir
    %p = attn.positions %ids given %position_ids cache %c
       : (tensor<?x?xi64>, tensor<?x?xi64>, !attn.cache<12x12x64x64xf32>) -> tensor<?x?xi64>
    ```
    Constraints: (C1) `ids`, `given` and the result have the same shape and element type, rank 2. (C2) `mask` is
    `[batch, keys]`, `[batch, seq]` without a cache. (C3) `pad` excludes `cache` and `mask`.
  }];
  let arguments = (ins Attn_IdShaped:$ids, Optional<Attn_IdShaped>:$given, Optional<Attn_CacheType>:$cache,
                       Optional<Attn_IdShaped>:$mask, Optional<Attn_IdBuffer>:$init, OptionalAttr<I64Attr>:$pad);
  let results = (outs Optional<Attn_IdTensor>:$result);
  let assemblyFormat = [{ $ids (`given` $given^)? (`cache` $cache^)? (`mask` $mask^)? (`outs` $init^)? attr-dict
                          `:` functional-type(operands, results) }];
}

def Attn_PositionalEncodingOp : Attn_DualOp<"positional_encoding"> {
  let summary = "sinusoidal position vectors (Vaswani et al. 2017, section 3.5)";
  let description = [{
    `result[b, s, 2i] = sin(p / 10000^(2i/width))`, `result[b, s, 2i+1] = cos(...)`, with
    `p = positions[b, s]`; with `halves` all sines first: `result[b, s, i]` and `result[b, s, ⌈width/2⌉ + i]` (Marian, Pegasus).
    Learned positions are an `attn.embedding` of `attn.positions`.
    Constraints: (C1) result is `positions`' shape plus a width.
  }];
  let arguments = (ins Attn_IdShaped:$positions, Optional<Attn_FloatBuffer>:$init, UnitAttr:$halves);
  let results = (outs Optional<Attn_FloatTensor>:$result);
  let assemblyFormat = [{ $positions (`outs` $init^)? attr-dict `:` functional-type(operands, results) }];
}

def Attn_RotaryTableOp : Attn_DualOp<"rotary_table"> {
  let summary = "cosines and sines of every token's rotary angles";
  let description = [{
    `result[b, s, i] = scale·cos(p·f_i)`, `result[b, s, F + i] = scale·sin(p·f_i)`, with `p = positions[b, s]` and the F
    `frequencies` f, for example `theta^(-2i/rotary_dim)`. Angles are computed in f64.

    Rows of the batch whose largest position is at least `long_from` have other frequencies: `long_frequencies` (Phi-3's longrope), or
    with `ntk_factor` `f_i·g^(-2i/(2F-2))`, `g = ntk_factor·L/long_from - (ntk_factor - 1)`, L = largest position + 1 (dynamic
    NTK; by row, so that a token depends on its own sequence only).

    ```mlir
    %t = attn.rotary_table %positions {frequencies = array<f64: 1.0, 0.01>} : (tensor<?x?xi64>) -> tensor<?x?x4xf32>
    ```
    Constraints: (C1) `positions` is `[batch, seq]`, the result `[batch, seq, 2F]` f32. (C2) there are 1 to 65536
    frequencies, finite ones. (C3) there are as many `long_frequencies`. (C4) `long_from` is given exactly with one of
    `long_frequencies` and `ntk_factor`, and positive; `ntk_factor` is positive and needs 2 frequencies.
  }];
  let arguments = (ins Attn_IdShaped:$positions, Optional<Attn_FloatBuffer>:$init, DenseF64ArrayAttr:$frequencies,
                       DefaultValuedAttr<F64Attr, "1.0">:$scale, OptionalAttr<DenseF64ArrayAttr>:$long_frequencies,
                       OptionalAttr<I64Attr>:$long_from, OptionalAttr<F64Attr>:$ntk_factor);
  let results = (outs Optional<Attn_FloatTensor>:$result);
  let assemblyFormat = [{ $positions (`outs` $init^)? attr-dict `:` functional-type(operands, results) }];
}

def Attn_RotaryOp : Attn_DualOp<"rotary"> {
  let summary = "rotary position embedding (Su et al. 2021)";
  let description = [{
    Rotates pairs of the first R values of each head of `input [batch, seq, heads*head_dim]` by the angles whose cosines and
    sines are in `table [batch, seq, R]` (see `attn.rotary_table`), and copies the others. Pairs are `(i, i + R/2)`, or
    `(2i, 2i+1)` with `interleaved`.

    ```mlir
    %y = attn.rotary %x by %table heads 4 : (tensor<?x?x256xf32>, tensor<?x?x64xf32>) -> tensor<?x?x256xf32>
    ```
    Constraints: (C1) result has the input's type. (C2) features divide by `heads`. (C3) `table` is `[batch, seq, R]` f32,
    R is even and at most head_dim.
  }];
  let arguments = (ins Attn_FloatShaped:$input, Attn_FloatShaped:$table, Optional<Attn_FloatBuffer>:$init,
      I64Attr:$heads, UnitAttr:$interleaved);
  let results = (outs Optional<Attn_FloatTensor>:$result);
  let assemblyFormat = [{ $input `by` $table `heads` $heads (`outs` $init^)? attr-dict
                          `:` functional-type(operands, results) }];
}

#endif // ATTN_POSITIONS_TD
