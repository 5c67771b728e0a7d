//===- Encoder.cpp - What encoders share: the entry, one function per kind of layer -------===//
#include "frontend/Encoder.h"

#include "frontend/SentenceTransformer.h"

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

int64_t Encoder::labels() {
  if (const llvm::json::Value *names = config.find("id2label"))
    if (const llvm::json::Object *object = names->getAsObject())
      return std::max<int64_t>(object->size(), 1);
  return config.integer("num_labels|_num_labels", 1, INT32_MAX, 2);
}

llvm::Error Encoder::build(StringRef modelType) {
  SentenceEmbedding sentence;
  llvm::Error modules = sentence.read(import.directory, width);
  if (llvm::Error error = llvm::joinErrors(config.takeProblems(), std::move(modules)))
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
  if (sentence.pooling) {
    Value pooled = b.at("sentence_embedding").pool(x, given.mask, *sentence.pooling);
    results.push_back({"sentence_embedding", sentence.normalized ? b.l2Norm(pooled) : pooled, {"batch"}});
  }
  b.results(func, results);
  if (llvm::Error error = b.finish())
    return error;
  return setMetadata(import, modelType,
                     {{"vocab_size", vocab}, {"context", context}, {"n_layer", layers}, {"n_head", heads}, {"n_embd", width}});
}

} // namespace attnc
