//===- MPNet.cpp - Import MPNet (Song et al. 2020) -----------------------------------------------===//
// BERT without token types, with RoBERTa's positions and a relative bias that all layers share. Keys of config.json and
// tensor names: transformers' MPNetConfig and MPNetModel, with or without the prefix "mpnet.".
#include "frontend/families/Bert.h"

using llvm::Twine;

namespace attnc {
namespace {
// Whatever the configuration says, transformers' MPNet counts positions after token 1, and has these buckets.
constexpr int64_t kPad = 1, kBuckets = 32, kMaxDistance = 128;

class MPNet : public Bert {
public:
  explicit MPNet(ImportContext &import) : Bert(import, names(), {30527}) {
    countFromPad(kPad);
    if (int64_t buckets = config.integer("relative_attention_num_buckets", 1, 4096, kBuckets); buckets != kBuckets)
      config.problem("expected 'relative_attention_num_buckets' to be " + Twine(kBuckets) + ", got " + Twine(buckets) +
                     ": MPNet computes no others");
  }

private:
  static Names names() {
    Names names;
    names.prefix = "mpnet.";
    names.query = "attention.attn.q";
    names.key = "attention.attn.k";
    names.value = "attention.attn.v";
    names.out = "attention.attn.o";
    names.attentionNorm = "attention.LayerNorm";
    names.headInner = "classifier.dense";
    names.headOuter = "classifier.out_proj";
    return names;
  }

  mlir::Value embed(const Inputs &inputs, Stack &stack) override {
    mlir::Value x = Bert::embed(inputs, stack);
    b.at("mpnet.encoder.relative_attention_bias");
    mlir::Value table = b.parameter("mpnet.encoder.relative_attention_bias.weight", {kBuckets, heads});
    stack.tables = {b.relativeBias(table, kMaxDistance, /*bidirectional=*/true)};
    return x;
  }
};
} // namespace

llvm::Error importMPNet(ImportContext &import) { return MPNet(import).build("mpnet"); }

} // namespace attnc
