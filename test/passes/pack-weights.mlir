// RUN: attn-opt %s --attn-pack-weights | FileCheck %s

// Panels of 16 columns; pairs of k for 16-bit types; vectors in f32; 64-byte places after the header.
// CHECK: module attributes {attn.weights_bytes = [[#]] : i64}
// CHECK: @w(#{{.*}}) : tensor<2x33x16xf32> {attn.offset = 64 : i64, attn.pack = {k = 33 : i64, kind = "panels", n = 20 : i64, transposed = false}, attn.pack.parts = array<i64: 20>, attn.source = ["w"]}
// CHECK: @table(#{{.*}}) : tensor<7x17x16x2xbf16> {attn.offset = 4288 : i64, attn.pack = {k = 33 : i64, kind = "panels", n = 100 : i64, transposed = true}
// CHECK: @bias(#{{.*}}) : tensor<20xf32> {attn.offset = [[#]] : i64, attn.pack = {kind = "plain"}
// CHECK-NOT: @unused
ml_program.global private @w(#ml_program.extern<tensor<33x20xf32>>) : tensor<33x20xf32>
ml_program.global private @table(#ml_program.extern<tensor<100x33xbf16>>) : tensor<100x33xbf16>
ml_program.global private @bias(#ml_program.extern<tensor<20xbf16>>) : tensor<20xbf16>
ml_program.global private @unused(#ml_program.extern<tensor<20xbf16>>) : tensor<20xbf16>

// Arguments of blocks take the packed types too.
// CHECK-LABEL: func.func private @block
// CHECK-SAME: %arg1: tensor<2x33x16xf32>, %arg2: tensor<20xf32>
func.func private @block(%x: tensor<?x33xf32>, %w: tensor<33x20xf32>, %b: tensor<20xbf16>) -> tensor<?x20xf32> {
  %0 = attn.linear %x, %w bias %b : (tensor<?x33xf32>, tensor<33x20xf32>, tensor<20xbf16>) -> tensor<?x20xf32>
  return %0 : tensor<?x20xf32>
}

// A table shared by embedding and head is stored once and looked up from the panels.
// CHECK-LABEL: func.func @tied
// CHECK: attn.embedding %arg0, %[[T:.*]] {entries = 100 : i64}
// CHECK: attn.linear %{{.*}}, %[[T]] : (tensor<?x33xf32>, tensor<7x17x16x2xbf16>) -> tensor<?x100xf32>
func.func @tied(%ids: tensor<?xi64>) -> (tensor<?x100xf32>, tensor<?x20xf32>) {
  %w = ml_program.global_load_const @w : tensor<33x20xf32>
  %t = ml_program.global_load_const @table : tensor<100x33xbf16>
  %b = ml_program.global_load_const @bias : tensor<20xbf16>
  %x = attn.embedding %ids, %t : (tensor<?xi64>, tensor<100x33xbf16>) -> tensor<?x33xf32>
  %y = attn.linear %x, %t {transpose_weight} : (tensor<?x33xf32>, tensor<100x33xbf16>) -> tensor<?x100xf32>
  %z = call @block(%x, %w, %b) : (tensor<?x33xf32>, tensor<33x20xf32>, tensor<20xbf16>) -> tensor<?x20xf32>
  return %y, %z : tensor<?x100xf32>, tensor<?x20xf32>
}

// A vector that a region reads is stored in f32 too, and read as what it was.
// CHECK-LABEL: func.func @captured
// CHECK: %[[G:.*]] = attn.load %{{.*}}[%{{.*}}] : tensor<20xf32>
// CHECK: %[[N:.*]] = arith.truncf %[[G]] : f32 to bf16
// CHECK: arith.extf %[[N]] : bf16 to f32
func.func @captured(%x: tensor<?x?x20xf32>) -> tensor<?x?x20xf32> {
  %b = ml_program.global_load_const @bias : tensor<20xbf16>
  %0 = attn.attention %x, %x, %x {num_heads = 20 : i64} score(%s, %b0, %h, %i, %j) {
    %g = attn.load %b[%h] : tensor<20xbf16>
    %r = arith.extf %g : bf16 to f32
    attn.yield %r : f32
  } : (tensor<?x?x20xf32>, tensor<?x?x20xf32>, tensor<?x?x20xf32>) -> tensor<?x?x20xf32>
  return %0 : tensor<?x?x20xf32>
}
