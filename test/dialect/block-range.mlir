// RUN: attn-opt %s | attn-opt | FileCheck %s
// RUN: attn-opt %s --mlir-print-op-generic | attn-opt | FileCheck %s

// Ranges of every element type and of strided buffers; attn.load with ranges.

// CHECK-LABEL: func.func @block_range
func.func @block_range(%a: memref<?x?xi32>, %b: memref<100xi1>, %c: memref<2x3x?xi64, strided<[?, ?, 1], offset: ?>>, %d: memref<?xi8>,
                       %ra: memref<2x?x?xi32>, %rb: memref<2x2xi32>, %rc: memref<2x2x3x?xi64>, %rd: memref<2x?xi32>) {
  // CHECK: attn.block_range %arg0 outs %arg4 : memref<?x?xi32>, memref<2x?x?xi32>
  attn.block_range %a outs %ra : memref<?x?xi32>, memref<2x?x?xi32>
  // CHECK: attn.block_range %arg1 outs %arg5 : memref<100xi1>, memref<2x2xi32>
  attn.block_range %b outs %rb : memref<100xi1>, memref<2x2xi32>
  // CHECK: attn.block_range %arg2 outs %arg6 : memref<2x3x?xi64, strided<[?, ?, 1], offset: ?>>, memref<2x2x3x?xi64>
  attn.block_range %c outs %rc : memref<2x3x?xi64, strided<[?, ?, 1], offset: ?>>, memref<2x2x3x?xi64>
  // CHECK: attn.block_range %arg3 outs %arg7 : memref<?xi8>, memref<2x?xi32>
  attn.block_range %d outs %rd : memref<?xi8>, memref<2x?xi32>
  return
}

// CHECK-LABEL: func.func @load
func.func @load(%q: memref<?x?x8xf32>, %k: memref<?x1x?x8x64xf32>, %v: memref<?x1x?x16xf32>, %ids: memref<?x?xi32>, %ranges: memref<2x?x?xi32>) {
  // CHECK: attn.load %arg3[%arg5, %arg8] ranges %arg4 : memref<2x?x?xi32> : memref<?x?xi32>
  attn.attention %q, %k, %v outs %q {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    %id = attn.load %ids[%b, %j] ranges %ranges : memref<2x?x?xi32> : memref<?x?xi32>
    %keep = arith.cmpi eq, %id, %h : i32
    attn.yield %keep : i1
  } : (memref<?x?x8xf32>, memref<?x1x?x8x64xf32>, memref<?x1x?x16xf32>, memref<?x?x8xf32>) -> ()
  return
}
