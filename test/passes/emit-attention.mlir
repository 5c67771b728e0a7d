// RUN: attn-opt %s --attn-name-dims --attn-choose-layouts --attn-bufferize --canonicalize --attn-tile-to-tasks --attn-emit-loops --canonicalize --cse | FileCheck %s

// One row and one vector of keys at a time.
module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v3", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 1, key_lanes = 8, row_block = 60>} {
  // Keys are transposed in registers: 8 rows, log2(8) steps of 8 shuffles, 8 columns.
  // CHECK-LABEL: func.func @plain
  // CHECK-COUNT-8: vector.maskedload
  // CHECK-COUNT-24: vector.shuffle
  // CHECK-NOT: vector.shuffle
  // CHECK-COUNT-8: vector.store %{{.*}} : memref<?x1x?x8x64xf32>, vector<8xf32>
  // CHECK-NOT: vector.store
  // CHECK: {attn.op = "pack_keys"}
  // CHECK: {attn.op = "pack_values"}
  // Only a tile at the end of the keys compares them with the row's bounds. No class, no mask that is read, no status.
  // CHECK-NOT: vector.maskedload
  // CHECK: scf.for %{{.*}} step %c512
  // CHECK-NOT: vector.maskedload
  // CHECK: scf.if %{{.*}} -> (vector<8xf32>
  // CHECK: %[[LOW:.*]] = arith.cmpi sge, %{{.*}} : vector<8xi32>
  // CHECK: %[[HIGH:.*]] = arith.cmpi slt, %{{.*}} : vector<8xi32>
  // CHECK: %[[KEEP:.*]] = arith.andi %[[LOW]], %[[HIGH]] : vector<8xi1>
  // CHECK: arith.select %[[KEEP]], %{{.*}}, %{{.*}} : vector<8xi1>, vector<8xf32>
  // CHECK: } else {
  // CHECK-NOT: arith.cmpi
  // CHECK: vector.extract_strided_slice %{{.*}} {offsets = [4], sizes = [4]
  // CHECK-NOT: vector.maskedload
  // CHECK-NOT: attn.fail
  // CHECK: {attn.op = "attention"}
  func.func @plain(%q: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %0 = attn.attention %q, %q, %q {num_heads = 1 : i64} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %0 : tensor<?x?x8xf32>
  }

  // The last columns of a head_dim that is no multiple of the lanes.
  // CHECK-LABEL: func.func @odd
  // CHECK: vector.create_mask %{{.*}} : vector<8xi1>
  // CHECK-COUNT-24: vector.shuffle
  // CHECK: %[[TWO:.*]] = arith.select %{{.*}}, %c2, %c0 : index
  // CHECK: vector.create_mask %[[TWO]] : vector<8xi1>
  // CHECK-COUNT-2: vector.store %{{.*}} : memref<?x1x?x10x64xf32>, vector<8xf32>
  // CHECK-NOT: vector.store
  // CHECK: {attn.op = "pack_keys"}
  func.func @odd(%q: tensor<?x?x10xf32>) -> tensor<?x?x10xf32> {
    %0 = attn.attention %q, %q, %q {num_heads = 1 : i64} : (tensor<?x?x10xf32>, tensor<?x?x10xf32>, tensor<?x?x10xf32>) -> tensor<?x?x10xf32>
    return %0 : tensor<?x?x10xf32>
  }

  // What causal and a window show are bounds by row, from which the first and the last block follow.
  // CHECK-LABEL: func.func @window
  // CHECK: {attn.op = "pack_values"}
  // CHECK: %[[NEXT:.*]] = arith.addi %[[AT:.*]], %c1 : index
  // CHECK: arith.minsi %{{.*}}, %[[NEXT]]
  // CHECK: %[[LEFT:.*]] = arith.subi %[[AT]], %c9
  // CHECK: arith.maxsi %[[LEFT]], %c0
  // CHECK: scf.for %{{.*}} = %[[FIRST:[^ ]*]] to %{{.*}} step %c512
  // CHECK-NOT: vector.maskedload
  // CHECK-NOT: attn.fail
  // CHECK: {attn.op = "attention"}
  func.func @window(%q: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %0 = attn.attention %q, %q, %q {causal, num_heads = 1 : i64, window_left = 9 : i64} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %0 : tensor<?x?x8xf32>
  }

  // key_mask may be left out: a null pointer. Its first and last visible key bound all rows; it is read again only if
  // there are holes between them.
  // CHECK-LABEL: func.func @key_mask
  // CHECK: {attn.op = "pack_values"}
  // CHECK: %[[POINTER:.*]] = memref.extract_aligned_pointer_as_index
  // CHECK: %[[GIVEN:.*]] = arith.cmpi ne, %[[POINTER]], %c0
  // CHECK: %[[BOUNDS:.*]]:3 = scf.if %[[GIVEN]] -> (index, index, i1) {
  // CHECK: vector.maskedload %{{.*}} : memref<?xi64, {{.*}}>, vector<8xi1>, vector<8xi64> into vector<8xi64>
  // CHECK: } else {
  // CHECK-NEXT: scf.yield %c0, %{{.*}}, %false
  // CHECK: arith.minsi %[[BOUNDS]]#0, %
  // CHECK: scf.if %[[BOUNDS]]#2 -> (vector<8xi1>) {
  // CHECK: %[[M:.*]] = vector.maskedload %{{.*}} : memref<?xi64, {{.*}}>, vector<8xi1>, vector<8xi64> into vector<8xi64>
  // CHECK: arith.cmpi ne, %[[M]], %{{.*}} : vector<8xi64>
  func.func @key_mask(%q: tensor<?x?x8xf32>, %m: tensor<?x?xi64> {attn.optional}) -> tensor<?x?x8xf32> {
    %0 = attn.attention %q, %q, %q key_mask %m {num_heads = 1 : i64} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?xi64>) -> tensor<?x?x8xf32>
    return %0 : tensor<?x?x8xf32>
  }

  // A bool bias is bytes; it hides pairs, so values behind it are never added.
  // CHECK-LABEL: func.func @bool_bias
  // CHECK: {attn.op = "pack_values"}
  // CHECK: %[[BYTES:.*]] = builtin.unrealized_conversion_cast %{{.*}} to memref<?x?x?xi8
  // CHECK: %[[M:.*]] = vector.maskedload %[[BYTES]]{{.*}} into vector<8xi8>
  // CHECK: arith.cmpi ne, %[[M]], %{{.*}} : vector<8xi8>
  // CHECK-NOT: vector.maskedload %{{.*}} into vector<8xf32>
  // CHECK: {attn.op = "attention"}
  func.func @bool_bias(%q: tensor<?x?x8xf32>, %m: tensor<?x?xi1>) -> tensor<?x?x8xf32> {
    %0 = attn.attention %q, %q, %q bias %m {num_heads = 1 : i64} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?xi1>) -> tensor<?x?x8xf32>
    return %0 : tensor<?x?x8xf32>
  }

  // A float bias is added in units of log2; one value for all keys is broadcast.
  // CHECK-LABEL: func.func @float_bias
  // CHECK: {attn.op = "pack_values"}
  // CHECK: %[[X:.*]] = memref.load %{{.*}} : memref<?x1x1xf32
  // CHECK: %[[ALL:.*]] = vector.broadcast %[[X]] : f32 to vector<8xf32>
  // CHECK: vector.fma %[[ALL]], %{{.*}}, %{{.*}} : vector<8xf32>
  func.func @float_bias(%q: tensor<?x?x8xf32>, %m: tensor<?x1xf32>) -> tensor<?x?x8xf32> {
    %0 = attn.attention %q, %q, %q bias %m {num_heads = 1 : i64} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x1xf32>) -> tensor<?x?x8xf32>
    return %0 : tensor<?x?x8xf32>
  }

  // NaN and Inf of values that a mask hides: a product that is not finite is done again without values of weight 0.
  // CHECK-LABEL: func.func @soft_cap
  // CHECK: {attn.op = "pack_values"}
  // CHECK: math.tanh %{{.*}} : vector<8xf32>
  // CHECK: %[[FINITE:.*]] = arith.cmpf oeq, %{{.*}}, %{{.*}} : f32
  // CHECK-NEXT: %[[AGAIN:.*]] = arith.xori %[[FINITE]], %true
  // CHECK: scf.if %[[AGAIN]] {
  // CHECK: %[[W:.*]] = memref.load
  // CHECK: %[[COUNTS:.*]] = arith.cmpf une, %[[W]], %{{.*}} : f32
  // CHECK: arith.select %[[COUNTS]], %{{.*}} : vector<8xf32>
  func.func @soft_cap(%q: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %0 = attn.attention %q, %q, %q {causal, num_heads = 1 : i64, soft_cap = 30.0 : f64} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %0 : tensor<?x?x8xf32>
  }

  // A row that saw no key gets the mean of all valid values.
  // CHECK-LABEL: func.func @mean
  // CHECK: {attn.op = "pack_values"}
  // CHECK: step %c512
  // CHECK: scf.for %{{.*}} = %c0 to %{{.*}} step %c64 {
  // CHECK: arith.sitofp %{{.*}} : i32 to f32
  func.func @mean(%q: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    %0 = attn.attention %q, %q, %q {causal, causal_offset = -3 : i64, num_heads = 1 : i64, masked_rows = #attn<masked_rows mean>} : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    return %0 : tensor<?x?x8xf32>
  }

  // Rows of several heads have a logit each, which only adds to the denominator.
  // CHECK-LABEL: func.func @sink_logits
  // CHECK: %[[LOGITS:.*]] = memref.subview %arg3[%{{.*}}] [2] [1]
  // CHECK: step %c512
  // CHECK: %[[G:.*]] = arith.remui %{{.*}}, %c2
  // CHECK: memref.load %[[LOGITS]][%[[G]]]
  func.func @sink_logits(%q: tensor<?x?x32xf32>, %k: tensor<?x?x16xf32>, %l: tensor<4xf32>) -> tensor<?x?x32xf32> {
    %0 = attn.attention %q, %k, %k sink_logits %l {num_heads = 4 : i64, num_kv_heads = 2 : i64}
       : (tensor<?x?x32xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<4xf32>) -> tensor<?x?x32xf32>
    return %0 : tensor<?x?x32xf32>
  }

  // Pages: the table's entry, then keys and values in place.
  // CHECK-LABEL: func.func @cached
  // CHECK-NOT: pack_keys
  // CHECK: %[[PAGE:.*]] = memref.load %{{.*}} : memref<?xi32, strided<[1], offset: ?>>
  // CHECK: memref.reinterpret_cast %{{.*}} to offset: [%{{.*}}], sizes: [1, 8, 64], strides: [512, 64, 1]
  // CHECK: memref.reinterpret_cast %{{.*}} to offset: [%{{.*}}], sizes: [64, 16], strides: [16, 1]
  func.func @cached(%q: tensor<?x?x8xf32>, %c: !attn.cache<1x1x8x8xf32>) -> tensor<?x?x8xf32> {
    %l = arith.constant 0 : index
    %0 = attn.attention %q cache %c[%l] {num_heads = 1 : i64} : (tensor<?x?x8xf32>, !attn.cache<1x1x8x8xf32>, index) -> tensor<?x?x8xf32>
    return %0 : tensor<?x?x8xf32>
  }

  // A part leaves its sum, maximum and denominator; the merge rescales to the greater maximum and divides once.
  // CHECK-LABEL: func.func @one_query
  // CHECK: {attn.op = "pack_values"}
  // CHECK: scf.if
  // CHECK: memref.store %{{.*}} : memref<1x1x2xf32
  // CHECK: memref.store %{{.*}} : memref<1x1x2xf32
  // CHECK: {attn.op = "attention"}
  // CHECK: %[[STATE:.*]]:2 = scf.for %{{.*}} = %c1 to %{{.*}} iter_args({{.*}}) -> (f32, f32) {
  // CHECK: %[[MORE:.*]] = arith.cmpf ogt
  // CHECK: arith.select %[[MORE]]
  // CHECK: arith.divf %{{.*}}, %[[STATE]]#1 : f32
  // CHECK: {attn.op = "attention.merge"}
  func.func @one_query(%q: tensor<?x1x8xf32>, %k: tensor<?x?x8xf32>) -> tensor<?x1x8xf32> {
    %0 = attn.attention %q, %k, %k {num_heads = 1 : i64} : (tensor<?x1x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x1x8xf32>
    return %0 : tensor<?x1x8xf32>
  }

  // Scores as they are, masked or not, up to the last key.
  // CHECK-LABEL: func.func @raw_scores
  // CHECK: {attn.op = "attention"}
  // CHECK-NOT: arith.select {{.*}} vector<8xf32>
  // CHECK: %[[KEYS:.*]] = vector.create_mask
  // CHECK-NEXT: vector.maskedstore %{{.*}}, %[[KEYS]], %{{.*}} : memref<?x?x?xf32
  // CHECK: {attn.op = "attention.scores"}
  func.func @raw_scores(%q: tensor<2x?x8xf32>) -> tensor<2x1x?x?xf32> {
    %0:2 = attn.attention %q, %q, %q {causal, num_heads = 1 : i64, scores = #attn<score_point raw>}
       : (tensor<2x?x8xf32>, tensor<2x?x8xf32>, tensor<2x?x8xf32>) -> (tensor<2x?x8xf32>, tensor<2x1x?x?xf32>)
    return %0#1 : tensor<2x1x?x?xf32>
  }
}
