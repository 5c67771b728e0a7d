//===- AttnOps.cpp - Effects, shapes, folds and canonicalisation of attn ops ------------===//
#include "dialect/AttnDialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/TypeSwitch.h"

namespace attnc::attn {
static mlir::ParseResult parseScoreRegions(mlir::OpAsmParser &, mlir::Region &score, mlir::Region &mask, mlir::Region &prob);
static void printScoreRegions(mlir::OpAsmPrinter &, mlir::Operation *, mlir::Region &, mlir::Region &, mlir::Region &);
} // namespace attnc::attn

#define GET_OP_CLASSES
#include "dialect/AttnOps.cpp.inc"

namespace attnc::attn {

//===----------------------------------------------------------------------===//
// Effects
//===----------------------------------------------------------------------===//

namespace {
using Effects = SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>;

/// The cache is one resource: appends and reads of a run keep their order.
struct CacheResource : SideEffects::Resource::Base<CacheResource> {
  StringRef getName() override { return "attn.cache"; }
};

/// Buffers after `outs` are written, all others read.
void addEffects(Operation *op, ArrayRef<Value> written, Effects &effects) {
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<MemRefType>(operand.get().getType()))
      continue;
    if (llvm::is_contained(written, operand.get()))
      effects.emplace_back(MemoryEffects::Write::get(), &operand, SideEffects::DefaultResource::get());
    else
      effects.emplace_back(MemoryEffects::Read::get(), &operand, SideEffects::DefaultResource::get());
  }
}
} // namespace

#define ATTN_EFFECTS(Op)                                                                                             \
  void Op::getEffects(Effects &effects) { addEffects(*this, {getInit()}, effects); }
ATTN_EFFECTS(EmbeddingOp)
ATTN_EFFECTS(PositionalEncodingOp)
ATTN_EFFECTS(ShiftRightOp)
ATTN_EFFECTS(LinearOp)
ATTN_EFFECTS(LayerNormOp)
ATTN_EFFECTS(RMSNormOp)
ATTN_EFFECTS(L2NormOp)
ATTN_EFFECTS(ScaleOp)
ATTN_EFFECTS(SoftCapOp)
ATTN_EFFECTS(ActivationOp)
ATTN_EFFECTS(LogSoftmaxOp)
ATTN_EFFECTS(ArgmaxOp)
ATTN_EFFECTS(SelectTokenOp)
ATTN_EFFECTS(PoolOp)
ATTN_EFFECTS(SplitHeadsOp)
ATTN_EFFECTS(MergeHeadsOp)
ATTN_EFFECTS(RotaryTableOp)
ATTN_EFFECTS(RotaryOp)
ATTN_EFFECTS(PackKeysOp)
ATTN_EFFECTS(PackValuesOp)
ATTN_EFFECTS(RelativeBiasOp)
ATTN_EFFECTS(BlockRangeOp)
ATTN_EFFECTS(ExpertLinearOp)
ATTN_EFFECTS(CombineExpertsOp)
#undef ATTN_EFFECTS

void PositionsOp::getEffects(Effects &effects) { addEffects(*this, {getInit()}, effects); }

/// Buffers that regions capture are read.
static void addCaptured(Operation *op, Effects &effects) {
  op->walk([&](LoadOp load) {
    if (isa<MemRefType>(load.getSource().getType()))
      effects.emplace_back(MemoryEffects::Read::get(), &load.getSourceMutable(), SideEffects::DefaultResource::get());
  });
}

void ExternalOp::getEffects(Effects &effects) { addEffects(*this, SmallVector<Value>(getInits()), effects); }

/// It writes the run's status.
void CheckIdsOp::getEffects(Effects &effects) {
  addEffects(*this, {}, effects);
  effects.emplace_back(MemoryEffects::Write::get(), SideEffects::DefaultResource::get());
}
void CopyToHostOp::getEffects(Effects &effects) { addEffects(*this, {getBuffer()}, effects); }
void CopyToDeviceOp::getEffects(Effects &effects) { addEffects(*this, {getBuffer()}, effects); }

