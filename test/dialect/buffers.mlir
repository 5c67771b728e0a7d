// RUN: attn-opt %s | attn-opt | FileCheck %s
// RUN: attn-opt %s --mlir-print-op-generic | attn-opt | FileCheck %s

// The buffer form of every op, in destination style, and the ops that exist on buffers only.

// CHECK-LABEL: func.func @tokens_in
func.func @tokens_in(%ids: memref<?x?xi64>, %cache: !attn.cache<6x2x8x8xf32>, %table: memref<50x16xf32>,
                     %p: memref<?x?xi64>, %out: memref<?x?x16xf32>) {
  // CHECK: attn.positions %arg0 given %arg0 cache %arg1 outs %arg3 :
  attn.positions %ids given %ids cache %cache outs %p : (memref<?x?xi64>, memref<?x?xi64>, !attn.cache<6x2x8x8xf32>, memref<?x?xi64>) -> ()
  // CHECK: attn.embedding %arg0, %arg2 residual %arg4 outs %arg4 :
  attn.embedding %ids, %table residual %out outs %out : (memref<?x?xi64>, memref<50x16xf32>, memref<?x?x16xf32>, memref<?x?x16xf32>) -> ()
  // CHECK: attn.positions %arg0 mask %arg0 outs %arg3 :
  attn.positions %ids mask %ids outs %p : (memref<?x?xi64>, memref<?x?xi64>, memref<?x?xi64>) -> ()
  // CHECK: attn.positional_encoding %arg3 outs %arg4 :
  attn.positional_encoding %p outs %out : (memref<?x?xi64>, memref<?x?x16xf32>) -> ()
  // CHECK: attn.shift_right %arg0 outs %arg3 :
  attn.shift_right %ids outs %p : (memref<?x?xi64>, memref<?x?xi64>) -> ()
  return
}

// CHECK-LABEL: func.func @features
func.func @features(%x: memref<?x8xf32>, %w: memref<1x8x16xf32>, %g: memref<8xf32>, %c: memref<4xf32>, %y: memref<?x4xf32>,
                    %z: memref<?x8xf32>, %i: memref<?xi64>, %t: memref<?x?x4xf32>, %m: memref<?x?xi64>) {
  // CHECK: attn.linear %arg0, %arg1 bias %arg3 activation relu residual %arg4 outs %arg4 :
  attn.linear %x, %w bias %c activation relu residual %y outs %y
    : (memref<?x8xf32>, memref<1x8x16xf32>, memref<4xf32>, memref<?x4xf32>, memref<?x4xf32>) -> ()
  // CHECK: attn.layer_norm %arg0, %arg2, %arg2 outs %arg5 :
  attn.layer_norm %x, %g, %g outs %z : (memref<?x8xf32>, memref<8xf32>, memref<8xf32>, memref<?x8xf32>) -> ()
  // CHECK: attn.rms_norm %arg0, %arg2 outs %arg5 :
  attn.rms_norm %x, %g outs %z : (memref<?x8xf32>, memref<8xf32>, memref<?x8xf32>) -> ()
  // CHECK: attn.activation tanh %arg0 outs %arg5 :
  attn.activation tanh %x outs %z : (memref<?x8xf32>, memref<?x8xf32>) -> ()
  // CHECK: attn.activation silu %arg0 times %arg0 outs %arg5 :
  attn.activation silu %x times %x outs %z : (memref<?x8xf32>, memref<?x8xf32>, memref<?x8xf32>) -> ()
  // CHECK: attn.l2_norm %arg0 outs %arg5 :
  attn.l2_norm %x outs %z : (memref<?x8xf32>, memref<?x8xf32>) -> ()
  // CHECK: attn.scale %arg0 by 2.000000e+00 outs %arg5 :
  attn.scale %x by 2.0 outs %z : (memref<?x8xf32>, memref<?x8xf32>) -> ()
  // CHECK: attn.soft_cap %arg0 at 2.000000e+00 outs %arg5 :
  attn.soft_cap %x at 2.0 outs %z : (memref<?x8xf32>, memref<?x8xf32>) -> ()
  // CHECK: attn.pool mean %arg7 mask %arg8 outs %arg4 :
  attn.pool mean %t mask %m outs %y : (memref<?x?x4xf32>, memref<?x?xi64>, memref<?x4xf32>) -> ()
  // CHECK: attn.log_softmax %arg0 outs %arg5 :
  attn.log_softmax %x outs %z : (memref<?x8xf32>, memref<?x8xf32>) -> ()
  // CHECK: attn.argmax %arg0 outs %arg6 :
  attn.argmax %x outs %i : (memref<?x8xf32>, memref<?xi64>) -> ()
  // CHECK: attn.select_token %arg7 at %arg6 outs %arg4 :
  attn.select_token %t at %i outs %y : (memref<?x?x4xf32>, memref<?xi64>, memref<?x4xf32>) -> ()
  return
}

