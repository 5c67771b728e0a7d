// RUN: attn-opt %s --attn-name-dims --attn-bufferize --canonicalize --attn-tile-to-tasks --attn-emit-loops --canonicalize --cse | FileCheck %s

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v4", features = "", lanes = 16, row_tile = 8, panels = 2, query_rows = 4, key_lanes = 64, row_block = 64>} {
  // Frequencies are constants of the module, whole vectors of them; equal ones are there once.
  // CHECK-DAG: memref.global "private" constant @attn.constants.0 : memref<16xf64> = dense<[1.000000e+00, 1.000000e-01, 0.000000e+00,
  // CHECK-DAG: memref.global "private" constant @attn.constants.1 : memref<16xf64> = dense<[5.000000e-01, 1.000000e-02, 0.000000e+00,
  // CHECK-NOT: @attn.constants.2

  // A task looks for the largest position of its row, then goes frequency by frequency over its tokens.
  // CHECK-LABEL: func.func @table
  // CHECK: scf.forall
  // CHECK: %[[LAST:.*]] = scf.for
  // CHECK: arith.maxsi
  // CHECK: %[[LONG:.*]] = arith.cmpi sgt, %[[LAST]], %c7
  // CHECK: %[[SHORT:.*]] = vector.load {{.*}} memref<16xf64>, vector<16xf64>
  // CHECK: %[[OTHER:.*]] = vector.load {{.*}} memref<16xf64>, vector<16xf64>
  // CHECK: arith.select %[[LONG]], {{.*}} : vector<16xf64>
  // CHECK: scf.for
  // CHECK-COUNT-2: vector.maskedstore
  func.func @table(%p: tensor<?x?xi64>) -> tensor<?x?x4xf32> {
    %0 = attn.rotary_table %p {frequencies = array<f64: 1.0, 0.1>, long_frequencies = array<f64: 0.5, 0.01>, long_from = 8 : i64}
       : (tensor<?x?xi64>) -> tensor<?x?x4xf32>
    return %0 : tensor<?x?x4xf32>
  }

  // CHECK-LABEL: func.func @again
  // CHECK: memref.get_global @attn.constants.0
  func.func @again(%p: tensor<?x?xi64>) -> tensor<?x?x4xf32> {
    %0 = attn.rotary_table %p {frequencies = array<f64: 1.0, 0.1>} : (tensor<?x?xi64>) -> tensor<?x?x4xf32>
    return %0 : tensor<?x?x4xf32>
  }

  // Cosines and sines are loaded once for all heads; whole vectors of both halves.
  // CHECK-LABEL: func.func @rotary
  // CHECK-COUNT-2: vector.load {{.*}} vector<16xf32>
  // CHECK: scf.for
  // CHECK-COUNT-2: vector.load {{.*}} vector<16xf32>
  // CHECK: vector.fma
  // CHECK: vector.store
  // CHECK: vector.fma
  // CHECK: vector.store
  // CHECK-NOT: vector.store
  func.func @rotary(%x: tensor<?x?x128xf32>, %t: tensor<?x?x64xf32>) -> tensor<?x?x128xf32> {
    %0 = attn.rotary %x by %t heads 2 : (tensor<?x?x128xf32>, tensor<?x?x64xf32>) -> tensor<?x?x128xf32>
    return %0 : tensor<?x?x128xf32>
  }
}
