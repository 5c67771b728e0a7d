// RUN: attn-opt %s --attn-emit-loops --canonicalize --cse | FileCheck %s

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v4", features = "", lanes = 16, row_tile = 8, panels = 2, query_rows = 4, key_lanes = 64, row_block = 64>} {
  // Eight buckets of one distance, then those that begin at 8·√2^m; 16 more for keys after the query.
  // CHECK-LABEL: func.func @bidirectional
  // CHECK-DAG: %[[C0:.*]] = arith.constant 0 : index
  // CHECK-DAG: %[[C1:.*]] = arith.constant 1 : index
  // CHECK-DAG: %[[C8:.*]] = arith.constant 8 : index
  // CHECK-DAG: %[[C12:.*]] = arith.constant 12 : index
  // CHECK-DAG: %[[C16:.*]] = arith.constant 16 : index
  // CHECK-DAG: arith.constant 23 : index
  // CHECK-DAG: arith.constant 32 : index
  // CHECK-DAG: arith.constant 46 : index
  // CHECK-DAG: arith.constant 64 : index
  // CHECK-DAG: %[[C91:.*]] = arith.constant 91 : index
  // CHECK-DAG: %[[R:.*]] = arith.constant 128 : index
  // CHECK: scf.forall
  // CHECK: scf.for %[[COLUMN:.*]] =
  // CHECK: %[[D:.*]] = arith.subi %[[COLUMN]], %[[R]] : index
  // CHECK: %[[BACK:.*]] = arith.subi %[[R]], %[[COLUMN]] : index
  // CHECK: %[[N:.*]] = arith.maxsi %[[BACK]], %[[D]] : index
  // CHECK: arith.minsi %[[N]], %[[C8]] : index
  // CHECK: %[[BEFORE:.*]] = arith.cmpi slt, %[[N]], %[[C12]] : index
  // CHECK: arith.select %[[BEFORE]], %[[C0]], %[[C1]] : index
  // CHECK: arith.cmpi slt, %[[N]], %[[C91]] : index
  // CHECK: %[[AFTER:.*]] = arith.cmpi sgt, %[[D]], %[[C0]] : index
  // CHECK: arith.select %[[AFTER]], %[[C16]], %[[C0]] : index
  // CHECK: %[[BUCKET:.*]] = arith.addi
  // CHECK: scf.for %[[HEAD:.*]] =
  // CHECK: %[[X:.*]] = memref.load %arg0[%[[BUCKET]], %[[HEAD]]] : memref<32x6xf32>
  // CHECK: memref.store %[[X]], %arg1[%[[HEAD]], %[[COLUMN]]] : memref<6x257xf32>
  func.func @bidirectional(%table: memref<32x6xf32>, %out: memref<6x257xf32>) {
    attn.relative_bias %table outs %out {bidirectional} : (memref<32x6xf32>, memref<6x257xf32>) -> ()
    return
  }

  // Keys after the query are in bucket 0. Two buckets: one of distance 0, and the rest: nothing to compare.
  // CHECK-LABEL: func.func @causal
  // CHECK: %[[BACK:.*]] = arith.subi
  // CHECK: %[[N:.*]] = arith.maxsi %[[BACK]], %c0 : index
  // CHECK: %[[BUCKET:.*]] = arith.minsi %[[N]], %c1 : index
  // CHECK-NOT: arith.cmpi
  // CHECK: %[[X:.*]] = memref.load %arg0[%[[BUCKET]],
  // CHECK: arith.extf %[[X]] : bf16 to f32
  func.func @causal(%table: memref<2x6xbf16>, %out: memref<6x7xf32>) {
    attn.relative_bias %table outs %out {max_distance = 3 : i64} : (memref<2x6xbf16>, memref<6x7xf32>) -> ()
    return
  }
}
