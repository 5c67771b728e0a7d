// RUN: attn-opt %s | attn-opt | FileCheck %s
// RUN: attn-opt %s --mlir-print-op-generic | attn-opt | FileCheck %s

// Regions of attention, what they capture, and the operands and results beside them, in every form.

// CHECK-LABEL: func.func @score
// CHECK: attn.attention %arg0, %arg0, %arg0 {causal} score(%[[S:.*]], %[[B:.*]], %[[H:.*]], %[[I:.*]], %[[J:.*]]) {
// CHECK-NEXT: %[[SLOPE:.*]] = attn.load %arg1[%[[H]]] : tensor<4xf32>
// CHECK-NEXT: %[[D:.*]] = arith.subi %[[J]], %[[I]] : i32
// CHECK-NEXT: %[[F:.*]] = arith.sitofp %[[D]] : i32 to f32
// CHECK-NEXT: %[[BIAS:.*]] = arith.mulf %[[SLOPE]], %[[F]] : f32
// CHECK-NEXT: %[[R:.*]] = arith.addf %[[S]], %[[BIAS]] : f32
// CHECK-NEXT: attn.yield %[[R]] : f32
// CHECK-NEXT: } : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>) -> tensor<2x4x?x8xf32>
func.func @score(%x: tensor<2x4x?x8xf32>, %slopes: tensor<4xf32>) -> tensor<2x4x?x8xf32> {
  %0 = attn.attention %x, %x, %x {causal} score(%s, %b, %h, %i, %j) {
    %slope = attn.load %slopes[%h] : tensor<4xf32>
    %d = arith.subi %j, %i : i32
    %f = arith.sitofp %d : i32 to f32
    %bias = arith.mulf %slope, %f : f32
    %r = arith.addf %s, %bias : f32
    attn.yield %r : f32
  } : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>) -> tensor<2x4x?x8xf32>
  return %0 : tensor<2x4x?x8xf32>
}

// Each region alone and all together, with captured scalars, and tensors of every type.
// CHECK-LABEL: func.func @all
// CHECK: attn.attention %arg0, %arg0, %arg0 mask(%{{.*}}, %{{.*}}, %[[I:.*]], %[[J:.*]]) {
// CHECK-NEXT: %[[KEEP:.*]] = arith.cmpi sle, %[[J]], %[[I]] : i32
// CHECK-NEXT: attn.yield %[[KEEP]] : i1
// CHECK-NEXT: } : (
// CHECK: attn.attention %arg0, %arg0, %arg0 prob(%[[P:.*]], %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) {
// CHECK-NEXT: %[[R:.*]] = math.sqrt %[[P]] : f32
// CHECK-NEXT: attn.yield %[[R]] : f32
// CHECK-NEXT: } : (
// CHECK: attn.attention %arg0, %arg0, %arg0 score(%[[S:.*]], %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) {
// CHECK-NEXT: %[[R:.*]] = arith.mulf %[[S]], %arg1 : f32
// CHECK-NEXT: attn.yield %[[R]] : f32
// CHECK-NEXT: } mask(%[[B:.*]], %[[H:.*]], %[[I:.*]], %[[J:.*]]) {
// CHECK-NEXT: attn.load %arg2[%[[B]], %[[J]]] : tensor<2x?xi64>
// CHECK-NEXT: attn.load %arg3[%[[H]], %[[I]], %[[J]]] : tensor<4x?x?xi1>
// CHECK-NEXT: attn.load %arg4[%[[J]]] : tensor<?xi8>
// CHECK-NEXT: attn.load %arg5[] : tensor<bf16>
// CHECK-NEXT: %[[KEEP:.*]] = arith.constant true
// CHECK-NEXT: attn.yield %[[KEEP]] : i1
// CHECK-NEXT: } prob(%[[P:.*]], %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) {
// CHECK-NEXT: attn.yield %[[P]] : f32
// CHECK-NEXT: } : (
func.func @all(%x: tensor<2x4x?x8xf32>, %c: f32, %ids: tensor<2x?xi64>, %keep: tensor<4x?x?xi1>, %small: tensor<?xi8>, %one: tensor<bf16>) {
  %0 = attn.attention %x, %x, %x mask(%b, %h, %i, %j) {
    %r = arith.cmpi sle, %j, %i : i32
    attn.yield %r : i1
  } : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>) -> tensor<2x4x?x8xf32>
  %1 = attn.attention %x, %x, %x prob(%p, %b, %h, %i, %j) {
    %r = math.sqrt %p : f32
    attn.yield %r : f32
  } : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>) -> tensor<2x4x?x8xf32>
  %2 = attn.attention %x, %x, %x score(%s, %b, %h, %i, %j) {
    %r = arith.mulf %s, %c : f32
    attn.yield %r : f32
  } mask(%b, %h, %i, %j) {
    %w = attn.load %ids[%b, %j] : tensor<2x?xi64>
    %k = attn.load %keep[%h, %i, %j] : tensor<4x?x?xi1>
    %n = attn.load %small[%j] : tensor<?xi8>
    %o = attn.load %one[] : tensor<bf16>
    %t = arith.constant true
    attn.yield %t : i1
  } prob(%p, %b, %h, %i, %j) {
    attn.yield %p : f32
  } : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>) -> tensor<2x4x?x8xf32>
  return
}

