//===- Report.cpp - One page about a compiled model ---------------------------------------------------------===//
//
// The page's markup is report.mustache, which escapes what it inserts; here are numbers and layout only. Numbers are
// text: the renderer would round them.
//
//===------------------------------------------------------------------------------------------------===//
#include "Report.h"
#include "ReportTemplate.h"
#include "runtime/attn_abi.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/Mustache.h"

#include <cmath>

namespace attnc {
using namespace mlir;
namespace json = llvm::json;

namespace {
// Of the pictures, in pixels.
constexpr double kPlotWidth = 400, kPlotHeight = 250, kPlanWidth = 540, kPlanHeight = 250;
// Where the axes of the roofline begin, powers of ten, and how many there are.
constexpr int kFirstX = -2, kDecadesX = 6, kFirstY = -1, kDecadesY = 5;
// Only examples: the page lets its reader change them.
constexpr double kPeak = 100, kBandwidth = 20; // GFLOP/s, GB/s
constexpr int64_t kContext = 512, kWorkers = 2;

std::string fixed(double number) { return llvm::formatv("{0:f1}", number).str(); }

std::string scaled(double number, double base, ArrayRef<StringRef> prefixes, StringRef unit) {
  size_t n = 0;
  for (; n + 1 < prefixes.size() && number >= base; ++n)
    number /= base;
  return llvm::formatv(n == 0 ? "{0:f0} " : "{0:f2} ", number).str() + prefixes[n].str() + unit.str();
}
} // namespace

std::string pageText(StringRef text) { return json::isUTF8(text) ? text.str() : json::fixUTF8(text); }

std::string shortText(StringRef text, size_t most) {
  std::string valid = pageText(text), result;
  size_t count = 0;
  for (char c : valid) {
    count += (c & 0xC0) != 0x80; // the first byte of a character
    if (count > most)
      return result + "…";
    result += c;
  }
  return result;
}

std::string inUnits(double number, StringRef unit) { return scaled(number, 1000, {"", "k", "M", "G", "T", "P"}, unit); }
std::string inBytes(double bytes) { return scaled(bytes, 1024, {"", "Ki", "Mi", "Gi", "Ti"}, "B"); }

ExampleSizes::ExampleSizes(const EntryInterface &entry, const ModelInterface &model) {
  int64_t context = kContext, tokens = 0;
  if (model.metadata)
    if (auto most = model.metadata.getAs<IntegerAttr>("context"))
      context = std::clamp<int64_t>(most.getInt(), 1, kContext);
  for (const DimInterface &dim : entry.dims) {
    int64_t size = std::clamp<int64_t>(dim.name == "batch" ? 1 : context, dim.min, std::max(dim.min, dim.max));
    sizes.dims[dim.name] = size;
    text += dim.name + " " + std::to_string(size) + ", ";
    if (dim.name == "seq")
      tokens = size;
  }
  bool appends = entry.usesState & ATTN_STATE_APPENDS;
  queries = tokens ? tokens : appends ? 1 : context;
  keys = appends ? std::max(context, queries) : queries;
  sizes.past = keys - queries;
  sizes.workers = kWorkers;
  if (appends)
    text += std::to_string(sizes.past) + " cached tokens, ";
  text += std::to_string(kWorkers) + " workers";
}

void Report::addRemark(StringRef where, StringRef text) {
  where.consume_back(": ");
  remarks.push_back(json::Object{{"where", pageText(where)}, {"text", pageText(text)}});
}

/// The box of the graph that `op` comes from.
const Report::Box *Report::boxOf(Operation *op, unsigned *number) {
  auto mark = op->getLoc()->findInstanceOf<FusedLocWith<IntegerAttr>>();
  if (!mark || mark.getMetadata().getValue().uge(boxes.size()))
    return nullptr;
  unsigned n = mark.getMetadata().getValue().getZExtValue();
  if (number)
    *number = n;
  return &boxes[n];
}

std::string Report::nameOf(Operation *op) {
  const Box *box = boxOf(op);
  return box ? box->title : op->getName().getStringRef().str();
}

/// One row of the table: what the same op costs in all its runs.
namespace {
struct Row {
  std::string op;
  Operation *first;
  int64_t calls = 0, tasks = 0;
  double flop = 0, bytes = 0; // of all calls; bytes 0: not known
};

/// Where a value lies on a logarithmic axis, 0 … 1.
double place(double value, int first, int decades) {
  return std::clamp((std::log10(value) - first) / decades, 0.0, 1.0);
}

json::Array gridOf(int first, int decades, double length, bool isUpward) {
  json::Array lines;
  for (int d = 0; d <= decades; ++d) {
    std::string zeros(std::abs(first + d), '0');
    lines.push_back(json::Object{{"at", fixed(length * (isUpward ? decades - d : d) / decades)},
                                 {"label", first + d < 0 ? "0." + zeros.substr(1) + "1" : "1" + zeros}});
  }
  return lines;
}
} // namespace

/// Buffers of the workspace as rectangles of steps × offsets.
json::Object Report::planOf(const Trace &trace) {
  int64_t total = std::max<int64_t>(trace.workspaceBytes, 1), live = trace.mostLive(), planned = 0;
  double step = kPlanWidth / std::max<size_t>(trace.steps.size(), 1), byte = kPlanHeight / double(total);
  json::Array rectangles;
  for (const TraceBuffer &buffer : trace.buffers) {
    if (buffer.isCallee || buffer.first > buffer.last || buffer.bytes == 0)
      continue;
    planned = std::max(planned, buffer.offset + buffer.bytes);
    auto type = cast<memref::ViewOp>(buffer.op).getType();
    double width = step * (buffer.last - buffer.first + 1), height = byte * double(buffer.bytes);
    bool isScratch = type.getElementType().isInteger(8);
    std::string name = (isScratch ? "scratch of " : "") + nameOf(buffer.op);
    json::Object rectangle{{"x", fixed(step * buffer.first)},
                           {"y", fixed(byte * double(buffer.offset))},
                           {"width", fixed(width)},
                           {"height", fixed(height)},
                           {"class", isScratch ? "scratch" : "buffer"},
                           {"full", llvm::formatv("{0}: bytes {1} to {2} ({3}), steps {4} to {5}", pageText(name),
                                                  buffer.offset, buffer.offset + buffer.bytes,
                                                  inBytes(double(buffer.bytes)), buffer.first, buffer.last)
                                        .str()}};
    if (width > 70 && height > 12)
      rectangle["label"] = json::Object{{"x", fixed(step * buffer.first + 3)},
                                        {"y", fixed(byte * double(buffer.offset) + height / 2 + 4)},
                                        {"text", shortText(name, size_t(width / 7))}};
    rectangles.push_back(std::move(rectangle));
  }
  double ratio = live ? double(trace.workspaceBytes) / double(live) : 1;
  return json::Object{{"rectangles", std::move(rectangles)},
                      {"total", std::to_string(trace.workspaceBytes)},
                      {"live", std::to_string(live)},
                      {"used", std::to_string(planned)},
                      {"totalText", inBytes(double(trace.workspaceBytes))},
                      {"liveText", inBytes(double(live))},
                      {"ratio", llvm::formatv("{0:f3}", ratio).str()},
                      {"steps", std::to_string(trace.steps.size())}};
}

json::Object Report::runOf(StringRef target, const EntryInterface &entry, const Trace &trace) {
  llvm::MapVector<std::pair<void *, StringRef>, Row> rows; // by dispatch or launch, or by box where loops run in place
  for (const TraceStep &step : trace.steps) {
    const Box *box = boxOf(step.op);
    void *key = !step.name.empty() ? step.op : box ? const_cast<Box *>(box) : static_cast<void *>(step.op);
    Row &row = rows[{key, step.name}];
    if (row.calls++ == 0) {
      row.op = !step.name.empty() ? step.name.str() : nameOf(step.op);
      row.first = step.op;
    }
    row.tasks = step.tasks.value_or(0);
    row.flop += double(std::max<int64_t>(step.flop.value_or(0), 0));
    row.bytes += double(std::max<int64_t>(step.bytes.value_or(0), 0));
  }
  json::Array table, points;
  double flop = 0, bytes = 0, time = 0;
  for (auto &[key, row] : rows)
    time += std::max(row.flop / kPeak, row.bytes / kBandwidth); // ns
  for (auto &[key, row] : rows) {
    flop += row.flop;
    bytes += row.bytes;
    unsigned number = 0;
    const Box *box = boxOf(row.first, &number);
    double intensity = row.bytes ? row.flop / row.bytes : 0, least = std::max(row.flop / kPeak, row.bytes / kBandwidth);
    json::Object cells{{"op", pageText(row.op)},
                       {"calls", std::to_string(row.calls)},
                       {"tasks", row.tasks ? std::to_string(row.tasks) : "in place"},
                       {"flop", llvm::formatv("{0:f0}", row.flop).str()},
                       {"bytes", llvm::formatv("{0:f0}", row.bytes).str()},
                       {"flopText", row.flop ? inUnits(row.flop, "FLOP") : "–"},
                       {"bytesText", row.bytes ? inBytes(row.bytes) : "–"},
                       {"intensity", row.flop && row.bytes ? llvm::formatv("{0:f2}", intensity).str() : "–"},
                       {"bound", !row.bytes ? "–" : row.flop / kPeak > row.bytes / kBandwidth ? "arithmetic" : "memory"},
                       {"least", row.bytes ? fixed(least / 1000) : "–"},
                       {"share", time && row.bytes ? fixed(100 * least / time) : "–"}};
    if (box)
      cells["box"] = json::Object{{"number", std::to_string(number)},
                                  {"text", pageText(box->title + (box->detail.empty() ? "" : ": " + box->detail))}};
    table.push_back(std::move(cells));
    if (row.flop && row.bytes)
      points.push_back(json::Object{
          {"x", fixed(kPlotWidth * place(intensity, kFirstX, kDecadesX))},
          {"y", fixed(kPlotHeight * (1 - place(std::min(kPeak, intensity * kBandwidth), kFirstY, kDecadesY)))},
          {"r", fixed(3 + 9 * std::sqrt(least / time))},
          {"intensity", llvm::formatv("{0:f4}", intensity).str()},
          {"full", pageText((box ? box->title : row.op) + ": " + llvm::formatv("{0:f2}", intensity).str() + " FLOP/B")}});
  }
  return json::Object{{"entry", pageText(entry.name)}, {"target", target},
                      {"rows", std::move(table)},      {"points", std::move(points)},
                      {"flopText", inUnits(flop, "FLOP")},
                      {"bytesText", inBytes(bytes)},
                      {"intensity", bytes ? llvm::formatv("{0:f2}", flop / bytes).str() : "–"},
                      {"least", fixed(time / 1000)},   {"plan", planOf(trace)}};
}

void Report::addVariant(StringRef target, ModuleOp module, const ModelInterface &model) {
  OwningOpRef<ModuleOp> copy = module.clone();
  for (const EntryInterface &entry : model.entries) {
    auto func = copy->lookupSymbol<func::FuncOp>(entry.name); // as the interface says
    ExampleSizes example(entry, model);
    FailureOr<Trace> traced = trace(func, example.sizes);
    json::Object run = succeeded(traced) ? runOf(target, entry, *traced)
                                         : json::Object{{"entry", pageText(entry.name)}, {"target", target}};
    run["sizes"] = pageText(example.text);
    run["isFirst"] = llvm::none_of(runs, [&](const json::Value &other) {
      return other.getAsObject()->getString("entry") == run.getString("entry");
    });
    run["isKnown"] = succeeded(traced);
    runs.push_back(std::move(run));
  }
}

std::string Report::render(const ModelInterface &model, const CodeOptions &code, ArrayRef<Parameter> parameters) {
  json::Array entries, targets;
  auto tensors = [](const EntryInterface &entry, const std::vector<TensorInterface> &list) {
    std::string text;
    llvm::raw_string_ostream stream(text);
    for (const TensorInterface &tensor : list) {
      stream << (&tensor == &list[0] ? "" : ", ") << tensor.name << " [";
      for (auto [d, size] : llvm::enumerate(tensor.shape)) {
        stream << (d ? ", " : "");
        if (size >= 0)
          stream << size;
        else
          stream << entry.dims[-1 - size].name;
      }
      stream << "] " << tensor.elementType << (tensor.optional ? " (optional)" : "");
    }
    return pageText(text);
  };
  for (const EntryInterface &entry : model.entries) {
    std::string dims;
    for (const DimInterface &dim : entry.dims)
      dims += (dims.empty() ? "" : ", ") + dim.name + " " + std::to_string(dim.min) + "–" + std::to_string(dim.max);
    entries.push_back(json::Object{{"name", pageText(entry.name)},
                                   {"dims", pageText(dims.empty() ? "all sizes fixed" : dims)},
                                   {"inputs", tensors(entry, entry.inputs)},
                                   {"outputs", tensors(entry, entry.outputs)},
                                   {"state", entry.usesState ? "yes" : "no"}});
  }
  for (json::Value &run : runs) {
    auto name = run.getAsObject()->getString("target");
    if (!llvm::is_contained(targets, json::Value(*name)))
      targets.push_back(*name);
  }
  uint64_t numbers = 0;
  for (const Parameter &parameter : parameters)
    numbers += parameter.panels ? uint64_t(parameter.k) * parameter.n : parameter.type.getNumElements();
  json::Object page{{"model", pageText(code.modelName)},
                    {"version", compilerVersion()},
                    {"build", pageText(code.buildId)},
                    {"parameters", std::to_string(parameters.size())},
                    {"numbers", inUnits(double(numbers), "")},
                    {"weights", inBytes(double(model.weightsBytes))},
                    {"peak", std::to_string(int(kPeak))},
                    {"bandwidth", std::to_string(int(kBandwidth))},
                    {"hasMaps", !maps.empty()},
                    {"hasRemarks", !remarks.empty()},
                    {"gridX", gridOf(kFirstX, kDecadesX, kPlotWidth, false)},
                    {"gridY", gridOf(kFirstY, kDecadesY, kPlotHeight, true)}};
  double ridge = kPeak / kBandwidth, start = std::pow(10, kFirstX) * kBandwidth;
  page["roof"] = llvm::formatv("M0 {0} L{1} {2} H{3}",
                               fixed(kPlotHeight * (1 - place(start, kFirstY, kDecadesY))),
                               fixed(kPlotWidth * place(ridge, kFirstX, kDecadesX)),
                               fixed(kPlotHeight * (1 - place(kPeak, kFirstY, kDecadesY))), fixed(kPlotWidth))
                     .str();
  for (auto [name, number] : {std::pair<StringRef, double>("plotWidth", kPlotWidth), {"plotHeight", kPlotHeight},
                              {"firstX", kFirstX}, {"decadesX", kDecadesX}, {"firstY", kFirstY}, {"decadesY", kDecadesY},
                              {"planWidth", kPlanWidth}, {"planHeight", kPlanHeight}})
    page[name] = std::to_string(int(number));
  page["entries"] = std::move(entries);
  page["targets"] = std::move(targets);
  page["graphs"] = std::move(graphs);
  page["runs"] = std::move(runs);
  page["maps"] = std::move(maps);
  page["remarks"] = std::move(remarks);

  llvm::BumpPtrAllocator allocator;
  llvm::StringSaver saver(allocator);
  llvm::mustache::MustacheContext context(allocator, saver);
  llvm::mustache::Template markup(kReportTemplate, context);
  std::string text;
  llvm::raw_string_ostream stream(text);
  markup.render(std::move(page), stream);
  return text;
}

} // namespace attnc
