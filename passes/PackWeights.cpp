//===- PackWeights.cpp - Parameters in their final layout and place ----------------------===//
#include "passes/Passes.h"

#include "dialect/AttnDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "llvm/ADT/StringExtras.h"

namespace attnc {
#define GEN_PASS_DEF_PACKWEIGHTS
#include "passes/Passes.h.inc"

namespace {
using namespace attn;
using ml_program::GlobalLoadConstOp;
using ml_program::GlobalOp;

/// How the uses of a parameter want it.
struct Layout {
  bool panels = false, transposed = false;
  int64_t k = 0, n = 0;  // of the linear
  int64_t experts = 0;   // of an expert_linear whose weight or bias it is
};

struct PackWeights : impl::PackWeightsBase<PackWeights> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (failed(foldJoins()))
      return signalPassFailure();

    // What each value that is a parameter (a load, or an argument that receives one) is used as.
    DenseMap<Attribute, Layout> layouts;
    WalkResult result = module.walk([&](GlobalLoadConstOp load) {
      return failed(visitUses(load.getResult(), layouts[load.getGlobalAttr()])) ? WalkResult::interrupt()
                                                                               : WalkResult::advance();
    });
    if (result.wasInterrupted())
      return signalPassFailure();

    int64_t offset = 64; // after attn_weights_header
    Builder b(&getContext());
    for (auto global : llvm::make_early_inc_range(module.getOps<GlobalOp>())) {
      auto it = layouts.find(SymbolRefAttr::get(global));
      if (it == layouts.end()) {
        global.erase();
        continue;
      }
      Layout &layout = it->second;
      auto type = cast<RankedTensorType>(global.getType());
      RankedTensorType packed = packedType(type, layout);
      bool stacked = bool(global->removeAttr("attn.stacked"));
      if (stacked && !layout.experts) {
        global.emitOpError("expected a stacked parameter to be weight or bias of attn.expert_linear");
        return signalPassFailure();
      }
      SmallVector<NamedAttribute> pack = {
          b.getNamedAttr("kind", b.getStringAttr(layout.panels ? "panels" : "plain"))};
      if (layout.panels) {
        pack.push_back(b.getNamedAttr("transposed", b.getBoolAttr(layout.transposed)));
        pack.push_back(b.getNamedAttr("k", b.getI64IntegerAttr(layout.k)));
        pack.push_back(b.getNamedAttr("n", b.getI64IntegerAttr(layout.n)));
      }
      if (layout.experts)
        pack.push_back(b.getNamedAttr("experts", b.getI64IntegerAttr(layout.experts)));
      if (stacked)
        pack.push_back(b.getNamedAttr("stacked", b.getUnitAttr()));
      global->setAttr("attn.pack", b.getDictionaryAttr(pack));
      if (!global->hasAttr("attn.source"))
        global->setAttr("attn.source", b.getStrArrayAttr({global.getSymName()}));
      if (!global->hasAttr("attn.pack.parts") && (layout.panels || layout.experts || type.getRank() == 1))
        global->setAttr("attn.pack.parts", b.getDenseI64ArrayAttr({layout.panels ? layout.n : type.getShape().back()}));
      global->setAttr("attn.offset", b.getI64IntegerAttr(offset));
      global.setTypeAttr(TypeAttr::get(packed));
      global.setValueAttr(ml_program::ExternAttr::get(&getContext(), packed));
      int64_t bytes = packed.getNumElements() * llvm::divideCeil(packed.getElementTypeBitWidth(), 8);
      offset = llvm::alignTo(offset + bytes, 64);
      module.walk([&](GlobalLoadConstOp load) {
        if (load.getGlobalAttr() == SymbolRefAttr::get(global))
          load.getResult().setType(packed);
      });
    }
    module->setAttr("attn.weights_bytes", b.getI64IntegerAttr(offset));
    retypeCallees();
  }

