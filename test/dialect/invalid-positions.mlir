// RUN: attn-opt %s --split-input-file --verify-diagnostics

// Errors of positions and what is computed from them; the labels are those of the op's description.

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

// positions C2
func.func @positions_mask(%i: tensor<2x3xi64>, %m: tensor<2x4xi64>) {
  // expected-error @below {{expected mask of shape [2x3], got [2x4]}}
  %0 = attn.positions %i mask %m : (tensor<2x3xi64>, tensor<2x4xi64>) -> tensor<2x3xi64>
  return
}

// -----

// positions C2
func.func @positions_mask_of_cache(%i: tensor<2x3xi64>, %m: tensor<3x4xi64>, %c: !attn.cache<1x1x8x8xf32>) {
  // expected-error @below {{expected mask of shape [2x?], got [3x4]}}
  %0 = attn.positions %i cache %c mask %m : (tensor<2x3xi64>, !attn.cache<1x1x8x8xf32>, tensor<3x4xi64>) -> tensor<2x3xi64>
  return
}

// -----

// positions C3
func.func @positions_pad_mask(%i: tensor<2x3xi64>) {
  // expected-error @below {{expected neither a cache nor a mask with 'pad'}}
  %0 = attn.positions %i mask %i {pad = 1 : i64} : (tensor<2x3xi64>, tensor<2x3xi64>) -> tensor<2x3xi64>
  return
}

// -----

