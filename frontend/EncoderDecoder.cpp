//===- EncoderDecoder.cpp - What encoder–decoders share: entries, cache, cross attention ----===//
#include "frontend/EncoderDecoder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using llvm::StringRef;

namespace attnc {

llvm::Error EncoderDecoder::build(StringRef modelType) {
  if (llvm::Error error = config.takeProblems())
    return error;
  forward();
  encode();
  cached("prefill", kDynamic);
  cached("decode", 1);
  cached("verify", kDynamic, /*everyToken=*/true);
  if (llvm::Error error = b.finish())
    return error;
  return setMetadata(import, modelType,
                     {{"vocab_size", vocab},
                      {"context", context},
                      {"n_layer", decoderLayers},
                      {"n_encoder_layer", encoderLayers},
                      {"n_head", decoderHeads},
                      {"n_embd", width}});
}

Value EncoderDecoder::run(Side side, Value ids, Stack stack) {
  bool encoder = side == Side::encoder;
  Value x = embed(side, ids, stack.cache, stack);
  StringRef name = encoder ? "encoder_block" : stack.cache ? "cached_block" : "block";
  for (int64_t index = 0; index < (encoder ? encoderLayers : decoderLayers); ++index) {
    if (stack.cache)
      stack.layer = arith::ConstantIndexOp::create(b, index);
    x = b.layer(name, layerPrefix(side, index), x, stack, [&](Value x, const Stack &inner) {
      return encoder ? encoderLayer(x, inner) : decoderLayer(x, inner);
    });
  }
  return finish(side, x);
}

Value EncoderDecoder::crossAttention(const Stack &stack, Value query, const AttentionOptions &options) {
  Stack source;
  if (stack.cross) {
    source.cache = stack.cross;
    source.layer = stack.layer;
    return b.attention(source, query, Value(), Value(), options);
  }
  source.mask = stack.memoryMask;
  auto [key, value] = crossKeysValues(stack.memory);
  return b.attention(source, query, key, value, options);
}

void EncoderDecoder::forward() {
  RankedTensorType ids = b.i64({kDynamic, kDynamic});
  func::FuncOp func = b.entry("forward",
                              {{"input_ids", ids, {"batch", "seq"}},
                               {"attention_mask", ids, {"batch", "seq"}, /*optional=*/true},
                               {"decoder_input_ids", ids, {"batch", "decoder_seq"}},
                               {"decoder_attention_mask", ids, {"batch", "decoder_seq"}, /*optional=*/true}},
                              {{"batch", 1, kMaxBatch}, {"seq", 1, context}, {"decoder_seq", 1, context}});
  Stack encoder, decoder;
  encoder.mask = decoder.memoryMask = func.getArgument(1);
  decoder.mask = func.getArgument(3);
  decoder.memory = run(Side::encoder, func.getArgument(0), encoder);
  Value x = run(Side::decoder, func.getArgument(2), decoder);
  b.results(func, {{"logits", head(x), {"batch", "decoder_seq"}}});
}

void EncoderDecoder::encode() {
  RankedTensorType ids = b.i64({kDynamic, kDynamic});
  func::FuncOp func = b.entry("encode",
                              {{"input_ids", ids, {"batch", "seq"}},
                               {"attention_mask", ids, {"batch", "seq"}, /*optional=*/true},
                               {"", b.cacheType(decoderLayers, decoderHeads, headDim, /*cross=*/true), {}}},
                              {{"batch", 1, kMaxBatch}, {"seq", 1, context}});
  Stack encoder, kept;
  encoder.mask = kept.memoryMask = func.getArgument(1);
  kept.cross = func.getArgument(2);
  Value memory = run(Side::encoder, func.getArgument(0), encoder);
  for (int64_t index = 0; index < decoderLayers; ++index) {
    kept.layer = arith::ConstantIndexOp::create(b, index);
    b.layer("cross_block", layerPrefix(Side::decoder, index), memory, kept, [&](Value x, const Stack &inner) {
      auto [key, value] = crossKeysValues(x);
      b.create<attn::CacheAppendOp>(Type(), {key, value, inner.cross, inner.layer, inner.memoryMask});
      return Value();
    });
  }
  b.results(func, {{"encoder_last_hidden_state", memory, {"batch", "seq"}}});
}

void EncoderDecoder::cached(StringRef name, int64_t seq, bool everyToken) {
  SmallVector<StringRef, 2> tokens{"batch"};
  SmallVector<DimBound> bounds{{"batch", 1, kMaxBatch}, {"keys", 1, context}};
  if (seq == kDynamic) {
    tokens.push_back("seq");
    bounds.push_back({"seq", 1, everyToken ? std::min(context, kMaxVerify) : context});
  }
  SmallVector<Input> inputs{{"decoder_input_ids", b.i64({kDynamic, seq}), tokens},
                            {"decoder_attention_mask", b.i64({kDynamic, kDynamic}), {"batch", "keys"}, /*optional=*/true}};
  if (!everyToken)
    inputs.push_back({"logits_index", b.i64({kDynamic}), {"batch"}, /*optional=*/true});
  inputs.push_back({"", b.cacheType(decoderLayers, decoderHeads, headDim), {}});
  inputs.push_back({"", b.cacheType(decoderLayers, decoderHeads, headDim, /*cross=*/true), {}});
  func::FuncOp func = b.entry(name, inputs, bounds);
  auto last = func.getArguments().end();
  Stack stack;
  stack.mask = func.getArgument(1);
  stack.cache = last[-2];
  stack.cross = last[-1];
  // Dynamic, so that decode runs the layers of prefill.
  Value x = run(Side::decoder, b.cast(b.i64({kDynamic, kDynamic}), func.getArgument(0)), stack);
  if (everyToken)
    return b.results(func, {{"logits", head(x), {"batch", "seq"}}});
  b.at("select_token");
  x = b.create<attn::SelectTokenOp>(b.f32({kDynamic, width}), {x, last[-3]});
  b.results(func, {{"logits", head(x), {"batch"}}});
}

} // namespace attnc