  /// Panels; f32 vectors, experts' too; anything else as it is.
  RankedTensorType packedType(RankedTensorType type, const Layout &layout) {
    if (layout.panels) {
      SmallVector<int64_t> shape = packedShape(layout.k, layout.n, type.getElementType());
      if (layout.experts)
        shape.insert(shape.begin(), layout.experts);
      return RankedTensorType::get(shape, type.getElementType());
    }
    if ((type.getRank() == 1 || layout.experts) && isa<FloatType>(type.getElementType()))
      return RankedTensorType::get(type.getShape(), Float32Type::get(&getContext()));
    return type;
  }

  /// Collects how `value` is used, through calls; marks linears and embeddings as using the packed form.
  LogicalResult visitUses(Value value, Layout &layout) {
    for (OpOperand &use : value.getUses()) {
      Operation *user = use.getOwner();
      if (auto linear = dyn_cast<LinearOp>(user); linear && use.get() == linear.getWeight()) {
        if (failed(visitProduct(linear, /*experts=*/0, layout)))
          return failure();
      } else if (auto linear = dyn_cast<ExpertLinearOp>(user); linear && use.get() == linear.getWeight()) {
        if (failed(visitProduct(linear, linear.getNumExperts(), layout)))
          return failure();
      } else if (linear && use.get() == linear.getBias()) {
        layout.experts = linear.getNumExperts();
      } else if (auto call = dyn_cast<func::CallOp>(user)) {
        auto callee = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(call, call.getCalleeAttr());
        if (failed(visitUses(callee.getArgument(use.getOperandNumber()), layout)))
          return failure();
      }
    }
    return success();
  }

  template <typename Op> LogicalResult visitProduct(Op linear, int64_t experts, Layout &layout) {
    if (cast<ShapedType>(linear.getWeight().getType()).getRank() != (experts ? 3 : 2))
      return success(); // packed already
    int64_t k = cast<ShapedType>(linear.getInput().getType()).getShape().back();
    int64_t n = cast<ShapedType>(linear.getResult().getType()).getShape().back();
    if (layout.panels && (layout.transposed != linear.getTransposeWeight() || layout.k != k))
      return linear.emitOpError("expected all uses of a weight to agree on 'transpose_weight'");
    layout = {true, linear.getTransposeWeight(), k, n, experts};
    return success();
  }

  /// Linears and embeddings take the packed type; so do the arguments of functions that receive it.
  void retypeCallees() {
    getOperation().walk([&](GlobalLoadConstOp load) {
      auto global = SymbolTable::lookupNearestSymbolFrom<GlobalOp>(load, load.getGlobalAttr());
      auto n = cast<DictionaryAttr>(global->getAttr("attn.pack")).getAs<IntegerAttr>("n");
      retype(load.getResult(), n ? n.getInt() : 0);
    });
    for (auto func : getOperation().getOps<func::FuncOp>())
      if (!func.isDeclaration())
        func.setFunctionType(FunctionType::get(&getContext(), func.getBody().getArgumentTypes(),
                                               func.getFunctionType().getResults()));
  }

  void retype(Value value, int64_t entries) {
    for (OpOperand &use : value.getUses()) {
      if (auto linear = dyn_cast<LinearOp>(use.getOwner()); linear && use.get() == linear.getWeight())
        linear.setTransposeWeight(false);
      else if (auto linear = dyn_cast<ExpertLinearOp>(use.getOwner()); linear && use.get() == linear.getWeight())
        linear.setTransposeWeight(false);
      else if (auto embedding = dyn_cast<EmbeddingOp>(use.getOwner());
               embedding && use.get() == embedding.getTable() &&
               cast<ShapedType>(value.getType()).getRank() != 2) {
        embedding.setEntries(entries);
      } else if (auto read = dyn_cast<LoadOp>(use.getOwner())) {
        retypeRead(read, cast<ShapedType>(value.getType()));
      } else if (auto call = dyn_cast<func::CallOp>(use.getOwner())) {
        auto callee = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(call, call.getCalleeAttr());
        BlockArgument arg = callee.getArgument(use.getOperandNumber());
        if (arg.getType() == value.getType())
          continue;
        arg.setType(value.getType());
        retype(arg, entries);
      }
    }
  }

