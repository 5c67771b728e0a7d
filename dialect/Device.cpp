//===- Device.cpp - Ops that a device computes ------------------------------------------===//
#include "dialect/Verify.h"

namespace attnc::attn {

LogicalResult PipelineOp::verify() {
  for (Type type : getBody().front().getArgumentTypes()) { // C1
    auto memref = dyn_cast<MemRefType>(type);
    if (memref ? memref.getRank() < 1 || memref.getRank() > 8 : !type.isIntOrIndexOrFloat())
      return emitOpError() << "expected arguments that are buffers of rank 1 to 8, integers, indices or floats, got " << type;
  }
  return success();
}

LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto pipeline = symbols.lookupNearestSymbolFrom<PipelineOp>(*this, getPipelineAttr());
  auto matches = [](Type given, Type expected) {
    auto a = dyn_cast<MemRefType>(given), b = dyn_cast<MemRefType>(expected);
    return a && b ? a.getShape() == b.getShape() && a.getElementType() == b.getElementType() : given == expected;
  };
  SmallVector<Value> operands(getInputs());
  llvm::append_range(operands, getInits());
  if (!pipeline || pipeline.getBody().front().getNumArguments() != operands.size() || // C1
      !llvm::all_of_zip(TypeRange(ValueRange(operands)), pipeline.getBody().front().getArgumentTypes(), matches))
    return emitOpError() << "expected a pipeline of " << operands.size()
                         << " arguments with the shapes and element types of inputs and inits";
  return success();
}

} // namespace attnc::attn
