// RUN: attn-opt %s --attn-name-dims --attn-choose-layouts --attn-pack-weights --attn-bufferize --attn-tile-to-tasks --split-input-file --verify-diagnostics

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
  ml_program.global private @w(#ml_program.extern<tensor<8x8xf32>>) : tensor<8x8xf32>
  func.func @linear_of_slice(%x: tensor<2x5x8xf32>) -> tensor<2x4x8xf32> {
    %w = ml_program.global_load_const @w : tensor<8x8xf32>
    %half = tensor.extract_slice %x[0, 1, 0] [2, 4, 8] [1, 1, 1] : tensor<2x5x8xf32> to tensor<2x4x8xf32>
    // expected-error @below {{of a strided view is not yet lowered, except for a slice of features}}
    %0 = attn.linear %half, %w : (tensor<2x4x8xf32>, tensor<8x8xf32>) -> tensor<2x4x8xf32>
    return %0 : tensor<2x4x8xf32>
  }
}

// -----

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v3", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 4, key_lanes = 16, row_block = 60>} {
  func.func @norm_of_slice(%x: tensor<?x4x16xf32>, %g: tensor<8xf32>) -> tensor<2x4x8xf32> {
    %half = tensor.extract_slice %x[0, 0, 8] [2, 4, 8] [1, 1, 1] : tensor<?x4x16xf32> to tensor<2x4x8xf32>
    // expected-error @below {{of a strided view is not yet lowered, except for a slice of features}}
    %0 = attn.rms_norm %half, %g : (tensor<2x4x8xf32>, tensor<8xf32>) -> tensor<2x4x8xf32>
    return %0 : tensor<2x4x8xf32>
  }
}

// -----

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v3", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 4, key_lanes = 16, row_block = 60>} {
  func.func @every_other(%x: tensor<4x16xf32>) -> tensor<4x8xf32> {
    %half = tensor.extract_slice %x[0, 0] [4, 8] [1, 2] : tensor<4x16xf32> to tensor<4x8xf32>
    // expected-error @below {{of a strided view is not yet lowered, except for a slice of features}}
    %0 = attn.activation relu %half : (tensor<4x8xf32>) -> tensor<4x8xf32>
    return %0 : tensor<4x8xf32>
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
  func.func @double(%q: tensor<?x?x8xf64>) -> tensor<?x?x8xf64> {
    // expected-error @below {{of f64 is not yet lowered}}
    %0 = attn.attention %q, %q, %q {num_heads = 1 : i64}
       : (tensor<?x?x8xf64>, tensor<?x?x8xf64>, tensor<?x?x8xf64>) -> tensor<?x?x8xf64>
    return %0 : tensor<?x?x8xf64>
  }
}

// -----

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v3", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 4, key_lanes = 16, row_block = 60>} {
  func.func @bias_of_slice(%q: tensor<2x4x8xf32>, %m: tensor<8x8xf32>) -> tensor<2x4x8xf32> {
    %half = tensor.extract_slice %m[0, 4] [4, 4] [1, 1] : tensor<8x8xf32> to tensor<4x4xf32>
    // expected-error @below {{with bias 'memref<4x4xf32, strided<[8, 1], offset: 4>>' is not yet lowered}}
    %0 = attn.attention %q, %q, %q bias %half {num_heads = 1 : i64}
       : (tensor<2x4x8xf32>, tensor<2x4x8xf32>, tensor<2x4x8xf32>, tensor<4x4xf32>) -> tensor<2x4x8xf32>
    return %0 : tensor<2x4x8xf32>
  }
}

// -----

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v3", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 4, key_lanes = 16, row_block = 60>} {
  func.func @input_weight_of_experts(%x: tensor<?x8xf32>, %w: tensor<3x8x8xf32>, %e: tensor<?x2xi64>) -> tensor<?x2x8xf32> {
    // expected-error @below {{expected a packed weight: the weight of a linear must be a parameter}}
    %0 = attn.expert_linear %x, %w experts %e : (tensor<?x8xf32>, tensor<3x8x8xf32>, tensor<?x2xi64>) -> tensor<?x2x8xf32>
    return %0 : tensor<?x2x8xf32>
  }
}

// -----

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v3", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 4, key_lanes = 16, row_block = 60>} {
  ml_program.global private @w(#ml_program.extern<tensor<3x8x8xf32>>) : tensor<3x8x8xf32>
  func.func @experts_of_slice(%x: tensor<4x8xf32>, %e: tensor<4x5xi64>) -> tensor<4x2x8xf32> {
    %w = ml_program.global_load_const @w : tensor<3x8x8xf32>
    %first = tensor.extract_slice %e[0, 0] [4, 2] [1, 1] : tensor<4x5xi64> to tensor<4x2xi64>
    // expected-error @below {{of strided experts is not yet lowered}}
    %0 = attn.expert_linear %x, %w experts %first : (tensor<4x8xf32>, tensor<3x8x8xf32>, tensor<4x2xi64>) -> tensor<4x2x8xf32>
    return %0 : tensor<4x2x8xf32>
  }
}

// -----

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v3", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 4, key_lanes = 16, row_block = 60>} {
  ml_program.global private @w(#ml_program.extern<tensor<3x8x8xf32>>) : tensor<3x8x8xf32>
  func.func @experts_f64(%x: tensor<?x8xf64>, %e: tensor<?x2xi64>) -> tensor<?x2x8xf32> {
    %w = ml_program.global_load_const @w : tensor<3x8x8xf32>
    // expected-error @below {{of f64 is not yet lowered}}
    %0 = attn.expert_linear %x, %w experts %e : (tensor<?x8xf64>, tensor<3x8x8xf32>, tensor<?x2xi64>) -> tensor<?x2x8xf32>
    return %0 : tensor<?x2x8xf32>
  }
}

// -----

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v3", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 4, key_lanes = 16, row_block = 60>} {
  func.func @combine_f16(%y: tensor<?x2x8xf16>, %w: tensor<?x2xf16>) -> tensor<?x8xf16> {
    // expected-error @below {{of 'f16' activations is not yet lowered}}
    %0 = attn.combine_experts %y weights %w : (tensor<?x2x8xf16>, tensor<?x2xf16>) -> tensor<?x8xf16>
    return %0 : tensor<?x8xf16>
  }
}
