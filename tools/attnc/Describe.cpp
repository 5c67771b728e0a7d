//===- Describe.cpp - What a model directory holds, without compiling it --------------------------------===//
#include "Describe.h"

#include "dialect/AttnDialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"

#include <map>

using llvm::StringRef;
using namespace mlir;

namespace attnc {

void listModels(llvm::raw_ostream &out) {
  out << "| model_type | kind | particular |\n| --- | --- | --- |\n";
  for (const Family &family : families())
    out << "| `" << family.modelType << "` | " << family.kind << " | " << family.particular << " |\n";
}

/// "1.5 MiB".
static std::string memory(double bytes) {
  const char *units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  unsigned unit = 0;
  for (; bytes >= 1024 && unit < 4; ++unit)
    bytes /= 1024;
  return llvm::formatv(unit ? "{0:f1} {1}" : "{0:f0} {1}", bytes, units[unit]).str();
}

static void row(llvm::raw_ostream &out, StringRef name, const llvm::Twine &text) {
  out << "  " << llvm::left_justify(name, 14) << text << "\n";
}

/// "forward(input_ids, [attention_mask], cache) -> logits".
static std::string signature(func::FuncOp entry) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << entry.getName() << "(";
  llvm::interleaveComma(llvm::seq(entry.getNumArguments()), os, [&](unsigned i) {
    auto name = entry.getArgAttrOfType<StringAttr>(i, attn::kNameAttr);
    bool optional = entry.getArgAttr(i, attn::kOptionalAttr) != nullptr;
    os << (optional ? "[" : "") << (name ? name.getValue() : "cache") << (optional ? "]" : "");
  });
  os << ") -> ";
  llvm::interleaveComma(llvm::seq(entry.getNumResults()), os, [&](unsigned i) {
    auto name = entry.getResultAttrOfType<StringAttr>(i, attn::kNameAttr);
    os << (name ? name.getValue() : "");
  });
  return text;
}

/// Parameters by stored type.
static void printParameters(llvm::raw_ostream &out, ModuleOp module) {
  int64_t tensors = 0, elements = 0;
  double bytes = 0;
  std::map<std::string, int64_t> types;
  for (auto global : module.getOps<ml_program::GlobalOp>()) {
    auto type = cast<RankedTensorType>(global.getType());
    ++tensors;
    elements += type.getNumElements();
    bytes += double(type.getNumElements()) * type.getElementTypeBitWidth() / 8;
    std::string name;
    llvm::raw_string_ostream(name) << type.getElementType();
    types[name] += type.getNumElements();
  }
  std::string text;
  for (auto &[name, count] : types)
    text += (text.empty() ? "" : ", ") + name;
  row(out, "parameters", llvm::formatv("{0:n} in {1} tensors of {2}", elements, tensors, text).str());
  row(out, "weights", memory(bytes));
}

static void printCache(llvm::raw_ostream &out, ModuleOp module, int64_t context) {
  for (auto entry : module.getOps<func::FuncOp>())
    for (Type type : entry.getArgumentTypes())
      if (auto cache = dyn_cast<attn::CacheType>(type); cache && entry.isPublic()) {
        double token = double(cache.getLayers()) * cache.getKvHeads() *
                       (cache.getHeadDim() + llvm::alignTo(cache.getHeadDimV(), attn::kPanel)) *
                       cache.getElementType().getIntOrFloatBitWidth() / 8;
        row(out, "cache", memory(token) + " per token, " + memory(token * context) + " per sequence of " +
                              llvm::Twine(context) + " tokens");
        return;
      }
}

llvm::Error describe(const Options &options, llvm::raw_ostream &out) {
  if (!llvm::sys::fs::is_directory(options.input))
    return llvm::createStringError("--describe: expected a model directory, got '" + options.input + "'");
  MLIRContext context;
  auto module = importDirectory(&context, options.input, ImportOptions{options.dtype, options.cache});
  if (!module)
    return module.takeError();
  auto metadata = (*module)->getOperation()->getAttrOfType<DictionaryAttr>(attn::kMetadataAttr);
  auto number = [&](StringRef key) {
    auto value = metadata.getAs<IntegerAttr>(key);
    return value ? value.getInt() : 0;
  };
  StringRef type = metadata.getAs<StringAttr>("model_type").getValue();
  out << options.input << ": " << type;
  for (const Family &family : families())
    if (family.modelType == type)
      out << ", " << family.kind << ": " << family.particular;
  out << "\n";
  row(out, "sizes", llvm::formatv("{0} layers, {1} wide, {2} heads, {3:n} tokens in the vocabulary, context {4:n}",
                                  number("n_layer"), number("n_embd"), number("n_head"), number("vocab_size"),
                                  number("context")).str());
  printParameters(out, **module);
  printCache(out, **module, number("context"));
  StringRef name = "entries";
  for (auto entry : (*module)->getOps<func::FuncOp>())
    if (entry.isPublic()) {
      row(out, name, signature(entry));
      name = "";
    }
  llvm::Expected<WeightSet> weights = openWeights(**module, options.input);
  if (!weights)
    return weights.takeError();
  std::vector<StringRef> unused = unusedTensors(**module, *weights);
  if (!unused.empty())
    row(out, "not used", llvm::join(unused, ", "));
  return llvm::Error::success();
}

} // namespace attnc
