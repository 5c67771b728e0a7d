// RUN: attn-opt %s --split-input-file --verify-diagnostics

// Every error of the ops of a mixture of experts; the labels are those of the ops' descriptions.

// route C1
func.func @f(%a0: tensor<3xf32>) {
  // expected-error @below {{expected logits of rank at least 2 with a static last dimension, got 'tensor<3xf32>'}}
  %r:2 = attn.route %a0 top_k 2 : (tensor<3xf32>) -> (tensor<?x2xf32>, tensor<?x2xi64>)
  return
}

// -----

// route C1
func.func @f(%a0: tensor<?x?xf32>) {
  // expected-error @below {{expected logits of rank at least 2 with a static last dimension, got 'tensor<?x?xf32>'}}
  %r:2 = attn.route %a0 top_k 2 : (tensor<?x?xf32>) -> (tensor<?x2xf32>, tensor<?x2xi64>)
  return
}

// -----

// route C1
func.func @f(%a0: tensor<?x0xf32>) {
  // expected-error @below {{expected experts from 1 to 65536, got 0}}
  %r:2 = attn.route %a0 top_k 2 : (tensor<?x0xf32>) -> (tensor<?x2xf32>, tensor<?x2xi64>)
  return
}

// -----

// route C1
func.func @f(%a0: tensor<?x65537xf32>) {
  // expected-error @below {{expected experts from 1 to 65536, got 65537}}
  %r:2 = attn.route %a0 top_k 2 : (tensor<?x65537xf32>) -> (tensor<?x2xf32>, tensor<?x2xi64>)
  return
}

// -----

// route C2
func.func @f(%a0: tensor<?x3xf32>) {
  // expected-error @below {{expected 'top_k' from 1 to 3, got 4}}
  %r:2 = attn.route %a0 top_k 4 : (tensor<?x3xf32>) -> (tensor<?x2xf32>, tensor<?x2xi64>)
  return
}

// -----

// route C2
func.func @f(%a0: tensor<?x3xf32>) {
  // expected-error @below {{expected 'top_k' from 1 to 3, got 0}}
  %r:2 = attn.route %a0 top_k 0 : (tensor<?x3xf32>) -> (tensor<?x2xf32>, tensor<?x2xi64>)
  return
}

// -----

// route C3
func.func @f(%a0: tensor<?x3xf32>) {
  // expected-error @below {{expected weights of shape [?x2], got [?x3]}}
  %r:2 = attn.route %a0 top_k 2 : (tensor<?x3xf32>) -> (tensor<?x3xf32>, tensor<?x2xi64>)
  return
}

// -----

// route C3
func.func @f(%a0: tensor<?x3xf32>) {
  // expected-error @below {{expected weights of rank at least 2 with a static last dimension, got 'tensor<?x?xf32>'}}
  %r:2 = attn.route %a0 top_k 2 : (tensor<?x3xf32>) -> (tensor<?x?xf32>, tensor<?x2xi64>)
  return
}

// -----

// route C3
func.func @f(%a0: tensor<?x3xf32>) {
  // expected-error @below {{expected experts of shape [?x2], got [?x3]}}
  %r:2 = attn.route %a0 top_k 2 : (tensor<?x3xf32>) -> (tensor<?x2xf32>, tensor<?x3xi64>)
  return
}

// -----

// route C3
func.func @f(%a0: tensor<?x3xf32>) {
  // expected-error @below {{expected experts of rank at least 2 with a static last dimension, got 'tensor<?x?xi64>'}}
  %r:2 = attn.route %a0 top_k 2 : (tensor<?x3xf32>) -> (tensor<?x2xf32>, tensor<?x?xi64>)
  return
}

// -----

// route C3
func.func @f(%a0: tensor<?x3xf32>) {
  // expected-error @below {{expected weights element type f32, got 'bf16'}}
  %r:2 = attn.route %a0 top_k 2 : (tensor<?x3xf32>) -> (tensor<?x2xbf16>, tensor<?x2xi64>)
  return
}

// -----

// route C3
func.func @f(%a0: tensor<?x3xf32>) {
  // expected-error @below {{expected experts element type i64, got 'i32'}}
  %r:2 = attn.route %a0 top_k 2 : (tensor<?x3xf32>) -> (tensor<?x2xf32>, tensor<?x2xi32>)
  return
}

// -----

// route, neither
func.func @f(%a0: tensor<?x3xf32>) {
  // expected-error @below {{expected a result on tensors or an outs buffer, got neither}}
  attn.route %a0 top_k 2 : (tensor<?x3xf32>) -> ()
  return
}

