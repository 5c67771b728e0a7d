//===- Report.h - One page about a compiled model -------------------------------------------------------===//
#ifndef ATTNC_TOOLS_REPORT_H
#define ATTNC_TOOLS_REPORT_H

#include "backends/Backend.h"
#include "passes/Trace.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/JSON.h"

namespace attnc {

/// What --report=FILE shows, gathered while the model is compiled and rendered with report.mustache. Everything comes from
/// the modules that are compiled; only the sizes are examples.
class Report {
public:
  void addRemark(llvm::StringRef where, llvm::StringRef text);
  /// Of stage "fused". Marks the location of every op with the number of its box, by which later stages are read.
  void addGraph(mlir::ModuleOp module, const ModelInterface &model);
  /// Of stage "vector". Leaves the module as it is.
  void addVariant(llvm::StringRef target, mlir::ModuleOp module, const ModelInterface &model);
  /// The page.
  std::string render(const ModelInterface &model, const CodeOptions &code, llvm::ArrayRef<Parameter> parameters);

private:
  struct Box {
    std::string title, detail; ///< "linear 256 → 768", "layer norm, bias"
  };
  friend class GraphWriter;

  llvm::json::Object runOf(llvm::StringRef target, const EntryInterface &entry, const Trace &trace);
  llvm::json::Object planOf(const Trace &trace);
  std::string nameOf(mlir::Operation *op);
  const Box *boxOf(mlir::Operation *op, unsigned *number = nullptr);

  std::vector<Box> boxes;
  llvm::json::Array graphs, maps, runs, remarks;
};

/// Text for the page: valid UTF-8.
std::string pageText(llvm::StringRef text);
/// The same, cut to at most `most` characters.
std::string shortText(llvm::StringRef text, size_t most);
/// "1.21 GFLOP" from 1.21e9 and "FLOP"; "16.0 MiB" for bytes.
std::string inUnits(double number, llvm::StringRef unit);
std::string inBytes(double bytes);

/// Sizes to show an entry at: batch 1 and a context of at most 512, all of it cached but for the tokens of this call.
struct ExampleSizes {
  explicit ExampleSizes(const EntryInterface &entry, const ModelInterface &model);
  TraceSizes sizes;
  int64_t queries, keys; ///< of a sequence
  std::string text;      ///< "batch 1, seq 512, 2 workers"
};

} // namespace attnc

#endif // ATTNC_TOOLS_REPORT_H
