// RUN: attn-opt %s --attn-range-captures | FileCheck %s

// One op per buffer, for both loads and both attention ops. Loads of one place, of floats, of two moving indices and of
// score regions have none.

// CHECK-LABEL: func.func @documents
// CHECK-SAME: %[[N:arg[0-9]+]]: memref<?xi32>, %[[IDS:arg[0-9]+]]: memref<?x?xi32>
// CHECK-DAG: %[[ROWS:.*]] = memref.dim %[[IDS]], %c0
// CHECK-DAG: %[[SIZE:.*]] = memref.dim %[[IDS]], %c1
// CHECK: %[[UP:.*]] = arith.addi %[[SIZE]], %c63
// CHECK: %[[BLOCKS:.*]] = arith.divui %[[UP]], %c64
// CHECK: %[[RANGES:.*]] = memref.alloc(%[[ROWS]], %[[BLOCKS]]) : memref<2x?x?xi32>
// CHECK: attn.block_range %[[IDS]] outs %[[RANGES]] : memref<?x?xi32>, memref<2x?x?xi32>
// CHECK-NOT: attn.block_range
// CHECK: attn.attention
// CHECK: attn.load %[[IDS]][%{{.*}}, %{{.*}}] : memref<?x?xi32>
// CHECK: } mask(%[[B:.*]], %[[H:.*]], %[[I:.*]], %[[J:.*]]) {
// CHECK: attn.load %[[IDS]][%[[B]], %[[I]]] ranges %[[RANGES]] : memref<2x?x?xi32> : memref<?x?xi32>
// CHECK: attn.load %[[IDS]][%[[B]], %[[J]]] ranges %[[RANGES]] : memref<2x?x?xi32> : memref<?x?xi32>
// CHECK: attn.load %[[N]][%[[B]]] : memref<?xi32>
// CHECK-NOT: attn.block_range
// CHECK: attn.attention
// CHECK: attn.load %[[IDS]]{{.*}} ranges %[[RANGES]] : memref<2x?x?xi32> : memref<?x?xi32>
func.func @documents(%q: memref<?x?x8xf32>, %k: memref<?x1x?x8x64xf32>, %v: memref<?x1x?x16xf32>, %o: memref<?x?x8xf32>, %n: memref<?xi32>, %ids: memref<?x?xi32>) {
  attn.attention %q, %k, %v outs %o {num_heads = 1 : i64} score(%s, %b, %h, %i, %j) {
    %id = attn.load %ids[%b, %j] : memref<?x?xi32>
    %x = arith.sitofp %id : i32 to f32
    attn.yield %x : f32
  } mask(%b, %h, %i, %j) {
    %own = attn.load %ids[%b, %i] : memref<?x?xi32>
    %other = attn.load %ids[%b, %j] : memref<?x?xi32>
    %length = attn.load %n[%b] : memref<?xi32>
    %inside = arith.cmpi slt, %j, %length : i32
    %same = arith.cmpi eq, %own, %other : i32
    %keep = arith.andi %same, %inside : i1
    attn.yield %keep : i1
  } : (memref<?x?x8xf32>, memref<?x1x?x8x64xf32>, memref<?x1x?x16xf32>, memref<?x?x8xf32>) -> ()
  attn.attention %q, %k, %v outs %o {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    %id = attn.load %ids[%b, %j] : memref<?x?xi32>
    %keep = arith.cmpi eq, %id, %h : i32
    attn.yield %keep : i1
  } : (memref<?x?x8xf32>, memref<?x1x?x8x64xf32>, memref<?x1x?x16xf32>, memref<?x?x8xf32>) -> ()
  return
}

// Static sizes, flags, i64, an index computed from j, and one that is loaded.
// CHECK-LABEL: func.func @types
// CHECK: %[[A:.*]] = memref.alloc() : memref<2x3xi32>
// CHECK: attn.block_range %arg4 outs %[[A]] : memref<130xi1>, memref<2x3xi32>
// CHECK: %[[B:.*]] = memref.alloc(%{{.*}}) : memref<2x4x?xi64>
// CHECK: attn.block_range %arg5 outs %[[B]] : memref<4x?xi64>, memref<2x4x?xi64>
// CHECK: %[[C:.*]] = memref.alloc() : memref<2x1xi32>
// CHECK: attn.block_range %arg6 outs %[[C]] : memref<64xi8>, memref<2x1xi32>
// CHECK: attn.load %arg4[%{{.*}}] ranges %[[A]]
// CHECK: attn.load %arg5[%{{.*}}, %{{.*}}] ranges %[[B]]
// CHECK: attn.load %arg6[%{{.*}}] ranges %[[C]]
func.func @types(%q: memref<?x?x32xf32>, %k: memref<?x4x?x8x64xf32>, %v: memref<?x4x?x16xf32>, %o: memref<?x?x32xf32>, %flags: memref<130xi1>, %wide: memref<4x?xi64>, %bytes: memref<64xi8>) {
  attn.attention %q, %k, %v outs %o {num_heads = 4 : i64} mask(%b, %h, %i, %j) {
    %flag = attn.load %flags[%j] : memref<130xi1>
    %c7 = arith.constant 7 : i32
    %place = arith.divsi %j, %c7 : i32
    %start = attn.load %wide[%h, %place] : memref<4x?xi64>
    %from = arith.trunci %start : i64 to i32
    %byte = attn.load %bytes[%from] : memref<64xi8>
    %c0 = arith.constant 0 : i8
    %set = arith.cmpi ne, %byte, %c0 : i8
    %keep = arith.andi %flag, %set : i1
    attn.yield %keep : i1
  } : (memref<?x?x32xf32>, memref<?x4x?x8x64xf32>, memref<?x4x?x16xf32>, memref<?x?x32xf32>) -> ()
  return
}

// CHECK-LABEL: func.func @none
// CHECK-NOT: attn.block_range
// CHECK: return
func.func @none(%q: memref<?x?x8xf32>, %k: memref<?x1x?x8x64xf32>, %v: memref<?x1x?x16xf32>, %o: memref<?x?x8xf32>, %dense: memref<?x?xi1>, %x: memref<?xf32>, %one: memref<i32>) {
  attn.attention %q, %k, %v outs %o {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    %a = attn.load %dense[%i, %j] : memref<?x?xi1>
    %f = attn.load %x[%j] : memref<?xf32>
    %zero = arith.constant 0.0 : f32
    %c = arith.cmpf ogt, %f, %zero : f32
    %n = attn.load %one[] : memref<i32>
    %d = arith.cmpi slt, %j, %n : i32
    %e = arith.andi %a, %c : i1
    %keep = arith.andi %d, %e : i1
    attn.yield %keep : i1
  } : (memref<?x?x8xf32>, memref<?x1x?x8x64xf32>, memref<?x1x?x16xf32>, memref<?x?x8xf32>) -> ()
  return
}