// positions C3
func.func @positions_pad_cache(%i: tensor<2x3xi64>, %c: !attn.cache<1x1x8x8xf32>) {
  // expected-error @below {{expected neither a cache nor a mask with 'pad'}}
  %0 = attn.positions %i cache %c {pad = 1 : i64} : (tensor<2x3xi64>, !attn.cache<1x1x8x8xf32>) -> tensor<2x3xi64>
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

// rotary_table C1
func.func @table_rank(%i: tensor<3xi64>) {
  // expected-error @below {{expected positions of rank 2, got 'tensor<3xi64>'}}
  %0 = attn.rotary_table %i {frequencies = array<f64: 1.0, 0.1>} : (tensor<3xi64>) -> tensor<3x4xf32>
  return
}

// -----

// rotary_table C1
func.func @table_result(%i: tensor<2x3xi64>) {
  // expected-error @below {{expected result of shape [2x3x4], got [2x3x2]}}
  %0 = attn.rotary_table %i {frequencies = array<f64: 1.0, 0.1>} : (tensor<2x3xi64>) -> tensor<2x3x2xf32>
  return
}

// -----

// rotary_table C1
func.func @table_type(%i: tensor<2x3xi64>) {
  // expected-error @below {{expected result element type f32, got 'bf16'}}
  %0 = attn.rotary_table %i {frequencies = array<f64: 1.0, 0.1>} : (tensor<2x3xi64>) -> tensor<2x3x4xbf16>
  return
}

// -----

// rotary_table C2
func.func @table_empty(%i: tensor<2x3xi64>) {
  // expected-error @below {{expected 1 to 65536 frequencies, got 0}}
  %0 = attn.rotary_table %i {frequencies = array<f64>} : (tensor<2x3xi64>) -> tensor<2x3x4xf32>
  return
}

// -----

// rotary_table C2
func.func @table_infinite(%i: tensor<2x3xi64>) {
  // expected-error @below {{expected finite frequencies}}
  %0 = attn.rotary_table %i {frequencies = array<f64: 1.0, 0x7FF0000000000000>} : (tensor<2x3xi64>) -> tensor<2x3x4xf32>
  return
}

// -----

// rotary_table C2
func.func @table_long_infinite(%i: tensor<2x3xi64>) {
  // expected-error @below {{expected finite frequencies}}
  %0 = attn.rotary_table %i {frequencies = array<f64: 1.0, 0.1>, long_frequencies = array<f64: 1.0, 0x7FF8000000000000>, long_from = 8 : i64} : (tensor<2x3xi64>) -> tensor<2x3x4xf32>
  return
}

// -----

// rotary_table C3
func.func @table_long_count(%i: tensor<2x3xi64>) {
  // expected-error @below {{expected 2 long_frequencies, got 1}}
  %0 = attn.rotary_table %i {frequencies = array<f64: 1.0, 0.1>, long_frequencies = array<f64: 1.0>, long_from = 8 : i64} : (tensor<2x3xi64>) -> tensor<2x3x4xf32>
  return
}

// -----

// rotary_table C4
func.func @table_from_alone(%i: tensor<2x3xi64>) {
  // expected-error @below {{expected 'long_from' and one of 'long_frequencies' and 'ntk_factor', or none of the three}}
  %0 = attn.rotary_table %i {frequencies = array<f64: 1.0, 0.1>, long_from = 8 : i64} : (tensor<2x3xi64>) -> tensor<2x3x4xf32>
  return
}

// -----

// rotary_table C4
func.func @table_no_from(%i: tensor<2x3xi64>) {
  // expected-error @below {{expected 'long_from' and one of 'long_frequencies' and 'ntk_factor', or none of the three}}
  %0 = attn.rotary_table %i {frequencies = array<f64: 1.0, 0.1>, ntk_factor = 2.0 : f64} : (tensor<2x3xi64>) -> tensor<2x3x4xf32>
  return
}

// -----

// rotary_table C4
func.func @table_both(%i: tensor<2x3xi64>) {
  // expected-error @below {{expected 'long_from' and one of 'long_frequencies' and 'ntk_factor', or none of the three}}
  %0 = attn.rotary_table %i {frequencies = array<f64: 1.0, 0.1>, long_frequencies = array<f64: 1.0, 0.2>, long_from = 8 : i64, ntk_factor = 2.0 : f64} : (tensor<2x3xi64>) -> tensor<2x3x4xf32>
  return
}

// -----

// rotary_table C4
func.func @table_from(%i: tensor<2x3xi64>) {
  // expected-error @below {{expected a positive long_from, got 0}}
  %0 = attn.rotary_table %i {frequencies = array<f64: 1.0, 0.1>, long_from = 0 : i64, ntk_factor = 2.0 : f64} : (tensor<2x3xi64>) -> tensor<2x3x4xf32>
  return
}

// -----

// rotary_table C4
func.func @table_factor(%i: tensor<2x3xi64>) {
  // expected-error @below {{expected a positive ntk_factor, got -2}}
  %0 = attn.rotary_table %i {frequencies = array<f64: 1.0, 0.1>, long_from = 8 : i64, ntk_factor = -2.0 : f64} : (tensor<2x3xi64>) -> tensor<2x3x4xf32>
  return
}

// -----

// rotary_table C4
func.func @table_one(%i: tensor<2x3xi64>) {
  // expected-error @below {{expected at least 2 frequencies with 'ntk_factor', got 1}}
  %0 = attn.rotary_table %i {frequencies = array<f64: 1.0>, long_from = 8 : i64, ntk_factor = 2.0 : f64} : (tensor<2x3xi64>) -> tensor<2x3x2xf32>
  return
}

// -----

// rotary_table
func.func @table_both_forms(%i: tensor<2x3xi64>) {
  // expected-error @below {{expected a result on tensors or an outs buffer, got neither}}
  attn.rotary_table %i {frequencies = array<f64: 1.0>} : (tensor<2x3xi64>) -> ()
  return
}

// -----

// rotary C1
func.func @rotary_result(%x: tensor<2x3x8xf32>, %t: tensor<2x3x4xf32>) {
  // expected-error @below {{expected result of shape [2x3x8], got [2x3x4]}}
  %0 = attn.rotary %x by %t heads 2 : (tensor<2x3x8xf32>, tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  return
}

// -----

// rotary C1
func.func @rotary_rank(%x: tensor<2x8xf32>, %t: tensor<2x4xf32>) {
  // expected-error @below {{expected input of rank 3, got 'tensor<2x8xf32>'}}
  %0 = attn.rotary %x by %t heads 2 : (tensor<2x8xf32>, tensor<2x4xf32>) -> tensor<2x8xf32>
  return
}

// -----

// rotary C1: on buffers rows may have rank 2
func.func @rotary_buffer(%x: memref<f32>, %t: memref<2x4xf32>) {
  // expected-error @below {{expected input of rank at least 2 with a static last dimension, got 'memref<f32>'}}
  attn.rotary %x by %t heads 1 outs %x : (memref<f32>, memref<2x4xf32>, memref<f32>) -> ()
  return
}

// -----

// rotary C2
func.func @rotary_heads(%x: tensor<2x3x8xf32>, %t: tensor<2x3x4xf32>) {
  // expected-error @below {{expected features of input divisible by 3 heads, got 8}}
  %0 = attn.rotary %x by %t heads 3 : (tensor<2x3x8xf32>, tensor<2x3x4xf32>) -> tensor<2x3x8xf32>
  return
}

// -----

// rotary C3
func.func @rotary_odd(%x: tensor<2x3x8xf32>, %t: tensor<2x3x3xf32>) {
  // expected-error @below {{expected a table of an even number of values, at most head_dim 4, got 3}}
  %0 = attn.rotary %x by %t heads 2 : (tensor<2x3x8xf32>, tensor<2x3x3xf32>) -> tensor<2x3x8xf32>
  return
}

// -----

// rotary C3
func.func @rotary_wide(%x: tensor<2x3x8xf32>, %t: tensor<2x3x4xf32>) {
  // expected-error @below {{expected a table of an even number of values, at most head_dim 2, got 4}}
  %0 = attn.rotary %x by %t heads 4 : (tensor<2x3x8xf32>, tensor<2x3x4xf32>) -> tensor<2x3x8xf32>
  return
}

// -----

// rotary C3
func.func @rotary_dynamic(%x: tensor<2x3x8xf32>, %t: tensor<2x3x?xf32>) {
  // expected-error @below {{expected table of rank at least 2 with a static last dimension, got 'tensor<2x3x?xf32>'}}
  %0 = attn.rotary %x by %t heads 2 : (tensor<2x3x8xf32>, tensor<2x3x?xf32>) -> tensor<2x3x8xf32>
  return
}

// -----

// rotary C3
func.func @rotary_type(%x: tensor<2x3x8xf32>, %t: tensor<2x3x4xf16>) {
  // expected-error @below {{expected table element type f32, got 'f16'}}
  %0 = attn.rotary %x by %t heads 2 : (tensor<2x3x8xf32>, tensor<2x3x4xf16>) -> tensor<2x3x8xf32>
  return
}

// -----

// rotary C3
func.func @rotary_table_shape(%x: tensor<2x3x8xf32>, %t: tensor<3x2x4xf32>) {
  // expected-error @below {{expected table of shape [2x3x4], got [3x2x4]}}
  %0 = attn.rotary %x by %t heads 2 : (tensor<2x3x8xf32>, tensor<3x2x4xf32>) -> tensor<2x3x8xf32>
  return
}
