// RUN: attn-opt %s --attn-fuse-epilogues --split-input-file --verify-diagnostics

func.func @product_used_twice(%x: tensor<2x8xf32>, %w: tensor<8x4xf32>, %r: tensor<2x4xf32>)
    -> (tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>) {
  %0 = attn.linear %x, %w : (tensor<2x8xf32>, tensor<8x4xf32>) -> tensor<2x4xf32>
  // expected-remark @below {{addition not fused: the product is also used elsewhere; let the addition be its only use}}
  %1 = arith.addf %0, %r : tensor<2x4xf32>
  // expected-remark @below {{activation not fused: the product is also used elsewhere; let the activation be its only use}}
  %2 = attn.activation relu %0 : (tensor<2x4xf32>) -> tensor<2x4xf32>
  return %0, %1, %2 : tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>
}

// -----

func.func @second_residual(%x: tensor<2x8xf32>, %w: tensor<8x4xf32>, %r: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %0 = attn.linear %x, %w residual %r : (tensor<2x8xf32>, tensor<8x4xf32>, tensor<2x4xf32>) -> tensor<2x4xf32>
  // expected-remark @below {{addition not fused: the product already adds a residual; add the two tensors first}}
  %1 = arith.addf %0, %r : tensor<2x4xf32>
  return %1 : tensor<2x4xf32>
}

// -----

func.func @second_bias(%x: tensor<2x8xf32>, %w: tensor<8x4xf32>, %b: tensor<4xf32>) -> tensor<2x4xf32> {
  %0 = attn.linear %x, %w bias %b : (tensor<2x8xf32>, tensor<8x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  %e = tensor.empty() : tensor<2x4xf32>
  %1 = linalg.broadcast ins(%b : tensor<4xf32>) outs(%e : tensor<2x4xf32>) dimensions = [0]
  // expected-remark @below {{addition not fused: the product already has a bias; add the two vectors first}}
  %2 = arith.addf %0, %1 : tensor<2x4xf32>
  return %2 : tensor<2x4xf32>
}

// -----

func.func @bias_after_activation(%x: tensor<2x8xf32>, %w: tensor<8x4xf32>, %b: tensor<4xf32>) -> tensor<2x4xf32> {
  %0 = attn.linear %x, %w activation relu : (tensor<2x8xf32>, tensor<8x4xf32>) -> tensor<2x4xf32>
  %e = tensor.empty() : tensor<2x4xf32>
  %1 = linalg.broadcast ins(%b : tensor<4xf32>) outs(%e : tensor<2x4xf32>) dimensions = [0]
  // expected-remark @below {{addition not fused: the bias is added after the activation; add it before}}
  %2 = arith.addf %0, %1 : tensor<2x4xf32>
  return %2 : tensor<2x4xf32>
}

// -----

func.func @second_table(%ids: tensor<2x3xi64>, %t: tensor<9x8xf32>, %r: tensor<2x3x8xf32>) -> tensor<2x3x8xf32> {
  %0 = attn.embedding %ids, %t residual %r : (tensor<2x3xi64>, tensor<9x8xf32>, tensor<2x3x8xf32>) -> tensor<2x3x8xf32>
  // expected-remark @below {{addition not fused: the embedding already adds a tensor; add the two tensors first}}
  %1 = arith.addf %0, %r : tensor<2x3x8xf32>
  return %1 : tensor<2x3x8xf32>
}

// -----

func.func @activation_after_residual(%x: tensor<2x8xf32>, %w: tensor<8x4xf32>, %r: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %0 = attn.linear %x, %w residual %r : (tensor<2x8xf32>, tensor<8x4xf32>, tensor<2x4xf32>) -> tensor<2x4xf32>
  // expected-remark @below {{activation not fused: the product adds a residual before the activation; add it after}}
  %1 = attn.activation relu %0 : (tensor<2x4xf32>) -> tensor<2x4xf32>
  return %1 : tensor<2x4xf32>
}

// -----

func.func @second_activation(%x: tensor<2x8xf32>, %w: tensor<8x4xf32>) -> tensor<2x4xf32> {
  %0 = attn.linear %x, %w activation relu : (tensor<2x8xf32>, tensor<8x4xf32>) -> tensor<2x4xf32>
  // expected-remark @below {{activation not fused: the product already has an activation}}
  %1 = attn.activation silu %0 : (tensor<2x4xf32>) -> tensor<2x4xf32>
  return %1 : tensor<2x4xf32>
}
