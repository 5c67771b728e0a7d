// RUN: attn-opt %s --allow-unregistered-dialect --attn-plan-workspace --canonicalize | FileCheck %s

// What lies in a device's memory begins at multiples of 512 bytes.
// CHECK-LABEL: func.func @device
// CHECK: %[[AT:.*]] = arith.constant 512 : index
// CHECK: memref.view %arg2[%[[AT]]]
module attributes {attn.target = #attn.target<name = "t", cpu = "", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 4, key_lanes = 16, row_block = 60, device_memory = true>} {
  func.func private @device.workspace(index) -> index
  func.func @device(%ctx: !llvm.ptr, %weights: memref<?xi8>, %workspace: memref<?xi8>, %workers: index) attributes {attn.outputs = 0 : i64} {
    %a = memref.alloc() : memref<3xf32>
    %b = memref.alloc() : memref<5xf32>
    memref.copy %a, %a : memref<3xf32> to memref<3xf32>
    "test.use"(%a, %b) : (memref<3xf32>, memref<5xf32>) -> ()
    return
  }
}
