//===- Import.cpp - What the importers of all families share ------------------------------===//
#include "frontend/Import.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using llvm::ArrayRef;
using llvm::StringRef;
using llvm::Twine;
using namespace mlir;

namespace attnc {

static Type storageType(MLIRContext *context, DType stored, StorageType wanted) {
  if (wanted == StorageType::BF16 || (wanted == StorageType::AsStored && stored == DType::BF16))
    return BFloat16Type::get(context);
  if (wanted == StorageType::F16 || (wanted == StorageType::AsStored && stored == DType::F16))
    return Float16Type::get(context);
  return Float32Type::get(context);
}

llvm::Error addParameters(ImportContext &import, ArrayRef<ParameterSpec> parameters) {
  Problems problems;
  OpBuilder builder(import.context);
  builder.setInsertionPointToEnd(import.module->getBody());
  for (const ParameterSpec &parameter : parameters) {
    std::string where = "tensor " + quoted(parameter.name) + ": expected ";
    const TensorView *tensor = import.weights.find(parameter.name);
    if (!tensor) {
      problems.add(where + "shape " + shapeText(parameter.shape) + ", got no such tensor");
    } else if (ArrayRef<int64_t>(tensor->shape) != ArrayRef<int64_t>(parameter.shape)) {
      problems.add(where + "shape " + shapeText(parameter.shape) + ", got " + shapeText(tensor->shape));
    } else if (!isFloat(tensor->dtype)) {
      problems.add(where + "type F64, F32, F16 or BF16, got " + quoted(tensor->dtypeName));
    } else {
      auto type =
          RankedTensorType::get(parameter.shape, storageType(import.context, tensor->dtype, import.options.dtype));
      ml_program::GlobalOp::create(builder, NameLoc::get(builder.getStringAttr(parameter.name)), parameter.name, type,
                                   /*is_mutable=*/false, ml_program::ExternAttr::get(import.context, type),
                                   builder.getStringAttr("private"));
    }
  }
  return problems.take(import.directory);
}

static llvm::Error addTokenIds(ImportContext &import, NamedAttrList &metadata) {
  llvm::SmallString<128> path(import.directory);
  llvm::sys::path::append(path, "generation_config.json");
  std::optional<Config> generation;
  if (llvm::sys::fs::exists(path)) {
    llvm::Expected<Config> read = Config::read(path);
    if (!read)
      return read.takeError();
    generation = std::move(*read);
  }
  Builder builder(import.context);
  for (StringRef name : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    bool given = generation && generation->find(name);
    // -1 stands for none in old files; ids beyond the vocabulary are harmless, they are never produced.
    std::vector<int64_t> ids = (given ? *generation : import.config).integers(name, -1, INT32_MAX);
    llvm::erase(ids, -1);
    if (ids.size() == 1)
      metadata.set(name, builder.getI64IntegerAttr(ids[0]));
    else if (!ids.empty())
      metadata.set(name, builder.getDenseI64ArrayAttr(ids));
  }
  if (generation)
    if (llvm::Error error = generation->takeProblems())
      return error;
  return import.config.takeProblems();
}

llvm::Error setMetadata(ImportContext &import, StringRef modelType, llvm::ArrayRef<std::pair<StringRef, int64_t>> sizes) {
  Builder builder(import.context);
  NamedAttrList metadata;
  metadata.set("model_type", builder.getStringAttr(modelType));
  for (auto [name, value] : sizes)
    metadata.set(name, builder.getI64IntegerAttr(value));
  if (llvm::Error error = addTokenIds(import, metadata))
    return error;
  (*import.module)->setAttr(attn::kMetadataAttr, metadata.getDictionary(import.context));
  return llvm::Error::success();
}

GraphBuilder::GraphBuilder(ModuleOp module)
    : ImplicitLocOpBuilder(UnknownLoc::get(module.getContext()), module.getContext()), module(module) {
  for (auto global : module.getOps<ml_program::GlobalOp>())
    parameters[global.getSymName()] = global.getType();
}

GraphBuilder &GraphBuilder::at(StringRef name) {
  setLoc(NameLoc::get(getStringAttr(name)));
  return *this;
}

func::FuncOp GraphBuilder::function(StringRef name, FunctionType type) {
  at(name);
  setInsertionPointToEnd(module.getBody());
  auto func = func::FuncOp::create(*this, name, type);
  func.setPrivate();
  setInsertionPointToStart(func.addEntryBlock());
  return func;
}

func::FuncOp GraphBuilder::entry(StringRef name, ArrayRef<Port> inputs, ArrayRef<Port> outputs,
                                 ArrayRef<DimBound> bounds) {
  auto typeOf = [](const Port &port) { return port.type; };
  func::FuncOp func =
      function(name, getFunctionType(llvm::map_to_vector(inputs, typeOf), llvm::map_to_vector(outputs, typeOf)));
  func.setPublic();
  auto attributes = [&](const Port &port) {
    NamedAttrList list;
    if (isa<attn::CacheType>(port.type))
      return list;
    list.set(attn::kNameAttr, getStringAttr(port.name));
    list.set(attn::kDimsAttr, getStrArrayAttr(port.dims));
    if (port.optional)
      list.set(attn::kOptionalAttr, getUnitAttr());
    return list;
  };
  for (auto [index, port] : llvm::enumerate(inputs))
    func.setArgAttrs(index, attributes(port));
  for (auto [index, port] : llvm::enumerate(outputs))
    func.setResultAttrs(index, attributes(port).getDictionary(getContext()));
  NamedAttrList limits;
  for (const DimBound &bound : bounds)
    limits.set(bound.name, getDenseI64ArrayAttr({bound.min, bound.max}));
  func->setAttr(attn::kBoundsAttr, limits.getDictionary(getContext()));
  return func;
}

Value GraphBuilder::load(StringRef parameter) {
  return ml_program::GlobalLoadConstOp::create(*this, parameters.at(parameter),
                                               FlatSymbolRefAttr::get(getContext(), parameter));
}

/// `like`'s shape with `last` features, in f32.
static RankedTensorType withFeatures(Value like, int64_t last) {
  auto type = cast<RankedTensorType>(like.getType());
  llvm::SmallVector<int64_t> shape(type.getShape());
  shape.back() = last;
  return RankedTensorType::get(shape, Float32Type::get(type.getContext()));
}

Value GraphBuilder::embedding(Value ids, Value table) {
  llvm::SmallVector<int64_t> shape(cast<RankedTensorType>(ids.getType()).getShape());
  shape.push_back(cast<RankedTensorType>(table.getType()).getDimSize(1));
  return create<attn::EmbeddingOp>(f32(shape), {ids, table});
}

Value GraphBuilder::linear(Value input, Value weight, Value bias, bool transposed) {
  int64_t columns = cast<RankedTensorType>(weight.getType()).getDimSize(transposed ? 0 : 1);
  attn::LinearOp::Properties properties;
  if (transposed)
    properties.transpose_weight = getUnitAttr();
  return create<attn::LinearOp>(withFeatures(input, columns), {input, weight, bias},
                                properties);
}

Value GraphBuilder::layerNorm(Value input, Value gamma, Value beta, double epsilon) {
  attn::LayerNormOp::Properties properties;
  properties.epsilon = getF64FloatAttr(epsilon);
  return create<attn::LayerNormOp>(input.getType(), {input, gamma, beta}, properties);
}

Value GraphBuilder::activation(Value input, attn::ActivationKind kind) {
  if (kind == attn::ActivationKind::none)
    return input;
  attn::ActivationOp::Properties properties;
  properties.kind = attn::ActivationKindAttr::get(getContext(), kind);
  return create<attn::ActivationOp>(input.getType(), {input}, properties);
}

Value GraphBuilder::add(Value a, Value b) { return arith::AddFOp::create(*this, a, b); }

llvm::SmallVector<Value> GraphBuilder::split(Value input, ArrayRef<int64_t> widths) {
  OpFoldResult batch = tensor::getMixedSize(*this, getLoc(), input, 0);
  OpFoldResult seq = tensor::getMixedSize(*this, getLoc(), input, 1);
  OpFoldResult zero = getIndexAttr(0), one = getIndexAttr(1);
  llvm::SmallVector<Value> parts;
  int64_t first = 0;
  for (int64_t width : widths) {
    parts.push_back(tensor::ExtractSliceOp::create(*this, withFeatures(input, width), input,
                                                   ArrayRef<OpFoldResult>{zero, zero, getIndexAttr(first)},
                                                   ArrayRef<OpFoldResult>{batch, seq, getIndexAttr(width)},
                                                   ArrayRef<OpFoldResult>{one, one, one}));
    first += width;
  }
  return parts;
}

} // namespace attnc
