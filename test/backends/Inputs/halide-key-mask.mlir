func.func @attend(%x: tensor<?x?x32xf32> {attn.name = "x", attn.dims = ["batch", "seq"]},
                  %mask: tensor<?x?xi64> {attn.name = "mask", attn.dims = ["batch", "seq"], attn.optional})
    -> (tensor<?x?x32xf32> {attn.name = "out"}) {
  %out = attn.attention %x, %x, %x key_mask %mask {num_heads = 4 : i64, causal}
    : (tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?xi64>) -> tensor<?x?x32xf32>
  return %out : tensor<?x?x32xf32>
}
