//===- Main.cpp - What attnc does with its command line ---------------------------------------------------===//
#include "Main.h"
#include "Compile.h"
#include "Describe.h"

#include "llvm/Support/InitLLVM.h"

namespace attnc {

/// Prints every line of every error as one line of its own.
static int failure(llvm::Error error) {
  llvm::handleAllErrors(std::move(error), [](const llvm::ErrorInfoBase &info) {
    std::string message = info.message(); // empty: reported already
    llvm::SmallVector<llvm::StringRef> lines;
    llvm::StringRef(message).split(lines, '\n', -1, /*KeepEmpty=*/false);
    for (llvm::StringRef line : lines)
      llvm::errs() << "attnc: error: " << line << "\n";
  });
  return 1;
}

int compilerMain(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  llvm::Expected<Options> options = parseOptions(argc, argv);
  if (!options)
    return failure(options.takeError());
  if (options->describe) {
    if (llvm::Error error = describe(*options, llvm::outs()))
      return failure(std::move(error));
    return 0;
  }
  Compiler compiler(*options);
  if (llvm::Error error = compiler.run())
    return failure(std::move(error));
  return 0;
}

} // namespace attnc