/// What is written may be read, too: pages of a cache keep what the run does not append.
void LaunchOp::getEffects(Effects &effects) {
  addEffects(*this, SmallVector<Value>(getInits()), effects);
  for (OpOperand &init : getInitsMutable())
    effects.emplace_back(MemoryEffects::Read::get(), &init, SideEffects::DefaultResource::get());
}

void RouteOp::getEffects(Effects &effects) { addEffects(*this, {getInit(), getExpertsInit()}, effects); }

void AttentionOp::getEffects(Effects &effects) {
  addEffects(*this, {getInit(), getLseInit(), getScoresInit()}, effects);
  addCaptured(*this, effects);
  if (getCache())
    effects.emplace_back(MemoryEffects::Read::get(), CacheResource::get());
}

void CacheReadOp::getEffects(Effects &effects) {
  addEffects(*this, {getInit()}, effects);
  effects.emplace_back(MemoryEffects::Read::get(), CacheResource::get());
}

void CacheAppendOp::getEffects(Effects &effects) {
  addEffects(*this, {}, effects);
  effects.emplace_back(MemoryEffects::Write::get(), CacheResource::get());
}

void OnlineAttentionOp::getEffects(Effects &effects) {
  addEffects(*this, {getInit(), getLse(), getPartial()}, effects);
  addCaptured(*this, effects);
  effects.emplace_back(MemoryEffects::Write::get(), SideEffects::DefaultResource::get()); // scratch
}

void MergeAttentionOp::getEffects(Effects &effects) { addEffects(*this, {getInit(), getLse()}, effects); }

Value getInit(Operation *op) {
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case<PositionsOp, EmbeddingOp, PositionalEncodingOp, ShiftRightOp, LinearOp, LayerNormOp, RMSNormOp,
            L2NormOp, ScaleOp, SoftCapOp, ActivationOp, LogSoftmaxOp, ArgmaxOp, SelectTokenOp, PoolOp, SplitHeadsOp, MergeHeadsOp,
            RotaryTableOp, RotaryOp, AttentionOp, PackKeysOp, PackValuesOp, CacheReadOp, BlockRangeOp, RelativeBiasOp,
            RouteOp, ExpertLinearOp, CombineExpertsOp, OnlineAttentionOp, MergeAttentionOp>([](auto op) { return op.getInit(); })
      .Case([](LinearAttentionOp op) { return op.getInit(); })
      .Default([](Operation *) { return Value(); });
}

//===----------------------------------------------------------------------===//
// Shapes of results, in terms of operands
//===----------------------------------------------------------------------===//

namespace {
/// Sizes of `value`, dynamic ones as `tensor.dim` or `memref.dim`.
SmallVector<OpFoldResult> sizes(OpBuilder &b, Location loc, Value value) {
  if (isa<MemRefType>(value.getType()))
    return memref::getMixedSizes(b, loc, value);
  return tensor::getMixedSizes(b, loc, value);
}

OpFoldResult constant(OpBuilder &b, int64_t value) { return b.getIndexAttr(value); }

/// The static last dimension of a result.
OpFoldResult lastDim(OpBuilder &b, Operation *op) {
  return constant(b, cast<ShapedType>(op->getResult(0).getType()).getShape().back());
}

OpFoldResult ceilDiv(OpBuilder &b, Location loc, OpFoldResult value, int64_t by) {
  if (std::optional<int64_t> size = getConstantIntValue(value))
    return constant(b, llvm::divideCeil(*size, by));
  Value plus = arith::AddIOp::create(b, loc, cast<Value>(value), arith::ConstantIndexOp::create(b, loc, by - 1));
  return arith::DivUIOp::create(b, loc, plus, arith::ConstantIndexOp::create(b, loc, by)).getResult();
}
} // namespace

#define ATTN_SHAPE(Op, ...)                                                                                          \
  LogicalResult Op::reifyResultShapes(OpBuilder &b, ReifiedRankedShapedTypeDims &shapes) {                           \
    if ((*this)->getNumResults() == 0)                                                                               \
      return failure();                                                                                              \
    Location loc = getLoc();                                                                                         \
    (void)loc;                                                                                                       \
    __VA_ARGS__                                                                                                      \
    return success();                                                                                                \
  }
