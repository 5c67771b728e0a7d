//===- ReportGraph.cpp - The graph's boxes and attention's tiles, laid out for the page ---------------------===//
//
// A function is one column of boxes in program order. An edge to the next box is a line; longer ones run in lanes to the
// right of the column, the fewest that keep them apart.
//
//===------------------------------------------------------------------------------------------------===//
#include "Report.h"
#include "passes/TileMap.h"

#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/SetVector.h"

namespace attnc {
using namespace mlir;
using namespace attn;
namespace json = llvm::json;

namespace {
// Pixels.
constexpr int kWidth = 330, kLine = 15, kPadding = 8, kGap = 20, kLane = 12;
constexpr size_t kMostText = 50; // characters that fit into a box
constexpr int64_t kMostCells = 64; // of a tile map, each way
} // namespace

class GraphWriter {
public:
  GraphWriter(Report &report, ModuleOp module) : report(report), module(module) {}

  json::Object write(func::FuncOp func);

private:
  struct Node {
    unsigned number;
    std::string title, detail, shape;
    bool isInput = false;
    llvm::SetVector<unsigned> from; // indices of nodes
    int64_t repeat = 1;
    int y = 0;
    int height() const { return 2 * kPadding + kLine * (1 + !detail.empty() + !shape.empty()); }
    int middle() const { return y + height() / 2; }
  };

  void addInputs(func::FuncOp func);
  void addOp(Operation *op);
  bool repeats(func::CallOp call);
  bool isParameter(Value value);
  void findSources(Value value, llvm::SetVector<unsigned> &found);
  std::string sizeName(Value value, int64_t dim);
  std::string shapeOf(Value value);
  static std::string titleOf(Operation *op);
  static std::string detailOf(Operation *op);

  Report &report;
  ModuleOp module;
  std::vector<Node> nodes;
  DenseMap<Value, unsigned> nodeOf;
};

/// A parameter, also as an argument of a block.
bool GraphWriter::isParameter(Value value) {
  if (Operation *op = value.getDefiningOp())
    return isa<ml_program::GlobalLoadConstOp, ConcatParametersOp, StackParametersOp>(op);
  auto argument = cast<BlockArgument>(value);
  auto func = dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp());
  if (!func || func.isPublic())
    return false;
  for (auto caller : module.getOps<func::FuncOp>())
    for (auto call : caller.getOps<func::CallOp>())
      if (call.getCallee() == func.getSymName())
        return caller != func && isParameter(call.getOperand(argument.getArgNumber()));
  return false;
}

/// Ops that are no work of their own.
static bool isView(Operation *op) {
  return isa<tensor::ExtractSliceOp, tensor::CastOp, tensor::DimOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp,
             tensor::EmptyOp, ml_program::GlobalLoadConstOp, ConcatParametersOp,
             StackParametersOp>(op) ||
         op->hasTrait<OpTrait::ConstantLike>() || op->hasTrait<OpTrait::IsTerminator>() ||
         (op->getNumResults() && llvm::all_of(op->getResultTypes(), [](Type type) { return type.isIndex(); }));
}

void GraphWriter::findSources(Value value, llvm::SetVector<unsigned> &found) {
  if (auto node = nodeOf.find(value); node != nodeOf.end())
    found.insert(node->second);
  else if (Operation *op = value.getDefiningOp(); op && isView(op) && op->getNumOperands())
    findSources(op->getOperand(0), found);
}

