// RUN: attn-opt %s --attn-outline-tasks --split-input-file --verify-diagnostics | FileCheck %s

// Captures become arguments, constants are copied, equal kernels are one whatever they cost.
// CHECK-LABEL: func.func @f
// CHECK: attn.dispatch @f.fill[%{{.*}}] (%arg0, %arg2, %arg1) "fill" flop %arg3 bytes %arg3
// CHECK: %[[NONE:.*]] = arith.constant 0 : index
// CHECK: attn.dispatch @f.fill[%{{.*}}] (%arg0, %arg2, %arg1) "fill" flop %[[NONE]] bytes %[[NONE]]
// CHECK-LABEL: func.func private @f.fill(%arg0: !llvm.ptr, %arg1: f32, %arg2: memref<?xf32>, %arg3: index, %arg4: index)
// CHECK: memref.store %arg1, %arg2[%arg3]
// CHECK: memref.store %arg1, %arg2[%arg4]
// CHECK-NOT: func.func
func.func @f(%ctx: !llvm.ptr, %m: memref<?xf32>, %v: f32, %n: index) {
  scf.forall (%i) in (%n) {
    attn.cost flop %n bytes %n
    %w = attn.worker
    memref.store %v, %m[%i] : memref<?xf32>
    memref.store %v, %m[%w] : memref<?xf32>
  } {attn.op = "fill"}
  scf.forall (%i) in (%n) {
    %w = attn.worker
    memref.store %v, %m[%i] : memref<?xf32>
    memref.store %v, %m[%w] : memref<?xf32>
  } {attn.op = "fill"}
  return
}

// -----

// A set of one task was folded: it runs in place, with the first worker's scratch.
// CHECK-LABEL: func.func @outside
// CHECK-NEXT: %[[ZERO:.*]] = arith.constant 0 : index
// CHECK-NEXT: return %[[ZERO]]
func.func @outside(%ctx: !llvm.ptr) -> index {
  %w = attn.worker
  return %w : index
}

// -----

// CHECK-LABEL: func.func @single
// CHECK-NEXT: return
func.func @single(%n: index) {
  attn.cost flop %n bytes %n
  return
}
