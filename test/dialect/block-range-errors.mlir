// RUN: attn-opt %s --split-input-file --verify-diagnostics

// block_range C1
func.func @rank(%a: memref<i32>, %r: memref<2xi32>) {
  // expected-error @below {{expected ranges of integers in a buffer of rank at least 1, got 'memref<i32>'}}
  attn.block_range %a outs %r : memref<i32>, memref<2xi32>
  return
}

// -----

// block_range C1
func.func @blocks(%a: memref<?x129xi32>, %r: memref<2x?x2xi32>) {
  // expected-error @below {{expected ranges of shape [2x?x3], got [2x?x2]}}
  attn.block_range %a outs %r : memref<?x129xi32>, memref<2x?x2xi32>
  return
}

// -----

// block_range C1
func.func @leading(%a: memref<4x?xi32>, %r: memref<2x?xi32>) {
  // expected-error @below {{expected ranges of shape [2x4x?], got [2x?]}}
  attn.block_range %a outs %r : memref<4x?xi32>, memref<2x?xi32>
  return
}

// -----

// block_range C1
func.func @wide(%a: memref<?xi64>, %r: memref<2x?xi32>) {
  // expected-error @below {{expected ranges of 'i64', got 'i32'}}
  attn.block_range %a outs %r : memref<?xi64>, memref<2x?xi32>
  return
}

// -----

// block_range C1
func.func @narrow(%a: memref<?xi1>, %r: memref<2x?xi64>) {
  // expected-error @below {{expected ranges of 'i32', got 'i64'}}
  attn.block_range %a outs %r : memref<?xi1>, memref<2x?xi64>
  return
}

// -----

func.func @element(%a: memref<?xf32>, %r: memref<2x?xi32>) {
  // expected-error @below {{'attn.block_range' op operand #0 must be strided memref}}
  attn.block_range %a outs %r : memref<?xf32>, memref<2x?xi32>
  return
}

// -----

// load C2
func.func @load_float(%q: memref<?x?x8xf32>, %k: memref<?x1x?x8x64xf32>, %v: memref<?x1x?x16xf32>, %x: memref<?xf32>, %ranges: memref<2x?xi32>) {
  attn.attention %q, %k, %v outs %q {num_heads = 1 : i64} score(%s, %b, %h, %i, %j) {
    // expected-error @below {{expected 'ranges' of a buffer of integers, got 'memref<?xf32>'}}
    %r = attn.load %x[%j] ranges %ranges : memref<2x?xi32> : memref<?xf32>
    attn.yield %r : f32
  } : (memref<?x?x8xf32>, memref<?x1x?x8x64xf32>, memref<?x1x?x16xf32>, memref<?x?x8xf32>) -> ()
  return
}

// -----

// load C2
func.func @load_shape(%q: memref<?x?x8xf32>, %k: memref<?x1x?x8x64xf32>, %v: memref<?x1x?x16xf32>, %x: memref<?x?xi1>, %ranges: memref<2x?xi32>) {
  attn.attention %q, %k, %v outs %q {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    // expected-error @below {{expected ranges of shape [2x?x?], got [2x?]}}
    %r = attn.load %x[%b, %j] ranges %ranges : memref<2x?xi32> : memref<?x?xi1>
    attn.yield %r : i1
  } : (memref<?x?x8xf32>, memref<?x1x?x8x64xf32>, memref<?x1x?x16xf32>, memref<?x?x8xf32>) -> ()
  return
}

// -----

// load C2
func.func @load_tensor(%q: tensor<1x9x8xf32>, %x: tensor<9xi1>, %ranges: memref<2x?xi32>) -> tensor<1x9x8xf32> {
  %0 = attn.attention %q, %q, %q {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    // expected-error @below {{expected 'ranges' of a buffer of integers, got 'tensor<9xi1>'}}
    %r = attn.load %x[%j] ranges %ranges : memref<2x?xi32> : tensor<9xi1>
    attn.yield %r : i1
  } : (tensor<1x9x8xf32>, tensor<1x9x8xf32>, tensor<1x9x8xf32>) -> tensor<1x9x8xf32>
  return %0 : tensor<1x9x8xf32>
}

// -----

// load C2
func.func @load_type(%q: memref<?x?x8xf32>, %k: memref<?x1x?x8x64xf32>, %v: memref<?x1x?x16xf32>, %x: memref<?xi64>, %ranges: memref<2x?xi32>) {
  attn.attention %q, %k, %v outs %q {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    // expected-error @below {{expected ranges of 'i64', got 'i32'}}
    %r = attn.load %x[%j] ranges %ranges : memref<2x?xi32> : memref<?xi64>
    %c0 = arith.constant 0 : i64
    %keep = arith.cmpi ne, %r, %c0 : i64
    attn.yield %keep : i1
  } : (memref<?x?x8xf32>, memref<?x1x?x8x64xf32>, memref<?x1x?x16xf32>, memref<?x?x8xf32>) -> ()
  return
}
