// Products with packed weights of each type, and of 16-bit inputs; the weights are never read.
module attributes {attn.weights = ["none.safetensors"]} {
  ml_program.global private @w(#ml_program.extern<tensor<768x768xbf16>>) : tensor<768x768xbf16>
  ml_program.global private @h(#ml_program.extern<tensor<768x768xf16>>) : tensor<768x768xf16>
  ml_program.global private @s(#ml_program.extern<tensor<768x768xf32>>) : tensor<768x768xf32>
  func.func @bf16(%x: tensor<?x768xf32> {attn.dims = ["rows"]}) -> (tensor<?x768xf32> {attn.name = "y"}) {
    %w = ml_program.global_load_const @w : tensor<768x768xbf16>
    %y = attn.linear %x, %w : (tensor<?x768xf32>, tensor<768x768xbf16>) -> tensor<?x768xf32>
    return %y : tensor<?x768xf32>
  }
  func.func @f16(%x: tensor<?x768xf32> {attn.dims = ["rows"]}) -> (tensor<?x768xf32> {attn.name = "y"}) {
    %w = ml_program.global_load_const @h : tensor<768x768xf16>
    %y = attn.linear %x, %w : (tensor<?x768xf32>, tensor<768x768xf16>) -> tensor<?x768xf32>
    return %y : tensor<?x768xf32>
  }
  func.func @f32(%x: tensor<?x768xf32> {attn.dims = ["rows"]}) -> (tensor<?x768xf32> {attn.name = "y"}) {
    %w = ml_program.global_load_const @s : tensor<768x768xf32>
    %y = attn.linear %x, %w : (tensor<?x768xf32>, tensor<768x768xf32>) -> tensor<?x768xf32>
    return %y : tensor<?x768xf32>
  }
  func.func @narrow(%x: tensor<?x768xbf16> {attn.dims = ["rows"]}) -> (tensor<?x768xbf16> {attn.name = "y"}) {
    %w = ml_program.global_load_const @w : tensor<768x768xbf16>
    %y = attn.linear %x, %w : (tensor<?x768xbf16>, tensor<768x768xbf16>) -> tensor<?x768xbf16>
    return %y : tensor<?x768xbf16>
  }
}
