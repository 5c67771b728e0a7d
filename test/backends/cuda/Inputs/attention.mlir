// Queries of both types over a cache of bf16, head_dim 128.
func.func @bf16(%q: tensor<?x?x512xbf16> {attn.name = "query", attn.dims = ["batch", "seq"]},
                %k: tensor<?x?x256xbf16> {attn.name = "key", attn.dims = ["batch", "seq"]},
                %v: tensor<?x?x256xbf16> {attn.name = "value", attn.dims = ["batch", "seq"]},
                %cache: !attn.cache<2x2x128x128xbf16>) -> (tensor<?x?x512xbf16> {attn.name = "out"}) {
  %layer = arith.constant 0 : index
  attn.cache_append %k, %v to %cache[%layer] : tensor<?x?x256xbf16>, tensor<?x?x256xbf16>, !attn.cache<2x2x128x128xbf16>
  %out = attn.attention %q cache %cache[%layer] {num_heads = 4 : i64, num_kv_heads = 2 : i64, causal} : (tensor<?x?x512xbf16>, !attn.cache<2x2x128x128xbf16>, index) -> tensor<?x?x512xbf16>
  return %out : tensor<?x?x512xbf16>
}
func.func @f32(%q: tensor<?x?x512xf32> {attn.name = "query", attn.dims = ["batch", "seq"]},
               %k: tensor<?x?x256xf32> {attn.name = "key", attn.dims = ["batch", "seq"]},
               %v: tensor<?x?x256xf32> {attn.name = "value", attn.dims = ["batch", "seq"]},
               %cache: !attn.cache<2x2x128x128xbf16>) -> (tensor<?x?x512xf32> {attn.name = "out"}) {
  %layer = arith.constant 1 : index
  attn.cache_append %k, %v to %cache[%layer] : tensor<?x?x256xf32>, tensor<?x?x256xf32>, !attn.cache<2x2x128x128xbf16>
  %out = attn.attention %q cache %cache[%layer] {num_heads = 4 : i64, num_kv_heads = 2 : i64, causal} : (tensor<?x?x512xf32>, !attn.cache<2x2x128x128xbf16>, index) -> tensor<?x?x512xf32>
  return %out : tensor<?x?x512xf32>
}
