// Products whose loops are looked at in assembly; their weights are never read.
module attributes {attn.weights = ["none.safetensors"]} {
  ml_program.global private @w(#ml_program.extern<tensor<256x64xf32>>) : tensor<256x64xf32>
  ml_program.global private @h(#ml_program.extern<tensor<256x64xbf16>>) : tensor<256x64xbf16>
  func.func @full(%x: tensor<?x?x256xf32> {attn.dims = ["batch", "seq"]}) -> (tensor<?x?x64xf32> {attn.name = "y"}) {
    %w = ml_program.global_load_const @w : tensor<256x64xf32>
    %0 = attn.linear %x, %w : (tensor<?x?x256xf32>, tensor<256x64xf32>) -> tensor<?x?x64xf32>
    return %0 : tensor<?x?x64xf32>
  }
  func.func @half(%x: tensor<?x?x256xf32> {attn.dims = ["batch", "seq"]}) -> (tensor<?x?x64xf32> {attn.name = "y"}) {
    %h = ml_program.global_load_const @h : tensor<256x64xbf16>
    %0 = attn.linear %x, %h : (tensor<?x?x256xf32>, tensor<256x64xbf16>) -> tensor<?x?x64xf32>
    return %0 : tensor<?x?x64xf32>
  }
}
