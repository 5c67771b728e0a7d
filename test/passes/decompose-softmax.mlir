// RUN: attn-opt %s --attn-decompose-softmax | FileCheck %s

// The maximum, the exponentials, their sum, the quotient.
// CHECK-LABEL: func.func @softmax
// CHECK: linalg.fill
// CHECK: %[[MAX:.*]] = linalg.generic {{.*}}iterator_types = ["parallel", "reduction"]
// CHECK: arith.maxnumf
// CHECK: %[[EXP:.*]] = linalg.generic
// CHECK: arith.subf
// CHECK: math.exp
// CHECK: %[[SUM:.*]] = linalg.generic {{.*}}iterator_types = ["parallel", "reduction"]
// CHECK: arith.addf
// CHECK: %[[P:.*]] = linalg.generic {{.*}} ins(%[[EXP]], %[[SUM]]
// CHECK: arith.divf
// CHECK-NOT: linalg.softmax
// CHECK: return %[[P]]
func.func @softmax(%x: tensor<?x8xf32>, %e: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %p = linalg.softmax dimension(1) ins(%x : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  return %p : tensor<?x8xf32>
}

// Buffers are left alone.
// CHECK-LABEL: func.func @buffers
// CHECK: linalg.softmax
func.func @buffers(%x: memref<?x8xf32>) {
  linalg.softmax dimension(1) ins(%x : memref<?x8xf32>) outs(%x : memref<?x8xf32>)
  return
}
