// RUN: attn-opt %s --attn-print-tile-map -o /dev/null | FileCheck %s --match-full-lines

// The rules of passes/Bounds.cpp, one by one: 192 queries and keys are 3 x 3 tiles.

// Comparisons, and and or: a sliding window, or the first 64 keys.
// CHECK-LABEL: @compare: batch 0, head 0, 192 queries x 192 keys in tiles of 64 x 64
// CHECK-NEXT: #..
// CHECK-NEXT: #+.
// CHECK-NEXT: #++
// CHECK-NEXT: 3 skipped, 3 full, 3 partial
func.func @compare(%q: tensor<1x192x4xf32>) -> tensor<1x192x4xf32> {
  %o = attn.attention %q, %q, %q {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    %causal = arith.cmpi sle, %j, %i : i32
    %c65 = arith.constant 65 : i32
    %d = arith.subi %i, %j : i32
    %near = arith.cmpi slt, %d, %c65 : i32
    %window = arith.andi %causal, %near : i1
    %c64 = arith.constant 64 : i32
    %first = arith.cmpi ult, %j, %c64 : i32
    %keep = arith.ori %window, %first : i1
    attn.yield %keep : i1
  } : (tensor<1x192x4xf32>, tensor<1x192x4xf32>, tensor<1x192x4xf32>) -> tensor<1x192x4xf32>
  return %o : tensor<1x192x4xf32>
}

// Equal and not equal: the diagonal blocks of 64, and all others.
// CHECK-LABEL: @equal: batch 0, head 0, 192 queries x 192 keys in tiles of 64 x 64
// CHECK-NEXT: #..
// CHECK-NEXT: .#.
// CHECK-NEXT: ..#
// CHECK-NEXT: 6 skipped, 3 full, 0 partial
func.func @equal(%q: tensor<1x192x4xf32>) -> tensor<1x192x4xf32> {
  %o = attn.attention %q, %q, %q {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    %c64 = arith.constant 64 : i32
    %x = arith.divsi %i, %c64 : i32
    %y = arith.divui %j, %c64 : i32
    %keep = arith.cmpi eq, %x, %y : i32
    attn.yield %keep : i1
  } : (tensor<1x192x4xf32>, tensor<1x192x4xf32>, tensor<1x192x4xf32>) -> tensor<1x192x4xf32>
  return %o : tensor<1x192x4xf32>
}

// CHECK-LABEL: @different: batch 0, head 0, 192 queries x 192 keys in tiles of 64 x 64
// CHECK-NEXT: .##
// CHECK-NEXT: #.#
// CHECK-NEXT: ##.
// CHECK-NEXT: 3 skipped, 6 full, 0 partial
func.func @different(%q: tensor<1x192x4xf32>) -> tensor<1x192x4xf32> {
  %o = attn.attention %q, %q, %q {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    %c6 = arith.constant 6 : i32
    %x = arith.shrsi %i, %c6 : i32
    %y = arith.shrui %j, %c6 : i32
    %keep = arith.cmpi ne, %x, %y : i32
    attn.yield %keep : i1
  } : (tensor<1x192x4xf32>, tensor<1x192x4xf32>, tensor<1x192x4xf32>) -> tensor<1x192x4xf32>
  return %o : tensor<1x192x4xf32>
}

// The same value on both sides.
// CHECK-LABEL: @same: batch 0, head 0, 192 queries x 192 keys in tiles of 64 x 64
// CHECK-NEXT: ###
// CHECK-NEXT: ###
// CHECK-NEXT: ###
// CHECK-NEXT: 0 skipped, 9 full, 0 partial
func.func @same(%q: tensor<1x192x4xf32>) -> tensor<1x192x4xf32> {
  %o = attn.attention %q, %q, %q {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    %keep = arith.cmpi sge, %j, %j : i32
    attn.yield %keep : i1
  } : (tensor<1x192x4xf32>, tensor<1x192x4xf32>, tensor<1x192x4xf32>) -> tensor<1x192x4xf32>
  return %o : tensor<1x192x4xf32>
}

