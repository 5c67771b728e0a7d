// RUN: attn-opt %s --attn-print-tile-map="queries=100 keys=200 tile-rows=50 tile-keys=100 batch=1 heads=0,2" -o /dev/null | FileCheck %s --match-full-lines
// RUN: attn-opt %s --attn-print-tile-map=remarks=true -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK
// RUN: attn-opt %s --attn-print-tile-map -o /dev/null 2>&1 | FileCheck %s --check-prefix=DYNAMIC

// Sizes and what to print as options, where they are dynamic; remarks of the counts, where they are static.

// A map for each head, since the mask uses h; none for each batch row.
// CHECK-LABEL: @heads: batch 1, head 0, 100 queries x 200 keys in tiles of 50 x 100
// CHECK-NEXT: ##
// CHECK-NEXT: ##
// CHECK-NEXT: 0 skipped, 4 full, 0 partial
// CHECK-NEXT: @heads: batch 1, head 2, 100 queries x 200 keys in tiles of 50 x 100
// CHECK-NEXT: .#
// CHECK-NEXT: .#
// CHECK-NEXT: 2 skipped, 2 full, 0 partial
func.func @heads(%q: tensor<2x100x8xf32>, %k: tensor<2x200x8xf32>) -> tensor<2x100x8xf32> {
  // REMARK: print-tile-map-options.mlir:[[# @LINE + 1]]:8: remark: tile map of 64 x 64: 6 skipped, 20 full, 6 partial
  %o = attn.attention %q, %k, %k {num_heads = 4 : i64} mask(%b, %h, %i, %j) {
    %c50 = arith.constant 50 : i32
    %first = arith.muli %h, %c50 : i32
    %keep = arith.cmpi sge, %j, %first : i32
    attn.yield %keep : i1
  } : (tensor<2x100x8xf32>, tensor<2x200x8xf32>, tensor<2x200x8xf32>) -> tensor<2x100x8xf32>
  return %o : tensor<2x100x8xf32>
}

// The 100 tokens of the cache that are not new come before query 0.
// CHECK-LABEL: @cache: batch 1, head 0, 100 queries x 200 keys in tiles of 50 x 100
// CHECK-NEXT: #+
// CHECK-NEXT: #+
// CHECK-NEXT: 0 skipped, 2 full, 2 partial
// CHECK-NEXT: @cache: batch 1, head 2, 100 queries x 200 keys in tiles of 50 x 100
// CHECK-NEXT: #+
// CHECK-NEXT: #+
// CHECK-NEXT: 0 skipped, 2 full, 2 partial
func.func @cache(%q: tensor<?x?x12xf32>, %cache: !attn.cache<1x1x4x4xf32>, %layer: index) -> tensor<?x?x12xf32> {
  // REMARK-NOT: remark
  // DYNAMIC: print-tile-map-options.mlir:[[# @LINE + 1]]:8: remark: no tile map: the number of queries or keys is dynamic; give queries= and keys=
  %o = attn.attention %q cache %cache[%layer] {causal, num_heads = 3 : i64} : (tensor<?x?x12xf32>, !attn.cache<1x1x4x4xf32>, index) -> tensor<?x?x12xf32>
  return %o : tensor<?x?x12xf32>
}

// Queries at the bottom right; prefixes and lengths are only known at run time.
// CHECK-LABEL: @bottom_right: batch 1, head 0, 100 queries x 200 keys in tiles of 50 x 100
// CHECK-NEXT: #+
// CHECK-NEXT: #+
// CHECK: @prefix: batch 1, head 0, 100 queries x 200 keys in tiles of 50 x 100
// CHECK-NEXT: ++
// CHECK-NEXT: ++
// CHECK: @lengths: batch 1, head 0, 100 queries x 200 keys in tiles of 50 x 100
// CHECK-NEXT: +.
// CHECK-NEXT: +.
func.func @bottom_right(%q: tensor<2x3x?x4xf32>, %k: tensor<2x3x?x4xf32>) -> tensor<2x3x?x4xf32> {
  %o = attn.attention %q, %k, %k {causal, bottom_right} : (tensor<2x3x?x4xf32>, tensor<2x3x?x4xf32>, tensor<2x3x?x4xf32>) -> tensor<2x3x?x4xf32>
  return %o : tensor<2x3x?x4xf32>
}
func.func @prefix(%q: tensor<2x3x?x4xf32>, %k: tensor<2x3x?x4xf32>, %n: tensor<2xi32>) -> tensor<2x3x?x4xf32> {
  %o = attn.attention %q, %k, %k prefix %n : (tensor<2x3x?x4xf32>, tensor<2x3x?x4xf32>, tensor<2x3x?x4xf32>, tensor<2xi32>) -> tensor<2x3x?x4xf32>
  return %o : tensor<2x3x?x4xf32>
}
func.func @lengths(%q: tensor<2x3x?x4xf32>, %k: tensor<2x3x?x4xf32>, %n: tensor<2xi32>) -> tensor<2x3x?x4xf32> {
  %o = attn.attention %q, %k, %k kv_len %n {causal} : (tensor<2x3x?x4xf32>, tensor<2x3x?x4xf32>, tensor<2x3x?x4xf32>, tensor<2xi32>) -> tensor<2x3x?x4xf32>
  return %o : tensor<2x3x?x4xf32>
}

// Nothing is hidden: no map.
// CHECK-NOT: @plain
// REMARK-NOT: remark
func.func @plain(%q: tensor<2x100x8xf32>) -> tensor<2x100x8xf32> {
  %o = attn.attention %q, %q, %q {num_heads = 4 : i64} : (tensor<2x100x8xf32>, tensor<2x100x8xf32>, tensor<2x100x8xf32>) -> tensor<2x100x8xf32>
  return %o : tensor<2x100x8xf32>
}
