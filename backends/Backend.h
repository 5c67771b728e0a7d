//===- Backend.h - The table of backends ------------------------------------------------------===//
// To add a backend: one directory with a function that returns its Backend, one row in Backend.cpp.
#ifndef ATTNC_BACKENDS_BACKEND_H
#define ATTNC_BACKENDS_BACKEND_H

#include "backends/Interface.h"
#include "passes/Pipeline.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/Error.h"

#include <memory>

namespace attnc {

/// One instruction set of a backend: what `#attn.target` says, and what the code needs to run.
struct TargetRow {
  llvm::StringRef name; ///< of the variant: "x86-64-v4"
  llvm::StringRef arch; ///< llvm::Triple's: "x86_64"
  llvm::StringRef cpu, features; ///< LLVM's
  uint32_t needs; ///< attn_cpu_needs
  /// See TargetAttr in dialect/AttnBase.td.
  int64_t lanes, rowTile, panels, queryRows, keyLanes, rowBlock;
  bool bf16Dot = false; ///< only for --math=bf16
  bool deviceMemory = false;
  llvm::StringRef system = "unknown-linux-gnu"; ///< what follows `arch` in LLVM's triple
  bool archiveOnly = false; ///< what it needs comes with the program that it is linked into

  attn::TargetAttr getAttr(mlir::MLIRContext *context) const;
};

/// A file that travels inside the model file.
struct EmbeddedFile {
  llvm::StringRef name, content;
};

/// How code is made. An option that is not about code (where weights lie, file names) is not here.
struct CodeOptions {
  std::string modelName;   ///< in attn_library and the metadata
  std::string symbolPrefix; ///< of an archive: `PREFIX_attn_query`; empty for shared libraries
  std::string buildId;     ///< 32 hex digits
  std::string weightsFile; ///< empty: the weights lie inside the file
  bool debug = false;      ///< line tables
  bool sanitizeAddress = false;
  unsigned jobs = 1;
  std::vector<EmbeddedFile> files; ///< attn_library.files; their owner outlives the compilation
};

/// A compiled object file and its assembly, if that was asked for instead.
struct CodeObject {
  std::string name; ///< variant, or "library"
  llvm::SmallString<0> bytes;
};

/// One model on its way through a backend.
class Compilation {
public:
  virtual ~Compilation() = default;
  /// Takes one variant's module in its last stage ("llvm"). Translates it at once; code may be generated later, on
  /// another thread. `module` is not needed afterwards.
  virtual llvm::Error addVariant(const TargetRow &row, mlir::ModuleOp module) = 0;
  /// Ends code generation: the library's object first, then one per variant, in order. Text if `assembly`.
  virtual llvm::Expected<std::vector<CodeObject>> finish() = 0;
};

/// What the device runs, as text for readers: a value of --emit.
struct PrintedForm {
  llvm::StringRef name, description, target; ///< target: the --target that it needs
};

struct Backend {
  llvm::StringRef name;
  llvm::ArrayRef<TargetRow> targets; ///< best first
  bool (*runsHere)(const TargetRow &);
  /// A target that is not in the table, with bf16Dot if `bf16Math` and its device gains; null: there are none.
  llvm::Expected<const TargetRow *> (*find)(llvm::StringRef name, bool bf16Math);
  /// What the target's device computes; null: everything is the host's.
  DeviceCheck (*device)(const TargetRow &);
  /// What the device runs, from a module at stage "tasks" or later; null: there is nothing.
  llvm::ArrayRef<PrintedForm> forms;
  llvm::Expected<std::string> (*print)(const TargetRow &, mlir::ModuleOp, llvm::StringRef form);
  llvm::Expected<std::unique_ptr<Compilation>> (*start)(const ModelInterface &, const CodeOptions &, bool assembly);
};

/// Every backend of this compiler; the first is the default.
llvm::ArrayRef<Backend> backends();

/// What `--target` names: rows of one backend.
struct TargetSelection {
  const Backend *backend = nullptr;
  std::vector<const TargetRow *> rows; ///< best first
};

/// `[BACKEND:]NAME,…` or `BACKEND`, where NAME is a row's name, `portable` (all rows of this machine's architecture) or `native` (the
/// best row that this CPU runs). An unknown name lists the known ones. Rows with bf16Dot are there if `bf16Math`.
llvm::Expected<TargetSelection> selectTargets(llvm::StringRef text, bool bf16Math = false);

/// The rows of the table.
Backend cpuBackend();
Backend halideBackend();
Backend cudaBackend();

/// The attn.pipelines of a module as text: before stage "llvm", or what attn-convert-to-llvm left of them.
std::string pipelinesOf(mlir::ModuleOp module);

/// LLVM's and attnc's version: part of every build id.
std::string compilerVersion();

} // namespace attnc

#endif // ATTNC_BACKENDS_BACKEND_H
