//===- Frontend.cpp - The table of families, and the weights of a module ------------------===//
#include "frontend/Frontend.h"

#include "dialect/AttnDialect.h"
#include "frontend/Import.h"
#include "frontend/SentenceTransformer.h"
#include "frontend/families/Families.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using llvm::ArrayRef;
using llvm::StringRef;
using namespace mlir;

namespace attnc {

static std::vector<Family> &table() {
  static std::vector<Family> table = {
      {"bloom", "decoder", "ALiBi, norm of embeddings, residuals before or after norms", importBloom},
      {"gemma", "decoder", "norms times 1 + weight, scaled embeddings", importGemma},
      {"gemma2", "decoder", "Gemma, norms after each part, soft caps of scores and logits, alternating windows", importGemma2},
      {"gemma3_text", "decoder", "Gemma 2, norms of queries and keys, a rotary base of their own for windows", importGemma3},
      {"gpt2", "decoder", "learned positions, scores scaled by layer, tied or own head, any activation", importGPT2},
      {"gpt_neox", "decoder", "partial rotary, attention and MLP in parallel or in turn", importGPTNeoX},
      {"gpt_oss", "decoder", "Llama with biases, learned sinks, alternating windows, yarn, a mixture of experts with a clamped gate", importGptOss},
      {"llama", "decoder", "RMS norm, grouped queries, gated MLP; rotary: default, linear, dynamic, yarn, longrope, llama3", importLlama},
      {"mistral", "decoder", "Llama with a window", importMistral},
      {"mixtral", "decoder", "Mistral with a mixture of experts", importMixtral},
      {"opt", "decoder", "positions that do not count padding, norms before or after, embeddings of another width", importOPT},
      {"phi3", "decoder", "Llama with one tensor for queries, keys and values and one for gate and up, partial rotary, longrope", importPhi3},
      {"qwen2", "decoder", "Llama with biases of queries, keys and values, windows in some layers", importQwen2},
      {"qwen3", "decoder", "Llama with norms of queries and keys", importQwen3},
      {"bert", "encoder", "post-norm, learned positions, token types; with or without pooler, names of the first checkpoints", importBert},
      {"distilbert", "encoder", "BERT without token types", importDistilBert},
      {"modernbert", "encoder", "pre-norm, rotary positions, gated MLP, windows and a rotary base of their own in most layers, biases or none", importModernBert},
      {"mpnet", "encoder", "BERT without token types, with relative biases, positions that skip padding", importMPNet},
      {"roberta", "encoder", "BERT with positions that skip padding", importRoberta},
      {"xlm-roberta", "encoder", "RoBERTa", importXLMRoberta},
      {"bart", "encoder–decoder", "post-norm, learned positions, normed embeddings", importBart},
      {"marian", "encoder–decoder", "post-norm, sinusoidal positions, vocabularies of their own", importMarian},
      {"pegasus", "encoder–decoder", "pre-norm, sinusoidal positions", importPegasus},
      {"t5", "encoder–decoder", "RMS norm, buckets of relative positions, unscaled scores, plain or gated MLP", importT5},
  };
  return table;
}

ArrayRef<Family> families() { return table(); }
void registerFamily(const Family &family) { table().push_back(family); }

/// The directory's base name as an identifier, "model" if it has none.
static std::string moduleName(StringRef directory) {
  llvm::SmallString<128> path(directory);
  (void)llvm::sys::fs::make_absolute(path);
  llvm::sys::path::remove_dots(path, /*remove_dot_dot=*/true);
  std::string name;
  for (char c : llvm::sys::path::filename(path))
    name += llvm::isAlnum(c) ? c : '_';
  if (StringRef(name).trim('_').empty())
    return "model";
  return llvm::isDigit(name[0]) ? "_" + name : name;
}

/// The family that `config` names; an error also where the weights cannot be read whatever the family.
static llvm::Expected<const Family *> familyOf(Config &config) {
  StringRef type = config.string("model_type");
  const Family *family = llvm::find_if(families(), [&](const Family &row) { return row.modelType == type; });
  if (!type.empty() && family == families().end()) {
    std::string known;
    for (const Family &row : families())
      known += (known.empty() ? "" : ", ") + row.modelType.str();
    config.problem("expected 'model_type' to be one of " + known + ", got " + quoted(type));
  }
  if (const llvm::json::Value *quantized = config.find("quantization_config")) {
    const llvm::json::Object *scheme = quantized->getAsObject();
    config.problem("expected weights that are not quantised, got 'quantization_config' with 'quant_method' " +
                   quoted(scheme ? scheme->getString("quant_method").value_or("unknown") : "unknown"));
  }
  if (llvm::Error error = config.takeProblems())
    return std::move(error);
  return family;
}

llvm::Expected<OwningOpRef<ModuleOp>> importModel(MLIRContext *context, StringRef directory, Config config,
                                                  WeightSet weights, const ImportOptions &options) {
  llvm::Expected<const Family *> family = familyOf(config);
  if (!family)
    return family.takeError();
  context->loadDialect<attn::AttnDialect, arith::ArithDialect, func::FuncDialect, ml_program::MLProgramDialect,
                       tensor::TensorDialect>();
  Builder builder(context);
  OwningOpRef<ModuleOp> module = ModuleOp::create(builder.getUnknownLoc(), moduleName(directory));
  (*module)->setAttr(attn::kWeightsAttr,
                     builder.getStrArrayAttr(llvm::map_to_vector(
                         weights.files(), [](const std::string &file) { return StringRef(file); })));
  ImportContext import{context, directory.str(), options, std::move(config), std::move(weights), std::move(module)};
  if (llvm::Error error = (*family)->import(import))
    return std::move(error);
  return std::move(import.module);
}

llvm::Expected<OwningOpRef<ModuleOp>> importDirectory(MLIRContext *context, StringRef directory,
                                                      const ImportOptions &options) {
  if (!llvm::sys::fs::is_directory(directory))
    return fail(directory + ": expected a model directory");
  llvm::Expected<std::string> folder = transformerFolder(directory);
  if (!folder)
    return folder.takeError();
  llvm::SmallString<128> path(directory);
  if (!folder->empty())
    llvm::sys::path::append(path, *folder);
  llvm::sys::path::append(path, "config.json");
  llvm::Expected<Config> config = Config::read(path);
  if (!config)
    return config.takeError();
  if (auto family = familyOf(*config); !family) // before large files are looked at
    return family.takeError();
  llvm::Expected<WeightSet> weights = WeightSet::openDirectory(directory, *folder);
  if (!weights)
    return weights.takeError();
  return importModel(context, directory, std::move(*config), std::move(*weights), options);
}

//===----------------------------------------------------------------------===//
// Weights of a module
//===----------------------------------------------------------------------===//

namespace {
// Attributes that attn-pack-weights leaves on a parameter; see docs of that pass.
constexpr StringRef kSource = "attn.source", kPack = "attn.pack", kParts = "attn.pack.parts";

/// A tensor of the checkpoint that a parameter is made of.
struct Source {
  StringRef name;
  llvm::SmallVector<int64_t> shape;
};

/// What a parameter is made of; empty after noting a problem.
llvm::SmallVector<Source> sourcesOf(ml_program::GlobalOp global, Problems &problems) {
  std::string where = "parameter @" + global.getSymName().str() + ": ";
  auto type = dyn_cast<RankedTensorType>(global.getType());
  if (!type || !type.hasStaticShape()) {
    problems.add(where + "expected a tensor type with static shape");
    return {};
  }
  llvm::SmallVector<Source> sources;
  if (Attribute attribute = global->getAttr(kSource)) {
    auto names = dyn_cast<ArrayAttr>(attribute);
    if (!names || names.empty() || !llvm::all_of(names, [](Attribute name) { return isa<StringAttr>(name); })) {
      problems.add(where + "expected '" + kSource + "' to be an array of tensor names");
      return {};
    }
    for (StringRef name : names.getAsValueRange<StringAttr>())
      sources.push_back({name, {}});
  } else {
    sources.push_back({global.getSymName(), {}});
  }

  auto pack = global->getAttrOfType<DictionaryAttr>(kPack);
  auto kind = pack ? pack.getAs<StringAttr>("kind") : StringAttr();
  bool panels = kind && kind.getValue() == "panels";
  auto k = pack ? pack.getAs<IntegerAttr>("k") : IntegerAttr(), n = pack ? pack.getAs<IntegerAttr>("n") : IntegerAttr();
  auto transposed = pack ? pack.getAs<BoolAttr>("transposed") : BoolAttr();
  auto experts = pack ? pack.getAs<IntegerAttr>("experts") : IntegerAttr();
  bool stacked = experts && pack.contains("stacked"); // every expert has sources of its own
  uint64_t stacks = stacked ? experts.getInt() : 1;
  llvm::ArrayRef<int64_t> shape = type.getShape(); // of one expert
  if (experts && !shape.empty())
    shape = shape.drop_front();
  llvm::SmallVector<int64_t> parts;
  if (auto array = global->getAttrOfType<DenseI64ArrayAttr>(kParts))
    llvm::append_range(parts, array.asArrayRef());
  else if (panels && n)
    parts.push_back(n.getInt());
  if (panels && (!k || !n)) {
    problems.add(where + "expected 'k' and 'n' in '" + kPack + "'");
    return {};
  }
  if (parts.empty()) // stored as it is
    parts.assign(1, 0);
  else if (!panels && shape.size() != 1) {
    problems.add(where + "expected one source for a parameter of rank " + llvm::Twine(type.getRank()));
    return {};
  }
  if (parts.size() * stacks != sources.size()) {
    problems.add(where + "expected " + llvm::Twine(parts.size() * stacks) + " sources, got " + llvm::Twine(sources.size()));
    return {};
  }
  for (auto [i, source] : llvm::enumerate(sources)) {
    int64_t part = parts[i % parts.size()];
    if (panels && transposed && transposed.getValue())
      source.shape = {part, k.getInt()};
    else if (panels)
      source.shape = {k.getInt(), part};
    else if (part)
      source.shape = {part};
    else
      source.shape.assign(shape.begin(), shape.end());
    if (experts && !stacked)
      source.shape.insert(source.shape.begin(), experts.getInt());
  }
  return sources;
}
} // namespace

llvm::Expected<WeightSet> openWeights(ModuleOp module, StringRef moduleDirectory) {
  llvm::SmallVector<ml_program::GlobalOp> parameters;
  for (auto global : module.getOps<ml_program::GlobalOp>())
    if (isa_and_nonnull<ml_program::ExternAttr>(global.getValueAttr()))
      parameters.push_back(global);

  Attribute attribute = module->getAttr(attn::kWeightsAttr);
  auto files = dyn_cast_or_null<ArrayAttr>(attribute);
  if ((attribute && !files) || (!attribute && !parameters.empty()) ||
      (files && !llvm::all_of(files, [](Attribute file) { return isa<StringAttr>(file); })))
    return fail("expected the module attribute 'attn.weights' to be an array of safetensors files");
  std::vector<std::string> paths;
  if (files)
    for (StringRef file : files.getAsValueRange<StringAttr>()) {
      llvm::SmallString<128> path(moduleDirectory);
      if (llvm::sys::path::is_absolute(file))
        path = file;
      else
        llvm::sys::path::append(path, file);
      paths.push_back(path.str().str());
    }
  llvm::Expected<WeightSet> weights = WeightSet::openFiles(paths);
  if (!weights)
    return weights.takeError();

  Problems problems;
  for (ml_program::GlobalOp parameter : parameters)
    for (const Source &source : sourcesOf(parameter, problems)) {
      std::optional<TensorView> tensor = weights->find(source.name);
      std::string where = "parameter @" + parameter.getSymName().str() + ": expected tensor " + quoted(source.name);
      if (!tensor)
        problems.add(where + " of shape " + shapeText(source.shape) + ", got no such tensor");
      else if (ArrayRef<int64_t>(tensor->shape) != ArrayRef<int64_t>(source.shape))
        problems.add(where + " of shape " + shapeText(source.shape) + ", got " + shapeText(tensor->shape) + " in " +
                     tensor->file);
      else if (!isFloat(tensor->dtype))
        problems.add(where + " of type F64, F32, F16 or BF16, got " + quoted(tensor->dtypeName));
    }
  if (llvm::Error error = problems.take("weights"))
    return std::move(error);
  return weights;
}

std::vector<StringRef> unusedTensors(ModuleOp module, const WeightSet &weights) {
  std::vector<StringRef> unused = weights.tensorNames();
  llvm::StringSet<> used;
  Problems problems; // openWeights reports them
  for (auto parameter : module.getOps<ml_program::GlobalOp>())
    if (isa_and_nonnull<ml_program::ExternAttr>(parameter.getValueAttr()))
      for (const Source &source : sourcesOf(parameter, problems)) {
        used.insert(source.name);
        used.insert(source.name.take_front(source.name.rfind('['))); // of a view
      }
  llvm::erase_if(unused, [&](StringRef name) { return used.contains(name); });
  return unused;
}

} // namespace attnc