// CHECK-LABEL: func.func @operands
func.func @operands(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>, %x: tensor<1x?x32xf32>, %sinks: tensor<4xf32>,
    %table: tensor<4x257xf32>, %n: tensor<2xi32>, %ids: tensor<2x?xi64>, %at: tensor<?xi32>, %lengths: tensor<?xi64>) {
  // CHECK: attn.attention %arg0, %arg1, %arg1 sink_logits %arg3 alibi %arg3 relative %arg4 prefix %arg5 documents %arg6 {bottom_right} :
  %0 = attn.attention %q, %k, %k sink_logits %sinks alibi %sinks relative %table prefix %n documents %ids {bottom_right}
    : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4x257xf32>,
       tensor<2xi32>, tensor<2x?xi64>) -> tensor<2x4x?x8xf32>
  // CHECK: attn.attention %arg2, %arg2, %arg2 ragged %arg7 {causal, num_heads = 4 : i64} :
  %1 = attn.attention %x, %x, %x ragged %at {causal, num_heads = 4 : i64}
    : (tensor<1x?x32xf32>, tensor<1x?x32xf32>, tensor<1x?x32xf32>, tensor<?xi32>) -> tensor<1x?x32xf32>
  // CHECK: attn.attention %arg2, %arg2, %arg2 prefix %arg8 ragged %arg7 ragged_keys %arg7 {num_heads = 4 : i64} :
  %2 = attn.attention %x, %x, %x prefix %lengths ragged %at ragged_keys %at {num_heads = 4 : i64}
    : (tensor<1x?x32xf32>, tensor<1x?x32xf32>, tensor<1x?x32xf32>, tensor<?xi64>, tensor<?xi32>, tensor<?xi32>) -> tensor<1x?x32xf32>
  return
}

