// The part of Halide's runtime that goes into a model file.
#include "backends/halide/Runtime.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Support/raw_ostream.h"

#include <Halide.h>
#include <gtest/gtest.h>

#include <set>

using namespace attnc::halide;

static std::string message(const std::string &target) {
  auto code = deviceCode(Halide::Target(target), {});
  return code ? "" : llvm::toString(code.takeError());
}

namespace {
struct Code {
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module;
  std::set<std::string> undefined;

  explicit Code(const std::string &target, llvm::ArrayRef<llvm::StringRef> pipelines = {}) {
    auto code = deviceCode(Halide::Target(target), pipelines);
    if (!code) {
      ADD_FAILURE() << llvm::toString(code.takeError());
      return;
    }
    auto parsed = llvm::parseBitcodeFile(llvm::MemoryBufferRef(*code, "code"), context);
    module = std::move(*parsed);
    EXPECT_FALSE(llvm::verifyModule(*module, &llvm::errs()));
    for (llvm::GlobalValue &global : module->global_values())
      if (global.isDeclaration()) {
        if (!global.getName().starts_with("llvm."))
          undefined.insert(global.getName().str());
      } else {
        EXPECT_TRUE(global.hasLocalLinkage() || (global.hasExternalLinkage() && global.hasHiddenVisibility()))
            << global.getName().str();
      }
  }
};
} // namespace

TEST(Runtime, Cpu) { // neither constructors nor functions of libc that the support code lacks; no threads
  for (const char *target : {"x86-64-linux", "host", "arm-64-linux"}) {
    Code code(target);
    for (const char *name :
         {"llvm.global_ctors", "llvm.global_dtors", "halide_spawn_thread", "halide_error_host_is_null"})
      EXPECT_FALSE(code.module->getNamedValue(name)) << name; // no pipeline asks for an error
    EXPECT_TRUE(code.module->getFunction("attn_launch"));
    for (const std::string &name : code.undefined)
      EXPECT_TRUE((std::set<std::string>{"begin", "begin_op", "claim", "end", "end_op", "memcpy", "memset", "put",
                                         "put_int", "run_tasks", "status_of"}
                       .count(name)))
          << name;
  }
}

TEST(Runtime, Deterministic) {
  auto a = deviceCode(Halide::Target("host"), {}), b = deviceCode(Halide::Target("host"), {});
  EXPECT_EQ(llvm::StringRef(*a), llvm::StringRef(*b));
}

TEST(Runtime, Refused) {
  EXPECT_EQ(message("riscv-64-linux"), "--target=halide:riscv-64-linux: expected x86-64, arm-64 or, without a device, wasm-32");
  EXPECT_EQ(message("x86-64-linux-cuda"),
            "--target=halide:x86-64-linux-cuda: expected opencl, vulkan, metal, d3d12compute or webgpu as the device");
  auto code = deviceCode(Halide::Target("host"), {"garbage"});
  ASSERT_FALSE(code);
  EXPECT_NE(llvm::toString(code.takeError()), "");
}
