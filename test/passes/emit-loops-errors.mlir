// RUN: attn-opt %s --attn-emit-loops --split-input-file --verify-diagnostics

// expected-error @below {{expected 'attn.target' on the module}}
module {
}

// -----

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v3", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 4, key_lanes = 16, row_block = 60>} {
  func.func @read(%c: !attn.cache<1x1x8x8xf32>, %l: index, %n: index, %out: memref<?x1x?x8xf32>) {
    // expected-error @below {{is not yet lowered}}
    attn.cache_read %c[%l] keys %n outs %out : (!attn.cache<1x1x8x8xf32>, index, index, memref<?x1x?x8xf32>) -> ()
    return
  }
}
