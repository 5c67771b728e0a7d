// RUN: attn-opt %s --attn-fuse-norms --split-input-file | FileCheck %s

// CHECK-LABEL: func.func @layer
// CHECK-NEXT: attn.linear %arg0, %arg3 norm layer(%arg1, %arg2) activation relu {epsilon = 9.9999999999999995E-7 : f64}
func.func @layer(%x: tensor<?x?x8xf32>, %g: tensor<8xf32>, %b: tensor<8xf32>, %w: tensor<8x4xf32>)
    -> tensor<?x?x4xf32> {
  %0 = attn.layer_norm %x, %g, %b {epsilon = 1.0e-6} : (tensor<?x?x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
  %1 = attn.linear %0, %w activation relu : (tensor<?x?x8xf32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
  return %1 : tensor<?x?x4xf32>
}

// -----

// Asking for the norm's size is no use of its values.
// CHECK-LABEL: func.func @rms_twice
// CHECK: tensor.dim %arg0
// CHECK-NOT: attn.rms_norm
// CHECK: attn.linear %arg0, %arg2 norm rms(%arg1)
// CHECK: attn.linear %arg0, %arg3 norm rms(%arg1)
func.func @rms_twice(%x: tensor<?x8xf32>, %g: tensor<8xf32>, %w0: tensor<8x4xf32>, %w1: tensor<8x6xf32>)
    -> (tensor<?x4xf32>, tensor<?x6xf32>, index) {
  %c0 = arith.constant 0 : index
  %0 = attn.rms_norm %x, %g : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  %d = tensor.dim %0, %c0 : tensor<?x8xf32>
  %1 = attn.linear %0, %w0 : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  %2 = attn.linear %0, %w1 : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32>
  return %1, %2, %d : tensor<?x4xf32>, tensor<?x6xf32>, index
}
