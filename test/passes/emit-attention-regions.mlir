// RUN: attn-opt %s --attn-name-dims --attn-choose-layouts --attn-bufferize --canonicalize --attn-range-captures --attn-tile-to-tasks --attn-emit-loops --canonicalize --cse | FileCheck %s

// A region is computed for 8 keys at a time: what does not depend on the key once, as scalars.
module attributes {attn.target = #attn.target<name = "t", cpu = "x86-64-v3", features = "", lanes = 8, row_tile = 6, panels = 1, query_rows = 1, key_lanes = 8, row_block = 60>} {
  // By head: one value, proven to lie within the tensor.
  // CHECK-LABEL: func.func @by_head
  // CHECK: {attn.op = "pack_values"}
  // CHECK-NOT: arith.cmpi ult
  // CHECK: %[[X:.*]] = memref.load %arg2[%{{.*}}] : memref<4xf32>
  // CHECK-NEXT: vector.broadcast %[[X]] : f32 to vector<8xf32>
  // CHECK-NOT: arith.cmpi ult
  // CHECK: {attn.op = "attention"}
  func.func @by_head(%q: tensor<?x?x32xf32>, %x: tensor<4xf32>) -> tensor<?x?x32xf32> {
    %0 = attn.attention %q, %q, %q {num_heads = 4 : i64} score(%s, %b, %h, %i, %j) {
      %a = attn.load %x[%h] : tensor<4xf32>
      %r = arith.mulf %s, %a : f32
      attn.yield %r : f32
    } : (tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>) -> tensor<?x?x32xf32>
    return %0 : tensor<?x?x32xf32>
  }

  // By query: checked, and element 0 where outside, if there is one. The task reports it at its end.
  // CHECK-LABEL: func.func @by_query
  // CHECK: {attn.op = "pack_values"}
  // CHECK: %[[OK:.*]] = arith.cmpi ult, %[[I:.*]], %{{.*}} : i32
  // CHECK: %[[AT:.*]] = arith.select %[[OK]], %{{.*}}, %c0 : index
  // CHECK: %[[ANY:.*]] = arith.cmpi sgt, %{{.*}}, %c0
  // CHECK: scf.if %[[ANY]] -> (f32) {
  // CHECK-NEXT: memref.load %arg2[%[[AT]]] : memref<?xf32>
  // CHECK: memref.store %c1_i32, %[[OUTSIDE:.*]][%c0] : memref<1xi32>
  // CHECK: %[[BAD:.*]] = memref.load %[[OUTSIDE]][%c0]
  // CHECK: %[[FAILED:.*]] = arith.cmpi eq, %[[BAD]], %c1_i32
  // CHECK: attn.fail %[[FAILED]], 12, "{{.*}}: expected the indices of attn.load in 'score' within its shape"
  func.func @by_query(%q: tensor<?x?x32xf32>, %x: tensor<?xf32>) -> tensor<?x?x32xf32> {
    %0 = attn.attention %q, %q, %q {num_heads = 4 : i64} score(%s, %b, %h, %i, %j) {
      %a = attn.load %x[%i] : tensor<?xf32>
      %r = arith.mulf %s, %a : f32
      attn.yield %r : f32
    } : (tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>) -> tensor<?x?x32xf32>
    return %0 : tensor<?x?x32xf32>
  }

  // By key: one contiguous load. At an edge lanes are checked one by one, else the vector's ends are.
  // CHECK-LABEL: func.func @by_key
  // CHECK: {attn.op = "pack_values"}
  // CHECK: %[[OK:.*]] = arith.cmpi ult, %{{.*}}, %{{.*}} : vector<8xi32>
  // CHECK: vector.maskedload %arg2[%{{.*}}], %{{.*}} : memref<?xf32>, vector<8xi1>, vector<8xf32> into vector<8xf32>
  // CHECK: } else {
  // CHECK: %[[SIZE:.*]] = memref.dim %arg2
  // CHECK-NOT: vector<8xi32>
  // CHECK: arith.cmpi sle, %{{.*}}, %[[SIZE]] : index
  // CHECK: vector.maskedload %arg2[%{{.*}}], %{{.*}} : memref<?xf32>, vector<8xi1>, vector<8xf32> into vector<8xf32>
  // CHECK-NOT: vector.gather
  // CHECK: {attn.op = "attention"}
  func.func @by_key(%q: tensor<?x?x32xf32>, %x: tensor<?xf32>) -> tensor<?x?x32xf32> {
    %0 = attn.attention %q, %q, %q {num_heads = 4 : i64} score(%s, %b, %h, %i, %j) {
      %a = attn.load %x[%j] : tensor<?xf32>
      %r = arith.addf %s, %a : f32
      attn.yield %r : f32
    } : (tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>) -> tensor<?x?x32xf32>
    return %0 : tensor<?x?x32xf32>
  }

