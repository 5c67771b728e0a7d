//===- Header.cpp - The C header written beside a model -------------------------------------------------===//
#include "backends/Header.h"
#include "backends/cpu/support/Descriptor.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/raw_ostream.h"

namespace attnc {

/// Letters, digits and underscores, not starting with a digit.
static std::string identifier(llvm::StringRef text) {
  std::string result;
  for (char c : text)
    result += llvm::isAlnum(c) ? c : '_';
  return result.empty() || llvm::isDigit(result[0]) ? "_" + result : result;
}

static std::string macro(llvm::StringRef text) { return llvm::StringRef(identifier(text)).upper(); }

/// Text of the model inside a comment: nothing that ends or opens one, or continues a line.
static std::string quoted(llvm::StringRef text) {
  std::string result;
  for (char c : text)
    result += llvm::isPrint(c) && c != '*' && c != '/' && c != '\\' && c != '"' ? c : '?';
  return result;
}

static std::string dtypeText(mlir::Type type) {
  unsigned bits = type.getIntOrFloatBitWidth();
  if (bits == 1)
    return "bool";
  auto integer = llvm::dyn_cast<mlir::IntegerType>(type);
  return (type.isBF16() ? "bfloat" : integer ? integer.isUnsigned() ? "uint" : "int" : "float") + std::to_string(bits);
}

/// A DLDataType as a C literal.
static std::string dtypeLiteral(mlir::Type type) {
  unsigned bits = type.getIntOrFloatBitWidth();
  auto integer = llvm::dyn_cast<mlir::IntegerType>(type);
  std::string code = bits == 1        ? "kDLBool"
                     : type.isBF16()  ? "kDLBfloat"
                     : !integer       ? "kDLFloat"
                     : integer.isUnsigned() ? "kDLUInt"
                                            : "kDLInt";
  return "(DLDataType){" + code + ", " + std::to_string(bits == 1 ? 8 : bits) + ", 1}";
}

namespace {
struct HeaderWriter {
  const ModelInterface &model;
  const CodeOptions &options;
  llvm::StringRef fileName;
  std::string text = {};
  llvm::raw_string_ostream out{text};
  std::vector<std::string> entryMacros = {};

