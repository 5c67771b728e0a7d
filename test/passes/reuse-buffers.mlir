// RUN: attn-opt %s --allow-unregistered-dialect --attn-reuse-buffers | FileCheck %s

// The block reads its input before it writes its output; what it needs in between lies in the output.
// CHECK-LABEL: func.func private @block(
// CHECK-SAME: %[[X:arg1]]: {{.*}} %[[OUT:arg2]]: memref
// CHECK: %[[EARLY:.*]] = memref.alloc
// CHECK: "test.early"(%[[X]], %[[EARLY]])
// CHECK: "test.between"(%[[EARLY]], %[[OUT]])
// CHECK: %[[LATE:.*]] = memref.alloc
// CHECK: "test.late"(%[[OUT]], %[[LATE]])
// CHECK: "test.last"(%[[LATE]], %[[OUT]])
func.func private @block(%ctx: !llvm.ptr, %x: memref<?x4xf32> {attn.dims = ["d0"]}, %out: memref<?x4xf32> {attn.dims = ["d0"]},
                         %weights: memref<?xi8>, %workspace: memref<?xi8>, %workers: index) attributes {attn.outputs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %n = memref.dim %x, %c0 : memref<?x4xf32>
  %early = memref.alloc(%n) : memref<?x4xf32>
  "test.early"(%x, %early) : (memref<?x4xf32>, memref<?x4xf32>) -> ()
  %between = memref.alloc(%n) : memref<?x4xf32>
  "test.between"(%early, %between) : (memref<?x4xf32>, memref<?x4xf32>) -> ()
  %late = memref.alloc(%n) : memref<?x4xf32>
  "test.late"(%between, %late) : (memref<?x4xf32>, memref<?x4xf32>) -> ()
  "test.last"(%late, %out) : (memref<?x4xf32>, memref<?x4xf32>) -> ()
  return
}

// This one reads its input until the end.
// CHECK-LABEL: func.func private @residual(
// CHECK: memref.alloc
func.func private @residual(%ctx: !llvm.ptr, %x: memref<?x4xf32> {attn.dims = ["d0"]}, %out: memref<?x4xf32> {attn.dims = ["d0"]},
                            %weights: memref<?xi8>, %workspace: memref<?xi8>, %workers: index) attributes {attn.outputs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %n = memref.dim %x, %c0 : memref<?x4xf32>
  %a = memref.alloc(%n) : memref<?x4xf32>
  "test.first"(%x, %a) : (memref<?x4xf32>, memref<?x4xf32>) -> ()
  "test.last"(%x, %a, %out) : (memref<?x4xf32>, memref<?x4xf32>, memref<?x4xf32>) -> ()
  return
}

// CHECK-LABEL: func.func @forward(
// CHECK: %[[A:.*]] = memref.alloc
// CHECK: call @block(%arg0, %[[A]], %[[A]],
// CHECK: call @block(%arg0, %[[A]], %[[A]],
// Not with an input that is used later, nor where the callee needs both.
// CHECK: %[[B:.*]] = memref.alloc
// CHECK: call @block(%arg0, %[[A]], %[[B]],
// CHECK: %[[C:.*]] = memref.alloc
// CHECK: call @residual(%arg0, %[[B]], %[[C]],
// CHECK: "test.use"(%[[A]], %[[C]])
// An entry's outputs belong to the host.
// CHECK: call @block(%arg0, %[[C]], %arg2,
func.func @forward(%ctx: !llvm.ptr, %x: memref<?x4xf32> {attn.dims = ["rows"]}, %out: memref<?x4xf32> {attn.dims = ["rows"]},
                   %weights: memref<?xi8>, %workspace: memref<?xi8>, %workers: index) attributes {attn.outputs = 1 : i64} {
  %c0 = arith.constant 0 : index
  %n = memref.dim %x, %c0 : memref<?x4xf32>
  %0 = memref.alloc(%n) : memref<?x4xf32>
  "test.use"(%x, %0) : (memref<?x4xf32>, memref<?x4xf32>) -> ()
  %1 = memref.alloc(%n) : memref<?x4xf32>
  call @block(%ctx, %0, %1, %weights, %workspace, %workers) : (!llvm.ptr, memref<?x4xf32>, memref<?x4xf32>, memref<?xi8>, memref<?xi8>, index) -> ()
  %2 = memref.alloc(%n) : memref<?x4xf32>
  call @block(%ctx, %1, %2, %weights, %workspace, %workers) : (!llvm.ptr, memref<?x4xf32>, memref<?x4xf32>, memref<?xi8>, memref<?xi8>, index) -> ()
  %3 = memref.alloc(%n) : memref<?x4xf32>
  call @block(%ctx, %2, %3, %weights, %workspace, %workers) : (!llvm.ptr, memref<?x4xf32>, memref<?x4xf32>, memref<?xi8>, memref<?xi8>, index) -> ()
  %4 = memref.alloc(%n) : memref<?x4xf32>
  call @residual(%ctx, %3, %4, %weights, %workspace, %workers) : (!llvm.ptr, memref<?x4xf32>, memref<?x4xf32>, memref<?xi8>, memref<?xi8>, index) -> ()
  "test.use"(%2, %4) : (memref<?x4xf32>, memref<?x4xf32>) -> ()
  call @block(%ctx, %4, %out, %weights, %workspace, %workers) : (!llvm.ptr, memref<?x4xf32>, memref<?x4xf32>, memref<?xi8>, memref<?xi8>, index) -> ()
  return
}