/// The name of a dynamic dimension, found through first operands and, in a block, through its first call; or its size.
std::string GraphWriter::sizeName(Value value, int64_t dim) {
  auto type = dyn_cast<ShapedType>(value.getType());
  if (!type || dim >= type.getRank())
    return "?";
  if (!type.isDynamicDim(dim))
    return std::to_string(type.getDimSize(dim));
  if (auto slice = value.getDefiningOp<tensor::ExtractSliceOp>()) {
    auto size = dyn_cast<Value>(slice.getMixedSizes()[dim]);
    auto of = size && slice.getType().getRank() == slice.getSourceType().getRank() ? size.getDefiningOp<tensor::DimOp>()
                                                                                  : tensor::DimOp();
    return of && of.getConstantIndex() ? sizeName(of.getSource(), *of.getConstantIndex()) : "?";
  }
  if (Operation *op = value.getDefiningOp()) {
    auto from = op->getNumOperands() ? dyn_cast<ShapedType>(op->getOperand(0).getType()) : ShapedType();
    bool isSame = isa<tensor::CastOp>(op) || ((isa<AttnDialect>(op->getDialect()) || isa<func::CallOp>(op)) && from &&
                                              dim < from.getRank() && from.isDynamicDim(dim));
    return isSame ? sizeName(op->getOperand(0), dim) : "?";
  }
  auto argument = cast<BlockArgument>(value);
  auto func = dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp());
  if (func && !func.isPublic())
    for (auto caller : module.getOps<func::FuncOp>())
      for (auto call : caller.getOps<func::CallOp>())
        if (caller != func && call.getCallee() == func.getSymName())
          return sizeName(call.getOperand(argument.getArgNumber()), dim);
  auto names = func ? func.getArgAttrOfType<ArrayAttr>(argument.getArgNumber(), kDimsAttr) : ArrayAttr();
  size_t n = llvm::count_if(type.getShape().take_front(dim), ShapedType::isDynamic);
  return names && n < names.size() ? cast<StringAttr>(names[n]).str() : "?";
}

/// "batch × seq × 768 f32".
std::string GraphWriter::shapeOf(Value value) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (auto type = dyn_cast<ShapedType>(value.getType())) {
    for (int64_t d = 0; d < type.getRank(); ++d)
      stream << (d ? " × " : "") << sizeName(value, d);
    stream << " " << type.getElementType();
  } else {
    stream << value.getType();
  }
  return text;
}

std::string GraphWriter::titleOf(Operation *op) {
  if (auto linear = dyn_cast<LinearOp>(op))
    return ("linear " + llvm::Twine(cast<ShapedType>(linear.getInput().getType()).getShape().back()) + " → " +
            llvm::Twine(cast<ShapedType>(linear.getResult().getType()).getShape().back()))
        .str();
  if (auto call = dyn_cast<func::CallOp>(op))
    return call.getCallee().str();
  return (isa<AttnDialect>(op->getDialect()) ? op->getName().stripDialect() : op->getName().getStringRef()).str();
}

/// What is fused into the op.
std::string GraphWriter::detailOf(Operation *op) {
  SmallVector<std::string> parts;
  auto add = [&](bool is, const llvm::Twine &text) {
    if (is)
      parts.push_back(text.str());
  };
  if (auto linear = dyn_cast<LinearOp>(op)) {
    add(bool(linear.getBias()), "bias");
    add(linear.getActivation() != ActivationKind::none, stringifyActivationKind(linear.getActivation()));
    add(bool(linear.getResidual()), "residual");
  } else if (auto attention = dyn_cast<AttentionOp>(op)) {
    add(true, llvm::Twine(attention.getHeads()) + " heads of " + llvm::Twine(attention.getHeadDim()));
    add(attention.getKvHeads() != attention.getHeads(), llvm::Twine(attention.getKvHeads()) + " kv heads");
    add(bool(attention.getCache()), "cached");
    add(attention.getCausal(), "causal");
    add(attention.getWindowLeft() || attention.getWindowRight(), "window");
    add(bool(attention.getRagged()), "ragged");
    add(bool(attention.getKeyMask()), "key mask");
    add(bool(attention.getBias()), "bias");
    add(!attention.getScoreMod().empty(), "score region");
    add(!attention.getMaskMod().empty(), "mask region");
  } else if (auto activation = dyn_cast<ActivationOp>(op)) {
    add(true, stringifyActivationKind(activation.getKind()));
    add(bool(activation.getTimes()), "times");
  } else if (auto pool = dyn_cast<PoolOp>(op)) {
    add(true, stringifyPoolKind(pool.getKind()));
  } else if (auto linear = dyn_cast<LinearAttentionOp>(op)) {
    add(true, stringifyLinearRule(linear.getRule()));
    add(true, llvm::Twine(linear.getHeads()) + " heads");
  } else if (auto embedding = dyn_cast<EmbeddingOp>(op)) {
    add(bool(embedding.getResidual()), "residual");
  }
  return llvm::join(parts, ", ");
}

