//===- Backend.cpp - The table of backends ----------------------------------------------------===//
#include "backends/Backend.h"
#include "passes/Signature.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

namespace attnc {

// To add a backend, add its row here.
llvm::ArrayRef<Backend> backends() {
  static const Backend table[] = {cpuBackend(), halideBackend(), cudaBackend()};
  return table;
}

attn::TargetAttr TargetRow::getAttr(mlir::MLIRContext *context) const {
  return attn::TargetAttr::get(context, name, cpu, features, lanes, rowTile, panels, queryRows, keyLanes, rowBlock,
                               bf16Dot, deviceMemory);
}

std::string compilerVersion() { return "attnc 0.1.0, LLVM " LLVM_VERSION_STRING; }

static llvm::Error fail(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

/// Rows of the architecture that attnc itself runs on.
static std::vector<const TargetRow *> hostRows(const Backend &backend, bool bf16Math) {
  llvm::StringRef arch = llvm::Triple::getArchTypeName(llvm::Triple(llvm::sys::getProcessTriple()).getArch());
  std::vector<const TargetRow *> rows;
  for (const TargetRow &row : backend.targets)
    if (row.arch == arch && (bf16Math || !row.bf16Dot))
      rows.push_back(&row);
  return rows;
}

static llvm::Error addTarget(llvm::StringRef name, const Backend &backend, bool bf16Math, TargetSelection &selection) {
  std::vector<const TargetRow *> found;
  if (backend.find) {
    llvm::Expected<const TargetRow *> row = backend.find(name, bf16Math);
    if (!row)
      return fail("--target=" + backend.name + ":" + name + ": " + llvm::toString(row.takeError()));
    found.push_back(*row);
  } else if (name == "portable") {
    found = hostRows(backend, bf16Math);
  } else if (name == "native") {
    for (const TargetRow *row : hostRows(backend, bf16Math))
      if (found.empty() && backend.runsHere(*row))
        found.push_back(row);
    if (found.empty())
      return fail("--target=native: this CPU runs none of the targets " +
                  llvm::join(llvm::map_range(backend.targets, [](const TargetRow &row) { return row.name.str(); }), ", "));
  } else {
    for (const TargetRow &row : backend.targets)
      if (row.name == name) {
        if (row.bf16Dot && !bf16Math)
          return fail("--target=" + name + ": expected --math=bf16, got f32");
        found.push_back(&row);
      }
  }
  if (found.empty()) {
    std::string known;
    for (const TargetRow &row : backend.targets)
      known += (", " + row.name).str();
    return fail("--target: expected portable, native" + known + ", got '" + name + "'");
  }
  for (const TargetRow *row : found)
    if (!llvm::is_contained(selection.rows, row))
      selection.rows.push_back(row);
  return llvm::Error::success();
}

std::string pipelinesOf(mlir::ModuleOp module) {
  if (auto text = module->getAttrOfType<mlir::StringAttr>(kPipelinesAttr))
    return text.getValue().str();
  std::string text;
  llvm::raw_string_ostream stream(text);
  for (auto pipeline : module.getOps<attn::PipelineOp>())
    stream << pipeline << "\n";
  return text;
}

llvm::Expected<TargetSelection> selectTargets(llvm::StringRef text, bool bf16Math) {
  TargetSelection selection;
  llvm::SmallVector<llvm::StringRef> names;
  text.split(names, ',');
  for (llvm::StringRef name : names) {
    const Backend *backend = selection.backend ? selection.backend : &backends().front();
    size_t colon = name.find(':');
    bool isBackend = llvm::any_of(backends(), [&](const Backend &row) { return row.find && row.name == name; });
    if (colon != llvm::StringRef::npos || isBackend) {
      llvm::StringRef prefix = name.take_front(colon);
      backend = llvm::find_if(backends(), [&](const Backend &row) { return row.name == prefix; });
      if (backend == backends().end())
        return fail("--target: expected backend " +
                    llvm::join(llvm::map_range(backends(), [](const Backend &row) { return row.name.str(); }), ", ") +
                    ", got '" + prefix + "'");
      name = isBackend ? "" : name.drop_front(colon + 1);
    }
    if (selection.backend && selection.backend != backend)
      return fail("--target: expected targets of one backend, got " + selection.backend->name + " and " +
                  backend->name);
    selection.backend = backend;
    if (llvm::Error error = addTarget(name, *backend, bf16Math, selection))
      return std::move(error);
  }
  for (const TargetRow *row : selection.rows)
    if (row->arch != selection.rows[0]->arch)
      return fail("--target: expected targets of one architecture, got " + selection.rows[0]->name + " and " +
                  row->name);
  if (selection.backend->find && selection.rows.size() > 1)
    return fail("--target: expected one target of backend " + selection.backend->name + ", got " +
                selection.rows[0]->name + " and " + selection.rows[1]->name);
  // Best first, whatever the order on the command line: that is the order of choice at open.
  llvm::sort(selection.rows, [](const TargetRow *a, const TargetRow *b) { return a < b; });
  return selection;
}

} // namespace attnc
