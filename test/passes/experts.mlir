// RUN: attn-opt %s --attn-name-dims --attn-pack-weights | FileCheck %s --check-prefix=PACK
// RUN: attn-opt %s --attn-name-dims --attn-pack-weights --attn-bufferize --canonicalize --attn-tile-to-tasks --canonicalize --cse | FileCheck %s --check-prefix=TASKS
// RUN: attn-opt %s --attn-name-dims --attn-pack-weights --attn-bufferize --canonicalize --attn-tile-to-tasks --attn-emit-loops --canonicalize --cse | FileCheck %s

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v3", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 4, key_lanes = 16, row_block = 60>} {
  // One tensor of all experts; experts of two tensors each.
  // PACK-DAG: @up(#{{.*}}) : tensor<3x2x8x16xf32> {attn.offset = [[#]] : i64, attn.pack = {experts = 3 : i64, k = 8 : i64, kind = "panels", n = 24 : i64, transposed = true}, attn.pack.parts = array<i64: 24>, attn.source = ["up"]}
  // PACK-DAG: @"d0+e0..d1+e1"(#{{.*}}) : tensor<2x1x12x16x2xbf16> {{{.*}}, attn.pack = {experts = 2 : i64, k = 24 : i64, kind = "panels", n = 8 : i64, stacked, transposed = false}, attn.pack.parts = array<i64: 3, 5>, attn.source = ["d0", "e0", "d1", "e1"]}
  // PACK-DAG: @b0..b1(#{{.*}}) : tensor<2x8xf32> {{{.*}}, attn.pack = {experts = 2 : i64, kind = "plain", stacked}, attn.pack.parts = array<i64: 8>, attn.source = ["b0", "b1"]}
  // PACK-NOT: @d0(
  ml_program.global private @up(#ml_program.extern<tensor<3x24x8xf32>>) : tensor<3x24x8xf32>
  ml_program.global private @d0(#ml_program.extern<tensor<24x3xbf16>>) : tensor<24x3xbf16>
  ml_program.global private @d1(#ml_program.extern<tensor<24x3xbf16>>) : tensor<24x3xbf16>
  ml_program.global private @e0(#ml_program.extern<tensor<24x5xbf16>>) : tensor<24x5xbf16>
  ml_program.global private @e1(#ml_program.extern<tensor<24x5xbf16>>) : tensor<24x5xbf16>
  ml_program.global private @b0(#ml_program.extern<tensor<8xbf16>>) : tensor<8xbf16>
  ml_program.global private @b1(#ml_program.extern<tensor<8xbf16>>) : tensor<8xbf16>

  // Weights of a block are its arguments.
  // PACK-LABEL: func.func private @block
  // PACK-SAME: %arg2: tensor<3x2x8x16xf32>
  // PACK: attn.expert_linear %arg0, %arg2 experts %{{[^ ]*}} : (tensor<?x?x8xf32>, tensor<3x2x8x16xf32>, tensor<?x?x2xi64>)

  // Choices of both products are grouped once, by a counting sort that checks them.
  // TASKS-LABEL: func.func private @block
  // TASKS: scf.forall
  // TASKS: attn.route %{{[^ ]*}} top_k 2 outs
  // TASKS: {attn.op = "route"}
  // TASKS: %[[CHOICES:.*]] = memref.alloc(%{{.*}}) : memref<?xi64>
  // TASKS: %[[BLOCKS:.*]] = memref.alloc(%{{.*}}) : memref<?x3xi64>
  // TASKS: attn.fail %{{.*}}, 12, "expert_linear: expected experts in [0, 3)"
  // TASKS-NOT: attn.fail
  // A task: one block of them, columns of the weight of its expert.
  // TASKS: scf.forall
  // TASKS: memref.load %[[BLOCKS]]
  // TASKS: memref.subview %{{.*}}[%{{.*}}, %{{.*}}, 0, 0] [1, %{{.*}}, 8, 16]
  // TASKS: memref.subview %[[CHOICES]][%{{.*}}] [%{{.*}}]
  // TASKS: attn.expert_linear %{{.*}} scratch %{{.*}} {attn.ragged, top_k = 2 : i64}
  // TASKS: {attn.op = "expert_linear"}
  // TASKS: attn.activation relu
  // TASKS: memref.subview %{{.*}}[%{{.*}}, %{{.*}}, 0, 0] [1, %{{.*}}, 24, 16]
  // TASKS: attn.expert_linear %{{.*}} scratch %{{.*}} {top_k = 1 : i64}
  // TASKS: attn.combine_experts %{{.*}} weights %{{.*}} residual %{{.*}} outs %{{.*}} : (memref<?x2x16xf32
  // TASKS: {attn.op = "combine_experts"}

  // The rows of a register tile are where the list of choices says, once for all k.
  // CHECK-LABEL: func.func private @block
  // CHECK: {attn.op = "route"}
  // CHECK: scf.forall
  // CHECK-COUNT-6: arith.divui %{{.*}}, %c2
  // CHECK: scf.for {{.*}} iter_args({{.*}}) -> (vector<8xf32>, vector<8xf32>,
  // CHECK-NOT: memref<?xi64
  // CHECK: vector.fma
  // CHECK: {attn.op = "expert_linear"}
  // CHECK-NOT: attn.combine_experts
  func.func private @block(%x: tensor<?x?x8xf32>, %logits: tensor<?x?x3xf32>, %up: tensor<3x24x8xf32>, %down: tensor<3x24x16xf32>,
                           %r: tensor<?x?x16xf32>) -> tensor<?x?x16xf32> {
    %w, %e = attn.route %logits top_k 2 : (tensor<?x?x3xf32>) -> (tensor<?x?x2xf32>, tensor<?x?x2xi64>)
    %0 = attn.expert_linear %x, %up experts %e {transpose_weight} : (tensor<?x?x8xf32>, tensor<3x24x8xf32>, tensor<?x?x2xi64>) -> tensor<?x?x2x24xf32>
    %1 = attn.activation relu %0 : (tensor<?x?x2x24xf32>) -> tensor<?x?x2x24xf32>
    %2 = attn.expert_linear %1, %down experts %e : (tensor<?x?x2x24xf32>, tensor<3x24x16xf32>, tensor<?x?x2xi64>) -> tensor<?x?x2x16xf32>
    %3 = attn.combine_experts %2 weights %w residual %r : (tensor<?x?x2x16xf32>, tensor<?x?x2xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    return %3 : tensor<?x?x16xf32>
  }

  ml_program.global private @down(#ml_program.extern<tensor<3x24x16xf32>>) : tensor<3x24x16xf32>
  func.func @model(%x: tensor<?x?x8xf32>, %logits: tensor<?x?x3xf32>, %r: tensor<?x?x16xf32>) -> tensor<?x?x16xf32> {
    %up = ml_program.global_load_const @up : tensor<3x24x8xf32>
    %down = ml_program.global_load_const @down : tensor<3x24x16xf32>
    %0 = call @block(%x, %logits, %up, %down, %r) : (tensor<?x?x8xf32>, tensor<?x?x3xf32>, tensor<3x24x8xf32>, tensor<3x24x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
    return %0 : tensor<?x?x16xf32>
  }

  func.func @stacked(%x: tensor<?x24xf32>, %e: tensor<?x2xi64>) -> tensor<?x2x8xf32> {
    %d0 = ml_program.global_load_const @d0 : tensor<24x3xbf16>
    %d1 = ml_program.global_load_const @d1 : tensor<24x3xbf16>
    %e0 = ml_program.global_load_const @e0 : tensor<24x5xbf16>
    %e1 = ml_program.global_load_const @e1 : tensor<24x5xbf16>
    %b0 = ml_program.global_load_const @b0 : tensor<8xbf16>
    %b1 = ml_program.global_load_const @b1 : tensor<8xbf16>
    %w0 = attn.concat_parameters %d0, %e0 dim 1 : (tensor<24x3xbf16>, tensor<24x5xbf16>) -> tensor<24x8xbf16>
    %w1 = attn.concat_parameters %d1, %e1 dim 1 : (tensor<24x3xbf16>, tensor<24x5xbf16>) -> tensor<24x8xbf16>
    %w = attn.stack_parameters %w0, %w1 : (tensor<24x8xbf16>, tensor<24x8xbf16>) -> tensor<2x24x8xbf16>
    %b = attn.stack_parameters %b0, %b1 : (tensor<8xbf16>, tensor<8xbf16>) -> tensor<2x8xbf16>
    %0 = attn.expert_linear %x, %w bias %b experts %e : (tensor<?x24xf32>, tensor<2x24x8xbf16>, tensor<2x8xbf16>, tensor<?x2xi64>) -> tensor<?x2x8xf32>
    return %0 : tensor<?x2x8xf32>
  }
}
