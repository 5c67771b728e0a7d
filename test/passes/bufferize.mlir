// RUN: attn-opt %s --attn-name-dims --attn-pack-weights --attn-bufferize | FileCheck %s

// CHECK: memref.global "private" constant @[[SLOPES:.*]] : memref<2xf32> = dense<[6.250000e-02, 3.906250e-03]> {alignment = 64 : i64}

ml_program.global private @w(#ml_program.extern<tensor<8x8xf32>>) : tensor<8x8xf32>

// Arguments: context, inputs, outputs, weights, workspace, workers. The last op writes the output itself.
// CHECK-LABEL: func.func @f(
// CHECK-SAME: %[[CTX:.*]]: !llvm.ptr, %[[X:.*]]: memref<?x?x8xf32> {{.*}}, %[[OUT:.*]]: memref<?x?x8xf32> {{.*}}, %[[W:.*]]: memref<?xi8>, %{{.*}}: memref<?xi8>, %{{.*}}: index)
// CHECK: %[[VIEW:.*]] = memref.view %[[W]][%c64{{.*}}][] : memref<?xi8> to memref<1x8x16xf32>
// CHECK: %[[T:.*]] = memref.alloc(%{{.*}}, %{{.*}}) : memref<?x?x8xf32>
// CHECK: attn.linear %[[X]], %[[VIEW]] outs %[[T]]
// CHECK: attn.log_softmax %[[T]] outs %[[OUT]]
// CHECK: return
func.func @f(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  %w = ml_program.global_load_const @w : tensor<8x8xf32>
  %0 = attn.linear %x, %w : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
  %1 = attn.log_softmax %0 : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %1 : tensor<?x?x8xf32>
}

// An input that is returned is copied.
// CHECK-LABEL: func.func @identity(
// CHECK: memref.copy %arg1, %arg2
func.func @identity(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  return %x : tensor<?x8xf32>
}

// The cache arrives as four arguments before the weights; slices become views.
// CHECK-LABEL: func.func private @block(
// CHECK-SAME: %{{.*}}: memref<?xf32>, %{{.*}}: memref<?x?xi32>, %{{.*}}: memref<?xi32>, %{{.*}}: index, %{{.*}}: memref<?xi8>, %{{.*}}: memref<?xi8>, %{{.*}}: index)
// CHECK-SAME: attn.caches = [!attn.cache<2x1x8x8xf32>]
// CHECK: %[[C:.*]] = attn.cache_view
// CHECK: memref.subview %arg1[0, 0, 8]
// CHECK: attn.cache_append %{{.*}} to %[[C]][%arg2]
func.func private @block(%x: tensor<?x?x24xf32>, %layer: index, %c: !attn.cache<2x1x8x8xf32>) -> tensor<?x?x8xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : tensor<?x?x24xf32>
  %s = tensor.dim %x, %c1 : tensor<?x?x24xf32>
  %q = tensor.extract_slice %x[0, 0, 0] [%b, %s, 8] [1, 1, 1] : tensor<?x?x24xf32> to tensor<?x?x8xf32>
  %k = tensor.extract_slice %x[0, 0, 8] [%b, %s, 8] [1, 1, 1] : tensor<?x?x24xf32> to tensor<?x?x8xf32>
  attn.cache_append %k, %k to %c[%layer] : tensor<?x?x8xf32>, tensor<?x?x8xf32>, !attn.cache<2x1x8x8xf32>
  %0 = attn.attention %q cache %c[%layer] {num_heads = 1 : i64}
     : (tensor<?x?x8xf32>, !attn.cache<2x1x8x8xf32>, index) -> tensor<?x?x8xf32>
  return %0 : tensor<?x?x8xf32>
}

