//===- Experts.cpp - Constraints of the ops of a mixture of experts -------------------------===//
#include "dialect/Verify.h"

namespace attnc::attn {

namespace {
constexpr int64_t kMostExperts = 65536; // sizes stay far inside 64 bits

LogicalResult expectCount(Operation *op, StringRef name, int64_t count, int64_t most = kMostExperts) {
  if (count >= 1 && count <= most)
    return success();
  return op->emitOpError() << "expected " << name << " from 1 to " << most << ", got "
                           << (ShapedType::isDynamic(count) ? std::string("?") : std::to_string(count));
}

LogicalResult expectI64(Operation *op, Value experts) {
  if (shaped(experts).getElementType().isInteger(64))
    return success();
  return op->emitOpError() << "expected experts element type i64, got " << shaped(experts).getElementType();
}

SmallVector<int64_t> with(ArrayRef<int64_t> leading, ArrayRef<int64_t> more) {
  SmallVector<int64_t> sizes(leading);
  llvm::append_range(sizes, more);
  return sizes;
}
} // namespace

LogicalResult RouteOp::verify() {
  if (!getInit() && !getOutputs().empty() && getOutputs().size() != 2)
    return emitOpError() << "expected 2 results, weights and experts, got " << getOutputs().size();
  if (getInit() && !getExpertsInit())
    return emitOpError("expected outs buffers of weights and experts, got one");
  FailureOr<Value> weights = destination(*this, getInit());
  if (failed(weights) || failed(expectStaticLast(*this, "logits", getLogits(), 2)) ||
      failed(expectCount(*this, "experts", last(getLogits()))) || // C1
      failed(expectCount(*this, "'top_k'", getTopK(), last(getLogits())))) // C2
    return failure();
  Value experts = getInit() ? Value(getExpertsInit()) : getOutputs()[1];
  SmallVector<int64_t> expected = with(shape(getLogits()).drop_back(), int64_t(getTopK()));
  if (failed(expectShape(*this, "weights", *weights, expected)) || // C3
      failed(expectStaticLast(*this, "weights", *weights, 2)) ||
      failed(expectShape(*this, "experts", experts, expected)) ||
      failed(expectStaticLast(*this, "experts", experts, 2)))
    return failure();
  if (!shaped(*weights).getElementType().isF32())
    return emitOpError() << "expected weights element type f32, got " << shaped(*weights).getElementType();
  return expectI64(*this, experts);
}

LogicalResult ExpertLinearOp::verify() {
  FailureOr<Value> out = destination(*this, getInit());
  if (failed(out) || failed(expectI64(*this, getExperts())) || // C5
      failed(expectStaticLast(*this, "input", getInput(), 2)))
    return failure();
  int64_t k = last(getInput());
  if (getScratch()) { // C6
    if (int64_t(getTopK().value_or(0)) < 1)
      return emitOpError("expected 'top_k' of at least 1 in a task");
    if (failed(expectRank(*this, "experts", getExperts(), 1)) || failed(expectRank(*this, "input", getInput(), 2)) ||
        failed(expectRank(*this, "result", *out, 2)) ||
        failed(verifyWeight(*this, "weight", getWeight(), k, last(*out), getTransposeWeight())))
      return failure();
    return expectVector(*this, "bias", getBias(), last(*out));
  }
  if (failed(expectStaticLast(*this, "experts", getExperts(), 2)) || failed(expectStaticLast(*this, "result", *out, 3)))
    return failure();
  ArrayRef<int64_t> choices = shape(getExperts());
  int64_t n = last(*out);
  bool isOfChoice = shaped(getInput()).getRank() > shaped(getExperts()).getRank();
  if (failed(expectCount(*this, "choices of a token", choices.back())) ||
      failed(expectShape(*this, "result", *out, with(choices, n))) || // C2
      failed(expectShape(*this, "input", getInput(), with(isOfChoice ? choices : choices.drop_back(), k)))) // C1
    return failure();
  if (shaped(getWeight()).getRank() < 3) // C3
    return emitOpError() << "expected weight of rank at least 3, got " << shaped(getWeight());
  int64_t experts = getNumExperts();
  if (failed(expectCount(*this, "experts", experts)))
    return failure();
  SmallVector<int64_t> weight = shaped(getWeight()).getRank() > 3 ? packedShape(k, n, shaped(getWeight()).getElementType())
                                : getTransposeWeight()            ? SmallVector<int64_t>{n, k}
                                                                  : SmallVector<int64_t>{k, n};
  if (failed(expectShape(*this, "weight", getWeight(), with(experts, weight))))
    return failure();
  return getBias() ? expectShape(*this, "bias", getBias(), {experts, n}) : success(); // C4
}

LogicalResult CombineExpertsOp::verify() {
  FailureOr<Value> out = destination(*this, getInit());
  if (failed(out) || failed(expectStaticLast(*this, "input", getInput(), 3))) // C1
    return failure();
  ArrayRef<int64_t> input = shape(getInput());
  if (failed(expectCount(*this, "choices of a token", input.drop_back().back())) ||
      failed(expectShape(*this, "weights", getWeights(), input.drop_back())) || // C2
      failed(expectStaticLast(*this, "weights", getWeights(), 2)) ||
      failed(expectShape(*this, "result", *out, with(input.drop_back(2), input.back()))) ||
      failed(expectStaticLast(*this, "result", *out, 2)))
    return failure();
  return verifyResidual(*this, getResidual(), *out); // C3
}

LogicalResult StackParametersOp::verify() {
  auto result = cast<ShapedType>(getResult().getType());
  if (getInputs().empty() || !shaped(getInputs()[0]).hasStaticShape() || !shaped(getInputs()[0]).getRank()) // C1
    return emitOpError() << "expected inputs of static sizes and rank at least 1, got "
                         << (getInputs().empty() ? std::string("none") : str(shape(getInputs()[0])));
  Type type = getInputs()[0].getType();
  for (Value input : getInputs())
    if (input.getType() != type)
      return emitOpError() << "expected inputs of one type, got " << type << " and " << input.getType();
  auto stacked = RankedTensorType::get(with(int64_t(getInputs().size()), shape(getInputs()[0])), result.getElementType());
  if (result != stacked || result.getElementType() != shaped(getInputs()[0]).getElementType()) // C2
    return emitOpError() << "expected result of " << getInputs().size() << " times " << type << ", got " << result;
  return success();
}

} // namespace attnc::attn
