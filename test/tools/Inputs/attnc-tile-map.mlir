func.func @f(%q: tensor<1x192x32xf32>, %ids: tensor<1x192xi32>) -> tensor<1x192x32xf32> {
  %o = attn.attention %q, %q, %q documents %ids {causal, num_heads = 4 : i64} : (tensor<1x192x32xf32>, tensor<1x192x32xf32>, tensor<1x192x32xf32>, tensor<1x192xi32>) -> tensor<1x192x32xf32>
  return %o : tensor<1x192x32xf32>
}
