//===- config_fuzzer.cpp - Any bytes as config.json, for every family ----------------------===//
#include "frontend/Frontend.h"

#include "mlir/IR/MLIRContext.h"

#include <cstdint>

using namespace attnc;

/// A configuration may promise any model; the checkpoint here has no tensor, so every import must end in an error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  llvm::StringRef text(reinterpret_cast<const char *>(data), size);
  llvm::Expected<llvm::json::Value> value = parseJson(text, "config.json");
  if (!value) {
    llvm::consumeError(value.takeError());
    return 0;
  }
  llvm::json::Object *object = value->getAsObject();
  if (!object)
    return 0;
  for (const Family &family : families()) {
    llvm::json::Object copy = *object;
    copy["model_type"] = family.modelType;
    mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
    auto module = importModel(&context, "model", Config(std::move(copy), "config.json"), WeightSet());
    if (module)
      abort();
    llvm::consumeError(module.takeError());
  }
  return 0;
}
