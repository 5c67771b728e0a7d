//===- ModelFile.h - An open model file and its runtime --------------------------------------------------===//
#ifndef ATTN_TEXT_MODELFILE_H
#define ATTN_TEXT_MODELFILE_H

#include "Expected.h"
#include "runtime/attn_runtime.h"

#include <memory>

namespace attn::text {

/// A compiled model file that is open, and the runtime that it runs on.
class ModelFile {
public:
  /// `variant` empty: the best this CPU runs; `threads` 0: all CPUs of this process. Errors: the runtime's.
  static Expected<ModelFile> open(const std::string &path, const std::string &variant, uint32_t threads);

  ModelFile(ModelFile &&) = default;
  ModelFile &operator=(ModelFile &&) = delete; // it would free the old runtime before the old model

  attn_runtime *runtime() const { return ownedRuntime.get(); }
  const attn_host *host() const { return attn_runtime_host(runtime()); }
  const attn_library *library() const { return attn_file_library(file.get()); }
  const attn_model *model() const { return openModel.get(); }

private:
  ModelFile() = default;

  struct Freer {
    const attn_library *library; ///< of the model
    void operator()(attn_runtime *runtime) const { attn_runtime_free(runtime); }
    void operator()(attn_file *file) const { attn_file_free(file); }
    void operator()(attn_model *model) const { library->close(model); }
  };
  // Freed from the last to the first.
  std::unique_ptr<attn_runtime, Freer> ownedRuntime;
  std::unique_ptr<attn_file, Freer> file;
  std::unique_ptr<attn_model, Freer> openModel;
};

} // namespace attn::text

#endif // ATTN_TEXT_MODELFILE_H
