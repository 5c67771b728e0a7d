//===- Families.h - Importers, one per model family ----------------------------------------===//
#ifndef ATTNC_FRONTEND_FAMILIES_FAMILIES_H
#define ATTNC_FRONTEND_FAMILIES_FAMILIES_H

#include "llvm/Support/Error.h"

namespace attnc {

struct ImportContext;

llvm::Error importBart(ImportContext &import);
llvm::Error importBert(ImportContext &import);
llvm::Error importBloom(ImportContext &import);
llvm::Error importDistilBert(ImportContext &import);
llvm::Error importGemma(ImportContext &import);
llvm::Error importGemma2(ImportContext &import);
llvm::Error importGemma3(ImportContext &import);
llvm::Error importGPT2(ImportContext &import);
llvm::Error importGPTNeoX(ImportContext &import);
llvm::Error importGptOss(ImportContext &import);
llvm::Error importLlama(ImportContext &import);
llvm::Error importMarian(ImportContext &import);
llvm::Error importMistral(ImportContext &import);
llvm::Error importMixtral(ImportContext &import);
llvm::Error importModernBert(ImportContext &import);
llvm::Error importMPNet(ImportContext &import);
llvm::Error importOPT(ImportContext &import);
llvm::Error importPegasus(ImportContext &import);
llvm::Error importPhi3(ImportContext &import);
llvm::Error importQwen2(ImportContext &import);
llvm::Error importQwen3(ImportContext &import);
llvm::Error importRoberta(ImportContext &import);
llvm::Error importT5(ImportContext &import);
llvm::Error importXLMRoberta(ImportContext &import);

} // namespace attnc

#endif // ATTNC_FRONTEND_FAMILIES_FAMILIES_H
