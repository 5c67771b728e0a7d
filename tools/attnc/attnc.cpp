//===- attnc.cpp - Compile an attention model ahead of time ----------------------------------------------===//
#include "Compile.h"

#include "llvm/Support/InitLLVM.h"

using namespace attnc;

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

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  llvm::Expected<Options> options = parseOptions(argc, argv);
  if (!options)
    return failure(options.takeError());
  Compiler compiler(*options);
  if (llvm::Error error = compiler.run())
    return failure(std::move(error));
  return 0;
}
