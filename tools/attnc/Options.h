//===- Options.h - attnc's command line --------------------------------------------------------------===//
#ifndef ATTNC_TOOLS_OPTIONS_H
#define ATTNC_TOOLS_OPTIONS_H

#include "backends/Backend.h"
#include "frontend/Frontend.h"

#include <functional>

namespace attnc {

/// What comes after the stages of passes/Pipeline.h.
enum class Product { Stage, Assembly, Object, Archive, SharedLibrary };

/// Makes the graph that is compiled; its weights files are relative to where the program runs.
using GraphSource = std::function<llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>>(mlir::MLIRContext *)>;

enum class WeightsPlace { Automatic, Inside, Beside };

struct Options {
  std::string input, output;
  GraphSource graph; ///< in place of `input`, for programs that build models
  Product product = Product::SharedLibrary;
  std::string stage; ///< the stage to stop after, with Product::Stage
  std::string form; ///< print what the device runs in this form instead of the stage; empty: the stage
  TargetSelection targets;
  bool targetGiven = false;
  bool describe = false; ///< --describe: nothing is written
  StorageType dtype = StorageType::AsStored;
  StorageType cache = StorageType::F32; ///< --cache-dtype
  bool bf16Math = false;                ///< --math=bf16
  WeightsPlace weights = WeightsPlace::Automatic;
  std::string weightsFile; ///< --weights=FILE; empty: named after the output
  std::string name;        ///< --name
  std::string tokenizer;   ///< --tokenizer: a directory; empty: none
  std::string report;      ///< --report; empty: none
  bool remarks = false, debug = false, verbose = false, sanitizeAddress = false;
  unsigned jobs = 1; ///< at least 1
};

/// Parses and checks the command line. Prints and exits for --help and --version.
llvm::Expected<Options> parseOptions(int argc, char **argv);

} // namespace attnc

#endif // ATTNC_TOOLS_OPTIONS_H
