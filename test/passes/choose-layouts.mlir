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

// Sequences end to end: a sequence starts a panel, so the number of panels is not static.
// CHECK-LABEL: @ragged
// CHECK: attn.pack_keys %arg1 heads 1 ragged %arg2 : (tensor<1x128x8xf32>, tensor<3xi32>) -> tensor<1x1x?x8x64xf32>
// CHECK: attn.pack_values %arg1 heads 1 : (tensor<1x128x8xf32>) -> tensor<1x1x128x16xf32>
func.func @ragged(%q: tensor<1x?x8xf32>, %k: tensor<1x128x8xf32>, %n: tensor<3xi32>) -> tensor<1x?x8xf32> {
  %0 = attn.attention %q, %k, %k ragged %n {num_heads = 1 : i64}
     : (tensor<1x?x8xf32>, tensor<1x128x8xf32>, tensor<1x128x8xf32>, tensor<3xi32>) -> tensor<1x?x8xf32>
  return %0 : tensor<1x?x8xf32>
}

// Keys with their own offsets are packed by those; what is packed is f32.
// CHECK-LABEL: @ragged_keys
// CHECK: attn.pack_keys %arg1 heads 1 ragged %arg3 : (tensor<1x?x8xbf16>, tensor<?xi64>) -> tensor<1x1x?x8x64xf32>
func.func @ragged_keys(%q: tensor<1x?x8xbf16>, %k: tensor<1x?x8xbf16>, %n: tensor<?xi64>, %m: tensor<?xi64>) -> tensor<1x?x8xbf16> {
  %0 = attn.attention %q, %k, %k ragged %n ragged_keys %m {num_heads = 1 : i64}
     : (tensor<1x?x8xbf16>, tensor<1x?x8xbf16>, tensor<1x?x8xbf16>, tensor<?xi64>, tensor<?xi64>) -> tensor<1x?x8xbf16>
  return %0 : tensor<1x?x8xbf16>
}

// An entry's inputs that only attention reads may have any strides; not what a region or another op reads, nor a bias.
// CHECK-LABEL: @strided
// CHECK-SAME: %arg0: tensor<?x?x8xf32> {attn.strided}, %arg1: tensor<?x?x8xf32> {attn.strided}, %arg2: tensor<?x?x8xf32>, %arg3: tensor<?xf32>, %arg4: tensor<?x?xf32>)
func.func @strided(%q: tensor<?x?x8xf32>, %k: tensor<?x?x8xf32>, %v: tensor<?x?x8xf32>, %x: tensor<?xf32>, %bias: tensor<?x?xf32>) -> (tensor<?x?x8xf32>, tensor<?x?x8xf32>) {
  %0 = attn.attention %q, %k, %v bias %bias {num_heads = 1 : i64} score(%s, %b, %h, %i, %j) {
    %a = attn.load %x[%j] : tensor<?xf32>
    attn.yield %a : f32
  } : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?xf32>) -> tensor<?x?x8xf32>
  %1 = attn.activation relu %v : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %0, %1 : tensor<?x?x8xf32>, tensor<?x?x8xf32>
}

// Callers of a block pass whole buffers.
// CHECK-LABEL: @block
// CHECK-NOT: attn.strided
func.func private @block(%q: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  %0 = attn.attention %q, %q, %q {num_heads = 1 : i64} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %0 : tensor<?x?x8xf32>
}
