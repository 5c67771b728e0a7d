// RUN: attn-opt %s | attn-opt | FileCheck %s
// RUN: attn-opt %s --mlir-print-op-generic | attn-opt | FileCheck %s

// CHECK-LABEL: func.func @external
// CHECK: attn.external "addition"(%arg0, %arg1) sizes(%arg3, %arg4) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
// CHECK: attn.external "two"(%arg2) : (tensor<4xi64>) -> (tensor<4xf32>, tensor<2x4xi64>)
// CHECK: attn.external "none"() : () -> tensor<4xf32>
func.func @external(%x: tensor<?x?x8xf32>, %y: tensor<?x?x8xf32>, %ids: tensor<4xi64>, %b: index, %s: index) {
  %0 = attn.external "addition"(%x, %y) sizes(%b, %s) : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %1:2 = attn.external "two"(%ids) : (tensor<4xi64>) -> (tensor<4xf32>, tensor<2x4xi64>)
  %2 = attn.external "none"() : () -> tensor<4xf32>
  return
}

// CHECK-LABEL: func.func @buffers
// CHECK: attn.external "addition"(%arg0, %arg0) outs(%arg1 : memref<?x8xf32>) : (memref<?x8xf32>, memref<?x8xf32>) -> ()
func.func @buffers(%x: memref<?x8xf32>, %y: memref<?x8xf32>) {
  attn.external "addition"(%x, %x) outs(%y : memref<?x8xf32>) : (memref<?x8xf32>, memref<?x8xf32>) -> ()
  return
}
