//===- Plugin.h - What attnc asks of attn-halide.so -------------------------------------------===//
//
// libHalide is loaded only when a target asks for it. The plug-in has a copy of the dialect and a context of its own, so
// that pipelines travel as text, and nothing of attnc's own symbols is exported.
//
//===------------------------------------------------------------------------------------===//
#ifndef ATTNC_BACKENDS_HALIDE_PLUGIN_H
#define ATTNC_BACKENDS_HALIDE_PLUGIN_H

#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>

namespace attnc {

/// What of a Halide target concerns the host's side.
struct HalideTarget {
  std::string name;        ///< as Halide writes it: "x86-64-linux-avx-avx2-f16c-fma-sse41-opencl"
  std::string hostRow;     ///< the CPU backend's row that compiles what runs on the host: "x86-64-v3"
  std::string system;      ///< of the host, as in LLVM's triple: "unknown-linux-gnu"
  bool archiveOnly = false;
  bool deviceMemory = false; ///< a GPU, whose memory is not the host's
};

class HalidePlugin {
public:
  virtual ~HalidePlugin() = default;
  /// `target` is what follows "halide:", e.g. "host-opencl". Fails for what Halide does not know, and for what attnc cannot
  /// make host code for.
  virtual llvm::Expected<HalideTarget> resolve(llvm::StringRef target) = 0;
  /// Why a pipeline, the text of one `attn.pipeline`, cannot be compiled for a resolved target; empty: it can.
  virtual std::string check(llvm::StringRef target, llvm::StringRef pipeline) = 0;
  /// All pipelines as LLVM bitcode. Each is a function kPipelinePrefix + name + "_argv" of passes/Signature.h.
  virtual llvm::Expected<llvm::SmallString<0>> compile(llvm::StringRef target, llvm::StringRef pipelines) = 0;
  /// What the support code needs to launch compiled pipelines, as LLVM bitcode: see Runtime.h.
  virtual llvm::Expected<llvm::SmallString<0>> deviceCode(llvm::StringRef target, llvm::StringRef compiled) = 0;
  /// Funcs and loop nests, for readers.
  virtual llvm::Expected<std::string> print(llvm::StringRef target, llvm::StringRef pipelines) = 0;
};

/// The plug-in's only exported function, kHalidePluginSymbol.
using GetHalidePlugin = HalidePlugin *();
constexpr const char *kHalidePluginSymbol = "attn_halide_plugin";

} // namespace attnc

#endif // ATTNC_BACKENDS_HALIDE_PLUGIN_H