// Not, as exclusive or.
// CHECK-LABEL: @invert: batch 0, head 0, 192 queries x 192 keys in tiles of 64 x 64
// CHECK-NEXT: +##
// CHECK-NEXT: .+#
// CHECK-NEXT: ..+
// CHECK-NEXT: 3 skipped, 3 full, 3 partial
func.func @invert(%q: tensor<1x192x4xf32>) -> tensor<1x192x4xf32> {
  %o = attn.attention %q, %q, %q {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    %true = arith.constant true
    %causal = arith.cmpi sle, %j, %i : i32
    %keep = arith.xori %causal, %true : i1
    attn.yield %keep : i1
  } : (tensor<1x192x4xf32>, tensor<1x192x4xf32>, tensor<1x192x4xf32>) -> tensor<1x192x4xf32>
  return %o : tensor<1x192x4xf32>
}

// Remainders are exact within a multiple: keys 0 to 63 of every 128.
// CHECK-LABEL: @remainder: batch 0, head 0, 192 queries x 192 keys in tiles of 64 x 64
// CHECK-NEXT: #.#
// CHECK-NEXT: #.#
// CHECK-NEXT: #.#
// CHECK-NEXT: 3 skipped, 6 full, 0 partial
func.func @remainder(%q: tensor<1x192x4xf32>) -> tensor<1x192x4xf32> {
  %o = attn.attention %q, %q, %q {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    %c128 = arith.constant 128 : i32
    %r = arith.remsi %j, %c128 : i32
    %c64 = arith.constant 64 : i32
    %keep = arith.cmpi slt, %r, %c64 : i32
    attn.yield %keep : i1
  } : (tensor<1x192x4xf32>, tensor<1x192x4xf32>, tensor<1x192x4xf32>) -> tensor<1x192x4xf32>
  return %o : tensor<1x192x4xf32>
}

// CHECK-LABEL: @remainder_unsigned: batch 0, head 0, 192 queries x 192 keys in tiles of 64 x 64
// CHECK-NEXT: .#.
// CHECK-NEXT: .#.
// CHECK-NEXT: .#.
// CHECK-NEXT: 6 skipped, 3 full, 0 partial
func.func @remainder_unsigned(%q: tensor<1x192x4xf32>) -> tensor<1x192x4xf32> {
  %o = attn.attention %q, %q, %q {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    %c128 = arith.constant 128 : i32
    %r = arith.remui %j, %c128 : i32
    %c64 = arith.constant 64 : i32
    %keep = arith.cmpi sge, %r, %c64 : i32
    attn.yield %keep : i1
  } : (tensor<1x192x4xf32>, tensor<1x192x4xf32>, tensor<1x192x4xf32>) -> tensor<1x192x4xf32>
  return %o : tensor<1x192x4xf32>
}

// And with a mask of low bits is a remainder, with one of high bits rounds down.
// CHECK-LABEL: @low_bits: batch 0, head 0, 192 queries x 192 keys in tiles of 64 x 64
// CHECK-NEXT: #.#
// CHECK-NEXT: #.#
// CHECK-NEXT: #.#
// CHECK-NEXT: 3 skipped, 6 full, 0 partial
func.func @low_bits(%q: tensor<1x192x4xf32>) -> tensor<1x192x4xf32> {
  %o = attn.attention %q, %q, %q {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    %c127 = arith.constant 127 : i32
    %r = arith.andi %j, %c127 : i32
    %c64 = arith.constant 64 : i32
    %keep = arith.cmpi slt, %r, %c64 : i32
    attn.yield %keep : i1
  } : (tensor<1x192x4xf32>, tensor<1x192x4xf32>, tensor<1x192x4xf32>) -> tensor<1x192x4xf32>
  return %o : tensor<1x192x4xf32>
}