// -----

// route, one result
func.func @f(%a0: tensor<?x3xf32>) {
  // expected-error @below {{expected 2 results, weights and experts, got 1}}
  %r = attn.route %a0 top_k 2 : (tensor<?x3xf32>) -> tensor<?x2xf32>
  return
}

// -----

// route, one buffer
func.func @f(%a0: memref<?x3xf32>, %a1: memref<?x2xf32>) {
  // expected-error @below {{expected outs buffers of weights and experts, got one}}
  "attn.route"(%a0, %a1) <{top_k = 2 : i64, operandSegmentSizes = array<i32: 1, 1, 0>}> : (memref<?x3xf32>, memref<?x2xf32>) -> ()
  return
}

// -----

// expert_linear C1
func.func @f(%a0: tensor<?x?xf32>, %a1: tensor<3x8x6xf32>, %a2: tensor<?x2xi64>) {
  // expected-error @below {{expected input of rank at least 2 with a static last dimension, got 'tensor<?x?xf32>'}}
  %r = attn.expert_linear %a0, %a1 experts %a2 : (tensor<?x?xf32>, tensor<3x8x6xf32>, tensor<?x2xi64>) -> tensor<?x2x6xf32>
  return
}

// -----

// expert_linear C1
func.func @f(%a0: tensor<?x3x8xf32>, %a1: tensor<3x8x6xf32>, %a2: tensor<?x2xi64>) {
  // expected-error @below {{expected input of shape [?x2x8], got [?x3x8]}}
  %r = attn.expert_linear %a0, %a1 experts %a2 : (tensor<?x3x8xf32>, tensor<3x8x6xf32>, tensor<?x2xi64>) -> tensor<?x2x6xf32>
  return
}

// -----

// expert_linear C1
func.func @f(%a0: tensor<5x8xf32>, %a1: tensor<3x8x6xf32>, %a2: tensor<4x2xi64>) {
  // expected-error @below {{expected input of shape [4x8], got [5x8]}}
  %r = attn.expert_linear %a0, %a1 experts %a2 : (tensor<5x8xf32>, tensor<3x8x6xf32>, tensor<4x2xi64>) -> tensor<4x2x6xf32>
  return
}

// -----

// expert_linear C2
func.func @f(%a0: tensor<?x8xf32>, %a1: tensor<3x8x6xf32>, %a2: tensor<?x2xi64>) {
  // expected-error @below {{expected result of rank at least 3 with a static last dimension, got 'tensor<?x2x?xf32>'}}
  %r = attn.expert_linear %a0, %a1 experts %a2 : (tensor<?x8xf32>, tensor<3x8x6xf32>, tensor<?x2xi64>) -> tensor<?x2x?xf32>
  return
}

// -----

// expert_linear C2
func.func @f(%a0: tensor<?x8xf32>, %a1: tensor<3x8x6xf32>, %a2: tensor<?x2xi64>) {
  // expected-error @below {{expected result of shape [?x2x6], got [?x3x6]}}
  %r = attn.expert_linear %a0, %a1 experts %a2 : (tensor<?x8xf32>, tensor<3x8x6xf32>, tensor<?x2xi64>) -> tensor<?x3x6xf32>
  return
}

// -----

// expert_linear C3
func.func @f(%a0: tensor<?x8xf32>, %a1: tensor<8x6xf32>, %a2: tensor<?x2xi64>) {
  // expected-error @below {{expected weight of rank at least 3, got 'tensor<8x6xf32>'}}
  %r = attn.expert_linear %a0, %a1 experts %a2 : (tensor<?x8xf32>, tensor<8x6xf32>, tensor<?x2xi64>) -> tensor<?x2x6xf32>
  return
}

// -----

// expert_linear C3
func.func @f(%a0: tensor<?x8xf32>, %a1: tensor<3x6x8xf32>, %a2: tensor<?x2xi64>) {
  // expected-error @below {{expected weight of shape [3x8x6], got [3x6x8]}}
  %r = attn.expert_linear %a0, %a1 experts %a2 : (tensor<?x8xf32>, tensor<3x6x8xf32>, tensor<?x2xi64>) -> tensor<?x2x6xf32>
  return
}

// -----

