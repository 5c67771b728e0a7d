// RUN: attn-opt %s | attn-opt | FileCheck %s
// RUN: attn-opt %s --mlir-print-op-generic | attn-opt | FileCheck %s

// The tensor form of every op keeps its custom syntax.

// CHECK-LABEL: module attributes {attn.target = #attn.target<name = "x86-64-v3", cpu = "haswell", features = "+avx2"
module attributes {attn.target = #attn.target<name = "x86-64-v3", cpu = "haswell", features = "+avx2", lanes = 8,
  row_tile = 6, panels = 1, query_rows = 6, key_lanes = 8, row_block = 48>} {

// CHECK-LABEL: func.func @tokens_in
func.func @tokens_in(%ids: tensor<?x?xi64>, %given: tensor<?x?xi64>, %cache: !attn.cache<12x4x64x80xbf16>,
    %table: tensor<50x16xbf16>, %packed: tensor<4x8x16x2xbf16>, %mask: tensor<?x?xi32>) -> tensor<?x?x16xf32> {
  // CHECK: attn.positions %arg0 : (tensor<?x?xi64>) -> tensor<?x?xi64>
  %p0 = attn.positions %ids : (tensor<?x?xi64>) -> tensor<?x?xi64>
  // CHECK: attn.positions %arg0 given %arg1 cache %arg2 : (tensor<?x?xi64>, tensor<?x?xi64>, !attn.cache<12x4x64x80xbf16>) -> tensor<?x?xi64>
  %p1 = attn.positions %ids given %given cache %cache
    : (tensor<?x?xi64>, tensor<?x?xi64>, !attn.cache<12x4x64x80xbf16>) -> tensor<?x?xi64>
  // CHECK: attn.positions %arg0 cache %arg2 mask %arg5 :
  %p2 = attn.positions %ids cache %cache mask %mask
    : (tensor<?x?xi64>, !attn.cache<12x4x64x80xbf16>, tensor<?x?xi32>) -> tensor<?x?xi64>
  // CHECK: attn.positions %arg0 {pad = 1 : i64} :
  %p3 = attn.positions %ids {pad = 1 : i64} : (tensor<?x?xi64>) -> tensor<?x?xi64>
  // CHECK: attn.embedding %arg0, %arg3 :
  %e0 = attn.embedding %ids, %table : (tensor<?x?xi64>, tensor<50x16xbf16>) -> tensor<?x?x16xf32>
  // CHECK: attn.embedding %{{.*}}, %arg4 residual %{{.*}} {entries = 50 : i64} :
  %e1 = attn.embedding %p1, %packed residual %e0 {entries = 50 : i64}
    : (tensor<?x?xi64>, tensor<4x8x16x2xbf16>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  // CHECK: attn.positional_encoding %{{.*}} : (tensor<?x?xi64>) -> tensor<?x?x16xf32>
  %e2 = attn.positional_encoding %p0 : (tensor<?x?xi64>) -> tensor<?x?x16xf32>
  // CHECK: attn.positional_encoding %{{.*}} {halves} :
  %e3 = attn.positional_encoding %p0 {halves} : (tensor<?x?xi64>) -> tensor<?x?x16xf32>
  // CHECK: attn.shift_right %arg0 : (tensor<?x?xi64>) -> tensor<?x?xi64>
  %s0 = attn.shift_right %ids : (tensor<?x?xi64>) -> tensor<?x?xi64>
  // CHECK: attn.shift_right %{{.*}} : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %s1 = attn.shift_right %e2 : (tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  return %e1 : tensor<?x?x16xf32>
}

// CHECK-LABEL: func.func @features
func.func @features(%x: tensor<?x?x8xf32>, %w: tensor<8x4xf16>, %wt: tensor<4x8xf32>, %packed: tensor<1x8x16xf32>,
    %packed16: tensor<1x4x16x2xbf16>, %g: tensor<8xf32>, %b: tensor<8xf32>, %c: tensor<4xf32>, %r: tensor<?x?x4xf32>) {
  // CHECK: attn.linear %arg0, %arg1 : (tensor<?x?x8xf32>, tensor<8x4xf16>) -> tensor<?x?x4xf32>
  %0 = attn.linear %x, %w : (tensor<?x?x8xf32>, tensor<8x4xf16>) -> tensor<?x?x4xf32>
  // CHECK: attn.linear %arg0, %arg2 {transpose_weight} :
  %1 = attn.linear %x, %wt {transpose_weight} : (tensor<?x?x8xf32>, tensor<4x8xf32>) -> tensor<?x?x4xf32>
  // CHECK: attn.linear %arg0, %arg3 bias %arg7 activation gelu_tanh residual %arg8 :
  %2 = attn.linear %x, %packed bias %c activation gelu_tanh residual %r
    : (tensor<?x?x8xf32>, tensor<1x8x16xf32>, tensor<4xf32>, tensor<?x?x4xf32>) -> tensor<?x?x4xf32>
  // CHECK: attn.linear %arg0, %arg4 :
  %3 = attn.linear %x, %packed16 : (tensor<?x?x8xf32>, tensor<1x4x16x2xbf16>) -> tensor<?x?x4xf32>
  // CHECK: attn.layer_norm %arg0, %arg5, %arg6 :
  %4 = attn.layer_norm %x, %g, %b : (tensor<?x?x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
  // CHECK: attn.rms_norm %arg0, %arg5 {epsilon = 6.250000e-02 : f64} :
  %5 = attn.rms_norm %x, %g {epsilon = 6.250000e-02 : f64} : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
  // CHECK: attn.rms_norm %arg0, %arg7 {groups = 2 : i64, unit_offset} :
  %6 = attn.rms_norm %x, %c {groups = 2 : i64, unit_offset} : (tensor<?x?x8xf32>, tensor<4xf32>) -> tensor<?x?x8xf32>
  // CHECK: attn.activation silu %arg0 :
  %7 = attn.activation silu %x : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  // CHECK: attn.activation quick_gelu %arg0 times %{{.*}} {limit = 7.000000e+00 : f64, times_offset = 1.000000e+00 : f64} :
  %gated = attn.activation quick_gelu %x times %7 {limit = 7.0 : f64, times_offset = 1.0 : f64}
    : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  // CHECK: attn.l2_norm %arg0 : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %unit = attn.l2_norm %x : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  // CHECK: attn.scale %arg0 by 5.000000e-01 : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %scaled = attn.scale %x by 0.5 : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  // CHECK: attn.soft_cap %arg0 at 3.000000e+01 : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %capped = attn.soft_cap %x at 30.0 : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  // CHECK: attn.log_softmax %arg0 :
  %8 = attn.log_softmax %x : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  // CHECK: attn.argmax %arg0 : (tensor<?x?x8xf32>) -> tensor<?x?xi64>
  %9 = attn.argmax %x : (tensor<?x?x8xf32>) -> tensor<?x?xi64>
  return
}

// CHECK-LABEL: func.func @select_token
func.func @select_token(%x: tensor<?x?x8xf32>, %at: tensor<?xi64>) {
  // CHECK: attn.select_token %arg0 : (tensor<?x?x8xf32>) -> tensor<?x8xf32>
  %0 = attn.select_token %x : (tensor<?x?x8xf32>) -> tensor<?x8xf32>
  // CHECK: attn.select_token %arg0 at %arg1 :
  %1 = attn.select_token %x at %at : (tensor<?x?x8xf32>, tensor<?xi64>) -> tensor<?x8xf32>
  return
}

// CHECK-LABEL: func.func @pool
func.func @pool(%x: tensor<?x?x8xf32>, %m: tensor<?x?xi32>) {
  // CHECK-COUNT-6: attn.pool
  %0 = attn.pool first %x : (tensor<?x?x8xf32>) -> tensor<?x8xf32>
  %1 = attn.pool last %x : (tensor<?x?x8xf32>) -> tensor<?x8xf32>
  %2 = attn.pool mean %x : (tensor<?x?x8xf32>) -> tensor<?x8xf32>
  %3 = attn.pool max %x : (tensor<?x?x8xf32>) -> tensor<?x8xf32>
  %4 = attn.pool mean_sqrt %x : (tensor<?x?x8xf32>) -> tensor<?x8xf32>
  %5 = attn.pool weighted_mean %x : (tensor<?x?x8xf32>) -> tensor<?x8xf32>
  // CHECK: attn.pool mean %arg0 mask %arg1 : (tensor<?x?x8xf32>, tensor<?x?xi32>) -> tensor<?x8xf32>
  %6 = attn.pool mean %x mask %m : (tensor<?x?x8xf32>, tensor<?x?xi32>) -> tensor<?x8xf32>
  return
}

// CHECK-LABEL: func.func @activations
func.func @activations(%x: tensor<2xf32>) {
  // CHECK-COUNT-17: attn.activation
  %0 = attn.activation none %x : (tensor<2xf32>) -> tensor<2xf32>
  %1 = attn.activation relu %x : (tensor<2xf32>) -> tensor<2xf32>
  %2 = attn.activation relu2 %x : (tensor<2xf32>) -> tensor<2xf32>
  %3 = attn.activation relu6 %x : (tensor<2xf32>) -> tensor<2xf32>
  %4 = attn.activation leaky_relu %x : (tensor<2xf32>) -> tensor<2xf32>
  %5 = attn.activation gelu %x : (tensor<2xf32>) -> tensor<2xf32>
  %6 = attn.activation gelu_tanh %x : (tensor<2xf32>) -> tensor<2xf32>
  %7 = attn.activation quick_gelu %x : (tensor<2xf32>) -> tensor<2xf32>
  %8 = attn.activation silu %x : (tensor<2xf32>) -> tensor<2xf32>
  %9 = attn.activation tanh %x : (tensor<2xf32>) -> tensor<2xf32>
  %10 = attn.activation sigmoid %x : (tensor<2xf32>) -> tensor<2xf32>
  %11 = attn.activation mish %x : (tensor<2xf32>) -> tensor<2xf32>
  %12 = attn.activation elu %x : (tensor<2xf32>) -> tensor<2xf32>
  %13 = attn.activation selu %x : (tensor<2xf32>) -> tensor<2xf32>
  %14 = attn.activation softplus %x : (tensor<2xf32>) -> tensor<2xf32>
  %15 = attn.activation hard_sigmoid %x : (tensor<2xf32>) -> tensor<2xf32>
  %16 = attn.activation hard_swish %x : (tensor<2xf32>) -> tensor<2xf32>
  return
}

// CHECK-LABEL: func.func @heads
func.func @heads(%x: tensor<?x?x32xf32>, %p: tensor<?x?xi64>) {
  // CHECK: attn.rotary_table %arg1 {frequencies = array<f64: 1.000000e+00, 1.000000e-01, 1.000000e-02, 1.000000e-03>} :
  %t0 = attn.rotary_table %p {frequencies = array<f64: 1.0, 0.1, 0.01, 0.001>} : (tensor<?x?xi64>) -> tensor<?x?x8xf32>
  // CHECK: attn.rotary_table %arg1 {frequencies = {{.*}}, long_frequencies = {{.*}}, long_from = 4096 : i64, scale = 1.190000e+00 : f64} :
  %t1 = attn.rotary_table %p {frequencies = array<f64: 1.0, 0.1, 0.01>, long_frequencies = array<f64: 0.9, 0.05, 0.002>,
    long_from = 4096 : i64, scale = 1.19 : f64} : (tensor<?x?xi64>) -> tensor<?x?x6xf32>
  // CHECK: attn.rotary_table %arg1 {frequencies = {{.*}}, long_from = 2048 : i64, ntk_factor = 2.000000e+00 : f64} :
  %t2 = attn.rotary_table %p {frequencies = array<f64: 1.0, 0.1>, long_from = 2048 : i64, ntk_factor = 2.0 : f64}
    : (tensor<?x?xi64>) -> tensor<?x?x4xf32>
  // CHECK: attn.rotary %arg0 by %{{.*}} heads 4 : (tensor<?x?x32xf32>, tensor<?x?x8xf32>) -> tensor<?x?x32xf32>
  %0 = attn.rotary %x by %t0 heads 4 : (tensor<?x?x32xf32>, tensor<?x?x8xf32>) -> tensor<?x?x32xf32>
  // CHECK: attn.rotary %{{.*}} by %{{.*}} heads 4 {interleaved} :
  %1 = attn.rotary %0 by %t1 heads 4 {interleaved} : (tensor<?x?x32xf32>, tensor<?x?x6xf32>) -> tensor<?x?x32xf32>
  // CHECK: attn.split_heads %{{.*}} into 4 : (tensor<?x?x32xf32>) -> tensor<?x4x?x8xf32>
  %2 = attn.split_heads %1 into 4 : (tensor<?x?x32xf32>) -> tensor<?x4x?x8xf32>
  // CHECK: attn.merge_heads %{{.*}} : (tensor<?x4x?x8xf32>) -> tensor<?x?x32xf32>
  %3 = attn.merge_heads %2 : (tensor<?x4x?x8xf32>) -> tensor<?x?x32xf32>
  // CHECK: attn.pack_keys %{{.*}} heads 4 : (tensor<?x4x?x8xf32>) -> tensor<?x4x?x8x64xf32>
  %4 = attn.pack_keys %2 heads 4 : (tensor<?x4x?x8xf32>) -> tensor<?x4x?x8x64xf32>
  // CHECK: attn.pack_values %{{.*}} heads 4 : (tensor<?x?x32xf32>) -> tensor<?x4x?x16xf32>
  %5 = attn.pack_values %3 heads 4 : (tensor<?x?x32xf32>) -> tensor<?x4x?x16xf32>
  return
}

// CHECK-LABEL: func.func @attention
func.func @attention(%q: tensor<?x4x?x8xf32>, %k: tensor<?x2x?x8xf32>, %v: tensor<?x2x?x6xf32>, %x: tensor<?x?x32xf32>,
    %kp: tensor<?x2x?x8x64xf32>, %vp: tensor<?x2x?x16xf32>, %bias: tensor<4x1x?xf32>, %keep: tensor<?x?xi1>,
    %mask: tensor<?x?xi64>, %len: tensor<?xi32>, %cache: !attn.cache<6x2x8x8xf32>, %layer: index) {
  // CHECK: attn.attention %arg0, %arg1, %arg2 :
  %0 = attn.attention %q, %k, %v : (tensor<?x4x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x6xf32>) -> tensor<?x4x?x6xf32>
  // CHECK: attn.attention %arg3, %arg3, %arg3 {causal, num_heads = 4 : i64} :
  %1 = attn.attention %x, %x, %x {causal, num_heads = 4 : i64}
    : (tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>) -> tensor<?x?x32xf32>
  // CHECK: attn.attention %arg0, %arg4, %arg5 : {{.*}} -> tensor<?x4x?x6xf32>
  %2 = attn.attention %q, %kp, %vp
    : (tensor<?x4x?x8xf32>, tensor<?x2x?x8x64xf32>, tensor<?x2x?x16xf32>) -> tensor<?x4x?x6xf32>
  // CHECK: attn.attention %arg3 cache %arg10[%arg11] key_mask %arg8 {causal, num_heads = 4 : i64} :
  %3 = attn.attention %x cache %cache[%layer] key_mask %mask {causal, num_heads = 4 : i64}
    : (tensor<?x?x32xf32>, !attn.cache<6x2x8x8xf32>, index, tensor<?x?xi64>) -> tensor<?x?x32xf32>
  // CHECK: attn.attention %arg0, %arg1, %arg2 bias %arg6 key_mask %arg8 kv_len %arg9 {causal, causal_offset = 3 : i64, masked_rows = #attn<masked_rows mean>, scale = 1.250000e-01 : f64, sinks = 4 : i64, soft_cap = 3.000000e+01 : f64, window_left = 15 : i64, window_right = 0 : i64} : {{.*}} -> (tensor<?x4x?x6xf32>, tensor<?x4x?xf32>)
  %4, %lse = attn.attention %q, %k, %v bias %bias key_mask %mask kv_len %len
    {causal, causal_offset = 3 : i64, masked_rows = #attn<masked_rows mean>, scale = 0.125 : f64, sinks = 4 : i64,
     soft_cap = 30.0 : f64, window_left = 15 : i64, window_right = 0 : i64}
    : (tensor<?x4x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x6xf32>, tensor<4x1x?xf32>, tensor<?x?xi64>, tensor<?xi32>)
    -> (tensor<?x4x?x6xf32>, tensor<?x4x?xf32>)
  // CHECK: attn.attention %arg0, %arg1, %arg2 bias %arg7 :
  %5 = attn.attention %q, %k, %v bias %keep
    : (tensor<?x4x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x6xf32>, tensor<?x?xi1>) -> tensor<?x4x?x6xf32>
  return
}

// CHECK-LABEL: func.func @cache
func.func @cache(%k: tensor<?x?x16xf32>, %v: tensor<?x?x12xf32>, %cache: !attn.cache<6x2x8x6xf32>, %layer: index,
                 %keys: index) {
  // CHECK: attn.cache_append %arg0, %arg1 to %arg2[%arg3] : tensor<?x?x16xf32>, tensor<?x?x12xf32>, !attn.cache<6x2x8x6xf32>
  attn.cache_append %k, %v to %cache[%layer] : tensor<?x?x16xf32>, tensor<?x?x12xf32>, !attn.cache<6x2x8x6xf32>
  // CHECK: attn.cache_read %arg2[%arg3] keys %arg4 :
  %0 = attn.cache_read %cache[%layer] keys %keys : (!attn.cache<6x2x8x6xf32>, index, index) -> tensor<?x2x?x8xf32>
  // CHECK: attn.cache_read %arg2[%arg3] keys %arg4 values :
  %1 = attn.cache_read %cache[%layer] keys %keys values : (!attn.cache<6x2x8x6xf32>, index, index) -> tensor<?x2x?x6xf32>
  return
}

// CHECK-LABEL: func.func @cross_cache
func.func @cross_cache(%q: tensor<?x?x32xf32>, %k: tensor<?x?x16xf32>, %v: tensor<?x?x12xf32>, %mask: tensor<?x?xi64>,
                       %cross: !attn.cache<6x2x8x6xf32, cross>, %layer: index) {
  // CHECK: attn.cache_append %arg1, %arg2 to %arg4[%arg5] : tensor<?x?x16xf32>, tensor<?x?x12xf32>, !attn.cache<6x2x8x6xf32, cross>
  attn.cache_append %k, %v to %cross[%layer] : tensor<?x?x16xf32>, tensor<?x?x12xf32>, !attn.cache<6x2x8x6xf32, cross>
  // CHECK: attn.cache_append %arg1, %arg2 to %arg4[%arg5] key_mask %arg3 : tensor<?x?x16xf32>, tensor<?x?x12xf32>, !attn.cache<6x2x8x6xf32, cross>, tensor<?x?xi64>
  attn.cache_append %k, %v to %cross[%layer] key_mask %mask
    : tensor<?x?x16xf32>, tensor<?x?x12xf32>, !attn.cache<6x2x8x6xf32, cross>, tensor<?x?xi64>
  // CHECK: attn.attention %arg0 cache %arg4[%arg5] {num_heads = 4 : i64} : (tensor<?x?x32xf32>, !attn.cache<6x2x8x6xf32, cross>, index)
  %0 = attn.attention %q cache %cross[%layer] {num_heads = 4 : i64}
    : (tensor<?x?x32xf32>, !attn.cache<6x2x8x6xf32, cross>, index) -> tensor<?x?x24xf32>
  return
}

// CHECK-LABEL: func.func @parameters
func.func @parameters(%a: tensor<8x4xf32>, %b: tensor<8x2xf32>) {
  // CHECK: attn.concat_parameters %arg0, %arg1 dim 1 : (tensor<8x4xf32>, tensor<8x2xf32>) -> tensor<8x6xf32>
  %0 = attn.concat_parameters %a, %b dim 1 : (tensor<8x4xf32>, tensor<8x2xf32>) -> tensor<8x6xf32>
  return
}
}
