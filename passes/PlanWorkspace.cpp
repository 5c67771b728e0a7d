//===- PlanWorkspace.cpp - Allocations to offsets in one workspace -----------------------===//
//
// A buffer's size is a static number of bytes times a unit, the product of its dynamic sizes (say batch·seq). Each lies
// right above those before it, in a fixed order, whose lifetimes meet its own: the greatest of their ends, which are sums of
// units. Where the units are the same that is a constant, otherwise it is computed at entry.
//
//===----------------------------------------------------------------------------------===//
#include "passes/Packing.h"
#include "passes/Passes.h"
#include "passes/Signature.h"
#include "passes/Trace.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "mlir/Transforms/RegionUtils.h"

namespace attnc {
#define GEN_PASS_DEF_PLANWORKSPACE
#include "passes/Passes.h.inc"

namespace {

constexpr int64_t kAlign = 64; // bytes: one cache line, one AVX-512 vector
/// Bytes: a device's part of a buffer begins at a multiple (CL_DEVICE_MEM_BASE_ADDR_ALIGN, minStorageBufferOffsetAlignment).
constexpr int64_t kDeviceAlign = 512;

/// One buffer: its lifetime in ops of the function's block.
struct Buffer {
  memref::AllocOp alloc;
  Lifetime life;
  unsigned unit;
  int64_t bytes; // of one unit
};

/// Number of bytes: a sum of coefficient × symbol. Symbols are units and greatest ends, none of them negative.
struct Bytes {
  SmallVector<int64_t> coefficients;

  int64_t of(unsigned symbol) const { return symbol < coefficients.size() ? coefficients[symbol] : 0; }
  void add(unsigned symbol, int64_t coefficient) {
    coefficients.resize(std::max<size_t>(coefficients.size(), symbol + 1));
    coefficients[symbol] += coefficient;
  }
  /// Whether it is at least the other for all values of the symbols.
  bool covers(const Bytes &other) const {
    return llvm::all_of(llvm::seq<unsigned>(0, other.coefficients.size()),
                        [&](unsigned symbol) { return of(symbol) >= other.of(symbol); });
  }
};

struct PlanFunction {
  func::FuncOp func;
  OpBuilder b;
  std::map<SmallVector<void *>, unsigned> units;
  SmallVector<SmallVector<Value>> factors; // of each unit, in order of first use, so that the plan is deterministic
  SmallVector<Value> symbols;              // units first
  SmallVector<Buffer> buffers;
  bool isPlanned = true;

  const int64_t align;

  PlanFunction(func::FuncOp func, int64_t align) : func(func), b(func.getContext()), align(align) {}

