// RUN: attn-opt %s --attn-pack-weights | FileCheck %s

// Joined parameters become one with several sources.
// CHECK: @"q+k"(#{{.*}}) : tensor<2x8x16xf32> {attn.offset = 64 : i64, attn.pack = {k = 8 : i64, kind = "panels", n = 24 : i64, transposed = false}, attn.pack.parts = array<i64: 8, 16>, attn.source = ["q", "k"]}
// CHECK-NOT: ml_program.global private @q(
ml_program.global private @q(#ml_program.extern<tensor<8x8xf32>>) : tensor<8x8xf32>
ml_program.global private @k(#ml_program.extern<tensor<8x16xf32>>) : tensor<8x16xf32>
func.func @f(%x: tensor<?x8xf32>) -> tensor<?x24xf32> {
  %q = ml_program.global_load_const @q : tensor<8x8xf32>
  %k = ml_program.global_load_const @k : tensor<8x16xf32>
  %w = attn.concat_parameters %q, %k dim 1 : (tensor<8x8xf32>, tensor<8x16xf32>) -> tensor<8x24xf32>
  %y = attn.linear %x, %w : (tensor<?x8xf32>, tensor<8x24xf32>) -> tensor<?x24xf32>
  return %y : tensor<?x24xf32>
}
