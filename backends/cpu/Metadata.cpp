//===- Metadata.cpp - A model's metadata as JSON -----------------------------------------------------===//
#include "backends/cpu/Object.h"
#include "backends/cpu/support/Descriptor.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/Support/JSON.h"

#include <cmath>

namespace attnc {
using namespace mlir;

/// Levels of attn.metadata that are written; readers bound theirs, too.
static constexpr unsigned kMaxDepth = 32;

static llvm::Error writeAttribute(llvm::json::OStream &json, Attribute attr, unsigned depth) {
  auto bad = [&](const llvm::Twine &what) {
    return llvm::createStringError(llvm::inconvertibleErrorCode(), llvm::Twine(attn::kMetadataAttr) + ": " + what);
  };
  if (depth > kMaxDepth)
    return bad("expected at most " + llvm::Twine(kMaxDepth) + " levels");
  llvm::Error error = llvm::Error::success();
  auto list = [&](auto &&elements) {
    json.array([&] {
      for (auto element : elements)
        if (!error)
          error = writeAttribute(json, element, depth + 1);
    });
  };
  if (auto value = dyn_cast<StringAttr>(attr)) {
    json.value(llvm::json::fixUTF8(value.getValue()));
  } else if (auto value = dyn_cast<BoolAttr>(attr)) {
    json.value(value.getValue());
  } else if (auto value = dyn_cast<IntegerAttr>(attr); value && value.getValue().getSignificantBits() <= 64) {
    json.value(value.getValue().getSExtValue());
  } else if (auto value = dyn_cast<FloatAttr>(attr)) {
    double number = value.getValueAsDouble();
    if (!std::isfinite(number))
      return bad("expected finite numbers");
    json.value(number);
  } else if (isa<UnitAttr>(attr)) {
    json.value(true);
  } else if (auto value = dyn_cast<ArrayAttr>(attr)) {
    list(value);
  } else if (auto value = dyn_cast<DenseI64ArrayAttr>(attr)) {
    json.array([&] {
      for (int64_t element : value.asArrayRef())
        json.value(element);
    });
  } else if (auto value = dyn_cast<DenseI32ArrayAttr>(attr)) {
    json.array([&] {
      for (int32_t element : value.asArrayRef())
        json.value(element);
    });
  } else if (auto value = dyn_cast<DictionaryAttr>(attr)) {
    json.object([&] {
      for (NamedAttribute field : value) // sorted by name
        if (!error) {
          json.attributeBegin(llvm::json::fixUTF8(field.getName()));
          error = writeAttribute(json, field.getValue(), depth + 1);
          if (error)
            json.value(nullptr);
          json.attributeEnd();
        }
    });
  } else {
    return bad("expected strings, numbers, booleans, arrays and dictionaries");
  }
  return error;
}

static std::string dtypeText(Type type) {
  unsigned bits = type.getIntOrFloatBitWidth();
  if (bits == 1)
    return "bool";
  if (type.isBF16())
    return "bfloat16";
  auto integer = dyn_cast<IntegerType>(type);
  return (integer ? integer.isUnsigned() ? "uint" : "int" : "float") + std::to_string(bits);
}

static void writeTensors(llvm::json::OStream &json, llvm::StringRef key, const EntryInterface &entry,
                         llvm::ArrayRef<TensorInterface> tensors) {
  json.attributeArray(key, [&] {
    for (const TensorInterface &tensor : tensors)
      json.object([&] {
        json.attribute("name", llvm::json::fixUTF8(tensor.name));
        json.attribute("dtype", dtypeText(tensor.elementType));
        json.attributeArray("shape", [&] {
          for (int64_t size : tensor.shape)
            size >= 0 ? json.value(size) : json.value(llvm::json::fixUTF8(entry.dims[-1 - size].name));
        });
        if (tensor.optional)
          json.attribute("optional", true);
        if (tensor.strided)
          json.attribute("strided", true);
        if (tensor.int32)
          json.attribute("int32", true);
        if (tensor.crossMask)
          json.attribute("cross_mask", true);
      });
  });
}

llvm::Expected<std::string> metadataJson(const ModelInterface &model, const CodeOptions &options,
                                         llvm::ArrayRef<const TargetRow *> rows) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  llvm::json::OStream json(stream);
  llvm::Error error = llvm::Error::success();
  llvm::StringSet<> own = {"name", "build", "entries", "externals"};
  json.object([&] {
    json.attribute("name", llvm::json::fixUTF8(options.modelName));
    if (model.metadata)
      for (NamedAttribute field : model.metadata)
        if (!error && !own.contains(field.getName())) {
          json.attributeBegin(llvm::json::fixUTF8(field.getName()));
          error = writeAttribute(json, field.getValue(), 1);
          if (error)
            json.value(nullptr);
          json.attributeEnd();
        }
    json.attributeArray("entries", [&] {
      for (const EntryInterface &entry : model.entries)
        json.object([&] {
          json.attribute("name", llvm::json::fixUTF8(entry.name));
          json.attributeArray("dims", [&] {
            for (const DimInterface &dim : entry.dims)
              json.object([&] {
                json.attribute("name", llvm::json::fixUTF8(dim.name));
                json.attribute("min", dim.min);
                json.attribute("max", dim.max);
              });
          });
          writeTensors(json, "inputs", entry, entry.inputs);
          writeTensors(json, "outputs", entry, entry.outputs);
          json.attribute("uses_state", entry.usesState != 0);
          if (entry.usesState & ATTN_STATE_READS_CROSS)
            json.attribute("reads_cross", true);
          if (entry.usesState & ATTN_STATE_FILLS_CROSS)
            json.attribute("fills_cross", true);
        });
    });
    if (!model.externals.empty()) // functions that the host must resolve
      json.attributeArray("externals", [&] {
        for (const std::string &name : model.externals)
          json.value(llvm::json::fixUTF8(name));
      });
    json.attributeObject("build", [&] {
      json.attribute("compiler", compilerVersion());
      json.attribute("id", options.buildId);
      json.attributeArray("targets", [&] {
        for (const TargetRow *row : rows)
          json.value(row->name);
      });
      json.attribute("weights", !model.weightsBytes ? "none" : options.weightsFile.empty() ? "inside" : "beside");
      json.attribute("weights_bytes", (int64_t)model.weightsBytes);
      json.attribute("cache_bytes_per_token", (int64_t)model.tokenBytes());
      json.attribute("cache_ring_tokens", (int64_t)model.ringTokens()); // 0: all tokens are kept
      if (model.crossTokens)
        json.attribute("cross_tokens", model.crossTokens); // that a slot holds; no bound: 2147483647
      json.attribute("debug", options.debug);
      json.attribute("sanitize_address", options.sanitizeAddress);
    });
  });
  if (error)
    return std::move(error);
  return text;
}

} // namespace attnc
