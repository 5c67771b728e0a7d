// RUN: attn-opt %s --split-input-file --verify-diagnostics

// Every error of linear attention's verifier; the labels are those of the op's description.

// no result
func.func @neither(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x6xf32>) {
  // expected-error @below {{expected a result on tensors or an outs buffer, got neither}}
  attn.linear_attention linear %a0, %a1, %a2 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>) -> ()
  return
}

// -----

// results
func.func @results(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x6xf32>) {
  // expected-error @below {{expected at most 2 results, out and state, got 3}}
  %r:3 = attn.linear_attention linear %a0, %a1, %a2 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>) -> (tensor<?x?x12xf32>, tensor<?x2x4x3xf32>, tensor<?x2x4x3xf32>)
  return
}

// -----

// C1
func.func @query_rank(%a0: tensor<2x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x6xf32>) {
  // expected-error @below {{expected query of rank 3 or 4, got 'tensor<2x16xf32>'}}
  %r:1 = attn.linear_attention linear %a0, %a1, %a2 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<2x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>) -> tensor<?x?x12xf32>
  return
}

// -----

// C1
func.func @key_rank(%a0: tensor<?x?x16xf32>, %a1: tensor<?x2x?x4xf32>, %a2: tensor<?x?x6xf32>) {
  // expected-error @below {{expected key of rank 3, got 'tensor<?x2x?x4xf32>'}}
  %r:1 = attn.linear_attention linear %a0, %a1, %a2 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x2x?x4xf32>, tensor<?x?x6xf32>) -> tensor<?x?x12xf32>
  return
}

// -----

// C1
func.func @result_rank(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x6xf32>) {
  // expected-error @below {{expected result of rank 3, got 'tensor<?x4x?x3xf32>'}}
  %r:1 = attn.linear_attention linear %a0, %a1, %a2 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>) -> tensor<?x4x?x3xf32>
  return
}

// -----

// C1
func.func @num_heads(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x6xf32>) {
  // expected-error @below {{expected 'num_heads' with rank 3 query}}
  %r:1 = attn.linear_attention linear %a0, %a1, %a2 : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>) -> tensor<?x?x12xf32>
  return
}

// -----

// C2
func.func @query_features(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x6xf32>) {
  // expected-error @below {{expected features of query divisible by 3 heads, got 16}}
  %r:1 = attn.linear_attention linear %a0, %a1, %a2 {num_heads = 3 : i64} : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>) -> tensor<?x?x12xf32>
  return
}

// -----

// C2
func.func @key_features(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x6xf32>) {
  // expected-error @below {{expected features of key divisible by 0 heads, got 8}}
  %r:1 = attn.linear_attention linear %a0, %a1, %a2 {num_heads = 4 : i64, num_kv_heads = 0 : i64} : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>) -> tensor<?x?x12xf32>
  return
}

// -----

// C2
func.func @value_features(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x?xf32>) {
  // expected-error @below {{expected features of value divisible by 2 heads, got ?}}
  %r:1 = attn.linear_attention linear %a0, %a1, %a2 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x?xf32>) -> tensor<?x?x12xf32>
  return
}

// -----

// C1
func.func @other_num_heads(%a0: tensor<?x4x?x8xf32>, %a1: tensor<?x2x?x8xf32>, %a2: tensor<?x2x?x6xf32>) {
  // expected-error @below {{expected 'num_heads' of 4 as in the operands, got 2}}
  %r:1 = attn.linear_attention linear %a0, %a1, %a2 {num_heads = 2 : i64} : (tensor<?x4x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x6xf32>) -> tensor<?x4x?x6xf32>
  return
}

// -----

// C1
func.func @other_num_kv_heads(%a0: tensor<?x4x?x8xf32>, %a1: tensor<?x2x?x8xf32>, %a2: tensor<?x2x?x6xf32>) {
  // expected-error @below {{expected 'num_kv_heads' of 2 as in the operands, got 4}}
  %r:1 = attn.linear_attention linear %a0, %a1, %a2 {num_kv_heads = 4 : i64} : (tensor<?x4x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x6xf32>) -> tensor<?x4x?x6xf32>
  return
}

// -----

// C8
func.func @dynamic_heads(%a0: tensor<?x?x?x8xf32>, %a1: tensor<?x2x?x8xf32>, %a2: tensor<?x2x?x6xf32>) {
  // expected-error @below {{expected heads from 1 to 65536, got ?}}
  %r:1 = attn.linear_attention linear %a0, %a1, %a2 : (tensor<?x?x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x6xf32>) -> tensor<?x4x?x6xf32>
  return
}

// -----

