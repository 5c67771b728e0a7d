//===- Object.h - LLVM dialect to object files ------------------------------------------------===//
#ifndef ATTNC_BACKENDS_CPU_OBJECT_H
#define ATTNC_BACKENDS_CPU_OBJECT_H

#include "backends/Backend.h"

namespace llvm {
class LLVMContext;
class Module;
class TargetMachine;
} // namespace llvm

namespace attnc {

/// The CPU backend's Compilation: one object per variant, one with the tables and the support code.
llvm::Expected<std::unique_ptr<Compilation>> startCpuCompilation(const ModelInterface &model,
                                                                 const CodeOptions &options, bool assembly);

/// Name of the constant attn_code[n_entries] in variant `i`'s object.
std::string codeTableName(unsigned variant);

/// Translates a variant's module and completes it: trampolines, the table of code, linkage. Fails with an internal error
/// if an entry's functions are missing or take other arguments than its interface says.
llvm::Expected<std::unique_ptr<llvm::Module>> buildVariantModule(const ModelInterface &model, unsigned variant,
                                                                 mlir::ModuleOp module, llvm::LLVMContext &context);

/// The tables (attn_library, attn_model_descriptor and all they point to) linked with the support code.
llvm::Expected<std::unique_ptr<llvm::Module>> buildLibraryModule(const ModelInterface &model,
                                                                 const CodeOptions &options,
                                                                 llvm::ArrayRef<const TargetRow *> rows,
                                                                 llvm::LLVMContext &context);

/// Metadata as one line of JSON, in a fixed order. Fails when attn.metadata holds something JSON cannot say.
llvm::Expected<std::string> metadataJson(const ModelInterface &model, const CodeOptions &options,
                                         llvm::ArrayRef<const TargetRow *> rows);

/// Functions that compiled code may call: support/Memory.c defines them in a shared library, the host's libc otherwise.
constexpr llvm::StringLiteral kMemoryFunctions[] = {"memcpy", "memmove", "memset", "memcmp"};

} // namespace attnc

#endif // ATTNC_BACKENDS_CPU_OBJECT_H