// CHECK-LABEL: @high_bits: batch 0, head 0, 192 queries x 192 keys in tiles of 64 x 64
// CHECK-NEXT: ...
// CHECK-NEXT: #..
// CHECK-NEXT: ##.
// CHECK-NEXT: 6 skipped, 3 full, 0 partial
func.func @high_bits(%q: tensor<1x192x4xf32>) -> tensor<1x192x4xf32> {
  %o = attn.attention %q, %q, %q {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    %cm64 = arith.constant -64 : i32
    %start = arith.andi %i, %cm64 : i32
    %keep = arith.cmpi slt, %j, %start : i32
    attn.yield %keep : i1
  } : (tensor<1x192x4xf32>, tensor<1x192x4xf32>, tensor<1x192x4xf32>) -> tensor<1x192x4xf32>
  return %o : tensor<1x192x4xf32>
}

// Quotients that round down and up: floor(i / 64) ≥ ceil(j / 64).
// CHECK-LABEL: @rounded: batch 0, head 0, 192 queries x 192 keys in tiles of 64 x 64
// CHECK-NEXT: +..
// CHECK-NEXT: #+.
// CHECK-NEXT: ##+
// CHECK-NEXT: 3 skipped, 3 full, 3 partial
func.func @rounded(%q: tensor<1x192x4xf32>) -> tensor<1x192x4xf32> {
  %o = attn.attention %q, %q, %q {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    %c64 = arith.constant 64 : i32
    %x = arith.floordivsi %i, %c64 : i32
    %y = arith.ceildivsi %j, %c64 : i32
    %keep = arith.cmpi sge, %x, %y : i32
    attn.yield %keep : i1
  } : (tensor<1x192x4xf32>, tensor<1x192x4xf32>, tensor<1x192x4xf32>) -> tensor<1x192x4xf32>
  return %o : tensor<1x192x4xf32>
}

// Products and shifts: j ≤ 2i, or i² + j² small.
// CHECK-LABEL: @multiply: batch 0, head 0, 192 queries x 192 keys in tiles of 64 x 64
// CHECK-NEXT: #+.
// CHECK-NEXT: ##+
// CHECK-NEXT: ###
// CHECK-NEXT: 1 skipped, 6 full, 2 partial
func.func @multiply(%q: tensor<1x192x4xf32>) -> tensor<1x192x4xf32> {
  %o = attn.attention %q, %q, %q {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    %c1 = arith.constant 1 : i32
    %x = arith.shli %i, %c1 : i32
    %a = arith.cmpi sle, %j, %x : i32
    %ii = arith.muli %i, %i : i32
    %jj = arith.muli %j, %j : i32
    %sum = arith.addi %ii, %jj : i32
    %c8000 = arith.constant 8000 : i32
    %b0 = arith.cmpi slt, %sum, %c8000 : i32
    %keep = arith.ori %a, %b0 : i1
    attn.yield %keep : i1
  } : (tensor<1x192x4xf32>, tensor<1x192x4xf32>, tensor<1x192x4xf32>) -> tensor<1x192x4xf32>
  return %o : tensor<1x192x4xf32>
}

// |j - i| ≤ 64.
// CHECK-LABEL: @distance: batch 0, head 0, 192 queries x 192 keys in tiles of 64 x 64
// CHECK-NEXT: #+.
// CHECK-NEXT: +#+
// CHECK-NEXT: .+#
// CHECK-NEXT: 2 skipped, 3 full, 4 partial
func.func @distance(%q: tensor<1x192x4xf32>) -> tensor<1x192x4xf32> {
  %o = attn.attention %q, %q, %q {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    %d = arith.subi %j, %i : i32
    %a = math.absi %d : i32
    %c64 = arith.constant 64 : i32
    %keep = arith.cmpi sle, %a, %c64 : i32
    attn.yield %keep : i1
  } : (tensor<1x192x4xf32>, tensor<1x192x4xf32>, tensor<1x192x4xf32>) -> tensor<1x192x4xf32>
  return %o : tensor<1x192x4xf32>
}

