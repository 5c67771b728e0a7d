//===- Passes.td - Every pass of attnc: one file, one lit test, one name ----------------===//
// To add a pass: an entry here, X.cpp, a line in CMakeLists.txt, test/passes/x.mlir, a line in Pipeline.cpp.
#ifndef ATTN_PASSES_TD
#define ATTN_PASSES_TD

include "mlir/Pass/PassBase.td"

def NameDims : Pass<"attn-name-dims", "::mlir::ModuleOp"> {
  let summary = "complete and check the description of every entry";
  let description = [{
    Public functions are the entries of the compiled file. Fills in missing `attn.name` and `attn.dims` of arguments and
    results, finds which dynamic dimensions must be equal by following the ops (an addition's operands, a residual, ...),
    gives equal ones one name, and refuses two names for one dimension, or a result whose dimensions do not follow from
    the inputs.
  }];
}

#endif // ATTN_PASSES_TD
