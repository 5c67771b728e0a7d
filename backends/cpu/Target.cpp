//===- Target.cpp - Rows of the CPU backend ---------------------------------------------------===//
#include "backends/Backend.h"
#include "backends/cpu/Object.h"
#include "backends/cpu/support/Descriptor.h"

#include "llvm/TargetParser/Host.h"

namespace attnc {

// To add an instruction set: a row here, its needs in support/Descriptor.h and their check in support/Library.c.
// Register tiles: 8 rows x 32 columns are 16 accumulators of 16 lanes (of 32 registers), 6 x 16 are 12 accumulators of
// 8 lanes (of 16), 5 x 16 are 20 accumulators of 4 lanes (of 32, of which 16-bit weights take 8 while they are widened).
// RISC-V's baseline has no vectors: a vector is scalars, of which 16 are a row of a panel.
// LLVM prefers 256-bit vectors for x86-64-v4 unless told otherwise.
static const TargetRow rows[] = {
    // name, arch, cpu, features, needs, lanes, rowTile, panels, queryRows, keyLanes, rowBlock, bf16Dot, deviceMemory, system,
    // archiveOnly
    {"x86-64-v4-bf16", "x86_64", "x86-64-v4", "-prefer-256-bit,+avx512bf16",
     ATTN_CPU_BF16_DOT | ATTN_CPU_X86_V4 | ATTN_CPU_X86_V3, 16, 8, 2, 4, 64, 64, true},
    {"x86-64-v4", "x86_64", "x86-64-v4", "-prefer-256-bit", ATTN_CPU_X86_V4 | ATTN_CPU_X86_V3, 16, 8, 2, 4, 64, 64},
    {"x86-64-v3", "x86_64", "x86-64-v3", "", ATTN_CPU_X86_V3, 8, 6, 1, 6, 16, 60},
    {"aarch64-bf16", "aarch64", "generic", "+v8a,+neon,+bf16", ATTN_CPU_BF16_DOT_ARM, 4, 5, 1, 4, 16, 60, true},
    {"aarch64", "aarch64", "generic", "+v8a,+neon", 0, 4, 5, 1, 4, 16, 60},
    {"riscv64", "riscv64", "generic-rv64", "+m,+a,+f,+d,+c", 0, 4, 1, 1, 1, 16, 60},
    {"wasm32", "wasm32", "generic", "+simd128,+bulk-memory,+nontrapping-fptoint", 0, 4, 3, 1, 3, 16, 60, false, false,
     "unknown-unknown", true},
};

/// Zen 4 and later multiply bf16 twice as fast as f32; Intel's cores without AMX half as fast.
static bool isAMD() { return llvm::sys::getHostCPUName().starts_with("znver"); }

static bool runsHere(const TargetRow &row) {
  llvm::StringMap<bool> features = llvm::sys::getHostCPUFeatures();
  auto all = [&](llvm::ArrayRef<const char *> names) {
    return llvm::all_of(names, [&](const char *name) { return features.lookup(name); });
  };
  if (row.needs & ATTN_CPU_BF16_DOT_ARM && !all({"bf16"}))
    return false;
  if (row.needs & ATTN_CPU_BF16_DOT && !(isAMD() && all({"avx512bf16"})))
    return false;
  if (row.needs & ATTN_CPU_X86_V4 && !all({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}))
    return false;
  return !(row.needs & ATTN_CPU_X86_V3) || all({"avx2", "fma", "f16c", "bmi", "bmi2", "lzcnt", "movbe"});
}

Backend cpuBackend() { return {"cpu", rows, runsHere, nullptr, nullptr, {}, nullptr, startCpuCompilation}; }

} // namespace attnc