// Least and greatest: j ≤ max(min(i, 100), 63).
// CHECK-LABEL: @clamp: batch 0, head 0, 192 queries x 192 keys in tiles of 64 x 64
// CHECK-NEXT: #..
// CHECK-NEXT: #+.
// CHECK-NEXT: #+.
// CHECK-NEXT: 4 skipped, 3 full, 2 partial
func.func @clamp(%q: tensor<1x192x4xf32>) -> tensor<1x192x4xf32> {
  %o = attn.attention %q, %q, %q {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    %c100 = arith.constant 100 : i32
    %c63 = arith.constant 63 : i32
    %m = arith.minsi %i, %c100 : i32
    %n = arith.maxui %m, %c63 : i32
    %keep = arith.cmpi sle, %j, %n : i32
    attn.yield %keep : i1
  } : (tensor<1x192x4xf32>, tensor<1x192x4xf32>, tensor<1x192x4xf32>) -> tensor<1x192x4xf32>
  return %o : tensor<1x192x4xf32>
}

// Select: of either side where the condition is known.
// CHECK-LABEL: @choose: batch 0, head 0, 192 queries x 192 keys in tiles of 64 x 64
// CHECK-NEXT: #..
// CHECK-NEXT: ##.
// CHECK-NEXT: ##.
// CHECK-NEXT: 4 skipped, 5 full, 0 partial
func.func @choose(%q: tensor<1x192x4xf32>) -> tensor<1x192x4xf32> {
  %o = attn.attention %q, %q, %q {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    %c64 = arith.constant 64 : i32
    %c128 = arith.constant 128 : i32
    %c0 = arith.constant 0 : i32
    %early = arith.cmpi slt, %i, %c64 : i32
    %limit = arith.select %early, %c64, %c128 : i32
    %keep = arith.cmpi slt, %j, %limit : i32
    attn.yield %keep : i1
  } : (tensor<1x192x4xf32>, tensor<1x192x4xf32>, tensor<1x192x4xf32>) -> tensor<1x192x4xf32>
  return %o : tensor<1x192x4xf32>
}

// Wider and narrower types, flags as numbers.
// CHECK-LABEL: @widen: batch 0, head 0, 192 queries x 192 keys in tiles of 64 x 64
// CHECK-NEXT: +..
// CHECK-NEXT: #+.
// CHECK-NEXT: #++
// CHECK-NEXT: 3 skipped, 2 full, 4 partial
func.func @widen(%q: tensor<1x192x4xf32>) -> tensor<1x192x4xf32> {
  %o = attn.attention %q, %q, %q {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    %x = arith.extsi %i : i32 to i64
    %y = arith.index_cast %j : i32 to index
    %z = arith.index_cast %y : index to i64
    %causal = arith.cmpi sle, %z, %x : i64
    %one = arith.extui %causal : i1 to i32
    %t = arith.trunci %z : i64 to i8
    %c100 = arith.constant 100 : i8
    %small = arith.cmpi ult, %t, %c100 : i8
    %c1 = arith.constant 1 : i32
    %is = arith.cmpi eq, %one, %c1 : i32
    %keep = arith.andi %is, %small : i1
    attn.yield %keep : i1
  } : (tensor<1x192x4xf32>, tensor<1x192x4xf32>, tensor<1x192x4xf32>) -> tensor<1x192x4xf32>
  return %o : tensor<1x192x4xf32>
}

// What may overflow may be anything: i + 2147483600 wraps from i = 48 on.
// CHECK-LABEL: @overflow: batch 0, head 0, 192 queries x 192 keys in tiles of 64 x 64
// CHECK-NEXT: +++
// CHECK-NEXT: +++
// CHECK-NEXT: +++
// CHECK-NEXT: 0 skipped, 0 full, 9 partial
func.func @overflow(%q: tensor<1x192x4xf32>) -> tensor<1x192x4xf32> {
  %o = attn.attention %q, %q, %q {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    %big = arith.constant 2147483600 : i32
    %x = arith.addi %i, %big : i32
    %c0 = arith.constant 0 : i32
    %keep = arith.cmpi sge, %x, %c0 : i32
    attn.yield %keep : i1
  } : (tensor<1x192x4xf32>, tensor<1x192x4xf32>, tensor<1x192x4xf32>) -> tensor<1x192x4xf32>
  return %o : tensor<1x192x4xf32>
}

