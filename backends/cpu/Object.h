//===- Object.h - LLVM dialect to object files ------------------------------------------------===//
#ifndef ATTNC_BACKENDS_CPU_OBJECT_H
#define ATTNC_BACKENDS_CPU_OBJECT_H

#include "backends/Backend.h"

#include <future>

namespace llvm {
class LLVMContext;
class Module;
class TargetMachine;
} // namespace llvm

namespace attnc {

/// The CPU backend's Compilation: one object per variant, one with the tables and the support code.
class CpuCompilation : public Compilation {
public:
  CpuCompilation(const ModelInterface &model, const CodeOptions &options, bool assembly)
      : model(model), options(options), assembly(assembly) {}
  ~CpuCompilation() override;
  llvm::Error addVariant(const TargetRow &row, mlir::ModuleOp module) override;
  llvm::Expected<std::vector<CodeObject>> finish() override;

protected:
  /// One more object of the file, from LLVM bitcode. Code is generated later, on another thread.
  llvm::Error addCode(const TargetRow &row, llvm::StringRef name, llvm::StringRef bitcode);
  llvm::SmallString<0> deviceCode; ///< LLVM bitcode that is linked with the support code, whose weak functions it replaces

private:
  void schedule(const TargetRow &row, llvm::StringRef name, std::unique_ptr<llvm::LLVMContext> context,
                std::unique_ptr<llvm::Module> module);

  ModelInterface model;
  CodeOptions options;
  bool assembly;
  std::vector<const TargetRow *> rows;
  std::vector<std::future<llvm::Expected<CodeObject>>> objects;
};

llvm::Expected<std::unique_ptr<Compilation>> startCpuCompilation(const ModelInterface &model,
                                                                 const CodeOptions &options, bool assembly);

/// Name of the constant attn_code[n_entries] in variant `i`'s object.
std::string codeTableName(unsigned variant);

/// Translates a variant's module and completes it: trampolines, the table of code, linkage. Fails with an internal error
/// if an entry's functions are missing or take other arguments than its interface says.
llvm::Expected<std::unique_ptr<llvm::Module>> buildVariantModule(const ModelInterface &model, unsigned variant,
                                                                 mlir::ModuleOp module, llvm::LLVMContext &context);

/// The tables (attn_library, attn_model_descriptor and all they point to) linked with the support code and, where something is
/// launched, the bitcode of what that needs (backends/halide/Runtime.h).
llvm::Expected<std::unique_ptr<llvm::Module>> buildLibraryModule(const ModelInterface &model,
                                                                 const CodeOptions &options,
                                                                 llvm::ArrayRef<const TargetRow *> rows,
                                                                 llvm::StringRef deviceCode,
                                                                 llvm::LLVMContext &context);

/// Metadata as one line of JSON, in a fixed order. Fails when attn.metadata holds something JSON cannot say.
llvm::Expected<std::string> metadataJson(const ModelInterface &model, const CodeOptions &options,
                                         llvm::ArrayRef<const TargetRow *> rows);

/// Functions that compiled code may call: support/Memory.c defines them in a shared library, the host's libc otherwise.
constexpr llvm::StringLiteral kMemoryFunctions[] = {"memcpy", "memmove", "memset", "memcmp"};

} // namespace attnc

#endif // ATTNC_BACKENDS_CPU_OBJECT_H