// expert_linear C3
func.func @f(%a0: tensor<?x8xf32>, %a1: tensor<3x8x6xf32>, %a2: tensor<?x2xi64>) {
  // expected-error @below {{expected weight of shape [3x6x8], got [3x8x6]}}
  %r = attn.expert_linear %a0, %a1 experts %a2 {transpose_weight} : (tensor<?x8xf32>, tensor<3x8x6xf32>, tensor<?x2xi64>) -> tensor<?x2x6xf32>
  return
}

// -----

// expert_linear C3
func.func @f(%a0: tensor<?x8xf32>, %a1: tensor<3x2x8x16xf32>, %a2: tensor<?x2xi64>) {
  // expected-error @below {{expected weight of shape [3x1x8x16], got [3x2x8x16]}}
  %r = attn.expert_linear %a0, %a1 experts %a2 : (tensor<?x8xf32>, tensor<3x2x8x16xf32>, tensor<?x2xi64>) -> tensor<?x2x6xf32>
  return
}

// -----

// expert_linear C3
func.func @f(%a0: tensor<?x8xf32>, %a1: tensor<0x8x6xf32>, %a2: tensor<?x2xi64>) {
  // expected-error @below {{expected experts from 1 to 65536, got 0}}
  %r = attn.expert_linear %a0, %a1 experts %a2 : (tensor<?x8xf32>, tensor<0x8x6xf32>, tensor<?x2xi64>) -> tensor<?x2x6xf32>
  return
}

// -----

// expert_linear C3
func.func @f(%a0: tensor<?x8xf32>, %a1: tensor<?x8x6xf32>, %a2: tensor<?x2xi64>) {
  // expected-error @below {{expected experts from 1 to 65536, got ?}}
  %r = attn.expert_linear %a0, %a1 experts %a2 : (tensor<?x8xf32>, tensor<?x8x6xf32>, tensor<?x2xi64>) -> tensor<?x2x6xf32>
  return
}

// -----

// expert_linear C4
func.func @f(%a0: tensor<?x8xf32>, %a1: tensor<3x8x6xf32>, %a2: tensor<6xf32>, %a3: tensor<?x2xi64>) {
  // expected-error @below {{expected bias of shape [3x6], got [6]}}
  %r = attn.expert_linear %a0, %a1 bias %a2 experts %a3 : (tensor<?x8xf32>, tensor<3x8x6xf32>, tensor<6xf32>, tensor<?x2xi64>) -> tensor<?x2x6xf32>
  return
}

// -----

// expert_linear C5
func.func @f(%a0: tensor<?x8xf32>, %a1: tensor<3x8x6xf32>, %a2: tensor<?x2xi32>) {
  // expected-error @below {{expected experts element type i64, got 'i32'}}
  %r = attn.expert_linear %a0, %a1 experts %a2 : (tensor<?x8xf32>, tensor<3x8x6xf32>, tensor<?x2xi32>) -> tensor<?x2x6xf32>
  return
}

// -----

// expert_linear C5
func.func @f(%a0: tensor<?x8xf32>, %a1: tensor<3x8x6xf32>, %a2: tensor<?x?xi64>) {
  // expected-error @below {{expected experts of rank at least 2 with a static last dimension, got 'tensor<?x?xi64>'}}
  %r = attn.expert_linear %a0, %a1 experts %a2 : (tensor<?x8xf32>, tensor<3x8x6xf32>, tensor<?x?xi64>) -> tensor<?x2x6xf32>
  return
}

// -----

// expert_linear C5
func.func @f(%a0: tensor<?x8xf32>, %a1: tensor<3x8x6xf32>, %a2: tensor<?x0xi64>) {
  // expected-error @below {{expected choices of a token from 1 to 65536, got 0}}
  %r = attn.expert_linear %a0, %a1 experts %a2 : (tensor<?x8xf32>, tensor<3x8x6xf32>, tensor<?x0xi64>) -> tensor<?x0x6xf32>
  return
}

// -----

// expert_linear C6
func.func @f(%a0: memref<?x8xf32>, %a1: memref<?x8x16xf32>, %a2: memref<?xi64>, %a3: memref<?x6xf32>, %a4: memref<?x512xi8>) {
  // expected-error @below {{expected 'top_k' of at least 1 in a task}}
  attn.expert_linear %a0, %a1 experts %a2 outs %a3 scratch %a4 : (memref<?x8xf32>, memref<?x8x16xf32>, memref<?xi64>, memref<?x6xf32>, memref<?x512xi8>) -> ()
  return
}

// -----

