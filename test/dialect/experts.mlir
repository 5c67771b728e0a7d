// RUN: attn-opt %s | attn-opt | FileCheck %s
// RUN: attn-opt %s --mlir-print-op-generic | attn-opt | FileCheck %s

// CHECK-LABEL: func.func @block
func.func @block(%x: tensor<?x?x8xf32>, %logits: tensor<?x?x3xf32>, %up: tensor<3x6x8xbf16>, %b: tensor<3x6xf32>, %down: tensor<3x6x8xf32>)
    -> tensor<?x?x8xf32> {
  // CHECK: attn.route %arg1 top_k 2 : (tensor<?x?x3xf32>) -> (tensor<?x?x2xf32>, tensor<?x?x2xi64>)
  %w, %e = attn.route %logits top_k 2 : (tensor<?x?x3xf32>) -> (tensor<?x?x2xf32>, tensor<?x?x2xi64>)
  // A row of input for each token, then for each choice.
  // CHECK: attn.expert_linear %arg0, %arg2 bias %arg3 experts %{{.*}} {transpose_weight} :
  %0 = attn.expert_linear %x, %up bias %b experts %e {transpose_weight}
    : (tensor<?x?x8xf32>, tensor<3x6x8xbf16>, tensor<3x6xf32>, tensor<?x?x2xi64>) -> tensor<?x?x2x6xf32>
  // CHECK: attn.expert_linear %{{.*}}, %arg4 experts %{{.*}} : (tensor<?x?x2x6xf32>, tensor<3x6x8xf32>, tensor<?x?x2xi64>) -> tensor<?x?x2x8xf32>
  %1 = attn.expert_linear %0, %down experts %e : (tensor<?x?x2x6xf32>, tensor<3x6x8xf32>, tensor<?x?x2xi64>) -> tensor<?x?x2x8xf32>
  // CHECK: attn.combine_experts %{{.*}} weights %{{.*}} residual %arg0 :
  %2 = attn.combine_experts %1 weights %w residual %x : (tensor<?x?x2x8xf32>, tensor<?x?x2xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  // CHECK: attn.combine_experts %{{.*}} weights %{{[^ ]*}} :
  %3 = attn.combine_experts %1 weights %w : (tensor<?x?x2x8xf32>, tensor<?x?x2xf32>) -> tensor<?x?x8xf32>
  return %2 : tensor<?x?x8xf32>
}

// Packed weights.
// CHECK-LABEL: func.func @packed
func.func @packed(%x: tensor<?x7xf32>, %e: tensor<?x2xi64>, %a: tensor<3x2x7x16xf32>, %b: tensor<3x2x4x16x2xf16>) {
  %0 = attn.expert_linear %x, %a experts %e : (tensor<?x7xf32>, tensor<3x2x7x16xf32>, tensor<?x2xi64>) -> tensor<?x2x20xf32>
  %1 = attn.expert_linear %x, %b experts %e : (tensor<?x7xf32>, tensor<3x2x4x16x2xf16>, tensor<?x2xi64>) -> tensor<?x2x20xf32>
  return
}

// CHECK-LABEL: func.func @stack
func.func @stack(%a: tensor<4x5xf32>, %b: tensor<4x5xf32>) -> tensor<2x4x5xf32> {
  // CHECK: attn.stack_parameters %arg0, %arg1 : (tensor<4x5xf32>, tensor<4x5xf32>) -> tensor<2x4x5xf32>
  %0 = attn.stack_parameters %a, %b : (tensor<4x5xf32>, tensor<4x5xf32>) -> tensor<2x4x5xf32>
  return %0 : tensor<2x4x5xf32>
}

// Buffers, and a task: the choices of a block, columns of one expert.
// CHECK-LABEL: func.func @buffers
func.func @buffers(%x: memref<?x8xf32>, %logits: memref<?x3xf32>, %w: memref<?x2xf32>, %e: memref<?x2xi64>, %up: memref<3x1x8x16xf32>,
                   %y: memref<?x2x6xf32>, %z: memref<?x6xf32>, %choices: memref<?xi64>, %panels: memref<?x8x16xf32>, %scratch: memref<?x512xi8>) {
  // CHECK: attn.route %arg1 top_k 2 outs %arg2, %arg3 :
  attn.route %logits top_k 2 outs %w, %e : (memref<?x3xf32>, memref<?x2xf32>, memref<?x2xi64>) -> ()
  // CHECK: attn.expert_linear %arg0, %arg4 experts %arg3 outs %arg5 :
  attn.expert_linear %x, %up experts %e outs %y : (memref<?x8xf32>, memref<3x1x8x16xf32>, memref<?x2xi64>, memref<?x2x6xf32>) -> ()
  // CHECK: attn.combine_experts %arg5 weights %arg2 outs %arg6 :
  attn.combine_experts %y weights %w outs %z : (memref<?x2x6xf32>, memref<?x2xf32>, memref<?x6xf32>) -> ()
  // CHECK: attn.expert_linear %arg0, %arg8 experts %arg7 outs %arg6 scratch %arg9 {top_k = 2 : i64} :
  attn.expert_linear %x, %panels experts %choices outs %z scratch %scratch {top_k = 2 : i64}
    : (memref<?x8xf32>, memref<?x8x16xf32>, memref<?xi64>, memref<?x6xf32>, memref<?x512xi8>) -> ()
  return
}
