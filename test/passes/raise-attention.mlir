// RUN: attn-opt %s --attn-raise-attention --split-input-file | FileCheck %s
// RUN: attn-opt %s --attn-raise-attention --attn-fold-layouts --split-input-file | FileCheck %s --check-prefix=FOLD

#q = affine_map<(b, m, n, k) -> (b, m, k)>
#k = affine_map<(b, m, n, k) -> (b, n, k)>
#s = affine_map<(b, m, n, k) -> (b, m, n)>

// No scale in the text is a scale of 1, not the op's default.
// CHECK-LABEL: func.func @rank3
// CHECK-NOT: linalg
// CHECK: %[[A:[^ ]+]] = attn.attention %arg0, %arg1, %arg2 {num_heads = 1 : i64, scale = 1.000000e+00 : f64}
// CHECK-SAME: -> tensor<?x?x80xf32>
// CHECK-NEXT: return %[[A]]
func.func @rank3(%q: tensor<?x?x64xf32>, %k: tensor<?x?x64xf32>, %v: tensor<?x?x80xf32>,
                 %scores: tensor<?x?x?xf32>, %out: tensor<?x?x80xf32>) -> tensor<?x?x80xf32> {
  %zero = arith.constant 0.0 : f32
  %s0 = linalg.fill ins(%zero : f32) outs(%scores : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  %s = linalg.batch_matmul indexing_maps = [#q, #k, #s] ins(%q, %k : tensor<?x?x64xf32>, tensor<?x?x64xf32>)
    outs(%s0 : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  %p = linalg.softmax dimension(2) ins(%s : tensor<?x?x?xf32>) outs(%s : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%out : tensor<?x?x80xf32>) -> tensor<?x?x80xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<?x?x?xf32>, tensor<?x?x80xf32>)
    outs(%o0 : tensor<?x?x80xf32>) -> tensor<?x?x80xf32>
  return %o : tensor<?x?x80xf32>
}

// -----

// A transposed key is read as it was; the scale is divided by, the mask added first.
// CHECK-LABEL: func.func @transpose_scale_mask
// CHECK: %[[B:[^ ]+]] = tensor.expand_shape %arg3 {{\[\[}}0, 1], [2], [3]] output_shape [2, 1, 5, 7]
// CHECK: attn.attention %arg0, %arg1, %arg2 bias %[[B]] {num_heads = 1 : i64, scale = 2.500000e-01 : f64}
func.func @transpose_scale_mask(%q: tensor<2x5x16xf32>, %k: tensor<2x7x16xf32>, %v: tensor<2x7x16xf32>,
                                %mask: tensor<2x5x7xf32>) -> tensor<2x5x16xf32> {
  %zero = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zeros = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %four = arith.constant dense<4.0> : tensor<2x5x7xf32>
  %e = tensor.empty() : tensor<2x16x7xf32>
  %kt = linalg.transpose ins(%k : tensor<2x7x16xf32>) outs(%e : tensor<2x16x7xf32>) permutation = [0, 2, 1]
  %s = linalg.batch_matmul ins(%q, %kt : tensor<2x5x16xf32>, tensor<2x16x7xf32>)
    outs(%zero : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %scaled = arith.divf %s, %four : tensor<2x5x7xf32>
  %masked = arith.addf %mask, %scaled : tensor<2x5x7xf32>
  %p = linalg.softmax dimension(2) ins(%masked : tensor<2x5x7xf32>) outs(%zero : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>)
    outs(%zeros : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// -----

// Scales of query and scores multiply. A key that is given transposed is transposed back.
// CHECK-LABEL: func.func @rank2_scaled_query
// CHECK: %[[KT:[^ ]+]] = linalg.transpose ins(%arg1 : {{.*}} permutation = [1, 0]
// CHECK: %[[K3:[^ ]+]] = tensor.expand_shape %[[KT]] {{\[\[}}0, 1], [2]]
// CHECK: %[[A:[^ ]+]] = attn.attention %{{.*}}, %[[K3]], %{{.*}} {num_heads = 1 : i64, scale = 1.250000e-01 : f64}
// CHECK: tensor.collapse_shape %[[A]] {{\[\[}}0, 1], [2]]
func.func @rank2_scaled_query(%q: tensor<?x8xf32>, %k: tensor<8x?xf32>, %v: tensor<?x8xf32>, %n: index, %m: index)
    -> tensor<?x8xf32> {
  %zero = arith.constant 0.0 : f32
  %half = arith.constant 0.5 : f32
  %quarter = arith.constant 0.25 : f32
  %halves = tensor.splat %half[%n] : tensor<?x8xf32>
  %quarters = tensor.splat %quarter[%n, %m] : tensor<?x?xf32>
  %s0 = tensor.splat %zero[%n, %m] : tensor<?x?xf32>
  %o0 = tensor.splat %zero[%n] : tensor<?x8xf32>
  %qs = arith.mulf %halves, %q : tensor<?x8xf32>
  %s = linalg.matmul ins(%qs, %k : tensor<?x8xf32>, tensor<8x?xf32>) outs(%s0 : tensor<?x?xf32>) -> tensor<?x?xf32>
  %scaled = arith.mulf %s, %quarters : tensor<?x?xf32>
  %p = linalg.softmax dimension(1) ins(%scaled : tensor<?x?xf32>) outs(%s0 : tensor<?x?xf32>) -> tensor<?x?xf32>
  %o = linalg.matmul ins(%p, %v : tensor<?x?xf32>, tensor<?x8xf32>) outs(%o0 : tensor<?x8xf32>) -> tensor<?x8xf32>
  return %o : tensor<?x8xf32>
}

// -----

// batch and heads collapsed for batch_matmul, the scores expanded for a mask broadcast over both.
// CHECK-LABEL: func.func @collapsed_heads
// CHECK-NOT: tensor.collapse_shape
// CHECK: %[[A:[^ ]+]] = attn.attention %arg0, %arg1, %arg2 bias %arg3 {scale = 2.500000e-01 : f64}
// CHECK-NEXT: return %[[A]]
func.func @collapsed_heads(%q: tensor<?x4x?x16xf32>, %k: tensor<?x4x?x16xf32>, %v: tensor<?x4x?x16xf32>,
    %mask: tensor<?x?xf32>, %b: index, %bh: index, %n: index, %m: index) -> tensor<?x4x?x16xf32> {
  %zero = arith.constant 0.0 : f32
  %c = arith.constant 0.25 : f32
  %s0 = tensor.splat %zero[%bh, %n, %m] : tensor<?x?x?xf32>
  %o0 = tensor.splat %zero[%bh, %n] : tensor<?x?x16xf32>
  %scale = tensor.splat %c[%bh, %n, %m] : tensor<?x?x?xf32>
  %q3 = tensor.collapse_shape %q [[0, 1], [2], [3]] : tensor<?x4x?x16xf32> into tensor<?x?x16xf32>
  %k3 = tensor.collapse_shape %k [[0, 1], [2], [3]] : tensor<?x4x?x16xf32> into tensor<?x?x16xf32>
  %v3 = tensor.collapse_shape %v [[0, 1], [2], [3]] : tensor<?x4x?x16xf32> into tensor<?x?x16xf32>
  %e = tensor.empty(%bh, %m) : tensor<?x16x?xf32>
  %kt = linalg.transpose ins(%k3 : tensor<?x?x16xf32>) outs(%e : tensor<?x16x?xf32>) permutation = [0, 2, 1]
  %s = linalg.batch_matmul ins(%q3, %kt : tensor<?x?x16xf32>, tensor<?x16x?xf32>)
    outs(%s0 : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  %scaled = arith.mulf %s, %scale : tensor<?x?x?xf32>
  %s4 = tensor.expand_shape %scaled [[0, 1], [2], [3]] output_shape [%b, 4, %n, %m]
    : tensor<?x?x?xf32> into tensor<?x4x?x?xf32>
  %e4 = tensor.empty(%b, %n, %m) : tensor<?x4x?x?xf32>
  %m4 = linalg.broadcast ins(%mask : tensor<?x?xf32>) outs(%e4 : tensor<?x4x?x?xf32>) dimensions = [0, 1]
  %masked = arith.addf %s4, %m4 : tensor<?x4x?x?xf32>
  %p = linalg.softmax dimension(3) ins(%masked : tensor<?x4x?x?xf32>) outs(%e4 : tensor<?x4x?x?xf32>) -> tensor<?x4x?x?xf32>
  %p3 = tensor.collapse_shape %p [[0, 1], [2], [3]] : tensor<?x4x?x?xf32> into tensor<?x?x?xf32>
  %o = linalg.batch_matmul ins(%p3, %v3 : tensor<?x?x?xf32>, tensor<?x?x16xf32>)
    outs(%o0 : tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %o4 = tensor.expand_shape %o [[0, 1], [2], [3]] output_shape [%b, 4, %n, 16]
    : tensor<?x?x16xf32> into tensor<?x4x?x16xf32>
  return %o4 : tensor<?x4x?x16xf32>
}

// -----

#qm = affine_map<(b, h, m, n, k) -> (b, m, h, k)>
#km = affine_map<(b, h, m, n, k) -> (b, n, h, k)>
#sm = affine_map<(b, h, m, n, k) -> (b, h, m, n)>
#pm = affine_map<(b, h, m, n, k) -> (b, h, m, k)>
#vm = affine_map<(b, h, m, n, k) -> (b, k, h, n)>
#om = affine_map<(b, h, m, n, k) -> (b, m, h, n)>

// einsum "bqhd,bkhd->bhqk" and back, a padding mask per batch, a soft cap of 30.
// FOLD-LABEL: func.func @einsum_soft_cap
// FOLD-NOT: linalg.transpose
// FOLD: attn.attention {{.*}} {num_heads = 4 : i64, scale = 1.500000e+01 : f64, soft_cap = 3.000000e+01 : f64} : (tensor<2x5x32xf32>, tensor<2x7x32xf32>, tensor<2x7x32xf32>, tensor<2x1x1x7xf32>) -> tensor<2x5x32xf32>
// FOLD-NOT: linalg.transpose
// CHECK-LABEL: func.func @einsum_soft_cap
// CHECK-DAG: %[[QT:[^ ]+]] = linalg.transpose ins(%arg0 : {{.*}} permutation = [0, 2, 1, 3]
// CHECK-DAG: %[[KT:[^ ]+]] = linalg.transpose ins(%arg1 : {{.*}} permutation = [0, 2, 1, 3]
// CHECK-DAG: %[[VT:[^ ]+]] = linalg.transpose ins(%arg2 : {{.*}} permutation = [0, 2, 1, 3]
// CHECK-DAG: %[[B:[^ ]+]] = tensor.expand_shape %arg3 {{\[\[}}0, 1, 2], [3]] output_shape [2, 1, 1, 7]
// CHECK: %[[A:[^ ]+]] = attn.attention %[[QT]], %[[KT]], %[[VT]] bias %[[B]] {scale = 1.500000e+01 : f64, soft_cap = 3.000000e+01 : f64}
// CHECK: linalg.transpose ins(%[[A]] : {{.*}} permutation = [0, 2, 1, 3]
func.func @einsum_soft_cap(%q: tensor<2x5x4x8xf32>, %k: tensor<2x7x4x8xf32>, %v: tensor<2x7x4x8xf32>,
                           %mask: tensor<2x7xf32>) -> tensor<2x5x4x8xf32> {
  %s0 = arith.constant dense<0.0> : tensor<2x4x5x7xf32>
  %o0 = arith.constant dense<0.0> : tensor<2x5x4x8xf32>
  %half = arith.constant dense<0.5> : tensor<2x4x5x7xf32>
  %cap = arith.constant dense<30.0> : tensor<2x4x5x7xf32>
  %s = linalg.contract indexing_maps = [#qm, #km, #sm] ins(%q, %k : tensor<2x5x4x8xf32>, tensor<2x7x4x8xf32>)
    outs(%s0 : tensor<2x4x5x7xf32>) -> tensor<2x4x5x7xf32>
  %inner = arith.mulf %s, %half : tensor<2x4x5x7xf32>
  %t = math.tanh %inner : tensor<2x4x5x7xf32>
  %capped = arith.mulf %t, %cap : tensor<2x4x5x7xf32>
  %e = tensor.empty() : tensor<2x4x5x7xf32>
  %m = linalg.broadcast ins(%mask : tensor<2x7xf32>) outs(%e : tensor<2x4x5x7xf32>) dimensions = [1, 2]
  %masked = arith.addf %capped, %m : tensor<2x4x5x7xf32>
  %p = linalg.softmax dimension(3) ins(%masked : tensor<2x4x5x7xf32>) outs(%e : tensor<2x4x5x7xf32>) -> tensor<2x4x5x7xf32>
  %o = linalg.contract indexing_maps = [#pm, #vm, #om] ins(%p, %v : tensor<2x4x5x7xf32>, tensor<2x7x4x8xf32>)
    outs(%o0 : tensor<2x5x4x8xf32>) -> tensor<2x5x4x8xf32>
  return %o : tensor<2x5x4x8xf32>
}

// -----

// FOLD-LABEL: func.func @split_heads_select
// FOLD-NEXT: attn.attention %arg0, %arg1, %arg2 bias %arg3 {num_heads = 2 : i64, scale = 1.000000e+00 : f64}
// FOLD-NEXT: return
// CHECK-LABEL: func.func @split_heads_select
// CHECK-DAG: %[[Q:[^ ]+]] = attn.split_heads %arg0 into 2
// CHECK-DAG: %[[K:[^ ]+]] = attn.split_heads %arg1 into 2
// CHECK-DAG: %[[V:[^ ]+]] = attn.split_heads %arg2 into 2
// CHECK: %[[A:[^ ]+]] = attn.attention %[[Q]], %[[K]], %[[V]] bias %arg3 {scale = 1.000000e+00 : f64}
// CHECK: attn.merge_heads %[[A]]
func.func @split_heads_select(%x: tensor<1x6x16xf32>, %y: tensor<1x6x16xf32>, %z: tensor<1x6x16xf32>,
                              %keep: tensor<1x2x6x6xi1>) -> tensor<1x6x16xf32> {
  %s0 = arith.constant dense<0.0> : tensor<2x6x6xf32>
  %o0 = arith.constant dense<0.0> : tensor<2x6x8xf32>
  %never = arith.constant dense<0xFF800000> : tensor<1x2x6x6xf32>
  %q = attn.split_heads %x into 2 : (tensor<1x6x16xf32>) -> tensor<1x2x6x8xf32>
  %k = attn.split_heads %y into 2 : (tensor<1x6x16xf32>) -> tensor<1x2x6x8xf32>
  %v = attn.split_heads %z into 2 : (tensor<1x6x16xf32>) -> tensor<1x2x6x8xf32>
  %e = tensor.empty() : tensor<1x2x8x6xf32>
  %kt = linalg.transpose ins(%k : tensor<1x2x6x8xf32>) outs(%e : tensor<1x2x8x6xf32>) permutation = [0, 1, 3, 2]
  %q3 = tensor.collapse_shape %q [[0, 1], [2], [3]] : tensor<1x2x6x8xf32> into tensor<2x6x8xf32>
  %k3 = tensor.collapse_shape %kt [[0, 1], [2], [3]] : tensor<1x2x8x6xf32> into tensor<2x8x6xf32>
  %v3 = tensor.collapse_shape %v [[0, 1], [2], [3]] : tensor<1x2x6x8xf32> into tensor<2x6x8xf32>
  %s = linalg.batch_matmul ins(%q3, %k3 : tensor<2x6x8xf32>, tensor<2x8x6xf32>) outs(%s0 : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
  %s4 = tensor.expand_shape %s [[0, 1], [2], [3]] output_shape [1, 2, 6, 6] : tensor<2x6x6xf32> into tensor<1x2x6x6xf32>
  %masked = arith.select %keep, %s4, %never : tensor<1x2x6x6xi1>, tensor<1x2x6x6xf32>
  %p = linalg.softmax dimension(3) ins(%masked : tensor<1x2x6x6xf32>) outs(%never : tensor<1x2x6x6xf32>) -> tensor<1x2x6x6xf32>
  %p3 = tensor.collapse_shape %p [[0, 1], [2], [3]] : tensor<1x2x6x6xf32> into tensor<2x6x6xf32>
  %o = linalg.batch_matmul ins(%p3, %v3 : tensor<2x6x6xf32>, tensor<2x6x8xf32>) outs(%o0 : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  %o4 = tensor.expand_shape %o [[0, 1], [2], [3]] output_shape [1, 2, 6, 8] : tensor<2x6x8xf32> into tensor<1x2x6x8xf32>
  %r = attn.merge_heads %o4 : (tensor<1x2x6x8xf32>) -> tensor<1x6x16xf32>
  return %r : tensor<1x6x16xf32>
}

// -----

#tri = affine_map<(b, i, j) -> (b, i, j)>

// A triangle of 0 and -inf, compared from indices, is causal.
// CHECK-LABEL: func.func @causal_generic
// CHECK: attn.attention %arg0, %{{[a-z_0-9]+}}, %arg2 {causal, num_heads = 1 : i64, scale = 1.000000e+00 : f64}
func.func @causal_generic(%q: tensor<?x?x8xf32>, %k: tensor<?x8x?xf32>, %v: tensor<?x?x8xf32>, %b: index, %n: index,
                          %m: index) -> tensor<?x?x8xf32> {
  %zero = arith.constant 0.0 : f32
  %never = arith.constant 0xFF800000 : f32
  %s0 = tensor.splat %zero[%b, %n, %m] : tensor<?x?x?xf32>
  %o0 = tensor.splat %zero[%b, %n] : tensor<?x?x8xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<?x?x8xf32>, tensor<?x8x?xf32>) outs(%s0 : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  %e = tensor.empty(%b, %n, %m) : tensor<?x?x?xf32>
  %mask = linalg.generic {indexing_maps = [#tri], iterator_types = ["parallel", "parallel", "parallel"]}
    outs(%e : tensor<?x?x?xf32>) {
  ^bb0(%out: f32):
    %i = linalg.index 1 : index
    %j = linalg.index 2 : index
    %later = arith.cmpi ugt, %j, %i : index
    %x = arith.select %later, %never, %zero : f32
    linalg.yield %x : f32
  } -> tensor<?x?x?xf32>
  %t = arith.addf %s, %mask : tensor<?x?x?xf32>
  %p = linalg.softmax dimension(2) ins(%t : tensor<?x?x?xf32>) outs(%e : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<?x?x?xf32>, tensor<?x?x8xf32>) outs(%o0 : tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %o : tensor<?x?x8xf32>
}

// -----

// As does tensor.generate of booleans that keep.
// CHECK-LABEL: func.func @causal_generate
// CHECK: attn.attention {{.*}} {causal, num_heads = 1 : i64, scale = 1.000000e+00 : f64}
func.func @causal_generate(%q: tensor<?x8xf32>, %k: tensor<8x?xf32>, %v: tensor<?x8xf32>, %n: index) -> tensor<?x8xf32> {
  %zero = arith.constant 0.0 : f32
  %ninf = arith.constant 0xFF800000 : f32
  %s0 = tensor.splat %zero[%n, %n] : tensor<?x?xf32>
  %never = tensor.splat %ninf[%n, %n] : tensor<?x?xf32>
  %o0 = tensor.splat %zero[%n] : tensor<?x8xf32>
  %s = linalg.matmul ins(%q, %k : tensor<?x8xf32>, tensor<8x?xf32>) outs(%s0 : tensor<?x?xf32>) -> tensor<?x?xf32>
  %keep = tensor.generate %n, %n {
  ^bb0(%i: index, %j: index):
    %i32 = arith.index_cast %i : index to i32
    %j32 = arith.index_cast %j : index to i32
    %x = arith.cmpi sge, %i32, %j32 : i32
    tensor.yield %x : i1
  } : tensor<?x?xi1>
  %t = arith.select %keep, %s, %never : tensor<?x?xi1>, tensor<?x?xf32>
  %p = linalg.softmax dimension(1) ins(%t : tensor<?x?xf32>) outs(%s0 : tensor<?x?xf32>) -> tensor<?x?xf32>
  %o = linalg.matmul ins(%p, %v : tensor<?x?xf32>, tensor<?x8xf32>) outs(%o0 : tensor<?x8xf32>) -> tensor<?x8xf32>
  return %o : tensor<?x8xf32>
}

// -----

// CHECK-LABEL: func.func @causal_constant
// CHECK: attn.attention {{.*}} {causal, num_heads = 1 : i64, scale = 1.000000e+00 : f64}
// CHECK-LABEL: func.func @strictly_earlier
// CHECK: attn.attention {{.*}} bias %{{.*}} {num_heads = 1 : i64, scale = 1.000000e+00 : f64}
func.func @causal_constant(%q: tensor<2x8xf32>, %k: tensor<8x3xf32>, %v: tensor<3x8xf32>) -> tensor<2x8xf32> {
  %mask = arith.constant dense<[[0.0, -1.0e9, -1.0e9], [0.0, 0.0, -1.0e9]]> : tensor<2x3xf32>
  %s0 = arith.constant dense<0.0> : tensor<2x3xf32>
  %o0 = arith.constant dense<0.0> : tensor<2x8xf32>
  %s = linalg.matmul ins(%q, %k : tensor<2x8xf32>, tensor<8x3xf32>) outs(%s0 : tensor<2x3xf32>) -> tensor<2x3xf32>
  %t = arith.addf %s, %mask : tensor<2x3xf32>
  %p = linalg.softmax dimension(1) ins(%t : tensor<2x3xf32>) outs(%s0 : tensor<2x3xf32>) -> tensor<2x3xf32>
  %o = linalg.matmul ins(%p, %v : tensor<2x3xf32>, tensor<3x8xf32>) outs(%o0 : tensor<2x8xf32>) -> tensor<2x8xf32>
  return %o : tensor<2x8xf32>
}
func.func @strictly_earlier(%q: tensor<2x8xf32>, %k: tensor<8x3xf32>, %v: tensor<3x8xf32>) -> tensor<2x8xf32> {
  %mask = arith.constant dense<[[0.0, -1.0e9, -1.0e9], [0.0, -1.0e9, -1.0e9]]> : tensor<2x3xf32>
  %s0 = arith.constant dense<0.0> : tensor<2x3xf32>
  %o0 = arith.constant dense<0.0> : tensor<2x8xf32>
  %s = linalg.matmul ins(%q, %k : tensor<2x8xf32>, tensor<8x3xf32>) outs(%s0 : tensor<2x3xf32>) -> tensor<2x3xf32>
  %t = arith.addf %s, %mask : tensor<2x3xf32>
  %p = linalg.softmax dimension(1) ins(%t : tensor<2x3xf32>) outs(%s0 : tensor<2x3xf32>) -> tensor<2x3xf32>
  %o = linalg.matmul ins(%p, %v : tensor<2x3xf32>, tensor<3x8xf32>) outs(%o0 : tensor<2x8xf32>) -> tensor<2x8xf32>
  return %o : tensor<2x8xf32>
}
