// RUN: attn-opt %s --canonicalize | FileCheck %s

// A GPT-2 block written by hand fits in 25 lines; nothing in it folds away.
// CHECK-LABEL: func.func private @block
// CHECK-COUNT-3: tensor.extract_slice
// CHECK: attn.attention
// CHECK-COUNT-3: attn.linear
// CHECK: return
func.func private @block(%x: tensor<?x?x768xf32>, %g1: tensor<768xf32>, %b1: tensor<768xf32>,
    %wqkv: tensor<768x2304xf32>, %bqkv: tensor<2304xf32>, %wo: tensor<768x768xf32>, %bo: tensor<768xf32>,
    %g2: tensor<768xf32>, %b2: tensor<768xf32>, %wi: tensor<768x3072xf32>, %bi: tensor<3072xf32>,
    %wd: tensor<3072x768xf32>, %bd: tensor<768xf32>) -> tensor<?x?x768xf32> {
  %n1 = attn.layer_norm %x, %g1, %b1 : (tensor<?x?x768xf32>, tensor<768xf32>, tensor<768xf32>) -> tensor<?x?x768xf32>
  %qkv = attn.linear %n1, %wqkv bias %bqkv : (tensor<?x?x768xf32>, tensor<768x2304xf32>, tensor<2304xf32>) -> tensor<?x?x2304xf32>
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?x768xf32>
  %s = tensor.dim %x, %c1 : tensor<?x?x768xf32>
  %q = tensor.extract_slice %qkv[0, 0, 0] [%b, %s, 768] [1, 1, 1] : tensor<?x?x2304xf32> to tensor<?x?x768xf32>
  %k = tensor.extract_slice %qkv[0, 0, 768] [%b, %s, 768] [1, 1, 1] : tensor<?x?x2304xf32> to tensor<?x?x768xf32>
  %v = tensor.extract_slice %qkv[0, 0, 1536] [%b, %s, 768] [1, 1, 1] : tensor<?x?x2304xf32> to tensor<?x?x768xf32>
  %a = attn.attention %q, %k, %v {causal, num_heads = 12 : i64} : (tensor<?x?x768xf32>, tensor<?x?x768xf32>, tensor<?x?x768xf32>) -> tensor<?x?x768xf32>
  %o = attn.linear %a, %wo bias %bo residual %x : (tensor<?x?x768xf32>, tensor<768x768xf32>, tensor<768xf32>, tensor<?x?x768xf32>) -> tensor<?x?x768xf32>
  %n = attn.layer_norm %o, %g2, %b2 : (tensor<?x?x768xf32>, tensor<768xf32>, tensor<768xf32>) -> tensor<?x?x768xf32>
  %h = attn.linear %n, %wi bias %bi activation gelu_tanh : (tensor<?x?x768xf32>, tensor<768x3072xf32>, tensor<3072xf32>) -> tensor<?x?x3072xf32>
  %y = attn.linear %h, %wd bias %bd residual %o : (tensor<?x?x3072xf32>, tensor<3072x768xf32>, tensor<768xf32>, tensor<?x?x768xf32>) -> tensor<?x?x768xf32>
  return %y : tensor<?x?x768xf32>
}