  // By distance within a constant reach: contiguous between the ends, the first and the last value beyond.
  // CHECK-LABEL: func.func @by_distance
  // CHECK: {attn.op = "pack_values"}
  // CHECK-NOT: arith.cmpi ult
  // CHECK: %[[ABOVE:.*]] = arith.cmpi sgt, %{{.*}} : vector<8xi32>
  // CHECK: %[[BETWEEN:.*]] = vector.maskedload %arg2[%[[H:.*]], %{{.*}}], %{{.*}} : memref<4x9xf32>
  // CHECK: memref.load %arg2[%[[H]], %c0] : memref<4x9xf32>
  // CHECK: memref.load %arg2[%[[H]], %c8] : memref<4x9xf32>
  // CHECK: %[[X:.*]] = arith.select %[[ABOVE]], %{{.*}}, %[[BETWEEN]]
  // CHECK: arith.select %{{.*}}, %{{.*}}, %[[X]]
  // CHECK-NOT: vector.gather
  // CHECK-NOT: arith.cmpi ult
  // CHECK: {attn.op = "attention"}
  func.func @by_distance(%q: tensor<?x?x32xf32>, %x: tensor<4x9xf32>) -> tensor<?x?x32xf32> {
    %0 = attn.attention %q, %q, %q {num_heads = 4 : i64} score(%s, %b, %h, %i, %j) {
      %low = arith.constant -4 : i32
      %high = arith.constant 4 : i32
      %d = arith.subi %j, %i : i32
      %0 = arith.maxsi %d, %low : i32
      %1 = arith.minsi %0, %high : i32
      %at = arith.addi %1, %high : i32
      %a = attn.load %x[%h, %at] : tensor<4x9xf32>
      %r = arith.addf %s, %a : f32
      attn.yield %r : f32
    } : (tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>) -> tensor<?x?x32xf32>
    return %0 : tensor<?x?x32xf32>
  }

  // By what another load gave, or along a dimension that is not the last: gathered, lanes outside left out.
  // CHECK-LABEL: func.func @by_value
  // CHECK: {attn.op = "pack_values"}
  // CHECK: %[[ID:.*]] = vector.maskedload %arg3[%{{.*}} into vector<8xi32>
  // CHECK: %[[OK:.*]] = arith.cmpi ult, %[[ID]], %{{.*}} : vector<8xi32>
  // CHECK: %[[MASK:.*]] = arith.andi %{{.*}}, %[[OK]] : vector<8xi1>
  // CHECK: %[[WIDE:.*]] = arith.extsi %[[ID]] : vector<8xi32> to vector<8xi64>
  // CHECK: vector.gather %{{.*}}[%c0] [%[[WIDE]]], %[[MASK]]
  func.func @by_value(%q: tensor<?x?x32xf32>, %x: tensor<?xf32>, %ids: tensor<?xi32>) -> tensor<?x?x32xf32> {
    %0 = attn.attention %q, %q, %q {num_heads = 4 : i64} score(%s, %b, %h, %i, %j) {
      %id = attn.load %ids[%j] : tensor<?xi32>
      %a = attn.load %x[%id] : tensor<?xf32>
      %r = arith.addf %s, %a : f32
      attn.yield %r : f32
    } : (tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>) -> tensor<?x?x32xf32>
    return %0 : tensor<?x?x32xf32>
  }

  // bf16 is read as integers and widened.
  // CHECK-LABEL: func.func @bfloat
  // CHECK: {attn.op = "pack_values"}
  // CHECK: %[[WORDS:.*]] = builtin.unrealized_conversion_cast %arg2 : memref<?x?xbf16> to memref<?x?xi16>
  // CHECK: %[[BITS:.*]] = vector.maskedload %[[WORDS]][%{{.*}}, %{{.*}}], %{{.*}} : memref<?x?xi16>, vector<8xi1>, vector<8xi16> into vector<8xi16>
  // CHECK: %[[X:.*]] = arith.bitcast %[[BITS]] : vector<8xi16> to vector<8xbf16>
  // CHECK: arith.extf %[[X]] : vector<8xbf16> to vector<8xf32>
  func.func @bfloat(%q: tensor<?x?x32xf32>, %x: tensor<?x?xbf16>) -> tensor<?x?x32xf32> {
    %0 = attn.attention %q, %q, %q {num_heads = 4 : i64} score(%s, %b, %h, %i, %j) {
      %a = attn.load %x[%i, %j] : tensor<?x?xbf16>
      %b32 = arith.extf %a : bf16 to f32
      %r = arith.addf %s, %b32 : f32
      attn.yield %r : f32
    } : (tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>) -> tensor<?x?x32xf32>
    return %0 : tensor<?x?x32xf32>
  }

