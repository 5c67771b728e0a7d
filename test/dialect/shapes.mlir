// RUN: attn-opt %s --resolve-ranked-shaped-type-result-dims --canonicalize --cse --split-input-file | FileCheck %s

// Sizes of results in terms of operands.

// CHECK-LABEL: func.func @features
// CHECK-DAG: %[[B:.*]] = tensor.dim %arg0, %c0
// CHECK-DAG: %[[S:.*]] = tensor.dim %arg0, %c1
// CHECK: return %[[B]], %[[S]], %c4
func.func @features(%x: tensor<?x?x8xf32>, %w: tensor<8x4xf32>, %g: tensor<8xf32>) -> (index, index, index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %0 = attn.layer_norm %x, %g : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
  %1 = attn.rms_norm %0, %g : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
  %2 = attn.activation relu %1 : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %gated = attn.activation silu %2 times %2 : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %unit = attn.l2_norm %gated : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %scaled = attn.scale %unit by 0.5 : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %capped = attn.soft_cap %scaled at 30.0 : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %3 = attn.log_softmax %capped : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %4 = attn.shift_right %3 : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %5 = attn.linear %4, %w : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
  %d0 = tensor.dim %5, %c0 : tensor<?x?x4xf32>
  %d1 = tensor.dim %5, %c1 : tensor<?x?x4xf32>
  %d2 = tensor.dim %5, %c2 : tensor<?x?x4xf32>
  return %d0, %d1, %d2 : index, index, index
}

// -----

// CHECK-LABEL: func.func @tokens
// CHECK-DAG: %[[B:.*]] = tensor.dim %arg0, %c0
// CHECK-DAG: %[[S:.*]] = tensor.dim %arg0, %c1
// CHECK: return %[[B]], %[[S]], %[[S]], %[[B]], %[[B]], %[[S]]
func.func @tokens(%ids: tensor<?x?xi64>, %t: tensor<9x8xf32>) -> (index, index, index, index, index, index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %p = attn.positions %ids : (tensor<?x?xi64>) -> tensor<?x?xi64>
  %0 = attn.embedding %p, %t : (tensor<?x?xi64>, tensor<9x8xf32>) -> tensor<?x?x8xf32>
  %1 = attn.positional_encoding %p : (tensor<?x?xi64>) -> tensor<?x?x8xf32>
  %2 = attn.argmax %0 : (tensor<?x?x8xf32>) -> tensor<?x?xi64>
  %3 = attn.select_token %1 : (tensor<?x?x8xf32>) -> tensor<?x8xf32>
  %d0 = tensor.dim %0, %c0 : tensor<?x?x8xf32>
  %d1 = tensor.dim %1, %c1 : tensor<?x?x8xf32>
  %d2 = tensor.dim %2, %c1 : tensor<?x?xi64>
  %4 = attn.pool max %1 : (tensor<?x?x8xf32>) -> tensor<?x8xf32>
  %5 = attn.rotary_table %p {frequencies = array<f64: 1.0>} : (tensor<?x?xi64>) -> tensor<?x?x2xf32>
  %d3 = tensor.dim %3, %c0 : tensor<?x8xf32>
  %d4 = tensor.dim %4, %c0 : tensor<?x8xf32>
  %d5 = tensor.dim %5, %c1 : tensor<?x?x2xf32>
  return %d0, %d1, %d2, %d3, %d4, %d5 : index, index, index, index, index, index
}

// -----

// CHECK-LABEL: func.func @attention
// CHECK-DAG: %[[B:.*]] = tensor.dim %arg0, %c0
// CHECK-DAG: %[[Q:.*]] = tensor.dim %arg0, %c1
// CHECK-DAG: %[[K:.*]] = tensor.dim %arg1, %c1
// CHECK: %[[PLUS:.*]] = arith.addi %[[K]], %c63
// CHECK: %[[PANELS:.*]] = arith.divui %[[PLUS]], %c64
// CHECK: return %[[B]], %[[Q]], %[[Q]], %[[PANELS]], %[[K]]
func.func @attention(%x: tensor<?x?x32xf32>, %y: tensor<?x?x32xf32>, %t: tensor<?x?x4xf32>)
    -> (index, index, index, index, index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %r = attn.rotary %x by %t heads 4 : (tensor<?x?x32xf32>, tensor<?x?x4xf32>) -> tensor<?x?x32xf32>
  %h = attn.split_heads %r into 4 : (tensor<?x?x32xf32>) -> tensor<?x4x?x8xf32>
  %k = attn.pack_keys %y heads 4 : (tensor<?x?x32xf32>) -> tensor<?x4x?x8x64xf32>
  %v = attn.pack_values %y heads 4 : (tensor<?x?x32xf32>) -> tensor<?x4x?x16xf32>
  %a, %lse = attn.attention %h, %k, %v : (tensor<?x4x?x8xf32>, tensor<?x4x?x8x64xf32>, tensor<?x4x?x16xf32>)
    -> (tensor<?x4x?x8xf32>, tensor<?x4x?xf32>)
  %m = attn.merge_heads %a : (tensor<?x4x?x8xf32>) -> tensor<?x?x32xf32>
  %d0 = tensor.dim %m, %c0 : tensor<?x?x32xf32>
  %d1 = tensor.dim %m, %c1 : tensor<?x?x32xf32>
  %d2 = tensor.dim %lse, %c2 : tensor<?x4x?xf32>
  %d3 = tensor.dim %k, %c2 : tensor<?x4x?x8x64xf32>
  %d4 = tensor.dim %v, %c2 : tensor<?x4x?x16xf32>
  return %d0, %d1, %d2, %d3, %d4 : index, index, index, index, index
}
