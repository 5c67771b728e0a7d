//===- Decoder.cpp - What decoders share: entries, cache, one function per kind of layer ---===//
#include "frontend/Decoder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using llvm::StringRef;
using llvm::Twine;

namespace attnc {

llvm::Error Decoder::build(StringRef modelType) {
  if (llvm::Error error = config.takeProblems())
    return error;
  forward();
  cached("prefill", kDynamic);
  cached("decode", 1);
  cached("verify", kDynamic, /*everyToken=*/true);
  if (llvm::Error error = b.finish())
    return error;
  return setMetadata(import, modelType,
                     {{"vocab_size", vocab}, {"context", context}, {"n_layer", layers}, {"n_head", heads}, {"n_embd", width}});
}

Value Decoder::run(const Inputs &inputs) {
  Stack stack;
  stack.mask = inputs.mask;
  stack.cache = inputs.cache;
  Value x = embed(inputs, stack);
  for (int64_t index = 0; index < layers; ++index) {
    if (stack.cache)
      stack.layer = arith::ConstantIndexOp::create(b, index);
    x = b.layer(stack.cache ? "cached_block" : "block", layerPrefix(index), x, stack,
                [&](Value x, const Stack &inner) { return layer(index, x, inner); });
  }
  return x;
}

void Decoder::forward() {
  RankedTensorType ids = b.i64({kDynamic, kDynamic});
  SmallVector<Input> inputs{{"input_ids", ids, {"batch", "seq"}}, {"attention_mask", ids, {"batch", "seq"}, /*optional=*/true}};
  if (takesPositions)
    inputs.push_back({"position_ids", ids, {"batch", "seq"}, /*optional=*/true});
  func::FuncOp func = b.entry("forward", inputs, {{"batch", 1, kMaxBatch}, {"seq", 1, context}});
  Value x = run({func.getArgument(0), func.getArgument(1), takesPositions ? func.getArgument(2) : Value(), {}});
  b.results(func, {{"logits", head(x), {"batch", "seq"}}});
}

void Decoder::cached(StringRef name, int64_t seq, bool everyToken) {
  SmallVector<StringRef, 2> tokens{"batch"};
  SmallVector<DimBound> bounds{{"batch", 1, kMaxBatch}, {"keys", 1, context}};
  if (seq == kDynamic) {
    tokens.push_back("seq");
    bounds.push_back({"seq", 1, everyToken ? std::min(context, kMaxVerify) : context});
  }
  attn::CacheType cache = b.cacheType(layers, kvHeads, headDim);
  SmallVector<Input> inputs{{"input_ids", b.i64({kDynamic, seq}), tokens},
                            {"attention_mask", b.i64({kDynamic, kDynamic}), {"batch", "keys"}, /*optional=*/true}};
  if (takesPositions)
    inputs.push_back({"position_ids", b.i64({kDynamic, seq}), tokens, /*optional=*/true});
  if (!everyToken)
    inputs.push_back({"logits_index", b.i64({kDynamic}), {"batch"}, /*optional=*/true});
  inputs.push_back({"", cache, {}});
  func::FuncOp func = b.entry(name, inputs, bounds);
  // Dynamic, so that decode runs the layers of prefill.
  auto tokensOf = [&](unsigned i) { return b.cast(b.i64({kDynamic, kDynamic}), func.getArgument(i)); };
  auto last = func.getArguments().end();
  Value x = run({tokensOf(0), func.getArgument(1), takesPositions ? tokensOf(2) : Value(), last[-1]});
  if (everyToken)
    return b.results(func, {{"logits", head(x), {"batch", "seq"}}});
  b.at("select_token");
  x = b.create<attn::SelectTokenOp>(b.f32({kDynamic, width}), {x, last[-2]});
  b.results(func, {{"logits", head(x), {"batch"}}});
}

} // namespace attnc
