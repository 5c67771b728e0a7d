//===- Descriptor.cpp - The tables of a model file, as LLVM constants -----------------------------===//
// Field by field the structs of runtime/attn_abi.h and support/Descriptor.h: LLVM lays a literal struct out as C does.
#include "backends/cpu/Object.h"
#include "backends/cpu/support/Descriptor.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/Module.h"
#include "llvm/Linker/Linker.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Transforms/IPO/Internalize.h"

namespace attnc {
using namespace llvm;

/// support/*.c as bitcode, per architecture.
static const unsigned char supportX86[] = {
#include "backends/x86_64/Support.inc"
};
static const unsigned char supportAArch64[] = {
#include "backends/aarch64/Support.inc"
};
static const unsigned char supportRISCV[] = {
#include "backends/riscv64/Support.inc"
};
static const unsigned char supportWasm[] = {
#include "backends/wasm32/Support.inc"
};
static StringRef supportBitcode(StringRef arch) {
  return toStringRef(StringSwitch<ArrayRef<unsigned char>>(arch)
                         .Case("aarch64", supportAArch64)
                         .Case("riscv64", supportRISCV)
                         .Case("wasm32", supportWasm)
                         .Default(supportX86));
}

static Error fail(const Twine &message) {
  return createStringError(inconvertibleErrorCode(), "internal error: " + message);
}

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

namespace {
class TableBuilder {
public:
  explicit TableBuilder(Module &module) : module(module), context(module.getContext()) {}

  Constant *i32(uint64_t value) { return ConstantInt::get(Type::getInt32Ty(context), value); }
  Constant *i64(uint64_t value) { return ConstantInt::get(Type::getInt64Ty(context), value); }
  Constant *null() { return ConstantPointerNull::get(PointerType::get(context, 0)); }
  Constant *fields(ArrayRef<Constant *> values) { return ConstantStruct::getAnon(context, values); }

  Constant *constant(Constant *value, StringRef name) {
    auto *global = new GlobalVariable(module, value->getType(), true, GlobalValue::PrivateLinkage, value, name);
    global->setUnnamedAddr(GlobalValue::UnnamedAddr::Global);
    return global;
  }
  Constant *string(StringRef text) { return constant(ConstantDataArray::getString(context, text), "text"); }
  Constant *bytes(StringRef content) {
    return constant(ConstantDataArray::getString(context, content, /*AddNull=*/false), "bytes");
  }
  /// Pointer to an array of structs of one type, null if there are none.
  Constant *array(ArrayRef<Constant *> values, StringRef name) {
    if (values.empty())
      return null();
    return constant(ConstantArray::get(ArrayType::get(values[0]->getType(), values.size()), values), name);
  }
  /// A symbol that another object or the linker script defines.
  Constant *external(StringRef name, Type *type) {
    auto *global = new GlobalVariable(module, type, true, GlobalValue::ExternalLinkage, nullptr, name);
    global->setVisibility(GlobalValue::HiddenVisibility);
    global->setDSOLocal(true);
    return global;
  }

