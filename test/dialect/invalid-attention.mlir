// RUN: attn-opt %s --split-input-file --verify-diagnostics

// Every error of attention's verifiers; the labels are those of the op's description.


// attention: results
func.func @attention_results(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %v: tensor<2x2x7x6xf32>) {
  // expected-error @below {{expected at most out and lse as results, got 3}}
  %0:3 = attn.attention %q, %k, %v : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x6xf32>) -> (tensor<2x4x5x6xf32>, tensor<2x4x5xf32>, tensor<2x4x5xf32>)
  return
}

// -----

// attention C1
func.func @attention_query_rank(%q: tensor<2x8xf32>) {
  // expected-error @below {{expected query of rank 3 or 4, got 'tensor<2x8xf32>'}}
  %0 = attn.attention %q, %q, %q : (tensor<2x8xf32>, tensor<2x8xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// attention C1
func.func @attention_num_heads(%q: tensor<2x5x8xf32>) {
  // expected-error @below {{expected 'num_heads' with rank 3 query}}
  %0 = attn.attention %q, %q, %q : (tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<2x5x8xf32>) -> tensor<2x5x8xf32>
  return
}

// -----

// attention C1
func.func @attention_other_num_heads(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %v: tensor<2x2x7x6xf32>) {
  // expected-error @below {{expected 'num_heads' of 4 as in query, got 8}}
  %0 = attn.attention %q, %k, %v {num_heads = 8 : i64} : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x6xf32>) -> tensor<2x4x5x6xf32>
  return
}

// -----

// attention C1
func.func @attention_other_num_kv_heads(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %v: tensor<2x2x7x6xf32>) {
  // expected-error @below {{expected 'num_kv_heads' of 2 as in key or cache, got 4}}
  %0 = attn.attention %q, %k, %v {num_kv_heads = 4 : i64} : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x6xf32>) -> tensor<2x4x5x6xf32>
  return
}

// -----

// attention C1
func.func @attention_ranks(%q: tensor<2x4x5x8xf32>, %k: tensor<2x5x8xf32>, %v: tensor<2x2x7x6xf32>) {
  // expected-error @below {{expected query, key and value of the same rank, got ranks 4, 3 and 4}}
  %0 = attn.attention %q, %k, %v : (tensor<2x4x5x8xf32>, tensor<2x5x8xf32>, tensor<2x2x7x6xf32>) -> tensor<2x4x5x6xf32>
  return
}

// -----

// attention C1
func.func @attention_packed_ranks(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x1x8x64xf32>, %v: tensor<2x5x8xf32>) {
  // expected-error @below {{expected query, key and value of the same rank, got ranks 4, 5 and 3}}
  %0 = attn.attention %q, %k, %v : (tensor<2x4x5x8xf32>, tensor<2x2x1x8x64xf32>, tensor<2x5x8xf32>) -> tensor<2x4x5x6xf32>
  return
}

// -----

// attention C2
func.func @attention_query_divides(%q: tensor<2x5x8xf32>) {
  // expected-error @below {{expected features of query divisible by 3 heads, got 8}}
  %0 = attn.attention %q, %q, %q {num_heads = 3 : i64} : (tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<2x5x8xf32>) -> tensor<2x5x8xf32>
  return
}

// -----

// attention C2
func.func @attention_dynamic_heads(%q: tensor<2x?x5x8xf32>, %k: tensor<2x2x7x8xf32>, %v: tensor<2x2x7x6xf32>) {
  // expected-error @below {{expected static heads and features, got 'tensor<2x?x5x8xf32>'}}
  %0 = attn.attention %q, %k, %v : (tensor<2x?x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x6xf32>) -> tensor<2x?x5x6xf32>
  return
}

// -----

// attention C2
func.func @attention_key_divides(%q: tensor<2x5x8xf32>, %k: tensor<2x5x9xf32>) {
  // expected-error @below {{expected features of key divisible by 2 heads, got 9}}
  %0 = attn.attention %q, %k, %q {num_heads = 2 : i64} : (tensor<2x5x8xf32>, tensor<2x5x9xf32>, tensor<2x5x8xf32>) -> tensor<2x5x8xf32>
  return
}

// -----

// attention C2
func.func @attention_value_divides(%q: tensor<2x5x8xf32>, %v: tensor<2x5x9xf32>) {
  // expected-error @below {{expected features of value divisible by 2 heads, got 9}}
  %0 = attn.attention %q, %q, %v {num_heads = 2 : i64} : (tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<2x5x9xf32>) -> tensor<2x5x8xf32>
  return
}

