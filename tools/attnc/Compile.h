//===- Compile.h - From the command line's input to its output ------------------------------------------===//
#ifndef ATTNC_TOOLS_COMPILE_H
#define ATTNC_TOOLS_COMPILE_H

#include "Options.h"
#include "Output.h"
#include "Report.h"
#include "text/Files.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/ThreadPool.h"

#include <atomic>
#include <chrono>
#include <future>
#include <optional>

namespace attnc {

/// One compilation. Diagnostics go to stderr as they happen, one line each; an error that was not yet reported is
/// returned.
class Compiler {
public:
  explicit Compiler(const Options &options);
  ~Compiler();
  llvm::Error run();

private:
  /// A module and, from the first per-target stage on, its target.
  struct Work {
    mlir::OwningOpRef<mlir::ModuleOp> module;
    const TargetRow *row = nullptr;
    size_t stage = 0; ///< next stage to run
  };

  llvm::Error openOutputs();
  llvm::Error load();
  llvm::Error loadText();
  llvm::Error writeSource();
  llvm::Error runShared();
  llvm::Error runStage(Work &work);
  llvm::Error describeModel();
  llvm::Error chooseWeights();
  /// Writes the weights at `start` of their file.
  llvm::Error storeWeights(uint64_t start);
  llvm::Error readTokenizer();
  llvm::Error generate();
  llvm::Error startReport();
  llvm::Error printStage();
  llvm::Error writeAssembly(llvm::ArrayRef<CodeObject> objects);
  llvm::Error writeModel(llvm::ArrayRef<CodeObject> objects);
  llvm::Error commit();
  std::string makeBuildId();
  llvm::Error failed(const llvm::Twine &message); ///< success if a diagnostic said why already
  void report(mlir::Diagnostic &diagnostic);
  /// With -v: prints what was done since the last call.
  void timed(const llvm::Twine &what);

  const Options &options;
  const Backend *backend; ///< the command line's, or that of a stage that was fed back in
  std::optional<llvm::StdThreadPool> pool;
  mlir::MLIRContext context;
  bool reported = false; ///< an error was printed
  std::chrono::steady_clock::time_point last;

  std::string directory; ///< weights files are relative to it
  std::vector<Work> works;
  size_t lastStage = 0; ///< index of the last stage to run
  ModelInterface model;
  CodeOptions code;
  std::vector<::attn::text::NamedFile> tokenizer; ///< files that code.files refers to
  std::vector<Parameter> parameters;
  std::optional<WeightSet> weights;
  bool weightsInside = false;
  std::optional<Report> page; ///< with --report
  std::optional<OutputFile> output, header, source, weightsOutput, pageOutput;
  /// Many weights are written while code is generated: where, and the result. Last: it ends before what it uses goes away.
  uint64_t weightsFrom = 0;
  std::atomic<bool> cancelled = false;
  std::future<llvm::Error> storing;
};

} // namespace attnc

#endif // ATTNC_TOOLS_COMPILE_H