// expert_linear C6
func.func @f(%a0: memref<?x8xf32>, %a1: memref<?x8x16xf32>, %a2: memref<?xi64>, %a3: memref<?x6xf32>, %a4: memref<?x512xi8>) {
  // expected-error @below {{expected 'top_k' of at least 1 in a task}}
  attn.expert_linear %a0, %a1 experts %a2 outs %a3 scratch %a4 {top_k = 0 : i64} : (memref<?x8xf32>, memref<?x8x16xf32>, memref<?xi64>, memref<?x6xf32>, memref<?x512xi8>) -> ()
  return
}

// -----

// expert_linear C6
func.func @f(%a0: memref<?x8xf32>, %a1: memref<?x8x16xf32>, %a2: memref<?x2xi64>, %a3: memref<?x6xf32>, %a4: memref<?x512xi8>) {
  // expected-error @below {{expected experts of rank 1, got 'memref<?x2xi64>'}}
  attn.expert_linear %a0, %a1 experts %a2 outs %a3 scratch %a4 {top_k = 2 : i64} : (memref<?x8xf32>, memref<?x8x16xf32>, memref<?x2xi64>, memref<?x6xf32>, memref<?x512xi8>) -> ()
  return
}

// -----

// expert_linear C6
func.func @f(%a0: memref<?x?x8xf32>, %a1: memref<?x8x16xf32>, %a2: memref<?xi64>, %a3: memref<?x6xf32>, %a4: memref<?x512xi8>) {
  // expected-error @below {{expected input of rank 2, got 'memref<?x?x8xf32>'}}
  attn.expert_linear %a0, %a1 experts %a2 outs %a3 scratch %a4 {top_k = 2 : i64} : (memref<?x?x8xf32>, memref<?x8x16xf32>, memref<?xi64>, memref<?x6xf32>, memref<?x512xi8>) -> ()
  return
}

// -----

// expert_linear C6
func.func @f(%a0: memref<?x8xf32>, %a1: memref<?x8x16xf32>, %a2: memref<?xi64>, %a3: memref<f32>, %a4: memref<?x512xi8>) {
  // expected-error @below {{expected result of rank 2, got 'memref<f32>'}}
  attn.expert_linear %a0, %a1 experts %a2 outs %a3 scratch %a4 {top_k = 2 : i64} : (memref<?x8xf32>, memref<?x8x16xf32>, memref<?xi64>, memref<f32>, memref<?x512xi8>) -> ()
  return
}

// -----

// expert_linear C6
func.func @f(%a0: memref<?x8xf32>, %a1: memref<1x7x16xf32>, %a2: memref<?xi64>, %a3: memref<?x6xf32>, %a4: memref<?x512xi8>) {
  // expected-error @below {{expected weight of shape [1x8x16], got [1x7x16]}}
  attn.expert_linear %a0, %a1 experts %a2 outs %a3 scratch %a4 {top_k = 2 : i64} : (memref<?x8xf32>, memref<1x7x16xf32>, memref<?xi64>, memref<?x6xf32>, memref<?x512xi8>) -> ()
  return
}

// -----

// expert_linear C6
func.func @f(%a0: memref<?x8xf32>, %a1: memref<?x8x16xf32>, %a2: memref<7xf32>, %a3: memref<?xi64>, %a4: memref<?x6xf32>, %a5: memref<?x512xi8>) {
  // expected-error @below {{expected bias of shape [6], got [7]}}
  attn.expert_linear %a0, %a1 bias %a2 experts %a3 outs %a4 scratch %a5 {top_k = 2 : i64} : (memref<?x8xf32>, memref<?x8x16xf32>, memref<7xf32>, memref<?xi64>, memref<?x6xf32>, memref<?x512xi8>) -> ()
  return
}

// -----

// combine_experts C1
func.func @f(%a0: tensor<2x8xf32>, %a1: tensor<?x2xf32>) {
  // expected-error @below {{expected input of rank at least 3 with a static last dimension, got 'tensor<2x8xf32>'}}
  %r = attn.combine_experts %a0 weights %a1 : (tensor<2x8xf32>, tensor<?x2xf32>) -> tensor<?x8xf32>
  return
}

// -----

// combine_experts C1
func.func @f(%a0: tensor<?x?x8xf32>, %a1: tensor<?x2xf32>) {
  // expected-error @below {{expected choices of a token from 1 to 65536, got ?}}
  %r = attn.combine_experts %a0 weights %a1 : (tensor<?x?x8xf32>, tensor<?x2xf32>) -> tensor<?x8xf32>
  return
}

// -----

