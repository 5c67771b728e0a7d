// RUN: attn-opt %s --attn-raise-attention --split-input-file --verify-diagnostics

// Every reason why attention is not raised.

func.func @softmax_over_queries(%q: tensor<4x4xf32>, %k: tensor<4x4xf32>, %v: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %zero = arith.constant dense<0.0> : tensor<4x4xf32>
  %s = linalg.matmul ins(%q, %k : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  // expected-remark @below {{attention not raised: the softmax runs over dimension 0; expected the last, 1, the keys}}
  %p = linalg.softmax dimension(0) ins(%s : tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  %o = linalg.matmul ins(%p, %v : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  return %o : tensor<4x4xf32>
}

// -----

func.func @buffers(%s: memref<4x4xf32>) {
  // expected-remark @below {{attention not raised: expected tensors, got buffers}}
  linalg.softmax dimension(1) ins(%s : memref<4x4xf32>) outs(%s : memref<4x4xf32>)
  return
}

// -----

func.func @probabilities_returned(%q: tensor<4x4xf32>, %k: tensor<4x4xf32>, %v: tensor<4x4xf32>)
    -> (tensor<4x4xf32>, tensor<4x4xf32>) {
  %zero = arith.constant dense<0.0> : tensor<4x4xf32>
  %s = linalg.matmul ins(%q, %k : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  // expected-remark @below {{the probabilities are also used elsewhere; let the product with value be their only use}}
  %p = linalg.softmax dimension(1) ins(%s : tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  %o = linalg.matmul ins(%p, %v : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  return %o, %p : tensor<4x4xf32>, tensor<4x4xf32>
}

// -----

func.func @scores_returned(%q: tensor<4x4xf32>, %k: tensor<4x4xf32>, %v: tensor<4x4xf32>)
    -> (tensor<4x4xf32>, tensor<4x4xf32>) {
  %zero = arith.constant dense<0.0> : tensor<4x4xf32>
  %s = linalg.matmul ins(%q, %k : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  // expected-remark @below {{the scores are also used elsewhere; let the softmax be their only use}}
  %p = linalg.softmax dimension(1) ins(%s : tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  %o = linalg.matmul ins(%p, %v : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  return %o, %s : tensor<4x4xf32>, tensor<4x4xf32>
}

// -----

func.func @scale_not_constant(%q: tensor<4x4xf32>, %k: tensor<4x4xf32>, %v: tensor<4x4xf32>, %c: tensor<4x4xf32>)
    -> tensor<4x4xf32> {
  %zero = arith.constant dense<0.0> : tensor<4x4xf32>
  %s = linalg.matmul ins(%q, %k : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  %t = arith.mulf %s, %c : tensor<4x4xf32>
  // expected-remark @below {{the scale is not a constant; multiply by a splat constant}}
  %p = linalg.softmax dimension(1) ins(%t : tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  %o = linalg.matmul ins(%p, %v : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  return %o : tensor<4x4xf32>
}

// -----

func.func @scale_after_mask(%q: tensor<4x4xf32>, %k: tensor<4x4xf32>, %v: tensor<4x4xf32>, %m: tensor<4x4xf32>)
    -> tensor<4x4xf32> {
  %zero = arith.constant dense<0.0> : tensor<4x4xf32>
  %half = arith.constant dense<0.5> : tensor<4x4xf32>
  %s = linalg.matmul ins(%q, %k : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  %t = arith.addf %s, %m : tensor<4x4xf32>
  %u = arith.mulf %t, %half : tensor<4x4xf32>
  // expected-remark @below {{the scores are scaled after the mask; scale them before it}}
  %p = linalg.softmax dimension(1) ins(%u : tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  %o = linalg.matmul ins(%p, %v : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  return %o : tensor<4x4xf32>
}

// -----

func.func @two_masks(%q: tensor<4x4xf32>, %k: tensor<4x4xf32>, %v: tensor<4x4xf32>, %m: tensor<4x4xf32>)
    -> tensor<4x4xf32> {
  %zero = arith.constant dense<0.0> : tensor<4x4xf32>
  %s = linalg.matmul ins(%q, %k : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  %t = arith.addf %s, %m : tensor<4x4xf32>
  %u = arith.addf %t, %m : tensor<4x4xf32>
  // expected-remark @below {{the scores are no product plus one mask; add the masks to each other first}}
  %p = linalg.softmax dimension(1) ins(%u : tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  %o = linalg.matmul ins(%p, %v : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  return %o : tensor<4x4xf32>
}

// -----

func.func @select_and_add(%q: tensor<4x4xf32>, %k: tensor<4x4xf32>, %v: tensor<4x4xf32>, %m: tensor<4x4xf32>,
                          %keep: tensor<4x4xi1>) -> tensor<4x4xf32> {
  %zero = arith.constant dense<0.0> : tensor<4x4xf32>
  %never = arith.constant dense<0xFF800000> : tensor<4x4xf32>
  %s = linalg.matmul ins(%q, %k : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  %t = arith.addf %s, %m : tensor<4x4xf32>
  %u = arith.select %keep, %t, %never : tensor<4x4xi1>, tensor<4x4xf32>
  // expected-remark @below {{the scores have two masks; join the masks first}}
  %p = linalg.softmax dimension(1) ins(%u : tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  %o = linalg.matmul ins(%p, %v : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  return %o : tensor<4x4xf32>
}

// -----

func.func @select_finite(%q: tensor<4x4xf32>, %k: tensor<4x4xf32>, %v: tensor<4x4xf32>, %keep: tensor<4x4xi1>)
    -> tensor<4x4xf32> {
  %zero = arith.constant dense<0.0> : tensor<4x4xf32>
  %s = linalg.matmul ins(%q, %k : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  %t = arith.select %keep, %s, %zero : tensor<4x4xi1>, tensor<4x4xf32>
  // expected-remark @below {{expected select(keep, scores, -inf) or -1e9 as a mask}}
  %p = linalg.softmax dimension(1) ins(%t : tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  %o = linalg.matmul ins(%p, %v : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  return %o : tensor<4x4xf32>
}

// -----

func.func @two_soft_caps(%q: tensor<4x4xf32>, %k: tensor<4x4xf32>, %v: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %zero = arith.constant dense<0.0> : tensor<4x4xf32>
  %s = linalg.matmul ins(%q, %k : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  %t = math.tanh %s : tensor<4x4xf32>
  %u = math.tanh %t : tensor<4x4xf32>
  // expected-remark @below {{the scores have two soft caps; use one}}
  %p = linalg.softmax dimension(1) ins(%u : tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  %o = linalg.matmul ins(%p, %v : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  return %o : tensor<4x4xf32>
}

// -----

func.func @negative_soft_cap(%q: tensor<4x4xf32>, %k: tensor<4x4xf32>, %v: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %zero = arith.constant dense<0.0> : tensor<4x4xf32>
  %minus = arith.constant dense<-2.0> : tensor<4x4xf32>
  %s = linalg.matmul ins(%q, %k : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  %t = math.tanh %s : tensor<4x4xf32>
  %u = arith.mulf %t, %minus : tensor<4x4xf32>
  // expected-remark @below {{expected a soft cap above 0}}
  %p = linalg.softmax dimension(1) ins(%u : tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  %o = linalg.matmul ins(%p, %v : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  return %o : tensor<4x4xf32>
}

// -----

func.func @no_product(%s: tensor<4x4xf32>, %v: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %zero = arith.constant dense<0.0> : tensor<4x4xf32>
  // expected-remark @below {{expected linalg.matmul, linalg.batch_matmul or a contraction before and after the softmax}}
  %p = linalg.softmax dimension(1) ins(%s : tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  %o = linalg.matmul ins(%p, %v : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  return %o : tensor<4x4xf32>
}

// -----

func.func @vector_product(%q: tensor<4x4xf32>, %k: tensor<4xf32>, %v: tensor<4x4xf32>) -> tensor<4xf32> {
  %zero = arith.constant dense<0.0> : tensor<4xf32>
  %s = linalg.matvec ins(%q, %k : tensor<4x4xf32>, tensor<4xf32>) outs(%zero : tensor<4xf32>) -> tensor<4xf32>
  // expected-remark @below {{expected one row, column and inner dimension and at most two batch dimensions (batch, heads) in each product}}
  %p = linalg.softmax dimension(0) ins(%s : tensor<4xf32>) outs(%zero : tensor<4xf32>) -> tensor<4xf32>
  %o = linalg.vecmat ins(%p, %v : tensor<4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4xf32>) -> tensor<4xf32>
  return %o : tensor<4xf32>
}

// -----

func.func @accumulates(%q: tensor<4x4xf32>, %k: tensor<4x4xf32>, %v: tensor<4x4xf32>, %sum: tensor<4x4xf32>)
    -> tensor<4x4xf32> {
  %zero = arith.constant dense<0.0> : tensor<4x4xf32>
  %s = linalg.matmul ins(%q, %k : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  // expected-remark @below {{expected products into zeros; fill their outs with 0.0}}
  %p = linalg.softmax dimension(1) ins(%s : tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  %o = linalg.matmul ins(%p, %v : tensor<4x4xf32>, tensor<4x4xf32>) outs(%sum : tensor<4x4xf32>) -> tensor<4x4xf32>
  return %o : tensor<4x4xf32>
}

// -----

func.func @integers(%q: tensor<4x4xi8>, %k: tensor<4x4xi8>, %v: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %zero = arith.constant dense<0.0> : tensor<4x4xf32>
  %s = linalg.matmul ins(%q, %k : tensor<4x4xi8>, tensor<4x4xi8>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  // expected-remark @below {{expected floating-point tensors in each product}}
  %p = linalg.softmax dimension(1) ins(%s : tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  %o = linalg.matmul ins(%p, %v : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  return %o : tensor<4x4xf32>
}

// -----

func.func @sums_over_queries(%q: tensor<4x4xf32>, %k: tensor<4x4xf32>, %v: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %zero = arith.constant dense<0.0> : tensor<4x4xf32>
  %s = linalg.matmul ins(%q, %k : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  // expected-remark @below {{expected the product with value to sum over the keys, the softmax's dimension}}
  %p = linalg.softmax dimension(1) ins(%s : tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  %o = linalg.matmul ins(%v, %p : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  return %o : tensor<4x4xf32>
}

// -----

#q = affine_map<(b, m, n, k) -> (b, m, k)>
#k = affine_map<(b, m, n, k) -> (b, k, n)>
#s = affine_map<(b, m, n, k) -> (m, b, n)>

func.func @batch_inside(%q: tensor<4x4x4xf32>, %k: tensor<4x4x4xf32>, %v: tensor<4x4x4xf32>) -> tensor<4x4x4xf32> {
  %zero = arith.constant dense<0.0> : tensor<4x4x4xf32>
  %s = linalg.contract indexing_maps = [#q, #k, #s] ins(%q, %k : tensor<4x4x4xf32>, tensor<4x4x4xf32>)
    outs(%zero : tensor<4x4x4xf32>) -> tensor<4x4x4xf32>
  // expected-remark @below {{expected scores [batch, heads, queries, keys]}}
  %p = linalg.softmax dimension(2) ins(%s : tensor<4x4x4xf32>) outs(%zero : tensor<4x4x4xf32>) -> tensor<4x4x4xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<4x4x4xf32>, tensor<4x4x4xf32>) outs(%zero : tensor<4x4x4xf32>) -> tensor<4x4x4xf32>
  return %o : tensor<4x4x4xf32>
}

// -----

func.func @other_reshape(%q: tensor<4x8xf32>, %k: tensor<8x4xf32>, %v: tensor<8x4xf32>) -> tensor<2x4xf32> {
  %z0 = arith.constant dense<0.0> : tensor<4x4xf32>
  %z1 = arith.constant dense<0.0> : tensor<2x8xf32>
  %z2 = arith.constant dense<0.0> : tensor<2x4xf32>
  %s = linalg.matmul ins(%q, %k : tensor<4x8xf32>, tensor<8x4xf32>) outs(%z0 : tensor<4x4xf32>) -> tensor<4x4xf32>
  %e = tensor.expand_shape %s [[0, 1], [2]] output_shape [2, 2, 4] : tensor<4x4xf32> into tensor<2x2x4xf32>
  %c = tensor.collapse_shape %e [[0], [1, 2]] : tensor<2x2x4xf32> into tensor<2x8xf32>
  // expected-remark @below {{expected reshapes of the scores to split or join batch and heads only}}
  %p = linalg.softmax dimension(1) ins(%c : tensor<2x8xf32>) outs(%z1 : tensor<2x8xf32>) -> tensor<2x8xf32>
  %o = linalg.matmul ins(%p, %v : tensor<2x8xf32>, tensor<8x4xf32>) outs(%z2 : tensor<2x4xf32>) -> tensor<2x4xf32>
  return %o : tensor<2x4xf32>
}

// -----

// The mask knows 2 heads, query, key and value only 4 batches.
func.func @mask_rank(%q: tensor<4x4x4xf32>, %k: tensor<4x4x4xf32>, %v: tensor<4x4x4xf32>, %m: tensor<2x2x4x4xf32>)
    -> tensor<4x4x4xf32> {
  %zero = arith.constant dense<0.0> : tensor<4x4x4xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<4x4x4xf32>, tensor<4x4x4xf32>) outs(%zero : tensor<4x4x4xf32>) -> tensor<4x4x4xf32>
  %s4 = tensor.expand_shape %s [[0, 1], [2], [3]] output_shape [2, 2, 4, 4] : tensor<4x4x4xf32> into tensor<2x2x4x4xf32>
  %t = arith.addf %s4, %m : tensor<2x2x4x4xf32>
  // expected-remark @below {{the mask has another rank than query, key and value; reshape them in the same way}}
  %p = linalg.softmax dimension(3) ins(%t : tensor<2x2x4x4xf32>) outs(%m : tensor<2x2x4x4xf32>) -> tensor<2x2x4x4xf32>
  %p3 = tensor.collapse_shape %p [[0, 1], [2], [3]] : tensor<2x2x4x4xf32> into tensor<4x4x4xf32>
  %o = linalg.batch_matmul ins(%p3, %v : tensor<4x4x4xf32>, tensor<4x4x4xf32>) outs(%zero : tensor<4x4x4xf32>) -> tensor<4x4x4xf32>
  return %o : tensor<4x4x4xf32>
}

// -----

#hq = affine_map<(b, h, m, n, k) -> (b, h, m, k)>
#hk = affine_map<(b, h, m, n, k) -> (b, h, n, k)>
#hs = affine_map<(b, h, m, n, k) -> (b, h, m, n)>
#hv = affine_map<(b, h, m, n, k) -> (b, h, k, n)>

func.func @dynamic_heads(%q: tensor<2x?x4x4xf32>, %k: tensor<2x?x4x4xf32>, %v: tensor<2x?x4x4xf32>, %h: index)
    -> tensor<2x?x4x4xf32> {
  %c = arith.constant 0.0 : f32
  %zero = tensor.splat %c[%h] : tensor<2x?x4x4xf32>
  %s = linalg.contract indexing_maps = [#hq, #hk, #hs] ins(%q, %k : tensor<2x?x4x4xf32>, tensor<2x?x4x4xf32>)
    outs(%zero : tensor<2x?x4x4xf32>) -> tensor<2x?x4x4xf32>
  // expected-remark @below {{expected a static number of heads, the same in query, key and value}}
  %p = linalg.softmax dimension(3) ins(%s : tensor<2x?x4x4xf32>) outs(%zero : tensor<2x?x4x4xf32>) -> tensor<2x?x4x4xf32>
  %o = linalg.contract indexing_maps = [#hq, #hv, #hs] ins(%p, %v : tensor<2x?x4x4xf32>, tensor<2x?x4x4xf32>)
    outs(%zero : tensor<2x?x4x4xf32>) -> tensor<2x?x4x4xf32>
  return %o : tensor<2x?x4x4xf32>
}

// -----

func.func @dynamic_head_dim(%q: tensor<4x?xf32>, %k: tensor<?x4xf32>, %v: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %zero = arith.constant dense<0.0> : tensor<4x4xf32>
  %s = linalg.matmul ins(%q, %k : tensor<4x?xf32>, tensor<?x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  // expected-remark @below {{expected a static head_dim}}
  %p = linalg.softmax dimension(1) ins(%s : tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  %o = linalg.matmul ins(%p, %v : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  return %o : tensor<4x4xf32>
}

// -----

func.func @other_heads(%q: tensor<8x4x4xf32>, %k: tensor<8x4x4xf32>, %v: tensor<8x4x4xf32>, %m: tensor<2x4x4x4xf32>)
    -> tensor<8x4x4xf32> {
  %zero = arith.constant dense<0.0> : tensor<8x4x4xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<8x4x4xf32>, tensor<8x4x4xf32>) outs(%zero : tensor<8x4x4xf32>) -> tensor<8x4x4xf32>
  %s4 = tensor.expand_shape %s [[0, 1], [2], [3]] output_shape [2, 4, 4, 4] : tensor<8x4x4xf32> into tensor<2x4x4x4xf32>
  %t = arith.addf %s4, %m : tensor<2x4x4x4xf32>
  %t3 = tensor.collapse_shape %t [[0, 1], [2], [3]] : tensor<2x4x4x4xf32> into tensor<8x4x4xf32>
  %t4 = tensor.expand_shape %t3 [[0, 1], [2], [3]] output_shape [4, 2, 4, 4] : tensor<8x4x4xf32> into tensor<4x2x4x4xf32>
  %e = tensor.empty() : tensor<4x2x4x4xf32>
  // expected-remark @below {{the scores are reshaped to different numbers of heads}}
  %p = linalg.softmax dimension(3) ins(%t4 : tensor<4x2x4x4xf32>) outs(%e : tensor<4x2x4x4xf32>) -> tensor<4x2x4x4xf32>
  %p3 = tensor.collapse_shape %p [[0, 1], [2], [3]] : tensor<4x2x4x4xf32> into tensor<8x4x4xf32>
  %o = linalg.batch_matmul ins(%p3, %v : tensor<8x4x4xf32>, tensor<8x4x4xf32>) outs(%zero : tensor<8x4x4xf32>) -> tensor<8x4x4xf32>
  return %o : tensor<8x4x4xf32>
}

// -----

#hp = affine_map<(b, h, m, n, k) -> (b, h, m, k)>
#hv = affine_map<(b, h, m, n, k) -> (b, h, k, n)>
#ho = affine_map<(b, h, m, n, k) -> (b, h, m, n)>

// Only the value has heads.
func.func @heads_of_value(%q: tensor<4x4x4xf32>, %k: tensor<4x4x4xf32>, %v: tensor<2x2x4x4xf32>) -> tensor<2x2x4x4xf32> {
  %z3 = arith.constant dense<0.0> : tensor<4x4x4xf32>
  %z4 = arith.constant dense<0.0> : tensor<2x2x4x4xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<4x4x4xf32>, tensor<4x4x4xf32>) outs(%z3 : tensor<4x4x4xf32>) -> tensor<4x4x4xf32>
  %s4 = tensor.expand_shape %s [[0, 1], [2], [3]] output_shape [2, 2, 4, 4] : tensor<4x4x4xf32> into tensor<2x2x4x4xf32>
  // expected-remark @below {{expected a static number of heads, the same in query, key and value}}
  %p = linalg.softmax dimension(3) ins(%s4 : tensor<2x2x4x4xf32>) outs(%z4 : tensor<2x2x4x4xf32>) -> tensor<2x2x4x4xf32>
  %o = linalg.contract indexing_maps = [#hp, #hv, #ho] ins(%p, %v : tensor<2x2x4x4xf32>, tensor<2x2x4x4xf32>)
    outs(%z4 : tensor<2x2x4x4xf32>) -> tensor<2x2x4x4xf32>
  return %o : tensor<2x2x4x4xf32>
}

// -----

// Heads and queries joined look like batch and heads joined when all sizes are dynamic.
func.func @dynamic_reshape(%q: tensor<?x?x4xf32>, %k: tensor<?x4x?xf32>, %v: tensor<?x?x4xf32>, %s0: tensor<?x?x?xf32>,
    %s: tensor<?x?x?x?xf32>, %n: index) -> tensor<?x?x4xf32> {
  %c = arith.constant 0.0 : f32
  %z = tensor.splat %c[%n, %n, %n] : tensor<?x?x?xf32>
  %o0 = tensor.splat %c[%n, %n] : tensor<?x?x4xf32>
  %0 = linalg.batch_matmul ins(%q, %k : tensor<?x?x4xf32>, tensor<?x4x?xf32>) outs(%z : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  %1 = tensor.expand_shape %0 [[0], [1, 2], [3]] output_shape [%n, %n, %n, %n] : tensor<?x?x?xf32> into tensor<?x?x?x?xf32>
  // expected-remark @below {{expected reshapes of the scores to split or join batch and heads only}}
  %p = linalg.softmax dimension(3) ins(%1 : tensor<?x?x?x?xf32>) outs(%s : tensor<?x?x?x?xf32>) -> tensor<?x?x?x?xf32>
  %2 = tensor.collapse_shape %p [[0], [1, 2], [3]] : tensor<?x?x?x?xf32> into tensor<?x?x?xf32>
  %o = linalg.batch_matmul ins(%2, %v : tensor<?x?x?xf32>, tensor<?x?x4xf32>) outs(%o0 : tensor<?x?x4xf32>) -> tensor<?x?x4xf32>
  return %o : tensor<?x?x4xf32>
}

// -----

func.func @mask_of_nan(%q: tensor<4x4xf32>, %k: tensor<4x4xf32>, %v: tensor<4x4xf32>, %keep: tensor<4x4xi1>) -> tensor<4x4xf32> {
  %zero = arith.constant dense<0.0> : tensor<4x4xf32>
  %nan = arith.constant dense<0x7FC00000> : tensor<4x4xf32>
  %s = linalg.matmul ins(%q, %k : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  %m = arith.select %keep, %s, %nan : tensor<4x4xi1>, tensor<4x4xf32>
  // expected-remark @below {{expected select(keep, scores, -inf) or -1e9 as a mask}}
  %p = linalg.softmax dimension(1) ins(%m : tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  %o = linalg.matmul ins(%p, %v : tensor<4x4xf32>, tensor<4x4xf32>) outs(%zero : tensor<4x4xf32>) -> tensor<4x4xf32>
  return %o : tensor<4x4xf32>
}
