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

  // Rows of features; parameters whole.
  // CHECK-LABEL: func.func @norm
  // CHECK: scf.forall
  // CHECK: attn.layer_norm %{{.*}}, %{{.*}} outs %{{.*}} : (memref<?x8xf32, strided<[8, 1], offset: ?>>, memref<8xf32>, memref<?x8xf32, strided<[8, 1], offset: ?>>) -> ()
  func.func @norm(%x: tensor<?x?x8xf32>, %g: tensor<8xf32>) -> tensor<?x?x8xf32> {
    %0 = attn.layer_norm %x, %g : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
    return %0 : tensor<?x?x8xf32>
  }

  // Features of wider rows are rows with a stride; a slice of some tokens only is not.
  // CHECK-LABEL: func.func @slice
  // CHECK: %[[ROWS:.*]] = memref.collapse_shape %{{.*}} {{\[}}[0, 1], [2]] : memref<?x?x40xf32> into memref<?x40xf32>
  // CHECK: memref.subview %[[ROWS]][0, 8] [%{{.*}}, 16] [1, 1] : memref<?x40xf32> to memref<?x16xf32, strided<[40, 1], offset: 8>>
  // CHECK: scf.forall
  // CHECK: attn.activation relu %{{.*}} outs %{{.*}} : (memref<?x16xf32, strided<[40, 1], offset: ?>>, memref<?x16xf32, strided<[16, 1], offset: ?>>) -> ()
  func.func @slice(%x: tensor<?x?x40xf32>) -> tensor<?x?x16xf32> {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %batch = tensor.dim %x, %c0 : tensor<?x?x40xf32>
    %seq = tensor.dim %x, %c1 : tensor<?x?x40xf32>
    %part = tensor.extract_slice %x[0, 0, 8] [%batch, %seq, 16] [1, 1, 1] : tensor<?x?x40xf32> to tensor<?x?x16xf32>
    %0 = attn.activation relu %part : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    return %0 : tensor<?x?x16xf32>
  }

  // What nothing fused: the same op on rows. One vector for all rows stays whole.
  // CHECK-LABEL: func.func @elementwise
  // CHECK: scf.forall
  // CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "parallel"]} ins(%{{.*}}, %{{.*}} : memref<?x8xf32, strided<[8, 1], offset: ?>>, memref<8xf32>) outs(%{{.*}} : memref<?x8xf32, strided<[8, 1], offset: ?>>)
  func.func @elementwise(%x: tensor<?x?x8xf32>, %v: tensor<8xf32>) -> tensor<?x?x8xf32> {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %batch = tensor.dim %x, %c0 : tensor<?x?x8xf32>
    %seq = tensor.dim %x, %c1 : tensor<?x?x8xf32>
    %e = tensor.empty(%batch, %seq) : tensor<?x?x8xf32>
    %0 = linalg.generic {indexing_maps = [affine_map<(b, s, k) -> (b, s, k)>, affine_map<(b, s, k) -> (k)>, affine_map<(b, s, k) -> (b, s, k)>],
                         iterator_types = ["parallel", "parallel", "parallel"]}
        ins(%x, %v : tensor<?x?x8xf32>, tensor<8xf32>) outs(%e : tensor<?x?x8xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %1 = arith.mulf %a, %b : f32
      linalg.yield %1 : f32
    } -> tensor<?x?x8xf32>
    return %0 : tensor<?x?x8xf32>
  }
}