// CHECK-LABEL: func.func @heads
func.func @heads(%x: memref<?x?x32xf32, strided<[?, 96, 1], offset: ?>>, %p: memref<?x?xi32>, %y: memref<?x?x32xf32>, %t: memref<?x?x4xf32>,
                 %h: memref<?x4x?x8xf32>, %k: memref<?x4x?x8x64xf32>, %v: memref<?x4x?x16xf32>) {
  // CHECK: attn.rotary_table %arg1 outs %arg3 {frequencies = array<f64: 1.000000e+00, 1.000000e-02>} :
  attn.rotary_table %p outs %t {frequencies = array<f64: 1.0, 0.01>} : (memref<?x?xi32>, memref<?x?x4xf32>) -> ()
  // CHECK: attn.rotary %arg0 by %arg3 heads 4 outs %arg2 :
  attn.rotary %x by %t heads 4 outs %y
    : (memref<?x?x32xf32, strided<[?, 96, 1], offset: ?>>, memref<?x?x4xf32>, memref<?x?x32xf32>) -> ()
  // CHECK: attn.split_heads %arg2 into 4 outs %arg4 :
  attn.split_heads %y into 4 outs %h : (memref<?x?x32xf32>, memref<?x4x?x8xf32>) -> ()
  // CHECK: attn.merge_heads %arg4 outs %arg2 :
  attn.merge_heads %h outs %y : (memref<?x4x?x8xf32>, memref<?x?x32xf32>) -> ()
  // CHECK: attn.pack_keys %arg2 heads 4 outs %arg5 :
  attn.pack_keys %y heads 4 outs %k : (memref<?x?x32xf32>, memref<?x4x?x8x64xf32>) -> ()
  // CHECK: attn.pack_values %arg4 heads 4 outs %arg6 :
  attn.pack_values %h heads 4 outs %v : (memref<?x4x?x8xf32>, memref<?x4x?x16xf32>) -> ()
  return
}

// CHECK-LABEL: func.func @attention
func.func @attention(%q: memref<?x?x32xf32>, %k: memref<?x4x?x8x64xf32>, %v: memref<?x4x?x16xf32>,
    %cache: !attn.cache<6x2x8x8xf32>, %layer: index, %out: memref<?x?x32xf32>, %lse: memref<?x4x?xf32>,
    %new: memref<?x?x16xf32>, %all: memref<?x2x?x8xf32>, %cross: !attn.cache<6x2x8x8xf32, cross>, %mask: memref<?x?xi64>) {
  // CHECK: attn.attention %arg0, %arg1, %arg2 outs %arg5 lse %arg6 {causal, num_heads = 4 : i64} :
  attn.attention %q, %k, %v outs %out lse %lse {causal, num_heads = 4 : i64}
    : (memref<?x?x32xf32>, memref<?x4x?x8x64xf32>, memref<?x4x?x16xf32>, memref<?x?x32xf32>, memref<?x4x?xf32>) -> ()
  // CHECK: attn.cache_append %arg7, %arg7 to %arg3[%arg4] :
  attn.cache_append %new, %new to %cache[%layer] : memref<?x?x16xf32>, memref<?x?x16xf32>, !attn.cache<6x2x8x8xf32>
  // CHECK: attn.cache_append %arg7, %arg7 to %arg9[%arg4] key_mask %arg10 : memref<?x?x16xf32>, memref<?x?x16xf32>, !attn.cache<6x2x8x8xf32, cross>, memref<?x?xi64>
  attn.cache_append %new, %new to %cross[%layer] key_mask %mask
    : memref<?x?x16xf32>, memref<?x?x16xf32>, !attn.cache<6x2x8x8xf32, cross>, memref<?x?xi64>
  // CHECK: attn.attention %arg0 cache %arg3[%arg4] outs %arg5 {causal, num_heads = 4 : i64} :
  attn.attention %q cache %cache[%layer] outs %out {causal, num_heads = 4 : i64}
    : (memref<?x?x32xf32>, !attn.cache<6x2x8x8xf32>, index, memref<?x?x32xf32>) -> ()
  // CHECK: attn.cache_read %arg3[%arg4] keys %arg4 outs %arg8 :
  attn.cache_read %cache[%layer] keys %layer outs %all : (!attn.cache<6x2x8x8xf32>, index, index, memref<?x2x?x8xf32>) -> ()
  return
}

