// Two entries without weights.
func.func @add(%x: tensor<?x8xf32> {attn.name = "x", attn.dims = ["n"]}, %y: tensor<?x8xf32> {attn.name = "y", attn.dims = ["n"]})
    -> (tensor<?x8xf32> {attn.name = "sum"}) attributes {attn.bounds = {n = array<i64: 1, 100>}} {
  %0 = arith.addf %x, %y : tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}
func.func @gelu(%x: tensor<?x?x8xf32> {attn.name = "x", attn.dims = ["batch", "seq"]}) -> (tensor<?x?x8xf32> {attn.name = "y"}) {
  %0 = attn.activation gelu_tanh %x : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %0 : tensor<?x?x8xf32>
}
