//===- Interface.cpp - What a model looks like from outside ------------------------------===//
#include "backends/Interface.h"
#include "backends/cpu/support/Descriptor.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

namespace attnc {
using namespace mlir;

unsigned EntryInterface::workspaceArguments() const {
  unsigned count = 0;
  for (const TensorInterface &input : inputs)
    count += llvm::count_if(input.shape, [](int64_t size) { return size < 0; });
  return count;
}

int64_t EntryInterface::mostTokens() const {
  int64_t size = inputs[0].shape[1];
  return size < 0 ? dims[-1 - size].max : size;
}

uint64_t ModelInterface::tokenBytes() const {
  if (!cache)
    return 0;
  return elementBytes() * cache.getLayers() * cache.getKvHeads() *
         (cache.getHeadDim() + llvm::alignTo(cache.getHeadDimV(), attn::kPanel));
}

uint64_t ModelInterface::elementBytes() const { return cache ? cache.getElementType().getIntOrFloatBitWidth() / 8 : 0; }

int64_t ModelInterface::ringTokens() const {
  int64_t seq = 0;
  for (const EntryInterface &entry : entries) {
    if (!(entry.usesState & ATTN_STATE_APPENDS))
      continue;
    if (!entry.window)
      return 0;
    seq = std::max(seq, entry.mostTokens());
  }
  return cache && window + seq <= ATTN_NO_BOUND ? window + seq : 0;
}

//===----------------------------------------------------------------------===//
// Recording
//===----------------------------------------------------------------------===//

static NamedAttribute named(Builder &builder, StringRef name, Attribute value) {
  return NamedAttribute(builder.getStringAttr(name), value);
}

/// {name, type, dims, optional} of an argument or result.
static Attribute describeTensor(Builder &builder, Type type, DictionaryAttr attrs, const Twine &defaultName,
                                bool isCrossMask = false) {
  auto get = [&](StringRef name) { return attrs ? attrs.get(name) : Attribute(); };
  SmallVector<NamedAttribute> fields;
  Attribute name = get(attn::kNameAttr), dims = get(attn::kDimsAttr);
  fields.push_back(named(builder, "name", name ? name : builder.getStringAttr(defaultName)));
  fields.push_back(named(builder, "type", TypeAttr::get(type)));
  fields.push_back(named(builder, "dims", dims ? dims : builder.getArrayAttr({})));
  if (get(attn::kOptionalAttr))
    fields.push_back(named(builder, "optional", builder.getUnitAttr()));
  if (get(attn::kStridedAttr))
    fields.push_back(named(builder, "strided", builder.getUnitAttr()));
  if (get(attn::kInt32Attr))
    fields.push_back(named(builder, "int32", builder.getUnitAttr()));
  if (isCrossMask)
    fields.push_back(named(builder, "cross_mask", builder.getUnitAttr()));
  return builder.getDictionaryAttr(fields);
}

namespace {
/// What an entry and its callees do with its caches.
struct CacheUses {
  bool windowed = true; // all reads of the cache besides what was appended
  int64_t window = 0, sinks = 0;
  bool readsCross = false;
  SmallVector<attn::CacheAppendOp> crossAppends;
  SmallVector<func::CallOp> calls; // that pass a cache
  llvm::SmallPtrSet<Operation *, 8> seen;
  DenseMap<Value, BlockArgument> inputs; // found by inputOf

