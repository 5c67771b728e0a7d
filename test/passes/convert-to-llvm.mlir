// RUN: attn-opt %s --allow-unregistered-dialect --attn-convert-to-llvm | FileCheck %s

// The captures travel in one struct; the thunk takes it apart.
// CHECK-DAG: llvm.func @attn_dispatch(!llvm.ptr, !llvm.ptr, !llvm.ptr, i64, !llvm.ptr, i64, i64)
// CHECK-DAG: llvm.func @attn_fail(!llvm.ptr, i32, !llvm.ptr)
// CHECK-DAG: llvm.mlir.global internal constant @[[NAME:.*]]("fill\00")
// CHECK-DAG: llvm.mlir.global internal constant @[[TEXT:.*]]("expected a small index\00")
// CHECK-LABEL: llvm.func internal @kernel.thunk(%arg0: !llvm.ptr, %arg1: i64, %arg2: i64)
// CHECK: call @kernel
// CHECK-LABEL: func.func @f
// CHECK-SAME: llvm.emit_c_interface
// CHECK: llvm.alloca %{{.*}} x !llvm.struct<(ptr, f32)>
// CHECK: llvm.mlir.addressof @kernel.thunk
// CHECK: llvm.call @attn_dispatch(%arg0,
func.func @f(%ctx: !llvm.ptr, %v: f32, %weights: memref<?xi8>, %workspace: memref<?xi8>, %workers: index) attributes {attn.outputs = 0 : i64} {
  %n = arith.constant 4 : index
  attn.dispatch @kernel[%n](%ctx, %v) "fill" flop %n bytes %n : !llvm.ptr, f32
  return
}

// CHECK-LABEL: func.func private @kernel
// CHECK: scf.if
// CHECK: llvm.call @attn_fail(%arg0,
// math without an instruction becomes a polynomial: no libm in a model file.
// CHECK-NOT: math.tanh
func.func private @kernel(%ctx: !llvm.ptr, %v: f32, %task: index, %worker: index) {
  %c8 = arith.constant 8 : index
  %bad = arith.cmpi uge, %task, %c8 : index
  attn.fail %bad, 12, "expected a small index"
  %0 = math.tanh %v : f32
  "test.use"(%0) : (f32) -> ()
  return
}

// Tensors for a function of the host: DLTensors on the stack, with sizes and strides behind each other.
// CHECK-LABEL: func.func @external
// CHECK: llvm.alloca %{{.*}} x i64
// CHECK: %[[TENSORS:.*]] = llvm.alloca %{{.*}} x !llvm.struct<(ptr, i32, i32, i32, i8, i8, i16, ptr, ptr, i64)>
// CHECK: llvm.call @attn_external(%arg0, %{{.*}}, %[[TENSORS]], %{{.*}}, %{{.*}}) : (!llvm.ptr, !llvm.ptr, !llvm.ptr, i32, i32) -> ()
func.func @external(%ctx: !llvm.ptr, %x: memref<?x8xf32>, %y: memref<?xbf16>) {
  attn.external "g"(%x) outs(%y : memref<?xbf16>) : (memref<?x8xf32>) -> ()
  return
}

// Packed 16-bit weights [2, 4, 16, 2] are [2, 4, 16] of u32 for a launch.
// CHECK-LABEL: func.func @pairs
// CHECK-DAG: %[[RANK:.*]] = llvm.mlir.constant(3 : i32)
// CHECK-DAG: %[[UINT:.*]] = llvm.mlir.constant(1 : i8)
// CHECK-DAG: %[[BITS:.*]] = llvm.mlir.constant(32 : i8)
// CHECK-DAG: llvm.store %[[RANK]],
// CHECK-DAG: llvm.store %[[UINT]],
// CHECK-DAG: llvm.store %[[BITS]],
// CHECK: llvm.call @attn_launch
func.func @pairs(%ctx: !llvm.ptr, %w: memref<2x4x16x2xbf16>, %x: memref<?x4xf32>, %n: index, %weights: memref<?xi8>, %workspace: memref<?xi8>, %workers: index) attributes {attn.outputs = 0 : i64} {
  attn.launch @q(%w) outs(%x) "q" flop %n bytes %n : (memref<2x4x16x2xbf16>) -> memref<?x4xf32>
  return
}
attn.pipeline @q {
^bb0(%w: memref<2x4x16x2xbf16>, %x: memref<?x4xf32>):
  "test.op"(%w, %x) : (memref<2x4x16x2xbf16>, memref<?x4xf32>) -> ()
}

// A launch passes DLTensors, a scalar as one of rank 0; the pipeline becomes text.
// CHECK-LABEL: func.func @launches
// CHECK: llvm.mlir.addressof @attn_pipeline_p_argv
// CHECK: llvm.call @attn_launch(%arg0, %{{.*}}, %[[TENSORS:.*]], %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) :
// CHECK: llvm.call @attn_copy_to_host(%arg0,
// CHECK: llvm.call @attn_copy_to_device(%arg0,
// CHECK-NOT: attn.pipeline
func.func @launches(%ctx: !llvm.ptr, %x: memref<?x4xf32>, %n: index, %weights: memref<?xi8>, %workspace: memref<?xi8>, %workers: index) attributes {attn.outputs = 0 : i64} {
  attn.launch @p(%n) outs(%x) "p" flop %n bytes %n : (index) -> memref<?x4xf32>
  attn.copy_to_host %x : memref<?x4xf32>
  attn.copy_to_device %x : memref<?x4xf32>
  return
}
attn.pipeline @p {
^bb0(%n: index, %x: memref<?x4xf32>):
  "test.op"(%n, %x) : (index, memref<?x4xf32>) -> ()
}