void GraphWriter::addInputs(func::FuncOp func) {
  for (BlockArgument argument : func.getArguments()) {
    if (isParameter(argument))
      continue;
    auto name = func.getArgAttrOfType<StringAttr>(argument.getArgNumber(), kNameAttr);
    Node node;
    node.isInput = true;
    node.title = name ? name.str() : ("argument " + llvm::Twine(argument.getArgNumber())).str();
    node.detail = shapeOf(argument);
    nodeOf[argument] = nodes.size();
    nodes.push_back(node);
  }
}

/// Whether the call goes on where the last box, calls of the same function, ended.
bool GraphWriter::repeats(func::CallOp call) {
  return !nodes.empty() && !nodes.back().isInput && nodes.back().title == call.getCallee() &&
         llvm::any_of(call.getOperands(), [&](Value operand) {
           auto from = operand.getDefiningOp<func::CallOp>();
           return from && from.getCallee() == call.getCallee() && nodeOf.lookup(operand) == nodes.size() - 1;
         });
}

void GraphWriter::addOp(Operation *op) {
  Node node;
  node.title = titleOf(op);
  node.detail = detailOf(op);
  node.number = report.boxes.size();
  for (Value operand : op->getOperands())
    if (!isParameter(operand))
      findSources(operand, node.from);
  op->walk([&](Operation *inner) { // regions capture
    if (inner != op)
      for (Value operand : inner->getOperands())
        if (operand.getParentRegion() == op->getParentRegion() && !isParameter(operand))
          findSources(operand, node.from);
  });
  if (op->getNumResults())
    node.shape = shapeOf(op->getResult(0));
  if (auto call = dyn_cast<func::CallOp>(op); call && repeats(call)) {
    ++nodes.back().repeat;
    node.from.remove(nodes.size() - 1);
    nodes.back().from.insert(node.from.begin(), node.from.end());
  } else {
    report.boxes.push_back({node.title, node.detail});
    nodes.push_back(std::move(node));
  }
  for (Value result : op->getResults())
    nodeOf[result] = nodes.size() - 1;
  auto number = IntegerAttr::get(IntegerType::get(op->getContext(), 64), nodes.back().number);
  op->setLoc(FusedLoc::get({op->getLoc()}, number, op->getContext()));
}

json::Object GraphWriter::write(func::FuncOp func) {
  addInputs(func);
  for (Operation &op : func.getBody().front())
    if (!isView(&op))
      addOp(&op);

  int y = kGap / 2;
  json::Array boxes, lines;
  for (Node &node : nodes) {
    node.y = y;
    std::string title = node.title + (node.repeat > 1 ? " × " + std::to_string(node.repeat) : "");
    json::Array texts;
    int at = y + kPadding + 11;
    for (const std::string &text : {title, node.detail, node.shape})
      if (!text.empty()) {
        texts.push_back(json::Object{{"y", std::to_string(at)}, {"text", shortText(text, kMostText)},
                                     {"class", texts.empty() ? "name" : "detail"}});
        at += kLine;
      }
    boxes.push_back(json::Object{{"y", std::to_string(y)}, {"height", std::to_string(node.height())},
                                 {"class", node.isInput ? "input" : "op"},
                                 {"id", node.isInput ? json::Value(nullptr) : json::Value(std::to_string(node.number))},
                                 {"texts", std::move(texts)},
                                 {"full", pageText(title + ": " + node.detail + (node.detail.empty() || node.shape.empty() ? "" : ", ") + node.shape)}});
    y += node.height() + kGap;
  }
  std::vector<unsigned> lanes; // by lane: the last node that its edges reach
  for (auto [to, node] : llvm::enumerate(nodes))
    for (unsigned from : node.from) {
      const Node &source = nodes[from];
      std::string path;
      if (from + 1 == to) {
        path = llvm::formatv("M{0} {1} V{2}", kWidth / 2, source.y + source.height(), node.y - 1);
      } else {
        size_t lane = llvm::find_if(lanes, [&](unsigned last) { return last <= from; }) - lanes.begin();
        if (lane == lanes.size())
          lanes.push_back(0);
        lanes[lane] = to;
        path = llvm::formatv("M{0} {1} H{2} V{3} H{4}", kWidth, source.middle() + 4, kWidth + kLane * (int(lane) + 1),
                             node.middle() - 4, kWidth + 1);
      }
      lines.push_back(std::move(path));
    }
  return json::Object{{"name", pageText(func.getSymName())},
                      {"boxWidth", std::to_string(kWidth)},
                      {"middle", std::to_string(kWidth / 2)},
                      {"width", std::to_string(kWidth + kLane * (int(lanes.size()) + 1))},
                      {"height", std::to_string(y)},
                      {"boxes", std::move(boxes)},
                      {"lines", std::move(lines)}};
}

