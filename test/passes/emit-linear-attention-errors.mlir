// RUN: attn-opt %s --attn-name-dims --attn-bufferize --attn-tile-to-tasks --split-input-file --verify-diagnostics

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v3", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 4, key_lanes = 16, row_block = 60>} {
  func.func @double(%q: tensor<?x?x8xf64>) -> tensor<?x?x8xf64> {
    // expected-error @below {{of 'memref<?x?x8xf64>' is not yet lowered}}
    %0 = attn.linear_attention linear %q, %q, %q {num_heads = 1 : i64} : (tensor<?x?x8xf64>, tensor<?x?x8xf64>, tensor<?x?x8xf64>) -> tensor<?x?x8xf64>
    return %0 : tensor<?x?x8xf64>
  }
}

// -----

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v3", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 4, key_lanes = 16, row_block = 60>} {
  func.func @strided(%q: tensor<2x5x8xf32>, %w: tensor<2x5x16xf32>) -> tensor<2x5x8xf32> {
    %k = tensor.extract_slice %w[0, 0, 0] [2, 5, 8] [1, 1, 2] : tensor<2x5x16xf32> to tensor<2x5x8xf32>
    // expected-error @below {{of 'memref<2x5x8xf32, strided<[80, 16, 2]>>' is not yet lowered}}
    %0 = attn.linear_attention linear %q, %k, %q {num_heads = 1 : i64} : (tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<2x5x8xf32>) -> tensor<2x5x8xf32>
    return %0 : tensor<2x5x8xf32>
  }
}
