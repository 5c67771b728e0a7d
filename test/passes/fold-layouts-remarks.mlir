// RUN: attn-opt %s --attn-fold-layouts --split-input-file --verify-diagnostics

func.func @key_not_split(%x: tensor<?x?x32xf32>, %k: tensor<?x4x?x8xf32>) -> tensor<?x?x32xf32> {
  %q = attn.split_heads %x into 4 : (tensor<?x?x32xf32>) -> tensor<?x4x?x8xf32>
  // expected-remark @below {{heads not folded into attention: key does not come from attn.split_heads or a transpose of [batch, seq, heads, head_dim]}}
  %a = attn.attention %q, %k, %q : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32>
  %o = attn.merge_heads %a : (tensor<?x4x?x8xf32>) -> tensor<?x?x32xf32>
  return %o : tensor<?x?x32xf32>
}

// -----

func.func @not_merged(%x: tensor<?x?x32xf32>) -> tensor<?x4x?x8xf32> {
  %q = attn.split_heads %x into 4 : (tensor<?x?x32xf32>) -> tensor<?x4x?x8xf32>
  // expected-remark @below {{heads not folded into attention: expected the result to be used once, by attn.merge_heads or a transpose to [batch, seq, heads, head_dim]}}
  %a = attn.attention %q, %q, %q : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>) -> tensor<?x4x?x8xf32>
  return %a : tensor<?x4x?x8xf32>
}

// -----

func.func @dynamic_head_dim(%x: tensor<?x?x32xf32>, %y: tensor<?x?x4x?xf32>, %e: tensor<?x4x?x?xf32>) -> tensor<?x?x32xf32> {
  %q = attn.split_heads %x into 4 : (tensor<?x?x32xf32>) -> tensor<?x4x?x8xf32>
  %v = linalg.transpose ins(%y : tensor<?x?x4x?xf32>) outs(%e : tensor<?x4x?x?xf32>) permutation = [0, 2, 1, 3]
  // expected-remark @below {{heads not folded into attention: expected a static head_dim of value}}
  %a = attn.attention %q, %q, %v : (tensor<?x4x?x8xf32>, tensor<?x4x?x8xf32>, tensor<?x4x?x?xf32>) -> tensor<?x4x?x8xf32>
  %o = attn.merge_heads %a : (tensor<?x4x?x8xf32>) -> tensor<?x?x32xf32>
  return %o : tensor<?x?x32xf32>
}
