// RUN: attn-opt %s --attn-name-dims --attn-choose-layouts --attn-bufferize --attn-tile-to-tasks --split-input-file --verify-diagnostics

// expected-error @below {{expected 'attn.target' on the module}}
module {
  func.func @f(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
    return %x : tensor<?x8xf32>
  }
}

// -----

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v3", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 4, key_lanes = 16, row_block = 60>} {
  func.func @input_weight(%x: tensor<?x8xf32>, %w: tensor<8x8xf32>) -> tensor<?x8xf32> {
    // expected-error @below {{expected a packed weight: the weight of a linear must be a parameter}}
    %0 = attn.linear %x, %w : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
    return %0 : tensor<?x8xf32>
  }
}

// -----

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v3", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 4, key_lanes = 16, row_block = 60>} {
  func.func @rows(%q: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    // expected-error @below {{with sinks or masked_rows other than zero is not yet lowered}}
    %0 = attn.attention %q, %q, %q {num_heads = 1 : i64, masked_rows = #attn<masked_rows mean>}
       : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %0 : tensor<?x?x8xf32>
  }
}

// -----

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v3", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 4, key_lanes = 16, row_block = 60>} {
  func.func @bias(%q: tensor<?x?x8xf32>, %m: tensor<?x?xi1>) -> tensor<?x?x8xf32> {
    // expected-error @below {{with bias 'memref<?x?xi1>' is not yet lowered}}
    %0 = attn.attention %q, %q, %q bias %m {num_heads = 1 : i64}
       : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?xi1>) -> tensor<?x?x8xf32>
    return %0 : tensor<?x?x8xf32>
  }
}

// -----

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v3", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 4, key_lanes = 16, row_block = 60>} {
  func.func @bias(%q: tensor<?x?x8xf32>, %m: tensor<?x1xf32>) -> tensor<?x?x8xf32> {
    // expected-error @below {{with bias over a cache, or broadcast along keys, is not yet lowered}}
    %0 = attn.attention %q, %q, %q bias %m {num_heads = 1 : i64}
       : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x1xf32>) -> tensor<?x?x8xf32>
    return %0 : tensor<?x?x8xf32>
  }
}

// -----

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v3", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 4, key_lanes = 16, row_block = 60>} {
  func.func @type(%x: tensor<?x8xbf16>) -> tensor<?x8xbf16> {
    // expected-error @below {{of 'bf16' activations is not yet lowered}}
    %0 = attn.activation relu %x : (tensor<?x8xbf16>) -> tensor<?x8xbf16>
    return %0 : tensor<?x8xbf16>
  }
}

// -----

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v3", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 4, key_lanes = 16, row_block = 60>} {
  func.func @cache_type(%q: tensor<?x?x8xf32>, %c: !attn.cache<1x1x8x8xbf16>) -> tensor<?x?x8xf32> {
    %l = arith.constant 0 : index
    // expected-error @below {{over a cache of 'bf16' is not yet lowered}}
    %0 = attn.attention %q cache %c[%l] {num_heads = 1 : i64} : (tensor<?x?x8xf32>, !attn.cache<1x1x8x8xbf16>, index) -> tensor<?x?x8xf32>
    return %0 : tensor<?x?x8xf32>
  }
}