// A call passes outputs, the cache and a workspace of the size that the callee asks for.
// CHECK-LABEL: func.func @caller(
// CHECK: %[[BYTES:.*]] = call @block.workspace(
// CHECK: %[[WS:.*]] = memref.alloc(%[[BYTES]]) : memref<?xi8>
// CHECK: call @block(%arg0, %arg1, %{{.*}}, %arg2, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %[[WS]], %{{.*}})
func.func @caller(%x: tensor<?x?x24xf32>, %c: !attn.cache<2x1x8x8xf32>) -> tensor<?x?x8xf32> {
  %layer = arith.constant 1 : index
  %0 = call @block(%x, %layer, %c) : (tensor<?x?x24xf32>, index, !attn.cache<2x1x8x8xf32>) -> tensor<?x?x8xf32>
  return %0 : tensor<?x?x8xf32>
}

// The cross cache follows the function's own, whatever the order of arguments.
// CHECK-LABEL: func.func private @decoder_block(
// CHECK-SAME: %[[PAGES:[^ ]*]]: memref<?xf32>, %[[TABLE:[^ ]*]]: memref<?x?xi32>, %[[PAST:[^ ]*]]: memref<?xi32>, %[[PAGE:[^ ]*]]: index, %[[CROSS_PAGES:[^ ]*]]: memref<?xf32>, %[[CROSS_TABLE:[^ ]*]]: memref<?x?xi32>, %[[CROSS_PAST:[^ ]*]]: memref<?xi32>, %[[CROSS_PAGE:[^ ]*]]: index, %{{.*}}: memref<?xi8>, %{{.*}}: memref<?xi8>, %{{.*}}: index)
// CHECK-SAME: attn.caches = [!attn.cache<2x1x8x8xf32>, !attn.cache<2x1x8x8xf32, cross>]
// CHECK-DAG: %[[CROSS:.*]] = attn.cache_view %[[CROSS_PAGES]], %[[CROSS_TABLE]], %[[CROSS_PAST]], %[[CROSS_PAGE]]
// CHECK-DAG: attn.cache_view %[[PAGES]], %[[TABLE]], %[[PAST]], %[[PAGE]]
// CHECK: attn.attention %{{.*}} cache %[[CROSS]]
func.func private @decoder_block(%x: tensor<?x?x8xf32>, %cross: !attn.cache<2x1x8x8xf32, cross>, %c: !attn.cache<2x1x8x8xf32>) -> tensor<?x?x8xf32> {
  %layer = arith.constant 1 : index
  attn.cache_append %x, %x to %c[%layer] : tensor<?x?x8xf32>, tensor<?x?x8xf32>, !attn.cache<2x1x8x8xf32>
  %0 = attn.attention %x cache %cross[%layer] {num_heads = 1 : i64}
     : (tensor<?x?x8xf32>, !attn.cache<2x1x8x8xf32, cross>, index) -> tensor<?x?x8xf32>
  return %0 : tensor<?x?x8xf32>
}

// CHECK-LABEL: func.func @decoder(
// CHECK-SAME: %[[PAGES:[^ ]*]]: memref<?xf32>, %[[TABLE:[^ ]*]]: memref<?x?xi32>, %[[PAST:[^ ]*]]: memref<?xi32>, %[[PAGE:[^ ]*]]: index, %[[CROSS_PAGES:[^ ]*]]: memref<?xf32>, %[[CROSS_TABLE:[^ ]*]]: memref<?x?xi32>, %[[CROSS_PAST:[^ ]*]]: memref<?xi32>, %[[CROSS_PAGE:[^ ]*]]: index, %{{[^ ]*}}: memref<?xi8>
// CHECK: call @decoder_block(%{{.*}}, %[[PAGES]], %[[TABLE]], %[[PAST]], %[[PAGE]], %[[CROSS_PAGES]], %[[CROSS_TABLE]], %[[CROSS_PAST]], %[[CROSS_PAGE]],
func.func @decoder(%x: tensor<?x?x8xf32>, %c: !attn.cache<2x1x8x8xf32>, %cross: !attn.cache<2x1x8x8xf32, cross>) -> tensor<?x?x8xf32> {
  %0 = call @decoder_block(%x, %cross, %c) : (tensor<?x?x8xf32>, !attn.cache<2x1x8x8xf32, cross>, !attn.cache<2x1x8x8xf32>) -> tensor<?x?x8xf32>
  return %0 : tensor<?x?x8xf32>
}

