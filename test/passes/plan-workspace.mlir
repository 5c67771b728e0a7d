// RUN: attn-opt %s --allow-unregistered-dialect --attn-plan-workspace --canonicalize | FileCheck %s

// Buffers that scale with the same dimension share memory when their lifetimes do not meet: three of 64 bytes a row, two alive.
// CHECK-LABEL: func.func @chain.workspace(
// CHECK-DAG: %[[C:.*]] = arith.constant 128 : index
// CHECK-DAG: %[[LIMIT:.*]] = arith.constant 4611686018427387904 : index
// Products saturate.
// CHECK: %[[BYTES:.*]] = arith.muli %{{.*}}, %[[C]]
// CHECK: arith.select %{{.*}}, %[[LIMIT]], %[[BYTES]]
// CHECK: return
func.func private @chain.workspace(index, index) -> index

// CHECK-LABEL: func.func @chain(
// CHECK-NOT: memref.alloc
// CHECK: memref.view %arg4[%c0][%{{.*}}] {attn.buffer = {{.*}}} : memref<?xi8> to memref<?x16xf32>
// CHECK: memref.view %arg4[%{{.*}}][%{{.*}}] {attn.buffer = {{.*}}} : memref<?xi8> to memref<?x16xf32>
// CHECK: memref.view %arg4[%c0][%{{.*}}] {attn.buffer = {{.*}}} : memref<?xi8> to memref<?x16xf32>
func.func @chain(%ctx: !llvm.ptr, %x: memref<?x16xf32> {attn.dims = ["rows"]}, %out: memref<?x16xf32> {attn.dims = ["rows"]},
                 %weights: memref<?xi8>, %workspace: memref<?xi8>, %workers: index) attributes {attn.outputs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %n = memref.dim %x, %c0 : memref<?x16xf32>
  %a = memref.alloc(%n) : memref<?x16xf32>
  attn.activation relu %x outs %a : (memref<?x16xf32>, memref<?x16xf32>) -> ()
  %b = memref.alloc(%n) : memref<?x16xf32>
  attn.activation relu %a outs %b : (memref<?x16xf32>, memref<?x16xf32>) -> ()
  // Equal names are equal sizes: this one is of the same class.
  %m = memref.dim %out, %c0 : memref<?x16xf32>
  %c = memref.alloc(%m) : memref<?x16xf32>
  attn.activation relu %b outs %c : (memref<?x16xf32>, memref<?x16xf32>) -> ()
  attn.activation relu %c outs %out : (memref<?x16xf32>, memref<?x16xf32>) -> ()
  return
}

// Of two buffers whose sizes cannot be compared, the greater end counts: scratch of the workers, then rows.
// CHECK-LABEL: func.func @either.workspace(
// CHECK: arith.maxsi
// CHECK-LABEL: func.func @either(
// CHECK: %[[MOST:.*]] = arith.maxsi
// CHECK: memref.view %arg4[%c0][%{{.*}}] {{.*}} to memref<?x16xf32>
// CHECK: memref.view %arg4[%c0][%arg5] {{.*}} to memref<?x256xi8>
// CHECK: memref.view %arg4[%[[MOST]]][%{{.*}}] {{.*}} to memref<?x32xf32>
func.func private @either.workspace(index, index) -> index
func.func @either(%ctx: !llvm.ptr, %x: memref<?x16xf32> {attn.dims = ["rows"]}, %out: memref<?x32xf32> {attn.dims = ["rows"]},
                  %weights: memref<?xi8>, %workspace: memref<?xi8>, %workers: index) attributes {attn.outputs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %n = memref.dim %x, %c0 : memref<?x16xf32>
  %rows = memref.alloc(%n) : memref<?x16xf32>
  %scratch = memref.alloc(%workers) : memref<?x256xi8>
  %both = memref.alloc(%n) : memref<?x32xf32>
  "test.use"(%rows, %both) : (memref<?x16xf32>, memref<?x32xf32>) -> ()
  "test.use"(%scratch, %both) : (memref<?x256xi8>, memref<?x32xf32>) -> ()
  return
}

// Sizes are rounded up to 64 bytes; scratch scales with the workers; a reshaped buffer's size is its source's.
// CHECK-LABEL: func.func @mixed.workspace(
// CHECK-DAG: arith.muli %{{.*}}, %c64
// CHECK-DAG: arith.muli %{{.*}}, %c256
func.func private @mixed.workspace(index, index) -> index
func.func @mixed(%ctx: !llvm.ptr, %x: memref<?x2x2xf32> {attn.dims = ["n"]}, %out: memref<?x4xf32> {attn.dims = ["n"]},
                 %weights: memref<?xi8>, %workspace: memref<?xi8>, %workers: index) attributes {attn.outputs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %flat = memref.collapse_shape %x [[0], [1, 2]] : memref<?x2x2xf32> into memref<?x4xf32>
  %n = memref.dim %flat, %c0 : memref<?x4xf32>
  %a = memref.alloc(%n) : memref<?x4xf32>
  %s = memref.alloc(%workers) : memref<?x200xi8>
  attn.activation relu %flat outs %a : (memref<?x4xf32>, memref<?x4xf32>) -> ()
  attn.activation relu %a outs %out : (memref<?x4xf32>, memref<?x4xf32>) -> ()
  "test.use"(%s) : (memref<?x200xi8>) -> ()
  return
}

// Calls that ask for the same workspace are one; twelve layers share it.
// CHECK-LABEL: func.func @layers(
// CHECK-COUNT-1: call @mixed.workspace
// CHECK-NOT: call @mixed.workspace
func.func private @layers.workspace(index, index) -> index
func.func @layers(%ctx: !llvm.ptr, %x: memref<?x2x2xf32> {attn.dims = ["n"]}, %out: memref<?x4xf32> {attn.dims = ["n"]},
                  %weights: memref<?xi8>, %workspace: memref<?xi8>, %workers: index) attributes {attn.outputs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %n = memref.dim %x, %c0 : memref<?x2x2xf32>
  %b1 = call @mixed.workspace(%n, %workers) : (index, index) -> index
  %w1 = memref.alloc(%b1) : memref<?xi8>
  call @mixed(%ctx, %x, %out, %weights, %w1, %workers) : (!llvm.ptr, memref<?x2x2xf32>, memref<?x4xf32>, memref<?xi8>, memref<?xi8>, index) -> ()
  %b2 = call @mixed.workspace(%n, %workers) : (index, index) -> index
  %w2 = memref.alloc(%b2) : memref<?xi8>
  call @mixed(%ctx, %x, %out, %weights, %w2, %workers) : (!llvm.ptr, memref<?x2x2xf32>, memref<?x4xf32>, memref<?xi8>, memref<?xi8>, index) -> ()
  return
}