  /// A region that reads a parameter: an element that is f32 now becomes what it was.
  void retypeRead(LoadOp read, ShapedType source) {
    if (source.getRank() != int64_t(read.getIndices().size())) {
      read.emitOpError("expected a parameter that is not also the weight of a linear");
      return signalPassFailure();
    }
    Type before = read.getType();
    if (before == source.getElementType())
      return;
    read.getResult().setType(source.getElementType());
    OpBuilder b(read->getContext());
    b.setInsertionPointAfter(read);
    Value same = before.isF64() ? arith::ExtFOp::create(b, read.getLoc(), before, read.getResult()).getResult()
                                : arith::TruncFOp::create(b, read.getLoc(), before, read.getResult()).getResult();
    read.getResult().replaceAllUsesExcept(same, same.getDefiningOp());
  }

  /// attn.concat_parameters and attn.stack_parameters of loads → a load of one parameter with several sources.
  LogicalResult foldJoins() {
    ModuleOp module = getOperation();
    SymbolTable symbols(module);
    DenseMap<Attribute, GlobalOp> made; // (sources, dim) → parameter
    Builder b(&getContext());
    SmallVector<Operation *> joins; // inner ones first
    module.walk([&](Operation *op) {
      if (isa<ConcatParametersOp, StackParametersOp>(op))
        joins.push_back(op);
    });
    for (Operation *op : joins) {
      auto concat = dyn_cast<ConcatParametersOp>(op);
      SmallVector<Attribute> sources;
      SmallVector<int64_t> parts;
      SmallVector<StringRef> names;
      for (Value input : op->getOperands()) {
        auto load = input.getDefiningOp<GlobalLoadConstOp>();
        if (!load)
          return op->emitOpError("expected parameters (ml_program.global_load_const) as inputs");
        auto global = symbols.lookup<GlobalOp>(load.getGlobal().getLeafReference());
        if (auto given = global->getAttrOfType<ArrayAttr>("attn.source"))
          sources.append(given.begin(), given.end());
        else
          sources.push_back(b.getStringAttr(global.getSymName()));
        names.push_back(global.getSymName());
        SmallVector<int64_t> own; // what the input is joined of
        if (auto given = global->getAttrOfType<DenseI64ArrayAttr>("attn.pack.parts"))
          llvm::append_range(own, given.asArrayRef());
        else if (concat)
          own.push_back(cast<ShapedType>(input.getType()).getDimSize(concat.getDim()));
        if (global->hasAttr("attn.stacked"))
          return op->emitOpError("expected parameters that are not stacked as inputs");
        if (concat)
          llvm::append_range(parts, own);
        else if (input == op->getOperand(0))
          parts = own;
        else if (parts != own)
          return op->emitOpError("expected inputs that are joined of parts of the same sizes");
      }
      auto key = b.getArrayAttr({b.getArrayAttr(sources), b.getI64IntegerAttr(concat ? int64_t(concat.getDim()) : -1)});
      GlobalOp &global = made[key];
      OpBuilder builder(op);
      if (!global) {
        auto type = cast<RankedTensorType>(op->getResult(0).getType());
        OpBuilder top = OpBuilder::atBlockBegin(module.getBody());
        std::string name = concat ? llvm::join(names, "+") : (names.front() + ".." + names.back()).str();
        global = GlobalOp::create(top, op->getLoc(), name, type, /*is_mutable=*/false,
                                  ml_program::ExternAttr::get(&getContext(), type), b.getStringAttr("private"));
        global->setAttr("attn.source", b.getArrayAttr(sources));
        if (!parts.empty())
          global->setAttr("attn.pack.parts", b.getDenseI64ArrayAttr(parts));
        if (!concat)
          global->setAttr("attn.stacked", b.getUnitAttr());
        symbols.insert(global);
      }
      auto load = GlobalLoadConstOp::create(builder, op->getLoc(), op->getResult(0).getType(),
                                            FlatSymbolRefAttr::get(global));
      op->replaceAllUsesWith(ValueRange(load.getResult()));
      op->erase();
    }
    // Loads that only fed these.
    module.walk([](GlobalLoadConstOp load) {
      if (load.use_empty())
        load.erase();
    });
    return success();
  }
};
} // namespace
} // namespace attnc
