// The table of backends and --target.
#include "backends/Backend.h"

#include <gtest/gtest.h>

using namespace attnc;

static std::string select(const char *text, bool bf16Math = false) {
  llvm::Expected<TargetSelection> selection = selectTargets(text, bf16Math);
  if (!selection)
    return llvm::toString(selection.takeError());
  std::string names = selection->backend->name.str() + ":";
  for (const TargetRow *row : selection->rows)
    names += " " + row->name.str();
  return names;
}

TEST(Targets, Names) {
  EXPECT_EQ(select("x86-64-v3"), "cpu: x86-64-v3");
  EXPECT_EQ(select("cpu:x86-64-v4"), "cpu: x86-64-v4");
  EXPECT_EQ(select("x86-64-v4-bf16", true), "cpu: x86-64-v4-bf16");
  EXPECT_EQ(select("aarch64"), "cpu: aarch64"); // of another machine, too
  EXPECT_EQ(select("aarch64,aarch64-bf16", true), "cpu: aarch64-bf16 aarch64");
  EXPECT_EQ(select("x86-64-v3,cpu:x86-64-v4,x86-64-v3"), "cpu: x86-64-v4 x86-64-v3"); // best first, once
}

TEST(Targets, Groups) {
#if defined(__x86_64__)
  EXPECT_EQ(select("portable"), "cpu: x86-64-v4 x86-64-v3");
  EXPECT_EQ(select("portable", true), "cpu: x86-64-v4-bf16 x86-64-v4 x86-64-v3");
  if (__builtin_cpu_supports("avx512vl"))
    EXPECT_EQ(select("native"), "cpu: x86-64-v4");
  else if (__builtin_cpu_supports("avx2"))
    EXPECT_EQ(select("native"), "cpu: x86-64-v3");
  else
    EXPECT_EQ(select("native"), "--target=native: this CPU runs none of the targets x86-64-v4-bf16, x86-64-v4, x86-64-v3, "
                                "aarch64-bf16, aarch64");
#elif defined(__aarch64__)
  EXPECT_EQ(select("portable"), "cpu: aarch64");
  EXPECT_EQ(select("portable", true), "cpu: aarch64-bf16 aarch64");
  EXPECT_EQ(select("native"), "cpu: aarch64");
#endif
}

TEST(Targets, Errors) {
  EXPECT_EQ(select("z80"), "--target: expected portable, native, x86-64-v4-bf16, x86-64-v4, x86-64-v3, aarch64-bf16, aarch64, riscv64, wasm32, got 'z80'");
  EXPECT_EQ(select(""), "--target: expected portable, native, x86-64-v4-bf16, x86-64-v4, x86-64-v3, aarch64-bf16, aarch64, riscv64, wasm32, got ''");
  EXPECT_EQ(select("x86-64-v4,"), "--target: expected portable, native, x86-64-v4-bf16, x86-64-v4, x86-64-v3, aarch64-bf16, aarch64, riscv64, wasm32, got ''");
  EXPECT_EQ(select("x86-64-v4-bf16"), "--target=x86-64-v4-bf16: expected --math=bf16, got f32");
  EXPECT_EQ(select("aarch64-bf16"), "--target=aarch64-bf16: expected --math=bf16, got f32");
  EXPECT_EQ(select("aarch64,x86-64-v3"), "--target: expected targets of one architecture, got aarch64 and x86-64-v3");
  EXPECT_EQ(select("gpu:x"), "--target: expected backend cpu, halide, cuda, got 'gpu'");
}