// C8
func.func @no_kv_heads(%a0: tensor<?x4x?x8xf32>, %a1: tensor<?x0x?x8xf32>, %a2: tensor<?x2x?x6xf32>) {
  // expected-error @below {{expected kv heads from 1 to 65536, got 0}}
  %r:1 = attn.linear_attention linear %a0, %a1, %a2 : (tensor<?x4x?x8xf32>, tensor<?x0x?x8xf32>, tensor<?x2x?x6xf32>) -> tensor<?x4x?x6xf32>
  return
}

// -----

// C8
func.func @head_dim(%a0: tensor<?x1x?x65537xf32>, %a1: tensor<?x1x?x65537xf32>, %a2: tensor<?x1x?x6xf32>) {
  // expected-error @below {{expected head_dim from 1 to 65536, got 65537}}
  %r:1 = attn.linear_attention linear %a0, %a1, %a2 : (tensor<?x1x?x65537xf32>, tensor<?x1x?x65537xf32>, tensor<?x1x?x6xf32>) -> tensor<?x1x?x6xf32>
  return
}

// -----

// C8
func.func @head_dim_v(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x0xf32>) {
  // expected-error @below {{expected head_dim_v from 1 to 65536, got 0}}
  %r:1 = attn.linear_attention linear %a0, %a1, %a2 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x0xf32>) -> tensor<?x?x12xf32>
  return
}

// -----

// C3
func.func @multiple(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x32xf32>, %a2: tensor<?x?x24xf32>) {
  // expected-error @below {{expected heads to be a multiple of kv heads, got 4 and 8}}
  %r:1 = attn.linear_attention linear %a0, %a1, %a2 {num_heads = 4 : i64, num_kv_heads = 8 : i64} : (tensor<?x?x16xf32>, tensor<?x?x32xf32>, tensor<?x?x24xf32>) -> tensor<?x?x12xf32>
  return
}

// -----

// C4
func.func @query_head_dim(%a0: tensor<?x?x20xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x6xf32>) {
  // expected-error @below {{expected query of shape [?x?x16], got [?x?x20]}}
  %r:1 = attn.linear_attention linear %a0, %a1, %a2 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<?x?x20xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>) -> tensor<?x?x12xf32>
  return
}

// -----

// C4
func.func @key_seq(%a0: tensor<?x5x16xf32>, %a1: tensor<?x6x8xf32>, %a2: tensor<?x?x6xf32>) {
  // expected-error @below {{expected key of shape [?x5x8], got [?x6x8]}}
  %r:1 = attn.linear_attention linear %a0, %a1, %a2 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<?x5x16xf32>, tensor<?x6x8xf32>, tensor<?x?x6xf32>) -> tensor<?x?x12xf32>
  return
}

// -----

// C4
func.func @value_batch(%a0: tensor<2x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<3x?x6xf32>) {
  // expected-error @below {{expected value of shape [2x?x6], got [3x?x6]}}
  %r:1 = attn.linear_attention linear %a0, %a1, %a2 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<2x?x16xf32>, tensor<?x?x8xf32>, tensor<3x?x6xf32>) -> tensor<?x?x12xf32>
  return
}

// -----

// C6
func.func @result(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x6xf32>) {
  // expected-error @below {{expected result of shape [?x?x12], got [?x?x16]}}
  %r:1 = attn.linear_attention linear %a0, %a1, %a2 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>) -> tensor<?x?x16xf32>
  return
}

// -----

// C6
func.func @result_type(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x6xf32>) {
  // expected-error @below {{expected result element type 'f32', got 'f16'}}
  %r:1 = attn.linear_attention linear %a0, %a1, %a2 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>) -> tensor<?x?x12xf16>
  return
}

// -----

// C5
func.func @no_decay(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x6xf32>) {
  // expected-error @below {{expected decay with 'gated'}}
  %r:1 = attn.linear_attention gated %a0, %a1, %a2 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>) -> tensor<?x?x12xf32>
  return
}

// -----

// C5
func.func @decay(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x6xf32>, %a3: tensor<?x?x2xf32>, %a4: tensor<?x?x2xf32>) {
  // expected-error @below {{expected no decay with 'delta'}}
  %r:1 = attn.linear_attention delta %a0, %a1, %a2 decay %a3 beta %a4 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>, tensor<?x?x2xf32>, tensor<?x?x2xf32>) -> tensor<?x?x12xf32>
  return
}

// -----

// C5
func.func @no_beta(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x6xf32>, %a3: tensor<?x?x2xf32>) {
  // expected-error @below {{expected beta with 'gated_delta'}}
  %r:1 = attn.linear_attention gated_delta %a0, %a1, %a2 decay %a3 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>, tensor<?x?x2xf32>) -> tensor<?x?x12xf32>
  return
}

// -----

