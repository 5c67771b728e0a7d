//===- OutlinePipelines.cpp - Ops of a device to launches ---------------------------------------===//
#include "passes/Passes.h"
#include "passes/Pipeline.h"
#include "passes/Tasks.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Transforms/RegionUtils.h"

namespace attnc {
#define GEN_PASS_DEF_OUTLINEPIPELINES
#include "passes/Passes.h.inc"

namespace {
using namespace attn;

/// What a pipeline takes, and the ops that it contains besides its own: constants, and the cache as one value.
struct Uses {
  llvm::SetVector<Value> inputs, inits;
  SmallVector<Operation *> inside;

  explicit Uses(Operation *op) {
    SmallVector<MemoryEffects::EffectInstance> effects;
    cast<MemoryEffectOpInterface>(op).getEffects(effects);
    llvm::SetVector<Value> used(op->operand_begin(), op->operand_end());
    getUsedValuesDefinedAbove(op->getRegions(), used);
    auto isWritten = [&](Value value) {
      return llvm::any_of(effects, [&](const auto &e) {
        return e.getValue() == value && isa<MemoryEffects::Write>(e.getEffect());
      });
    };
    for (Value value : used) {
      Operation *def = value.getDefiningOp();
      if (auto view = dyn_cast_or_null<CacheViewOp>(def)) {
        inside.push_back(def);
        for (Value part : view->getOperands().drop_front())
          inputs.insert(part);
        (isa<CacheAppendOp>(op) ? inits : inputs).insert(view.getPages());
      } else if (def && def->hasTrait<OpTrait::ConstantLike>()) {
        inside.push_back(def);
      } else {
        (isWritten(value) ? inits : inputs).insert(value);
      }
    }
    inputs.remove_if([&](Value value) { return inits.contains(value); });
  }
};

/// Whether the op computes something on buffers; views and calls do not, and external functions are the host's.
bool isCandidate(Operation *op) {
  if (op->getNumResults() != 0 || !isa<MemoryEffectOpInterface>(op) || isa<ExternalOp, LaunchOp, FailOp, CheckIdsOp>(op))
    return false;
  return isa<AttnDialect>(op->getDialect()) || isa<linalg::LinalgOp, memref::CopyOp>(op);
}

/// Buffers of experts that nothing but an attn.route writes, and how many experts it knows: all choices are below.
DenseMap<Value, int64_t> routedExperts(func::FuncOp func) {
  DenseMap<Value, int64_t> result;
  for (auto route : func.getBody().front().getOps<RouteOp>()) {
    Value experts = route.getExpertsInit();
    auto onlyReads = [&](Operation *user) {
      return isa<AttnDialect>(user->getDialect()) && isa<MemoryEffectOpInterface>(user) &&
             !hasEffect<MemoryEffects::Write>(user, experts);
    };
    if (int64_t known = cast<MemRefType>(route.getLogits().getType()).getShape().back();
        !ShapedType::isDynamic(known) && experts.getDefiningOp<memref::AllocOp>() &&
        llvm::all_of(experts.getUsers(), [&](Operation *user) { return user == route || onlyReads(user); }))
      result[experts] = known;
  }
  return result;
}

/// What the CPU's code checks while it computes an op; a device cannot fail.
void createChecks(OpBuilder &b, Operation *op, const DenseMap<Value, int64_t> &routed) {
  Location loc = op->getLoc();
  if (auto embedding = dyn_cast<EmbeddingOp>(op)) {
    int64_t entries = embedding.getEntries().value_or(cast<MemRefType>(embedding.getTable().getType()).getDimSize(0));
    CheckIdsOp::create(b, loc, embedding.getIds(), arith::ConstantIndexOp::create(b, loc, entries),
                       idsMessage(entries));
  } else if (auto select = dyn_cast<SelectTokenOp>(op); select && select.getAt()) {
    CheckIdsOp::create(b, loc, select.getAt(), memref::DimOp::create(b, loc, select.getInput(), 1), kTokenMessage);
  } else if (auto linear = dyn_cast<ExpertLinearOp>(op)) {
    int64_t experts = linear.getNumExperts();
    if (auto known = routed.find(linear.getExperts()); known != routed.end() && known->second <= experts)
      return; // what to check would have to come from the device first
    CheckIdsOp::create(b, loc, linear.getExperts(), arith::ConstantIndexOp::create(b, loc, experts),
                       expertsMessage(experts));
  }
}

struct OutlinePipelines : impl::OutlinePipelinesBase<OutlinePipelines> {
  using OutlinePipelinesBase::OutlinePipelinesBase;
  DeviceCheck check;

  void runOnOperation() override {
    if (!check)
      check = [&](Operation *pipeline) {
        StringRef name = pipeline->getRegion(0).front().back().getName().getStringRef();
        return llvm::is_contained(ops, name) ? "" : ("expected one of 'ops', got " + name).str();
      };
    SymbolTable symbols(getOperation());
    for (auto func : getOperation().getOps<func::FuncOp>())
      if (func->hasAttr(kOutputsAttr)) {
        routed = routedExperts(func);
        for (Operation &op : llvm::make_early_inc_range(func.getBody().front()))
          if (isCandidate(&op))
            outline(&op, symbols);
      }
  }

  void outline(Operation *op, SymbolTable &symbols) {
    Uses uses(op);
    StringRef name = op->getName().stripDialect();
    PipelineOp pipeline = build(op, uses, name);
    auto known = llvm::find_if(pipelines, [&](PipelineOp other) {
      return OperationEquivalence::isRegionEquivalentTo(&pipeline.getBody(), &other.getBody(),
                                                        OperationEquivalence::IgnoreLocations);
    });
    if (known != pipelines.end()) {
      pipeline.erase();
      pipeline = *known;
    } else if (std::string reason = check(pipeline); !reason.empty()) {
      pipeline.erase();
      op->emitRemark() << "'" << op->getName() << "' runs on the host: " << reason;
      return;
    } else {
      symbols.insert(pipeline); // makes the name unique
      pipelines.push_back(pipeline);
    }
    OpBuilder b(op);
    createChecks(b, op, routed);
    Emit e(b, op->getLoc(), /*lanes=*/1);
    Cost cost = costOf(e, op, {});
    LaunchOp::create(b, op->getLoc(), FlatSymbolRefAttr::get(pipeline.getSymNameAttr()), cost.flop, cost.bytes,
                     uses.inputs.getArrayRef(), uses.inits.getArrayRef(), b.getStringAttr(name));
    op->erase();
  }

  PipelineOp build(Operation *op, Uses &uses, StringRef name) {
    OpBuilder b(op->getContext());
    auto pipeline = PipelineOp::create(b, op->getLoc(), name);
    Block &body = pipeline.getBody().emplaceBlock();
    IRMapping map;
    for (auto *values : {&uses.inputs, &uses.inits})
      for (Value value : *values) {
        Type type = value.getType();
        if (auto memref = dyn_cast<MemRefType>(type))
          type = MemRefType::get(memref.getShape(), memref.getElementType());
        map.map(value, body.addArgument(type, value.getLoc()));
      }
    b.setInsertionPointToStart(&body);
    for (Operation *inner : uses.inside)
      b.clone(*inner, map);
    b.clone(*op, map);
    return pipeline;
  }

  SmallVector<PipelineOp> pipelines;
  DenseMap<Value, int64_t> routed; ///< of the function
};
} // namespace

std::unique_ptr<Pass> createOutlinePipelinesFor(DeviceCheck check) {
  auto pass = std::make_unique<OutlinePipelines>();
  pass->check = std::move(check);
  return pass;
}
} // namespace attnc
