// RUN: attn-opt %s --split-input-file --verify-diagnostics

// Every error of attn.external; the labels are those of its description.

// C1
func.func @f(%x: tensor<4xf32>) {
  // expected-error @below {{expected the name of a function, got none}}
  %0 = attn.external ""(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

// C2
func.func @f(%x: tensor<4xf32>) {
  // expected-error @below {{expected results on tensors or outs buffers, got neither}}
  attn.external "g"(%x) : (tensor<4xf32>) -> ()
  return
}

// -----

// C2
func.func @f(%x: tensor<4xf32>, %y: memref<4xf32>) {
  // expected-error @below {{expected results on tensors or outs buffers, got both}}
  %0 = attn.external "g"(%x) outs(%y : memref<4xf32>) : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

// C2
func.func @f(%x: tensor<4xf32>) {
  // expected-error @below {{expected at most 64 inputs and results, got 65}}
  %0 = attn.external "g"(%x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x, %x) : (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

// C2
func.func @f(%x: tensor<f32>) {
  // expected-error @below {{expected inputs and results of rank 1 to 8, got 'tensor<f32>'}}
  %0 = attn.external "g"(%x) : (tensor<f32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %y: memref<4xf32>) {
  // expected-error @below {{expected operands that are all buffers, got 'tensor<4xf32>'}}
  attn.external "g"(%x) outs(%y : memref<4xf32>) : (tensor<4xf32>) -> ()
  return
}

// -----

// C3
func.func @f(%x: tensor<4xi32>) {
  // expected-error @below {{expected elements that are floats or i64, got 'i32'}}
  %0 = attn.external "g"(%x) : (tensor<4xi32>) -> tensor<4xf32>
  return
}

// -----

// C4
func.func @f(%x: tensor<?x?xf32>, %n: index) {
  // expected-error @below {{expected 2 sizes, got 1}}
  %0 = attn.external "g"(%x) sizes(%n) : (tensor<?x?xf32>) -> tensor<?x?xf32>
  return
}
