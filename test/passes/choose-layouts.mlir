// RUN: attn-opt %s --attn-choose-layouts | FileCheck %s

// CHECK-LABEL: @packed_heads
// CHECK: %[[K:.*]] = attn.pack_keys %arg1 heads 2 : (tensor<?x?x26xf32>) -> tensor<?x2x?x13x64xf32>
// CHECK: %[[V:.*]] = attn.pack_values %arg2 heads 2 : (tensor<?x?x34xf32>) -> tensor<?x2x?x32xf32>
// CHECK: attn.attention %arg0, %[[K]], %[[V]] {num_heads = 4 : i64, num_kv_heads = 2 : i64}
func.func @packed_heads(%q: tensor<?x?x52xf32>, %k: tensor<?x?x26xf32>, %v: tensor<?x?x34xf32>) -> tensor<?x?x68xf32> {
  %0 = attn.attention %q, %k, %v {num_heads = 4 : i64, num_kv_heads = 2 : i64}
     : (tensor<?x?x52xf32>, tensor<?x?x26xf32>, tensor<?x?x34xf32>) -> tensor<?x?x68xf32>
  return %0 : tensor<?x?x68xf32>
}

// A static number of keys gives a static number of panels.
// CHECK-LABEL: @rank4
// CHECK: attn.pack_keys %arg1 heads 3 : (tensor<1x3x65x8xf32>) -> tensor<1x3x2x8x64xf32>
func.func @rank4(%q: tensor<1x3x7x8xf32>, %k: tensor<1x3x65x8xf32>, %v: tensor<1x3x65x8xf32>) -> tensor<1x3x7x8xf32> {
  %0 = attn.attention %q, %k, %v
     : (tensor<1x3x7x8xf32>, tensor<1x3x65x8xf32>, tensor<1x3x65x8xf32>) -> tensor<1x3x7x8xf32>
  return %0 : tensor<1x3x7x8xf32>
}

// Cached keys are packed when they are appended.
// CHECK-LABEL: @cached
// CHECK-NOT: attn.pack
func.func @cached(%q: tensor<?x?x8xf32>, %c: !attn.cache<1x1x8x8xf32>, %l: index) -> tensor<?x?x8xf32> {
  %0 = attn.attention %q cache %c[%l] {num_heads = 1 : i64}
     : (tensor<?x?x8xf32>, !attn.cache<1x1x8x8xf32>, index) -> tensor<?x?x8xf32>
  return %0 : tensor<?x?x8xf32>
}
