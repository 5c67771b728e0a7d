// RUN: attn-opt %s --split-input-file --verify-diagnostics

// Regions of attention and the ops in them.

// attention C12
func.func @score_yields(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %t: i1) {
  %0 = attn.attention %q, %k, %k score(%s, %b, %h, %i, %j) {
    // expected-error @below {{expected 'score' to yield f32, got 'i1'}}
    attn.yield %t : i1
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C12
func.func @mask_yields(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %t: f32) {
  %0 = attn.attention %q, %k, %k mask(%b, %h, %i, %j) {
    // expected-error @below {{expected 'mask' to yield i1, got 'f32'}}
    attn.yield %t : f32
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C12
func.func @prob_yields(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %t: i1) {
  %0 = attn.attention %q, %k, %k prob(%p, %b, %h, %i, %j) {
    // expected-error @below {{expected 'prob' to yield f32, got 'i1'}}
    attn.yield %t : i1
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C12
func.func @region_dialect(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %m: memref<?xi1>, %n: index) {
  %0 = attn.attention %q, %k, %k mask(%b, %h, %i, %j) {
    // expected-error @below {{expected attn.load, and ops of arith and math on scalars of at most 64 bits, in 'mask'}}
    %x = memref.load %m[%n] : memref<?xi1>
    attn.yield %x : i1
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C12
func.func @region_vector(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %t: i1) {
  %0 = attn.attention %q, %k, %k mask(%b, %h, %i, %j) {
    // expected-error @below {{expected attn.load, and ops of arith and math on scalars of at most 64 bits, in 'mask'}}
    %x = arith.constant dense<1> : vector<4xi32>
    attn.yield %t : i1
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C12
func.func @region_wide(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %w: i128) {
  %0 = attn.attention %q, %k, %k mask(%b, %h, %i, %j) {
    // expected-error @below {{expected attn.load, and ops of arith and math on scalars of at most 64 bits, in 'mask'}}
    %x = arith.trunci %w : i128 to i1
    attn.yield %x : i1
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C12
func.func @region_f128(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>) {
  %0 = attn.attention %q, %k, %k score(%s, %b, %h, %i, %j) {
    // expected-error @below {{expected attn.load, and ops of arith and math on scalars of at most 64 bits, in 'score'}}
    %x = arith.extf %s : f32 to f128
    attn.yield %s : f32
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C12
func.func @region_results(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>) {
  %0 = attn.attention %q, %k, %k mask(%b, %h, %i, %j) {
    // expected-error @below {{expected attn.load, and ops of arith and math on scalars of at most 64 bits, in 'mask'}}
    %x, %y = arith.addui_extended %i, %j : i32, i1
    attn.yield %y : i1
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C12
func.func @region_divsi(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %t: i1) {
  %0 = attn.attention %q, %k, %k mask(%b, %h, %i, %j) {
    // expected-error @below {{expected an op without side effects that can always be computed in 'mask'; divide by constants other than 0 and -1}}
    %x = arith.divsi %i, %j : i32
    attn.yield %t : i1
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C12
func.func @region_divui(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %t: i1) {
  %0 = attn.attention %q, %k, %k mask(%b, %h, %i, %j) {
    // expected-error @below {{expected an op without side effects that can always be computed in 'mask'; divide by constants other than 0 and -1}}
    %x = arith.divui %i, %j : i32
    attn.yield %t : i1
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C12
func.func @region_ceildivsi(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %t: i1) {
  %0 = attn.attention %q, %k, %k mask(%b, %h, %i, %j) {
    // expected-error @below {{expected an op without side effects that can always be computed in 'mask'; divide by constants other than 0 and -1}}
    %x = arith.ceildivsi %i, %j : i32
    attn.yield %t : i1
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C12
func.func @region_ceildivui(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %t: i1) {
  %0 = attn.attention %q, %k, %k mask(%b, %h, %i, %j) {
    // expected-error @below {{expected an op without side effects that can always be computed in 'mask'; divide by constants other than 0 and -1}}
    %x = arith.ceildivui %i, %j : i32
    attn.yield %t : i1
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C12
func.func @region_floordivsi(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %t: i1) {
  %0 = attn.attention %q, %k, %k mask(%b, %h, %i, %j) {
    // expected-error @below {{expected an op without side effects that can always be computed in 'mask'; divide by constants other than 0 and -1}}
    %x = arith.floordivsi %i, %j : i32
    attn.yield %t : i1
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C12
func.func @region_remsi(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %t: i1) {
  %0 = attn.attention %q, %k, %k mask(%b, %h, %i, %j) {
    // expected-error @below {{expected an op without side effects that can always be computed in 'mask'; divide by constants other than 0 and -1}}
    %x = arith.remsi %i, %j : i32
    attn.yield %t : i1
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C12
func.func @region_remui(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %t: i1) {
  %0 = attn.attention %q, %k, %k mask(%b, %h, %i, %j) {
    // expected-error @below {{expected an op without side effects that can always be computed in 'mask'; divide by constants other than 0 and -1}}
    %x = arith.remui %i, %j : i32
    attn.yield %t : i1
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C12
func.func @region_by_zero(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %t: i1) {
  %0 = attn.attention %q, %k, %k mask(%b, %h, %i, %j) {
    %z = arith.constant 0 : i32
    // expected-error @below {{expected an op without side effects that can always be computed in 'mask'; divide by constants other than 0 and -1}}
    %x = arith.remsi %i, %z : i32
    attn.yield %t : i1
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C12
func.func @region_by_minus_one(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %t: i1) {
  %0 = attn.attention %q, %k, %k mask(%b, %h, %i, %j) {
    %z = arith.constant -1 : i32
    // expected-error @below {{expected an op without side effects that can always be computed in 'mask'; divide by constants other than 0 and -1}}
    %x = arith.divsi %i, %z : i32
    attn.yield %t : i1
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C12
func.func @region_captured_buffer(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %m: memref<?xi1>) {
  %0 = attn.attention %q, %k, %k mask(%b, %h, %i, %j) {
    // expected-error @below {{expected captured tensors in 'mask', got 'memref<?xi1>'}}
    %x = attn.load %m[%j] : memref<?xi1>
    attn.yield %x : i1
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C12
func.func @region_captured_in_score(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %m: memref<?xf32>) {
  %0 = attn.attention %q, %k, %k score(%s, %b, %h, %i, %j) {
    // expected-error @below {{expected captured tensors in 'score', got 'memref<?xf32>'}}
    %x = attn.load %m[%j] : memref<?xf32>
    attn.yield %x : f32
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C12
func.func @captured_tensor(%q: memref<2x4x5x8xf32>, %k: memref<2x2x1x8x64xf32>, %v: memref<2x2x7x16xf32>, %m: tensor<?xi1>) {
  attn.attention %q, %k, %v outs %q mask(%b, %h, %i, %j) {
    // expected-error @below {{expected captured buffers in 'mask', got 'tensor<?xi1>'}}
    %x = attn.load %m[%j] : tensor<?xi1>
    attn.yield %x : i1
  } : (memref<2x4x5x8xf32>, memref<2x2x1x8x64xf32>, memref<2x2x7x16xf32>, memref<2x4x5x8xf32>) -> ()
  return
}

// -----

// attention C12
func.func @region_argument_types(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %t: i1) {
  // expected-error @below {{expected one block in 'mask' with arguments 'i32', 'i32', 'i32', 'i32'}}
  %0 = "attn.attention"(%q, %k, %k) <{operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0>}> ({}, {
  ^bb0(%b: i64, %h: i32, %i: i32, %j: i32):
    attn.yield %t : i1
  }, {}) : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C12
func.func @region_arguments(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %t: i1) {
  // expected-error @below {{expected one block in 'score' with arguments 'f32', 'i32', 'i32', 'i32', 'i32'}}
  %0 = "attn.attention"(%q, %k, %k) <{operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0>}> ({
  ^bb0(%b: i32, %h: i32, %i: i32, %j: i32):
    attn.yield %t : i1
  }, {}, {}) : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C12
func.func @region_blocks(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %t: i1) {
  // expected-error @below {{expected one block in 'mask' with arguments 'i32', 'i32', 'i32', 'i32'}}
  %0 = "attn.attention"(%q, %k, %k) <{operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0>}> ({}, {
  ^bb0(%b: i32, %h: i32, %i: i32, %j: i32):
    attn.yield %t : i1
  ^bb1:
    attn.yield %t : i1
  }, {}) : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// attention C12
func.func @region_nothing_yielded(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>) {
  %0 = "attn.attention"(%q, %k, %k) <{operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0>}> ({}, {
  ^bb0(%b: i32, %h: i32, %i: i32, %j: i32):
    // expected-error @below {{requires a single operand}}
    "attn.yield"() : () -> ()
  }, {}) : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// regions: syntax
func.func @score_arguments(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %t: i1) {
  // expected-error @below {{expected 5 arguments of 'score', got 4}}
  %0 = attn.attention %q, %k, %k score(%b, %h, %i, %j) {
    attn.yield %t : i1
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// regions: syntax
func.func @mask_arguments(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %t: i1) {
  // expected-error @below {{expected 4 arguments of 'mask', got 5}}
  %0 = attn.attention %q, %k, %k mask(%s, %b, %h, %i, %j) {
    attn.yield %t : i1
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// regions: syntax
func.func @prob_arguments(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %t: i1) {
  // expected-error @below {{expected 5 arguments of 'prob', got 0}}
  %0 = attn.attention %q, %k, %k prob() {
    attn.yield %t : i1
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// regions: syntax
func.func @regions_in_order(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %t: i1) {
  %0 = attn.attention %q, %k, %k mask(%b, %h, %i, %j) {
    attn.yield %t : i1
  // expected-error @below {{expected ':'}}
  } score(%s, %b, %h, %i, %j) {
    attn.yield %s : f32
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// yield
func.func @yield_type(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>) {
  %0 = attn.attention %q, %k, %k mask(%b, %h, %i, %j) {
    // expected-error @below {{operand #0 must be 32-bit float or 1-bit signless integer, but got 'i32'}}
    attn.yield %i : i32
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// yield
func.func @yield_alone(%t: i1) {
  // expected-error @below {{expects parent op to be one of 'attn.attention, attn.online_attention'}}
  attn.yield %t : i1
  return
}

// -----

// load
func.func @load_alone(%m: tensor<?xi1>, %i: i32) {
  // expected-error @below {{expects parent op to be one of 'attn.attention, attn.online_attention'}}
  %0 = attn.load %m[%i] : tensor<?xi1>
  return
}

// -----

// load C1
func.func @load_indices(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %m: tensor<?x?xi1>) {
  %0 = attn.attention %q, %k, %k mask(%b, %h, %i, %j) {
    // expected-error @below {{expected 2 indices of 'tensor<?x?xi1>', got 1}}
    %x = attn.load %m[%j] : tensor<?x?xi1>
    attn.yield %x : i1
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// load C2
func.func @load_ranges_of_tensor(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x7x8xf32>, %m: tensor<?xi1>, %r: memref<2x?xi32>) {
  %0 = attn.attention %q, %k, %k mask(%b, %h, %i, %j) {
    // expected-error @below {{expected 'ranges' of a buffer of integers, got 'tensor<?xi1>'}}
    %x = attn.load %m[%j] ranges %r : memref<2x?xi32> : tensor<?xi1>
    attn.yield %x : i1
  } : (tensor<2x4x5x8xf32>, tensor<2x2x7x8xf32>, tensor<2x2x7x8xf32>) -> tensor<2x4x5x8xf32>
  return
}

// -----

// load C2
func.func @load_ranges_of_floats(%q: memref<2x4x5x8xf32>, %k: memref<2x2x1x8x64xf32>, %v: memref<2x2x7x16xf32>, %t: i1, %m: memref<?xf32>, %r: memref<2x?xi32>) {
  attn.attention %q, %k, %v outs %q mask(%b, %h, %i, %j) {
    // expected-error @below {{expected 'ranges' of a buffer of integers, got 'memref<?xf32>'}}
    %x = attn.load %m[%j] ranges %r : memref<2x?xi32> : memref<?xf32>
    attn.yield %t : i1
  } : (memref<2x4x5x8xf32>, memref<2x2x1x8x64xf32>, memref<2x2x7x16xf32>, memref<2x4x5x8xf32>) -> ()
  return
}

// -----

// load C2
func.func @load_ranges_of_scalar(%q: memref<2x4x5x8xf32>, %k: memref<2x2x1x8x64xf32>, %v: memref<2x2x7x16xf32>, %t: i1, %m: memref<i32>, %r: memref<2xi32>) {
  attn.attention %q, %k, %v outs %q mask(%b, %h, %i, %j) {
    // expected-error @below {{expected 'ranges' of a buffer of integers, got 'memref<i32>'}}
    %x = attn.load %m[] ranges %r : memref<2xi32> : memref<i32>
    attn.yield %t : i1
  } : (memref<2x4x5x8xf32>, memref<2x2x1x8x64xf32>, memref<2x2x7x16xf32>, memref<2x4x5x8xf32>) -> ()
  return
}

// -----

// load C2
func.func @load_ranges_shape(%q: memref<2x4x5x8xf32>, %k: memref<2x2x1x8x64xf32>, %v: memref<2x2x7x16xf32>, %t: i1, %m: memref<3x65xi32>, %r: memref<2x3x3xi32>) {
  attn.attention %q, %k, %v outs %q mask(%b, %h, %i, %j) {
    // expected-error @below {{expected ranges of shape [2x3x2], got [2x3x3]}}
    %x = attn.load %m[%b, %j] ranges %r : memref<2x3x3xi32> : memref<3x65xi32>
    attn.yield %t : i1
  } : (memref<2x4x5x8xf32>, memref<2x2x1x8x64xf32>, memref<2x2x7x16xf32>, memref<2x4x5x8xf32>) -> ()
  return
}
