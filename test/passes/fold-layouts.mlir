// RUN: attn-opt %s --attn-fold-layouts --split-input-file | FileCheck %s

// CHECK-LABEL: func.func @split_merge
// CHECK-NEXT: %[[A:.*]] = attn.attention %arg0, %arg1, %arg2 {causal, num_heads = 4 : i64, num_kv_heads = 2 : i64}
// CHECK-SAME: -> tensor<?x?x24xf32>
// CHECK-NEXT: return %[[A]]
func.func @split_merge(%x: tensor<?x?x32xf32>, %y: tensor<?x?x16xf32>, %z: tensor<?x?x12xf32>) -> tensor<?x?x24xf32> {
  %q = attn.split_heads %x into 4 : (tensor<?x?x32xf32>) -> tensor<?x4x?x8xf32>
  %k = attn.split_heads %y into 2 : (tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %v = attn.split_heads %z into 2 : (tensor<?x?x12xf32>) -> tensor<?x2x?x6xf32>
  %a = attn.attention %q, %k, %v {causal} : (tensor<?x4x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x6xf32>) -> tensor<?x4x?x6xf32>
  %o = attn.merge_heads %a : (tensor<?x4x?x6xf32>) -> tensor<?x?x24xf32>
  return %o : tensor<?x?x24xf32>
}

// -----

// Reshapes and transposes as PyTorch writes them; the log-sum-exp has the same shape in both layouts.
// CHECK-LABEL: func.func @reshape_transpose
// CHECK-NOT: linalg.transpose
// CHECK-NOT: shape
// CHECK: %[[A:.*]]:2 = attn.attention %arg0, %arg1, %arg1 bias %arg2 {num_heads = 4 : i64}
// CHECK-SAME: -> (tensor<2x5x32xf32>, tensor<2x4x5xf32>)
// CHECK-NEXT: return %[[A]]#0, %[[A]]#1
func.func @reshape_transpose(%x: tensor<2x5x32xf32>, %y: tensor<2x7x32xf32>, %mask: tensor<5x7xf32>)
    -> (tensor<2x5x32xf32>, tensor<2x4x5xf32>) {
  %eq = tensor.empty() : tensor<2x4x5x8xf32>
  %ek = tensor.empty() : tensor<2x4x7x8xf32>
  %eo = tensor.empty() : tensor<2x5x4x8xf32>
  %x4 = tensor.expand_shape %x [[0], [1], [2, 3]] output_shape [2, 5, 4, 8] : tensor<2x5x32xf32> into tensor<2x5x4x8xf32>
  %y4 = tensor.expand_shape %y [[0], [1], [2, 3]] output_shape [2, 7, 4, 8] : tensor<2x7x32xf32> into tensor<2x7x4x8xf32>
  %q = linalg.transpose ins(%x4 : tensor<2x5x4x8xf32>) outs(%eq : tensor<2x4x5x8xf32>) permutation = [0, 2, 1, 3]
  %k = linalg.transpose ins(%y4 : tensor<2x7x4x8xf32>) outs(%ek : tensor<2x4x7x8xf32>) permutation = [0, 2, 1, 3]
  %a, %lse = attn.attention %q, %k, %k bias %mask
    : (tensor<2x4x5x8xf32>, tensor<2x4x7x8xf32>, tensor<2x4x7x8xf32>, tensor<5x7xf32>) -> (tensor<2x4x5x8xf32>, tensor<2x4x5xf32>)
  %t = linalg.transpose ins(%a : tensor<2x4x5x8xf32>) outs(%eo : tensor<2x5x4x8xf32>) permutation = [0, 2, 1, 3]
  %o = tensor.collapse_shape %t [[0], [1], [2, 3]] : tensor<2x5x4x8xf32> into tensor<2x5x32xf32>
  return %o, %lse : tensor<2x5x32xf32>, tensor<2x4x5xf32>
}

// -----

// Tensors that are [batch, seq, heads, head_dim] at the boundary are joined views, no copies.
// CHECK-LABEL: func.func @heads_at_the_boundary
// CHECK: %[[Q:.*]] = tensor.collapse_shape %arg0 {{\[\[}}0], [1], [2, 3]]
// CHECK: %[[A:.*]] = attn.attention %[[Q]], %{{.*}}, %{{.*}} {num_heads = 4 : i64}
// CHECK: %[[O:.*]] = tensor.expand_shape %[[A]] {{\[\[}}0], [1], [2, 3]]
// CHECK: return %[[O]] : tensor<?x?x4x8xf32>
func.func @heads_at_the_boundary(%x: tensor<?x?x4x8xf32>, %b: index, %s: index) -> tensor<?x?x4x8xf32> {
  %e = tensor.empty(%b, %s) : tensor<?x4x?x8xf32>
  %eo = tensor.empty(%b, %s) : tensor<?x?x4x8xf32>
  %q = linalg.transpose ins(%x : tensor<?x?x4x8xf32>) outs(%e : tensor<?x4x?x8xf32>) permutation = [0, 2, 1, 3]
  %a = attn.attention %q, %q, %q : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32>
  %o = linalg.transpose ins(%a : tensor<?x4x?x8xf32>) outs(%eo : tensor<?x?x4x8xf32>) permutation = [0, 2, 1, 3]
  return %o : tensor<?x?x4x8xf32>
}

// -----

// CHECK-LABEL: func.func @cache
// CHECK-NEXT: attn.attention %arg0 cache %arg1[%arg2] {causal, num_heads = 4 : i64, num_kv_heads = 2 : i64}
func.func @cache(%x: tensor<?x?x32xf32>, %c: !attn.cache<6x2x8x8xf32>, %layer: index) -> tensor<?x?x32xf32> {
  %q = attn.split_heads %x into 4 : (tensor<?x?x32xf32>) -> tensor<?x4x?x8xf32>
  %a = attn.attention %q cache %c[%layer] {causal} : (tensor<?x4x?x8xf32>, !attn.cache<6x2x8x8xf32>, index) -> tensor<?x4x?x8xf32>
  %o = attn.merge_heads %a : (tensor<?x4x?x8xf32>) -> tensor<?x?x32xf32>
  return %o : tensor<?x?x32xf32>
}
