//===- Main.h - attnc as a function ----------------------------------------------------------------------===//
#ifndef ATTNC_TOOLS_MAIN_H
#define ATTNC_TOOLS_MAIN_H

#include "tools/attnc/Options.h"

namespace attnc {

/// The whole of attnc, from the command line to the exit status. A program that first calls `registerFamily` is attnc with
/// one more family.
int compilerMain(int argc, char **argv);

/// Compiles the model NAME that `graph` builds to `output`, a .so with a header beside it, for `target` as in --target.
llvm::Error compileGraph(GraphSource graph, llvm::StringRef name, llvm::StringRef output, llvm::StringRef target = "native");

} // namespace attnc

#endif // ATTNC_TOOLS_MAIN_H
