// RUN: attn-opt %s --attn-name-dims --attn-choose-layouts --attn-pack-weights --attn-bufferize --canonicalize --attn-tile-to-tasks --canonicalize | FileCheck %s

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v3", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 4, key_lanes = 16, row_block = 60>} {
  ml_program.global private @w(#ml_program.extern<tensor<8x24xf32>>) : tensor<8x24xf32>

  // Row blocks × column chunks of the packed weight; one row of scratch a worker.
  // CHECK-LABEL: func.func @linear
  // CHECK: %[[SCRATCH:.*]] = memref.alloc(%{{.*}}) : memref<?x{{[0-9]+}}xi8>
  // CHECK: scf.forall (%[[T:.*]]) in
  // CHECK: memref.subview %{{.*}}[%{{.*}}, 0] [%{{.*}}, 8] [1, 1] : memref<?x8xf32> to memref<?x8xf32
  // CHECK: memref.subview %{{.*}}[%{{.*}}, 0, 0] [%{{.*}}, 8, 16]
  // CHECK: attn.linear %{{.*}} scratch %[[SCRATCH]] {attn.ragged}
  // CHECK: {attn.op = "linear"}
  func.func @linear(%x: tensor<?x?x8xf32>) -> tensor<?x?x24xf32> {
    %w = ml_program.global_load_const @w : tensor<8x24xf32>
    %0 = attn.linear %x, %w : (tensor<?x?x8xf32>, tensor<8x24xf32>) -> tensor<?x?x24xf32>
    return %0 : tensor<?x?x24xf32>
  }

  // One task is a block of query rows of one head over all keys; query heads 0 and 1 read kv head 0.
  // CHECK-LABEL: func.func @attention
  // CHECK: scf.forall
  // CHECK: attn.online_attention %{{.*}} first %{{.*}} keys %{{.*}} packed %{{.*}}, %{{.*}} outs
  // CHECK-SAME: causal
  // CHECK: {attn.op = "attention"}
  func.func @attention(%q: tensor<?x?x16xf32>, %k: tensor<?x?x8xf32>, %v: tensor<?x?x8xf32>) -> tensor<?x?x16xf32> {
    %0 = attn.attention %q, %k, %v {causal, num_heads = 2 : i64, num_kv_heads = 1 : i64}
       : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x16xf32>
    return %0 : tensor<?x?x16xf32>
  }

  // Cached keys are read from the pages; a mask that is too short stops the run.
  // CHECK-LABEL: func.func @cached
  // CHECK: attn.fail %{{.*}}, 2, "attention_mask: expected a column for every cached and new token of its row"
  // CHECK: attn.online_attention %{{.*}} pages %{{.*}}[%{{.*}}] of %{{.*}} stride %{{.*}} at %{{.*}}, %{{.*}} past %{{.*}} key_mask
  func.func @cached(%q: tensor<?x?x8xf32>, %m: tensor<?x?xi64> {attn.optional}, %c: !attn.cache<1x1x8x8xf32>) -> tensor<?x?x8xf32> {
    %l = arith.constant 0 : index
    %0 = attn.attention %q cache %c[%l] key_mask %m {num_heads = 1 : i64}
       : (tensor<?x?x8xf32>, !attn.cache<1x1x8x8xf32>, index, tensor<?x?xi64>) -> tensor<?x?x8xf32>
    return %0 : tensor<?x?x8xf32>
  }

  // Rows of features; parameters whole.
  // CHECK-LABEL: func.func @norm
  // CHECK: scf.forall
  // CHECK: attn.layer_norm %{{.*}}, %{{.*}} outs %{{.*}} : (memref<?x8xf32, strided<[8, 1], offset: ?>>, memref<8xf32>, memref<?x8xf32, strided<[8, 1], offset: ?>>) -> ()
  func.func @norm(%x: tensor<?x?x8xf32>, %g: tensor<8xf32>) -> tensor<?x?x8xf32> {
    %0 = attn.layer_norm %x, %g : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
    return %0 : tensor<?x?x8xf32>
  }
}
