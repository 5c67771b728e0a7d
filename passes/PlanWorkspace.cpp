//===- PlanWorkspace.cpp - Allocations to offsets in one workspace -----------------------===//
//
// Buffers with the same dynamic factors (say batch·seq) form a class; their sizes differ by static factors
// only, so lifetimes can be packed at compile time. Classes lie one after the other.
//
//===----------------------------------------------------------------------------------===//
#include "passes/Passes.h"
#include "passes/Signature.h"

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

/// One buffer: its lifetime in ops of the function's block and its place within its class.
struct Buffer {
  memref::AllocOp alloc;
  unsigned first, last;
  int64_t bytes;      // static factor
  int64_t offset = 0; // in the same unit
};

struct SizeClass {
  SmallVector<Value> factors; // dynamic sizes, sorted
  SmallVector<Buffer> buffers;
  int64_t bytes = 0; // static factor of the whole class
};

struct PlanFunction {
  func::FuncOp func;
  OpBuilder b;
  std::map<SmallVector<void *>, SizeClass> classes;
  SmallVector<SizeClass *> order; // of first use, so that the plan is deterministic

  explicit PlanFunction(func::FuncOp func) : func(func), b(func.getContext()) {}

  void resolveReshapes();
  StringAttr dimensionName(BlockArgument arg, int64_t dim);
  void hoistSizes();
  void collect();
  void pack(SizeClass &cls);
  void replace();
  void fillCompanion(Value total);
};

/// Sizes of reshaped buffers in terms of what was reshaped; upstream folds them for the other views.
void PlanFunction::resolveReshapes() {
  SmallVector<memref::DimOp> dims(func.getBody().front().getOps<memref::DimOp>());
  while (!dims.empty()) {
    memref::DimOp dim = dims.pop_back_val();
    std::optional<int64_t> index = dim.getConstantIndex();
    OpBuilder at(dim);
    Value size;
    if (auto expand = dim.getSource().getDefiningOp<memref::ExpandShapeOp>(); expand && index) {
      size = getValueOrCreateConstantIndexOp(at, dim.getLoc(), expand.getMixedOutputShape()[*index]);
    } else if (auto collapse = dim.getSource().getDefiningOp<memref::CollapseShapeOp>(); collapse && index) {
      ReassociationIndices group = collapse.getReassociationIndices()[*index];
      for (int64_t d : group) {
        auto factor = memref::DimOp::create(at, dim.getLoc(), collapse.getSrc(), d);
        dims.push_back(factor);
        size = size ? arith::MulIOp::create(at, dim.getLoc(), size, factor).getResult() : factor.getResult();
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

/// The name of a dynamic dimension of an argument, or null.
StringAttr PlanFunction::dimensionName(BlockArgument arg, int64_t dim) {
  auto type = cast<MemRefType>(arg.getType());
  auto names = func.getArgAttrOfType<ArrayAttr>(arg.getArgNumber(), attn::kDimsAttr);
  unsigned n = llvm::count_if(type.getShape().take_front(dim), ShapedType::isDynamic);
  return names && n < names.size() && type.isDynamicDim(dim) ? cast<StringAttr>(names[n]) : StringAttr();
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
    StringAttr name = dimensionName(arg, at);
    for (BlockArgument other : func.getArguments())
      for (int64_t d = 0; name && d < rankOf(other); ++d)
        if (dimensionName(other, d) == name && !func.getArgAttr(other.getArgNumber(), attn::kOptionalAttr)) {
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
    Buffer buffer{alloc, position[alloc], position[alloc], 0};
    // Uses, through views.
    SmallVector<Value> values = {alloc.getResult()};
    while (!values.empty())
      for (Operation *user : values.pop_back_val().getUsers()) {
        Operation *top = body.findAncestorOpInBlock(*user);
        buffer.last = std::max(buffer.last, position[top]);
        if (isa<ViewLikeOpInterface>(user))
          values.append(user->result_begin(), user->result_end());
      }
    MemRefType type = alloc.getType();
    buffer.bytes = llvm::divideCeil(type.getElementTypeBitWidth(), 8);
    for (int64_t size : type.getShape())
      if (!ShapedType::isDynamic(size))
        buffer.bytes *= size;
    // A workspace for a callee asks for a multiple of kAlign already.
    bool aligned = type.getElementTypeBitWidth() == 8 && type.getRank() == 1 && type.getNumDynamicDims() == 1;
    if (!aligned)
      buffer.bytes = llvm::alignTo(buffer.bytes, kAlign);
    SmallVector<Value> factors(alloc.getDynamicSizes());
    SmallVector<void *> key = llvm::map_to_vector(factors, [](Value v) { return v.getAsOpaquePointer(); });
    llvm::sort(key);
    auto [it, isNew] = classes.try_emplace(key);
    if (isNew) {
      it->second.factors = factors;
      order.push_back(&it->second);
    }
    it->second.buffers.push_back(buffer);
  }
}

/// Largest first, each at the lowest offset that is free during its lifetime.
void PlanFunction::pack(SizeClass &cls) {
  SmallVector<Buffer *> bySize = llvm::map_to_vector(cls.buffers, [](Buffer &b) { return &b; });
  llvm::stable_sort(bySize, [](Buffer *a, Buffer *b) { return a->bytes > b->bytes; });
  SmallVector<Buffer *> placed;
  for (Buffer *buffer : bySize) {
    SmallVector<Buffer *> overlapping;
    for (Buffer *other : placed)
      if (other->first <= buffer->last && buffer->first <= other->last)
        overlapping.push_back(other);
    llvm::sort(overlapping, [](Buffer *a, Buffer *b) { return a->offset < b->offset; });
    for (Buffer *other : overlapping) {
      if (other->offset >= buffer->offset + buffer->bytes)
        break;
      buffer->offset = std::max(buffer->offset, other->offset + other->bytes);
    }
    placed.push_back(buffer);
    cls.bytes = std::max(cls.bytes, buffer->offset + buffer->bytes);
  }
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
  for (SizeClass *cls : order)
    for (Value factor : cls->factors)
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
  Value total = arith::ConstantIndexOp::create(b, loc, 0);
  SmallVector<std::pair<memref::AllocOp, Value>> offsets;
  for (SizeClass *cls : order) {
    pack(*cls);
    Value unit = arith::ConstantIndexOp::create(b, loc, 1);
    for (Value factor : cls->factors)
      unit = arith::MulIOp::create(b, loc, unit, factor);
    for (Buffer &buffer : cls->buffers) {
      Value scaled = arith::MulIOp::create(b, loc, unit, arith::ConstantIndexOp::create(b, loc, buffer.offset));
      Value offset = arith::AddIOp::create(b, loc, total, scaled);
      offsets.push_back({buffer.alloc, offset});
    }
    Value bytes = arith::MulIOp::create(b, loc, unit, arith::ConstantIndexOp::create(b, loc, cls->bytes));
    total = arith::AddIOp::create(b, loc, total, bytes);
  }
  for (auto [alloc, offset] : offsets) {
    OpBuilder at(alloc);
    Value view = memref::ViewOp::create(at, alloc.getLoc(), alloc.getType(), workspace, offset, alloc.getDynamicSizes());
    alloc.replaceAllUsesWith(view);
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
    for (auto func : getOperation().getOps<func::FuncOp>()) {
      if (!func->hasAttr(kOutputsAttr))
        continue;
      PlanFunction plan(func);
      plan.resolveReshapes();
      plan.hoistSizes();
      plan.collect();
      plan.replace();
    }
  }
};
} // namespace
} // namespace attnc
