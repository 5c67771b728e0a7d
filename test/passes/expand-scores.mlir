// RUN: attn-opt %s --attn-expand-scores | FileCheck %s

// CHECK-LABEL: @alibi
// CHECK: attn.attention %arg0, %arg1, %arg2 {causal} score(%[[S:.*]], %{{.*}}, %[[H:.*]], %[[I:.*]], %[[J:.*]]) {
// CHECK-NEXT: %[[SLOPE:.*]] = attn.load %arg3[%[[H]]] : tensor<4xf32>
// CHECK-NEXT: %[[D:.*]] = arith.subi %[[J]], %[[I]] : i32
// CHECK-NEXT: %[[F:.*]] = arith.sitofp %[[D]] : i32 to f32
// CHECK-NEXT: %[[BIAS:.*]] = arith.mulf %[[SLOPE]], %[[F]] : f32
// CHECK-NEXT: %[[R:.*]] = arith.addf %[[S]], %[[BIAS]] : f32
// CHECK-NEXT: attn.yield %[[R]] : f32
// CHECK-NEXT: } : (
func.func @alibi(%q: tensor<2x4x?x8xf32>, %k: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x8xf32>, %slopes: tensor<4xf32>) -> tensor<2x4x?x8xf32> {
  %0 = attn.attention %q, %k, %v alibi %slopes {causal}
     : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<4xf32>) -> tensor<2x4x?x8xf32>
  return %0 : tensor<2x4x?x8xf32>
}

// CHECK-LABEL: @relative
// CHECK: attn.attention %arg0, %arg1, %arg2 score(%[[S:.*]], %{{.*}}, %[[H:.*]], %[[I:.*]], %[[J:.*]]) {
// CHECK: %[[D:.*]] = arith.subi %[[J]], %[[I]] : i32
// CHECK: %[[LOW:.*]] = arith.constant -128 : i32
// CHECK: %[[M:.*]] = arith.maxsi %[[D]], %[[LOW]] : i32
// CHECK: %[[HIGH:.*]] = arith.constant 128 : i32
// CHECK: %[[C:.*]] = arith.minsi %[[M]], %[[HIGH]] : i32
// CHECK: %[[REACH:.*]] = arith.constant 128 : i32
// CHECK: %[[X:.*]] = arith.addi %[[C]], %[[REACH]] : i32
// CHECK: %[[BIAS:.*]] = attn.load %arg3[%[[H]], %[[X]]] : tensor<4x257xf32>
// CHECK: %[[R:.*]] = arith.addf %[[S]], %[[BIAS]] : f32
// CHECK: attn.yield %[[R]] : f32
func.func @relative(%q: tensor<2x4x?x8xf32>, %k: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x8xf32>, %table: tensor<4x257xf32>) -> tensor<2x4x?x8xf32> {
  %0 = attn.attention %q, %k, %v relative %table
     : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<4x257xf32>) -> tensor<2x4x?x8xf32>
  return %0 : tensor<2x4x?x8xf32>
}

// A prefix contains causal; lengths of i64 are compared as such.
// CHECK-LABEL: @prefix
// CHECK: attn.attention %arg0, %arg1, %arg2 mask(%[[B:.*]], %{{.*}}, %[[I:.*]], %[[J:.*]]) {
// CHECK: %[[TRUE:.*]] = arith.constant true
// CHECK: %[[N:.*]] = attn.load %arg3[%[[B]]] : tensor<2xi64>
// CHECK: %[[WIDE:.*]] = arith.extsi %[[J]] : i32 to i64
// CHECK: %[[PAST:.*]] = arith.cmpi sle, %[[J]], %[[I]] : i32
// CHECK: %[[IN:.*]] = arith.cmpi slt, %[[WIDE]], %[[N]] : i64
// CHECK: %[[EITHER:.*]] = arith.ori %[[PAST]], %[[IN]] : i1
// CHECK: %[[R:.*]] = arith.andi %[[TRUE]], %[[EITHER]] : i1
// CHECK: attn.yield %[[R]] : i1
func.func @prefix(%q: tensor<2x4x?x8xf32>, %k: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x8xf32>, %n: tensor<2xi64>) -> tensor<2x4x?x8xf32> {
  %0 = attn.attention %q, %k, %v prefix %n {causal}
     : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2xi64>) -> tensor<2x4x?x8xf32>
  return %0 : tensor<2x4x?x8xf32>
}

// CHECK-LABEL: @prefix_i32
// CHECK: attn.attention %arg0, %arg1, %arg2 {window_left = 9 : i64} mask(%[[B:.*]], %{{.*}}, %{{.*}}, %[[J:.*]]) {
// CHECK: %[[N:.*]] = attn.load %arg3[%[[B]]] : tensor<2xi32>
// CHECK: arith.cmpi slt, %[[J]], %[[N]] : i32
func.func @prefix_i32(%q: tensor<2x4x?x8xf32>, %k: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x8xf32>, %n: tensor<2xi32>) -> tensor<2x4x?x8xf32> {
  %0 = attn.attention %q, %k, %v prefix %n {window_left = 9 : i64}
     : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2xi32>) -> tensor<2x4x?x8xf32>
  return %0 : tensor<2x4x?x8xf32>
}

