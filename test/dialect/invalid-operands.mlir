// RUN: attn-opt %s --split-input-file --verify-diagnostics

// Operands and results of attention beside query, key and value, and the table of relative; the labels are those of the
// op's description.

// attention: results
func.func @scores_without_point(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>) {
  // expected-error @below {{expected at most out and lse as results, got 3}}
  %0:3 = attn.attention %q, %k, %k : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> (tensor<2x4x5x8xf32>, tensor<2x4x5xf32>, tensor<2x4x5x7xf32>)
  return
}

// -----

// attention: results
func.func @too_many_results(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>) {
  // expected-error @below {{expected out, maybe lse, and scores as results, got 4}}
  %0:4 = attn.attention %q, %k, %k {scores = #attn<score_point raw>} : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> (tensor<2x4x5x8xf32>, tensor<2x4x5xf32>, tensor<2x4x5x7xf32>, tensor<2x4x5x7xf32>)
  return
}

// -----

// attention: results
func.func @point_without_scores(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>) {
  // expected-error @below {{expected out, maybe lse, and scores as results, got 1}}
  %0 = attn.attention %q, %k, %k {scores = #attn<score_point raw>} : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C11
func.func @scores_type(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>) {
  // expected-error @below {{expected scores element type f32, got 'f16'}}
  %0:2 = attn.attention %q, %k, %k {scores = #attn<score_point raw>} : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> (tensor<2x4x5x8xf32>, tensor<2x4x5x7xf16>)
  return
}

// -----

// attention C11
func.func @scores_shape(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>) {
  // expected-error @below {{expected scores of shape [2x4x5x7], got [2x4x5x8]}}
  %0:2 = attn.attention %q, %k, %k {scores = #attn<score_point raw>} : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> (tensor<2x4x5x8xf32>, tensor<2x4x5x8xf32>)
  return
}

// -----

// attention C11
func.func @lse_beside_scores(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>) {
  // expected-error @below {{expected lse of shape [2x4x5], got [2x4x7]}}
  %0:3 = attn.attention %q, %k, %k {scores = #attn<score_point raw>} : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> (tensor<2x4x5x8xf32>, tensor<2x4x7xf32>, tensor<2x4x5x7xf32>)
  return
}

// -----

// attention C11
func.func @scores_of_a_cache(%q: tensor<2x4x5x8xf32>, %c: !attn.cache<6x2x8x8xf32>, %l: index) {
  // expected-error @below {{expected scores of keys that are not cached}}
  %0:2 = attn.attention %q cache %c[%l] {scores = #attn<score_point raw>} : (tensor<2x4x5x8xf32>, !attn.cache<6x2x8x8xf32>, index) -> (tensor<2x4x5x8xf32>, tensor<2x4x5x?xf32>)
  return
}

// -----

// attention C11
func.func @buffers_point_without_scores(%q: memref<2x4x5x8xf32>, %k: memref<2x2x1x8x64xf32>, %v: memref<2x2x7x16xf32>) {
  // expected-error @below {{expected 'scores' to say at which point exactly when scores are a result}}
  attn.attention %q, %k, %v outs %q {scores = #attn<score_point raw>} : (memref<2x4x5x8xf32>, memref<2x2x1x8x64xf32>, memref<2x2x7x16xf32>, memref<2x4x5x8xf32>) -> ()
  return
}

// -----

// attention C11
func.func @buffers_scores_without_point(%q: memref<2x4x5x8xf32>, %k: memref<2x2x1x8x64xf32>, %v: memref<2x2x7x16xf32>, %s: memref<2x4x5x7xf32>) {
  // expected-error @below {{expected 'scores' to say at which point exactly when scores are a result}}
  attn.attention %q, %k, %v outs %q scores %s : (memref<2x4x5x8xf32>, memref<2x2x1x8x64xf32>, memref<2x2x7x16xf32>, memref<2x4x5x8xf32>, memref<2x4x5x7xf32>) -> ()
  return
}

// -----

// attention C11
func.func @buffers_scores_shape(%q: memref<2x4x5x8xf32>, %k: memref<2x2x1x8x64xf32>, %v: memref<2x2x7x16xf32>, %s: memref<2x4x7x5xf32>) {
  // expected-error @below {{expected scores of shape [2x4x5x7], got [2x4x7x5]}}
  attn.attention %q, %k, %v outs %q scores %s {scores = #attn<score_point raw>} : (memref<2x4x5x8xf32>, memref<2x2x1x8x64xf32>, memref<2x2x7x16xf32>, memref<2x4x5x8xf32>, memref<2x4x7x5xf32>) -> ()
  return
}

// -----

// attention C9
func.func @prefix(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %x: tensor<7xi32>) {
  // expected-error @below {{expected prefix of shape [2], got [7]}}
  %0 = attn.attention %q, %k, %k prefix %x : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>, tensor<7xi32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C9
func.func @documents(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %x: tensor<2x5xi32>) {
  // expected-error @below {{expected documents of shape [2x7], got [2x5]}}
  %0 = attn.attention %q, %k, %k documents %x : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>, tensor<2x5xi32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C13
func.func @sink_logits_type(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %x: tensor<4xbf16>) {
  // expected-error @below {{expected sink_logits element type f32, got 'bf16'}}
  %0 = attn.attention %q, %k, %k sink_logits %x : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>, tensor<4xbf16>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C13
func.func @sink_logits(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %x: tensor<2xf32>) {
  // expected-error @below {{expected sink_logits of shape [4], got [2]}}
  %0 = attn.attention %q, %k, %k sink_logits %x : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>, tensor<2xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C13
func.func @alibi_type(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %x: tensor<4xf16>) {
  // expected-error @below {{expected alibi element type f32, got 'f16'}}
  %0 = attn.attention %q, %k, %k alibi %x : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>, tensor<4xf16>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C13
func.func @alibi(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %x: tensor<1x4xf32>) {
  // expected-error @below {{expected alibi of shape [4], got [1x4]}}
  %0 = attn.attention %q, %k, %k alibi %x : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>, tensor<1x4xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C13
func.func @relative_type(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %x: tensor<4x5xf64>) {
  // expected-error @below {{expected relative element type f32, got 'f64'}}
  %0 = attn.attention %q, %k, %k relative %x : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>, tensor<4x5xf64>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C13
func.func @relative(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %x: tensor<5x4xf32>) {
  // expected-error @below {{expected relative of shape [4x?], got [5x4]}}
  %0 = attn.attention %q, %k, %k relative %x : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>, tensor<5x4xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C13
func.func @relative_even(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %x: tensor<4x6xf32>) {
  // expected-error @below {{expected relative of an odd, static number of distances, got 'tensor<4x6xf32>'}}
  %0 = attn.attention %q, %k, %k relative %x : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>, tensor<4x6xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C13
func.func @relative_dynamic(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %x: tensor<4x?xf32>) {
  // expected-error @below {{expected relative of an odd, static number of distances, got 'tensor<4x?xf32>'}}
  %0 = attn.attention %q, %k, %k relative %x : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>, tensor<4x?xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C13
func.func @relative_wide(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %x: tensor<4x4294967297xf32>) {
  // expected-error @below {{expected relative of an odd, static number of distances, got 'tensor<4x4294967297xf32>'}}
  %0 = attn.attention %q, %k, %k relative %x : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>, tensor<4x4294967297xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C14
func.func @ragged_keys_alone(%x: tensor<1x5x32xf32>, %at: tensor<?xi32>) {
  // expected-error @below {{expected 'ragged' with 'ragged_keys'}}
  %0 = attn.attention %x, %x, %x ragged_keys %at {num_heads = 4 : i64} : (tensor<1x5x32xf32>, tensor<1x5x32xf32>, tensor<1x5x32xf32>, tensor<?xi32>) -> tensor<1x5x32xf32>
  return
}

// -----

// attention C14
func.func @ragged_rank(%x: tensor<1x5x32xf32>, %at: tensor<?xi32>, %r: tensor<1x3xi32>) {
  // expected-error @below {{expected ragged of rank 1, got 'tensor<1x3xi32>'}}
  %0 = attn.attention %x, %x, %x ragged %r {num_heads = 4 : i64} : (tensor<1x5x32xf32>, tensor<1x5x32xf32>, tensor<1x5x32xf32>, tensor<1x3xi32>) -> tensor<1x5x32xf32>
  return
}

// -----

// attention C14
func.func @ragged_empty(%x: tensor<1x5x32xf32>, %at: tensor<?xi32>, %r: tensor<0xi32>) {
  // expected-error @below {{expected ragged of at least 1 offset, got 'tensor<0xi32>'}}
  %0 = attn.attention %x, %x, %x ragged %r {num_heads = 4 : i64} : (tensor<1x5x32xf32>, tensor<1x5x32xf32>, tensor<1x5x32xf32>, tensor<0xi32>) -> tensor<1x5x32xf32>
  return
}

// -----

// attention C14
func.func @ragged_keys_shape(%x: tensor<1x5x32xf32>, %at: tensor<?xi32>, %r: tensor<3xi32>, %s: tensor<4xi32>) {
  // expected-error @below {{expected ragged_keys of shape [3], got [4]}}
  %0 = attn.attention %x, %x, %x ragged %r ragged_keys %s {num_heads = 4 : i64} : (tensor<1x5x32xf32>, tensor<1x5x32xf32>, tensor<1x5x32xf32>, tensor<3xi32>, tensor<4xi32>) -> tensor<1x5x32xf32>
  return
}

// -----

// attention C14
func.func @ragged_prefix(%x: tensor<1x5x32xf32>, %at: tensor<?xi32>, %r: tensor<3xi32>) {
  // expected-error @below {{expected prefix of shape [2], got [3]}}
  %0 = attn.attention %x, %x, %x prefix %r ragged %r {num_heads = 4 : i64} : (tensor<1x5x32xf32>, tensor<1x5x32xf32>, tensor<1x5x32xf32>, tensor<3xi32>, tensor<3xi32>) -> tensor<1x5x32xf32>
  return
}

// -----

// attention C14
func.func @ragged_bias(%x: tensor<1x5x32xf32>, %at: tensor<?xi32>, %m: tensor<5x5xf32>) {
  // expected-error @below {{expected no cache, bias, key_mask, kv_len, documents, scores or bottom_right with 'ragged'}}
  %0 = attn.attention %x, %x, %x bias %m ragged %at {num_heads = 4 : i64} : (tensor<1x5x32xf32>, tensor<1x5x32xf32>, tensor<1x5x32xf32>, tensor<5x5xf32>, tensor<?xi32>) -> tensor<1x5x32xf32>
  return
}

// -----

// attention C14
func.func @ragged_key_mask(%x: tensor<1x5x32xf32>, %at: tensor<?xi32>, %m: tensor<1x5xi32>) {
  // expected-error @below {{expected no cache, bias, key_mask, kv_len, documents, scores or bottom_right with 'ragged'}}
  %0 = attn.attention %x, %x, %x key_mask %m ragged %at {num_heads = 4 : i64} : (tensor<1x5x32xf32>, tensor<1x5x32xf32>, tensor<1x5x32xf32>, tensor<1x5xi32>, tensor<?xi32>) -> tensor<1x5x32xf32>
  return
}

// -----

// attention C14
func.func @ragged_kv_len(%x: tensor<1x5x32xf32>, %at: tensor<?xi32>, %m: tensor<1xi32>) {
  // expected-error @below {{expected no cache, bias, key_mask, kv_len, documents, scores or bottom_right with 'ragged'}}
  %0 = attn.attention %x, %x, %x kv_len %m ragged %at {num_heads = 4 : i64} : (tensor<1x5x32xf32>, tensor<1x5x32xf32>, tensor<1x5x32xf32>, tensor<1xi32>, tensor<?xi32>) -> tensor<1x5x32xf32>
  return
}

// -----

// attention C14
func.func @ragged_documents(%x: tensor<1x5x32xf32>, %at: tensor<?xi32>, %m: tensor<1x5xi32>) {
  // expected-error @below {{expected no cache, bias, key_mask, kv_len, documents, scores or bottom_right with 'ragged'}}
  %0 = attn.attention %x, %x, %x documents %m ragged %at {num_heads = 4 : i64} : (tensor<1x5x32xf32>, tensor<1x5x32xf32>, tensor<1x5x32xf32>, tensor<1x5xi32>, tensor<?xi32>) -> tensor<1x5x32xf32>
  return
}

// -----

// attention C14
func.func @ragged_scores(%x: tensor<1x5x32xf32>, %at: tensor<?xi32>) {
  // expected-error @below {{expected no cache, bias, key_mask, kv_len, documents, scores or bottom_right with 'ragged'}}
  %0:2 = attn.attention %x, %x, %x ragged %at {num_heads = 4 : i64, scores = #attn<score_point raw>} : (tensor<1x5x32xf32>, tensor<1x5x32xf32>, tensor<1x5x32xf32>, tensor<?xi32>) -> (tensor<1x5x32xf32>, tensor<1x4x5x5xf32>)
  return
}

// -----

// attention C14
func.func @ragged_bottom_right(%x: tensor<1x5x32xf32>, %at: tensor<?xi32>) {
  // expected-error @below {{expected no cache, bias, key_mask, kv_len, documents, scores or bottom_right with 'ragged'}}
  %0 = attn.attention %x, %x, %x ragged %at {num_heads = 4 : i64, bottom_right} : (tensor<1x5x32xf32>, tensor<1x5x32xf32>, tensor<1x5x32xf32>, tensor<?xi32>) -> tensor<1x5x32xf32>
  return
}

// -----

// attention C14
func.func @ragged_cache(%x: tensor<1x5x32xf32>, %at: tensor<?xi32>, %c: !attn.cache<6x2x8x8xf32>, %l: index) {
  // expected-error @below {{expected no cache, bias, key_mask, kv_len, documents, scores or bottom_right with 'ragged'}}
  %0 = attn.attention %x cache %c[%l] ragged %at {num_heads = 4 : i64} : (tensor<1x5x32xf32>, !attn.cache<6x2x8x8xf32>, index, tensor<?xi32>) -> tensor<1x5x32xf32>
  return
}

// -----

// attention C14
func.func @ragged_batch(%x: tensor<2x5x32xf32>, %at: tensor<?xi32>) {
  // expected-error @below {{expected query [1, rows, features] with 'ragged', got 'tensor<2x5x32xf32>'}}
  %0 = attn.attention %x, %x, %x ragged %at {num_heads = 4 : i64} : (tensor<2x5x32xf32>, tensor<2x5x32xf32>, tensor<2x5x32xf32>, tensor<?xi32>) -> tensor<2x5x32xf32>
  return
}

// -----

// attention C14
func.func @ragged_heads(%x: tensor<1x4x5x8xf32>, %at: tensor<?xi32>) {
  // expected-error @below {{expected query [1, rows, features] with 'ragged', got 'tensor<1x4x5x8xf32>'}}
  %0 = attn.attention %x, %x, %x ragged %at : (tensor<1x4x5x8xf32>, tensor<1x4x5x8xf32>, tensor<1x4x5x8xf32>, tensor<?xi32>) -> tensor<1x4x5x8xf32>
  return
}

// -----

// relative_bias C1
func.func @relative_bias_rank(%t: tensor<32xf32>) {
  // expected-error @below {{expected table of rank 2, got 'tensor<32xf32>'}}
  %0 = attn.relative_bias %t : (tensor<32xf32>) -> tensor<4x257xf32>
  return
}

// -----

// relative_bias C1
func.func @relative_bias_dynamic(%t: tensor<?x4xf32>) {
  // expected-error @below {{expected a static table, got 'tensor<?x4xf32>'}}
  %0 = attn.relative_bias %t : (tensor<?x4xf32>) -> tensor<4x257xf32>
  return
}

// -----

// relative_bias C1
func.func @relative_bias_odd(%t: tensor<33x4xf32>) {
  // expected-error @below {{expected a static table of an even number of buckets, got 'tensor<33x4xf32>'}}
  %0 = attn.relative_bias %t {bidirectional} : (tensor<33x4xf32>) -> tensor<4x257xf32>
  return
}

// -----

// relative_bias C1
func.func @relative_bias_few(%t: tensor<1x4xf32>) {
  // expected-error @below {{expected 2 to 4096 buckets and a max_distance of 1 to 2^20, got 1 and 128}}
  %0 = attn.relative_bias %t : (tensor<1x4xf32>) -> tensor<4x257xf32>
  return
}

// -----

// relative_bias C1
func.func @relative_bias_few_each_way(%t: tensor<2x4xf32>) {
  // expected-error @below {{expected 4 to 4096 buckets and a max_distance of 1 to 2^20, got 2 and 128}}
  %0 = attn.relative_bias %t {bidirectional} : (tensor<2x4xf32>) -> tensor<4x257xf32>
  return
}

// -----

// relative_bias C1
func.func @relative_bias_many(%t: tensor<4098x4xf32>) {
  // expected-error @below {{expected 2 to 4096 buckets and a max_distance of 2050 to 2^20, got 4098 and 128}}
  %0 = attn.relative_bias %t : (tensor<4098x4xf32>) -> tensor<4x257xf32>
  return
}

// -----

// relative_bias C1
func.func @relative_bias_near(%t: tensor<32x4xf32>) {
  // expected-error @below {{expected 4 to 4096 buckets and a max_distance of 9 to 2^20, got 32 and 8}}
  %0 = attn.relative_bias %t {bidirectional, max_distance = 8 : i64} : (tensor<32x4xf32>) -> tensor<4x17xf32>
  return
}

// -----

// relative_bias C1
func.func @relative_bias_far(%t: tensor<32x4xf32>) {
  // expected-error @below {{expected 2 to 4096 buckets and a max_distance of 17 to 2^20, got 32 and 1048577}}
  %0 = attn.relative_bias %t {max_distance = 1048577 : i64} : (tensor<32x4xf32>) -> tensor<4x2097155xf32>
  return
}

// -----

// relative_bias C2
func.func @relative_bias_type(%t: tensor<32x4xbf16>) {
  // expected-error @below {{expected result element type f32, got 'bf16'}}
  %0 = attn.relative_bias %t : (tensor<32x4xbf16>) -> tensor<4x257xbf16>
  return
}

// -----

// relative_bias C2
func.func @relative_bias_result(%t: tensor<32x4xf32>) {
  // expected-error @below {{expected result of shape [4x257], got [257x4]}}
  %0 = attn.relative_bias %t : (tensor<32x4xf32>) -> tensor<257x4xf32>
  return
}

// -----

// relative_bias
func.func @relative_bias_both(%t: tensor<32x4xf32>) {
  // expected-error @below {{expected a result on tensors or an outs buffer, got neither}}
  attn.relative_bias %t : (tensor<32x4xf32>) -> ()
  return
}

// -----

// attention C15
func.func @cross_causal(%q: tensor<2x5x32xf32>, %c: !attn.cache<6x2x8x8xf32, cross>, %l: index, %a: tensor<4xf32>, %r: tensor<4x3xf32>,
    %n: tensor<2xi64>, %d: tensor<2x7xi64>) {
  // expected-error @below {{expected no causal, windows, bottom_right, alibi, relative, prefix or documents over a cross cache}}
  %0 = attn.attention %q cache %c[%l] {causal, num_heads = 4 : i64} : (tensor<2x5x32xf32>, !attn.cache<6x2x8x8xf32, cross>, index) -> tensor<2x5x32xf32>
  return
}

// -----

// attention C15
func.func @cross_window_left(%q: tensor<2x5x32xf32>, %c: !attn.cache<6x2x8x8xf32, cross>, %l: index, %a: tensor<4xf32>, %r: tensor<4x3xf32>,
    %n: tensor<2xi64>, %d: tensor<2x7xi64>) {
  // expected-error @below {{expected no causal, windows, bottom_right, alibi, relative, prefix or documents over a cross cache}}
  %0 = attn.attention %q cache %c[%l] {window_left = 3 : i64, num_heads = 4 : i64} : (tensor<2x5x32xf32>, !attn.cache<6x2x8x8xf32, cross>, index) -> tensor<2x5x32xf32>
  return
}

// -----

// attention C15
func.func @cross_window_right(%q: tensor<2x5x32xf32>, %c: !attn.cache<6x2x8x8xf32, cross>, %l: index, %a: tensor<4xf32>, %r: tensor<4x3xf32>,
    %n: tensor<2xi64>, %d: tensor<2x7xi64>) {
  // expected-error @below {{expected no causal, windows, bottom_right, alibi, relative, prefix or documents over a cross cache}}
  %0 = attn.attention %q cache %c[%l] {window_right = 3 : i64, num_heads = 4 : i64} : (tensor<2x5x32xf32>, !attn.cache<6x2x8x8xf32, cross>, index) -> tensor<2x5x32xf32>
  return
}

// -----

// attention C15
func.func @cross_bottom_right(%q: tensor<2x5x32xf32>, %c: !attn.cache<6x2x8x8xf32, cross>, %l: index, %a: tensor<4xf32>, %r: tensor<4x3xf32>,
    %n: tensor<2xi64>, %d: tensor<2x7xi64>) {
  // expected-error @below {{expected no causal, windows, bottom_right, alibi, relative, prefix or documents over a cross cache}}
  %0 = attn.attention %q cache %c[%l] {bottom_right, num_heads = 4 : i64} : (tensor<2x5x32xf32>, !attn.cache<6x2x8x8xf32, cross>, index) -> tensor<2x5x32xf32>
  return
}

// -----

// attention C15
func.func @cross_alibi(%q: tensor<2x5x32xf32>, %c: !attn.cache<6x2x8x8xf32, cross>, %l: index, %a: tensor<4xf32>, %r: tensor<4x3xf32>,
    %n: tensor<2xi64>, %d: tensor<2x7xi64>) {
  // expected-error @below {{expected no causal, windows, bottom_right, alibi, relative, prefix or documents over a cross cache}}
  %0 = attn.attention %q cache %c[%l] alibi %a {num_heads = 4 : i64} : (tensor<2x5x32xf32>, !attn.cache<6x2x8x8xf32, cross>, index, tensor<4xf32>) -> tensor<2x5x32xf32>
  return
}

// -----

// attention C15
func.func @cross_relative(%q: tensor<2x5x32xf32>, %c: !attn.cache<6x2x8x8xf32, cross>, %l: index, %a: tensor<4xf32>, %r: tensor<4x3xf32>,
    %n: tensor<2xi64>, %d: tensor<2x7xi64>) {
  // expected-error @below {{expected no causal, windows, bottom_right, alibi, relative, prefix or documents over a cross cache}}
  %0 = attn.attention %q cache %c[%l] relative %r {num_heads = 4 : i64} : (tensor<2x5x32xf32>, !attn.cache<6x2x8x8xf32, cross>, index, tensor<4x3xf32>) -> tensor<2x5x32xf32>
  return
}

// -----

// attention C15
func.func @cross_prefix(%q: tensor<2x5x32xf32>, %c: !attn.cache<6x2x8x8xf32, cross>, %l: index, %a: tensor<4xf32>, %r: tensor<4x3xf32>,
    %n: tensor<2xi64>, %d: tensor<2x7xi64>) {
  // expected-error @below {{expected no causal, windows, bottom_right, alibi, relative, prefix or documents over a cross cache}}
  %0 = attn.attention %q cache %c[%l] prefix %n {num_heads = 4 : i64} : (tensor<2x5x32xf32>, !attn.cache<6x2x8x8xf32, cross>, index, tensor<2xi64>) -> tensor<2x5x32xf32>
  return
}

// -----

// attention C15
func.func @cross_documents(%q: tensor<2x5x32xf32>, %c: !attn.cache<6x2x8x8xf32, cross>, %l: index, %a: tensor<4xf32>, %r: tensor<4x3xf32>,
    %n: tensor<2xi64>, %d: tensor<2x7xi64>) {
  // expected-error @below {{expected no causal, windows, bottom_right, alibi, relative, prefix or documents over a cross cache}}
  %0 = attn.attention %q cache %c[%l] documents %d {num_heads = 4 : i64} : (tensor<2x5x32xf32>, !attn.cache<6x2x8x8xf32, cross>, index, tensor<2x7xi64>) -> tensor<2x5x32xf32>
  return
}
