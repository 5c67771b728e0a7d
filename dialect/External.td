//===- External.td - Functions of the host ---------------------------------------------===//
#ifndef ATTN_EXTERNAL_TD
#define ATTN_EXTERNAL_TD

// Included at the end of AttnOps.td, which holds the base classes.

def Attn_ExternalOp : Attn_DualOp<"external", [AttrSizedOperandSegments]> {
  let summary = "calls a C function of the host";
  let description = [{
    The host's `resolve` gives the function `name` (`attn_external_fn` of attn_abi.h) when the model is opened; a run calls it with
    the inputs and the results, whose dynamic dimensions have the sizes `sizes`, result after result. It must compute results
    from the inputs alone, and may be called from any thread; one run calls one function at a time. Non-zero stops the run with the
    status `callback`.

    ```mlir
    %z = attn.external "addition"(%x, %y) sizes(%batch, %seq)
       : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    ```
    Constraints: (C1) `name` is not empty. (C2) there are results, and at most 64 inputs and results of rank 1 to 8. (C3) elements are
    floats or i64. (C4) `sizes` are as many as the results have dynamic dimensions.
  }];
  let arguments = (ins Variadic<AnyTypeOf<[Attn_FloatShaped, Attn_IdShaped]>>:$inputs, Variadic<Index>:$sizes,
                       Variadic<AnyTypeOf<[Attn_FloatBuffer, Attn_IdBuffer]>>:$inits, StrAttr:$name);
  let results = (outs Variadic<AnyTypeOf<[Attn_FloatTensor, Attn_IdTensor]>>:$outputs); // none on buffers
  let assemblyFormat = [{ $name `(` $inputs `)` (`sizes` `(` $sizes^ `)`)? (`outs` `(` $inits^ `:` type($inits) `)`)? attr-dict
                          `:` functional-type($inputs, $outputs) }];
}

#endif // ATTN_EXTERNAL_TD
