//===- DecomposeSoftmax.cpp - A softmax that is no attention to elementwise ops and reductions ------===//
#include "passes/Passes.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace attnc {
#define GEN_PASS_DEF_DECOMPOSESOFTMAX
#include "passes/Passes.h.inc"

namespace {
struct DecomposeSoftmax : impl::DecomposeSoftmaxBase<DecomposeSoftmax> {
  void runOnOperation() override {
    getOperation().walk([&](linalg::SoftmaxOp softmax) {
      if (!softmax.hasPureTensorSemantics())
        return;
      OpBuilder b(softmax);
      FailureOr<SmallVector<Value>> parts = softmax.decomposeOperation(b);
      if (failed(parts))
        return signalPassFailure();
      softmax->replaceAllUsesWith(*parts);
      softmax.erase();
    });
  }
};
} // namespace
} // namespace attnc
