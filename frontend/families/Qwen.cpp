//===- Qwen.cpp - Import Qwen 2, 2.5 and 3 (Yang et al. 2024, 2025) -----------------------------===//
// Llama with biases of query, key and value (Qwen 2) or norms of each head's query and key (Qwen 3), and windows in some
// layers. Keys of config.json: transformers' Qwen2Config and Qwen3Config.
#include "frontend/families/Llama.h"

namespace attnc {
namespace {
class Qwen : public Llama {
public:
  Qwen(ImportContext &import, int64_t generation) : Llama(import, defaults(generation)) {
    qkvBias = generation == 2 || config.flag("attention_bias", false);
    outBias = generation == 3 && qkvBias;
    qkNorms = generation == 3;
    int64_t window = config.integer("sliding_window", 1, INT32_MAX, 4096);
    int64_t first = config.integer("max_window_layers", 0, INT32_MAX, 28);
    bool hasWindow = config.flag("use_sliding_window", false) && !config.isNull("sliding_window");
    readWindows(window, [&](int64_t index) { return hasWindow && index >= first; });
    rotaries = {readRotary(config, headDim, context)};
  }

private:
  static Defaults defaults(int64_t generation) {
    Defaults defaults;
    defaults.vocab = 151936;
    defaults.inner = 22016;
    defaults.context = 32768;
    if (generation == 3)
      defaults.headDim = 128;
    return defaults;
  }
};
} // namespace

llvm::Error importQwen2(ImportContext &import) { return Qwen(import, 2).build("qwen2"); }
llvm::Error importQwen3(ImportContext &import) { return Qwen(import, 3).build("qwen3"); }

} // namespace attnc