  void resolveReshapes();
  void hoistSizes();
  void collect();
  std::optional<int64_t> sampleOf(Value size, int64_t lead, int64_t other);
  SmallVector<unsigned> order();
  Value valueOf(const Bytes &bytes);
  Bytes greatest(ArrayRef<Bytes> ends);
  void replace();
  void fillCompanion(Value total);
};

/// Sizes of reshaped buffers in terms of what was reshaped; upstream folds them for the other views.
void PlanFunction::resolveReshapes() {
  llvm::SetVector<Operation *> dims;
  for (auto dim : func.getBody().front().getOps<memref::DimOp>())
    dims.insert(dim);
  while (!dims.empty()) {
    auto dim = cast<memref::DimOp>(dims.pop_back_val());
    std::optional<int64_t> index = dim.getConstantIndex();
    OpBuilder at(dim);
    Value size;
    if (auto expand = dim.getSource().getDefiningOp<memref::ExpandShapeOp>(); expand && index) {
      size = getValueOrCreateConstantIndexOp(at, dim.getLoc(), expand.getMixedOutputShape()[*index]);
    } else if (auto collapse = dim.getSource().getDefiningOp<memref::CollapseShapeOp>(); collapse && index) {
      ReassociationIndices group = collapse.getReassociationIndices()[*index];
      for (int64_t d : group) {
        Value factor = at.createOrFold<memref::DimOp>(dim.getLoc(), collapse.getSrc(), d); // an allocation knows it
        if (auto op = factor.getDefiningOp<memref::DimOp>())
          dims.insert(op);
        size = size ? arith::MulIOp::create(at, dim.getLoc(), size, factor).getResult() : factor;
      }
    } else {
      continue;
    }
    dim.getResult().replaceAllUsesWith(size);
    dim.erase();
  }
}

static int64_t rankOf(Value value) {
  auto type = dyn_cast<MemRefType>(value.getType());
  return type ? type.getRank() : 0;
}

/// Sizes move to the function's start, one value each: equal names are equal sizes.
void PlanFunction::hoistSizes() {
  Block &body = func.getBody().front();
  DenseMap<std::pair<Value, int64_t>, Value> sizes;
  for (auto dim : llvm::make_early_inc_range(body.getOps<memref::DimOp>())) {
    auto arg = dyn_cast<BlockArgument>(dim.getSource());
    std::optional<int64_t> index = dim.getConstantIndex();
    if (!arg || !index)
      continue;
    // An argument that has this dimension for certain: an optional one may be left out.
    int64_t at = *index;
    StringAttr name = dimensionName(func, arg, at);
    for (BlockArgument other : func.getArguments())
      for (int64_t d = 0; name && d < rankOf(other); ++d)
        if (dimensionName(func, other, d) == name && !func.getArgAttr(other.getArgNumber(), attn::kOptionalAttr)) {
          arg = other;
          at = d;
          name = {};
        }
    Value &known = sizes[{arg, at}];
    if (!known) {
      OpBuilder top = OpBuilder::atBlockBegin(&body);
      Value constant = arith::ConstantIndexOp::create(top, dim.getLoc(), at);
      known = memref::DimOp::create(top, dim.getLoc(), arg, constant);
    }
    dim.getResult().replaceAllUsesWith(known);
    dim.erase();
  }
  // Equal size arithmetic and equal workspace calls are one value.
  SmallVector<Operation *> kept;
  auto isSizeOp = [](Operation *op) {
    auto call = dyn_cast<func::CallOp>(op);
    return isa<arith::ConstantOp>(op) || (isa_and_nonnull<arith::ArithDialect>(op->getDialect()) && op->getNumResults() == 1 &&
                                          op->getResult(0).getType().isIndex()) ||
           (call && call.getCallee().ends_with(".workspace"));
  };
  for (Operation &op : llvm::make_early_inc_range(body)) {
    if (!isSizeOp(&op))
      continue;
    Operation *same = nullptr;
    for (Operation *other : kept)
      if (OperationEquivalence::isEquivalentTo(other, &op, OperationEquivalence::IgnoreLocations)) {
        same = other;
        break;
      }
    if (same) {
      op.replaceAllUsesWith(same);
      op.erase();
    } else {
      kept.push_back(&op);
    }
  }
}

void PlanFunction::collect() {
  Block &body = func.getBody().front();
  DenseMap<Operation *, unsigned> position;
  for (auto [i, op] : llvm::enumerate(body))
    position[&op] = i;
  for (auto alloc : body.getOps<memref::AllocOp>()) {
    Buffer buffer{alloc, {~0u, 0}, 0, 0};
    // Uses, through views.
    SmallVector<Value> values = {alloc.getResult()};
    while (!values.empty())
      for (Operation *user : values.pop_back_val().getUsers()) {
        if (isa<ViewLikeOpInterface>(user)) {
          values.append(user->result_begin(), user->result_end());
          continue;
        }
        unsigned at = position[body.findAncestorOpInBlock(*user)];
        buffer.life = {std::min(buffer.life.first, at), std::max(buffer.life.last, at)};
      }
    if (buffer.life.first > buffer.life.last)
      buffer.life = {position[alloc], position[alloc]};
    MemRefType type = alloc.getType();
    buffer.bytes = llvm::divideCeil(type.getElementTypeBitWidth(), 8);
    for (int64_t size : type.getShape())
      if (!ShapedType::isDynamic(size))
        buffer.bytes *= size;
    // A workspace for a callee asks for a multiple of `align` already.
    bool aligned = type.getElementTypeBitWidth() == 8 && type.getRank() == 1 && type.getNumDynamicDims() == 1;
    if (!aligned)
      buffer.bytes = llvm::alignTo(buffer.bytes, align);
    SmallVector<void *> key = llvm::map_to_vector(alloc.getDynamicSizes(), [](Value v) { return v.getAsOpaquePointer(); });
    llvm::sort(key);
    auto [it, isNew] = units.try_emplace(key, units.size());
    if (isNew)
      factors.emplace_back(alloc.getDynamicSizes());
    buffer.unit = it->second;
    buffers.push_back(buffer);
  }
}

/// What `size` is where arguments' first dimensions are `lead` and the others `other`.
std::optional<int64_t> PlanFunction::sampleOf(Value size, int64_t lead, int64_t other) {
  std::function<std::optional<int64_t>(Value)> numberOf = [&](Value value) -> std::optional<int64_t> {
    Operation *op = value.getDefiningOp();
    if (!op)
      return lead; // workers, mostly
    if (auto dim = dyn_cast<memref::DimOp>(op))
      return dim.getConstantIndex() == 0 ? lead : other;
    auto call = dyn_cast<func::CallOp>(op);
    if (!call)
      return foldNumber(op, numberOf);
    // Companions of callees are complete: functions are planned after those that they call.
    auto callee = func->getParentOfType<ModuleOp>().lookupSymbol<func::FuncOp>(call.getCallee());
    if (!callee || callee.isExternal())
      return std::nullopt;
    DenseMap<Value, std::optional<int64_t>> known;
    for (auto [argument, operand] : llvm::zip(callee.getArguments(), call.getOperands()))
      known[argument] = numberOf(operand);
    auto inCallee = [&](Value v) { return known.lookup(v); };
    for (Operation &inner : callee.getBody().front().without_terminator()) {
      auto nested = dyn_cast<func::CallOp>(inner);
      std::optional<int64_t> number = nested ? std::nullopt : foldNumber(&inner, inCallee);
      known[inner.getResult(0)] = number;
    }
    return known.lookup(callee.getBody().front().getTerminator()->getOperand(0));
  };
  return numberOf(size);
}

/// The order of offsets that is best at a few sizes: one token, a prompt, a long one, and a batch.
SmallVector<unsigned> PlanFunction::order() {
  SmallVector<SmallVector<double>> samples;
  for (auto [lead, other] : {std::pair(1, 1), std::pair(1, 64), std::pair(1, 512), std::pair(8, 512)}) {
    SmallVector<double> perUnit;
    for (ArrayRef<Value> of : factors) {
      perUnit.push_back(1);
      for (Value factor : of)
        perUnit.back() *= double(std::max<int64_t>(sampleOf(factor, lead, other).value_or(1), 0));
    }
    samples.push_back(llvm::map_to_vector(
        buffers, [&](const Buffer &buffer) { return perUnit[buffer.unit] * double(buffer.bytes); }));
  }
  return packingOrder(llvm::map_to_vector(buffers, [](const Buffer &buffer) { return buffer.life; }), samples);
}

Value PlanFunction::valueOf(const Bytes &bytes) {
  Location loc = func.getLoc();
  Value sum;
  for (auto [symbol, coefficient] : llvm::enumerate(bytes.coefficients))
    if (coefficient) {
      Value term = arith::MulIOp::create(b, loc, symbols[symbol], arith::ConstantIndexOp::create(b, loc, coefficient));
      sum = sum ? arith::AddIOp::create(b, loc, sum, term).getResult() : term;
    }
  return sum ? sum : arith::ConstantIndexOp::create(b, loc, 0).getResult();
}

/// The greatest of `ends`: one of them if it is so for all sizes, else a new symbol.
Bytes PlanFunction::greatest(ArrayRef<Bytes> ends) {
  SmallVector<Bytes> kept;
  for (const Bytes &end : ends) {
    if (llvm::any_of(kept, [&](const Bytes &other) { return other.covers(end); }))
      continue;
    llvm::erase_if(kept, [&](const Bytes &other) { return end.covers(other); });
    kept.push_back(end);
  }
  if (kept.size() <= 1)
    return kept.empty() ? Bytes() : kept[0];
  Value most = valueOf(kept[0]);
  for (const Bytes &end : ArrayRef(kept).drop_front())
    most = arith::MaxSIOp::create(b, func.getLoc(), most, valueOf(end));
  Bytes result;
  result.add(symbols.size(), 1);
  symbols.push_back(most);
  return result;
}

void PlanFunction::replace() {
  Location loc = func.getLoc();
  Value workspace = Signature(func).workspace();
  // Sizes come first: move them (and what they need) above everything that uses memory.
  SetVector<Operation *> slice;
  std::function<void(Value)> need = [&](Value value) {
    Operation *def = value.getDefiningOp();
    if (!def || slice.contains(def))
      return;
    for (Value operand : def->getOperands())
      need(operand);
    slice.insert(def);
  };
  for (ArrayRef<Value> of : factors)
    for (Value factor : of)
      need(factor);
  b.setInsertionPointToStart(&func.getBody().front());
  Operation *next = &*b.getInsertionPoint();
  for (Operation *op : slice) {
    if (op == next) // an op cannot be moved to where it is
      next = op->getNextNode();
    else
      op->moveBefore(next);
  }
  b.setInsertionPoint(next);
  for (ArrayRef<Value> of : factors) {
    Value unit = arith::ConstantIndexOp::create(b, loc, 1);
    for (Value factor : of)
      unit = arith::MulIOp::create(b, loc, unit, factor);
    symbols.push_back(unit);
  }
  SmallVector<Bytes> ends(buffers.size());
  SmallVector<Value> offsets(buffers.size());
  SmallVector<unsigned> placed;
  for (unsigned n : order()) {
    SmallVector<Bytes> below;
    for (unsigned other : placed)
      if (buffers[n].life.meets(buffers[other].life))
        below.push_back(ends[other]);
    ends[n] = greatest(below);
    offsets[n] = valueOf(ends[n]);
    ends[n].add(buffers[n].unit, buffers[n].bytes);
    placed.push_back(n);
  }
  Value total = valueOf(greatest(ends));
  for (auto [n, buffer] : llvm::enumerate(buffers)) {
    memref::AllocOp alloc = buffer.alloc;
    OpBuilder at(alloc);
    auto view =
        memref::ViewOp::create(at, alloc.getLoc(), alloc.getType(), workspace, offsets[n], alloc.getDynamicSizes());
    view->setAttr(kBufferAttr, at.getI64IntegerAttr(n));
    alloc.replaceAllUsesWith(view.getResult());
    alloc.erase();
  }
  fillCompanion(total);
}

/// `NAME.workspace(dims..., workers)`: the arithmetic that leads to `total`, on the companion's arguments; -1 if the result
/// is 2^62 or more.
void PlanFunction::fillCompanion(Value total) {
  auto companion =
      func->getParentOfType<ModuleOp>().lookupSymbol<func::FuncOp>((func.getSymName() + ".workspace").str());
  OpBuilder cb = OpBuilder::atBlockBegin(companion.addEntryBlock());
  Location loc = func.getLoc();
  Value limit = arith::ConstantIndexOp::create(cb, loc, int64_t(1) << 62);
  Value zero = arith::ConstantIndexOp::create(cb, loc, 0), one = arith::ConstantIndexOp::create(cb, loc, 1);
  Signature signature(func);
  DenseMap<std::pair<Value, int64_t>, Value> dims;
  unsigned next = 0;
  for (unsigned i = 1; i <= signature.numInputs(); ++i)
    if (auto type = dyn_cast<MemRefType>(func.getArgument(i).getType()))
      for (int64_t d = 0; d < type.getRank(); ++d)
        if (type.isDynamicDim(d))
          dims[{func.getArgument(i), d}] = companion.getArgument(next++);
  IRMapping map;
  map.map(signature.workers(), companion.getArgument(next));
  std::function<Value(Value)> clone = [&](Value value) -> Value {
    if (map.contains(value))
      return map.lookup(value);
    Operation *def = value.getDefiningOp();
    Value result;
    if (auto dim = dyn_cast<memref::DimOp>(def)) {
      int64_t size = cast<MemRefType>(dim.getSource().getType()).getDimSize(*dim.getConstantIndex());
      result = ShapedType::isDynamic(size) ? dims.lookup({dim.getSource(), *dim.getConstantIndex()})
                                           : arith::ConstantIndexOp::create(cb, dim.getLoc(), size).getResult();
      if (!result) {
        dim.emitOpError("internal error: a size that does not follow from the arguments'");
        isPlanned = false, result = zero;
      }
    } else {
      for (Value operand : def->getOperands())
        clone(operand);
      result = cb.clone(*def, map)->getResult(cast<OpResult>(value).getResultNumber());
      // Sizes saturate: a product of bounded dimensions may still be beyond what 64 bits hold.
      if (isa<arith::MulIOp>(def)) {
        Value a = map.lookup(def->getOperand(0)), c = map.lookup(def->getOperand(1));
        Value largest = arith::DivUIOp::create(cb, loc, limit, arith::MaxSIOp::create(cb, loc, a, one));
        Value over = arith::CmpIOp::create(cb, loc, arith::CmpIPredicate::sgt, c, largest);
        result = arith::SelectOp::create(cb, loc, over, limit, result);
      } else if (isa<arith::AddIOp>(def)) {
        result = arith::MinSIOp::create(cb, loc, result, limit);
      } else if (isa<func::CallOp>(def)) { // -1: too large
        Value over = arith::CmpIOp::create(cb, loc, arith::CmpIPredicate::slt, result, zero);
        result = arith::SelectOp::create(cb, loc, over, limit, result);
      }
    }
    map.map(value, result);
    return result;
  };
  Value bytes = clone(total);
  Value over = arith::CmpIOp::create(cb, loc, arith::CmpIPredicate::sge, bytes, limit);
  Value none = arith::ConstantIndexOp::create(cb, loc, -1);
  func::ReturnOp::create(cb, loc, ValueRange(arith::SelectOp::create(cb, loc, over, none, bytes)));
  companion.setVisibility(func.getVisibility());
}

struct PlanWorkspace : impl::PlanWorkspaceBase<PlanWorkspace> {
  void runOnOperation() override {
    llvm::SetVector<Operation *> planned;
    for (auto func : getOperation().getOps<func::FuncOp>())
      plan(func, planned);
  }

  /// Callees first: their companions tell how much they need.
  void plan(func::FuncOp func, llvm::SetVector<Operation *> &planned) {
    if (!func->hasAttr(kOutputsAttr) || !planned.insert(func))
      return;
    for (auto call : func.getOps<func::CallOp>())
      if (auto callee = getOperation().lookupSymbol<func::FuncOp>(call.getCallee()))
        plan(callee, planned);
    auto target = getOperation()->getAttrOfType<attn::TargetAttr>(attn::kTargetAttr);
    PlanFunction plan(func, target && target.getDeviceMemory() ? kDeviceAlign : kAlign);
    plan.resolveReshapes();
    plan.hoistSizes();
    plan.collect();
    plan.replace();
    if (!plan.isPlanned)
      signalPassFailure();
  }
};
} // namespace
} // namespace attnc
