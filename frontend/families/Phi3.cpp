//===- Phi3.cpp - Import Phi-3, Phi-3.5 and Phi-4 mini (Abdin et al. 2024) -----------------------===//
// Llama with one tensor for query, key and value, one for gate and up, and longrope. Keys of config.json and tensor names:
// transformers' Phi3Config and Phi3ForCausalLM.
#include "frontend/families/Llama.h"

using namespace mlir;

namespace attnc {
namespace {
class Phi3 : public Llama {
public:
  explicit Phi3(ImportContext &import) : Llama(import, defaults()) {
    readWindow();
    rotaries = {readRotary(config, headDim, context)};
  }

private:
  static Defaults defaults() {
    Defaults defaults;
    defaults.vocab = 32064;
    defaults.width = 3072;
    defaults.inner = 8192;
    defaults.context = 4096;
    defaults.epsilon = 1e-5;
    return defaults;
  }

  SmallVector<Value> projections(Value x) override {
    int64_t query = heads * headDim, key = kvHeads * headDim;
    return b.split(b.linear("self_attn.qkv_proj", x, query + 2 * key, /*bias=*/false), {query, key, key});
  }

  Value mlp(Value x) override {
    SmallVector<Value> parts = b.split(b.linear("mlp.gate_up_proj", x, 2 * inner, /*bias=*/false), {inner, inner});
    Value hidden = b.at("mlp.activation_fn").activation(parts[0], activation, parts[1]);
    return b.linear("mlp.down_proj", hidden, width, /*bias=*/false);
  }
};
} // namespace

llvm::Error importPhi3(ImportContext &import) { return Phi3(import).build("phi3"); }

} // namespace attnc
