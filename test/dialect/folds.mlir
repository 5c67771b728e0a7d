// RUN: attn-opt %s --canonicalize --split-input-file | FileCheck %s

// CHECK-LABEL: func.func @split_of_merge
// CHECK-NEXT: return %arg0
func.func @split_of_merge(%x: tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32> {
  %0 = attn.merge_heads %x : (tensor<?x4x?x8xf32>) -> tensor<?x?x32xf32>
  %1 = attn.split_heads %0 into 4 : (tensor<?x?x32xf32>) -> tensor<?x4x?x8xf32>
  return %1 : tensor<?x4x?x8xf32>
}

// -----

// CHECK-LABEL: func.func @other_heads
// CHECK: attn.merge_heads
// CHECK: attn.split_heads
func.func @other_heads(%x: tensor<?x4x?x8xf32>) -> tensor<?x2x?x16xf32> {
  %0 = attn.merge_heads %x : (tensor<?x4x?x8xf32>) -> tensor<?x?x32xf32>
  %1 = attn.split_heads %0 into 2 : (tensor<?x?x32xf32>) -> tensor<?x2x?x16xf32>
  return %1 : tensor<?x2x?x16xf32>
}

// -----

// CHECK-LABEL: func.func @merge_of_split
// CHECK-NEXT: return %arg0
func.func @merge_of_split(%x: tensor<?x?x32xf32>) -> tensor<?x?x32xf32> {
  %0 = attn.split_heads %x into 4 : (tensor<?x?x32xf32>) -> tensor<?x4x?x8xf32>
  %1 = attn.merge_heads %0 : (tensor<?x4x?x8xf32>) -> tensor<?x?x32xf32>
  return %1 : tensor<?x?x32xf32>
}

// -----

// CHECK-LABEL: func.func @zero_bias
// CHECK-NEXT: attn.linear %arg0, %arg1 : (tensor<?x8xf32>, tensor<8x4xf32>)
func.func @zero_bias(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>) -> tensor<?x4xf32> {
  %zero = arith.constant dense<0.0> : tensor<4xf32>
  %0 = attn.linear %x, %w bias %zero : (tensor<?x8xf32>, tensor<8x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// -----

// CHECK-LABEL: func.func @bias_stays
// CHECK: attn.linear {{.*}} bias
func.func @bias_stays(%x: tensor<?x8xf32>, %w: tensor<8x4xf32>) -> tensor<?x4xf32> {
  %one = arith.constant dense<1.0> : tensor<4xf32>
  %0 = attn.linear %x, %w bias %one : (tensor<?x8xf32>, tensor<8x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// -----

// On tensors an op without users is dead; an append to the cache is not.
// CHECK-LABEL: func.func @dead
// CHECK-NEXT: attn.cache_append
// CHECK-NEXT: return
func.func @dead(%x: tensor<?x?x16xf32>, %c: !attn.cache<6x2x8x8xf32>, %layer: index) {
  %0 = attn.activation relu %x : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %1 = attn.attention %x, %x, %x {num_heads = 2 : i64}
    : (tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  attn.cache_append %x, %x to %c[%layer] : tensor<?x?x16xf32>, tensor<?x?x16xf32>, !attn.cache<6x2x8x8xf32>
  return
}
