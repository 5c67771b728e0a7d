// RUN: not attn-opt %s --attn-print-tile-map=tile-rows=0 -o /dev/null 2>&1 | FileCheck %s --check-prefix=TILE
// RUN: not attn-opt %s --attn-print-tile-map="tile-rows=1 tile-keys=1" -o /dev/null 2>&1 | FileCheck %s --check-prefix=TILES
// RUN: not attn-opt %s --attn-print-tile-map=keys=2147483648 -o /dev/null 2>&1 | FileCheck %s --check-prefix=KEYS
// RUN: not attn-opt %s --attn-print-tile-map="keys=4 batch=2" -o /dev/null 2>&1 | FileCheck %s --check-prefix=BATCH
// RUN: not attn-opt %s --attn-print-tile-map="keys=4 heads=0,-1" -o /dev/null 2>&1 | FileCheck %s --check-prefix=HEAD
// RUN: not attn-opt %s --attn-print-tile-map="keys=4 tile-rows=9223372036854775807 tile-keys=9223372036854775807" -o /dev/null 2>%t | FileCheck %s
// RUN: FileCheck %s --check-prefix=POSITION < %t

// TILE: error: expected tiles of at least 1 x 1, got 0 x 64
// KEYS: error: 'attn.attention' op expected positions of 32 bits, got 4000 queries from 0 and 2147483648 keys
// BATCH: error: 'attn.attention' op expected a batch row below 2, got 2
// HEAD: error: 'attn.attention' op expected a head below 2, got -1
func.func @f(%q: tensor<2x4000x8xf32>, %k: tensor<2x?x8xf32>) -> tensor<2x4000x8xf32> {
  %o = attn.attention %q, %k, %k {causal, num_heads = 2 : i64} : (tensor<2x4000x8xf32>, tensor<2x?x8xf32>, tensor<2x?x8xf32>) -> tensor<2x4000x8xf32>
  return %o : tensor<2x4000x8xf32>
}

// TILES: error: 'attn.attention' op expected a tile map of at most 4194304 tiles, got 16000000
// CHECK: @g: batch any, head any, 4000 queries x 4000 keys in tiles of 9223372036854775807 x 9223372036854775807
// CHECK-NEXT: {{^\+$}}
func.func @g(%q: tensor<2x4000x8xf32>) -> tensor<2x4000x8xf32> {
  %o = attn.attention %q, %q, %q {causal, num_heads = 2 : i64, window_left = 9223372036854775807 : i64} : (tensor<2x4000x8xf32>, tensor<2x4000x8xf32>, tensor<2x4000x8xf32>) -> tensor<2x4000x8xf32>
  return %o : tensor<2x4000x8xf32>
}

// A position that is not a number of 32 bits.
// POSITION: error: 'attn.attention' op expected positions of 32 bits, got 4000 queries from 2147483000 and 4000 keys
func.func @h(%q: tensor<2x4000x8xf32>) -> tensor<2x4000x8xf32> {
  %o = attn.attention %q, %q, %q {causal, num_heads = 2 : i64, causal_offset = 2147483000 : i64} : (tensor<2x4000x8xf32>, tensor<2x4000x8xf32>, tensor<2x4000x8xf32>) -> tensor<2x4000x8xf32>
  return %o : tensor<2x4000x8xf32>
}
