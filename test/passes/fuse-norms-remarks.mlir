// RUN: attn-opt %s --attn-fuse-norms --split-input-file --verify-diagnostics

func.func @returned(%x: tensor<2x8xf32>, %g: tensor<8xf32>, %w: tensor<8x4xf32>) -> (tensor<2x4xf32>, tensor<2x8xf32>) {
  // expected-remark @below {{norm not fused: its result is also used by 'func.return'; let the inputs of products be its only uses}}
  %0 = attn.rms_norm %x, %g : (tensor<2x8xf32>, tensor<8xf32>) -> tensor<2x8xf32>
  %1 = attn.linear %0, %w : (tensor<2x8xf32>, tensor<8x4xf32>) -> tensor<2x4xf32>
  return %1, %0 : tensor<2x4xf32>, tensor<2x8xf32>
}

// -----

func.func @residual(%x: tensor<2x8xf32>, %g: tensor<8xf32>, %w: tensor<8x8xf32>) -> tensor<2x8xf32> {
  // expected-remark @below {{norm not fused: its result is also the residual of 'attn.linear'; let the inputs of products be its only uses}}
  %0 = attn.layer_norm %x, %g : (tensor<2x8xf32>, tensor<8xf32>) -> tensor<2x8xf32>
  %1 = attn.linear %0, %w residual %0 : (tensor<2x8xf32>, tensor<8x8xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>
  return %1 : tensor<2x8xf32>
}

// -----

func.func @two_norms(%x: tensor<2x8xf32>, %g: tensor<8xf32>, %w: tensor<8x8xf32>) -> tensor<2x8xf32> {
  // expected-remark @below {{norm not fused: a product that reads it already has a norm}}
  %0 = attn.layer_norm %x, %g : (tensor<2x8xf32>, tensor<8xf32>) -> tensor<2x8xf32>
  %1 = attn.linear %0, %w norm rms(%g) : (tensor<2x8xf32>, tensor<8x8xf32>, tensor<8xf32>) -> tensor<2x8xf32>
  return %1 : tensor<2x8xf32>
}
