// RUN: attn-opt %s --pass-pipeline='builtin.module(func.func(attn-insert-copies))' --split-input-file | FileCheck %s

// Parameters are on the host; a buffer is fetched once, and again after a launch.
// CHECK-LABEL: func.func @entry
// CHECK: attn.copy_to_host %arg1 :
// CHECK-NEXT: attn.activation relu %arg1 outs %[[A:.*]] :
// CHECK-NEXT: attn.copy_to_device %[[A]] :
// CHECK-NEXT: attn.activation relu %[[A]] outs %arg2
// CHECK-NEXT: attn.copy_to_device %arg2
// CHECK-NEXT: attn.launch
// CHECK-NEXT: attn.copy_to_host %[[A]] :
// CHECK-NEXT: attn.activation relu %[[A]] outs %arg2
// CHECK-NEXT: attn.copy_to_device %arg2
// CHECK-NEXT: return
// Only ops that read or write keys and values move pages.
// CHECK-LABEL: func.func @cached
// CHECK-NEXT: attn.cache_view
// CHECK-NEXT: attn.copy_to_host %arg1 :
// CHECK-NEXT: attn.positions
// CHECK-NEXT: attn.copy_to_device %arg2
// CHECK: arith.constant
// CHECK: attn.copy_to_host %arg3
// CHECK-NEXT: attn.cache_append
// CHECK-NEXT: attn.copy_to_device %arg3
module attributes {attn.target = #attn.target<name = "t", cpu = "", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 4, key_lanes = 16, row_block = 60, device_memory = true>} {
  attn.pipeline @p {
  ^bb0(%x: memref<4x8xf32>):
    attn.activation relu %x outs %x : (memref<4x8xf32>, memref<4x8xf32>) -> ()
  }
  func.func @entry(%ctx: !llvm.ptr, %x: memref<4x8xf32>, %y: memref<4x8xf32>, %weights: memref<?xi8>, %workspace: memref<?xi8>,
                   %workers: index) attributes {attn.outputs = 1 : i64} {
    %a = memref.alloc() : memref<4x8xf32>
    attn.activation relu %x outs %a : (memref<4x8xf32>, memref<4x8xf32>) -> ()
    attn.activation relu %a outs %y : (memref<4x8xf32>, memref<4x8xf32>) -> ()
    attn.launch @p() outs(%a) "p" flop %workers bytes %workers : () -> memref<4x8xf32>
    attn.activation relu %a outs %y : (memref<4x8xf32>, memref<4x8xf32>) -> ()
    return
  }
  func.func @cached(%ctx: !llvm.ptr, %ids: memref<?x?xi64>, %out: memref<?x?xi64>, %pages: memref<?xf32>, %table: memref<?x?xi32>,
                    %past: memref<?xi32>, %page: index, %weights: memref<?xi8>, %workspace: memref<?xi8>, %workers: index)
      attributes {attn.outputs = 1 : i64, attn.caches = [!attn.cache<1x1x16x16xf32>]} {
    %cache = attn.cache_view %pages, %table, %past, %page : memref<?xf32>, memref<?x?xi32>, memref<?xi32> -> !attn.cache<1x1x16x16xf32>
    attn.positions %ids cache %cache outs %out : (memref<?x?xi64>, !attn.cache<1x1x16x16xf32>, memref<?x?xi64>) -> ()
    %k = memref.alloc() : memref<1x1x16xf32>
    %c0 = arith.constant 0 : index
    attn.cache_append %k, %k to %cache[%c0] : memref<1x1x16xf32>, memref<1x1x16xf32>, !attn.cache<1x1x16x16xf32>
    return
  }
}

// -----

// The host's memory is the device's.
// CHECK-LABEL: func.func @same
// CHECK-NOT: copy_to
module attributes {attn.target = #attn.target<name = "t", cpu = "", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 4, key_lanes = 16, row_block = 60>} {
  func.func @same(%ctx: !llvm.ptr, %x: memref<4x8xf32>, %y: memref<4x8xf32>, %weights: memref<?xi8>, %workspace: memref<?xi8>,
                  %workers: index) attributes {attn.outputs = 1 : i64} {
    attn.activation relu %x outs %y : (memref<4x8xf32>, memref<4x8xf32>) -> ()
    return
  }
}