// CHECK-LABEL: func.func @results
func.func @results(%q: tensor<2x4x?x8xf32>, %k: tensor<2x2x?x8xf32>) {
  // CHECK: attn.attention %arg0, %arg1, %arg1 {scores = #attn<score_point raw>} : {{.*}} -> (tensor<2x4x?x8xf32>, tensor<2x4x?x?xf32>)
  %0:2 = attn.attention %q, %k, %k {scores = #attn<score_point raw>}
    : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>) -> (tensor<2x4x?x8xf32>, tensor<2x4x?x?xf32>)
  // CHECK: attn.attention %arg0, %arg1, %arg1 {scores = #attn<score_point capped>} : {{.*}} -> (tensor<2x4x?x8xf32>, tensor<2x4x?xf32>, tensor<2x4x?x?xf32>)
  %1:3 = attn.attention %q, %k, %k {scores = #attn<score_point capped>}
    : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>) -> (tensor<2x4x?x8xf32>, tensor<2x4x?xf32>, tensor<2x4x?x?xf32>)
  // CHECK: {scores = #attn<score_point masked>}
  %2:2 = attn.attention %q, %k, %k {scores = #attn<score_point masked>}
    : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>) -> (tensor<2x4x?x8xf32>, tensor<2x4x?x?xf32>)
  // CHECK: {scores = #attn<score_point softmax>}
  %3:2 = attn.attention %q, %k, %k {scores = #attn<score_point softmax>}
    : (tensor<2x4x?x8xf32>, tensor<2x2x?x8xf32>, tensor<2x2x?x8xf32>) -> (tensor<2x4x?x8xf32>, tensor<2x4x?x?xf32>)
  return
}

// CHECK-LABEL: func.func @buffers
func.func @buffers(%q: memref<2x4x?x8xf32>, %k: memref<2x2x?x8x64xf32>, %v: memref<2x2x?x16xf32>, %lse: memref<2x4x?xf32>,
    %scores: memref<2x4x?x?xf32>, %table: memref<32x4xf32>, %bias: memref<4x257xf32>, %ids: memref<2x?xi32>, %ranges: memref<2x2x?xi32>) {
  // CHECK: attn.attention %arg0, %arg1, %arg2 outs %arg0 lse %arg3 scores %arg4 {scores = #attn<score_point softmax>} mask(%[[B:.*]], %{{.*}}, %{{.*}}, %[[J:.*]]) {
  // CHECK-NEXT: attn.load %arg7[%[[B]], %[[J]]] ranges %arg8 : memref<2x2x?xi32> : memref<2x?xi32>
  // CHECK: } : (memref
  attn.attention %q, %k, %v outs %q lse %lse scores %scores {scores = #attn<score_point softmax>} mask(%b, %h, %i, %j) {
    %id = attn.load %ids[%b, %j] ranges %ranges : memref<2x2x?xi32> : memref<2x?xi32>
    %r = arith.cmpi eq, %id, %b : i32
    attn.yield %r : i1
  } : (memref<2x4x?x8xf32>, memref<2x2x?x8x64xf32>, memref<2x2x?x16xf32>, memref<2x4x?x8xf32>, memref<2x4x?xf32>, memref<2x4x?x?xf32>) -> ()
  // CHECK: attn.relative_bias %arg5 outs %arg6 {bidirectional} :
  attn.relative_bias %table outs %bias {bidirectional} : (memref<32x4xf32>, memref<4x257xf32>) -> ()
  return
}

// CHECK-LABEL: func.func @relative_bias
func.func @relative_bias(%table: tensor<32x4xbf16>) {
  // CHECK: attn.relative_bias %arg0 : (tensor<32x4xbf16>) -> tensor<4x257xf32>
  %0 = attn.relative_bias %table : (tensor<32x4xbf16>) -> tensor<4x257xf32>
  // CHECK: attn.relative_bias %arg0 {bidirectional, max_distance = 20 : i64} : (tensor<32x4xbf16>) -> tensor<4x41xf32>
  %1 = attn.relative_bias %table {bidirectional, max_distance = 20 : i64} : (tensor<32x4xbf16>) -> tensor<4x41xf32>
  return
}

// CHECK-LABEL: func.func @tasks
func.func @tasks(%q: memref<?x2x8xf32, strided<[32, 8, 1], offset: ?>>, %n: index, %k: memref<?x8x64xf32>, %v: memref<?x16xf32>,
    %part: memref<?x2x16xf32>, %partial: memref<?x2x2xf32>, %parts: memref<4x?x16xf32>, %maxima: memref<4x?x2xf32>,
    %sinks: memref<2xf32>, %lse: memref<?x2xf32>, %bias: memref<?x2x?xi1>, %scratch: memref<?x?xi8>) {
  // CHECK: attn.online_attention %arg0 batch %arg1 head %arg1 first %arg1 offset %arg1 keys %arg1 packed %arg2, %arg3 bias %arg10 sink_logits %arg8 from %arg1 to %arg1 outs %arg4 partial %arg5 scratch %arg11 {causal} score(%[[S:.*]], %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) {
  // CHECK-NEXT: attn.yield %[[S]] : f32
  // CHECK-NEXT: } prob(%[[P:.*]], %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) {
  // CHECK-NEXT: attn.yield %[[P]] : f32
  // CHECK-NEXT: } :
  attn.online_attention %q batch %n head %n first %n offset %n keys %n packed %k, %v bias %bias sink_logits %sinks from %n to %n
    outs %part partial %partial scratch %scratch {causal} score(%s, %b, %h, %i, %j) {
    attn.yield %s : f32
  } prob(%p, %b, %h, %i, %j) {
    attn.yield %p : f32
  } : memref<?x2x8xf32, strided<[32, 8, 1], offset: ?>>, index, index, index, index, index, memref<?x8x64xf32>, memref<?x16xf32>,
      memref<?x2x?xi1>, memref<2xf32>, index, index, memref<?x2x16xf32>, memref<?x2x2xf32>, memref<?x?xi8>
  // CHECK: attn.merge_attention %arg6, %arg7 sink_logits %arg8 outs %arg0 lse %arg9 :
  attn.merge_attention %parts, %maxima sink_logits %sinks outs %q lse %lse
    : memref<4x?x16xf32>, memref<4x?x2xf32>, memref<2xf32>, memref<?x2x8xf32, strided<[32, 8, 1], offset: ?>>, memref<?x2xf32>
  // CHECK: attn.merge_attention %arg6, %arg7 outs %arg0 :
  attn.merge_attention %parts, %maxima outs %q : memref<4x?x16xf32>, memref<4x?x2xf32>, memref<?x2x8xf32, strided<[32, 8, 1], offset: ?>>
  return
}
