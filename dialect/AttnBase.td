//===- AttnBase.td - The attn dialect, its types, attributes and enums -----------------===//
#ifndef ATTN_BASE_TD
#define ATTN_BASE_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"

def Attn_Dialect : Dialect {
  let name = "attn";
  let cppNamespace = "::attnc::attn";
  let summary = "Attention models: graph, fused and task level";
  let description = [{
    One set of ops serves two forms. On tensors an op has value semantics and a result; after
    `attn-bufferize` the same op works on buffers in destination style: it has no result and
    writes the operand after `outs`. Batch and sequence dimensions may be dynamic; feature
    dimensions are static.

    Parameters are `ml_program.global`s named after the checkpoint's tensors, with an
    `#ml_program.extern` value: weights never pass through the IR. Elementwise addition, casts and
    constants are upstream's `arith`, views are `tensor`'s and `memref`'s.

    Shapes in this document: `[batch, seq, features]`, `[batch, heads, queries, head_dim]`.

    Attributes on functions and their arguments describe the entries of the compiled file:

    | attribute | on | meaning |
    | --- | --- | --- |
    | `attn.name` | argument, result | name at the boundary (default: `arg0`, `out0`, ...) |
    | `attn.dims` | argument, result | names of the dynamic dimensions, in order |
    | `attn.optional` | argument | may be left out at run time |
    | `attn.strided` | argument | any strides but of the innermost dimension; set by the compiler |
    | `attn.int32` | argument of i64 | may be given as int32, too |
    | `attn.bounds` | function | `{seq = array<i64: 1, 512>}`: inclusive bounds of named dimensions |
    | `attn.weights` | module | safetensors files that hold the parameters, relative to the module's file |
    | `attn.metadata` | module | dictionary copied into the file's JSON metadata |
    | `attn.target` | module | `#attn.target<...>`, what passes may know of the target |
  }];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect"];
}

//===----------------------------------------------------------------------===//
// Enums
//===----------------------------------------------------------------------===//

class Attn_Enum<string name, string summary, list<I32EnumCase> cases>
    : I32Enum<name, summary, cases> {
  let cppNamespace = "::attnc::attn";
}

// The names are those of Hugging Face's `hidden_act`; formulas stand in the description of
// `attn.activation`. To add one: a case here and one in passes/Activations.cpp.
def Attn_ActivationKind : Attn_Enum<"ActivationKind", "elementwise activation", [
    I32EnumCase<"none", 0>, I32EnumCase<"relu", 1>, I32EnumCase<"relu2", 2>,
    I32EnumCase<"relu6", 3>, I32EnumCase<"leaky_relu", 4>, I32EnumCase<"gelu", 5>,
    I32EnumCase<"gelu_tanh", 6>, I32EnumCase<"quick_gelu", 7>, I32EnumCase<"silu", 8>,
    I32EnumCase<"tanh", 9>, I32EnumCase<"sigmoid", 10>, I32EnumCase<"mish", 11>,
    I32EnumCase<"elu", 12>, I32EnumCase<"selu", 13>, I32EnumCase<"softplus", 14>,
    I32EnumCase<"hard_sigmoid", 15>, I32EnumCase<"hard_swish", 16>]>;

def Attn_NormKind : Attn_Enum<"NormKind", "normalisation over the last dimension",
    [I32EnumCase<"none", 0>, I32EnumCase<"layer", 1>, I32EnumCase<"rms", 2>]>;

def Attn_PoolKind : Attn_Enum<"PoolKind", "how the tokens of a sequence become one vector", [
    I32EnumCase<"first", 0>, I32EnumCase<"last", 1>, I32EnumCase<"mean", 2>, I32EnumCase<"max", 3>,
    I32EnumCase<"mean_sqrt", 4>, I32EnumCase<"weighted_mean", 5>]>;

def Attn_MaskedRows : Attn_Enum<"MaskedRows", "what a row with no visible key yields",
    [I32EnumCase<"zero", 0>, I32EnumCase<"mean", 1>, I32EnumCase<"trax", 2>]>;

def Attn_ScorePoint : Attn_Enum<"ScorePoint", "where scores are taken that are asked for as a result",
    [I32EnumCase<"raw", 0>, I32EnumCase<"capped", 1>, I32EnumCase<"masked", 2>, I32EnumCase<"softmax", 3>]>;

def Attn_LinearRule : Attn_Enum<"LinearRule", "how linear attention updates its state",
    [I32EnumCase<"linear", 0>, I32EnumCase<"gated", 1>, I32EnumCase<"delta", 2>, I32EnumCase<"gated_delta", 3>]>;

