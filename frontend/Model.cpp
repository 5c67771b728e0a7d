//===- Model.cpp - A layer as a module -------------------------------------------------------===//
#include "frontend/Trace.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Verifier.h"

using llvm::ArrayRef;
using llvm::StringRef;
using llvm::Twine;
using namespace mlir;

namespace attnc {

static int64_t limitOf(StringRef dim, const ModelOptions &options) {
  for (const auto &[name, most] : options.limits)
    if (name == dim)
      return most;
  return kMaxBatch;
}

/// Names of the dynamic dimensions, and their bounds as far as they are new.
static llvm::Error readInput(const ModelInput &input, const ModelOptions &options, Input &out,
                             llvm::SmallVector<DimBound> &bounds) {
  for (const Dim &dim : input.shape) {
    if (dim.isStatic() ? dim.factor < 1 : dim.factor != 1)
      return fail("input " + quoted(input.name) + ": expected dimensions that are names or positive, got " +
                  shapeText(input.shape));
    if (dim.isStatic())
      continue;
    out.dims.push_back(dim.name);
    if (llvm::any_of(bounds, [&](const DimBound &bound) { return bound.name == dim.name; }))
      continue;
    int64_t limit = limitOf(dim.name, options);
    if (limit < 1 || limit > INT32_MAX)
      return fail("dimension " + quoted(dim.name) + ": expected a limit from 1 to 2147483647, got " + Twine(limit));
    bounds.push_back({dim.name, 1, limit});
  }
  return llvm::Error::success();
}

/// Ends the entry with what the layer left on the stack.
static llvm::Error addResults(Trace &trace, func::FuncOp func, const std::vector<Tensor> &stack,
                              const ModelOptions &options) {
  llvm::SmallVector<Output> outputs;
  std::vector<std::string> names;
  for (size_t i = 0; i < stack.size(); ++i)
    names.push_back(options.output + (i ? "_" + std::to_string(i) : ""));
  for (auto [name, tensor] : llvm::zip(names, stack)) {
    if (getElementTypeOrSelf(tensor.value()).isInteger(1))
      return fail("output " + quoted(name) + ": expected f32 or i64, got " + tensor.text());
    Output &output = outputs.emplace_back(Output{name, tensor.value(), {}});
    for (const Dim &dim : tensor.shape()) {
      if (!dim.isStatic() && dim.factor != 1)
        return fail("output " + quoted(name) + ": expected dimensions of the inputs, got " + tensor.text());
      if (!dim.isStatic())
        output.dims.push_back(dim.name);
    }
  }
  trace.b.results(func, outputs);
  return llvm::Error::success();
}

static llvm::Error addEntry(Trace &trace, const Layer &layer, ArrayRef<ModelInput> inputs,
                            const ModelOptions &options) {
  llvm::SmallVector<Input> arguments;
  llvm::SmallVector<DimBound> bounds;
  for (const ModelInput &input : inputs) {
    Type element = input.ids ? Type(trace.b.getI64Type()) : trace.b.getF32Type();
    Input &argument = arguments.emplace_back(Input{input.name, trace.type(input.shape, element), {}});
    if (llvm::Error error = readInput(input, options, argument, bounds))
      return error;
  }
  func::FuncOp func = trace.b.entry(options.entry, arguments, bounds);
  std::vector<Tensor> stack;
  for (auto [index, input] : llvm::enumerate(inputs)) {
    stack.emplace_back(trace, func.getArgument(index), input.shape);
    if (input.ids && input.shape.size() == 2 && !trace.tokens)
      trace.tokens = stack.back();
  }
  trace.inputs = stack;
  layer(trace, stack);
  if (trace.failed())
    return fail(trace.error);
  return addResults(trace, func, stack, options);
}

/// `seq` tokens per sequence after those in the cache, and results of one or of every token; the entry without a cache
/// is there.
static llvm::Error addCachedEntry(Trace &trace, const Layer &layer, ArrayRef<ModelInput> inputs,
                                  const ModelOptions &options, StringRef name, int64_t seq, bool everyToken = false) {
  std::string where = "a cached model: expected ";
  if (inputs.size() != 1 || !inputs[0].ids || inputs[0].shape.size() != 2 || inputs[0].shape[0].isStatic() ||
      inputs[0].shape[1].isStatic())
    return fail(where + "one input of ids [batch, seq]");
  if (!trace.notCached.empty())
    return fail(trace.notCached);
  if (trace.heads.empty() || !llvm::all_equal(trace.heads))
    return fail(where + "causal Attention with the same heads in all layers, got " +
                (trace.heads.empty() ? "none" : "different heads"));
  const Shape &shape = inputs[0].shape;
  GraphBuilder &b = trace.b;
  llvm::SmallVector<StringRef, 2> dims{shape[0].name};
  llvm::SmallVector<DimBound> bounds{{shape[0].name, 1, limitOf(shape[0].name, options)}};
  if (seq == kDynamic) {
    int64_t most = limitOf(shape[1].name, options);
    dims.push_back(shape[1].name);
    bounds.push_back({shape[1].name, 1, everyToken ? std::min(most, kMaxVerify) : most});
  }
  auto [heads, headDim] = trace.heads[0];
  llvm::SmallVector<Input> arguments{{inputs[0].name, b.i64({kDynamic, seq}), dims}};
  if (!everyToken)
    arguments.push_back({"logits_index", b.i64({kDynamic}), {shape[0].name}, /*optional=*/true});
  arguments.push_back({"", b.cacheType(trace.heads.size(), heads, headDim), {}});
  func::FuncOp func = b.entry(name, arguments, bounds);
  trace.cache = func.getArguments().back(), trace.attentions = 0, trace.selectToken = nullptr;
  if (!everyToken)
    trace.selectToken = [&trace, func, shape](std::vector<Tensor> &stack) mutable {
      for (Tensor &x : stack) {
        if (!x.isFloat() || x.rank() != 3 || x.dim(0) != shape[0] || x.dim(1) != shape[1])
          continue;
        Shape one = {x.dim(0), x.dim(2)};
        trace.b.at("select_token");
        x = {trace,
             trace.b.create<attn::SelectTokenOp>(trace.type(one, trace.b.getF32Type()),
                                                 {x.value(), func.getArgument(1)}),
             one};
      }
    };
  // Dynamic, so that decode runs the layers of prefill.
  trace.tokens = Tensor(trace, b.cast(b.i64({kDynamic, kDynamic}), func.getArgument(0)), shape);
  std::vector<Tensor> stack = trace.inputs = {trace.tokens};
  layer(trace, stack);
  if (!trace.failed() && trace.selectToken)
    trace.selectToken(stack);
  if (trace.failed())
    return fail(trace.error);
  if (stack.size() != 1 || stack[0].rank() != (everyToken ? 3 : 2) || stack[0].dim(0) != shape[0])
    return fail(where + "one output [batch, seq, features]");
  return addResults(trace, func, stack, options);
}

llvm::Expected<Model> Model::build(MLIRContext *context, const Layer &layer, ArrayRef<ModelInput> inputs,
                                   StringRef weights, const ModelOptions &options) {
  context->loadDialect<attn::AttnDialect, arith::ArithDialect, func::FuncDialect, linalg::LinalgDialect,
                       math::MathDialect, ml_program::MLProgramDialect, tensor::TensorDialect>();
  Builder builder(context);
  ImportContext import{context,     options.name, options.types,    Config(llvm::json::Object(), options.name),
                       WeightSet(), {},           /*declares=*/true};
  import.module = ModuleOp::create(builder.getUnknownLoc(), options.name);
  NamedAttrList metadata;
  metadata.set("model_type", builder.getStringAttr(options.name));
  for (const auto &[name, value] : options.metadata)
    metadata.set(name, builder.getI64IntegerAttr(value));
  (*import.module)->setAttr(attn::kMetadataAttr, metadata.getDictionary(context));
  (*import.module)->setAttr(attn::kWeightsAttr, builder.getStrArrayAttr(weights));
  GraphBuilder b(import);
  Trace trace(b);

  if (llvm::Error error = addEntry(trace, layer, inputs, options))
    return std::move(error);
  // Cached entries leave out ShiftRight of the ids: nothing else may read them but positions.
  auto readsIds = [](Operation *op) {
    return !isa<attn::ShiftRightOp, attn::PositionsOp, tensor::DimOp, func::CallOp>(op);
  };
  if (Value ids = trace.tokens.value(); options.cached && ids &&
                                        llvm::any_of(ids.getUsers(), llvm::IsaPred<attn::ShiftRightOp>) &&
                                        llvm::any_of(ids.getUsers(), readsIds))
    return fail("a cached model: expected ids that only ShiftRight reads, got others, too");
  if (options.cached)
    for (auto [name, seq] : {std::pair("prefill", kDynamic), {"decode", 1}, {"verify", kDynamic}})
      if (llvm::Error error =
              addCachedEntry(trace, layer, inputs, options, name, seq, /*everyToken=*/StringRef(name) == "verify"))
        return std::move(error);
  if (llvm::Error error = b.finish())
    return std::move(error);
  if (mlir::failed(mlir::verify(*import.module)))
    return fail("internal error: the layers made no valid module");
  return Model{std::move(import.module), std::move(trace.parameters)};
}

} // namespace attnc
