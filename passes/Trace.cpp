//===- Trace.cpp - What an entry does at given sizes ---------------------------------------------===//
#include "passes/Trace.h"
#include "passes/Signature.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/ADT/TypeSwitch.h"

namespace attnc {
using namespace attn;

namespace {

/// Bounds of what is walked through: a report must end for every input.
constexpr int64_t kMostTrips = 1 << 16;
constexpr size_t kMostSteps = 1 << 16;

/// What is known of a value.
struct Known {
  std::optional<int64_t> number;              // integers and indices
  SmallVector<std::optional<int64_t>> dims;   // buffers
  std::optional<int64_t> workspaceAt;         // the workspace or a callee's part of it: where it begins
  std::optional<unsigned> buffer;             // lies in this buffer of the workspace
  std::optional<int64_t> elements;            // every element is this number
};

struct Tracer {
  Trace result;
  SymbolTableCollection symbols;
  const TraceSizes &sizes;
  using Frame = DenseMap<Value, Known>;

  explicit Tracer(const TraceSizes &sizes) : sizes(sizes) {}

  LogicalResult enter(func::FuncOp entry);
  LogicalResult runBlock(Block &block, Frame &frame);
  LogicalResult run(Operation *op, Frame &frame);
  LogicalResult runCall(func::CallOp call, Frame &frame);
  LogicalResult runFor(scf::ForOp loop, Frame &frame);
  LogicalResult runIf(scf::IfOp branch, Frame &frame);
  LogicalResult runView(memref::ViewOp view, Frame &frame);
  LogicalResult addStep(TraceStep step, Frame &frame);
  void viewOf(ViewLikeOpInterface view, Frame &frame);

