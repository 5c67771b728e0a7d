// RUN: attn-opt %s --attn-name-dims --attn-choose-layouts | FileCheck %s --check-prefix=STRIDED
// RUN: attn-opt %s --attn-name-dims --attn-bufferize --canonicalize --attn-tile-to-tasks --canonicalize | FileCheck %s --check-prefix=TASKS
// RUN: attn-opt %s --attn-name-dims --attn-bufferize --canonicalize --attn-tile-to-tasks --attn-emit-loops --canonicalize --cse | FileCheck %s

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v3", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 4, key_lanes = 16, row_block = 60>} {
  // Its inputs are read through views: any strides will do.
  // STRIDED: func.func @heads(%arg0: tensor<?x?x256xf32> {{{.*}}attn.strided}, {{.*}} %arg5: tensor<?x2x64x24xf32> {{{.*}}attn.strided})

  // One task is the op on one kv head of one batch row: query heads 2n and 2n + 1, the head's decay, the β that all share.
  // TASKS-LABEL: func.func @heads
  // TASKS: memref.alloc(%{{.*}}) : memref<?x{{[0-9]+}}xi8>
  // TASKS: scf.forall
  // TASKS-DAG: memref.subview %arg4[%{{.*}}, 0, %{{.*}}] [1, %{{.*}}, 1]
  // TASKS-DAG: memref.subview %arg5[%{{.*}}, 0, 0] [1, %{{.*}}, 1]
  // TASKS-DAG: memref.subview %arg1[%{{.*}}, 0, %{{.*}}] [1, %{{.*}}, 128]
  // TASKS-DAG: memref.subview %arg6[%{{.*}}, %{{.*}}, 0, 0] [1, 1, 64, 24]
  // TASKS: attn.linear_attention gated_delta
  // TASKS-SAME: num_heads = 2 : i64, num_kv_heads = 1 : i64, scale = 1.250000e-01 : f64
  // TASKS: {attn.op = "linear_attention"}

  // Short sequences: 24 columns are at most 8 vectors, no loop over columns. S in the first-level cache, read by a token's
  // key; by its queries; rewritten.
  // CHECK-LABEL: func.func @heads
  // CHECK: scf.forall
  // CHECK: scf.if
  // CHECK: iter_args({{.*}}) -> (vector<8xf32>, vector<8xf32>, vector<8xf32>) {
  // CHECK: } else {
  // Chunks: blocks of 6 tokens on 2 vectors of columns; 12 accumulators.
  // CHECK: scf.for {{.*}} iter_args({{.*}}) -> (vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>) {
  // CHECK-COUNT-2: vector.load {{.*}} : memref<64x48xf32>, vector<8xf32>
  // CHECK-COUNT-2: vector.fma
  func.func @heads(%q: tensor<?x?x256xf32>, %k: tensor<?x?x128xf32>, %v: tensor<?x?x48xf32>, %g: tensor<?x?x2xf32>, %b: tensor<?x?x1xf32>,
                   %s: tensor<?x2x64x24xf32>) -> (tensor<?x?x96xf32>, tensor<?x2x64x24xf32>) {
    %0:2 = attn.linear_attention gated_delta %q, %k, %v decay %g beta %b state %s {num_heads = 4 : i64, num_kv_heads = 2 : i64}
      : (tensor<?x?x256xf32>, tensor<?x?x128xf32>, tensor<?x?x48xf32>, tensor<?x?x2xf32>, tensor<?x?x1xf32>, tensor<?x2x64x24xf32>)
      -> (tensor<?x?x96xf32>, tensor<?x2x64x24xf32>)
    return %0#0, %0#1 : tensor<?x?x96xf32>, tensor<?x2x64x24xf32>
  }

  // Linear: no exponential, no decay of the state, and none of it is written if nothing asks for it. 16-bit values are
  // widened; bf16 is read and written as integers.
  // CHECK-LABEL: func.func @linear
  // CHECK-NOT: arith.bitcast {{.*}}i32
  // CHECK: arith.extf %{{.*}} : vector<8xbf16> to vector<8xf32>
  // CHECK-NOT: arith.bitcast {{.*}}i32
  // CHECK: arith.truncf %{{.*}} : vector<8xf32> to vector<8xbf16>
  // CHECK-NOT: arith.bitcast {{.*}}i32
  // CHECK: vector.store %{{.*}} : {{.*}} vector<8xi16>
  // CHECK: return
  // TASKS-LABEL: func.func @linear
  // TASKS: memref.subview %arg1[%{{.*}}, %{{.*}}, 0, 0] [1, 1, %{{.*}}, 16]
  // TASKS: attn.linear_attention linear %{{[^ ]*}}, %{{[^ ]*}}, %{{[^ ]*}} outs %{{[^ ]*}} scratch
  func.func @linear(%q: tensor<?x2x?x16xbf16>) -> tensor<?x2x?x16xbf16> {
    %0 = attn.linear_attention linear %q, %q, %q : (tensor<?x2x?x16xbf16>, tensor<?x2x?x16xbf16>, tensor<?x2x?x16xbf16>) -> tensor<?x2x?x16xbf16>
    return %0 : tensor<?x2x?x16xbf16>
  }
}