  void visit(func::FuncOp func);
  void visit(attn::AttentionOp attention);
  BlockArgument inputOf(Value value, func::FuncOp entry);
};
} // namespace

void CacheUses::visit(attn::AttentionOp attention) {
  if (attention.isCross()) {
    readsCross = true;
    return;
  }
  // Key lengths move the window; rows with nothing visible may take the mean of all values. Regions, masks and prefixes
  // show nothing that the window hides.
  std::optional<int64_t> left = attention.getWindowLeft();
  int64_t offset = attention.getCausalOffset(), tokens;
  if (!left || attention.getKvLen() || attention.getBottomRight() || attention.getMaskedRows() != attn::MaskedRows::zero || offset <= -ATTN_NO_BOUND || offset >= ATTN_NO_BOUND ||
      llvm::AddOverflow<int64_t>(*left, std::abs(offset), tokens) || tokens > ATTN_NO_BOUND ||
      attention.getSinks() > uint64_t(ATTN_NO_BOUND)) {
    windowed = false;
    return;
  }
  window = std::max(window, tokens);
  sinks = std::max(sinks, int64_t(attention.getSinks()));
}

void CacheUses::visit(func::FuncOp func) {
  if (!func || !seen.insert(func).second)
    return;
  func.walk([&](Operation *op) {
    if (!llvm::any_of(op->getOperandTypes(), llvm::IsaPred<attn::CacheType>))
      return;
    auto append = dyn_cast<attn::CacheAppendOp>(op);
    if (auto call = dyn_cast<func::CallOp>(op)) {
      calls.push_back(call);
      visit(SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(call, call.getCalleeAttr()));
    } else if (auto attention = dyn_cast<attn::AttentionOp>(op)) {
      visit(attention);
    } else if (!append) { // attn.cache_read, and what we do not know
      windowed = false;
      readsCross = true;
    } else if (cast<attn::CacheType>(append.getCache().getType()).getCross()) {
      crossAppends.push_back(append);
    }
  });
}

/// The argument of `entry` that every call passes down as `value`, or null.
BlockArgument CacheUses::inputOf(Value value, func::FuncOp entry) {
  while (auto cast = value.getDefiningOp<tensor::CastOp>())
    value = cast.getSource();
  auto argument = dyn_cast<BlockArgument>(value);
  if (!argument || argument.getOwner()->getParentOp() == entry)
    return argument;
  auto [found, isNew] = inputs.try_emplace(argument, nullptr);
  if (!isNew)
    return found->second;
  Operation *func = argument.getOwner()->getParentOp();
  BlockArgument input;
  for (func::CallOp call : calls) {
    if (SymbolTable::lookupNearestSymbolFrom(call, call.getCalleeAttr()) != func)
      continue;
    BlockArgument passed = inputOf(call.getOperand(argument.getArgNumber()), entry);
    if (!passed || (input && passed != input))
      return {};
    input = passed;
  }
  return inputs[argument] = input;
}

/// The input that selects the tokens of the cross cache, null without; fails where it is not one input.
static FailureOr<BlockArgument> crossMaskOf(CacheUses &uses, func::FuncOp entry) {
  BlockArgument mask;
  for (auto [i, append] : llvm::enumerate(uses.crossAppends)) {
    BlockArgument input = append.getKeyMask() ? uses.inputOf(append.getKeyMask(), entry) : BlockArgument();
    if (bool(input) != bool(append.getKeyMask()) || (i && input != mask)) {
      InFlightDiagnostic error = append.emitOpError("expected the same input of the entry as key_mask wherever the cross cache gets keys");
      error.attachNote(entry.getLoc()) << "the entry is '" << entry.getSymName() << "'";
      return error;
    }
    mask = input;
  }
  return mask;
}

static FailureOr<Attribute> describeEntry(func::FuncOp func) {
  Builder builder(func.getContext());
  SmallVector<Attribute> inputs, outputs;
  attn::CacheType cache, cross;
  for (Type type : func.getArgumentTypes())
    if (auto found = dyn_cast<attn::CacheType>(type)) {
      attn::CacheType &kind = found.getCross() ? cross : cache;
      if (kind)
        return func.emitOpError("expected at most one cache and one cross cache, got two of a kind");
      kind = found;
    }
  CacheUses uses;
  if (cache || cross)
    uses.visit(func);
  FailureOr<BlockArgument> crossMask = crossMaskOf(uses, func);
  if (failed(crossMask))
    return failure();
  bool fillsCross = !uses.crossAppends.empty();
  if (fillsCross && (cache || uses.readsCross))
    return func.emitOpError("expected an entry that appends to the cross cache not to read it, and to have no other cache");
  for (auto [i, type] : llvm::enumerate(func.getArgumentTypes())) {
    if (isa<attn::CacheType>(type))
      continue;
    if (isa<RankedTensorType>(type)) {
      bool isMask = *crossMask == func.getArgument(i);
      inputs.push_back(describeTensor(builder, type, func.getArgAttrDict(i), "arg" + Twine(i), isMask));
    } else {
      return func.emitOpError("expected entry arguments to be ranked tensors or a cache, got ") << type;
    }
  }
  for (auto [i, type] : llvm::enumerate(func.getResultTypes())) {
    if (!isa<RankedTensorType>(type))
      return func.emitOpError("expected entry results to be ranked tensors, got ") << type;
    outputs.push_back(describeTensor(builder, type, func.getResultAttrDict(i), "out" + Twine(i)));
  }
  SmallVector<NamedAttribute> fields = {named(builder, "name", func.getSymNameAttr()),
                                        named(builder, "inputs", builder.getArrayAttr(inputs)),
                                        named(builder, "outputs", builder.getArrayAttr(outputs))};
  if (Attribute bounds = func->getAttr(attn::kBoundsAttr))
    fields.push_back(named(builder, "bounds", bounds));
  if (cache) {
    fields.push_back(named(builder, "cache", TypeAttr::get(cache)));
    if (uses.windowed) {
      fields.push_back(named(builder, "window", builder.getI64IntegerAttr(uses.window)));
      fields.push_back(named(builder, "sinks", builder.getI64IntegerAttr(uses.sinks)));
    }
  }
  if (cross)
    fields.push_back(named(builder, "cross", TypeAttr::get(cross)));
  if (fillsCross)
    fields.push_back(named(builder, "fills_cross", builder.getUnitAttr()));
  return Attribute(builder.getDictionaryAttr(fields));
}

LogicalResult recordInterface(ModuleOp module) {
  if (module->hasAttr(kInterfaceAttr))
    return success();
  Builder builder(module.getContext());
  SmallVector<Attribute> entries, parameters;
  for (auto func : module.getOps<func::FuncOp>()) {
    if (!func.isPublic() || func.isExternal())
      continue;
    FailureOr<Attribute> entry = describeEntry(func);
    if (failed(entry))
      return failure();
    entries.push_back(*entry);
  }
  for (auto global : module.getOps<ml_program::GlobalOp>()) {
    auto offset = global->getAttr(kOffsetAttr);
    if (!offset) // not used
      continue;
    Attribute source = global->getAttr(kSourceAttr);
    SmallVector<NamedAttribute> fields = {
        named(builder, "source", source ? source : builder.getArrayAttr(builder.getStringAttr(global.getSymName()))),
        named(builder, "type", TypeAttr::get(global.getType())), named(builder, "offset", offset)};
    if (Attribute pack = global->getAttr(kPackAttr))
      fields.push_back(named(builder, "pack", pack));
    if (Attribute parts = global->getAttr(kPartsAttr))
      fields.push_back(named(builder, "parts", parts));
    parameters.push_back(builder.getDictionaryAttr(fields));
  }
  module->setAttr(kInterfaceAttr, builder.getArrayAttr(entries));
  module->setAttr(kParametersAttr, builder.getArrayAttr(parameters));
  llvm::SetVector<StringRef> externals;
  module.walk([&](attn::ExternalOp op) { externals.insert(op.getName()); });
  if (!externals.empty())
    module->setAttr(kExternalsAttr, builder.getStrArrayAttr(externals.getArrayRef()));
  return success();
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

/// The integer of a field, or nothing if there is none of at most 64 bits.
static std::optional<int64_t> integerOf(Attribute attr) {
  auto integer = dyn_cast_or_null<IntegerAttr>(attr);
  if (!integer || integer.getValue().getSignificantBits() > 64)
    return std::nullopt;
  return integer.getValue().getSExtValue();
}

static attn::CacheType withoutCross(attn::CacheType type) {
  return attn::CacheType::get(type.getContext(), type.getLayers(), type.getKvHeads(), type.getHeadDim(),
                              type.getHeadDimV(), type.getElementType());
}

namespace {
/// Reads the entries of attn.interface.
struct InterfaceReader {
  ModuleOp module;
  ModelInterface model;

  InFlightDiagnostic error(const Twine &where) { return module.emitError() << where << ": expected "; }

  LogicalResult readTensor(Attribute attr, const Twine &where, EntryInterface &entry, bool isInput,
                           TensorInterface &tensor);
  LogicalResult readBounds(Attribute attr, const Twine &where, EntryInterface &entry);
  LogicalResult readEntry(Attribute attr, unsigned number);
  LogicalResult read();
};
} // namespace

LogicalResult InterfaceReader::readTensor(Attribute attr, const Twine &where, EntryInterface &entry, bool isInput,
                                          TensorInterface &tensor) {
  auto dict = dyn_cast_or_null<DictionaryAttr>(attr);
  if (!dict)
    return error(where) << "a dictionary per tensor";
  auto name = dict.getAs<StringAttr>("name");
  auto typeAttr = dict.getAs<TypeAttr>("type");
  auto type = typeAttr ? dyn_cast<RankedTensorType>(typeAttr.getValue()) : RankedTensorType();
  auto dims = dict.getAs<ArrayAttr>("dims");
  if (!name || name.empty() || !type || !dims)
    return error(where) << "name, type and dims of a tensor";
  tensor.name = name.str();
  tensor.elementType = type.getElementType();
  tensor.optional = dict.contains("optional");
  tensor.strided = dict.contains("strided");
  tensor.int32 = dict.contains("int32");
  tensor.crossMask = dict.contains("cross_mask");
  if (!type.getElementType().isIntOrFloat() || type.getElementType().getIntOrFloatBitWidth() > 64)
    return error(where) << "'" << tensor.name << "' to have a type of numbers of at most 64 bits, got " << type;
  if (tensor.int32 && (!isInput || !type.getElementType().isSignlessInteger(64)))
    return error(where) << "'" << tensor.name << "', which may be int32, to be an input of i64, got " << type;
  if (type.getRank() > ATTN_MAX_RANK)
    return error(where) << "'" << tensor.name << "' to have rank " << ATTN_MAX_RANK << " at most, got " << type;
  if (int64_t(dims.size()) != int64_t(type.getNumDynamicDims()))
    return error(where) << "a name for each of the " << type.getNumDynamicDims() << " dynamic dimensions of '"
                        << tensor.name << "', got " << dims.size();
  unsigned next = 0;
  for (int64_t size : type.getShape()) {
    if (!ShapedType::isDynamic(size)) {
      tensor.shape.push_back(size);
      continue;
    }
    auto dimName = dyn_cast<StringAttr>(dims[next++]);
    if (!dimName || dimName.empty())
      return error(where) << "strings as names of the dimensions of '" << tensor.name << "'";
    auto found = llvm::find_if(entry.dims, [&](const DimInterface &dim) { return dim.name == dimName.getValue(); });
    if (found == entry.dims.end()) {
      if (!isInput)
        return error(where) << "dimension '" << dimName.getValue() << "' of '" << tensor.name
                            << "' to be one of an input";
      if (entry.dims.size() == ATTN_MAX_DIMS)
        return error(where) << ATTN_MAX_DIMS << " named dimensions at most";
      entry.dims.push_back({dimName.str(), 1, ATTN_NO_BOUND});
      found = std::prev(entry.dims.end());
    }
    tensor.shape.push_back(-1 - (found - entry.dims.begin()));
  }
  return success();
}

LogicalResult InterfaceReader::readBounds(Attribute attr, const Twine &where, EntryInterface &entry) {
  auto bounds = dyn_cast<DictionaryAttr>(attr);
  if (!bounds)
    return error(where) << "a dictionary as attn.bounds";
  for (NamedAttribute bound : bounds) {
    auto range = dyn_cast<DenseI64ArrayAttr>(bound.getValue());
    auto found = llvm::find_if(entry.dims, [&](const DimInterface &dim) { return dim.name == bound.getName(); });
    if (found == entry.dims.end())
      return error(where) << "the name of a dimension in attn.bounds, got '" << bound.getName().strref() << "'";
    if (!range || range.size() != 2 || range[0] < 0 || range[1] < range[0] || range[1] > ATTN_NO_BOUND)
      return error(where) << "array<i64: min, max> with 0 ≤ min ≤ max < 2^31 as bounds of '" << found->name << "', got "
                          << bound.getValue();
    found->min = range[0];
    found->max = range[1];
  }
  return success();
}

LogicalResult InterfaceReader::readEntry(Attribute attr, unsigned number) {
  std::string where = ("entry " + Twine(number)).str();
  auto dict = dyn_cast<DictionaryAttr>(attr);
  auto name = dict ? dict.getAs<StringAttr>("name") : StringAttr();
  auto inputs = dict ? dict.getAs<ArrayAttr>("inputs") : ArrayAttr();
  auto outputs = dict ? dict.getAs<ArrayAttr>("outputs") : ArrayAttr();
  if (!name || name.empty() || !inputs || !outputs)
    return error(where) << "name, inputs and outputs";
  where = ("entry '" + name.getValue() + "'").str();
  if (inputs.size() + outputs.size() > ATTN_MAX_TENSORS)
    return error(where) << ATTN_MAX_TENSORS << " inputs and outputs at most, got " << inputs.size() + outputs.size();
  EntryInterface entry;
  entry.name = name.str();
  llvm::SmallDenseSet<StringRef> names;
  auto readAll = [&](ArrayAttr attrs, bool isInput, std::vector<TensorInterface> &tensors) -> LogicalResult {
    tensors.resize(attrs.size());
    for (auto [attr, tensor] : llvm::zip(attrs, tensors)) {
      if (failed(readTensor(attr, where, entry, isInput, tensor)))
        return failure();
      if (!names.insert(tensor.name).second)
        return error(where) << "different names of inputs and outputs, got '" << tensor.name << "' twice";
    }
    return success();
  };
  if (failed(readAll(inputs, true, entry.inputs)) || failed(readAll(outputs, false, entry.outputs)))
    return failure();
  if (Attribute bounds = dict.get("bounds"))
    if (failed(readBounds(bounds, where, entry)))
      return failure();
  for (bool isCross : {false, true}) {
    auto cacheAttr = dict.getAs<TypeAttr>(isCross ? "cross" : "cache");
    if (!cacheAttr)
      continue;
    auto cache = dyn_cast<attn::CacheType>(cacheAttr.getValue());
    if (cache && cache.getCross() == isCross)
      cache = withoutCross(cache);
    else
      cache = {};
    if (!cache || (model.cache && cache != model.cache))
      return error(where) << "one cache type in all entries, got " << cacheAttr;
    // The state's lengths advance by the second dimension of the first input.
    if (entry.inputs.empty() || entry.inputs[0].optional || entry.inputs[0].shape.size() < 2)
      return error(where) << "a first input [batch, seq, ...] that is not optional, because it uses a cache";
    model.cache = cache;
    bool fills = isCross && dict.contains("fills_cross");
    entry.usesState |= fills ? ATTN_STATE_FILLS_CROSS : isCross ? ATTN_STATE_READS_CROSS : ATTN_STATE_APPENDS;
    if (fills)
      model.crossTokens = std::max({model.crossTokens, entry.mostTokens(), int64_t(1)});
    if (!isCross && dict.contains("window")) {
      std::optional<int64_t> window = integerOf(dict.get("window")), sinks = integerOf(dict.get("sinks"));
      for (std::optional<int64_t> tokens : {window, sinks})
        if (!tokens || *tokens < 0 || *tokens > ATTN_NO_BOUND)
          return error(where) << "window and sinks from 0 to " << ATTN_NO_BOUND << ", got " << dict.get("window")
                              << " and " << dict.get("sinks");
      entry.window = window;
      entry.sinks = *sinks;
      model.window = std::max(model.window, *window);
      model.sinks = std::max(model.sinks, *sinks);
    }
  }
  if (entry.usesState > ATTN_STATE_FILLS_CROSS)
    return error(where) << "either fills_cross or a cache";
  for (const TensorInterface &input : entry.inputs)
    if (input.crossMask && (!(entry.usesState & ATTN_STATE_FILLS_CROSS) || !input.elementType.isInteger() ||
                            ArrayRef(input.shape) != ArrayRef(entry.inputs[0].shape).take_front(2)))
      return error(where) << "'" << input.name << "', which selects what the cross cache gets, to be integers of shape [batch, seq] as in the first input";
  for (const EntryInterface &other : model.entries)
    if (other.name == entry.name)
      return error(where) << "different names of entries";
  model.entries.push_back(std::move(entry));
  return success();
}

LogicalResult InterfaceReader::read() {
  auto entries = module->getAttrOfType<ArrayAttr>(kInterfaceAttr);
  if (!entries)
    return module.emitError() << "expected attribute " << kInterfaceAttr << ": continue from an earlier stage";
  if (entries.empty())
    return module.emitError() << "expected at least one public function with a body, got none";
  for (auto [i, entry] : llvm::enumerate(entries))
    if (failed(readEntry(entry, i)))
      return failure();
  for (const EntryInterface &entry : model.entries)
    if (entry.usesState & ATTN_STATE_READS_CROSS && !model.crossTokens)
      return error("entry '" + entry.name + "'") << "another entry that appends to the cross cache which this one reads";
  if (model.cache) { // bounded so that capacity × token bytes can be checked in 64 bits
    int64_t product = 64;
    for (int64_t size : {model.cache.getLayers(), model.cache.getKvHeads(),
                         model.cache.getHeadDim(), model.cache.getHeadDimV()})
      if (llvm::MulOverflow(product, size, product))
        return module.emitError() << "expected a cache that fits into memory, got " << model.cache;
  }
  if (Attribute attr = module->getAttr(kExternalsAttr)) {
    auto names = dyn_cast<ArrayAttr>(attr);
    if (!names || !llvm::all_of(names, llvm::IsaPred<StringAttr>))
      return module.emitError() << kExternalsAttr << ": expected an array of names, got " << attr;
    for (StringRef name : names.getAsValueRange<StringAttr>())
      model.externals.push_back(name.str());
  }
  model.metadata = module->getAttrOfType<DictionaryAttr>(attn::kMetadataAttr);
  model.weightsBytes = integerOf(module->getAttr(kWeightsBytesAttr)).value_or(0);
  return success();
}

FailureOr<ModelInterface> readInterface(ModuleOp module) {
  InterfaceReader reader{module, {}};
  if (failed(reader.read()))
    return failure();
  return std::move(reader.model);
}

//===----------------------------------------------------------------------===//
// Parameters
//===----------------------------------------------------------------------===//

/// One element of attn.parameters; false if it is malformed.
static bool readParameter(Attribute attr, Parameter &parameter) {
  auto dict = dyn_cast<DictionaryAttr>(attr);
  auto sources = dict ? dict.getAs<ArrayAttr>("source") : ArrayAttr();
  auto type = dict ? dict.getAs<TypeAttr>("type") : TypeAttr();
  std::optional<int64_t> offset = dict ? integerOf(dict.get("offset")) : std::nullopt;
  if (!sources || sources.empty() || !type || !offset || *offset < 64 || *offset % 64 != 0)
    return false;
  parameter.type = dyn_cast<RankedTensorType>(type.getValue());
  if (!parameter.type || !parameter.type.hasStaticShape() || !parameter.type.getElementType().isIntOrFloat() ||
      parameter.type.getElementTypeBitWidth() % 8 != 0)
    return false;
  parameter.offset = *offset;
  for (Attribute source : sources) {
    auto name = dyn_cast<StringAttr>(source);
    if (!name)
      return false;
    parameter.sources.push_back(name.str());
  }
  if (auto pack = dict.getAs<DictionaryAttr>("pack")) {
    auto kind = pack.getAs<StringAttr>("kind");
    auto transposed = pack.getAs<BoolAttr>("transposed");
    if (!kind || (kind != "panels" && kind != "plain"))
      return false;
    parameter.panels = kind == "panels";
    parameter.transposed = transposed && transposed.getValue();
    parameter.k = integerOf(pack.get("k")).value_or(0);
    parameter.n = integerOf(pack.get("n")).value_or(0);
    parameter.experts = integerOf(pack.get("experts")).value_or(0);
    parameter.stacked = pack.contains("stacked");
  }
  if (auto parts = dict.getAs<DenseI64ArrayAttr>("parts"))
    parameter.parts.assign(parts.asArrayRef().begin(), parts.asArrayRef().end());
  else if (parameter.sources.size() == 1)
    parameter.parts.push_back(parameter.n);
  ArrayRef<int64_t> shape = parameter.type.getShape();
  if (parameter.experts < 0 || (parameter.experts && (shape.size() < 2 || shape[0] != parameter.experts)) ||
      (parameter.stacked && !parameter.experts))
    return false;
  uint64_t stacks = parameter.stacked ? parameter.experts : 1;
  if (parameter.parts.empty() || parameter.sources.size() % parameter.parts.size() != 0 ||
      parameter.sources.size() / parameter.parts.size() != stacks)
    return false;
  if (!parameter.panels && !parameter.experts)
    return true;
  int64_t sum = 0;
  for (int64_t part : parameter.parts)
    if (part < 1 || llvm::AddOverflow(sum, part, sum))
      return false;
  shape = shape.drop_front(parameter.experts ? 1 : 0);
  if (!parameter.panels)
    return shape == ArrayRef(sum);
  Type element = parameter.type.getElementType();
  constexpr int64_t limit = int64_t(1) << 40; // so that rounding up does not overflow
  return parameter.k > 0 && parameter.k < limit && sum < limit && sum == parameter.n && (element.isF32() || element.isBF16() || element.isF16()) &&
         shape == ArrayRef(attn::packedShape(parameter.k, parameter.n, element));
}

FailureOr<std::vector<Parameter>> readParameters(ModuleOp module) {
  std::vector<Parameter> parameters;
  auto attrs = module->getAttrOfType<ArrayAttr>(kParametersAttr);
  if (!attrs || attrs.empty())
    return parameters;
  int64_t bytes = integerOf(module->getAttr(kWeightsBytesAttr)).value_or(0);
  for (Attribute attr : attrs)
    if (!readParameter(attr, parameters.emplace_back()))
      return module.emitError() << kParametersAttr << ": expected source, type, offset and pack that agree, got " << attr;
  llvm::sort(parameters, [](const Parameter &a, const Parameter &b) { return a.offset < b.offset; });
  int64_t end = sizeof(attn_weights_header);
  for (const Parameter &parameter : parameters) {
    int64_t size = parameter.type.getElementTypeBitWidth() / 8;
    for (int64_t dim : parameter.type.getShape())
      if (llvm::MulOverflow(size, dim, size))
        return module.emitError() << kParametersAttr << ": expected a size that fits into memory, got " << parameter.type;
    int64_t offset = parameter.offset;
    if (offset < end || size > bytes || offset > bytes - size)
      return module.emitError() << kParametersAttr << ": expected '" << parameter.sources[0] << "' between bytes " << end
                                << " and " << bytes << ", got offset " << parameter.offset << " and " << size
                                << " bytes";
    end = offset + size;
  }
  if (bytes - end >= 64) // no more than the last one's padding
    return module.emitError() << kWeightsBytesAttr << ": expected the last parameter's end, " << end
                              << ", rounded up to 64, got " << bytes;
  return parameters;
}

} // namespace attnc