ATTN_SHAPE(PositionsOp, shapes.push_back(sizes(b, loc, getIds()));)
ATTN_SHAPE(ShiftRightOp, shapes.push_back(sizes(b, loc, getInput()));)
ATTN_SHAPE(LayerNormOp, shapes.push_back(sizes(b, loc, getInput()));)
ATTN_SHAPE(RMSNormOp, shapes.push_back(sizes(b, loc, getInput()));)
ATTN_SHAPE(L2NormOp, shapes.push_back(sizes(b, loc, getInput()));)
ATTN_SHAPE(ScaleOp, shapes.push_back(sizes(b, loc, getInput()));)
ATTN_SHAPE(SoftCapOp, shapes.push_back(sizes(b, loc, getInput()));)
ATTN_SHAPE(ActivationOp, shapes.push_back(sizes(b, loc, getInput()));)
ATTN_SHAPE(LogSoftmaxOp, shapes.push_back(sizes(b, loc, getInput()));)
ATTN_SHAPE(RotaryOp, shapes.push_back(sizes(b, loc, getInput()));)
ATTN_SHAPE(ArgmaxOp, shapes.push_back(sizes(b, loc, getInput())); shapes[0].pop_back();)
ATTN_SHAPE(SelectTokenOp, auto in = sizes(b, loc, getInput()); shapes.push_back({in[0], in[2]});)
ATTN_SHAPE(PoolOp, auto in = sizes(b, loc, getInput()); shapes.push_back({in[0], in[2]});)
ATTN_SHAPE(EmbeddingOp, shapes.push_back(sizes(b, loc, getIds())); shapes[0].push_back(lastDim(b, *this));)
ATTN_SHAPE(PositionalEncodingOp, shapes.push_back(sizes(b, loc, getPositions()));
           shapes[0].push_back(lastDim(b, *this));)
ATTN_SHAPE(RotaryTableOp, shapes.push_back(sizes(b, loc, getPositions())); shapes[0].push_back(lastDim(b, *this));)
ATTN_SHAPE(LinearOp, shapes.push_back(sizes(b, loc, getInput())); shapes[0].back() = lastDim(b, *this);)
ATTN_SHAPE(SplitHeadsOp, auto in = sizes(b, loc, getInput());
           shapes.push_back({in[0], constant(b, getHeads()), in[1], lastDim(b, *this)});)
ATTN_SHAPE(MergeHeadsOp, auto in = sizes(b, loc, getInput()); shapes.push_back({in[0], in[2], lastDim(b, *this)});)
ATTN_SHAPE(RouteOp, shapes.assign(2, sizes(b, loc, getLogits()));
           shapes[0].back() = shapes[1].back() = constant(b, getTopK());)
ATTN_SHAPE(ExpertLinearOp, shapes.push_back(sizes(b, loc, getExperts())); shapes[0].push_back(lastDim(b, *this));)
ATTN_SHAPE(CombineExpertsOp, shapes.push_back(sizes(b, loc, getWeights())); shapes[0].back() = lastDim(b, *this);)
ATTN_SHAPE(CacheReadOp, return failure();)
#undef ATTN_SHAPE

namespace {
/// [batch, kv heads, keys] of keys or values in either unpacked layout.
SmallVector<OpFoldResult> kvSizes(OpBuilder &b, Location loc, Value input, int64_t heads) {
  SmallVector<OpFoldResult> in = sizes(b, loc, input);
  return {in[0], constant(b, heads), in.size() == 3 ? in[1] : in[2]};
}
} // namespace

LogicalResult PackKeysOp::reifyResultShapes(OpBuilder &b, ReifiedRankedShapedTypeDims &shapes) {
  if (!getResult())
    return failure();
  SmallVector<OpFoldResult> kv = kvSizes(b, getLoc(), getInput(), getHeads());
  int64_t headDim = cast<ShapedType>(getResult().getType()).getDimSize(3);
  OpFoldResult panels = ceilDiv(b, getLoc(), kv[2], kKeyPanel);
  if (getRagged()) { // ⌊keys/64⌋ + sequences ≤ ⌈keys/64⌉ + offsets - 1
    auto add = [&](OpFoldResult a, OpFoldResult c) -> OpFoldResult {
      return arith::AddIOp::create(b, getLoc(), getValueOrCreateConstantIndexOp(b, getLoc(), a),
                                   getValueOrCreateConstantIndexOp(b, getLoc(), c)).getResult();
    };
    panels = add(panels, sizes(b, getLoc(), getRagged())[0]);
  }
  shapes.push_back({kv[0], kv[1], panels, constant(b, headDim), constant(b, kKeyPanel)});
  return success();
}

