// A product of 40 rows with two users, an attention, and a hostile name.
ml_program.global private @w(#ml_program.extern : tensor<32x48xf32>) : tensor<32x48xf32>
func.func @forward(%x: tensor<1x40x32xf32> {attn.name = "<script>alert(1)</script>"}) -> (tensor<1x40x48xf32>, tensor<1x40x48xf32>, tensor<1x40x32xf32>) {
  %w = ml_program.global_load_const @w : tensor<32x48xf32>
  %0 = attn.linear %x, %w : (tensor<1x40x32xf32>, tensor<32x48xf32>) -> tensor<1x40x48xf32>
  %1 = attn.activation relu %0 : (tensor<1x40x48xf32>) -> tensor<1x40x48xf32>
  %2 = attn.attention %x, %x, %x {causal, num_heads = 2 : i64} : (tensor<1x40x32xf32>, tensor<1x40x32xf32>, tensor<1x40x32xf32>) -> tensor<1x40x32xf32>
  return %0, %1, %2 : tensor<1x40x48xf32>, tensor<1x40x48xf32>, tensor<1x40x32xf32>
}