// A negative number is a large one: j - 64 < 64 unsigned.
// CHECK-LABEL: @unsigned: batch 0, head 0, 192 queries x 192 keys in tiles of 64 x 64
// CHECK-NEXT: .#.
// CHECK-NEXT: .#.
// CHECK-NEXT: .#.
// CHECK-NEXT: 6 skipped, 3 full, 0 partial
func.func @unsigned(%q: tensor<1x192x4xf32>) -> tensor<1x192x4xf32> {
  %o = attn.attention %q, %q, %q {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    %c64 = arith.constant 64 : i32
    %d = arith.subi %j, %c64 : i32
    %keep = arith.cmpi ult, %d, %c64 : i32
    attn.yield %keep : i1
  } : (tensor<1x192x4xf32>, tensor<1x192x4xf32>, tensor<1x192x4xf32>) -> tensor<1x192x4xf32>
  return %o : tensor<1x192x4xf32>
}

// Floats may be anything.
// CHECK-LABEL: @floats: batch 0, head 0, 192 queries x 192 keys in tiles of 64 x 64
// CHECK-NEXT: +++
// CHECK-NEXT: +++
// CHECK-NEXT: +++
// CHECK-NEXT: 0 skipped, 0 full, 9 partial
func.func @floats(%q: tensor<1x192x4xf32>) -> tensor<1x192x4xf32> {
  %o = attn.attention %q, %q, %q {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    %x = arith.sitofp %j : i32 to f32
    %z = arith.constant 0.0 : f32
    %keep = arith.cmpf oge, %x, %z : f32
    attn.yield %keep : i1
  } : (tensor<1x192x4xf32>, tensor<1x192x4xf32>, tensor<1x192x4xf32>) -> tensor<1x192x4xf32>
  return %o : tensor<1x192x4xf32>
}

// Captured values may be anything, but what they cannot change is known.
// CHECK-LABEL: @captured: batch 0, head 0, 192 queries x 192 keys in tiles of 64 x 64
// CHECK-NEXT: +..
// CHECK-NEXT: ++.
// CHECK-NEXT: +++
// CHECK-NEXT: 3 skipped, 0 full, 6 partial
func.func @captured(%q: tensor<1x192x4xf32>, %t: tensor<192xi32>, %n: i32) -> tensor<1x192x4xf32> {
  %o = attn.attention %q, %q, %q {num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    %causal = arith.cmpi sle, %j, %i : i32
    %x = attn.load %t[%j] : tensor<192xi32>
    %small = arith.cmpi slt, %x, %n : i32
    %keep = arith.andi %causal, %small : i1
    attn.yield %keep : i1
  } : (tensor<1x192x4xf32>, tensor<1x192x4xf32>, tensor<1x192x4xf32>) -> tensor<1x192x4xf32>
  return %o : tensor<1x192x4xf32>
}

// With attributes: a window of 64 keys to the left, of which the region hides the first 64 keys.
// CHECK-LABEL: @attributes: batch 0, head 0, 192 queries x 192 keys in tiles of 64 x 64
// CHECK-NEXT: ...
// CHECK-NEXT: .+.
// CHECK-NEXT: .++
// CHECK-NEXT: 6 skipped, 0 full, 3 partial
func.func @attributes(%q: tensor<1x192x4xf32>) -> tensor<1x192x4xf32> {
  %o = attn.attention %q, %q, %q {causal, window_left = 64 : i64, num_heads = 1 : i64} mask(%b, %h, %i, %j) {
    %c64 = arith.constant 64 : i32
    %keep = arith.cmpi sge, %j, %c64 : i32
    attn.yield %keep : i1
  } : (tensor<1x192x4xf32>, tensor<1x192x4xf32>, tensor<1x192x4xf32>) -> tensor<1x192x4xf32>
  return %o : tensor<1x192x4xf32>
}
