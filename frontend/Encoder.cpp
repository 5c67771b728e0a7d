//===- Encoder.cpp - What encoders share: the entry, one function per kind of layer -------===//
#include "frontend/Encoder.h"

using namespace mlir;
using llvm::StringRef;
using llvm::Twine;

namespace attnc {

std::string Encoder::task() const {
  for (StringRef name : config.strings("architectures"))
    if (size_t at = name.find("For"); at != StringRef::npos)
      return name.drop_front(at + 3).str();
  return "";
}

llvm::Error Encoder::build(StringRef modelType) {
  if (llvm::Error error = config.takeProblems())
    return error;
  RankedTensorType ids = b.i64({kDynamic, kDynamic});
  SmallVector<Input> inputs = {{"input_ids", ids, {"batch", "seq"}},
                               {"attention_mask", ids, {"batch", "seq"}, /*optional=*/true}};
  if (hasTypes)
    inputs.push_back({"token_type_ids", ids, {"batch", "seq"}, /*optional=*/true});
  if (hasPositions)
    inputs.push_back({"position_ids", ids, {"batch", "seq"}, /*optional=*/true});
  func::FuncOp func = b.entry("forward", inputs, {{"batch", 1, kMaxBatch}, {"seq", 1, context}});
  Inputs given{func.getArgument(0), func.getArgument(1), {}, {}};
  if (hasTypes)
    given.types = func.getArgument(2);
  if (hasPositions)
    given.positions = func.getArguments().back();

  Stack stack;
  stack.mask = given.mask;
  Value x = embed(given, stack);
  for (int64_t index = 0; index < layers; ++index)
    x = b.layer("block", layerPrefix(index), x, stack,
                [&](Value x, const Stack &inner) { return layer(index, x, inner); });
  x = finish(x);
  SmallVector<Output> results = {{"last_hidden_state", x, {"batch", "seq"}}};
  outputs(x, given, results);
  b.results(func, results);
  if (llvm::Error error = b.finish())
    return error;
  return setMetadata(import, modelType,
                     {{"vocab_size", vocab}, {"context", context}, {"n_layer", layers}, {"n_head", heads}, {"n_embd", width}});
}

} // namespace attnc