/// What an attention's mask leaves of its scores, in tiles of at least 64 × 64.
static json::Object mapOf(TileMap &map, StringRef where) {
  auto tile = [](int64_t size) { return int64_t(llvm::alignTo(std::max<int64_t>(64, llvm::divideCeil(size, kMostCells)), 64)); };
  int64_t rows = tile(map.queries), columns = tile(map.keys);
  int64_t batches = ShapedType::isDynamic(map.batches) ? kMostPositions : map.batches;
  json::Array cells;
  constexpr int kCell = 10;
  int y = 0, width = kCell * int(llvm::divideCeil(map.keys, columns));
  TileCounts counts = map.count({0, std::max<int64_t>(batches - 1, 0)}, {0, map.op.getHeads() - 1}, rows, columns,
                                [&](StringRef row) {
                                  for (size_t x = 0, end; x < row.size(); x = end) {
                                    end = std::min(row.find_first_not_of(row[x], x), row.size());
                                    StringRef kind = row[x] == '.' ? "skipped" : row[x] == '#' ? "full" : "partial";
                                    cells.push_back(json::Object{{"x", std::to_string(x * kCell)},
                                                                 {"y", std::to_string(y)},
                                                                 {"width", std::to_string((end - x) * kCell)},
                                                                 {"class", kind}});
                                  }
                                  y += kCell;
                                });
  return json::Object{{"where", pageText(where)},
                      {"sizes", llvm::formatv("{0} queries × {1} keys, tiles of {2} × {3}", map.queries, map.keys, rows,
                                              columns).str()},
                      {"counts", llvm::formatv("{0} skipped, {1} full, {2} partial", counts.skipped, counts.full,
                                               counts.partial).str()},
                      {"cells", std::move(cells)},
                      {"width", std::to_string(width)},
                      {"height", std::to_string(y)}};
}

void Report::addGraph(ModuleOp module, const ModelInterface &model) {
  SymbolTableCollection symbols;
  for (auto func : module.getOps<func::FuncOp>())
    graphs.push_back(GraphWriter(*this, module).write(func));
  for (const EntryInterface &entry : model.entries) {
    auto func = module.lookupSymbol<func::FuncOp>(entry.name);
    ExampleSizes example(entry, model);
    llvm::SetVector<func::FuncOp> reached;
    reached.insert(func);
    for (size_t i = 0; i < reached.size(); ++i) {
      func::FuncOp current = reached[i];
      std::string where = entry.name + (current == func ? "" : ", " + current.getSymName().str());
      current.walk([&](Operation *op) {
        if (auto call = dyn_cast<func::CallOp>(op))
          reached.insert(symbols.lookupNearestSymbolFrom<func::FuncOp>(call, call.getCalleeAttr()));
        auto attention = dyn_cast<AttentionOp>(op);
        if (!attention)
          return;
        TileMap map(attention, example.queries, example.keys);
        if (map.hasMask() && map.isStatic() && map.fits())
          maps.push_back(mapOf(map, where));
      });
    }
  }
}

} // namespace attnc
