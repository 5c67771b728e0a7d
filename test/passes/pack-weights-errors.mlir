// RUN: attn-opt %s --attn-pack-weights --split-input-file --verify-diagnostics

ml_program.global private @w(#ml_program.extern<tensor<8x8xf32>>) : tensor<8x8xf32>
func.func @both_ways(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %w = ml_program.global_load_const @w : tensor<8x8xf32>
  // expected-error @below {{expected all uses of a weight to agree on 'transpose_weight'}}
  %0 = attn.linear %x, %w : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %1 = attn.linear %0, %w {transpose_weight} : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  return %1 : tensor<?x8xf32>
}

// -----

func.func @not_a_parameter(%x: tensor<?x8xf32>, %w: tensor<8x8xf32>) -> tensor<?x16xf32> {
  // expected-error @below {{expected parameters (ml_program.global_load_const) as inputs}}
  %j = attn.concat_parameters %w, %w dim 1 : (tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<8x16xf32>
  %0 = attn.linear %x, %j : (tensor<?x8xf32>, tensor<8x16xf32>) -> tensor<?x16xf32>
  return %0 : tensor<?x16xf32>
}
