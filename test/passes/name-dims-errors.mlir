// RUN: attn-opt %s --attn-name-dims --split-input-file --verify-diagnostics

// expected-error @below {{expected one name for equal dimensions, got 'm' and 'n' (dimension 0 of argument 1)}}
func.func @two_names(%a: tensor<?xf32> {attn.dims = ["m"]}, %b: tensor<?xf32> {attn.dims = ["n"]}) -> tensor<?xf32> {
  %0 = arith.addf %a, %b : tensor<?xf32>
  return %0 : tensor<?xf32>
}

// -----

// expected-error @below {{expected 'attn.dims' of argument 0 to name its dynamic dimensions, 2 strings}}
func.func @count(%a: tensor<?x?xf32> {attn.dims = ["m"]}) -> tensor<?x?xf32> {
  return %a : tensor<?x?xf32>
}

// -----

// expected-error @below {{expected dimension 0 of result 0 to follow from the inputs' dimensions}}
func.func @unknown(%n: index) -> tensor<?xf32> {
  %0 = tensor.empty(%n) : tensor<?xf32>
  return %0 : tensor<?xf32>
}

// -----

// expected-error @below {{expected static size 4 in dimension 0 of result 0}}
func.func @static(%a: tensor<4xf32>) -> tensor<?xf32> {
  %0 = tensor.cast %a : tensor<4xf32> to tensor<?xf32>
  return %0 : tensor<?xf32>
}

// -----

// expected-error @below {{expected functions that do not call themselves}}
func.func private @loop(%a: tensor<?xf32>) -> tensor<?xf32> {
  %0 = call @loop(%a) : (tensor<?xf32>) -> tensor<?xf32>
  return %0 : tensor<?xf32>
}

// -----

// expected-error @below {{expected one block: control flow in a model is not supported}}
func.func @blocks(%a: tensor<?xf32>) -> tensor<?xf32> {
  cf.br ^bb1
^bb1:
  return %a : tensor<?xf32>
}

// -----

// expected-error @below {{expected tensors as results, got 'index'}}
func.func @result(%a: index) -> index {
  return %a : index
}
