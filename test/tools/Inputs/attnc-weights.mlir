// A product whose weights lie in a safetensors file that the test writes.
module attributes {attn.weights = ["none.safetensors"], attn.metadata = {answer = 42 : i64, list = [true, 1.5, "text"], name = "ignored"}} {
  ml_program.global private @w(#ml_program.extern<tensor<8x24xf32>>) : tensor<8x24xf32>
  func.func @forward(%x: tensor<?x?x8xf32> {attn.name = "x", attn.dims = ["batch", "seq"]}) -> (tensor<?x?x24xf32> {attn.name = "y"}) {
    %w = ml_program.global_load_const @w : tensor<8x24xf32>
    %0 = attn.linear %x, %w : (tensor<?x?x8xf32>, tensor<8x24xf32>) -> tensor<?x?x24xf32>
    return %0 : tensor<?x?x24xf32>
  }
}
