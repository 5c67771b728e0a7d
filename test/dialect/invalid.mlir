// RUN: attn-opt %s --split-input-file --verify-diagnostics

// Every error of the dialect's verifiers; the labels are those of the op's description.

// Both forms
func.func @result_and_outs(%x: memref<2x8xf32>) {
  // expected-error @below {{expected a result on tensors or an outs buffer, got both}}
  %0 = "attn.activation"(%x, %x) {kind = #attn<act relu>} : (memref<2x8xf32>, memref<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// Both forms
func.func @no_result(%x: tensor<2x8xf32>) {
  // expected-error @below {{expected a result on tensors or an outs buffer, got neither}}
  "attn.activation"(%x) {kind = #attn<act relu>} : (tensor<2x8xf32>) -> ()
  return
}

// -----

// Both forms
func.func @buffer_to_tensor(%x: memref<2x8xf32>) {
  // expected-error @below {{expected operands that are all tensors, got 'memref<2x8xf32>'}}
  %0 = attn.activation relu %x : (memref<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// Both forms
func.func @tensor_to_buffer(%x: tensor<2x8xf32>, %y: memref<2x8xf32>) {
  // expected-error @below {{expected operands that are all buffers, got 'tensor<2x8xf32>'}}
  attn.activation relu %x outs %y : (tensor<2x8xf32>, memref<2x8xf32>) -> ()
  return
}

// -----

// positions C1
func.func @positions_rank(%i: tensor<?xi64>) {
  // expected-error @below {{expected ids of rank 2, got 'tensor<?xi64>'}}
  %0 = attn.positions %i : (tensor<?xi64>) -> tensor<?xi64>
  return
}

// -----

// positions C1
func.func @positions_given(%i: tensor<2x3xi64>, %g: tensor<2x4xi64>) {
  // expected-error @below {{expected given of shape [2x3], got [2x4]}}
  %0 = attn.positions %i given %g : (tensor<2x3xi64>, tensor<2x4xi64>) -> tensor<2x3xi64>
  return
}

// -----

// positions C1
func.func @positions_given_type(%i: tensor<2x3xi64>, %g: tensor<2x3xi32>) {
  // expected-error @below {{expected given element type 'i64', got 'i32'}}
  %0 = attn.positions %i given %g : (tensor<2x3xi64>, tensor<2x3xi32>) -> tensor<2x3xi64>
  return
}

// -----

// positions C1
func.func @positions_result(%i: tensor<2x3xi64>) {
  // expected-error @below {{expected result of shape [2x3], got [2x4]}}
  %0 = attn.positions %i : (tensor<2x3xi64>) -> tensor<2x4xi64>
  return
}

// -----

// positions C1
func.func @positions_type(%i: tensor<2x3xi64>) {
  // expected-error @below {{expected result element type 'i64', got 'i32'}}
  %0 = attn.positions %i : (tensor<2x3xi64>) -> tensor<2x3xi32>
  return
}

// -----

// embedding C1
func.func @embedding_width(%i: tensor<?x?xi64>, %t: tensor<9x8xf32>) {
  // expected-error @below {{expected result of rank at least 1 with a static last dimension, got 'tensor<?x?x?xf32>'}}
  %0 = attn.embedding %i, %t : (tensor<?x?xi64>, tensor<9x8xf32>) -> tensor<?x?x?xf32>
  return
}

// -----

// embedding C1
func.func @embedding_result(%i: tensor<2x3xi64>, %t: tensor<9x8xf32>) {
  // expected-error @below {{expected result of shape [2x3x8], got [2x4x8]}}
  %0 = attn.embedding %i, %t : (tensor<2x3xi64>, tensor<9x8xf32>) -> tensor<2x4x8xf32>
  return
}

// -----

// embedding C2
func.func @embedding_table(%i: tensor<?x?xi64>, %t: tensor<9x6xf32>) {
  // expected-error @below {{expected table of shape [?x8], got [9x6]}}
  %0 = attn.embedding %i, %t : (tensor<?x?xi64>, tensor<9x6xf32>) -> tensor<?x?x8xf32>
  return
}

// -----

// embedding C2
func.func @embedding_entries(%i: tensor<?x?xi64>, %t: tensor<1x8x16xf32>) {
  // expected-error @below {{expected 'entries' of at least 1 with a packed table}}
  %0 = attn.embedding %i, %t : (tensor<?x?xi64>, tensor<1x8x16xf32>) -> tensor<?x?x8xf32>
  return
}

// -----

// embedding C2
func.func @embedding_negative_entries(%i: tensor<?x?xi64>, %t: tensor<1x8x16xf32>) {
  // expected-error @below {{expected 'entries' of at least 1 with a packed table}}
  %0 = attn.embedding %i, %t {entries = -9 : i64} : (tensor<?x?xi64>, tensor<1x8x16xf32>) -> tensor<?x?x8xf32>
  return
}

// -----

// embedding C2
func.func @embedding_packed(%i: tensor<?x?xi64>, %t: tensor<1x8x16xf32>) {
  // expected-error @below {{expected table of shape [2x8x16], got [1x8x16]}}
  %0 = attn.embedding %i, %t {entries = 17 : i64} : (tensor<?x?xi64>, tensor<1x8x16xf32>) -> tensor<?x?x8xf32>
  return
}

// -----

// embedding C3
func.func @embedding_residual(%i: tensor<2x3xi64>, %t: tensor<9x8xf32>, %r: tensor<2x8xf32>) {
  // expected-error @below {{expected residual of shape [2x3x8], got [2x8]}}
  %0 = attn.embedding %i, %t residual %r : (tensor<2x3xi64>, tensor<9x8xf32>, tensor<2x8xf32>) -> tensor<2x3x8xf32>
  return
}

// -----

// embedding C3
func.func @embedding_residual_type(%i: tensor<2x3xi64>, %t: tensor<9x8xf32>, %r: tensor<2x3x8xf16>) {
  // expected-error @below {{expected residual element type 'f32', got 'f16'}}
  %0 = attn.embedding %i, %t residual %r : (tensor<2x3xi64>, tensor<9x8xf32>, tensor<2x3x8xf16>) -> tensor<2x3x8xf32>
  return
}

// -----

// positional_encoding C1
func.func @encoding_width(%i: tensor<?x?xi64>) {
  // expected-error @below {{expected result of rank at least 2 with a static last dimension, got 'tensor<?x?x?xf32>'}}
  %0 = attn.positional_encoding %i : (tensor<?x?xi64>) -> tensor<?x?x?xf32>
  return
}

// -----

// positional_encoding C1
func.func @encoding_result(%i: tensor<?x?xi64>) {
  // expected-error @below {{expected result of shape [?x?x8], got [?x8]}}
  %0 = attn.positional_encoding %i : (tensor<?x?xi64>) -> tensor<?x8xf32>
  return
}

// -----

// shift_right C1
func.func @shift_rank(%x: tensor<8xf32>) {
  // expected-error @below {{expected input of rank at least 2, got 'tensor<8xf32>'}}
  %0 = attn.shift_right %x : (tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

// shift_right C1
func.func @shift_result(%x: tensor<2x8xf32>) {
  // expected-error @below {{expected result of shape [2x8], got [2x9]}}
  %0 = attn.shift_right %x : (tensor<2x8xf32>) -> tensor<2x9xf32>
  return
}

// -----

// linear C1
func.func @linear_rank(%x: tensor<8xf32>, %w: tensor<8x4xf32>) {
  // expected-error @below {{expected input of rank at least 2 with a static last dimension, got 'tensor<8xf32>'}}
  %0 = attn.linear %x, %w : (tensor<8xf32>, tensor<8x4xf32>) -> tensor<4xf32>
  return
}

// -----

// linear C1
func.func @linear_features(%x: tensor<2x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error @below {{expected result of rank at least 2 with a static last dimension, got 'tensor<2x?xf32>'}}
  %0 = attn.linear %x, %w : (tensor<2x8xf32>, tensor<8x4xf32>) -> tensor<2x?xf32>
  return
}

// -----

// linear C1
func.func @linear_result(%x: tensor<2x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error @below {{expected result of shape [2x4], got [3x4]}}
  %0 = attn.linear %x, %w : (tensor<2x8xf32>, tensor<8x4xf32>) -> tensor<3x4xf32>
  return
}

// -----

// linear C2
func.func @linear_weight(%x: tensor<2x8xf32>, %w: tensor<4x8xf32>) {
  // expected-error @below {{expected weight of shape [8x4], got [4x8]}}
  %0 = attn.linear %x, %w : (tensor<2x8xf32>, tensor<4x8xf32>) -> tensor<2x4xf32>
  return
}

// -----

// linear C2
func.func @linear_transposed(%x: tensor<2x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error @below {{expected weight of shape [4x8], got [8x4]}}
  %0 = attn.linear %x, %w {transpose_weight} : (tensor<2x8xf32>, tensor<8x4xf32>) -> tensor<2x4xf32>
  return
}

// -----

// linear C2
func.func @linear_packed(%x: tensor<2x8xf32>, %w: tensor<1x8x16xbf16>) {
  // expected-error @below {{expected weight of shape [1x4x16x2], got [1x8x16]}}
  %0 = attn.linear %x, %w : (tensor<2x8xf32>, tensor<1x8x16xbf16>) -> tensor<2x4xf32>
  return
}

// -----

// linear C3
func.func @linear_bias(%x: tensor<2x8xf32>, %w: tensor<8x4xf32>, %b: tensor<8xf32>) {
  // expected-error @below {{expected bias of shape [4], got [8]}}
  %0 = attn.linear %x, %w bias %b : (tensor<2x8xf32>, tensor<8x4xf32>, tensor<8xf32>) -> tensor<2x4xf32>
  return
}

// -----

// linear C4
func.func @linear_residual(%x: tensor<2x8xf32>, %w: tensor<8x4xf32>) {
  // expected-error @below {{expected residual of shape [2x4], got [2x8]}}
  %0 = attn.linear %x, %w residual %x : (tensor<2x8xf32>, tensor<8x4xf32>, tensor<2x8xf32>) -> tensor<2x4xf32>
  return
}

// -----

// linear C4
func.func @linear_residual_type(%x: tensor<2x8xf32>, %w: tensor<8x4xf32>, %r: tensor<2x4xbf16>) {
  // expected-error @below {{expected residual element type 'f32', got 'bf16'}}
  %0 = attn.linear %x, %w residual %r : (tensor<2x8xf32>, tensor<8x4xf32>, tensor<2x4xbf16>) -> tensor<2x4xf32>
  return
}

// -----

// linear C5
func.func @linear_norm_none(%x: tensor<2x8xf32>, %w: tensor<8x4xf32>, %g: tensor<8xf32>) {
  // expected-error @below {{expected norm 'layer' or 'rms' exactly when gamma is given}}
  %0 = attn.linear %x, %w norm none(%g) : (tensor<2x8xf32>, tensor<8x4xf32>, tensor<8xf32>) -> tensor<2x4xf32>
  return
}

// -----

// linear C5
func.func @linear_beta_alone(%x: tensor<2x8xf32>, %w: tensor<8x4xf32>, %g: tensor<8xf32>) {
  // expected-error @below {{expected gamma with beta}}
  %0 = "attn.linear"(%x, %w, %g) {operandSegmentSizes = array<i32: 1, 1, 0, 1, 0, 0, 0, 0>} : (tensor<2x8xf32>, tensor<8x4xf32>, tensor<8xf32>) -> tensor<2x4xf32>
  return
}

// -----

// linear C5
func.func @linear_gamma(%x: tensor<2x8xf32>, %w: tensor<8x4xf32>, %g: tensor<4xf32>) {
  // expected-error @below {{expected gamma of shape [8], got [4]}}
  %0 = attn.linear %x, %w norm rms(%g) : (tensor<2x8xf32>, tensor<8x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  return
}

// -----

// linear C5
func.func @linear_beta(%x: tensor<2x8xf32>, %w: tensor<8x4xf32>, %g: tensor<8xf32>, %b: tensor<4xf32>) {
  // expected-error @below {{expected beta of shape [8], got [4]}}
  %0 = attn.linear %x, %w norm layer(%g, %b) : (tensor<2x8xf32>, tensor<8x4xf32>, tensor<8xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  return
}

// -----

// layer_norm C1
func.func @norm_result(%x: tensor<2x8xf32>, %g: tensor<8xf32>) {
  // expected-error @below {{expected result of shape [2x8], got [2x4]}}
  %0 = attn.layer_norm %x, %g : (tensor<2x8xf32>, tensor<8xf32>) -> tensor<2x4xf32>
  return
}

// -----

// layer_norm C1
func.func @norm_dynamic(%x: tensor<2x?xf32>, %g: tensor<8xf32>) {
  // expected-error @below {{expected input of rank at least 1 with a static last dimension, got 'tensor<2x?xf32>'}}
  %0 = attn.layer_norm %x, %g : (tensor<2x?xf32>, tensor<8xf32>) -> tensor<2x?xf32>
  return
}

// -----

// layer_norm C2
func.func @norm_gamma(%x: tensor<2x8xf32>, %g: tensor<4xf32>) {
  // expected-error @below {{expected gamma of shape [8], got [4]}}
  %0 = attn.layer_norm %x, %g : (tensor<2x8xf32>, tensor<4xf32>) -> tensor<2x8xf32>
  return
}

// -----

// rms_norm C2
func.func @norm_beta(%x: tensor<2x8xf32>, %g: tensor<8xf32>, %b: tensor<4xf32>) {
  // expected-error @below {{expected beta of shape [8], got [4]}}
  %0 = attn.rms_norm %x, %g, %b : (tensor<2x8xf32>, tensor<8xf32>, tensor<4xf32>) -> tensor<2x8xf32>
  return
}

// -----

// activation C1
func.func @activation_result(%x: tensor<2x8xf32>) {
  // expected-error @below {{expected result element type 'f32', got 'f16'}}
  %0 = attn.activation relu %x : (tensor<2x8xf32>) -> tensor<2x8xf16>
  return
}

// -----

// log_softmax C1
func.func @log_softmax_result(%x: tensor<2x8xf32>) {
  // expected-error @below {{expected result of shape [2x8], got [8x2]}}
  %0 = attn.log_softmax %x : (tensor<2x8xf32>) -> tensor<8x2xf32>
  return
}

// -----

// log_softmax C1
func.func @log_softmax_dynamic(%x: tensor<?xf32>) {
  // expected-error @below {{expected input of rank at least 1 with a static last dimension, got 'tensor<?xf32>'}}
  %0 = attn.log_softmax %x : (tensor<?xf32>) -> tensor<?xf32>
  return
}

// -----

// argmax C1
func.func @argmax_type(%x: tensor<2x8xf32>) {
  // expected-error @below {{expected result element type i64, got 'i32'}}
  %0 = attn.argmax %x : (tensor<2x8xf32>) -> tensor<2xi32>
  return
}

// -----

// argmax C1
func.func @argmax_result(%x: tensor<2x8xf32>) {
  // expected-error @below {{expected result of shape [2], got [2x8]}}
  %0 = attn.argmax %x : (tensor<2x8xf32>) -> tensor<2x8xi64>
  return
}

// -----

// argmax C1
func.func @argmax_scalar(%x: tensor<f32>) {
  // expected-error @below {{expected input of rank at least 1 with a static last dimension, got 'tensor<f32>'}}
  %0 = attn.argmax %x : (tensor<f32>) -> tensor<i64>
  return
}

// -----

// select_token C1
func.func @select_rank(%x: tensor<2x8xf32>) {
  // expected-error @below {{expected input of rank 3, got 'tensor<2x8xf32>'}}
  %0 = attn.select_token %x : (tensor<2x8xf32>) -> tensor<8xf32>
  return
}

// -----

// select_token C1
func.func @select_result(%x: tensor<2x3x8xf32>) {
  // expected-error @below {{expected result of shape [2x8], got [3x8]}}
  %0 = attn.select_token %x : (tensor<2x3x8xf32>) -> tensor<3x8xf32>
  return
}

// -----

// select_token C2
func.func @select_at(%x: tensor<2x3x8xf32>, %a: tensor<3xi64>) {
  // expected-error @below {{expected at of shape [2], got [3]}}
  %0 = attn.select_token %x at %a : (tensor<2x3x8xf32>, tensor<3xi64>) -> tensor<2x8xf32>
  return
}

// -----

// split_heads C1
func.func @split_rank(%x: tensor<2x8xf32>) {
  // expected-error @below {{expected input of rank 3, got 'tensor<2x8xf32>'}}
  %0 = attn.split_heads %x into 2 : (tensor<2x8xf32>) -> tensor<2x2x2x4xf32>
  return
}

// -----

// split_heads C1
func.func @split_divides(%x: tensor<2x3x8xf32>) {
  // expected-error @below {{expected features of input divisible by 3 heads, got 8}}
  %0 = attn.split_heads %x into 3 : (tensor<2x3x8xf32>) -> tensor<2x3x3x2xf32>
  return
}

// -----

// split_heads C1
func.func @split_dynamic(%x: tensor<2x3x?xf32>) {
  // expected-error @below {{expected features of input divisible by 3 heads, got ?}}
  %0 = attn.split_heads %x into 3 : (tensor<2x3x?xf32>) -> tensor<2x3x3x2xf32>
  return
}

// -----

// split_heads C1
func.func @split_zero(%x: tensor<2x3x8xf32>) {
  // expected-error @below {{expected features of input divisible by 0 heads, got 8}}
  %0 = attn.split_heads %x into 0 : (tensor<2x3x8xf32>) -> tensor<2x3x3x2xf32>
  return
}

// -----

// split_heads C2
func.func @split_result(%x: tensor<2x3x8xf32>) {
  // expected-error @below {{expected result of shape [2x2x3x4], got [2x3x2x4]}}
  %0 = attn.split_heads %x into 2 : (tensor<2x3x8xf32>) -> tensor<2x3x2x4xf32>
  return
}

// -----

// merge_heads C1
func.func @merge_rank(%x: tensor<2x3x8xf32>) {
  // expected-error @below {{expected input of rank 4, got 'tensor<2x3x8xf32>'}}
  %0 = attn.merge_heads %x : (tensor<2x3x8xf32>) -> tensor<2x3x8xf32>
  return
}

// -----

// merge_heads C1
func.func @merge_dynamic(%x: tensor<2x?x3x8xf32>) {
  // expected-error @below {{expected static heads and head_dim, got 'tensor<2x?x3x8xf32>'}}
  %0 = attn.merge_heads %x : (tensor<2x?x3x8xf32>) -> tensor<2x3x8xf32>
  return
}

// -----

// merge_heads C2
func.func @merge_result(%x: tensor<2x4x3x8xf32>) {
  // expected-error @below {{expected result of shape [2x3x32], got [2x4x24]}}
  %0 = attn.merge_heads %x : (tensor<2x4x3x8xf32>) -> tensor<2x4x24xf32>
  return
}

// -----

// merge_heads C2: the product of the sizes does not overflow
func.func @merge_huge(%x: tensor<0x4294967296x0x4294967296xf32>) {
  // expected-error @below {{expected result of shape [0x0x9223372036854775807], got [0x0x0]}}
  %0 = attn.merge_heads %x : (tensor<0x4294967296x0x4294967296xf32>) -> tensor<0x0x0xf32>
  return
}

// -----

// rotary C1
func.func @rotary_result(%x: tensor<2x3x8xf32>, %p: tensor<2x3xi64>) {
  // expected-error @below {{expected result of shape [2x3x8], got [2x3x4]}}
  %0 = attn.rotary %x at %p heads 2 : (tensor<2x3x8xf32>, tensor<2x3xi64>) -> tensor<2x3x4xf32>
  return
}

// -----

// rotary C1
func.func @rotary_rank(%x: tensor<2x8xf32>, %p: tensor<2xi64>) {
  // expected-error @below {{expected input of rank 3, got 'tensor<2x8xf32>'}}
  %0 = attn.rotary %x at %p heads 2 : (tensor<2x8xf32>, tensor<2xi64>) -> tensor<2x8xf32>
  return
}

// -----

// rotary C1: on buffers rows may have rank 2
func.func @rotary_buffer(%x: memref<f32>, %p: memref<2xi64>) {
  // expected-error @below {{expected input of rank at least 2 with a static last dimension, got 'memref<f32>'}}
  attn.rotary %x at %p heads 1 outs %x : (memref<f32>, memref<2xi64>, memref<f32>) -> ()
  return
}

// -----

// rotary C2
func.func @rotary_heads(%x: tensor<2x3x8xf32>, %p: tensor<2x3xi64>) {
  // expected-error @below {{expected features of input divisible by 3 heads, got 8}}
  %0 = attn.rotary %x at %p heads 3 : (tensor<2x3x8xf32>, tensor<2x3xi64>) -> tensor<2x3x8xf32>
  return
}

// -----

// rotary C2
func.func @rotary_odd(%x: tensor<2x3x8xf32>, %p: tensor<2x3xi64>) {
  // expected-error @below {{expected an even rotary_dim of at most head_dim 4, got 3}}
  %0 = attn.rotary %x at %p heads 2 {rotary_dim = 3 : i64} : (tensor<2x3x8xf32>, tensor<2x3xi64>) -> tensor<2x3x8xf32>
  return
}

// -----

// rotary C3
func.func @rotary_positions(%x: tensor<2x3x8xf32>, %p: tensor<3x2xi64>) {
  // expected-error @below {{expected positions of shape [2x3], got [3x2]}}
  %0 = attn.rotary %x at %p heads 2 : (tensor<2x3x8xf32>, tensor<3x2xi64>) -> tensor<2x3x8xf32>
  return
}

// -----

// attention: results
func.func @attention_results(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %v: tensor<2x2x7x6xf32>) {
  // expected-error @below {{expected at most 2 results, out and lse, got 3}}
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

// -----

// pack_keys C1
func.func @pack_keys_heads(%x: tensor<2x4x5x8xf32>) {
  // expected-error @below {{expected input with 2 heads, got 'tensor<2x4x5x8xf32>'}}
  %0 = attn.pack_keys %x heads 2 : (tensor<2x4x5x8xf32>) -> tensor<2x4x1x2x64xf32>
  return
}

// -----

// pack_keys C1
func.func @pack_keys_no_heads(%x: tensor<2x0x5x8xf32>) {
  // expected-error @below {{expected input with 0 heads, got 'tensor<2x0x5x8xf32>'}}
  %0 = attn.pack_keys %x heads 0 : (tensor<2x0x5x8xf32>) -> tensor<2x4x1x2x64xf32>
  return
}

// -----

// pack_keys C1
func.func @pack_keys_divides(%x: tensor<2x5x8xf32>) {
  // expected-error @below {{expected features of input divisible by 3 heads, got 8}}
  %0 = attn.pack_keys %x heads 3 : (tensor<2x5x8xf32>) -> tensor<2x4x1x2x64xf32>
  return
}

// -----

// pack_keys C1
func.func @pack_keys_rank(%x: tensor<2x8xf32>) {
  // expected-error @below {{expected input of rank 3, got 'tensor<2x8xf32>'}}
  %0 = attn.pack_keys %x heads 4 : (tensor<2x8xf32>) -> tensor<2x4x1x2x64xf32>
  return
}

// -----

// pack_values C1
func.func @pack_values_heads(%x: tensor<2x4x5x8xf32>) {
  // expected-error @below {{expected input with 2 heads, got 'tensor<2x4x5x8xf32>'}}
  %0 = attn.pack_values %x heads 2 : (tensor<2x4x5x8xf32>) -> tensor<2x4x5x16xf32>
  return
}

// -----

// pack_values C1
func.func @pack_values_no_heads(%x: tensor<2x0x5x8xf32>) {
  // expected-error @below {{expected input with 0 heads, got 'tensor<2x0x5x8xf32>'}}
  %0 = attn.pack_values %x heads 0 : (tensor<2x0x5x8xf32>) -> tensor<2x4x5x16xf32>
  return
}

// -----

// pack_values C1
func.func @pack_values_divides(%x: tensor<2x5x8xf32>) {
  // expected-error @below {{expected features of input divisible by 3 heads, got 8}}
  %0 = attn.pack_values %x heads 3 : (tensor<2x5x8xf32>) -> tensor<2x4x5x16xf32>
  return
}

// -----

// pack_values C1
func.func @pack_values_rank(%x: tensor<2x8xf32>) {
  // expected-error @below {{expected input of rank 3, got 'tensor<2x8xf32>'}}
  %0 = attn.pack_values %x heads 4 : (tensor<2x8xf32>) -> tensor<2x4x5x16xf32>
  return
}

// -----

// pack_keys C2
func.func @pack_keys_result(%x: tensor<2x4x5x8xf32>) {
  // expected-error @below {{expected result of shape [2x4x1x8x64], got [2x4x5x8x64]}}
  %0 = attn.pack_keys %x heads 4 : (tensor<2x4x5x8xf32>) -> tensor<2x4x5x8x64xf32>
  return
}

// -----

// pack_values C2
func.func @pack_values_result(%x: tensor<2x4x5x8xf32>) {
  // expected-error @below {{expected result of shape [2x4x5x16], got [2x4x5x8]}}
  %0 = attn.pack_values %x heads 4 : (tensor<2x4x5x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// cache_append C1
func.func @append_key(%k: tensor<2x3x8xf32>, %c: !attn.cache<6x2x8x8xf32>, %l: index) {
  // expected-error @below {{expected key of shape [?x?x16], got [2x3x8]}}
  attn.cache_append %k, %k to %c[%l] : tensor<2x3x8xf32>, tensor<2x3x8xf32>, !attn.cache<6x2x8x8xf32>
  return
}

// -----

// cache_append C1
func.func @append_value(%k: tensor<2x3x16xf32>, %v: tensor<2x4x16xf32>, %c: !attn.cache<6x2x8x8xf32>, %l: index) {
  // expected-error @below {{expected value of shape [2x3x16], got [2x4x16]}}
  attn.cache_append %k, %v to %c[%l] : tensor<2x3x16xf32>, tensor<2x4x16xf32>, !attn.cache<6x2x8x8xf32>
  return
}

// -----

// cache_read C1
func.func @read_keys(%c: !attn.cache<6x2x8x6xf32>, %l: index) {
  // expected-error @below {{expected result of shape [?x2x?x8], got [?x2x?x6]}}
  %0 = attn.cache_read %c[%l] keys %l : (!attn.cache<6x2x8x6xf32>, index, index) -> tensor<?x2x?x6xf32>
  return
}

// -----

// cache_read C1
func.func @read_values(%c: !attn.cache<6x2x8x6xf32>, %l: index) {
  // expected-error @below {{expected result of shape [?x2x?x6], got [?x2x?x8]}}
  %0 = attn.cache_read %c[%l] keys %l values : (!attn.cache<6x2x8x6xf32>, index, index) -> tensor<?x2x?x8xf32>
  return
}

// -----

// concat_parameters C1
func.func @concat_nothing() {
  // expected-error @below {{expected inputs and a dimension of the result, got 0 inputs and dimension 0}}
  %0 = attn.concat_parameters dim 0 : () -> tensor<4xf32>
  return
}

// -----

// concat_parameters C1
func.func @concat_dim(%a: tensor<4xf32>) {
  // expected-error @below {{expected inputs and a dimension of the result, got 1 inputs and dimension 1}}
  %0 = attn.concat_parameters %a dim 1 : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

// concat_parameters C1
func.func @concat_rank(%a: tensor<4xf32>, %b: tensor<8x4xf32>) {
  // expected-error @below {{expected input of shape [8x8], got [4]}}
  %0 = attn.concat_parameters %b, %a dim 1 : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x8xf32>
  return
}

// -----

// concat_parameters C1
func.func @concat_other(%a: tensor<8x4xf32>, %b: tensor<6x4xf32>) {
  // expected-error @below {{expected input of shape [8x4], got [6x4]}}
  %0 = attn.concat_parameters %a, %b dim 1 : (tensor<8x4xf32>, tensor<6x4xf32>) -> tensor<8x8xf32>
  return
}

// -----

// concat_parameters C1
func.func @concat_type(%a: tensor<8x4xf32>, %b: tensor<8x4xbf16>) {
  // expected-error @below {{expected element type 'f32', got 'bf16'}}
  %0 = attn.concat_parameters %a, %b dim 1 : (tensor<8x4xf32>, tensor<8x4xbf16>) -> tensor<8x8xf32>
  return
}

// -----

// concat_parameters C1
func.func @concat_dynamic(%a: tensor<8x?xf32>) {
  // expected-error @below {{expected inputs of static sizes, got 'tensor<8x?xf32>'}}
  %0 = attn.concat_parameters %a dim 1 : (tensor<8x?xf32>) -> tensor<8x8xf32>
  return
}

// -----

// concat_parameters C1
func.func @concat_sum(%a: tensor<8x4xf32>) {
  // expected-error @below {{expected inputs that sum to 9 along dimension 1, got 8}}
  %0 = attn.concat_parameters %a, %a dim 1 : (tensor<8x4xf32>, tensor<8x4xf32>) -> tensor<8x9xf32>
  return
}

// -----

// dispatch C1
func.func @dispatch_nothing(%n: index) {
  // expected-error @below {{expected a kernel function of 2 arguments: the inputs' types and two indices}}
  attn.dispatch @kernel[%n]() "op"
  return
}

// -----

// dispatch C1
func.func private @kernel(%x: memref<4xf32>, %task: index, %worker: index)
func.func @dispatch_types(%n: index, %x: memref<8xf32>) {
  // expected-error @below {{expected a kernel function of 3 arguments: the inputs' types and two indices}}
  attn.dispatch @kernel[%n](%x) "op" : memref<8xf32>
  return
}

// -----

// online_attention C1
func.func @online_query(%q: memref<?xf32>, %n: index, %k: memref<?x8x64xf32>, %v: memref<?x16xf32>, %s: memref<?x?xi8>) {
  // expected-error @below {{expected query of rank 2, got 'memref<?xf32>'}}
  attn.online_attention %q first %n keys %n packed %k, %v outs %q scratch %s : memref<?xf32>, index, index, memref<?x8x64xf32>, memref<?x16xf32>, memref<?xf32>, memref<?x?xi8>
  return
}

// -----

// online_attention C1
func.func @online_key(%q: memref<?x8xf32>, %n: index, %k: memref<?x8x64xf32>, %v: memref<?x16xf32>, %s: memref<?x?xi8>) {
  // expected-error @below {{expected key of rank 3, got 'memref<?x16xf32>'}}
  attn.online_attention %q first %n keys %n packed %v, %v outs %q scratch %s : memref<?x8xf32>, index, index, memref<?x16xf32>, memref<?x16xf32>, memref<?x8xf32>, memref<?x?xi8>
  return
}

// -----

// online_attention C2
func.func @online_no_keys(%q: memref<?x8xf32>, %n: index, %k: memref<?x8x64xf32>, %v: memref<?x16xf32>, %s: memref<?x?xi8>) {
  // expected-error @below {{expected either key and value, or all of the cache's operands}}
  attn.online_attention %q first %n keys %n outs %q scratch %s : memref<?x8xf32>, index, index, memref<?x8xf32>, memref<?x?xi8>
  return
}

// -----

// expected-error @below {{expected 4 sizes, layers x kv_heads x head_dim x head_dim_v, got 3}}
func.func private @cache_sizes(!attn.cache<6x2x8xf32>)

// -----

// expected-error @below {{expected sizes from 1 to 2147483647, got 0}}
func.func private @cache_zero(!attn.cache<6x0x8x8xf32>)

// -----

// expected-error @below {{expected sizes from 1 to 2147483647, got 2147483648}}
func.func private @cache_huge(!attn.cache<6x2147483648x8x8xf32>)

// -----

// expected-error @below {{expected element type f32, bf16 or f16, got 'i8'}}
func.func private @cache_type(!attn.cache<6x2x8x8xi8>)