  void writeEntry(unsigned number);
  void writeExample();
  void exampleTensor(llvm::StringRef variable, const EntryInterface &entry, const TensorInterface &tensor);
  int64_t exampleSize(const EntryInterface &entry, int64_t size);
};
} // namespace

void HeaderWriter::writeEntry(unsigned number) {
  const EntryInterface &entry = model.entries[number];
  out << "\n/* " << quoted(entry.name) << "(";
  auto write = [&](const TensorInterface &tensor, bool first) {
    out << (first ? "" : ", ") << quoted(tensor.name) << ": " << dtypeText(tensor.elementType) << " [";
    for (auto [i, size] : llvm::enumerate(tensor.shape)) {
      out << (i ? ", " : "");
      if (size >= 0)
        out << size;
      else
        out << quoted(entry.dims[-1 - size].name);
    }
    out << "]" << (tensor.int32 ? " or int32" : "") << (tensor.optional ? " optional" : "");
  };
  for (const TensorInterface &input : entry.inputs)
    write(input, &input == &entry.inputs.front());
  out << ") -> (";
  for (const TensorInterface &output : entry.outputs)
    write(output, &output == &entry.outputs.front());
  out << ")" << (!entry.usesState ? "" : entry.usesState & ATTN_STATE_FILLS_CROSS ? ", fills the cross part of a state" : ", needs a state") << " */\n";
  out << "#define " << entryMacros[number] << " " << number << "\n";
  llvm::StringSet<> names;
  for (const DimInterface &dim : entry.dims) {
    std::string prefix = entryMacros[number] + "_" + macro(dim.name);
    if (!names.insert(prefix).second)
      continue; // two names that differ only in signs C does not know
    out << "#define " << prefix << "_MIN " << dim.min << "\n#define " << prefix << "_MAX " << dim.max << "\n";
  }
}

/// A small legal size.
int64_t HeaderWriter::exampleSize(const EntryInterface &entry, int64_t size) {
  if (size >= 0)
    return size;
  const DimInterface &dim = entry.dims[-1 - size];
  return std::clamp<int64_t>(dim.name == "batch" ? 1 : 8, dim.min, dim.max);
}

void HeaderWriter::exampleTensor(llvm::StringRef variable, const EntryInterface &entry, const TensorInterface &tensor) {
  out << " *   attn_array *" << variable << " = NULL; // " << quoted(tensor.name) << "\n"
      << " *   const int64_t " << variable << "_shape[] = {";
  for (auto [i, size] : llvm::enumerate(tensor.shape))
    out << (i ? ", " : "") << exampleSize(entry, size);
  out << (tensor.shape.empty() ? "1" : "") << "};\n"
      << " *   check(attn_array_create(NULL, " << dtypeLiteral(tensor.elementType) << ", " << tensor.shape.size() << ", "
      << variable << "_shape, &" << variable << ", &error), &error);\n";
}

void HeaderWriter::writeExample() {
  bool archive = !options.symbolPrefix.empty();
  const EntryInterface &entry = model.entries[0];
  out << R"(
/* Example:
 * #include "attn_runtime.h"
 * #include ")" << quoted(llvm::StringRef(fileName).rsplit('.').first) << R"(.h"
 * #include <stdio.h>
 * #include <stdlib.h>
 *
 * static void check(int32_t status, const attn_error *error) {
 *   if (status != ATTN_OK) {
 *     fprintf(stderr, "%s\n", error->text);
 *     exit(1);
 *   }
 * }
 *
 * int main(void) {
 *   attn_error error = {.size = sizeof error};
 *   attn_runtime *runtime;
 *   attn_file *file;
 *   attn_model *model;
 *   attn_session *session;
 *   check(attn_runtime_create(NULL, &runtime, &error), &error);
 *   const attn_host *host = attn_runtime_host(runtime);
)";
  if (archive)
    out << " *   check(attn_file_link(" << options.symbolPrefix << "_attn_query, \"./" << quoted(fileName)
        << "\", &file, &error), &error);\n";
  else
    out << " *   check(attn_file_load(\"./" << quoted(fileName) << "\", &file, &error), &error);\n";
  out << R"( *   const attn_library *library = attn_file_library(file);
 *   check(attn_file_open(file, host, NULL, &model, &error), &error);
 *   check(attn_session_create(library, model, host, &session, &error), &error);
)";
  std::string in, outs;
  for (auto [i, input] : llvm::enumerate(entry.inputs)) {
    std::string variable = "in" + std::to_string(i);
    in += i ? ", " : "";
    if (input.optional) {
      in += "NULL";
      continue;
    }
    in += "&" + variable + "->tensor";
    exampleTensor(variable, entry, input);
  }
  for (auto [i, output] : llvm::enumerate(entry.outputs)) {
    std::string variable = "out" + std::to_string(i);
    outs += (i ? ", &" : "&") + variable + "->tensor";
    exampleTensor(variable, entry, output);
  }
  out << " *   const DLTensor *in[] = {" << (in.empty() ? "NULL" : in) << "};\n"
      << " *   DLTensor *out[] = {" << (outs.empty() ? "NULL" : outs) << "};\n"
      << " *   attn_call call = {.size = sizeof call, .n_in = " << entry.inputs.size()
      << ", .in = in, .n_out = " << entry.outputs.size() << ", .out = out};\n";
  if (entry.usesState)
    out << " *   attn_state_memory state;\n"
           " *   check(attn_state_create(library, model, host, 1, 64, 0, &state, &error), &error);\n"
           " *   call.state = state.state;\n";
  out << " *   check(attn_session_run(session, " << entryMacros[0] << ", &call, &error), &error);\n";
  if (entry.usesState)
    out << " *   attn_state_free(host, &state);\n";
  for (auto [i, output] : llvm::enumerate(entry.outputs))
    out << " *   attn_array_free(out" << i << ");\n";
  for (auto [i, input] : llvm::enumerate(entry.inputs))
    if (!input.optional)
      out << " *   attn_array_free(in" << i << ");\n";
  out << R"( *   attn_session_free(session);
 *   library->close(model);
 *   attn_file_free(file);
 *   attn_runtime_free(runtime);
 *   return 0;
 * }
 * End of the example. */
)";
}

std::string headerText(const ModelInterface &model, const CodeOptions &options, llvm::StringRef fileName) {
  HeaderWriter writer{model, options, fileName};
  std::string name = macro(options.symbolPrefix.empty() ? options.modelName : options.symbolPrefix);
  std::string guard = "ATTN_MODEL_" + name + "_H";
  llvm::StringSet<> used;
  for (auto [i, entry] : llvm::enumerate(model.entries)) {
    std::string entryMacro = name + "_" + macro(entry.name);
    if (!used.insert(entryMacro).second) // "a-b" after "a_b"
      entryMacro += "_" + std::to_string(i);
    writer.entryMacros.push_back(entryMacro);
  }
  writer.out << "/* " << quoted(options.modelName) << ": entries of " << quoted(fileName) << ", written by attnc. */\n#ifndef "
             << guard << "\n#define " << guard << "\n\n#include \"attn_abi.h\"\n";
  if (!options.symbolPrefix.empty())
    writer.out << "\n#ifdef __cplusplus\nextern \"C\" {\n#endif\nconst attn_library *" << options.symbolPrefix
               << "_attn_query(uint32_t max_abi);\n#ifdef __cplusplus\n}\n#endif\n";
  for (unsigned i = 0; i < model.entries.size(); ++i)
    writer.writeEntry(i);
  writer.writeExample();
  writer.out << "\n#endif\n";
  return writer.text;
}

} // namespace attnc