  std::optional<int64_t> numberOf(OpFoldResult size, Frame &frame) {
    if (std::optional<int64_t> constant = getConstantIntValue(size))
      return constant;
    return frame[cast<Value>(size)].number;
  }
  SmallVector<std::optional<int64_t>> numbersOf(ArrayRef<OpFoldResult> of, Frame &frame) {
    return llvm::map_to_vector(of, [&](OpFoldResult size) { return numberOf(size, frame); });
  }
};

SmallVector<std::optional<int64_t>> staticDims(MemRefType type) {
  return llvm::map_to_vector(type.getShape(), [](int64_t size) {
    return ShapedType::isDynamic(size) ? std::nullopt : std::optional<int64_t>(size);
  });
}

/// Whether it, or what it calls, has work of its own to step through.
bool hasSteps(Operation *op) {
  return op->walk([](Operation *inner) {
             auto call = dyn_cast<func::CallOp>(inner);
             return isa<DispatchOp, LaunchOp>(inner) || call ? WalkResult::interrupt() : WalkResult::advance();
           }).wasInterrupted();
}

LogicalResult Tracer::addStep(TraceStep step, Frame &frame) {
  if (result.steps.size() == kMostSteps)
    return failure();
  unsigned now = result.steps.size();
  step.op->walk([&](Operation *inner) {
    for (Value operand : inner->getOperands())
      if (auto found = frame.find(operand); found != frame.end() && found->second.buffer) {
        TraceBuffer &buffer = result.buffers[*found->second.buffer];
        buffer.first = std::min(buffer.first, now);
        buffer.last = now;
      }
  });
  result.steps.push_back(step);
  return success();
}

/// Views keep the buffer; their sizes are what the op says.
void Tracer::viewOf(ViewLikeOpInterface view, Frame &frame) {
  Known known = frame[view.getViewSource()];
  auto type = dyn_cast<MemRefType>(view.getViewDest().getType());
  if (!type)
    return;
  SmallVector<std::optional<int64_t>> source = known.dims;
  known.dims = staticDims(type);
  known.workspaceAt = std::nullopt;
  auto set = [&](ArrayRef<std::optional<int64_t>> dims) {
    if (dims.size() == known.dims.size())
      known.dims.assign(dims.begin(), dims.end());
  };
  llvm::TypeSwitch<Operation *>(view)
      .Case([&](memref::CastOp) { set(source); })
      .Case([&](memref::ExpandShapeOp op) { set(numbersOf(op.getMixedOutputShape(), frame)); })
      .Case([&](memref::ReinterpretCastOp op) { set(numbersOf(op.getMixedSizes(), frame)); })
      .Case([&](memref::SubViewOp op) {
        SmallVector<std::optional<int64_t>> kept;
        llvm::SmallBitVector dropped = op.getDroppedDims();
        for (auto [d, size] : llvm::enumerate(numbersOf(op.getMixedSizes(), frame)))
          if (!dropped[d])
            kept.push_back(size);
        set(kept);
      })
      .Case([&](memref::CollapseShapeOp op) {
        SmallVector<std::optional<int64_t>> products;
        for (const ReassociationIndices &group : op.getReassociationIndices()) {
          std::optional<int64_t> product = 1;
          for (int64_t d : group)
            product = product && d < int64_t(source.size()) && source[d] ? std::optional(*product * *source[d])
                                                                          : std::nullopt;
          products.push_back(product);
        }
        set(products);
      });
  frame[view.getViewDest()] = known;
}

/// A view of the workspace is a buffer.
LogicalResult Tracer::runView(memref::ViewOp view, Frame &frame) {
  Known source = frame[view.getSource()];
  Known known;
  known.dims = staticDims(view.getType());
  unsigned next = 0;
  for (std::optional<int64_t> &size : known.dims)
    if (!size)
      size = frame[view.getSizes()[next++]].number;
  known.buffer = source.buffer;
  if (source.workspaceAt) {
    std::optional<int64_t> offset = frame[view.getByteShift()].number;
    int64_t bytes = llvm::divideCeil(view.getType().getElementTypeBitWidth(), 8);
    for (std::optional<int64_t> size : known.dims)
      if (!size || *size < 0 || llvm::MulOverflow(bytes, *size, bytes))
        return failure();
    int64_t at, end;
    if (!offset || llvm::AddOverflow(*source.workspaceAt, *offset, at) || llvm::AddOverflow(at, bytes, end))
      return failure();
    known.buffer = result.buffers.size();
    known.workspaceAt = at;
    result.buffers.push_back({view, at, bytes});
  }
  frame[view.getResult()] = known;
  return success();
}

LogicalResult Tracer::runCall(func::CallOp call, Frame &frame) {
  auto callee = symbols.lookupNearestSymbolFrom<func::FuncOp>(call, call.getCalleeAttr());
  if (!callee || callee.isExternal())
    return failure();
  Frame inner;
  for (auto [argument, operand] : llvm::zip(callee.getArguments(), call.getOperands()))
    inner[argument] = Known(frame[operand]);
  if (callee->hasAttr(kOutputsAttr)) {
    Known &workspace = inner[Signature(callee).workspace()];
    if (workspace.buffer)
      result.buffers[*workspace.buffer].isCallee = true;
    workspace.buffer = std::nullopt;
  }
  if (failed(runBlock(callee.getBody().front(), inner)))
    return failure();
  for (auto [value, returned] : llvm::zip(call.getResults(), callee.getBody().front().getTerminator()->getOperands()))
    frame[value] = Known(inner[returned]);
  return success();
}

LogicalResult Tracer::runFor(scf::ForOp loop, Frame &frame) {
  std::optional<int64_t> from = frame[loop.getLowerBound()].number, to = frame[loop.getUpperBound()].number,
                         step = frame[loop.getStep()].number;
  bool isWork = hasSteps(loop);
  if (!isWork && loop.getNumResults() == 0)
    return addStep({{}, loop, std::nullopt, std::nullopt, std::nullopt}, frame);
  bool isCounted = from && to && step && *step > 0 && (*to <= *from || (*to - *from) / *step < kMostTrips);
  if (!isCounted)
    return isWork ? failure() : success(); // its results are not known
  SmallVector<Known> carried;
  for (Value init : loop.getInitArgs())
    carried.push_back(frame[init]);
  for (int64_t i = *from; i < *to; i += *step) {
    frame[loop.getInductionVar()].number = i;
    for (auto [argument, known] : llvm::zip(loop.getRegionIterArgs(), carried))
      frame[argument] = known;
    if (failed(runBlock(*loop.getBody(), frame)))
      return failure();
    for (auto [known, yielded] : llvm::zip(carried, loop.getBody()->getTerminator()->getOperands()))
      known = frame[yielded];
  }
  for (auto [value, known] : llvm::zip(loop.getResults(), carried))
    frame[value] = known;
  return success();
}

LogicalResult Tracer::runIf(scf::IfOp branch, Frame &frame) {
  std::optional<int64_t> condition = frame[branch.getCondition()].number;
  if (!condition && !hasSteps(branch))
    return branch.getNumResults() ? success() : addStep({{}, branch, std::nullopt, std::nullopt, std::nullopt}, frame);
  Region &taken = condition && *condition ? branch.getThenRegion() : branch.getElseRegion();
  if (taken.empty())
    return success();
  if (failed(runBlock(taken.front(), frame)))
    return failure();
  for (auto [value, yielded] : llvm::zip(branch.getResults(), taken.front().getTerminator()->getOperands()))
    frame[value] = Known(frame[yielded]);
  return success();
}

LogicalResult Tracer::run(Operation *op, Frame &frame) {
  for (Value value : op->getResults()) // of an earlier iteration
    frame[value] = {};
  if (auto dispatch = dyn_cast<DispatchOp>(op))
    return addStep({dispatch.getOp(), op, frame[dispatch.getCount()].number, frame[dispatch.getFlop()].number,
                    frame[dispatch.getBytes()].number},
                   frame);
  if (auto launch = dyn_cast<LaunchOp>(op))
    return addStep({launch.getOp(), op, 1, frame[launch.getFlop()].number, frame[launch.getBytes()].number}, frame);
  if (auto call = dyn_cast<func::CallOp>(op))
    return runCall(call, frame);
  if (auto loop = dyn_cast<scf::ForOp>(op))
    return runFor(loop, frame);
  if (auto branch = dyn_cast<scf::IfOp>(op))
    return runIf(branch, frame);
  if (auto view = dyn_cast<memref::ViewOp>(op))
    return runView(view, frame);
  if (auto view = dyn_cast<ViewLikeOpInterface>(op)) {
    viewOf(view, frame);
    return success();
  }
  if (auto dim = dyn_cast<memref::DimOp>(op)) {
    std::optional<int64_t> index = frame[dim.getIndex()].number;
    const Known source = frame[dim.getSource()];
    if (index && *index >= 0 && *index < int64_t(source.dims.size()))
      frame[dim.getResult()].number = source.dims[*index];
    return success();
  }
  if (auto load = dyn_cast<memref::LoadOp>(op)) {
    frame[load.getResult()].number = Known(frame[load.getMemRef()]).elements;
    return success();
  }
  if (op->getNumRegions()) // loops that nothing made tasks of
    return addStep({{}, op, std::nullopt, std::nullopt, std::nullopt}, frame);
  auto numberOf = [&](Value value) { return frame[value].number; };
  if (op->getNumResults() == 1)
    frame[op->getResult(0)].number = foldNumber(op, numberOf);
  if (isa<arith::MinSIOp>(op) && !frame[op->getResult(0)].number) { // an upper bound, where only the caller knows a length
    std::optional<int64_t> a = numberOf(op->getOperand(0)), b = numberOf(op->getOperand(1));
    frame[op->getResult(0)].number = a ? a : b;
  }
  return success();
}

LogicalResult Tracer::runBlock(Block &block, Frame &frame) {
  for (Operation &op : block.without_terminator())
    if (failed(run(&op, frame)))
      return failure();
  return success();
}

LogicalResult Tracer::enter(func::FuncOp entry) {
  Frame frame;
  Signature signature(entry);
  SmallVector<Known> workspaceArguments;
  for (BlockArgument argument : entry.getArguments()) {
    auto type = dyn_cast<MemRefType>(argument.getType());
    if (!type)
      continue;
    Known &known = frame[argument];
    known.dims = staticDims(type);
    auto names = entry.getArgAttrOfType<ArrayAttr>(argument.getArgNumber(), kDimsAttr);
    unsigned next = 0;
    for (std::optional<int64_t> &size : known.dims)
      if (!size && names && next < names.size())
        if (auto found = sizes.dims.find(cast<StringAttr>(names[next++]).getValue()); found != sizes.dims.end())
          size = found->second;
    bool isInput = argument.getArgNumber() >= 1 && argument.getArgNumber() <= signature.numInputs();
    for (auto [size, fixed] : llvm::zip(known.dims, type.getShape()))
      if (isInput && ShapedType::isDynamic(fixed)) {
        if (!size)
          return failure();
        workspaceArguments.emplace_back().number = size;
      }
  }
  workspaceArguments.emplace_back().number = sizes.workers;
  frame[signature.workers()].number = sizes.workers;
  frame[signature.workspace()].workspaceAt = 0;
  for (unsigned cache = 0; cache < signature.numCaches(); ++cache) {
    frame[signature.past(cache)].elements = sizes.past;
    frame[signature.page(cache)].number = sizes.page;
  }
  if (failed(runBlock(entry.getBody().front(), frame)))
    return failure();

  auto companion = entry->getParentOfType<ModuleOp>().lookupSymbol<func::FuncOp>((entry.getSymName() + ".workspace").str());
  if (!companion || companion.getNumArguments() != workspaceArguments.size())
    return failure();
  Frame inner;
  for (auto [argument, known] : llvm::zip(companion.getArguments(), workspaceArguments))
    inner[argument] = known;
  Block &body = companion.getBody().front();
  if (failed(runBlock(body, inner)))
    return failure();
  std::optional<int64_t> bytes = inner[body.getTerminator()->getOperand(0)].number;
  if (!bytes || *bytes < 0)
    return failure();
  result.workspaceBytes = *bytes;
  return success();
}
} // namespace

int64_t Trace::mostLive() const {
  int64_t most = 0;
  for (unsigned now = 0; now < steps.size(); ++now) {
    int64_t live = 0;
    for (const TraceBuffer &buffer : buffers)
      if (!buffer.isCallee && buffer.first <= now && now <= buffer.last)
        live += buffer.bytes;
    most = std::max(most, live);
  }
  return most;
}

std::optional<int64_t> foldNumber(Operation *op, function_ref<std::optional<int64_t>(Value)> numberOf) {
  if (op->getNumResults() != 1)
    return std::nullopt;
  for (int attempt = 0; attempt < 3; ++attempt) { // again if the op was only rewritten
    SmallVector<Attribute> operands = llvm::map_to_vector(op->getOperands(), [&](Value v) -> Attribute {
      std::optional<int64_t> number = v.getType().isIntOrIndex() ? numberOf(v) : std::nullopt;
      return number ? IntegerAttr::get(v.getType(), *number) : IntegerAttr();
    });
    SmallVector<OpFoldResult> folded;
    if (failed(op->fold(operands, folded)))
      return std::nullopt;
    if (folded.empty())
      continue;
    if (auto same = dyn_cast<Value>(folded[0]))
      return numberOf(same);
    auto number = dyn_cast<IntegerAttr>(cast<Attribute>(folded[0]));
    if (!number)
      return std::nullopt;
    return number.getType().isInteger(1) ? number.getValue().getZExtValue() : number.getValue().getSExtValue();
  }
  return std::nullopt;
}

FailureOr<Trace> trace(func::FuncOp entry, const TraceSizes &sizes) {
  Tracer tracer(sizes);
  if (failed(tracer.enter(entry)))
    return failure();
  return std::move(tracer.result);
}

} // namespace attnc
