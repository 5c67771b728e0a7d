// RUN: attn-opt %s --attn-bufferize --split-input-file --verify-diagnostics

func.func @not_packed(%x: tensor<4x8xf32> {attn.dims = []}) -> (tensor<8x8xf32> {attn.dims = []}) {
  // expected-error @below {{expected a parameter placed by attn-pack-weights}}
  %w = ml_program.global_load_const @w : tensor<8x8xf32>
  return %w : tensor<8x8xf32>
}
ml_program.global private @w(#ml_program.extern<tensor<8x8xf32>>) : tensor<8x8xf32>

// -----

// expected-error @below {{expected dimensions named by attn-name-dims}}
func.func @not_named(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  return %x : tensor<?x8xf32>
}

// -----

func.func @no_form(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  // expected-error @below {{is not yet lowered}}
  %0 = tensor.generate {
  ^bb0(%i: index, %j: index):
    %c = arith.constant 0.0 : f32
    tensor.yield %c : f32
  } : tensor<4x8xf32>
  return %0 : tensor<4x8xf32>
}
