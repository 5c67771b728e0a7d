// RUN: attn-opt %s --attn-fuse-epilogues --split-input-file | FileCheck %s

// CHECK-LABEL: func.func @bias_activation_residual
// CHECK-NEXT: %[[Y:.*]] = attn.linear %arg0, %arg1 bias %arg2 activation gelu_tanh residual %arg3
// CHECK-NEXT: return %[[Y]]
func.func @bias_activation_residual(%x: tensor<?x?x8xf32>, %w: tensor<8x4xf32>, %b: tensor<4xf32>,
                                    %r: tensor<?x?x4xf32>) -> tensor<?x?x4xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %0 = attn.linear %x, %w : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
  %d0 = tensor.dim %0, %c0 : tensor<?x?x4xf32>
  %d1 = tensor.dim %0, %c1 : tensor<?x?x4xf32>
  %e = tensor.empty(%d0, %d1) : tensor<?x?x4xf32>
  %1 = linalg.broadcast ins(%b : tensor<4xf32>) outs(%e : tensor<?x?x4xf32>) dimensions = [0, 1]
  %2 = arith.addf %1, %0 : tensor<?x?x4xf32>
  %3 = attn.activation gelu_tanh %2 : (tensor<?x?x4xf32>) -> tensor<?x?x4xf32>
  %4 = arith.addf %r, %3 : tensor<?x?x4xf32>
  return %4 : tensor<?x?x4xf32>
}

// -----

#vector = affine_map<(i, j) -> (j)>
#all = affine_map<(i, j) -> (i, j)>

// A broadcast written as a generic; bias after residual is the same sum.
// CHECK-LABEL: func.func @generic_bias
// CHECK-NEXT: attn.linear %arg0, %arg1 bias %arg2 residual %arg3
func.func @generic_bias(%x: tensor<2x8xf32>, %w: tensor<8x4xf32>, %b: tensor<4xf32>, %r: tensor<2x4xf32>)
    -> tensor<2x4xf32> {
  %0 = attn.linear %x, %w : (tensor<2x8xf32>, tensor<8x4xf32>) -> tensor<2x4xf32>
  %1 = arith.addf %0, %r : tensor<2x4xf32>
  %e = tensor.empty() : tensor<2x4xf32>
  %2 = linalg.generic {indexing_maps = [#vector, #all], iterator_types = ["parallel", "parallel"]}
    ins(%b : tensor<4xf32>) outs(%e : tensor<2x4xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  } -> tensor<2x4xf32>
  %3 = arith.addf %1, %2 : tensor<2x4xf32>
  return %3 : tensor<2x4xf32>
}

// -----

// The later product adds the earlier one, and stands where both are known.
// CHECK-LABEL: func.func @two_products
// CHECK: %[[A:.*]] = attn.linear %arg0, %arg1 :
// CHECK: %[[R:.*]] = attn.linear %arg0, %arg2 residual %[[A]]
// CHECK: return %[[R]]
func.func @two_products(%x: tensor<2x8xf32>, %w0: tensor<8x4xf32>, %w1: tensor<8x4xf32>) -> tensor<2x4xf32> {
  %0 = attn.linear %x, %w0 : (tensor<2x8xf32>, tensor<8x4xf32>) -> tensor<2x4xf32>
  %1 = attn.linear %x, %w1 : (tensor<2x8xf32>, tensor<8x4xf32>) -> tensor<2x4xf32>
  %2 = arith.addf %1, %0 : tensor<2x4xf32>
  return %2 : tensor<2x4xf32>
}

// -----

// The residual is defined after the product.
// CHECK-LABEL: func.func @late_residual
// CHECK-NEXT: %[[N:.*]] = attn.rms_norm %arg2, %arg3
// CHECK-NEXT: attn.linear %arg0, %arg1 residual %[[N]]
func.func @late_residual(%x: tensor<2x8xf32>, %w: tensor<8x4xf32>, %y: tensor<2x4xf32>, %g: tensor<4xf32>)
    -> tensor<2x4xf32> {
  %0 = attn.linear %x, %w : (tensor<2x8xf32>, tensor<8x4xf32>) -> tensor<2x4xf32>
  %1 = attn.rms_norm %y, %g : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  %2 = arith.addf %0, %1 : tensor<2x4xf32>
  return %2 : tensor<2x4xf32>
}

// -----

// CHECK-LABEL: func.func @embeddings
// CHECK: %[[T:.*]] = attn.embedding %arg0, %arg2 :
// CHECK: attn.embedding %arg1, %arg3 residual %[[T]]
func.func @embeddings(%ids: tensor<?x?xi64>, %positions: tensor<?x?xi64>, %wte: tensor<100x8xf32>,
                      %wpe: tensor<32x8xf32>) -> tensor<?x?x8xf32> {
  %0 = attn.embedding %ids, %wte : (tensor<?x?xi64>, tensor<100x8xf32>) -> tensor<?x?x8xf32>
  %1 = attn.embedding %positions, %wpe : (tensor<?x?xi64>, tensor<32x8xf32>) -> tensor<?x?x8xf32>
  %2 = arith.addf %0, %1 : tensor<?x?x8xf32>
  return %2 : tensor<?x?x8xf32>
}

// -----

// A gate stays a gate.
// CHECK-LABEL: func.func @gated
// CHECK-NEXT: attn.linear %arg0, %arg1 :
// CHECK-NEXT: attn.activation silu %{{.*}} times %arg0
func.func @gated(%x: tensor<2x8xf32>, %w: tensor<8x8xf32>) -> tensor<2x8xf32> {
  %0 = attn.linear %x, %w : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  %1 = attn.activation silu %0 times %x : (tensor<2x8xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>
  return %1 : tensor<2x8xf32>
}

// An addition of other things is left alone.
// CHECK-LABEL: func.func @unrelated
// CHECK-NEXT: arith.addf %arg0, %arg1
func.func @unrelated(%x: tensor<2x8xf32>, %y: tensor<2x8xf32>) -> tensor<2x8xf32> {
  %0 = arith.addf %x, %y : tensor<2x8xf32>
  return %0 : tensor<2x8xf32>
}
