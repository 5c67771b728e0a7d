//===- GraphBuilder.cpp - Graphs of attn ops, built in the terms of checkpoints -----------===//
#include "frontend/GraphBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/OperationSupport.h"
#include "llvm/Support/FormatVariadic.h"

using llvm::ArrayRef;
using llvm::StringRef;
using llvm::Twine;
using namespace mlir;

namespace attnc {

GraphBuilder::GraphBuilder(ImportContext &import, StringRef prefix)
    : ImplicitLocOpBuilder(UnknownLoc::get(import.context), import.context), import(import), module(*import.module) {
  if (llvm::none_of(import.weights.tensorNames(), [&](StringRef name) { return name.starts_with(prefix); }))
    missingPrefix = prefix;
}

GraphBuilder &GraphBuilder::at(const Twine &name) {
  setLoc(NameLoc::get(getStringAttr(name)));
  return *this;
}

//===----------------------------------------------------------------------===//
// Functions
//===----------------------------------------------------------------------===//

func::FuncOp GraphBuilder::entry(StringRef name, ArrayRef<Input> inputs, ArrayRef<DimBound> bounds) {
  at(name);
  setInsertionPointToEnd(module.getBody());
  auto func = func::FuncOp::create(
      *this, name, getFunctionType(llvm::map_to_vector(inputs, [](const Input &input) { return input.type; }), {}));
  setInsertionPointToStart(func.addEntryBlock());
  for (auto [index, input] : llvm::enumerate(inputs)) {
    if (isa<attn::CacheType>(input.type))
      continue;
    func.setArgAttr(index, attn::kNameAttr, getStringAttr(input.name));
    func.setArgAttr(index, attn::kDimsAttr, getStrArrayAttr(input.dims));
    if (input.optional)
      func.setArgAttr(index, attn::kOptionalAttr, getUnitAttr());
    if (getElementTypeOrSelf(input.type).isInteger(64))
      func.setArgAttr(index, attn::kInt32Attr, getUnitAttr());
  }
  NamedAttrList limits;
  for (const DimBound &bound : bounds)
    limits.set(bound.name, getDenseI64ArrayAttr({bound.min, bound.max}));
  func->setAttr(attn::kBoundsAttr, limits.getDictionary(getContext()));
  return func;
}

void GraphBuilder::results(func::FuncOp entry, ArrayRef<Output> outputs) {
  SmallVector<Value> values = llvm::map_to_vector(outputs, [](const Output &output) { return output.value; });
  func::ReturnOp::create(*this, values);
  entry.setFunctionType(getFunctionType(entry.getArgumentTypes(), TypeRange(ValueRange(values))));
  for (auto [index, output] : llvm::enumerate(outputs)) {
    entry.setResultAttr(index, attn::kNameAttr, getStringAttr(output.name));
    entry.setResultAttr(index, attn::kDimsAttr, getStrArrayAttr(output.dims));
  }
}

Value GraphBuilder::layer(StringRef name, const Twine &prefix, Value x, const Stack &stack,
                          llvm::function_ref<Value(Value, const Stack &)> body) {
  assert(!current && "layers do not nest");
  if (problems.isFull()) // a configuration may speak of thousands of layers that are not there
    return x;
  Location loc = NameLoc::get(getStringAttr(StringRef(prefix.str()).rtrim('.')));
  // Values that the layer shares become arguments; `inner` is `stack` inside.
  Stack inner = stack;
  SmallVector<Value *> shared = {&x,           &inner.mask,       &inner.cache, &inner.layer,
                                 &inner.memory, &inner.memoryMask, &inner.cross};
  for (Value &table : inner.tables)
    shared.push_back(&table);
  llvm::erase_if(shared, [](Value *value) { return !*value; });
  SmallVector<Value> operands = llvm::map_to_vector(shared, [](Value *value) { return *value; });

  Value result;
  func::FuncOp func;
  {
    OpBuilder::InsertionGuard guard(*this);
    setInsertionPointToEnd(module.getBody());
    setLoc(loc);
    func = func::FuncOp::create(*this, name, getFunctionType(TypeRange(ValueRange(operands)), {}));
    func.setPrivate();
    setInsertionPointToStart(func.addEntryBlock());
    for (auto [index, value] : llvm::enumerate(shared))
      *value = func.getArgument(index);
    current = Layer{func, prefix.str(), {}};
    result = body(x, inner);
    func::ReturnOp::create(*this, result ? ValueRange(result) : ValueRange());
  }
  auto arguments = std::move(current->arguments);
  current.reset();
  func.setFunctionType(getFunctionType(func.getBody().getArgumentTypes(), result ? TypeRange(result.getType()) : TypeRange()));
  Type type = result ? result.getType() : Type();
  func = share(func, name);
  setLoc(loc);
  for (auto &[full, argument] : arguments)
    operands.push_back(argument.load());
  auto call = func::CallOp::create(*this, func, operands);
  return type ? call.getResult(0) : Value();
}

func::FuncOp GraphBuilder::share(func::FuncOp func, StringRef name) {
  int64_t namesakes = 0;
  for (Function &other : functions) {
    if (other.name != name)
      continue;
    ++namesakes;
    if (other.func.getFunctionType() == func.getFunctionType() &&
        OperationEquivalence::isRegionEquivalentTo(&other.func.getBody(), &func.getBody(),
                                                   OperationEquivalence::IgnoreLocations)) {
      func.erase();
      return other.func;
    }
  }
  if (namesakes)
    func.setName((name + "_" + Twine(namesakes)).str());
  functions.push_back({func, name.str()});
  return func;
}

//===----------------------------------------------------------------------===//
// Parameters
//===----------------------------------------------------------------------===//

std::string GraphBuilder::fullName(const Twine &name) const {
  std::string full = (Twine(current ? current->prefix : "") + name).str();
  StringRef rest = full;
  rest.consume_front(missingPrefix);
  return rest.str();
}

bool GraphBuilder::has(const Twine &name) const { return import.weights.find(fullName(name)).has_value(); }

static Type storageType(MLIRContext *context, DType stored, StorageType wanted) {
  if (wanted == StorageType::BF16 || (wanted == StorageType::AsStored && stored == DType::BF16))
    return BFloat16Type::get(context);
  if (wanted == StorageType::F16 || (wanted == StorageType::AsStored && stored == DType::F16))
    return Float16Type::get(context);
  return Float32Type::get(context);
}

attn::CacheType GraphBuilder::cacheType(int64_t layers, int64_t kvHeads, int64_t headDim, bool cross) {
  return attn::CacheType::get(getContext(), layers, kvHeads, headDim, headDim,
                              storageType(getContext(), DType::F32, import.options.cache), cross);
}

RankedTensorType GraphBuilder::declare(StringRef name, ArrayRef<int64_t> shape, bool f32) {
  RankedTensorType &type = declared[name];
  if (type)
    return type;
  std::string where = "tensor " + quoted(name) + ": expected ";
  std::optional<TensorView> tensor = import.weights.find(name);
  if (import.declares) {
    // There is no checkpoint yet.
  } else if (!tensor) {
    std::optional<TensorView> whole = import.weights.find(name.take_front(name.rfind('['))); // of a view
    problems.add(where + "shape " + shapeText(shape) + ", got " +
                 (whole ? "no such part of " + shapeText(whole->shape) : "no such tensor"));
  } else if (ArrayRef<int64_t>(tensor->shape) != shape)
    problems.add(where + "shape " + shapeText(shape) + ", got " + shapeText(tensor->shape));
  else if (!isFloat(tensor->dtype))
    problems.add(where + "type F64, F32, F16 or BF16, got " + quoted(tensor->dtypeName));
  StorageType wanted = f32 ? StorageType::F32 : import.options.dtype;
  type = RankedTensorType::get(shape, storageType(getContext(), tensor ? tensor->dtype : DType::F32, wanted));
  OpBuilder builder(getContext());
  builder.setInsertionPoint(module.getBody(), llvm::find_if(*module.getBody(), llvm::IsaPred<func::FuncOp>));
  ml_program::GlobalOp::create(builder, NameLoc::get(getStringAttr(name)), name, type, /*is_mutable=*/false,
                               ml_program::ExternAttr::get(getContext(), type), getStringAttr("private"));
  return type;
}

Value GraphBuilder::loaded(StringRef name, RankedTensorType type, std::function<Value()> load) {
  if (!current)
    return load();
  Argument &argument = current->arguments[getStringAttr(name)];
  if (!argument.value)
    argument = {current->func.getBody().addArgument(type, getLoc()), std::move(load)};
  return argument.value;
}

Value GraphBuilder::parameter(const Twine &name, ArrayRef<int64_t> shape, bool f32) {
  std::string full = fullName(name);
  RankedTensorType type = declare(full, shape, f32);
  return loaded(full, type, [this, full, type]() -> Value {
    return ml_program::GlobalLoadConstOp::create(*this, type, FlatSymbolRefAttr::get(getContext(), full));
  });
}

Value GraphBuilder::expertParameter(StringRef prefix, ArrayRef<StringRef> parts, int64_t experts, ArrayRef<int64_t> shape) {
  std::vector<SmallVector<std::string>> names(experts); // of each expert's parts
  RankedTensorType type;
  for (auto [expert, own] : llvm::enumerate(names))
    for (StringRef part : parts) {
      own.push_back(fullName(prefix + Twine(expert) + part));
      type = declare(own.back(), shape);
    }
  auto joined = type.clone({int64_t(parts.size()) * shape[0], shape[1]});
  auto stacked = type.clone({experts, joined.getDimSize(0), shape[1]});
  return loaded(names[0][0] + "…", stacked, [this, names, joined, stacked]() -> Value {
    SmallVector<Value> each;
    for (auto &own : names) {
      SmallVector<Value> loads;
      for (const std::string &name : own)
        loads.push_back(ml_program::GlobalLoadConstOp::create(*this, declared.at(name), FlatSymbolRefAttr::get(getContext(), name)));
      each.push_back(own.size() == 1 ? loads[0] : attn::ConcatParametersOp::create(*this, joined, loads, 0).getResult());
    }
    return attn::StackParametersOp::create(*this, stacked, each);
  });
}

llvm::Error GraphBuilder::finish() { return problems.take(import.directory); }

//===----------------------------------------------------------------------===//
// Ops with parameters
//===----------------------------------------------------------------------===//

static int64_t features(Value value) { return mlir::cast<RankedTensorType>(value.getType()).getShape().back(); }

Value GraphBuilder::linear(const Twine &name, Value input, int64_t columns, bool bias, StringRef rows) {
  std::string n = name.str();
  at(n);
  Value weight = parameter(n + ".weight" + rows, {columns, features(input)});
  return product(input, weight, bias ? parameter(n + ".bias" + rows, {columns}) : Value(), /*transposed=*/true);
}

SmallVector<Value> GraphBuilder::projectionsByHead(const Twine &name, Value input, int64_t heads, int64_t headDim,
                                                   bool bias) {
  std::string n = name.str();
  SmallVector<Value> qkv;
  for (int64_t part = 0; part < 3; ++part) {
    std::string rows = llvm::formatv("[{0}:{1}:{2}]", part * headDim, headDim, 3 * headDim).str();
    qkv.push_back(linear(n, input, heads * headDim, bias, rows));
  }
  return qkv;
}

Value GraphBuilder::embedding(const Twine &name, Value ids, int64_t entries, int64_t width) {
  std::string n = name.str();
  return at(n).lookUp(parameter(n + ".weight", {entries, width}), ids);
}

Value GraphBuilder::layerNorm(const Twine &name, Value input, double epsilon, bool bias, bool weight) {
  std::string n = name.str();
  at(n);
  bool isOld = has(n + ".gamma");
  Value gamma = weight ? parameter(n + (isOld ? ".gamma" : ".weight"), {features(input)})
                       : constant(std::vector<float>(features(input), 1));
  Value beta = bias ? parameter(n + (isOld ? ".beta" : ".bias"), {features(input)}) : Value();
  attn::LayerNormOp::Properties properties;
  properties.epsilon = getF64FloatAttr(epsilon);
  return create<attn::LayerNormOp>(input.getType(), {input, gamma, beta}, properties);
}

Value GraphBuilder::rmsNorm(const Twine &name, Value input, double epsilon, int64_t groups, bool unitOffset) {
  std::string n = name.str();
  at(n);
  attn::RMSNormOp::Properties properties;
  properties.epsilon = getF64FloatAttr(epsilon);
  properties.groups = getI64IntegerAttr(groups);
  if (unitOffset)
    properties.unit_offset = getUnitAttr();
  return create<attn::RMSNormOp>(input.getType(), {input, parameter(n + ".weight", {features(input) / groups})},
                                 properties);
}

//===----------------------------------------------------------------------===//
// Mixtures of experts
//===----------------------------------------------------------------------===//

/// `like`'s shape with `last` features, in f32.
static RankedTensorType withFeatures(Value like, int64_t last) {
  auto type = mlir::cast<RankedTensorType>(like.getType());
  SmallVector<int64_t> shape(type.getShape());
  shape.back() = last;
  return RankedTensorType::get(shape, Float32Type::get(type.getContext()));
}

Experts GraphBuilder::route(Value logits, int64_t chosen) {
  RankedTensorType weights = withFeatures(logits, chosen);
  auto op = attn::RouteOp::create(*this, TypeRange{weights, weights.clone(getI64Type())}, logits, /*init=*/Value(),
                                  /*experts_init=*/Value(), chosen);
  return {op->getResult(0), op->getResult(1)};
}

Value GraphBuilder::expertLinear(Value input, Value weight, Value bias, const Experts &experts, bool transposed) {
  SmallVector<int64_t> shape(mlir::cast<RankedTensorType>(experts.indices.getType()).getShape());
  shape.push_back(mlir::cast<RankedTensorType>(weight.getType()).getDimSize(transposed ? 1 : 2));
  attn::ExpertLinearOp::Properties properties;
  if (transposed)
    properties.transpose_weight = getUnitAttr();
  return create<attn::ExpertLinearOp>(f32(shape), {input, weight, bias, experts.indices}, properties);
}

Value GraphBuilder::combine(Value input, const Experts &experts) {
  SmallVector<int64_t> shape(mlir::cast<RankedTensorType>(input.getType()).getShape());
  shape.erase(shape.end() - 2);
  return create<attn::CombineExpertsOp>(f32(shape), {input, experts.weights});
}

//===----------------------------------------------------------------------===//
// Ops without
//===----------------------------------------------------------------------===//

Value GraphBuilder::product(Value input, Value weight, Value bias, bool transposed) {
  int64_t columns = mlir::cast<RankedTensorType>(weight.getType()).getDimSize(transposed ? 0 : 1);
  attn::LinearOp::Properties properties;
  if (transposed)
    properties.transpose_weight = getUnitAttr();
  return create<attn::LinearOp>(withFeatures(input, columns), {input, weight, bias}, properties);
}

Value GraphBuilder::activation(Value input, attn::ActivationKind kind, Value times) {
  if (kind == attn::ActivationKind::none && !times)
    return input;
  attn::ActivationOp::Properties properties;
  properties.kind = attn::ActivationKindAttr::get(getContext(), kind);
  return create<attn::ActivationOp>(input.getType(), {input, times}, properties);
}

Value GraphBuilder::clampedGate(Value gate, Value up, double limit) {
  attn::ActivationOp::Properties properties;
  properties.kind = attn::ActivationKindAttr::get(getContext(), attn::ActivationKind::quick_gelu);
  properties.limit = getF64FloatAttr(limit);
  properties.times_offset = getF64FloatAttr(1);
  return create<attn::ActivationOp>(gate.getType(), {gate, up}, properties);
}

Value GraphBuilder::cast(RankedTensorType type, Value value) {
  return value.getType() == type ? value : tensor::CastOp::create(*this, type, value).getResult();
}

Value GraphBuilder::add(Value a, Value b) { return arith::AddFOp::create(*this, a, b); }

SmallVector<Value> GraphBuilder::split(Value input, ArrayRef<int64_t> widths) {
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(*this, getLoc(), input);
  SmallVector<OpFoldResult> offsets(sizes.size(), getIndexAttr(0)), strides(sizes.size(), getIndexAttr(1));
  SmallVector<Value> parts;
  int64_t first = 0;
  for (int64_t width : widths) {
    offsets.back() = getIndexAttr(first);
    sizes.back() = getIndexAttr(width);
    parts.push_back(tensor::ExtractSliceOp::create(*this, withFeatures(input, width), input, offsets, sizes, strides));
    first += width;
  }
  return parts;
}

Value GraphBuilder::firstToken(Value input) {
  OpFoldResult zero = getIndexAttr(0), one = getIndexAttr(1), width = getIndexAttr(features(input));
  return tensor::ExtractSliceOp::create(
      *this, f32({kDynamic, features(input)}), input, ArrayRef<OpFoldResult>{zero, zero, zero},
      ArrayRef<OpFoldResult>{tensor::getMixedSize(*this, getLoc(), input, 0), one, width},
      ArrayRef<OpFoldResult>{one, one, one});
}

Value GraphBuilder::positions(Value ids, Value given, Value cache, Value mask) {
  return create<attn::PositionsOp>(ids.getType(), {ids, given, cache, mask});
}

Value GraphBuilder::constant(ArrayRef<float> values) {
  return arith::ConstantOp::create(*this, DenseElementsAttr::get(f32({int64_t(values.size())}), values));
}

Value GraphBuilder::positionsAfterPad(Value ids, Value given, int64_t pad) {
  attn::PositionsOp::Properties properties;
  properties.pad = getI64IntegerAttr(pad);
  return create<attn::PositionsOp>(ids.getType(), {ids, given}, properties);
}

Value GraphBuilder::pool(Value input, Value mask, attn::PoolKind kind) {
  attn::PoolOp::Properties properties;
  properties.kind = attn::PoolKindAttr::get(getContext(), kind);
  return create<attn::PoolOp>(f32({kDynamic, features(input)}), {input, mask}, properties);
}

Value GraphBuilder::l2Norm(Value input) { return create<attn::L2NormOp>(input.getType(), {input}); }

Value GraphBuilder::scale(Value input, double by) {
  attn::ScaleOp::Properties properties;
  properties.factor = getF64FloatAttr(by);
  return create<attn::ScaleOp>(input.getType(), {input}, properties);
}

Value GraphBuilder::softCap(Value input, double cap) {
  attn::SoftCapOp::Properties properties;
  properties.cap = getF64FloatAttr(cap);
  return create<attn::SoftCapOp>(input.getType(), {input}, properties);
}

/// `ids`' shape and `width` features, in f32.
static RankedTensorType perToken(Value ids, int64_t width) {
  auto type = mlir::cast<RankedTensorType>(ids.getType());
  SmallVector<int64_t> shape(type.getShape());
  shape.push_back(width);
  return RankedTensorType::get(shape, Float32Type::get(type.getContext()));
}

Value GraphBuilder::lookUp(Value table, Value ids) {
  return create<attn::EmbeddingOp>(perToken(ids, features(table)), {ids, table});
}

Value GraphBuilder::positionalEncoding(Value positions, int64_t width) {
  attn::PositionalEncodingOp::Properties properties;
  properties.halves = getUnitAttr();
  return create<attn::PositionalEncodingOp>(perToken(positions, width), {positions}, properties);
}

Value GraphBuilder::relativeBias(Value table, int64_t maxDistance, bool bidirectional) {
  attn::RelativeBiasOp::Properties properties;
  properties.max_distance = getI64IntegerAttr(maxDistance);
  if (bidirectional)
    properties.bidirectional = getUnitAttr();
  return create<attn::RelativeBiasOp>(f32({features(table), 2 * maxDistance + 1}), {table}, properties);
}

Value GraphBuilder::rotaryTable(Value positions, const Rotary &rotary) {
  attn::RotaryTableOp::Properties properties;
  properties.frequencies = getDenseF64ArrayAttr(rotary.frequencies);
  properties.scale = getF64FloatAttr(rotary.scale);
  if (!rotary.longFrequencies.empty())
    properties.long_frequencies = getDenseF64ArrayAttr(rotary.longFrequencies);
  if (rotary.longFrom)
    properties.long_from = getI64IntegerAttr(*rotary.longFrom);
  if (rotary.ntkFactor)
    properties.ntk_factor = getF64FloatAttr(*rotary.ntkFactor);
  return create<attn::RotaryTableOp>(perToken(positions, 2 * rotary.frequencies.size()), {positions}, properties);
}

Value GraphBuilder::rotary(Value input, Value table, int64_t heads, bool interleaved) {
  attn::RotaryOp::Properties properties;
  properties.heads = getI64IntegerAttr(heads);
  if (interleaved)
    properties.interleaved = getUnitAttr();
  return create<attn::RotaryOp>(input.getType(), {input, table}, properties);
}

Value GraphBuilder::attention(const Stack &stack, Value query, Value key, Value value,
                              const AttentionOptions &options) {
  int64_t kvHeads = options.kvHeads ? options.kvHeads : options.heads;
  if (stack.cache && key) {
    create<attn::CacheAppendOp>(Type(), {key, value, stack.cache, stack.layer});
    key = value = Value();
  }
  auto number = [&](std::optional<double> value) { return value ? getF64FloatAttr(*value) : FloatAttr(); };
  auto integer = [&](std::optional<int64_t> value) { return value ? getI64IntegerAttr(*value) : IntegerAttr(); };
  attn::AttentionOp::Properties properties;
  properties.num_heads = getI64IntegerAttr(options.heads);
  if (kvHeads != options.heads)
    properties.num_kv_heads = getI64IntegerAttr(kvHeads);
  properties.scale = number(options.scale);
  properties.soft_cap = number(options.softCap);
  if (options.causal)
    properties.causal = getUnitAttr();
  properties.window_left = integer(options.windowLeft);
  properties.window_right = integer(options.windowRight);
  return create<attn::AttentionOp>(query.getType(), // no family here has values of another head_dim
                                   {query, key, value, stack.cache, stack.cache ? stack.layer : Value(), /*bias=*/{},
                                    stack.mask, /*kv_len=*/{}, options.sinkLogits, options.alibi, options.relative},
                                   properties);
}

} // namespace attnc
