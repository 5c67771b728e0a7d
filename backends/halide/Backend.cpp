//===- Backend.cpp - The Halide backend: the plug-in, and what goes through it ----------------------===//
#include "backends/cpu/Object.h"
#include "backends/halide/Plugin.h"
#include "passes/Signature.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/Support/DynamicLibrary.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <deque>

namespace attnc {
using namespace llvm;

static Error fail(const Twine &message) { return createStringError(inconvertibleErrorCode(), message); }

//===----------------------------------------------------------------------===//
// The plug-in
//===----------------------------------------------------------------------===//

/// lib/attn-halide.so beside bin/, where attnc lies.
static Expected<HalidePlugin *> loadPlugin() {
  static HalidePlugin *plugin = nullptr;
  if (plugin)
    return plugin;
  static int here;
  SmallString<128> path(sys::path::parent_path(sys::fs::getMainExecutable(nullptr, &here)));
  sys::path::append(path, "..", "lib", "attn-halide.so");
  sys::path::remove_dots(path, /*remove_dot_dot=*/true);
  std::string text;
  sys::DynamicLibrary library = sys::DynamicLibrary::getPermanentLibrary(path.c_str(), &text);
  void *get = library.isValid() ? library.getAddressOfSymbol(kHalidePluginSymbol) : nullptr;
  if (!get)
    return fail("cannot load Halide (attnc is built without it by -DATTN_HALIDE=OFF): " +
                (text.empty() ? (path + " has no " + kHalidePluginSymbol).str() : text));
  return plugin = reinterpret_cast<GetHalidePlugin *>(get)();
}

//===----------------------------------------------------------------------===//
// Targets
//===----------------------------------------------------------------------===//

namespace {
struct Target {
  HalideTarget halide;
  std::string name; ///< "halide:host-opencl": what #attn.target says, and what the command line takes
  TargetRow row;
};
} // namespace

static std::deque<Target> &targets() {
  static std::deque<Target> list; // rows live as long as the compiler
  return list;
}

static const Target &targetOf(const TargetRow &row) {
  return *find_if(targets(), [&](const Target &target) { return &target.row == &row; });
}

/// The CPU backend's row for the host's side, under another name.
static Expected<const TargetRow *> findTarget(StringRef name, bool) {
  std::string full = ("halide:" + name).str();
  for (const Target &target : targets())
    if (target.name == full)
      return &target.row;
  Expected<HalidePlugin *> plugin = loadPlugin();
  if (!plugin)
    return plugin.takeError();
  Expected<HalideTarget> halide = (*plugin)->resolve(name);
  if (!halide)
    return halide.takeError();
  for (const TargetRow &row : cpuBackend().targets)
    if (row.name == halide->hostRow) {
      Target &target = targets().emplace_back(Target{std::move(*halide), std::move(full), row});
      target.row.name = target.name;
      target.row.system = target.halide.system;
      target.row.archiveOnly = target.halide.archiveOnly;
      target.row.deviceMemory = target.halide.deviceMemory;
      return &target.row;
    }
  return fail("internal error: there is no target " + halide->hostRow + " for the host");
}

static bool runsHere(const TargetRow &) { return true; } // asked for `native` only, which has no row here

//===----------------------------------------------------------------------===//
// Pipelines
//===----------------------------------------------------------------------===//

static DeviceCheck checkFor(const TargetRow &row) {
  return [&row](mlir::Operation *pipeline) {
    std::string text;
    raw_string_ostream(text) << *pipeline;
    return cantFail(loadPlugin())->check(targetOf(row).halide.name, text);
  };
}

static Expected<std::string> print(const TargetRow &row, mlir::ModuleOp module, StringRef) {
  return cantFail(loadPlugin())->print(targetOf(row).halide.name, pipelinesOf(module));
}

namespace {
/// The host's side is the CPU backend's.
class HalideCompilation : public CpuCompilation {
public:
  using CpuCompilation::CpuCompilation;

  Error addVariant(const TargetRow &row, mlir::ModuleOp module) override {
    const std::string &target = targetOf(row).halide.name;
    std::string pipelines = pipelinesOf(module);
    if (Error error = CpuCompilation::addVariant(row, module))
      return error;
    HalidePlugin *plugin = cantFail(loadPlugin());
    Expected<SmallString<0>> compiled = plugin->compile(target, pipelines);
    if (!compiled)
      return compiled.takeError();
    Expected<SmallString<0>> device = plugin->deviceCode(target, *compiled);
    if (!device)
      return device.takeError();
    deviceCode = std::move(*device);
    return addCode(row, "pipelines", *compiled);
  }
};
} // namespace

Backend halideBackend() {
  static constexpr PrintedForm forms[] = {{"halide", "what Halide compiles: Funcs and loop nests", "halide:TARGET"}};
  auto start = [](const ModelInterface &model, const CodeOptions &options,
                  bool assembly) -> Expected<std::unique_ptr<Compilation>> {
    return std::make_unique<HalideCompilation>(model, options, assembly);
  };
  return {"halide", {}, runsHere, findTarget, checkFor, forms, print, start};
}

} // namespace attnc
