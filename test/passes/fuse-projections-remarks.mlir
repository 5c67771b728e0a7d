// RUN: attn-opt %s --attn-fuse-projections --split-input-file --verify-diagnostics

ml_program.global private @q(#ml_program.extern<tensor<8x8xf32>>) : tensor<8x8xf32>
ml_program.global private @h(#ml_program.extern<tensor<8x8xbf16>>) : tensor<8x8xbf16>
ml_program.global private @b(#ml_program.extern<tensor<8xf32>>) : tensor<8xf32>
ml_program.global private @p(#ml_program.extern<tensor<1x8x16xf32>>) : tensor<1x8x16xf32>

func.func @activation(%x: tensor<2x8xf32>) -> (tensor<2x8xf32>, tensor<2x8xf32>) {
  %q = ml_program.global_load_const @q : tensor<8x8xf32>
  // expected-remark @below {{products of one input not joined: one has an activation or a residual}}
  %0 = attn.linear %x, %q activation silu : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  %1 = attn.linear %x, %q : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  return %0, %1 : tensor<2x8xf32>, tensor<2x8xf32>
}

func.func @computed_weight(%x: tensor<2x8xf32>) -> (tensor<2x8xf32>, tensor<2x8xf32>) {
  %q = ml_program.global_load_const @q : tensor<8x8xf32>
  %w = arith.addf %q, %q : tensor<8x8xf32>
  // expected-remark @below {{a weight is computed; load it with ml_program.global_load_const}}
  %0 = attn.linear %x, %w : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  %1 = attn.linear %x, %q : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  return %0, %1 : tensor<2x8xf32>, tensor<2x8xf32>
}

func.func @computed_bias(%x: tensor<2x8xf32>, %b: tensor<8xf32>) -> (tensor<2x8xf32>, tensor<2x8xf32>) {
  %q = ml_program.global_load_const @q : tensor<8x8xf32>
  // expected-remark @below {{a bias does not come from where its weight comes from; load both with ml_program.global_load_const}}
  %0 = attn.linear %x, %q bias %b : (tensor<2x8xf32>, tensor<8x8xf32>, tensor<8xf32>) -> tensor<2x8xf32>
  %1 = attn.linear %x, %q : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  return %0, %1 : tensor<2x8xf32>, tensor<2x8xf32>
}

func.func @packed_weight(%x: tensor<2x8xf32>) -> (tensor<2x8xf32>, tensor<2x8xf32>) {
  %q = ml_program.global_load_const @q : tensor<8x8xf32>
  %p = ml_program.global_load_const @p : tensor<1x8x16xf32>
  // expected-remark @below {{a weight is packed or has dynamic sizes}}
  %0 = attn.linear %x, %p : (tensor<2x8xf32>, tensor<1x8x16xf32>) -> tensor<2x8xf32>
  %1 = attn.linear %x, %q : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  return %0, %1 : tensor<2x8xf32>, tensor<2x8xf32>
}

func.func @transposed(%x: tensor<2x8xf32>) -> (tensor<2x8xf32>, tensor<2x8xf32>) {
  %q = ml_program.global_load_const @q : tensor<8x8xf32>
  // expected-remark @below {{only some have transpose_weight; store the weights alike}}
  %0 = attn.linear %x, %q {transpose_weight} : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  %1 = attn.linear %x, %q : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  return %0, %1 : tensor<2x8xf32>, tensor<2x8xf32>
}

func.func @some_bias(%x: tensor<2x8xf32>) -> (tensor<2x8xf32>, tensor<2x8xf32>) {
  %q = ml_program.global_load_const @q : tensor<8x8xf32>
  %b = ml_program.global_load_const @b : tensor<8xf32>
  // expected-remark @below {{only some have a bias; give a bias of zeros to the others}}
  %0 = attn.linear %x, %q bias %b : (tensor<2x8xf32>, tensor<8x8xf32>, tensor<8xf32>) -> tensor<2x8xf32>
  %1 = attn.linear %x, %q : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  return %0, %1 : tensor<2x8xf32>, tensor<2x8xf32>
}

func.func @types(%x: tensor<2x8xf32>) -> (tensor<2x8xf32>, tensor<2x8xf32>) {
  %q = ml_program.global_load_const @q : tensor<8x8xf32>
  %h = ml_program.global_load_const @h : tensor<8x8xbf16>
  // expected-remark @below {{they have different element types; convert the weights to one}}
  %0 = attn.linear %x, %q : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  %1 = attn.linear %x, %h : (tensor<2x8xf32>, tensor<8x8xbf16>) -> tensor<2x8xf32>
  return %0, %1 : tensor<2x8xf32>, tensor<2x8xf32>
}

func.func @some_arguments(%x: tensor<2x8xf32>, %w: tensor<8x8xf32>) -> (tensor<2x8xf32>, tensor<2x8xf32>) {
  %q = ml_program.global_load_const @q : tensor<8x8xf32>
  // expected-remark @below {{only some weights are arguments of the function; pass or load them alike}}
  %0 = attn.linear %x, %q : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  %1 = attn.linear %x, %w : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  return %0, %1 : tensor<2x8xf32>, tensor<2x8xf32>
}

// -----

func.func @entry(%x: tensor<2x8xf32>, %v: tensor<8x8xf32>, %w: tensor<8x8xf32>) -> (tensor<2x8xf32>, tensor<2x8xf32>) {
  // expected-remark @below {{their weights are arguments of an entry; load them with ml_program.global_load_const}}
  %0 = attn.linear %x, %v : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  %1 = attn.linear %x, %w : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  return %0, %1 : tensor<2x8xf32>, tensor<2x8xf32>
}

// -----

func.func private @argument_used_twice(%x: tensor<2x8xf32>, %w: tensor<8x8xf32>) -> (tensor<2x8xf32>, tensor<2x8xf32>) {
  // expected-remark @below {{a weight or bias has other uses in the block function; pass it once for each}}
  %0 = attn.linear %x, %w : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  %1 = attn.linear %x, %w : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  return %0, %1 : tensor<2x8xf32>, tensor<2x8xf32>
}

// -----

func.func private @block(%x: tensor<2x8xf32>, %v: tensor<8x8xf32>, %w: tensor<8x8xf32>) -> (tensor<2x8xf32>, tensor<2x8xf32>) {
  // expected-remark @below {{a call passes a weight or bias that is no parameter; pass an ml_program.global_load_const}}
  %0 = attn.linear %x, %v : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  %1 = attn.linear %x, %w : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  return %0, %1 : tensor<2x8xf32>, tensor<2x8xf32>
}
func.func @caller(%x: tensor<2x8xf32>) -> (tensor<2x8xf32>, tensor<2x8xf32>) {
  %w = arith.constant dense<1.0> : tensor<8x8xf32>
  %0:2 = call @block(%x, %w, %w) : (tensor<2x8xf32>, tensor<8x8xf32>, tensor<8x8xf32>) -> (tensor<2x8xf32>, tensor<2x8xf32>)
  return %0#0, %0#1 : tensor<2x8xf32>, tensor<2x8xf32>
}
