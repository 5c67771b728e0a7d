// RUN: attn-opt %s --attn-name-dims | FileCheck %s

// Names that are missing are made; dimensions that an op makes equal share one.
// CHECK-LABEL: func.func @names(
// CHECK-SAME: %{{.*}}: tensor<?x?x8xf32> {attn.dims = ["d0", "d1"], attn.name = "arg0"}
// CHECK-SAME: %{{.*}}: tensor<?x?x8xf32> {attn.dims = ["d0", "d1"], attn.name = "arg1"}
// CHECK-SAME: -> (tensor<?x?x8xf32> {attn.dims = ["d0", "d1"], attn.name = "out0"})
func.func @names(%a: tensor<?x?x8xf32>, %b: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  %0 = arith.addf %a, %b : tensor<?x?x8xf32>
  return %0 : tensor<?x?x8xf32>
}

// The author's names spread to what must be equal.
// CHECK-LABEL: func.func @given(
// CHECK-SAME: {attn.dims = ["batch", "queries"], attn.name = "q"}
// CHECK-SAME: {attn.dims = ["batch", "d0"], attn.name = "arg1"}
// CHECK-SAME: {attn.dims = ["batch", "d0"], attn.name = "arg2"}
// CHECK-SAME: {attn.dims = ["batch", "queries"], attn.name = "out0"}
func.func @given(%q: tensor<?x?x8xf32> {attn.name = "q", attn.dims = ["batch", "queries"]},
                 %k: tensor<?x?x8xf32>, %v: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  %0 = attn.attention %q, %k, %v {num_heads = 2 : i64}
     : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %0 : tensor<?x?x8xf32>
}

// Through calls: the callee's equal dimensions are the caller's.
// CHECK-LABEL: func.func private @callee(
// CHECK-SAME: {attn.dims = ["d0"]}
// CHECK-SAME: {attn.dims = ["d0"]}
func.func private @callee(%a: tensor<?x4xf32>, %b: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %0 = arith.addf %a, %b : tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @caller(
// CHECK-SAME: {attn.dims = ["rows"], attn.name = "arg0"}
// CHECK-SAME: {attn.dims = ["rows"], attn.name = "arg1"}
func.func @caller(%a: tensor<?x4xf32> {attn.dims = ["rows"]}, %b: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %0 = call @callee(%a, %b) : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// What belongs to a batch row or key has their sizes; of a ragged batch the prefix belongs to a sequence.
// CHECK-LABEL: @attention_operands
// CHECK-SAME: %arg0: tensor<?x?x8xf32> {attn.dims = ["d0", "d1"]
// CHECK-SAME: %arg1: tensor<?xi32> {attn.dims = ["d0"]
// CHECK-SAME: %arg2: tensor<?x?xi32> {attn.dims = ["d0", "d1"]
func.func @attention_operands(%x: tensor<?x?x8xf32>, %n: tensor<?xi32>, %ids: tensor<?x?xi32>) -> tensor<?x?x8xf32> {
  %0 = attn.attention %x, %x, %x prefix %n documents %ids {num_heads = 2 : i64}
     : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?xi32>, tensor<?x?xi32>) -> tensor<?x?x8xf32>
  return %0 : tensor<?x?x8xf32>
}

// CHECK-LABEL: @ragged
// CHECK-SAME: %arg1: tensor<?xi32> {attn.dims = ["d1"]
// CHECK-SAME: %arg2: tensor<?xi32> {attn.dims = ["d2"]
// CHECK-SAME: %arg3: tensor<?xi32> {attn.dims = ["d2"]
func.func @ragged(%x: tensor<1x?x8xf32>, %n: tensor<?xi32>, %at: tensor<?xi32>, %keys: tensor<?xi32>) -> tensor<1x?x8xf32> {
  %0 = attn.attention %x, %x, %x prefix %n ragged %at ragged_keys %keys {num_heads = 2 : i64}
     : (tensor<1x?x8xf32>, tensor<1x?x8xf32>, tensor<1x?x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>) -> tensor<1x?x8xf32>
  return %0 : tensor<1x?x8xf32>
}

// A slice of one token per sequence has the batch's size.
// CHECK-LABEL: @first_token
// CHECK-SAME: -> (tensor<?x8xf32> {attn.dims = ["batch"]
func.func @first_token(%x: tensor<?x?x8xf32> {attn.dims = ["batch", "seq"]}) -> tensor<?x8xf32> {
  %c0 = arith.constant 0 : index
  %batch = tensor.dim %x, %c0 : tensor<?x?x8xf32>
  %0 = tensor.extract_slice %x[0, 0, 0] [%batch, 1, 8] [1, 1, 1] : tensor<?x?x8xf32> to tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// Masks and tables are of the tokens of their input.
// CHECK-LABEL: @masks(
// CHECK-SAME: tensor<?x?x8xf32> {attn.dims = ["d0", "d1"]
// CHECK-SAME: tensor<?x?xi64> {attn.dims = ["d0", "d1"]
// CHECK-SAME: tensor<?x?xi64> {attn.dims = ["d0", "d1"]
// CHECK-SAME: tensor<?x?x4xf32> {attn.dims = ["d0", "d1"]
// CHECK-SAME: tensor<?x?x8xf32> {attn.dims = ["d0", "d1"]
// CHECK-SAME: -> (tensor<?x8xf32> {attn.dims = ["d0"]
func.func @masks(%x: tensor<?x?x8xf32>, %m: tensor<?x?xi64>, %ids: tensor<?x?xi64>, %t: tensor<?x?x4xf32>,
                 %u: tensor<?x?x8xf32>) -> (tensor<?x8xf32>, tensor<?x?xi64>) {
  %p = attn.positions %ids mask %m : (tensor<?x?xi64>, tensor<?x?xi64>) -> tensor<?x?xi64>
  %r = attn.rotary %x by %t heads 2 : (tensor<?x?x8xf32>, tensor<?x?x4xf32>) -> tensor<?x?x8xf32>
  %g = attn.activation silu %r times %u : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %0 = attn.pool mean %g mask %m : (tensor<?x?x8xf32>, tensor<?x?xi64>) -> tensor<?x8xf32>
  return %0, %p : tensor<?x8xf32>, tensor<?x?xi64>
}
