// RUN: attn-opt %s --attn-name-dims --attn-choose-layouts --attn-pack-weights --attn-bufferize --canonicalize --cse --attn-tile-to-tasks --attn-plan-workspace --attn-emit-loops --canonicalize --cse --attn-outline-tasks --canonicalize --cse -o %t
// RUN: FileCheck %s < %t

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v3", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 4, key_lanes = 16, row_block = 60>} {
  ml_program.global private @w(#ml_program.extern : tensor<32x48xf32>) : tensor<32x48xf32>
  ml_program.global private @wide(#ml_program.extern : tensor<32x3072xf32>) : tensor<32x3072xf32>
  ml_program.global private @table(#ml_program.extern : tensor<100x32xf32>) : tensor<100x32xf32>

  // 2 · 15 rows · 32 · 3072; 4 bytes each of 15 × 32 values, 32 × 3072 weights and 15 × 3072 results.
  // CHECK-LABEL: func.func @linear(
  // CHECK-DAG: %[[FLOP:.*]] = arith.constant 2949120 : index
  // CHECK-DAG: %[[BYTES:.*]] = arith.constant 579456 : index
  // CHECK: attn.dispatch @linear.linear{{.*}} "linear" flop %[[FLOP]] bytes %[[BYTES]]
  func.func @linear(%x: tensor<3x5x32xf32>) -> tensor<3x5x3072xf32> {
    %w = ml_program.global_load_const @wide : tensor<32x3072xf32>
    %0 = attn.linear %x, %w : (tensor<3x5x32xf32>, tensor<32x3072xf32>) -> tensor<3x5x3072xf32>
    return %0 : tensor<3x5x3072xf32>
  }

  // Dynamic sizes are computed when the entry runs: 3072 FLOP a row, and 6144 bytes of weights beside 320 a row.
  // CHECK-LABEL: func.func @rows(
  // CHECK: %[[ROWS:.*]] = memref.dim %arg1, %c0
  // CHECK: %[[FLOP:.*]] = arith.muli %[[ROWS]], %c3072
  // CHECK: attn.dispatch {{.*}} "linear" flop %[[FLOP]] bytes
  func.func @rows(%x: tensor<?x32xf32>) -> tensor<?x48xf32> {
    %w = ml_program.global_load_const @w : tensor<32x48xf32>
    %0 = attn.linear %x, %w : (tensor<?x32xf32>, tensor<32x48xf32>) -> tensor<?x48xf32>
    return %0 : tensor<?x48xf32>
  }

  // Of a table only the rows: 24 ids of 8 bytes, 24 × 32 values read and written.
  // CHECK-LABEL: func.func @rows_of_table(
  // CHECK-DAG: %[[BYTES:.*]] = arith.constant 6336 : index
  // CHECK: attn.dispatch {{.*}} "embedding" flop %c0 bytes %[[BYTES]]
  func.func @rows_of_table(%ids: tensor<2x12xi64>) -> tensor<2x12x32xf32> {
    %t = ml_program.global_load_const @table : tensor<100x32xf32>
    %0 = attn.embedding %ids, %t : (tensor<2x12xi64>, tensor<100x32xf32>) -> tensor<2x12x32xf32>
    return %0 : tensor<2x12x32xf32>
  }

  // 2 · 2 heads · 2 · 16 for each of 10 · 10 pairs; queries, keys, values and results of 10 · 32.
  // CHECK-LABEL: func.func @all(
  // CHECK-DAG: %[[FLOP:.*]] = arith.constant 12800 : index
  // CHECK-DAG: %[[BYTES:.*]] = arith.constant 5120 : index
  // CHECK: "attention" flop %[[FLOP]] bytes %[[BYTES]]
  func.func @all(%x: tensor<1x10x32xf32>) -> tensor<1x10x32xf32> {
    %0 = attn.attention %x, %x, %x {num_heads = 2 : i64}
       : (tensor<1x10x32xf32>, tensor<1x10x32xf32>, tensor<1x10x32xf32>) -> tensor<1x10x32xf32>
    return %0 : tensor<1x10x32xf32>
  }

  // 55 pairs.
  // CHECK-LABEL: func.func @causal(
  // CHECK-DAG: %[[FLOP:.*]] = arith.constant 7040 : index
  // CHECK: "attention" flop %[[FLOP]] bytes
  func.func @causal(%x: tensor<1x10x32xf32>) -> tensor<1x10x32xf32> {
    %0 = attn.attention %x, %x, %x {causal, num_heads = 2 : i64}
       : (tensor<1x10x32xf32>, tensor<1x10x32xf32>, tensor<1x10x32xf32>) -> tensor<1x10x32xf32>
    return %0 : tensor<1x10x32xf32>
  }

  // Of 4 queries at the end of 10 keys: 7 + 8 + 9 + 10 pairs.
  // CHECK-LABEL: func.func @end(
  // CHECK-DAG: %[[FLOP:.*]] = arith.constant 4352 : index
  // CHECK: "attention" flop %[[FLOP]] bytes
  func.func @end(%q: tensor<1x4x32xf32>, %x: tensor<1x10x32xf32>) -> tensor<1x4x32xf32> {
    %0 = attn.attention %q, %x, %x {causal, bottom_right, num_heads = 2 : i64}
       : (tensor<1x4x32xf32>, tensor<1x10x32xf32>, tensor<1x10x32xf32>) -> tensor<1x4x32xf32>
    return %0 : tensor<1x4x32xf32>
  }

  // 3 keys for each of 10 queries.
  // CHECK-LABEL: func.func @window(
  // CHECK-DAG: %[[FLOP:.*]] = arith.constant 3840 : index
  // CHECK: "attention" flop %[[FLOP]] bytes
  func.func @window(%x: tensor<1x10x32xf32>) -> tensor<1x10x32xf32> {
    %0 = attn.attention %x, %x, %x {causal, window_left = 2 : i64, num_heads = 2 : i64}
       : (tensor<1x10x32xf32>, tensor<1x10x32xf32>, tensor<1x10x32xf32>) -> tensor<1x10x32xf32>
    return %0 : tensor<1x10x32xf32>
  }

  // Cached keys are those that the cache holds when the entry runs.
  // CHECK-LABEL: func.func @cached(
  // CHECK: scf.for
  // CHECK: %[[PAST:.*]] = memref.load %{{.*}} : memref<?xi32>
  // CHECK: attn.dispatch {{.*}} "attention" flop
  func.func @cached(%q: tensor<?x?x8xf32>, %c: !attn.cache<1x1x8x8xf32>) -> tensor<?x?x8xf32> {
    %l = arith.constant 0 : index
    %0 = attn.attention %q cache %c[%l] {num_heads = 1 : i64} : (tensor<?x?x8xf32>, !attn.cache<1x1x8x8xf32>, index) -> tensor<?x?x8xf32>
    return %0 : tensor<?x?x8xf32>
  }

  // One token and the weights of 2 of 8 experts: 2 · 2 choices · 32 · 48; 4 bytes each of 32 values, 2 × 32 × 48 weights and
  // 2 × 48 results, 8 of 2 choices.
  // CHECK-LABEL: func.func @token_of_experts(
  // CHECK-DAG: %[[FLOP:.*]] = arith.constant 6144 : index
  // CHECK-DAG: %[[BYTES:.*]] = arith.constant 12816 : index
  // CHECK: attn.dispatch {{.*}} "expert_linear" flop %[[FLOP]] bytes %[[BYTES]]
  ml_program.global private @experts(#ml_program.extern : tensor<8x32x48xf32>) : tensor<8x32x48xf32>
  func.func @token_of_experts(%x: tensor<1x32xf32>, %e: tensor<1x2xi64>) -> tensor<1x2x48xf32> {
    %w = ml_program.global_load_const @experts : tensor<8x32x48xf32>
    %0 = attn.expert_linear %x, %w experts %e : (tensor<1x32xf32>, tensor<8x32x48xf32>, tensor<1x2xi64>) -> tensor<1x2x48xf32>
    return %0 : tensor<1x2x48xf32>
  }
}
