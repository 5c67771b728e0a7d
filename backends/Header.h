//===- Header.h - The C header written beside a model ---------------------------------------------------===//
#ifndef ATTNC_BACKENDS_HEADER_H
#define ATTNC_BACKENDS_HEADER_H

#include "backends/Backend.h"

namespace attnc {

/// Text of OUT.h: numbers and shapes of the entries, bounds of the dimensions, the query function of an archive, and a
/// program that runs the first entry, as a comment between the lines "Example:" and "End of the example." that
/// compiles as it stands. `fileName` is the model file's name, without a directory.
std::string headerText(const ModelInterface &model, const CodeOptions &options, llvm::StringRef fileName);

} // namespace attnc

#endif // ATTNC_BACKENDS_HEADER_H
