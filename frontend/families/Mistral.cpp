//===- Mistral.cpp - Import Mistral (Jiang et al. 2023) ----------------------------------------===//
// Llama with a window over the last keys. Keys of config.json: transformers' MistralConfig.
#include "frontend/families/Llama.h"

namespace attnc {
namespace {
class Mistral : public Llama {
public:
  explicit Mistral(ImportContext &import) : Llama(import, defaults()) {
    int64_t window = config.integer("sliding_window", 1, INT32_MAX, 4096);
    bool hasWindow = !config.isNull("sliding_window");
    readWindows(window, [&](int64_t) { return hasWindow; });
    rotaries = {readRotary(config, headDim, context)};
  }

private:
  static Defaults defaults() {
    Defaults defaults;
    defaults.inner = 14336;
    defaults.kvHeads = 8;
    defaults.context = 4096 * 32;
    return defaults;
  }
};
} // namespace

llvm::Error importMistral(ImportContext &import) { return Mistral(import).build("mistral"); }

} // namespace attnc
