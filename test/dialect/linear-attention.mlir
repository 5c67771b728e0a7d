// RUN: attn-opt %s | attn-opt | FileCheck %s
// RUN: attn-opt %s --mlir-print-op-generic | attn-opt | FileCheck %s

// CHECK-LABEL: func.func @rules
func.func @rules(%q: tensor<?x?x16xf32>, %k: tensor<?x?x8xf32>, %v: tensor<?x?x6xf32>, %g: tensor<?x?x8xf32>, %b: tensor<?x?x1xf32>,
                 %s: tensor<?x2x4x3xf32>) {
  // CHECK: attn.linear_attention linear %arg0, %arg1, %arg2 {num_heads = 4 : i64, num_kv_heads = 2 : i64} :
  %0 = attn.linear_attention linear %q, %k, %v {num_heads = 4 : i64, num_kv_heads = 2 : i64}
    : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>) -> tensor<?x?x12xf32>
  // CHECK: attn.linear_attention gated %arg0, %arg1, %arg2 decay %arg3 {{.*}}scale = 1.0
  %1:2 = attn.linear_attention gated %q, %k, %v decay %g {num_heads = 4 : i64, num_kv_heads = 2 : i64, scale = 1.0 : f64}
    : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>, tensor<?x?x8xf32>) -> (tensor<?x?x12xf32>, tensor<?x2x4x3xf32>)
  // CHECK: attn.linear_attention delta %arg0, %arg1, %arg2 beta %arg4 state %arg5 {
  %2 = attn.linear_attention delta %q, %k, %v beta %b state %s {num_heads = 4 : i64, num_kv_heads = 2 : i64}
    : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>, tensor<?x?x1xf32>, tensor<?x2x4x3xf32>) -> tensor<?x?x12xf32>
  // CHECK: attn.linear_attention gated_delta %arg0, %arg1, %arg2 decay %arg3 beta %arg4 state %arg5 {
  %3:2 = attn.linear_attention gated_delta %q, %k, %v decay %g beta %b state %s {num_heads = 4 : i64, num_kv_heads = 2 : i64}
    : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>, tensor<?x?x8xf32>, tensor<?x?x1xf32>, tensor<?x2x4x3xf32>)
    -> (tensor<?x?x12xf32>, tensor<?x2x4x3xf32>)
  return
}

// Rank 4, 16-bit operands; states are f32.
// CHECK-LABEL: func.func @rank4
func.func @rank4(%q: tensor<?x4x?x8xbf16>, %k: tensor<?x2x?x8xbf16>, %v: tensor<?x2x?x6xf16>) -> (tensor<?x4x?x6xbf16>, tensor<?x2x8x6xf32>) {
  // CHECK: attn.linear_attention linear %arg0, %arg1, %arg2 :
  %0:2 = attn.linear_attention linear %q, %k, %v
    : (tensor<?x4x?x8xbf16>, tensor<?x2x?x8xbf16>, tensor<?x2x?x6xf16>) -> (tensor<?x4x?x6xbf16>, tensor<?x2x8x6xf32>)
  return %0#0, %0#1 : tensor<?x4x?x6xbf16>, tensor<?x2x8x6xf32>
}

// The buffer form, and a task: one batch row and kv head.
// CHECK-LABEL: func.func @buffers
func.func @buffers(%q: memref<?x?x8xf32>, %b: memref<?x?x2xf32>, %s: memref<?x2x4x4xf32>, %out: memref<?x?x8xf32>,
                   %task: memref<1x?x4xf32>, %state: memref<1x1x4x4xf32>, %scratch: memref<?x4096xi8>) {
  // CHECK: attn.linear_attention delta %arg0, %arg0, %arg0 beta %arg1 state %arg2 outs %arg3, %arg2 {
  attn.linear_attention delta %q, %q, %q beta %b state %s outs %out, %s {num_heads = 2 : i64}
    : (memref<?x?x8xf32>, memref<?x?x8xf32>, memref<?x?x8xf32>, memref<?x?x2xf32>, memref<?x2x4x4xf32>, memref<?x?x8xf32>, memref<?x2x4x4xf32>) -> ()
  // CHECK: attn.linear_attention linear %arg4, %arg4, %arg4 outs %arg4 scratch %arg6 {
  attn.linear_attention linear %task, %task, %task outs %task scratch %scratch {num_heads = 1 : i64}
    : (memref<1x?x4xf32>, memref<1x?x4xf32>, memref<1x?x4xf32>, memref<1x?x4xf32>, memref<?x4096xi8>) -> ()
  return
}
