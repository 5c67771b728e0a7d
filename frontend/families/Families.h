//===- Families.h - Importers, one per model family ----------------------------------------===//
#ifndef ATTNC_FRONTEND_FAMILIES_FAMILIES_H
#define ATTNC_FRONTEND_FAMILIES_FAMILIES_H

#include "llvm/Support/Error.h"

namespace attnc {

struct ImportContext;

llvm::Error importBert(ImportContext &import);
llvm::Error importGPT2(ImportContext &import);

} // namespace attnc

#endif // ATTNC_FRONTEND_FAMILIES_FAMILIES_H
