// RUN: attn-opt %s --attn-emit-loops --canonicalize --cse | FileCheck %s

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v4", features = "", lanes = 16, row_tile = 8, panels = 2, query_rows = 4, key_lanes = 64, row_block = 64>} {
  // A task is up to 64 blocks of one row; the last block ends with the buffer.
  // CHECK-LABEL: func.func @rows
  // CHECK: scf.forall
  // CHECK: scf.for
  // CHECK: %[[FIRST:.*]] = memref.load %arg0
  // CHECK: scf.for {{.*}} iter_args(%[[LOW:.*]] = %[[FIRST]], %[[HIGH:.*]] = %[[FIRST]]) -> (i32, i32)
  // CHECK: %[[X:.*]] = memref.load %arg0
  // CHECK: arith.minsi %[[LOW]], %[[X]] : i32
  // CHECK: arith.maxsi %[[HIGH]], %[[X]] : i32
  // CHECK: memref.store %{{.*}}#0, %arg1[%c0, %{{.*}}, %{{.*}}] : memref<2x?x?xi32>
  // CHECK: memref.store %{{.*}}#1, %arg1[%c1, %{{.*}}, %{{.*}}] : memref<2x?x?xi32>
  // CHECK: attn.op = "block_range"
  func.func @rows(%ids: memref<?x?xi32>, %ranges: memref<2x?x?xi32>) {
    attn.block_range %ids outs %ranges : memref<?x?xi32>, memref<2x?x?xi32>
    return
  }

  // Flags are bytes, of which any but 0 is true; smaller integers keep their sign.
  // CHECK-LABEL: func.func @flags
  // CHECK: builtin.unrealized_conversion_cast %arg0 : memref<100xi1> to memref<100xi8>
  // CHECK: arith.cmpi ne, %{{.*}}, %c0_i8 : i8
  // CHECK: arith.extui %{{.*}} : i1 to i32
  // CHECK: arith.extsi %{{.*}} : i8 to i32
  func.func @flags(%flags: memref<100xi1>, %ranges: memref<2x2xi32>, %bytes: memref<100xi8>) {
    attn.block_range %flags outs %ranges : memref<100xi1>, memref<2x2xi32>
    attn.block_range %bytes outs %ranges : memref<100xi8>, memref<2x2xi32>
    return
  }
}