// CHECK-LABEL: @documents
// CHECK: attn.attention %arg0, %arg1, %arg2 {causal} mask(%[[B:.*]], %{{.*}}, %[[I:.*]], %[[J:.*]]) {
// CHECK: %[[OWN:.*]] = attn.load %arg3[%[[B]], %[[I]]] : tensor<2x?xi64>
// CHECK: %[[OTHER:.*]] = attn.load %arg3[%[[B]], %[[J]]] : tensor<2x?xi64>
// CHECK: arith.cmpi eq, %[[OWN]], %[[OTHER]] : i64
func.func @documents(%q: tensor<2x4x?x8xf32>, %k: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x8xf32>, %ids: tensor<2x?xi64>) -> tensor<2x4x?x8xf32> {
  %0 = attn.attention %q, %k, %v documents %ids {causal}
     : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x?xi64>) -> tensor<2x4x?x8xf32>
  return %0 : tensor<2x4x?x8xf32>
}

// The user's own regions come first: score, alibi, relative; mask, prefix, documents. prob stays.
// CHECK-LABEL: @with_regions
// CHECK: attn.attention %arg0, %arg1, %arg2 score(%[[S:.*]], %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) {
// CHECK-NEXT: %[[OWN:.*]] = math.absf %[[S]] : f32
// CHECK-NEXT: attn.load %arg3
// CHECK: %[[ALIBI:.*]] = arith.addf %[[OWN]],
// CHECK: %[[TABLE:.*]] = attn.load %arg4
// CHECK: %[[R:.*]] = arith.addf %[[ALIBI]], %[[TABLE]] : f32
// CHECK-NEXT: attn.yield %[[R]] : f32
// CHECK: mask(%[[B:.*]], %{{.*}}, %{{.*}}, %[[J:.*]]) {
// CHECK-NEXT: %[[KEEP:.*]] = arith.cmpi ne, %[[J]], %[[B]] : i32
// CHECK: %[[PREFIX:.*]] = arith.ori
// CHECK: %[[FIRST:.*]] = arith.andi %[[KEEP]], %[[PREFIX]] : i1
// CHECK: %[[SAME:.*]] = arith.cmpi eq, %{{.*}}, %{{.*}} : i32
// CHECK: %[[ALL:.*]] = arith.andi %[[FIRST]], %[[SAME]] : i1
// CHECK-NEXT: attn.yield %[[ALL]] : i1
// CHECK: prob(%[[P:.*]], %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) {
// CHECK-NEXT: attn.yield %[[P]] : f32
func.func @with_regions(%q: tensor<2x4x?x8xf32>, %k: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x8xf32>, %slopes: tensor<4xf32>,
                        %table: tensor<4x3xf32>, %n: tensor<2xi32>, %ids: tensor<2x?xi32>) -> tensor<2x4x?x8xf32> {
  %0 = attn.attention %q, %k, %v alibi %slopes relative %table prefix %n documents %ids {causal}
    score(%s, %b, %h, %i, %j) {
      %1 = math.absf %s : f32
      attn.yield %1 : f32
    } mask(%b, %h, %i, %j) {
      %1 = arith.cmpi ne, %j, %b : i32
      attn.yield %1 : i1
    } prob(%p, %b, %h, %i, %j) {
      attn.yield %p : f32
    } : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<4xf32>, tensor<4x3xf32>, tensor<2xi32>, tensor<2x?xi32>) -> tensor<2x4x?x8xf32>
  return %0 : tensor<2x4x?x8xf32>
}

// What is no named bias or mask stays, and nothing is made for it.
// CHECK-LABEL: @others
// CHECK: attn.attention %arg0, %arg1, %arg2 bias %arg3 key_mask %arg4 kv_len %arg5 sink_logits %arg6 {causal, soft_cap = 3.000000e+01 : f64} : (
func.func @others(%q: tensor<2x4x?x8xf32>, %k: tensor<2x4x?x8xf32>, %v: tensor<2x4x?x8xf32>, %bias: tensor<?x?xf32>,
                  %mask: tensor<2x?xi64>, %len: tensor<2xi32>, %sinks: tensor<4xf32>) -> tensor<2x4x?x8xf32> {
  %0 = attn.attention %q, %k, %v bias %bias key_mask %mask kv_len %len sink_logits %sinks {causal, soft_cap = 30.0 : f64}
     : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<?x?xf32>, tensor<2x?xi64>, tensor<2xi32>, tensor<4xf32>) -> tensor<2x4x?x8xf32>
  return %0 : tensor<2x4x?x8xf32>
}
