// RUN: attn-opt %s --attn-name-dims --attn-choose-layouts --attn-pack-weights --attn-bufferize --canonicalize --attn-tile-to-tasks --attn-emit-loops --canonicalize --cse | FileCheck %s

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v4", features = "", lanes = 16, row_tile = 8, panels = 2, query_rows = 4, key_lanes = 64, row_block = 64>} {
  ml_program.global private @w(#ml_program.extern<tensor<32x32xf32>>) : tensor<32x32xf32>
  ml_program.global private @h(#ml_program.extern<tensor<32x32xbf16>>) : tensor<32x32xbf16>

  // The hot loop of the largest tile: 8 rows × 2 panels of accumulators, broadcasts from scratch, no other loads.
  // CHECK-LABEL: func.func @linear
  // CHECK: scf.for {{.*}} iter_args({{.*}}) -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>)
  // CHECK-COUNT-2: vector.load {{.*}} vector<16xf32>
  // CHECK: memref.load %{{.*}} : memref<?x32xf32
  // CHECK: vector.broadcast
  // CHECK-COUNT-2: vector.fma
  func.func @linear(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
    %w = ml_program.global_load_const @w : tensor<32x32xf32>
    %0 = attn.linear %x, %w : (tensor<?x32xf32>, tensor<32x32xf32>) -> tensor<?x32xf32>
    return %0 : tensor<?x32xf32>
  }

  // bf16 weights are pairs of k, widened in registers.
  // CHECK-LABEL: func.func @bf16
  // CHECK: vector.load {{.*}} vector<32xi16>
  // CHECK: vector.bitcast {{.*}} : vector<32xi16> to vector<16xi32>
  // CHECK-DAG: arith.shli
  // CHECK-DAG: arith.andi
  func.func @bf16(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
    %w = ml_program.global_load_const @h : tensor<32x32xbf16>
    %0 = attn.linear %x, %w : (tensor<?x32xf32>, tensor<32x32xbf16>) -> tensor<?x32xf32>
    return %0 : tensor<?x32xf32>
  }

  // Elementwise ops of the user: vectors of features, numbers in all lanes.
  // CHECK-LABEL: func.func @elementwise
  // CHECK: vector.load {{.*}} vector<16xf32>
  // CHECK: arith.mulf {{.*}} : vector<16xf32>
  // CHECK: math.tanh {{.*}} : vector<16xf32>
  // CHECK: vector.store {{.*}} vector<16xf32>
  func.func @elementwise(%x: tensor<4x4x32xf32>) -> tensor<4x4x32xf32> {
    %e = tensor.empty() : tensor<4x4x32xf32>
    %half = arith.constant 0.5 : f32
    %0 = linalg.generic {indexing_maps = [affine_map<(b, s, k) -> (b, s, k)>, affine_map<(b, s, k) -> (b, s, k)>],
                         iterator_types = ["parallel", "parallel", "parallel"]}
        ins(%x : tensor<4x4x32xf32>) outs(%e : tensor<4x4x32xf32>) {
    ^bb0(%a: f32, %o: f32):
      %1 = arith.mulf %a, %half : f32
      %2 = math.tanh %1 : f32
      linalg.yield %2 : f32
    } -> tensor<4x4x32xf32>
    return %0 : tensor<4x4x32xf32>
  }
}
