// RUN: attn-opt %s --attn-fuse-projections --split-input-file | FileCheck %s

ml_program.global private @q(#ml_program.extern<tensor<8x8xbf16>>) : tensor<8x8xbf16>
ml_program.global private @k(#ml_program.extern<tensor<8x4xbf16>>) : tensor<8x4xbf16>
ml_program.global private @qb(#ml_program.extern<tensor<8xf32>>) : tensor<8xf32>
ml_program.global private @kb(#ml_program.extern<tensor<4xf32>>) : tensor<4xf32>

// A parameter that is loaded after the first product moves before it.
// CHECK-LABEL: func.func @parameters
// CHECK-DAG: %[[Q:.*]] = ml_program.global_load_const @q :
// CHECK-DAG: %[[K:.*]] = ml_program.global_load_const @k :
// CHECK-DAG: %[[QB:.*]] = ml_program.global_load_const @qb :
// CHECK-DAG: %[[KB:.*]] = ml_program.global_load_const @kb :
// CHECK: %[[W:.*]] = attn.concat_parameters %[[Q]], %[[K]] dim 1 : (tensor<8x8xbf16>, tensor<8x4xbf16>) -> tensor<8x12xbf16>
// CHECK: %[[B:.*]] = attn.concat_parameters %[[QB]], %[[KB]] dim 0 : (tensor<8xf32>, tensor<4xf32>) -> tensor<12xf32>
// CHECK: %[[Y:.*]] = attn.linear %arg0, %[[W]] bias %[[B]] : {{.*}} -> tensor<?x?x12xf32>
// CHECK: %[[S0:.*]] = tensor.extract_slice %[[Y]][0, 0, 0] [%{{.*}}, %{{.*}}, 8] [1, 1, 1]
// CHECK: %[[S1:.*]] = tensor.extract_slice %[[Y]][0, 0, 8] [%{{.*}}, %{{.*}}, 4] [1, 1, 1]
// CHECK: return %[[S0]], %[[S1]]
func.func @parameters(%x: tensor<?x?x8xf32>) -> (tensor<?x?x8xf32>, tensor<?x?x4xf32>) {
  %qw = ml_program.global_load_const @q : tensor<8x8xbf16>
  %qb = ml_program.global_load_const @qb : tensor<8xf32>
  %0 = attn.linear %x, %qw bias %qb : (tensor<?x?x8xf32>, tensor<8x8xbf16>, tensor<8xf32>) -> tensor<?x?x8xf32>
  %kw = ml_program.global_load_const @k : tensor<8x4xbf16>
  %kb = ml_program.global_load_const @kb : tensor<4xf32>
  %1 = attn.linear %x, %kw bias %kb : (tensor<?x?x8xf32>, tensor<8x4xbf16>, tensor<4xf32>) -> tensor<?x?x4xf32>
  return %0, %1 : tensor<?x?x8xf32>, tensor<?x?x4xf32>
}

// -----

ml_program.global private @q(#ml_program.extern<tensor<8x8xf32>>) : tensor<8x8xf32>
ml_program.global private @k(#ml_program.extern<tensor<4x8xf32>>) : tensor<4x8xf32>
ml_program.global private @v(#ml_program.extern<tensor<4x8xf32>>) : tensor<4x8xf32>

// Weights [N, K] are joined along N. The product with an activation stays apart.
// CHECK-LABEL: func.func @transposed
// CHECK: %[[W:.*]] = attn.concat_parameters %{{.*}}, %{{.*}}, %{{.*}} dim 0 : {{.*}} -> tensor<16x8xf32>
// CHECK: attn.linear %arg0, %[[W]] {transpose_weight} : {{.*}} -> tensor<2x16xf32>
// CHECK: attn.linear %arg0, %{{.*}} activation relu
func.func @transposed(%x: tensor<2x8xf32>) -> (tensor<2x8xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>) {
  %q = ml_program.global_load_const @q : tensor<8x8xf32>
  %k = ml_program.global_load_const @k : tensor<4x8xf32>
  %v = ml_program.global_load_const @v : tensor<4x8xf32>
  %0 = attn.linear %x, %q {transpose_weight} : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  %1 = attn.linear %x, %k {transpose_weight} : (tensor<2x8xf32>, tensor<4x8xf32>) -> tensor<2x4xf32>
  %2 = attn.linear %x, %v activation relu {transpose_weight} : (tensor<2x8xf32>, tensor<4x8xf32>) -> tensor<2x4xf32>
  %3 = attn.linear %x, %v {transpose_weight} : (tensor<2x8xf32>, tensor<4x8xf32>) -> tensor<2x4xf32>
  return %0, %1, %2, %3 : tensor<2x8xf32>, tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>
}

// -----

ml_program.global private @q0(#ml_program.extern<tensor<8x8xf32>>) : tensor<8x8xf32>
ml_program.global private @q1(#ml_program.extern<tensor<8x8xf32>>) : tensor<8x8xf32>
ml_program.global private @k0(#ml_program.extern<tensor<8x4xf32>>) : tensor<8x4xf32>
ml_program.global private @b8(#ml_program.extern<tensor<8xf32>>) : tensor<8xf32>
ml_program.global private @b4(#ml_program.extern<tensor<4xf32>>) : tensor<4xf32>

// The arguments of a block function become one; every caller joins what it passes.
// CHECK-LABEL: func.func private @block
// CHECK-SAME: (%arg0: tensor<?x8xf32>, %arg1: tensor<8x12xf32>, %arg2: tensor<12xf32>)
// CHECK: attn.linear %arg0, %arg1 bias %arg2
func.func private @block(%x: tensor<?x8xf32>, %q: tensor<8x8xf32>, %qb: tensor<8xf32>, %k: tensor<8x4xf32>,
                         %kb: tensor<4xf32>) -> (tensor<?x8xf32>, tensor<?x4xf32>) {
  %0 = attn.linear %x, %q bias %qb : (tensor<?x8xf32>, tensor<8x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  %1 = attn.linear %x, %k bias %kb : (tensor<?x8xf32>, tensor<8x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  return %0, %1 : tensor<?x8xf32>, tensor<?x4xf32>
}

// CHECK-LABEL: func.func @forward
// CHECK-DAG: %[[Q0:.*]] = ml_program.global_load_const @q0
// CHECK-DAG: %[[Q1:.*]] = ml_program.global_load_const @q1
// CHECK-DAG: %[[K:.*]] = ml_program.global_load_const @k0
// CHECK-DAG: %[[B8:.*]] = ml_program.global_load_const @b8
// CHECK-DAG: %[[B4:.*]] = ml_program.global_load_const @b4
// CHECK-DAG: %[[W0:.*]] = attn.concat_parameters %[[Q0]], %[[K]] dim 1
// CHECK-DAG: %[[B:.*]] = attn.concat_parameters %[[B8]], %[[B4]] dim 0
// CHECK: call @block(%arg0, %[[W0]], %[[B]])
// CHECK: %[[W1:.*]] = attn.concat_parameters %[[Q1]], %[[K]] dim 1
// CHECK: call @block(%{{.*}}, %[[W1]], %{{.*}})
func.func @forward(%x: tensor<?x8xf32>) -> (tensor<?x8xf32>, tensor<?x4xf32>) {
  %q0 = ml_program.global_load_const @q0 : tensor<8x8xf32>
  %q1 = ml_program.global_load_const @q1 : tensor<8x8xf32>
  %k = ml_program.global_load_const @k0 : tensor<8x4xf32>
  %b8 = ml_program.global_load_const @b8 : tensor<8xf32>
  %b4 = ml_program.global_load_const @b4 : tensor<4xf32>
  %0:2 = call @block(%x, %q0, %b8, %k, %b4) : (tensor<?x8xf32>, tensor<8x8xf32>, tensor<8xf32>, tensor<8x4xf32>, tensor<4xf32>) -> (tensor<?x8xf32>, tensor<?x4xf32>)
  %1:2 = call @block(%0#0, %q1, %b8, %k, %b4) : (tensor<?x8xf32>, tensor<8x8xf32>, tensor<8xf32>, tensor<8x4xf32>, tensor<4xf32>) -> (tensor<?x8xf32>, tensor<?x4xf32>)
  return %1#0, %1#1 : tensor<?x8xf32>, tensor<?x4xf32>
}
