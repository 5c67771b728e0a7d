//===- Mistral.cpp - Import Mistral (Jiang et al. 2023) ----------------------------------------===//
// Llama with a window over the last keys. Keys of config.json: transformers' MistralConfig.
#include "frontend/families/Llama.h"

namespace attnc {
namespace {
class Mistral : public Llama {
public:
  explicit Mistral(ImportContext &import) : Llama(import, defaults()) {
    readWindow(4096);
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
