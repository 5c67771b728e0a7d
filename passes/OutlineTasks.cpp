//===- OutlineTasks.cpp - Task bodies to kernel functions --------------------------------------===//
#include "passes/Passes.h"
#include "passes/Tasks.h"

#include "mlir/Transforms/RegionUtils.h"

namespace attnc {
#define GEN_PASS_DEF_OUTLINETASKS
#include "passes/Passes.h.inc"

namespace {
using namespace attn;

struct OutlineTasks : impl::OutlineTasksBase<OutlineTasks> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SymbolTable symbols(module);
    SmallVector<scf::ForallOp> foralls;
    module.walk([&](scf::ForallOp op) { foralls.push_back(op); });
    for (scf::ForallOp forall : foralls) {
      OpBuilder b(forall);
      Value flop, bytes; // out of the body, so that kernels may be equal
      for (CostOp cost : llvm::make_early_inc_range(forall.getBody()->getOps<CostOp>())) {
        flop = cost.getFlop();
        bytes = cost.getBytes();
        cost.erase();
      }
      if (!flop)
        flop = bytes = arith::ConstantIndexOp::create(b, forall.getLoc(), 0);
      func::FuncOp kernel = outline(forall, symbols);
      for (func::FuncOp other : kernels)
        if (isSame(kernel, other)) {
          symbols.erase(kernel);
          kernel = other;
          break;
        }
      if (kernels.empty() || !llvm::is_contained(kernels, kernel))
        kernels.push_back(kernel);
      auto name = forall->getAttrOfType<StringAttr>(kOpAttr);
      DispatchOp::create(b, forall.getLoc(), FlatSymbolRefAttr::get(kernel), count(b, forall), flop, bytes,
                         captures, name ? name : b.getStringAttr("task"));
      forall.erase();
    }
    // A single task runs in place, while no other runs: any worker's scratch is free.
    module.walk([](WorkerOp op) {
      OpBuilder b(op);
      op.replaceAllUsesWith(arith::ConstantIndexOp::create(b, op.getLoc(), 0).getResult());
      op.erase();
    });
    module.walk([](CostOp op) { op.erase(); });
  }

  Value count(OpBuilder &b, scf::ForallOp forall) {
    Value total;
    for (OpFoldResult bound : forall.getMixedUpperBound()) {
      Value size = getValueOrCreateConstantIndexOp(b, forall.getLoc(), bound);
      total = total ? arith::MulIOp::create(b, forall.getLoc(), total, size).getResult() : size;
    }
    return total;
  }

  /// kernel(context, captures..., task, worker); leaves the captures in `captures`.
  func::FuncOp outline(scf::ForallOp forall, SymbolTable &symbols) {
    auto parent = forall->getParentOfType<func::FuncOp>();
    Location loc = forall.getLoc();
    llvm::SetVector<Value> used;
    getUsedValuesDefinedAbove(forall.getRegion(), used);
    SmallVector<Operation *> constants;
    captures = {parent.getArgument(0)};
    for (Value v : used) {
      Operation *def = v.getDefiningOp();
      if (def && def->hasTrait<OpTrait::ConstantLike>())
        constants.push_back(def);
      else if (v != captures[0])
        captures.push_back(v);
    }
    OpBuilder b(module().getContext());
    SmallVector<Type> types = llvm::map_to_vector(captures, [](Value v) { return v.getType(); });
    types.append(2, b.getIndexType());
    auto name = forall->getAttrOfType<StringAttr>(kOpAttr);
    auto kernel = func::FuncOp::create(loc, (parent.getSymName() + "." + (name ? name.getValue() : "task")).str(),
                                       b.getFunctionType(types, {}));
    kernel.setVisibility(SymbolTable::Visibility::Private);
    symbols.insert(kernel); // makes the name unique
    Block *entry = kernel.addEntryBlock();
    b.setInsertionPointToStart(entry);
    IRMapping map;
    for (auto [outer, inner] : llvm::zip(captures, entry->getArguments()))
      map.map(outer, inner);
    for (Operation *constant : constants)
      b.clone(*constant, map);
    Value task = entry->getArgument(captures.size()), worker = entry->getArgument(captures.size() + 1);
    map.map(forall.getInductionVar(0), task);
    for (Operation &op : forall.getBody()->without_terminator())
      b.clone(op, map);
    func::ReturnOp::create(b, loc);
    kernel.walk([&](WorkerOp op) {
      op.replaceAllUsesWith(worker);
      op.erase();
    });
    return kernel;
  }

  ModuleOp module() { return getOperation(); }

  static bool isSame(func::FuncOp a, func::FuncOp b) {
    return a != b && a.getFunctionType() == b.getFunctionType() &&
           OperationEquivalence::isRegionEquivalentTo(&a.getBody(), &b.getBody(),
                                                      OperationEquivalence::IgnoreLocations);
  }

  SmallVector<Value> captures;
  SmallVector<func::FuncOp> kernels;
};
} // namespace
} // namespace attnc
