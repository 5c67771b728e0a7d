// RUN: attn-opt %s --attn-outline-pipelines=ops=attn.activation,attn.cache_append,attn.route,attn.expert_linear --verify-diagnostics | FileCheck %s

// Two ops that differ in strides are one pipeline; another width is another one. A constant index goes inside.
// CHECK-LABEL: func.func @f
// CHECK: attn.launch @activation(%arg1) outs(%[[A:.*]]) "activation" flop %{{.*}} bytes %{{.*}} : (memref<?x8xf32>) -> memref<?x8xf32>
// CHECK: attn.launch @activation(%{{.*}}) outs(%arg2) "activation" {{.*}} : (memref<?x8xf32, strided<[8, 1], offset: ?>>) -> memref<?x8xf32>
// CHECK: attn.launch @activation_0() outs(%arg3) "activation"
// CHECK: attn.l2_norm
func.func @f(%ctx: !llvm.ptr, %x: memref<?x8xf32>, %y: memref<?x8xf32>, %z: memref<?x9xf32>, %weights: memref<?xi8>,
             %workspace: memref<?xi8>, %workers: index) attributes {attn.outputs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %n = memref.dim %x, %c0 : memref<?x8xf32>
  %a = memref.alloc(%n) : memref<?x8xf32>
  attn.activation relu %x outs %a : (memref<?x8xf32>, memref<?x8xf32>) -> ()
  %v = memref.subview %a[%n, 0] [%n, 8] [1, 1] : memref<?x8xf32> to memref<?x8xf32, strided<[8, 1], offset: ?>>
  attn.activation relu %v outs %y : (memref<?x8xf32, strided<[8, 1], offset: ?>>, memref<?x8xf32>) -> ()
  attn.activation relu %z outs %z : (memref<?x9xf32>, memref<?x9xf32>) -> ()
  // expected-remark @below {{'attn.l2_norm' runs on the host: expected one of 'ops', got attn.l2_norm}}
  attn.l2_norm %x outs %y : (memref<?x8xf32>, memref<?x8xf32>) -> ()
  return
}

// The cache's parts are arguments; an append writes its pages.
// CHECK-LABEL: func.func @append
// CHECK: attn.launch @cache_append(%arg1, %arg3, %arg4, %arg5) outs(%arg2) "cache_append"
func.func @append(%ctx: !llvm.ptr, %k: memref<?x?x16xf32>, %pages: memref<?xf32>, %table: memref<?x?xi32>, %past: memref<?xi32>,
                  %page: index, %weights: memref<?xi8>, %workspace: memref<?xi8>, %workers: index)
    attributes {attn.outputs = 0 : i64} {
  %cache = attn.cache_view %pages, %table, %past, %page : memref<?xf32>, memref<?x?xi32>, memref<?xi32> -> !attn.cache<1x1x16x16xf32>
  %c0 = arith.constant 0 : index
  attn.cache_append %k, %k to %cache[%c0] : memref<?x?x16xf32>, memref<?x?x16xf32>, !attn.cache<1x1x16x16xf32>
  return
}

// Experts are checked, but not those that attn.route has chosen among as many.
// CHECK-LABEL: func.func @experts
// CHECK: attn.launch @route
// CHECK-NOT: attn.check_ids
// CHECK: attn.launch @expert_linear
// CHECK: attn.check_ids %arg3
// CHECK: attn.launch @expert_linear
// CHECK: return
func.func @experts(%ctx: !llvm.ptr, %logits: memref<?x4xf32>, %x: memref<?x8xf32>, %given: memref<?x2xi64>,
                   %w: memref<4x1x8x16xf32>, %y: memref<?x2x16xf32>, %weights: memref<?xi8>, %workspace: memref<?xi8>,
                   %workers: index) attributes {attn.outputs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %n = memref.dim %x, %c0 : memref<?x8xf32>
  %p = memref.alloc(%n) : memref<?x2xf32>
  %e = memref.alloc(%n) : memref<?x2xi64>
  attn.route %logits top_k 2 outs %p, %e : (memref<?x4xf32>, memref<?x2xf32>, memref<?x2xi64>) -> ()
  attn.expert_linear %x, %w experts %e outs %y
      : (memref<?x8xf32>, memref<4x1x8x16xf32>, memref<?x2xi64>, memref<?x2x16xf32>) -> ()
  attn.expert_linear %x, %w experts %given outs %y
      : (memref<?x8xf32>, memref<4x1x8x16xf32>, memref<?x2xi64>, memref<?x2x16xf32>) -> ()
  return
}

// Fewer experts than attn.route knows, or a buffer that something else writes, too.
// CHECK-LABEL: func.func @other_experts
// CHECK: attn.launch @route
// CHECK: attn.check_ids
// CHECK: attn.launch @expert_linear
// CHECK: attn.launch @route
// CHECK: attn.check_ids
// CHECK: attn.launch @expert_linear
// CHECK: return
func.func @other_experts(%ctx: !llvm.ptr, %logits: memref<?x4xf32>, %x: memref<?x8xf32>, %given: memref<?x2xi64>,
                         %w: memref<4x1x8x16xf32>, %few: memref<3x1x8x16xf32>, %y: memref<?x2x16xf32>,
                         %weights: memref<?xi8>, %workspace: memref<?xi8>, %workers: index)
    attributes {attn.outputs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %n = memref.dim %x, %c0 : memref<?x8xf32>
  %p = memref.alloc(%n) : memref<?x2xf32>
  %e = memref.alloc(%n) : memref<?x2xi64>
  attn.route %logits top_k 2 outs %p, %e : (memref<?x4xf32>, memref<?x2xf32>, memref<?x2xi64>) -> ()
  attn.expert_linear %x, %few experts %e outs %y
      : (memref<?x8xf32>, memref<3x1x8x16xf32>, memref<?x2xi64>, memref<?x2x16xf32>) -> ()
  %f = memref.alloc(%n) : memref<?x2xi64>
  attn.route %logits top_k 2 outs %p, %f : (memref<?x4xf32>, memref<?x2xf32>, memref<?x2xi64>) -> ()
  // expected-remark @below {{'memref.copy' runs on the host: expected one of 'ops', got memref.copy}}
  memref.copy %given, %f : memref<?x2xi64> to memref<?x2xi64>
  attn.expert_linear %x, %w experts %f outs %y
      : (memref<?x8xf32>, memref<4x1x8x16xf32>, memref<?x2xi64>, memref<?x2x16xf32>) -> ()
  return
}

// CHECK: attn.pipeline @activation {
// CHECK-NEXT: ^bb0(%[[X:.*]]: memref<?x8xf32>, %[[Y:.*]]: memref<?x8xf32>):
// CHECK-NEXT: attn.activation relu %[[X]] outs %[[Y]]
// CHECK: attn.pipeline @activation_0 {
// CHECK: attn.pipeline @cache_append {
// CHECK-NEXT: ^bb0(%[[K:.*]]: memref<?x?x16xf32>, %[[TABLE:.*]]: memref<?x?xi32>, %[[PAST:.*]]: memref<?xi32>, %[[PAGE:.*]]: index, %[[PAGES:.*]]: memref<?xf32>):
// CHECK: attn.cache_view %[[PAGES]], %[[TABLE]], %[[PAST]], %[[PAGE]]
// CHECK: attn.cache_append
