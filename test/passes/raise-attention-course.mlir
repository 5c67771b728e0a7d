// RUN: attn-opt %s --attn-raise-attention --attn-fold-layouts --canonicalize | FileCheck %s

// The course's causal attention from parts, as frontend/Tensor.h traces it: heads join the batch, the key is transposed, scores
// are divided by the root of the depth, where(causalMask, scores, -1e9), softmax, product, heads merge.
// CHECK-LABEL: func.func @causal_attention_from_parts
// CHECK-NOT: linalg
// CHECK: %[[A:[^ ]+]] = attn.attention %arg0, %arg1, %arg2 {causal, num_heads = 2 : i64, scale = 5.000000e-01 : f64}
// CHECK-NEXT: return %[[A]]
func.func @causal_attention_from_parts(%q: tensor<?x?x8xf32>, %k: tensor<?x?x8xf32>, %v: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %root = arith.constant 2.0 : f32
  %never = arith.constant -1.0e+09 : f32
  %q4 = attn.split_heads %q into 2 : (tensor<?x?x8xf32>) -> tensor<?x2x?x4xf32>
  %k4 = attn.split_heads %k into 2 : (tensor<?x?x8xf32>) -> tensor<?x2x?x4xf32>
  %v4 = attn.split_heads %v into 2 : (tensor<?x?x8xf32>) -> tensor<?x2x?x4xf32>
  %q3 = tensor.collapse_shape %q4 [[0, 1], [2], [3]] : tensor<?x2x?x4xf32> into tensor<?x?x4xf32>
  %k3 = tensor.collapse_shape %k4 [[0, 1], [2], [3]] : tensor<?x2x?x4xf32> into tensor<?x?x4xf32>
  %v3 = tensor.collapse_shape %v4 [[0, 1], [2], [3]] : tensor<?x2x?x4xf32> into tensor<?x?x4xf32>
  %b = tensor.dim %q3, %c0 : tensor<?x?x4xf32>
  %n = tensor.dim %q3, %c1 : tensor<?x?x4xf32>
  %e = tensor.empty(%b, %n) : tensor<?x4x?xf32>
  %kt = linalg.transpose ins(%k3 : tensor<?x?x4xf32>) outs(%e : tensor<?x4x?xf32>) permutation = [0, 2, 1]
  %s0 = tensor.splat %zero[%b, %n, %n] : tensor<?x?x?xf32>
  %s = linalg.batch_matmul ins(%q3, %kt : tensor<?x?x4xf32>, tensor<?x4x?xf32>) outs(%s0 : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  %sb = tensor.dim %s, %c0 : tensor<?x?x?xf32>
  %sn = tensor.dim %s, %c1 : tensor<?x?x?xf32>
  %roots = tensor.splat %root[%sb, %sn, %sn] : tensor<?x?x?xf32>
  %scaled = arith.divf %s, %roots : tensor<?x?x?xf32>
  %mb = tensor.dim %scaled, %c0 : tensor<?x?x?xf32>
  %mq = tensor.dim %scaled, %c1 : tensor<?x?x?xf32>
  %mk = tensor.dim %scaled, %c2 : tensor<?x?x?xf32>
  %me = tensor.empty(%mq, %mk) : tensor<?x?xi1>
  %mask = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]}
      outs(%me : tensor<?x?xi1>) {
  ^bb0(%out: i1):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %seen = arith.cmpi ule, %j, %i : index
    linalg.yield %seen : i1
  } -> tensor<?x?xi1>
  %be = tensor.empty(%mb, %mq, %mk) : tensor<?x?x?xi1>
  %keep = linalg.broadcast ins(%mask : tensor<?x?xi1>) outs(%be : tensor<?x?x?xi1>) dimensions = [0]
  %nevers = tensor.splat %never[%mb, %mq, %mk] : tensor<?x?x?xf32>
  %masked = arith.select %keep, %scaled, %nevers : tensor<?x?x?xi1>, tensor<?x?x?xf32>
  %pe = tensor.empty(%mb, %mq, %mk) : tensor<?x?x?xf32>
  %p = linalg.softmax dimension(2) ins(%masked : tensor<?x?x?xf32>) outs(%pe : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  %o0 = tensor.splat %zero[%b, %n] : tensor<?x?x4xf32>
  %o = linalg.batch_matmul ins(%p, %v3 : tensor<?x?x?xf32>, tensor<?x?x4xf32>) outs(%o0 : tensor<?x?x4xf32>) -> tensor<?x?x4xf32>
  %ob = tensor.dim %o, %c0 : tensor<?x?x4xf32>
  %on = tensor.dim %o, %c1 : tensor<?x?x4xf32>
  %batch = arith.divui %ob, %c2 : index
  %o4 = tensor.expand_shape %o [[0, 1], [2], [3]] output_shape [%batch, 2, %on, 4] : tensor<?x?x4xf32> into tensor<?x2x?x4xf32>
  %y = attn.merge_heads %o4 : (tensor<?x2x?x4xf32>) -> tensor<?x?x8xf32>
  return %y : tensor<?x?x8xf32>
}

// A number in place of hidden scores: a row that sees nothing is the mean of the values.
// CHECK-LABEL: func.func @finite_mask
// CHECK: attn.attention %{{.*}}, %{{.*}}, %{{.*}} bias %arg3 {masked_rows = #attn<masked_rows mean>
func.func @finite_mask(%q: tensor<4x8xf32>, %k: tensor<6x8xf32>, %v: tensor<6x8xf32>, %keep: tensor<4x6xi1>) -> tensor<4x8xf32> {
  %zeros = arith.constant dense<0.0> : tensor<4x6xf32>
  %none = arith.constant dense<0.0> : tensor<4x8xf32>
  %hidden = arith.constant dense<-1.0e+09> : tensor<4x6xf32>
  %e = tensor.empty() : tensor<8x6xf32>
  %kt = linalg.transpose ins(%k : tensor<6x8xf32>) outs(%e : tensor<8x6xf32>) permutation = [1, 0]
  %s = linalg.matmul ins(%q, %kt : tensor<4x8xf32>, tensor<8x6xf32>) outs(%zeros : tensor<4x6xf32>) -> tensor<4x6xf32>
  %m = arith.select %keep, %s, %hidden : tensor<4x6xi1>, tensor<4x6xf32>
  %p = linalg.softmax dimension(1) ins(%m : tensor<4x6xf32>) outs(%zeros : tensor<4x6xf32>) -> tensor<4x6xf32>
  %o = linalg.matmul ins(%p, %v : tensor<4x6xf32>, tensor<6x8xf32>) outs(%none : tensor<4x8xf32>) -> tensor<4x8xf32>
  return %o : tensor<4x8xf32>
}