  // i1 is a byte in memory, of which any value but 0 is true. Masked lanes get -inf, and their scores are not looked at.
  // CHECK-LABEL: func.func @flags
  // CHECK: {attn.op = "pack_values"}
  // CHECK: %[[BYTES:.*]] = builtin.unrealized_conversion_cast %arg2 : memref<?xi1> to memref<?xi8>
  // CHECK: %[[M:.*]] = vector.maskedload %[[BYTES]][%{{.*}} into vector<8xi8>
  // CHECK: %[[KEEP:.*]] = arith.cmpi ne, %[[M]], %{{.*}} : vector<8xi8>
  // CHECK: %[[ALL:.*]] = arith.andi %{{.*}}, %[[KEEP]] : vector<8xi1>
  // CHECK: arith.select %[[ALL]], %{{.*}} : vector<8xi1>, vector<8xf32>
  func.func @flags(%q: tensor<?x?x32xf32>, %x: tensor<?xi1>) -> tensor<?x?x32xf32> {
    %0 = attn.attention %q, %q, %q {num_heads = 4 : i64} mask(%b, %h, %i, %j) {
      %a = attn.load %x[%j] : tensor<?xi1>
      attn.yield %a : i1
    } : (tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>) -> tensor<?x?x32xf32>
    return %0 : tensor<?x?x32xf32>
  }

  // Bounds of a mask give each panel a class, 0 skipped, 1 partial or 2 full: skipped ones cost the look at it, full ones
  // compute no mask.
  // CHECK-LABEL: func.func @classes
  // CHECK: {attn.op = "pack_values"}
  // CHECK: step %c64
  // CHECK: %[[VISIBLE:.*]] = arith.select %{{.*}}, %c2_i32, %c1_i32 : i32
  // CHECK-NEXT: %[[CLASS:.*]] = arith.select %{{.*}}, %c0_i32, %[[VISIBLE]] : i32
  // CHECK-NEXT: memref.store %[[CLASS]], {{.*}}8xi32>
  // CHECK: step %c8 {{.*}} -> (vector<8xf32>) {
  // CHECK: %[[CLASS:.*]] = memref.load {{.*}}8xi32>
  // CHECK: %[[VISIBLE:.*]] = arith.cmpi ne, %[[CLASS]], %c0_i32
  // CHECK: scf.if %[[VISIBLE]] -> (vector<8xf32>) {
  // CHECK: arith.cmpi ne, %{{.*}}, %c2_i32
  // CHECK: scf.if %{{.*}} -> (vector<8xf32>
  // CHECK: arith.cmpi sle, %{{.*}} : vector<8xi32>
  // CHECK: } else {
  // CHECK-NOT: arith.cmpi sle, %{{.*}} : vector<8xi32>
  // CHECK: vector.extract_strided_slice %{{.*}} {offsets = [4], sizes = [4]
  // CHECK: {attn.op = "attention"}
  func.func @classes(%q: tensor<?x?x32xf32>) -> tensor<?x?x32xf32> {
    %0 = attn.attention %q, %q, %q {num_heads = 4 : i64} mask(%b, %h, %i, %j) {
      %five = arith.constant 5 : i32
      %most = arith.addi %i, %five : i32
      %a = arith.cmpi sle, %j, %most : i32
      attn.yield %a : i1
    } : (tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>) -> tensor<?x?x32xf32>
    return %0 : tensor<?x?x32xf32>
  }

  // What a mask reads is bounded by its ranges, once per panel and task.
  // CHECK-LABEL: func.func @bounded_by_ranges
  // CHECK: %[[RANGES:.*]] = memref.alloc(%{{.*}}) : memref<2x?xi32>
  // CHECK: {attn.op = "block_range"}
  // CHECK: scf.for %{{.*}} step %c64
  // CHECK: memref.load %[[RANGES]][%c0, %{{.*}}]
  // CHECK: memref.load %[[RANGES]][%c1, %{{.*}}]
  func.func @bounded_by_ranges(%q: tensor<?x?x32xf32>, %ids: tensor<?xi32>) -> tensor<?x?x32xf32> {
    %0 = attn.attention %q, %q, %q {num_heads = 4 : i64} mask(%b, %h, %i, %j) {
      %id = attn.load %ids[%j] : tensor<?xi32>
      %a = arith.cmpi eq, %id, %b : i32
      attn.yield %a : i1
    } : (tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>) -> tensor<?x?x32xf32>
    return %0 : tensor<?x?x32xf32>
  }

  // Probabilities need the final maximum and sum: one walk for them that reads no values, one that multiplies.
  // CHECK-LABEL: func.func @prob
  // CHECK: {attn.op = "pack_values"}
  // CHECK: scf.for %{{.*}} step %c512
  // CHECK-NOT: math.sqrt
  // CHECK-NOT: vector.load {{.*}} memref<?x16xf32
  // CHECK: scf.for %{{.*}} step %c512
  // CHECK: arith.divf
  // CHECK: %[[P:.*]] = math.sqrt %{{.*}} : vector<8xf32>
  // CHECK: arith.select %{{.*}}, %[[P]], %{{.*}} : vector<8xi1>, vector<8xf32>
  // CHECK: vector.load {{.*}} memref<?x16xf32
  func.func @prob(%q: tensor<?x?x32xf32>) -> tensor<?x?x32xf32> {
    %0 = attn.attention %q, %q, %q {num_heads = 4 : i64} prob(%p, %b, %h, %i, %j) {
      %r = math.sqrt %p : f32
      attn.yield %r : f32
    } : (tensor<?x?x32xf32>, tensor<?x?x32xf32>, tensor<?x?x32xf32>) -> tensor<?x?x32xf32>
    return %0 : tensor<?x?x32xf32>
  }
}