// combine_experts C2
func.func @f(%a0: tensor<?x2x8xf32>, %a1: tensor<?x3xf32>) {
  // expected-error @below {{expected weights of shape [?x2], got [?x3]}}
  %r = attn.combine_experts %a0 weights %a1 : (tensor<?x2x8xf32>, tensor<?x3xf32>) -> tensor<?x8xf32>
  return
}

// -----

// combine_experts C2
func.func @f(%a0: tensor<?x2x8xf32>, %a1: tensor<?x?xf32>) {
  // expected-error @below {{expected weights of rank at least 2 with a static last dimension, got 'tensor<?x?xf32>'}}
  %r = attn.combine_experts %a0 weights %a1 : (tensor<?x2x8xf32>, tensor<?x?xf32>) -> tensor<?x8xf32>
  return
}

// -----

// combine_experts C2
func.func @f(%a0: tensor<?x2x8xf32>, %a1: tensor<?x2xf32>) {
  // expected-error @below {{expected result of shape [?x8], got [?x7]}}
  %r = attn.combine_experts %a0 weights %a1 : (tensor<?x2x8xf32>, tensor<?x2xf32>) -> tensor<?x7xf32>
  return
}

// -----

// combine_experts C2
func.func @f(%a0: tensor<?x2x8xf32>, %a1: tensor<?x2xf32>) {
  // expected-error @below {{expected result of rank at least 2 with a static last dimension, got 'tensor<?x?xf32>'}}
  %r = attn.combine_experts %a0 weights %a1 : (tensor<?x2x8xf32>, tensor<?x2xf32>) -> tensor<?x?xf32>
  return
}

// -----

// combine_experts C3
func.func @f(%a0: tensor<?x2x8xf32>, %a1: tensor<?x2xf32>, %a2: tensor<?x7xf32>) {
  // expected-error @below {{expected residual of shape [?x8], got [?x7]}}
  %r = attn.combine_experts %a0 weights %a1 residual %a2 : (tensor<?x2x8xf32>, tensor<?x2xf32>, tensor<?x7xf32>) -> tensor<?x8xf32>
  return
}

// -----

// combine_experts C3
func.func @f(%a0: tensor<?x2x8xf32>, %a1: tensor<?x2xf32>, %a2: tensor<?x8xbf16>) {
  // expected-error @below {{expected residual element type 'f32', got 'bf16'}}
  %r = attn.combine_experts %a0 weights %a1 residual %a2 : (tensor<?x2x8xf32>, tensor<?x2xf32>, tensor<?x8xbf16>) -> tensor<?x8xf32>
  return
}

// -----

// stack_parameters C1
func.func @f() {
  // expected-error @below {{expected inputs of static sizes and rank at least 1, got none}}
  %r = attn.stack_parameters  : () -> tensor<0x4xf32>
  return
}

// -----

// stack_parameters C1
func.func @f(%a0: tensor<?xf32>) {
  // expected-error @below {{expected inputs of static sizes and rank at least 1, got [?]}}
  %r = attn.stack_parameters %a0 : (tensor<?xf32>) -> tensor<1x?xf32>
  return
}

// -----

// stack_parameters C1
func.func @f(%a0: tensor<f32>) {
  // expected-error @below {{expected inputs of static sizes and rank at least 1, got []}}
  %r = attn.stack_parameters %a0 : (tensor<f32>) -> tensor<1xf32>
  return
}

// -----

// stack_parameters C1
func.func @f(%a0: tensor<4xf32>, %a1: tensor<5xf32>) {
  // expected-error @below {{expected inputs of one type, got 'tensor<4xf32>' and 'tensor<5xf32>'}}
  %r = attn.stack_parameters %a0, %a1 : (tensor<4xf32>, tensor<5xf32>) -> tensor<2x4xf32>
  return
}

// -----

// stack_parameters C2
func.func @f(%a0: tensor<4xf32>, %a1: tensor<4xf32>) {
  // expected-error @below {{expected result of 2 times 'tensor<4xf32>', got 'tensor<3x4xf32>'}}
  %r = attn.stack_parameters %a0, %a1 : (tensor<4xf32>, tensor<4xf32>) -> tensor<3x4xf32>
  return
}

// -----

// stack_parameters C2
func.func @f(%a0: tensor<4xf32>) {
  // expected-error @below {{expected result of 1 times 'tensor<4xf32>', got 'tensor<1x4xbf16>'}}
  %r = attn.stack_parameters %a0 : (tensor<4xf32>) -> tensor<1x4xbf16>
  return
}
