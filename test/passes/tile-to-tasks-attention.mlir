// RUN: attn-opt %s --attn-name-dims --attn-choose-layouts --attn-bufferize --canonicalize --cse --attn-tile-to-tasks --canonicalize --cse | FileCheck %s

module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v3", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 4, key_lanes = 16, row_block = 60>} {
  // A task is 64 rows: 16 queries of the 4 query heads of one kv head, all folded in one view; the last queries first.
  // CHECK-LABEL: func.func @grouped
  // CHECK-SAME: %[[Q:arg1]]: memref<2x?x64xf32
  // CHECK: %[[N:.*]] = memref.dim %[[Q]], %c1
  // CHECK: %[[UP:.*]] = arith.addi %[[N]], %c15
  // CHECK: %[[BLOCKS:.*]] = arith.divui %[[UP]], %c16
  // CHECK: %[[TASKS:.*]] = arith.muli %[[BLOCKS]], %c4
  // CHECK: scf.forall (%{{.*}}) in (%[[TASKS]])
  // CHECK: %[[LAST:.*]] = arith.subi %[[BLOCKS]], %c1
  // CHECK: arith.subi %[[LAST]],
  // CHECK: %[[HEAD:.*]] = arith.muli %{{.*}}, %c4
  // CHECK: %[[SPLIT:.*]] = memref.expand_shape %[[Q]] {{\[\[}}0], [1], [2, 3]]
  // CHECK: memref.subview %[[SPLIT]][%[[B:.*]], %[[FIRST:.*]], %[[HEAD]], 0] [1, %{{.*}}, 4, 8] {{.*}} to memref<?x4x8xf32
  // CHECK: attn.online_attention %{{.*}} batch %[[B]] head %[[HEAD]] first %[[FIRST]] offset %c0 keys %{{.*}} packed
  // CHECK-SAME: {causal, num_heads = 8 : i64, num_kv_heads = 2 : i64,
  // CHECK: {attn.op = "attention"}
  func.func @grouped(%q: tensor<2x?x64xf32>, %k: tensor<2x?x16xf32>) -> tensor<2x?x64xf32> {
    %0 = attn.attention %q, %k, %k {causal, num_heads = 8 : i64, num_kv_heads = 2 : i64}
       : (tensor<2x?x64xf32>, tensor<2x?x16xf32>, tensor<2x?x16xf32>) -> tensor<2x?x64xf32>
    return %0 : tensor<2x?x64xf32>
  }

  // [batch, heads, queries, head_dim]: the same view, transposed. More than 64 heads of a kv head are several tasks.
  // CHECK-LABEL: func.func @many_heads
  // CHECK: scf.forall
  // CHECK: %[[LEFT:.*]] = arith.subi %c96, %[[HEAD:.*]] : index
  // CHECK: %[[COUNT:.*]] = arith.minsi %[[LEFT]], %c64
  // CHECK: %[[VIEW:.*]] = memref.subview %arg1[%{{.*}}, %[[HEAD]], %{{.*}}, 0] [1, %[[COUNT]], %{{.*}}, 8] {{.*}} to memref<?x?x8xf32
  // CHECK: %[[ROWS:.*]] = memref.transpose %[[VIEW]] (d0, d1, d2) -> (d1, d0, d2)
  // CHECK: attn.online_attention %[[ROWS]] batch %{{.*}} head %[[HEAD]]
  func.func @many_heads(%q: tensor<1x96x?x8xf32>, %k: tensor<1x1x?x8xf32>) -> tensor<1x96x?x8xf32> {
    %0 = attn.attention %q, %k, %k : (tensor<1x96x?x8xf32>, tensor<1x1x?x8xf32>, tensor<1x1x?x8xf32>) -> tensor<1x96x?x8xf32>
    return %0 : tensor<1x96x?x8xf32>
  }

  // One query over more than 512 keys: parts of whole blocks, then a merge by batch row and kv head, which writes lse.
  // CHECK-LABEL: func.func @one_query
  // CHECK-DAG: %[[PARTS:.*]] = memref.alloc() : memref<4x64x4x16xf32>
  // CHECK-DAG: %[[MAXIMA:.*]] = memref.alloc() : memref<4x64x4x2xf32>
  // CHECK: %[[MORE:.*]] = arith.cmpi sgt, %[[SPLITS:.*]], %c1 : index
  // CHECK: scf.if %[[MORE]] {
  // CHECK: %[[TASKS:.*]] = arith.muli %[[SPLITS]], %c4
  // CHECK: scf.forall (%[[T:.*]]) in (%[[TASKS]])
  // CHECK: %[[PART:.*]] = arith.remui %[[T]], %[[SPLITS]]
  // CHECK: %[[KEYS:.*]] = arith.muli %{{.*}}, %c512
  // CHECK: memref.subview %[[PARTS]][%{{.*}}, %[[PART]], 0, 0]
  // CHECK: memref.subview %[[MAXIMA]][%{{.*}}, %[[PART]], 0, 0]
  // CHECK: %[[FROM:.*]] = arith.muli %[[PART]], %[[KEYS]]
  // CHECK: %[[TO:.*]] = arith.addi %[[FROM]], %[[KEYS]]
  // CHECK: attn.online_attention {{.*}} from %[[FROM]] to %[[TO]] outs %{{.*}} partial %{{.*}} scratch
  // CHECK: {attn.op = "attention"}
  // CHECK: scf.forall (%{{.*}}) in (4)
  // CHECK: attn.merge_attention %{{.*}}, %{{.*}} outs %{{.*}} lse %{{.*}} : memref<?x4x16xf32{{.*}}>, memref<?x4x2xf32
  // CHECK: {attn.op = "attention.merge"}
  // CHECK: } else {
  // CHECK: attn.online_attention {{.*}} outs %{{.*}} lse %{{.*}} scratch
  func.func @one_query(%q: tensor<2x1x64xf32>, %k: tensor<2x?x16xf32>) -> (tensor<2x1x64xf32>, tensor<2x8x1xf32>) {
    %0:2 = attn.attention %q, %k, %k {num_heads = 8 : i64, num_kv_heads = 2 : i64}
       : (tensor<2x1x64xf32>, tensor<2x?x16xf32>, tensor<2x?x16xf32>) -> (tensor<2x1x64xf32>, tensor<2x8x1xf32>)
    return %0#0, %0#1 : tensor<2x1x64xf32>, tensor<2x8x1xf32>
  }

  // Rows without keys, and prob regions, need all keys at once: no split.
  // CHECK-LABEL: func.func @whole
  // CHECK-NOT: partial
  // CHECK: attn.online_attention {{.*}} {masked_rows = #attn<masked_rows mean>
  // CHECK: attn.online_attention {{.*}} prob(
  // CHECK-NOT: attn.merge_attention
  // CHECK: return
  func.func @whole(%q: tensor<2x1x8xf32>, %k: tensor<2x?x8xf32>) -> (tensor<2x1x8xf32>, tensor<2x1x8xf32>) {
    %0 = attn.attention %q, %k, %k {num_heads = 1 : i64, masked_rows = #attn<masked_rows mean>}
       : (tensor<2x1x8xf32>, tensor<2x?x8xf32>, tensor<2x?x8xf32>) -> tensor<2x1x8xf32>
    %1 = attn.attention %q, %k, %k {num_heads = 1 : i64} prob(%p, %b, %h, %i, %j) {
      attn.yield %p : f32
    } : (tensor<2x1x8xf32>, tensor<2x?x8xf32>, tensor<2x?x8xf32>) -> tensor<2x1x8xf32>
    return %0, %1 : tensor<2x1x8xf32>, tensor<2x1x8xf32>
  }

  // Sequences end to end: offsets are checked, a task finds its sequence, and one beyond the sequence's end does nothing.
  // CHECK-LABEL: func.func @ragged
  // CHECK: attn.pack_keys %arg2 heads 2 ragged %arg4 outs
  // CHECK: attn.fail %{{.*}}, 12, "ragged: expected offsets that ascend from 0 to the number of query rows"
  // CHECK: scf.forall
  // CHECK: %[[N:.*]] = scf.for {{.*}} iter_args
  // CHECK: %[[OFFSET:.*]] = memref.load %arg3[%[[N]]]
  // CHECK: %[[START:.*]] = arith.index_cast %[[OFFSET]] : i32 to index
  // CHECK: %[[LENGTH:.*]] = arith.subi %{{.*}}, %[[START]]
  // CHECK: %[[MORE:.*]] = arith.cmpi slt, %[[FIRST:.*]], %[[LENGTH]]
  // CHECK: scf.if %[[MORE]] {
  // CHECK: memref.load %arg4[%[[N]]]
  // CHECK: %[[PANELS:.*]] = arith.divui %{{.*}}, %c64
  // CHECK: %[[PANEL:.*]] = arith.addi %[[PANELS]], %[[N]]
  // CHECK: %[[ROW:.*]] = arith.addi %[[START]], %[[FIRST]]
  // CHECK: memref.subview %{{.*}}[0, %[[ROW]], %{{.*}}, 0]
  // CHECK: memref.subview %{{.*}}[0, %{{.*}}, %[[PANEL]], 0, 0]
  // CHECK: attn.online_attention %{{.*}} batch %[[N]] head %{{.*}} first %[[FIRST]]
  func.func @ragged(%q: tensor<1x?x64xf32>, %k: tensor<1x?x16xf32>, %rows: tensor<?xi32>, %keys: tensor<?xi32>) -> tensor<1x?x64xf32> {
    %0 = attn.attention %q, %k, %k ragged %rows ragged_keys %keys {causal, num_heads = 8 : i64, num_kv_heads = 2 : i64}
       : (tensor<1x?x64xf32>, tensor<1x?x16xf32>, tensor<1x?x16xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<1x?x64xf32>
    return %0 : tensor<1x?x64xf32>
  }

  // Scores are a second walk; after softmax it reads the lse of the first, which is made if it is no result.
  // CHECK-LABEL: func.func @scores
  // CHECK: %[[LSE:.*]] = memref.alloc(%{{.*}}, %{{.*}}) : memref<?x4x?xf32>
  // CHECK: memref.subview %[[LSE]]
  // CHECK: attn.online_attention {{.*}} lse
  // CHECK: {attn.op = "attention"}
  // CHECK: scf.forall
  // CHECK: memref.transpose %{{.*}} (d0, d1, d2) -> (d1, d0, d2)
  // CHECK: memref.subview %[[LSE]]
  // CHECK: attn.online_attention {{.*}} lse {{.*}} scores = #attn<score_point softmax>
  // CHECK: {attn.op = "attention.scores"}
  func.func @scores(%q: tensor<?x?x32xf32>, %k: tensor<?x?x32xf32>) -> tensor<?x4x?x?xf32> {
    %0:2 = attn.attention %q, %k, %k {num_heads = 4 : i64, scores = #attn<score_point softmax>}
       : (tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>) -> (tensor<?x?x32xf32>, tensor<?x4x?x?xf32>)
    return %0#1 : tensor<?x4x?x?xf32>
  }

  // Cached keys are read from the pages, up to those of this call; a mask that is too short stops the run.
  // CHECK-LABEL: func.func @cached
  // CHECK: scf.forall
  // CHECK: %[[PAST:.*]] = arith.index_cast %{{.*}} : i32 to index
  // CHECK: %[[KEYS:.*]] = arith.addi %[[PAST]],
  // CHECK: attn.fail %{{.*}}, 2, "attention_mask: expected a column for every cached and new token of its row"
  // CHECK: attn.online_attention %{{.*}} offset %[[PAST]] keys %[[KEYS]] pages %{{.*}}[%{{.*}}] of %{{.*}} stride %{{.*}} at %{{.*}}, %{{.*}} key_mask
  func.func @cached(%q: tensor<?x?x8xf32>, %m: tensor<?x?xi64> {attn.optional}, %c: !attn.cache<1x1x8x8xf32>) -> tensor<?x?x8xf32> {
    %l = arith.constant 0 : index
    %0 = attn.attention %q cache %c[%l] key_mask %m {num_heads = 1 : i64}
       : (tensor<?x?x8xf32>, !attn.cache<1x1x8x8xf32>, index, tensor<?x?xi64>) -> tensor<?x?x8xf32>
    return %0 : tensor<?x?x8xf32>
  }

  // Keys of the cross cache are those that it held before; queries count from 0.
  // CHECK-LABEL: func.func @cross
  // CHECK: scf.forall
  // CHECK: %[[KEYS:.*]] = arith.index_cast %{{.*}} : i32 to index
  // CHECK: attn.online_attention %{{.*}} offset %c0{{.*}} keys %[[KEYS]] pages
  func.func @cross(%q: tensor<?x?x8xf32>, %c: !attn.cache<1x1x8x8xf32, cross>) -> tensor<?x?x8xf32> {
    %l = arith.constant 0 : index
    %0 = attn.attention %q cache %c[%l] {num_heads = 1 : i64}
       : (tensor<?x?x8xf32>, !attn.cache<1x1x8x8xf32, cross>, index) -> tensor<?x?x8xf32>
    return %0 : tensor<?x?x8xf32>
  }

  // kv_len within the keys; positions from the bottom right.
  // CHECK-LABEL: func.func @lengths
  // CHECK: scf.forall
  // CHECK: %[[KEYS:.*]] = arith.maxsi %{{.*}}, %c0
  // CHECK: %[[OFFSET:.*]] = arith.subi %[[KEYS]], %{{.*}}
  // CHECK: attn.fail %{{.*}}, 12, "kv_len: expected lengths within the number of keys"
  // CHECK: attn.online_attention %{{.*}} offset %[[OFFSET]] keys %[[KEYS]]
  func.func @lengths(%q: tensor<?x?x8xf32>, %k: tensor<?x?x8xf32>, %n: tensor<?xi32>) -> tensor<?x?x8xf32> {
    %0 = attn.attention %q, %k, %k kv_len %n {causal, bottom_right, num_heads = 1 : i64}
       : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?xi32>) -> tensor<?x?x8xf32>
    return %0 : tensor<?x?x8xf32>
  }

  // A bias by task: a dimension of size 1 has stride 0, also when only the run knows; fewer columns hide the keys beyond.
  // CHECK-LABEL: func.func @bias
  // CHECK: %[[COLUMNS:.*]] = memref.dim %arg2, %c1
  // CHECK: %[[ONE:.*]] = arith.cmpi eq, %{{.*}}, %c1
  // CHECK: %[[STRIDE:.*]] = arith.select %[[ONE]], %c0, %[[COLUMNS]]
  // CHECK: memref.reinterpret_cast %arg2 to offset: [%{{.*}}], sizes: [%{{.*}}, 1, %[[COLUMNS]]], strides: [%[[STRIDE]], 0, 1]
  // CHECK: arith.minsi %{{.*}}, %[[COLUMNS]]
  // CHECK: attn.online_attention {{.*}} bias
  func.func @bias(%q: tensor<?x?x8xf32>, %m: tensor<?x?xi1>) -> tensor<?x?x8xf32> {
    %0 = attn.attention %q, %q, %q bias %m {num_heads = 1 : i64}
       : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?xi1>) -> tensor<?x?x8xf32>
    return %0 : tensor<?x?x8xf32>
  }

  // Regions go with the task.
  // CHECK-LABEL: func.func @regions
  // CHECK: attn.online_attention {{.*}} score(%[[S:.*]], %{{.*}}, %[[H:.*]], %{{.*}}, %{{.*}}) {
  // CHECK: attn.load %arg2[%[[H]]] : memref<4xf32>
  // CHECK: } mask(%{{.*}}, %{{.*}}, %[[I:.*]], %[[J:.*]]) {
  // CHECK: arith.cmpi ne, %[[I]], %[[J]]
  func.func @regions(%q: tensor<?x?x32xf32>, %slopes: tensor<4xf32>) -> tensor<?x?x32xf32> {
    %0 = attn.attention %q, %q, %q {num_heads = 4 : i64} score(%s, %b, %h, %i, %j) {
      %slope = attn.load %slopes[%h] : tensor<4xf32>
      %r = arith.mulf %s, %slope : f32
      attn.yield %r : f32
    } mask(%b, %h, %i, %j) {
      %keep = arith.cmpi ne, %i, %j : i32
      attn.yield %keep : i1
    } : (tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>) -> tensor<?x?x32xf32>
    return %0 : tensor<?x?x32xf32>
  }
}
