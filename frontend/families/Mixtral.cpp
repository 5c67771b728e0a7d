//===- Mixtral.cpp - Import Mixtral (Jiang et al. 2024) ------------------------------------------===//
// Mistral with a mixture of experts in place of the MLP. Keys of config.json and tensor names: transformers' MixtralConfig and
// MixtralForCausalLM, as stored (one tensor per expert).
#include "frontend/families/Llama.h"

using namespace mlir;

namespace attnc {
namespace {
class Mixtral : public Llama {
public:
  explicit Mixtral(ImportContext &import) : Llama(import, defaults()) {
    readExperts("num_experts_per_tok", 8, 2);
    readWindow();
    rotaries = {readRotary(config, headDim, context)};
  }

private:
  static Defaults defaults() {
    Defaults defaults;
    defaults.inner = 14336;
    defaults.kvHeads = 8;
    defaults.context = 4096 * 32;
    defaults.epsilon = 1e-5;
    return defaults;
  }

  Value mlp(Value x) override {
    Experts routed = b.route(b.linear("block_sparse_moe.gate", x, experts, /*bias=*/false), chosen);
    auto weight = [&](std::initializer_list<StringRef> parts, ArrayRef<int64_t> shape) {
      return b.expertParameter("block_sparse_moe.experts.", parts, experts, shape);
    };
    Value joint = b.expertLinear(x, weight({".w1.weight", ".w3.weight"}, {inner, width}), Value(), routed, /*transposed=*/true);
    SmallVector<Value> parts = b.split(joint, {inner, inner});
    Value hidden = b.activation(parts[0], activation, parts[1]);
    return b.combine(b.expertLinear(hidden, weight({".w2.weight"}, {width, inner}), Value(), routed, /*transposed=*/true), routed);
  }
};
} // namespace

llvm::Error importMixtral(ImportContext &import) { return Mixtral(import).build("mixtral"); }

} // namespace attnc
