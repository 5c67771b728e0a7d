//===- Import.h - What the importers of all families share --------------------------------===//
#ifndef ATTNC_FRONTEND_IMPORT_H
#define ATTNC_FRONTEND_IMPORT_H

#include "frontend/Config.h"
#include "frontend/Frontend.h"

namespace attnc {

/// What an importer works on.
struct ImportContext {
  mlir::MLIRContext *context;
  std::string directory;
  ImportOptions options;
  Config config;
  WeightSet weights;
  mlir::OwningOpRef<mlir::ModuleOp> module; // empty but for its name and `attn.weights`
  bool declares = false;                    // parameters are what the graph says; `weights` is empty
};

/// Which layers have a window: those that `layer_types` says, or where it is missing `slides`.
std::vector<bool> readSlidingLayers(Config &config, int64_t layers, llvm::function_ref<bool(int64_t layer)> slides);

/// The module's metadata: model_type, these sizes, and the token ids that end, begin and pad a sequence, from
/// generation_config.json or else config.json: `NAME` → i64, or an i64 array where there are several.
llvm::Error setMetadata(ImportContext &import, llvm::StringRef modelType,
                        llvm::ArrayRef<std::pair<llvm::StringRef, int64_t>> sizes);

} // namespace attnc

#endif // ATTNC_FRONTEND_IMPORT_H
