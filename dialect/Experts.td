//===- Experts.td - Mixture of experts ---------------------------------------------------===//
#ifndef ATTN_EXPERTS_TD
#define ATTN_EXPERTS_TD

// Included at the end of AttnOps.td, which holds the base classes.

def Attn_RouteOp : Attn_DualOp<"route", [AttrSizedOperandSegments]> {
  let summary = "which experts see a token, and how much each counts (Shazeer et al. 2017)";
  let description = [{
    `logits [..., experts]`. `experts[..., c]`, 0 ≤ c < top_k, are the largest logits in descending order, the lowest index
    first among equal ones; `weights[..., c]` the softmax over these alone, computed in f32. That is Mixtral's softmax over all
    experts, made to sum to 1 again for those that are chosen, too. NaN is never chosen; where fewer than `top_k` others are
    left, the token's weights are NaN.

    ```mlir
    %weights, %experts = attn.route %logits top_k 2
      : (tensor<?x?x8xf32>) -> (tensor<?x?x2xf32>, tensor<?x?x2xi64>)
    ```
    Constraints: (C1) `logits` has rank at least 2 and from 1 to 65536 experts. (C2) 1 ≤ top_k ≤ experts. (C3) results are
    logits' shape with `top_k`, `weights` f32 and `experts` i64.
  }];
  let arguments = (ins Attn_FloatShaped:$logits, Optional<Attn_FloatBuffer>:$init, Optional<Attn_IdBuffer>:$experts_init,
                       I64Attr:$top_k);
  let results = (outs Variadic<AnyTypeOf<[Attn_FloatTensor, Attn_IdTensor]>>:$outputs); // weights, experts; none on buffers
  let assemblyFormat = [{ $logits `top_k` $top_k (`outs` $init^ `,` $experts_init)? attr-dict
                          `:` functional-type(operands, results) }];
}

def Attn_ExpertLinearOp : Attn_DualOp<"expert_linear", [AttrSizedOperandSegments]> {
  let summary = "matrix product of every token with the weights of the experts it chose";
  let description = [{
    `result[..., c, :] = x · W[experts[..., c]] + bias[experts[..., c]]` where x is `input[..., :]`, or `input[..., c, :]` if
    there is one for each choice. `experts [..., top_k]` as of `attn.route`, `weight [experts, K, N]` (or `[experts, N, K]`
    with `transpose_weight`), `bias [experts, N]`, result `[..., top_k, N]`. Products are summed as in `attn.linear`: a token's
    bits do not depend on the others. An expert outside 0 ≤ e < experts stops the run with the status `range`.

    Choices are sorted by expert, blocks of them are rows of one product, and of the weights those of chosen experts alone
    are read. In a task, `experts` are the choices (token·top_k + c) of one block, rows of the result; row n of `input` is read by
    the choices n·top_k ≤ choice < (n + 1)·top_k; `weight` and `bias` are columns of one expert; `scratch` as in `attn.linear`.

    After `attn-pack-weights` each expert is packed as in `attn.linear`: f32 `[experts, ⌈N/16⌉, K, 16]`, 16-bit types
    `[experts, ⌈N/16⌉, ⌈K/2⌉, 16, 2]`.

    ```mlir
    %y = attn.expert_linear %x, %w bias %b experts %experts
       : (tensor<?x?x768xf32>, tensor<8x768x3072xf32>, tensor<8x3072xf32>, tensor<?x?x2xi64>) -> tensor<?x?x2x3072xf32>
    ```
    Constraints: (C1) `input` has experts' leading dimensions, or all of them, before a static K. (C2) result has all of experts'
    before a static N. (C3) `weight` is `[experts, K, N]`, `[experts, N, K]` with `transpose_weight`, or packed, of 1 to 65536
    experts. (C4) `bias` is `[experts, N]`. (C5) `experts` is i64, with a static last dimension from 1 to 65536, and rank at least 2.
    (C6) a task has `top_k`, and its operands have the ranks above.
  }];
  let arguments = (ins Attn_FloatShaped:$input, Attn_FloatShaped:$weight, Optional<Attn_FloatShaped>:$bias,
                       Attn_IdShaped:$experts, Optional<Attn_FloatBuffer>:$init, Optional<Attn_Scratch>:$scratch,
                       UnitAttr:$transpose_weight, OptionalAttr<I64Attr>:$top_k);
  let results = (outs Optional<Attn_FloatTensor>:$result);
  let assemblyFormat = [{ $input `,` $weight (`bias` $bias^)? `experts` $experts (`outs` $init^)? (`scratch` $scratch^)?
                          attr-dict `:` functional-type(operands, results) }];
  let extraClassDeclaration = [{
    /// Experts that there are, and that a token chooses; not of a task.
    int64_t getNumExperts() { return cast<ShapedType>(getWeight().getType()).getDimSize(0); }
    int64_t getChoices() { return cast<ShapedType>(getExperts().getType()).getShape().back(); }
  }];
}

def Attn_CombineExpertsOp : Attn_DualOp<"combine_experts", [AttrSizedOperandSegments]> {
  let summary = "what a token's experts say, weighted";
  let description = [{
    `result[..., :] = Σ_c weights[..., c]·input[..., c, :] (+ residual[..., :])` in order of c, `input [..., top_k, N]`.

    ```mlir
    %y = attn.combine_experts %e weights %w residual %x
       : (tensor<?x?x2x768xf32>, tensor<?x?x2xf32>, tensor<?x?x768xf32>) -> tensor<?x?x768xf32>
    ```
    Constraints: (C1) `input` has rank at least 3 with static last dimensions top_k and N, top_k at least 1. (C2) `weights` is
    input's shape without N, and the result without top_k. (C3) `residual` has the result's type.
  }];
  let arguments = (ins Attn_FloatShaped:$input, Attn_FloatShaped:$weights, Optional<Attn_FloatShaped>:$residual,
                       Optional<Attn_FloatBuffer>:$init);
  let results = (outs Optional<Attn_FloatTensor>:$result);
  let assemblyFormat = [{ $input `weights` $weights (`residual` $residual^)? (`outs` $init^)? attr-dict
                          `:` functional-type(operands, results) }];
}

def Attn_StackParametersOp : Attn_Op<"stack_parameters", [Pure]> {
  let summary = "parameters of one type along a new first dimension, at compile time";
  let description = [{
    Experts that are tensors of their own, `[K, N]`, become one parameter `[experts, K, N]`. Operands are
    `ml_program.global_load_const`s or `attn.concat_parameters`; `attn-pack-weights` turns the op into one parameter.

    ```mlir
    %w = attn.stack_parameters %w0, %w1 : (tensor<768x3072xf32>, tensor<768x3072xf32>) -> tensor<2x768x3072xf32>
    ```
    Constraints: (C1) there are operands, of one static type of rank at least 1. (C2) the result is their number before their shape.
  }];
  let arguments = (ins Variadic<Attn_FloatTensor>:$inputs);
  let results = (outs Attn_FloatTensor:$result);
  let assemblyFormat = "$inputs attr-dict `:` functional-type($inputs, $result)";
  let hasVerifier = 1;
}

#endif // ATTN_EXPERTS_TD