// CHECK-LABEL: func.func @online_attention
func.func @online_attention(%q: memref<?x2x8xf32, strided<[32, 8, 1], offset: ?>>, %n: index, %k: memref<?x8x64xf32>,
    %v: memref<?x16xf32>, %mask: memref<?xi64>, %pages: memref<?xf32>, %table: memref<?xi32>, %scratch: memref<?x?xi8>,
    %lse: memref<?x2xf32>) {
  // CHECK: attn.online_attention %arg0 batch %arg1 head %arg1 first %arg1 offset %arg1 keys %arg1 packed %arg2, %arg3 key_mask %arg4 outs %arg0 scratch %arg7 {causal} :
  attn.online_attention %q batch %n head %n first %n offset %n keys %n packed %k, %v key_mask %mask outs %q scratch %scratch {causal}
    : memref<?x2x8xf32, strided<[32, 8, 1], offset: ?>>, index, index, index, index, index, memref<?x8x64xf32>, memref<?x16xf32>,
      memref<?xi64>, memref<?x2x8xf32, strided<[32, 8, 1], offset: ?>>, memref<?x?xi8>
  // CHECK: attn.online_attention %arg0 batch %arg1 head %arg1 first %arg1 offset %arg1 keys %arg1 pages %arg5[%arg6] of %arg1 stride %arg1 at %arg1, %arg1 outs %arg0 lse %arg8 scratch %arg7 :
  attn.online_attention %q batch %n head %n first %n offset %n keys %n pages %pages[%table] of %n stride %n at %n, %n outs %q lse %lse
    scratch %scratch : memref<?x2x8xf32, strided<[32, 8, 1], offset: ?>>, index, index, index, index, index, memref<?xf32>,
      memref<?xi32>, index, index, index, index, memref<?x2x8xf32, strided<[32, 8, 1], offset: ?>>, memref<?x2xf32>, memref<?x?xi8>
  return
}

// CHECK-LABEL: func.func @tasks
func.func @tasks(%count: index, %bad: i1, %x: memref<?xf32>) {
  // CHECK: %[[W:.*]] = attn.worker
  %w = attn.worker
  // CHECK: attn.fail %arg1, 9, "position out of range"
  attn.fail %bad, 9, "position out of range"
  // CHECK: attn.dispatch @kernel[%arg0] (%arg2) "linear" flop %arg0 bytes %arg0 : memref<?xf32>
  attn.dispatch @kernel[%count](%x) "linear" flop %count bytes %count : memref<?xf32>
  // CHECK: attn.dispatch @empty[%arg0] () "nothing" flop %arg0 bytes %arg0
  attn.dispatch @empty[%count]() "nothing" flop %count bytes %count
  // CHECK: attn.cost flop %arg0 bytes %arg0
  attn.cost flop %count bytes %count
  return
}
func.func private @empty(%task: index, %worker: index) {
  return
}
func.func private @kernel(%x: memref<?xf32>, %task: index, %worker: index) {
  return
}
