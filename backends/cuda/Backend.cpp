//===- Backend.cpp - The CUDA backend: kernels for NVIDIA GPUs, and the host's side ---------------------===//
#include "backends/cpu/Object.h"
#include "backends/cuda/Library.h"
#include "passes/Signature.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

#include <deque>

namespace attnc {
using namespace llvm;

static Error fail(const Twine &message) { return createStringError(inconvertibleErrorCode(), message); }

/// "cuda", for hosts like this one, or "cuda:aarch64": the CPU backend's lowest row of the architecture, under another
/// name; bf16 dot products are the device's.
static Expected<const TargetRow *> findTarget(StringRef name, bool bf16Math) {
  static std::deque<std::pair<std::string, TargetRow>> targets; // rows live as long as the compiler
  std::string full = name.empty() ? "cuda" : ("cuda:" + name).str();
  for (const auto &[known, row] : targets)
    if (known == full && row.bf16Dot == bf16Math)
      return &row;
  StringRef arch = name.empty() ? Triple::getArchTypeName(Triple(sys::getProcessTriple()).getArch()) : name;
  const TargetRow *host = nullptr;
  if (is_contained(cuda::hostArchitectures(), arch))
    for (const TargetRow &row : cpuBackend().targets)
      if (row.arch == arch && !row.bf16Dot)
        host = &row;
  if (!host)
    return fail("expected a host of " + join(cuda::hostArchitectures(), " or ") + ", got '" + arch + "'");
  auto &[kept, row] = targets.emplace_back(std::move(full), *host);
  row.name = kept;
  row.deviceMemory = true;
  row.bf16Dot = bf16Math;
  return &row;
}

static bool runsHere(const TargetRow &) { return true; } // asked for `native` only, which has no row here

/// The kernels of a module before stage "llvm", or of what attn-convert-to-llvm left of its pipelines; in NVVM's
/// dialect.
static Error build(mlir::ModuleOp module, cuda::Kernels &kernels) {
  std::string text = pipelinesOf(module);
  if (Error error = kernels.build(text))
    return error;
  return kernels.lower();
}

static DeviceCheck checkFor(const TargetRow &row) {
  return [bf16Math = row.bf16Dot](mlir::Operation *pipeline) {
    std::string text;
    raw_string_ostream(text) << *pipeline;
    return toString(cuda::Kernels(bf16Math).build(text));
  };
}

static Expected<std::string> print(const TargetRow &row, mlir::ModuleOp module, StringRef form) {
  cuda::Kernels kernels(row.bf16Dot);
  if (Error error = build(module, kernels))
    return std::move(error);
  if (form == "nvvm")
    return kernels.print();
  if (Error error = kernels.translate())
    return std::move(error);
  std::string text;
  for (const cuda::DeviceCode &code : kernels.codes()) {
    text += code.ptx + "\n";
    for (const cuda::KernelInfo &kernel : code.kernels) // which launches ask for, and PTX does not say
      text += formatv("// {0}: {1} bytes of dynamic shared memory\n", kernel.name, kernel.sharedBytes);
  }
  return text;
}

namespace {
/// The host's side is the CPU backend's.
class CudaCompilation : public CpuCompilation {
public:
  using CpuCompilation::CpuCompilation;

  Error addVariant(const TargetRow &row, mlir::ModuleOp module) override {
    cuda::Kernels kernels(row.bf16Dot);
    if (Error error = build(module, kernels))
      return error;
    if (Error error = kernels.translate())
      return error;
    Expected<SmallString<0>> device = cuda::deviceCode(row.arch, kernels.codes());
    if (!device)
      return device.takeError();
    deviceCode = std::move(*device);
    return CpuCompilation::addVariant(row, module);
  }
};
} // namespace

Backend cudaBackend() {
  static constexpr PrintedForm forms[] = {{"nvvm", "kernels of NVIDIA GPUs, in the LLVM dialect", "cuda"},
                                          {"ptx", "their PTX", "cuda"}};
  auto start = [](const ModelInterface &model, const CodeOptions &options,
                  bool assembly) -> Expected<std::unique_ptr<Compilation>> {
    return std::make_unique<CudaCompilation>(model, options, assembly);
  };
  return {"cuda", {}, runsHere, findTarget, checkFor, forms, print, start};
}

} // namespace attnc
