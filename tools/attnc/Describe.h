//===- Describe.h - What a model directory holds, without compiling it ----------------------------------===//
#ifndef ATTNC_TOOLS_DESCRIBE_H
#define ATTNC_TOOLS_DESCRIBE_H

#include "Options.h"

#include "llvm/Support/raw_ostream.h"

namespace attnc {

/// Prints the family of the directory `options.input`, its sizes, parameters, memory for weights and cache, entries, and
/// the tensors that are not used. The error says what is not supported.
llvm::Error describe(const Options &options, llvm::raw_ostream &out);

/// Prints the table of families in Markdown; docs/models.md holds it.
void listModels(llvm::raw_ostream &out);

} // namespace attnc

#endif // ATTNC_TOOLS_DESCRIBE_H
