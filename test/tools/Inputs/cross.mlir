// An article of an encoder in the cross part of a state, and a decoder that attends to it.
module {
  func.func @encode(%article: tensor<?x?x2xf32> {attn.name = "article", attn.dims = ["batch", "seq"]},
                    %mask: tensor<?x?xi64> {attn.name = "mask", attn.dims = ["batch", "seq"], attn.optional},
                    %cross: !attn.cache<1x1x2x2xf32, cross>) attributes {attn.bounds = {seq = array<i64: 1, 512>}} {
    %layer = arith.constant 0 : index
    attn.cache_append %article, %article to %cross[%layer] key_mask %mask
      : tensor<?x?x2xf32>, tensor<?x?x2xf32>, !attn.cache<1x1x2x2xf32, cross>, tensor<?x?xi64>
    return
  }
  func.func @decode(%token: tensor<?x1x2xf32> {attn.name = "token", attn.dims = ["batch"]}, %cache: !attn.cache<1x1x2x2xf32>,
                    %cross: !attn.cache<1x1x2x2xf32, cross>) -> (tensor<?x1x2xf32> {attn.name = "y"}) {
    %layer = arith.constant 0 : index
    attn.cache_append %token, %token to %cache[%layer] : tensor<?x1x2xf32>, tensor<?x1x2xf32>, !attn.cache<1x1x2x2xf32>
    %y = attn.attention %token cache %cross[%layer] {num_heads = 1 : i64, scale = 1.0 : f64}
      : (tensor<?x1x2xf32>, !attn.cache<1x1x2x2xf32, cross>, index) -> tensor<?x1x2xf32>
    return %y : tensor<?x1x2xf32>
  }
}