// -----

// attention C3
func.func @attention_group(%q: tensor<2x4x5x8xf32>, %k: tensor<2x3x7x8xf32>, %v: tensor<2x3x7x6xf32>) {
  // expected-error @below {{expected heads to be a multiple of kv heads, got 4 and 3}}
  %0 = attn.attention %q, %k, %v : (tensor<2x4x5x8xf32>, tensor<2x3x7x8xf32>, tensor<2x3x7x6xf32>) -> tensor<2x4x5x6xf32>
  return
}

// -----

// attention C4
func.func @attention_head_dim(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x9xf32>, %v: tensor<2x2x7x6xf32>) {
  // expected-error @below {{expected key of shape [2x2x7x8], got [2x2x7x9]}}
  %0 = attn.attention %q, %k, %v : (tensor<2x4x5x8xf32>, tensor<2x2x7x9xf32>, tensor<2x2x7x6xf32>) -> tensor<2x4x5x6xf32>
  return
}

// -----

// attention C4
func.func @attention_packed_key(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x1x8x32xf32>, %v: tensor<2x2x7x16xf32>) {
  // expected-error @below {{expected key of shape [2x2x1x8x64], got [2x2x1x8x32]}}
  %0 = attn.attention %q, %k, %v : (tensor<2x4x5x8xf32>, tensor<2x2x1x8x32xf32>, tensor<2x2x7x16xf32>) -> tensor<2x4x5x6xf32>
  return
}

// -----

// attention C5
func.func @attention_packed_value(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x1x8x64xf32>, %v: tensor<2x2x7x6xf32>) {
  // expected-error @below {{expected value of shape [2x2x7x16], got [2x2x7x6]}}
  %0 = attn.attention %q, %k, %v : (tensor<2x4x5x8xf32>, tensor<2x2x1x8x64xf32>, tensor<2x2x7x6xf32>) -> tensor<2x4x5x6xf32>
  return
}

// -----

// attention C5
func.func @attention_batch(%q: tensor<2x4x5x8xf32>, %k: tensor<3x2x7x8xf32>, %v: tensor<2x2x7x6xf32>) {
  // expected-error @below {{expected key of shape [2x2x7x8], got [3x2x7x8]}}
  %0 = attn.attention %q, %k, %v : (tensor<2x4x5x8xf32>, tensor<3x2x7x8xf32>, tensor<2x2x7x6xf32>) -> tensor<2x4x5x6xf32>
  return
}

// -----

// attention C5
func.func @attention_keys(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %v: tensor<2x2x9x6xf32>) {
  // expected-error @below {{expected value of shape [2x2x7x6], got [2x2x9x6]}}
  %0 = attn.attention %q, %k, %v : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x9x6xf32>) -> tensor<2x4x5x6xf32>
  return
}

// -----

// attention C5
func.func @attention_packed3_keys(%q: tensor<2x5x8xf32>, %v: tensor<2x6x8xf32>) {
  // expected-error @below {{expected value of shape [2x5x8], got [2x6x8]}}
  %0 = attn.attention %q, %q, %v {num_heads = 2 : i64} : (tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<2x6x8xf32>) -> tensor<2x5x8xf32>
  return
}

// -----

// attention C6
func.func @attention_result(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %v: tensor<2x2x7x6xf32>) {
  // expected-error @below {{expected result of shape [2x4x5x6], got [2x4x5x8]}}
  %0 = attn.attention %q, %k, %v : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x6xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C6
func.func @attention_result_rank(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %v: tensor<2x2x7x6xf32>) {
  // expected-error @below {{expected result of rank 4, got 'tensor<f32>'}}
  %0 = attn.attention %q, %k, %v : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x6xf32>) -> tensor<f32>
  return
}

// -----

// attention C6
func.func @attention_packed_result(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x1x8x64xf32>, %v: tensor<2x2x7x16xf32>) {
  // expected-error @below {{expected result of rank at least 4 with a static last dimension, got 'tensor<2x4x5x?xf32>'}}
  %0 = attn.attention %q, %k, %v : (tensor<2x4x5x8xf32>, tensor<2x2x1x8x64xf32>, tensor<2x2x7x16xf32>) -> tensor<2x4x5x?xf32>
  return
}

// -----