def Attn_ActivationAttr : EnumAttr<Attn_Dialect, Attn_ActivationKind, "act">;
def Attn_PoolAttr : EnumAttr<Attn_Dialect, Attn_PoolKind, "pool">;
def Attn_MaskedRowsAttr : EnumAttr<Attn_Dialect, Attn_MaskedRows, "masked_rows">;
def Attn_LinearRuleAttr : EnumAttr<Attn_Dialect, Attn_LinearRule, "linear_rule">;

def Attn_ScorePointAttr : EnumAttr<Attn_Dialect, Attn_ScorePoint, "score_point">;

//===----------------------------------------------------------------------===//
// Types and attributes
//===----------------------------------------------------------------------===//

def Attn_CacheType : TypeDef<Attn_Dialect, "Cache"> {
  let mnemonic = "cache";
  let summary = "key/value cache of all layers: the state of a decoder";
  let description = [{
    `!attn.cache<layers x kv_heads x head_dim x head_dim_v x type>`, e.g. `!attn.cache<12x12x64x64xf32>`.
    Pages of 64·n keys with one page table per sequence. Within a page keys are stored
    `[layers, kv_heads, page/64, head_dim, 64]` (packed for the micro-kernel) and values
    `[layers, kv_heads, page, roundup(head_dim_v, 16)]`.

    `!attn.cache<6x8x64x64xf32, cross>` is the cross part of the same state: keys and values of an encoder's output for every layer
    of the decoder, in pages of the same kind with a table and a length of their own. One entry fills it, once per sequence; others
    read it.
  }];
  let parameters = (ins "int64_t":$layers, "int64_t":$kvHeads, "int64_t":$headDim,
                        "int64_t":$headDimV, "::mlir::Type":$elementType, "bool":$cross);
  let skipDefaultBuilders = 1;
  let builders = [TypeBuilder<(ins "int64_t":$layers, "int64_t":$kvHeads, "int64_t":$headDim, "int64_t":$headDimV,
                                   "::mlir::Type":$elementType, CArg<"bool", "false">:$cross), [{
    return $_get($_ctxt, layers, kvHeads, headDim, headDimV, elementType, cross);
  }]>];
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

def Attn_TargetAttr : AttrDef<Attn_Dialect, "Target"> {
  let mnemonic = "target";
  let summary = "what the passes may know of a target";
  let description = [{
    Filled in by the backend's row. `lanes`: f32 lanes of a vector register; `row_tile` and
    `panels`: rows and 16-wide weight panels of the matrix micro-kernel's register tile;
    `query_rows` and `key_lanes`: rows and keys of the attention score tile; `row_block`: rows of
    activations that one task of a product handles; `bf16_dot`: products of bf16 are summed in f32 by
    one instruction for pairs, faster than f32 multiply-adds (`--math=bf16`); `device_memory`: what is launched has a memory of
    its own, and the host's is copied.
  }];
  let parameters = (ins StringRefParameter<"row in the backend table">:$name,
                        StringRefParameter<"LLVM CPU name">:$cpu,
                        StringRefParameter<"LLVM feature string">:$features,
                        "int64_t":$lanes, "int64_t":$row_tile, "int64_t":$panels,
                        "int64_t":$query_rows, "int64_t":$key_lanes, "int64_t":$row_block,
                        DefaultValuedParameter<"bool", "false">:$bf16_dot,
                        DefaultValuedParameter<"bool", "false">:$device_memory);
  let assemblyFormat = "`<` struct(params) `>`";
}

//===----------------------------------------------------------------------===//
// Operand constraints
//===----------------------------------------------------------------------===//

def Attn_Float : AnyTypeOf<[F16, BF16, F32, F64]>;
def Attn_Id : AnyTypeOf<[I32, I64]>;

class Attn_Shaped<Type element> : AnyTypeOf<
    [RankedTensorOf<[element]>, StridedMemRefOf<[element]>],
    "ranked tensor or strided buffer of " # element.summary>;
def Attn_FloatShaped : Attn_Shaped<Attn_Float>;
def Attn_IdShaped : Attn_Shaped<Attn_Id>;
def Attn_FloatBuffer : StridedMemRefOf<[Attn_Float]>;
def Attn_IdBuffer : StridedMemRefOf<[Attn_Id]>;
def Attn_Scratch : MemRefRankOf<[I8], [2]>;
def Attn_FloatTensor : RankedTensorOf<[Attn_Float]>;
def Attn_IdTensor : RankedTensorOf<[Attn_Id]>;

#endif // ATTN_BASE_TD