LogicalResult PackValuesOp::reifyResultShapes(OpBuilder &b, ReifiedRankedShapedTypeDims &shapes) {
  if (!getResult())
    return failure();
  shapes.push_back(kvSizes(b, getLoc(), getInput(), getHeads()));
  shapes[0].push_back(lastDim(b, *this));
  return success();
}

LogicalResult AttentionOp::reifyResultShapes(OpBuilder &b, ReifiedRankedShapedTypeDims &shapes) {
  if (!getResult())
    return failure();
  SmallVector<OpFoldResult> query = sizes(b, getLoc(), getQuery());
  OpFoldResult rows = query.size() == 3 ? query[1] : query[2];
  shapes.push_back(query);
  shapes[0].back() = lastDim(b, *this);
  if (getLse())
    shapes.push_back({query[0], constant(b, getHeads()), rows});
  if (getScoresResult()) {
    SmallVector<OpFoldResult> value = sizes(b, getLoc(), getValue());
    shapes.push_back({query[0], constant(b, getHeads()), rows, value.size() == 3 ? value[1] : value[2]});
  }
  return success();
}

LogicalResult RelativeBiasOp::reifyResultShapes(OpBuilder &, ReifiedRankedShapedTypeDims &) {
  return failure(); // static
}

//===----------------------------------------------------------------------===//
// Regions of attention
//===----------------------------------------------------------------------===//

/// Element types of the arguments of score, mask and prob, in this order: the value, then b, h, i, j.
SmallVector<Type> regionArguments(MLIRContext *context, ScoreRegion kind) {
  SmallVector<Type> types(4, IntegerType::get(context, 32));
  if (kind != ScoreRegion::mask)
    types.insert(types.begin(), Float32Type::get(context));
  return types;
}

static constexpr StringLiteral kRegionNames[] = {"score", "mask", "prob"};
StringRef getName(ScoreRegion kind) { return kRegionNames[unsigned(kind)]; }

static ParseResult parseScoreRegions(OpAsmParser &parser, Region &score, Region &mask, Region &prob) {
  Region *regions[] = {&score, &mask, &prob};
  for (auto [i, region] : llvm::enumerate(regions)) {
    if (failed(parser.parseOptionalKeyword(kRegionNames[i])))
      continue;
    SmallVector<OpAsmParser::Argument> arguments;
    SMLoc loc = parser.getCurrentLocation();
    if (parser.parseArgumentList(arguments, OpAsmParser::Delimiter::Paren))
      return failure();
    SmallVector<Type> types = regionArguments(parser.getContext(), ScoreRegion(i));
    if (arguments.size() != types.size())
      return parser.emitError(loc) << "expected " << types.size() << " arguments of '" << kRegionNames[i] << "', got "
                                   << arguments.size();
    for (auto [argument, type] : llvm::zip(arguments, types))
      argument.type = type;
    if (parser.parseRegion(*region, arguments))
      return failure();
  }
  return success();
}

static void printScoreRegions(OpAsmPrinter &p, Operation *, Region &score, Region &mask, Region &prob) {
  Region *regions[] = {&score, &mask, &prob};
  for (auto [i, region] : llvm::enumerate(regions)) {
    if (region->empty())
      continue;
    p << ' ' << kRegionNames[i] << '(';
    llvm::interleaveComma(region->getArguments(), p);
    p << ") ";
    p.printRegion(*region, /*printEntryBlockArgs=*/false);
  }
}