// attention C7
func.func @attention_no_keys(%q: tensor<2x4x5x8xf32>) {
  // expected-error @below {{expected either key and value, or cache with layer}}
  %0 = attn.attention %q : (tensor<2x4x5x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C7
func.func @attention_keys_and_cache(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %v: tensor<2x2x7x6xf32>, %c: !attn.cache<6x2x8x8xf32>, %l: index) {
  // expected-error @below {{expected either key and value, or cache with layer}}
  %0 = attn.attention %q, %k, %v cache %c[%l] : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x6xf32>, !attn.cache<6x2x8x8xf32>, index) -> tensor<2x4x5x6xf32>
  return
}

// -----

// attention C7
func.func @attention_cache_head_dim(%q: tensor<2x4x5x16xf32>, %c: !attn.cache<6x2x8x8xf32>, %l: index) {
  // expected-error @below {{expected a cache with head_dim 16, got '!attn.cache<6x2x8x8xf32>'}}
  %0 = attn.attention %q cache %c[%l] : (tensor<2x4x5x16xf32>, !attn.cache<6x2x8x8xf32>, index) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C8
func.func @attention_bias(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %v: tensor<2x2x7x6xf32>, %b: tensor<3x1x7xf32>) {
  // expected-error @below {{expected bias that broadcasts to [2x4x5x7], got [3x1x7]}}
  %0 = attn.attention %q, %k, %v bias %b : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x6xf32>, tensor<3x1x7xf32>) -> tensor<2x4x5x6xf32>
  return
}

// -----

// attention C8
func.func @attention_bias_rank(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %v: tensor<2x2x7x6xf32>, %b: tensor<1x1x1x1x7xf32>) {
  // expected-error @below {{expected bias that broadcasts to [2x4x5x7], got [1x1x1x1x7]}}
  %0 = attn.attention %q, %k, %v bias %b : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x6xf32>, tensor<1x1x1x1x7xf32>) -> tensor<2x4x5x6xf32>
  return
}

// -----

// attention C9
func.func @attention_key_mask(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %v: tensor<2x2x7x6xf32>, %m: tensor<2x5xi64>) {
  // expected-error @below {{expected key_mask of shape [2x7], got [2x5]}}
  %0 = attn.attention %q, %k, %v key_mask %m : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x6xf32>, tensor<2x5xi64>) -> tensor<2x4x5x6xf32>
  return
}

// -----

// attention C9
func.func @attention_kv_len(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %v: tensor<2x2x7x6xf32>, %m: tensor<7xi64>) {
  // expected-error @below {{expected kv_len of shape [2], got [7]}}
  %0 = attn.attention %q, %k, %v kv_len %m : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x6xf32>, tensor<7xi64>) -> tensor<2x4x5x6xf32>
  return
}

// -----

// attention C10
func.func @attention_window(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %v: tensor<2x2x7x6xf32>) {
  // expected-error @below {{expected windows and sinks of at least 0}}
  %0 = attn.attention %q, %k, %v {window_left = -1 : i64} : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x6xf32>) -> tensor<2x4x5x6xf32>
  return
}

// -----

// attention C10
func.func @attention_sinks(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %v: tensor<2x2x7x6xf32>) {
  // expected-error @below {{expected 'window_left' with 'sinks'}}
  %0 = attn.attention %q, %k, %v {sinks = 4 : i64} : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x6xf32>) -> tensor<2x4x5x6xf32>
  return
}

// -----

// attention C10
func.func @attention_soft_cap(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %v: tensor<2x2x7x6xf32>) {
  // expected-error @below {{expected soft_cap above 0, got 0.000000e+00}}
  %0 = attn.attention %q, %k, %v {soft_cap = 0.0 : f64} : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x6xf32>) -> tensor<2x4x5x6xf32>
  return
}

// -----

// attention C11
func.func @attention_lse_type(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %v: tensor<2x2x7x6xf32>) {
  // expected-error @below {{expected lse element type f32, got 'f16'}}
  %0:2 = attn.attention %q, %k, %v : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x6xf32>) -> (tensor<2x4x5x6xf32>, tensor<2x4x5xf16>)
  return
}

// -----

// attention C11
func.func @attention_lse(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %v: tensor<2x2x7x6xf32>) {
  // expected-error @below {{expected lse of shape [2x4x5], got [2x5x4]}}
  %0:2 = attn.attention %q, %k, %v : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x6xf32>) -> (tensor<2x4x5x6xf32>, tensor<2x5x4xf32>)
  return
}
