//===- Frontend.h - From a model directory, or a .mlir and its weights, to an attn graph --===//
#ifndef ATTNC_FRONTEND_FRONTEND_H
#define ATTNC_FRONTEND_FRONTEND_H

#include "frontend/Config.h"
#include "frontend/Safetensors.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace attnc {

struct ImportContext;

/// Type in which parameters are kept in the compiled file; F64 becomes f32.
enum class StorageType { AsStored, F32, BF16, F16 };

struct ImportOptions {
  StorageType dtype = StorageType::AsStored;
  StorageType cache = StorageType::F32; // of cached keys and values
};

/// One model family. To add one: a file with its importer in families/ and a row in Frontend.cpp; outside of this
/// repository, `registerFamily` before anything else (docs/models.md).
struct Family {
  llvm::StringRef modelType;  // `model_type` of config.json
  llvm::StringRef kind;       // decoder, encoder or encoder–decoder
  llvm::StringRef particular; // what sets it apart, for people
  /// Checks the configuration and every tensor, then fills `ImportContext::module`.
  llvm::Error (*import)(ImportContext &);
};

/// Every family that can be imported, sorted by kind.
llvm::ArrayRef<Family> families();
void registerFamily(const Family &family);

/// Imports a Hugging Face model directory: config.json, model.safetensors (or its index and shards), and
/// generation_config.json if there is one. Loads the dialects it needs into `context`. The module names its weights
/// files in `attn.weights`, relative to `directory`; `openWeights(module, directory)` opens them.
/// Errors list all problems found, one per line.
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>> importDirectory(mlir::MLIRContext *context,
                                                                  llvm::StringRef directory,
                                                                  const ImportOptions &options = {});

/// The same of a configuration and tensors that are in memory; `directory` is where generation_config.json may lie, and
/// what messages and the module are named after.
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>> importModel(mlir::MLIRContext *context, llvm::StringRef directory,
                                                              Config config, WeightSet weights,
                                                              const ImportOptions &options = {});

/// Opens the files named in the module's `attn.weights` (relative to `moduleDirectory`) and checks that they hold what
/// every `#ml_program.extern` parameter is made of: the tensors named in its `attn.source` (default: its symbol) exist,
/// have the right shapes (before packing, if it has `attn.pack`) and a float type. Lists up to 20 mismatches.
llvm::Expected<WeightSet> openWeights(mlir::ModuleOp module, llvm::StringRef moduleDirectory);

/// Names of the tensors that no parameter of the module is made of, sorted.
std::vector<llvm::StringRef> unusedTensors(mlir::ModuleOp module, const WeightSet &weights);

} // namespace attnc

#endif // ATTNC_FRONTEND_FRONTEND_H
