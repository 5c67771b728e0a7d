// RUN: attn-opt %s --split-input-file --verify-diagnostics

// Every error of the dialect's verifiers but attention's (invalid-attention.mlir); the labels are those of the op's description.

// Both forms
func.func @result_and_outs(%x: memref<2x8xf32>) {
  // expected-error @below {{expected a result on tensors or an outs buffer, got both}}
  %0 = "attn.log_softmax"(%x, %x) : (memref<2x8xf32>, memref<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// Both forms
func.func @no_result(%x: tensor<2x8xf32>) {
  // expected-error @below {{expected a result on tensors or an outs buffer, got neither}}
  "attn.log_softmax"(%x) : (tensor<2x8xf32>) -> ()
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

// layer_norm C3
func.func @norm_groups(%x: tensor<2x8xf32>, %g: tensor<8xf32>) {
  // expected-error @below {{expected groups that divide the last dimension 8, got 3}}
  %0 = attn.layer_norm %x, %g {groups = 3 : i64} : (tensor<2x8xf32>, tensor<8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// rms_norm C3
func.func @norm_no_groups(%x: tensor<2x8xf32>, %g: tensor<8xf32>) {
  // expected-error @below {{expected groups that divide the last dimension 8, got -1}}
  %0 = attn.rms_norm %x, %g {groups = -1 : i64} : (tensor<2x8xf32>, tensor<8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// rms_norm C2
func.func @norm_group_gamma(%x: tensor<2x8xf32>, %g: tensor<8xf32>) {
  // expected-error @below {{expected gamma of shape [4], got [8]}}
  %0 = attn.rms_norm %x, %g {groups = 2 : i64} : (tensor<2x8xf32>, tensor<8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// l2_norm C1
func.func @l2_norm_result(%x: tensor<2x8xf32>) {
  // expected-error @below {{expected result of shape [2x8], got [2x4]}}
  %0 = attn.l2_norm %x : (tensor<2x8xf32>) -> tensor<2x4xf32>
  return
}

// -----

// l2_norm C1
func.func @l2_norm_dynamic(%x: tensor<2x?xf32>) {
  // expected-error @below {{expected input of rank at least 1 with a static last dimension, got 'tensor<2x?xf32>'}}
  %0 = attn.l2_norm %x : (tensor<2x?xf32>) -> tensor<2x?xf32>
  return
}

// -----

// scale C1
func.func @scale_result(%x: tensor<2x8xf32>) {
  // expected-error @below {{expected result of shape [2x8], got [2x4]}}
  %0 = attn.scale %x by 2.0 : (tensor<2x8xf32>) -> tensor<2x4xf32>
  return
}

// -----

// scale C1
func.func @scale_dynamic(%x: tensor<2x?xf32>) {
  // expected-error @below {{expected input of rank at least 1 with a static last dimension, got 'tensor<2x?xf32>'}}
  %0 = attn.scale %x by 2.0 : (tensor<2x?xf32>) -> tensor<2x?xf32>
  return
}

// -----

// soft_cap C1
func.func @soft_cap_result(%x: tensor<2x8xf32>) {
  // expected-error @below {{expected result of shape [2x8], got [2x4]}}
  %0 = attn.soft_cap %x at 2.0 : (tensor<2x8xf32>) -> tensor<2x4xf32>
  return
}

// -----

// soft_cap C1
func.func @soft_cap_dynamic(%x: tensor<2x?xf32>) {
  // expected-error @below {{expected input of rank at least 1 with a static last dimension, got 'tensor<2x?xf32>'}}
  %0 = attn.soft_cap %x at 2.0 : (tensor<2x?xf32>) -> tensor<2x?xf32>
  return
}

// -----

// scale C2
func.func @scale_infinite(%x: tensor<2x8xf32>) {
  // expected-error @below {{expected a finite factor}}
  %0 = attn.scale %x by 0x7FF0000000000000 : (tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// soft_cap C2
func.func @soft_cap_zero(%x: tensor<2x8xf32>) {
  // expected-error @below {{expected a finite cap above 0}}
  %0 = attn.soft_cap %x at 0.0 : (tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// soft_cap C2
func.func @soft_cap_negative(%x: tensor<2x8xf32>) {
  // expected-error @below {{expected a finite cap above 0}}
  %0 = attn.soft_cap %x at -1.0 : (tensor<2x8xf32>) -> tensor<2x8xf32>
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

// activation C2
func.func @activation_times(%x: tensor<2x8xf32>, %t: tensor<8xf32>) {
  // expected-error @below {{expected times of shape [2x8], got [8]}}
  %0 = attn.activation silu %x times %t : (tensor<2x8xf32>, tensor<8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// activation C2
func.func @activation_times_type(%x: tensor<2x8xf32>, %t: tensor<2x8xbf16>) {
  // expected-error @below {{expected times element type 'f32', got 'bf16'}}
  %0 = attn.activation silu %x times %t : (tensor<2x8xf32>, tensor<2x8xbf16>) -> tensor<2x8xf32>
  return
}

// -----

// activation C3
func.func @activation_limit_alone(%x: tensor<2x8xf32>) {
  // expected-error @below {{expected 'times' with 'limit' or 'times_offset'}}
  %0 = attn.activation silu %x {limit = 7.0 : f64} : (tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// activation C3
func.func @activation_offset_alone(%x: tensor<2x8xf32>) {
  // expected-error @below {{expected 'times' with 'limit' or 'times_offset'}}
  %0 = attn.activation silu %x {times_offset = 1.0 : f64} : (tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// activation C3
func.func @activation_limit(%x: tensor<2x8xf32>) {
  // expected-error @below {{expected a positive limit, got 0}}
  %0 = attn.activation silu %x times %x {limit = 0.0 : f64} : (tensor<2x8xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>
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

// pool C1
func.func @pool_rank(%x: tensor<2x8xf32>) {
  // expected-error @below {{expected input of rank 3, got 'tensor<2x8xf32>'}}
  %0 = attn.pool mean %x : (tensor<2x8xf32>) -> tensor<8xf32>
  return
}

// -----

// pool C1
func.func @pool_dynamic(%x: tensor<2x3x?xf32>) {
  // expected-error @below {{expected input of rank at least 3 with a static last dimension, got 'tensor<2x3x?xf32>'}}
  %0 = attn.pool mean %x : (tensor<2x3x?xf32>) -> tensor<2x?xf32>
  return
}

// -----

// pool C1
func.func @pool_result(%x: tensor<2x3x8xf32>) {
  // expected-error @below {{expected result of shape [2x8], got [3x8]}}
  %0 = attn.pool mean %x : (tensor<2x3x8xf32>) -> tensor<3x8xf32>
  return
}

// -----

// pool C1
func.func @pool_type(%x: tensor<2x3x8xf32>) {
  // expected-error @below {{expected result element type 'f32', got 'f16'}}
  %0 = attn.pool mean %x : (tensor<2x3x8xf32>) -> tensor<2x8xf16>
  return
}

// -----

// pool C2
func.func @pool_mask(%x: tensor<2x3x8xf32>, %m: tensor<2x4xi64>) {
  // expected-error @below {{expected mask of shape [2x3], got [2x4]}}
  %0 = attn.pool mean %x mask %m : (tensor<2x3x8xf32>, tensor<2x4xi64>) -> tensor<2x8xf32>
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

// cache_append C2
func.func @append_masked(%k: tensor<2x3x16xf32>, %m: tensor<2x3xi64>, %c: !attn.cache<6x2x8x8xf32>, %l: index) {
  // expected-error @below {{expected a cross cache with 'key_mask', got '!attn.cache<6x2x8x8xf32>'}}
  attn.cache_append %k, %k to %c[%l] key_mask %m : tensor<2x3x16xf32>, tensor<2x3x16xf32>, !attn.cache<6x2x8x8xf32>, tensor<2x3xi64>
  return
}

// -----

// cache_append C2
func.func @append_mask(%k: tensor<2x3x16xf32>, %m: tensor<2x4xi64>, %c: !attn.cache<6x2x8x8xf32, cross>, %l: index) {
  // expected-error @below {{expected key_mask of shape [2x3], got [2x4]}}
  attn.cache_append %k, %k to %c[%l] key_mask %m : tensor<2x3x16xf32>, tensor<2x3x16xf32>, !attn.cache<6x2x8x8xf32, cross>, tensor<2x4xi64>
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
  attn.dispatch @kernel[%n]() "op" flop %n bytes %n
  return
}

// -----

// dispatch C1
func.func private @kernel(%x: memref<4xf32>, %task: index, %worker: index)
func.func @dispatch_types(%n: index, %x: memref<8xf32>) {
  // expected-error @below {{expected a kernel function of 3 arguments: the inputs' types and two indices}}
  attn.dispatch @kernel[%n](%x) "op" flop %n bytes %n : memref<8xf32>
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

// -----

// expected-error @below {{expected 'cross'}}
func.func private @cache_kind(!attn.cache<6x2x8x8xf32, ring>)