/// Segments `present` of one operand each, what attention is by default, and empty regions.
template <typename Op> static void buildAttention(OpBuilder &b, OperationState &state, ArrayRef<unsigned> present, ValueRange operands) {
  state.addOperands(operands);
  auto &properties = state.getOrAddProperties<typename Op::Properties>();
  for (unsigned segment : present)
    properties.operandSegmentSizes[segment] = 1;
  properties.causal_offset = b.getI64IntegerAttr(0);
  properties.sinks = b.getI64IntegerAttr(0);
  properties.masked_rows = MaskedRowsAttr::get(b.getContext(), MaskedRows::zero);
  for (unsigned i = 0; i < 3; ++i)
    state.addRegion();
}

void AttentionOp::build(OpBuilder &b, OperationState &state, TypeRange results, Value query, Value key, Value value) {
  state.addTypes(results);
  buildAttention<AttentionOp>(b, state, {0, 1, 2}, {query, key, value});
}

void OnlineAttentionOp::build(OpBuilder &b, OperationState &state, Value query, Value batch, Value head, Value first,
                              Value offset, Value keys, Value init, Value scratch) {
  // query to keys come first; init, lse, partial and scratch last.
  constexpr unsigned segments = sizeof(Properties::operandSegmentSizes) / sizeof(int32_t);
  buildAttention<OnlineAttentionOp>(b, state, {0, 1, 2, 3, 4, 5, segments - 4, segments - 1},
                                    {query, batch, head, first, offset, keys, init, scratch});
}

//===----------------------------------------------------------------------===//
// Sizes of attention
//===----------------------------------------------------------------------===//

int64_t AttentionOp::getHeads() {
  auto query = cast<ShapedType>(getQuery().getType());
  return query.getRank() == 4 ? query.getDimSize(1) : getNumHeads().value_or(1);
}

int64_t AttentionOp::getKvHeads() {
  if (getCache())
    return cast<CacheType>(getCache().getType()).getKvHeads();
  auto key = cast<ShapedType>(getKey().getType());
  return key.getRank() >= 4 ? key.getDimSize(1) : getNumKvHeads().value_or(getHeads());
}

int64_t AttentionOp::getHeadDim() {
  auto query = cast<ShapedType>(getQuery().getType());
  int64_t last = query.getShape().back();
  return query.getRank() == 4 ? last : last / getHeads();
}

int64_t AttentionOp::getHeadDimV() {
  auto out = cast<ShapedType>(getInit() ? getInit().getType() : getResult().getType());
  return out.getRank() == 4 ? out.getShape().back() : out.getShape().back() / getHeads();
}

double AttentionOp::getScaleOrDefault() {
  return getScale() ? getScale()->convertToDouble() : 1.0 / std::sqrt(double(getHeadDim()));
}

//===----------------------------------------------------------------------===//
// Folds and canonicalisation
//===----------------------------------------------------------------------===//

/// split(merge(x)) with the same heads is x.
LogicalResult SplitHeadsOp::fold(FoldAdaptor, SmallVectorImpl<OpFoldResult> &results) {
  auto merge = getInput().getDefiningOp<MergeHeadsOp>();
  if (!merge || !getResult() || merge.getInput().getType() != getResult().getType())
    return failure();
  results.push_back(merge.getInput());
  return success();
}

/// merge(split(x)) is x.
LogicalResult MergeHeadsOp::fold(FoldAdaptor, SmallVectorImpl<OpFoldResult> &results) {
  auto split = getInput().getDefiningOp<SplitHeadsOp>();
  if (!split || !getResult() || split.getInput().getType() != getResult().getType())
    return failure();
  results.push_back(split.getInput());
  return success();
}

namespace {
/// A splat-zero bias adds nothing.
struct DropZeroBias : OpRewritePattern<LinearOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LinearOp op, PatternRewriter &rewriter) const override {
    DenseFPElementsAttr bias;
    if (!op.getBias() || !matchPattern(op.getBias(), m_Constant(&bias)) || !bias.isSplat() ||
        !bias.getSplatValue<APFloat>().isPosZero())
      return failure();
    rewriter.modifyOpInPlace(op, [&] { op.getBiasMutable().clear(); });
    return success();
  }
};
} // namespace

void LinearOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<DropZeroBias>(context);
}

} // namespace attnc::attn
