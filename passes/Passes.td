//===- Passes.td - Every pass of attnc: one file, one lit test, one name ----------------===//
// To add a pass: an entry here, X.cpp, a line in CMakeLists.txt, test/passes/x.mlir, a line in Pipeline.cpp.
#ifndef ATTN_PASSES_TD
#define ATTN_PASSES_TD

include "mlir/Pass/PassBase.td"

def NameDims : Pass<"attn-name-dims", "::mlir::ModuleOp"> {
  let summary = "complete and check the description of every entry";
  let description = [{
    Public functions are the entries of the compiled file. Fills in missing `attn.name` and `attn.dims` of arguments and
    results, finds which dynamic dimensions must be equal by following the ops (an addition's operands, a residual, ...),
    gives equal ones one name, and refuses two names for one dimension, or a result whose dimensions do not follow from
    the inputs.
  }];
}

def RaiseAttention : Pass<"attn-raise-attention", "::mlir::func::FuncOp"> {
  let summary = "products around a softmax to attn.attention";
  let description = [{
    Finds `softmax(q·kᵀ·scale + mask)·v` written with `linalg` products of rank 2, 3 or 4, with or without transposes,
    `tensor.collapse_shape` of batch and heads, constant scales (of the scores, query or key), a soft cap
    `c·tanh(s/c)`, and an added mask or `select(keep, scores, -inf)`. A mask that is a triangle, as a constant or by
    comparing indices, becomes `causal`, any other `bias`. Rank 2 and 3 become packed attention with one head. No scale
    becomes `scale = 1.0`.

    ```mlir
    %s = linalg.batch_matmul indexing_maps = [...] ins(%q, %k : tensor<?x?x64xf32>, tensor<?x?x64xf32>) outs(%zero : ...) -> tensor<?x?x?xf32>
    %scaled = arith.mulf %s, %eighth : tensor<?x?x?xf32>
    %p = linalg.softmax dimension(2) ins(%scaled : ...) outs(...) -> tensor<?x?x?xf32>
    %o = linalg.batch_matmul ins(%p, %v : ...) outs(%zero2 : ...) -> tensor<?x?x64xf32>
    // becomes
    %o = attn.attention %q, %k, %v {num_heads = 1 : i64, scale = 1.250000e-01 : f64} : ... -> tensor<?x?x64xf32>
    ```
  }];
  let dependentDialects = ["::attnc::attn::AttnDialect", "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
}

def DecomposeSoftmax : Pass<"attn-decompose-softmax", "::mlir::func::FuncOp"> {
  let summary = "a softmax that is no attention to elementwise ops and reductions";
  let description = [{
    What `attn-raise-attention` left, as upstream decomposes it: the maximum, the exponentials, their sum, the quotient.

    ```mlir
    %p = linalg.softmax dimension(1) ins(%x : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
    // becomes
    %max = linalg.generic {iterator_types = ["parallel", "reduction"], ...} ins(%x : ...) outs(%lowest : tensor<?xf32>) {...}
    %exp = linalg.generic ... ins(%x, %max : ...) {... math.exp ...}
    %sum = linalg.generic {iterator_types = ["parallel", "reduction"], ...} ins(%exp : ...) outs(%zero : ...) {...}
    %p = linalg.generic ... ins(%exp, %sum : ...) {... arith.divf ...}
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
                           "::mlir::tensor::TensorDialect"];
}

def FoldLayouts : Pass<"attn-fold-layouts", "::mlir::func::FuncOp"> {
  let summary = "splitting and merging heads becomes indexing of attention";
  let description = [{
    Attention over query, key and value that were split into heads, with heads merged after it, becomes packed attention:
    nothing is copied. `linalg.transpose` of `[batch, seq, heads, head_dim]` counts as a split or merge.

    ```mlir
    %q = attn.split_heads %x into 12 : (tensor<?x?x768xf32>) -> tensor<?x12x?x64xf32>
    // likewise %k, %v
    %a = attn.attention %q, %k, %v {causal} : ... -> tensor<?x12x?x64xf32>
    %o = attn.merge_heads %a : (tensor<?x12x?x64xf32>) -> tensor<?x?x768xf32>
    // becomes
    %o = attn.attention %x, %y, %z {causal, num_heads = 12 : i64} : ... -> tensor<?x?x768xf32>
    ```
  }];
  let dependentDialects = ["::attnc::attn::AttnDialect", "::mlir::tensor::TensorDialect"];
}

def FuseEpilogues : Pass<"attn-fuse-epilogues", "::mlir::func::FuncOp"> {
  let summary = "bias, activation and residual into products and lookups";
  let description = [{
    An addition of a vector repeated over all rows becomes the `bias` of the `attn.linear` before it, an activation its
    `activation`, an addition of another tensor its `residual`; of two products the later one adds the other. An
    `attn.embedding` takes a residual too. The order is `activation(x·W + bias) + residual`.

    ```mlir
    %0 = attn.linear %x, %w : ...
    %1 = linalg.broadcast ins(%b : tensor<3072xf32>) outs(...) dimensions = [0, 1]
    %2 = arith.addf %0, %1 : tensor<?x?x3072xf32>
    %3 = attn.activation gelu_tanh %2 : ...
    // becomes
    %3 = attn.linear %x, %w bias %b activation gelu_tanh : ...
    ```
  }];
  let dependentDialects = ["::attnc::attn::AttnDialect"];
}

def FuseProjections : Pass<"attn-fuse-projections", "::mlir::ModuleOp"> {
  let summary = "products of one input become one product";
  let description = [{
    `attn.linear`s of one input without activation and residual become one over `attn.concat_parameters` of their weights
    (and biases), with slices of its result. Weights are parameters, or arguments of a block function: then its callers
    join what they pass.

    ```mlir
    %q = attn.linear %x, %wq : (tensor<?x?x768xf32>, tensor<768x768xf32>) -> tensor<?x?x768xf32>
    %k = attn.linear %x, %wk : (tensor<?x?x768xf32>, tensor<768x256xf32>) -> tensor<?x?x256xf32>
    // becomes
    %w = attn.concat_parameters %wq, %wk dim 1 : (tensor<768x768xf32>, tensor<768x256xf32>) -> tensor<768x1024xf32>
    %qk = attn.linear %x, %w : (tensor<?x?x768xf32>, tensor<768x1024xf32>) -> tensor<?x?x1024xf32>
    %q = tensor.extract_slice %qk[0, 0, 0] [%b, %s, 768] [1, 1, 1] : ...
    %k = tensor.extract_slice %qk[0, 0, 768] [%b, %s, 256] [1, 1, 1] : ...
    ```
  }];
  let dependentDialects = ["::attnc::attn::AttnDialect", "::mlir::tensor::TensorDialect"];
}

def ExpandScores : Pass<"attn-expand-scores", "::mlir::func::FuncOp"> {
  let summary = "biases and masks that have a name to regions of attention";
  let description = [{
    `alibi` and `relative` are added to what the score region yields, in this order, and `prefix` and `documents` are
    and-ed to the mask region, so that these and the user's own regions have one lowering. `prefix` takes the place of
    `causal`, which it contains. `causal`, windows, soft cap, key lengths, `key_mask` and `bias` stay as they are.

    ```mlir
    %o = attn.attention %q, %k, %v alibi %slopes documents %ids {causal} : ...
    // becomes
    %o = attn.attention %q, %k, %v {causal} score(%s, %b, %h, %i, %j) {
      %slope = attn.load %slopes[%h] : tensor<12xf32>
      %distance = arith.subi %j, %i : i32
      %0 = arith.sitofp %distance : i32 to f32
      %1 = arith.mulf %slope, %0 : f32
      %2 = arith.addf %s, %1 : f32
      attn.yield %2 : f32
    } mask(%b, %h, %i, %j) {
      %own = attn.load %ids[%b, %i] : tensor<?x?xi32>
      %other = attn.load %ids[%b, %j] : tensor<?x?xi32>
      %same = arith.cmpi eq, %own, %other : i32
      attn.yield %same : i1
    } : ...
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def PrintTileMap : Pass<"attn-print-tile-map", "::mlir::ModuleOp"> {
  let summary = "print which tiles of masked attention are skipped, full or partial";
  let description = [{
    For every `attn.attention` that hides keys, a line for each row of tiles: `.` where a tile is skipped, `#` where all of it is
    visible, `+` where the mask is computed. Tensors are unknown at compile time, so what depends on their values is `+`, but
    at run time a tile is decided by bounds of 64 elements. A map for every batch row or head if the mask region uses it.

    ```mlir
    %o = attn.attention %q, %k, %v {causal, num_heads = 4 : i64} : (tensor<1x192x32xf32>, ...)
    // prints
    @f: batch 0, head any, 192 queries x 192 keys in tiles of 64 x 64
    +..
    #+.
    ##+
    3 skipped, 3 full, 3 partial
    ```
  }];
  let options = [
    Option<"queries", "queries", "int64_t", "-1", "Number of queries where it is dynamic">,
    Option<"keys", "keys", "int64_t", "-1", "Number of keys where it is dynamic">,
    Option<"tileRows", "tile-rows", "int64_t", "64", "Queries of a tile">,
    Option<"tileKeys", "tile-keys", "int64_t", "64", "Keys of a tile">,
    ListOption<"batch", "batch", "int64_t", "Batch rows to print; all if empty">,
    ListOption<"heads", "heads", "int64_t", "Query heads to print; all if empty">,
    Option<"remarks", "remarks", "bool", "false", "Only the counts, as remarks, where all sizes are static">];
}

def ChooseLayouts : Pass<"attn-choose-layouts", "::mlir::func::FuncOp"> {
  let summary = "keys and values in the micro-kernel's layout";
  let description = [{
    An attention over keys and values that are not cached packs them once, in the layout of a cache page; all query blocks
    and heads read that. In a ragged batch each sequence starts a panel. An entry's inputs that are only query, key or value
    are marked `attn.strided`: callers need not pass them contiguous.

    ```mlir
    %o = attn.attention %q, %k, %v {num_heads = 4 : i64} : (tensor<?x?x64xf32>, ...)
    // becomes
    %kp = attn.pack_keys %k heads 4 : (tensor<?x?x64xf32>) -> tensor<?x4x?x16x64xf32>
    %vp = attn.pack_values %v heads 4 : (tensor<?x?x64xf32>) -> tensor<?x4x?x16xf32>
    %o = attn.attention %q, %kp, %vp {num_heads = 4 : i64, num_kv_heads = 4 : i64} : ...
    ```
  }];
}

def PackWeights : Pass<"attn-pack-weights", "::mlir::ModuleOp"> {
  let summary = "parameters in their final layout and place in the weights segment";
  let description = [{
    Weights of `attn.linear` become panels of 16 columns (see the op), the same for every instruction set; an embedding
    that shares its table with a linear reads the panels. Of `attn.expert_linear` each expert's weight does. Vectors are
    widened to f32. `attn.concat_parameters` and `attn.stack_parameters` become one parameter with several sources. Every parameter in use gets `attn.pack` (how), `attn.source` (from what) and
    `attn.offset` (where); unused ones are dropped. Only types and attributes change: the bytes are written when the file is.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def Bufferize : Pass<"attn-bufferize", "::mlir::ModuleOp"> {
  let summary = "tensors to buffers, results to caller-allocated arguments";
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::memref::MemRefDialect", "::mlir::arith::ArithDialect"];
  let description = [{
    Every op becomes its buffer form, with a `memref.alloc` for each result that is not the function's. A function's arguments
    become: the run's context, inputs, outputs, (pages, table, past, page) if it uses a cache, weights, workspace,
    workers. A call passes the workspace that `CALLEE.workspace(dims..., workers)` asks for.
    Arguments with `attn.strided` have any strides but the innermost; regions of attention load from buffers. A constant
    tensor becomes a `memref.global`.
    Own code because results have dynamic sizes, which upstream's buffer-results-to-out-params refuses.
  }];
}

def OutlinePipelines : Pass<"attn-outline-pipelines", "::mlir::ModuleOp"> {
  let summary = "ops that the device computes to launches of pipelines";
  let description = [{
    Ops on buffers that the backend says it compiles for its device (here: those of the names `ops`) become `attn.launch`; what
    they compute is an `attn.pipeline`, one for all ops that are equal but for the strides of their buffers. All other ops are
    the host's, with a remark that says why.

    ```mlir
    attn.layer_norm %x, %scale, %shift outs %y : ...
    // becomes
    attn.launch @layer_norm(%x, %scale, %shift) outs(%y) "layer_norm" flop %f bytes %b : ...
    attn.pipeline @layer_norm {
    ^bb0(%a: memref<?x?x64xf32>, %b: memref<64xf32>, %c: memref<64xf32>, %d: memref<?x?x64xf32>):
      attn.layer_norm %a, %b, %c outs %d : ...
    }
    ```
  }];
  let dependentDialects = ["::attnc::attn::AttnDialect", "::mlir::arith::ArithDialect"];
  let options = [ListOption<"ops", "ops", "std::string", "Ops that are launched">];
}

def InsertCopies : Pass<"attn-insert-copies", "::mlir::func::FuncOp"> {
  let summary = "copies around what the host computes for a device";
  let description = [{
    Where the target says `device_memory`, the device's memory holds every buffer's content between ops. An op of the host gets
    copies of what it reads before it, but for inputs and parameters, and of what it writes behind it. Inputs and outputs of
    the model are copied by the support code.

    ```mlir
    attn.positions %ids outs %p : (memref<?x?xi64>, memref<?x?xi64>) -> ()
    // becomes
    attn.positions %ids outs %p : (memref<?x?xi64>, memref<?x?xi64>) -> ()
    attn.copy_to_device %p : memref<?x?xi64>
    ```
  }];
  let dependentDialects = ["::attnc::attn::AttnDialect"];
}

def RangeCaptures : Pass<"attn-range-captures", "::mlir::func::FuncOp"> {
  let summary = "bounds of the integer buffers that masks capture";
  let description = [{
    A load in a mask region whose last index moves with the query or the key gets the `ranges` of its buffer, computed once
    per run and buffer, by which attention finds the tiles that it need not compute.

    ```mlir
    attn.attention %q, %k, %v outs %o {num_heads = 4 : i64} mask(%b, %h, %i, %j) {
      %id = attn.load %ids[%b, %j] : memref<?x?xi32>
      ...
    // becomes
    %ranges = memref.alloc(%batch, %blocks) : memref<2x?x?xi32>
    attn.block_range %ids outs %ranges : memref<?x?xi32>, memref<2x?x?xi32>
    attn.attention %q, %k, %v outs %o {num_heads = 4 : i64} mask(%b, %h, %i, %j) {
      %id = attn.load %ids[%b, %j] ranges %ranges : memref<2x?x?xi32> : memref<?x?xi32>
      ...
    ```
  }];
  let dependentDialects = ["::mlir::memref::MemRefDialect", "::mlir::arith::ArithDialect"];
}

def TileToTasks : Pass<"attn-tile-to-tasks", "::mlir::ModuleOp"> {
  let summary = "ops on buffers to parallel tasks";
  let dependentDialects = ["::mlir::vector::VectorDialect", "::mlir::scf::SCFDialect", "::mlir::memref::MemRefDialect", "::mlir::arith::ArithDialect"];
  let description = [{
    Every op becomes an `scf.forall` whose body is one task: the same op on subviews (attention: `attn.online_attention`).
    How work is split depends on sizes only, never on the number of workers. Scratch memory is an allocation of
    `workers` rows.

    A task of attention is up to 64 rows (query, head): a block of queries of all query heads that share a kv head, as one
    view `[queries, group, head_dim]`, over all keys. One query, known to be one at compile time, over more than 512 keys is
    split over them where batch and heads are few: at most 64 parts of whole blocks (`partial`), which a second `scf.forall`
    merges. Where parts begin follows from each sequence's own length. Sequences of a ragged batch have tasks of their own.
    `scores` are a second walk, after the result.

    ```mlir
    attn.attention %q, %kp, %vp outs %o {num_heads = 8 : i64, num_kv_heads = 2 : i64} : (memref<?x?x512xf32>, ...) -> ()
    // becomes
    scf.forall (%task) in (%tasks) { // batch rows × 2 × ⌈queries/16⌉
      %rows = memref.subview %heads[%b, %first, %head, 0] [1, %count, 4, 64] [1, 1, 1, 1] : ... to memref<?x4x64xf32, ...>
      ...
      attn.online_attention %rows batch %b head %head first %first offset %c0 keys %keys packed %k, %v ...
    } {attn.op = "attention"}
    ```
  }];
}

def ReuseBuffers : Pass<"attn-reuse-buffers", "::mlir::ModuleOp"> {
  let summary = "one buffer for input and output of a call";
  let description = [{
    A call writes its output into the buffer of an input that is not used later, if the callee reads that for the last time
    before it writes the output. In between the callee's own buffers of that shape lie there.

    ```mlir
    %x = memref.alloc(%rows) : memref<?x64xf32>
    %y = memref.alloc(%rows) : memref<?x64xf32>
    call @block(%ctx, %x, %y, ...)
    call @head(%ctx, %y, ...)
    // becomes
    %x = memref.alloc(%rows) : memref<?x64xf32>
    call @block(%ctx, %x, %x, ...)
    call @head(%ctx, %x, ...)
    ```
  }];
}

def PlanWorkspace : Pass<"attn-plan-workspace", "::mlir::ModuleOp"> {
  let summary = "allocations to offsets in one workspace";
  let description = [{
    Each buffer lies right above those before it whose lifetimes meet its own: a constant number of bytes times dimensions,
    or the greatest of several such sums, computed at entry; at multiples of 64 bytes, of 512 with `device_memory`. The order, which decides how much is wasted, is the best found for
    a few sizes. Fills in `NAME.workspace`, the bytes needed, or -1 if that is 2^62 or more.
  }];
}

def EmitLoops : Pass<"attn-emit-loops", "::mlir::ModuleOp"> {
  let summary = "tasks to vector loops";
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect", "::mlir::math::MathDialect",
                           "::mlir::memref::MemRefDialect", "::mlir::linalg::LinalgDialect"];
  let description = [{
    Each op has one emitter; what no other pass replaced is refused here.

    | file | ops |
    | --- | --- |
    | EmitLinear.cpp | `linear` |
    | EmitPack.cpp | `pack_keys`, `pack_values`, `cache_append` |
    | EmitAttention.cpp | `online_attention`: blocks of 512 keys, their softmax and product |
    | EmitMerge.cpp | `merge_attention`, and how softmax states over different keys become one |
    | EmitScores.cpp | of these the scores: products, classes of tiles, masks, biases |
    | RegionLanes.cpp | of these the regions: a vector of keys at a time |
    | EmitLinearAttention.cpp | `linear_attention` |
    | EmitRelativeBias.cpp, EmitRanges.cpp | `relative_bias`, `block_range` |
    | EmitRows.cpp | norms, embeddings and the other ops on rows |
  }];
}

def OutlineTasks : Pass<"attn-outline-tasks", "::mlir::ModuleOp"> {
  let summary = "task bodies to kernel functions";
  let description = [{
    `scf.forall` becomes `attn.dispatch @kernel[count](captures)`. Kernels that are equal are one function.
  }];
}

def ConvertToLLVM : Pass<"attn-convert-to-llvm", "::mlir::ModuleOp"> {
  let summary = "dispatch, launch and fail to calls of the support code, math to polynomials";
  let description = [{
    Pipelines become text in the module's `attn.pipelines`, which the backend reads. What is left are upstream dialects, which upstream's conversions take to the LLVM dialect.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::scf::SCFDialect", "::mlir::arith::ArithDialect"];
}

#endif // ATTN_PASSES_TD
