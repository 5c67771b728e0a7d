//===- External.cpp - Functions of the host ---------------------------------------------===//
#include "dialect/Verify.h"

namespace attnc::attn {

LogicalResult ExternalOp::verify() {
  if (getName().empty()) // C1
    return emitOpError("expected the name of a function, got none");
  bool onBuffers = !getInits().empty();
  if (onBuffers == !getOutputs().empty())
    return emitOpError() << "expected results on tensors or outs buffers, got " << (onBuffers ? "both" : "neither");
  SmallVector<Value> outputs = onBuffers ? SmallVector<Value>(getInits()) : SmallVector<Value>(getOutputs());
  constexpr size_t most = 64;                     // ATTN_MAX_TENSORS
  if (getInputs().size() + outputs.size() > most) // C2
    return emitOpError() << "expected at most " << most << " inputs and results, got "
                         << getInputs().size() + outputs.size();
  int64_t dynamic = 0;
  for (bool isInput : {true, false})
    for (Value value : isInput ? SmallVector<Value>(getInputs()) : outputs) {
      ShapedType type = shaped(value);
      if (type.getRank() < 1 || type.getRank() > 8)
        return emitOpError() << "expected inputs and results of rank 1 to 8, got " << type;
      if (isa<MemRefType>(type) != onBuffers)
        return emitOpError() << "expected operands that are all " << (onBuffers ? "buffers" : "tensors") << ", got "
                             << type;
      if (type.getElementType().isInteger() && !type.getElementType().isInteger(64)) // C3
        return emitOpError() << "expected elements that are floats or i64, got " << type.getElementType();
      dynamic += isInput ? 0 : type.getNumDynamicDims();
    }
  if (!onBuffers && int64_t(getSizes().size()) != dynamic) // C4
    return emitOpError() << "expected " << dynamic << " sizes, got " << getSizes().size();
  return success();
}

LogicalResult ExternalOp::reifyResultShapes(OpBuilder &b, ReifiedRankedShapedTypeDims &shapes) {
  if (getOutputs().empty())
    return failure();
  auto size = getSizes().begin();
  for (Value output : getOutputs()) {
    SmallVector<OpFoldResult> &sizes = shapes.emplace_back();
    for (int64_t dim : shape(output))
      sizes.push_back(ShapedType::isDynamic(dim) ? OpFoldResult(*size++) : b.getIndexAttr(dim));
  }
  return success();
}

} // namespace attnc::attn
