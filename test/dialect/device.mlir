// RUN: attn-opt %s --split-input-file --verify-diagnostics | attn-opt --split-input-file | FileCheck %s

// CHECK: attn.pipeline @scale {
// CHECK-NEXT: ^bb0(%{{.*}}: memref<?x8xf32>, %{{.*}}: memref<?x8xf32>):
// CHECK: attn.launch @scale(%arg0) outs(%arg1) "scale" flop %arg2 bytes %arg2 : (memref<?x8xf32>) -> memref<?x8xf32, strided<[16, 1], offset: 8>>
// CHECK: attn.copy_to_host %arg0 : memref<?x8xf32>
// CHECK: attn.copy_to_device %arg0 : memref<?x8xf32>
attn.pipeline @scale {
^bb0(%x: memref<?x8xf32>, %y: memref<?x8xf32>):
  attn.activation relu %x outs %y : (memref<?x8xf32>, memref<?x8xf32>) -> ()
}
func.func @f(%x: memref<?x8xf32>, %y: memref<?x8xf32, strided<[16, 1], offset: 8>>, %n: index) {
  attn.launch @scale(%x) outs(%y) "scale" flop %n bytes %n : (memref<?x8xf32>) -> memref<?x8xf32, strided<[16, 1], offset: 8>>
  attn.copy_to_host %x : memref<?x8xf32>
  attn.copy_to_device %x : memref<?x8xf32>
  return
}

// -----

// pipeline C1
// expected-error @below {{expected arguments that are buffers of rank 1 to 8, integers, indices or floats, got 'memref<f32>'}}
attn.pipeline @rank {
^bb0(%x: memref<f32>):
}

// -----

// launch C1
func.func @none(%x: memref<?xf32>, %n: index) {
  // expected-error @below {{expected a pipeline of 1 arguments with the shapes and element types of inputs and inits}}
  attn.launch @nothing() outs(%x) "x" flop %n bytes %n : () -> memref<?xf32>
  return
}

// -----

// launch C1
attn.pipeline @other {
^bb0(%x: memref<?xf32>):
}
func.func @shape(%x: memref<?xf16>, %n: index) {
  // expected-error @below {{expected a pipeline of 1 arguments with the shapes and element types of inputs and inits}}
  attn.launch @other() outs(%x) "x" flop %n bytes %n : () -> memref<?xf16>
  return
}

// -----

// CHECK-LABEL: func.func @check
// CHECK: attn.check_ids %arg0 below %arg1, "ids: expected less" : memref<?x?xi64>
func.func @check(%ids: memref<?x?xi64>, %n: index) {
  attn.check_ids %ids below %n, "ids: expected less" : memref<?x?xi64>
  return
}
