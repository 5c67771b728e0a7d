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

// -----

ml_program.global private @w(#ml_program.extern<tensor<2x8x8xf32>>) : tensor<2x8x8xf32>
func.func @experts_both_ways(%x: tensor<?x8xf32>, %e: tensor<?x2xi64>) -> tensor<?x2x8xf32> {
  %w = ml_program.global_load_const @w : tensor<2x8x8xf32>
  // expected-error @below {{expected all uses of a weight to agree on 'transpose_weight'}}
  %0 = attn.expert_linear %x, %w experts %e : (tensor<?x8xf32>, tensor<2x8x8xf32>, tensor<?x2xi64>) -> tensor<?x2x8xf32>
  %1 = attn.expert_linear %0, %w experts %e {transpose_weight} : (tensor<?x2x8xf32>, tensor<2x8x8xf32>, tensor<?x2xi64>) -> tensor<?x2x8xf32>
  return %1 : tensor<?x2x8xf32>
}

// -----

ml_program.global private @a(#ml_program.extern<tensor<3xf32>>) : tensor<3xf32>
ml_program.global private @b(#ml_program.extern<tensor<5xf32>>) : tensor<5xf32>
func.func @joined_in_two_ways() -> tensor<2x8xf32> {
  %a = ml_program.global_load_const @a : tensor<3xf32>
  %b = ml_program.global_load_const @b : tensor<5xf32>
  %0 = attn.concat_parameters %a, %b dim 0 : (tensor<3xf32>, tensor<5xf32>) -> tensor<8xf32>
  %1 = attn.concat_parameters %b, %a dim 0 : (tensor<5xf32>, tensor<3xf32>) -> tensor<8xf32>
  // expected-error @below {{expected inputs that are joined of parts of the same sizes}}
  %2 = attn.stack_parameters %0, %1 : (tensor<8xf32>, tensor<8xf32>) -> tensor<2x8xf32>
  return %2 : tensor<2x8xf32>
}

// -----

ml_program.global private @a(#ml_program.extern<tensor<3xf32>>) : tensor<3xf32>
func.func @stacked_twice() -> tensor<1x2x3xf32> {
  %a = ml_program.global_load_const @a : tensor<3xf32>
  %0 = attn.stack_parameters %a, %a : (tensor<3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  // expected-error @below {{expected parameters that are not stacked as inputs}}
  %1 = attn.stack_parameters %0 : (tensor<2x3xf32>) -> tensor<1x2x3xf32>
  return %1 : tensor<1x2x3xf32>
}

// -----

func.func @stacked_arguments(%a: tensor<3xf32>) -> tensor<1x3xf32> {
  // expected-error @below {{expected parameters (ml_program.global_load_const) as inputs}}
  %0 = attn.stack_parameters %a : (tensor<3xf32>) -> tensor<1x3xf32>
  return %0 : tensor<1x3xf32>
}

// -----

ml_program.global private @a(#ml_program.extern<tensor<3xf32>>) : tensor<3xf32>
func.func @no_experts() -> tensor<2x3xf32> {
  %a = ml_program.global_load_const @a : tensor<3xf32>
  // expected-error @below {{expected a stacked parameter to be weight or bias of attn.expert_linear}}
  %0 = attn.stack_parameters %a, %a : (tensor<3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  return %0 : tensor<2x3xf32>
}
