//===- LinearAttention.td - attn.linear_attention ------------------------------------------===//
#ifndef ATTN_LINEAR_ATTENTION_TD
#define ATTN_LINEAR_ATTENTION_TD

// Included at the end of AttnOps.td, which holds the base classes.

def Attn_LinearAttentionOp : Attn_DualOp<"linear_attention", [AttrSizedOperandSegments]> {
  let summary = "attention without softmax, as a recurrence over a matrix state";
  let description = [{
    For every batch row and kv head a state `S [head_dim, head_dim_v]` is updated token by token and read by the query:

    | rule | update |
    | --- | --- |
    | `linear` | `S = S + k ⊗ v` |
    | `gated` | `S = diag(exp(g))·S + k ⊗ v` |
    | `delta` | `S = S + β·k ⊗ (v - Sᵀk)` |
    | `gated_delta` | `S' = diag(exp(g))·S`, `S = S' + β·k ⊗ (v - S'ᵀk)` |

    `out = scale·Sᵀq` after the update; `scale` defaults to `1/√head_dim`. Everything is computed in f32.

    **Layouts.** Packed rank 3 as in `attn.attention`: `query [batch, seq, heads*head_dim]`,
    `key [batch, seq, kv_heads*head_dim]`, `value [batch, seq, kv_heads*head_dim_v]`,
    `out [batch, seq, heads*head_dim_v]`, with `num_heads` (and `num_kv_heads` where it differs); or rank 4,
    `[batch, heads, seq, head_dim]`. Query head h reads the state of kv head `h / (heads/kv_heads)`. In both:
    `decay [batch, seq, kv_heads*head_dim]`, one per key dimension, or `[batch, seq, kv_heads]`, is the logarithm g of
    the factor; `beta [batch, seq, kv_heads]` or `[batch, seq, 1]` is β; `state [batch, kv_heads, head_dim, head_dim_v]`
    f32 is S before the first token, 0 if left out. Delta rules expect keys of length 1.

    **Results.** `out`; with a second result, f32 S after the last token, to be `state` of the next call.

    In a task, the same op for one batch row and kv head, `scratch` is that of all workers, a row each.

    Sources: ONNX LinearAttention-27; Katharopoulos et al. 2020; Yang et al. 2024 (gated linear attention, the delta
    rule over chunks, gated delta networks).

    ```mlir
    %o, %new = attn.linear_attention gated_delta %q, %k, %v decay %g beta %b state %s {num_heads = 4 : i64}
       : (tensor<?x?x256xf32>, tensor<?x?x256xf32>, tensor<?x?x256xf32>, tensor<?x?x4xf32>, tensor<?x?x4xf32>,
          tensor<?x4x64x64xf32>) -> (tensor<?x?x256xf32>, tensor<?x4x64x64xf32>)
    ```
    Constraints: (C1) query, key and value have the same rank, 3 or 4, and rank 3 needs `num_heads`. (C2) features
    divide by the heads. (C3) heads are a multiple of kv heads. (C4) key's head_dim equals query's; batch and seq agree.
    (C5) `decay` is given exactly for the gated rules, `beta` exactly for the delta rules, with shapes as above.
    (C6) `out` is query's shape with head_dim_v, and its element type. (C7) states are
    `[batch, kv_heads, head_dim, head_dim_v]`, f32. (C8) heads, head_dim and head_dim_v are from 1 to 65536. (C9) a task
    has one batch row and one kv head.
  }];
  let arguments = (ins Attn_LinearRuleAttr:$rule, Attn_FloatShaped:$query, Attn_FloatShaped:$key,
      Attn_FloatShaped:$value, Optional<Attn_FloatShaped>:$decay, Optional<Attn_FloatShaped>:$beta,
      Optional<Attn_FloatShaped>:$state, Optional<Attn_FloatBuffer>:$init, Optional<Attn_FloatBuffer>:$state_init,
      Optional<Attn_Scratch>:$scratch, OptionalAttr<I64Attr>:$num_heads, OptionalAttr<I64Attr>:$num_kv_heads,
      OptionalAttr<F64Attr>:$scale);
  let results = (outs Variadic<Attn_FloatTensor>:$outputs); // none on buffers; out; out and the new state
  let assemblyFormat = [{
    $rule $query `,` $key `,` $value (`decay` $decay^)? (`beta` $beta^)? (`state` $state^)?
    (`outs` $init^ (`,` $state_init^)?)? (`scratch` $scratch^)? attr-dict `:` functional-type(operands, results)
  }];
  let extraClassDeclaration = [{
    /// `out` and the new state on tensors; null where there is none.
    Value getResult() { return getOutputs().empty() ? Value() : getOutputs()[0]; }
    Value getNewState() { return getOutputs().size() < 2 ? Value() : getOutputs()[1]; }
    /// Sizes that follow from types and attributes, the same for both layouts.
    int64_t getHeads();
    int64_t getKvHeads();
    int64_t getHeadDim();
    int64_t getHeadDimV();
    /// Dimension of query that counts tokens.
    int64_t getSeqDim();
    /// Whether decay is one number per key dimension rather than per head.
    bool isDecayPerDim();
    /// `scale`, or 1/sqrt(head_dim).
    double getScaleOrDefault();
  }];
}

#endif // ATTN_LINEAR_ATTENTION_TD
