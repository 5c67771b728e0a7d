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

// -----

ml_program.global private @w(#ml_program.extern<tensor<8x8xf32>>) : tensor<8x8xf32>
func.func @captured_weight(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  %w = ml_program.global_load_const @w : tensor<8x8xf32>
  %0 = attn.linear %x, %w : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
  %1 = attn.attention %0, %0, %0 {num_heads = 1 : i64} score(%s, %b, %h, %i, %j) {
    // expected-error @below {{expected a parameter that is not also the weight of a linear}}
    %r = attn.load %w[%h, %h] : tensor<8x8xf32>
    attn.yield %r : f32
  } : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %1 : tensor<?x?x8xf32>
}