// C5
func.func @beta(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x6xf32>, %a3: tensor<?x?x2xf32>) {
  // expected-error @below {{expected no beta with 'linear'}}
  %r:1 = attn.linear_attention linear %a0, %a1, %a2 beta %a3 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>, tensor<?x?x2xf32>) -> tensor<?x?x12xf32>
  return
}

// -----

// C5
func.func @decay_rank(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x6xf32>, %a3: tensor<?x2xf32>) {
  // expected-error @below {{expected decay of rank 3, got 'tensor<?x2xf32>'}}
  %r:1 = attn.linear_attention gated %a0, %a1, %a2 decay %a3 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>, tensor<?x2xf32>) -> tensor<?x?x12xf32>
  return
}

// -----

// C5
func.func @decay_shape(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x6xf32>, %a3: tensor<?x?x4xf32>) {
  // expected-error @below {{expected decay of shape [?x?x8], got [?x?x4]}}
  %r:1 = attn.linear_attention gated %a0, %a1, %a2 decay %a3 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>, tensor<?x?x4xf32>) -> tensor<?x?x12xf32>
  return
}

// -----

// C5
func.func @decay_dynamic(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x6xf32>, %a3: tensor<?x?x?xf32>) {
  // expected-error @below {{expected decay of rank at least 3 with a static last dimension, got 'tensor<?x?x?xf32>'}}
  %r:1 = attn.linear_attention gated %a0, %a1, %a2 decay %a3 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>, tensor<?x?x?xf32>) -> tensor<?x?x12xf32>
  return
}

// -----

// C5
func.func @beta_rank(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x6xf32>, %a3: tensor<?x2xf32>) {
  // expected-error @below {{expected beta of rank 3, got 'tensor<?x2xf32>'}}
  %r:1 = attn.linear_attention delta %a0, %a1, %a2 beta %a3 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>, tensor<?x2xf32>) -> tensor<?x?x12xf32>
  return
}

// -----

// C5
func.func @beta_shape(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x6xf32>, %a3: tensor<?x?x4xf32>) {
  // expected-error @below {{expected beta of shape [?x?x2], got [?x?x4]}}
  %r:1 = attn.linear_attention delta %a0, %a1, %a2 beta %a3 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>, tensor<?x?x4xf32>) -> tensor<?x?x12xf32>
  return
}

// -----

// C5
func.func @beta_dynamic(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x6xf32>, %a3: tensor<?x?x?xf32>) {
  // expected-error @below {{expected beta of rank at least 3 with a static last dimension, got 'tensor<?x?x?xf32>'}}
  %r:1 = attn.linear_attention delta %a0, %a1, %a2 beta %a3 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>, tensor<?x?x?xf32>) -> tensor<?x?x12xf32>
  return
}

// -----

// C7
func.func @state_type(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x6xf32>, %a3: tensor<?x2x4x3xf16>) {
  // expected-error @below {{expected state element type f32, got 'f16'}}
  %r:1 = attn.linear_attention linear %a0, %a1, %a2 state %a3 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>, tensor<?x2x4x3xf16>) -> tensor<?x?x12xf32>
  return
}

// -----

// C7
func.func @state_shape(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x6xf32>, %a3: tensor<?x2x3x4xf32>) {
  // expected-error @below {{expected state of shape [?x2x4x3], got [?x2x3x4]}}
  %r:1 = attn.linear_attention linear %a0, %a1, %a2 state %a3 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>, tensor<?x2x3x4xf32>) -> tensor<?x?x12xf32>
  return
}

// -----

// C7
func.func @new_state_shape(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x6xf32>) {
  // expected-error @below {{expected new state of shape [?x2x4x3], got [?x4x4x3]}}
  %r:2 = attn.linear_attention linear %a0, %a1, %a2 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>) -> (tensor<?x?x12xf32>, tensor<?x4x4x3xf32>)
  return
}

// -----

// C7
func.func @new_state_dynamic(%a0: tensor<?x?x16xf32>, %a1: tensor<?x?x8xf32>, %a2: tensor<?x?x6xf32>) {
  // expected-error @below {{expected new state of static sizes but for the batch, got 'tensor<?x?x4x3xf32>'}}
  %r:2 = attn.linear_attention linear %a0, %a1, %a2 {num_heads = 4 : i64, num_kv_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?x6xf32>) -> (tensor<?x?x12xf32>, tensor<?x?x4x3xf32>)
  return
}

// -----

// C9
func.func @task(%q: memref<1x?x8xf32>, %s: memref<?x64xi8>) {
  // expected-error @below {{expected one batch row and kv head in a task, got [1x2]}}
  attn.linear_attention linear %q, %q, %q outs %q scratch %s {num_heads = 2 : i64} : (memref<1x?x8xf32>, memref<1x?x8xf32>, memref<1x?x8xf32>, memref<1x?x8xf32>, memref<?x64xi8>) -> ()
  return
}
