//===- SentenceTransformer.h - Directories of sentence-transformers -----------------------===//
#ifndef ATTNC_FRONTEND_SENTENCETRANSFORMER_H
#define ATTNC_FRONTEND_SENTENCETRANSFORMER_H

#include "dialect/AttnDialect.h"

#include "llvm/Support/Error.h"

namespace attnc {

/// What the modules after the transformer make of its output: modules.json, and config.json in the folder of each.
struct SentenceEmbedding {
  std::optional<attn::PoolKind> pooling; // none: there are no modules
  bool normalized = false;

  /// Reads the modules of `directory`, if it has any, after a transformer that is `width` wide. Lists all problems.
  llvm::Error read(llvm::StringRef directory, int64_t width);

private:
  llvm::Error readPooling(llvm::StringRef path, int64_t width);
};

/// Where in `directory` the transformer lies: empty, or the folder that modules.json names.
llvm::Expected<std::string> transformerFolder(llvm::StringRef directory);

} // namespace attnc

#endif // ATTNC_FRONTEND_SENTENCETRANSFORMER_H