  Constant *dtype(mlir::Type type);
  Constant *tensor(const TensorInterface &tensor);
  Constant *entry(const EntryInterface &entry);

private:
  Module &module;
  LLVMContext &context;
};
} // namespace

/// DLDataType.
Constant *TableBuilder::dtype(mlir::Type type) {
  unsigned bits = type.getIntOrFloatBitWidth();
  unsigned code = kDLFloat;
  if (type.isBF16())
    code = kDLBfloat;
  else if (bits == 1)
    code = kDLBool;
  else if (auto integer = dyn_cast<mlir::IntegerType>(type))
    code = integer.isUnsigned() ? kDLUInt : kDLInt;
  Type *i8 = Type::getInt8Ty(context);
  return fields({ConstantInt::get(i8, code), ConstantInt::get(i8, bits == 1 ? 8 : bits),
                 ConstantInt::get(Type::getInt16Ty(context), 1)});
}

/// attn_tensor_info.
Constant *TableBuilder::tensor(const TensorInterface &tensor) {
  SmallVector<uint64_t> dims(ATTN_MAX_RANK, 0);
  llvm::copy(tensor.shape, dims.begin());
  unsigned flags = (tensor.optional ? ATTN_TENSOR_OPTIONAL : 0) | (tensor.strided ? ATTN_TENSOR_STRIDED : 0) |
                   (tensor.crossMask ? ATTN_TENSOR_CROSS_MASK : 0) | (tensor.int32 ? ATTN_TENSOR_INT32 : 0);
  return fields({string(tensor.name), dtype(tensor.elementType), i32(flags), i32(tensor.shape.size()), ConstantDataArray::get(context, dims)});
}

/// attn_entry.
Constant *TableBuilder::entry(const EntryInterface &entry) {
  SmallVector<Constant *> dims, in, out;
  for (const DimInterface &dim : entry.dims)
    dims.push_back(fields({string(dim.name), i64(dim.min), i64(dim.max)}));
  for (const TensorInterface &input : entry.inputs)
    in.push_back(tensor(input));
  for (const TensorInterface &output : entry.outputs)
    out.push_back(tensor(output));
  return fields({i32(sizeof(attn_entry)), string(entry.name), i32(dims.size()), i32(in.size()), i32(out.size()),
                 array(dims, "dims"), array(in, "in"), array(out, "out"), i32(entry.usesState)});
}

//===----------------------------------------------------------------------===//
// The library
//===----------------------------------------------------------------------===//

/// attn_library. Returns its address.
static Expected<Constant *> buildLibrary(Module &module, TableBuilder &table, const ModelInterface &model,
                                         const CodeOptions &options, ArrayRef<const TargetRow *> rows) {
  Expected<std::string> json = metadataJson(model, options, rows);
  if (!json)
    return json.takeError();
  SmallVector<Constant *> variants, entries;
  for (const TargetRow *row : rows)
    variants.push_back(table.fields({table.string(row->name)}));
  for (const EntryInterface &entry : model.entries)
    entries.push_back(table.entry(entry));
  bool inside = model.weightsBytes && options.weightsFile.empty();
  SmallVector<Constant *> fields = {
      table.i32(sizeof(attn_library)),
      table.i32(ATTN_ABI_VERSION),
      table.string(options.modelName),
      table.string(options.buildId),
      table.string(*json),
      table.i32(variants.size()),
      table.i32(entries.size()),
      table.array(variants, "variants"),
      table.array(entries, "entries"),
      table.i64(model.weightsBytes),
      inside ? table.external("attn_weights", Type::getInt8Ty(module.getContext())) : table.null(),
      model.weightsBytes && !inside ? table.string(options.weightsFile) : table.null()};
  for (const char *name : {"open", "close", "variant", "infer_dims", "workspace_bytes", "state_bytes", "state_init",
                           "state_attach", "state_op", "run", "pool_bytes", "pool_init", "pool_map", "call_workspace_bytes"}) {
    Function *function = module.getFunction(("attn_library_" + Twine(name)).str());
    if (!function || function->isDeclaration())
      return fail("the support code lacks attn_library_" + Twine(name));
    fields.push_back(function);
  }
  SmallVector<Constant *> files;
  for (const EmbeddedFile &file : options.files)
    files.push_back(table.fields({table.string(file.name), table.bytes(file.content), table.i64(file.content.size())}));
  fields.append({table.i32(files.size()), table.array(files, "files")});
  return table.constant(table.fields(fields), "attn.library");
}

Expected<std::unique_ptr<Module>> buildLibraryModule(const ModelInterface &model, const CodeOptions &options,
                                                     ArrayRef<const TargetRow *> rows, StringRef deviceCode,
                                                     LLVMContext &context) {
  Expected<std::unique_ptr<Module>> parsed =
      parseBitcodeFile(MemoryBufferRef(supportBitcode(rows[0]->arch), "support"), context);
  if (!parsed)
    return parsed.takeError();
  std::unique_ptr<Module> module = std::move(*parsed);
  SmallVector<std::string> shared(std::begin(kMemoryFunctions), std::end(kMemoryFunctions));
  llvm::append_range(shared, ArrayRef<StringRef>{"attn_dispatch", "attn_fail", "attn_external", "attn_query"});
  if (!deviceCode.empty()) {
    Expected<std::unique_ptr<Module>> device = parseBitcodeFile(MemoryBufferRef(deviceCode, "device"), context);
    if (!device)
      return device.takeError();
    for (const GlobalValue &global : (*device)->global_values())
      if (!global.isDeclaration() && !global.hasLocalLinkage())
        shared.push_back(global.getName().str());
    if (Linker::linkModules(*module, std::move(*device)))
      return fail("the support code and the device's do not fit together");
  }
  StringSet<> fromHost; // what an archive leaves to the program that it is linked into
  for (const GlobalValue &global : module->global_values())
    if (global.isDeclaration() && global.getName() != "attn_descriptor")
      fromHost.insert(global.getName());
  fromHost.insert_range(kMemoryFunctions);

  TableBuilder table(*module);
  Expected<Constant *> library = buildLibrary(*module, table, model, options, rows);
  if (!library)
    return library.takeError();

  SmallVector<Constant *> variants; // attn_variant_code
  for (auto [i, row] : enumerate(rows))
    variants.push_back(table.fields({table.i32(row->needs), table.i32(0),
                                     table.external(codeTableName(i), Type::getInt8Ty(context))}));
  SmallVector<Constant *> externals;
  for (const std::string &name : model.externals)
    externals.push_back(table.string(name));
  Constant *descriptor =
      table.fields({*library, table.array(variants, "codes"), table.i64(model.tokenBytes()), table.i32(model.ringTokens()),
                    table.i32(model.window), table.i32(model.sinks), table.i32(model.elementBytes()),
                    table.i32(model.crossTokens), table.array(externals, "externals"), table.i64(externals.size())});
  GlobalVariable *declared = module->getGlobalVariable("attn_descriptor");
  if (!declared)
    return fail("the support code lacks attn_descriptor");
  declared->replaceAllUsesWith(table.constant(descriptor, "attn.descriptor"));
  declared->eraseFromParent();

  Function *query = module->getFunction("attn_query");
  if (!query)
    return fail("the support code lacks attn_query");
  bool archive = !options.symbolPrefix.empty();
  if (archive) // the host's libc has them
    for (StringRef name : kMemoryFunctions)
      if (Function *function = module->getFunction(name)) {
        function->deleteBody();
        function->setVisibility(GlobalValue::DefaultVisibility);
        function->setDSOLocal(false);
      }
  internalizeModule(*module, [&](const GlobalValue &global) { return is_contained(shared, global.getName()); });
  for (GlobalValue &global : module->global_values())
    if (archive && !global.hasLocalLinkage() && !fromHost.contains(global.getName()) &&
        !global.getName().starts_with("llvm."))
      global.setName(options.symbolPrefix + (&global == query ? "_" : ".") + global.getName());
  return module;
}

} // namespace attnc