// An input marked so has any strides but the innermost; an output has none.
// CHECK-LABEL: func.func @strided(
// CHECK-SAME: %arg1: memref<?x2x?x8xf32, strided<[?, ?, ?, 1]>> {{{.*}}attn.strided}, %arg2: memref<?x2x?x8xf32> {
// CHECK: attn.pack_keys %arg1 heads 2 outs %{{.*}} : (memref<?x2x?x8xf32, strided<[?, ?, ?, 1]>>,
func.func @strided(%x: tensor<?x2x?x8xf32> {attn.strided}) -> tensor<?x2x?x8xf32> {
  %k = attn.pack_keys %x heads 2 : (tensor<?x2x?x8xf32>) -> tensor<?x2x?x8x64xf32>
  %v = attn.pack_values %x heads 2 : (tensor<?x2x?x8xf32>) -> tensor<?x2x?x16xf32>
  %0 = attn.attention %x, %k, %v {num_kv_heads = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x2x?x8x64xf32>, tensor<?x2x?x16xf32>) -> tensor<?x2x?x8xf32>
  return %0 : tensor<?x2x?x8xf32>
}

// Regions are as before; what they load are buffers, inputs or the result of an op.
// CHECK-LABEL: func.func @regions(
// CHECK-SAME: %arg1: memref<?x?x8xf32> {{.*}}, %[[IDS:arg2]]: memref<?x?xi32> {{.*}}, %[[C:arg3]]: memref<4xf32>
// CHECK: %[[TABLE:.*]] = memref.alloc() : memref<4xf32>
// CHECK: attn.activation relu %[[C]] outs %[[TABLE]]
// CHECK: attn.attention %arg1, %{{.*}} outs %{{.*}} {num_heads = 1 : i64} score(%[[S:.*]], %{{.*}}, %[[H:.*]], %{{.*}}, %{{.*}}) {
// CHECK-NEXT: %[[X:.*]] = attn.load %[[TABLE]][%[[H]]] : memref<4xf32>
// CHECK-NEXT: %[[R:.*]] = arith.mulf %[[S]], %[[X]] : f32
// CHECK-NEXT: attn.yield %[[R]] : f32
// CHECK-NEXT: } mask(%[[B:.*]], %{{.*}}, %{{.*}}, %[[J:.*]]) {
// CHECK-NEXT: %[[ID:.*]] = attn.load %[[IDS]][%[[B]], %[[J]]] : memref<?x?xi32>
// CHECK-NEXT: arith.cmpi ne, %[[ID]], %[[B]] : i32
func.func @regions(%x: tensor<?x?x8xf32>, %ids: tensor<?x?xi32>, %c: tensor<4xf32>) -> tensor<?x?x8xf32> {
  %table = attn.activation relu %c : (tensor<4xf32>) -> tensor<4xf32>
  %0 = attn.attention %x, %x, %x {num_heads = 1 : i64} score(%s, %b, %h, %i, %j) {
    %a = attn.load %table[%h] : tensor<4xf32>
    %r = arith.mulf %s, %a : f32
    attn.yield %r : f32
  } mask(%b, %h, %i, %j) {
    %id = attn.load %ids[%b, %j] : tensor<?x?xi32>
    %r = arith.cmpi ne, %id, %b : i32
    attn.yield %r : i1
  } : (tensor<?x?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %0 : tensor<?x?x8xf32>
}

// out, lse and scores each have their own buffer after the op's operands.
// CHECK-LABEL: func.func @results(
// CHECK-SAME: %[[OUT:arg2]]: memref<2x?x8xf32> {{.*}}, %[[LSE:arg3]]: memref<2x1x?xf32> {{.*}}, %[[SCORES:arg4]]: memref<2x1x?x?xf32>
// CHECK: attn.attention {{.*}} outs %[[OUT]] lse %[[LSE]] scores %[[SCORES]] {
func.func @results(%x: tensor<2x?x8xf32>) -> (tensor<2x?x8xf32>, tensor<2x1x?xf32>, tensor<2x1x?x?xf32>) {
  %0:3 = attn.attention %x, %x, %x {num_heads = 1 : i64, scores = #attn<score_point masked>}
     : (tensor<2x?x8xf32>, tensor<2x?x8xf32>, tensor<2x?x8xf32>) -> (tensor<2x?x8xf32>, tensor<2x1x?xf32>, tensor<2x1x?x?xf32>)
  return %0#0, %0#1, %0#2 : tensor<2x?x8xf32>, tensor<2x1x?xf32>, tensor<2x1x?x?xf32>
}

// A splat that nothing took is a buffer full of it.
// CHECK-LABEL: func.func @splat(
// CHECK-SAME: %[[OUT:[^:]*]]: memref<?x4xf32> {attn.dims = ["n"], attn.name = "out0"}
// CHECK: linalg.fill ins(%{{.*}} : f32) outs(%[[OUT]] : memref<?x4xf32>)
func.func @splat(%x: tensor<?x4xf32> {attn.dims = ["n"]}) -> (tensor<?x4xf32> {attn.dims = ["n"]}) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x4xf32>
  %k = arith.constant 2.0 : f32
  %0 = tensor.splat %k[%n] : tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// A constant tensor is the global above.
// CHECK-LABEL: func.func @constant(
// CHECK: %[[S:.*]] = memref.get_global @[[SLOPES]] : memref<2xf32>
// CHECK: attn.attention %arg1, %arg1, %arg1 alibi %[[S]] outs %arg2
func.func @constant(%x: tensor<?x?x16xf32>) -> tensor<?x?x16xf32> {
  %slopes = arith.constant dense<[6.250000e-02, 3.906250e-03]> : tensor<2xf32>
  %0 = attn.attention %x, %x, %x alibi %slopes {num_heads = 2 : i64}
     : (tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<2xf32>) -> tensor<?x?x16xf32>
  return %0 : tensor<?x?x16xf32>
}

// Parts are copied to their places.
// CHECK-LABEL: func.func @concat(
// CHECK-SAME: %{{.*}}: !llvm.ptr, %[[X:.*]]: memref<?x3xf32> {{.*}}, %[[Y:.*]]: memref<?x5xf32> {{.*}}, %[[OUT:.*]]: memref<?x8xf32> {{.*}}
// CHECK: %[[FIRST:.*]] = memref.subview %[[OUT]]
// CHECK: memref.copy %[[X]], %[[FIRST]]
// CHECK: %[[SECOND:.*]] = memref.subview %[[OUT]]
// CHECK: memref.copy %[[Y]], %[[SECOND]]
func.func @concat(%x: tensor<?x3xf32> {attn.dims = ["n"]}, %y: tensor<?x5xf32> {attn.dims = ["n"]}) -> tensor<?x8xf32> {
  %0 = tensor.concat dim(1) %x, %y : (tensor<?x3xf32>, tensor<?x5xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// A function of the host has any number of outs.
// CHECK-LABEL: func.func @external(
// CHECK: %[[T:.*]] = memref.alloc() : memref<4xf32>
// CHECK: attn.external "g"(%{{.*}}) outs(%[[OUT:.*]], %[[T]] : memref<?x8xf32>, memref<4xf32>) : (memref<?x8xf32>) -> ()
func.func @external(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x8xf32>
  %0:2 = attn.external "g"(%x) sizes(%n) : (tensor<?x8xf32>) -> (tensor<?x8xf32>, tensor<4xf32>)
  return %0#0 : tensor<?x8xf32>
}
